/* unpack.c: the numbers in GGUF's blocks: all of them, or those of LANES rows as quant.c multiplies
   them with many. */

#include "quants.h"

/* ---- All numbers of blocks ------------------------------------------------------------------- */

INLINE void expand_as(float *out, const uint8_t *blocks, int type, size_t count) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    for (size_t b = 0; b < count; b++)
        for (int k = 0; k < numbers; k++)
            out[b * numbers + k] = block_value(type, blocks + b * bytes, k);
}

/* out = the numbers in `count` blocks. */
static void expand(float *out, const uint8_t *blocks, int type, size_t count) {
    #define CASE(T) case T: expand_as(out, blocks, T, count); break;
    switch (type) { FLOAT_TYPES(CASE) BLOCK_TYPES(CASE) }
    #undef CASE
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

/* ---- Panels ---------------------------------------------------------------------------------- */

/* The blocks of LANES rows become a panel's: quants by fours, which transposing makes a word of
   each row. Rows are read side by side, too short a way for a CPU to foresee where it goes on: with
   the next rows, which are asked for one line after the other. */
INLINE void unpack_as(Panel *panel, Rows p, const uint8_t *next, int type, int blocks) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    const int groups = numbers / Q * (1 + is_halved(type));
    uint8_t *to = panel->quants;
    for (int b = 0; b < blocks; b++, p.first += bytes, next += LANES * bytes) {
        for (int line = 0; line < LANES * bytes; line += 64) __builtin_prefetch(next + line);
        load_scales(panel->scales + b * groups * 2 * LANES, p, type);
        UNROLL(16)
        for (int g = 0; g < numbers / 16; g++, to += 16 * LANES) {
            lanes y[4];
            load_quants(y, p, type, g);
            transpose_4(y);
            memcpy(to, y, sizeof y);
        }
    }
}

/* Numbers in float, four of a row at a time: LANES of each. A row may end before. */
INLINE void unpack_floats(Panel *panel, Rows p, int type, int count) {
    const int bytes = block_bytes(type);
    for (int k = 0; k < count; k += 4) {
        const int n = min_int(4, count - k);
        lanes y[4] = { { 0 } };
        for (int i = 0; i < LANES; i++) {
            uint8_t four[16] = { 0 };
            if (n == 4) memcpy(four, row(p, i), 4 * bytes);
            else memcpy(four, row(p, i), n * bytes);
            for (int j = 0; j < 4; j++)
                y[i % 4][i / 4 * 4 + j] = float_bits(block_value(type, four + j * bytes, 0));
        }
        p.first += 4 * bytes;
        transpose_4(y);
        memcpy((float *)panel->quants + k * LANES, y, n * sizeof *y);
    }
}

void unpack(Panel *panel, const uint8_t *rows, size_t stride, int type, int from, int count) {
    const int blocks = count / block_numbers(type);
    const size_t at = (size_t)(from / block_numbers(type)) * block_bytes(type);
    const Rows p = { rows + at, stride };
    const uint8_t *next = rows + LANES * (stride + at);
    #define FLOATS(T) case T: unpack_floats(panel, p, T, count); break;
    #define QUANTS(T) case T: unpack_as(panel, p, next, T, blocks); break;
    switch (type) { FLOAT_TYPES(FLOATS) BLOCK_TYPES(QUANTS) }
}
