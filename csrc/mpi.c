/* mpi.c: all that we ask of MPI. Built where there is an mpicc; else no_mpi.c stands in. */

#define _GNU_SOURCE                  /* for sched_getaffinity */
#include <mpi.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>
#include "real.h"
#include "job.h"

int mpi_built(void) { return 1; }
static const Job ALONE = { .ranks = 1, .locals = 1 };
Job job = { .ranks = 1, .locals = 1 };
static int joined;

int mpi_joined(void) { return joined; }

/* How many cores this rank may keep busy: one that k ranks may use counts 1/k for each of them.
   0 (all) where the system does not say which they are. */
static int share_of_cores(MPI_Comm machine) {
#ifdef CPU_SETSIZE
    cpu_set_t set;
    int mine[CPU_SETSIZE], users[CPU_SETSIZE];
    double share = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set)) CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++) mine[i] = CPU_ISSET(i, &set) != 0;
    MPI_Allreduce(mine, users, CPU_SETSIZE, MPI_INT, MPI_SUM, machine);
    for (int i = 0; i < CPU_SETSIZE; i++) share += mine[i] ? 1.0 / users[i] : 0;
    return max_int(1, (int)(share + 1e-6));
#else
    (void)machine;
    return 0;
#endif
}

int mpi_join(void) {
    int provided = MPI_THREAD_SERIALIZED, ranks, again;
    MPI_Comm machine;
    MPI_Initialized(&again);         /* by the library of another precision, in this process */
    if (!again) MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
    if (provided < MPI_THREAD_SERIALIZED)
        return chat_fail("this MPI does not serve threads (MPI_THREAD_SERIALIZED)");
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks != job.ranks)
        return chat_fail("%d ranks were started, but MPI knows of %d: the mpirun (or srun) is not"
                         " of the MPI that this library was built with", job.ranks, ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &job.rank);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &job.local);
    MPI_Comm_size(machine, &job.locals);
    job.cores = share_of_cores(machine);
    MPI_Comm_free(&machine);
    joined = 1;
    return 0;
}

/* MPI's own waiting would keep a core busy that kernels need, here or in a neighbour. This one soon
   sleeps between two looks. */
static void finish(MPI_Request *requests, int n) {
    const struct timespec pause = { 0, 20000 };
    for (int done = 0, looks = 0; !done; looks++) {
        MPI_Testall(n, requests, &done, MPI_STATUSES_IGNORE);
        if (!done && looks > 100) nanosleep(&pause, NULL);
    }
}

void mpi_exchange(const void *out, int to, size_t out_bytes, void *in, int from, size_t in_bytes) {
    MPI_Request each[2];
    MPI_Irecv(in, (int)in_bytes, MPI_BYTE, from < 0 ? MPI_PROC_NULL : from, 0, MPI_COMM_WORLD,
              &each[0]);
    MPI_Isend(out, (int)out_bytes, MPI_BYTE, to < 0 ? MPI_PROC_NULL : to, 0, MPI_COMM_WORLD,
              &each[1]);
    finish(each, 2);
}

void mpi_broadcast(void *bytes, size_t n, int root) {
    const size_t most = 1 << 30;
    for (size_t at = 0; at < n; at += most) {
        MPI_Request request;
        MPI_Ibcast((char *)bytes + at, (int)(n - at < most ? n - at : most), MPI_BYTE, root,
                   MPI_COMM_WORLD, &request);
        finish(&request, 1);
    }
}

void mpi_sum(double *x, int n) {
    MPI_Request request;
    if (n == 0) MPI_Ibarrier(MPI_COMM_WORLD, &request);      /* a sum of nothing meets nobody */
    else MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD, &request);
    finish(&request, 1);
}

void mpi_stop(void) {
    if (joined) MPI_Finalize();
    joined = 0;
    job = ALONE;
}

void comm_abort(void) {
    if (joined) MPI_Abort(MPI_COMM_WORLD, 1);
    _exit(1);
}
