"""A device: its memory, its name, its threads, and what it says of a launch that cannot be."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from csrc.bind import ChatError
from kernel_calls import assert_within, run, single, to_real

# ---- Threads -------------------------------------------------------------------------------------

@pytest.mark.skipif("CHAT_EMULATOR" in os.environ, reason="the emulator has one thread")
def test_the_threads_that_are_set_hold_for_every_thread_that_computes(lib):
    """Not only for the one that set them, as OpenMP's own setting does."""
    if lib.device != "cpu" or lib.call("device_threads", 2) == 1:
        pytest.skip("this library has no threads of its own")
    if lib.dtype == "bf16":
        pytest.skip("LLVM's OpenMP would take the threads that the library before it began")
    x, tasks = np.ones(1 << 20, np.float32), "/proc/self/task"
    narrow = to_real(lib, x)

    def threads_begun():
        before = set(os.listdir(tasks))
        lib.call("narrow", narrow, x, x.size)
        return len(set(os.listdir(tasks)) - before)

    for threads in 1, 3:
        lib.call("device_threads", threads)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(threads_begun).result() == threads - 1


@pytest.mark.skipif("CHAT_EMULATOR" in os.environ, reason="the emulator has one thread")
@pytest.mark.parametrize("said, threads", [("3", 3), (None, len(os.sched_getaffinity(0)))])
def test_where_no_number_is_asked_for_openmp_s_own_holds(lib, said, threads):
    if lib.device != "cpu" or lib.call("device_threads", 2) == 1:
        pytest.skip("this library has no threads of its own")
    code = "from csrc.bind import Library as L; print(L.load('cpu').call('device_threads', 0))"
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    if said:
        environment["OMP_NUM_THREADS"] = said
    found = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], text=True,
                           stdout=subprocess.PIPE, env=environment)
    assert int(found.stdout) == threads


@pytest.mark.skipif("CHAT_EMULATOR" in os.environ, reason="the emulator has one thread")
def test_a_program_ends_well_while_threads_spin():
    """Were the library unloaded first, their code would be gone under them."""
    code = ("import numpy as np; from csrc.bind import Library; one = Library.load('cpu', 'f32');"
            "one.call('device_threads', 2); x = np.ones(1 << 20, np.float32);"
            "one.call('narrow', np.empty_like(x), x, x.size)")
    assert not subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1],
                              env=os.environ | {"OMP_WAIT_POLICY": "active"}).returncode


@pytest.mark.skipif("CHAT_EMULATOR" in os.environ, reason="the emulator has one thread")
def test_each_thread_has_its_own_error(lib):
    with ThreadPoolExecutor(1) as other:
        lib.lib.chat_fail(b"mine")
        other.submit(lib.lib.chat_fail, b"another's").result()
        assert lib.ffi.string(lib.lib.chat_error()) == b"mine"
        assert lib.ffi.string(other.submit(lib.lib.chat_error).result()) == b"another's"


def test_an_empty_grid_is_an_error_and_no_vocabulary_makes_one(lib):
    """99 KB of shared memory, of which one block took more than was thought to be there. (On a real
    GPU with more memory, other sizes.)"""
    if lib.device != "cuda":
        pytest.skip("there are no grids on a CPU")
    for V in 24833, 25088:
        logits = np.zeros((2, V), np.float32)
        nll, _ = run(lib, "nll_forward", [single(2), None], logits, np.zeros(2, np.int32), None,
                     2, V, V)
        assert_within(nll, np.full(2, np.log(V)), 1e-5)
    row, rows = to_real(lib, np.ones((1, 1))), to_real(lib, np.ones((1, 2)))
    with pytest.raises(ChatError, match="swiglu_forward: a grid without blocks was launched"):
        lib.call("swiglu_forward", row, rows, 0, 1)      # to read its output returns what failed


# ---- The device ----------------------------------------------------------------------------------

GROUPS = {                                       # what /proc/self/cgroup says, and files of limits
    "version 2": ("0::/jobs/mine", {"memory.max": "max", "jobs/memory.max": 3 << 30,
                                    "jobs/mine/memory.max": "max"}),
    "version 1": ("7:cpu,cpuacct:/other\n4:memory:/mine", {
        "memory/mine/memory.limit_in_bytes": 3 << 30,
        "memory/memory.limit_in_bytes": 9223372036854771712, "memory.max": 1}),
    "in a container": ("4:memory:/a/path/of/the/host", {
        "memory/memory.limit_in_bytes": 3 << 30}),
    "none": ("0::/", {}),
}


@pytest.mark.skipif("CHAT_EMULATOR" in os.environ, reason="the emulator takes no folders")
@pytest.mark.parametrize("name", GROUPS)
def test_memory_is_what_control_groups_leave(lib, name, tmp_path):
    if lib.device != "cpu":
        pytest.skip("a GPU has its own memory")
    listed, limits = GROUPS[name]
    files = {"proc/self/cgroup": listed} | {f"sys/fs/cgroup/{k}": v for k, v in limits.items()}
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{content}\n")
    limit = lib.call("memory_limit", str(tmp_path).encode())
    assert limit == (2**64 - 1 if name == "none" else 3 << 30)
    assert lib.call("device_memory") <= lib.call("memory_limit", b"")


def test_the_library_describes_its_device(lib):
    name = lib.ffi.string(lib.call("device_name")).decode()
    assert (name.startswith(f"cpu {lib.dtype}, ") if lib.device == "cpu"
            else name.endswith(lib.dtype))
    assert lib.call("device_ready") == 0
    assert lib.call("device_memory") > 2**28
    if lib.device == "cpu" and lib.call("device_threads", 2) == 2:      # it has OpenMP
        with pytest.raises(ChatError, match="100000 threads"):
            lib.call("device_threads", 100_000)
    assert lib.call("device_threads", 1) == 1 or lib.device == "cuda"
    assert lib.call("device_peak") > 1e6
    assert lib.call("device_bandwidth", 0) > 1e6 and lib.call("device_bandwidth", 1) > 1e6


def test_device_memory_is_zeroed_and_keeps_what_is_written(lib):
    data, out = np.random.default_rng(0).integers(0, 256, 1000, np.uint8), np.ones(1000, np.uint8)
    a, b = (lib.call("device_alloc", 1000) for _ in range(2))

    def held(memory):
        lib.call("device_read", out, memory, 1000)
        return out

    assert not held(a).any() and not held(b).any()
    lib.call("device_write", a, data, 1000)
    lib.call("device_copy", b, a, 1000)
    lib.call("device_zero", a, 1000)
    assert not held(a).any() and np.array_equal(held(b), data)
    for memory in a, b:
        lib.call("device_free", memory)
