/* cache.c: keys and values of sequences while they are generated. A cache is memory for `total`
   tokens, of which each slot has a piece, as long as the sequence in it may become. */

#include <limits.h>
#include "model.h"

double cache_bytes(const Model *m, double tokens) {
    const Config *c = &m->config;
    return 2.0 * kept_size(m) * c->layers * tokens * c->kv_heads * c->head_dim;
}

double cache_memory(const Cache *x) {
    return x->model ? cache_bytes(x->model, x->total) : 0;
}

static int check_slot(const Cache *x, int slot) {
    if (!x->model) return chat_fail("the model of this cache was freed");
    if (slot >= 0 && slot < x->slots) return 0;
    return chat_fail("there is no slot %d; the cache has %d", slot, x->slots);
}

int check_extend(const Model *m, const Cache *x, const int *slots, const int *tokens,
                 const int *counts, int n, int *total) {
    *total = 0;
    if (x->model && x->model != m) return chat_fail("the cache belongs to another model");
    if (n < 1 || n > x->slots) return chat_fail("%d slots to extend, of %d", n, x->slots);
    for (int i = 0; i < n; i++) {
        if (check_slot(x, slots[i])) return -1;
        for (int j = 0; j < i; j++)
            if (slots[i] == slots[j]) return chat_fail("slot %d is extended twice", slots[i]);
        if (counts[i] < 1)
            return chat_fail("slot %d is extended by %d tokens", slots[i], counts[i]);
        const struct Slot *s = &x->slot[slots[i]];
        if (counts[i] > s->length - s->used)
            return chat_fail("slot %d holds %d of %d tokens: there is no room for %d more",
                             slots[i], s->used, s->length, counts[i]);
        *total += counts[i];
    }
    return check_ids("token", tokens, 0, m->config.vocab, *total, *total);
}

/* ---- What slots hold ------------------------------------------------------------------------- */

/* Copies the first `count` tokens at `was` to where they begin in other memory, or in the same. */
static void copy_tokens(const Cache *to, int start, const Cache *from, int was, int count) {
    const Config *c = &to->model->config;
    const size_t token = kept_size(to->model) * c->kv_heads * c->head_dim, bytes = count * token;
    for (int l = 0; l < c->layers && bytes; l++) {
        const size_t at = ((size_t)l * to->total + start) * token;
        const size_t old = ((size_t)l * from->total + was) * token;
        device_copy(to->keys + at, from->keys + old, bytes);
        device_copy(to->values + at, from->values + old, bytes);
    }
}

int cache_fork(Cache *x, int to, int from, int count) {
    if (check_slot(x, to) || check_slot(x, from)) return -1;
    if (count < 0 || count > x->slot[from].used)
        return chat_fail("slot %d holds %d tokens, not %d", from, x->slot[from].used, count);
    if (count > x->slot[to].length)
        return chat_fail("slot %d has room for %d tokens, not %d", to, x->slot[to].length, count);
    if (to != from) copy_tokens(x, x->slot[to].start, x, x->slot[from].start, count);
    x->slot[to].used = count;
    return 0;
}

size_t cache_size(const Cache *x, int count) {
    return x->model ? (size_t)cache_bytes(x->model, count) : 0;
}

/* Where layer l's keys or values of token `at` of a slot lie; *size = bytes of `count` of them. */
static char *place_of(const Cache *x, char *kept, int l, int slot, int at, int count,
                      size_t *size) {
    const size_t token = cache_size(x, 1) / x->model->config.layers / 2;
    *size = count * token;
    return kept + ((size_t)l * x->total + x->slot[slot].start + at) * token;
}

int cache_export(const Cache *x, void *bytes, int slot, int from, int count) {
    char *out = bytes;
    size_t size;
    if (check_slot(x, slot)) return -1;
    if (from < 0 || count < 1 || from > x->slot[slot].used - count)
        return chat_fail("slot %d holds %d tokens: there are no %d from %d on", slot,
                         x->slot[slot].used, count, from);
    for (int i = 0; i < 2 * x->model->config.layers; i++, out += size) {
        const char *kept = place_of(x, i % 2 ? x->values : x->keys, i / 2, slot, from, count,
                                    &size);
        if (device_read(out, kept, size)) return -1;
    }
    return 0;
}

int cache_import(Cache *x, const void *bytes, int slot, int count) {
    const char *from = bytes;
    size_t size;
    if (check_slot(x, slot)) return -1;
    const int used = x->slot[slot].used;
    if (count < 1 || count > x->slot[slot].length - used)
        return chat_fail("slot %d holds %d of %d tokens: there is no room for %d more", slot, used,
                         x->slot[slot].length, count);
    for (int i = 0; i < 2 * x->model->config.layers; i++, from += size) {
        char *kept = place_of(x, i % 2 ? x->values : x->keys, i / 2, slot, used, count, &size);
        device_write(kept, from, size);
    }
    x->slot[slot].used += count;
    return 0;
}

/* ---- The room of slots ----------------------------------------------------------------------- */

static void forget_graphs(Cache *x) {
    for (int n = 0; x->graphs && n < x->slots; n++) device_forget(&x->graphs[n]);
}

void **graph_of(Cache *x, int n) {
    if (x->plans != x->model->plans) forget_graphs(x);
    x->plans = x->model->plans;
    return &x->graphs[n - 1];
}

/* Moves all slots into memory for `total` tokens, one after the other without gaps. */
static int move(Cache *x, double total) {
    Cache old = *x;
    const double bytes = cache_bytes(x->model, 1) * total;
    if (total > INT_MAX || bytes > device_memory())
        return chat_fail("a cache of %.0f tokens needs %.1f GB, and there are %.1f GB of memory",
                         total, bytes / 1e9, device_memory() / 1e9);
    x->total = (int)total;
    x->keys = device_alloc((size_t)bytes / 2);
    x->values = device_alloc((size_t)bytes / 2);
    if (!x->keys || !x->values) {
        device_free(x->keys); device_free(x->values);
        *x = old;
        return -1;
    }
    for (int i = 0, start = 0; i < x->slots; start += x->slot[i++].length) {
        copy_tokens(x, start, &old, x->slot[i].start, x->slot[i].used);
        x->slot[i].start = start;
    }
    device_free(old.keys); device_free(old.values);
    forget_graphs(x);
    return 0;
}

/* The first place where `length` tokens lie in no slot; -1 if there is none. */
static int free_place(const Cache *x, int length) {
    int best = -1;
    for (int i = -1; i < x->slots; i++) {        /* it is 0, or the end of a slot */
        const int start = i < 0 ? 0 : x->slot[i].start + x->slot[i].length;
        int is_free = start <= x->total - length && (best < 0 || start < best);
        for (int j = 0; j < x->slots && is_free; j++)
            is_free = start >= x->slot[j].start + x->slot[j].length
                   || start + length <= x->slot[j].start;
        if (is_free) best = start;
    }
    return best;
}

int cache_resize(Cache *x, int slot, int length) {
    if (check_slot(x, slot)) return -1;
    const int context = x->model->config.context;
    struct Slot *s = &x->slot[slot];
    if (length < s->used || length > context)
        return chat_fail("length is %d, but must be from %d, which slot %d holds, to the context,"
                         " %d",
                         length, s->used, slot, context);
    if (ensure_ropes(x->model, length)) return -1;
    const int place = length > s->length ? free_place(x, length) : length ? s->start : 0;
    if (place >= 0) {
        if (place != s->start) copy_tokens(x, place, x, s->start, s->used);
        *s = (struct Slot){ place, length, s->used };
        return 0;
    }
    const int before = s->length;
    double total = s->length = length;
    for (int i = 0; i < x->slots; i++) total += i == slot ? 0 : x->slot[i].length;
    if (move(x, total < x->total ? x->total : x->total ? 1.25 * total : total) == 0) return 0;
    s->length = before;
    return -1;
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

int cache_create(Cache **out, Model *m, int slots, int length) {
    const Config *c = &m->config;
    *out = NULL;
    if (slots < 1 || slots > 1 << 20)
        return chat_fail("slots is %d, but must be from 1 to %d", slots, 1 << 20);
    if (length < 0 || length > c->context)
        return chat_fail("length is %d, but must be from 0 to the context, %d", length, c->context);
    Cache *x = calloc(1, sizeof(Cache));
    if (!x) return chat_fail("no memory for a cache");
    *x = (Cache){ .model = m, .next = m->caches, .slots = slots,
                  .slot = calloc(slots, sizeof *x->slot), .graphs = calloc(slots, sizeof(void *)),
                  .plans = m->plans };
    m->caches = x;
    int failed = !x->slot || !x->graphs;
    if (failed) chat_fail("no memory for a cache of %d slots", slots);
    failed = failed || ensure_ropes(m, length);
    for (int i = 0; i < slots && !failed; i++) x->slot[i].length = length;
    if (failed || (length && move(x, (double)slots * length))) { cache_free(x); return -1; }
    *out = x;
    return 0;
}

/* Caches that outlive their model hold memory, but nothing to extend them by. */
void leave_caches(Model *m) {
    for (Cache *x = m->caches; x; x = x->next) {
        forget_graphs(x);
        x->model = NULL;
    }
}

void cache_free(Cache *x) {
    if (!x) return;
    for (Cache **at = x->model ? &x->model->caches : NULL; at && *at; at = &(*at)->next)
        if (*at == x) { *at = x->next; break; }
    forget_graphs(x);
    device_free(x->keys);
    device_free(x->values);
    free(x->graphs);
    free(x->slot);
    free(x);
}
