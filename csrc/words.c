/* words.c: words of documents as numbers, and how often they repeat: for crawl/filters.py. */
#include <limits.h>
#include <stdlib.h>
#include "shared.h"
#include "text.h"

/* The hash of a string is a number in base BASE, modulo a prime: that of "ab" is
   hash(a) * BASE^length(b) + hash(b). Among a million strings two that differ have the same with a
   chance of 10^-6 or so. */
#define PRIME ((1ull << 61) - 1)
#define BASE 0x1b873593cc9e2d51ull

/* a * b + c modulo PRIME; each is below it. */
static uint64_t times_plus(uint64_t a, uint64_t b, uint64_t c) {
    unsigned __int128 x = (unsigned __int128)a * b + c;
    uint64_t sum = (uint64_t)(x & PRIME) + (uint64_t)(x >> 61);
    return sum < PRIME ? sum : sum - PRIME;
}

static uint64_t append(uint64_t hash, uint32_t letter) {
    return times_plus(hash, BASE, (uint64_t)letter + 1);     /* 0 is a letter too */
}

void hash_lines(uint64_t *hashes, const uint8_t *text, size_t bytes) {
    uint64_t hash = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n') {
            *hashes++ = hash;
            hash = 0;
        } else {
            hash = append(hash, text[i]);
        }
    }
}

typedef struct {
    const int *lengths;              /* (words) in letters */
    int words;
    uint64_t *hash, *power;          /* (words) of each word, BASE to the power of its length */
    uint64_t *gram;                  /* (words) of the n-gram that begins with it */
    int *seen;                       /* (mask + 1) a hash table: where n-grams occurred first, -1 */
    int *count;                      /* (words) how often, at that place */
    size_t mask;
} Grams;

/* Makes 1-grams; `spaced`: with a blank after each word. */
static void load(Grams *g, const uint32_t *letters, int spaced) {
    for (int i = 0; i < g->words; i++) {
        uint64_t hash = 0, power = 1;
        for (int k = 0; k < g->lengths[i]; k++) {
            hash = append(hash, *letters++);
            power = times_plus(power, BASE, 0);
        }
        g->gram[i] = g->hash[i] = spaced ? append(hash, ' ') : hash;
        g->power[i] = spaced ? times_plus(power, BASE, 0) : power;
    }
}

/* Makes n-grams of the (n-1)-grams, and forgets which were seen. Returns how many there are. */
static int grow(Grams *g, int n) {
    for (int i = 0; i + n <= g->words; i++)
        g->gram[i] = times_plus(g->gram[i], g->power[i + n - 1], g->hash[i + n - 1]);
    memset(g->seen, -1, (g->mask + 1) * sizeof *g->seen);
    return g->words < n ? 0 : g->words - n + 1;
}

/* The place in the table of the n-gram that begins at i. */
static int *find(const Grams *g, int i) {
    size_t slot = (size_t)(g->gram[i] * 0x9e3779b97f4a7c15ull >> 32) & g->mask;
    while (g->seen[slot] >= 0 && g->gram[g->seen[slot]] != g->gram[i])
        slot = (slot + 1) & g->mask;
    return &g->seen[slot];
}

static uint64_t length(const Grams *g, int i, int n) {
    uint64_t sum = 0;
    for (int k = i; k < i + n; k++)
        sum += (uint64_t)g->lengths[k];
    return sum;
}

static uint64_t most_frequent(const Grams *g, int n, int grams) {
    memset(g->count, 0, (size_t)grams * sizeof *g->count);
    for (int i = 0; i < grams; i++) {
        int *first = find(g, i);
        if (*first < 0)
            *first = i;
        g->count[*first]++;
    }
    int best = 0;
    for (int i = 1; i < grams; i++)
        if (g->count[i] > g->count[best])
            best = i;
    return grams ? (length(g, best, n) + (uint64_t)n - 1) * (uint64_t)g->count[best] : 0;
}

static uint64_t seen_before(const Grams *g, int n, int grams) {
    uint64_t sum = 0;
    for (int i = 0; i < grams;) {
        int *first = find(g, i);
        if (*first < 0) {
            *first = i++;
        } else {
            sum += length(g, i, n);
            i += n;
        }
    }
    return sum;
}

int repeated_ngrams(uint64_t *top, uint64_t *again, const uint32_t *letters, const int *lengths,
                    int words) {
    if (words < 0 || words > INT_MAX / 2)
        return chat_fail("a document cannot have %d words, only 0 to %d", words, INT_MAX / 2);
    size_t n_words = (size_t)words, slots = 2;
    while (slots < 2 * n_words)
        slots *= 2;
    char *memory = malloc(n_words * (3 * sizeof(uint64_t) + sizeof(int)) + slots * sizeof(int));
    if (!memory)
        return chat_fail("no memory to count the n-grams of %d words", words);
    uint64_t *hash = (uint64_t *)memory;
    int *count = (int *)(hash + 3 * n_words);
    Grams g = {lengths, words, hash, hash + n_words, hash + 2 * n_words, count + n_words, count,
               slots - 1};
    for (int spaced = 1; spaced >= 0; spaced--) {
        load(&g, letters, spaced);
        for (int n = 2; n <= (spaced ? 4 : 10); n++) {
            int grams = grow(&g, n);
            if (spaced)
                top[n - 2] = most_frequent(&g, n, grams);
            else if (n >= 5)
                again[n - 5] = seen_before(&g, n, grams);
        }
    }
    free(memory);
    return 0;
}
