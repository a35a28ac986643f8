/* extend.c: attention with a cache: what attention.c does, for rows that are appended.

   Readers, one for each query head of a row, that want the same keys and values share the way of
   each tile of them into the L1 cache. What a reader finds does not depend on the others, to the
   bit: its tiles begin at its own first key, and each of its sums has one order. */

#include "vectors.h"

enum {
    KT = 64,                         /* keys in a tile */
    DMAX = 256,                      /* the largest head */
    READERS = 16                     /* of a tile */
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

/* out (D) = shrink out + share (n) values (n,D) */
static void weighted_sum(float *out, float shrink, const float *share, const real *values,
                         size_t stride, int n, int D) {
    int d = 0;
    for (; d + 4 * LANES <= D; d += 4 * LANES) {
        vec sum[4];
        for (int s = 0; s < 4; s++) sum[s] = *(vec *)(out + d + s * LANES) * shrink;
        for (int j = 0; j < n; j++)
            for (int s = 0; s < 4; s++)
                sum[s] += share[j] * load_reals(values + j * stride + d + s * LANES);
        for (int s = 0; s < 4; s++) *(vec *)(out + d + s * LANES) = sum[s];
    }
    for (int e = d; e < D; e++) out[e] *= shrink;
    for (int j = 0; j < n; j++)
        for (int e = d; e < D; e++) out[e] += share[j] * to_float(values[j * stride + e]);
}

/* One query head of one row, and what it has found in its keys first..last so far. */
typedef struct {
    const real *query;
    real *out;
    int first, last;
    float most, sum, o[DMAX];
} Reader;

/* Takes in n keys and values, as in online_softmax, but with the lanes over D or over keys, since
   there is one query only. */
static void read_tile(Reader *x, const real *keys, const real *values, size_t stride, int n, int D,
                      float scale, float cap) {
    float score[KT], before = x->most, sums = 0;
    score_row(score, x->query, keys, stride, n, D);
    for (int j = 0; j < n; j++) {
        score[j] *= scale;
        if (cap) score[j] = cap * fast_tanh(score[j] / cap);
        x->most = score[j] > x->most ? score[j] : x->most;
    }
    #pragma omp simd reduction(+:sums)
    for (int j = 0; j < n; j++) {
        score[j] = fast_exp(score[j] - x->most);
        sums += score[j];
    }
    float shrink = before == x->most ? 1.f : fast_exp(before - x->most);
    x->sum = x->sum * shrink + sums;
    weighted_sum(x->o, shrink, score, values, stride, n, D);
}

/* Rows from..to of what is kept, as reals: where they lie, or in `tile`. */
static const real *reals_of(real *tile, const void *kept, size_t stride, int from, int to, int D,
                            int as_halves) {
    const uint16_t *row = kept_at(kept, from * stride, as_halves);
    if (!as_halves) return (const real *)row;
    for (real *out = tile; from < to; from++, row += stride, out += D) {
        int d = 0;
        for (halves x; d + LANES <= D; d += LANES) {
            memcpy(&x, row + d, sizeof x);
            store_reals(out + d, widen_halves(x));
        }
        for (; d < D; d++) out[d] = to_real(half_float(row[d]));
    }
    return tile;
}

/* Readers of one slot and key/value head, whose first and last keys never fall and never rise by
   more than 1 from one reader to the next: each by tiles of its own, from its first key on. */
static void read_all(Reader *x, int count, const void *keys, const void *values, size_t stride,
                     int D, float scale, float cap, int as_halves) {
    real tile[2][(KT + READERS) * DMAX];
    for (int i = 0; i < count; i++) {
        x[i].most = -INFINITY;
        x[i].sum = 0;
        memset(x[i].o, 0, sizeof(float) * D);
    }
    for (int k0 = 0, end; x[count - 1].first + k0 <= x[count - 1].last; k0 += KT) {
        const int from = x[0].first + k0;
        end = min_int(x[count - 1].first + k0 + KT, x[count - 1].last + 1);
        const real *k = reals_of(tile[0], keys, stride, from, end, D, as_halves);
        const real *v = reals_of(tile[1], values, stride, from, end, D, as_halves);
        const size_t step = k == tile[0] ? (size_t)D : stride;
        for (int i = 0; i < count; i++) {
            const int n = min_int(KT, x[i].last + 1 - x[i].first - k0);
            const size_t at = (x[i].first + k0 - from) * step;
            if (n > 0) read_tile(&x[i], k + at, v + at, step, n, D, scale, cap);
        }
    }
    for (int i = 0; i < count; i++)
        for (int d = 0; d < D; d++) x[i].out[d] = to_real(x[i].o[d] / x[i].sum);
}

size_t extend_work(int N, int length, int H, int D) {
    (void)N; (void)length; (void)H; (void)D;
    return 0;                                    /* a row has one owner, who needs little */
}

/* How many rows from n on, at most `most`, follow one another in one slot. */
static int run_of(const int *starts, const int *positions, int n, int N, int most) {
    int count = 1;
    while (count < most && n + count < N && starts[n + count] == starts[n]
           && positions[n + count] == positions[n] + count) count++;
    return count;
}

void attention_extend(real *out, const real *qkv, const void *keys, const void *values,
                      const int *starts, const int *positions, void *nothing,
                      int N, int length, int H, int K, int D, int window, float scale,
                      float cap, int as_halves) {
    (void)nothing; (void)length;
    const int G = H / K;
    size_t work = 0;                             /* of one head: keys times channels */
    for (int n = 0; n < N; n++) work += (size_t)(positions[n] + 1) * D;
    const int team_size = team(0.5 * work * H);
    const int some = min_int(min_int(G, READERS), ceil_div(N * H, team_size));       /* heads */
    const int rows = READERS / some, parts = ceil_div(G, some);
    #pragma omp parallel for collapse(2) schedule(dynamic) num_threads(team_size)
    for (int part = 0; part < K * parts; part++)
        for (int n = 0; n < N; n += rows) {
            const int kv = part / parts, h = kv * G + part % parts * some;
            const int heads = min_int(some, (kv + 1) * G - h);
            Reader x[READERS];
            for (int i = n, run; i < min_int(N, n + rows); i += run) {
                run = run_of(starts, positions, i, N, n + rows - i);
                for (int r = 0; r < run * heads; r++) {
                    const int row = i + r / heads, head = h + r % heads, at = positions[row];
                    x[r].query = qkv + ((size_t)row * (H + 2 * K) + head) * D;
                    x[r].out = out + ((size_t)row * H + head) * D;
                    x[r].first = window ? max_int(0, at - window + 1) : 0;
                    x[r].last = at;
                }
                const size_t slot = ((size_t)starts[i] * K + kv) * D;
                read_all(x, run * heads, kept_at(keys, slot, as_halves),
                         kept_at(values, slot, as_halves), (size_t)K * D, D, scale, cap, as_halves);
            }
        }
}
