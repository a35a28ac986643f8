/* nccl_on_cpu.h: what cuda/comm.cu calls of NCCL, for cuda_on_cpu.h: through MPI, at once. A sum
   adds the ranks in their order, so that all get the same bits. */

#ifndef NCCL_H_
#define NCCL_H_

#pragma GCC visibility push(hidden)
extern "C" {                         /* csrc/job.h */
int  mpi_joined(void);
void mpi_broadcast(void *bytes, size_t n, int root);
}
#pragma GCC visibility pop

enum ncclResult_t { ncclSuccess, ncclSystemError = 2, ncclInvalidUsage = 5 };
enum ncclDataType_t { ncclUint8 = 1, ncclFloat = 7, ncclDouble = 8 };
enum ncclRedOp_t { ncclSum };
struct ncclUniqueId { char internal[128]; };
namespace on_cpu { struct Ranks { int rank, ranks; }; }
typedef on_cpu::Ranks *ncclComm_t;

inline const char *ncclGetErrorString(ncclResult_t) { return "invalid usage"; }
inline const char *ncclGetLastError(ncclComm_t) { return "the ranks need MPI here"; }
inline ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    strcpy(id->internal, "emulated");
    return ncclSuccess;
}
inline ncclResult_t ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank) {
    if (!mpi_joined() || strcmp(id.internal, "emulated")) return ncclInvalidUsage;
    *comm = new on_cpu::Ranks{ rank, ranks };
    return ncclSuccess;
}
inline ncclResult_t ncclCommDestroy(ncclComm_t comm) { delete comm; return ncclSuccess; }

/* out (n) = the sum of all ranks' in (n), on rank `owner`, or with -1 on all. */
template <class T> inline void on_cpu_sum(T *out, const T *in, size_t n, int owner,
                                          ncclComm_t comm) {
    std::vector<T> part(n), sum(n);
    for (int r = 0; r < comm->ranks; r++) {
        if (r == comm->rank) part.assign(in, in + n);
        mpi_broadcast(part.data(), n * sizeof(T), r);
        for (size_t i = 0; i < n; i++) sum[i] += part[i];
    }
    if (owner < 0 || owner == comm->rank) memcpy(out, sum.data(), n * sizeof(T));
}

inline ncclResult_t ncclAllReduce(const void *in, void *out, size_t n, ncclDataType_t type,
                                  ncclRedOp_t, ncclComm_t comm, cudaStream_t) {
    if (type != ncclDouble) return ncclInvalidUsage;
    on_cpu_sum((double *)out, (const double *)in, n, -1, comm);
    return ncclSuccess;
}
inline ncclResult_t ncclReduce(const void *in, void *out, size_t n, ncclDataType_t type,
                               ncclRedOp_t, int root, ncclComm_t comm, cudaStream_t) {
    if (type != ncclFloat) return ncclInvalidUsage;
    on_cpu_sum((float *)out, (const float *)in, n, root, comm);
    return ncclSuccess;
}
inline ncclResult_t ncclBroadcast(const void *, void *bytes, size_t n, ncclDataType_t type,
                                  int root, ncclComm_t comm, cudaStream_t) {
    if (type != ncclUint8 || !comm) return ncclInvalidUsage;
    mpi_broadcast(bytes, n, root);
    return ncclSuccess;
}

#endif
