"""data/speedrun.sh, without running what it runs."""

import os
import re
import subprocess
from pathlib import Path

import programs

ROOT = Path(__file__).resolve().parents[1]


def speedrun(out, **environment):
    return subprocess.run([ROOT / "data/speedrun.sh"], capture_output=True, text=True,
                          env=os.environ | {"SPEEDRUN": str(out), "PYTHON": "echo"} | environment)


def test_the_speedrun_calls_programs_that_are_there_with_flags_that_they_have(tmp_path):
    done = speedrun(tmp_path / "run", SKILL_STEPS="7", PROBE_COUNT="9", COUNT="8")
    *calls, last = done.stdout.splitlines()
    assert done.returncode == 0 and last.endswith("0 minutes"), done.stderr
    assert len(calls) == 10 and sum(call.endswith("--steps 7") for call in calls) == 1
    assert [re.findall(r"--count (\d+)", call) for call in calls[6:]] == [["9"], [], [], ["8"]]
    helps = {}
    for call in calls:
        program = re.match(r"\S+\.py( (sft|plant|copies|eval)\b)?", call)[0]
        if program not in helps:
            helps[program] = programs.run(*program.split(), "-h").stdout
        for flag in re.findall(r" (--[\w-]+)", call):
            assert re.search(rf"(?<!\S)\[?{flag}\b", helps[program]), f"{program} has no {flag}"


def test_the_stages_take_the_seed_and_the_minutes(tmp_path):
    calls = speedrun(tmp_path / "run", SEED="3", MINUTES="15").stdout.splitlines()
    seeded = [call for call in calls if "--seed 3" in call]
    assert [call.split()[0] for call in seeded] == [*["train.py"] * 4, "data/probe.py", "train.py"]
    assert [re.search(r"--steps (\d+)", call)[1] for call in seeded if "train.py" in call] == [
        "1", "500", "1225", "360", "1600"]
    for wrong in {"SEED": "x"}, {"SEED": "-1"}, {"MINUTES": "0"}, {"MINUTES": "1.5"}:
        done = speedrun(tmp_path / "run", **wrong)
        assert done.returncode == 1 and "must be whole numbers" in done.stderr and not done.stdout


def test_the_speedrun_never_writes_over_another(tmp_path):
    done = speedrun(tmp_path)
    assert done.returncode == 1 and "move it away" in done.stderr and not done.stdout


def test_the_speedrun_ends_with_the_stage_that_a_signal_ended(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\ncase "$*" in "train.py sft"*) exit 143; esac\n')
    python.chmod(0o755)
    done = speedrun(tmp_path / "run", PYTHON=str(python))
    assert done.returncode == 143 and done.stdout.splitlines()[-1].startswith("train.py sft ")
