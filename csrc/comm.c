/* comm.c: what ranks do together, on CPUs, through MPI.

   Floats go round in a ring: each rank sends to the next and receives from the one before, so that
   every link carries the same and n numbers cost 2n, however many ranks there are. A sum is made
   piece by piece on the way: after ranks - 1 steps each rank has one piece of it, whole. Another
   ranks - 1 steps carry the pieces to all. The first half alone is a reduce-scatter, the second an
   all-gather, so training with and without SHARD adds in the same order and gives the same bits.

   A thread does this while kernels compute, as the second stream does on a GPU. */

#include <pthread.h>
#include <stdlib.h>
#include "real.h"
#include "job.h"

enum { SUM = 1, SPREAD = 2 };        /* the halves */
enum { CHUNK = 1 << 18, ROOM = 64 };

typedef struct { char *x; size_t piece; int halves; } Order;     /* ranks pieces, in bytes */

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Order orders[ROOM];
    size_t given, done;              /* how many orders there were, and how many are finished */
    int leave;
    float *received;                 /* (CHUNK) */
} comm = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* ---- The ring -------------------------------------------------------------------------------- */

/* Sends piece `out` on and receives piece `in`, to add it or to have it. */
static void pass(const Order *o, int out, int in, int add) {
    const int R = job.ranks, right = (job.rank + 1) % R, left = (job.rank + R - 1) % R;
    const size_t size = CHUNK * sizeof(float);
    char *from = o->x + (out + 2 * R) % R * o->piece, *to = o->x + (in + 2 * R) % R * o->piece;
    for (size_t at = 0; at < o->piece; at += size) {
        const size_t bytes = o->piece - at < size ? o->piece - at : size;
        float *sum = (float *)(to + at);
        mpi_exchange(from + at, right, add ? comm.received : sum, left, bytes);
        for (size_t i = 0; add && i < bytes / sizeof(float); i++) sum[i] += comm.received[i];
    }
}

static void carry_out(const Order *o) {
    const int r = job.rank, steps = job.ranks - 1;
    for (int s = 0; s < steps && o->halves & SUM; s++) pass(o, r - 1 - s, r - 2 - s, 1);
    for (int s = 0; s < steps && o->halves & SPREAD; s++) pass(o, r - s, r - 1 - s, 0);
}

static void *work(void *nothing) {
    pthread_mutex_lock(&comm.lock);
    while (!comm.leave) {
        if (comm.done == comm.given) {
            pthread_cond_wait(&comm.changed, &comm.lock);
            continue;
        }
        const Order order = comm.orders[comm.done % ROOM];
        pthread_mutex_unlock(&comm.lock);
        carry_out(&order);
        pthread_mutex_lock(&comm.lock);
        comm.done++;
        pthread_cond_broadcast(&comm.changed);
    }
    pthread_mutex_unlock(&comm.lock);
    return nothing;
}

static void wait_until(size_t done) {
    pthread_mutex_lock(&comm.lock);
    while (comm.done < done) pthread_cond_wait(&comm.changed, &comm.lock);
    pthread_mutex_unlock(&comm.lock);
}

static void begin(void *x, size_t bytes, int halves) {
    if (job.ranks == 1) return;
    wait_until(comm.given < ROOM ? 0 : comm.given - ROOM + 1);
    pthread_mutex_lock(&comm.lock);
    comm.orders[comm.given++ % ROOM] = (Order){ x, bytes / job.ranks, halves };
    pthread_cond_broadcast(&comm.changed);
    pthread_mutex_unlock(&comm.lock);
}

void comm_reduce(float *x, size_t n, int share) {
    begin(x, n * sizeof(float), share ? SUM : SUM | SPREAD);
}
void comm_gather(real *x, size_t n) { begin(x, n * sizeof(real), SPREAD); }
void comm_wait(void) { wait_until(comm.given); }

/* ---- A job ----------------------------------------------------------------------------------- */

int comm_id(void *id) { (void)id; return chat_fail("on CPUs ranks talk through MPI alone"); }

int comm_start(Job *out, const void *id) {
    (void)id;
    if (out->ranks > 1 && job.ranks == 1) {
        job = *out;
        if (mpi_join()) { mpi_stop(); return -1; }
    }
    *out = job;
    if (job.ranks == 1 || comm.received) return 0;
    comm.leave = 0;
    comm.received = malloc(CHUNK * sizeof(float));
    if (!comm.received || pthread_create(&comm.thread, NULL, work, NULL))
        return chat_fail("no memory for a thread that talks to the other ranks");
    return 0;
}

void comm_stop(void) {
    if (comm.received) {
        comm_wait();
        pthread_mutex_lock(&comm.lock);
        comm.leave = 1;
        pthread_cond_broadcast(&comm.changed);
        pthread_mutex_unlock(&comm.lock);
        pthread_join(comm.thread, NULL);
        free(comm.received);
        comm.received = NULL;
    }
    mpi_stop();
}

/* MPI is asked by one thread at a time, so the other one must have finished. */
int comm_sum(double *x, int n) {
    comm_wait();
    if (job.ranks > 1) mpi_sum(x, n);
    return 0;
}

int comm_broadcast(void *bytes, size_t n, int root) {
    comm_wait();
    if (job.ranks > 1) mpi_broadcast(bytes, n, root);
    return 0;
}
