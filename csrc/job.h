/* job.h: how the ranks of a job find each other, for csrc/comm.c and cuda/comm.cu. A job has been
   started by mpirun, whose MPI is then used, or by torchrun or srun, which leave the ranks'
   numbers in the environment, and the address where rank 0 listens. Comes after chat.h. */

#ifndef JOB_H
#define JOB_H

#pragma GCC visibility push(hidden)

extern Job job;                      /* rank 0 of 1, until job_start */

/* Fills in `job` and joins it through MPI, or with `sockets` through TCP where MPI has not started
   this process. One rank: nothing happens. */
int  job_start(int sockets);
/* The rank among those on this machine, also before that. */
int  job_local(void);
/* bytes (n) = rank 0's; once, after job_start. Who is lost from now on is told to when_lost. */
int  job_share(void *bytes, size_t n, void (*when_lost)(int rank));
/* Leaves in peace; all ranks come here. */
void job_stop(void);
/* Ends all ranks. */
void job_abort(void);

/* MPI: csrc/mpi.c, or where there is none csrc/no_mpi.c. mpi_join checks job.ranks and finds out
   what is local; mpi_exchange sends and receives at most 2^30 bytes; all wait without spinning. */
extern const int mpi_built;          /* 1: this is mpi.c */
int  mpi_join(void);
int  mpi_joined(void);
void mpi_exchange(const void *out, int to, void *in, int from, size_t bytes);
void mpi_broadcast(void *bytes, size_t n, int root);
void mpi_sum(double *x, int n);
void mpi_stop(void);
void mpi_abort(void);

#pragma GCC visibility pop

#endif
