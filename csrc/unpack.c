/* unpack.c: the numbers in GGUF's blocks: all of them, or those of a few rows as quant.c multiplies
   them.

   For a product, 16 bytes of each of GR rows are loaded, which have the quants of 16 or 32 numbers;
   shifts and masks leave a quant in a byte, and transposing words of four makes of them a word of
   each row. */

#include "unpack.h"

/* ---- All numbers of blocks ------------------------------------------------------------------- */

static inline __attribute__((always_inline))
void expand_as(float *out, const uint8_t *blocks, int type, size_t count) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    for (size_t b = 0; b < count; b++)
        for (int k = 0; k < numbers; k++)
            out[b * numbers + k] = block_value(type, blocks + b * bytes, k);
}

/* A case of a switch for each type, so that the compiler is told which one it is. */
#define FLOAT_TYPES(CASE) CASE(GGUF_F32) CASE(GGUF_F16) CASE(GGUF_BF16)
#define BLOCK_TYPES(CASE) \
    CASE(GGUF_Q4_0) CASE(GGUF_Q4_1) CASE(GGUF_Q5_0) CASE(GGUF_Q5_1) CASE(GGUF_Q8_0) \
    CASE(GGUF_Q2_K) CASE(GGUF_Q3_K) CASE(GGUF_Q4_K) CASE(GGUF_Q5_K) CASE(GGUF_Q6_K) \
    CASE(GGUF_IQ4_NL) CASE(GGUF_IQ4_XS) CASE(GGUF_MXFP4)

/* out = the numbers in `count` blocks. */
static void expand(float *out, const uint8_t *blocks, int type, size_t count) {
    #define EXPAND(TYPE) case TYPE: expand_as(out, blocks, TYPE, count); break;
    switch (type) { FLOAT_TYPES(EXPAND) BLOCK_TYPES(EXPAND) }
}

void dequantize(float *out, const void *blocks, int type, size_t n) {
    const int numbers = block_numbers(type), bytes = block_bytes(type), some = 4096 / numbers;
    const size_t count = n / numbers;
    #pragma omp parallel for schedule(static) num_threads(team(n))
    for (size_t b = 0; b < count; b += some)
        expand(out + b * numbers, (const uint8_t *)blocks + b * bytes, type,
               count - b < (size_t)some ? count - b : (size_t)some);
}

void embed_quant(real *out, const int *tokens, const int *positions, const void *rows,
                 const real *wpe, int type, int N, int C) {
    const int numbers = block_numbers(type);
    const size_t bytes = quant_row(type, C);
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++) {
        const uint8_t *row = (const uint8_t *)rows + tokens[n] * bytes;
        const real *p = wpe ? wpe + (size_t)positions[n] * C : NULL;
        for (int k = 0; k < C; k++) {
            const float x = block_value(type, row + k / numbers * block_bytes(type), k % numbers);
            out[(size_t)n * C + k] = to_real(x + (p ? to_float(p[k]) : 0));
        }
    }
}

/* ---- Vectors --------------------------------------------------------------------------------- */

enum { GR = LANES < 8 ? LANES : 8 };        /* rows that are unpacked at a time */

typedef uint32_t words __attribute__((vector_size(4 * GR), may_alias));      /* one of each row */
typedef int32_t wholes __attribute__((vector_size(4 * GR), may_alias));
typedef float floats __attribute__((vector_size(4 * GR), may_alias));
typedef struct { const uint8_t *first; size_t stride; } Rows;    /* where each row's block is */

static inline const uint8_t *row(Rows p, int i) { return p.first + i * p.stride; }

/* The lower halves of a and b, one word from each in turn; or the upper ones; or by two words. All
   that in each 16 bytes on their own. */
#if LANES >= 8
#define BY_4(i, j, k, l) i, j, k, l, i + 4, j + 4, k + 4, l + 4
#else
#define BY_4(i, j, k, l) i, j, k, l
#endif
#ifdef __clang__
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define MIX(a, b, ...) __builtin_shuffle(a, b, (words){ __VA_ARGS__ })
#endif

/* Words of four rows, and of four more in the other 16 bytes, become words of each row. */
static inline __attribute__((always_inline)) void transpose_4(words y[4]) {
    words a = MIX(y[0], y[1], BY_4(0, GR, 1, GR + 1)), b = MIX(y[2], y[3], BY_4(0, GR, 1, GR + 1));
    words c = MIX(y[0], y[1], BY_4(2, GR + 2, 3, GR + 3));
    words d = MIX(y[2], y[3], BY_4(2, GR + 2, 3, GR + 3));
    y[0] = MIX(a, b, BY_4(0, 1, GR, GR + 1)); y[1] = MIX(a, b, BY_4(2, 3, GR + 2, GR + 3));
    y[2] = MIX(c, d, BY_4(0, 1, GR, GR + 1)); y[3] = MIX(c, d, BY_4(2, 3, GR + 2, GR + 3));
}

/* Four steps of a panel. */
static inline __attribute__((always_inline)) void store_4(uint8_t *panel, const words y[4]) {
    memcpy(panel, &y[0], sizeof y[0]);
    memcpy(panel + STEP * LANES, &y[1], sizeof y[1]);
    memcpy(panel + 2 * STEP * LANES, &y[2], sizeof y[2]);
    memcpy(panel + 3 * STEP * LANES, &y[3], sizeof y[3]);
}

/* 16 bytes of each row: of rows i and i + 4 in y[i]. */
static inline __attribute__((always_inline)) void load_rows(words y[4], Rows p, int at) {
    for (int i = 0; i < 4; i++) {
#ifdef __AVX2__
        y[i] = (words)_mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(row(p, i) + at))),
            _mm_loadu_si128((const __m128i *)(row(p, i + 4) + at)), 1);
#else
        for (int j = 0; j < GR / 4; j++)
            memcpy((char *)&y[i] + 16 * j, row(p, i + 4 * j) + at, 16);
#endif
    }
}

/* Four bytes of each row. */
#define WORD(p, i, at) word(row(p, i) + (at))
#define WORDS_4(p, i, at) WORD(p, i, at), WORD(p, i + 1, at), WORD(p, i + 2, at), WORD(p, i + 3, at)
#if LANES >= 8
#define WORDS(p, at) ((words){ WORDS_4(p, 0, at), WORDS_4(p, 4, at) })
#else
#define WORDS(p, at) ((words){ WORDS_4(p, 0, at) })
#endif

/* half_float of the lower 16 bits. */
static inline __attribute__((always_inline)) floats half_floats(words x) {
    const words rest = (x & 0x7fff) << 13, special = (words)(rest >= 0x0f800000);
    const words y = (words)((floats)rest * 0x1p112f);
    return (floats)((y & ~special) | ((rest | 0x7f800000) & special) | (x & 0x8000) << 16);
}

static inline __attribute__((always_inline)) floats whole_floats(words x) {
    return __builtin_convertvector((wholes)x, floats);
}

/* ---- Types ----------------------------------------------------------------------------------- */

static inline __attribute__((always_inline))
void put(uint8_t *panel, int type, int s, int half, floats d, floats m) {
    float *to = (float *)(panel + s * panel_bytes(type) + Q * LANES) + half * 2 * LANES;
    memcpy(to, &d, sizeof d);
    memcpy(to + LANES, &m, sizeof m);
}

/* Q4_K's and Q5_K's, as scale_k4 and minimum_k4 find them. */
static inline __attribute__((always_inline))
void scales_k4(uint8_t *panel, Rows p, int type) {
    const words both = WORDS(p, 0), low = WORDS(p, 4), high = WORDS(p, 8), top = WORDS(p, 12);
    const floats d = half_floats(both & 0xffff), m = half_floats(both >> 16);
    for (int g = 0; g < 4; g++) {
        const int at = 8 * g;
        put(panel, type, g, 0,
            d * whole_floats(low >> at & 63), -m * whole_floats(high >> at & 63));
        put(panel, type, g + 4, 0,
            d * whole_floats((top >> at & 15) | (low >> (at + 6) & 3) << 4),
            -m * whole_floats((top >> (at + 4) & 15) | (high >> (at + 6) & 3) << 4));
    }
}

/* The scales of a block of 16 groups. */
static inline __attribute__((always_inline))
void scales_16(uint8_t *panel, Rows p, int type) {
    words y[4], w = type == GGUF_Q6_K ? WORDS(p, 206) >> 16
                  : type == GGUF_Q3_K ? WORDS(p, 106) >> 16 : WORDS(p, 80);
    const floats d = half_floats(w & 0xffff), m = half_floats(w >> 16);
    if (type == GGUF_Q3_K) {
        y[0] = WORDS(p, 96); y[1] = WORDS(p, 100); y[2] = WORDS(p, 104);
    } else {
        load_rows(y, p, type == GGUF_Q6_K ? 192 : 0);
        transpose_4(y);
    }
    for (int g = 0; g < 16; g++) {
        const int at = g % 4 * 8;
        if (type == GGUF_Q2_K) {
            w = y[g / 4] >> at;
            put(panel, type, g / 2, g % 2,
                d * whole_floats(w & 15), -m * whole_floats(w >> 4 & 15));
            continue;
        }
        if (type == GGUF_Q6_K) w = (words)((wholes)(y[g / 4] << (24 - at)) >> 24);
        else w = (y[g % 8 / 4] >> (at + g / 8 * 4) & 15)
               + ((y[2] >> (at + g / 4 * 2) & 3) << 4) - 32;
        const floats scale = d * whole_floats(w);
        put(panel, type, g / 2, g % 2, scale, scale * (type == GGUF_Q6_K ? -32.f : -4.f));
    }
}

/* d and m of a block. */
static inline __attribute__((always_inline))
void scales(uint8_t *panel, Rows p, int type) {
    if (type == GGUF_Q4_K || type == GGUF_Q5_K) { scales_k4(panel, p, type); return; }
    if (is_halved(type)) { scales_16(panel, p, type); return; }
    const words w = WORDS(p, 0);
    floats d = half_floats(w & 0xffff);
    if (type == GGUF_Q4_1 || type == GGUF_Q5_1) {
        put(panel, type, 0, 0, d, half_floats(w >> 16));
    } else if (type == GGUF_IQ4_XS) {
        const words low = WORDS(p, 4);
        for (int g = 0; g < 8; g++) {
            const words scale = (low >> 4 * g & 15) + ((w >> (16 + 2 * g) & 3) << 4) - 32;
            const floats by = d * whole_floats(scale);
            put(panel, type, g, 0, by, by * -(float)MOVED);
        }
    } else {
        if (type == GGUF_MXFP4)                  /* power_of_2 */
            for (int i = 0; i < GR; i++) d[i] = power_of_2(w[i] & 255);
        put(panel, type, 0, 0, d, d * (type == GGUF_Q4_0 ? -8.f : type == GGUF_Q5_0 ? -16.f
                                       : type == GGUF_MXFP4 ? -12.f : -(float)MOVED));
    }
}

/* Each byte of x, below 16, becomes what it stands for. */
static inline __attribute__((always_inline)) words look_up(words x, int type) {
    uint8_t table[16];
    for (int i = 0; i < 16; i++)
        table[i] = (uint8_t)(type == GGUF_MXFP4 ? mxfp4_value(i) + 12 : iq4_value(i) + MOVED);
#ifdef __AVX2__
    const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    return (words)_mm256_shuffle_epi8(both, (__m256i)x);
#else
    uint8_t y[4 * GR];
    memcpy(y, &x, sizeof y);
    for (int i = 0; i < 4 * GR; i++) y[i] = table[y[i]];
    memcpy(&x, y, sizeof x);
    return x;
#endif
}

#define B1 0x01010101u               /* a byte four times */

/* y = the 16 quants that are number g of a block, as load_rows has them. */
static inline __attribute__((always_inline))
void quants(words y[4], Rows p, int type, int g) {
    const int half = g / 8, part = g % 8 / 2, l = g % 2 * 16;    /* of 256: as in block_value_k */
    words z[4];
    switch (type) {
    case GGUF_Q8_0:   load_rows(y, p, 2 + 16 * g); break;
    case GGUF_Q4_0:
    case GGUF_IQ4_NL: load_rows(y, p, 2); break;
    case GGUF_Q4_1:   load_rows(y, p, 4); break;
    case GGUF_Q5_0:   load_rows(y, p, 6); break;
    case GGUF_Q5_1:   load_rows(y, p, 8); break;
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
        if (type == GGUF_Q5_K) y[i] |= (z[i] >> g / 2 & B1) << 4;
        if (type == GGUF_Q6_K) y[i] |= (z[i] >> 2 * part & 3 * B1) << 4;
        if (type == GGUF_IQ4_NL || type == GGUF_IQ4_XS || type == GGUF_MXFP4)
            y[i] = look_up(y[i], type);
    }
}

/* The blocks of GR rows become a panel's. Rows are read side by side, too short a way for a CPU to
   foresee where it goes on: with the next rows, which are asked for one line after the other. */
static inline __attribute__((always_inline))
void unpack_as(uint8_t *panel, Rows p, const uint8_t *next, int type, int blocks) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    for (int b = 0; b < blocks; b++, panel += numbers / Q * panel_bytes(type)) {
        for (int line = 0; line < GR * bytes; line += 64) __builtin_prefetch(next + line);
        next += GR * bytes;
        scales(panel, p, type);
        for (int g = 0; g < numbers / 16; g++) {
            words y[4];
            quants(y, p, type, g);
            transpose_4(y);
            if (type == GGUF_Q5_0 || type == GGUF_Q5_1) {        /* four bits to four bytes */
                const words fifth = WORDS(p, type == GGUF_Q5_0 ? 2 : 4) >> 16 * g;
                for (int i = 0; i < 4; i++)
                    y[i] |= (fifth >> 4 * i & 15) * 0x02040810 & 16 * B1;
            }
            store_4(panel + g / 2 * panel_bytes(type) + g % 2 * 16 * LANES, y);
        }
        p.first += bytes;
    }
}

/* Numbers in float, four of a row at a time: LANES of each. A row may end before. */
static inline __attribute__((always_inline))
void unpack_floats(float *panel, Rows p, int type, int count) {
    const int bytes = block_bytes(type);
    for (int k = 0; k < count; k += 4, panel += 4 * LANES) {
        const int n = min_int(4, count - k);
        words y[4] = { { 0 } };
        for (int i = 0; i < GR; i++) {
            uint8_t four[16] = { 0 };
            if (n == 4) memcpy(four, row(p, i), 4 * bytes);
            else memcpy(four, row(p, i), n * bytes);
            for (int j = 0; j < 4; j++)
                y[i % 4][i / 4 * 4 + j] = float_bits(block_value(type, four + j * bytes, 0));
        }
        p.first += 4 * bytes;
        transpose_4(y);
        for (int i = 0; i < n; i++) memcpy(panel + i * LANES, &y[i], sizeof y[i]);
    }
}

void unpack(uint8_t *panel, const uint8_t *rows, size_t stride, int type, int from, int count) {
    const int blocks = count / block_numbers(type), before = from / block_numbers(type);
    for (int h = 0; h < LANES; h += GR, panel += 4 * GR) {
        const size_t at = (size_t)before * block_bytes(type);
        const Rows p = { rows + h * stride + at, stride };
        const uint8_t *next = rows + (LANES + h) * stride + GR * at;
        #define FLOATS(TYPE) case TYPE: unpack_floats((float *)panel, p, TYPE, count); break;
        #define BLOCKS(TYPE) case TYPE: unpack_as(panel, p, next, TYPE, blocks); break;
        switch (type) { FLOAT_TYPES(FLOATS) BLOCK_TYPES(BLOCKS) }
    }
}
