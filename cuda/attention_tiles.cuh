/* attention_tiles.cuh: what attention.cu is built from: 16x16 blocks of a matrix on the tensor
   cores, tiles of rows in shared memory, products of tiles, the mask and the softmax.

   All products are rows times rows, c = a b^T. So one kind of block serves as either operand, is
   read from a tile as it lies or transposed, and the sums of one product, rounded, are an operand
   of the next without leaving their registers. */

#ifndef ATTENTION_TILES_CUH
#define ATTENTION_TILES_CUH

#include "gpu.cuh"

constexpr int EDGE = 16;             /* of a block */
constexpr int PAD = 8;               /* reals between rows of a tile: eight rows use all banks */
constexpr int SHARED = 99 << 10;     /* bytes of shared memory that every GPU since 2020 has */

__device__ __forceinline__ int lane() { return threadIdx.x % WARP; }
__device__ __forceinline__ int warp() { return threadIdx.x / WARP; }

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* 16x16 sums, two results of an mma side by side: of lane 4g+t, [j][2r+i] is (8r+g, 8j+2t+i). */
typedef float Sums[2][4];

/* In (16M,16N) sums every lane has 2M rows and 4N columns: which ones, and an element by these. */
__device__ __forceinline__ int row_of(int i) { return 8 * i + lane() / 4; }
__device__ __forceinline__ int column_of(int i) { return i / 2 * 8 + lane() % 4 * 2 + i % 2; }
template <int M, int N>
__device__ __forceinline__ float &element(Sums (&c)[M][N], int row, int column) {
    return c[row / 2][column / 4][column / 2 % 2][row % 2 * 2 + column % 2];
}

#ifdef REAL_BF16

/* 16x16 reals: of lane 4g+t, x[2j+r] holds (8r+g, 8j+2t) and its right neighbour. */
struct Block { uint32_t x[4]; };

__device__ __forceinline__ Block load_block(const real *at, int stride) {
    Block b;
    load_matrices(b.x, at + lane() % 16 * stride + lane() / 16 * 8);
    return b;
}
__device__ __forceinline__ Block load_transposed(const real *at, int stride) {
    Block b;
    const int row = lane() % 8 + lane() / 16 * 8, column = lane() / 8 % 2 * 8;
    load_matrices_transposed(b.x, at + row * stride + column);
    return b;
}
__device__ __forceinline__ Block round_block(const Sums c) {
    Block b;
    for (int i = 0; i < 4; i++) b.x[i] = pack_bf16(c[i / 2][i % 2 * 2], c[i / 2][i % 2 * 2 + 1]);
    return b;
}
__device__ __forceinline__ void multiply(Sums c, const Block &a, const Block &b) {
    for (int j = 0; j < 2; j++) {
        const uint32_t right[2] = { b.x[j], b.x[2 + j] };
        mma_bf16(c[j], a.x, right);
    }
}

#else

struct Block { float x[4][2]; };

__device__ __forceinline__ Block load_block(const real *at, int stride) {
    Block b;
    for (int i = 0; i < 8; i++)
        b.x[i / 2][i % 2] = at[row_of(i / 2 % 2) * stride + column_of(i / 4 * 2 + i % 2)];
    return b;
}
__device__ __forceinline__ Block load_transposed(const real *at, int stride) {
    Block b;
    for (int i = 0; i < 8; i++)
        b.x[i / 2][i % 2] = at[column_of(i / 4 * 2 + i % 2) * stride + row_of(i / 2 % 2)];
    return b;
}
__device__ __forceinline__ Block round_block(const Sums c) {
    Block b;
    for (int i = 0; i < 8; i++) b.x[i / 2][i % 2] = c[i / 4][i % 4];
    return b;
}

/* x = high + low, and a product is low high + high low + high high: 22 bits of it. Columns k and
   k+4 of the tensor core are 2k and 2k+1 here: any order will do that both operands share. */
__device__ __forceinline__ void split(uint32_t *high, uint32_t *low, float x) {
    *high = to_tf32(x);
    float rounded;
    memcpy(&rounded, high, 4);
    *low = to_tf32(x - rounded);
}
__device__ __forceinline__ void multiply(Sums c, const Block &a, const Block &b) {
    for (int s = 0; s < 2; s++) {
        uint32_t high[4], low[4];
        for (int i = 0; i < 4; i++) split(&high[i], &low[i], a.x[2 * s + i % 2][i / 2]);
        for (int j = 0; j < 2; j++) {
            uint32_t right[2], right_low[2];
            for (int i = 0; i < 2; i++) split(&right[i], &right_low[i], b.x[2 * s + j][i]);
            mma_tf32(c[j], low, right);
            mma_tf32(c[j], high, right_low);
            mma_tf32(c[j], high, right);
        }
    }
}

#endif

/* ---- Tiles ----------------------------------------------------------------------------------- */

/* One head's rows of a matrix. */
struct Rows {
    const real *at;
    int stride;
};

/* How many columns a head has, and whether all rows can be copied 16 bytes at a time. */
struct Columns {
    int count, wide;
};

/* 4 bytes: on these everything lies, since D is even. */
constexpr int PAIR = 4 / sizeof(real);
typedef Vector<real, PAIR> Pair;

/* n rows of a tile in shared memory: of D columns, those beyond a head's are zero. */
template <int D> __host__ __device__ constexpr int reals(int n) { return n * (D + PAD); }

/* Begins to copy N rows of x, zeros from row `end` on, to a tile, by THREADS threads. 4 or 8
   threads share a row. */
template <int D, int N, int THREADS>
__device__ __forceinline__ void load_tile(real *tile, const Rows &x, int from, int end,
                                          const Columns &columns, int thread) {
    const int ACROSS = D % (8 * WIDE) ? 4 : 8, DOWN = THREADS / ACROSS;
    if (columns.wide) {
        const int row0 = thread / ACROSS, column0 = thread % ACROSS * WIDE;
        #pragma unroll
        for (int i = 0; i < N; i += DOWN) {
            const int row = i + row0;
            if (N % DOWN && row >= N) break;
            const real *source = x.at + (size_t)(from + row) * x.stride + column0;
            #pragma unroll
            for (int column = 0; column < D; column += ACROSS * WIDE) {
                copy_async(tile + reals<D>(row) + column0 + column, source + column,
                           from + row < end && column0 + column < columns.count);
            }
        }
    } else {
        #pragma unroll 1
        for (int i = thread; i < N * D; i += THREADS) {
            int row = i / D, column = i % D, exists = from + row < end && column < columns.count;
            tile[reals<D>(row) + column] =
                exists ? x.at[(size_t)(from + row) * x.stride + column] : to_real(0);
        }
    }
}

template <int M, int N> __device__ __forceinline__ void clear(Sums (&c)[M][N]) {
    #pragma unroll
    for (int i = 0; i < 2 * M; i++)
        #pragma unroll
        for (int j = 0; j < 4 * N; j++) element(c, i, j) = 0;
}

/* c (16M,16N) += a (16M,D) b (16N,D)^T, of two tiles. */
template <int D, int M, int N>
__device__ __forceinline__ void product(Sums (&c)[M][N], const real *a, const real *b) {
    #pragma unroll(D % 64 ? 2 : D / EDGE)    /* all of 96 take too many registers */
    for (int k = 0; k < D; k += EDGE) {
        Block left[M];
        #pragma unroll
        for (int m = 0; m < M; m++) left[m] = load_block(a + reals<D>(EDGE * m) + k, D + PAD);
        #pragma unroll
        for (int n = 0; n < N; n++) {
            Block right = load_block(b + reals<D>(EDGE * n) + k, D + PAD);
            #pragma unroll
            for (int m = 0; m < M; m++) multiply(c[m][n], left[m], right);
        }
    }
}

/* c (16M,16C) += a (16M,16N), rounded, times b (16N,16C), a tile. */
template <int M, int N, int C>
__device__ __forceinline__ void product_rounded(Sums (&c)[M][C], const Sums (&a)[M][N],
                                                const real *b) {
    const int D = C * EDGE;
    #pragma unroll
    for (int n = 0; n < N; n++) {
        Block left[M];
        #pragma unroll
        for (int m = 0; m < M; m++) left[m] = round_block(a[m][n]);
        #pragma unroll
        for (int d = 0; d < C; d++) {
            Block right = load_transposed(b + reals<D>(EDGE * n) + EDGE * d, D + PAD);
            #pragma unroll
            for (int m = 0; m < M; m++) multiply(c[m][d], left[m], right);
        }
    }
}

/* Rows `from` to below `end` of x = scale(i) * sums, where i is the lane's i-th row. */
template <int M, int C, class Scale>
__device__ __forceinline__ void store_rows(real *x, size_t stride, Sums (&sums)[M][C],
                                           int from, int end, int columns, Scale scale) {
    #pragma unroll
    for (int i = 0; i < 2 * M; i++) {
        const int row = from + row_of(i);
        if (row >= end) continue;
        const float factor = scale(i);
        #pragma unroll
        for (int j = 0; j < 4 * C; j += PAIR) {
            Pair pair;
            for (int e = 0; e < PAIR; e++) pair[e] = to_real(element(sums, i, j + e) * factor);
            if (column_of(j) < columns) *(Pair *)(x + row * stride + column_of(j)) = pair;
        }
    }
}

/* ---- Which keys a query sees ----------------------------------------------------------------- */

struct Sight {
    const int *doc_start;            /* of queries below end, or NULL */
    int end, window;                 /* 0: all keys */
};

/* Never falls along a row; of a query that does not exist, any. */
__device__ __forceinline__ int first_key(const Sight &x, int query) {
    int start = x.doc_start && query < x.end ? x.doc_start[query] : 0;
    return x.window ? max(start, query - x.window + 1) : start;
}

/* Scores (queries,keys), or (keys,queries), become -infinity where a query does not see a key. Most
   tiles have no such place. */
template <bool QUERY_ROWS, int M, int N>
__device__ __forceinline__ void hide(Sums (&score)[M][N], const Sight &x, int row0, int column0) {
    const int q0 = QUERY_ROWS ? row0 : column0, last = q0 + EDGE * (QUERY_ROWS ? M : N) - 1;
    const int k0 = QUERY_ROWS ? column0 : row0, end = k0 + EDGE * (QUERY_ROWS ? N : M);
    if (end <= q0 + 1 && first_key(x, min(last, x.end - 1)) <= k0) return;
    #pragma unroll
    for (int i = 0; i < (QUERY_ROWS ? 2 * M : 4 * N); i++) {
        const int query = q0 + (QUERY_ROWS ? row_of(i) : column_of(i));
        const int key0 = k0 + (QUERY_ROWS ? column_of(0) : row_of(0));
        const int newest = query - key0, oldest = first_key(x, query) - key0;
        #pragma unroll
        for (int j = 0; j < (QUERY_ROWS ? 4 * N : 2 * M); j++) {
            const int key = QUERY_ROWS ? column_of(j) - column_of(0) : row_of(j) - row_of(0);
            float &s = QUERY_ROWS ? element(score, i, j) : element(score, j, i);
            s = (key > newest) | (key < oldest) ? -INFINITY : s;     /* key: a constant */
        }
    }
}

/* ---- Softmax --------------------------------------------------------------------------------- */

/* Of each of a lane's rows: the largest score, and this lane's share of the sum. */
template <int M> struct Softmax {
    float most[2 * M], sum[2 * M];
};

template <int M> __device__ __forceinline__ void begin(Softmax<M> &s) {
    #pragma unroll
    for (int i = 0; i < 2 * M; i++) {
        s.most[i] = -INFINITY;
        s.sum[i] = 0;
    }
}

/* Over the four lanes that share a row. */
__device__ __forceinline__ float row_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}
__device__ __forceinline__ float row_sum(float x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

/* 2^((x - y) scale). bfloat16 can afford y scale, rounded, for the sake of a single instruction. */
__device__ __forceinline__ float power(float x, float y, float scale) {
    return fast_exp2(sizeof(real) == 2 ? fmaf(x, scale, -y * scale) : (x - y) * scale);
}

/* Scores become probabilities, which the sums and out (16M,16C) take in. A NaN is never the most,
   but its probability is NaN. While all scores are -infinity, nothing happens. */
template <int M, int N, int C>
__device__ __forceinline__ void online_softmax(Sums (&score)[M][N], Softmax<M> &s,
                                               Sums (&out)[M][C], float scale) {
    #pragma unroll
    for (int i = 0; i < 2 * M; i++) {
        float most = s.most[i], sum = 0;
        #pragma unroll
        for (int j = 0; j < 4 * N; j++) most = fmaxf(most, element(score, i, j));
        most = row_max(most);
        const float origin = most == -INFINITY ? 0.f : most;
        const float shrink = fast_exp2((s.most[i] - origin) * scale);
        #pragma unroll
        for (int j = 0; j < 4 * N; j++) {
            float &x = element(score, i, j);
            x = power(x, origin, scale);
            sum += x;
        }
        s.most[i] = most;
        s.sum[i] = s.sum[i] * shrink + sum;
        #pragma unroll
        for (int j = 0; j < 4 * C; j++) element(out, i, j) *= shrink;
    }
}

/* What a warp has found goes to found (EDGE,D+2): of each row sums, most, and the sum of
   probabilities. */
template <int D>
__device__ __forceinline__ void put_found(float *found, Sums (&sums)[1][D / EDGE],
                                          const Softmax<1> &softmax) {
    #pragma unroll
    for (int i = 0; i < 2; i++) {
        float *mine = found + row_of(i) * (D + 2);
        #pragma unroll
        for (int j = 0; j < 4 * D / EDGE; j++) mine[column_of(j)] = element(sums, i, j);
        const float sum = row_sum(softmax.sum[i]);
        if (lane() % 4 == 0) {
            mine[D] = softmax.most[i];
            mine[D + 1] = sum;
        }
    }
}

#endif
