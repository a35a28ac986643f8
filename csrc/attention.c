/* attention.c: softmax(q k^T / sqrt(D)) v without its (T,T) matrix (arXiv:2205.14135).

   Work goes by tiles of QT queries and KT keys. The forward pass walks the keys once and keeps for each
   query the largest score, the sum of exponentials and the output so far. The backward pass recomputes
   the probabilities from lse, twice: once by queries for dq, once by keys for dk and dv, so that every
   gradient has one owner and needs no memory beside its tile. Tiles that the causal mask or `first`
   empties are never visited.

   Products of tiles take units (real.h). Which operand is laid out how follows from its role: a is read
   one number at a time, along k; b in vectors, so its k must be the slow index. */

#include "real.h"

enum {
    QT = 64, KT = 64,                /* queries and keys in a tile */
    DMAX = 256                       /* the largest head: a backward pass takes 400 KB of stack */
};

typedef unit Tile[KT / PAIR * DMAX] __attribute__((aligned(64)));   /* of q, k, v or dout */
typedef float Sums[KT * DMAX] __attribute__((aligned(64)));         /* (rows,P) of out, dq, dk, dv */
typedef float Scores[KT * QT] __attribute__((aligned(64)));
typedef unit Shares[KT / PAIR * QT] __attribute__((aligned(64)));   /* scores, rounded, as operand a */

/* c (m,n) += a (m,k) b (k,n), k in units. a's element (i,k) is a[i * ai + k * ak]; n is a multiple of
   LANES. R rows and S vectors of c at a time stay in registers. */
static inline __attribute__((always_inline))
void product(float *c, int ldc, const unit *a, size_t ai, size_t ak, const unit *b, int ldb, int k,
             int R, int S) {
    enum { MOST = 4 };
    vec sum[MOST][MOST];
    for (int r = 0; r < R; r++)
        for (int s = 0; s < S; s++) sum[r][s] = *(vec *)(c + r * ldc + s * LANES);
    for (int x = 0; x < k; x++)
        for (int r = 0; r < R; r++)
            for (int s = 0; s < S; s++)
                sum[r][s] = multiply_add(sum[r][s], a[r * ai + x * ak],
                                         *(const units *)(b + x * ldb + s * LANES));
    for (int r = 0; r < R; r++)
        for (int s = 0; s < S; s++) *(vec *)(c + r * ldc + s * LANES) = sum[r][s];
}

static void tile_product(float *c, int ldc, const unit *a, size_t ai, size_t ak, const unit *b, int ldb,
                         int m, int n, int k) {
    for (int i = 0; i < m; i += 4)
        for (int j = 0; j < n;) {
            float *to = c + i * ldc + j;
            const unit *row = a + i * ai, *columns = b + j;
            int wide = j + 4 * LANES <= n;
            if (m - i >= 4 && wide) product(to, ldc, row, ai, ak, columns, ldb, k, 4, 4);
            else if (m - i >= 4) product(to, ldc, row, ai, ak, columns, ldb, k, 4, 1);
            else for (int r = 0; r < m - i; r++) {
                if (wide) product(to + r * ldc, ldc, row + r * ai, ai, ak, columns, ldb, k, 1, 4);
                else product(to + r * ldc, ldc, row + r * ai, ai, ak, columns, ldb, k, 1, 1);
            }
            j += wide ? 4 * LANES : LANES;
        }
}

/* ---- Tiles in and out ------------------------------------------------------------------------ */

static int padded(int n) { return ceil_div(n, LANES) * LANES; }

/* Rows of reals as they are, as operand a with k along the row: D and every stride are even. */
static const unit *as_units(const real *x) { return (const unit *)x; }

/* b with k across the rows of x: tile (rows/PAIR,P), columns D..P and a row too many are zero. */
static void load(unit *tile, const real *x, size_t stride, int rows, int D, int P) {
    const real zero = to_real(0);
    for (int r = 0; r < rows; r += PAIR, tile += P) {
        const real *even = x + r * stride, *odd = even + (PAIR - 1) * stride;
        if (r + PAIR <= rows)
            for (int d = 0; d < D; d++) tile[d] = pair(even[d], odd[d]);
        else
            for (int d = 0; d < D; d++) tile[d] = pair(even[d], zero);
        for (int d = D; d < P; d++) tile[d] = pair(zero, zero);
    }
}

/* b with k along the rows of x, which become columns: tile (D/PAIR,width), columns from `rows` on zero. */
static void load_transposed(unit *tile, const real *x, size_t stride, int rows, int D, int width) {
    const real zero = to_real(0);
    for (int d = 0; d < D; d += PAIR, tile += width)
        for (int r = 0; r < width; r++)
            tile[r] = r < rows ? pair(x[r * stride + d], x[r * stride + d + PAIR - 1]) : pair(zero, zero);
}

/* a with k across the rows of x (rows,width): shares (rows/PAIR,width). */
static void load_shares(unit *shares, const float *x, int rows, int width) {
    for (int r = 0; r < rows; r += PAIR, x += PAIR * width, shares += width) {
        const float *odd = x + (PAIR - 1) * width;
        int last = r + PAIR > rows;
        for (int i = 0; i < width; i++)
            shares[i] = pair(to_real(x[i]), to_real(last ? 0.f : odd[i]));
    }
}

/* x = scale * sums (rows,P). */
static void store(real *x, size_t stride, const float *sums, int rows, int D, int P, float scale) {
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < D; d++) x[r * stride + d] = to_real(sums[r * P + d] * scale);
}

/* One sequence and head: where its rows begin and how far apart they are. */
typedef struct {
    const real *q, *k, *v;
    const int *first;                /* (T), or NULL */
    size_t stride;                   /* between tokens of q, k, v */
    int T, D, P;                     /* P: D rounded up to whole vectors */
    float scale;                     /* 1/sqrt(D), of scores */
} Head;

static int first_key(const Head *x, int query) { return x->first ? x->first[query] : 0; }

/* The first tile of keys that any of these queries sees. `first` never falls along a row. */
static int first_tile(const Head *x, int query) { return first_key(x, query) / KT * KT; }

/* ---- Forward --------------------------------------------------------------------------------- */

/* Scores and everything derived from them are transposed, (key, query): queries are the vector lanes,
   and a softmax over keys needs no sum across lanes. */
static void score_keys(float *score, const unit *qt, const Head *x, int q0, int nq, int k0, int nk) {
    memset(score, 0, sizeof(Scores));
    tile_product(score, QT, as_units(x->k + k0 * x->stride), x->stride / PAIR, 1, qt, QT,
                 nk, QT, x->D / PAIR);
    int low[QT];
    for (int i = 0; i < QT; i++) low[i] = i < nq ? first_key(x, q0 + i) : 0;
    for (int j = 0; j < nk; j++)
        for (int i = 0; i < QT; i++) {
            int seen = k0 + j <= q0 + i && k0 + j >= low[i];
            score[j * QT + i] = seen ? score[j * QT + i] * x->scale : -INFINITY;
        }
}

/* most, sum (QT) and out (nq,P) take in the scores of nk more keys, which become probabilities. */
static void online_softmax(float *score, float *most, float *sum, float *out, int nq, int nk, int P) {
    float scale[QT];
    for (int i = 0; i < QT; i++) {
        float m = most[i];
        for (int j = 0; j < nk; j++) m = score[j * QT + i] > m ? score[j * QT + i] : m;
        scale[i] = most[i] == m ? 1.f : fast_exp(most[i] - m);
        most[i] = m;
    }
    for (int i = 0; i < QT; i++) sum[i] *= scale[i];
    for (int j = 0; j < nk; j++)
        for (int i = 0; i < QT; i++) {
            float s = score[j * QT + i];
            float p = s == -INFINITY ? 0.f : fast_exp(s - most[i]);
            score[j * QT + i] = p;
            sum[i] += p;
        }
    for (int i = 0; i < nq; i++)
        for (int d = 0; d < P; d++) out[i * P + d] *= scale[i];
}

static void attend(real *out, size_t out_stride, float *lse, size_t lse_stride, const Head *x, int q0) {
    Tile qt, v;
    Sums o;
    Scores score;
    Shares shares;
    float most[QT], sum[QT];
    int D = x->D, P = x->P, nq = min_int(QT, x->T - q0);
    load_transposed(qt, x->q + q0 * x->stride, x->stride, nq, D, QT);
    memset(o, 0, sizeof(float) * QT * P);
    for (int i = 0; i < QT; i++) { most[i] = -INFINITY; sum[i] = 0; }
    for (int k0 = first_tile(x, q0); k0 < q0 + nq; k0 += KT) {
        int nk = min_int(KT, q0 + nq - k0);
        score_keys(score, qt, x, q0, nq, k0, nk);
        online_softmax(score, most, sum, o, nq, nk, P);
        load_shares(shares, score, nk, QT);
        load(v, x->v + k0 * x->stride, x->stride, nk, D, P);
        tile_product(o, P, shares, 1, QT, v, P, nq, P, ceil_div(nk, PAIR));
    }
    for (int i = 0; i < nq; i++) {
        store(out + (q0 + i) * out_stride, 0, o + i * P, 1, D, P, 1.f / sum[i]);
        lse[(q0 + i) * lse_stride] = most[i] + logf(sum[i]);
    }
}

/* Sequence b, query head h of qkv (B*T,W). */
static Head head(const real *qkv, const int *first, int b, int h, int T, int H, int K, int D) {
    size_t W = (size_t)(H + 2 * K) * D;
    const real *row = qkv + b * T * W;
    int kv = h / (H / K);
    return (Head){ row + h * D, row + (H + kv) * D, row + (H + K + kv) * D,
                   first ? first + (size_t)b * T : NULL, W, T, D, padded(D), 1.f / sqrtf(D) };
}

void attention_forward(real *out, float *lse, const real *qkv, const int *first,
                       int B, int T, int H, int K, int D) {
    #pragma omp parallel for collapse(3) schedule(dynamic)
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int q0 = 0; q0 < T; q0 += QT) {
                Head x = head(qkv, first, b, h, T, H, K, D);
                attend(out + ((size_t)b * T * H + h) * D, (size_t)H * D,
                       lse + (size_t)b * T * H + h, H, &x, q0);
            }
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* With p = exp(s - lse), s = q k / sqrt(D):  dv = p^T dout,  dp = dout v^T,
   ds = p (dp - delta) where delta = sum(dout out) of the query,  dq = ds k,  dk = ds^T q. */
typedef struct {
    const real *dout, *out;          /* this head's, rows out_stride apart */
    const float *lse;
    size_t out_stride, lse_stride;
} Outcome;

static void load_delta(float *delta, float *lse, const Outcome *y, int q0, int nq, int D) {
    for (int i = 0; i < QT; i++) {
        float sum = 0;
        if (i < nq) {
            const real *a = y->dout + (q0 + i) * y->out_stride;
            const real *b = y->out + (q0 + i) * y->out_stride;
            #pragma omp simd reduction(+:sum)
            for (int d = 0; d < D; d++) sum += to_float(a[d]) * to_float(b[d]);
        }
        delta[i] = sum;
        lse[i] = i < nq ? y->lse[(q0 + i) * y->lse_stride] : 0.f;
    }
}

static void attend_dq(real *dq, const Outcome *y, const Head *x, int q0) {
    Tile qt, doutt, k;
    Sums sum;
    Scores p, dp;
    Shares shares;
    float delta[QT], lse[QT];
    int D = x->D, P = x->P, nq = min_int(QT, x->T - q0);
    load_transposed(qt, x->q + q0 * x->stride, x->stride, nq, D, QT);
    load_transposed(doutt, y->dout + q0 * y->out_stride, y->out_stride, nq, D, QT);
    load_delta(delta, lse, y, q0, nq, D);
    memset(sum, 0, sizeof(float) * QT * P);
    for (int k0 = first_tile(x, q0); k0 < q0 + nq; k0 += KT) {
        int nk = min_int(KT, q0 + nq - k0);
        score_keys(p, qt, x, q0, nq, k0, nk);
        memset(dp, 0, sizeof dp);
        tile_product(dp, QT, as_units(x->v + k0 * x->stride), x->stride / PAIR, 1, doutt, QT,
                     nk, QT, D / PAIR);
        for (int j = 0; j < nk; j++)
            for (int i = 0; i < QT; i++)
                dp[j * QT + i] = fast_exp(p[j * QT + i] - lse[i]) * (dp[j * QT + i] - delta[i]);
        load_shares(shares, dp, nk, QT);
        load(k, x->k + k0 * x->stride, x->stride, nk, D, P);
        tile_product(sum, P, shares, 1, QT, k, P, nq, P, ceil_div(nk, PAIR));
    }
    store(dq + q0 * x->stride, x->stride, sum, nq, D, P, x->scale);
}

/* Adds one query head's share of dk and dv (KT,P) of the keys from k0 on. kt, vt: k, v transposed. */
static void attend_dkv(float *dk, float *dv, const unit *kt, const unit *vt, const Outcome *y,
                       const Head *x, int k0, int nk) {
    Tile b;
    Scores p, dp;
    Shares shares;
    float delta[QT], lse[QT];
    int D = x->D, P = x->P;
    for (int q0 = k0; q0 < x->T && first_key(x, q0) < k0 + nk; q0 += QT) {
        int nq = min_int(QT, x->T - q0), steps = ceil_div(nq, PAIR);
        const real *q = x->q + q0 * x->stride, *dout = y->dout + q0 * y->out_stride;
        load_delta(delta, lse, y, q0, nq, D);
        memset(p, 0, sizeof p);
        memset(dp, 0, sizeof dp);
        tile_product(p, KT, as_units(q), x->stride / PAIR, 1, kt, KT, nq, KT, D / PAIR);
        tile_product(dp, KT, as_units(dout), y->out_stride / PAIR, 1, vt, KT, nq, KT, D / PAIR);
        for (int i = 0; i < nq; i++) {
            int low = max_int(0, first_key(x, q0 + i) - k0), high = q0 + i - k0;
            for (int j = 0; j < KT; j++) {
                float e = fast_exp(p[i * KT + j] * x->scale - lse[i]);
                e = j < low || j > high ? 0.f : e;
                p[i * KT + j] = e;
                dp[i * KT + j] = e == 0.f ? 0.f : e * (dp[i * KT + j] - delta[i]);
            }
        }
        load_shares(shares, p, nq, KT);
        load(b, dout, y->out_stride, nq, D, P);
        tile_product(dv, P, shares, 1, KT, b, P, nk, P, steps);
        load_shares(shares, dp, nq, KT);
        load(b, q, x->stride, nq, D, P);
        tile_product(dk, P, shares, 1, KT, b, P, nk, P, steps);
    }
}

void attention_backward(real *dqkv, const real *dout, const real *out, const float *lse,
                        const real *qkv, const int *first, int B, int T, int H, int K, int D) {
    size_t W = (size_t)(H + 2 * K) * D;
    #pragma omp parallel for collapse(3) schedule(dynamic)
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int q0 = 0; q0 < T; q0 += QT) {
                Head x = head(qkv, first, b, h, T, H, K, D);
                size_t at = ((size_t)b * T * H + h) * D;
                Outcome y = { dout + at, out + at, lse + (size_t)b * T * H + h, (size_t)H * D, H };
                attend_dq(dqkv + b * T * W + h * D, &y, &x, q0);
            }
    #pragma omp parallel for collapse(3) schedule(dynamic)
    for (int b = 0; b < B; b++)
        for (int g = 0; g < K; g++)
            for (int k0 = 0; k0 < T; k0 += KT) {
                Tile kt, vt;
                Sums dk, dv;
                int nk = min_int(KT, T - k0);
                Head x = head(qkv, first, b, g * (H / K), T, H, K, D);
                load_transposed(kt, x.k + k0 * W, W, nk, D, KT);
                load_transposed(vt, x.v + k0 * W, W, nk, D, KT);
                memset(dk, 0, sizeof(float) * KT * x.P);
                memset(dv, 0, sizeof(float) * KT * x.P);
                for (int h = g * (H / K); h < (g + 1) * (H / K); h++) {
                    size_t at = ((size_t)b * T * H + h) * D;
                    Outcome y = { dout + at, out + at, lse + (size_t)b * T * H + h, (size_t)H * D, H };
                    x.q = qkv + b * T * W + h * D;
                    attend_dkv(dk, dv, kt, vt, &y, &x, k0, nk);
                }
                real *row = dqkv + ((size_t)b * T + k0) * W + (H + g) * D;
                store(row, W, dk, nk, D, x.P, x.scale);
                store(row + K * D, W, dv, nk, D, x.P, 1);
            }
}

/* ---- With a cache ---------------------------------------------------------------------------- */

void cache_write(real *keys, real *values, const real *qkv, const int *slots, const int *positions,
                 int N, int length, int H, int K, int D) {
    for (int n = 0; n < N; n++) {
        const real *row = qkv + (size_t)n * (H + 2 * K) * D;
        size_t at = ((size_t)slots[n] * length + positions[n]) * K * D;
        memcpy(keys + at, row + H * D, sizeof(real) * K * D);
        memcpy(values + at, row + (H + K) * D, sizeof(real) * K * D);
    }
}

/* One query against keys 0..last: scores of KT keys at a time, as in online_softmax, but with the
   lanes over D, since there is one query only. */
static void attend_row(real *out, const real *query, const real *keys, const real *values,
                       size_t stride, int last, int D) {
    float q[DMAX], o[DMAX] = { 0 }, most = -INFINITY, sum = 0, scale = 1.f / sqrtf(D);
    for (int d = 0; d < D; d++) q[d] = to_float(query[d]) * scale;
    for (int k0 = 0; k0 <= last; k0 += KT) {
        float score[KT], before = most;
        int nk = min_int(KT, last + 1 - k0);
        for (int j = 0; j < nk; j++) {
            const real *k = keys + (k0 + j) * stride;
            float dot = 0;
            #pragma omp simd reduction(+:dot)
            for (int d = 0; d < D; d++) dot += q[d] * to_float(k[d]);
            score[j] = dot;
            most = dot > most ? dot : most;
        }
        float shrink = before == most ? 1.f : fast_exp(before - most);
        sum *= shrink;
        for (int d = 0; d < D; d++) o[d] *= shrink;
        for (int j = 0; j < nk; j++) {
            const real *v = values + (k0 + j) * stride;
            float p = fast_exp(score[j] - most);
            sum += p;
            for (int d = 0; d < D; d++) o[d] += p * to_float(v[d]);
        }
    }
    for (int d = 0; d < D; d++) out[d] = to_real(o[d] / sum);
}

void attention_extend(real *out, const real *qkv, const real *keys, const real *values,
                      const int *slots, const int *positions,
                      int N, int length, int H, int K, int D) {
    size_t work = 0;                             /* of one head: keys times channels */
    for (int n = 0; n < N; n++) work += (size_t)(positions[n] + 1) * D;
    #pragma omp parallel for collapse(2) schedule(dynamic) if (work * H > 2 * SMALL)
    for (int h = 0; h < H; h++)
        for (int n = 0; n < N; n++) {
            size_t at = (size_t)slots[n] * length * K * D + h / (H / K) * D;
            attend_row(out + ((size_t)n * H + h) * D, qkv + ((size_t)n * (H + 2 * K) + h) * D,
                       keys + at, values + at, (size_t)K * D, positions[n], D);
        }
}
