/* unpack.h: how a product wants the numbers of blocks; shared by unpack.c, which lays them out so,
   and quant.c, which multiplies. */

#ifndef UNPACK_H
#define UNPACK_H

#include "vectors.h"
#include "blocks.h"

#if defined __AVX2__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

enum {
    Q = 32,                          /* numbers that inputs have a scale for */
    STEP = 4                         /* of them are a word */
};

/* Where 8 bits have a sign: dpbusd wants none, so they are moved up, and m brings them back. */
#if defined __AVX512VNNI__ && LANES == 16 || defined __AVXVNNI__ && LANES == 8
enum { MOVED = 128 };
#else
enum { MOVED = 0 };
#endif

static inline uint32_t word(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }

static inline int is_float(int type) {
    return type == GGUF_F32 || type == GGUF_F16 || type == GGUF_BF16;
}
static inline int is_signed(int type) {
    return type == GGUF_Q8_0 || type == GGUF_IQ4_NL || type == GGUF_IQ4_XS;
}
/* Groups of 16 numbers, not of 32, have a d and an m. */
static inline int is_halved(int type) {
    return type == GGUF_Q2_K || type == GGUF_Q3_K || type == GGUF_Q6_K;
}

/* Bytes that a panel has for each Q numbers of its LANES rows: a word of each row for each step,
   then d (LANES) and m (LANES), twice if they are of halves. */
static inline size_t panel_bytes(int type) { return (Q + (is_halved(type) ? 16 : 8)) * LANES; }

/* panel = numbers from..from + count of each of LANES rows, `stride` bytes apart. F32, F16 and BF16
   become float: LANES of each k. */
#pragma GCC visibility push(hidden)
void unpack(uint8_t *panel, const uint8_t *rows, size_t stride, int type, int from, int count);
#pragma GCC visibility pop

#endif
