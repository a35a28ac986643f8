/* sample.c: from logits to a token. Temperature, then top-k, top-p (arXiv:1904.09751) and
   min-p (arXiv:2407.01082), each on what the one before it left, then one draw. */

#include <stdlib.h>
#include "vectors.h"

/* ---- A heap of tokens, the most likely first, the smaller id first among equals -------------- */

static int before(const float *p, int a, int b) { return p[a] > p[b] || (p[a] == p[b] && a < b); }

static void sift(int *heap, int n, int i, const float *p) {
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(p, heap[child + 1], heap[child])) child++;
        if (!before(p, heap[child], heap[i])) return;
        int t = heap[i]; heap[i] = heap[child]; heap[child] = t;
    }
}

/* Zeroes every p (V) that top-k and top-p leave out. heap, ids, top (V): memory to work in. */
static void keep_top(float *p, const Sampling *s, int V, int *heap, int *ids, float *top) {
    int n = 0, kept = 0, k = s->top_k > 0 && s->top_k < V ? s->top_k : V;
    double total = 0, sum = 0;
    for (int v = 0; v < V; v++) total += p[v];
    /* All below this have less than top-p leaves out, together: most never reach the heap. */
    const float least = k == V ? (float)((1 - s->top_p) * total / V / 2) : 0;
    for (int v = 0; v < V; v++) { heap[n] = v; n += p[v] >= least; }
    for (int i = n / 2 - 1; i >= 0; i--) sift(heap, n, i, p);
    while (kept < k && n > 0 && p[heap[0]] > 0) {
        ids[kept] = heap[0];
        top[kept] = p[heap[0]];
        sum += top[kept++];
        if (k == V && sum >= s->top_p * total) break;    /* without top-k the mass is known */
        heap[0] = heap[--n];
        sift(heap, n, 0, p);
    }
    memset(p, 0, sizeof(float) * V);
    double mass = k == V ? total : sum, seen = 0;
    for (int i = 0; i < kept && (i == 0 || seen < s->top_p * mass); i++) {
        p[ids[i]] = top[i];
        seen += top[i];
    }
}

/* ---- One row: logits (V) become probabilities, and a token is drawn from them ---------------- */

/* A float's bits as a whole number that is larger where it is, and back: compilers make vectors of
   the largest of whole numbers. */
static int32_t ordered(int32_t bits) { return bits ^ (bits >> 31 & INT32_MAX); }

/* The most likely token; -1 if there is none, or a logit is not a number. */
static int likeliest(const float *logits, int V) {
    int32_t highest = INT32_MIN;
    int best = 0, wrong = 0;
    for (int v = 0; v < V; v++) {
        const int32_t x = ordered((int32_t)float_bits(logits[v]));
        highest = x > highest ? x : highest;
        wrong |= logits[v] != logits[v];
    }
    const float most = bits_float((uint32_t)ordered(highest));
    if (wrong || !(most > -INFINITY && most < INFINITY)) return -1;
    while (logits[best] != most) best++;
    return best;
}

static int draw(float *logprob, float *logits, const Sampling *s, const int *ids,
                const float *biases, int V, int *heap, int *kept, float *top) {
    for (int i = s->seen; i < s->seen + s->n_seen; i++) {
        float *x = &logits[ids[i]];
        *x = *x > 0 ? *x / s->repetition_penalty : *x * s->repetition_penalty;
    }
    for (int i = s->biased; i < s->biased + s->n_biased; i++) logits[ids[i]] += biases[i];
    for (int i = s->banned; i < s->banned + s->n_banned; i++) logits[ids[i]] = -INFINITY;
    const int best = likeliest(logits, V);
    *logprob = NAN;
    if (best < 0) return -1;

    const float most = logits[best];
    float *p = logits;                           /* from here on: probabilities, times a constant */
    for (int v = 0; v < V; v++)
        p[v] = s->temperature > 0 ? fast_exp((logits[v] - most) / s->temperature) : v == best;
    if ((s->top_k > 0 && s->top_k < V) || s->top_p < 1) keep_top(p, s, V, heap, kept, top);
    double total = 0, seen = 0;
    for (int v = 0; v < V; v++) {
        if (p[v] < s->min_p) p[v] = 0;           /* the best one's is 1 */
        total += p[v];
    }
    double target = uniform(s->seed, s->position) * total;
    int token = best;
    for (int v = 0; v < V && seen <= target; v++) {
        if (p[v] > 0) token = v;
        seen += p[v];
    }
    *logprob = (float)log(p[token] / total);
    for (int v = 0; v < V; v++) p[v] = (float)(p[v] / total);
    return token;
}

void sample_rows(int *tokens, float *logprobs, float *logits, const Sampling *settings,
                 const int *ids, const float *biases, int n, int V, int P, int probabilities) {
    (void)probabilities;                         /* they are there in any case */
    #pragma omp parallel num_threads(n > 1 ? team((size_t)n * V) : 1)
    {
        int *heap = malloc((2 * sizeof(int) + sizeof(float)) * V);
        #pragma omp for schedule(dynamic)
        for (int i = 0; i < n; i++) {
            tokens[i] = -1;
            if (heap)
                tokens[i] = draw(&logprobs[i], logits + (size_t)i * P, &settings[i], ids, biases,
                                 V, heap, heap + V, (float *)(heap + 2 * V));
        }
        free(heap);
    }
}
