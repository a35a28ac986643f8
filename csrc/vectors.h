/* vectors.h: the vectors that the CPU kernels are written in: the compiler's extension, so that one
   source becomes AVX-512, AVX2 or NEON, and intrinsics for bfloat16, which C has no word for. */

#ifndef VECTORS_H
#define VECTORS_H

#include "real.h"

#if defined __AVX512F__
#define LANES 16
#elif defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#if defined __AVX__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

/* half_float of each. */
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
static inline vec widen_halves(halves x) {
#if defined __AVX512F__ && LANES == 16
    return (vec)_mm512_cvtph_ps((__m256i)x);
#elif defined __F16C__ && LANES == 8
    return (vec)_mm256_cvtph_ps((__m128i)x);
#elif defined __aarch64__
    return (vec)vcvt_f32_f16((float16x4_t)x);
#else
    const lanes all = __builtin_convertvector(x, lanes), rest = (all & 0x7fff) << 13;
    const lanes special = (lanes)(rest >= 0x0f800000), y = (lanes)((vec)rest * 0x1p112f);
    return (vec)((y & ~special) | ((rest | 0x7f800000) & special) | (all & 0x8000) << 16);
#endif
}

#ifdef REAL_BF16

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

/* How many threads kernels use, whichever thread calls them: device_threads sets it. Scratch memory
   is for most_threads() of them at a time. (device.c) */
int threads(void);
int most_threads(void);
int this_thread(void);               /* among those of a loop, from 0 */

/* The threads for a loop over so many elements; a short one has ended before a second wakes up. */
enum { SMALL = 1 << 15 };
static inline int team(double elements) { return elements > SMALL ? threads() : 1; }

#endif
