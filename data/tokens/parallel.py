"""Work as a map over files, by processes of this machine or by all ranks of an MPI job.

A task is a function and the file it makes: `run_tasks` runs those whose file is not there yet, so
that a killed job goes on where it stopped, and since no task asks how many workers there are, the
files have the same bytes at any number of them.

    python data/web.py ...                                             processes, one a core
    mpirun -n 4 .venv/bin/python -m mpi4py.futures data/web.py ...     a cluster, 3 ranks working
"""

import os
import signal
import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread

from csrc.files import ChatError
from csrc.shown import print_plainly, progress


class SpawnedPool(ProcessPoolExecutor):
    """Processes that never see a Ctrl-C, which is their parent's, and that end with their parent,
    even one that is killed. They are spawned, not forked: a fork after OpenMP hangs."""

    def __init__(self, count):
        super().__init__(count, get_context("spawn"), end_with_parent)

    def submit(self, function, /, *args, **kwargs):
        """Submit a task; a process that is started for it inherits the blocked signal, and gets
        all that it begins with before a Ctrl-C that another thread takes ends this one."""
        came = []
        before = signal.signal(signal.SIGINT, lambda *args: came.append(args))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(function, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            signal.signal(signal.SIGINT, before)
            if came and callable(before):
                before(*came[0])


def end_with_parent():
    """Let this process print as its parent does, and wait for no work that cannot come any more."""
    print_plainly()
    Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()


class SerialExecutor(Executor):
    """Runs each task in this process, when it is submitted."""

    def submit(self, function, /, *args, **kwargs):
        """Run the task; return its finished future."""
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


def batches(items, most, size=len):
    """Group items into lists, each full as soon as the sizes of its items sum to `most`."""
    batch, total = [], 0
    for item in items:
        batch.append(item)
        total += size(item)
        if total >= most:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


@contextmanager
def workers(count=None):
    """Yield an Executor: under `-m mpi4py.futures` its ranks, else `count` processes (None: one a
    processor; 1: this one). Ctrl-C ends them amid their tasks. OSError if one of them dies."""
    if count is not None and count < 1:
        raise ChatError(f"--workers is {count}, but must be over 0")
    if "mpi4py.futures" in sys.modules:
        from mpi4py.futures import MPIPoolExecutor
        # Ranks do not run the script, so they get what cli.enter() does for the first one.
        executor = MPIPoolExecutor(main=False, path=[str(Path(__file__).resolve().parents[2])],
                                   env={"OPENBLAS_NUM_THREADS": "1"})
    elif count == 1:
        executor = SerialExecutor()
    else:
        executor = SpawnedPool(count or os.cpu_count())
    with executor:
        try:
            yield executor
        except BaseException as error:           # do not begin what has not begun
            executor.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):
                for process in active_children():
                    process.terminate()
            if isinstance(error, (BrokenProcessPool, BrokenPipeError)):
                raise OSError("a worker was killed, perhaps for want of memory; try the same "
                              "command again, --workers 1 needs least") from error
            raise


def run_tasks(executor, function, jobs, label):
    """Call function(out, *args) for each (out, *args) of `jobs` whose file `out` is not there.

    function  of a module (it is pickled by name); writes `out` last and whole (csrc/files.py)
    label     what the progress bar says

    What is done stays, and the same call does the rest.
    """
    todo = [job for job in jobs if not job[0].exists()]
    with progress(label=label, total=len(jobs), initial=len(jobs) - len(todo)) as bar:
        for future in as_completed([executor.submit(function, *job) for job in todo]):
            future.result()
            bar.update()
