/* matmul.cu: linear layers on the GPU.

   Three ways to multiply: cuBLASLt; for a few rows, as in generation, a kernel that reads the
   weight once and as fast as memory gives it; for what cuBLASLt refuses, a plain tiled kernel. */

#include "gpu.cuh"

/* ---- cuBLASLt -------------------------------------------------------------------------------- */

/* out (M,N) = a (M,K) b (K,N) + add, + bias (N) in each row. All lie row after row, `a` as (K,M)
   where a_columns, `b` as (N,K) where b_columns. out is float where wide. add (M,N), of out's type,
   may be out. With gelu, that goes to gelu (M,N) and its GELU to out; with dgelu (M,N), out is
   multiplied by the slope of GELU there. */
struct Product {
    int M, N, K;
    void *out;
    const real *a, *b;
    bool a_columns, b_columns, wide;
    const void *add;
    const real *bias;
    real *gelu;
    const real *dgelu;
};

/* How cuBLASLt does a product of one kind, once it was asked. */
struct Kind {
    int M, N, K, a_columns, b_columns, wide, epilogue, added;
    unsigned align[4];               /* of a, b, add and out */
};
struct Choice {
    Kind kind;
    int known, possible;
    cublasLtMatmulAlgo_t algorithm;
};

/* Of n bytes, the largest power of 2 that divides them, up to 16. */
static unsigned alignment(const void *memory) {
    uintptr_t low = (uintptr_t)memory | 16;
    return (unsigned)(low & -low);
}

static cublasLtHandle_t cublas() {
    static cublasLtHandle_t handle;
    if (!handle && cublasLtCreate(&handle) != CUBLAS_STATUS_SUCCESS)
        latch(cudaErrorInvalidValue, "cuBLASLt cannot start");
    return handle;
}

/* What cuBLASLt wants to know, which thinks in columns: out^T (N,M) = b^T a^T. */
struct Descriptors {
    cublasLtMatmulDescOpaque_t product;
    cublasLtMatrixLayoutOpaque_t b, a, out;

    template <class T> void set(cublasLtMatmulDescAttributes_t what, T value) {
        cublasLtMatmulDescSetAttribute(&product, what, &value, sizeof value);
    }

    Descriptors(const Product &p, int epilogue) {
        const cudaDataType_t narrow = sizeof(real) == 2 ? CUDA_R_16BF : CUDA_R_32F;
        cublasLtMatmulDescInit(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
        set(CUBLASLT_MATMUL_DESC_TRANSA, p.b_columns ? CUBLAS_OP_T : CUBLAS_OP_N);
        set(CUBLASLT_MATMUL_DESC_TRANSB, p.a_columns ? CUBLAS_OP_T : CUBLAS_OP_N);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, (cublasLtEpilogue_t)epilogue);
        if (p.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
        if (p.gelu || p.dgelu) {
            set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.gelu ? p.gelu : p.dgelu);
            set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, (int64_t)p.N);
        }
        if (p.b_columns) cublasLtMatrixLayoutInit(&b, narrow, p.K, p.N, p.K);
        else cublasLtMatrixLayoutInit(&b, narrow, p.N, p.K, p.N);
        if (p.a_columns) cublasLtMatrixLayoutInit(&a, narrow, p.M, p.K, p.M);
        else cublasLtMatrixLayoutInit(&a, narrow, p.K, p.M, p.K);
        cublasLtMatrixLayoutInit(&out, p.wide ? CUDA_R_32F : narrow, p.N, p.M, p.N);
    }
};

/* Asks cuBLASLt for its best algorithm. Sums that several blocks share it may only add up in its
   workspace, in one order: the same call gives the same bits. */
static void choose(Choice *choice, Descriptors *d, size_t work_size) {
    cublasLtMatmulPreferenceOpaque_t wish;
    cublasLtMatmulHeuristicResult_t best = {};
    const uint32_t in_workspace = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const cublasLtMatmulPreferenceAttributes_t align[4] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES };
    int found = 0;
    cublasLtMatmulPreferenceInit(&wish);
    cublasLtMatmulPreferenceSetAttribute(&wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &work_size, sizeof work_size);
    cublasLtMatmulPreferenceSetAttribute(&wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                         &in_workspace, sizeof in_workspace);
    for (int i = 0; i < 4; i++)
        cublasLtMatmulPreferenceSetAttribute(&wish, align[i], &choice->kind.align[i],
                                             sizeof(uint32_t));
    cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        cublas(), &d->product, &d->b, &d->a, &d->out, &d->out, &wish, 1, &best, &found);
    choice->known = 1;
    choice->possible = status == CUBLAS_STATUS_SUCCESS && found > 0;
    choice->algorithm = best.algo;
}

/* Choices already made, by a hash of their kind; a newer one may push an older one out. */
static Choice *remembered(const Kind &kind) {
    enum { SLOTS = 1024 };
    static Choice choices[SLOTS];
    uint32_t words[sizeof kind / 4], hash = 0;
    memcpy(words, &kind, sizeof kind);
    for (uint32_t word : words) hash = (hash ^ word) * 0x9e3779b1u, hash ^= hash >> 15;
    Choice *choice = &choices[hash % SLOTS];
    if (memcmp(&choice->kind, &kind, sizeof kind)) *choice = { kind, 0, 0, {} };
    return choice;
}

/* False where cuBLASLt cannot do this product. */
static bool by_cublas(const Product &p, void *work, size_t work_size) {
    if ((p.gelu || p.dgelu) && (p.N % 8 || !aligned(p.gelu, p.dgelu))) return false;
    if (p.bias && (p.wide || !aligned(p.bias))) return false;
    int epilogue = p.dgelu ? CUBLASLT_EPILOGUE_DGELU : p.gelu ? CUBLASLT_EPILOGUE_GELU_AUX : 0;
    if (p.bias) epilogue |= CUBLASLT_EPILOGUE_BIAS;
    if (!epilogue) epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void *add = p.add ? p.add : p.out;
    const Kind kind = { p.M, p.N, p.K, p.a_columns, p.b_columns, p.wide, epilogue, p.add != NULL,
                        { alignment(p.a), alignment(p.b), alignment(add), alignment(p.out) } };
    const float one = 1, beta = p.add ? 1 : 0;
    Descriptors d(p, epilogue);
    Choice *choice = remembered(kind);
    if (!choice->known) choose(choice, &d, work_size);
    if (!choice->possible) return false;
    cublasStatus_t status = cublasLtMatmul(cublas(), &d.product, &one, p.b, &d.b, p.a, &d.a, &beta,
                                           add, &d.out, p.out, &d.out, &choice->algorithm,
                                           work, work_size, stream);
    if (status != CUBLAS_STATUS_SUCCESS) latch(cudaErrorLaunchFailure, "cublasLtMatmul");
    return true;
}

/* ---- What cuBLASLt refuses ------------------------------------------------------------------- */

template <class T> __device__ __forceinline__ float added(const void *add, size_t at) {
    return add ? to_float(((const T *)add)[at]) : 0.f;
}

/* A block makes 32x32 numbers, each thread four; a and b pass through shared memory. */
template <class Out> __global__ void __launch_bounds__(256) tiled(Product p) {
    enum { TILE = 32, ROWS = 8 };
    __shared__ float a[TILE][TILE + 1], b[TILE][TILE + 1];       /* of k, and of m or n */
    const int m0 = blockIdx.x * TILE, n0 = blockIdx.y * TILE, x = threadIdx.x, y = threadIdx.y;
    float sums[TILE / ROWS] = {};
    for (int k0 = 0; k0 < p.K; k0 += TILE) {
        for (int i = y; i < TILE; i += ROWS) {               /* x runs along what lies together */
            const int ma = m0 + (p.a_columns ? x : i), ka = k0 + (p.a_columns ? i : x);
            const int nb = n0 + (p.b_columns ? i : x), kb = k0 + (p.b_columns ? x : i);
            a[ka - k0][ma - m0] = ma >= p.M || ka >= p.K ? 0.f
                : to_float(p.a[p.a_columns ? (size_t)ka * p.M + ma : (size_t)ma * p.K + ka]);
            b[kb - k0][nb - n0] = nb >= p.N || kb >= p.K ? 0.f
                : to_float(p.b[p.b_columns ? (size_t)nb * p.K + kb : (size_t)kb * p.N + nb]);
        }
        __syncthreads();
        for (int k = 0; k < TILE; k++)
            for (int i = 0; i < TILE / ROWS; i++) sums[i] += a[k][y + i * ROWS] * b[k][x];
        __syncthreads();
    }
    for (int i = 0; i < TILE / ROWS; i++) {
        const int m = m0 + y + i * ROWS, n = n0 + x;
        if (m >= p.M || n >= p.N) continue;
        const size_t at = (size_t)m * p.N + n;
        ((Out *)p.out)[at] = from_float<Out>(sums[i] + added<Out>(p.add, at)
                                             + (p.bias ? to_float(p.bias[n]) : 0.f));
    }
}

/* GELU is a pass of its own where cuBLASLt does not do it on the way. */
static void multiply(Product p, void *work, size_t work_size) {
    if (by_cublas(p, work, work_size)) return;
    real *gelu = p.gelu, *out = (real *)p.out;
    const real *dgelu = p.dgelu;
    if (gelu) p.out = gelu;
    p.gelu = NULL;
    p.dgelu = NULL;
    if (!((gelu || dgelu) && by_cublas(p, work, work_size))) {
        dim3 grid(ceil_div(p.M, 32), ceil_div(p.N, 32)), threads(32, 8);
        if (p.wide) launch("tiled", tiled<float>, grid, threads, 0, p);
        else launch("tiled", tiled<real>, grid, threads, 0, p);
    }
    if (gelu) gelu_forward(out, gelu, (size_t)p.M * p.N);
    if (dgelu) gelu_backward(out, out, dgelu, (size_t)p.M * p.N);
}

/* ---- A few rows ------------------------------------------------------------------------------ */

enum { FEW = 8, OUTPUTS = 4, FEW_THREADS = 128 };

/* x[0..COUNT) become sums over the warp, one for each lane: lane l has the (l * COUNT / 32)th. Half
   of the numbers go to the other half of the lanes at each step, until each has one. */
template <int COUNT> __device__ __forceinline__ float spread_sums(float *x, int offset = WARP / 2) {
    if constexpr (COUNT > 1) {
        const bool upper = threadIdx.x & offset;
        #pragma unroll
        for (int i = 0; i < COUNT / 2; i++) {
            const float low = x[i], high = x[i + COUNT / 2];
            x[i] = (upper ? high : low) + __shfl_xor_sync(~0u, upper ? low : high, offset);
        }
        return spread_sums<COUNT / 2>(x, offset / 2);
    } else {
        for (; offset > 0; offset /= 2) x[0] += __shfl_xor_sync(~0u, x[0], offset);
        return x[0];
    }
}

/* Numbers c.. of a row of C, which is read 16 bytes at a time where it is ALIGNED. */
template <bool ALIGNED> __device__ __forceinline__ Wide piece(const real *row, int c, int C) {
    if constexpr (ALIGNED) {
        return load<WIDE>(row + c);
    } else {
        Wide x;
        #pragma unroll
        for (int i = 0; i < WIDE; i++) x[i] = c + i < C ? row[c + i] : to_real(0);
        return x;
    }
}

/* A block gives OUTPUTS columns of all rows; its threads share C. Each weight is loaded once, and
   the bits of a row do not depend on the others: rows from N on repeat the last. */
template <class Out, int ROWS, bool ALIGNED>
__global__ void __launch_bounds__(FEW_THREADS)
few_rows(Out *out, const real *inp, const real *weight, const real *bias, const real *residual,
         int N, int C, int O) {
    enum { COUNT = ROWS * OUTPUTS, WARPS = FEW_THREADS / WARP };
    __shared__ float parts[WARPS][COUNT];
    const int first = blockIdx.x * OUTPUTS, lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    float sums[COUNT] = {};
    #pragma unroll 2
    for (int c = threadIdx.x * WIDE; c < C; c += FEW_THREADS * WIDE) {
        Wide w[OUTPUTS];
        #pragma unroll
        for (int o = 0; o < OUTPUTS; o++)
            w[o] = piece<ALIGNED>(weight + (size_t)min_int(first + o, O - 1) * C, c, C);
        #pragma unroll
        for (int n = 0; n < ROWS; n++) {
            const Wide x = piece<ALIGNED>(inp + (size_t)min_int(n, N - 1) * C, c, C);
            #pragma unroll
            for (int i = 0; i < OUTPUTS * WIDE; i++) {
                float *sum = &sums[n * OUTPUTS + i / WIDE];
                *sum = fmaf(to_float(x[i % WIDE]), to_float(w[i / WIDE][i % WIDE]), *sum);
            }
        }
    }
    const float sum = spread_sums<COUNT>(sums);
    if (lane % (WARP / COUNT) == 0) parts[warp][lane / (WARP / COUNT)] = sum;
    __syncthreads();
    const int n = threadIdx.x / OUTPUTS, o = first + threadIdx.x % OUTPUTS;
    if (n >= N || o >= O) return;
    float total = 0;
    for (int i = 0; i < WARPS; i++) total += parts[i][threadIdx.x];
    if (bias) total += to_float(bias[o]);
    if (residual) total += to_float(residual[(size_t)n * O + o]);
    out[(size_t)n * O + o] = from_float<Out>(total);
}

template <class Out, int ROWS>
static void multiply_few(Out *out, const real *inp, const real *weight, const real *bias,
                         const real *residual, int N, int C, int O) {
    auto *kernel = C % WIDE == 0 && aligned(inp, weight) ? few_rows<Out, ROWS, true>
                                                         : few_rows<Out, ROWS, false>;
    launch("few_rows", kernel, ceil_div(O, (int)OUTPUTS), FEW_THREADS, 0,
           out, inp, weight, bias, residual, N, C, O);
}

/* False where the rows are too many for it. */
template <class Out>
static bool by_few(Out *out, const real *inp, const real *weight, const real *bias,
                   const real *residual, int N, int C, int O) {
    if (N > FEW) return false;
    auto *multiply = N <= 1 ? multiply_few<Out, 1> : N <= 2 ? multiply_few<Out, 2>
                   : N <= 4 ? multiply_few<Out, 4> : multiply_few<Out, FEW>;
    multiply(out, inp, weight, bias, residual, N, C, O);
    return true;
}

/* ---- Linear layers --------------------------------------------------------------------------- */

size_t linear_packed_size(int C, int O) { (void)C; (void)O; return 0; }

void linear_pack(real *packed, const real *weight, int from, int rows, int C, int O) {
    (void)packed; (void)weight; (void)from; (void)rows; (void)C; (void)O;
}

void embed_packed(real *out, const int *tokens, const int *positions, const real *packed,
                  const real *wpe, int N, int C, int O) {
    (void)O;
    embed_forward(out, tokens, positions, packed, wpe, N, C);
}

/* Where blocks share a sum, each leaves its part here: up to 8 parts of the largest result, but no
   more than cuBLAS makes use of. */
size_t linear_work(int N, int C, int O, int backward) {
    (void)backward;
    const size_t most = 32 << 20, n = N, c = C, o = O;
    size_t result = n * o > n * c ? n * o : n * c;
    if (o * c > result) result = o * c;
    size_t bytes = 8 * sizeof(float) * result;
    return bytes < most ? (bytes + 255) / 256 * 256 : most;
}

void linear_forward(real *out, real *pre, const real *inp, const real *packed, const real *bias,
                    const real *residual, void *work, int N, int C, int O) {
    if (by_few(pre ? pre : out, inp, packed, bias, residual, N, C, O)) {
        if (pre) gelu_forward(out, pre, (size_t)N * O);
        return;
    }
    Product p = {};
    p.M = N, p.N = O, p.K = C;
    p.out = out, p.a = inp, p.b = packed, p.b_columns = true;
    p.add = residual, p.bias = bias, p.gelu = pre;
    multiply(p, work, linear_work(N, C, O, 0));
}

void linear_forward_float(float *out, const real *inp, const real *packed, void *work,
                          int N, int C, int O) {
    const real *nothing = NULL;
    if (by_few(out, inp, packed, nothing, nothing, N, C, O)) return;
    Product p = {};
    p.M = N, p.N = O, p.K = C;
    p.out = out, p.wide = true, p.a = inp, p.b = packed, p.b_columns = true;
    multiply(p, work, linear_work(N, C, O, 0));
}

/* dbias (O) += the sum of dout's rows. A block has 32 columns; each of its warps every 32nd row. */
__global__ void __launch_bounds__(1024) sum_rows(float *dbias, const real *dout, int N, int O) {
    __shared__ float parts[WARP][WARP + 1];
    const int o = blockIdx.x * WARP + threadIdx.x;
    float sum = 0;
    for (int n = threadIdx.y; n < N && o < O; n += WARP) sum += to_float(dout[(size_t)n * O + o]);
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    sum = warp_sum(parts[threadIdx.x][threadIdx.y]);
    const int column = blockIdx.x * WARP + threadIdx.y;
    if (threadIdx.x == 0 && column < O) dbias[column] += sum;
}

void linear_backward(real *dinp, float *dweight, float *dbias, const real *dout, const real *inp,
                     const real *weight, const real *packed, const real *pre, const real *residual,
                     void *work, int N, int C, int O) {
    const size_t work_size = linear_work(N, C, O, 1);
    Product p = {};
    if (dinp) {
        p.M = N, p.N = C, p.K = O;
        p.out = dinp, p.a = dout, p.b = weight ? weight : packed;
        p.add = residual, p.dgelu = residual ? NULL : pre;
        multiply(p, work, work_size);
        if (residual && pre) gelu_backward(dinp, dinp, pre, (size_t)N * C);
    }
    p = {};
    p.M = O, p.N = C, p.K = N;
    p.out = dweight, p.wide = true, p.add = dweight;
    p.a = dout, p.a_columns = true, p.b = inp;
    if (dweight) multiply(p, work, work_size);
    if (dbias)
        launch("sum_rows", sum_rows, ceil_div(O, (int)WARP), dim3(WARP, WARP), 0,
               dbias, dout, N, O);
}

/* out (n,n): what is below the diagonal goes above it. */
__global__ void mirror(real *out, int n) {
    const size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x, i = at / n, j = at % n;
    if (i < j && i < (size_t)n) out[at] = out[j * n + i];
}

/* To compute only half of it is not worth a kernel of its own here. */
size_t symmetric_work(int n, int K) { return linear_work(n, K, n, 0); }

void symmetric_product(real *out, const real *x, const real *y, void *work, int n, int K,
                       int columns) {
    Product p = {};
    p.M = n, p.N = n, p.K = K;
    p.out = out, p.a = x, p.b = y, p.a_columns = columns, p.b_columns = !columns;
    multiply(p, work, symmetric_work(n, K));
    launch("mirror", mirror, (unsigned)ceil_div((size_t)n * n, (size_t)256), 256, 0, out, n);
}

/* ---- Three loops ----------------------------------------------------------------------------- */

__global__ void naive(float *c, const real *a, const real *b, int M, int N, int K) {
    const size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (size_t)M * N) return;
    const real *row = a + at / N * K, *column = b + at % N * K;
    float sum = 0;
    for (int k = 0; k < K; k++) sum += to_float(row[k]) * to_float(column[k]);
    c[at] = sum;
}

void matmul_naive(float *c, const real *a, const real *b, int M, int N, int K) {
    launch("matmul_naive", naive, (unsigned)ceil_div((size_t)M * N, (size_t)256), 256, 0,
           c, a, b, M, N, K);
}
