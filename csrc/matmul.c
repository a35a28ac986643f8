/* matmul.c: linear layers, C = A B^T, near the speed of the machine.

   The naive loop is matmul_naive below. The fast one computes the same sums in the same order of k;
   it only moves data so that the multiplier never waits:

   1. Packing. A's rows are cut into panels of MR rows, B's into panels of NR, and each panel is
      laid out k by k: for each k its MR (NR) numbers lie side by side. Short panels and odd k are
      filled with zeros, so that no later loop has a special case. Of A, which is read a number at a
      time, rows that are whole stay where they are.
   2. The micro-kernel (`tile`) multiplies a panel of A with a panel of B: an MR x NR tile of C
      stays in registers while k runs; each step loads B's NR numbers and broadcasts MR of A.
   3. Blocks of KC steps of k keep a panel of A in the L1 cache and blocks of B and C in L2.

   What the multiplier takes of one row in one step is a unit (real.h): a float, or a pair of
   bfloat16 at k and k+1. Each element of C has one owner and one order of summation, whatever M, N
   and the number of threads are. */

#include "vectors.h"

enum {
    MR = LANES == 16 ? 14 : LANES == 8 ? 6 : 8,  /* MR x NV sums, B and a spare fit the registers */
    NV = 2,
    NR = NV * LANES,
    KC = 256,                    /* units: a panel of A, MR * KC * 4 = 14 KB, stays in L1 */
    MB = 8,                      /* panels of A in a block */
    NB = 8,                      /* panels of B, NR * NB * KC * 4 = 262 KB, and C's 115 KB fit L2 */
    CACHED = 1 << 20,            /* bytes that are still in a cache when they are packed and read */
    AHEAD = 1024                 /* units: how early b is asked for, where it comes from memory */
};

void matmul_naive(float *c, const real *a, const real *b, int M, int N, int K) {
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            float sum = 0;
            for (int k = 0; k < K; k++)
                sum += to_float(a[(size_t)m * K + k]) * to_float(b[(size_t)n * K + k]);
            c[(size_t)m * N + n] = sum;
        }
}

/* ---- Packing --------------------------------------------------------------------------------- */

/* Where an operand's element (row, k) lies: data[row * row_stride + k * k_stride]. */
typedef struct {
    const real *data;
    int rows, K;
    size_t row_stride, k_stride;
} Operand;

static size_t packed_units(int rows, int K, int R) {
    return (size_t)ceil_div(rows, R) * R * ceil_div(K, PAIR);
}

/* Steps from..to of the panel of R rows that begins at `row`. The two fast ways move whole vectors;
   where R is no multiple of LANES a vector spills into the next step, which is written after it, so
   they leave the panel's last step to the slow way: any stride, zeros for what is not there. */
static inline __attribute__((always_inline))
void pack_steps(unit *panel, const Operand *x, int row, int R, int from, int to) {
    const real *data = x->data + row * x->row_stride, zero = to_real(0);
    int rows = x->rows - row, last = ceil_div(x->K, PAIR) - 1, end = min_int(to, last), k = from;
    if (x->k_stride == 1 && rows >= R)           /* vectors along k: LANES of them are transposed */
        for (; k + LANES <= end; k += LANES)
            for (int g = (R - 1) / LANES * LANES; g >= 0; g -= LANES) {
                units v[LANES];
                for (int i = 0; i < LANES; i++)
                    memcpy(&v[i], data + min_int(g + i, R - 1) * x->row_stride + k * PAIR,
                           sizeof v[i]);
                transpose(v);
                for (int i = 0; i < LANES; i++) memcpy(panel + (k + i) * R + g, &v[i], sizeof v[i]);
            }
    else if (x->row_stride == 1 && rows >= ceil_div(R, LANES) * LANES)   /* vectors along rows */
        for (; k < end; k++)
            for (int g = (R - 1) / LANES * LANES; g >= 0; g -= LANES) {
                const real *even = data + (size_t)k * PAIR * x->k_stride + g;
                units v = pair_rows(even, even + (PAIR - 1) * x->k_stride);
                memcpy(panel + k * R + g, &v, sizeof v);
            }
    for (; k < to; k++)
        for (int i = 0; i < R; i++) {
            const real *even = data + i * x->row_stride + (size_t)k * PAIR * x->k_stride;
            int odd = (k + 1) * PAIR <= x->K;
            panel[k * R + i] = i < rows ? pair(*even, odd ? even[(PAIR - 1) * x->k_stride] : zero)
                                        : pair(zero, zero);
        }
}

/* Panels are packed side by side a few steps at a time where their rows are, so that a cache line
   which two of them share is read once. */
static inline __attribute__((always_inline))
void pack_panels(unit *out, const Operand x, int R) {
    int panels = ceil_div(x.rows, R), steps = ceil_div(x.K, PAIR);
    int chunk = x.k_stride == 1 ? steps : 16, group = max_int(1, min_int(8, panels / 8));
    #pragma omp parallel for schedule(static) num_threads(team((size_t)x.rows * x.K))
    for (int p = 0; p < panels; p += group)
        for (int k = 0; k < steps; k += chunk)
            for (int i = p; i < min_int(p + group, panels); i++)
                pack_steps(out + (size_t)i * R * steps, &x, i * R, R, k, min_int(k + chunk, steps));
}

/* Few rows, as in decoding, need not pay for MR: the last panel of A is as narrow as can be. */
static int width(int rows) {
    return rows <= 1 ? 1 : rows <= 2 ? 2 : rows <= 4 ? 4 : rows <= 8 && MR > 8 ? 8 : MR;
}

/* A in panels: those of MR rows begin at `whole`, `panel` units apart. Their rows are `stride`
   units apart, or packed where it is 0. A last one of fewer rows is packed. */
typedef struct {
    const unit *whole, *last;
    size_t panel, stride;
} Panels;

/* Whether rows can be read in place: along k, in whole units, and not as far apart as to share a
   set of the L1 cache, which holds fewer than MR lines. */
static int in_place(const Operand *a) {
    return a->k_stride == 1 && a->K % PAIR == 0 && a->row_stride % PAIR == 0
        && a->row_stride * sizeof(real) % 4096;
}

static Panels pack_a(unit *out, Operand a) {
    int rest = a.rows % MR, full = a.rows - rest, steps = ceil_div(a.K, PAIR);
    size_t stride = a.row_stride / PAIR;
    Panels to = { (const unit *)a.data, out, MR * stride, stride };
    if (!in_place(&a)) {
        to = (Panels){ out, out + (size_t)full * steps, (size_t)MR * steps, 0 };
        if (full) pack_panels(out, (Operand){ a.data, full, a.K, a.row_stride, a.k_stride }, MR);
    }
    if (rest) pack_steps((unit *)to.last, &a, full, width(rest), 0, steps);
    return to;
}

static void pack_b(unit *out, Operand b) { pack_panels(out, b, NR); }

/* ---- The micro-kernel ------------------------------------------------------------------------ */

/* c (rows,NR) += a (rows,steps) b (steps,NR), or = where it is the `first` part of the sum; a's
   element (i,k) is a[i * ai + k * ak]. With few rows it is b's way from memory that takes the time,
   and asking for it early shortens that. */
static inline __attribute__((always_inline))
void tile_rows(float *c, const unit *a, size_t ai, size_t ak, const unit *b, int steps, int first,
               int rows) {
    vec sum[MR][NV];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NV; j++)
            sum[i][j] = first ? (vec){ 0 } : *(const vec *)(c + i * NR + j * LANES);
    for (int k = 0; k < steps; k++, a += ak, b += NR) {
        units column[NV];
        for (int j = 0; j < NV; j++) {
            column[j] = *(const units *)(b + j * LANES);
            __builtin_prefetch(b + AHEAD + j * LANES);
        }
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < NV; j++) sum[i][j] = multiply_add(sum[i][j], a[i * ai], column[j]);
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NV; j++) *(vec *)(c + i * NR + j * LANES) = sum[i][j];
}

/* rows is a width; a is packed, or has rows `stride` units apart. The compiler is told which. */
static void tile(float *c, const unit *a, size_t stride, const unit *b, int steps, int first,
                 int rows) {
    if (stride) tile_rows(c, a, stride, 1, b, steps, first, MR);
    else if (rows == 1) tile_rows(c, a, 1, 1, b, steps, first, 1);
    else if (rows == 2) tile_rows(c, a, 1, 2, b, steps, first, 2);
    else if (rows == 4) tile_rows(c, a, 1, 4, b, steps, first, 4);
    else if (rows == 8 && MR > 8) tile_rows(c, a, 1, 8, b, steps, first, 8);
    else tile_rows(c, a, 1, MR, b, steps, first, MR);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* Where the product goes: `out` =, `wide` =, or `sum` +=; one of them is set. */
typedef struct {
    real *out;
    float *wide, *sum;
    const real *bias, *residual;
    int row, symmetric;              /* that of the first of A; see multiply */
} Result;

/* The first n of LANES numbers; the others are 0. */
static inline vec load_some(const real *x, int n) {
    real some[LANES];
    if (n == LANES) return load_reals(x);
    memset(some, 0, sizeof some);
    memcpy(some, x, n * sizeof(real));
    return load_reals(some);
}

static inline vec load_floats(const float *x, int n) {
    vec some = { 0 };
    if (n == LANES) return *(const vec *)x;
    memcpy(&some, x, n * sizeof(float));
    return some;
}

static inline void store_some(real *out, vec x, int n) {
    real some[LANES];
    if (n == LANES) { store_reals(out, x); return; }
    store_reals(some, x);
    memcpy(out, some, n * sizeof(real));
}

static inline void store_floats(float *out, vec x, int n) {
    if (n == LANES) *(vec *)out = x;
    else memcpy(out, &x, n * sizeof(float));
}

/* Rows and columns of C from (m, n) on: adds bias and residual, rounds, writes. */
static void write_tile(const Result *to, const float *c,
                       int m, int n, int rows, int columns, int N) {
    for (int i = 0; i < rows; i++, c += NR)
        for (int j = 0; j < columns; j += LANES) {
            size_t at = (size_t)(to->row + m + i) * N + n + j;
            int some = min_int(LANES, columns - j);
            vec x = *(const vec *)(c + j);
            if (to->bias) x += load_some(to->bias + n + j, some);
            if (to->residual) x += load_some(to->residual + at, some);
            if (to->sum) store_floats(to->sum + at, load_floats(to->sum + at, some) + x, some);
            else if (to->wide) store_floats(to->wide + at, x, some);
            else store_some(to->out + at, x, some);
        }
}

/* Brings the lines that write_tile will touch into the cache while the tile is computed. (GCC drops
   calls of a function that only prefetches.) */
static inline __attribute__((always_inline))
void expect_tile(const Result *to, int m, int n, int rows, int N) {
    for (int i = 0; i < rows; i++) {
        size_t at = (size_t)(to->row + m + i) * N + n;
        if (to->residual) __builtin_prefetch(to->residual + at);
        if (to->out) { __builtin_prefetch(to->out + at, 1); continue; }
        const float *line = (to->sum ? to->sum : to->wide) + at;
        for (int j = 0; j < NR; j += 16) __builtin_prefetch(line + j, 1);
    }
}

/* One block of C: up to MB panels of A from panel p, up to NB panels of B from panel q. */
static void block(const Result *to, const Panels *a, const unit *b,
                  int M, int N, int steps, int p, int p_end, int q, int q_end) {
    float c[MB * NB][MR * NR] __attribute__((aligned(64)));
    int ni = p_end - p, nj = q_end - q, few = ni < MB / 2;
    int most = few ? steps : KC;                 /* few rows: b is streamed from memory, once */
    for (int k = 0; k < steps; k += most) {
        int kc = min_int(most, steps - k), last = k + kc == steps;
        for (int t = 0; t < ni * nj; t++) {
            int i = p + (few ? t % ni : t / nj), j = q + (few ? t / ni : t % nj);
            float *sums = c[(i - p) * NB + j - q];
            int m = i * MR, n = j * NR, rows = min_int(MR, M - m), R = width(rows);
            size_t stride = rows == MR ? a->stride : 0;
            const unit *panel = rows == MR ? a->whole + i * a->panel : a->last;
            if (last) expect_tile(to, m, n, rows, N);
            tile(sums, panel + (size_t)k * (stride ? 1 : R), stride,
                 b + ((size_t)j * steps + k) * NR, kc, k == 0, R);
            if (last) write_tile(to, sums, m, n, rows, min_int(NR, N - n), N);
        }
    }
}

/* to (M,N) from a (M,K) and packed b (N,K). Of what is symmetric only blocks that reach below the
   diagonal are computed. */
static void multiply(const Result to, const Panels a, const unit *b, int M, int N, int K) {
    int steps = ceil_div(K, PAIR), a_panels = ceil_div(M, MR), b_panels = ceil_div(N, NR);
    int nb = NB;                                 /* smaller blocks where there are few of them */
    while (nb > 1 && ceil_div(a_panels, MB) * ceil_div(b_panels, nb) < 32) nb /= 2;
    #pragma omp parallel for collapse(2) schedule(dynamic) num_threads(team(M / 16.0 * N * K))
    for (int q = 0; q < b_panels; q += nb)
        for (int p = 0; p < a_panels; p += MB)
            if (!to.symmetric || q * NR < (p + MB) * MR)
                block(&to, &a, b, M, N, steps,
                      p, min_int(p + MB, a_panels), q, min_int(q + nb, b_panels));
}

/* ---- Linear layers --------------------------------------------------------------------------- */

size_t linear_packed_size(int C, int O) { return packed_units(O, C, NR) * PAIR; }

/* Rows of K numbers that are packed and multiplied before the next are: whole blocks of them, not
   few, for all of B is read again. */
static int rows_at_once(int K) {
    const int block = MR * MB, few = 5;
    return max_int(few, CACHED / (int)sizeof(real) / K / block) * block;
}

/* The same for a gradient of weights, which sums over the rows. It is read and written for each
   part of them: where that costs more than packed rows which leave the cache, they are one part. */
static int rows_to_sum(int N, int C, int O) {
    int some = CACHED / (int)sizeof(real) / (O + C) / 64 * 64;
    return (double)some * (O + C) > (double)O * C ? min_int(N, some) : N;
}

size_t linear_work(int N, int C, int O, int backward) {
    int some = rows_to_sum(N, C, O);
    size_t forward = packed_units(min_int(N, rows_at_once(C)), C, MR);
    if (!backward) return sizeof(unit) * forward;
    size_t inputs = packed_units(min_int(N, rows_at_once(O)), O, MR) + packed_units(C, O, NR);
    size_t weights = packed_units(O, some, MR) + packed_units(C, some, NR);
    size_t most = forward > inputs ? forward : inputs;
    return sizeof(unit) * (most > weights ? most : weights);
}

static void pack_row(unit *packed, const real *row, int r, int C) {
    int steps = ceil_div(C, PAIR);
    unit *column = packed + (size_t)(r / NR * NR) * steps + r % NR;
    for (int k = 0; k < steps; k++)
        column[k * NR] = pair(row[k * PAIR],
                              (k + 1) * PAIR <= C ? row[k * PAIR + PAIR - 1] : to_real(0));
}

/* Whole panels at once; a panel that has other rows too, row by row. */
void linear_pack(real *packed, const real *weight, int from, int rows, int C, int O) {
    unit *out = (unit *)packed;
    int to = from + rows, begin = ceil_div(from, NR) * NR, end = to == O ? O : to / NR * NR;
    if (begin < end)
        pack_b(out + (size_t)begin * ceil_div(C, PAIR),
               (Operand){ weight + (size_t)(begin - from) * C, end - begin, C, C, 1 });
    for (int r = from; r < to; r++)
        if (r < begin || r >= end) pack_row(out, weight + (size_t)(r - from) * C, r, C);
}

/* A row's units lie NR apart in its panel. */
void embed_packed(real *out, const int *tokens, const int *positions, const real *packed,
                  const real *wpe, int N, int C, int O) {
    (void)O;
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++) {
        const int r = tokens[n], steps = ceil_div(C, PAIR);
        const unit *column = (const unit *)packed + (size_t)(r / NR * NR) * steps + r % NR;
        const real *p = wpe ? wpe + (size_t)positions[n] * C : NULL;
        real *o = out + (size_t)n * C;
        for (int k = 0; k < steps; k++)
            memcpy(o + k * PAIR, &column[(size_t)k * NR],
                   sizeof(real) * min_int(PAIR, C - k * PAIR));
        for (int c = 0; p && c < C; c++) o[c] = to_real(to_float(o[c]) + to_float(p[c]));
    }
}

/* The panels of weight^T (C,O) out of those of weight (O,C): in each pair of them lies a block of
   NR x NR numbers, which is transposed. */
static void turn_panels(unit *turned, const real *packed, int C, int O) {
    const int steps = ceil_div(C, PAIR), turned_steps = ceil_div(O, PAIR);
    #pragma omp parallel for collapse(2) schedule(static) num_threads(team((size_t)C * O))
    for (int p = 0; p < ceil_div(C, NR); p++)
        for (int q = 0; q < ceil_div(O, NR); q++) {
            const real *from = packed + ((size_t)q * steps * NR + p * NR / PAIR * NR) * PAIR;
            real *to = (real *)(turned + (size_t)p * turned_steps * NR + q * NR / PAIR * NR);
            const int columns = min_int(NR, steps * PAIR - p * NR);
            for (int o = 0; o < min_int(NR, turned_steps * PAIR - q * NR); o++, from += PAIR)
                for (int c = 0; c < NR; c++)
                    to[(o / PAIR * NR + c) * PAIR + o % PAIR] =
                        c < columns ? from[c / PAIR * NR * PAIR + c % PAIR] : to_real(0);
        }
}

/* to (M,N) = a (M,K) times packed b (N,K). */
static void multiply_rows(Result to, Operand a, const unit *b, unit *work, int N) {
    for (int M = a.rows; to.row < M; to.row += a.rows, a.data += a.rows * a.row_stride) {
        a.rows = in_place(&a) ? M : min_int(rows_at_once(a.K), M - to.row);
        multiply(to, pack_a(work, a), b, a.rows, N, a.K);
    }
}

void linear_forward(real *out, real *pre, const real *inp, const real *packed, const real *bias,
                    const real *residual, void *work, int N, int C, int O) {
    multiply_rows((Result){ .out = pre ? pre : out, .bias = bias, .residual = residual },
                  (Operand){ inp, N, C, C, 1 }, (const unit *)packed, work, O);
    if (pre) gelu_forward(out, pre, (size_t)N * O);
}

void linear_forward_float(float *out, const real *inp, const real *packed, void *work,
                          int N, int C, int O) {
    multiply_rows((Result){ .wide = out }, (Operand){ inp, N, C, C, 1 }, (const unit *)packed,
                  work, O);
}

void linear_backward(real *dinp, float *dweight, float *dbias, const real *dout, const real *inp,
                     const real *weight, const real *packed, const real *pre, const real *residual,
                     void *work, int N, int C, int O) {
    unit *b = work;
    if (dinp) {                                  /* dout (N,O) times weight^T (C,O)^T */
        if (weight) pack_b(b, (Operand){ weight, C, O, 1, C });
        else turn_panels(b, packed, C, O);
        multiply_rows((Result){ .out = dinp, .residual = residual }, (Operand){ dout, N, O, O, 1 },
                      b, b + packed_units(C, O, NR), C);
        if (pre) gelu_backward(dinp, dinp, pre, (size_t)N * C);
    }
    for (int n = 0, some; dweight && n < N; n += some) {     /* dout^T (O,N) times inp^T (C,N)^T */
        some = min_int(rows_to_sum(N, C, O), N - n);
        unit *a = b + packed_units(C, some, NR);
        pack_b(b, (Operand){ inp + (size_t)n * C, C, some, 1, C });
        multiply((Result){ .sum = dweight },
                 pack_a(a, (Operand){ dout + (size_t)n * O, O, some, 1, O }), b, O, C, some);
    }
    if (dbias) {
        #pragma omp parallel for schedule(static) num_threads(team((size_t)N * O))
        for (int o = 0; o < O; o += 64)
            for (int n = 0; n < N; n++)
                for (int j = o; j < min_int(o + 64, O); j++)
                    dbias[j] += to_float(dout[(size_t)n * O + j]);
    }
}

/* ---- Symmetric products ---------------------------------------------------------------------- */

size_t symmetric_work(int n, int K) {
    return sizeof(unit) * (packed_units(n, K, MR) + packed_units(n, K, NR));
}

void symmetric_product(real *out, const real *x, const real *y, void *work, int n, int K,
                       int columns) {
    enum { TILE = 32 };                          /* what is below the diagonal goes above it */
    const size_t row = columns ? 1 : K, k = columns ? n : 1;
    unit *b = (unit *)work + packed_units(n, K, MR);
    pack_b(b, (Operand){ y, n, K, row, k });
    multiply((Result){ .out = out, .symmetric = 1 }, pack_a(work, (Operand){ x, n, K, row, k }), b,
             n, n, K);
    #pragma omp parallel for schedule(dynamic) num_threads(team((size_t)n * n))
    for (int i = 0; i < n; i += TILE)
        for (int j = i; j < n; j += TILE)
            for (int r = i; r < min_int(i + TILE, n); r++)
                for (int c = max_int(j, r + 1); c < min_int(j + TILE, n); c++)
                    out[(size_t)r * n + c] = out[(size_t)c * n + r];
}
