/* kernels.cu: csrc/kernels.c for the GPU, in the same order. All of it is bound by memory, so that
   every kernel is written to read and write each number once, 16 bytes at a time where they lie on
   16 bytes (W numbers), else one at a time (W = 1, from the same text). No float atomics: each sum
   has one order. Sums over rows (gradients of parameters) go through `parts` partial sums. */

#include "gpu.cuh"

enum { THREADS = 256 };              /* of a block that has no reason for another number */
enum { PARTS = 1024 };               /* partial sums of which a sum over rows consists, at most */
enum { ROW = 512 };                  /* threads that a block of a row of C has at most */

#define SMALL_BLOCK __launch_bounds__(THREADS)
#define ROW_BLOCK __launch_bounds__(ROW)

/* W numbers at p as floats: read, written, added to. */
template <int W, class T> __device__ __forceinline__ void read(float *x, const T *p) {
    enum { S = W * sizeof(T) > 16 ? 16 / sizeof(T) : W };
    for (int i = 0; i < W; i += S) {
        const Vector<T, S> v = load<S>(p + i);
        for (int j = 0; j < S; j++) x[i + j] = to_float(v[j]);
    }
}
template <int W, class T> __device__ __forceinline__ void write(T *p, const float *x) {
    enum { S = W * sizeof(T) > 16 ? 16 / sizeof(T) : W };
    for (int i = 0; i < W; i += S) {
        Vector<T, S> v;
        for (int j = 0; j < S; j++) v[j] = from_float<T>(x[i + j]);
        store(p + i, v);
    }
}
template <int W> __device__ __forceinline__ void add_to(float *p, const float *x) {
    float sum[W];
    read<W>(sum, p);
    for (int j = 0; j < W; j++) sum[j] += x[j];
    write<W>(p, sum);
}

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

/* ---- Embedding ------------------------------------------------------------------------------- */

/* out (N,C) = rows of a, plus rows of b unless that is NULL. A warp a row. */
template <int W> __global__ void SMALL_BLOCK
embed_rows(real *out, const int *a_rows, const int *b_rows, const real *a, const real *b,
           int N, int C) {
    const int n = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP;
    if (n >= N) return;
    const real *x = a + (size_t)a_rows[n] * C, *y = b ? b + (size_t)b_rows[n] * C : nullptr;
    #pragma unroll 4
    for (int c = threadIdx.x % WARP * W; c < C; c += WARP * W) {
        Vector<real, W> sum = load<W>(x + c);
        if (y) {
            Vector<real, W> more = load<W>(y + c);
            for (int j = 0; j < W; j++) sum[j] = to_real(to_float(sum[j]) + to_float(more[j]));
        }
        store(out + (size_t)n * C + c, sum);
    }
}

void embed_forward(real *out, const int *tokens, const int *positions, const real *wte,
                   const real *wpe, int N, int C) {
    const int wide = C % WIDE == 0 && aligned(out, wte, wpe);
    launch("embed_forward", wide ? embed_rows<WIDE> : embed_rows<1>,
           ceil_div(N, THREADS / WARP), THREADS, 0, out, tokens, positions, wte, wpe, N, C);
}

/* Place at + lane of `order`: *row = the row that stands there, and its id, or -1 past the end. */
__device__ __forceinline__ int look_up(int *row, const int *ids, const int *order, int at, int N) {
    const int i = at + threadIdx.x % WARP;
    *row = i < N ? order[i] : 0;
    return i < N ? ids[*row] : -1;
}

/* sum += columns from c on of `count` rows, those of lanes from `first` on, in order. AHEAD are on
   their way at a time, the last one perhaps more than once: a branch at each would cost more. */
template <int W> __device__ __forceinline__ void
sum_rows(float (&sum)[W], const real *inp, int row, int first, int count, int c, int C) {
    enum { AHEAD = 8 };
    for (int i = 0; i < count; i += AHEAD) {
        Vector<real, W> x[AHEAD];
        #pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            const int from = __shfl_sync(~0u, row, first + min_int(i + k, count - 1));
            x[k] = load<W>(inp + (size_t)from * C + min_int(c, C - W));
        }
        #pragma unroll
        for (int k = 0; k < AHEAD; k++)
            for (int j = 0; j < W; j++) sum[j] += i + k < count ? to_float(x[k][j]) : 0.f;
    }
}

/* table[id] += the sum of its rows from place `from` of `order` on, by all warps of the block: each
   takes every eighth 32 places, and then their sums are added in order. */
template <int W> __device__ void sum_long_run(float *table, const real *dout, const int *ids,
                                              const int *order, int id, int from, int N, int C) {
    enum { WARPS = THREADS / WARP };
    __shared__ __align__(16) float parts[WARPS][WARP * W];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, strip = blockIdx.y * WARP * W;
    float sum[W] = { 0 };
    for (int at = from + warp * WARP, count = WARP; count == WARP; at += WARPS * WARP) {
        int row;
        count = __popc(__ballot_sync(~0u, look_up(&row, ids, order, at, N) == id));
        sum_rows(sum, dout, row, 0, count, strip + lane * W, C);
    }
    write<W>(&parts[warp][lane * W], sum);
    __syncthreads();
    for (int i = threadIdx.x; i < WARP * W && strip + i < C; i += THREADS) {
        float total = 0;
        for (int k = 0; k < WARPS; k++) total += parts[k][i];
        table[(size_t)id * C + strip + i] += total;
    }
    __syncthreads();
}

/* table[id] += the sum of id's rows, which stand side by side in `order`. Each warp looks at 32
   places: it sums the rows of every id whose first row is there, unless these also fill the next 32
   places. Then the block does that together. */
template <int W> __global__ void SMALL_BLOCK
embed_sums(float *table, const real *dout, const int *ids, const int *order, int N, int C) {
    enum { WARPS = THREADS / WARP };
    __shared__ int long_id[WARPS], long_from[WARPS];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int c = blockIdx.y * WARP * W + lane * W, at = (blockIdx.x * WARPS + warp) * WARP;
    int row, next_row;
    const int id = look_up(&row, ids, order, at, N);
    const int next_id = look_up(&next_row, ids, order, at + WARP, N);
    int before = __shfl_up_sync(~0u, id, 1);
    if (lane == 0) before = at > 0 && at < N ? ids[order[at - 1]] : -1;
    if (lane == 0) long_id[warp] = -1;
    for (unsigned left = __ballot_sync(~0u, id != before && id >= 0); left; left &= left - 1) {
        const int first = __ffs(left) - 1, own = __shfl_sync(~0u, id, first);
        const int here = __popc(__ballot_sync(~0u, id == own));
        const int there = __popc(__ballot_sync(~0u, next_id == own));
        if (there < WARP) {
            float sum[W] = { 0 };
            sum_rows(sum, dout, row, first, here, c, C);
            sum_rows(sum, dout, next_row, 0, there, c, C);
            if (c < C) add_to<W>(table + (size_t)own * C + c, sum);
        } else if (lane == 0) {
            long_id[warp] = own;
            long_from[warp] = at + first;
        }
    }
    __syncthreads();
    for (int w = 0; w < WARPS; w++)
        if (long_id[w] >= 0)
            sum_long_run<W>(table, dout, ids, order, long_id[w], long_from[w], N, C);
}

void embed_backward(float *dwte, float *dwpe, const real *dout, const int *tokens,
                    const int *positions, const int *by_token, const int *by_position,
                    int N, int C) {
    const int wide = C % WIDE == 0 && aligned(dwte, dwpe, dout);
    const dim3 grid(ceil_div(N, (int)THREADS), ceil_div(C, WARP * (wide ? WIDE : 1)));
    const auto kernel = wide ? embed_sums<WIDE> : embed_sums<1>;
    if (dwte)
        launch("embed_backward", kernel, grid, THREADS, 0, dwte, dout, tokens, by_token, N, C);
    if (dwpe)
        launch("embed_backward", kernel, grid, THREADS, 0, dwpe, dout, positions, by_position,
               N, C);
}

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
                v[j] = to_real((to_float(v[j]) - m) * s * to_float(wc[j]) + to_float(bc[j]));
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
                const float g = to_float(dc[j]) * to_float(wc[j]);
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
                const float h = (to_float(xc[j]) - m) * s, g = to_float(dc[j]) * to_float(wc[j]);
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
table_of_angles(float *rope, int D, float theta, float factor, float low, float high,
                int old_context) {
    const int t = blockIdx.x;
    for (int i = threadIdx.x; i < D / 2; i += blockDim.x) {
        const double f = scaled_frequency(pow((double)theta, -2.0 * i / D), factor, low, high,
                                          old_context);
        rope[(size_t)t * D + i] = (float)cos(t * f);
        rope[(size_t)t * D + D / 2 + i] = (float)sin(t * f);
    }
}

void rope_table(float *rope, int context, int D, float theta, float factor, float low, float high,
                int old_context) {
    launch("rope_table", table_of_angles, context, threads_for(D / 2, THREADS), 0,
           rope, D, theta, factor, low, high, old_context);
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

/* A block a row of q, k and v; its threads take as many heads at a time as they can. */
template <int W, int V> __global__ void SMALL_BLOCK
qk_rows(real *out, float *rstd, const real *inp, const real *q_norm, const real *k_norm,
        const float *rope, const int *positions, int H, int K, int D, float eps, int lanes) {
    typedef Pairs<W, V> Part;
    const int n = blockIdx.x, heads = H + 2 * K, together = blockDim.x / lanes;
    const float *row = rope ? rope + (size_t)positions[n] * D : nullptr;
    for (int base = 0; base < heads; base += together) {
        const int h = base + threadIdx.x / lanes, turns = h < H + K;
        const real *weight = h < H ? q_norm : turns ? k_norm : nullptr;
        const size_t at = ((size_t)n * heads + h) * D;
        Part x, other;
        x.get(h < heads ? inp + at : nullptr, D, lanes);
        float squares = 0;
        for (int i = 0; i < Part::SIZE; i++) squares += x.x[i] * x.x[i];
        const float s = 1.f / sqrtf(head_sum(squares, lanes) / D + eps);
        if (weight) {
            other.get(weight, D, lanes);
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
   NULL where there are no norms. */
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

/* How many threads share a head, which threads hold in `widths` vectors of each half. */
static int head_lanes(int D, int wide) {
    int lanes = 1;
    while (lanes < WARP && lanes * (wide ? WIDE : 1) < D / 2) lanes *= 2;
    return lanes;
}

void qk_norm_rope_forward(real *out, float *rstd, const real *inp, const real *q_norm,
                          const real *k_norm, const float *rope, const int *positions,
                          int N, int H, int K, int D, float eps) {
    const int wide = D % (2 * WIDE) == 0 && aligned(out, inp, q_norm, k_norm, rope);
    const int lanes = head_lanes(D, wide);
    launch("qk_norm_rope_forward", wide ? qk_rows<WIDE, 1> : qk_rows<1, 4>, N,
           threads_for((H + 2 * K) * lanes, THREADS), 0, out, rstd, inp, q_norm, k_norm, rope,
           positions, H, K, D, eps, lanes);
}

void qk_norm_rope_backward(real *dinp, float *dq_norm, float *dk_norm, const real *dout,
                           const real *inp, const real *q_norm, const real *k_norm,
                           const float *rstd, const float *rope, const int *positions, void *work,
                           int N, int H, int K, int D) {
    const int wide = D % (2 * WIDE) == 0 && aligned(dinp, dout, inp, q_norm, k_norm, rope);
    const int lanes = head_lanes(D, wide), threads = threads_for((H + 2 * K) * lanes, THREADS);
    const int parts = min_int(blocks_of_rows(N, threads, 512), PARTS);
    float *partial = q_norm ? (float *)work : nullptr;
    launch("qk_norm_rope_backward", wide ? qk_backward_rows<WIDE, 1> : qk_backward_rows<1, 4>,
           parts, threads, 0, dinp, partial, dout, inp, q_norm, k_norm, rstd, rope, positions,
           N, H, K, D, lanes);
    if (partial) add_partial_sums(dq_norm, dk_norm, partial, parts, 2 * D, D);
}

/* ---- Activations ----------------------------------------------------------------------------- */

/* out (n) = Function::of(a, b), of W at a time and in the end one; b may be NULL. Two vectors of
   each are on their way in every thread. */
enum { TWO = 2 };
template <class Function, int W, class Out, class In> __global__ void SMALL_BLOCK
map(Out *out, const In *a, const In *b, size_t n) {
    const size_t vectors = n / W, i = (size_t)blockIdx.x * THREADS * TWO + threadIdx.x;
    Vector<In, W> x[TWO], y[TWO];
    #pragma unroll
    for (int k = 0; k < TWO; k++) {
        const size_t at = i + k * THREADS;
        if (at < vectors) x[k] = load_once<W>(a + at * W);
        if (at < vectors && b) y[k] = load_once<W>(b + at * W);
    }
    #pragma unroll
    for (int k = 0; k < TWO; k++) {
        const size_t at = i + k * THREADS;
        if (at >= vectors) break;
        Vector<Out, W> z;
        for (int j = 0; j < W; j++)
            z[j] = from_float<Out>(Function::of(to_float(x[k][j]), b ? to_float(y[k][j]) : 0));
        store(out + at * W, z);
    }
    const size_t last = vectors * W + threadIdx.x;
    if (blockIdx.x == 0 && last < n)
        out[last] = from_float<Out>(Function::of(to_float(a[last]), b ? to_float(b[last]) : 0));
}

template <class Function, class Out, class In>
static void map_all(const char *name, Out *out, const In *a, const In *b, size_t n) {
    enum { W = 16 / (sizeof(Out) > sizeof(In) ? sizeof(Out) : sizeof(In)) };
    const int wide = aligned(out, a, b);
    const size_t blocks = ceil_div(n, (size_t)(wide ? W : 1) * THREADS * TWO);
    launch(name, wide ? map<Function, W, Out, In> : map<Function, 1, Out, In>, (unsigned)blocks,
           THREADS, 0, out, a, b, n);
}

__device__ __forceinline__ float unit_sigmoid(float x) { return unit_inverse(1.f + unit_exp(-x)); }
__device__ __forceinline__ float gelu_tanh(float x) {            /* sqrt(2/pi) and a cubic term */
    const float u = 0.7978845608f * (x + 0.044715f * x * x * x);
    return 1.f - 2.f * unit_inverse(1.f + unit_exp(2.f * u));
}

struct Gelu {
    static __device__ __forceinline__ float of(float x, float) {
        return 0.5f * x * (1.f + gelu_tanh(x));
    }
};
struct GeluBackward {
    static __device__ __forceinline__ float of(float d, float x) {
        const float t = gelu_tanh(x), slope = 0.7978845608f * (1.f + 3.f * 0.044715f * x * x);
        return d * (0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * slope);
    }
};

void gelu_forward(real *out, const real *inp, size_t n) {
    map_all<Gelu>("gelu_forward", out, inp, (const real *)nullptr, n);
}

void gelu_backward(real *dinp, const real *dout, const real *inp, size_t n) {
    map_all<GeluBackward>("gelu_backward", dinp, dout, inp, n);
}

/* A block a row of gate and up. */
template <int W> __global__ void SMALL_BLOCK
swiglu_rows(real *out, const real *inp, int F) {
    const size_t row = (size_t)blockIdx.x * F;
    for (int f = threadIdx.x * W; f < F; f += blockDim.x * W) {
        const Vector<real, W> gate = load_once<W>(inp + 2 * row + f);
        Vector<real, W> up = load_once<W>(inp + 2 * row + F + f);
        for (int j = 0; j < W; j++) {
            const float g = to_float(gate[j]);
            up[j] = to_real(g * unit_sigmoid(g) * to_float(up[j]));
        }
        store(out + row + f, up);
    }
}

template <int W> __global__ void SMALL_BLOCK
swiglu_backward_rows(real *dinp, const real *dout, const real *inp, int F) {
    const size_t row = (size_t)blockIdx.x * F;
    for (int f = threadIdx.x * W; f < F; f += blockDim.x * W) {
        Vector<real, W> gate = load_once<W>(inp + 2 * row + f);
        Vector<real, W> up = load_once<W>(inp + 2 * row + F + f);
        const Vector<real, W> d = load_once<W>(dout + row + f);
        for (int j = 0; j < W; j++) {
            const float g = to_float(gate[j]), s = unit_sigmoid(g), dy = to_float(d[j]);
            gate[j] = to_real(dy * to_float(up[j]) * s * (1.f + g * (1.f - s)));
            up[j] = to_real(dy * g * s);
        }
        store(dinp + 2 * row + f, gate);
        store(dinp + 2 * row + F + f, up);
    }
}

void swiglu_forward(real *out, const real *inp, int N, int F) {
    const int wide = F % WIDE == 0 && aligned(out, inp);
    launch("swiglu_forward", wide ? swiglu_rows<WIDE> : swiglu_rows<1>, N,
           threads_for(F / (wide ? WIDE : 1), THREADS), 0, out, inp, F);
}

void swiglu_backward(real *dinp, const real *dout, const real *inp, int N, int F) {
    const int wide = F % WIDE == 0 && aligned(dinp, dout, inp);
    launch("swiglu_backward", wide ? swiglu_backward_rows<WIDE> : swiglu_backward_rows<1>, N,
           threads_for(F / (wide ? WIDE : 1), THREADS), 0, dinp, dout, inp, F);
}

/* ---- Moving and converting ------------------------------------------------------------------- */

struct Same {
    static __device__ __forceinline__ float of(float x, float) { return x; }
};

void gather_rows(real *out, const real *inp, const int *rows, int n, int C) {
    embed_forward(out, rows, nullptr, inp, nullptr, n, C);
}

void widen(float *out, const real *inp, size_t n) {
    map_all<Same>("widen", out, inp, (const real *)nullptr, n);
}

void narrow(real *out, const float *inp, size_t n) {
    map_all<Same>("narrow", out, inp, (const float *)nullptr, n);
}
