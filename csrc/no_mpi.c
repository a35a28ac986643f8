/* no_mpi.c: in mpi.c's place where there is no MPI. */

#include <unistd.h>
#include "real.h"
#include "job.h"

int mpi_built(void) { return 0; }
static const Job ALONE = { .ranks = 1, .locals = 1 };
Job job = { .ranks = 1, .locals = 1 };

int mpi_join(void) {
    return chat_fail("%d ranks were started, but this library was built without MPI: install it"
                     " (apt install libopenmpi-dev openmpi-bin) and run `make` again", job.ranks);
}

void mpi_stop(void) { job = ALONE; }
void comm_abort(void) { _exit(1); }

/* Never called. */
int  mpi_joined(void) { return 0; }
void mpi_exchange(const void *out, int to, size_t out_bytes, void *in, int from, size_t in_bytes) {
    (void)out; (void)to; (void)out_bytes; (void)in; (void)from; (void)in_bytes;
}
void mpi_broadcast(void *bytes, size_t n, int root) { (void)bytes; (void)n; (void)root; }
void mpi_sum(double *x, int n) { (void)x; (void)n; }
