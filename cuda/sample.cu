/* sample.cu: csrc/sample.c for many rows of logits, a block a row.

   Nothing is sorted. Probabilities become whole numbers, so that sums of them have no order. What
   top-k and top-p keep is all above some probability, and some of those that equal it; this one is
   found ten bits at a time, of the thirty that a float from 0 to 1 has, by sums over those numbers
   that agree in the bits found so far. */

#include "gpu.cuh"

enum { DIGIT = 10, BINS = 1 << DIGIT, DIGITS = 3 };      /* a thread a bin */
enum { WARPS = BINS / WARP };
typedef unsigned long long Mass;                         /* of probability, times a power of two */

/* The sum of x over this thread and those before it in the block. */
__device__ __forceinline__ Mass block_scan(Mass x) {
    __shared__ Mass sums[WARPS];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    for (int by = 1; by < WARP; by *= 2) {
        const Mass before = __shfl_up_sync(~0u, x, by);
        if (lane >= by) x += before;
    }
    __syncthreads();
    if (lane == WARP - 1) sums[warp] = x;
    __syncthreads();
    for (int w = 0; w < warp; w++) x += sums[w];
    return x;
}

/* One row: p (V), the probabilities times a constant, and which of them are kept: those whose bits
   are over `least`, and that equal it up to token `last`. */
struct Choice {
    float *p;
    int V;
    float scale;                     /* a Mass is p * scale, and no sum of V passes 2^62 */
    uint32_t least;
    int last;

    __device__ __forceinline__ Mass mass(float x) const { return (Mass)llrintf(x * scale); }
    __device__ __forceinline__ bool kept(int v) const {
        const uint32_t bits = float_bits(p[v]);
        return bits > least || (bits == least && v <= last);
    }
    template <class Weight> __device__ Mass sum(Weight weight) const;
    template <class Weight, class Target> __device__ int find(Weight weight, Target target) const;
    template <class Weight> __device__ void keep(Weight weight, Mass target);
};

/* Of weight(v), over all tokens. */
template <class Weight> __device__ Mass Choice::sum(Weight weight) const {
    Mass sum = 0;
    #pragma unroll 4
    for (int v = threadIdx.x; v < V; v += BINS) sum += weight(v);
    return block_sum(sum);
}

/* The first token at which the sum of weights, in order, is over target(the sum of all); or V. Each
   warp has a piece of the row, and that in which the token must be goes through it again. */
template <class Weight, class Target>
__device__ int Choice::find(Weight weight, Target target) const {
    __shared__ int found;
    const int lane = threadIdx.x % WARP, piece = ceil_div(V, (int)BINS) * WARP;
    const int from = threadIdx.x / WARP * piece, to = min_int(from + piece, V);
    Mass sum = 0;
    for (int v = from + lane; v < to; v += WARP) sum += weight(v);
    const Mass up_to = block_scan(sum), all = block_max(up_to), wanted = target(all);
    Mass before = __shfl_sync(~0u, up_to - sum, 0);
    const Mass behind = __shfl_sync(~0u, up_to, WARP - 1);
    if (threadIdx.x == 0) found = V;
    __syncthreads();
    for (int base = from; before <= wanted && wanted < behind; base += WARP) {
        Mass x = base + lane < to ? weight(base + lane) : 0;
        for (int by = 1; by < WARP; by *= 2) {
            const Mass left = __shfl_up_sync(~0u, x, by);
            if (lane >= by) x += left;
        }
        const unsigned over = __ballot_sync(~0u, before + x > wanted);
        if (over && lane == 0) found = base + __ffs(over) - 1;
        before += __shfl_sync(~0u, x, WARP - 1);
        if (over) break;
    }
    __syncthreads();
    return found;
}

/* Keeps the fewest tokens, the most likely first and among equals the smaller, whose weights sum to
   `target` or more; weight(x) is that of a probability x. */
template <class Weight> __device__ void Choice::keep(Weight weight, Mass target) {
    __shared__ Mass bins[BINS], above;
    __shared__ uint32_t digit;
    uint32_t bits = 0;
    if (threadIdx.x == 0) above = 0;
    for (int shift = DIGIT * (DIGITS - 1); shift >= 0; shift -= DIGIT) {
        bins[threadIdx.x] = 0;
        __syncthreads();
        for (int v = threadIdx.x; v < V; v += BINS) {
            const uint32_t x = float_bits(p[v]);
            if (x >> shift >> DIGIT == bits)
                atomicAdd(&bins[x >> shift & (BINS - 1)], weight(p[v]));
        }
        __syncthreads();
        const Mass mine = bins[BINS - 1 - threadIdx.x], so_far = above;      /* the largest first */
        const Mass up_to = so_far + block_scan(mine);
        if (up_to - mine < target && target <= up_to) {
            digit = BINS - 1 - threadIdx.x;
            above = up_to - mine;
        }
        __syncthreads();
        bits = bits << DIGIT | digit;
    }
    const Mass equal = weight(bits_float(bits)), missing = (target - above + equal - 1) / equal;
    const int token = find([&](int v) { return (Mass)(float_bits(p[v]) == bits); },
                           [&](Mass) { return missing - 1; });
    if (bits > least || (bits == least && token < last)) {
        least = bits;
        last = token;
    }
}

/* A number that is larger for a larger x, or for the same x and a smaller v; NaN is the largest. */
__device__ __forceinline__ Mass rank(float x, int v) {
    const uint32_t bits = float_bits(x + 0.f);                   /* 0 for -0 */
    const uint32_t order = x != x ? ~0u : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (Mass)order << 32 | ~(uint32_t)v;
}

/* Each of the first V p becomes the probability that its token is drawn with; of what is kept, the
   masses sum to `all`. */
__device__ void to_probabilities(const Choice &row, float min_p, double all) {
    for (int v = threadIdx.x; v < row.V; v += BINS) {
        const bool kept = row.kept(v) && row.p[v] >= min_p;
        row.p[v] = kept ? (float)((double)row.mass(row.p[v]) / all) : 0.f;
    }
}

__global__ void __launch_bounds__(BINS)
sample_row(int *tokens, float *logprobs, float *logits, const Sampling *settings, const int *ids,
           const float *biases, int V, int P, float scale, int probabilities) {
    const Sampling s = settings[blockIdx.x];
    Choice row = { logits + (size_t)blockIdx.x * P, V, scale, 0, V };
    float *p = row.p;
    for (int i = threadIdx.x; i < s.n_seen; i += BINS) {
        const float x = p[ids[s.seen + i]];
        p[ids[s.seen + i]] = x > 0 ? x / s.repetition_penalty : x * s.repetition_penalty;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < s.n_biased; i += BINS)
        p[ids[s.biased + i]] += biases[s.biased + i];
    __syncthreads();
    for (int i = threadIdx.x; i < s.n_banned; i += BINS) p[ids[s.banned + i]] = -INFINITY;
    __syncthreads();

    Mass top = 0;
    #pragma unroll 4
    for (int v = threadIdx.x; v < V; v += BINS) {
        const Mass x = rank(p[v], v);
        top = x > top ? x : top;
    }
    top = block_max(top);
    const int best = (int)~(uint32_t)top;
    const float most = p[best];
    const bool fails = !(most > -INFINITY && most < INFINITY);
    if (fails || s.temperature == 0) {
        if (threadIdx.x == 0) {
            tokens[blockIdx.x] = fails ? -1 : best;
            logprobs[blockIdx.x] = fails ? NAN : 0.f;
        }
        __syncthreads();                                 /* all have read p[best] */
        for (int v = threadIdx.x; v < V && probabilities; v += BINS) p[v] = v == best;
        return;
    }
    __syncthreads();                                     /* all have read p[best] */
    #pragma unroll 4
    for (int v = threadIdx.x; v < V; v += BINS) p[v] = fast_exp((p[v] - most) / s.temperature);
    __syncthreads();

    const auto mass = [&](float x) { return row.mass(x); };
    const auto kept_mass = [&](int v) { return row.kept(v) ? row.mass(p[v]) : 0; };
    if (s.top_k > 0 && s.top_k < V) row.keep([](float) { return (Mass)1; }, s.top_k);
    if (s.top_p < 1) {
        const Mass share = (Mass)ceil(s.top_p * (double)row.sum(kept_mass));
        row.keep(mass, share > 0 ? share : 1);
    }
    const double chance = uniform(s.seed, s.position);
    double total = 0;
    const int token = row.find([&](int v) { return p[v] < s.min_p ? 0 : kept_mass(v); },
                               [&](Mass all) {
                                   total = (double)all;
                                   const Mass at = (Mass)(chance * (double)all);
                                   return at < all ? at : all - 1;
                               });
    if (threadIdx.x == 0) {
        tokens[blockIdx.x] = token;
        logprobs[blockIdx.x] = (float)log((double)row.mass(p[token]) / total);
    }
    __syncthreads();
    if (probabilities) to_probabilities(row, s.min_p, total);
}

void sample_rows(int *tokens, float *logprobs, float *logits, const Sampling *settings,
                 const int *ids, const float *biases, int n, int V, int P, int probabilities) {
    int bits = 62;
    for (int v = V; v > 1; v = ceil_div(v, 2)) bits--;
    launch("sample_rows", sample_row, n, BINS, 0, tokens, logprobs, logits, settings, ids, biases,
           V, P, ldexpf(1, bits), probabilities);
}
