"""What the launcher of a job says to each of its ranks, and how they meet where there is no MPI.

On GPUs each rank must be given some bytes that NCCL makes on rank 0. Where MPI does not bring them,
a TCP connection to rank 0 does. It stays open: when it breaks, a rank has died, and the others end
too instead of waiting for it forever in a call.
"""

import os
import re
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import wait

from csrc.files import ChatError

# The innermost comes first: torchrun may itself be started by srun or mpirun. What each calls the
# rank, how many there are, and the same of the ranks on this machine.
LAUNCHERS = [
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
]
PATIENCE = 120                       # seconds in which all ranks must have come
HELLO, NUMBER = struct.Struct("<4sii"), struct.Struct("<i")
LEAVES = -1                          # in place of the number of a rank that has died


@dataclass(frozen=True)
class Place:
    """Which rank of how many this process is, and which of those on this machine."""

    launcher: str = ""
    rank: int = 0
    ranks: int = 1
    local: int = 0
    locals: int = 1


def place() -> Place:
    """This process' place, as its launcher left it in the environment."""
    for launcher, *names in LAUNCHERS:
        found = [os.environ.get(name, "") for name in names]
        if found[0] and int(found[1] or 1) > 1:
            rank, ranks, local, locals_ = (int(x or other) for x, other in zip(found, (0, 1, 0, 1)))
            if not 0 <= rank < ranks:
                raise ChatError(f"{names[0]} is {rank}, but {names[1]} is {ranks}")
            return Place(launcher, rank, ranks, local, locals_)
    return Place()


def address() -> tuple[str, int]:
    """Where rank 0 listens. Of Slurm's "node[03-07,12],other" it is on node03."""
    word = os.environ.get
    node = re.match(r"([^,[]*)(?:\[([^],-]*))?", word("SLURM_STEP_NODELIST", ""))
    host = word("MASTER_ADDR") or node[1] + (node[2] or "") or "127.0.0.1"
    port = int(word("MASTER_PORT") or 20000 + int(word("SLURM_JOB_ID", "0")) % 10000)
    return host, port + ("TORCHELASTIC_USE_AGENT_STORE" in os.environ)   # there torchrun listens


class Meeting:
    """The connections of all ranks to rank 0, whose `word` (bytes) all of them get."""

    def __init__(self, here: Place, word: bytes):
        self.here, self.leaving = here, False
        self.links: dict[int, socket.socket] = {}        # by rank; all but rank 0 have one, to it
        self.word = self.invite(word) if here.rank == 0 else self.come(len(word))
        threading.Thread(target=self.watch, daemon=True).start()

    def invite(self, word: bytes) -> bytes:
        """Rank 0: wait until all the others have come. A stranger is sent away."""
        ranks, (_, port), end = self.here.ranks, address(), time.monotonic() + PATIENCE
        dual = socket.has_dualstack_ipv6()
        with socket.create_server(("", port), backlog=ranks, dualstack_ipv6=dual,
                                  family=socket.AF_INET6 if dual else socket.AF_INET) as door:
            while missing := set(range(1, ranks)) - set(self.links):
                door.settimeout(max(0.01, end - time.monotonic()))
                try:
                    link = door.accept()[0]
                    link.settimeout(1)
                    hello = link.recv(HELLO.size)
                except TimeoutError:
                    if time.monotonic() < end:
                        continue
                    raise ChatError(f"rank {min(missing)} of {ranks} has not come within "
                                    f"{PATIENCE} seconds") from None
                name, rank, of = HELLO.unpack(hello.ljust(HELLO.size))
                if name == b"chat" and of == ranks and rank in missing:
                    self.links[rank] = link
                else:
                    link.close()
        for link in self.links.values():
            link.settimeout(None)
            link.sendall(word)
        return word

    def come(self, size: int) -> bytes:
        """The others: reach rank 0, which may start later, and return its word."""
        here, end = self.here, time.monotonic() + PATIENCE
        while True:
            try:
                link = socket.create_connection(address(), timeout=PATIENCE)
                break
            except OSError as error:
                if time.monotonic() > end:
                    raise ChatError(f"rank {here.rank} cannot reach rank 0 at "
                                    f"{':'.join(map(str, address()))}: {error}") from None
                time.sleep(0.1)
        self.links[0] = link
        link.settimeout(None)
        link.sendall(HELLO.pack(b"chat", here.rank, here.ranks))
        word = link.recv(size, socket.MSG_WAITALL)
        if len(word) < size:
            raise ChatError(f"rank 0 has gone before rank {here.rank} could begin")
        return word

    def watch(self) -> None:
        """Until all have left: end this process when one of them has died."""
        while self.links:
            by_link = {link: rank for rank, link in self.links.items()}
            for link in wait(list(by_link)):
                try:
                    said = link.recv(NUMBER.size)
                except OSError:
                    said = b""
                gone = NUMBER.unpack(said)[0] if len(said) == NUMBER.size else by_link[link]
                del self.links[by_link[link]]
                if gone != LEAVES and not self.leaving:
                    self.tell(gone)              # rank 0 tells the others
                    print(f"rank {gone} of {self.here.ranks} is gone: rank {self.here.rank} ends "
                          f"too", file=sys.stderr, flush=True)
                    os._exit(1)

    def tell(self, number: int) -> None:
        """Send a number to all that are still there."""
        for link in list(self.links.values()):
            try:
                link.sendall(NUMBER.pack(number))
            except OSError:
                pass                             # it has gone, too

    def leave(self) -> None:
        """End in peace: from now on nobody is missed."""
        self.leaving = True
        self.tell(LEAVES)
