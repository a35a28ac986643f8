"""The library as other machines and compilers get it: the Makefile builds it without a warning, and
its kernels and models pass their tests.

What is built for aarch64 runs in an emulator (emulated.py), which takes 100 times as long.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from csrc.bind import ChatError, Library

ROOT = Path(__file__).resolve().parents[1]
WARN = "-Wall", "-Wextra", "-Werror"
ARM = "aarch64-linux-gnu-gcc"
VARIANTS = {                                     # what `make` is told
    "avx2": ["CFLAGS=-O3 -mavx2 -mfma"],
    "oldest_x86": ["CFLAGS=-O3",                 # SSE2, no fused multiply-add; no OpenMP
                   "OPENMP=-Wno-unknown-pragmas -fopenmp-simd"],
    "clang": ["CC=clang"],
    "aarch64": [f"CC={ARM}", "CFLAGS=-O3"],
}
TOOLS = {"clang": ["clang"], "aarch64": [ARM, "qemu-aarch64"]}
TESTS = [f"tests/test_{name}" for name in (
    "kernels.py", "linear.py", "attention.py", "device.py",
    "quant.py::test_quant_forward", "quant.py::test_a_row_has_the_same_bits_in_any_company",
    "model.py::test_forward_and_every_gradient_equal_ref",
    "model.py::test_five_steps_of_adamw_follow_ref",
    "decoding.py::test_decoding_with_a_cache_equals_full_logits")]

pytestmark = pytest.mark.skipif("CHAT_BUILD" in os.environ, reason="CHAT_BUILD chose a build")


def run(*words, **environment):
    """What it prints. `make test` hands its own flags to every `make` below it; these do
    without."""
    done = subprocess.run([str(word) for word in words], cwd=ROOT, text=True,
                          env=os.environ | {"MAKEFLAGS": ""} | environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


def lacks(name):
    """What this machine lacks for a variant, or None."""
    if name in ("avx2", "oldest_x86") and platform.machine() != "x86_64":
        return "an x86-64"
    if name == "avx2" and " avx512f " not in Path("/proc/cpuinfo").read_text():
        return "AVX-512: the build that all tests take is this one"
    return next((tool for tool in TOOLS.get(name, []) if not shutil.which(tool)), None)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_build_passes_the_tests(name, tmp_path):
    if what := lacks(name):
        pytest.skip(f"this machine lacks {what}")
    run("make", "libraries", f"BUILD={tmp_path}", f"WARN={' '.join(WARN)}", *VARIANTS[name])
    environment = {"CHAT_BUILD": str(tmp_path), "CHAT_EXAMPLES": "2"}
    if name == "aarch64":
        program = tmp_path / "emulated"
        run(ARM, "-O1", *WARN, "tests/emulated.c", "-o", program, "-ldl")
        environment["CHAT_EMULATOR"] = f"qemu-aarch64 -L /usr/aarch64-linux-gnu {program}"
    said = run(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS,
               **environment)
    assert int(re.search(r"(\d+) passed", said)[1]) > 60, said      # not skipped


def test_a_library_for_another_cpu_says_so_when_it_is_loaded(tmp_path):
    """Instead of dying of an instruction that this CPU lacks."""
    if platform.machine() != "x86_64" or "avx512_bf16" in Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has all of them")
    library = tmp_path / "libchat_text.so"
    run("make", library, f"BUILD={tmp_path}", "CFLAGS=-O1 -mavx512bf16")
    with pytest.raises(ChatError, match="built for a CPU with avx.*, which this one lacks"):
        Library(library, headers=("text.h",))


def test_an_edit_compiles_one_file_again_and_another_compilers_command_all(tmp_path):
    library = tmp_path / "libchat_text.so"

    def made(*words):
        out = run("make", library, f"BUILD={tmp_path}", *words)
        return [line.split("/")[-1] for line in out.splitlines() if " -o " in line]

    everything = made("CFLAGS=-O1")
    assert everything[-1] == library.name and "words.o" in everything
    assert made("CFLAGS=-O1") == []
    assert made("CFLAGS=-O1", "-W", "csrc/words.c") == ["words.o", library.name]
    assert made("CFLAGS=-O0") == everything
    assert made("CFLAGS=-O0", "MPI=-Dmpi_has_been_installed") == everything
