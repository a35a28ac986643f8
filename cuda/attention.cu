/* attention.cu: csrc/attention.c on the tensor cores, as FlashAttention-2 orders it
   (arXiv:2307.08691).

   A block of threads has a tile of rows of one head, and walks the tiles on the other side; each of
   its warps has 16 or 32 of the rows and everything about them: the scores of one product are the
   operand of the next where they are, and sums over a row need four lanes. Tiles come in by
   asynchronous copies while another product runs. Heads are padded with zeros, in shared memory
   only, to one of six sizes.

   The backward pass is one kernel run from both sides, over queries for dq and over keys for dk and
   dv. Scores are computed twice, 7 products instead of the 5 of a single pass; but a single pass
   must add up dq in memory, in whatever order blocks come, and this gives the same bits each time
   with no scratch memory but two numbers a row.

   With a cache, tiles of rows that follow each other in one slot (prefill) go through the forward
   kernel; any other row has blocks of its own, which share out the keys. */

#include "attention_tiles.cuh"

static const float LOG2E = 1.44269504f;

template <int D> struct Size { enum { value = D }; };

/* f(Size<P>) with P the padded size for heads of D. */
template <class F> static void for_head_size(int D, F f) {
    if (D <= 32) f(Size<32>());
    else if (D <= 64) f(Size<64>());
    else if (D <= 96) f(Size<96>());
    else if (D <= 128) f(Size<128>());
    else if (D <= 192) f(Size<192>());
    else f(Size<256>());
}

static bool aligned(const void *x) { return (uintptr_t)x % 16 == 0; }

/* What all kernels are told. */
struct Heads {
    int B, T, H, K, window;
    Columns columns;
    float scale;                     /* log2(e) / sqrt(D): exponentials are powers of two */
};

static Heads heads_of(int B, int T, int H, int K, int D, int window, bool wide) {
    return { B, T, H, K, window, { D, wide && D % WIDE == 0 }, LOG2E / sqrtf((float)D) };
}

__device__ __forceinline__ size_t row_size(const Heads &x) {
    return (size_t)(x.H + 2 * x.K) * x.columns.count;
}

/* ---- Forward --------------------------------------------------------------------------------- */

template <int D> struct Forward {
    enum {
        BYTES = D * sizeof(real),
        BLOCKS = BYTES <= 256 ? 2 : 1,           /* of 16 rows a warp */
        WARPS = 4,
        THREADS = WARPS * WARP,
        ROWS = EDGE * BLOCKS * WARPS,            /* queries in a tile */
        KEYS = BYTES <= 384 ? 64 : BYTES <= 512 ? 32 : 16,
        BYTES_SHARED = sizeof(real) * reals<D>(ROWS + 2 * KEYS)
    };
    static_assert(int(BYTES_SHARED) <= SHARED, "tiles too large");
};

/* Rows appended to a cache, or none: slots is NULL. */
struct Appended {
    const real *keys, *values;
    const int *slots, *positions;
    int N, length;
};

/* Whether `rows` rows of the batch (or as many as there are) from row n on are enough for a tile
   and follow each other in one slot. Every warp finds out by itself. */
__device__ __forceinline__ bool is_run(const Appended &a, int n, int rows) {
    const int count = min(rows, a.N - n);
    float broken = count < EDGE;
    for (int i = lane(); i < count; i += WARP)
        if (a.slots[n + i] != a.slots[n] || a.positions[n + i] != a.positions[n] + i) broken = 1;
    return warp_max(broken) == 0;
}

/* What a block of the forward pass does: nq queries, of which the first is token q0. */
struct Task {
    Rows q, k, v;
    Sight sight;
    size_t row;                      /* the first query's, in q, out and lse */
    int q0, nq, h;
};

/* The longest first. */
template <int ROWS>
__device__ __forceinline__ Task batch_task(const Heads &x, const real *qkv, const int *first) {
    const int tiles = ceil_div(x.T, ROWS), D = x.columns.count;
    const int q0 = (tiles - 1 - blockIdx.x / (x.B * x.H)) * ROWS, at = blockIdx.x % (x.B * x.H);
    const int b = at / x.H, h = at % x.H, kv = h / (x.H / x.K);
    const size_t W = row_size(x);
    const real *row = qkv + (size_t)b * x.T * W;
    return { { row + q0 * W + h * D, W }, { row + (x.H + kv) * D, W },
             { row + (x.H + x.K + kv) * D, W },
             { first ? first + (size_t)b * x.T : NULL, x.T, x.window },
             (size_t)b * x.T + q0, q0, min(ROWS, x.T - q0), h };
}

template <int ROWS>
__device__ __forceinline__ Task cache_task(const Heads &x, const real *qkv, const Appended &a) {
    const int n = blockIdx.x / x.H * ROWS, h = blockIdx.x % x.H, D = x.columns.count;
    const size_t W = row_size(x), C = (size_t)x.K * D;
    const size_t at = a.slots[n] * a.length * C + h / (x.H / x.K) * D;
    const int q0 = a.positions[n], nq = min(ROWS, a.N - n);
    return { { qkv + n * W + h * D, W }, { a.keys + at, C }, { a.values + at, C },
             { NULL, q0 + nq, x.window }, (size_t)n, q0, nq, h };
}

template <int D>
static __global__ void __launch_bounds__(Forward<D>::THREADS)
attend(real *out, float *lse, const real *qkv, const int *first, Heads x, Appended a) {
    typedef Forward<D> F;
    const int M = F::BLOCKS, N = F::KEYS / EDGE, ROWS = F::ROWS, KEYS = F::KEYS;
    if (a.slots && !is_run(a, blockIdx.x / x.H * ROWS, ROWS)) return;
    const Task task = a.slots ? cache_task<ROWS>(x, qkv, a) : batch_task<ROWS>(x, qkv, first);
    const int end = task.q0 + task.nq, row = warp() * EDGE * M;      /* this warp's first */
    real *q = (real *)dynamic_shared(), *k = q + reals<D>(ROWS), *v = k + reals<D>(KEYS);
    Sums sums[M][D / EDGE];
    Softmax<M> softmax;
    clear(sums);
    begin(softmax);

    int k0 = first_key(task.sight, task.q0) / KEYS * KEYS;
    load_tile<D, ROWS, F::THREADS>(q, task.q, 0, task.nq, x.columns, threadIdx.x);
    load_tile<D, KEYS, F::THREADS>(k, task.k, k0, end, x.columns, threadIdx.x);
    copy_commit();
    for (; k0 < end; k0 += KEYS) {
        Sums score[M][N];
        clear(score);
        copy_wait<0>();
        __syncthreads();                         /* k is here, and nobody needs v */
        load_tile<D, KEYS, F::THREADS>(v, task.v, k0, end, x.columns, threadIdx.x);
        copy_commit();
        product<D>(score, q + reals<D>(row), k);
        copy_wait<0>();
        __syncthreads();                         /* v is here, and nobody needs k */
        if (k0 + KEYS < end)
            load_tile<D, KEYS, F::THREADS>(k, task.k, k0 + KEYS, end, x.columns, threadIdx.x);
        copy_commit();
        hide<true>(score, task.sight, task.q0 + row, k0);
        online_softmax(score, softmax, sums, x.scale);
        product_rounded(sums, score, v);
    }

    #pragma unroll
    for (int i = 0; i < 2 * M; i++) {
        float &sum = softmax.sum[i / 2][i % 2];
        int at = row + EDGE * (i / 2) + row_of(i % 2 * 2);
        sum = row_sum(sum);
        if (lse && lane() % 4 == 0 && at < task.nq)
            lse[(task.row + at) * x.H + task.h] =
                softmax.most[i / 2][i % 2] * x.scale / LOG2E + logf(sum);
    }
    const size_t stride = (size_t)x.H * x.columns.count;
    store_rows(out + task.row * stride + task.h * x.columns.count, stride, sums, row, task.nq,
               x.columns.count, [&](int m, int r) { return 1.f / softmax.sum[m][r]; });
}

static void launch_attend(real *out, float *lse, const real *qkv, const int *first,
                          const Heads &x, const Appended &a) {
    for_head_size(x.columns.count, [&](auto size) {
        typedef Forward<decltype(size)::value> F;
        const unsigned tiles = a.slots ? ceil_div<int>(a.N, F::ROWS)
                                       : ceil_div<int>(x.T, F::ROWS) * x.B;
        launch("attention", attend<decltype(size)::value>, tiles * x.H, F::THREADS, F::BYTES_SHARED,
               out, lse, qkv, first, x, a);
    });
}

extern "C" void attention_forward(real *out, float *lse, const real *qkv, const int *first,
                                  int B, int T, int H, int K, int D, int window) {
    launch_attend(out, lse, qkv, first, heads_of(B, T, H, K, D, window, aligned(qkv)),
                  Appended());
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* With p = exp(s - lse), s = q k / sqrt(D):  dv = p^T dout,  dp = dout v^T,
   ds = p (dp - delta) where delta = sum(dout out) of the query,  dq = ds k,  dk = ds^T q. */

/* Of each query and head: log2(e) lse, and delta. */
typedef Vector<float, 2> Stats;

extern "C" size_t attention_work(int B, int T, int H, int D) {
    (void)D;
    return sizeof(Stats) * B * T * H;
}

enum { LANES = 8, PREPARE = 256 };               /* lanes that share a row of out */

/* stats (B,H,T) from lse (B,T,H) and from dout, out (B,T,H,D). */
static __global__ void prepare(Stats *stats, const real *dout, const real *out, const float *lse,
                               Heads x) {
    const size_t row = ((size_t)blockIdx.x * PREPARE + threadIdx.x) / LANES;
    const size_t rows = (size_t)x.B * x.T * x.H, at = min(row, rows - 1) * x.columns.count;
    const int start = threadIdx.x % LANES;
    float sum = 0;
    if (x.columns.wide)
        for (int d = start * WIDE; d < x.columns.count; d += LANES * WIDE) {
            Wide a = *(const Wide *)(dout + at + d), b = *(const Wide *)(out + at + d);
            for (int i = 0; i < WIDE; i++) sum += to_float(a[i]) * to_float(b[i]);
        }
    else
        for (int d = start; d < x.columns.count; d += LANES)
            sum += to_float(dout[at + d]) * to_float(out[at + d]);
    for (int offset = LANES / 2; offset > 0; offset /= 2)
        sum += __shfl_xor_sync(~0u, sum, offset);
    if (start == 0 && row < rows) {
        const size_t token = row / x.H, h = row % x.H, b = token / x.T, t = token % x.T;
        stats[(b * x.H + h) * x.T + t] = { lse[row] * LOG2E, sum };
    }
}

enum { DQ = 1, DK = 2, DV = 4 };

/* Tiles of the side that has its gradients taken, which stay, and of the other side, which pass. */
template <int D, int WANT> struct Backward {
    enum {
        OF_KEYS = WANT != DQ,
        BYTES = D * sizeof(real),
        BLOCKS = BYTES * (WANT == (DK | DV) ? 2 : 1) <= 256 ? 2 : 1,
        WARPS = BYTES <= 512 ? 4 : BYTES <= 768 ? 2 : 1,
        THREADS = WARPS * WARP,
        ROWS = EDGE * BLOCKS * WARPS,
        PASSING = BLOCKS == 2 ? 32 : BYTES <= 256 ? 64 : BYTES <= 384 ? 32 : 16,
        BYTES_SHARED = sizeof(real) * reals<D>(2 * ROWS + 3 * PASSING)
    };
    static_assert(int(BYTES_SHARED) <= SHARED && ROWS % PASSING == 0, "tiles too large");
};

/* Scores become p, and dp becomes ds. stats(query row or column) of one that does not exist has an
   infinite lse: p is 0. */
template <bool QUERY_ROWS, int M, int N>
__device__ __forceinline__ void differentiate(Sums (&p)[M][N], Sums (&dp)[M][N],
                                              const Stats *stats, int queries, int row0,
                                              int column0, float scale) {
    #pragma unroll
    for (int line = 0; line < (QUERY_ROWS ? 2 * M : 4 * N); line++) {
        const int query = QUERY_ROWS ? row0 + line / 2 * EDGE + row_of(line % 2 * 2)
                                     : column0 + line / 4 * EDGE + column_of(line / 2 % 2, line % 2);
        Stats s = { INFINITY, 0 };
        if (query < queries) s = stats[query];
        #pragma unroll
        for (int other = 0; other < (QUERY_ROWS ? 4 * N : 2 * M); other++) {
            const int row = QUERY_ROWS ? line : other, column = QUERY_ROWS ? other : line;
            const int m = row / 2, n = column / 4, j = column / 2 % 2, e = row % 2 * 2 + column % 2;
            float x = fast_exp2(fmaf(p[m][n][j][e], scale, -s[0]));
            p[m][n][j][e] = x;
            dp[m][n][j][e] = x * (dp[m][n][j][e] - s[1]);
        }
    }
}

/* The end of the queries that see any of the keys from..end-1, in steps of STEP. */
template <int STEP>
__device__ __forceinline__ int last_query(const Sight &x, int from, int end) {
    int count = 1;
    for (int i = lane(); from + i * STEP < x.T; i += WARP) {
        if (first_key(x, from + i * STEP) >= end) break;
        count = i + 1;
    }
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        count = max(count, __shfl_xor_sync(~0u, count, offset));
    return min(from + count * STEP, x.T);
}

/* Where a block of the backward pass works, and where each query head's matrices are. */
struct Place {
    const real *q, *k, *v, *dout;    /* rows of the sequence */
    const Stats *stats;
    Sight sight;
    size_t W, C;                     /* strides of q, k, v and of dout */
    int kv, row0;
};

template <int ROWS, bool OF_KEYS>
__device__ __forceinline__ Place place(const Heads &x, const real *qkv, const real *dout,
                                       const Stats *stats, const int *first) {
    const int heads = OF_KEYS ? x.K : x.H, D = x.columns.count, G = x.H / x.K;
    const int tiles = ceil_div(x.T, ROWS), at = blockIdx.x % (x.B * heads);
    const int turn = blockIdx.x / (x.B * heads), b = at / heads;
    const int h = at % heads * (OF_KEYS ? G : 1), kv = h / G;        /* h: the first of these */
    const size_t W = row_size(x), C = (size_t)x.H * D, token = (size_t)b * x.T;
    const real *row = qkv + token * W;
    return { row + h * D, row + (x.H + kv) * D, row + (x.H + x.K + kv) * D,
             dout + token * C + h * D, stats + ((size_t)b * x.H + h) * x.T,
             { first ? first + token : NULL, x.T, x.window }, W, C, kv,
             (OF_KEYS ? turn : tiles - 1 - turn) * ROWS };           /* the longest first */
}

template <int D, int WANT>
static __global__ void __launch_bounds__(Backward<D, WANT>::THREADS)
attend_backward(real *dqkv, const real *dout, const Stats *stats, const real *qkv,
                const int *first, Heads x) {
    typedef Backward<D, WANT> S;
    const bool OF_KEYS = S::OF_KEYS;
    const int M = S::BLOCKS, N = S::PASSING / EDGE, ROWS = S::ROWS, STEP = S::PASSING;
    const Place at = place<ROWS, OF_KEYS>(x, qkv, dout, stats, first);
    const int row = warp() * EDGE * M, T = x.T, columns = x.columns.count;
    real *a = (real *)dynamic_shared(), *a2 = a + reals<D>(ROWS);
    real *b = a2 + reals<D>(ROWS), *next = b + reals<D>(STEP), *b2 = next + reals<D>(STEP);
    const Rows k = { at.k, at.W }, v = { at.v, at.W };
    const int from = OF_KEYS ? at.row0 : first_key(at.sight, at.row0) / STEP * STEP;
    const int end = OF_KEYS ? last_query<STEP>(at.sight, from, from + ROWS) : min(at.row0 + ROWS, T);

    /* Passing tile t of head g: queries and dout, or keys and values. */
    auto load = [&](real *to, int g, int t) {
        load_tile<D, STEP, S::THREADS>(to, OF_KEYS ? Rows{ at.q + g * columns, at.W } : k, t, T,
                                       x.columns, threadIdx.x);
    };
    auto load2 = [&](int g, int t) {
        load_tile<D, STEP, S::THREADS>(b2, OF_KEYS ? Rows{ at.dout + g * columns, at.C } : v, t, T,
                                       x.columns, threadIdx.x);
    };
    load_tile<D, ROWS, S::THREADS>(a, OF_KEYS ? k : Rows{ at.q, at.W }, at.row0, T, x.columns,
                                   threadIdx.x);
    load_tile<D, ROWS, S::THREADS>(a2, OF_KEYS ? v : Rows{ at.dout, at.C }, at.row0, T, x.columns,
                                   threadIdx.x);
    load(b, 0, from);
    load2(0, from);
    copy_commit();

    Sums sums[M][D / EDGE], sums2[M][D / EDGE];  /* dq or dk, and dv */
    clear(sums);
    clear(sums2);
    for (int g = 0, t = from, g1, t1; g < (OF_KEYS ? x.H / x.K : 1); g = g1, t = t1) {
        g1 = t + STEP < end ? g : g + 1;
        t1 = t + STEP < end ? t + STEP : from;
        const bool more = g1 < (OF_KEYS ? x.H / x.K : 1);
        Sums p[M][N], ds[M][N];
        clear(p);
        clear(ds);
        copy_wait<0>();
        __syncthreads();                         /* b and b2 are here, and nobody needs next */
        if (more) load(next, g1, t1);
        copy_commit();
        product<D>(p, a + reals<D>(row), b);
        if (WANT != DV) product<D>(ds, a2 + reals<D>(row), b2);
        hide<!OF_KEYS>(p, at.sight, at.row0 + row, t);
        differentiate<!OF_KEYS>(p, ds, at.stats + (size_t)g * T, T, at.row0 + row, t, x.scale);
        if (WANT & DV) product_rounded(sums2, p, b2);
        __syncthreads();                         /* nobody needs b2 */
        if (more) load2(g1, t1);
        copy_commit();
        if (WANT != DV) product_rounded(sums, ds, b);
        real *old = b;
        b = next;
        next = old;
    }

    const float scale = x.scale / LOG2E;
    real *drow = dqkv + (at.k - qkv);            /* this kv head's keys in the sequence */
    if (WANT == DQ) drow = dqkv + (at.q - qkv);
    if (WANT != DV) store_rows(drow, at.W, sums, at.row0 + row, T, columns,
                               [=](int, int) { return scale; });
    if (WANT & DV) store_rows(drow + x.K * columns, at.W, sums2, at.row0 + row, T, columns,
                              [](int, int) { return 1.f; });
}

template <int D, int WANT>
static void launch_backward(real *dqkv, const real *dout, const Stats *stats, const real *qkv,
                            const int *first, const Heads &x) {
    typedef Backward<D, WANT> S;
    const unsigned tiles = ceil_div<int>(x.T, S::ROWS);
    launch("attention_backward", attend_backward<D, WANT>, tiles * x.B * (S::OF_KEYS ? x.K : x.H),
           S::THREADS, S::BYTES_SHARED, dqkv, dout, stats, qkv, first, x);
}

extern "C" void attention_backward(real *dqkv, const real *dout, const real *out, const float *lse,
                                   const real *qkv, const int *first, void *work,
                                   int B, int T, int H, int K, int D, int window) {
    const Heads x = heads_of(B, T, H, K, D, window, aligned(qkv) && aligned(dout) && aligned(out));
    const size_t threads = (size_t)B * T * H * LANES;
    Stats *stats = (Stats *)work;
    launch("attention_backward", prepare, (unsigned)ceil_div<size_t>(threads, PREPARE), PREPARE, 0,
           stats, dout, out, lse, x);
    for_head_size(D, [&](auto size) {
        const int P = decltype(size)::value;
        launch_backward<P, DQ>(dqkv, dout, stats, qkv, first, x);
        if constexpr (P <= 128) {
            launch_backward<P, DK | DV>(dqkv, dout, stats, qkv, first, x);
        } else {                                 /* the sums of both do not fit the registers */
            launch_backward<P, DK>(dqkv, dout, stats, qkv, first, x);
            launch_backward<P, DV>(dqkv, dout, stats, qkv, first, x);
        }
    });
}
