"""What each kernel takes of a multiprocessor, from what `nvcc -Xptxas -v` left in its logs.

    make cuda-resources                      # python3 tests/cuda_resources.py build/cuda/*/*.log

Fails if a kernel spills many registers to memory, which makes a fast one slow without a word. (A
few, saved before a loop and fetched after it, cost nothing.)
"""

import re
import subprocess
import sys
from pathlib import Path

MOST = 128                                       # bytes a thread may spill
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
    rows = {}                                    # (file, dtype, kernel): {target: what it takes}
    for log in map(Path, logs):
        for name, target, *taken in kernels(log):
            row = rows.setdefault((log.name.split(".")[0], log.parent.name, name), {})
            row[target] = taken
    targets = sorted({target for row in rows.values() for target in row},
                     key=lambda target: int(re.sub(r"\D", "", target)))
    print(f"{'registers, bytes of static shared memory':<50}{''.join(f'{t:<17}' for t in targets)}")
    names, most = readable([name for _, _, name in rows]), 0
    for (file, dtype, _), row, name in zip(rows, rows.values(), names):
        cells = []
        for registers, stack, spills, shared in (row[t] for t in targets if t in row):
            most = max(most, spills)
            note = f"!{spills}" if spills else f"stack {stack}" if stack else ""
            cells.append(f"{f'{registers} {shared:>5} {note}':<17}")
        print(f"{f'{file} {dtype} {name}'[:48]:<50}{''.join(cells).rstrip()}")
    print(f"{len(rows)} kernels; !: bytes of registers spilled to memory, {most} at most")
    return most > MOST


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
