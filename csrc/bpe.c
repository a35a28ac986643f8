/* bpe.c: byte-pair encoding: counting the chunks of a text, and learning merges from the counts.
   tests/ref_bpe.py says both once more in plain Python, which tests compare with this. */

#include <stdlib.h>
#include "shared.h"
#include "text.h"

/* The array with room for `want` > 0 elements of `size` bytes, and *room how many fit into it;
   NULL, and everything as it was, where there is no memory. */
static void *grow(void *array, size_t *room, size_t want, size_t size) {
    if (want <= *room) return array;
    size_t wider = want > 2 * *room ? want : 2 * *room;
    void *moved = realloc(array, wider * size);
    if (moved) *room = wider;
    else chat_fail("no memory for %zu bytes of chunks and pairs", wider * size);
    return moved;
}

/* ---- Splitting: the patterns that a Split says, by hand ----------------------------------- */

enum { KIND = 7, NOTHING = 7 };      /* the bits of a class that tell the kind; the text's end */

/* The class of the character at p, and how many bytes it takes. */
static inline int class_at(const uint8_t *p, const uint8_t *end, const uint8_t *classes,
                           int *size) {
    *size = p < end;
    if (p == end) return NOTHING;
    if (*p < 0x80) return classes[*p];
    int n = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    uint32_t code = *p & 0xff >> (n + 1);
    if (end - p < n) return KIND_OTHER;
    for (int i = 1; i < n; i++) code = code << 6 | (p[i] & 0x3f);
    *size = n;
    return code < 0x110000 ? classes[code] : KIND_OTHER;
}

static const uint8_t *skip(const uint8_t *p, const uint8_t *end, const uint8_t *classes, int kind) {
    for (int size; (class_at(p, end, classes, &size) & KIND) == kind; p += size);
    return p;
}

/* Where an apostrophe's 's, 't, 'm, 'd, 're, 've or 'll ends, given what is behind it, or NULL. */
static const uint8_t *contraction(const uint8_t *p, const uint8_t *end, const uint8_t *classes) {
    int size, next;
    int letter = class_at(p, end, classes, &size) & ~KIND;
    p += size;
    if (letter == ENDS_ALONE) return p;
    int second = class_at(p, end, classes, &next) & ~KIND;
    return (letter == BEFORE_E && second == IS_E) || (letter == IS_L && second == IS_L)
        ? p + next : NULL;
}

/* Where the chunk that begins at p ends. The alternatives of the patterns, in their order. */
static inline const uint8_t *chunk_end(const uint8_t *p, const uint8_t *end,
                                       const uint8_t *classes, Split split) {
    int size, next;
    int kind = class_at(p, end, classes, &size) & KIND;
    const uint8_t *q = p + size, *line = NULL, *last = p;
    int second = class_at(q, end, classes, &next) & KIND;
    if (*p == '\'' && (line = contraction(q, end, classes))) {
        while (split.old && q < line && *q >= 'a' && *q <= 'z') q++;
        if (!split.old || q == line) return line;
        q = p + size;
        line = NULL;
    }
    if (kind == KIND_LETTER || (second == KIND_LETTER && (
            split.old ? *p == ' ' : kind == KIND_OTHER || kind == KIND_BLANK)))
        return skip(q, end, classes, KIND_LETTER);
    if (!split.digits && (kind == KIND_NUMBER || (*p == ' ' && second == KIND_NUMBER)))
        return skip(q, end, classes, KIND_NUMBER);
    if (kind == KIND_NUMBER) {
        for (int n = 1; n < split.digits && second == KIND_NUMBER; n++) {
            q += next;
            second = class_at(q, end, classes, &next) & KIND;
        }
        return q;
    }
    if (kind == KIND_OTHER || (*p == ' ' && second == KIND_OTHER)) {
        q = skip(q, end, classes, KIND_OTHER);
        return split.old ? q : skip(q, end, classes, KIND_NEWLINE);
    }
    for (q = p; ; q += size) {       /* blanks: up to the last newline, else all but the last one */
        kind = class_at(q, end, classes, &size) & KIND;
        if (kind != KIND_BLANK && kind != KIND_NEWLINE) break;
        last = q;
        if (kind == KIND_NEWLINE && !split.old) line = q + size;
    }
    if (split.old && split.digits && kind == KIND_NUMBER) return q;
    return line ? line : q == end || last == p ? q : last;
}

const uint8_t *split_end(const uint8_t *p, const uint8_t *end, const uint8_t *classes,
                         Split split) {
    return chunk_end(p, end, classes, split);
}

/* ---- Counting: a hash table whose entries stay in the order they came in --------------------- */

typedef struct { uint32_t hash, size; uint64_t count; size_t offset; } Chunk;

struct Chunks {
    Chunk *list; size_t n, room;
    uint8_t *text; size_t bytes, text_room;      /* of the chunks, one after the other */
    uint32_t *index; size_t capacity;            /* 1 + place in the list, 0: free; a power of 2 */
};

static uint32_t hash_bytes(const uint8_t *p, size_t n) {
    uint64_t hash = n, word;
    for (; n > 0; p += 8, n -= n < 8 ? n : 8) {
        word = 0;
        memcpy(&word, p, n < 8 ? n : 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

/* Makes the index wide enough for n entries to fill half of it at most. */
static int reindex(Chunks *c, size_t n) {
    size_t capacity = c->capacity ? c->capacity : 1 << 12;
    while (capacity < 2 * n) capacity *= 2;
    uint32_t *index = calloc(capacity, sizeof *index);
    if (!index) return chat_fail("no memory to count %zu different chunks", n);
    for (size_t i = 0; i < c->n; i++) {
        size_t at = c->list[i].hash & (capacity - 1);
        while (index[at]) at = (at + 1) & (capacity - 1);
        index[at] = (uint32_t)i + 1;
    }
    free(c->index);
    c->index = index;
    c->capacity = capacity;
    return 0;
}

/* Where in the index a chunk is, or would be. */
static uint32_t *find(const Chunks *c, const uint8_t *chunk, size_t size, uint32_t hash) {
    for (size_t at = hash & (c->capacity - 1); ; at = (at + 1) & (c->capacity - 1)) {
        if (!c->index[at]) return &c->index[at];
        const Chunk *known = &c->list[c->index[at] - 1];
        if (known->hash == hash && known->size == size
            && !memcmp(c->text + known->offset, chunk, size)) return &c->index[at];
    }
}

/* Returns the chunk's number; below 0: it failed. */
static int64_t put(Chunks *c, const uint8_t *chunk, uint32_t size, uint32_t hash, uint64_t count) {
    if (2 * c->n >= c->capacity && reindex(c, c->n + 1)) return -1;
    uint32_t *at = find(c, chunk, size, hash);
    if (*at) {
        c->list[*at - 1].count += count;
        return *at - 1;
    }
    if (c->n == UINT32_MAX) return chat_fail("over %u different chunks: learn from less text",
                                             UINT32_MAX);
    Chunk *list = grow(c->list, &c->room, c->n + 1, sizeof *list);
    if (!list) return -1;
    c->list = list;
    uint8_t *text = grow(c->text, &c->text_room, c->bytes + size + 1, 1);
    if (!text) return -1;
    c->text = text;
    memcpy(c->text + c->bytes, chunk, size);
    c->list[c->n++] = (Chunk){ hash, size, count, c->bytes };
    c->bytes += size;
    *at = (uint32_t)c->n;
    return *at - 1;
}

int chunks_put(Chunks *c, const uint8_t *chunk, size_t size) {
    if (size > INT32_MAX || c->n >= INT32_MAX)
        return chat_fail("%zu bytes are too long for a chunk, or %zu chunks too many", size, c->n);
    return (int)put(c, chunk, (uint32_t)size, hash_bytes(chunk, size), 1);
}

int chunks_find(const Chunks *c, const uint8_t *chunk, size_t size) {
    return c->capacity ? (int)*find(c, chunk, size, hash_bytes(chunk, size)) - 1 : -1;
}

const uint8_t *chunks_text(const Chunks *c, int i, size_t *size) {
    *size = c->list[i].size;
    return c->text + c->list[i].offset;
}

int chunks_create(Chunks **out) {
    *out = calloc(1, sizeof **out);
    return *out ? 0 : chat_fail("no memory to count chunks");
}

void chunks_free(Chunks *c) {
    if (c) { free(c->list); free(c->text); free(c->index); }
    free(c);
}

int chunks_split(Chunks *c, const uint8_t *text, const uint64_t *ends, size_t n,
                 const uint8_t *classes, int longest) {
    const uint8_t *p = text, *next;
    for (size_t i = 0; i < n; i++) {
        for (const uint8_t *end = text + ends[i]; p < end; p = next) {
            next = chunk_end(p, end, classes, (Split){ .digits = 1 });
            for (; next - p > longest; p += longest)
                if (put(c, p, longest, hash_bytes(p, longest), 1) < 0) return -1;
            if (put(c, p, next - p, hash_bytes(p, next - p), 1) < 0) return -1;
        }
    }
    return 0;
}

int chunks_add(Chunks *c, const Chunks *other) {
    for (const Chunk *from = other->list; from < other->list + other->n; from++)
        if (put(c, other->text + from->offset, from->size, from->hash, from->count) < 0)
            return -1;
    return 0;
}

int chunks_forget(Chunks *c, uint64_t least) {
    size_t n = 0, bytes = 0;
    for (size_t i = 0; i < c->n; i++) {
        Chunk chunk = c->list[i];
        if (chunk.count < least) continue;
        memmove(c->text + bytes, c->text + chunk.offset, chunk.size);
        chunk.offset = bytes;
        bytes += chunk.size;
        c->list[n++] = chunk;
    }
    c->n = n;
    c->bytes = bytes;
    return reindex(c, n);
}

size_t chunks_size(const Chunks *c) { return c->n; }
size_t chunks_bytes(const Chunks *c) { return c->bytes; }

void chunks_read(const Chunks *c, uint8_t *text, uint64_t *ends, uint64_t *counts) {
    if (c->bytes) memcpy(text, c->text, c->bytes);
    for (size_t i = 0; i < c->n; i++) {
        ends[i] = c->list[i].offset + c->list[i].size;
        counts[i] = c->list[i].count;
    }
}

/* ---- Learning -------------------------------------------------------------------------------- */

/* words: all that hold this pair, and perhaps some that did once. */
typedef struct { int left, right; uint64_t count; uint32_t *words, held; } Pair;
typedef struct { uint64_t count; uint32_t pair; } Ranked;

struct Bpe {
    int *tokens;                                 /* of all words, one after the other */
    uint64_t *start, *counts;                    /* word w: length[w] tokens from start[w] on */
    uint32_t *length; size_t words;
    Pair *pairs; size_t n, room;
    uint32_t *index; size_t capacity;            /* as in Chunks */
    Ranked *heap; size_t heaped, heap_room;
    int made;                                    /* merges */
};

static size_t hash_pair(int left, int right) {
    uint64_t hash = ((uint64_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 32;
}

static int reindex_pairs(Bpe *b) {
    size_t capacity = b->capacity ? 2 * b->capacity : 1 << 12;
    uint32_t *index = calloc(capacity, sizeof *index);
    if (!index) return chat_fail("no memory for %zu pairs", capacity / 2);
    for (size_t i = 0; i < b->n; i++) {
        size_t at = hash_pair(b->pairs[i].left, b->pairs[i].right) & (capacity - 1);
        while (index[at]) at = (at + 1) & (capacity - 1);
        index[at] = (uint32_t)i + 1;
    }
    free(b->index);
    b->index = index;
    b->capacity = capacity;
    return 0;
}

/* The pair's place in the list, where it is put if it is new; NULL without memory. */
static Pair *find_pair(Bpe *b, int left, int right) {
    if (2 * b->n >= b->capacity && reindex_pairs(b)) return NULL;
    size_t at = hash_pair(left, right) & (b->capacity - 1);
    for (; b->index[at]; at = (at + 1) & (b->capacity - 1)) {
        Pair *pair = b->pairs + b->index[at] - 1;
        if (pair->left == left && pair->right == right) return pair;
    }
    Pair *pairs = grow(b->pairs, &b->room, b->n + 1, sizeof *pairs);
    if (!pairs) return NULL;
    b->pairs = pairs;
    b->pairs[b->n++] = (Pair){ .left = left, .right = right };
    b->index[at] = (uint32_t)b->n;
    return b->pairs + b->n - 1;
}

/* A word that holds the pair; the list has room for a power of two. */
static int hold(Pair *pair, uint32_t word) {
    if (pair->held && pair->words[pair->held - 1] == word) return 0;
    if (!(pair->held & (pair->held - 1))) {
        size_t bytes = sizeof(uint32_t) * (pair->held ? 2 * (size_t)pair->held : 1);
        uint32_t *wider = realloc(pair->words, bytes);
        if (!wider) return chat_fail("no memory for the %u words of a pair", pair->held);
        pair->words = wider;
    }
    pair->words[pair->held++] = word;
    return 0;
}

/* Adds `count` to each pair of neighbours in t (n), as often as merging would replace it: of equal
   tokens in a row, every second pair. Pairs with a token >= `new` learn that they are in `word`. */
static int count_pairs(Bpe *b, const int *t, int n, uint64_t count, int new, uint32_t word) {
    for (int i = 0; i + 1 < n; i++) {
        int left = t[i], right = t[i + 1];
        Pair *pair = find_pair(b, left, right);
        if (!pair) return -1;
        pair->count += count;
        if ((left >= new || right >= new) && hold(pair, word)) return -1;
        if (left == right && i + 2 < n && t[i + 2] == right) i++;
    }
    return 0;
}

/* The most frequent pair first; among equals the smallest ids. */
static int before(const Bpe *b, Ranked x, Ranked y) {
    const Pair *p = b->pairs + x.pair, *q = b->pairs + y.pair;
    if (x.count != y.count) return x.count > y.count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static void sift_down(Bpe *b) {
    Ranked *heap = b->heap, moved = heap[0];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < b->heaped; i = child) {
        if (child + 1 < b->heaped && before(b, heap[child + 1], heap[child])) child++;
        if (!before(b, heap[child], moved)) break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

/* Ranks the pairs from `first` on. One that does not occur twice now never will: it is left out. */
static int rank_pairs(Bpe *b, size_t first) {
    for (size_t p = first; p < b->n; p++) {
        if (b->pairs[p].count < 2) {
            free(b->pairs[p].words);
            b->pairs[p].words = NULL;
            continue;
        }
        Ranked *heap = grow(b->heap, &b->heap_room, b->heaped + 1, sizeof *heap);
        if (!heap) return -1;
        b->heap = heap;
        Ranked ranked = { b->pairs[p].count, (uint32_t)p };
        size_t i = b->heaped++;
        for (; i && before(b, ranked, heap[(i - 1) / 2]); i = (i - 1) / 2)
            heap[i] = heap[(i - 1) / 2];
        heap[i] = ranked;
    }
    return 0;
}

/* Replaces a pair in one word by `new`. Counts change only near the places where it is: within
   them, their neighbours, and the equal tokens that go on from those. */
static int merge_word(Bpe *b, uint32_t word, int left, int right, int new) {
    int *t = b->tokens + b->start[word], n = (int)b->length[word];
    int from = 0, to = n - 1, out;
    while (from + 1 < n && !(t[from] == left && t[from + 1] == right)) from++;
    if (from + 1 >= n) return 0;
    while (!(t[to - 1] == left && t[to] == right)) to--;
    if (from > 0) from--;
    if (to < n - 1) to++;
    while (from > 0 && t[from - 1] == t[from]) from--;
    while (to < n - 1 && t[to + 1] == t[to]) to++;

    if (count_pairs(b, t + from, to - from + 1, -b->counts[word], INT32_MAX, word)) return -1;
    out = from;
    for (int i = from; i <= to; out++) {
        int found = i < to && t[i] == left && t[i + 1] == right;
        t[out] = found ? new : t[i];
        i += 1 + found;
    }
    memmove(t + out, t + to + 1, sizeof *t * (n - 1 - to));
    b->length[word] = (uint32_t)(n - 1 - to + out);
    return count_pairs(b, t + from, out - from, b->counts[word], new, word);
}

void bpe_free(Bpe *b) {
    if (!b) return;
    for (size_t p = 0; p < b->n; p++) free(b->pairs[p].words);
    free(b->tokens); free(b->start); free(b->counts); free(b->length);
    free(b->pairs); free(b->index); free(b->heap);
    free(b);
}

static int fill(Bpe *b, const uint8_t *text, const uint64_t *ends, const uint64_t *counts) {
    size_t n = b->words, bytes = n ? ends[n - 1] : 0;
    if (n >= UINT32_MAX) return chat_fail("%zu chunks are more than %u", n, UINT32_MAX - 1);
    b->tokens = malloc(sizeof *b->tokens * (bytes + 1));
    b->start = malloc(sizeof *b->start * (n + 1));
    b->counts = malloc(sizeof *b->counts * (n + 1));
    b->length = malloc(sizeof *b->length * (n + 1));
    if (!b->tokens || !b->start || !b->counts || !b->length)
        return chat_fail("no memory for %zu chunks of %zu bytes", n, bytes);
    for (size_t i = 0; i < bytes; i++) b->tokens[i] = text[i];
    for (size_t w = 0, start = 0; w < n; start = ends[w++]) {
        if (ends[w] < start || ends[w] > bytes || ends[w] - start > INT32_MAX)
            return chat_fail("chunk %zu of %zu bytes is from %zu to %zu", w, bytes, start,
                             (size_t)ends[w]);
        b->start[w] = start;
        b->length[w] = (uint32_t)(ends[w] - start);
        b->counts[w] = counts[w];
        if (count_pairs(b, b->tokens + start, b->length[w], counts[w], 0, w)) return -1;
    }
    return rank_pairs(b, 0);
}

int bpe_create(Bpe **out, const uint8_t *text, const uint64_t *ends, const uint64_t *counts,
               size_t n) {
    Bpe *b = *out = calloc(1, sizeof *b);
    if (!b) return chat_fail("no memory to learn merges");
    b->words = n;
    if (!fill(b, text, ends, counts)) return 0;
    bpe_free(b);
    *out = NULL;
    return -1;
}

int bpe_learn(Bpe *b, int *merges, uint64_t *counts, int n) {
    int found = 0;
    while (found < n && b->heaped) {
        Ranked *top = b->heap;
        Pair pair = b->pairs[top->pair];
        if (pair.count != top->count) {          /* it fell since: back with the true count */
            top->count = pair.count;
            sift_down(b);
            continue;
        }
        if (pair.count < 2) break;
        b->pairs[top->pair].words = NULL;        /* they are ours now */
        *top = b->heap[--b->heaped];
        sift_down(b);
        size_t first = b->n;
        int failed = 0;
        for (uint32_t i = 0; i < pair.held && !failed; i++)
            failed = merge_word(b, pair.words[i], pair.left, pair.right, 256 + b->made);
        free(pair.words);
        if (failed || rank_pairs(b, first)) return -1;
        merges[2 * found] = pair.left;
        merges[2 * found + 1] = pair.right;
        counts[found++] = pair.count;
        b->made++;
    }
    return found;
}

/* ---- Joining: what encodes a text ------------------------------------------------------------ */

/* Two neighbours, of which the first begins at `at`; they end at `end`. */
typedef struct { uint64_t rank; uint32_t at, end; } Join;

static int joins_before(Join a, Join b) { return a.rank != b.rank ? a.rank < b.rank : a.at < b.at; }

static void push_join(Join *heap, size_t *n, Join join) {
    size_t i = (*n)++;
    for (; i && joins_before(join, heap[(i - 1) / 2]); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = join;
}

static Join pop_join(Join *heap, size_t *n) {
    const Join top = heap[0], last = heap[--*n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < *n; i = child) {
        if (child + 1 < *n && joins_before(heap[child + 1], heap[child])) child++;
        if (!joins_before(heap[child], last)) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

int bpe_join(uint32_t *ends, const uint8_t *text, size_t n, RankOf *rank_of, const void *ranks) {
    if (n >= UINT32_MAX / 4) return chat_fail("a text of %zu bytes is too long", n);
    Join *heap = malloc(sizeof *heap * (3 * n + 1));
    uint32_t *begins = malloc(sizeof *begins * (n + 1));     /* of the piece that ends there */
    size_t joins = 0, end;
    #define OFFER(from, middle, to) do { \
        const uint64_t rank = rank_of(ranks, text + (from), (middle) - (from), (to) - (from)); \
        if (rank < UINT64_MAX) push_join(heap, &joins, (Join){ rank, from, to }); } while (0)
    for (size_t at = 0, before = 0; heap && begins && at < n; before = at, at = end) {
        for (end = at + 1; end < n && (text[end] & 0xc0) == 0x80; ) ends[end++] = 0;
        ends[at] = end;
        begins[end] = at;
        if (at) OFFER(before, at, end);
    }
    while (heap && begins && joins) {
        const Join join = pop_join(heap, &joins);
        const uint32_t middle = ends[join.at];
        if (!middle || middle >= join.end || ends[middle] != join.end) continue;     /* no longer */
        ends[join.at] = join.end;
        ends[middle] = 0;
        begins[join.end] = join.at;
        if (join.at) OFFER(begins[join.at], join.at, join.end);
        if (join.end < n) OFFER(join.at, join.end, ends[join.end]);
    }
    #undef OFFER
    const int failed = heap && begins ? 0 : chat_fail("no memory for a text of %zu bytes", n);
    free(heap);
    free(begins);
    return failed;
}
