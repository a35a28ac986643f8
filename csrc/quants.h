/* quants.h: LANES rows of a weight at a time, whose quants and scales become vectors, type by type;
   for unpack.c, which lays them out for many rows of inputs, and quant.c, which multiplies.

   16 bytes of each row are loaded, which have the quants of 16 or 32 numbers; shifts and masks
   leave a quant in a byte. */

#ifndef QUANTS_H
#define QUANTS_H

#include "vectors.h"
#include "blocks.h"

enum {
    Q = 32,                          /* numbers that inputs have a scale for */
    STEP = 4,                        /* of them are a word */
    GROUPS = 16,                     /* a block has a d and an m of, at most */
    KC = 1024                        /* of a row are in a panel, which fits L1 */
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

/* ---- Vectors --------------------------------------------------------------------------------- */

#define INLINE static inline __attribute__((always_inline))
#define PRAGMA(words) _Pragma(#words)
#if LANES < 8                        /* it would take the compiler minutes */
#define UNROLL(times)
#elif defined __clang__
#define UNROLL(times) PRAGMA(unroll times)
#else
#define UNROLL(times) PRAGMA(GCC unroll times)
#endif

typedef int32_t ints __attribute__((vector_size(4 * LANES), may_alias));

/* KC numbers of each of LANES rows: a word of each row for each STEP, then the next; and of each
   group d (LANES), m (LANES). Of F32, F16 and BF16 KC / 4 floats of each row are in the quants'
   place. */
typedef struct {
    uint8_t quants[KC * LANES] __attribute__((aligned(64)));
    float scales[KC / GROUPS * 2 * LANES];
} Panel;

/* panel = numbers from..from + count of each of LANES rows, `stride` bytes apart. (unpack.c) */
#pragma GCC visibility push(hidden)
void unpack(Panel *panel, const uint8_t *rows, size_t stride, int type, int from, int count);
#pragma GCC visibility pop

typedef struct { const uint8_t *first; size_t stride; } Rows;    /* where each row's block is */

static inline const uint8_t *row(Rows p, int i) { return p.first + i * p.stride; }

/* Words of a and b in any order, but in each 16 bytes on their own. */
#if LANES == 16
#define BY_4(i, j, k, l) i, j, k, l, i + 4, j + 4, k + 4, l + 4, \
                         i + 8, j + 8, k + 8, l + 8, i + 12, j + 12, k + 12, l + 12
#elif LANES == 8
#define BY_4(i, j, k, l) i, j, k, l, i + 4, j + 4, k + 4, l + 4
#else
#define BY_4(i, j, k, l) i, j, k, l
#endif
#ifdef __clang__
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define MIX(a, b, ...) __builtin_shuffle(a, b, (lanes){ __VA_ARGS__ })
#endif
#define FIRST_WORDS(a, b) MIX(a, b, BY_4(0, LANES, 1, LANES + 1))
#define LAST_WORDS(a, b) MIX(a, b, BY_4(2, LANES + 2, 3, LANES + 3))
#define FIRST_PAIRS(a, b) MIX(a, b, BY_4(0, 1, LANES, LANES + 1))
#define LAST_PAIRS(a, b) MIX(a, b, BY_4(2, 3, LANES + 2, LANES + 3))

/* 16 bytes of each row: of rows i, i + 4, ... in y[i]. */
INLINE void load_rows(lanes y[4], Rows p, int at) {
    for (int i = 0; i < 4; i++) {
#if defined __AVX512F__ && LANES == 16
        #define OF(j) _mm_loadu_si128((const __m128i *)(row(p, i + j) + at))
        const __m512i low = _mm512_inserti32x4(_mm512_castsi128_si512(OF(0)), OF(4), 1);
        y[i] = (lanes)_mm512_inserti32x4(_mm512_inserti32x4(low, OF(8), 2), OF(12), 3);
#elif defined __AVX2__ && LANES == 8
        #define OF(j) _mm_loadu_si128((const __m128i *)(row(p, i + j) + at))
        y[i] = (lanes)_mm256_inserti128_si256(_mm256_castsi128_si256(OF(0)), OF(4), 1);
#else
        for (int j = 0; j < LANES / 4; j++)
            memcpy((char *)&y[i] + 16 * j, row(p, i + 4 * j) + at, 16);
#endif
    }
}

/* The same 16 bytes for each row. */
INLINE lanes repeat_16(const void *bytes) {
#if defined __AVX512F__ && LANES == 16
    return (lanes)_mm512_broadcast_i32x4(_mm_loadu_si128(bytes));
#elif defined __AVX2__ && LANES == 8
    return (lanes)_mm256_broadcastsi128_si256(_mm_loadu_si128(bytes));
#else
    lanes x;
    for (int j = 0; j < LANES / 4; j++) memcpy((char *)&x + 16 * j, bytes, 16);
    return x;
#endif
}

/* Words of rows i, i + 4, ... become word i of each row. */
INLINE void transpose_4(lanes y[4]) {
    const lanes a = FIRST_WORDS(y[0], y[1]), b = FIRST_WORDS(y[2], y[3]);
    const lanes c = LAST_WORDS(y[0], y[1]), d = LAST_WORDS(y[2], y[3]);
    y[0] = FIRST_PAIRS(a, b); y[1] = LAST_PAIRS(a, b);
    y[2] = FIRST_PAIRS(c, d); y[3] = LAST_PAIRS(c, d);
}

/* The sums of each row's four words. */
INLINE ints sums_of_4(const ints y[4]) {
    const ints a = (ints)FIRST_WORDS((lanes)y[0], (lanes)y[1])
                 + (ints)LAST_WORDS((lanes)y[0], (lanes)y[1]);
    const ints b = (ints)FIRST_WORDS((lanes)y[2], (lanes)y[3])
                 + (ints)LAST_WORDS((lanes)y[2], (lanes)y[3]);
    return (ints)FIRST_PAIRS((lanes)a, (lanes)b) + (ints)LAST_PAIRS((lanes)a, (lanes)b);
}

/* y = the 4 words of each row from `at` on. */
INLINE void load_words(lanes y[4], Rows p, int at) {
    load_rows(y, p, at);
    transpose_4(y);
}

/* half_float of the lower 16 bits. */
INLINE vec half_floats(lanes x) { return widen_halves(__builtin_convertvector(x, halves)); }

INLINE vec whole_floats(lanes x) { return __builtin_convertvector((ints)x, vec); }

/* ---- Types ----------------------------------------------------------------------------------- */

/* d and m of group g go to scales (groups,2,LANES). */
INLINE void put(float *scales, int g, vec d, vec m) {
    *(vec *)(scales + 2 * g * LANES) = d;
    *(vec *)(scales + (2 * g + 1) * LANES) = m;
}

/* Q4_K's and Q5_K's, as scale_k4 and minimum_k4 find them. */
INLINE void scales_k4(float *scales, const lanes y[4]) {
    const vec d = half_floats(y[0]), m = half_floats(y[0] >> 16);
    for (int g = 0; g < 4; g++) {
        const int at = 8 * g;
        put(scales, g, d * whole_floats(y[1] >> at & 63), -m * whole_floats(y[2] >> at & 63));
        put(scales, g + 4,
            d * whole_floats((y[3] >> at & 15) | (y[1] >> (at + 6) & 3) << 4),
            -m * whole_floats((y[3] >> (at + 4) & 15) | (y[2] >> (at + 6) & 3) << 4));
    }
}

INLINE void scales_2(float *scales, Rows p) {
    lanes y[4], z[4];
    load_words(y, p, 0);
    load_words(z, p, 68);
    const vec d = half_floats(z[3]), m = half_floats(z[3] >> 16);
    for (int g = 0; g < 16; g++) {
        const lanes w = y[g / 4] >> g % 4 * 8;
        put(scales, g, d * whole_floats(w & 15), -m * whole_floats(w >> 4 & 15));
    }
}

INLINE void scales_3(float *scales, Rows p) {
    lanes z[4], y[3];
    load_words(z, p, 94);
    for (int i = 0; i < 3; i++) y[i] = z[i] >> 16 | z[i + 1] << 16;
    const vec d = half_floats(z[3] >> 16);
    for (int g = 0; g < 16; g++) {
        const int at = g % 4 * 8;
        const vec scale = d * whole_floats((y[g % 8 / 4] >> (at + g / 8 * 4) & 15)
                                           + ((y[2] >> (at + g / 4 * 2) & 3) << 4) - 32);
        put(scales, g, scale, scale * -4.f);
    }
}

INLINE void scales_6(float *scales, Rows p) {
    lanes y[4], z[4];
    load_words(y, p, 192);
    load_words(z, p, 194);
    const vec d = half_floats(z[3] >> 16);
    for (int g = 0; g < 16; g++) {
        const vec scale = d * whole_floats((lanes)((ints)(y[g / 4] << (24 - g % 4 * 8)) >> 24));
        put(scales, g, scale, scale * -32.f);
    }
}

/* scales (groups,2,LANES) = d and m of the groups of a block. */
INLINE void load_scales(float *scales, Rows p, int type) {
    lanes y[4];
    load_words(y, p, 0);
    vec d = half_floats(y[0]);
    switch (type) {
    case GGUF_Q4_K: case GGUF_Q5_K: scales_k4(scales, y); break;
    case GGUF_Q2_K: scales_2(scales, p); break;
    case GGUF_Q3_K: scales_3(scales, p); break;
    case GGUF_Q6_K: scales_6(scales, p); break;
    case GGUF_Q4_1: case GGUF_Q5_1: put(scales, 0, d, half_floats(y[0] >> 16)); break;
    case GGUF_Q4_0: put(scales, 0, d, d * -8.f); break;
    case GGUF_Q5_0: put(scales, 0, d, d * -16.f); break;
    case GGUF_MXFP4:
        for (int i = 0; i < LANES; i++) d[i] = power_of_2(y[0][i] & 255);
        put(scales, 0, d, d * -12.f);
        break;
    case GGUF_IQ4_XS:
        for (int g = 0; g < 8; g++) {
            const vec by = d * whole_floats((y[1] >> 4 * g & 15)
                                            + ((y[0] >> (16 + 2 * g) & 3) << 4) - 32);
            put(scales, g, by, by * -(float)MOVED);
        }
        break;
    default:                                     /* GGUF_Q8_0, GGUF_IQ4_NL */
        put(scales, 0, d, d * -(float)MOVED);
    }
}

/* Each byte of x, below 16, becomes what it stands for. */
INLINE lanes look_up(lanes x, int type) {
    uint8_t table[16];
    for (int i = 0; i < 16; i++)
        table[i] = (uint8_t)(type == GGUF_MXFP4 ? mxfp4_value(i) + 12 : iq4_value(i) + MOVED);
#if defined __AVX512BW__ && LANES == 16
    return (lanes)_mm512_shuffle_epi8((__m512i)repeat_16(table), (__m512i)x);
#elif defined __AVX2__ && LANES == 8
    return (lanes)_mm256_shuffle_epi8((__m256i)repeat_16(table), (__m256i)x);
#else
    uint8_t y[4 * LANES];
    memcpy(y, &x, sizeof y);
    for (int i = 0; i < 4 * LANES; i++) y[i] = table[y[i]];
    memcpy(&x, y, sizeof x);
    return x;
#endif
}

#define B1 0x01010101u               /* a byte four times */

/* The fifth bits of 16 quants: number g of the two bytes of each row from `at` on. */
INLINE void load_fifths(lanes y[4], Rows p, int at, int g) {
    const lanes shift = repeat_16((const uint32_t[]){ 0, 4, 8, 12 });
    load_rows(y, p, at);
    for (int i = 0; i < 4; i++) {                /* four bits to four bytes */
        const lanes bits = MIX(y[i], y[i], BY_4(0, 0, 0, 0)) >> 16 * g >> shift & 15;
        y[i] = bits * 0x02040810 & 16 * B1;
    }
}

/* y = the 16 quants that are number g of a block, as load_rows has them. */
INLINE void load_quants(lanes y[4], Rows p, int type, int g) {
    const int half = g / 8, part = g % 8 / 2, l = g % 2 * 16;    /* of 256: as in block_value_k */
    lanes z[4];
    switch (type) {
    case GGUF_Q8_0:   load_rows(y, p, 2 + 16 * g); break;
    case GGUF_Q4_0:
    case GGUF_IQ4_NL: load_rows(y, p, 2); break;
    case GGUF_Q4_1:   load_rows(y, p, 4); break;
    case GGUF_Q5_0:   load_rows(y, p, 6); load_fifths(z, p, 2, g); break;
    case GGUF_Q5_1:   load_rows(y, p, 8); load_fifths(z, p, 4, g); break;
    case GGUF_MXFP4:  load_rows(y, p, 1); break;
    case GGUF_IQ4_XS: load_rows(y, p, 8 + g / 2 * 16); break;
    case GGUF_Q4_K:   load_rows(y, p, 16 + g / 4 * 32 + l); break;
    case GGUF_Q5_K:   load_rows(y, p, 48 + g / 4 * 32 + l); load_rows(z, p, 16 + l); break;
    case GGUF_Q6_K:   load_rows(y, p, half * 64 + part % 2 * 32 + l);
                      load_rows(z, p, 128 + half * 32 + l); break;
    case GGUF_Q2_K:   load_rows(y, p, 16 + half * 32 + l); break;
    case GGUF_Q3_K:   load_rows(y, p, 32 + half * 32 + l); load_rows(z, p, l); break;
    }
    for (int i = 0; i < 4; i++) {
        const int shift = type == GGUF_Q6_K ? part / 2 * 4 : block_numbers(type) == 32
                        || type == GGUF_IQ4_XS ? g % 2 * 4 : g / 2 % 2 * 4;
        switch (type) {
        case GGUF_Q8_0:   y[i] ^= MOVED * B1; break;
        case GGUF_Q2_K:   y[i] = y[i] >> 2 * part & 3 * B1; break;
        case GGUF_Q3_K:   y[i] = (y[i] >> 2 * part & 3 * B1) | (z[i] >> g / 2 & B1) << 2; break;
        default:          y[i] = y[i] >> shift & 15 * B1;
        }
        if (type == GGUF_Q5_0 || type == GGUF_Q5_1) y[i] |= z[i];
        if (type == GGUF_Q5_K) y[i] |= (z[i] >> g / 2 & B1) << 4;
        if (type == GGUF_Q6_K) y[i] |= (z[i] >> 2 * part & 3 * B1) << 4;
        if (type == GGUF_IQ4_NL || type == GGUF_IQ4_XS || type == GGUF_MXFP4)
            y[i] = look_up(y[i], type);
    }
}

#endif
