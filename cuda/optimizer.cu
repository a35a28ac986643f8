/* optimizer.cu: the norm of the gradients, AdamW, and what Muon is made of. */

#include "gpu.cuh"

enum { THREADS = 256, W = 4, PARTS = 1024 };     /* W floats are 16 bytes */

/* ---- The norm -------------------------------------------------------------------------------- */

static __device__ double part_sums[PARTS + 1];   /* a block's each, and the sum of all */

/* What this thread has of x (n), in vectors of V. */
template <int V> __device__ __forceinline__ double own_squares(const float *x, size_t n) {
    double sum = 0;
    #pragma unroll 4
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n / V; i += PARTS * THREADS) {
        const Vector<float, V> v = load_once<V>(x + i * V);
        for (int j = 0; j < V; j++) sum += (double)v[j] * v[j];
    }
    return sum;
}

template <int V> __global__ void __launch_bounds__(THREADS) square_parts(const float *x, size_t n) {
    double sum = own_squares<V>(x, n);
    const size_t last = n / V * V + threadIdx.x;
    if (blockIdx.x == 0 && last < n) sum += (double)x[last] * x[last];
    sum = block_sum(sum);
    if (threadIdx.x == 0) part_sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(PARTS) add_parts() {
    const double sum = block_sum(part_sums[threadIdx.x]);
    if (threadIdx.x == 0) part_sums[PARTS] = sum;
}

double sum_squares(const float *x, size_t n) {
    void *sums = nullptr;
    double sum = 0;
    launch("sum_squares", aligned(x) ? square_parts<W> : square_parts<1>, PARTS, THREADS, 0, x, n);
    launch("sum_squares", add_parts, 1, PARTS, 0);
    latch(cudaGetSymbolAddress(&sums, part_sums), "sum_squares");
    return device_read(&sum, (double *)sums + PARTS, sizeof sum) ? NAN : sum;
}

/* ---- AdamW ----------------------------------------------------------------------------------- */

/* What all weights have in common, computed once. */
struct Step {
    float b1, b2, eps, scale;
    float rate;                      /* lr / (1 - b1^t) */
    float root;                      /* 1 / sqrt(1 - b2^t) */
    float keep;                      /* 1 - lr * decay */
    int number, by_chance;           /* t; weights have no masters, and round by chance */
};

/* exact: the masters, or where weights are floats themselves these; NULL by chance. */
template <int V> __global__ void __launch_bounds__(THREADS)
adamw_step(real *weight, float *exact, float *m, float *v, const float *grad, Step s, size_t at,
           size_t n) {
    const size_t i = ((size_t)blockIdx.x * THREADS + threadIdx.x) * V;
    if (i >= n) return;
    const Vector<float, V> g = load_once<V>(grad + i);
    Vector<float, V> mi = load_once<V>(m + i), vi = load_once<V>(v + i), w;
    Vector<real, V> out;
    if (exact) w = load_once<V>(exact + i);
    else out = load_once<V>(weight + i);
    for (int j = 0; j < V; j++) {
        const float gj = g[j] * s.scale;
        float x = exact ? w[j] : to_float(out[j]);
        mi[j] = s.b1 * mi[j] + (1.f - s.b1) * gj;
        vi[j] = s.b2 * vi[j] + (1.f - s.b2) * gj * gj;
        x = x * s.keep - s.rate * mi[j] / (sqrtf(vi[j]) * s.root + s.eps);
        if (s.by_chance) x = round_by_chance(x, noise(s.number, at + i + j));
        w[j] = x;
        out[j] = to_real(x);
    }
    store_once(m + i, mi);
    store_once(v + i, vi);
    if (exact) store_once(exact + i, w);
    if ((void *)exact != (void *)weight) store(weight + i, out);
}

/* m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
   w -= lr (m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + decay w) */
void adamw(real *weight, float *master, float *m, float *v, const float *grad, const AdamW *adam,
           int decay, size_t at, size_t n) {
    const int by_chance = !master && sizeof(real) < sizeof(float);
    const Step s = { adam->beta1, adam->beta2, adam->eps, adam->grad_scale,
                     (float)(adam->lr / (1 - pow(adam->beta1, adam->step))),
                     (float)(1 / sqrt(1 - pow(adam->beta2, adam->step))),
                     decay ? 1.f - adam->lr * adam->weight_decay : 1.f, adam->step, by_chance };
    const int wide = n % W == 0 && aligned(weight, master, m, v, grad);
    float *exact = by_chance ? nullptr : master ? master : (float *)weight;
    launch("adamw", wide ? adamw_step<W> : adamw_step<1>,
           (unsigned)ceil_div(n, (size_t)THREADS * (wide ? W : 1)), THREADS, 0,
           weight, exact, m, v, grad, s, at, n);
}

/* ---- Muon ------------------------------------------------------------------------------------ */

static __device__ __forceinline__ size_t own_place() {
    return (size_t)blockIdx.x * THREADS + threadIdx.x;
}
static unsigned blocks_for(size_t n) { return (unsigned)ceil_div(n, (size_t)THREADS); }

__global__ void nesterov_step(real *out, float *m, const float *grad, float beta, float scale,
                              size_t n) {
    const size_t i = own_place();
    if (i >= n) return;
    const float g = (1.f - beta) * scale * grad[i], mi = beta * m[i] + g;
    m[i] = mi;
    out[i] = to_real(beta * mi + g);
}

void nesterov(real *out, float *m, const float *grad, float beta, float scale, size_t n) {
    launch("nesterov", nesterov_step, blocks_for(n), THREADS, 0, out, m, grad, beta, scale, n);
}

/* exact: as adamw_step has it. */
__global__ void move_weights(real *weight, float *exact, const real *update, float rate, float keep,
                             int step, size_t at, size_t n) {
    const size_t i = own_place();
    if (i >= n) return;
    float w = (exact ? exact[i] : to_float(weight[i])) * keep - rate * to_float(update[i]);
    if (exact) exact[i] = w;
    else w = round_by_chance(w, noise(step, at + i));
    weight[i] = to_real(w);
}

void muon_step(real *weight, float *master, const real *update, float rate, float keep, int step,
               size_t at, size_t n) {
    const int by_chance = !master && sizeof(real) < sizeof(float);
    float *exact = by_chance ? nullptr : master ? master : (float *)weight;
    launch("muon_step", move_weights, blocks_for(n), THREADS, 0, weight, exact, update, rate, keep,
           step, at, n);
}

__global__ void add_powers(real *out, const real *x, const real *square, float a, float b, float c,
                           int n) {
    const size_t i = own_place();
    if (i >= (size_t)n * n) return;
    out[i] = to_real((i % (n + 1) == 0 ? a : 0.f) + b * to_float(x[i]) + c * to_float(square[i]));
}

void polynomial(real *out, const real *x, const real *square, float a, float b, float c, int n) {
    launch("polynomial", add_powers, blocks_for((size_t)n * n), THREADS, 0,
           out, x, square, a, b, c, n);
}
