/* ptx_on_cpu.h: the functions of cuda/ptx.cuh, which says what each does, for cuda_on_cpu.h:
   products of a warp's tensor core gather their operands from its lanes, and copies come late. */

#ifndef PTX_ON_CPU_H
#define PTX_ON_CPU_H

inline uint32_t pack_bf16(float low, float high) {
    return __nv_bfloat16(low).bits | (uint32_t)__nv_bfloat16(high).bits << 16;
}

/* To the nearest of ten bits, ties away from zero. */
inline uint32_t to_tf32(float x) {
    uint32_t bits = __float_as_uint(x);
    return x - x == 0 ? (bits + 0x1000) & ~0x1fffu : bits;
}

inline float fast_exp2(float x) { return exp2f(x); }

namespace on_cpu OWN {
struct Product { float *d; const uint32_t *a, *b; };

inline float half_of(uint32_t pair, int high) {
    return __uint_as_float(high ? pair & 0xffff0000 : pair << 16);
}

typedef float Row __attribute__((vector_size(32)));          /* of b and d */

/* d (16,8) += a (16,K) b (K,8), both gathered from the lanes by `load`. */
template <int K, class Load> inline void multiply(const Warp &w, Load load) {
    float a[16][K];
    Row b[K], d[16] = {};
    for (int i = 0; i < LANES; i++) load(*(Product *)w.threads[i].argument, i / 4, i % 4, a, b);
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < K; k++) d[row] += a[row][k] * b[k];
    for (int i = 0; i < LANES; i++) {
        float *to = ((Product *)w.threads[i].argument)->d;
        for (int j = 0; j < 4; j++) to[j] += d[i / 4 + j / 2 * 8][i % 4 * 2 + j % 2];
    }
}

inline void multiply_bf16(const Warp &w, unsigned) {
    multiply<16>(w, [](const Product &x, int g, int t, float (*a)[16], Row *b) {
        for (int high = 0; high < 2; high++) {
            for (int i = 0; i < 4; i++)
                a[g + i % 2 * 8][2 * t + i / 2 * 8 + high] = half_of(x.a[i], high);
            for (int i = 0; i < 2; i++) b[2 * t + i * 8 + high][g] = half_of(x.b[i], high);
        }
    });
}

inline void multiply_tf32(const Warp &w, unsigned) {
    multiply<8>(w, [](const Product &x, int g, int t, float (*a)[8], Row *b) {
        for (int i = 0; i < 4; i++)
            a[g + i % 2 * 8][t + i / 2 * 4] = __uint_as_float(x.a[i] & ~0x1fffu);
        for (int i = 0; i < 2; i++) b[t + i * 4][g] = __uint_as_float(x.b[i] & ~0x1fffu);
    });
}

struct Rows { uint32_t *r; const uint16_t *row; };

template <bool TRANSPOSED> inline void gather(const Warp &w, unsigned mask) {
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < 4; i++) {
            uint16_t pair[2];
            for (int j = 0; j < 2; j++) {
                int row = TRANSPOSED ? lane % 4 * 2 + j : lane / 4;
                int column = TRANSPOSED ? lane / 4 : lane % 4 * 2 + j;
                pair[j] = of_lane<Rows>(w, 8 * i + row, mask).row[column];
            }
            memcpy(&of_lane<Rows>(w, lane, mask).r[i], pair, 4);
        }
}

inline void check_aligned(const char *name, const void *memory) {
    if ((uintptr_t)memory % 16) fail("%s of an address that 16 does not divide", name);
}
}   /* namespace on_cpu */

inline void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    on_cpu::Product x = { d, a, b };
    on_cpu::meet("mma_bf16", on_cpu::multiply_bf16, &x, ~0u);
}
inline void mma_tf32(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    on_cpu::Product x = { d, a, b };
    on_cpu::meet("mma_tf32", on_cpu::multiply_tf32, &x, ~0u);
}
inline void load_matrices(uint32_t r[4], const void *row) {
    on_cpu::check_aligned("load_matrices", row);
    on_cpu::Rows x = { r, (const uint16_t *)row };
    on_cpu::meet("load_matrices", on_cpu::gather<false>, &x, ~0u);
}
inline void load_matrices_transposed(uint32_t r[4], const void *row) {
    on_cpu::check_aligned("load_matrices_transposed", row);
    on_cpu::Rows x = { r, (const uint16_t *)row };
    on_cpu::meet("load_matrices_transposed", on_cpu::gather<true>, &x, ~0u);
}

inline void copy_async(void *to, const void *from, int valid) {
    on_cpu::check_aligned("copy_async", to);
    if (valid) on_cpu::check_aligned("copy_async", from);
    memset(to, 0xff, 16);
    on_cpu::current->copies.push_back({ to, from, valid, on_cpu::current->group });
}
inline void copy_commit() { on_cpu::current->group++; }
template <int N> inline void copy_wait() {
    auto &copies = on_cpu::current->copies;
    size_t done = 0;
    for (; done < copies.size() && copies[done].group < on_cpu::current->group - N; done++)
        if (copies[done].valid) memcpy(copies[done].to, copies[done].from, 16);
        else memset(copies[done].to, 0, 16);
    copies.erase(copies.begin(), copies.begin() + (ptrdiff_t)done);
}

#endif
