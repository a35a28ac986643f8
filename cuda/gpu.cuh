/* gpu.cuh: what the kernels of this folder share: the type `real`, launching, sums over a warp.
   ptx.cuh has the few instructions that CUDA C++ has no words for. */

#ifndef GPU_CUH
#define GPU_CUH

#include "ptx.cuh"

#ifdef REAL_BF16
typedef __nv_bfloat16 real;
#else
typedef float real;
#endif

#define BOTH __host__ __device__
#include "../csrc/shared.h"

extern "C" {
#include "../csrc/chat.h"
#include "../csrc/kernels.h"
}

/* ---- Numbers --------------------------------------------------------------------------------- */

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

/* To the nearest, ties to even. */
template <class T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
    return __float2bfloat16_rn(x);
}
__device__ __forceinline__ real to_real(float x) { return from_float<real>(x); }

/* e^x and 1/x to 2 ulp (e^x: of x too), by the units made for them. */
__device__ __forceinline__ float unit_exp(float x) { return __expf(x); }
__device__ __forceinline__ float unit_inverse(float x) { return __fdividef(1.f, x); }

__device__ __forceinline__ float unit_tanh(float x) {
    return 1.f - 2.f * unit_inverse(1.f + unit_exp(2.f * x));
}

template <class T> __host__ __device__ __forceinline__ T ceil_div(T a, T b) {
    return (a + b - 1) / b;
}

/* Words of so many bytes, which the streaming instructions know by these types. */
template <int> struct Word;
template <> struct Word<2> { typedef unsigned short type; };
template <> struct Word<4> { typedef unsigned type; };
template <> struct Word<8> { typedef uint2 type; };
template <> struct Word<16> { typedef uint4 type; };

static BOTH __forceinline__ int min_int(int a, int b) { return a < b ? a : b; }
static BOTH __forceinline__ int max_int(int a, int b) { return a > b ? a : b; }

/* N values that are read and written by one instruction where they lie on their own size. */
template <class T, int N> struct alignas(sizeof(T) * N) Vector {
    T x[N];
    __device__ __forceinline__ T &operator[](int i) { return x[i]; }
    __device__ __forceinline__ const T &operator[](int i) const { return x[i]; }
};
enum { WIDE = 16 / sizeof(real) };           /* reals in the widest load, 16 bytes */
typedef Vector<real, WIDE> Wide;

template <int N, class T> __device__ __forceinline__ Vector<T, N> load(const T *p) {
    return *(const Vector<T, N> *)p;
}
template <int N, class T> __device__ __forceinline__ void store(T *p, Vector<T, N> x) {
    *(Vector<T, N> *)p = x;
}

/* The same for streams: what is not read again soon is the first to leave the caches. */
template <int N, class T> __device__ __forceinline__ Vector<T, N> load_once(const T *p) {
    typename Word<sizeof(T) * N>::type word = __ldcs((const decltype(word) *)p);
    Vector<T, N> x;
    memcpy(&x, &word, sizeof x);
    return x;
}
template <int N, class T> __device__ __forceinline__ void store_once(T *p, Vector<T, N> x) {
    typename Word<sizeof(T) * N>::type word;
    memcpy(&word, &x, sizeof x);
    __stcs((decltype(word) *)p, word);
}

/* W numbers at p as floats, read and written by as few instructions as can be. */
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

/* Whether all of these lie where 16 bytes can be loaded at once (NULL does). */
template <class... T> bool aligned(const T *...pointers) {
    return (((uintptr_t)pointers | ... | 0) & 15) == 0;
}

/* ---- Launching ------------------------------------------------------------------------------- */

enum { WARP = 32 };

/* All work goes to one stream, in order. (comm.cu has a second one.) */
extern cudaStream_t stream;

/* Latches the first failure; device_read and the entry points return it. */
void latch(cudaError_t status, const char *what);
void latch_sentence(const char *what, const char *why);

/* kernel<<<grid, threads, shared, stream>>>(arguments...), with a check. A grid without blocks is
   an error, too: who has no work launches nothing. */
template <class... Parameters, class... Arguments>
void launch(const char *name, void (*kernel)(Parameters...), dim3 grid, dim3 threads,
            size_t shared, Arguments... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) {
        latch_sentence(name, "a grid without blocks was launched");
        return;
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = threads;
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    if (shared > 48 << 10)
        latch(cudaFuncSetAttribute((const void *)kernel,
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared), name);
    latch(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
}

/* A property of the machine: multiprocessors, shared memory. */
inline int device_attribute(cudaDeviceAttr what) {
    int device = 0, value = 0;
    latch(cudaGetDevice(&device), "cudaGetDevice");
    latch(cudaDeviceGetAttribute(&value, what, device), "cudaDeviceGetAttribute");
    return value;
}

/* How many threads give each an equal share of `items`: whole warps, at most `most`. */
inline int threads_for(int items, int most) {
    int steps = ceil_div(items, most);
    return ceil_div(ceil_div(items, steps), (int)WARP) * WARP;
}

/* ---- Sums, in one order ---------------------------------------------------------------------- */

template <class T> __device__ __forceinline__ T warp_sum(T x) {
    for (int offset = WARP / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
    return x;
}
template <class T> __device__ __forceinline__ T warp_max(T x) {  /* NaN, if any lane has one */
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
        const T y = __shfl_xor_sync(~0u, x, offset);
        x = x > y || x != x ? x : y;
    }
    return x;
}

/* Each x[k] becomes its sum over the block, whose threads must all be there; all get the sums. */
template <int K, class T> __device__ __forceinline__ void block_sums(T (&x)[K]) {
    __shared__ T sums[K][WARP];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    for (int k = 0; k < K; k++) x[k] = warp_sum(x[k]);
    __syncthreads();                             /* the sums before these have been read */
    for (int k = 0; k < K; k++)
        if (lane == 0) sums[k][warp] = x[k];
    __syncthreads();
    for (int k = 0; k < K; k++) x[k] = warp_sum(lane < warps ? sums[k][lane] : T(0));
}
template <class T> __device__ __forceinline__ T block_sum(T x) {
    T sums[1] = { x };
    block_sums(sums);
    return sums[0];
}
template <class T> __device__ __forceinline__ T block_max(T x) {
    __shared__ T most[WARP];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    x = warp_max(x);
    __syncthreads();
    if (lane == 0) most[warp] = x;
    __syncthreads();
    return warp_max(lane < warps ? most[lane] : most[0]);
}

#endif
