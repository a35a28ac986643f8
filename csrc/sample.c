/* sample.c: from logits to a token. Temperature, then top-k, top-p (arXiv:1904.09751) and
   min-p (arXiv:2407.01082), each on what the one before it left, then one draw. */

#include <stdlib.h>
#include "real.h"

/* ---- A heap of tokens, the most likely first, the smaller id first among equals -------------- */

static int before(const float *p, int a, int b) { return p[a] > p[b] || (p[a] == p[b] && a < b); }

static void sift(int *heap, int n, int i, const float *p) {
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(p, heap[child + 1], heap[child])) child++;
        if (!before(p, heap[child], heap[i])) return;
        int t = heap[i]; heap[i] = heap[child]; heap[child] = t;
    }
}

/* Zeroes every p (V) that top-k and top-p leave out. */
static int keep_top(float *p, const Sampling *s, int V) {
    int n = V, kept = 0, k = s->top_k > 0 && s->top_k < V ? s->top_k : V;
    int *heap = malloc(sizeof(int) * V);
    float *top = malloc(sizeof(float) * V);
    int *ids = malloc(sizeof(int) * V);
    if (!heap || !top || !ids) {
        free(heap); free(top); free(ids);
        return chat_fail("no memory to sort %d logits", V);
    }
    double total = 0, sum = 0;
    for (int v = 0; v < V; v++) { heap[v] = v; total += p[v]; }
    for (int i = V / 2 - 1; i >= 0; i--) sift(heap, n, i, p);
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
    free(heap); free(top); free(ids);
    return 0;
}

int check_sampling(const Sampling *s) {
    if (!(s->temperature >= 0 && s->temperature < INFINITY))
        return chat_fail("temperature is %g, but must be 0 or more", s->temperature);
    if (s->top_k < 0) return chat_fail("top_k is %d, but must be 0 (off) or more", s->top_k);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return chat_fail("top_p is %g, but must be over 0 and at most 1 (off)", s->top_p);
    if (!(s->min_p >= 0 && s->min_p <= 1))
        return chat_fail("min_p is %g, but must be from 0 (off) to 1", s->min_p);
    if (!(s->repetition_penalty > 0 && s->repetition_penalty < INFINITY))
        return chat_fail("repetition_penalty is %g, but must be over 0; 1 is off",
                         s->repetition_penalty);
    return 0;
}

static int check(const Sampling *s, const int *history, int n_history,
                 const int *banned, int n_banned, int V) {
    if (V < 1) return chat_fail("%d logits to sample from", V);
    if (check_sampling(s)) return -1;
    for (int i = 0; i < n_history + n_banned; i++) {
        int token = i < n_history ? history[i] : banned[i - n_history];
        if (token < 0 || token >= V)
            return chat_fail("token %d is outside the vocabulary of %d", token, V);
    }
    return 0;
}

int sample(int *token, float *logits, const Sampling *s, const int *history, int n_history,
           const int *banned, int n_banned, unsigned long long position, int V) {
    if (check(s, history, n_history, banned, n_banned, V)) return -1;
    for (int i = 0; i < n_history; i++) {
        float *x = &logits[history[i]];
        *x = *x > 0 ? *x / s->repetition_penalty : *x * s->repetition_penalty;
    }
    for (int i = 0; i < n_banned; i++) logits[banned[i]] = -INFINITY;

    int best = 0;
    for (int v = 0; v < V; v++) {
        if (logits[v] != logits[v]) return chat_fail("the logit of token %d is not a number", v);
        if (logits[v] > logits[best]) best = v;
    }
    float most = logits[best];
    if (!(most > -INFINITY && most < INFINITY))
        return chat_fail("the largest logit is %g: there is no token to draw", most);

    float *p = logits;                           /* from here on: probabilities, times a constant */
    for (int v = 0; v < V; v++)
        p[v] = s->temperature > 0 ? fast_exp((logits[v] - most) / s->temperature) : v == best;
    if ((s->top_k > 0 && s->top_k < V) || s->top_p < 1)
        if (keep_top(p, s, V)) return -1;
    double total = 0, seen = 0;
    for (int v = 0; v < V; v++) {
        if (p[v] < s->min_p) p[v] = 0;           /* the best one's is 1 */
        total += p[v];
    }
    double target = uniform(s->seed, position) * total;
    *token = best;
    for (int v = 0; v < V && seen <= target; v++) {
        if (p[v] > 0) *token = v;
        seen += p[v];
    }
    for (int v = 0; v < V; v++) p[v] = (float)(p[v] / total);
    return 0;
}
