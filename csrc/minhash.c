/* minhash.c: near-duplicates. What tells them is one number for each band of a document's MinHash
   signature (Broder 1997, doi:10.1109/SEQUEN.1997.666900; with FineWeb's numbers,
   arXiv:2406.17557); what follows is a graph of documents that share one, and its components. */

#include "shared.h"
#include "text.h"

enum {
    HASHES = 8,                      /* in a band */
    SHINGLE = 5,                     /* words */
    BLOCK = 512                      /* words whose hashes are collected: 4 KB, in the L1 cache */
};

/* ---- Signatures ------------------------------------------------------------------------------ */

static const uint64_t STEP = 0x9e3779b97f4a7c15;     /* 2^64 / the golden ratio; odd */

static inline uint64_t hash(const uint64_t *x, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum = sum * STEP + x[i];
    return mix(sum);
}

typedef struct {
    uint64_t minima[BANDS][HASHES], factors[BANDS][HASHES];
    uint64_t words[BLOCK];           /* hashes: those not in a shingle yet, and the 4 before them */
    size_t count, total;             /* how many of them there are; words of the document */
} Signature;

/* Permutation i of the 64-bit numbers is x -> factor * x mod 2^64: the factor is odd. Shingles are
   mixed before, so that the smallest of a set is any of them with equal probability, and random
   factors make one permutation's choice tell nothing of another's. */
static void begin(Signature *s) {
    s->count = s->total = 0;
    for (int b = 0; b < BANDS; b++)
        for (int i = 0; i < HASHES; i++) {
            s->minima[b][i] = UINT64_MAX;
            s->factors[b][i] = mix(STEP * (uint64_t)(b * HASHES + i + 1)) | 1;
        }
}

/* One band's hashes are one vector of AVX-512, two of AVX2: they stay in registers. */
static void lower(Signature *s, const uint64_t *shingles, size_t n) {
    for (int b = 0; b < BANDS; b++) {
        uint64_t factor[HASHES], least[HASHES];
        memcpy(factor, s->factors[b], sizeof factor);
        memcpy(least, s->minima[b], sizeof least);
        for (size_t i = 0; i < n; i++)
            for (int j = 0; j < HASHES; j++) {
                uint64_t x = factor[j] * shingles[i];
                least[j] = x < least[j] ? x : least[j];
            }
        memcpy(s->minima[b], least, sizeof least);
    }
}

/* Takes the shingles of the words that there are, and keeps those that the next ones begin with. */
static void flush(Signature *s) {
    if (s->count < SHINGLE) return;
    uint64_t shingles[BLOCK];
    size_t n = s->count - SHINGLE + 1;
    for (size_t i = 0; i < n; i++) shingles[i] = hash(s->words + i, SHINGLE);
    lower(s, shingles, n);
    s->count = SHINGLE - 1;
    memmove(s->words, s->words + n, sizeof *s->words * s->count);
}

/* Ends a word, if one has begun: its hash was 0 before that. */
static inline void end_word(Signature *s, uint64_t *word) {
    if (!*word) return;
    s->words[s->count++] = mix(*word);
    s->total++;
    *word = 0;
    if (s->count == BLOCK) flush(s);
}

static void end(uint64_t *keys, Signature *s) {
    if (s->total >= SHINGLE) flush(s);
    else {
        uint64_t all = hash(s->words, s->count);
        lower(s, &all, 1);
    }
    for (int b = 0; b < BANDS; b++) keys[b] = hash(s->minima[b], HASHES);
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* The character at *at, which moves behind it. What is no UTF-8 gives some character or other. */
static inline uint32_t next_character(const uint8_t **at, const uint8_t *end) {
    const uint8_t *p = *at;
    if (*p < 0x80) return *(*at)++;
    int size = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
    if (size > end - p) size = (int)(end - p);
    uint32_t c = *p & (0x7f >> size);
    for (int i = 1; i < size; i++) c = c << 6 | (p[i] & 0x3f);
    *at += size;
    return c;
}

void minhash_keys(uint64_t *keys, const uint8_t *text, const uint32_t *letters, size_t n) {
    Signature s;
    begin(&s);
    uint64_t word = 0;
    enum { OUTSIDE, INSIDE, AFTER_POINT } number = OUTSIDE;
    for (const uint8_t *at = text, *stop = text + n; at < stop;) {
        uint32_t c = next_character(&at, stop);
        uint32_t letter = c < LETTERS ? letters[c] : c | LETTER_ALONE;
        if (letter == LETTER_DROPPED) continue;
        if (letter == LETTER_POINT && number == INSIDE) {
            number = AFTER_POINT;                    /* and in the number, if a digit follows */
            continue;
        }
        if (letter == '0') {
            if (number == OUTSIDE) word = (word ^ letter) * STEP;
            number = INSIDE;
            continue;
        }
        if (number == AFTER_POINT) end_word(&s, &word);
        number = OUTSIDE;
        if (letter <= LETTER_POINT || letter & LETTER_ALONE) end_word(&s, &word);
        if (letter > LETTER_POINT) word = (word ^ letter) * STEP;
        if (letter & LETTER_ALONE) end_word(&s, &word);
    }
    end_word(&s, &word);
    end(keys, &s);
}

/* ---- Components ------------------------------------------------------------------------------ */

/* The root of i. Each step halves the way that the next search goes. */
static inline uint32_t find_root(uint32_t *parents, uint32_t i) {
    while (parents[i] != i) i = parents[i] = parents[parents[i]];
    return i;
}

int join_pairs(uint32_t *parents, const uint32_t *pairs, size_t n_pairs, size_t n) {
    for (size_t i = 0; i < n_pairs; i++) {
        uint32_t a = pairs[2 * i], b = pairs[2 * i + 1];
        if (a >= n || b >= n)
            return chat_fail("pair %zu is of documents %u and %u, but there are %zu", i, a, b, n);
        a = find_root(parents, a);
        b = find_root(parents, b);
        if (a < b) parents[b] = a;
        else parents[a] = b;
    }
    return 0;
}

void find_roots(uint32_t *parents, size_t n) {
    for (size_t i = 0; i < n; i++) parents[i] = parents[parents[i]];  /* a parent comes before */
}
