/* quant.c: linear layers whose weights lie in GGUF's blocks, read where they lie.

   Of the inputs, Q numbers at a time share a scale and become 8 bits. Each type of block is, for 32
   or 16 numbers, x = d q + m with small whole q, so a sum of products is
   sum of blocks  (d_weight d_input) sum(q_weight q_input) + m_weight (d_input sum(q_input)),
   of which the sums are of whole numbers, exact, and take an instruction for 64 or 128 products.

   The naive loop is quant_naive below. The fast one works by panels, as in matmul.c: LANES rows of
   the weight are unpacked, KC numbers of each, so that four of a row's q are one of LANES words, and
   their d and m are vectors; then the panel, in the L1 cache, meets the inputs, MR rows at a time.
   Each sum has one owner and one order, whatever the rows and threads are. */

#include "vectors.h"
#include "blocks.h"

#if defined __AVX2__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

enum {
    Q = 32,                          /* inputs that share a scale */
    STEP = 4,                        /* of them in a word */
    KC = 1024,                       /* numbers of a row: a panel, 1.5 * KC * LANES bytes, fits L1 */
    NB = 128,                        /* rows of inputs, which stay in L2, that a panel meets */
    MR = LANES == 16 ? 12 : LANES == 8 ? 4 : 6,  /* at a time: their sums fit the registers */
    GR = LANES < 8 ? LANES : 8       /* rows that are unpacked at a time */
};

static int is_float(int type) {
    return type == GGUF_F32 || type == GGUF_F16 || type == GGUF_BF16;
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

/* What a product needs to know of Q numbers: d times their quants is what they were. The sums, of
   all and of each half, are d times those of the quants. */
typedef struct { float d, sum, sums[2]; } Scale;

/* Rows of scales, then rows of quants. */
typedef struct { const Scale *scales; const int8_t *quants; int S; } Inputs;     /* S scales a row */

static Inputs inputs_of(const void *q8, int N, int C) {
    const Scale *scales = q8;
    const int S = ceil_div(C, Q);
    return (Inputs){ scales, (const int8_t *)(scales + (size_t)N * S), S };
}

size_t quant_inputs_size(int N, int C) {
    return (size_t)N * ceil_div(C, Q) * (sizeof(Scale) + Q);
}

/* n numbers, and as many zeros as are missing. */
static void quantize(Scale *scale, int8_t *q, const real *inp, int n) {
    const float round = 12582912.f;              /* 1.5 * 2^23: no fraction is left */
    float x[Q] = { 0 }, most = 0, nothing = 0;
    int sums[2] = { 0 };
    for (int i = 0; i < n; i++) x[i] = to_float(inp[i]);
    #pragma omp simd reduction(max:most) reduction(+:nothing)
    for (int i = 0; i < Q; i++) {
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        nothing += x[i] * 0;                     /* or NaN */
    }
    const float d = most / 127 + nothing, inverse = most > 1e-30f ? 127 / most : 0;
    for (int i = 0; i < Q; i++)
        q[i] = (int8_t)(float_bits(x[i] * inverse + round) - float_bits(round));
    for (int i = 0; i < Q / 2; i++) { sums[0] += q[i]; sums[1] += q[i + Q / 2]; }
    *scale = (Scale){ d, d * (sums[0] + sums[1]), { d * sums[0], d * sums[1] } };
}

void quant_inputs(void *q8, const real *inp, int N, int C) {
    const Inputs x = inputs_of(q8, N, C);
    #pragma omp parallel for schedule(static) num_threads(team((size_t)N * C))
    for (int n = 0; n < N; n++)
        for (int s = 0; s < x.S; s++) {
            const size_t at = (size_t)n * x.S + s;
            quantize((Scale *)x.scales + at, (int8_t *)x.quants + at * Q,
                     inp + (size_t)n * C + s * Q, min_int(Q, C - s * Q));
        }
}

/* ---- One number at a time -------------------------------------------------------------------- */

void quant_naive(float *out, const real *inp, const void *q8, const void *weight,
                 int type, int N, int C, int rows) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    const Inputs x = inputs_of(q8, N, C);
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < N; n++) {
            const uint8_t *row = (const uint8_t *)weight + (size_t)r * C / numbers * bytes;
            double sum = 0;
            for (int k = 0; k < C; k++) {
                const size_t at = (size_t)n * x.S * Q + k;
                const float w = block_value(type, row + (size_t)k / numbers * bytes, k % numbers);
                sum += (double)w * (is_float(type) ? to_float(inp[(size_t)n * C + k])
                                                   : x.scales[at / Q].d * x.quants[at]);
            }
            out[(size_t)n * rows + r] = (float)sum;
        }
}

/* ---- Unpacking: vectors ---------------------------------------------------------------------- */

typedef uint32_t words __attribute__((vector_size(4 * GR), may_alias));      /* one of each row */
typedef int32_t wholes __attribute__((vector_size(4 * GR), may_alias));
typedef float floats __attribute__((vector_size(4 * GR), may_alias));
typedef const uint8_t *Rows[GR];     /* where each row's block is */

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

/* 16 bytes of each row: of rows i and i + 4 in y[i]. */
static inline __attribute__((always_inline)) void load_rows(words y[4], const Rows p, int at) {
    for (int i = 0; i < 4; i++) {
#ifdef __AVX2__
        y[i] = (words)_mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(p[i] + at))),
            _mm_loadu_si128((const __m128i *)(p[i + 4] + at)), 1);
#else
        for (int j = 0; j < GR / 4; j++)
            memcpy((char *)&y[i] + 16 * j, p[i + 4 * j] + at, 16);
#endif
    }
}

static inline uint32_t word(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }

/* Four bytes of each row. */
#if LANES >= 8
#define WORDS(p, at) ((words){ word(p[0] + (at)), word(p[1] + (at)), word(p[2] + (at)),            \
                               word(p[3] + (at)), word(p[4] + (at)), word(p[5] + (at)),            \
                               word(p[6] + (at)), word(p[7] + (at)) })
#else
#define WORDS(p, at) ((words){ word(p[0] + (at)), word(p[1] + (at)), word(p[2] + (at)),            \
                               word(p[3] + (at)) })
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

/* ---- Unpacking: types ------------------------------------------------------------------------ */

/* 8 bits that have a sign. dpbusd wants none: they are moved up, and m brings them back. */
#if defined __AVX512VNNI__ && LANES == 16 || defined __AVXVNNI__ && LANES == 8
enum { MOVED = 128 };
#else
enum { MOVED = 0 };
#endif

static inline int is_signed(int type) {
    return type == GGUF_Q8_0 || type == GGUF_IQ4_NL || type == GGUF_IQ4_XS;
}
/* Groups of 16 numbers, not of 32, have a d and an m. */
static inline int is_halved(int type) {
    return type == GGUF_Q2_K || type == GGUF_Q3_K || type == GGUF_Q6_K;
}

/* A panel has for each Q numbers LANES words of each step, then d (LANES) and m (LANES), twice if
   they are of halves. */
static inline size_t panel_bytes(int type) { return (Q + (is_halved(type) ? 16 : 8)) * LANES; }

static inline __attribute__((always_inline))
void put(uint8_t *panel, int type, int s, int half, floats d, floats m) {
    float *to = (float *)(panel + s * panel_bytes(type) + Q * LANES) + half * 2 * LANES;
    memcpy(to, &d, sizeof d);
    memcpy(to + LANES, &m, sizeof m);
}

/* Q4_K's and Q5_K's, as scale_k4 and minimum_k4 find them. */
static inline __attribute__((always_inline))
void scales_k4(uint8_t *panel, const Rows p, int type) {
    const words both = WORDS(p, 0), low = WORDS(p, 4), high = WORDS(p, 8), top = WORDS(p, 12);
    const floats d = half_floats(both & 0xffff), m = half_floats(both >> 16);
    for (int g = 0; g < 4; g++) {
        const int at = 8 * g;
        put(panel, type, g, 0, d * whole_floats(low >> at & 63), -m * whole_floats(high >> at & 63));
        put(panel, type, g + 4, 0,
            d * whole_floats((top >> at & 15) | (low >> (at + 6) & 3) << 4),
            -m * whole_floats((top >> (at + 4) & 15) | (high >> (at + 6) & 3) << 4));
    }
}

/* The scales of a block of 16 groups. */
static inline __attribute__((always_inline))
void scales_16(uint8_t *panel, const Rows p, int type) {
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
            put(panel, type, g / 2, g % 2, d * whole_floats(w & 15), -m * whole_floats(w >> 4 & 15));
            continue;
        }
        if (type == GGUF_Q6_K) w = (words)((wholes)(y[g / 4] << (24 - at)) >> 24);
        else w = (y[g % 8 / 4] >> (at + g / 8 * 4) & 15) + ((y[2] >> (at + g / 4 * 2) & 3) << 4) - 32;
        const floats scale = d * whole_floats(w);
        put(panel, type, g / 2, g % 2, scale, scale * (type == GGUF_Q6_K ? -32.f : -4.f));
    }
}

/* d and m of a block. */
static inline __attribute__((always_inline))
void scales(uint8_t *panel, const Rows p, int type) {
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
            put(panel, type, g, 0, d * whole_floats(scale), d * whole_floats(scale) * -(float)MOVED);
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

enum { B1 = 0x01010101 };            /* a byte four times */

/* y = the 16 quants that are number g of a block, as load_rows has them. */
static inline __attribute__((always_inline))
void quants(words y[4], const Rows p, int type, int g) {
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

/* The blocks of GR rows become a panel's. */
static inline __attribute__((always_inline))
void unpack_as(uint8_t *panel, Rows p, int type, int blocks) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    for (int b = 0; b < blocks; b++, panel += numbers / Q * panel_bytes(type)) {
        scales(panel, p, type);
        for (int g = 0; g < numbers / 16; g++) {
            words y[4];
            uint8_t *to = panel + g / 2 * panel_bytes(type) + g % 2 * 16 * LANES;
            quants(y, p, type, g);
            transpose_4(y);
            for (int i = 0; i < 4; i++) {
                if (type == GGUF_Q5_0 || type == GGUF_Q5_1) {    /* four bits to four bytes */
                    const words fifth = WORDS(p, type == GGUF_Q5_0 ? 2 : 4) >> (16 * g + 4 * i);
                    y[i] |= (fifth & 15) * 0x02040810 & 16 * B1;
                }
                memcpy(to + i * STEP * LANES, &y[i], sizeof y[i]);
            }
        }
        for (int i = 0; i < GR; i++) p[i] += bytes;
    }
}

/* Numbers in float, four of a row at a time: LANES of each. */
static inline __attribute__((always_inline))
void unpack_floats(float *panel, const Rows p, int type, int count) {
    for (int k = 0; k < count; k += 4, panel += 4 * LANES) {
        words y[4] = { { 0 } };
        for (int i = 0; i < GR; i++)
            for (int j = 0; j < min_int(4, count - k); j++)
                y[i % 4][i / 4 * 4 + j] = float_bits(
                    block_value(type, p[i] + (k + j) * block_bytes(type), 0));
        transpose_4(y);
        for (int i = 0; i < 4; i++) memcpy(panel + i * LANES, &y[i], sizeof y[i]);
    }
}

/* Numbers from..from + count of LANES rows of a weight from row r on; those that are not there are
   the last row again. */
static void unpack(uint8_t *panel, const uint8_t *weight, int type, int C, int r, int rows,
                   int from, int count) {
    const size_t row = quant_row(type, C);
    const int blocks = count / block_numbers(type);
    for (int h = 0; h < LANES; h += GR, panel += 4 * GR) {
        Rows p;
        for (int i = 0; i < GR; i++)
            p[i] = weight + min_int(r + h + i, rows - 1) * row + quant_row(type, from);
        switch (type) {
        case GGUF_F32:    unpack_floats((float *)panel, p, GGUF_F32, count); break;
        case GGUF_F16:    unpack_floats((float *)panel, p, GGUF_F16, count); break;
        case GGUF_BF16:   unpack_floats((float *)panel, p, GGUF_BF16, count); break;
        case GGUF_Q4_0:   unpack_as(panel, p, GGUF_Q4_0, blocks); break;
        case GGUF_Q4_1:   unpack_as(panel, p, GGUF_Q4_1, blocks); break;
        case GGUF_Q5_0:   unpack_as(panel, p, GGUF_Q5_0, blocks); break;
        case GGUF_Q5_1:   unpack_as(panel, p, GGUF_Q5_1, blocks); break;
        case GGUF_Q8_0:   unpack_as(panel, p, GGUF_Q8_0, blocks); break;
        case GGUF_Q2_K:   unpack_as(panel, p, GGUF_Q2_K, blocks); break;
        case GGUF_Q3_K:   unpack_as(panel, p, GGUF_Q3_K, blocks); break;
        case GGUF_Q4_K:   unpack_as(panel, p, GGUF_Q4_K, blocks); break;
        case GGUF_Q5_K:   unpack_as(panel, p, GGUF_Q5_K, blocks); break;
        case GGUF_Q6_K:   unpack_as(panel, p, GGUF_Q6_K, blocks); break;
        case GGUF_IQ4_NL: unpack_as(panel, p, GGUF_IQ4_NL, blocks); break;
        case GGUF_IQ4_XS: unpack_as(panel, p, GGUF_IQ4_XS, blocks); break;
        case GGUF_MXFP4:  unpack_as(panel, p, GGUF_MXFP4, blocks); break;
        }
    }
}

/* ---- The micro-kernel ------------------------------------------------------------------------ */

typedef int32_t ints __attribute__((vector_size(4 * LANES), may_alias));
typedef int16_t shorts __attribute__((vector_size(4 * LANES), may_alias));
typedef uint16_t bits __attribute__((vector_size(4 * LANES), may_alias));

/* sum += products of four quants and four inputs, in each word. Where no instruction does that, they
   are summed by twos in 16 bits: `chain` of them, before they are widened. */
#if defined __AVX512VNNI__ && LANES == 16
typedef ints parts;
enum { DIRECT = 1 };
static inline parts dot(parts sum, lanes w, lanes x, int sign) {
    (void)sign;
    return (parts)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x);
}
static inline ints widen_parts(parts x) { return x; }
#elif defined __AVXVNNI__ && LANES == 8
typedef ints parts;
enum { DIRECT = 1 };
static inline parts dot(parts sum, lanes w, lanes x, int sign) {
    (void)sign;
    return (parts)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x);
}
static inline ints widen_parts(parts x) { return x; }
#elif defined __ARM_FEATURE_DOTPROD
typedef ints parts;
enum { DIRECT = 1 };
static inline parts dot(parts sum, lanes w, lanes x, int sign) {
    (void)sign;                                  /* q without a sign are small */
    return (parts)vdotq_s32((int32x4_t)sum, (int8x16_t)w, (int8x16_t)x);
}
static inline ints widen_parts(parts x) { return x; }
#else
typedef shorts parts;
enum { DIRECT = 0 };
static inline parts dot(parts sum, lanes w, lanes x, int sign) {
#if defined __AVX2__ && LANES == 8
    const __m256i a = (__m256i)w, b = (__m256i)x;
    return sum + (shorts)(sign ? _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(b, a))
                               : _mm256_maddubs_epi16(a, b));
#else
    const shorts low = sign ? (shorts)((bits)w << 8) >> 8 : (shorts)((bits)w & 255);
    const shorts high = sign ? (shorts)w >> 8 : (shorts)((bits)w >> 8);
    return sum + low * ((shorts)((bits)x << 8) >> 8) + high * ((shorts)x >> 8);
#endif
}
static inline ints widen_parts(parts x) {
#if defined __AVX2__ && LANES == 8
    return (ints)_mm256_madd_epi16((__m256i)x, _mm256_set1_epi16(1));
#else
    return ((ints)((lanes)x << 16) >> 16) + ((ints)x >> 16);
#endif
}
#endif

/* a b + c, rounded once where that can be, in all kernels alike: left to itself, the compiler does
   so in some and not in others. */
static inline vec fused(vec a, vec b, vec c) {
#if defined __AVX512F__ && LANES == 16
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined __FMA__ && LANES == 8
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined __aarch64__
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

static inline vec broadcast(float x) { return x - (vec){ 0 }; }

/* sums (R,LANES) = or += those of R rows of inputs, from scale s on, with S scales of a panel. What
   kind of type it is, and R, the compiler is told. */
static inline __attribute__((always_inline))
void tile_as(float *sums, const uint8_t *panel, const Inputs *x, const size_t *row, int s, int S,
             int first, int R, int sign, int halved) {
    const int chain = DIRECT ? 8 : sign ? 1 : halved ? 2 : 4, groups = halved ? 2 : 1;
    const int has_m = !sign || MOVED;
    vec acc[MR];
    for (int i = 0; i < R; i++) acc[i] = first ? (vec){ 0 } : *(vec *)(sums + i * LANES);
    for (int end = s + S; s < end; s++) {
        const float *d = (const float *)(panel + Q * LANES);
        for (int g = 0; g < groups; g++, d += 2 * LANES) {
            ints sum[MR] = { { 0 } };
            for (int c = 0; c < Q / STEP / groups; c += min_int(chain, Q / STEP / groups)) {
                parts part[MR] = { { 0 } };
                for (int k = c; k < c + min_int(chain, Q / STEP / groups); k++) {
                    const int step = g * (Q / STEP / 2) + k;
                    const lanes w = *(const lanes *)(panel + step * STEP * LANES);
                    for (int i = 0; i < R; i++) {
                        const int8_t *four = x->quants + (row[i] + s) * Q + step * STEP;
                        part[i] = dot(part[i], w, word((const uint8_t *)four) - (lanes){ 0 }, sign);
                    }
                }
                for (int i = 0; i < R; i++) sum[i] += widen_parts(part[i]);
            }
            for (int i = 0; i < R; i++) {
                const Scale *scale = &x->scales[row[i] + s];
                const vec both = *(const vec *)d * scale->d;
                acc[i] = fused(both, __builtin_convertvector(sum[i], vec), acc[i]);
                if (has_m)
                    acc[i] = fused(*(const vec *)(d + LANES),
                                   broadcast(halved ? scale->sums[g] : scale->sum), acc[i]);
            }
        }
        panel += (Q + 8 * groups) * LANES;
    }
    for (int i = 0; i < R; i++) *(vec *)(sums + i * LANES) = acc[i];
}

static inline __attribute__((always_inline))
void tile_rows(float *sums, const uint8_t *panel, const Inputs *x, const size_t *row, int s, int S,
               int first, int type, int R) {
    if (is_signed(type)) tile_as(sums, panel, x, row, s, S, first, R, 1, 0);
    else if (is_halved(type)) tile_as(sums, panel, x, row, s, S, first, R, 0, 1);
    else tile_as(sums, panel, x, row, s, S, first, R, 0, 0);
}

static inline __attribute__((always_inline))
void tile_floats(float *sums, const float *panel, const real *inp, const size_t *row, int k, int count,
                 int first, int R) {
    vec acc[MR];
    for (int i = 0; i < R; i++) acc[i] = first ? (vec){ 0 } : *(vec *)(sums + i * LANES);
    for (int end = k + count; k < end; k++, panel += LANES)
        for (int i = 0; i < R; i++)
            acc[i] = fused(*(const vec *)panel, broadcast(to_float(inp[row[i] + k])), acc[i]);
    for (int i = 0; i < R; i++) *(vec *)(sums + i * LANES) = acc[i];
}

/* ---- The product ----------------------------------------------------------------------------- */

int quant_multiplies(void) { return 1; }

/* Where the product goes: `out` or `wide`. */
typedef struct {
    real *out;
    float *wide;
    const real *bias, *residual;
    int pairs, O;
} Result;

typedef struct { const real *inp; Inputs q8; const uint8_t *weight; int type, N, C, rows; } Product;

/* Rows n.. of out, columns r.. from sums (count,LANES). */
static void write_sums(const Result *to, const float *sums, int n, int count, int r, int columns) {
    for (int i = 0; i < count; i++, sums += LANES) {
        const size_t at = (size_t)(n + i) * to->O;
        if (to->out && columns == LANES && !to->pairs) {
            vec x = *(const vec *)sums;
            if (to->bias) x += load_reals(to->bias + r);
            if (to->residual) x += load_reals(to->residual + at + r);
            store_reals(to->out + at + r, x);
            continue;
        }
        for (int j = 0; j < columns; j++) {
            const int column = paired_row(r + j, to->pairs);
            float x = sums[j];
            if (to->bias) x += to_float(to->bias[column]);
            if (to->residual) x += to_float(to->residual[at + column]);
            if (to->out) to->out[at + column] = to_real(x);
            else to->wide[at + column] = x;
        }
    }
}

/* Rows n.. of the inputs, at most NB, with the panel of rows r.. of the weight. */
static void multiply_panel(const Result *to, const Product *x, int n, int r) {
    uint8_t panel[(Q + 16) * LANES * (KC / Q)] __attribute__((aligned(64)));
    float sums[(NB + MR) * LANES] __attribute__((aligned(64)));
    const int plain = is_float(x->type), kc = plain ? KC / 4 : KC, count = min_int(NB, x->N - n);
    for (int k = 0; k < x->C; k += kc) {
        const int some = min_int(kc, x->C - k);
        unpack(panel, x->weight, x->type, x->C, r, x->rows, k, some);
        for (int i = 0; i < count; i += MR) {
            const int R = min_int(MR, count - i);
            size_t row[MR];
            float *to = sums + i * LANES;
            for (int j = 0; j < MR; j++)         /* the last one again, where there are no more */
                row[j] = (size_t)min_int(n + i + j, x->N - 1) * (plain ? x->C : x->q8.S);
            if (plain && R == 1)
                tile_floats(to, (const float *)panel, x->inp, row, k, some, k == 0, 1);
            else if (plain)
                tile_floats(to, (const float *)panel, x->inp, row, k, some, k == 0, MR);
            else if (R == 1)
                tile_rows(to, panel, &x->q8, row, k / Q, some / Q, k == 0, x->type, 1);
            else if (R == 2)
                tile_rows(to, panel, &x->q8, row, k / Q, some / Q, k == 0, x->type, 2);
            else
                tile_rows(to, panel, &x->q8, row, k / Q, some / Q, k == 0, x->type, MR);
        }
    }
    write_sums(to, sums, n, count, r, min_int(LANES, x->rows - r));
}

static void multiply(const Result to, const Product x) {
    #pragma omp parallel for collapse(2) schedule(dynamic) num_threads(team((double)x.N * x.C * x.rows))
    for (int n = 0; n < x.N; n += NB)
        for (int r = 0; r < x.rows; r += LANES)
            multiply_panel(&to, &x, n, r);
}

void quant_forward(real *out, const real *inp, const void *q8, const void *weight,
                   const real *bias, const real *residual,
                   int type, int pairs, int N, int C, int rows, int O) {
    multiply((Result){ .out = out, .bias = bias, .residual = residual, .pairs = pairs, .O = O },
             (Product){ inp, inputs_of(q8, N, C), weight, type, N, C, rows });
}

void quant_forward_float(float *out, const real *inp, const void *q8, const void *weight,
                         int type, int N, int C, int rows, int O) {
    multiply((Result){ .wide = out, .O = O },
             (Product){ inp, inputs_of(q8, N, C), weight, type, N, C, rows });
}

/* ---- All numbers of blocks ------------------------------------------------------------------- */

static inline __attribute__((always_inline))
void expand_as(float *out, const uint8_t *blocks, int type, size_t count) {
    const int numbers = block_numbers(type), bytes = block_bytes(type);
    for (size_t b = 0; b < count; b++)
        for (int k = 0; k < numbers; k++)
            out[b * numbers + k] = block_value(type, blocks + b * bytes, k);
}

/* out = the numbers in `count` blocks. The compiler is told which type it is. */
static void expand(float *out, const uint8_t *blocks, int type, size_t count) {
    switch (type) {
    case GGUF_F32:    expand_as(out, blocks, GGUF_F32, count); break;
    case GGUF_F16:    expand_as(out, blocks, GGUF_F16, count); break;
    case GGUF_BF16:   expand_as(out, blocks, GGUF_BF16, count); break;
    case GGUF_Q4_0:   expand_as(out, blocks, GGUF_Q4_0, count); break;
    case GGUF_Q4_1:   expand_as(out, blocks, GGUF_Q4_1, count); break;
    case GGUF_Q5_0:   expand_as(out, blocks, GGUF_Q5_0, count); break;
    case GGUF_Q5_1:   expand_as(out, blocks, GGUF_Q5_1, count); break;
    case GGUF_Q8_0:   expand_as(out, blocks, GGUF_Q8_0, count); break;
    case GGUF_Q2_K:   expand_as(out, blocks, GGUF_Q2_K, count); break;
    case GGUF_Q3_K:   expand_as(out, blocks, GGUF_Q3_K, count); break;
    case GGUF_Q4_K:   expand_as(out, blocks, GGUF_Q4_K, count); break;
    case GGUF_Q5_K:   expand_as(out, blocks, GGUF_Q5_K, count); break;
    case GGUF_Q6_K:   expand_as(out, blocks, GGUF_Q6_K, count); break;
    case GGUF_IQ4_NL: expand_as(out, blocks, GGUF_IQ4_NL, count); break;
    case GGUF_IQ4_XS: expand_as(out, blocks, GGUF_IQ4_XS, count); break;
    case GGUF_MXFP4:  expand_as(out, blocks, GGUF_MXFP4, count); break;
    }
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
