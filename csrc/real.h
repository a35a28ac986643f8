/* real.h: the type `real`, its conversions, and the vectors that the CPU kernels are written in.

   REAL_BF16 chooses bfloat16: the upper half of a float. Everything else is the compiler's vector
   extension, so that one source becomes AVX-512, AVX2 or NEON. */

#ifndef REAL_H
#define REAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
#define LANES 16
#elif defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline uint32_t float_bits(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
static inline float bits_float(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }

#ifdef REAL_BF16
#include <immintrin.h>
typedef struct { uint16_t bits; } real;

static inline float to_float(real x) { return bits_float((uint32_t)x.bits << 16); }

/* To the nearest, ties to even; a NaN stays one. */
static inline real to_real(float x) {
    uint32_t u = float_bits(x);
    uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    return (real){ x == x ? rounded : 0x7fc0 };
}

static inline lanes load_bits(const real *x) {
    uint16_t bits __attribute__((vector_size(2 * LANES)));
    memcpy(&bits, x, sizeof bits);
    return __builtin_convertvector(bits, lanes);
}
static inline vec load_reals(const real *x) { return (vec)(load_bits(x) << 16); }
static inline void store_reals(real *out, vec x) {
    __m256bh bits = _mm512_cvtneps_pbh((__m512)x);
    memcpy(out, &bits, sizeof bits);
}

/* What a product of matrices takes of one row in one step of k: a pair of bfloat16, of which
   AVX-512 adds both products at once. */
enum { PAIR = 2 };
typedef uint32_t unit;
typedef lanes units;

static inline unit pair(real even, real odd) { return even.bits | (uint32_t)odd.bits << 16; }
static inline units pair_rows(const real *even, const real *odd) {
    return load_bits(even) | load_bits(odd) << 16;
}
static inline units pair_floats(vec even, vec odd) {
    lanes order;                     /* of 16-bit numbers: one of even, one of odd, in turn */
    for (int i = 0; i < LANES; i++) order[i] = i | (i + LANES) << 16;
    __m512bh both = _mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
    return (units)_mm512_permutexvar_epi16((__m512i)order, (__m512i)both);
}
static inline vec multiply_add(vec sum, unit a, units b) {
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32((int)a), (__m512bh)b);
}
static inline vec multiply_add_each(vec sum, units a, units b) {
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
#else
typedef float real;

static inline float to_float(real x) { return x; }
static inline real to_real(float x) { return x; }
static inline vec load_reals(const real *x) { return *(const vec *)x; }
static inline void store_reals(real *out, vec x) { *(vec *)out = x; }

enum { PAIR = 1 };                   /* a unit is one float */
typedef float unit;
typedef vec units;

static inline unit pair(real even, real odd) { (void)odd; return even; }
static inline units pair_rows(const real *even, const real *odd) {
    (void)odd;
    return *(const units *)even;
}
static inline units pair_floats(vec even, vec odd) { (void)odd; return even; }
static inline vec multiply_add(vec sum, unit a, units b) { return sum + a * b; }
static inline vec multiply_add_each(vec sum, units a, units b) { return sum + a * b; }
#endif

/* The first (half 0) or second halves of a and b, one from each in turn. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lanes){ __VA_ARGS__ })
#endif
#define ZIP(a, b, half) SHUFFLE(a, b, ZIP_INDICES((half) * LANES / 2))
#define ZIP_2(i) i, i + LANES, i + 1, i + 1 + LANES
#if LANES == 16
#define ZIP_INDICES(i) ZIP_2(i), ZIP_2(i + 2), ZIP_2(i + 4), ZIP_2(i + 6)
#elif LANES == 8
#define ZIP_INDICES(i) ZIP_2(i), ZIP_2(i + 2)
#else
#define ZIP_INDICES(i) ZIP_2(i)
#endif

/* x (LANES,LANES) becomes its transpose: zipped, half with half, until each has met each. */
static inline void transpose(units x[LANES]) {
    for (int step = 1; step < LANES; step *= 2) {
        units y[LANES];
        for (int i = 0; i < LANES / 2; i++) {
            y[2 * i] = ZIP(x[i], x[i + LANES / 2], 0);
            y[2 * i + 1] = ZIP(x[i], x[i + LANES / 2], 1);
        }
        for (int i = 0; i < LANES; i++) x[i] = y[i];
    }
}

/* A loop over fewer elements than this is done before a second thread has woken up. */
enum { SMALL = 1 << 15 };

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
