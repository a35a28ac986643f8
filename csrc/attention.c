/* attention.c: softmax(scale q k^T) v without its (T,T) matrix (arXiv:2205.14135).

   Work goes by tiles of QT queries and KT keys. The forward pass walks the keys of a tile of
   queries and keeps for each query the largest score, the sum of exponentials and the output so
   far. The backward pass recomputes the probabilities from lse and walks, for a tile of keys, the
   queries that see it: dk and dv stay with the tile, dq grows in scratch memory. All of a key/value
   head has one owner, so every sum has one order. Tiles that the causal mask or `doc_start` empties
   are never visited, and of those on the diagonal little more than the lower half is computed.

   Scores and everything derived from them are transposed, (key, query): queries are the vector
   lanes, and a softmax over keys needs no sum across lanes.

   Products of tiles take units (real.h). Which operand is laid out how follows from its role: a is
   read one number at a time, along k; b in vectors, so its k must be the slow index. */

#include "vectors.h"

enum {
    QT = 64, KT = 64,                /* queries and keys in a tile */
    DMAX = 256,                      /* the largest head */
    WIDE = LANES == 8 ? 2 : 4        /* 4 x WIDE vectors of sums fit the registers */
};

typedef unit Tile[KT / PAIR * DMAX] __attribute__((aligned(64)));   /* of q, k, v or dout */
typedef float Sums[KT * DMAX] __attribute__((aligned(64)));         /* (rows,P): out, dq, dk, dv */
typedef float Scores[KT * QT] __attribute__((aligned(64)));
typedef unit Shares[KT / PAIR * QT] __attribute__((aligned(64)));   /* rounded scores, operand a */

/* c (m,n) += a (m,k) b (k,n), k in units. a's element (i,k) is a[i * ai + k * ak]; n is a multiple
   of LANES. R rows and S vectors of c at a time stay in registers. */
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

/* What of a tile on the diagonal is needed: c(i,j) for j >= i only (the rest stays as it is or
   not); or of the sum over k only what is not zero in a, which are k <= i, or k >= i. */
typedef enum { WHOLE, C_FROM_ROW, K_TO_ROW, K_FROM_ROW } Part;

static void tile_product(float *c, int ldc, const unit *a, size_t ai, size_t ak, const unit *b,
                         int ldb, int m, int n, int k, Part part) {
    for (int i = 0; i < m; i += 4) {
        int j = part == C_FROM_ROW ? i / LANES * LANES : 0;
        int from = part == K_FROM_ROW ? i / PAIR : 0;
        int steps = (part == K_TO_ROW ? min_int(k, ceil_div(i + 4, PAIR)) : k) - from;
        const unit *row = a + i * ai + from * ak;
        for (int S; j < n; j += S * LANES) {
            float *to = c + i * ldc + j;
            const unit *columns = b + (size_t)from * ldb + j;
            S = n - j >= WIDE * LANES ? WIDE : n - j >= 2 * LANES ? 2 : 1;
            for (int r = 0, R = m - i >= 4 ? 4 : 1; r < min_int(4, m - i); r += R) {
                float *rows = to + r * ldc;
                const unit *of = row + r * ai;
                if (R == 4 && S == 4)
                    product(rows, ldc, of, ai, ak, columns, ldb, steps, 4, 4);
                else if (R == 4 && S == 2)
                    product(rows, ldc, of, ai, ak, columns, ldb, steps, 4, 2);
                else if (R == 4)
                    product(rows, ldc, of, ai, ak, columns, ldb, steps, 4, 1);
                else if (S == 4)
                    product(rows, ldc, of, ai, ak, columns, ldb, steps, 1, 4);
                else if (S == 2)
                    product(rows, ldc, of, ai, ak, columns, ldb, steps, 1, 2);
                else
                    product(rows, ldc, of, ai, ak, columns, ldb, steps, 1, 1);
            }
        }
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
        int both = r + PAIR <= rows, d = 0;
        for (; both && d + LANES <= D; d += LANES)
            *(units *)(tile + d) = pair_rows(even + d, odd + d);
        for (; d < D; d++) tile[d] = pair(even[d], both ? odd[d] : zero);
        for (; d < P; d++) tile[d] = pair(zero, zero);
    }
}

/* b with k along the rows of x, which become columns: tile (D/PAIR,width), zero from `rows` on. */
static void load_transposed(unit *tile, const real *x, size_t stride, int rows, int D, int width) {
    const real zero = to_real(0);
    for (int r = 0; r < width; r += LANES) {
        const real *row = x + r * stride;
        int d = 0;
        for (; r + LANES <= rows && d + PAIR * LANES <= D; d += PAIR * LANES) {
            units v[LANES];
            for (int i = 0; i < LANES; i++) v[i] = *(const units *)(row + i * stride + d);
            transpose(v);
            for (int i = 0; i < LANES; i++) *(units *)(tile + (d / PAIR + i) * width + r) = v[i];
        }
        for (; d < D; d += PAIR)
            for (int i = 0; i < LANES; i++) {
                const real *pair_of = row + i * stride + d;
                tile[d / PAIR * width + r + i] = r + i < rows ? pair(pair_of[0], pair_of[PAIR - 1])
                                                              : pair(zero, zero);
            }
    }
}

/* a with k across the rows of x (rows,width): shares (rows/PAIR,width). */
static void load_shares(unit *shares, const float *x, int rows, int width) {
    for (int r = 0; r < rows; r += PAIR, x += PAIR * width, shares += width) {
        int odd = r + PAIR <= rows;
        for (int i = 0; i < width; i += LANES) {
            vec second = odd ? *(const vec *)(x + (PAIR - 1) * width + i) : (vec){ 0 };
            *(units *)(shares + i) = pair_floats(*(const vec *)(x + i), second);
        }
    }
}

/* a with k along the rows of x (rows,width): the same numbers, rounded. */
static void load_rows(real *out, const float *x, int rows, int width) {
    for (int i = 0; i < rows * width; i += LANES) store_reals(out + i, *(const vec *)(x + i));
}

/* x = scale * sums (rows,P). */
static void store(real *x, size_t stride, const float *sums, int rows, int D, int P, float scale) {
    for (int r = 0; r < rows; r++)
        for (int d = 0; d < D; d++) x[r * stride + d] = to_real(sums[r * P + d] * scale);
}

/* One sequence and head: where its rows begin and how far apart they are. */
typedef struct {
    const real *q, *k, *v;
    const int *doc_start;            /* (T), or NULL */
    size_t stride;                   /* between tokens of q, k, v */
    int T, D, P;                     /* P: D rounded up to whole vectors */
    int window;                      /* 0: all keys */
    float scale, cap;                /* of scores; cap 0: none */
    float factor;                    /* what score_keys leaves, in scores: scale, or 1 if capped */
} Head;

/* Sequence b, query head h of qkv (B*T,W). */
static Head head(const real *qkv, const int *doc_start, int b, int h, int T, int H, int K, int D,
                 int window, float scale, float cap) {
    size_t W = (size_t)(H + 2 * K) * D;
    const real *row = qkv + b * T * W;
    int kv = h / (H / K);
    return (Head){ row + h * D, row + (H + kv) * D, row + (H + K + kv) * D,
                   doc_start ? doc_start + (size_t)b * T : NULL, W, T, D, padded(D), window,
                   scale, cap, cap ? 1.f : scale };
}

/* Neither `doc_start` nor this ever falls along a row. */
static int first_key(const Head *x, int query) {
    return max_int(x->doc_start ? x->doc_start[query] : 0, x->window ? query - x->window + 1 : 0);
}

/* The first tile of keys that this query or a later one sees. */
static int first_tile(const Head *x, int query) { return first_key(x, query) / KT * KT; }

/* ---- Naive: what the rest of this file must agree with --------------------------------------- */

static double dot_of(const real *a, const real *b, int D) {
    double sum = 0;
    for (int d = 0; d < D; d++) sum += (double)to_float(a[d]) * to_float(b[d]);
    return sum;
}

static double score_of(const Head *x, const real *q, const real *k) {
    double score = dot_of(q, k, x->D) * x->scale;
    return x->cap ? x->cap * tanh(score / x->cap) : score;
}

/* The log of the sum of exp(score) over the keys that query t sees. */
static double log_sum(const Head *x, int t) {
    const real *q = x->q + t * x->stride;
    double most = -INFINITY, sum = 0;
    for (int j = first_key(x, t); j <= t; j++)
        most = fmax(most, score_of(x, q, x->k + j * x->stride));
    for (int j = first_key(x, t); j <= t; j++)
        sum += exp(score_of(x, q, x->k + j * x->stride) - most);
    return most + log(sum);
}

void attention_naive(float *out, float *lse, const real *qkv, const int *doc_start,
                     int B, int T, int H, int K, int D, int window, float scale, float cap) {
    memset(out, 0, sizeof(float) * B * T * H * D);
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int t = 0; t < T; t++) {
                const Head x = head(qkv, doc_start, b, h, T, H, K, D, window, scale, cap);
                const real *q = x.q + t * x.stride;
                const size_t row = ((size_t)b * T + t) * H + h;
                const double sum = log_sum(&x, t);
                for (int j = first_key(&x, t); j <= t; j++) {
                    const real *k = x.k + j * x.stride, *v = x.v + j * x.stride;
                    double p = exp(score_of(&x, q, k) - sum);
                    for (int d = 0; d < D; d++) out[row * D + d] += p * to_float(v[d]);
                }
                lse[row] = (float)sum;
            }
}

/* delta of query t: the sum over its keys of p dp, which is dout out. */
static double delta_of(const Head *x, const real *dout, int t, double sum) {
    double delta = 0;
    for (int j = first_key(x, t); j <= t; j++) {
        double s = score_of(x, x->q + t * x->stride, x->k + j * x->stride);
        delta += exp(s - sum) * dot_of(dout, x->v + j * x->stride, x->D);
    }
    return delta;
}

void attention_naive_backward(float *dqkv, const real *dout, const real *qkv, const int *doc_start,
                              int B, int T, int H, int K, int D, int window, float scale,
                              float cap) {
    memset(dqkv, 0, sizeof(float) * B * T * (H + 2 * K) * D);
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int t = 0; t < T; t++) {
                const Head x = head(qkv, doc_start, b, h, T, H, K, D, window, scale, cap);
                const real *q = x.q + t * x.stride, *d = dout + (((size_t)b * T + t) * H + h) * D;
                const double sum = log_sum(&x, t), delta = delta_of(&x, d, t, sum);
                float *dq = dqkv + (q - qkv);
                for (int j = first_key(&x, t); j <= t; j++) {
                    const real *k = x.k + j * x.stride, *v = x.v + j * x.stride;
                    float *dk = dqkv + (k - qkv), *dv = dqkv + (v - qkv);
                    double score = score_of(&x, q, k), p = exp(score - sum);
                    double ds = p * (dot_of(d, v, D) - delta) * x.scale;
                    if (cap) ds *= 1 - score / cap * (score / cap);
                    for (int i = 0; i < D; i++) {
                        dq[i] += ds * to_float(k[i]);
                        dk[i] += ds * to_float(q[i]);
                        dv[i] += p * to_float(d[i]);
                    }
                }
            }
}

/* ---- Forward --------------------------------------------------------------------------------- */

/* score (KT,QT) = k q^T of nk keys and nq queries, -infinity where a query does not see a key. */
static void score_keys(float *score, const unit *qt, const Head *x,
                       int q0, int nq, int k0, int nk) {
    memset(score, 0, sizeof(float) * nk * QT);
    tile_product(score, QT, as_units(x->k + k0 * x->stride), x->stride / PAIR, 1, qt, QT,
                 nk, QT, x->D / PAIR, k0 == q0 ? C_FROM_ROW : WHOLE);
    for (int i = 0; x->cap && i < nk * QT; i++)
        score[i] = x->cap * fast_tanh(score[i] * (x->scale / x->cap));
    if (k0 + nk <= q0 + 1 && first_key(x, q0 + nq - 1) <= k0) return;    /* all of it is seen */
    int low[QT];
    for (int i = 0; i < QT; i++) low[i] = i < nq ? first_key(x, q0 + i) : 0;
    for (int j = 0; j < nk; j++)
        for (int i = 0; i < QT; i++) {
            int seen = k0 + j <= q0 + i && k0 + j >= low[i];
            score[j * QT + i] = seen ? score[j * QT + i] : -INFINITY;
        }
}

/* most, sum (QT) and out (nq,P) take in the scores of nk more keys, which become probabilities. */
static void online_softmax(float *score, float *most, float *sum, float *out, int nq, int nk, int P,
                           float scale) {
    float shrink[QT];
    for (int i = 0; i < QT; i++) {
        float m = most[i];
        for (int j = 0; j < nk; j++) m = score[j * QT + i] > m ? score[j * QT + i] : m;
        shrink[i] = most[i] == m ? 1.f : fast_exp((most[i] - m) * scale);
        most[i] = m;
    }
    for (int i = 0; i < QT; i++) sum[i] *= shrink[i];
    for (int j = 0; j < nk; j++)
        for (int i = 0; i < QT; i++) {
            float s = score[j * QT + i];
            float p = s == -INFINITY ? 0.f : fast_exp((s - most[i]) * scale);
            score[j * QT + i] = p;
            sum[i] += p;
        }
    for (int i = 0; i < nq; i++)
        for (int d = 0; d < P; d++) out[i * P + d] *= shrink[i];
}

static void attend(real *out, size_t out_stride, float *lse, size_t lse_stride,
                   const Head *x, int q0) {
    Tile qt, v;
    Sums o;
    union { Scores scores; Shares shares; } p;   /* one becomes the other where it lies */
    float most[QT], sum[QT];
    int D = x->D, P = x->P, nq = min_int(QT, x->T - q0);
    load_transposed(qt, x->q + q0 * x->stride, x->stride, nq, D, QT);
    memset(o, 0, sizeof(float) * QT * P);
    for (int i = 0; i < QT; i++) { most[i] = -INFINITY; sum[i] = 0; }
    for (int k0 = first_tile(x, q0); k0 < q0 + nq; k0 += KT) {
        int nk = min_int(KT, q0 + nq - k0);
        score_keys(p.scores, qt, x, q0, nq, k0, nk);
        online_softmax(p.scores, most, sum, o, nq, nk, P, x->factor);
        load_shares(p.shares, p.scores, nk, QT);
        load(v, x->v + k0 * x->stride, x->stride, nk, D, P);
        tile_product(o, P, p.shares, 1, QT, v, P, nq, P, ceil_div(nk, PAIR),
                     k0 == q0 ? K_TO_ROW : WHOLE);
    }
    for (int i = 0; i < nq; i++) {
        store(out + (q0 + i) * out_stride, 0, o + i * P, 1, D, P, 1.f / sum[i]);
        lse[(q0 + i) * lse_stride] = most[i] * x->factor + logf(sum[i]);
    }
}

void attention_forward(real *out, float *lse, const real *qkv, const int *doc_start,
                       int B, int T, int H, int K, int D, int window, float scale, float cap) {
    #pragma omp parallel for collapse(3) schedule(dynamic) \
            num_threads(team(0.25 * B * H * T * T * D))
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int q0 = 0; q0 < T; q0 += QT) {
                Head x = head(qkv, doc_start, b, h, T, H, K, D, window, scale, cap);
                attend(out + ((size_t)b * T * H + h) * D, (size_t)H * D,
                       lse + (size_t)b * T * H + h, H, &x, q0);
            }
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* With p = exp(s - lse), s = scale q k:  dv = p^T dout,  dp = dout v^T,
   ds = p (dp - delta) where delta = sum(dout out) of the query,  dq = ds k,  dk = ds^T q. */

/* What the backward pass of one query head has beside its Head. */
typedef struct {
    const real *dout;                /* this head's rows, dout_stride apart */
    size_t dout_stride;
    float *dq, *delta, *lse;         /* (T,P) sums, (T), (T): scratch */
} Outcome;

/* delta and lse of all queries, side by side; dq begins as zeros. */
static void prepare(const Outcome *y, const real *out, const float *lse, const Head *x, int H) {
    memset(y->dq, 0, sizeof(float) * x->T * x->P);
    for (int t = 0; t < x->T; t++) {
        const real *a = y->dout + t * y->dout_stride, *b = out + t * y->dout_stride;
        float sum = 0;
        #pragma omp simd reduction(+:sum)
        for (int d = 0; d < x->D; d++) sum += to_float(a[d]) * to_float(b[d]);
        y->delta[t] = sum;
        y->lse[t] = lse[(size_t)t * H];
    }
}

/* Scores (nk,QT) become probabilities p, and dp becomes ds. Beyond the last query both are 0. */
static void differentiate(float *p, float *dp, const Outcome *y, const Head *x,
                          int q0, int nq, int nk) {
    const float factor = x->factor, cap = x->cap;
    float delta[QT] = { 0 }, lse[QT];
    for (int i = 0; i < QT; i++) lse[i] = INFINITY;
    memcpy(delta, y->delta + q0, sizeof(float) * nq);
    memcpy(lse, y->lse + q0, sizeof(float) * nq);
    for (int j = 0; j < nk; j++)
        for (int i = 0; i < QT; i++) {
            float s = p[j * QT + i], e = fast_exp(s * factor - lse[i]);
            p[j * QT + i] = e;
            dp[j * QT + i] = e * (dp[j * QT + i] - delta[i]);
            if (cap) dp[j * QT + i] *= s == -INFINITY ? 0 : 1 - s / cap * (s / cap);
        }
}

/* What one thread works on: too much for the stack of a thread that may have 256 KB of it. */
typedef struct {
    Tile k, b;                       /* keys, or queries and dout, as operand b */
    Sums dk, dv;
    Scores p, dp;
    Shares shares;
    real rows[KT * QT] __attribute__((aligned(64)));
} Scratch;

/* Adds the share of nq queries to s->dk, s->dv (KT,P) of nk keys, which are also in s->k, and the
   share of these keys to y->dq. */
static void attend_backward(Scratch *s, const Outcome *y, const Head *x, int q0, int k0, int nk) {
    int D = x->D, P = x->P, nq = min_int(QT, x->T - q0), steps = ceil_div(nq, PAIR);
    int diagonal = q0 == k0;
    const real *q = x->q + q0 * x->stride, *dout = y->dout + q0 * y->dout_stride;

    load_transposed(s->b, q, x->stride, nq, D, QT);
    score_keys(s->p, s->b, x, q0, nq, k0, nk);
    load_transposed(s->b, dout, y->dout_stride, nq, D, QT);
    memset(s->dp, 0, sizeof(float) * nk * QT);
    tile_product(s->dp, QT, as_units(x->v + k0 * x->stride), x->stride / PAIR, 1, s->b, QT,
                 nk, QT, D / PAIR, diagonal ? C_FROM_ROW : WHOLE);
    differentiate(s->p, s->dp, y, x, q0, nq, nk);

    load_rows(s->rows, s->p, nk, QT);
    load(s->b, dout, y->dout_stride, nq, D, P);
    tile_product(s->dv, P, as_units(s->rows), QT / PAIR, 1, s->b, P, nk, P, steps,
                 diagonal ? K_FROM_ROW : WHOLE);
    load_rows(s->rows, s->dp, nk, QT);
    load(s->b, q, x->stride, nq, D, P);
    tile_product(s->dk, P, as_units(s->rows), QT / PAIR, 1, s->b, P, nk, P, steps,
                 diagonal ? K_FROM_ROW : WHOLE);
    load_shares(s->shares, s->dp, nk, QT);
    tile_product(y->dq + (size_t)q0 * P, P, s->shares, 1, QT, s->k, P, nq, P, ceil_div(nk, PAIR),
                 diagonal ? K_TO_ROW : WHOLE);
}

/* The scratch of one query head: dq, delta, lse. */
static size_t head_scratch(int T, int D) { return (size_t)T * (padded(D) + 2); }

/* A Scratch each for as many threads as there are, from the next cache line on; then the heads'. */
size_t attention_work(int B, int T, int H, int D) {
    return 64 + sizeof(Scratch) * most_threads() + sizeof(float) * B * H * head_scratch(T, D);
}

void attention_backward(real *dqkv, const real *dout, const real *out, const float *lse,
                        const real *qkv, const int *doc_start, void *work,
                        int B, int T, int H, int K, int D, int window, float scale, float cap) {
    const int G = H / K;                         /* query heads that share a key/value head */
    const size_t W = (size_t)(H + 2 * K) * D;
    Scratch *scratch = (Scratch *)(((uintptr_t)work + 63) / 64 * 64);
    float *heads = (float *)(scratch + most_threads());
    #pragma omp parallel for collapse(2) schedule(dynamic) \
            num_threads(min_int(most_threads(), team(0.25 * B * H * T * T * D)))
    for (int b = 0; b < B; b++)
        for (int g = 0; g < K; g++) {
            Scratch *s = scratch + this_thread();
            Head x = head(qkv, doc_start, b, g * G, T, H, K, D, window, scale, cap);
            real *drow = dqkv + b * T * W;
            Outcome y = { .dout_stride = (size_t)H * D };
            for (int k0 = 0; k0 < T; k0 += KT) {
                int nk = min_int(KT, T - k0);
                load(s->k, x.k + k0 * W, W, nk, D, x.P);
                memset(s->dk, 0, sizeof(float) * KT * x.P);
                memset(s->dv, 0, sizeof(float) * KT * x.P);
                for (int h = g * G; h < (g + 1) * G; h++) {
                    size_t at = ((size_t)b * T * H + h) * D;
                    x.q = qkv + b * T * W + h * D;
                    y.dout = dout + at;
                    y.dq = heads + ((size_t)b * H + h) * head_scratch(T, D);
                    y.delta = y.dq + (size_t)T * x.P;
                    y.lse = y.delta + T;
                    if (k0 == 0) prepare(&y, out + at, lse + (size_t)b * T * H + h, &x, H);
                    for (int q0 = k0; q0 < T && first_key(&x, q0) < k0 + nk; q0 += QT)
                        attend_backward(s, &y, &x, q0, k0, nk);
                    if (k0 + KT >= T) store(drow + h * D, W, y.dq, T, D, x.P, x.scale);
                }
                real *row = drow + k0 * W + (H + g) * D;
                store(row, W, s->dk, nk, D, x.P, x.scale);
                store(row + K * D, W, s->dv, nk, D, x.P, 1);
            }
        }
}
