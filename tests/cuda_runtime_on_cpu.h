/* cuda_runtime_on_cpu.h: the host's side of cuda_on_cpu.h: what cuda/ calls of CUDA's runtime and of
   cuBLASLt. Device memory is the host's; a stream's work is done at once, or kept for its graph. */

#ifndef CUDA_RUNTIME_ON_CPU_H
#define CUDA_RUNTIME_ON_CPU_H

enum cudaError_t {
    cudaSuccess, cudaErrorInvalidValue = 1, cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9, cudaErrorNoDevice = 100, cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900
};

inline const char *cudaGetErrorString(cudaError_t status) {
    switch (status) {
        case cudaSuccess: return "no error";
        case cudaErrorMemoryAllocation: return "out of memory";
        case cudaErrorInvalidConfiguration: return "invalid configuration argument";
        case cudaErrorLaunchFailure: return on_cpu::error.c_str();
        default: return "invalid argument";
    }
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

/* ---- Streams and graphs ---------------------------------------------------------------------- */

namespace on_cpu {
typedef std::function<cudaError_t()> Work;
struct Graph { std::vector<Work> work; };
struct Stream { Graph *captured; };
struct Event { std::chrono::steady_clock::time_point time; };

inline cudaError_t submit(Stream *stream, Work work) {
    if (!stream || !stream->captured) return work();
    stream->captured->work.push_back(std::move(work));
    return cudaSuccess;
}
}   /* namespace on_cpu */

typedef on_cpu::Stream *cudaStream_t;
typedef on_cpu::Event *cudaEvent_t;
typedef on_cpu::Graph *cudaGraph_t, *cudaGraphExec_t;
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };
enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeRelaxed
};

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    *stream = new on_cpu::Stream{ NULL };
    return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) { delete stream; return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return stream && stream->captured ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    stream->captured = new on_cpu::Graph;
    return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    *graph = stream->captured;
    stream->captured = NULL;
    return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned) {
    *out = new on_cpu::Graph(*graph);
    return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) { delete graph; return cudaSuccess; }
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { delete graph; return cudaSuccess; }
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) {
    for (on_cpu::Work &work : graph->work)
        if (cudaError_t status = work()) return status;
    return cudaSuccess;
}

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    *event = new on_cpu::Event;
    return cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }
inline cudaError_t cudaEventDestroy(cudaEvent_t event) { delete event; return cudaSuccess; }
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t = NULL) {
    event->time = std::chrono::steady_clock::now();
    return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned = 0) {
    return cudaSuccess;
}
inline cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return cudaSuccess;
}

/* ---- The device and its memory --------------------------------------------------------------- */

enum cudaMemcpyKind {
    cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount, l2CacheSize;
    size_t totalGlobalMem, sharedMemPerMultiprocessor, sharedMemPerBlockOptin;
};

inline cudaError_t cudaGetDeviceCount(int *count) { *count = 1; return cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int *device) { *device = 0; return cudaSuccess; }
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int) {
    *prop = { "emulated GPU", 8, 0, 2, 1 << 20, (size_t)4 << 30, 228 << 10, on_cpu::MOST_SHARED };
    return cudaSuccess;
}
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16, cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
inline cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int) {
    *value = what == cudaDevAttrMultiProcessorCount ? 2
           : what == cudaDevAttrComputeCapabilityMajor ? 8 : 99 << 10;       /* the least there is */
    return cudaSuccess;
}
template <class T> inline cudaError_t cudaGetSymbolAddress(void **address, T &symbol) {
    *address = &symbol;
    return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    *free = *total = (size_t)4 << 30;
    return cudaSuccess;
}

/* As the GPU's, memory begins at a multiple of 256 bytes; it holds NaN. */
inline cudaError_t cudaMalloc(void **out, size_t bytes) {
    *out = bytes > (size_t)4 << 30 ? NULL : aligned_alloc(256, (bytes + 256) / 256 * 256);
    if (!*out) return cudaErrorMemoryAllocation;
#ifdef FIBERS_ASAN
    __asan_poison_memory_region((char *)*out + bytes, (bytes + 256) / 256 * 256 - bytes);
#endif
    memset(*out, 0xff, min(bytes, (size_t)1 << 20));
    return cudaSuccess;
}
template <class T> inline cudaError_t cudaMalloc(T **out, size_t bytes) {
    return cudaMalloc((void **)out, bytes);
}
inline cudaError_t cudaFree(void *memory) { free(memory); return cudaSuccess; }
inline cudaError_t cudaMallocHost(void **out, size_t bytes) { return cudaMalloc(out, bytes); }
inline cudaError_t cudaFreeHost(void *memory) { return cudaFree(memory); }
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t stream = NULL) {
    return on_cpu::submit(stream, [=] { memmove(to, from, bytes); return cudaSuccess; });
}
inline cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind);
}
inline cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream = NULL) {
    return on_cpu::submit(stream, [=] { memset(to, value, bytes); return cudaSuccess; });
}

/* ---- Launching ------------------------------------------------------------------------------- */

enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};

namespace on_cpu OWN {
inline std::map<const void *, int> most_shared;  /* of a kernel: what cudaFuncSetAttribute allowed */
}

inline cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute, int bytes) {
    if (bytes > on_cpu::MOST_SHARED) return cudaErrorInvalidValue;
    on_cpu::most_shared[kernel] = bytes;
    return cudaSuccess;
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
    dim3 grid = config->gridDim, threads = config->blockDim;
    size_t shared = config->dynamicSmemBytes;
    size_t count = (size_t)threads.x * threads.y * threads.z;
    if (count == 0 || count > on_cpu::MOST_THREADS || threads.z > 64 || grid.x > INT32_MAX ||
        grid.y > 65535 || grid.z > 65535 || !grid.x || !grid.y || !grid.z)
        return cudaErrorInvalidConfiguration;
    if (shared > 48 << 10 && shared > (size_t)on_cpu::most_shared[(const void *)kernel])
        return cudaErrorInvalidValue;
    return on_cpu::submit(config->stream, [=] {
        on_cpu::run_grid(grid, threads, shared, [=] { kernel(arguments...); });
        return on_cpu::error.empty() ? cudaSuccess : cudaErrorLaunchFailure;
    });
}

/* ---- cuBLASLt -------------------------------------------------------------------------------- */

enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_INVALID_VALUE = 7, CUBLAS_STATUS_NOT_SUPPORTED = 15
};
enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68 };
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_16BF = 14 };
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T };
enum cublasLtEpilogue_t {
    CUBLASLT_EPILOGUE_DEFAULT = 1, CUBLASLT_EPILOGUE_BIAS = 4, CUBLASLT_EPILOGUE_GELU = 32,
    CUBLASLT_EPILOGUE_GELU_AUX = 32 | 128, CUBLASLT_EPILOGUE_DGELU = 64 | 128
};
enum cublasLtReductionScheme_t {
    CUBLASLT_REDUCTION_SCHEME_NONE = 0, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE = 2
};

/* The values are where each attribute lies in its struct below. */
enum cublasLtMatmulDescAttributes_t {
    CUBLASLT_MATMUL_DESC_TRANSA = 0, CUBLASLT_MATMUL_DESC_TRANSB = 4,
    CUBLASLT_MATMUL_DESC_EPILOGUE = 8, CUBLASLT_MATMUL_DESC_BIAS_POINTER = 16,
    CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER = 24, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD = 32
};
struct cublasLtMatmulDescOpaque_t {
    cublasOperation_t a_turned, b_turned;
    cublasLtEpilogue_t epilogue;
    const void *bias;
    void *aux;
    int64_t aux_ld;
};
struct cublasLtMatrixLayoutOpaque_t {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t ld;
};
enum cublasLtMatmulPreferenceAttributes_t {
    CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 0, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 8,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 12,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 16,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 20,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 24
};
struct cublasLtMatmulPreferenceOpaque_t { size_t work; uint32_t scheme, align[4]; };

struct cublasLtMatmulAlgo_t {        /* what it was chosen for */
    uint64_t rows, columns, depth;
    cublasLtEpilogue_t epilogue;
    uint32_t align[4];
    size_t work;
};
struct cublasLtMatmulHeuristicResult_t { cublasLtMatmulAlgo_t algo; };

typedef struct cublasLtContext *cublasLtHandle_t;
typedef cublasLtMatmulDescOpaque_t *cublasLtMatmulDesc_t;
typedef cublasLtMatrixLayoutOpaque_t *cublasLtMatrixLayout_t;
typedef cublasLtMatmulPreferenceOpaque_t *cublasLtMatmulPreference_t;

inline cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    *handle = (cublasLtHandle_t)1;
    return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulDescInit(cublasLtMatmulDesc_t d, cublasComputeType_t,
                                             cudaDataType_t) {
    *d = { CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, NULL, NULL, 0 };
    return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatrixLayoutInit(cublasLtMatrixLayout_t layout, cudaDataType_t type,
                                               uint64_t rows, uint64_t columns, int64_t ld) {
    *layout = { type, rows, columns, ld };
    return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulPreferenceInit(cublasLtMatmulPreference_t wish) {
    *wish = { 0, 7, { 256, 256, 256, 256 } };
    return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                                     cublasLtMatmulDescAttributes_t what,
                                                     const void *value, size_t size) {
    memcpy((char *)d + what, value, size);
    return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t wish,
                                                           cublasLtMatmulPreferenceAttributes_t at,
                                                           const void *value, size_t size) {
    memcpy((char *)wish + at, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

namespace on_cpu {
inline size_t size_of(cudaDataType_t type) { return type == CUDA_R_32F ? 4 : 2; }

inline float element(cudaDataType_t type, const void *x, size_t at) {
    return type == CUDA_R_32F ? ((const float *)x)[at] : (float)((const __nv_bfloat16 *)x)[at];
}
inline void set_element(cudaDataType_t type, void *x, size_t at, float value) {
    if (type == CUDA_R_32F) ((float *)x)[at] = value;
    else ((__nv_bfloat16 *)x)[at] = value;
}

inline float gelu(float x) { return .5f * x * (1 + tanhf(.7978845608f * (x + .044715f * x * x * x))); }
inline float gelu_slope(float x) {
    float t = tanhf(.7978845608f * (x + .044715f * x * x * x));
    return .5f * (1 + t) + .5f * x * (1 - t * t) * .7978845608f * (1 + 3 * .044715f * x * x);
}

/* A column of d at a time; a turned into columns of floats first. */
inline void lt_product(cublasLtMatmulDescOpaque_t op, float alpha,
                       const void *a, cublasLtMatrixLayoutOpaque_t a_lies,
                       const void *b, cublasLtMatrixLayoutOpaque_t b_lies, float beta,
                       const void *c, void *d, cublasLtMatrixLayoutOpaque_t d_lies) {
    size_t M = d_lies.rows, K = op.a_turned ? a_lies.rows : a_lies.columns;
    std::vector<float> columns(M * K), sums(M);
    for (size_t k = 0; k < K; k++)
        for (size_t m = 0; m < M; m++)
            columns[k * M + m] = element(a_lies.type, a, op.a_turned ? m * a_lies.ld + k
                                                                     : k * a_lies.ld + m);
    for (size_t n = 0; n < d_lies.columns; n++) {
        std::fill(sums.begin(), sums.end(), 0.f);
        for (size_t k = 0; k < K; k++) {
            float x = element(b_lies.type, b, op.b_turned ? k * b_lies.ld + n : n * b_lies.ld + k);
            for (size_t m = 0; m < M; m++) sums[m] += columns[k * M + m] * x;
        }
        for (size_t m = 0; m < M; m++) {
            size_t at = n * d_lies.ld + m, aux = n * op.aux_ld + m;
            float x = alpha * sums[m] + (beta ? beta * element(d_lies.type, c, at) : 0.f);
            if (op.epilogue & CUBLASLT_EPILOGUE_BIAS) x += element(d_lies.type, op.bias, m);
            if (op.epilogue == CUBLASLT_EPILOGUE_DGELU)
                x *= gelu_slope(element(d_lies.type, op.aux, aux));
            else if (op.epilogue & CUBLASLT_EPILOGUE_GELU) {
                set_element(d_lies.type, op.aux, aux, x);
                x = gelu(x);
            }
            set_element(d_lies.type, d, at, x);
        }
    }
}

/* Whether the three fit each other. */
inline bool fits(const cublasLtMatmulDescOpaque_t &op, const cublasLtMatrixLayoutOpaque_t &a,
                 const cublasLtMatrixLayoutOpaque_t &b, const cublasLtMatrixLayoutOpaque_t &d) {
    return (op.a_turned ? a.columns : a.rows) == d.rows && a.ld >= (int64_t)a.rows &&
           (op.b_turned ? b.rows : b.columns) == d.columns && b.ld >= (int64_t)b.rows &&
           (op.a_turned ? a.rows : a.columns) == (op.b_turned ? b.columns : b.rows) &&
           d.ld >= (int64_t)d.rows && (!(op.epilogue & CUBLASLT_EPILOGUE_BIAS) || op.bias) &&
           (!(op.epilogue & 128) || (op.aux && op.aux_ld >= (int64_t)d.rows));
}
}   /* namespace on_cpu */

/* Refuses what the real one may refuse: columns or memory that 4 bytes do not divide, and for GELU
   8 numbers and 16 bytes. */
inline cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t, cublasLtMatmulDesc_t op, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
    cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t wish, int,
    cublasLtMatmulHeuristicResult_t *result, int *found) {
    *found = 0;
    if (!on_cpu::fits(*op, *a, *b, *d)) return CUBLAS_STATUS_INVALID_VALUE;
    for (cublasLtMatrixLayout_t x : { a, b, d })
        if ((size_t)x->ld * on_cpu::size_of(x->type) % 4) return CUBLAS_STATUS_NOT_SUPPORTED;
    for (uint32_t align : wish->align)
        if (align < 4) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (op->epilogue & 128 && (op->aux_ld % 8 || (uintptr_t)op->aux % 16))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *result = { { d->rows, d->columns, op->a_turned ? a->rows : a->columns, op->epilogue,
                  { wish->align[0], wish->align[1], wish->align[2], wish->align[3] },
                  wish->work } };
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

/* Does it, if the algorithm was chosen for this; leaves the workspace in disorder. */
inline cublasStatus_t cublasLtMatmul(
    cublasLtHandle_t, cublasLtMatmulDesc_t op, const float *alpha, const void *a,
    cublasLtMatrixLayout_t a_lies, const void *b, cublasLtMatrixLayout_t b_lies, const float *beta,
    const void *c, cublasLtMatrixLayout_t, void *d, cublasLtMatrixLayout_t d_lies,
    const cublasLtMatmulAlgo_t *algo, void *work, size_t work_size, cudaStream_t stream) {
    const void *memories[] = { a, b, c, d };
    for (int i = 0; i < 4; i++)
        if ((uintptr_t)memories[i] % algo->align[i]) return CUBLAS_STATUS_INVALID_VALUE;
    if (!on_cpu::fits(*op, *a_lies, *b_lies, *d_lies) || algo->rows != d_lies->rows ||
        algo->columns != d_lies->columns || algo->epilogue != op->epilogue ||
        algo->depth != (op->a_turned ? a_lies->rows : a_lies->columns) || algo->work > work_size)
        return CUBLAS_STATUS_INVALID_VALUE;
    memset(work, 0xff, work_size);
    on_cpu::submit(stream, [=, op = *op, a_lies = *a_lies, b_lies = *b_lies, d_lies = *d_lies,
                            alpha = *alpha, beta = *beta] {
        on_cpu::lt_product(op, alpha, a, a_lies, b, b_lies, beta, c, d, d_lies);
        return cudaSuccess;
    });
    return CUBLAS_STATUS_SUCCESS;
}

#endif
