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

extern "C" {
#include "../csrc/chat.h"
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

template <class T> __host__ __device__ __forceinline__ T ceil_div(T a, T b) {
    return (a + b - 1) / b;
}

/* N values that are read and written by one instruction where they lie on their own size. */
template <class T, int N> struct alignas(sizeof(T) * N) Vector {
    T x[N];
    __device__ __forceinline__ T &operator[](int i) { return x[i]; }
    __device__ __forceinline__ const T &operator[](int i) const { return x[i]; }
};
enum { WIDE = 16 / sizeof(real) };           /* reals in the widest load, 16 bytes */
typedef Vector<real, WIDE> Wide;

/* ---- Launching ------------------------------------------------------------------------------- */

enum { WARP = 32 };

/* All work goes to one stream, in order. (comm.cu has a second one.) */
extern cudaStream_t stream;

/* Latches the first failure; device_read and the entry points return it. */
void latch(cudaError_t status, const char *what);

/* kernel<<<grid, threads, shared, stream>>>(arguments...), with a check. */
template <class... Parameters, class... Arguments>
void launch(const char *name, void (*kernel)(Parameters...), dim3 grid, dim3 threads,
            size_t shared, Arguments... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
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

/* ---- Sums, in one order ---------------------------------------------------------------------- */

__device__ __forceinline__ float warp_sum(float x) {
    for (int offset = WARP / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(~0u, x, offset);
    return x;
}
__device__ __forceinline__ float warp_max(float x) {         /* NaN, if any lane has one */
    for (int offset = WARP / 2; offset > 0; offset /= 2) {
        float y = __shfl_xor_sync(~0u, x, offset);
        x = x > y || x != x ? x : y;
    }
    return x;
}

#endif
