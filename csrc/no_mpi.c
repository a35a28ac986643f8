/* no_mpi.c: in mpi.c's place where there is no MPI. Nothing but mpi_join is ever called. */

#include "real.h"
#include "job.h"

const int mpi_built = 0;

int mpi_join(void) {
    return chat_fail("%d ranks were started, but this library was built without MPI: install it"
                     " (apt install libopenmpi-dev openmpi-bin) and run `make` again", job.ranks);
}

int  mpi_joined(void) { return 0; }
void mpi_exchange(const void *out, int to, void *in, int from, size_t bytes) {
    (void)out; (void)to; (void)in; (void)from; (void)bytes;
}
void mpi_broadcast(void *bytes, size_t n, int root) { (void)bytes; (void)n; (void)root; }
void mpi_sum(double *x, int n) { (void)x; (void)n; }
void mpi_stop(void) {}
void mpi_abort(void) {}
