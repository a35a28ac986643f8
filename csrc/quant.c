/* quant.c: linear layers whose weights lie in GGUF's blocks, read where they lie.

   Of the inputs, Q numbers at a time share a scale and become 8 bits. Each type of block is, for 32
   or 16 numbers, x = d q + m with small whole q, so a sum of products is
   sum of blocks  (d_weight d_input) sum(q_weight q_input) + m_weight (d_input sum(q_input)),
   of which the sums are of whole numbers, exact, and take an instruction for 64 or 128 products.

   The naive loop is quant_naive below. The fast ones take LANES rows of the weight at a time, whose
   d and m are vectors. With one row of inputs, or FEW, the quants of a row of the weight meet those
   of the inputs as they come, and the sums of each row are brought together afterwards. With more,
   the work goes by panels, as in matmul.c: the weight is unpacked, KC numbers of each row, so that
   four q of a row are one of LANES words; then the panel, in the L1 cache, meets the inputs, MR
   rows at a time. Each sum has one owner and one order, whatever the rows and threads are. */

#include "quants.h"

enum {
    FEW = 2,                         /* rows of inputs that do not pay for a panel */
    MR = LANES == 16 ? 8 : LANES == 8 ? 4 : 6,   /* rows whose sums fit the registers */
    NB = 120                         /* rows of inputs that a panel meets: whole tiles, in L2 */
};

/* ---- Inputs ---------------------------------------------------------------------------------- */

/* What a product needs to know of Q numbers: d times their quants is what they were. The sums, of
   all and of each half, are d times those of the quants. */
typedef struct { float d, sum, sums[2]; } Scale;

/* `many` rows lie side by side, one where there are few: scale 0 of each, then scale 1 of each, up
   to S; and likewise the first STEP quants of each, then the next. */
typedef struct { Scale *scales; int8_t *quants; int S, many; } Inputs;

static Inputs inputs_of(const void *q8, int N, int C) {
    const int S = ceil_div(C, Q), many = N > FEW ? MR : 1;
    Scale *scales = (Scale *)q8;
    return (Inputs){ scales, (int8_t *)(scales + (size_t)ceil_div(N, many) * many * S), S, many };
}

/* Where scale s of row n is, and where quant k. */
static inline size_t scale_at(const Inputs *x, int n, int s) {
    return ((size_t)(n / x->many) * x->S + s) * x->many + n % x->many;
}
static inline size_t quant_at(const Inputs *x, int n, int k) {
    const int i = n % x->many;
    return scale_at(x, n - i, k / Q) * Q + (k % Q / STEP * x->many + i) * STEP + k % STEP;
}

size_t quant_inputs_size(int N, int C) {
    return (size_t)ceil_div(N, MR) * MR * ceil_div(C, Q) * (sizeof(Scale) + Q);
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
            int8_t q[Q];
            quantize(&x.scales[scale_at(&x, n, s)], q, inp + (size_t)n * C + s * Q,
                     min_int(Q, C - s * Q));
            for (int k = 0; k < Q; k += STEP)
                memcpy(x.quants + quant_at(&x, n, s * Q + k), q + k, STEP);
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
                const float w = block_value(type, row + (size_t)k / numbers * bytes, k % numbers);
                sum += (double)w * (is_float(type) ? to_float(inp[(size_t)n * C + k])
                                                   : x.scales[scale_at(&x, n, k / Q)].d
                                                     * x.quants[quant_at(&x, n, k)]);
            }
            out[(size_t)n * rows + r] = (float)sum;
        }
}

/* ---- Products of whole numbers --------------------------------------------------------------- */

typedef int16_t shorts __attribute__((vector_size(4 * LANES), may_alias));
typedef uint16_t bits __attribute__((vector_size(4 * LANES), may_alias));

/* sum += products of four quants and four inputs, in each word. Where no instruction does that,
   they are summed by twos in 16 bits, chain() of them before they are widened. */
#if defined __AVX512VNNI__ && LANES == 16
#define DOT(sum, w, x) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(w), (__m512i)(x))
#elif defined __AVXVNNI__ && LANES == 8
#define DOT(sum, w, x) _mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(w), (__m256i)(x))
#elif defined __ARM_FEATURE_DOTPROD              /* q without a sign are small */
#define DOT(sum, w, x) vdotq_s32((int32x4_t)(sum), (int8x16_t)(w), (int8x16_t)(x))
#endif

#ifdef DOT
typedef ints parts;
enum { DIRECT = 1 };
static inline parts dot(parts sum, lanes w, lanes x, int sign) {
    (void)sign;
    return (parts)DOT(sum, w, x);
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

/* How many products of twos fit 16 bits, a power of 2: inputs are at most 127 in size. */
static inline int chain(int type) {
    switch (type) {
    case GGUF_Q8_0: case GGUF_IQ4_NL: case GGUF_IQ4_XS: return DIRECT ? 8 : 1;   /* 128 */
    case GGUF_Q6_K:                                     return DIRECT ? 8 : 2;   /* 63 */
    case GGUF_Q5_0: case GGUF_Q5_1: case GGUF_Q5_K: case GGUF_MXFP4:
                                                        return DIRECT ? 8 : 4;   /* 31, 24 */
    default:                                            return 8;                /* 15 */
    }
}

/* acc += the share of a group, whose d and m of LANES rows are at d, with inputs whose scale is
   x's; sum: of products of quants; x_sum: of the inputs. */
INLINE vec add_group(vec acc, const float *d, const Scale *x, float x_sum, ints sum, int type) {
    acc = fused(*(const vec *)d * x->d, __builtin_convertvector(sum, vec), acc);
    if (is_signed(type) && !MOVED) return acc;   /* m is 0 */
    return fused(*(const vec *)(d + LANES), broadcast(x_sum), acc);
}

/* ---- Few rows -------------------------------------------------------------------------------- */

/* In each word what 8 quants in a and b, of 32 of a row, add with the inputs x and y. */
INLINE ints dot_32(lanes a, lanes b, lanes x, lanes y, int type) {
    const parts none = { 0 }, first = dot(none, a, x, is_signed(type));
    if (chain(type) > 1) return widen_parts(dot(first, b, y, is_signed(type)));
    return widen_parts(first) + widen_parts(dot(none, b, y, is_signed(type)));
}

/* sums (R,LANES) = those of R rows of inputs with LANES rows of a weight. */
INLINE void rows_as(float *sums, const Inputs *x, const size_t *row, Rows p, const uint8_t *next,
                    int type, int blocks, int R) {
    const int numbers = block_numbers(type), bytes = block_bytes(type), halved = is_halved(type);
    vec acc[FEW] = { { 0 } };
    for (int s = 0; blocks-- > 0; p.first += bytes, next += LANES * bytes) {
        float scales[GROUPS * 2 * LANES] __attribute__((aligned(64)));
        for (int line = 0; line < LANES * bytes; line += 64) __builtin_prefetch(next + line);
        load_scales(scales, p, type);
        const float *d = scales;
        UNROLL(8)
        for (int g = 0; g < numbers / 16; g += 2, s++) {
            lanes a[4], b[4];
            load_quants(a, p, type, g);
            load_quants(b, p, type, g + 1);
            for (int r = 0; r < R; r++) {
                const Scale *scale = &x->scales[row[r] + s];
                const int8_t *of = x->quants + (row[r] + s) * Q;
                const lanes y = repeat_16(of), z = repeat_16(of + Q / 2);
                ints sum[4];
                for (int i = 0; i < 4; i++)
                    sum[i] = halved ? widen_parts(dot((parts){ 0 }, a[i], y, 0))
                                    : dot_32(a[i], b[i], y, z, type);
                acc[r] = add_group(acc[r], d, scale, halved ? scale->sums[0] : scale->sum,
                                   sums_of_4(sum), type);
                for (int i = 0; halved && i < 4; i++)
                    sum[i] = widen_parts(dot((parts){ 0 }, b[i], z, 0));
                if (halved)
                    acc[r] = add_group(acc[r], d + 2 * LANES, scale, scale->sums[1],
                                       sums_of_4(sum), type);
            }
            d += (halved ? 4 : 2) * LANES;
        }
    }
    for (int r = 0; r < R; r++) *(vec *)(sums + r * LANES) = acc[r];
}

static void few_rows(float *sums, const Inputs *x, const size_t *row, Rows p, int type, int blocks,
                     int R) {
    const uint8_t *next = p.first + LANES * p.stride;
    #define CASE(T) case T: \
        if (R == 1) { rows_as(sums, x, row, p, next, T, blocks, 1); break; } \
        rows_as(sums, x, row, p, next, T, blocks, FEW); break;
    switch (type) { BLOCK_TYPES(CASE) }
    #undef CASE
}

/* ---- Panels ---------------------------------------------------------------------------------- */

/* sums (R,LANES) = or += those of R rows of inputs that lie side by side, from their scales and
   quants on, with S scales of a panel. What type it is, and R, the compiler is told. */
INLINE void tile_as(float *sums, const Panel *panel, const Scale *scale, const int8_t *quants,
                    int S, int first, int type, int R) {
    const int groups = is_halved(type) ? 2 : 1, steps = Q / STEP / groups;
    const int many = min_int(chain(type), steps), sign = is_signed(type);
    const uint8_t *w = panel->quants;
    const float *d = panel->scales;
    vec acc[MR];
    for (int i = 0; i < R; i++) acc[i] = first ? (vec){ 0 } : *(vec *)(sums + i * LANES);
    for (; S-- > 0; scale += MR)
        for (int g = 0; g < groups; g++, d += 2 * LANES) {
            ints sum[MR] = { { 0 } };
            for (int c = 0; c < steps; c += many) {
                parts part[MR] = { { 0 } };
                UNROLL(2)                        /* of more, GCC adds the products up last */
                for (int k = 0; k < many; k++, w += STEP * LANES, quants += STEP * MR)
                    for (int i = 0; i < R; i++) {
                        const uint8_t *four = (const uint8_t *)quants + i * STEP;
                        part[i] = dot(part[i], *(const lanes *)w, word(four) - (lanes){ 0 }, sign);
                    }
                for (int i = 0; i < R; i++) sum[i] += widen_parts(part[i]);
            }
            for (int i = 0; i < R; i++)
                acc[i] = add_group(acc[i], d, &scale[i],
                                   groups == 2 ? scale[i].sums[g] : scale[i].sum, sum[i], type);
        }
    for (int i = 0; i < R; i++) *(vec *)(sums + i * LANES) = acc[i];
}

/* Types that differ only in how they are unpacked are one. */
INLINE void tile_rows(float *sums, const Panel *panel, const Scale *scale, const int8_t *quants,
                      int S, int first, int type, int R) {
    if (is_signed(type)) type = GGUF_Q8_0;
    else if (type != GGUF_Q6_K) type = is_halved(type) ? GGUF_Q2_K
                                     : chain(type) < 8 ? GGUF_Q5_0 : GGUF_Q4_0;
    #define CASE(T) case T: tile_as(sums, panel, scale, quants, S, first, T, R); break;
    switch (type) {
        CASE(GGUF_Q8_0) CASE(GGUF_Q6_K) CASE(GGUF_Q2_K) CASE(GGUF_Q5_0) CASE(GGUF_Q4_0)
    }
    #undef CASE
}

INLINE void tile_floats(float *sums, const float *panel, const real *inp, const size_t *row,
                        int k, int count, int first, int R) {
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

/* Rows n.. of out, columns r.. and `columns` of them, from sums (count,LANES). */
static void write_sums(const Result *to, const float *sums, int n, int count, int r, int columns) {
    for (int i = 0; i < count; i++, sums += LANES) {
        const size_t at = (size_t)(n + i) * to->O;
        if (to->out && columns == LANES && !to->pairs) {
            vec x;
            memcpy(&x, sums, sizeof x);
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

/* A panel of rows `from` on of the weight, `stride` bytes apart, with `count` rows of inputs. */
static void multiply_panel(float *sums, const Product *x, const uint8_t *from, size_t stride, int n,
                           int count) {
    Panel panel;
    const int plain = is_float(x->type), kc = plain ? KC / 4 : KC;
    for (int k = 0; k < x->C; k += kc) {
        const int some = min_int(kc, x->C - k);
        unpack(&panel, from, stride, x->type, k, some);
        for (int i = 0; i < count; i += MR) {
            const int R = count - i;
            const Scale *scale = x->q8.scales + scale_at(&x->q8, n + i, k / Q);
            const int8_t *quants = x->q8.quants + quant_at(&x->q8, n + i, k);
            size_t row[MR];
            float *to = sums + i * LANES;
            for (int j = 0; j < MR; j++)         /* the last one again, where there are no more */
                row[j] = (size_t)min_int(n + i + j, x->N - 1) * x->C;
            if (plain && R == 1)
                tile_floats(to, (float *)panel.quants, x->inp, row, k, some, k == 0, 1);
            else if (plain)
                tile_floats(to, (float *)panel.quants, x->inp, row, k, some, k == 0, MR);
            else if (R <= MR / 2)
                tile_rows(to, &panel, scale, quants, some / Q, k == 0, x->type, MR / 2);
            else
                tile_rows(to, &panel, scale, quants, some / Q, k == 0, x->type, MR);
        }
    }
}

/* Rows n.. of the inputs, at most NB, with rows r.. of the weight, LANES of them. Where there are
   not so many any more, they begin before r; or of fewer in all it is one row, LANES times. */
static void multiply_rows(const Result *to, const Product *x, int n, int r) {
    float sums[(NB + MR) * LANES] __attribute__((aligned(64)));
    const int count = min_int(NB, x->N - n);
    const size_t bytes = quant_row(x->type, x->C), stride = x->rows < LANES ? 0 : bytes;
    const int first = stride ? min_int(r, x->rows - LANES) : r;
    const uint8_t *from = x->weight + first * bytes;
    const size_t row[FEW] = { (size_t)n * x->q8.S, (size_t)(n + count - 1) * x->q8.S };
    if (x->q8.many == 1 && !is_float(x->type))
        few_rows(sums, &x->q8, row, (Rows){ from, stride }, x->type,
                 x->C / block_numbers(x->type), count);
    else
        multiply_panel(sums, x, from, stride, n, count);
    write_sums(to, sums + r - first, n, count, r, stride ? min_int(LANES, x->rows - r) : 1);
}

static void multiply(const Result to, const Product x) {
    const int step = x.rows < LANES ? 1 : LANES;
    /* A thread takes panels that lie together, first many, at last few: memory is read ahead. */
    #pragma omp parallel for collapse(2) num_threads(team((double)x.N * x.C * x.rows)) \
            schedule(guided, 4)
    for (int n = 0; n < x.N; n += NB)
        for (int r = 0; r < x.rows; r += step)
            multiply_rows(&to, &x, n, r);
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
