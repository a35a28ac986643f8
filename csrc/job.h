/* job.h: what csrc/comm.c and cuda/comm.cu need of MPI: csrc/mpi.c, or where there is none
   csrc/no_mpi.c. Comes after chat.h. All wait without spinning. */

#ifndef JOB_H
#define JOB_H

#pragma GCC visibility push(hidden)

extern Job job;                      /* rank 0 of 1, until comm_start */

/* Joins MPI's job, of which the launcher said what `job` is, and finds out what is local. */
int  mpi_join(void);
int  mpi_joined(void);
/* Sends to one rank and receives from one, each up to 2^30 bytes; -1 is no rank. */
void mpi_exchange(const void *out, int to, size_t out_bytes, void *in, int from, size_t in_bytes);
void mpi_broadcast(void *bytes, size_t n, int root);
void mpi_sum(double *x, int n);
/* Leaves; all ranks come here. `job` is rank 0 of 1 again. */
void mpi_stop(void);

#pragma GCC visibility pop

#endif
