/* attention_tiles.cuh: what attention.cu is built from: 16x16 blocks of a matrix on the tensor
   cores, tiles of rows in shared memory, products of tiles, the mask and the softmax.

   All products are rows times rows, c = a b^T: then one kind of block serves as either operand, may
   be read from a tile as it lies or transposed, and the sums of one product, rounded, are an operand
   of the next without leaving their registers. */

#ifndef ATTENTION_TILES_CUH
#define ATTENTION_TILES_CUH

#include "gpu.cuh"

enum {
    EDGE = 16,                       /* of a block */
    PAD = 8,                         /* reals between rows of a tile: 8 rows are in 8 banks */
    SHARED = 99 << 10                /* bytes of shared memory that every GPU since 2020 has */
};

__device__ __forceinline__ int lane() { return threadIdx.x % WARP; }
__device__ __forceinline__ int warp() { return threadIdx.x / WARP; }

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* 16x16 sums: of lane 4g+t, [j][2r+i] is (8r+g, 8j+2t+i). */
typedef float Sums[2][4];
__device__ __forceinline__ int row_of(int element) { return element / 2 * 8 + lane() / 4; }
__device__ __forceinline__ int column_of(int half, int element) {
    return half * 8 + lane() % 4 * 2 + element % 2;
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
    load_matrices_transposed(b.x, at + (lane() % 8 + lane() / 16 * 8) * stride + lane() / 8 % 2 * 8);
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
        b.x[i / 2][i % 2] = at[row_of(i / 2 % 2 * 2) * stride + column_of(i / 4, i)];
    return b;
}
__device__ __forceinline__ Block load_transposed(const real *at, int stride) {
    Block b;
    for (int i = 0; i < 8; i++)
        b.x[i / 2][i % 2] = at[column_of(i / 4, i) * stride + row_of(i / 2 % 2 * 2)];
    return b;
}
__device__ __forceinline__ Block round_block(const Sums c) {
    Block b;
    for (int i = 0; i < 8; i++) b.x[i / 2][i % 2] = c[i / 4][i % 4];
    return b;
}

/* x = high + low, and a product is low high + high low + high high: 22 bits of it. The tensor core's
   k-th and (k+4)-th column are here 2k and 2k+1: any order will do that both operands share. */
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
    size_t stride;
};

/* How many columns a head has, and whether all rows can be copied 16 bytes at a time. */
struct Columns {
    int count, wide;
};

/* n rows of a tile in shared memory: of D columns, those beyond a head's are zero. */
template <int D> __host__ __device__ constexpr int reals(int n) { return n * (D + PAD); }

/* Begins to copy N rows of x, zeros from row `end` on, to a tile, by THREADS threads. */
template <int D, int N, int THREADS>
__device__ __forceinline__ void load_tile(real *tile, const Rows &x, int from, int end,
                                          const Columns &columns, int thread) {
    const int chunks = D / WIDE, steps = ceil_div(N * chunks, THREADS);
    if (columns.wide) {
        #pragma unroll
        for (int i = 0; i < steps; i++) {
            int at = i * THREADS + thread, row = at / chunks, column = at % chunks * WIDE;
            if (N * chunks % THREADS && at >= N * chunks) break;
            int exists = from + row < end && column < columns.count;
            const real *source = exists ? x.at + (from + row) * x.stride + column : x.at;
            copy_async(tile + reals<D>(row) + column, source, exists);
        }
    } else {
        #pragma unroll 1
        for (int i = thread; i < N * D; i += THREADS) {
            int row = i / D, column = i % D, exists = from + row < end && column < columns.count;
            tile[reals<D>(row) + column] =
                exists ? x.at[(from + row) * x.stride + column] : to_real(0);
        }
    }
}

template <int M, int N> __device__ __forceinline__ void clear(Sums (&c)[M][N]) {
    #pragma unroll
    for (int i = 0; i < M * N * 8; i++) c[i / (8 * N)][i / 8 % N][i / 4 % 2][i % 4] = 0;
}

/* c (16M,16N) += a (16M,D) b (16N,D)^T, of two tiles. */
template <int D, int M, int N>
__device__ __forceinline__ void product(Sums (&c)[M][N], const real *a, const real *b) {
    #pragma unroll
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

/* Rows `from` to below `end` of x = scale(m, r) * sums, of rows 8r+g of block m. */
template <int M, int C, class Scale>
__device__ __forceinline__ void store_rows(real *x, size_t stride, const Sums (&sums)[M][C],
                                           int from, int end, int columns, Scale scale) {
    #pragma unroll
    for (int i = 0; i < 2 * M; i++) {
        const int m = i / 2, r = i % 2, row = from + EDGE * m + row_of(2 * r);
        if (row >= end) continue;
        const float factor = scale(m, r);
        #pragma unroll
        for (int j = 0; j < 2 * C; j++) {
            const float *pair = &sums[m][j / 2][j % 2][2 * r];
            int column = j / 2 * EDGE + column_of(j % 2, 0);
            Vector<real, 2> both = { { to_real(pair[0] * factor), to_real(pair[1] * factor) } };
            if (column < columns) *(Vector<real, 2> *)(x + row * stride + column) = both;
        }
    }
}

/* ---- Which keys a query sees ----------------------------------------------------------------- */

struct Sight {
    const int *first;                /* (T), or NULL */
    int T, window;                   /* 0: all keys */
};

/* Never falls along a row. */
__device__ __forceinline__ int first_key(const Sight &x, int query) {
    int start = x.first ? x.first[min(query, x.T - 1)] : 0;
    return x.window ? max(start, query - x.window + 1) : start;
}

/* Scores (queries,keys), or (keys,queries), become -infinity where a query does not see a key. Most
   tiles have no such place. */
template <bool QUERY_ROWS, int M, int N>
__device__ __forceinline__ void hide(Sums (&score)[M][N], const Sight &x, int row0, int column0) {
    const int q0 = QUERY_ROWS ? row0 : column0, last = q0 + EDGE * (QUERY_ROWS ? M : N) - 1;
    const int k0 = QUERY_ROWS ? column0 : row0, end = k0 + EDGE * (QUERY_ROWS ? N : M);
    if (end <= q0 + 1 && first_key(x, last) <= k0) return;
    #pragma unroll
    for (int i = 0; i < M * N * 8; i++) {
        int m = i / (8 * N), n = i / 8 % N, j = i / 4 % 2, e = i % 4;
        int row = row0 + EDGE * m + row_of(e), column = column0 + EDGE * n + column_of(j, e);
        int query = QUERY_ROWS ? row : column, key = QUERY_ROWS ? column : row;
        if (key > query || key < first_key(x, query)) score[m][n][j][e] = -INFINITY;
    }
}

/* ---- Softmax --------------------------------------------------------------------------------- */

/* Of rows g and g+8 of each block: the largest score, and this lane's share of the sum. */
template <int M> struct Softmax {
    float most[M][2], sum[M][2];
};

template <int M> __device__ __forceinline__ void begin(Softmax<M> &s) {
    #pragma unroll
    for (int i = 0; i < 2 * M; i++) { s.most[i / 2][i % 2] = -INFINITY; s.sum[i / 2][i % 2] = 0; }
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
    for (int m = 0; m < M; m++)
        #pragma unroll
        for (int r = 0; r < 2; r++) {
            float most = s.most[m][r];
            #pragma unroll
            for (int i = 0; i < 4 * N; i++)
                most = fmaxf(most, score[m][i / 4][i / 2 % 2][2 * r + i % 2]);
            most = row_max(most);
            float origin = most == -INFINITY ? 0.f : most;
            float shrink = fast_exp2((s.most[m][r] - origin) * scale), sum = 0;
            #pragma unroll
            for (int i = 0; i < 4 * N; i++) {
                float &x = score[m][i / 4][i / 2 % 2][2 * r + i % 2];
                x = power(x, origin, scale);
                sum += x;
            }
            s.most[m][r] = most;
            s.sum[m][r] = s.sum[m][r] * shrink + sum;
            #pragma unroll
            for (int i = 0; i < 4 * C; i++) out[m][i / 4][i / 2 % 2][2 * r + i % 2] *= shrink;
        }
}

#endif
