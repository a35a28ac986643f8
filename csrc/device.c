/* device.c: the CPU as a device: its memory and its threads. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "vectors.h"
#ifdef _OPENMP
#include <omp.h>
#endif

void device_choose(int n) { (void)n; }
int device_ready(void) { return cpu_ready(); }

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)

const char *device_name(void) {
    return "cpu "
#ifdef REAL_BF16
           "bf16, "
#else
           "f32, "
#endif
           NUMBER(LANES) " lanes, "
#ifdef _OPENMP
           "OpenMP";
#else
           "one thread (no OpenMP)";
#endif
}

#ifdef _OPENMP
enum { MOST_THREADS = 1024 };                    /* OpenMP crashes where their stacks do not fit */

/* OpenMP's own setting would hold for the calling thread only. 0: as OpenMP would have it. */
static int wanted;

static int fewer;                                /* while others use the cores, see device_watch */

static int all_threads(void) {
    return wanted ? wanted : min_int(omp_get_max_threads(), MOST_THREADS);
}
int threads(void) { return fewer ? min_int(fewer, all_threads()) : all_threads(); }
int this_thread(void) { return omp_get_thread_num(); }

int most_threads(void) {
    static int processors;                       /* so that it never changes */
    if (!processors) processors = max_int(2, omp_get_num_procs());
    return processors;
}

int device_threads(int n) {
    if (n > MOST_THREADS)
        return chat_fail("%d threads, but there can be at most %d", n, MOST_THREADS);
    wanted = max_int(0, n);
    fewer = 0;                                   /* what was measured was of another number */
    return all_threads();
}
#else
int threads(void) { return 1; }
int this_thread(void) { return 0; }
int most_threads(void) { return 1; }
int device_threads(int n) { (void)n; return 1; }
#endif

/* ---- How many threads get a core ------------------------------------------------------------- */

/* Each loop ends with its last thread. Where another program has a core, that thread waits for it,
   milliseconds each time, and the others spin: one thread less is faster. So what this program gets
   of the cores is measured while all of its threads compute or spin. */
enum { WALL, CPU };

static double seconds(int which) {
    struct timespec t;
    clock_gettime(which == CPU ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

#ifdef _OPENMP
static const double TRIED = 0.1, KEPT = 1;       /* seconds with all threads; and then with fewer */
static double began[2], spent[2], again;

void device_watch(int begins) {
    if (all_threads() == 1) return;
    if (begins) {
        for (int i = WALL; i <= CPU; i++) began[i] = seconds(i);
        if (began[WALL] > again) fewer = 0;
        return;
    }
    for (int i = WALL; i <= CPU && !fewer; i++) spent[i] += seconds(i) - began[i];
    if (fewer || spent[WALL] < TRIED) return;
    const int got = (int)(spent[CPU] / spent[WALL] + 0.3);
    fewer = got < all_threads() ? max_int(1, got) : 0;
    again = began[WALL] + KEPT;
    spent[WALL] = spent[CPU] = 0;
}
#else
void device_watch(int begins) { (void)begins; }
#endif

/* ---- How much memory there is ---------------------------------------------------------------- */

/* The number in a file; a limit that is not there, or "max", is the largest number. */
static size_t number_in(const char *path) {
    size_t limit = SIZE_MAX;
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%zu", &limit) != 1) limit = SIZE_MAX;
    if (file) fclose(file);
    return limit;
}

/* The smallest limit of the group at `path` and of those that it lies in. */
static size_t smallest_limit(const char *mount, char *path, const char *name) {
    char file[8192];
    for (size_t least = SIZE_MAX;; *strrchr(path, '/') = 0) {
        snprintf(file, sizeof file, "%s%s/%s", mount, path, name);
        const size_t limit = number_in(file);
        least = limit < least ? limit : least;
        if (!strchr(path, '/')) return least;
    }
}

size_t memory_limit(const char *root) {
    char path[4096], line[4096], mount[4096];
    size_t least = SIZE_MAX;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {     /* number:controllers:path */
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        line[strcspn(line, "\n")] = 0;
        *group++ = 0;
        const int v2 = !strcmp(controllers, ":"), v1 = strstr(controllers, "memory") != NULL;
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, v1 ? "/memory" : "");
        const size_t limit = !v2 && !v1 ? SIZE_MAX : smallest_limit(
            mount, group, v1 ? "memory.limit_in_bytes" : "memory.max");
        least = limit < least ? limit : least;
    }
    if (file) fclose(file);
    return least;
}

size_t device_memory(void) {
    const size_t all = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGE_SIZE);
    const size_t limit = memory_limit("");
    return limit < all ? limit : all;
}

/* ---- The peak of the multiplier -------------------------------------------------------------- */

#ifdef __aarch64__                   /* how asm calls a vector register that may have changed */
#define VECTOR "+w"
#else
#define VECTOR "+v"
#endif

/* Independent sums, enough to hide the multiplier's latency; the empty asm keeps each in a register
   and from being folded with the next step. */
static float multiply_only(int steps) {
    vec a = { 0 }, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a;
    units x = { 0 };
    unit one = 1;
    for (int k = 0; k < steps; k++) {
        a = multiply_add(a, one, x); b = multiply_add(b, one, x); c = multiply_add(c, one, x);
        d = multiply_add(d, one, x); e = multiply_add(e, one, x); f = multiply_add(f, one, x);
        g = multiply_add(g, one, x); h = multiply_add(h, one, x); i = multiply_add(i, one, x);
        j = multiply_add(j, one, x);
        __asm__ volatile("" : VECTOR(a), VECTOR(b), VECTOR(c), VECTOR(d), VECTOR(e));
        __asm__ volatile("" : VECTOR(f), VECTOR(g), VECTOR(h), VECTOR(i), VECTOR(j), VECTOR(x));
    }
    vec sum = a + b + c + d + e + f + g + h + i + j;
    return sum[0];
}

double device_peak(void) {
    const int steps = 400000, team = threads(), tries = 4;
    const double operations = 2.0 * 10 * LANES * (4 / sizeof(real)) * steps * team;
    double best = 0;
    for (int n = 0; n < tries; n++) {
        float sink = 0;
        double start = seconds(WALL);
        #pragma omp parallel num_threads(threads()) reduction(+:sink)
        sink += multiply_only(steps);
        double rate = operations / (seconds(WALL) - start);
        if (rate > best && sink == sink) best = rate;
    }
    return best;
}

/* ---- The bandwidth of memory ----------------------------------------------------------------- */

/* One thread has more lines on their way when it reads in four places at once. */
static float read_only(const float *x, size_t n) {
    const float *y = x + n / 4, *z = y + n / 4, *u = z + n / 4;
    vec a = { 0 }, b = a, c = a, d = a;
    for (size_t i = 0; i < n / 4; i += LANES) {
        a += *(const vec *)(x + i); b += *(const vec *)(y + i);
        c += *(const vec *)(z + i); d += *(const vec *)(u + i);
    }
    vec sum = a + b + c + d;
    return sum[0];
}

/* As many bytes written a byte read as an optimizer has, which updates most of what it reads. */
static float read_and_write(float *x, size_t n) {
    float *y = x + n / 3, *z = y + n / 3;
    for (size_t i = 0; i < n / 3; i += LANES) {
        vec d = *(const vec *)(z + i);
        *(vec *)(x + i) += d; *(vec *)(y + i) += d;
    }
    return x[0];
}

double device_bandwidth(int update) {
    const int team = threads(), tries = 4;
    const size_t lot = 12 * LANES;               /* four parts or three of a thread's floats */
    const size_t n = ((size_t)1 << 27) / team / lot * lot;
    const double bytes = (update ? 5. / 3 : 1) * sizeof(float) * n * team;
    float *memory = device_alloc(sizeof(float) * n * team);
    if (!memory) return 0;
    double best = 0;
    #pragma omp parallel for num_threads(threads()) schedule(static)
    for (int t = 0; t < team; t++) memset(memory + n * t, 1, sizeof(float) * n);
    for (int k = 0; k < tries; k++) {
        float sink = 0;
        double start = seconds(WALL);
        #pragma omp parallel for num_threads(threads()) schedule(static) reduction(+:sink)
        for (int t = 0; t < team; t++)
            sink += update ? read_and_write(memory + n * t, n) : read_only(memory + n * t, n);
        double rate = bytes / (seconds(WALL) - start);
        if (rate > best && sink == sink) best = rate;
    }
    device_free(memory);
    return best;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* calloc leaves large blocks untouched until they are used; vectors want whole cache lines, so the
   block begins at the next one, with calloc's own pointer just before it. Large blocks ask for
   pages of 2 MB: there are fewer of them to fault in and to look up. */
void *device_alloc(size_t bytes) {
    const uintptr_t line = 64, page = 2 << 20;
    char *block = calloc(1, bytes + 2 * line);
    if (!block) {
        chat_fail("out of memory: %.1f MB could not be had", bytes / 1e6);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (bytes >= 2 * page)
        madvise((void *)(((uintptr_t)block + page - 1) / page * page), bytes - page, MADV_HUGEPAGE);
#endif
    void **memory = (void **)(((uintptr_t)block + 2 * line - 1) / line * line);
    memory[-1] = block;
    return memory;
}

void device_free(void *memory) { if (memory) free(((void **)memory)[-1]); }
void device_zero(void *memory, size_t bytes) { memset(memory, 0, bytes); }
void device_copy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
void device_write(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
int device_read(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); return 0; }

/* ---- Graphs: calling a function costs nothing here ------------------------------------------- */

int device_record(void **graph) { (void)graph; return 0; }
void device_record_end(void **graph) { (void)graph; }
void device_forget(void **graph) { (void)graph; }
