/* ptx.cuh: CUDA's headers, and the few instructions that CUDA C++ has no words for.

   Everything in this folder that is not plain C++ passes through here: tests/cuda_on_cpu.h defines
   the same names in its place, and the kernels then run on a CPU, thread for thread. */

#ifndef PTX_CUH
#define PTX_CUH

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- Tensor cores and shared memory ---------------------------------------------------------- */

/* The block's dynamic shared memory. */
__device__ __forceinline__ char *dynamic_shared() {
    extern __shared__ __align__(128) char dynamic[];
    return dynamic;
}

/* d (16,8) += a (16,16) b (16,8) in bfloat16. Fragments as in the PTX manual, "Matrix fragments for
   mma.m16n8k16": of lane 4g+t, a[0] holds (g,2t..2t+1), a[1] (g+8,2t..), a[2] (g,2t+8..), a[3]
   (g+8,2t+8..); b[0] holds (2t..2t+1,g), b[1] (2t+8..,g); d holds (g,2t), (g,2t+1), (g+8,2t),
   (g+8,2t+1). The lower index lies in the lower half. */
__device__ __forceinline__ void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* The same with k = 8 in TF32 (the upper 19 bits of a float): a[0] (g,t), a[1] (g+8,t),
   a[2] (g,t+4), a[3] (g+8,t+4); b[0] (t,g), b[1] (t+4,g); d as above. */
__device__ __forceinline__ void mma_tf32(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four 8x8 matrices of 16-bit numbers from shared memory: lane 8i+r points at row r of matrix i
   (16 bytes); afterwards r[i] of lane 4g+t holds (g,2t..2t+1) of matrix i, or with
   load_matrices_transposed (2t..2t+1,g). */
__device__ __forceinline__ void load_matrices(uint32_t r[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row)) : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t r[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row)) : "memory");
}

/* Begins to copy 16 bytes from global to shared memory, or with valid 0 to write zeros there.
   copy_commit closes a group of copies; copy_wait<N> waits until at most N groups are on their way:
   this thread's own, so other threads need a __syncthreads() too. */
__device__ __forceinline__ void copy_async(void *to, const void *from, int valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((uint32_t)__cvta_generic_to_shared(to)), "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}
__device__ __forceinline__ void copy_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int N> __device__ __forceinline__ void copy_wait() {
    asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
}

/* Two floats as two bfloat16 in one register, the first in the lower half. */
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
    __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
    uint32_t bits;
    memcpy(&bits, &both, 4);
    return bits;
}

/* The float nearest to x that TF32 can hold, as bits. */
__device__ __forceinline__ uint32_t to_tf32(float x) {
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

/* 2^x, off by two units in the last place at most; 0 where that is no normal float. */
__device__ __forceinline__ float fast_exp2(float x) {
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(x) : "f"(x));
    return x;
}

#endif
