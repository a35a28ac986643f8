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

constexpr float LOG2E = 1.44269504f;

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

constexpr int THREADS = 128;         /* where no tile says how many */

/* What all kernels are told. */
struct Heads {
    int B, T, H, K, window;
    Columns columns;
    float scale;                     /* log2(e) * factor, or if they are capped log2(e) */
    float factor, cap;               /* scores are factor * q k, capped unless cap is 0 */
};

static Heads heads_of(int B, int T, int H, int K, int D, int window, float scale, float cap,
                      bool wide) {
    return { B, T, H, K, window, { D, wide && D % WIDE == 0 }, LOG2E * (cap ? 1.f : scale), scale,
             cap };
}

/* Products become capped scores. */
template <int M, int N>
__device__ __forceinline__ void soften(Sums (&score)[M][N], const Heads &x) {
    if (!x.cap) return;
    #pragma unroll
    for (int i = 0; i < 2 * M; i++)
        #pragma unroll
        for (int j = 0; j < 4 * N; j++) {
            float &s = element(score, i, j);
            s = x.cap * unit_tanh(s * (x.factor / x.cap));
        }
}

__device__ __forceinline__ int row_size(const Heads &x) {
    return (x.H + 2 * x.K) * x.columns.count;
}

/* ---- Forward --------------------------------------------------------------------------------- */

template <int D> struct Forward {
    static constexpr int BYTES = D * sizeof(real), THREADS = 4 * WARP;
    static constexpr int BLOCKS = BYTES <= 256 ? 2 : 1;              /* of 16 rows a warp */
    static constexpr int ROWS = EDGE * BLOCKS * 4;                   /* queries in a tile */
    static constexpr int KEYS = BYTES <= 384 ? 64 : BYTES <= 512 ? 32 : 16;
    static constexpr int TILES = sizeof(real) * reals<D>(ROWS + 2 * KEYS);
    static_assert(TILES <= SHARED, "tiles too large");
};

/* Rows appended to a cache, or none: starts is NULL. */
struct Appended {
    const real *keys, *values;
    const int *starts, *positions;       /* where a row's slot begins, and its place in it */
    int N;
};

/* Whether `rows` rows of the batch (or as many as there are) from row n on are enough for a tile
   and follow each other in one slot. Every warp finds out by itself. */
__device__ __forceinline__ bool is_run(const Appended &a, int n, int rows) {
    const int count = min(rows, a.N - n);
    float broken = count < EDGE;
    for (int i = lane(); i < count; i += WARP)
        if (a.starts[n + i] != a.starts[n] || a.positions[n + i] != a.positions[n] + i) broken = 1;
    return warp_max(broken) == 0;
}

/* What a block of the forward pass does: queries q0 to below end of one head. */
struct Task {
    Rows q, k, v;
    Sight sight;
    int row, h, q0, end;             /* row: of the batch */
};

/* The longest first. */
template <int ROWS>
__device__ __forceinline__ Task batch_task(const Heads &x, const real *qkv, const int *doc_start) {
    const int tiles = ceil_div(x.T, ROWS), D = x.columns.count;
    const int q0 = (tiles - 1 - blockIdx.x / (x.B * x.H)) * ROWS, at = blockIdx.x % (x.B * x.H);
    const int b = at / x.H, h = at % x.H, kv = h / (x.H / x.K), end = min(q0 + ROWS, x.T);
    const int W = row_size(x);
    const real *row = qkv + (size_t)b * x.T * W;
    return { { row + (size_t)q0 * W + h * D, W }, { row + (x.H + kv) * D, W },
             { row + (x.H + x.K + kv) * D, W },
             { doc_start ? doc_start + (size_t)b * x.T : NULL, end, x.window }, b * x.T + q0, h, q0,
             end };
}

template <int ROWS>
__device__ __forceinline__ Task cache_task(const Heads &x, const real *qkv, const Appended &a) {
    const int n = blockIdx.x / x.H * ROWS, h = blockIdx.x % x.H, D = x.columns.count;
    const int W = row_size(x), C = x.K * D;
    const size_t at = (size_t)a.starts[n] * C + h / (x.H / x.K) * D;
    const int q0 = a.positions[n], end = q0 + min(ROWS, a.N - n);
    return { { qkv + (size_t)n * W + h * D, W }, { a.keys + at, C }, { a.values + at, C },
             { NULL, end, x.window }, n, h, q0, end };
}

template <int D>
static __global__ void __launch_bounds__(Forward<D>::THREADS)
attend(real *out, float *lse, const real *qkv, const int *doc_start, Heads x, Appended a) {
    typedef Forward<D> F;
    const int M = F::BLOCKS, N = F::KEYS / EDGE, ROWS = F::ROWS, KEYS = F::KEYS;
    if (a.starts && !is_run(a, blockIdx.x / x.H * ROWS, ROWS)) return;
    const Task task = a.starts ? cache_task<ROWS>(x, qkv, a) : batch_task<ROWS>(x, qkv, doc_start);
    const int end = task.end, row = warp() * EDGE * M;      /* this warp's first */
    real *q = (real *)dynamic_shared(), *k = q + reals<D>(ROWS), *v = k + reals<D>(KEYS);
    Sums sums[M][D / EDGE];
    Softmax<M> softmax;
    clear(sums);
    begin(softmax);

    int k0 = first_key(task.sight, task.q0) / KEYS * KEYS;
    load_tile<D, ROWS, F::THREADS>(q, task.q, 0, end - task.q0, x.columns, threadIdx.x);
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
        soften(score, x);
        hide<true>(score, task.sight, task.q0 + row, k0);
        online_softmax(score, softmax, sums, x.scale);
        product_rounded(sums, score, v);
    }

    #pragma unroll
    for (int i = 0; i < 2 * M; i++) {
        float &sum = softmax.sum[i];
        const int at = row + row_of(i);
        sum = row_sum(sum);
        if (lse && lane() % 4 == 0 && task.q0 + at < end)
            lse[(size_t)(task.row + at) * x.H + task.h] =
                softmax.most[i] * x.scale / LOG2E + logf(sum);
    }
    const size_t stride = (size_t)x.H * x.columns.count;
    store_rows(out + (size_t)task.row * stride + task.h * x.columns.count, stride, sums, row,
               end - task.q0, x.columns.count, [&](int i) { return 1.f / softmax.sum[i]; });
}

static void launch_attend(real *out, float *lse, const real *qkv, const int *doc_start,
                          const Heads &x, const Appended &a) {
    for_head_size(x.columns.count, [&](auto size) {
        typedef Forward<decltype(size)::value> F;
        const unsigned tiles = a.starts ? ceil_div(a.N, F::ROWS)
                                       : ceil_div(x.T, F::ROWS) * x.B;
        launch("attention", attend<decltype(size)::value>, tiles * x.H, F::THREADS, F::TILES,
               out, lse, qkv, doc_start, x, a);
    });
}

extern "C" void attention_forward(real *out, float *lse, const real *qkv, const int *doc_start,
                                  int B, int T, int H, int K, int D, int window, float scale,
                                  float cap) {
    launch_attend(out, lse, qkv, doc_start,
                  heads_of(B, T, H, K, D, window, scale, cap, aligned(qkv)), Appended());
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* With p = exp(s - lse), s = scale q k:  dv = p^T dout,  dp = dout v^T,
   ds = p (dp - delta) where delta = sum(dout out) of the query,  dq = ds k,  dk = ds^T q. */

extern "C" size_t attention_work(int B, int T, int H, int D) {
    (void)D;
    return sizeof(float) * 2 * B * T * H;
}

constexpr int LANES = 8;                         /* lanes that share a row of out */

/* stats (B,H,T,2) = log2(e) lse (B,T,H), and delta of dout and out (B,T,H,D). */
static __global__ void prepare(float *stats, const real *dout, const real *out, const float *lse,
                               Heads x) {
    const size_t row = ((size_t)blockIdx.x * THREADS + threadIdx.x) / LANES;
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
        float *pair = stats + 2 * ((b * x.H + h) * x.T + t);
        pair[0] = lse[row] * LOG2E;
        pair[1] = sum;
    }
}

enum { DQ = 1, DK = 2, DV = 4 };

/* Tiles of the side that has its gradients taken, which stay, and of the other side, which pass. */
template <int D, int WANT> struct Backward {
    static constexpr bool OF_KEYS = WANT != DQ;
    static constexpr int BYTES = D * sizeof(real);
    static constexpr int BLOCKS = BYTES * (WANT == (DK | DV) ? 2 : 1) <= 256 ? 2 : 1;
    static constexpr int WARPS = BYTES <= 512 ? 4 : BYTES <= 768 ? 2 : 1, THREADS = WARPS * WARP;
    static constexpr int ROWS = EDGE * BLOCKS * WARPS;
    static constexpr int PASSING = BLOCKS == 2 ? 32 : BYTES <= 256 ? 64 : BYTES <= 384 ? 32 : 16;
    static constexpr int TILES = sizeof(real) * reals<D>(2 * ROWS + 3 * PASSING);
    static_assert(TILES <= SHARED && ROWS % PASSING == 0, "tiles too large");
};

/* Scores become p, and dp becomes ds. A query that does not exist has an infinite lse: p is 0. */
template <bool QUERY_ROWS, int M, int N>
__device__ __forceinline__ void differentiate(Sums (&p)[M][N], Sums (&dp)[M][N],
                                              const float *stats, int q0, int queries,
                                              const Heads &heads) {
    #pragma unroll
    for (int i = 0; i < (QUERY_ROWS ? 2 * M : 4 * N); i++) {
        const int query = q0 + (QUERY_ROWS ? row_of(i) : column_of(i));
        const float lse = query < queries ? stats[2 * query] : INFINITY;
        const float delta = query < queries ? stats[2 * query + 1] : 0;
        #pragma unroll
        for (int j = 0; j < (QUERY_ROWS ? 4 * N : 2 * M); j++) {
            float &x = QUERY_ROWS ? element(p, i, j) : element(p, j, i);
            float &dx = QUERY_ROWS ? element(dp, i, j) : element(dp, j, i);
            const float share = x / heads.cap;
            x = fast_exp2(fmaf(x, heads.scale, -lse));
            dx = x * (dx - delta);
            if (heads.cap) dx *= x > 0 ? 1.f - share * share : 0.f;
        }
    }
}

/* The end of the queries that see any of the keys from..end-1, in steps of STEP. */
template <int STEP>
__device__ __forceinline__ int last_query(const Sight &x, int from, int end) {
    int count = 1;
    for (int i = lane(); from + i * STEP < x.end; i += WARP) {
        if (first_key(x, from + i * STEP) >= end) break;
        count = i + 1;
    }
    for (int offset = WARP / 2; offset > 0; offset /= 2)
        count = max(count, __shfl_xor_sync(~0u, count, offset));
    return min(from + count * STEP, x.end);
}

/* Where a block of the backward pass works, and where each query head's matrices are. */
struct Place {
    const real *q, *k, *v, *dout;    /* rows of the sequence */
    const float *stats;
    Sight sight;
    int W, C;                        /* strides of q, k, v and of dout */
    int kv, row0;
};

template <int ROWS, bool OF_KEYS>
__device__ __forceinline__ Place place(const Heads &x, const real *qkv, const real *dout,
                                       const float *stats, const int *doc_start) {
    const int heads = OF_KEYS ? x.K : x.H, D = x.columns.count, G = x.H / x.K;
    const int tiles = ceil_div(x.T, ROWS), at = blockIdx.x % (x.B * heads);
    const int turn = blockIdx.x / (x.B * heads), b = at / heads;
    const int h = at % heads * (OF_KEYS ? G : 1), kv = h / G;        /* h: the first of these */
    const int W = row_size(x), C = x.H * D;
    const size_t token = (size_t)b * x.T;
    const real *row = qkv + token * W;
    return { row + h * D, row + (x.H + kv) * D, row + (x.H + x.K + kv) * D,
             dout + token * C + h * D, stats + 2 * ((size_t)b * x.H + h) * x.T,
             { doc_start ? doc_start + token : NULL, x.T, x.window }, W, C, kv,
             (OF_KEYS ? turn : tiles - 1 - turn) * ROWS };           /* the longest first */
}

template <int D, int WANT>
static __global__ void __launch_bounds__(Backward<D, WANT>::THREADS)
attend_backward(real *dqkv, const real *dout, const float *stats, const real *qkv,
                const int *doc_start, Heads x) {
    typedef Backward<D, WANT> S;
    const bool OF_KEYS = S::OF_KEYS;
    const int M = S::BLOCKS, N = S::PASSING / EDGE, ROWS = S::ROWS, STEP = S::PASSING;
    const Place at = place<ROWS, OF_KEYS>(x, qkv, dout, stats, doc_start);
    const int row = warp() * EDGE * M, T = x.T, columns = x.columns.count;
    real *a = (real *)dynamic_shared(), *a2 = a + reals<D>(ROWS);
    real *b = a2 + reals<D>(ROWS), *next = b + reals<D>(STEP), *b2 = next + reals<D>(STEP);
    const Rows k = { at.k, at.W }, v = { at.v, at.W };
    const int from = OF_KEYS ? at.row0 : first_key(at.sight, at.row0) / STEP * STEP;
    const int end = OF_KEYS ? last_query<STEP>(at.sight, from, from + ROWS)
                            : min(at.row0 + ROWS, T);

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
        soften(p, x);
        hide<!OF_KEYS>(p, at.sight, at.row0 + row, t);
        differentiate<!OF_KEYS>(p, ds, at.stats + 2 * (size_t)g * T,
                                OF_KEYS ? t : at.row0 + row, T, x);
        if (WANT & DV) product_rounded(sums2, p, b2);
        __syncthreads();                         /* nobody needs b2 */
        if (more) load2(g1, t1);
        copy_commit();
        if (WANT != DV) product_rounded(sums, ds, b);
        real *old = b;
        b = next;
        next = old;
    }

    const float scale = x.factor;
    real *drow = dqkv + (at.k - qkv);            /* this kv head's keys in the sequence */
    if (WANT == DQ) drow = dqkv + (at.q - qkv);
    if (WANT != DV) store_rows(drow, at.W, sums, at.row0 + row, T, columns,
                               [=](int) { return scale; });
    if (WANT & DV) store_rows(drow + x.K * columns, at.W, sums2, at.row0 + row, T, columns,
                              [](int) { return 1.f; });
}

template <int D, int WANT>
static void launch_backward(real *dqkv, const real *dout, const float *stats, const real *qkv,
                            const int *doc_start, const Heads &x) {
    typedef Backward<D, WANT> S;
    const unsigned tiles = ceil_div(x.T, S::ROWS);
    launch("attention_backward", attend_backward<D, WANT>, tiles * x.B * (S::OF_KEYS ? x.K : x.H),
           S::THREADS, S::TILES, dqkv, dout, stats, qkv, doc_start, x);
}

extern "C" void attention_backward(real *dqkv, const real *dout, const real *out, const float *lse,
                                   const real *qkv, const int *doc_start, void *work,
                                   int B, int T, int H, int K, int D, int window, float scale,
                                   float cap) {
    const Heads x = heads_of(B, T, H, K, D, window, scale, cap, aligned(qkv, dout, out));
    const size_t threads = (size_t)B * T * H * LANES;
    float *stats = (float *)work;
    launch("attention_backward", prepare, (unsigned)ceil_div<size_t>(threads, THREADS), THREADS, 0,
           stats, dout, out, lse, x);
    for_head_size(D, [&](auto size) {
        const int P = decltype(size)::value;
        launch_backward<P, DQ>(dqkv, dout, stats, qkv, doc_start, x);
        if constexpr (P <= 128) {
            launch_backward<P, DK | DV>(dqkv, dout, stats, qkv, doc_start, x);
        } else {                                 /* the sums of both do not fit the registers */
            launch_backward<P, DK>(dqkv, dout, stats, qkv, doc_start, x);
            launch_backward<P, DV>(dqkv, dout, stats, qkv, doc_start, x);
        }
    });
}

/* ---- With a cache ---------------------------------------------------------------------------- */

constexpr int SPREAD = 256;          /* blocks: two for each of a large GPU's multiprocessors */
constexpr int MOST_SPLITS = 64;
constexpr int FEW = 8;               /* rows whose bits do not depend on how many they are */

/* How many blocks share out the keys of a row, in tiles of so many. Not even the host of a captured
   launch knows how many keys there are; a block without any leaves at once. */
static int splits_of(int N, int groups, int length, int keys) {
    const int most = min_int(MOST_SPLITS, ceil_div(length, keys));
    const int spread = SPREAD / (groups * (N <= FEW ? 1 : N));
    return spread < 1 ? 1 : min_int(spread, most);
}

/* C reals of k and C of v lie side by side in a row of qkv. Copied as T, 4 or 16 bytes. */
template <class T>
static __global__ void write_rows(real *keys, real *values, const real *qkv, const int *starts,
                                  const int *positions, int N, int W, int C) {
    const int step = sizeof(T) / sizeof(real), steps = 2 * C / step;
    const size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (size_t)N * steps) return;
    const int n = (int)(i / steps), c = (int)(i % steps) * step;
    const size_t at = ((size_t)starts[n] + positions[n]) * C;
    *(T *)(c < C ? keys + at + c : values + at + c - C) =
        *(const T *)(qkv + (size_t)n * W + W - 2 * C + c);
}

extern "C" void cache_write(void *keys, void *values, const real *qkv, const int *starts,
                            const int *positions, int N, int H, int K, int D, int) {
    const bool wide = aligned(keys, values, qkv) && D % WIDE == 0;
    const size_t copies = (size_t)N * 2 * K * D / (wide ? WIDE : PAIR);
    launch("cache_write", wide ? write_rows<Wide> : write_rows<Pair>,
           (unsigned)ceil_div<size_t>(copies, THREADS), THREADS, 0,
           (real *)keys, (real *)values, qkv, starts, positions, N, (H + 2 * K) * D, K * D);
}

/* A warp has all query heads of a row that read one key/value head, up to 16, and 16 keys of each
   tile. */
template <int D> struct Row {
    static constexpr int BYTES = D * sizeof(real);
    static constexpr int WARPS = BYTES <= 256 ? 4 : BYTES <= 512 ? 2 : 1, THREADS = WARPS * WARP;
    static constexpr int KEYS = EDGE * WARPS;
    static constexpr int TILES = sizeof(real) * reals<D>(EDGE + 4 * KEYS);
    static_assert(TILES <= SHARED, "tiles too large");
};

/* What one head has found in some of the keys: D sums, the largest score, the sum of probabilities.
   Of `count` such parts, `stride` apart, the d-th sum in all, and the other two. */
struct Found { float value, most, sum; };

__device__ __forceinline__ Found merge(const float *parts, int count, int stride, int D, int d,
                                       float scale) {
    Found all = { 0, -INFINITY, 0 };
    for (int i = 0; i < count; i++) all.most = fmaxf(all.most, parts[i * stride + D]);
    for (int i = 0; i < count; i++) {
        const float *part = parts + i * stride;
        const float share = fast_exp2((part[D] - all.most) * scale);
        all.value += share * part[d];
        all.sum += share * part[D + 1];
    }
    return all;
}

/* What all warps have found for `heads` heads, `row` the first, to out or parts. */
template <int D>
__device__ __forceinline__ void put_rows(real *out, float *parts, const float *found,
                                         const Heads &x, size_t row, int heads, int splits,
                                         int split) {
    const int columns = x.columns.count, stride = D + 2;
    for (int i = threadIdx.x; i < heads * columns; i += Row<D>::THREADS) {
        const int head = i / columns, d = i % columns;
        const Found all = merge(found + head * stride, Row<D>::WARPS, EDGE * stride, D, d, x.scale);
        float *part = parts + ((row + head) * splits + split) * (columns + 2);
        if (splits == 1) {
            out[(row + head) * columns + d] = to_real(all.value / all.sum);
        } else {
            part[d] = all.value;
            if (d < 2) part[columns + d] = d == 0 ? all.most : all.sum;
        }
    }
}

/* Which keys a row sees, in tiles, and where the row is. */
struct Seen { int first, position, tile0, tiles; };

__device__ __forceinline__ Seen seen(const Heads &x, const Appended &a, int n, int keys) {
    const int position = a.positions[n], first = x.window ? max(0, position - x.window + 1) : 0;
    return { first, position, first / keys, position / keys - first / keys + 1 };
}

/* Row n's heads h..h+heads-1 over every splits-th tile of keys: to out, or where others have the
   rest of the keys, to parts (N,H,splits,D+2). */
template <int D>
static __global__ void __launch_bounds__(Row<D>::THREADS)
attend_row(real *out, float *parts, const real *qkv, Heads x, Appended a, int splits, int run) {
    typedef Row<D> R;
    const int KEYS = R::KEYS, G = x.H / x.K, groups = ceil_div(G, EDGE);
    const int split = blockIdx.x % splits, group = blockIdx.x / splits % (x.K * groups);
    const int n = blockIdx.x / splits / (x.K * groups), columns = x.columns.count;
    const int C = x.K * columns, within = group % groups * EDGE, heads = min(EDGE, G - within);
    const int h = group / groups * G + within;
    const Seen s = seen(x, a, n, KEYS);
    if (split >= s.tiles || is_run(a, n / run * run, run)) return;

    const size_t at = (size_t)a.starts[n] * C + group / groups * columns;
    const Rows keys = { a.keys + at, C }, values = { a.values + at, C };
    real *q = (real *)dynamic_shared(), *k = q + reals<D>(EDGE * (1 + 4 * warp()));
    real *v = k + reals<D>(EDGE), *next = v + reals<D>(EDGE);
    auto load = [&](real *to, int tile) {        /* this warp's 16 keys, then their values */
        const int from = tile * KEYS + EDGE * warp();
        load_tile<D, EDGE, WARP>(to, keys, from, s.position + 1, x.columns, lane());
        load_tile<D, EDGE, WARP>(to + reals<D>(EDGE), values, from, s.position + 1, x.columns,
                                 lane());
    };
    load_tile<D, EDGE, R::THREADS>(q, { qkv + (size_t)n * row_size(x) + h * columns, columns },
                                        0, heads, x.columns, threadIdx.x);
    load(k, s.tile0 + split);
    copy_commit();

    Sums sums[1][D / EDGE];
    Softmax<1> softmax;
    clear(sums);
    begin(softmax);
    for (int i = split; i < s.tiles; i += splits) {
        Sums score[1][1];
        clear(score);
        copy_wait<0>();
        __syncthreads();                         /* k and v are here, and nobody needs next */
        if (i + splits < s.tiles) load(next, s.tile0 + i + splits);
        copy_commit();
        product<D>(score, q, k);
        soften(score, x);
        for (int j = 0; j < 4; j++) {
            const int key = (s.tile0 + i) * KEYS + EDGE * warp() + column_of(j);
            if (key >= s.first && key <= s.position) continue;
            element(score, 0, j) = element(score, 1, j) = -INFINITY;
        }
        online_softmax(score, softmax, sums, x.scale);
        product_rounded(sums, score, v);
        real *old = k;
        k = next;
        v = next + reals<D>(EDGE);
        next = old;
    }

    float *found = (float *)dynamic_shared();    /* of each warp and head */
    __syncthreads();
    put_found<D>(found + EDGE * warp() * (D + 2), sums, softmax);
    __syncthreads();
    put_rows<D>(out, parts, found, x, (size_t)n * x.H + h, heads, splits, split);
}

/* Row n's head h from its parts. */
static __global__ void merge_rows(real *out, const float *parts, Heads x, Appended a, int splits,
                                  int keys, int run) {
    const int n = blockIdx.x / x.H, columns = x.columns.count;
    if (is_run(a, n / run * run, run)) return;
    const int count = min(splits, seen(x, a, n, keys).tiles);
    const float *mine = parts + (size_t)blockIdx.x * splits * (columns + 2);
    for (int d = threadIdx.x; d < columns; d += THREADS) {
        const Found all = merge(mine, count, columns + 2, columns, d, x.scale);
        out[(size_t)blockIdx.x * columns + d] = to_real(all.value / all.sum);
    }
}

extern "C" size_t extend_work(int N, int length, int H, int D) {
    const size_t parts = (size_t)N * ceil_div(length, EDGE), most = FEW * MOST_SPLITS;
    return sizeof(float) * (parts < most ? parts : most) * H * (D + 2);
}

extern "C" void attention_extend(real *out, const real *qkv, const void *keys, const void *values,
                                 const int *starts, const int *positions, void *work,
                                 int N, int length, int H, int K, int D, int window, float scale,
                                 float cap, int) {
    const bool wide = aligned(qkv, keys, values);
    const Heads x = heads_of(0, 0, H, K, D, window, scale, cap, wide);
    const Appended a = { (const real *)keys, (const real *)values, starts, positions, N };
    if (N >= EDGE) launch_attend(out, NULL, qkv, NULL, x, a);
    for_head_size(D, [&](auto size) {
        const int S = decltype(size)::value, P = S <= 64 ? 64 : S <= 128 ? 128 : 256;
        typedef Row<P> R;
        const int run = Forward<S>::ROWS, groups = K * ceil_div(H / K, EDGE);
        const int splits = splits_of(N, groups, length, R::KEYS);
        launch("attention_extend", attend_row<P>, (unsigned)N * groups * splits, R::THREADS,
               R::TILES, out, (float *)work, qkv, x, a, splits, run);
        if (splits > 1)
            launch("attention_extend", merge_rows, (unsigned)N * H, THREADS, 0,
                   out, (const float *)work, x, a, splits, int(R::KEYS), run);
    });
}
