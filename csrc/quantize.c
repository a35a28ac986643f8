/* quantize.c: numbers to GGUF's blocks: scales that fit a block's numbers, then each number to the
   nearest that these allow; what a block means is said by blocks.h.

   With a factor of the inverse Hessian of what the rows are multiplied with, the numbers behind one
   make good what its rounding has changed (GPTQ, arXiv:2210.17323), in the same blocks. */

#include <stdlib.h>
#include "real.h"
#include "blocks.h"

enum {
    TOGETHER = 16,                   /* rows that share the way of the factor into the cache */
    TRIES = 8                        /* of a scale, to each side of the one without clipping */
};
static const float STEP = 0.25f;     /* from one to the next, in whole numbers of the largest */

/* ---- One number, its block having its scales ------------------------------------------------- */

/* The whole number from `low` to `high` that is nearest to x / d. */
static inline int nearest(float x, float d, int low, int high) {
    const float q = d ? x / d : 0;
    return (int)rintf(q < low ? low : q > high ? high : q);
}

/* Bits of a byte that `mask` has, moved up by `shift`, become those of q. */
static inline void set_bits(uint8_t *byte, int q, int mask, int shift) {
    *byte = (uint8_t)((*byte & ~(mask << shift)) | q << shift);
}

static void put_k(int type, uint8_t *p, int k, float x) {
    const int g = k / 32, l = k % 32, half = k / 128, part = k % 128 / 32;
    if (type == GGUF_Q6_K) {
        const int q = nearest(x, half_at(p + 208) * (int8_t)p[192 + k / 16], -32, 31) + 32;
        set_bits(p + half * 64 + k % 64, q & 15, 15, part / 2 * 4);
        set_bits(p + 128 + half * 32 + l, q >> 4, 3, part * 2);
    } else {
        const float d = half_at(p) * scale_k4(p + 4, g), m = half_at(p + 2) * minimum_k4(p + 4, g);
        set_bits(p + 16 + g / 2 * 32 + l, nearest(x + m, d, 0, 15), 15, g % 2 * 4);
    }
}

/* Number k of the block at p becomes the nearest to x that its scales allow. */
static void put(int type, uint8_t *p, int k, float x) {
    uint32_t bits = float_bits(x);
    int q;
    switch (type) {
    case GGUF_F32:
        memcpy(p, &bits, 4);
        break;
    case GGUF_F16:
        bits = to_half(x);
        memcpy(p, &bits, 2);
        break;
    case GGUF_BF16:
        bits = x == x ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : bits >> 16 | 0x40;
        memcpy(p, &bits, 2);
        break;
    case GGUF_Q4_0:
        set_bits(p + 2 + k % 16, nearest(x, half_at(p), -8, 7) + 8, 15, k / 16 * 4);
        break;
    case GGUF_Q5_0:
        q = nearest(x, half_at(p), -16, 15) + 16;
        set_bits(p + 6 + k % 16, q & 15, 15, k / 16 * 4);
        set_bits(p + 2 + k / 8, q >> 4, 1, k % 8);
        break;
    case GGUF_Q8_0:
        p[2 + k] = (uint8_t)nearest(x, half_at(p), -127, 127);
        break;
    default:
        put_k(type, p, k, x);
    }
}

/* ---- Scales ---------------------------------------------------------------------------------- */

/* Numbers that one scale is for: how much the square of an error of each counts, and the whole
   numbers that there are. */
typedef struct { const float *x, *weight; int n, low, high; } Group;

static float round_to_half(float x) { return half_float(to_half(x)); }

/* The weighted squares of the errors of d q - m. */
static float error_of(Group g, float d, float m) {
    const float inverse = d ? 1 / d : 0, low = (float)g.low, high = (float)g.high;
    float sum = 0;
    #pragma omp simd reduction(+:sum)
    for (int i = 0; i < g.n; i++) {
        float q = (g.x[i] + m) * inverse;
        q = q < low ? low : q > high ? high : q;
        const float e = g.x[i] + m - d * rintf(q);
        sum += g.weight[i] * e * e;
    }
    return sum;
}

/* The d with the least error for the whole numbers that *d gives; and with m, if there is one. */
static void refit(Group g, float *d, float *m) {
    const float inverse = *d ? 1 / *d : 0, low = (float)g.low, high = (float)g.high;
    const float shift = m ? *m : 0;
    float w = 0, wq = 0, wqq = 0, wx = 0, wqx = 0;
    #pragma omp simd reduction(+:w, wq, wqq, wx, wqx)
    for (int i = 0; i < g.n; i++) {
        float q = (g.x[i] + shift) * inverse;
        q = rintf(q < low ? low : q > high ? high : q);
        const float a = g.weight[i] * q;
        w += g.weight[i];
        wq += a;
        wqq += a * q;
        wx += g.weight[i] * g.x[i];
        wqx += a * g.x[i];
    }
    const float determinant = w * wqq - wq * wq;
    if (m && determinant > 0) {
        *d = (w * wqx - wq * wx) / determinant;
        *m = (wq * wqx - wqq * wx) / determinant;
    }
    if (m && *m >= 0) return;
    if (m) *m = 0;
    if (wqq > 0) *d = wqx / wqq;
}

/* The best d of those tried, rounded by `rounded`: the largest number is to become about `low` or
   about `high`; the best of these is made better as long as that goes. */
static float fit_scale(Group g, float (*rounded)(float)) {
    float most = 0, best = 0, least = INFINITY;
    for (int i = 0; i < g.n; i++) if (fabsf(g.x[i]) > fabsf(most)) most = g.x[i];
    if (most == 0) return 0;
    for (int end = g.low == -g.high; end < 2; end++)
        for (int t = -TRIES; t <= TRIES; t++) {
            const float d = rounded(most / (end ? g.high + STEP * t : g.low - STEP * t));
            const float error = error_of(g, d, 0);
            if (error < least) { least = error; best = d; }
        }
    for (int better = 1; better;) {
        float d = best;
        refit(g, &d, NULL);
        d = rounded(d);
        const float error = error_of(g, d, 0);
        better = error < least;
        if (better) { least = error; best = d; }
    }
    return best;
}

/* *d and *m >= 0 of d q - m, the best of those tried. */
static void fit_range(Group g, float *d, float *m) {
    float low = 0, high = -INFINITY, least = INFINITY;
    for (int i = 0; i < g.n; i++) {
        low = g.x[i] < low ? g.x[i] : low;
        high = g.x[i] > high ? g.x[i] : high;
    }
    *d = 0;
    *m = -low;
    if (high <= low) return;
    for (int t = -TRIES; t <= TRIES; t++) {
        float tried = (high - low) / (g.high + STEP * t), shift = -low;
        for (int again = 0; again < 2; again++) {
            const float error = error_of(g, tried, shift);
            if (error < least) { least = error; *d = tried; *m = shift; }
            refit(g, &tried, &shift);
        }
    }
}

static float unrounded(float x) { return x; }

static int clamp(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

/* Whole numbers *s and *t beside those given, for the least error of D s q - M t. */
static void descend(Group g, float D, float M, int *s, int *t, int low, int high, int most) {
    float least = error_of(g, D * *s, M * *t);
    for (int better = 1; better;) {
        const int at = *s, by = *t;
        better = 0;
        for (int a = clamp(at - 1, low, high); a <= clamp(at + 1, low, high); a++)
            for (int b = clamp(by - 1, 0, most); b <= clamp(by + 1, 0, most); b++) {
                const float error = error_of(g, D * a, M * b);
                if (error < least) { least = error; *s = a; *t = b; better = 1; }
            }
    }
}

/* Q4_K's 8 groups of 32. */
static void scale_q4_k(uint8_t *p, const float *x, const float *weight) {
    float d[8], m[8], most_d = 0, most_m = 0;
    for (int g = 0; g < 8; g++) {
        fit_range((Group){ x + g * 32, weight + g * 32, 32, 0, 15 }, d + g, m + g);
        most_d = fmaxf(most_d, d[g]);
        most_m = fmaxf(most_m, m[g]);
    }
    const uint16_t D = to_half(most_d / 63), M = to_half(most_m / 63);
    memcpy(p, &D, 2);
    memcpy(p + 2, &M, 2);
    memset(p + 4, 0, 12);
    for (int g = 0; g < 8; g++) {
        int s = nearest(d[g], half_float(D), 0, 63), t = nearest(m[g], half_float(M), 0, 63);
        descend((Group){ x + g * 32, weight + g * 32, 32, 0, 15 }, half_float(D), half_float(M),
                &s, &t, 0, 63, 63);
        set_bits(p + 4 + g % 4 + (g < 4 ? 0 : 8), s & (g < 4 ? 63 : 15), g < 4 ? 63 : 15, 0);
        if (g < 4) set_bits(p + 8 + g, t, 63, 0);
        else {
            set_bits(p + 8 + g, t & 15, 15, 4);
            set_bits(p + g, s >> 4, 3, 6);
            set_bits(p + 4 + g, t >> 4, 3, 6);
        }
    }
}

/* Q6_K's 16 groups of 16. */
static void scale_q6_k(uint8_t *p, const float *x, const float *weight) {
    float d[16], most = 0;
    for (int g = 0; g < 16; g++) {
        d[g] = fit_scale((Group){ x + g * 16, weight + g * 16, 16, -32, 31 }, unrounded);
        if (fabsf(d[g]) > fabsf(most)) most = d[g];
    }
    const uint16_t D = to_half(most / -128);
    memcpy(p + 208, &D, 2);
    for (int g = 0; g < 16; g++) {
        int s = nearest(d[g], half_float(D), -128, 127), none = 0;
        descend((Group){ x + g * 16, weight + g * 16, 16, -32, 31 }, half_float(D), 0, &s, &none,
                -128, 127, 0);
        p[192 + g] = (uint8_t)s;
    }
}

/* The scales of the block at p, for the numbers x; all else in it becomes zero. */
static void choose_scales(int type, uint8_t *p, const float *x, const float *weight) {
    memset(p, 0, block_bytes(type));
    if (type == GGUF_Q4_K) { scale_q4_k(p, x, weight); return; }
    if (type == GGUF_Q6_K) { scale_q6_k(p, x, weight); return; }
    if (block_numbers(type) == 1) return;
    const int high = type == GGUF_Q4_0 ? 7 : type == GGUF_Q5_0 ? 15 : 127;
    const Group g = { x, weight, 32, type == GGUF_Q8_0 ? -127 : -high - 1, high };
    const uint16_t d = to_half(fit_scale(g, round_to_half));
    memcpy(p, &d, 2);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* A few rows, which x (count,cols) is overwritten for. */
static void quantize_some(uint8_t *out, float *x, const float *weight, const float *factor,
                          int type, int count, int cols) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    const size_t row = (size_t)(cols / numbers) * bytes;
    for (int from = 0; from < cols; from += numbers, out += bytes) {
        for (int r = 0; r < count; r++)
            choose_scales(type, out + r * row, x + (size_t)r * cols + from, weight + from);
        for (int k = from; k < from + numbers; k++)
            for (int r = 0; r < count; r++) {
                float *y = x + (size_t)r * cols;
                put(type, out + r * row, k - from, y[k]);
                if (!factor) continue;
                const float e = y[k] - block_value(type, out + r * row, k - from);
                const float *f = factor + (size_t)k * cols;
                for (int j = k + 1; j < cols; j++) y[j] -= e * f[j];
            }
    }
}

static int is_made(int type) {
    return block_numbers(type) == 1 || type == GGUF_Q4_0 || type == GGUF_Q5_0 || type == GGUF_Q8_0
        || type == GGUF_Q4_K || type == GGUF_Q6_K;
}

int quantize_rows(uint8_t *out, const float *x, const float *weight, const float *factor, int type,
                  int rows, int cols) {
    const int numbers = block_numbers(type);
    if (!is_made(type) || cols % numbers)
        return chat_fail("no rows of %d numbers are made in the type %d", cols, type);
    const size_t row = (size_t)(cols / numbers) * block_bytes(type);
    int failed = 0;
    #pragma omp parallel for schedule(dynamic)
    for (int r = 0; r < rows; r += TOGETHER) {
        const int count = min_int(TOGETHER, rows - r);
        const size_t n = (size_t)count * cols;
        float *copy = malloc((n + cols) * sizeof *copy);
        if (!copy) {
            #pragma omp atomic write
            failed = 1;
            continue;
        }
        memcpy(copy, x + (size_t)r * cols, n * sizeof *copy);
        for (int k = 0; k < cols; k++) copy[n + k] = weight ? weight[k] : 1;
        quantize_some(out + r * row, copy, copy + n, factor, type, count, cols);
        free(copy);
    }
    return failed ? chat_fail("no memory for %d rows of %d numbers", TOGETHER, cols) : 0;
}
