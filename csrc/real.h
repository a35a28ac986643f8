/* real.h: chat.h and kernels.h for C, after the type `real` and its conversions. REAL_BF16 chooses
   bfloat16: the upper half of a float. */

#ifndef REAL_H
#define REAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shared.h"

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

static inline float fast_sigmoid(float x) { return 1.f / (1.f + fast_exp(-x)); }
static inline float fast_tanh(float x) { return 1.f - 2.f / (1.f + fast_exp(2.f * x)); }

/* erf(x) within 2e-7: Abramowitz and Stegun, 7.1.26. */
static inline float fast_erf(float x) {
    float size = fabsf(x), t = 1.f / (1.f + 0.3275911f * size);
    float p = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t
               + 0.254829592f) * t;
    return copysignf(1.f - p * fast_exp(-size * size), x);
}

#include "chat.h"
#include "kernels.h"

#endif
