/* device.cu: the GPU as a device: its memory, its stream, its errors. Nothing here needs a GPU
   until device_ready() is called, by itself or through what needs one. */

#include "gpu.cuh"

cudaStream_t stream;

static char latched[512];                        /* a sentence, until device_read returns it */
static cudaDeviceProp gpu;
static bool is_ready;
static int wanted;

void latch_sentence(const char *what, const char *why) {
    if (!latched[0]) snprintf(latched, sizeof latched, "%s: %s", what, why);
}

void latch(cudaError_t status, const char *what) {
    if (status != cudaSuccess) latch_sentence(what, cudaGetErrorString(status));
}

/* Fails with the latched sentence, if there is one. */
static int failed() {
    if (!latched[0]) return 0;
    chat_fail("%s", latched);
    latched[0] = 0;
    return -1;
}

void device_choose(int n) { wanted = n; }

int device_ready(void) {
    if (is_ready) return 0;
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0)
        return chat_fail("there is no GPU that CUDA can use here (%s)",
                         status != cudaSuccess ? cudaGetErrorString(status) : "it counts none");
    const int device = wanted % count;
    latch(cudaSetDevice(device), "choosing the GPU");
    latch(cudaGetDeviceProperties(&gpu, device), "asking for the GPU's properties");
    latch(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
    if (failed()) return -1;
    if (gpu.major < 8)
        return chat_fail("%s has compute capability %d.%d; 8.0 (A100) is the least", gpu.name,
                         gpu.major, gpu.minor);
    is_ready = true;
    return 0;
}

const char *device_name(void) {
    static char name[300];
    if (device_ready()) return "cuda, no GPU";
    snprintf(name, sizeof name, "%s, sm_%d%d, %s", gpu.name, gpu.major, gpu.minor,
             sizeof(real) == 2 ? "bf16" : "f32");
    return name;
}

int device_threads(int threads) {
    (void)threads;
    return device_ready() ? -1 : gpu.multiProcessorCount;
}

void device_watch(int begins) { (void)begins; }

size_t device_memory(void) {
    size_t free = 0, total = 0;
    if (!device_ready()) latch(cudaMemGetInfo(&free, &total), "asking for free memory");
    return free;
}

/* ---- The peaks ------------------------------------------------------------------------------- */

/* Seconds that `work` takes on the GPU. */
template <class Work> static double seconds(Work work) {
    cudaEvent_t begin, end;
    float milliseconds = 0;
    latch(cudaEventCreate(&begin), "an event");
    latch(cudaEventCreate(&end), "an event");
    latch(cudaEventRecord(begin, stream), "an event");
    work();
    latch(cudaEventRecord(end, stream), "an event");
    latch(cudaEventSynchronize(end), "an event");
    latch(cudaEventElapsedTime(&milliseconds, begin, end), "an event");
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return milliseconds * 1e-3;
}

/* Numbers whose bits look random: a GPU multiplies zeros with less power, and so faster. */
__global__ void fill(real *x, size_t n) {
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] = to_real((float)((unsigned)i * 2654435761u >> 8) * 0x1p-23f - 1.f);
}

/* Of square products, each twice as wide as the last, the first that takes 5 ms. */
double device_peak(void) {
    const int most = 16384, tries = 4;
    double best = 0;
    if (device_ready()) return 0;
    for (int n = 256; n <= most; n *= 2) {
        size_t count = (size_t)n * n;
        real *x = (real *)device_alloc(3 * count * sizeof(real));
        void *work = device_alloc(linear_work(n, n, n, 0));
        double least = x && work ? 1 : 0;
        if (least) launch("fill", fill, (unsigned)ceil_div(2 * count, (size_t)256), 256, 0,
                          x, 2 * count);
        for (int k = 0; least && k <= tries; k++) {
            double time = seconds([&] {
                linear_forward(x + 2 * count, NULL, x, x + count, NULL, NULL, work, n, n, n);
            });
            if (k && time < least) least = time;         /* the first also chooses an algorithm */
        }
        device_free(x);
        device_free(work);
        if (least) best = 2.0 * n * n * n / least;
        if (!least || least > 5e-3) break;
    }
    return failed() ? 0 : best;
}

/* Each thread has several loads on their way. */
__global__ void __launch_bounds__(512) read_only(const float4 *x, float *sink, size_t n) {
    size_t step = (size_t)gridDim.x * blockDim.x, i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0;
    #pragma unroll 8
    for (; i < n; i += step) sum += x[i].x + x[i].y + x[i].z + x[i].w;
    if (sum == 1.f) *sink = sum;                 /* it never is, but nobody can know */
}

__global__ void __launch_bounds__(512) read_and_write(float4 *x, size_t n) {
    size_t step = (size_t)gridDim.x * blockDim.x, i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    float4 *y = x + n, *z = y + n;
    #pragma unroll 4
    for (; i < n; i += step) {
        float4 a = x[i], b = y[i], d = z[i];
        x[i] = { a.x + d.x, a.y + d.y, a.z + d.z, a.w + d.w };
        y[i] = { b.x + d.x, b.y + d.y, b.z + d.z, b.w + d.w };
    }
}

double device_bandwidth(int update) {
    const size_t bytes = (size_t)1 << 29, n = bytes / sizeof(float4);
    const int tries = 4;
    float4 *memory = (float4 *)device_alloc(bytes + sizeof(float4));
    if (!memory) return 0;
    double best = 0;
    for (int k = 0; k < tries; k++) {
        double time = seconds([&] {
            dim3 blocks((unsigned)gpu.multiProcessorCount * 4);
            if (update) launch("read_and_write", read_and_write, blocks, 512, 0, memory, n / 3);
            else launch("read_only", read_only, blocks, 512, 0, memory, (float *)(memory + n), n);
        });
        double rate = (update ? 5. / 3 : 1) * (double)bytes / time;
        if (rate > best) best = rate;
    }
    device_free(memory);
    return failed() ? 0 : best;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

void *device_alloc(size_t bytes) {
    void *memory = NULL;
    if (device_ready()) return NULL;
    cudaError_t status = cudaMalloc(&memory, bytes ? bytes : 1);
    if (status != cudaSuccess) {
        cudaGetLastError();                      /* or the next launch would be blamed for it */
        chat_fail("%.1f MB of the GPU's memory could not be had: %s", bytes / 1e6,
                  cudaGetErrorString(status));
        return NULL;
    }
    device_zero(memory, bytes);
    return memory;
}

/* cudaFree waits for kernels that still use the memory. */
void device_free(void *memory) { if (memory) latch(cudaFree(memory), "freeing memory"); }

void device_zero(void *memory, size_t bytes) {
    latch(cudaMemsetAsync(memory, 0, bytes, stream), "zeroing memory");
}

void device_copy(void *to, const void *from, size_t bytes) {
    latch(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "copying memory");
}

/* From memory that is not pinned, the copy has left `from` when this returns. */
void device_write(void *to, const void *from, size_t bytes) {
    latch(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream), "writing to the GPU");
}

int device_read(void *to, const void *from, size_t bytes) {
    latch(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "reading from the GPU");
    latch(cudaStreamSynchronize(stream), "waiting for the GPU");
    return failed();
}

/* ---- Graphs ---------------------------------------------------------------------------------- */

/* *graph points at what cudaGraphLaunch takes, or at NULL before it is recorded. For kernels run
   once unrecorded: what is loaded or chosen at a first launch cannot be while recording. */

int device_record(void **graph) {
    cudaGraphExec_t *ready = (cudaGraphExec_t *)*graph;
    if (!ready) return 0;
    if (*ready) {
        latch(cudaGraphLaunch(*ready, stream), "launching a graph");
        return 1;
    }
    latch(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a graph");
    return 0;
}

void device_record_end(void **graph) {
    cudaGraphExec_t *ready = (cudaGraphExec_t *)*graph;
    if (!ready) {
        *graph = new cudaGraphExec_t(NULL);
        return;
    }
    cudaGraph_t recorded = NULL;
    latch(cudaStreamEndCapture(stream, &recorded), "recording a graph");
    latch(cudaGraphInstantiate(ready, recorded, 0), "making a graph");
    latch(cudaGraphDestroy(recorded), "recording a graph");
    latch(cudaGraphLaunch(*ready, stream), "launching a graph");
}

void device_forget(void **graph) {
    cudaGraphExec_t *ready = (cudaGraphExec_t *)*graph;
    if (ready && *ready) latch(cudaGraphExecDestroy(*ready), "freeing a graph");
    delete ready;
    *graph = NULL;
}
