"""Runs the project's programs as `python PROGRAM FLAGS` does, but without waiting for imports: a
server that has imported what they need forks for each. No tests.

What is killed, measured or begun in an unusual way has a Python of its own, by subprocess.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

ROOT = Path(__file__).resolve().parents[1]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["train", "infer", "data.web", "data.world", "data.probe",
                               "matplotlib.figure", "matplotlib.backends.backend_agg"])


def begin(program, arguments, cwd, environment, streams):
    """What the new process does; streams: the files of stdin, stdout and stderr."""
    for number, path in enumerate(streams):
        os.dup2(os.open(path, os.O_RDWR), number)
    sys.stdin = open(0)                          # multiprocessing had led it nowhere
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(program), *arguments]
    runpy.run_path(str(program), run_name="__main__")


def run(program, *arguments, cwd=".", stdin="", timeout=120, **environment):
    """The CompletedProcess of a program of the project ("train.py") that has ended, with its output
    as text."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
        for path, text in zip(streams, (stdin, "", "")):
            path.write_text(text)
        arguments = [*map(str, arguments)]
        process = SERVER.Process(target=begin, args=(
            ROOT / program, arguments, os.path.abspath(cwd), {**os.environ, **environment},
            streams))
        process.start()
        process.join(timeout)
        assert process.exitcode is not None, f"{program} {arguments} took over {timeout} s"
        return CompletedProcess([program, *arguments], process.exitcode,
                                *(path.read_text() for path in streams[1:]))
