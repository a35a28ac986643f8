/* quant.c: weights in GGUF's blocks, multiplied as they lie in the file. */

#include "vectors.h"
#include "blocks.h"

static inline __attribute__((always_inline))
void expand_as(float *out, const uint8_t *blocks, int type, size_t count) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    for (size_t b = 0; b < count; b++)
        for (int k = 0; k < numbers; k++)
            out[b * numbers + k] = block_value(type, blocks + b * bytes, k);
}

/* out = the numbers in `count` blocks. The compiler is told which type it is. */
static void expand(float *out, const uint8_t *blocks, int type, size_t count) {
    switch (type) {
    case GGUF_F32:    expand_as(out, blocks, GGUF_F32, count); break;
    case GGUF_F16:    expand_as(out, blocks, GGUF_F16, count); break;
    case GGUF_BF16:   expand_as(out, blocks, GGUF_BF16, count); break;
    case GGUF_Q4_0:   expand_as(out, blocks, GGUF_Q4_0, count); break;
    case GGUF_Q4_1:   expand_as(out, blocks, GGUF_Q4_1, count); break;
    case GGUF_Q5_0:   expand_as(out, blocks, GGUF_Q5_0, count); break;
    case GGUF_Q5_1:   expand_as(out, blocks, GGUF_Q5_1, count); break;
    case GGUF_Q8_0:   expand_as(out, blocks, GGUF_Q8_0, count); break;
    case GGUF_Q2_K:   expand_as(out, blocks, GGUF_Q2_K, count); break;
    case GGUF_Q3_K:   expand_as(out, blocks, GGUF_Q3_K, count); break;
    case GGUF_Q4_K:   expand_as(out, blocks, GGUF_Q4_K, count); break;
    case GGUF_Q5_K:   expand_as(out, blocks, GGUF_Q5_K, count); break;
    case GGUF_Q6_K:   expand_as(out, blocks, GGUF_Q6_K, count); break;
    case GGUF_IQ4_NL: expand_as(out, blocks, GGUF_IQ4_NL, count); break;
    case GGUF_IQ4_XS: expand_as(out, blocks, GGUF_IQ4_XS, count); break;
    case GGUF_MXFP4:  expand_as(out, blocks, GGUF_MXFP4, count); break;
    }
}

void dequantize(float *out, const void *blocks, int type, size_t n) {
    const int numbers = block_numbers(type), bytes = block_bytes(type), some = 4096 / numbers;
    const size_t count = n / numbers;
    #pragma omp parallel for schedule(static) num_threads(team(n))
    for (size_t b = 0; b < count; b += some)
        expand(out + b * numbers, (const uint8_t *)blocks + b * bytes, type,
               count - b < (size_t)some ? count - b : (size_t)some);
}

static int is_float(int type) {
    return type == GGUF_F32 || type == GGUF_F16 || type == GGUF_BF16;
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

enum { Q = 32 };                     /* inputs that share a scale */

/* What a product needs to know of Q numbers: d times their quants is what they were. */
typedef struct { float d, sum, sums[2]; } Scale;     /* the sums of the quants, and of each half */

static int scales_of(int C) { return ceil_div(C, Q); }

/* Rows of scales, then rows of quants, which end in zeros. */
size_t quant_inputs_size(int N, int C) {
    return (size_t)N * scales_of(C) * (sizeof(Scale) + Q);
}

static void quantize(Scale *scale, int8_t *q, const real *x, int n) {
    float most = 0;
    int sums[2] = { 0 };
    for (int i = 0; i < n; i++) {
        const float size = fabsf(to_float(x[i]));
        most = size > most || size != size ? size : most;    /* once no number, always none */
    }
    const float d = most / 127, inverse = most > 1e-30f ? 127 / most : 0;
    for (int i = 0; i < Q; i++) {
        q[i] = i < n ? (int8_t)lrintf(to_float(x[i]) * inverse) : 0;
        sums[i / (Q / 2)] += q[i];
    }
    *scale = (Scale){ d, sums[0] + sums[1], { sums[0], sums[1] } };
}

void quant_inputs(void *q8, const real *inp, int N, int C) {
    const int S = scales_of(C);
    Scale *scales = q8;
    int8_t *quants = (int8_t *)(scales + (size_t)N * S);
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++)
        for (int s = 0; s < S; s++)
            quantize(&scales[(size_t)n * S + s], quants + ((size_t)n * S + s) * Q,
                     inp + (size_t)n * C + s * Q, min_int(Q, C - s * Q));
}

/* ---- One number at a time -------------------------------------------------------------------- */

void quant_naive(float *out, const real *inp, const void *q8, const void *weight,
                 int type, int N, int C, int rows) {
    const int numbers = block_numbers(type), bytes = block_bytes(type), S = scales_of(C);
    const Scale *scales = q8;
    const int8_t *quants = (const int8_t *)(scales + (size_t)N * S);
    #pragma omp parallel for schedule(static) num_threads(team((double)N * C * rows))
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < N; n++) {
            const uint8_t *row = (const uint8_t *)weight + (size_t)r * C / numbers * bytes;
            double sum = 0;
            for (int k = 0; k < C; k++) {
                const float w = block_value(type, row + (size_t)k / numbers * bytes, k % numbers);
                const size_t at = (size_t)n * S * Q + k;
                sum += (double)w * (is_float(type) ? to_float(inp[(size_t)n * C + k])
                                                   : scales[at / Q].d * quants[at]);
            }
            out[(size_t)n * rows + r] = (float)sum;
        }
}

/* ---- The product ----------------------------------------------------------------------------- */

int quant_multiplies(void) { return 1; }

size_t quant_work(int C) { return sizeof(float) * C * most_threads(); }

static float product(const real *inp, const void *q8, const float *row, int type, int n, int N,
                     int C) {
    const int S = scales_of(C);
    const Scale *scales = (const Scale *)q8 + (size_t)n * S;
    const int8_t *quants = (const int8_t *)((const Scale *)q8 + (size_t)N * S) + (size_t)n * S * Q;
    float sum = 0;
    for (int k = 0; k < C; k++)
        sum += row[k] * (is_float(type) ? to_float(inp[(size_t)n * C + k])
                                        : scales[k / Q].d * quants[k]);
    return sum;
}

void quant_forward(real *out, const real *inp, const void *q8, const void *weight,
                   const real *bias, const real *residual, void *work,
                   int type, int pairs, int N, int C, int rows, int O) {
    #pragma omp parallel for schedule(static) num_threads(team((double)N * C * rows))
    for (int r = 0; r < rows; r++) {
        float *row = (float *)work + (size_t)this_thread() * C;
        expand(row, (const uint8_t *)weight + r * quant_row(type, C), type,
               C / block_numbers(type));
        for (int n = 0; n < N; n++) {
            const int to = paired_row(r, pairs);
            const size_t at = (size_t)n * O + to;
            out[at] = to_real(product(inp, q8, row, type, n, N, C)
                              + (bias ? to_float(bias[to]) : 0)
                              + (residual ? to_float(residual[at]) : 0));
        }
    }
}

void quant_forward_float(float *out, const real *inp, const void *q8, const void *weight,
                         void *work, int type, int N, int C, int rows, int O) {
    #pragma omp parallel for schedule(static) num_threads(team((double)N * C * rows))
    for (int r = 0; r < rows; r++) {
        float *row = (float *)work + (size_t)this_thread() * C;
        expand(row, (const uint8_t *)weight + r * quant_row(type, C), type,
               C / block_numbers(type));
        for (int n = 0; n < N; n++)
            out[(size_t)n * O + r] = product(inp, q8, row, type, n, N, C);
    }
}

void embed_quant(real *out, const int *tokens, const int *positions, const void *rows,
                 const real *wpe, int type, int N, int C) {
    const int numbers = block_numbers(type);
    const size_t bytes = quant_row(type, C);
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++) {
        const uint8_t *row = (const uint8_t *)rows + tokens[n] * bytes;
        const real *p = wpe ? wpe + (size_t)positions[n] * C : NULL;
        for (int k = 0; k < C; k++) {
            const float x = block_value(type, row + k / numbers * block_bytes(type), k % numbers);
            out[(size_t)n * C + k] = to_real(x + (p ? to_float(p[k]) : 0));
        }
    }
}
