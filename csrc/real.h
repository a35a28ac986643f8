/* real.h: chat.h for C, after the type `real` and its conversions. REAL_BF16 chooses bfloat16: the
   upper half of a float. */

#ifndef REAL_H
#define REAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
static inline float bits_float(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }

#ifdef REAL_BF16
typedef struct { uint16_t bits; } real;

static inline float to_float(real x) { return bits_float((uint32_t)x.bits << 16); }

/* To the nearest, ties to even; a NaN stays one. */
static inline real to_real(float x) {
    uint32_t u = float_bits(x);
    uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    return (real){ x == x ? rounded : 0x7fc0 };
}
#else
typedef float real;

static inline float to_float(real x) { return x; }
static inline real to_real(float x) { return x; }
#endif

static inline int min_int(int a, int b) { return a < b ? a : b; }
static inline int max_int(int a, int b) { return a > b ? a : b; }
static inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

/* e^x to 2 ulp without a branch, so that loops over it become vectors: 2^n e^r with |r| <= ln2/2.
   0 below the normal numbers, infinity above the finite ones, NaN for NaN. */
static inline float fast_exp(float x) {
    const float low = -87.3f, high = 88.72f;
    const float round = 12582912.f;              /* 1.5 * 2^23: no fraction is left */
    float y = x < low ? low : x > high ? high : x;
    float rounded = y * 1.44269504f + round, n = rounded - round;
    float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.98756915e-4f;                                 /* Cephes' polynomial for expf */
    p = p * r + 1.39819995e-3f;
    p = p * r + 8.33345205e-3f;
    p = p * r + 4.16657968e-2f;
    p = p * r + 1.66666657e-1f;
    p = p * r + 0.5f;
    p = p * (r * r) + r + 1.f;
    float e = bits_float(float_bits(p) + (float_bits(rounded) << 23));   /* n to the exponent */
    e = x < low ? 0.f : x > high ? INFINITY : e;
    return x == x ? e : x;
}

static inline float fast_sigmoid(float x) { return 1.f / (1.f + fast_exp(-x)); }
static inline float fast_tanh(float x) { return 1.f - 2.f / (1.f + fast_exp(2.f * x)); }

#include "chat.h"

#endif
