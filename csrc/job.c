/* job.c: how the ranks of a job find each other, and learn of each other's end.

   Where MPI has not started them, each keeps a TCP connection to rank 0 for as long as it lives:
   through it comes what rank 0 shares, and when it breaks, a rank has died, and the others end too
   instead of waiting for it in a collective call. */

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "real.h"
#include "job.h"

static const Job ALONE = { .ranks = 1, .locals = 1 };
Job job = { .ranks = 1, .locals = 1 };

/* ---- What the launcher said ------------------------------------------------------------------ */

/* The innermost launcher comes first: torchrun may itself be started by srun or mpirun. */
typedef struct { const char *name, *rank, *ranks, *local, *locals; int mpi; } Launcher;
static const Launcher LAUNCHERS[] = {
    { "torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", 0 },
    { "mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
      "OMPI_COMM_WORLD_LOCAL_SIZE", 1 },
    { "mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", 1 },
    { "srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE", 0 },
};

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

/* NULL: this process was started alone. */
static const Launcher *find_launcher(void) {
    for (size_t i = 0; i < sizeof LAUNCHERS / sizeof *LAUNCHERS; i++)
        if (getenv(LAUNCHERS[i].rank) && number(LAUNCHERS[i].ranks, 1) > 1) return &LAUNCHERS[i];
    return NULL;
}

/* host, port = where rank 0 listens. Of Slurm's "node[03-07,12],other" it is on node03. */
static void find_master(char host[256], char port[16]) {
    const char *address = getenv("MASTER_ADDR"), *nodes = getenv("SLURM_STEP_NODELIST");
    size_t n = 0;
    for (const char *c = nodes ? nodes : ""; *c && n < 255; c++) {
        if (*c == ',' || *c == ']' || (*c == '-' && strchr(nodes, '[') && c > strchr(nodes, '[')))
            break;
        if (*c != '[') host[n++] = *c;
    }
    host[n] = 0;
    if (address) snprintf(host, 256, "%s", address);
    else if (!n) strcpy(host, "127.0.0.1");
    /* torchrun itself listens on the port that it announces. */
    int at = number("MASTER_PORT", 20000 + number("SLURM_JOB_ID", 0) % 10000);
    snprintf(port, 16, "%d", at + (getenv("TORCHELASTIC_USE_AGENT_STORE") != NULL));
}

/* ---- TCP ------------------------------------------------------------------------------------- */

enum { PATIENCE = 120 };             /* seconds in which all ranks must have come */
enum { HELLO = 0x63686174, BYE = -1 };
static int *peers;                   /* (ranks) sockets; all but rank 0 have one, to rank 0 */
static int leaving;
static void (*lost)(int rank);       /* comm_start's */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int send_all(int peer, const void *bytes, size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t sent = send(peer, (const char *)bytes + at, n - at, 0);
        if (sent <= 0) return -1;
        at += sent;
    }
    return 0;
}

static int receive_all(int peer, void *bytes, size_t n) {
    return recv(peer, bytes, n, MSG_WAITALL) == (ssize_t)n ? 0 : -1;
}

/* A socket that listens (rank 0) or has reached rank 0; -1 with errno. */
static int open_socket(const char *host, const char *port, int listens) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = listens ? AI_PASSIVE : 0 };
    struct addrinfo *found = NULL;
    const int yes = 1;
    int peer = -1;
    if (getaddrinfo(listens ? NULL : host, port, &hints, &found)) return -1;
    for (struct addrinfo *a = found; a && peer < 0; a = a->ai_next) {
        peer = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (peer < 0) continue;
        setsockopt(peer, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (listens ? bind(peer, a->ai_addr, a->ai_addrlen) || listen(peer, 1024)
                    : connect(peer, a->ai_addr, a->ai_addrlen)) {
            close(peer);
            peer = -1;
        }
    }
    freeaddrinfo(found);
    return peer;
}

/* Rank 0: all the others have connected and said who they are. A stranger is sent away. */
static int accept_all(int door) {
    const double end = now() + PATIENCE;
    const struct timeval second = { 1, 0 };
    for (int missing = job.ranks - 1; missing > 0;) {
        struct pollfd wait = { door, POLLIN, 0 };
        if (now() > end) {
            int r = 1;
            while (peers[r] >= 0) r++;
            return chat_fail("rank %d of %d has not come within %d seconds", r, job.ranks,
                             PATIENCE);
        }
        if (poll(&wait, 1, 1000) != 1) continue;
        int peer = accept(door, NULL, NULL), hello[3] = { 0 };
        setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
        if (receive_all(peer, hello, sizeof hello) || hello[0] != HELLO || hello[1] < 1
            || hello[1] >= job.ranks || hello[2] != job.ranks || peers[hello[1]] >= 0) {
            close(peer);
            continue;
        }
        peers[hello[1]] = peer;
        missing--;
    }
    return 0;
}

static int meet(void) {
    char host[256], port[16];
    const int hello[3] = { HELLO, job.rank, job.ranks };
    find_master(host, port);
    signal(SIGPIPE, SIG_IGN);        /* whoever has gone is found out by send's result */
    peers = malloc(sizeof(int) * job.ranks);
    if (!peers) return chat_fail("no memory for %d ranks", job.ranks);
    for (int r = 0; r < job.ranks; r++) peers[r] = -1;
    if (job.rank == 0) {
        int door = open_socket(host, port, 1);
        if (door < 0)
            return chat_fail("rank 0 cannot listen on port %s: %s", port, strerror(errno));
        int failed = accept_all(door);
        close(door);
        return failed;
    }
    const struct timespec pause = { 0, 100000000 };
    for (double end = now() + PATIENCE; peers[0] < 0 && now() < end;) {
        peers[0] = open_socket(host, port, 0);
        if (peers[0] < 0) nanosleep(&pause, NULL);
    }
    if (peers[0] < 0 || send_all(peers[0], hello, sizeof hello))
        return chat_fail("rank %d cannot reach rank 0 at %s:%s: %s", job.rank, host, port,
                         strerror(errno));
    return 0;
}

/* ---- Who is still there ---------------------------------------------------------------------- */

/* Rank 0 tells the others who has gone; to them, rank 0 is the only one they can miss. */
static void tell(int gone) {
    for (int r = 0; r < job.ranks; r++)
        if (peers[r] >= 0) send_all(peers[r], &gone, sizeof gone);
    lost(gone);
}

static void *watch(void *nothing) {
    const int ranks = job.ranks;
    struct pollfd *each = calloc(ranks, sizeof *each);
    for (int open = 1; each && open;) {
        open = 0;
        for (int r = 0; r < ranks; r++) {
            each[r] = (struct pollfd){ peers[r], POLLIN, 0 };
            open += peers[r] >= 0;
        }
        poll(each, ranks, -1);
        for (int r = 0; r < ranks; r++) {
            int gone = r;
            if (peers[r] < 0 || !each[r].revents) continue;
            int lost = receive_all(peers[r], &gone, sizeof gone);
            if ((lost || gone != BYE) && !leaving) tell(gone);
            peers[r] = -1;
        }
    }
    free(each);
    return nothing;
}

/* ---- A job ----------------------------------------------------------------------------------- */

static int join(const Launcher *by, int sockets) {
    job = (Job){ .rank = number(by->rank, -1), .ranks = number(by->ranks, 1),
                 .local = number(by->local, 0), .locals = number(by->locals, 1) };
    if (job.rank < 0 || job.rank >= job.ranks)
        return chat_fail("%s is %d, but %s is %d", by->rank, job.rank, by->ranks, job.ranks);
    if (sockets && !(by->mpi && mpi_built)) return meet();
    if (mpi_built && !by->mpi && by == &LAUNCHERS[0])
        return chat_fail("torchrun started %d ranks, but on CPUs they talk through MPI: start them"
                         " with mpirun or srun", job.ranks);
    return mpi_join();
}

int job_start(int sockets) {
    const Launcher *by = find_launcher();
    if (!by || job.ranks > 1) return 0;
    int failed = join(by, sockets);
    if (failed) job = ALONE;
    return failed;
}

int job_local(void) {
    const Launcher *by = find_launcher();
    return by ? max_int(0, number(by->local, 0)) : 0;
}

int job_share(void *bytes, size_t n, void (*when_lost)(int rank)) {
    lost = when_lost;
    if (mpi_joined()) {
        mpi_broadcast(bytes, n, 0);
        return 0;
    }
    if (job.rank && receive_all(peers[0], bytes, n))
        return chat_fail("rank 0 has gone before rank %d could begin", job.rank);
    for (int r = 1; job.rank == 0 && r < job.ranks; r++)
        if (send_all(peers[r], bytes, n)) return chat_fail("rank %d has gone at the start", r);
    pthread_t thread;                /* nothing but news of the end comes from now on */
    if (pthread_create(&thread, NULL, watch, NULL)) return chat_fail("no memory for a thread");
    return pthread_detach(thread);
}

void job_stop(void) {
    const int bye = BYE;
    leaving = 1;
    for (int r = 0; peers && r < job.ranks; r++)
        if (peers[r] >= 0) send_all(peers[r], &bye, sizeof bye);
    mpi_stop();
    job = ALONE;
}

void job_abort(void) {
    if (mpi_joined()) mpi_abort();
    _exit(1);
}
