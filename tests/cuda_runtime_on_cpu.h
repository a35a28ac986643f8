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
#ifdef ON_CPU_ASAN
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

#endif
