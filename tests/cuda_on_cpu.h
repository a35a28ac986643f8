/* cuda_on_cpu.h: CUDA as plain C++17, so that the kernels in cuda/ are tested without a GPU.

   c++ -x c++ -include tests/cuda_on_cpu.h compiles a .cu file; this is in place of cuda/ptx.cuh.
   Blocks run one after the other, the threads of a block as fibers: each has its own stack and runs
   until it has to wait. What real hardware would only sometimes punish always shows here:

   - Between two barriers warps and lanes run in an order that is different at every launch, and so
     are the blocks of a grid: without a needed __syncthreads() results differ from run to run.
   - Shared memory is NaN when a block begins; the bytes around it are checked when it ends.
   - A barrier that not all threads reach, and a warp's exchange without all lanes of its mask, fail
     with a sentence that says who is where. (So does reading from a lane that is not in the mask.)
   - copy_async() fills its target with NaN, and copies only when copy_wait() says that it has. */

#ifndef PTX_CUH
#define PTX_CUH

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fibers.h"

/* ---- Words and types of CUDA ----------------------------------------------------------------- */

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __constant__ static
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("shared_memory")))

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define VECTOR_TYPES(T, name)                                                                      \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                             \
    struct alignas(4 * sizeof(T)) name##4 { T x, y, z, w; };                                       \
    inline name##2 make_##name##2(T x, T y) { return { x, y }; }                                   \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return { x, y, z, w }; }
VECTOR_TYPES(float, float)
VECTOR_TYPES(int, int)
VECTOR_TYPES(unsigned, uint)
#undef VECTOR_TYPES

OWN inline uint3 blockIdx;
OWN inline dim3 blockDim, gridDim;

/* ---- Numbers --------------------------------------------------------------------------------- */

inline uint32_t __float_as_uint(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
inline float __uint_as_float(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }
inline int __float_as_int(float x) { return (int)__float_as_uint(x); }
inline float __int_as_float(int i) { return __uint_as_float((uint32_t)i); }

template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }
template <> inline float min(float a, float b) { return fminf(a, b); }
template <> inline float max(float a, float b) { return fmaxf(a, b); }

/* The C library declares some of these names too, hence macros. */
#define __expf(x) expf(x)
#define __exp2f(x) exp2f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return 1.f / sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __saturatef(float x) { return x > 0 ? x < 1 ? x : 1.f : 0.f; }
inline int __float2int_rn(float x) { return (int)rintf(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) {
    return (uint64_t)((unsigned __int128)a * b >> 64);
}

struct alignas(2) __nv_bfloat16 {
    uint16_t bits;
    __nv_bfloat16() = default;
    __nv_bfloat16(float x) {
        uint32_t u = __float_as_uint(x);
        bits = x == x ? (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16) : 0x7fff;
    }
    operator float() const { return __uint_as_float((uint32_t)bits << 16); }
};
struct alignas(4) __nv_bfloat162 { __nv_bfloat16 x, y; };

inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high) { return { low, high }; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 x) { return { x.x, x.y }; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return { x, y }; }
inline float2 __bfloat1622float2(__nv_bfloat162 x) { return { x.x, x.y }; }
inline float __low2float(__nv_bfloat162 x) { return x.x; }
inline float __high2float(__nv_bfloat162 x) { return x.y; }
inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(uint16_t bits) {
    __nv_bfloat16 x;
    x.bits = bits;
    return x;
}

template <class T> inline T __ldg(const T *x) { return *x; }
template <class T> inline T __ldcs(const T *x) { return *x; }
template <class T> inline T __ldcg(const T *x) { return *x; }
template <class T> inline void __stcs(T *to, T x) { *to = x; }

/* ---- A block --------------------------------------------------------------------------------- */

namespace on_cpu OWN {
using fibers::Fiber;
using fibers::switch_to;

enum { LANES = 32, MOST_THREADS = 1024, MOST_SHARED = 227 << 10, STACK = 128 << 10 };

struct Warp;
struct Copy { void *to; const void *from; int valid, group; };
typedef void (*Exchange)(const Warp &warp, unsigned mask);

struct Thread {
    Fiber *fiber;                    /* NULL: has not begun */
    uint3 index;
    int lane;
    Warp *warp;
    Exchange exchange;               /* what it waits for in a warp, and with whom */
    const char *name;
    unsigned mask;
    void *argument;                  /* of the exchange, on its own stack */
    int line;                        /* the __syncthreads() it waits at */
    int group;                       /* of copies, the one that is open */
    std::vector<Copy> copies;        /* on their way */
};

struct Warp {                        /* sets of lanes are bits of an unsigned */
    Thread *threads;
    unsigned lanes, ready, waiting, at_barrier, finished;
    unsigned first;                  /* the lane whose turn is first: another after each exchange */
};

/* The block that runs now. */
struct Block {
    std::function<void()> body;
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    std::vector<int> order;          /* of warps */
    size_t turn;
    std::vector<Fiber *> idle;
    Fiber main;
    uint64_t random;
    char *shared;                    /* dynamic */
};
inline Block block;
inline Thread *current;
inline std::string error;            /* what the last kernel did wrong, or nothing */

inline unsigned draw(unsigned n) {   /* 0 <= draw(n) < n: splitmix64 */
    uint64_t z = block.random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (unsigned)(((z ^ z >> 31) >> 32) * n >> 32);
}

/* Ends the block: nothing in it runs any further. */
__attribute__((format(printf, 1, 2))) inline void fail(const char *format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    error = std::string(text) + " (block " + std::to_string(blockIdx.x) + "," +
            std::to_string(blockIdx.y) + "," + std::to_string(blockIdx.z) + ")";
    if (current) switch_to(&block.main);
}

/* ---- Whose turn it is ------------------------------------------------------------------------ */

inline void shuffle_turns() {
    for (size_t i = block.order.size(); i > 1; i--)
        std::swap(block.order[i - 1], block.order[draw((unsigned)i)]);
    for (Warp &w : block.warps) w.first = draw(LANES);
    block.turn = 0;
}

/* Lets all threads go on that wait at a __syncthreads(), if they wait at the same one. */
inline bool pass_barrier() {
    int line = 0;
    for (Warp &w : block.warps) {
        if (w.at_barrier != w.lanes) return false;
        for (unsigned i = 0; i < LANES; i++)
            if (w.lanes >> i & 1) {
                if (line && w.threads[i].line != line) return false;
                line = w.threads[i].line;
            }
    }
    for (Warp &w : block.warps) {
        w.ready = w.lanes;
        w.at_barrier = 0;
    }
    shuffle_turns();
    return true;
}

/* The thread that runs next; NULL: none can. */
inline Thread *next_thread() {
    for (;;) {
        for (; block.turn < block.order.size(); block.turn++) {
            Warp &w = block.warps[block.order[block.turn]];
            if (!w.ready) continue;
            unsigned turned = w.ready >> w.first | w.ready << (-w.first & 31);
            int lane = (__builtin_ctz(turned) + (int)w.first) & 31;
            w.ready &= ~(1u << lane);
            return w.threads + lane;
        }
        if (!pass_barrier()) return NULL;
    }
}

inline void say_who_is_where();

/* A fiber runs a thread from its beginning; when it ends, perhaps another. */
inline void run_threads() {
    fibers::arrive();
    for (;;) {
        block.body();
        current->warp->finished |= 1u << current->lane;
        Thread *next = next_thread();
        if (next && !next->fiber) next->fiber = current->fiber;
        else {
            block.idle.push_back(fibers::running);
            if (!next) say_who_is_where();
            current = next;
            switch_to(next ? next->fiber : &block.main);
            continue;
        }
        current = next;
    }
}

inline void resume(Thread *next) {
    if (!next->fiber) {
        next->fiber = block.idle.back();
        block.idle.pop_back();
    }
    current = next;
    switch_to(next->fiber);
}

/* The running thread waits, until another has made it ready and its turn comes. */
inline void wait_turn() {
    Thread *self = current, *next = next_thread();
    if (!next) say_who_is_where();
    else if (next != self) resume(next);
}

/* Sentences for the threads that can wait for ever; none if all have finished. */
inline void say_who_is_where() {
    for (Warp &w : block.warps) {
        int number = (int)(&w - block.warps.data());
        for (unsigned i = 0; i < LANES; i++) {
            const Thread &t = w.threads[i];
            if (!(w.waiting >> i & 1)) continue;
            unsigned missing = t.mask & ~w.waiting;
            if (missing)
                fail("lane %u of warp %d waits in %s for lanes %08x, of which %08x have ended and "
                     "%08x are at a __syncthreads()", i, number, t.name, missing,
                     missing & w.finished, missing & w.at_barrier);
            else
                fail("lane %u of warp %d waits in %s with mask %08x, other lanes in another "
                     "exchange or with another mask", i, number, t.name, t.mask);
            return;
        }
    }
    int line = 0;
    for (Warp &w : block.warps)
        for (unsigned i = 0; i < LANES; i++) {
            const Thread &t = w.threads[i];
            if (!(w.at_barrier >> i & 1)) continue;
            if (line && line != t.line) {
                fail("threads wait in __syncthreads() of line %d and of line %d", line, t.line);
                return;
            }
            line = t.line;
        }
    for (Warp &w : block.warps)
        if (line && w.finished) {
            fail("threads wait in __syncthreads() of line %d, but lanes %08x of warp %d have ended",
                 line, w.finished, (int)(&w - block.warps.data()));
            return;
        }
}

inline void barrier(int line) {
    Warp &w = *current->warp;
    current->line = line;
    w.at_barrier |= 1u << current->lane;
    wait_turn();
}

/* All lanes of the mask meet; the last one to come exchanges their arguments for all of them. */
inline void meet(const char *name, Exchange exchange, void *argument, unsigned mask) {
    Thread *t = current;
    Warp &w = *t->warp;
    unsigned me = 1u << t->lane;
    if (!(mask & me)) fail("lane %d calls %s with mask %08x, without itself", t->lane, name, mask);
    t->name = name;
    t->exchange = exchange;
    t->argument = argument;
    t->mask = mask;
    w.waiting |= me;
    bool all = (w.waiting & mask) == mask;
    for (unsigned rest = mask; all && rest; rest &= rest - 1) {
        const Thread &other = w.threads[__builtin_ctz(rest)];
        all = other.exchange == exchange && other.mask == mask;
    }
    if (!all) return wait_turn();
    exchange(w, mask);
    w.waiting &= ~mask;
    w.ready |= mask & ~me;
    w.first = (5 * w.first + 7) & 31;
}

/* ---- A grid ---------------------------------------------------------------------------------- */

inline void make_fibers() { block.idle = fibers::make<MOST_THREADS, STACK>(run_threads); }

inline void make_threads(int count) {
    block.threads.assign((size_t)(count + LANES - 1) / LANES * LANES, Thread{});
    block.warps.assign(block.threads.size() / LANES, Warp{});
    block.order.resize(block.warps.size());
    for (int w = 0; w < (int)block.warps.size(); w++) {
        block.order[w] = w;
        block.warps[w].threads = &block.threads[(size_t)w * LANES];
        int lanes = std::min<int>(LANES, count - w * LANES);
        block.warps[w].lanes = lanes == LANES ? ~0u : (1u << lanes) - 1;
    }
    for (unsigned i = 0; i < block.threads.size(); i++) {
        Thread &t = block.threads[i];
        t.index = { i % blockDim.x, i / blockDim.x % blockDim.y,
                    i / (blockDim.x * blockDim.y) };
        t.lane = (int)i % LANES;
        t.warp = &block.warps[i / LANES];
    }
}

extern "C" char __start_shared_memory[] __attribute__((weak));  /* the linker's, of __shared__ */
extern "C" char __stop_shared_memory[] __attribute__((weak));
enum { BAND = 128, BAND_BYTE = 0xb5 };
alignas(1024) inline char dynamic_memory[1024 + MOST_SHARED + BAND];

inline void run_block(size_t shared) {
    memset(__start_shared_memory, 0xff, (size_t)(__stop_shared_memory - __start_shared_memory));
    memset(block.shared - BAND, BAND_BYTE, BAND);
    memset(block.shared, 0xff, shared);
    memset(block.shared + shared, BAND_BYTE, BAND);
    for (Thread &t : block.threads) {
        t.fiber = NULL;
        t.group = 0;
        t.copies.clear();
    }
    for (Warp &w : block.warps) {
        w.ready = w.lanes;
        w.waiting = w.at_barrier = w.finished = 0;
    }
    shuffle_turns();
    fibers::running = &block.main;
    resume(next_thread());
    current = NULL;
    for (int i = 0; i < BAND && error.empty(); i++)
        if ((uint8_t)block.shared[-1 - i] != BAND_BYTE ||
            (uint8_t)block.shared[shared + i] != BAND_BYTE)
            fail("it wrote outside of its %zu bytes of dynamic shared memory", shared);
    if (!error.empty()) make_fibers();           /* those within a thread cannot be used again */
}

inline void run_grid(dim3 grid, dim3 threads, size_t shared, std::function<void()> body) {
    static uint64_t launches = 0;
    if (!launches) make_fibers();
    block.random = ++launches << 32;
    block.body = std::move(body);
    block.shared = dynamic_memory + 1024;
    gridDim = grid;
    blockDim = threads;
    make_threads((int)(threads.x * threads.y * threads.z));
    error.clear();
    size_t blocks = (size_t)grid.x * grid.y * grid.z, start = draw((unsigned)blocks);
    for (size_t n = 0; n < blocks && error.empty(); n++) {
        size_t i = (launches & 1 ? n + start : 2 * blocks - 1 - n - start) % blocks;
        blockIdx = { (unsigned)(i % grid.x), (unsigned)(i / grid.x % grid.y),
                        (unsigned)(i / ((size_t)grid.x * grid.y)) };
        run_block(shared);
    }
}

/* Every lane's argument, with a check that it may be read. */
template <class T> inline T &of_lane(const Warp &w, int lane, unsigned mask) {
    if (!(mask >> lane & 1))
        fail("an exchange with mask %08x reads from lane %d, which is not in it", mask, lane);
    return *(T *)w.threads[lane].argument;
}

template <class F> inline void each_lane(unsigned mask, F f) {
    for (; mask; mask &= mask - 1) f(__builtin_ctz(mask));
}

}   /* namespace on_cpu */

#define threadIdx (on_cpu::current->index)
enum { warpSize = 32 };

/* ---- What threads do together ---------------------------------------------------------------- */

inline char *dynamic_shared() { return on_cpu::block.shared; }
inline void __syncthreads(int line = __builtin_LINE()) { on_cpu::barrier(line); }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __syncwarp(unsigned mask = ~0u) {
    on_cpu::meet("__syncwarp", [](const on_cpu::Warp &, unsigned) {}, NULL, mask);
}

namespace on_cpu OWN {
template <class T> struct Shuffled { T value; int from; T result; };

template <class T> inline T shuffle(const char *name, unsigned mask, T value, int from) {
    Shuffled<T> x = { value, from, value };
    meet(name, [](const Warp &w, unsigned mask) {
        each_lane(mask, [&](int i) {
            auto &x = of_lane<Shuffled<T>>(w, i, mask);
            x.result = of_lane<Shuffled<T>>(w, x.from, mask).value;
        });
    }, &x, mask);
    return x.result;
}

struct Vote { unsigned holds, all; };

inline unsigned vote(const char *name, unsigned mask, int holds) {
    Vote x = { holds != 0, 0 };
    meet(name, [](const Warp &w, unsigned mask) {
        unsigned all = 0;
        each_lane(mask, [&](int i) { all |= of_lane<Vote>(w, i, mask).holds << i; });
        each_lane(mask, [&](int i) { of_lane<Vote>(w, i, mask).all = all; });
    }, &x, mask);
    return x.all;
}
}   /* namespace on_cpu */

/* Where the lane to read from would lie outside of this lane's group of `width`, a lane keeps its
   own value. */
template <class T> inline T __shfl_sync(unsigned mask, T x, int from, int width = 32) {
    int lane = on_cpu::current->lane;
    return on_cpu::shuffle("__shfl_sync", mask, x, (lane & -width) | (from & (width - 1)));
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T x, int bits, int width = 32) {
    int lane = on_cpu::current->lane, from = lane ^ bits;
    return on_cpu::shuffle("__shfl_xor_sync", mask, x,
                           from < (lane & -width) + width ? from : lane);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T x, unsigned by, int width = 32) {
    int lane = on_cpu::current->lane, from = lane + (int)by;
    return on_cpu::shuffle("__shfl_down_sync", mask, x,
                           from < (lane & -width) + width ? from : lane);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T x, unsigned by, int width = 32) {
    int lane = on_cpu::current->lane, from = lane - (int)by;
    return on_cpu::shuffle("__shfl_up_sync", mask, x, from >= (lane & -width) ? from : lane);
}
inline unsigned __ballot_sync(unsigned mask, int holds) {
    return on_cpu::vote("__ballot_sync", mask, holds);
}
inline int __any_sync(unsigned mask, int holds) {
    return on_cpu::vote("__any_sync", mask, holds) != 0;
}
inline int __all_sync(unsigned mask, int holds) {
    return on_cpu::vote("__all_sync", mask, holds) == mask;
}

/* One thread runs at a time, so these need nothing more. */
template <class T> inline T atomicAdd(T *to, T x) { T old = *to; *to += x; return old; }
template <class T> inline T atomicSub(T *to, T x) { T old = *to; *to -= x; return old; }
template <class T> inline T atomicMax(T *to, T x) { T old = *to; *to = max(old, x); return old; }
template <class T> inline T atomicMin(T *to, T x) { T old = *to; *to = min(old, x); return old; }
template <class T> inline T atomicOr(T *to, T x) { T old = *to; *to |= x; return old; }
template <class T> inline T atomicAnd(T *to, T x) { T old = *to; *to &= x; return old; }
template <class T> inline T atomicExch(T *to, T x) { T old = *to; *to = x; return old; }
template <class T> inline T atomicCAS(T *to, T want, T x) {
    T old = *to;
    if (old == want) *to = x;
    return old;
}
inline unsigned atomicInc(unsigned *to, unsigned most) {
    unsigned old = *to;
    *to = old >= most ? 0 : old + 1;
    return old;
}

#include "ptx_on_cpu.h"
#include "cuda_runtime_on_cpu.h"
#include "nccl_on_cpu.h"
#endif
