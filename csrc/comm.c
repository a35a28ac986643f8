/* comm.c: what ranks do together, on CPUs, through MPI.

   A sum of gradients goes along a chain of all ranks that ends at their owner, and weights go along
   one that begins there: piece by piece, so that a rank passes one on while the next comes in. Each
   link carries n numbers, however many ranks there are; a sum has one order, and so the same bits.

   A thread does this while kernels compute, as the second stream does on a GPU. */

#include <pthread.h>
#include <stdlib.h>
#include "real.h"
#include "job.h"

enum { PIECE = 1 << 18, ROOM = 64 };             /* bytes; orders */

typedef struct { char *x; size_t bytes; int owner, is_sum; } Order;

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Order orders[ROOM];
    size_t given, done;              /* how many orders there were, and how many are finished */
    int leave;
    float *received;                 /* (PIECE) bytes; NULL: there is no thread */
} comm = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* ---- Beside the kernels ---------------------------------------------------------------------- */

static size_t piece_size(const Order *o, size_t at) {
    return o->bytes - at < PIECE ? o->bytes - at : PIECE;
}

/* In each step a piece comes in from the rank before, unless this one is the first, and the piece
   that came in the step before goes on, unless this one is the last. */
static void carry_out(const Order *o) {
    const int R = job.ranks, first = o->owner + o->is_sum, place = (job.rank - first + R) % R;
    const int left = place > 0 ? (job.rank + R - 1) % R : -1;
    const int right = place < R - 1 ? (job.rank + 1) % R : -1;
    for (size_t at = 0, done = 0; done < o->bytes; done = at, at += piece_size(o, at)) {
        const size_t in = piece_size(o, at), out = at - done;
        float *sum = (float *)(o->x + at);
        mpi_exchange(o->x + done, out ? right : -1, out, o->is_sum ? comm.received : sum,
                     in ? left : -1, in);
        for (size_t i = 0; o->is_sum && left >= 0 && i < in / sizeof(float); i++)
            sum[i] += comm.received[i];
    }
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

static void begin(Order order) {
    if (job.ranks == 1 || order.bytes == 0) return;
    wait_until(comm.given < ROOM ? 0 : comm.given - ROOM + 1);
    pthread_mutex_lock(&comm.lock);
    comm.orders[comm.given++ % ROOM] = order;
    pthread_cond_broadcast(&comm.changed);
    pthread_mutex_unlock(&comm.lock);
}

void comm_reduce(float *x, size_t n, int owner) {
    begin((Order){ (char *)x, n * sizeof(float), owner, 1 });
}
void comm_gather(void *x, size_t bytes, int owner) { begin((Order){ x, bytes, owner, 0 }); }
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
    comm.received = malloc(PIECE);
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
