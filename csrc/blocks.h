/* blocks.h: the numbers in the blocks of GGUF files, one at a time: what every kernel that reads
   them must agree with, on a CPU and on a GPU.

   A block holds `numbers` quants of a few bits and a scale d, perhaps a minimum m: x = d q + m.
   Types of 256 numbers ("K") have groups of 16 or 32 in a block, with small whole numbers as their
   scales, which d (and dmin) scale in turn. Bytes are in little-endian order. */

#ifndef BLOCKS_H
#define BLOCKS_H

#include "shared.h"

/* How many numbers a block has, and how many bytes; 0: of a type that is not read here. */
static BOTH inline int block_numbers(int type) {
    switch (type) {
    case GGUF_F32: case GGUF_F16: case GGUF_BF16:
        return 1;
    case GGUF_Q4_0: case GGUF_Q4_1: case GGUF_Q5_0: case GGUF_Q5_1: case GGUF_Q8_0:
    case GGUF_IQ4_NL: case GGUF_MXFP4:
        return 32;
    case GGUF_Q2_K: case GGUF_Q3_K: case GGUF_Q4_K: case GGUF_Q5_K: case GGUF_Q6_K:
    case GGUF_IQ4_XS:
        return 256;
    default:
        return 0;
    }
}
static BOTH inline int block_bytes(int type) {
    switch (type) {
    case GGUF_F32:     return 4;
    case GGUF_F16:     return 2;
    case GGUF_BF16:    return 2;
    case GGUF_Q4_0:    return 18;
    case GGUF_Q4_1:    return 20;
    case GGUF_Q5_0:    return 22;
    case GGUF_Q5_1:    return 24;
    case GGUF_Q8_0:    return 34;
    case GGUF_Q2_K:    return 84;
    case GGUF_Q3_K:    return 110;
    case GGUF_Q4_K:    return 144;
    case GGUF_Q5_K:    return 176;
    case GGUF_Q6_K:    return 210;
    case GGUF_IQ4_NL:  return 18;
    case GGUF_IQ4_XS:  return 136;
    case GGUF_MXFP4:   return 17;
    default:           return 0;
    }
}

/* Cases of a switch that tells the compiler which type it is. */
#define FLOAT_TYPES(CASE) CASE(GGUF_F32) CASE(GGUF_F16) CASE(GGUF_BF16)
#define BLOCK_TYPES(CASE) \
    CASE(GGUF_Q4_0) CASE(GGUF_Q4_1) CASE(GGUF_Q5_0) CASE(GGUF_Q5_1) CASE(GGUF_Q8_0) \
    CASE(GGUF_Q2_K) CASE(GGUF_Q3_K) CASE(GGUF_Q4_K) CASE(GGUF_Q5_K) CASE(GGUF_Q6_K) \
    CASE(GGUF_IQ4_NL) CASE(GGUF_IQ4_XS) CASE(GGUF_MXFP4)

/* Where row r belongs of a file that has each head's D rows as pairs, 0, D/2, 1, D/2 + 1, ... */
static BOTH inline int paired_row(int r, int D) {
    return D ? r / D * D + r % 2 * (D / 2) + r % D / 2 : r;
}

/* ---- Scales ---------------------------------------------------------------------------------- */

static BOTH inline uint16_t two_bytes(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static BOTH inline float half_at(const uint8_t *p) { return half_float(two_bytes(p)); }

/* 2^(e - 128). */
static BOTH inline float power_of_2(uint8_t e) {
    return e < 2 ? bits_float(0x00200000u << e) : bits_float((uint32_t)(e - 1) << 23);
}

/* Q4_K's and Q5_K's 8 scales and 8 minima of 6 bits, in 12 bytes. */
static BOTH inline int scale_k4(const uint8_t *p, int g) {
    return g < 4 ? p[g] & 63 : (p[g + 4] & 15) | p[g - 4] >> 6 << 4;
}
static BOTH inline int minimum_k4(const uint8_t *p, int g) {
    return g < 4 ? p[g + 4] & 63 : p[g + 4] >> 4 | p[g] >> 6 << 4;
}

/* Q3_K's 16 scales of 6 bits, in 12 bytes: 4 bits of each, then 2. */
static BOTH inline int scale_k3(const uint8_t *p, int g) {
    return (p[g % 8] >> g / 8 * 4 & 15) + ((p[8 + g % 4] >> g / 4 * 2 & 3) << 4) - 32;
}

/* IQ4_XS's 8 scales of 6 bits: 2 bits of each from byte 2 on, 4 bits of each from byte 4 on. */
static BOTH inline int scale_iq4(const uint8_t *p, int g) {
    return (p[4 + g / 2] >> g % 2 * 4 & 15) + ((two_bytes(p + 2) >> g * 2 & 3) << 4) - 32;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* What 4 bits stand for in IQ4_NL and IQ4_XS; in MXFP4 (twice that). */
static BOTH inline int iq4_value(int q) {
    const int8_t values[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                1, 13, 25, 38, 53, 69, 89, 113 };
    return values[q];
}
static BOTH inline int mxfp4_value(int q) {
    const int8_t values[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    return values[q];
}

/* Number k of 32 whose first 16 have the lower 4 bits of 16 bytes; and a bit each of 4 bytes. */
static BOTH inline int nibble(const uint8_t *q, int k) { return q[k % 16] >> k / 16 * 4 & 15; }
static BOTH inline int fifth_bit(const uint8_t *q, int k) { return (q[k / 8] >> k % 8 & 1) << 4; }

/* Number k of a block of 256. */
static BOTH inline float block_value_k(int type, const uint8_t *p, int k) {
    const int g = k / 32, l = k % 32;            /* a group of 32 */
    const int half = k / 128, part = k % 128 / 32;
    switch (type) {
    case GGUF_Q2_K:
        return half_at(p + 80) * (p[k / 16] & 15) * (p[16 + half * 32 + l] >> part * 2 & 3)
             - half_at(p + 82) * (p[k / 16] >> 4);
    case GGUF_Q3_K:
        return half_at(p + 108) * scale_k3(p + 96, k / 16)
             * ((p[32 + half * 32 + l] >> part * 2 & 3) - (p[l] >> g & 1 ? 0 : 4));
    case GGUF_Q4_K:
        return half_at(p) * scale_k4(p + 4, g) * (p[16 + g / 2 * 32 + l] >> g % 2 * 4 & 15)
             - half_at(p + 2) * minimum_k4(p + 4, g);
    case GGUF_Q5_K:
        return half_at(p) * scale_k4(p + 4, g)
             * ((p[48 + g / 2 * 32 + l] >> g % 2 * 4 & 15) + (p[16 + l] >> g & 1) * 16)
             - half_at(p + 2) * minimum_k4(p + 4, g);
    case GGUF_Q6_K:
        return half_at(p + 208) * (int8_t)p[192 + k / 16]
             * ((p[half * 64 + k % 64] >> part / 2 * 4 & 15)
                + ((p[128 + half * 32 + l] >> part * 2 & 3) << 4) - 32);
    default:                                     /* GGUF_IQ4_XS */
        return half_at(p) * scale_iq4(p, g) * iq4_value(nibble(p + 8 + g * 16, l));
    }
}

/* Number k of the block at p. */
static BOTH inline float block_value(int type, const uint8_t *p, int k) {
    switch (type) {
    case GGUF_F32:    return bits_float(two_bytes(p) | (uint32_t)two_bytes(p + 2) << 16);
    case GGUF_F16:    return half_at(p);
    case GGUF_BF16:   return bits_float((uint32_t)two_bytes(p) << 16);
    case GGUF_Q4_0:   return half_at(p) * (nibble(p + 2, k) - 8);
    case GGUF_Q4_1:   return half_at(p) * nibble(p + 4, k) + half_at(p + 2);
    case GGUF_Q5_0:   return half_at(p) * ((nibble(p + 6, k) | fifth_bit(p + 2, k)) - 16);
    case GGUF_Q5_1:   return half_at(p) * (nibble(p + 8, k) | fifth_bit(p + 4, k)) + half_at(p + 2);
    case GGUF_Q8_0:   return half_at(p) * (int8_t)p[2 + k];
    case GGUF_IQ4_NL: return half_at(p) * iq4_value(nibble(p + 2, k));
    case GGUF_MXFP4:  return power_of_2(p[0]) * mxfp4_value(nibble(p + 1, k));
    default:          return block_value_k(type, p, k);
    }
}

#endif
