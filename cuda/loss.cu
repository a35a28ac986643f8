/* loss.cu: the end of the forward pass and the beginning of the backward one: from logits to nll
   and to the logits' gradient, with the logits read from memory once.

   A row of a large vocabulary is longer than a block's registers: 200 KB of the 227 KB of shared
   memory on a Hopper, and one block then fills a multiprocessor. So that it never waits for memory
   with nothing to do, a block goes through many rows, and while it writes the gradient of one, it
   begins to copy each number of the next to the place that has just become free. No thread touches
   another's numbers, so they need no barriers. What does not fit is read twice. */

#include "gpu.cuh"

enum { QUARTERS = 4 };               /* of a row: the first is worked on while the last arrives */

/* dlogits is read and dweight (V,C) read and written for each such chunk: with this many rows, a
   product of matrices moves 3 % of what its time allows, and chunks of logits and dlogits take
   300 KB for each 1000 tokens of vocabulary and row. */
int nll_rows(void) { return 8192; }

/* The largest of some x, and the sum of exp(x - largest), or if that is -infinity of exp(x). A NaN
   is never the largest, but makes the sum one. */
struct Softmax {
    float most, sum;
    static __device__ __forceinline__ float base(float most) {
        return most == -INFINITY ? 0.f : most;
    }
    template <int W> __device__ __forceinline__ void add(const Vector<float, W> &x) {
        float larger = most;
        for (int j = 0; j < W; j++) larger = x[j] > larger ? x[j] : larger;
        if (larger > most) sum *= unit_exp(most - larger);
        most = larger;
        for (int j = 0; j < W; j++) sum += unit_exp(x[j] - base(most));
    }
    /* The log of the whole block's sum. */
    __device__ __forceinline__ float log_sum() const {
        const float top = base(block_max(most));
        return top + logf(block_sum(most == -INFINITY ? sum : sum * unit_exp(most - top)));
    }
};

/* A block's row of logits, of which `held` of the first V lie in shared memory: vector k of thread
   t is number k * blockDim.x + t. */
template <int W> struct Row {
    const float *logits;
    float *shared;
    int held, V;

    static __device__ __forceinline__ int place(int k) {
        return (k * blockDim.x + threadIdx.x) * W;
    }
    static __device__ __forceinline__ int steps(int n) { return ceil_div(n, W * (int)blockDim.x); }
    /* The first vector of a quarter; that of quarter QUARTERS is the end. */
    __device__ __forceinline__ int begin(int quarter) const {
        return steps(held) * quarter / QUARTERS;
    }
    /* Begins to copy a vector of row n. */
    __device__ __forceinline__ void fetch(size_t n, int P, int c) const {
        if (W == 4) copy_async(shared + c, logits + n * P + c, 1);
        else shared[c] = logits[n * P + c];
    }
    /* Without what lies behind the vocabulary. */
    __device__ __forceinline__ void add(Softmax *sum, Vector<float, W> x, int c) const {
        for (int j = 0; j < W; j++) x[j] = c + j < V ? x[j] : -INFINITY;
        sum->add(x);
    }
};

/* d = (softmax - onehot(target)) weight for the vector at c; the target itself comes later. */
template <int W> __device__ __forceinline__ void
write_gradient(real *d, Vector<float, W> x, int c, float lse, float weight, int V) {
    Vector<real, W> out;
    for (int j = 0; j < W; j++)
        out[j] = to_real(c + j < V ? unit_exp(x[j] - lse) * weight : 0.f);
    store_once(d + c, out);
}

template <int W> __global__ void __launch_bounds__(1024)
nll_rows_of_logits(float *nll, real *dlogits, const float *logits, const int *targets,
                   const float *weights, int N, int V, int P, int held) {
    const Row<W> row = { logits, (float *)dynamic_shared(), held, V };
    const int blocks = gridDim.x;
    for (int q = 0; q < QUARTERS; q++) {
        for (int k = row.begin(q); k < row.begin(q + 1); k++)
            if (row.place(k) < held) row.fetch(blockIdx.x, P, row.place(k));
        copy_commit();
    }
    for (int n = blockIdx.x; n < N; n += blocks) {
        const float *x = logits + (size_t)n * P;
        const int target = targets[n];           /* early: these come from far */
        const float aimed = target < 0 ? 0.f : x[target];
        const float weight = dlogits && target >= 0 ? weights[n] : 0.f;
        Softmax all = { -INFINITY, 0 };
        #pragma unroll
        for (int q = 0; q < QUARTERS; q++) {
            if (q == 0) copy_wait<3>();
            if (q == 1) copy_wait<2>();
            if (q == 2) copy_wait<1>();
            if (q == 3) copy_wait<0>();
            for (int k = row.begin(q); k < row.begin(q + 1); k++) {
                const int c = row.place(k);
                if (c < held) row.add(&all, load<W>(row.shared + c), c);
            }
        }
        #pragma unroll 4
        for (int c = held + row.place(0); c < V; c += row.place(1) - row.place(0))
            row.add(&all, load<W>(x + c), c);
        const float lse = all.log_sum();
        real *d = dlogits ? dlogits + (size_t)n * P : nullptr;
        if (threadIdx.x == 0) nll[n] = target < 0 ? 0.f : lse - aimed;

        for (int q = 0; q < QUARTERS; q++) {
            for (int k = row.begin(q); k < row.begin(q + 1); k++) {
                const int c = row.place(k);
                if (c >= held) continue;
                if (d) write_gradient<W>(d, load<W>(row.shared + c), c, lse, weight, V);
                if (n + blocks < N) row.fetch(n + blocks, P, c);
            }
            copy_commit();
        }
        if (!d) continue;
        for (int c = held + row.place(0); c < P; c += row.place(1) - row.place(0))
            write_gradient<W>(d, load<W>(x + c), c, lse, weight, V);
        /* From the unrounded probability, by the thread that wrote there before. */
        if (target >= 0 && target / W % (int)blockDim.x == (int)threadIdx.x)
            d[target] = to_real((unit_exp(aimed - lse) - 1.f) * weight);
    }
}

void nll_forward(float *nll, real *dlogits, const float *logits, const int *targets,
                 const float *weights, int N, int V, int P) {
    const int wide = P % 4 == 0 && aligned(logits, dlogits), W = wide ? 4 : 1;
    const int vectors = ceil_div(V, W), threads = threads_for(vectors, 1024);
    const int most = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) - 1024;
    const int held = min_int(vectors * W, most / (threads * 4 * W) * threads * W);
    const int fit = max_int(1, min_int(most / (held * (int)sizeof(float) + 1024), 2048 / threads));
    launch("nll_forward", wide ? nll_rows_of_logits<4> : nll_rows_of_logits<1>,
           min_int(N, fit * device_attribute(cudaDevAttrMultiProcessorCount)), threads,
           held * sizeof(float), nll, dlogits, logits, targets, weights, N, V, P, held);
}
