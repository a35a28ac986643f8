/* layout.c: where a model's numbers lie in memory: its parameters, its activations, its caches; and
   how they get in and out. */

#include <limits.h>
#include "model.h"

/* ---- Parameters ------------------------------------------------------------------------------ */

static void align(Model *m, size_t to) { m->n_weights = (m->n_weights + to - 1) / to * to; }

/* The list of all parameters is made by calling `add` for each, twice: to count, and to place. A
   tensor begins where any load is aligned, or with `join` right behind the one before it. */
static Offset join(Model *m, int layer, const char *name, int rows, int cols, int held) {
    Offset offset = m->n_weights;
    if (m->tensors) {
        TensorInfo *info = &m->tensors[m->n_tensors];
        int used = layer < 0 ? 0
                             : snprintf(info->name, sizeof info->name, "model.layers.%d.", layer);
        snprintf(info->name + used, sizeof info->name - used, "%s", name);
        info->rows = rows;
        info->cols = cols;
        info->decay = cols > 0;
        m->offsets[m->n_tensors] = offset;
    }
    m->n_tensors++;
    m->n_weights += (size_t)held * (cols ? cols : 1);
    return offset;
}

static Offset add(Model *m, int layer, const char *name, int rows, int cols, int held) {
    align(m, 64);
    return join(m, layer, name, rows, cols, held);
}

static Offset add_if(int wanted, Model *m, int layer, const char *name, int rows, int cols) {
    return wanted ? add(m, layer, name, rows, cols, rows) : NONE;
}

static Offset join_if(int wanted, Model *m, int layer, const char *name, int rows, int cols) {
    return wanted ? join(m, layer, name, rows, cols, rows) : NONE;
}

/* Weights that are multiplied. */
static Offset add_part(int held, Model *m, int layer, const char *name, int rows, int cols) {
    return add(m, layer, name, rows, cols, held ? rows : 0);
}

static Offset join_part(int held, Model *m, int layer, const char *name, int rows, int cols) {
    return join(m, layer, name, rows, cols, held ? rows : 0);
}

static Norm add_norm(Model *m, int layer, const char *weight, const char *bias) {
    const Config *c = &m->config;
    Norm norm;
    norm.weight = add(m, layer, weight, c->channels, 0, c->channels);
    norm.bias = add_if(c->norm == LAYERNORM && c->bias == BIAS_ALL, m, layer, bias, c->channels, 0);
    return norm;
}

static Linear linear(Model *m, int tensor, int parts, Offset weight, Offset bias, int in, int out) {
    const size_t size = linear_packed_size(in, out);
    Linear l = { weight, bias, size ? m->n_packed : NONE, in, out, tensor, parts };
    m->n_packed += size;
    return l;
}

/* Each parameter once, in the order of the checkpoint. Tensors multiplied together (q, k, v; gate,
   up) lie one behind the other and are one Linear. Buckets (shard.c) end where ranks can share
   them. A model that only generates holds what it can packed, and nothing else of it. */
static void layout(Model *m) {
    const Config *c = &m->config;
    const int C = c->channels, F = c->hidden;
    const int Q = c->heads * c->head_dim, KV = c->kv_heads * c->head_dim;
    const int bias = c->bias == BIAS_ALL, qkv_bias = c->bias != BIAS_NONE;
    const int gated = c->activation == SWIGLU;
    const int held = m->how & TRAINS || linear_packed_size(C, C) == 0;
    const int bucket = 64 * (m->how & TRAINS ? job.ranks : 1);
    m->n_tensors = 0;
    m->n_weights = m->n_packed = 0;

    m->wte = add(m, -1, "model.embed_tokens.weight", c->vocab, C, m->P);
    m->wpe = add_if(c->position == LEARNED, m, -1, "model.positions.weight", c->context, C);
    align(m, bucket);
    m->embedding = m->n_weights;
    for (int l = 0; l < c->layers; l++) {
        Layer *x = &m->layers[l];
        Offset w, b;
        int first;
        x->norm1 = add_norm(m, l, "input_layernorm.weight", "input_layernorm.bias");
        first = m->n_tensors;
        w = add_part(held, m, l, "self_attn.q_proj.weight", Q, C);
            join_part(held, m, l, "self_attn.k_proj.weight", KV, C);
            join_part(held, m, l, "self_attn.v_proj.weight", KV, C);
        b = add_if(qkv_bias, m, l, "self_attn.q_proj.bias", Q, 0);
            join_if(qkv_bias, m, l, "self_attn.k_proj.bias", KV, 0);
            join_if(qkv_bias, m, l, "self_attn.v_proj.bias", KV, 0);
        x->qkv = linear(m, first, 3, w, b, C, Q + 2 * KV);
        x->q_norm = add_if(c->qk_norm, m, l, "self_attn.q_norm.weight", c->head_dim, 0);
        x->k_norm = add_if(c->qk_norm, m, l, "self_attn.k_norm.weight", c->head_dim, 0);
        first = m->n_tensors;
        w = add_part(held, m, l, "self_attn.o_proj.weight", C, Q);
        b = add_if(bias, m, l, "self_attn.o_proj.bias", C, 0);
        x->proj = linear(m, first, 1, w, b, Q, C);
        x->norm2 = add_norm(m, l, "post_attention_layernorm.weight",
                            "post_attention_layernorm.bias");
        first = m->n_tensors;
        if (gated) w = add_part(held, m, l, "mlp.gate_proj.weight", F, C);
        Offset up = (gated ? join_part : add_part)(held, m, l, "mlp.up_proj.weight", F, C);
        b = add_if(gated && bias, m, l, "mlp.gate_proj.bias", F, 0);
        Offset up_bias = (gated ? join_if : add_if)(bias, m, l, "mlp.up_proj.bias", F, 0);
        x->up = gated ? linear(m, first, 2, w, b, C, 2 * F)
                      : linear(m, first, 1, up, up_bias, C, F);
        first = m->n_tensors;
        w = add_part(held, m, l, "mlp.down_proj.weight", C, F);
        b = add_if(bias, m, l, "mlp.down_proj.bias", C, 0);
        x->down = linear(m, first, 1, w, b, F, C);
        align(m, bucket);
        if (l == 0) m->layer = m->n_weights - m->embedding;
    }
    m->norm = add_norm(m, -1, "model.norm.weight", "model.norm.bias");
    Offset head = m->wte;
    int first = c->tied && !c->scalar ? 0 : m->n_tensors;
    if (c->scalar) head = add_part(held, m, -1, "score.weight", 1, C);
    else if (!c->tied) head = add(m, -1, "lm_head.weight", c->vocab, C, held ? m->P : 0);
    m->head = linear(m, first, 1, head, NONE, C, c->scalar ? 1 : m->P);
    align(m, bucket);
}

/* ---- The plan of activations ----------------------------------------------------------------- */

static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

/* The next piece of the arena, or with base NULL only its size; pieces begin on cache lines. */
static void *take(char *base, size_t *used, size_t bytes) {
    void *piece = base ? base + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return piece;
}

/* Lays out everything for N rows; returns the bytes. Run to count, then to place. */
static size_t place(Model *m, char *base, size_t N, int training) {
    const Config *c = &m->config;
    const size_t C = c->channels, HD = (size_t)c->heads * c->head_dim, I = sizeof(int);
    const size_t R = sizeof(real), S = sizeof(float);
    const size_t chunk = min_int(N, nll_rows());
    const int transformed = c->qk_norm || c->position == ROPE;
    const int blocks = training && !(m->how & RECOMPUTE_BLOCKS);     /* keep what is in them, */
    const int all = blocks && !(m->how & RECOMPUTE);                 /* all of it */
    size_t used = 0, work = extend_work(N, c->context, c->heads, c->head_dim);
    if (training) work = max_size(work, attention_work(1, N, c->heads, c->head_dim));
    if (training) work = max_size(work, norm_work(N, max_int(c->channels, c->head_dim)));
    #define TAKE(count, size) take(base, &used, (count) * (size))
    #define KEEP(kept, piece, count, size) \
        (a->piece = l > 0 && !(kept) ? m->acts[0].piece : TAKE(count, size))
    for (int l = 0; l < c->layers; l++) {
        Activations *a = &m->acts[l];
        KEEP(training, x, N * C, R);
        KEEP(blocks, mean1, N, S);       KEEP(blocks, rstd1, N, S);
        KEEP(all, h1, N * C, R);         KEEP(blocks, qkv, N * m->W, R);
        KEEP(blocks, qk_rstd, N * (c->heads + c->kv_heads), S);
        a->rotated = a->qkv;
        if (transformed) KEEP(blocks, rotated, N * m->W, R);
        KEEP(blocks, att, N * HD, R);    KEEP(blocks, lse, N * c->heads, S);
        KEEP(blocks, mid, N * C, R);
        KEEP(blocks, mean2, N, S);       KEEP(blocks, rstd2, N, S);
        KEEP(all, h2, N * C, R);         KEEP(blocks, up, N * m->U, R);
        KEEP(all, act, N * c->hidden, R);
    }
    #undef KEEP
    m->tokens = TAKE(N, I);     m->targets = TAKE(N, I);  m->first = TAKE(N, I);
    m->positions = TAKE(N, I);  m->starts = TAKE(N, I);
    m->by_token = TAKE(N, I);   m->by_position = TAKE(N, I);
    m->last = TAKE(N * C, R);   m->h = TAKE(N * C, R);
    m->mean = TAKE(N, S);       m->rstd = TAKE(N, S);
    m->out = TAKE(N, S);        m->coef = TAKE(N, S);
    m->logits = TAKE(chunk * m->head.out, S);
    m->settings = TAKE(chunk, sizeof(Sampling));
    m->drawn = TAKE(chunk, I);                      m->logprobs = TAKE(chunk, S);
    if (training) {
        m->asked = TAKE(N, I);      m->nth = TAKE(N, I);
        m->dh = TAKE(N * C, R);     m->dlogits = TAKE(chunk * m->head.out, R);
        m->dx = TAKE(N * C, R);     m->dc = TAKE(N * C, R);
        m->dw = TAKE(N * m->W, R);  m->du = TAKE(N * m->U, R);
        m->da = TAKE(N * max_size(HD, c->hidden), R);
    }
    const Linear *each[] = { &m->layers[0].qkv, &m->layers[0].proj, &m->layers[0].up,
                             &m->layers[0].down, &m->head };
    for (int i = 0; i < 5; i++)
        work = max_size(work, linear_work(i == 4 ? chunk : N, each[i]->in, each[i]->out));
    m->work = TAKE(work, 1);
    #undef TAKE
    return used;
}

int plan(Model *m, int N, int training) {
    if (N <= m->rows && training <= m->training) return 0;
    m->T = m->undrawn = m->rows = 0;
    m->plans++;
    device_free(m->arena);
    m->arena = NULL;
    size_t bytes = place(m, NULL, N, training);
    if (bytes > device_memory())
        return chat_fail("%d tokens at once need %.1f GB for activations, and there are %.1f GB of"
                         " memory: use a smaller batch", N, bytes / 1e9, device_memory() / 1e9);
    free(m->asked_in);
    m->asked_in = malloc(sizeof(int) * ceil_div(N, nll_rows()));
    if (!m->asked_in) return chat_fail("no memory for %d rows", N);
    m->arena = device_alloc(bytes);
    if (!m->arena) return -1;
    place(m, m->arena, N, training);
    m->rows = N;
    m->training = training;
    return 0;
}

/* ---- Making and freeing ---------------------------------------------------------------------- */

/* All of a model that takes no memory to speak of. */
static int outline(Model *m, const Config *config, int how) {
    m->config = *config;
    m->how = how;
    m->W = (config->heads + 2 * config->kv_heads) * config->head_dim;
    m->U = config->hidden * (config->activation == SWIGLU ? 2 : 1);
    m->P = (config->vocab + 127) / 128 * 128;
    m->stale = how & TRAINS;
    m->shards = how & SHARD ? job.ranks : 1;
    m->shard = how & SHARD ? job.rank : 0;
    m->layers = calloc(config->layers, sizeof(Layer));
    m->acts = calloc(config->layers, sizeof(Activations));
    if (!m->layers || !m->acts) return chat_fail("no memory for %d layers", config->layers);
    layout(m);
    m->tensors = calloc(m->n_tensors, sizeof(TensorInfo));
    m->offsets = calloc(m->n_tensors, sizeof(Offset));
    if (!m->tensors || !m->offsets) return chat_fail("no memory for %d tensors", m->n_tensors);
    layout(m);
    return 0;
}

static double weight_bytes(const Model *m) {
    const Config *c = &m->config;
    return sizeof(real) * ((double)m->n_weights + m->n_packed)
         + (c->position == ROPE ? sizeof(float) * (double)c->context * c->head_dim : 0);
}

static double master_bytes(const Model *m) {
    const int held = m->how & TRAINS && !(m->how & NO_MASTERS) && sizeof(real) < sizeof(float);
    return held ? sizeof(float) * (double)shard_size(m) : 0;
}

static double cache_bytes(const Config *c, int slots, int length) {
    return 2.0 * sizeof(real) * c->layers * slots * length * c->kv_heads * c->head_dim;
}

int model_memory(Memory *memory, const Config *config, int how, int N, int slots, int length) {
    Model m = { 0 };
    int failed = check_config(config) || outline(&m, config, how);
    if (!failed) {
        const double gradients = how & TRAINS ? sizeof(float) * (double)m.n_weights : 0;
        *memory = (Memory){ .weights = weight_bytes(&m), .masters = master_bytes(&m),
                            .gradients = gradients, .moments = 2 * gradients / m.shards,
                            .activations = N ? place(&m, NULL, N, how & TRAINS) : 0,
                            .cache = cache_bytes(config, slots, length) };
    }
    free(m.layers); free(m.acts); free(m.tensors); free(m.offsets);
    return failed ? -1 : 0;
}

static int make(Model *m, const Config *c, int how) {
    if (outline(m, c, how)) return -1;
    const double need = weight_bytes(m) + master_bytes(m);
    if (need > device_memory())
        return chat_fail("a model of %d layers, %d channels and vocabulary %d needs %.1f GB for its"
                         " weights, and there are %.1f GB of memory", c->layers, c->channels,
                         c->vocab, need / 1e9, device_memory() / 1e9);
    m->weights = device_alloc(m->n_weights * sizeof(real));
    m->packed = device_alloc(m->n_packed * sizeof(real));
    if (!m->weights || !m->packed) return -1;
    if (master_bytes(m) > 0 && !(m->masters = device_alloc((size_t)master_bytes(m)))) return -1;
    if (c->position == ROPE) {
        m->rope = device_alloc(sizeof(float) * c->context * c->head_dim);
        if (!m->rope) return -1;
        rope_table(m->rope, c->context, c->head_dim, c->rope_theta,
                   c->rope_factor, c->rope_low, c->rope_high, c->rope_context);
    }
    return 0;
}

int model_create(Model **out, const Config *config, int how) {
    *out = NULL;
    if (check_config(config) || device_ready()) return -1;
    Model *m = calloc(1, sizeof(Model));
    if (!m) return chat_fail("no memory for a model");
    if (make(m, config, how)) { model_free(m); return -1; }
    *out = m;
    return 0;
}

void model_free(Model *m) {
    if (!m) return;
    device_free(m->weights); device_free(m->packed); device_free(m->masters);
    device_free(m->grads); device_free(m->moment1); device_free(m->moment2);
    device_free(m->rope); device_free(m->arena); device_free(m->ids);
    free(m->acts); free(m->layers); free(m->tensors); free(m->offsets); free(m->asked_in);
    free(m);
}

int ensure(const Model *m, float **arena) {
    const size_t size = arena == &m->grads ? m->n_weights : shard_size(m);
    if (!(m->how & TRAINS))
        return chat_fail("the model was made only to generate: it has no gradients");
    if (!*arena) *arena = device_alloc(size * sizeof(float));
    return *arena ? 0 : -1;
}

int model_reserve(Model *m, int N) {
    if (N < 1) return chat_fail("%d tokens to make room for", N);
    return ensure(m, &m->grads) || ensure(m, &m->moment1) || ensure(m, &m->moment2)
        || plan(m, N, 1) ? -1 : 0;
}

/* ---- Caches ---------------------------------------------------------------------------------- */

static double bytes_of(const Cache *x) { return cache_bytes(&x->model->config, 1, x->total); }

double cache_memory(const Cache *x) { return bytes_of(x); }

static void forget_graphs(Cache *x) {
    for (int n = 0; x->graphs && n < x->slots; n++) device_forget(&x->graphs[n]);
    x->plans = x->model->plans;
}

/* Copies what a slot holds to where it begins in other memory, or elsewhere in the same. */
static void copy_slot(const Cache *to, int start, const Cache *from, const struct Slot *slot) {
    const Config *c = &to->model->config;
    const size_t token = (size_t)c->kv_heads * c->head_dim, bytes = slot->used * token * sizeof(real);
    for (int l = 0; l < c->layers && bytes; l++) {
        const size_t at = ((size_t)l * to->total + start) * token;
        const size_t was = ((size_t)l * from->total + slot->start) * token;
        device_copy(to->keys + at, from->keys + was, bytes);
        device_copy(to->values + at, from->values + was, bytes);
    }
}

/* Moves all slots into memory for `total` tokens, one after the other without gaps. */
static int move(Cache *x, double total) {
    Cache old = *x;
    const double bytes = cache_bytes(&x->model->config, 1, 1) * total;
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
        copy_slot(x, start, &old, &x->slot[i]);
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
    const int context = x->model->config.context;
    if (slot < 0 || slot >= x->slots)
        return chat_fail("there is no slot %d; the cache has %d", slot, x->slots);
    struct Slot *s = &x->slot[slot];
    if (length < s->used || length > context)
        return chat_fail("length is %d, but must be from %d, what slot %d holds, to the context, %d",
                         length, s->used, slot, context);
    const int place = length > s->length ? free_place(x, length) : length ? s->start : 0;
    if (place >= 0) {
        if (place != s->start) copy_slot(x, place, x, s);        /* nothing, if it has no room */
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

int cache_create(Cache **out, Model *m, int slots, int length) {
    const Config *c = &m->config;
    *out = NULL;
    if (slots < 1 || slots > 1 << 20)
        return chat_fail("slots is %d, but must be from 1 to %d", slots, 1 << 20);
    if (length < 0 || length > c->context)
        return chat_fail("length is %d, but must be from 0 to the context, %d", length, c->context);
    Cache *x = calloc(1, sizeof(Cache));
    if (!x) return chat_fail("no memory for a cache");
    *x = (Cache){ .model = m, .slots = slots, .slot = calloc(slots, sizeof *x->slot),
                  .graphs = calloc(slots, sizeof(void *)), .plans = m->plans };
    int failed = !x->slot || !x->graphs;
    if (failed) chat_fail("no memory for a cache of %d slots", slots);
    for (int i = 0; i < slots && !failed; i++) x->slot[i].length = length;
    if (failed || (length && move(x, (double)slots * length))) { cache_free(x); return -1; }
    *out = x;
    return 0;
}

void **graph_of(Cache *x, int n) {
    if (x->plans != x->model->plans) forget_graphs(x);
    return &x->graphs[n - 1];
}

void cache_free(Cache *x) {
    if (!x) return;
    forget_graphs(x);
    device_free(x->keys);
    device_free(x->values);
    free(x->graphs);
    free(x->slot);
    free(x);
}

/* ---- Reading and writing tensors ------------------------------------------------------------- */

int model_tensors(const Model *m) { return m->n_tensors; }

static int check_index(const Model *m, int index) {
    if (index >= 0 && index < m->n_tensors) return 0;
    return chat_fail("there is no tensor %d; the model has %d", index, m->n_tensors);
}

int model_tensor(const Model *m, int index, TensorInfo *info) {
    if (check_index(m, index)) return -1;
    *info = m->tensors[index];
    return 0;
}

/* *arena = where floats of this kind are kept; NULL: the reals in m->weights are all there is. */
static int find(Model *m, int what, int index, float **arena) {
    float **arenas[] = { &m->masters, &m->grads, &m->moment1, &m->moment2 };
    if (check_index(m, index)) return -1;
    if (what < WEIGHT || what > MOMENT2) return chat_fail("%d is no kind of tensor", what);
    if (!(m->how & TRAINS))
        return chat_fail("a model made only to generate cannot give its tensors back");
    if (what != WEIGHT && ensure(m, arenas[what])) return -1;
    *arena = *arenas[what];
    return 0;
}

/* out (count) = a tensor's reals, in float. */
static int read_weight(const Model *m, int index, float *out) {
    const size_t count = size_of(&m->tensors[index]), bytes = count * sizeof(float);
    const real *from = m->weights + m->offsets[index];
    if (sizeof(real) == sizeof(float)) return device_read(out, from, bytes);
    float *wide = device_alloc(bytes);
    if (!wide) return -1;
    widen(wide, from, count);
    int failed = device_read(out, wide, bytes);
    device_free(wide);
    return failed;
}

int model_read(Model *m, int what, int index, float *out) {
    float *arena = NULL;
    if (find(m, what, index, &arena)) return -1;
    if (!arena) return read_weight(m, index, out);
    for (int r = 0; r < m->shards; r++) {
        const Part p = part_of(m, index, r);
        const float *from = arena + (what == GRADIENT ? p.at : p.own);
        if (r == m->shard && device_read(out + p.first, from, p.count * sizeof(float))) return -1;
        if (m->shards > 1 && comm_broadcast(out + p.first, p.count * sizeof(float), r)) return -1;
    }
    return 0;
}

/* The i-th Linear of the model; NULL behind the last, the head. */
static const Linear *linear_at(const Model *m, int i) {
    if (i >= 4 * m->config.layers) return i == 4 * m->config.layers ? &m->head : NULL;
    const Layer *x = &m->layers[i / 4];
    const Linear *each[] = { &x->qkv, &x->proj, &x->up, &x->down };
    return each[i % 4];
}

/* A model that only generates: rows of a tensor go to the arena, if held there, and to the packed
   form of what they are multiplied in. Some rows at a time: no second copy of all is made. */
static int write_packed(Model *m, int index, const float *values) {
    enum { ROWS = 1024 };
    const TensorInfo *t = &m->tensors[index];
    size_t cols = t->cols ? t->cols : 1;
    int last = index + 1 == m->n_tensors;
    int held = (last ? m->n_weights : m->offsets[index + 1]) > m->offsets[index];
    float *wide = device_alloc(sizeof(float) * ROWS * cols);
    real *rows = device_alloc(sizeof(real) * ROWS * cols);
    for (int r = 0; wide && rows && r < t->rows; r += ROWS) {
        int n = min_int(ROWS, t->rows - r);
        device_write(wide, values + r * cols, sizeof(float) * n * cols);
        narrow(rows, wide, n * cols);
        if (held)
            device_copy(m->weights + m->offsets[index] + r * cols, rows, sizeof(real) * n * cols);
        const Linear *p;
        for (int i = 0; (p = linear_at(m, i)); i++) {
            int from = 0;
            if (index < p->tensor || index >= p->tensor + p->parts || p->packed == NONE) continue;
            for (int j = p->tensor; j < index; j++) from += m->tensors[j].rows;
            linear_pack(m->packed + p->packed, rows, from + r, n, p->in, p->out);
        }
    }
    device_free(wide);
    device_free(rows);
    return wide && rows ? 0 : -1;
}

/* The reals of a tensor = values (count), rounded to the nearest. */
static int write_weight(Model *m, int index, const float *values) {
    const size_t count = size_of(&m->tensors[index]), bytes = count * sizeof(float);
    real *to = m->weights + m->offsets[index];
    m->stale = 1;
    if (sizeof(real) == sizeof(float)) {
        device_write(to, values, bytes);
        return 0;
    }
    float *wide = device_alloc(bytes);
    if (!wide) return -1;
    device_write(wide, values, bytes);
    narrow(to, wide, count);
    device_free(wide);
    return 0;
}

int model_write(Model *m, int what, int index, const float *values) {
    float *arena = NULL;
    if (!(m->how & TRAINS) && what == WEIGHT && !check_index(m, index))
        return write_packed(m, index, values);
    if (find(m, what, index, &arena)) return -1;
    const size_t bytes = size_of(&m->tensors[index]) * sizeof(float);
    const Part p = part_of(m, index, m->shard);
    if (what == GRADIENT)
        device_write(arena + m->offsets[index], values, bytes);
    else if (arena)
        device_write(arena + p.own, values + p.first, p.count * sizeof(float));
    return what == WEIGHT ? write_weight(m, index, values) : 0;
}

/* ---- Packed weights -------------------------------------------------------------------------- */

void pack_weights(Model *m) {
    const Linear *p;
    if (!m->stale) return;
    for (int i = 0; (p = linear_at(m, i)); i++)
        if (p->packed != NONE)
            linear_pack(m->packed + p->packed, weight(m, p->weight), 0, p->out, p->in, p->out);
    m->stale = 0;
}
