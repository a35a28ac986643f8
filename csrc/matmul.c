/* matmul.c: linear layers, C = A B^T, near the speed of the machine.

   The naive loop is matmul_naive below. The fast one computes the same sums in the same order of k;
   it only moves data so that the multiplier never waits:

   1. Packing. A's rows are cut into panels of MR rows, B's into panels of NR, and each panel is laid
      out k by k: for each k its MR (NR) numbers lie side by side. Short panels and odd k are filled
      with zeros, so that no later loop has a special case.
   2. The micro-kernel (`tile`) multiplies a panel of A with a panel of B: an MR x NR tile of C stays in
      registers while k runs; each step is one load of B's NR numbers and MR broadcasts of A.
   3. Blocks of KC steps of k keep a panel of B in the L1 cache and a block of A and C in L2.

   What the multiplier takes of one row in one step is a unit (real.h): a float, or a pair of bfloat16 at
   k and k+1. Each element of C has one owner and one order of summation, whatever M, N and the number of
   threads are. */

#include "real.h"

enum {
    MR = LANES == 16 ? 14 : LANES == 8 ? 6 : 8,  /* MR x NV sums, B and a spare fit the registers */
    NV = 2,
    NR = NV * LANES,
    KC = 192,                    /* units: a panel of B, NR * KC * 4 = 24 KB, stays in L1 */
    MB = 8,                      /* panels of A in a block: MR * MB * KC * 4 = 86 KB in L2 */
    NB = 8                       /* panels of B in a block: C's block takes 114 KB in L2 */
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

/* One panel of R rows from data on, of which `rows` exist. R and the stride that is 1 are constants in
   the callers, so that the compiler makes a loop of its own for each. */
static inline __attribute__((always_inline))
void pack_panel(unit *panel, const real *data, int rows, int K, int R,
                size_t row_stride, size_t k_stride) {
    const real zero = to_real(0);
    int full = K / PAIR;
    for (int k = 0; k < full; k++)
        for (int i = 0; i < R; i++) {
            const real *x = data + (size_t)i * row_stride + (size_t)k * PAIR * k_stride;
            panel[k * R + i] = i < rows ? pair(x[0], x[(PAIR - 1) * k_stride]) : pair(zero, zero);
        }
    if (K % PAIR)
        for (int i = 0; i < R; i++) {
            const real *x = data + (size_t)i * row_stride + (size_t)full * PAIR * k_stride;
            panel[full * R + i] = i < rows ? pair(x[0], zero) : pair(zero, zero);
        }
}

static inline __attribute__((always_inline))
void pack_panels(unit *out, const Operand x, int R) {
    int panels = ceil_div(x.rows, R);
    size_t size = (size_t)R * ceil_div(x.K, PAIR);
    #pragma omp parallel for schedule(static) if ((size_t)x.rows * x.K > SMALL)
    for (int p = 0; p < panels; p++) {
        unit *panel = out + p * size;
        const real *data = x.data + (size_t)p * R * x.row_stride;
        int rows = min_int(R, x.rows - p * R);
        if (x.k_stride == 1 && rows == R)
            pack_panel(panel, data, R, x.K, R, x.row_stride, 1);
        else if (x.row_stride == 1 && rows == R)
            pack_panel(panel, data, R, x.K, R, 1, x.k_stride);
        else
            pack_panel(panel, data, rows, x.K, R, x.row_stride, x.k_stride);
    }
}

static void pack_a(unit *out, Operand a) { pack_panels(out, a, MR); }
static void pack_b(unit *out, Operand b) { pack_panels(out, b, NR); }

/* ---- The micro-kernel ------------------------------------------------------------------------ */

/* c (rows,NR) += a (steps,MR) b (steps,NR), in registers. */
static inline __attribute__((always_inline))
void tile_rows(float *c, const unit *a, const unit *b, int steps, int rows) {
    vec sum[MR][NV];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NV; j++) sum[i][j] = *(const vec *)(c + i * NR + j * LANES);
    for (int k = 0; k < steps; k++) {
        units column[NV];
        for (int j = 0; j < NV; j++) column[j] = *(const units *)(b + k * NR + j * LANES);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < NV; j++)
                sum[i][j] = multiply_add(sum[i][j], a[k * MR + i], column[j]);
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NV; j++) *(vec *)(c + i * NR + j * LANES) = sum[i][j];
}

/* Few rows, as in decoding, need not pay for MR of them. */
static void tile(float *c, const unit *a, const unit *b, int steps, int rows) {
    if (rows == 1) tile_rows(c, a, b, steps, 1);
    else if (rows == 2) tile_rows(c, a, b, steps, 2);
    else if (rows <= 4) tile_rows(c, a, b, steps, 4);
    else if (MR > 8 && rows <= 8) tile_rows(c, a, b, steps, MR > 8 ? 8 : MR);
    else tile_rows(c, a, b, steps, MR);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* Where the product goes: `out` =, `wide` =, or `sum` +=; one of them is set. */
typedef struct {
    real *out;
    float *wide, *sum;
    const real *bias, *residual;
} Result;

/* Rows and columns of C from (m, n) on: adds bias and residual, rounds, writes. */
static void write_tile(const Result *to, const float *c, int m, int n, int rows, int columns, int N) {
    for (int i = 0; i < rows; i++, c += NR) {
        size_t at = (size_t)(m + i) * N + n;
        if (to->sum) {
            for (int j = 0; j < columns; j++) to->sum[at + j] += c[j];
            continue;
        }
        float row[NR];
        memcpy(row, c, sizeof row);
        if (to->bias)
            for (int j = 0; j < columns; j++) row[j] += to_float(to->bias[n + j]);
        if (to->residual)
            for (int j = 0; j < columns; j++) row[j] += to_float(to->residual[at + j]);
        if (to->wide)
            for (int j = 0; j < columns; j++) to->wide[at + j] = row[j];
        else
            for (int j = 0; j < columns; j++) to->out[at + j] = to_real(row[j]);
    }
}

/* One block of C: up to MB panels of A from panel p, up to NB panels of B from panel q. */
static void block(const Result *to, const unit *a, const unit *b,
                  int M, int N, int steps, int p, int p_end, int q, int q_end) {
    float c[MB * NB][MR * NR] __attribute__((aligned(64)));
    memset(c, 0, sizeof(c[0]) * NB * (p_end - p));
    for (int k = 0; k < steps; k += KC) {
        int kc = min_int(KC, steps - k);
        for (int j = q; j < q_end; j++)
            for (int i = p; i < p_end; i++)
                tile(c[(i - p) * NB + j - q],
                     a + ((size_t)i * steps + k) * MR, b + ((size_t)j * steps + k) * NR,
                     kc, min_int(MR, M - i * MR));
    }
    for (int i = p; i < p_end; i++)
        for (int j = q; j < q_end; j++)
            write_tile(to, c[(i - p) * NB + j - q], i * MR, j * NR,
                       min_int(MR, M - i * MR), min_int(NR, N - j * NR), N);
}

/* to (M,N) from packed a (M,K) and packed b (N,K). */
static void multiply(const Result to, const unit *a, const unit *b, int M, int N, int K) {
    int steps = ceil_div(K, PAIR), a_panels = ceil_div(M, MR), b_panels = ceil_div(N, NR);
    int nb = NB;                                 /* smaller blocks where there are few of them */
    while (nb > 1 && ceil_div(a_panels, MB) * ceil_div(b_panels, nb) < 16) nb /= 2;
    #pragma omp parallel for collapse(2) schedule(dynamic) if ((double)M * N * K > 16.0 * SMALL)
    for (int q = 0; q < b_panels; q += nb)
        for (int p = 0; p < a_panels; p += MB)
            block(&to, a, b, M, N, steps,
                  p, min_int(p + MB, a_panels), q, min_int(q + nb, b_panels));
}

/* ---- Linear layers --------------------------------------------------------------------------- */

size_t linear_packed_size(int C, int O) { return packed_units(O, C, NR) * PAIR; }

size_t linear_work(int N, int C, int O) {
    size_t forward = packed_units(N, C, MR);
    size_t inputs = packed_units(N, O, MR) + packed_units(C, O, NR);
    size_t weights = packed_units(O, N, MR) + packed_units(C, N, NR);
    size_t most = forward > inputs ? forward : inputs;
    return sizeof(unit) * (most > weights ? most : weights);
}

void linear_pack(real *packed, const real *weight, int C, int O) {
    pack_b((unit *)packed, (Operand){ weight, O, C, C, 1 });
}

void linear_forward(real *out, const real *inp, const real *packed, const real *bias,
                    const real *residual, void *work, int N, int C, int O) {
    pack_a(work, (Operand){ inp, N, C, C, 1 });
    multiply((Result){ .out = out, .bias = bias, .residual = residual },
             work, (const unit *)packed, N, O, C);
}

void linear_forward_float(float *out, const real *inp, const real *packed, const real *bias,
                          void *work, int N, int C, int O) {
    pack_a(work, (Operand){ inp, N, C, C, 1 });
    multiply((Result){ .wide = out, .bias = bias }, work, (const unit *)packed, N, O, C);
}

void linear_backward(real *dinp, float *dweight, float *dbias, const real *dout, const real *inp,
                     const real *weight, void *work, int N, int C, int O) {
    unit *a = work;
    if (dinp) {                                  /* dout (N,O) times weight^T (C,O)^T */
        unit *b = a + packed_units(N, O, MR);
        pack_a(a, (Operand){ dout, N, O, O, 1 });
        pack_b(b, (Operand){ weight, C, O, 1, C });
        multiply((Result){ .out = dinp }, a, b, N, C, O);
    }
    unit *b = a + packed_units(O, N, MR);        /* dout^T (O,N) times inp^T (C,N)^T */
    pack_a(a, (Operand){ dout, O, N, 1, O });
    pack_b(b, (Operand){ inp, C, N, 1, C });
    multiply((Result){ .sum = dweight }, a, b, O, C, N);
    if (dbias) {
        #pragma omp parallel for schedule(static) if ((size_t)N * O > SMALL)
        for (int o = 0; o < O; o += 64)
            for (int n = 0; n < N; n++)
                for (int j = o; j < min_int(o + 64, O); j++)
                    dbias[j] += to_float(dout[(size_t)n * O + j]);
    }
}
