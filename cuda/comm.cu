/* comm.cu: what ranks do together, on GPUs, through NCCL. Gradients are summed and weights spread
   on a stream of their own, while kernels run on the other; events say where one waits for it.
   MPI, or where that has not started us the caller, only brings the ranks together. */

#include "gpu.cuh"
#ifndef NCCL_H_                      /* tests/nccl_on_cpu.h is in its place already */
#include <nccl.h>
#endif
extern "C" {
#include "../csrc/job.h"
}

static ncclComm_t comm;
static cudaStream_t traffic;
static cudaEvent_t computed, moved;
static bool under_way;
static const size_t ROOM = 4 << 20;              /* bytes of host memory that travel at a time */
static char *room;

static void check(ncclResult_t status, const char *what) {
    if (status != ncclSuccess) latch_sentence(what, ncclGetErrorString(status));
}

/* ---- Beside the kernels ---------------------------------------------------------------------- */

/* What is on its way from now on begins when the kernels so far have ended. */
static void begin() {
    latch(cudaEventRecord(computed, stream), "an event");
    latch(cudaStreamWaitEvent(traffic, computed, 0), "waiting for kernels");
    under_way = true;
}

void comm_reduce(float *x, size_t n, int owner) {
    if (job.ranks == 1 || n == 0) return;
    begin();
    check(ncclReduce(x, x, n, ncclFloat, ncclSum, owner, comm, traffic), "summing gradients");
}

void comm_gather(void *x, size_t bytes, int owner) {
    if (job.ranks == 1 || bytes == 0) return;
    begin();
    check(ncclBroadcast(x, x, bytes, ncclUint8, owner, comm, traffic), "gathering weights");
}

void comm_wait(void) {
    if (!under_way) return;
    latch(cudaEventRecord(moved, traffic), "an event");
    latch(cudaStreamWaitEvent(stream, moved, 0), "waiting for other GPUs");
    under_way = false;
}

/* ---- Host memory ----------------------------------------------------------------------------- */

static int arrived() {
    latch(cudaStreamSynchronize(traffic), "waiting for other GPUs");
    return device_read(NULL, room, 0);           /* what was latched, if anything */
}

int comm_sum(double *x, int n) {
    double nothing = 0;
    if (job.ranks == 1) return 0;
    if (n == 0) { x = &nothing; n = 1; }
    if (n * sizeof(double) > ROOM) return chat_fail("%d numbers to sum are too many", n);
    latch(cudaMemcpyAsync(room, x, n * sizeof(double), cudaMemcpyHostToDevice, traffic), "sending");
    check(ncclAllReduce(room, room, n, ncclDouble, ncclSum, comm, traffic), "summing");
    latch(cudaMemcpyAsync(x, room, n * sizeof(double), cudaMemcpyDeviceToHost, traffic), "getting");
    return arrived();
}

int comm_broadcast(void *bytes, size_t n, int root) {
    for (size_t at = 0; job.ranks > 1 && at < n; at += ROOM) {
        const size_t size = n - at < ROOM ? n - at : ROOM;
        char *part = (char *)bytes + at;
        if (job.rank == root)
            latch(cudaMemcpyAsync(room, part, size, cudaMemcpyHostToDevice, traffic), "sending");
        check(ncclBroadcast(room, room, size, ncclUint8, root, comm, traffic), "sharing");
        if (job.rank != root)
            latch(cudaMemcpyAsync(part, room, size, cudaMemcpyDeviceToHost, traffic), "getting");
        if (arrived()) return -1;
    }
    return 0;
}

/* ---- A job ----------------------------------------------------------------------------------- */

static_assert(sizeof(ncclUniqueId) == COMM_ID, "chat.h says how large NCCL's id is");

int comm_id(void *id) {
    if (ncclGetUniqueId((ncclUniqueId *)id) == ncclSuccess) return 0;
    return chat_fail("NCCL cannot begin: %s", ncclGetLastError(NULL));
}

int comm_start(Job *out, const void *given) {
    ncclUniqueId id = {};
    if (out->ranks > 1 && job.ranks == 1) {
        job = *out;
        if (given) memcpy(&id, given, sizeof id);
        else if (mpi_join()) { mpi_stop(); return -1; }
    }
    *out = job;
    if (job.ranks == 1 || comm) return 0;
    if (device_ready() || (!given && job.rank == 0 && comm_id(&id))) return -1;
    if (!given) mpi_broadcast(&id, sizeof id, 0);
    if (ncclCommInitRank(&comm, job.ranks, id, job.rank) != ncclSuccess)
        return chat_fail("rank %d cannot join the other GPUs: %s", job.rank,
                         ncclGetLastError(NULL));
    latch(cudaStreamCreateWithFlags(&traffic, cudaStreamNonBlocking), "making a stream");
    latch(cudaEventCreateWithFlags(&computed, cudaEventDisableTiming), "an event");
    latch(cudaEventCreateWithFlags(&moved, cudaEventDisableTiming), "an event");
    room = (char *)device_alloc(ROOM);
    return room ? 0 : -1;
}

void comm_stop(void) {
    if (comm) {
        comm_wait();
        cudaDeviceSynchronize();
        ncclCommDestroy(comm);
        cudaEventDestroy(computed);
        cudaEventDestroy(moved);
        cudaStreamDestroy(traffic);
        device_free(room);
        comm = NULL;
    }
    mpi_stop();
}
