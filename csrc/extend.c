/* extend.c: attention with a cache: what attention.c does, for rows that are appended.

   Readers, one for each query head of a row, that want the same keys and values share the way of
   each tile of them into the L1 cache. What a reader finds does not depend on the others, to the
   bit: its tiles begin at its own first key, and each of its sums has one order. */

#include "vectors.h"

enum {
    DMAX = 256,                      /* the largest head */
    TILE = 16 * DMAX, KT = 64,       /* numbers in a tile: half of a small L1 cache; keys at most */
    READERS = 16,                    /* of a tile */
    AHEAD = 32,                      /* rows that memory is asked for before they are read */
    SPAN = 512,                      /* keys that are read in one go, and then merged */
    FEW = 4                          /* rows whose spans several threads read */
};

/* Where number i of those that are kept, as halves or reals, lies. */
static const void *kept_at(const void *kept, size_t i, int as_halves) {
    return (const char *)kept + i * (as_halves ? sizeof(uint16_t) : sizeof(real));
}

static void keep(void *kept, size_t at, const real *x, int n, int as_halves) {
    if (!as_halves) memcpy((real *)kept + at, x, n * sizeof(real));
    else for (int i = 0; i < n; i++) ((uint16_t *)kept)[at + i] = to_half(to_float(x[i]));
}

void cache_write(void *keys, void *values, const real *qkv, const int *starts,
                 const int *positions, int N, int H, int K, int D, int as_halves) {
    for (int n = 0; n < N; n++) {
        const real *row = qkv + (size_t)n * (H + 2 * K) * D;
        size_t at = ((size_t)starts[n] + positions[n]) * K * D;
        keep(keys, at, row + H * D, K * D, as_halves);
        keep(values, at, row + (H + K) * D, K * D, as_halves);
    }
}

/* score (n) = the query times n rows of keys, LANES of them at a time; it has room for whole
   vectors. */
static void score_row(float *score, const real *query, const real *keys, size_t stride, int n,
                      int D) {
    for (int j = 0; j < n; j += LANES) {
        const real *row[LANES];
        vec sums[LANES], total = { 0 };
        for (int i = 0; i < LANES; i++) {
            row[i] = keys + min_int(j + i, n - 1) * stride;
            sums[i] = (vec){ 0 };
        }
        int d = 0;
        for (; d + PAIR * LANES <= D; d += PAIR * LANES)
            for (int i = 0; i < LANES; i++)
                sums[i] = multiply_add_each(sums[i], *(const units *)(query + d),
                                            *(const units *)(row[i] + d));
        for (; d < D; d++)
            for (int i = 0; i < LANES; i++) total[i] += to_float(query[d]) * to_float(row[i][d]);
        transpose((units *)sums);
        for (int i = 0; i < LANES; i++) total += sums[i];
        *(vec *)(score + j) = total;
    }
}

/* S vectors of out = shrink out + share (n) values (n,S * LANES): they stay in registers. */
static inline __attribute__((always_inline))
void weighted_columns(float *out, float shrink, const float *share, const real *values,
                      size_t stride, int n, int S) {
    enum { MOST = 8 };
    vec sum[MOST];
    for (int s = 0; s < S; s++) sum[s] = *(vec *)(out + s * LANES) * shrink;
    for (int j = 0; j < n; j++)
        for (int s = 0; s < S; s++)
            sum[s] += share[j] * load_reals(values + j * stride + s * LANES);
    for (int s = 0; s < S; s++) *(vec *)(out + s * LANES) = sum[s];
}

/* out (D) = shrink out + share (n) values (n,D) */
static void weighted_sum(float *out, float shrink, const float *share, const real *values,
                         size_t stride, int n, int D) {
    int d = 0;
    for (; d + 8 * LANES <= D; d += 8 * LANES)
        weighted_columns(out + d, shrink, share, values + d, stride, n, 8);
    for (; d + 2 * LANES <= D; d += 2 * LANES)
        weighted_columns(out + d, shrink, share, values + d, stride, n, 2);
    for (int e = d; e < D; e++) out[e] *= shrink;
    for (int j = 0; j < n; j++)
        for (int e = d; e < D; e++) out[e] += share[j] * to_float(values[j * stride + e]);
}

/* What has been found in some keys: the largest score, the sum of exponentials and of values. */
typedef struct { float most, sum, o[DMAX]; } Found;

static void find_nothing(Found *x, int D) {
    x->most = -INFINITY;
    x->sum = 0;
    memset(x->o, 0, sizeof(float) * D);
}

/* x takes in what was found in further keys, if there were any. */
static void merge(Found *x, const Found *more, int D) {
    if (more->most == -INFINITY) return;
    const float most = more->most > x->most ? more->most : x->most;
    const float keeps = fast_exp(x->most - most), adds = fast_exp(more->most - most);
    x->most = most;
    x->sum = keeps * x->sum + adds * more->sum;
    for (int d = 0; d < D; d++) x->o[d] = keeps * x->o[d] + adds * more->o[d];
}

static void finish(real *out, const Found *x, int D) {
    for (int d = 0; d < D; d++) out[d] = to_real(x->o[d] / x->sum);
}

/* What attention_extend was given. */
typedef struct {
    const real *qkv;
    const void *keys, *values;
    const int *starts, *positions;
    int H, K, D, window, as_halves;
    float scale, cap;
} Args;

/* One query head of one row, whose keys are first..last, and what it finds in a span of them. */
typedef struct {
    const real *query;
    int first, last;
    Found here;
} Reader;

/* Takes in the scores of n keys, which become probabilities, as online_softmax does, but with the
   lanes over keys, since there is one query only; returns by what earlier sums shrink. */
static float take_scores(Reader *x, float *score, const real *keys, size_t stride, int n,
                         const Args *a) {
    const float before = x->here.most;
    float most = before, sums = 0;
    score_row(score, x->query, keys, stride, n, a->D);
    const int all = ceil_div(n, LANES) * LANES;  /* the last key's score fills the last vector */
    for (int j = 0; j < all; j++) score[j] *= a->scale;
    for (int j = 0; a->cap && j < all; j++) score[j] = a->cap * fast_tanh(score[j] / a->cap);
    vec largest = *(vec *)score;
    for (int j = LANES; j < all; j += LANES) {
        const vec next = *(vec *)(score + j);
        const lanes more = (lanes)(next > largest);
        largest = (vec)((more & (lanes)next) | (~more & (lanes)largest));
    }
    for (int i = 0; i < LANES; i++) most = largest[i] > most ? largest[i] : most;
    #pragma omp simd reduction(+:sums)
    for (int j = 0; j < n; j++) {
        score[j] = fast_exp(score[j] - most);
        sums += score[j];
    }
    const float shrink = before == most ? 1.f : fast_exp(before - most);
    x->here.most = most;
    x->here.sum = x->here.sum * shrink + sums;
    return shrink;
}

/* Rows from..to of what is kept, as reals: where they lie, or in `tile`. */
static const real *reals_of(real *tile, const void *kept, size_t stride, int from, int to, int D,
                            int as_halves) {
    const uint16_t *row = kept_at(kept, from * stride, as_halves);
    if (!as_halves) return (const real *)row;
    for (real *out = tile; from < to; from++, row += stride, out += D) {
        int d = 0;
        for (int e = 0; e < D; e += 32) __builtin_prefetch(row + AHEAD * stride + e);
        for (halves x; d + LANES <= D; d += LANES) {
            memcpy(&x, row + d, sizeof x);
            store_reals(out + d, widen_halves(x));
        }
        for (; d < D; d++) out[d] = to_real(half_float(row[d]));
    }
    return tile;
}

static int tile_keys(int D) { return min_int(KT, TILE / D / 16 * 16); }

/* What readers of one slot and key/value head, whose first and last keys never fall and never rise
   by more than 1 from one reader to the next, find in a span of SPAN keys: each by tiles of its
   own, from its own first key on. */
static void read_span(Reader *x, int count, int span, size_t slot, const Args *a) {
    real tile[TILE + READERS * DMAX];
    float score[READERS][KT], shrink[READERS];
    const int D = a->D, step = tile_keys(D), last = x[count - 1].last;
    const size_t stride = (size_t)a->K * D;
    const void *keys = kept_at(a->keys, slot, a->as_halves);
    const void *values = kept_at(a->values, slot, a->as_halves);
    for (int i = 0; i < count; i++) find_nothing(&x[i].here, D);
    for (int k0 = span * SPAN; k0 < (span + 1) * SPAN; k0 += step) {
        const int from = x[0].first + k0, end = min_int(x[count - 1].first + k0 + step, last + 1);
        if (x[count - 1].first + k0 > last) break;
        const real *k = reals_of(tile, keys, stride, from, end, D, a->as_halves);
        const size_t row = k == tile ? (size_t)D : stride;
        for (int i = 0; i < count; i++) {
            const int n = min_int(step, x[i].last + 1 - x[i].first - k0);
            if (n > 0) shrink[i] = take_scores(&x[i], score[i], k + (x[i].first + k0 - from) * row,
                                               row, n, a);
        }
        const real *v = reals_of(tile, values, stride, from, end, D, a->as_halves);
        for (int i = 0; i < count; i++) {
            const int n = min_int(step, x[i].last + 1 - x[i].first - k0);
            if (n > 0) weighted_sum(x[i].here.o, shrink[i], score[i],
                                    v + (x[i].first + k0 - from) * row, row, n, D);
        }
    }
}

/* all (rows * heads) = what `heads` query heads from h on, of rows from n on in one slot, find in
   one span of their keys or, if that is -1, in every one. */
static void read_rows(Found *all, int n, int rows, int h, int heads, int span, const Args *a) {
    const int D = a->D, count = rows * heads, kv = h / (a->H / a->K);
    Reader x[READERS];
    for (int r = 0; r < count; r++) {
        const int row = n + r / heads, at = a->positions[row];
        x[r].query = a->qkv + ((size_t)row * (a->H + 2 * a->K) + h + r % heads) * D;
        x[r].first = a->window ? max_int(0, at - a->window + 1) : 0;
        x[r].last = at;
        find_nothing(&all[r], D);
    }
    const int spans = ceil_div(x[count - 1].last - x[count - 1].first + 1, SPAN);
    for (int s = span < 0 ? 0 : span; s < (span < 0 ? spans : span + 1); s++) {
        read_span(x, count, s, ((size_t)a->starts[n] * a->K + kv) * D, a);
        for (int r = 0; r < count; r++) merge(&all[r], &x[r].here, D);
    }
}

/* How many rows from n on, at most `most`, follow one another in one slot. */
static int run_of(const int *starts, const int *positions, int n, int N, int most) {
    int count = 1;
    while (count < most && n + count < N && starts[n + count] == starts[n]
           && positions[n + count] == positions[n] + count) count++;
    return count;
}

/* The most spans that a row has. */
static int most_spans(const int *positions, int N, int window) {
    int most = 0;
    for (int n = 0; n < N; n++) most = max_int(most, positions[n] + 1);
    return ceil_div(window ? min_int(window, most) : most, SPAN);
}

size_t extend_work(int N, int length, int H, int D) {
    (void)D;
    return (size_t)min_int(N, FEW) * H * ceil_div(length, SPAN) * sizeof(Found);
}

/* Of few rows each span is a piece of work, else all of a group of rows is. */
void attention_extend(real *out, const real *qkv, const void *keys, const void *values,
                      const int *starts, const int *positions, void *work,
                      int N, int length, int H, int K, int D, int window, float scale,
                      float cap, int as_halves) {
    (void)length;
    const Args a = { qkv, keys, values, starts, positions, H, K, D, window, as_halves, scale, cap };
    const int G = H / K, pieces = N <= FEW ? most_spans(positions, N, window) : 1;
    size_t cost = 0;                             /* of one head: keys times channels */
    for (int n = 0; n < N; n++) cost += (size_t)(positions[n] + 1) * D;
    const int team_size = team(0.5 * cost * H);
    const int some = min_int(min_int(G, READERS), ceil_div(N * H * pieces, team_size));  /* heads */
    const int rows = READERS / some, parts = ceil_div(G, some);
    Found *found = work;                         /* (N,H,pieces) */
    #pragma omp parallel for collapse(3) schedule(dynamic) num_threads(team_size)
    for (int part = 0; part < K * parts; part++)
        for (int n = 0; n < N; n += rows)
            for (int piece = 0; piece < pieces; piece++) {
                const int kv = part / parts, h = kv * G + part % parts * some;
                const int heads = min_int(some, (kv + 1) * G - h);
                for (int i = n, run; i < min_int(N, n + rows); i += run) {
                    Found all[READERS];
                    run = run_of(starts, positions, i, N, n + rows - i);
                    read_rows(all, i, run, h, heads, pieces > 1 ? piece : -1, &a);
                    for (int r = 0; r < run * heads; r++) {
                        const size_t at = (size_t)(i + r / heads) * H + h + r % heads;
                        if (pieces > 1) found[at * pieces + piece] = all[r];
                        else finish(out + at * D, &all[r], D);
                    }
                }
            }
    if (pieces == 1) return;
    for (int at = 0; at < N * H; at++) {
        Found *x = found + (size_t)at * pieces;
        for (int piece = 1; piece < pieces; piece++) merge(x, x + piece, D);
        finish(out + (size_t)at * D, x, D);
    }
}
