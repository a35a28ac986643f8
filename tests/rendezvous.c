/* rendezvous.c: one rank of a job without MPI, for test_ranks.py. It joins, gets what rank 0 shares
   and waits for orders: a line on stdin lets it go in peace. */

#include <stdio.h>
#include <string.h>
#include "../csrc/real.h"
#include "../csrc/job.h"

int main(void) {
    char secret[64] = "nothing", line[8];
    if (job_start(1)) return fprintf(stderr, "%s\n", chat_error()), 2;
    if (job.rank == 0) strcpy(secret, "the id of a communicator");
    if (job_share(secret, sizeof secret)) return fprintf(stderr, "%s\n", chat_error()), 2;
    printf("rank %d of %d, local %d of %d: %s\n", job.rank, job.ranks, job.local, job.locals,
           secret);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) return 3;
    job_stop();
    return 0;
}
