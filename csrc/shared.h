/* shared.h: what must come out with the same bits on a CPU and on a GPU, written once for both. */

#ifndef SHARED_H
#define SHARED_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef BOTH                         /* gpu.cuh's BOTH compiles a function for host and device */
#define BOTH
#endif

/* ---- Numbers --------------------------------------------------------------------------------- */

static BOTH inline uint32_t float_bits(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
static BOTH inline float bits_float(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }

/* A half, IEEE's 16 bits, as a float: the exponent moves by a product, which is exact. */
static BOTH inline float half_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
    float x = bits_float(rest) * 0x1p112f;
    if (rest >= 0x0f800000) x = bits_float(rest | 0x7f800000);       /* infinite, or no number */
    return bits_float(float_bits(x) | sign);
}

/* To the nearest half; beyond the largest, 65504, to that; a NaN stays one. */
static BOTH inline uint16_t to_half(float x) {
    const uint32_t size = float_bits(x) & 0x7fffffff, sign = float_bits(x) >> 16 & 0x8000;
    const float most = 65504, clipped = bits_float(size) < most ? bits_float(size) : most;
    const uint32_t u = float_bits(clipped * 0x1p-112f);      /* below the normal ones: a shift */
    return (uint16_t)(sign | (size > 0x7f800000 ? 0x7e00 : (u + 0xfff + (u >> 13 & 1)) >> 13));
}

/* e^x to 2 ulp without a branch, so that loops over it become vectors: 2^n e^r with |r| <= ln2/2.
   0 below the normal numbers, infinity above the finite ones, NaN for NaN. */
static BOTH inline float fast_exp(float x) {
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

/* ---- Chance ---------------------------------------------------------------------------------- */

/* SplitMix64's mixer. */
static BOTH inline uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* A number in [0,1) that depends on (seed, position) only: the mixer, twice. */
static BOTH inline double uniform(uint64_t seed, uint64_t position) {
    uint64_t x = mix(mix(seed + 0x9e3779b97f4a7c15u) + (position + 1) * 0x9e3779b97f4a7c15u);
    return (double)(x >> 11) * (1.0 / 9007199254740992.0);       /* 2^-53 */
}

/* 0 to 65535, as good as by chance, from (step, index): two rounds of a multiplicative hash. */
static BOTH inline uint32_t noise(uint32_t step, uint64_t index) {
    uint32_t x = (uint32_t)index ^ (uint32_t)(index >> 32) * 0x85ebca77u ^ step * 0x9e3779b1u;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return (x ^ (x >> 16)) >> 16;
}

/* To a bfloat16, up with the probability of the part that it cannot hold, else down; as float. */
static BOTH inline float round_by_chance(float x, uint32_t chance) {
    return x - x == 0 ? bits_float((float_bits(x) + chance) & 0xffff0000u) : x;
}

#endif
