"""What each kernel takes of a multiprocessor, from what `nvcc -Xptxas -v` left in its logs.

    make cuda-resources                          # python3 tests/cuda_resources.py build/cuda/*/*.log

Fails if a kernel spills registers to memory, which makes a fast one slow without a word.
"""

import re
import subprocess
import sys
from pathlib import Path

KERNEL = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores")
USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


def kernels(log: Path):
    """(name, target, registers, bytes of stack, of spills, of static shared memory) of each."""
    name = target = None
    for line in log.read_text().splitlines():
        if found := KERNEL.search(line):
            name, target = found.groups()
        elif found := STACK.search(line):
            stack, spills = map(int, found.groups())
        elif (found := USED.search(line)) and name:
            yield name, target, int(found[1]), stack, spills, int(found[2] or 0)
            name = None


def readable(names: list[str]) -> list[str]:
    try:
        plain = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                               check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return names
    return [re.sub(r"^void |__nv_|\(.*$", "", name) for name in plain]


def main(logs: list[str]) -> int:
    rows = {}                                    # of kernel and dtype: {target: what it takes}
    for log in map(Path, logs):
        for name, target, *taken in kernels(log):
            rows.setdefault((log.stem.removesuffix(".o"), log.parent.name, name), {})[target] = taken
    targets = sorted({target for row in rows.values() for target in row}, key=lambda t: (len(t), t))
    print("registers and bytes of shared memory" + "".join(f"{t:>16}" for t in targets))
    spilling = 0
    for (file, dtype, _), plain in zip(rows, readable([name for _, _, name in rows])):
        print(f"{file}.cu {dtype} {plain}"[:70])
        row = rows[file, dtype, _]
        cells = ""
        for target in targets:
            registers, stack, spills, shared = row.get(target, (0, 0, 0, 0))
            spilling += spills > 0
            cells += f"{registers:>6} {shared:>6}" + (f" !{spills:<5}" if spills else
                                                      f" s{stack:<5}" if stack else " " * 3)
        print(" " * 36 + cells.rstrip())
    print(f"{len(rows)} kernels; {spilling} spill registers (!: how many bytes; s: a stack's bytes)")
    return spilling > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
