"""Several ranks train as one does: csrc/comm.c, ranks.py, and train.py under mpirun. Also what
happens when one of them dies, fails or cannot be there."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from csrc.bind import Library
from csrc.runs import read_state
from test_train import ROOT, book, elsewhere, losses  # noqa: F401  (fixtures)

HERE = Path(__file__).parent
EMBEDDING = 0.29             # share of rank_program.LARGE's weights in its largest
FLAGS = ["--depth", "1", "--context", "16", "--batch", "2", "--batch-tokens", "192",
         "--vocab-size", "320", "--steps", "20", "--eval-every", "10", "--checkpoint-every", "5",
         "--sample-every", "0", "--dtype", "f32",
         "--schedule", "wsd", "--decay", "0", "--warmup", "0",     # the same at any end: the rate
         "--weight-decay", "0.1"]
ROOT_MAY = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

NO_MPIRUN = "CHAT_BUILD" in os.environ or "LD_PRELOAD" in os.environ or not (
    shutil.which("mpirun") and Library.load("cpu", "f32").lib.mpi_built())
needs_mpirun = pytest.mark.skipif(
    NO_MPIRUN, reason="no mpirun here, or the library is built without MPI or otherwise")


def mpirun(ranks, *words):
    """The command; oversubscribed, for more ranks than there are cores."""
    return ["mpirun", "--oversubscribe", "-n", str(ranks), *map(str, words)]


def run(command, **environment):
    """mpirun itself announces what went wrong on stderr."""
    return subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env=os.environ | ROOT_MAY | environment)


def training(*flags):
    return [sys.executable, ROOT / "train.py", *flags]


def finished(command, **environment):
    done = run(command, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- Some steps --------------------------------------------------------------------------------

@pytest.fixture(scope="module", params=["cpu-f32-8", "cpu-bf16-8", "cuda-f32-1"])
def results(request):
    """{ranks: what rank_program.py prints}; rank 1 was started alone, without mpirun. "cuda" is
    comm.cu over what MPI does in NCCL's place (nccl_on_cpu.h), and takes long for a step."""
    device, dtype, steps = request.param.split("-")
    build = ROOT / "build" / ("shim" if device == "cuda" else "")
    if NO_MPIRUN or not (build / f"libchat_{device}_{dtype}.so").exists():
        pytest.skip(f"this machine lacks MPI or {build}/libchat_{device}_{dtype}.so")
    program = list(map(str, [sys.executable, HERE / "rank_program.py", device, dtype, steps]))
    several = (2, 4) if device == "cpu" else (3,)
    commands = {1: program} | {n: mpirun(n, *program) for n in several}
    return dtype, {n: json.loads(finished(words, CHAT_BUILD=str(build)))
                   for n, words in commands.items()}


@needs_mpirun
def test_any_number_of_ranks_learns_the_same(results):
    """With SHARD and without, in one pass and in several. In bfloat16 activations are rounded, and
    a sum in another order rounds some of them otherwise."""
    dtype, by_ranks = results
    bound = 1e-5 if dtype == "f32" else 0.01
    want = by_ranks[1]["whole 12"]
    for out in by_ranks.values():
        for name in "whole 12", "whole 2", "shard 12", "shard 2":
            assert np.abs(np.subtract(out[name]["losses"], want["losses"])).max() < bound, name
            assert out[name]["norms"] == pytest.approx(want["norms"], rel=10 * bound)
    for out in by_ranks.values():
        for name in "chance 12", "muon 12":
            one, alone = out[name]["losses"], by_ranks[1][name]["losses"]
            assert np.abs(np.subtract(one, alone)).max() < bound, name


@needs_mpirun
def test_every_rank_ends_with_the_same_bits_and_sharding_changes_none(results):
    for out in results[1].values():
        for rows in 2, 12:
            whole, shard = out[f"whole {rows}"], out[f"shard {rows}"]
            assert whole["same"] and shard["same"] and out[f"chance {rows}"]["same"]
            assert whole["copied"] and shard["copied"] and out[f"chance {rows}"]["copied"]
            assert shard["sums"] == whole["sums"] and shard["losses"] == whole["losses"]
            whole, shard = out[f"muon {rows}"], out[f"muon shard {rows}"]
            assert all(x["same"] and x["copied"] for x in (whole, shard))
            assert shard["sums"] == whole["sums"] and shard["losses"] == whole["losses"]


@needs_mpirun
def test_what_is_sharded_takes_as_little_memory_as_predicted(results):
    for ranks, out in results[1].items():
        if "memory" not in out:
            pytest.skip("measured on CPUs")
        whole, shard = (out["memory"][name]["predicted"] for name in ("whole", "shard"))
        for part in "masters", "moments":        # each rank's: whole tensors, shared out evenly
            parts, all_parts = [each[part] for each in shard], whole[0][part]
            assert sum(parts) == pytest.approx(all_parts, rel=1e-3)
            assert max(parts) <= 1.01 * max(all_parts / ranks, all_parts * EMBEDDING)
        for part in "gradients", "weights":
            assert all(each[part] == whole[0][part] for each in shard + whole)
        assert not any(each["masters"] for each in out["memory"]["chance"]["predicted"])
        for name in "whole", "shard":            # buffers of MPI and of NumPy come to it
            for predicted, grown in zip(*out["memory"][name].values(), strict=True):
                predicted = sum(predicted.values())
                assert abs(grown - predicted) < 0.05 * predicted + 5e6, (ranks, name)


# ---- Checkpoints, kills, failures --------------------------------------------------------------

@pytest.fixture(scope="module")
def whole(book, tmp_path_factory):  # noqa: F811
    """The losses of the run on one rank."""
    path = tmp_path_factory.mktemp("whole") / "run"
    finished(list(map(str, training("--data", book, "--out", path, *FLAGS))))
    return losses(path)


@needs_mpirun
def test_a_checkpoint_of_four_ranks_resumes_on_one_or_three(book, whole):  # noqa: F811
    out = finished(mpirun(4, *training("--data", book, "--out", "run", *FLAGS, "--steps", "10")))
    assert "4 ranks, 3 of 12 windows a step each" in out and out.count("step 10/10  loss") == 1
    for ranks, zero in (1, "on"), (3, "off"):
        shutil.copytree("run", f"run{ranks}")
        command = training("--resume", "--out", f"run{ranks}", "--steps", "20", "--zero", zero)
        out = finished(mpirun(ranks, *command) if ranks > 1 else list(map(str, command)))
        assert "resuming with 20 steps, not 10" in out
        assert losses(f"run{ranks}") == pytest.approx(whole, abs=5e-5)


def ranks_of(launcher):
    """{rank: pid} of what a mpirun has started."""
    pids = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    found = {}
    for pid in pids:
        for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if word.startswith(b"OMPI_COMM_WORLD_RANK="):
                found[int(word.split(b"=")[1])] = int(pid)
    return found


def begin(command, folder, step):
    """A run in the background that has taken some steps."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=os.environ | ROOT_MAY)
    log, end = Path(folder) / "log.jsonl", time.time() + 120
    while process.poll() is None and time.time() < end:
        if log.exists() and log.read_text().count("\n") >= step:
            return process
        time.sleep(0.01)
    process.terminate()
    raise AssertionError(process.communicate()[0])


def alive(pid):
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())       # a zombie's is empty
    except (FileNotFoundError, ProcessLookupError):
        return False


LONG = ["--steps", "100000", "--eval-every", "100000", "--checkpoint-every"]


@needs_mpirun
def test_a_killed_rank_ends_all_and_two_go_on_from_its_checkpoint(book):  # noqa: F811
    command = training("--data", book, "--out", "run", *FLAGS, *LONG, "1")
    process = begin(mpirun(4, *command), "run", 4)
    ranks = ranks_of(process)
    os.kill(ranks[2], signal.SIGKILL)
    killed = time.time()
    out = process.communicate(timeout=30)[0]
    assert process.returncode != 0 and "process rank 2" in out and "Killed" in out
    while any(alive(pid) for pid in ranks.values()):
        time.sleep(0.05)
    assert time.time() - killed < 10

    saved = read_state(Path("run"))[0]["step"]
    assert saved >= 3
    steps = ["--steps", str(saved + 4), "--eval-every", "100000", "--checkpoint-every", "100000"]
    finished(mpirun(2, *training("--resume", "--out", "run", *steps)))
    finished(mpirun(1, *training("--data", book, "--out", "whole", *FLAGS, *steps)))
    assert losses("run") == pytest.approx(losses("whole"), abs=5e-5)
    assert len(losses("run")) == saved + 4


@needs_mpirun
def test_a_signal_to_mpirun_stops_all_after_the_same_step_with_a_checkpoint(book):  # noqa: F811
    process = begin(mpirun(4, *training("--data", book, "--out", "run", *FLAGS, *LONG, "100000")),
                    "run", 3)
    process.send_signal(signal.SIGUSR1)
    out = process.communicate(timeout=30)[0]
    assert process.returncode == 0 and "--resume --out run" in out
    assert read_state(Path("run"))[0]["step"] == len(losses("run"))


@needs_mpirun
def test_what_fails_on_one_rank_is_said_once_with_its_number_and_ends_all(book):  # noqa: F811
    command = training("--out", "run", *FLAGS, "--data")
    began = time.time()
    done = run(mpirun(1, *command, book) + [":"] + mpirun(1, *command, "missing.txt")[2:])
    assert done.returncode != 0 and time.time() - began < 30
    assert done.stderr.count("train.py: rank 1: missing.txt: no such file") == 1
    assert "Traceback" not in done.stderr

    done = run(mpirun(3, *training("--data", "missing.txt", "--out", "run", *FLAGS)))
    assert done.stderr.count("missing.txt: no such file") == 1 and "rank 0:" in done.stderr
    done = run(mpirun(3, *training("--data", book, "--out", "run", *FLAGS, "--batch-tokens", "32")))
    assert "with a window for each of 3 ranks: 48 is" in done.stderr
    assert not Path("run").exists()


@needs_mpirun
def test_a_checkpoint_that_cannot_be_written_keeps_nobody_waiting(book):  # noqa: F811
    """Rank 0 fails between the tensors that it asks the others for."""
    finished(mpirun(2, *training("--data", book, "--out", "run", *FLAGS, "--steps", "5")))
    Path("sitecustomize.py").write_text(
        "import builtins\ndef full(path, *how, real=open, **more):\n"
        "    if 'state.safetensors' in str(path) and 'wb' in how:\n"
        "        raise OSError(28, 'No space left on device')\n"
        "    return real(path, *how, **more)\nbuiltins.open = full\n")
    done = run(mpirun(2, *training("--resume", "--out", "run", "--steps", "10")), PYTHONPATH=".")
    assert done.returncode != 0 and "checkpoint not written" in done.stderr
    assert "step 10 is not saved" in done.stderr and "Traceback" not in done.stderr
    assert read_state(Path("run"))[0]["step"] == 5


# ---- Two machines, no MPI ----------------------------------------------------------------------

AGENT = """#!/bin/sh
shift
exec ip netns exec chat-{id}b unshare --uts sh -c "hostname chat-b; $*"
"""


@pytest.fixture
def two_machines(tmp_path):
    """Two network namespaces joined by one cable; what mpirun in the first is to be told."""
    name = os.getpid()
    a, b = f"chat-{name}a", f"chat-{name}b"
    script = f"""ip netns add {a} && ip netns add {b} &&
        ip link add va netns {a} type veth peer name vb netns {b} &&
        ip -n {a} addr add 10.77.0.1/24 dev va && ip -n {b} addr add 10.77.0.2/24 dev vb &&
        ip -n {a} link set lo up && ip -n {b} link set lo up &&
        ip -n {a} link set va up && ip -n {b} link set vb up &&
        ip netns exec {a} unshare --uts true"""
    try:
        if subprocess.run(script, shell=True, capture_output=True).returncode:
            pytest.skip("network namespaces need root")
        agent = tmp_path / "agent"
        agent.write_text(AGENT.format(id=name))
        agent.chmod(0o755)
        net = [word for key in ("btl_tcp_if_include", "oob_tcp_if_include")
               for word in ("--mca", key, "10.77.0.0/24")]
        yield a, ["--host", "10.77.0.1:2,10.77.0.2:2", "--mca", "plm_rsh_agent", str(agent),
                  "--mca", "btl", "tcp,self", *net]
    finally:
        for each in a, b:
            subprocess.run(["ip", "netns", "del", each], capture_output=True)


def received(namespace):
    counter = "/sys/class/net/va/statistics/rx_bytes"
    return int(finished(["ip", "netns", "exec", namespace, "cat", counter]))


@needs_mpirun
def test_two_machines_learn_what_one_does(book, whole, two_machines):  # noqa: F811
    namespace, words = two_machines
    command = mpirun(4, *words, *training("--data", book, "--out", "run", *FLAGS))
    finished(["ip", "netns", "exec", namespace, "unshare", "--uts", "sh", "-c",
              'hostname chat-a && exec "$@"', "sh", *command])
    assert losses("run") == pytest.approx(whole, abs=5e-5)
    assert received(namespace) > 20 * 4 * 60_000     # the gradients of 20 steps, at the least


RANK = f"""import sys; sys.path.insert(0, {str(ROOT)!r})
from csrc.ranks import Meeting, place
here = place()
meeting = Meeting(here, b"of rank 0" if here.rank == 0 else bytes(9))
assert meeting.word == b"of rank 0"
print(f"rank {{here.rank}} of {{here.ranks}}, local {{here.local}} of {{here.locals}}", flush=True)
sys.stdin.readline()
meeting.leave()
"""
LAUNCHERS = {                                    # what is the same for all ranks, and what differs
    "torchrun": ({"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3"},
                 ["RANK", "LOCAL_RANK"]),
    "srun": ({"SLURM_STEP_NODELIST": "127.0.0.[1-2],far", "SLURM_STEP_NUM_TASKS": "3",
              "SLURM_NTASKS_PER_NODE": "3"}, ["SLURM_PROCID", "SLURM_LOCALID"]),
}


def join(launcher="torchrun"):
    """Three ranks, begun as a launcher would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = {"MASTER_PORT": str(free.getsockname()[1])}
    common, names = LAUNCHERS[launcher]
    return [subprocess.Popen([sys.executable, "-c", RANK], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=os.environ | port | common | dict.fromkeys(names, str(r)))
            for r in range(3)]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ranks_without_mpi_meet_at_the_address_of_rank_0(launcher):
    processes = join(launcher)
    for r, process in enumerate(processes):
        assert process.stdout.readline() == f"rank {r} of 3, local {r} of 3\n"
    for process in processes:                    # leaving in any order is no death
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(0.05)
    assert [process.wait(10) for process in processes] == [0, 0, 0]
    assert [process.stderr.read() for process in processes] == ["", "", ""]


@pytest.mark.parametrize("dead", [0, 2])
def test_without_mpi_too_a_killed_rank_ends_all_by_name(dead):
    processes = join()
    for process in processes:
        process.stdout.readline()
    processes[dead].kill()
    for r, process in enumerate(processes):
        process.wait(5)
        if r != dead:
            assert process.returncode == 1
            assert f"rank {dead} of 3 is gone" in process.stderr.read()


def test_many_ranks_need_a_library_with_mpi_and_torchrun_needs_gpus(book, tmp_path):  # noqa: F811
    """Never N runs that know nothing of each other."""
    build = tmp_path / "build"
    subprocess.run(["make", "-C", ROOT, "libraries", f"BUILD={build}",
                    "MPICC=none", "CFLAGS=-O0 -march=native"], check=True, capture_output=True)
    command = list(map(str, training("--data", book, "--out", "run", *FLAGS)))
    launched = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1"}
    done = run(command, CHAT_BUILD=str(build), **launched)
    assert done.returncode == 1 and "4 ranks were started, but this library was built without MPI" \
        in done.stderr
    finished(command, CHAT_BUILD=str(build))     # and one rank trains as ever
    command[command.index("run")] = "run2"
    done = run(command, WORLD_SIZE="4", RANK="0", LOCAL_RANK="0")
    assert done.returncode == 1 and "4 ranks" in done.stderr and "mpirun" in done.stderr
    assert not Path("run2").exists()


@needs_mpirun
def test_a_process_that_was_started_alone_never_begins_mpi():
    """Nor does one in a Slurm script beside srun, though Slurm has told it of tasks."""
    program = f"import sys, ctypes; sys.path.insert(0, {str(ROOT)!r})\n" \
              "from csrc.bind import Job, Library\n" \
              "assert Job(Library.load()).ranks == 1\n" \
              f"mpi = ctypes.CDLL({str(ROOT / 'build' / 'libchat_cpu_f32.so')!r})\n" \
              "flag = ctypes.c_int(7); mpi.MPI_Initialized(ctypes.byref(flag)); print(flag.value)"
    assert finished([sys.executable, "-c", program], SLURM_PROCID="0", SLURM_NTASKS="8") == "0\n"
