/* quant.cu: GGUF's blocks on the GPU, which expands them once. */

#include "gpu.cuh"
#include "../csrc/blocks.h"

__global__ void __launch_bounds__(256)
expand(float *out, const uint8_t *blocks, int type, int numbers, int bytes, size_t n) {
    const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = block_value(type, blocks + i / numbers * bytes, (int)(i % numbers));
}

void dequantize(float *out, const void *blocks, int type, size_t n) {
    launch("dequantize", expand, (unsigned)ceil_div(n, (size_t)256), 256, 0,
           out, (const uint8_t *)blocks, type, block_numbers(type), block_bytes(type), n);
}

/* ---- What is expanded is not multiplied in blocks -------------------------------------------- */

int quant_multiplies(void) { return 0; }
size_t quant_inputs_size(int N, int C) { (void)N; (void)C; return 0; }
void quant_inputs(void *, const real *, int, int) {}
void quant_forward(real *, const real *, const void *, const void *, const real *, const real *,
                   int, int, int, int, int, int) {}
void quant_forward_float(float *, const real *, const void *, const void *,
                         int, int, int, int, int) {}
void embed_quant(real *, const int *, const int *, const void *, const real *, int, int, int) {}
