/* kernels.cu: csrc/kernels.c for the GPU, in the same order, but for its norms (norms.cu), its loss
   (loss.cu) and its optimizer (optimizer.cu). All of it is bound by memory, so that every kernel is
   written to read and write each number once, 16 bytes at a time where they lie on 16 bytes (W
   numbers), else one at a time (W = 1, from the same text). No float atomics: each sum has one
   order. */

#include "gpu.cuh"

enum { THREADS = 256 };              /* of a block that has no reason for another number */

#define SMALL_BLOCK __launch_bounds__(THREADS)

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

template <int W> __device__ __forceinline__ void add_to(float *p, const float *x) {
    float sum[W];
    read<W>(sum, p);
    for (int j = 0; j < W; j++) sum[j] += x[j];
    write<W>(p, sum);
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

/* ---- Sums and multiples ---------------------------------------------------------------------- */

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

struct Add {
    static __device__ __forceinline__ float of(float a, float b) { return a + b; }
};

void add_reals(real *out, const real *a, const real *b, size_t n) {
    map_all<Add>("add_reals", out, a, b, n);
}

__global__ void SMALL_BLOCK scale_each(real *x, float factor, size_t n) {
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) x[i] = to_real(to_float(x[i]) * factor);
}

void scale_reals(real *x, float factor, size_t n) {
    launch("scale_reals", scale_each, (unsigned)ceil_div(n, (size_t)THREADS), THREADS, 0,
           x, factor, n);
}

/* ---- Activations ----------------------------------------------------------------------------- */

__device__ __forceinline__ float unit_sigmoid(float x) { return unit_inverse(1.f + unit_exp(-x)); }
__device__ __forceinline__ float gelu_tanh(float x) {            /* sqrt(2/pi) and a cubic term */
    return unit_tanh(0.7978845608f * (x + 0.044715f * x * x * x));
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

struct GeluErf {
    static __device__ __forceinline__ float of(float x, float) {
        return 0.5f * x * (1.f + erff(0.7071067812f * x));
    }
};
struct GeluErfBackward {
    static __device__ __forceinline__ float of(float d, float x) {
        const float density = 0.3989422804f * unit_exp(-0.5f * x * x);
        return d * (0.5f * (1.f + erff(0.7071067812f * x)) + x * density);
    }
};

void gelu_forward(real *out, const real *inp, size_t n) {
    map_all<Gelu>("gelu_forward", out, inp, (const real *)nullptr, n);
}

void gelu_backward(real *dinp, const real *dout, const real *inp, size_t n) {
    map_all<GeluBackward>("gelu_backward", dinp, dout, inp, n);
}

void gelu_erf_forward(real *out, const real *inp, size_t n) {
    map_all<GeluErf>("gelu_erf_forward", out, inp, (const real *)nullptr, n);
}

void gelu_erf_backward(real *dinp, const real *dout, const real *inp, size_t n) {
    map_all<GeluErfBackward>("gelu_erf_backward", dinp, dout, inp, n);
}

/* What a gate lets through of d, and d times its slope. */
struct Silu {
    static __device__ __forceinline__ float of(float d, float x) { return d * x * unit_sigmoid(x); }
    static __device__ __forceinline__ float slope(float d, float x) {
        const float s = unit_sigmoid(x);
        return d * s * (1.f + x * (1.f - s));
    }
};
struct GeluGate {
    static __device__ __forceinline__ float of(float d, float x) { return d * Gelu::of(x, 0); }
    static __device__ __forceinline__ float slope(float d, float x) {
        return GeluBackward::of(d, x);
    }
};

/* A block a row of gate and up. */
template <class Gate, int W> __global__ void SMALL_BLOCK
gated_rows(real *out, const real *inp, int F) {
    const size_t row = (size_t)blockIdx.x * F;
    for (int f = threadIdx.x * W; f < F; f += blockDim.x * W) {
        const Vector<real, W> gate = load_once<W>(inp + 2 * row + f);
        Vector<real, W> up = load_once<W>(inp + 2 * row + F + f);
        for (int j = 0; j < W; j++)
            up[j] = to_real(Gate::of(1.f, to_float(gate[j])) * to_float(up[j]));
        store(out + row + f, up);
    }
}

template <class Gate, int W> __global__ void SMALL_BLOCK
gated_backward_rows(real *dinp, const real *dout, const real *inp, int F) {
    const size_t row = (size_t)blockIdx.x * F;
    for (int f = threadIdx.x * W; f < F; f += blockDim.x * W) {
        Vector<real, W> gate = load_once<W>(inp + 2 * row + f);
        Vector<real, W> up = load_once<W>(inp + 2 * row + F + f);
        const Vector<real, W> d = load_once<W>(dout + row + f);
        for (int j = 0; j < W; j++) {
            const float g = to_float(gate[j]), dy = to_float(d[j]);
            gate[j] = to_real(Gate::slope(dy * to_float(up[j]), g));
            up[j] = to_real(Gate::of(dy, g));
        }
        store(dinp + 2 * row + f, gate);
        store(dinp + 2 * row + F + f, up);
    }
}

template <class Gate>
static void gated_forward(const char *name, real *out, const real *inp, int N, int F) {
    const int wide = F % WIDE == 0 && aligned(out, inp);
    launch(name, wide ? gated_rows<Gate, WIDE> : gated_rows<Gate, 1>, N,
           threads_for(F / (wide ? WIDE : 1), THREADS), 0, out, inp, F);
}

template <class Gate>
static void gated_backward(const char *name, real *dinp, const real *dout, const real *inp,
                           int N, int F) {
    const int wide = F % WIDE == 0 && aligned(dinp, dout, inp);
    launch(name, wide ? gated_backward_rows<Gate, WIDE> : gated_backward_rows<Gate, 1>, N,
           threads_for(F / (wide ? WIDE : 1), THREADS), 0, dinp, dout, inp, F);
}

void swiglu_forward(real *out, const real *inp, int N, int F) {
    gated_forward<Silu>("swiglu_forward", out, inp, N, F);
}

void swiglu_backward(real *dinp, const real *dout, const real *inp, int N, int F) {
    gated_backward<Silu>("swiglu_backward", dinp, dout, inp, N, F);
}

void geglu_forward(real *out, const real *inp, int N, int F) {
    gated_forward<GeluGate>("geglu_forward", out, inp, N, F);
}

void geglu_backward(real *dinp, const real *dout, const real *inp, int N, int F) {
    gated_backward<GeluGate>("geglu_backward", dinp, dout, inp, N, F);
}

/* ---- Experts --------------------------------------------------------------------------------- */

/* A warp a row, of which each lane has every 32nd expert, and a bit for each that is taken. */
__global__ void SMALL_BLOCK
route_rows(int *chosen, float *shares, float *probs, int N, int E, int k, int norm) {
    const int n = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (n >= N) return;
    float *p = probs + (size_t)n * E, most = 0, sum = 0, all = 0;
    unsigned taken = 0;
    for (int j = 0; j < k; j++) {
        int best = -1;
        for (int e = lane, i = 0; e < E; e += WARP, i++)
            if (!(taken >> i & 1) && (best < 0 || p[e] > p[best])) best = e;
        for (int offset = WARP / 2; offset > 0; offset /= 2) {
            const int other = __shfl_xor_sync(~0u, best, offset);
            if (other >= 0 && (best < 0 || p[other] > p[best]
                               || (p[other] == p[best] && other < best))) best = other;
        }
        best = __shfl_sync(~0u, best, 0);        /* of what is no number, lanes differ */
        if (best % WARP == lane) taken |= 1u << best / WARP;
        if (j == 0) most = p[best];
        if (lane == 0) chosen[(size_t)n * k + j] = best;
    }
    __syncwarp();
    for (int e = lane; e < E; e += WARP) sum += p[e] = unit_exp(p[e] - most);
    sum = warp_sum(sum);
    for (int e = lane; e < E; e += WARP) p[e] /= sum;
    __syncwarp();
    for (int j = lane; j < k; j += WARP) all += p[chosen[(size_t)n * k + j]];
    all = norm ? warp_sum(all) : 1.f;
    for (int j = lane; j < k; j += WARP)
        shares[(size_t)n * k + j] = p[chosen[(size_t)n * k + j]] / all;
}

void route_forward(int *chosen, float *shares, float *probs, int N, int E, int k, int norm) {
    launch("route_forward", route_rows, ceil_div(N, THREADS / WARP), THREADS, 0,
           chosen, shares, probs, N, E, k, norm);
}

/* A block a row: its warps share the k products. */
__global__ void SMALL_BLOCK
route_backward_rows(real *dlogits, const real *dact, const real *act, const float *probs,
                    const float *shares, const int *chosen, const int *places,
                    int E, int k, int F, int norm) {
    __shared__ float dots[MOST_EXPERTS];
    const size_t first = (size_t)blockIdx.x * k, row = (size_t)blockIdx.x * E;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (int j = warp; j < k; j += THREADS / WARP) {
        const size_t at = (size_t)places[first + j] * F;
        float dot = 0;
        for (int f = lane; f < F; f += WARP) dot += to_float(dact[at + f]) * to_float(act[at + f]);
        dot = warp_sum(dot);
        if (lane == 0) dots[j] = dot;
    }
    __syncthreads();
    float sum = 0;
    for (int j = 0; j < k; j++) sum += dots[j];
    for (int e = threadIdx.x; e < E; e += THREADS)
        dlogits[row + e] = to_real(norm ? 0 : -probs[row + e] * sum);
    __syncthreads();
    for (int j = threadIdx.x; j < k; j += THREADS)
        dlogits[row + chosen[first + j]] = to_real(dots[j] - shares[first + j] * sum);
}

void route_backward(real *dlogits, const real *dact, const real *act, const float *probs,
                    const float *shares, const int *chosen, const int *places,
                    int N, int E, int k, int F, int norm) {
    launch("route_backward", route_backward_rows, N, THREADS, 0, dlogits, dact, act, probs, shares,
           chosen, places, E, k, F, norm);
}

/* A block a row of out. */
__global__ void SMALL_BLOCK
spread_row(real *out, const real *inp, const float *shares, const int *places, int k, int C) {
    const size_t from = (size_t)(blockIdx.x / k) * C, to = (size_t)places[blockIdx.x] * C;
    const float s = shares ? shares[blockIdx.x] : 1;
    for (int c = threadIdx.x; c < C; c += THREADS)
        out[to + c] = to_real(s * to_float(inp[from + c]));
}

void spread_rows(real *out, const real *inp, const float *shares, const int *places,
                 int N, int k, int C) {
    launch("spread_rows", spread_row, N * k, THREADS, 0, out, inp, shares, places, k, C);
}

__global__ void SMALL_BLOCK
collect_row(real *out, const real *residual, const real *inp, const float *shares,
            const int *places, int k, int C) {
    const size_t at = (size_t)blockIdx.x * C, first = (size_t)blockIdx.x * k;
    for (int c = threadIdx.x; c < C; c += THREADS) {
        float sum = residual ? to_float(residual[at + c]) : 0.f;
        for (int j = 0; j < k; j++) {
            const float x = to_float(inp[(size_t)places[first + j] * C + c]);
            sum += (shares ? shares[first + j] : 1) * x;
        }
        out[at + c] = to_real(sum);
    }
}

void collect_rows(real *out, const real *residual, const real *inp, const float *shares,
                  const int *places, int N, int k, int C) {
    launch("collect_rows", collect_row, N, THREADS, 0, out, residual, inp, shares, places, k, C);
}

/* ---- Soft caps ------------------------------------------------------------------------------- */

__global__ void SMALL_BLOCK cap_each(float *logits, float cap, size_t n) {
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) logits[i] = cap * unit_tanh(logits[i] / cap);
}

__global__ void SMALL_BLOCK
cap_each_backward(real *dlogits, const float *logits, float cap, size_t n) {
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const float t = logits[i] / cap;
    dlogits[i] = to_real(to_float(dlogits[i]) * (1.f - t * t));
}

void softcap_forward(float *logits, float cap, size_t n) {
    launch("softcap_forward", cap_each, (unsigned)ceil_div(n, (size_t)THREADS), THREADS, 0,
           logits, cap, n);
}

void softcap_backward(real *dlogits, const float *logits, float cap, size_t n) {
    launch("softcap_backward", cap_each_backward, (unsigned)ceil_div(n, (size_t)THREADS), THREADS,
           0, dlogits, logits, cap, n);
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
