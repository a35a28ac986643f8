/* shared.h: what must come out with the same bits on a CPU and on a GPU, written once for both. */

#ifndef SHARED_H
#define SHARED_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef BOTH                         /* gpu.cuh's BOTH compiles a function for host and device */
#define BOTH
#endif

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
    uint32_t bits;
    float rounded;
    memcpy(&bits, &x, 4);
    bits = (bits + chance) & 0xffff0000u;
    memcpy(&rounded, &bits, 4);
    return x - x == 0 ? rounded : x;
}

/* ---- Rotary frequencies ---------------------------------------------------------------------- */

/* Llama 3.1 stretches long wavelengths by `factor`, leaves those that turn more than `high` times
   in old_context alone, and blends between (`low` to `high` turns). */
static BOTH inline double scaled_frequency(double f, float factor, float low, float high,
                                           int old_context) {
    if (factor == 1.f) return f;
    double turns = old_context * f / (2 * 3.14159265358979323846);
    double blend = (turns - low) / (high - low);
    blend = blend < 0 ? 0 : blend > 1 ? 1 : blend;
    return f * (blend + (1 - blend) / factor);
}

#endif
