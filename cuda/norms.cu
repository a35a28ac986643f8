/* norms.cu: the norms of csrc/kernels.c for the GPU: LayerNorm, RMSNorm, and the norm and rotation
   of queries and keys, written as kernels.cu says. Sums over rows (gradients of parameters) go
   through `parts` partial sums, so that each has one order. */

#include "gpu.cuh"

enum { THREADS = 256 };              /* of a block that has no reason for another number */
enum { PARTS = 1024 };               /* partial sums of which a sum over rows consists, at most */
enum { ROW = 512 };                  /* threads that a block of a row of C has at most */

#define SMALL_BLOCK __launch_bounds__(THREADS)
#define ROW_BLOCK __launch_bounds__(ROW)

/* A thread's share of a row of C: vectors at `from`, from + blockDim.x * W, ... The first stays in
   a register. Only rows of over ROW vectors have others; these are read when they are asked for,
   the second time from a cache. row NULL: zeros. */
template <int W> struct Share {
    const real *row;
    Vector<real, W> first;
    __device__ __forceinline__ Share(const real *row, int C) : row(row) {
        const int from = threadIdx.x * W;
        for (int j = 0; j < W; j++) first[j] = to_real(0);
        if (row && from < C) first = load<W>(row + from);
    }
    __device__ __forceinline__ Vector<real, W> operator[](int c) const {
        return c == (int)threadIdx.x * W || !row ? first : load<W>(row + c);
    }
};

/* ---- Sums over rows -------------------------------------------------------------------------- */

/* out (C) += the sums of columns `at` to at + C of partial (parts,width). Of a block's 32 x 32
   threads each sums every 32nd row of a column, and the first 32 threads add these. */
__global__ void __launch_bounds__(WARP * WARP)
add_columns(float *out, const float *partial, int parts, int width, int at, int C) {
    __shared__ float sums[WARP][WARP];
    const int lane = threadIdx.x % WARP, group = threadIdx.x / WARP;
    const int c = blockIdx.x * WARP + lane;
    float sum = 0;
    #pragma unroll 8
    for (int p = group; p < parts; p += WARP)
        sum += c < C ? partial[(size_t)p * width + at + c] : 0.f;
    sums[group][lane] = sum;
    __syncthreads();
    if (group > 0 || c >= C) return;
    for (int i = 1; i < WARP; i++) sum += sums[i][lane];
    out[c] += sum;
}

/* The two sums (C) that lie side by side in a row of partial; NULL leaves one out. */
static void add_partial_sums(float *first, float *second, const float *partial, int parts,
                             int width, int C) {
    const int blocks = ceil_div(C, (int)WARP);
    if (first)
        launch("add_columns", add_columns, blocks, 1024, 0, first, partial, parts, width, 0, C);
    if (second)
        launch("add_columns", add_columns, blocks, 1024, 0, second, partial, parts, width, C, C);
}

/* Threads that hold a row of C between them. */
static int row_threads(int C, int wide) { return threads_for(C / (wide ? WIDE : 1), ROW); }

/* Blocks that share N rows, if so many of their threads run on a multiprocessor at a time. */
static int blocks_of_rows(int N, int threads, int at_a_time) {
    const int blocks = at_a_time / threads * device_attribute(cudaDevAttrMultiProcessorCount);
    return min_int(N, blocks);
}

size_t norm_work(int N, int C) { return sizeof(float) * 2 * C * (N < PARTS ? N : PARTS); }

/* ---- LayerNorm and RMSNorm ------------------------------------------------------------------- */

/* RMSNorm is LayerNorm without the mean (CENTRED 0). A block a row, which reads its next row before
   it works on this one. */
template <int W, int CENTRED> __global__ void ROW_BLOCK
norm_rows(real *out, float *mean, float *rstd, const real *inp, const real *weight,
          const real *bias, int N, int C, float eps) {
    const int from = threadIdx.x * W, step = blockDim.x * W, blocks = gridDim.x;
    const Share<W> w(weight, C), b(bias, C);
    Share<W> next(inp + (size_t)blockIdx.x * C, C);
    for (int n = blockIdx.x; n < N; n += blocks) {
        const Share<W> x = next;
        if (n + blocks < N) next = Share<W>(inp + (size_t)(n + blocks) * C, C);
        float m = 0, squares = 0;
        if (CENTRED) {
            for (int c = from; c < C; c += step) {
                const Vector<real, W> v = x[c];
                for (int j = 0; j < W; j++) m += to_float(v[j]);
            }
            m = block_sum(m) / C;
        }
        for (int c = from; c < C; c += step) {
            const Vector<real, W> v = x[c];
            for (int j = 0; j < W; j++) squares += (to_float(v[j]) - m) * (to_float(v[j]) - m);
        }
        const float s = 1.f / sqrtf(block_sum(squares) / C + eps);
        for (int c = from; c < C; c += step) {
            Vector<real, W> v = x[c];
            const Vector<real, W> wc = w[c], bc = b[c];
            for (int j = 0; j < W; j++)
                v[j] = to_real((to_float(v[j]) - m) * s * (weight ? to_float(wc[j]) : 1.f)
                               + to_float(bc[j]));
            store(out + (size_t)n * C + c, v);
        }
        if (threadIdx.x == 0 && CENTRED) mean[n] = m;
        if (threadIdx.x == 0) rstd[n] = s;
    }
}

/* With h = (x - mean) rstd and g = dout weight:  dx = rstd (g - mean(g) - h mean(g h)), where
   RMSNorm has no means of x and g. This block's part of the sums over rows, d h and d, goes to
   partial (gridDim.x,2C), or for RMSNorm (gridDim.x,C). */
template <int W, int CENTRED> __global__ void ROW_BLOCK
norm_backward_rows(real *dinp, float *partial, const real *dout, const real *inp,
                   const real *weight, const float *mean, const float *rstd, int N, int C) {
    const int from = threadIdx.x * W, step = blockDim.x * W, blocks = gridDim.x;
    float *part = partial + (size_t)blockIdx.x * C * (1 + CENTRED);
    float dweight[W] = { 0 }, dbias[W] = { 0 };
    for (int c = from + step; c < C; c += step)
        for (int j = 0; j < W; j++) part[c + j] = part[C * CENTRED + c + j] = 0;
    const Share<W> w(weight, C);
    Share<W> next_d(dout + (size_t)blockIdx.x * C, C), next_x(inp + (size_t)blockIdx.x * C, C);
    for (int n = blockIdx.x; n < N; n += blocks) {
        const Share<W> d = next_d, x = next_x, dx(dinp + (size_t)n * C, C);
        if (n + blocks < N) {
            next_d = Share<W>(dout + (size_t)(n + blocks) * C, C);
            next_x = Share<W>(inp + (size_t)(n + blocks) * C, C);
        }
        const float m = CENTRED ? mean[n] : 0.f, s = rstd[n];
        float sums[2] = { 0, 0 };                /* of g h, and of g */
        for (int c = from; c < C; c += step) {
            const Vector<real, W> dc = d[c], xc = x[c], wc = w[c];
            for (int j = 0; j < W; j++) {
                const float g = to_float(dc[j]) * (weight ? to_float(wc[j]) : 1.f);
                sums[0] += g * (to_float(xc[j]) - m) * s;
                sums[1] += g;
            }
        }
        block_sums(sums);
        const float gh_mean = sums[0] / C, g_mean = CENTRED ? sums[1] / C : 0.f;
        for (int c = from; c < C; c += step) {
            const Vector<real, W> dc = d[c], xc = x[c], wc = w[c];
            Vector<real, W> y = dx[c];
            for (int j = 0; j < W; j++) {
                const float h = (to_float(xc[j]) - m) * s;
                const float g = to_float(dc[j]) * (weight ? to_float(wc[j]) : 1.f);
                y[j] = to_real(to_float(y[j]) + s * (g - g_mean - h * gh_mean));
                if (c == from) {
                    dweight[j] += to_float(dc[j]) * h;
                    dbias[j] += to_float(dc[j]);
                } else {
                    part[c + j] += to_float(dc[j]) * h;
                    if (CENTRED) part[C + c + j] += to_float(dc[j]);
                }
            }
            store(dinp + (size_t)n * C + c, y);
        }
    }
    if (from >= C) return;
    write<W>(part + from, dweight);
    if (CENTRED) write<W>(part + C + from, dbias);
}

void layernorm_forward(real *out, float *mean, float *rstd, const real *inp, const real *weight,
                       const real *bias, int N, int C, float eps) {
    const int wide = C % WIDE == 0 && aligned(out, inp, weight, bias);
    const int threads = row_threads(C, wide);
    launch("layernorm_forward", wide ? norm_rows<WIDE, 1> : norm_rows<1, 1>,
           blocks_of_rows(N, threads, 1536), threads, 0, out, mean, rstd, inp, weight, bias,
           N, C, eps);
}

void layernorm_backward(real *dinp, float *dweight, float *dbias, const real *dout, const real *inp,
                        const real *weight, const float *mean, const float *rstd, void *work,
                        int N, int C) {
    const int wide = C % WIDE == 0 && aligned(dinp, dout, inp, weight, (char *)work);
    const int threads = row_threads(C, wide);
    const int parts = min_int(blocks_of_rows(N, threads, 640), PARTS);
    launch("layernorm_backward", wide ? norm_backward_rows<WIDE, 1> : norm_backward_rows<1, 1>,
           parts, threads, 0, dinp, work, dout, inp, weight, mean, rstd, N, C);
    add_partial_sums(dweight, dbias, (float *)work, parts, 2 * C, C);
}

void rmsnorm_forward(real *out, float *rstd, const real *inp, const real *weight,
                     int N, int C, float eps) {
    const int wide = C % WIDE == 0 && aligned(out, inp, weight);
    const int threads = row_threads(C, wide);
    launch("rmsnorm_forward", wide ? norm_rows<WIDE, 0> : norm_rows<1, 0>,
           blocks_of_rows(N, threads, 1536), threads, 0, out, nullptr, rstd, inp, weight, nullptr,
           N, C, eps);
}

void rmsnorm_backward(real *dinp, float *dweight, const real *dout, const real *inp,
                      const real *weight, const float *rstd, void *work, int N, int C) {
    const int wide = C % WIDE == 0 && aligned(dinp, dout, inp, weight, (char *)work);
    const int threads = row_threads(C, wide);
    const int parts = min_int(blocks_of_rows(N, threads, 640), PARTS);
    launch("rmsnorm_backward", wide ? norm_backward_rows<WIDE, 0> : norm_backward_rows<1, 0>,
           parts, threads, 0, dinp, work, dout, inp, weight, nullptr, rstd,
           N, C);
    add_partial_sums(dweight, nullptr, (float *)work, parts, C, C);
}

/* ---- Queries and keys: norm and rotation ----------------------------------------------------- */

__global__ void SMALL_BLOCK
table_of_angles(float *rope, const double *frequencies, float factor, int D) {
    const int t = blockIdx.x;
    for (int i = threadIdx.x; i < D / 2; i += blockDim.x) {
        const double f = frequencies[i];
        rope[(size_t)t * D + i] = f ? (float)(cos(t * f) * factor) : 1.f;
        rope[(size_t)t * D + D / 2 + i] = f ? (float)(sin(t * f) * factor) : 0.f;
    }
}

void rope_table(float *rope, const double *frequencies, float factor, int context, int D) {
    launch("rope_table", table_of_angles, context, threads_for(D / 2, THREADS), 0,
           rope, frequencies, factor, D);
}

/* A thread's share of one head, D <= 256: V times W pairs of numbers that are rotated together, the
   first ones of all pairs, then the second ones. `lanes` threads, a power of two of at most 32,
   share a head; what lies past its end, or at NULL, is 0. */
template <int W, int V> struct Pairs {
    enum { HALF = V * W, SIZE = 2 * HALF };
    float x[SIZE];
    static __device__ __forceinline__ int place(int v, int lanes) {
        return (v * lanes + threadIdx.x % lanes) * W;
    }
    template <class T> __device__ __forceinline__ void get(const T *from, int D, int lanes) {
        for (int i = 0; i < SIZE; i++) x[i] = 0;
        for (int v = 0; v < V; v++) {
            const int i = place(v, lanes);
            if (!from || i >= D / 2) continue;
            read<W>(x + v * W, from + i);
            read<W>(x + HALF + v * W, from + D / 2 + i);
        }
    }
    template <class T> __device__ __forceinline__ void put(T *to, int D, int lanes) const {
        for (int v = 0; v < V; v++) {
            const int i = place(v, lanes);
            if (i >= D / 2) continue;
            write<W>(to + i, x + v * W);
            write<W>(to + D / 2 + i, x + HALF + v * W);
        }
    }
    /* By the angles of (cosines, sines), or back if direction is -1. */
    __device__ __forceinline__ void rotate(const Pairs &angles, float direction) {
        for (int i = 0; i < HALF; i++) {
            const float a = x[i], b = x[HALF + i], c = angles.x[i];
            const float s = direction * angles.x[HALF + i];
            x[i] = a * c - b * s;
            x[HALF + i] = a * s + b * c;
        }
    }
};

/* Over the `lanes` threads of a head. */
__device__ __forceinline__ float head_sum(float x, int lanes) {
    for (int offset = lanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
    return x;
}

/* A block a row of q, k and v; its threads take as many heads at a time as they can. What is
   `wide` is normalized over all heads of q, or of k: then their squares are summed first. */
template <int W, int V> __global__ void SMALL_BLOCK
qk_rows(real *out, float *rstd, const real *inp, const real *q_norm, const real *k_norm,
        const float *rope, const int *positions, int H, int K, int D, int wide, float eps,
        int lanes) {
    typedef Pairs<W, V> Part;
    const int n = blockIdx.x, heads = H + 2 * K, together = blockDim.x / lanes;
    const float *row = rope ? rope + (size_t)positions[n] * D : nullptr;
    float all[2] = { 0, 0 };                     /* squares of q, of k */
    for (int h = threadIdx.x / lanes; wide && h < H + K; h += together) {
        Part x;
        x.get(inp + ((size_t)n * heads + h) * D, D, lanes);
        for (int i = 0; i < Part::SIZE; i++) all[h >= H] += x.x[i] * x.x[i];
    }
    if (wide) block_sums(all);
    for (int base = 0; base < heads; base += together) {
        const int h = base + threadIdx.x / lanes, turns = h < H + K;
        const real *weight = h < H ? q_norm : turns ? k_norm : nullptr;
        const size_t at = ((size_t)n * heads + h) * D;
        Part x, other;
        x.get(h < heads ? inp + at : nullptr, D, lanes);
        float squares = 0;
        for (int i = 0; i < Part::SIZE; i++) squares += x.x[i] * x.x[i];
        squares = head_sum(squares, lanes) / D;
        if (wide) squares = h < H ? all[0] / (H * D) : all[1] / (K * D);
        const float s = 1.f / sqrtf(squares + eps);
        if (weight) {
            other.get(weight + (wide ? (h < H ? h : h - H) * D : 0), D, lanes);
            for (int i = 0; i < Part::SIZE; i++) x.x[i] *= s * other.x[i];
            if (threadIdx.x % lanes == 0) rstd[(size_t)n * (H + K) + h] = s;
        }
        if (row && turns) {
            other.get(row, D, lanes);
            x.rotate(other, 1);
        }
        if (h < heads) x.put(out + at, D, lanes);
    }
}

/* As above, but a block has one head for a thread, and all its rows, at a time: so each thread sums
   d x rstd over rows in registers. partial (gridDim.x,2,D): this block's part of dq_norm, dk_norm;
   NULL where there are no norms, or they are wide. */
template <int W, int V> __global__ void SMALL_BLOCK
qk_backward_rows(real *dinp, float *partial, const real *dout, const real *inp, const real *q_norm,
                 const real *k_norm, const float *rstd, const float *rope, const int *positions,
                 int N, int H, int K, int D, int lanes) {
    typedef Pairs<W, V> Part;
    __shared__ __align__(16) float sums[THREADS * Part::SIZE];
    const int heads = H + 2 * K, together = blockDim.x / lanes, group = threadIdx.x / lanes;
    for (int base = 0; base < heads; base += together) {
        const int h = base + group, turns = h < H + K;
        const int moves = turns || (h < heads && dinp != dout);      /* v only needs a copy */
        const real *weight = h < H ? q_norm : turns ? k_norm : nullptr;
        Part d, x, other, dweight;
        for (int i = 0; i < Part::SIZE; i++) dweight.x[i] = 0;
        for (int n = blockIdx.x; n < N; n += gridDim.x) {
            const size_t at = ((size_t)n * heads + h) * D;
            const float *angles = rope && turns ? rope + (size_t)positions[n] * D : nullptr;
            d.get(moves ? dout + at : nullptr, D, lanes);
            x.get(weight ? inp + at : nullptr, D, lanes);
            other.get(angles, D, lanes);
            if (angles) d.rotate(other, -1);
            float gh = 0;
            if (weight) {
                const float s = rstd[(size_t)n * (H + K) + h];
                other.get(weight, D, lanes);
                for (int i = 0; i < Part::SIZE; i++) {
                    x.x[i] *= s;
                    dweight.x[i] += d.x[i] * x.x[i];
                    d.x[i] *= s * other.x[i];
                    gh += d.x[i] * x.x[i];
                }
            }
            gh = head_sum(gh, lanes) / D;
            for (int i = 0; i < Part::SIZE && weight; i++) d.x[i] -= x.x[i] * gh;
            if (moves) d.put(dinp + at, D, lanes);
        }
        if (!partial) continue;
        dweight.put(sums + group * D, D, lanes);
        __syncthreads();
        for (int i = threadIdx.x; i < 2 * D; i += blockDim.x) {
            const int from = i < D ? 0 : H, to = i < D ? H : H + K;      /* heads of q, or of k */
            float *total = partial + (size_t)blockIdx.x * 2 * D + i;
            float sum = base ? *total : 0.f;
            for (int g = 0; g < together; g++)
                sum += base + g >= from && base + g < to ? sums[g * D + i % D] : 0.f;
            *total = sum;
        }
        __syncthreads();
    }
}

/* For wide norms, d having been rotated back to dinp by qk_backward_rows: a block a row at a time,
   in place. partial (gridDim.x,(H+K)*D) has this block's part of dq_norm and dk_norm. */
template <int W, int V> __global__ void SMALL_BLOCK
qk_wide_backward_rows(real *dinp, float *partial, const real *inp, const real *q_norm,
                      const real *k_norm, const float *rstd, int N, int H, int K, int D,
                      int lanes) {
    typedef Pairs<W, V> Part;
    const int together = blockDim.x / lanes, first = threadIdx.x / lanes;
    float *part = partial + (size_t)blockIdx.x * (H + K) * D;
    for (int n = blockIdx.x; n < N; n += gridDim.x) {
        const size_t row = (size_t)n * (H + 2 * K) * D;
        const float *r = rstd + (size_t)n * (H + K);
        float gh[2] = { 0, 0 };                  /* sums of g h, over q and over k */
        Part d, x, weight;
        for (int h = first; h < H + K; h += together) {
            d.get(dinp + row + h * D, D, lanes);
            x.get(inp + row + h * D, D, lanes);
            weight.get(h < H ? q_norm + h * D : k_norm + (h - H) * D, D, lanes);
            for (int i = 0; i < Part::SIZE; i++) gh[h >= H] += d.x[i] * weight.x[i] * x.x[i] * r[h];
        }
        block_sums(gh);
        for (int h = first; h < H + K; h += together) {
            const float mean = h < H ? gh[0] / (H * D) : gh[1] / (K * D);
            d.get(dinp + row + h * D, D, lanes);
            x.get(inp + row + h * D, D, lanes);
            weight.get(n == (int)blockIdx.x ? nullptr : part + h * D, D, lanes);     /* so far */
            for (int i = 0; i < Part::SIZE; i++) weight.x[i] += d.x[i] * x.x[i] * r[h];
            weight.put(part + h * D, D, lanes);
            weight.get(h < H ? q_norm + h * D : k_norm + (h - H) * D, D, lanes);
            for (int i = 0; i < Part::SIZE; i++)
                d.x[i] = r[h] * (d.x[i] * weight.x[i] - x.x[i] * r[h] * mean);
            d.put(dinp + row + h * D, D, lanes);
        }
    }
}

/* How many threads share a head: enough for one vector (or number) of each half a thread, WARP at
   most. */
static int head_lanes(int D, int wide) {
    int lanes = 1;
    while (lanes < WARP && lanes * (wide ? WIDE : 1) < D / 2) lanes *= 2;
    return lanes;
}

void qk_norm_rope_forward(real *out, float *rstd, const real *inp, const real *q_norm,
                          const real *k_norm, const float *rope, const int *positions,
                          int N, int H, int K, int D, int wide, float eps) {
    const int vectors = D % (2 * WIDE) == 0 && aligned(out, inp, q_norm, k_norm, rope);
    const int lanes = head_lanes(D, vectors);
    launch("qk_norm_rope_forward", vectors ? qk_rows<WIDE, 1> : qk_rows<1, 4>, N,
           threads_for((H + 2 * K) * lanes, THREADS), 0, out, rstd, inp, q_norm, k_norm, rope,
           positions, H, K, D, wide && q_norm, eps, lanes);
}

void qk_norm_rope_backward(real *dinp, float *dq_norm, float *dk_norm, const real *dout,
                           const real *inp, const real *q_norm, const real *k_norm,
                           const float *rstd, const float *rope, const int *positions, void *work,
                           int N, int H, int K, int D, int wide) {
    const int vectors = D % (2 * WIDE) == 0
                     && aligned(dinp, dout, inp, q_norm, k_norm, rope, (char *)work);
    const int lanes = head_lanes(D, vectors), threads = threads_for((H + 2 * K) * lanes, THREADS);
    const int parts = min_int(blocks_of_rows(N, threads, 512), PARTS), all = wide && q_norm;
    float *partial = q_norm ? (float *)work : nullptr;
    launch("qk_norm_rope_backward", vectors ? qk_backward_rows<WIDE, 1> : qk_backward_rows<1, 4>,
           parts, threads, 0, dinp, all ? nullptr : partial, dout, inp, all ? nullptr : q_norm,
           all ? nullptr : k_norm, rstd, rope, positions, N, H, K, D, lanes);
    if (partial && !all) add_partial_sums(dq_norm, dk_norm, partial, parts, 2 * D, D);
    if (!all) return;
    launch("qk_norm_rope_backward",
           vectors ? qk_wide_backward_rows<WIDE, 1> : qk_wide_backward_rows<1, 4>,
           parts, threads, 0, dinp, partial, inp, q_norm, k_norm, rstd, N, H, K, D, lanes);
    add_partial_sums(dq_norm, nullptr, partial, parts, (H + K) * D, H * D);
    add_partial_sums(dk_norm, nullptr, partial + H * D, parts, (H + K) * D, K * D);
}
