"""How fast BVH readers turn a file into arrays, side by side in one run.

python tools/bench/read_bvh.py CLIP.bvh [--times 10] [--rounds 5] [--peers PYTHON]

Each round reads the clip once with every reader, each in a process of its own on one core,
after a first reading that does not count; the best round of each is reported. Rates are
by seconds of the processor, which on a machine without other work are those of the clock. Other
projects' readers live in an environment that is made for the run (they cannot share ours:
one of them is also called `bvh`), or in that of the interpreter given by --peers.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from measuring import facts, one_core

PEERS = ("upc-pymotion==0.3.4", "bvh==0.3", "bvhio==1.5.4")
OURS = "bvh.read (this project)"
READERS: dict[str, str] = {
    OURS: "import bvh; read = lambda path: bvh.read(path)",
    "numpy.loadtxt, rows alone": """
import numpy as np
def read(path):
    lines = open(path, "rb")
    for line in lines:
        if line.startswith(b"Frame Time"):
            return np.loadtxt(lines, comments=None)
""",
    "upc-pymotion 0.3.4": "from pymotion.io.bvh import BVH; read = lambda path: BVH().load(path)",
    "bvh 0.3": """
import numpy as np
from bvh import Bvh
read = lambda path: np.array(Bvh(open(path).read()).frames, dtype=float)
""",
    "bvhio 1.5.4": "import bvhio; read = lambda path: bvhio.readAsBvh(path)",
}
TIMER = """
import json, sys, time
def memory(key):
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
    except OSError:
        return float("nan")
before = memory("VmRSS")
read(sys.argv[1])
start, cpu = time.perf_counter(), time.process_time()
read(sys.argv[1])
wall, cpu = time.perf_counter() - start, time.process_time() - cpu
print(json.dumps([cpu, wall, memory("VmHWM") - before]))
"""


def repeated(clip: Path, times: int, target: Path) -> Path:
    """Write the clip with its rows repeated."""
    head, time, rows = re.split(r"(?m)^(Frame Time:.*\n)", clip.read_text(), maxsplit=1)
    rows = rows.rstrip() + "\n"
    head = re.sub(r"(Frames:\s*)(\d+)", lambda m: m[1] + str(int(m[2]) * times), head)
    target.write_text(head + time + rows * times)
    return target


def peers_python(folder: Path) -> str:
    """The interpreter of a new environment with the other readers in it."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "numpy", *PEERS], check=True)
    return python


def measure(python: str, setup: str, clip: Path) -> tuple[float, float, float]:
    """Processor seconds, wall seconds and bytes of memory of one reading."""
    done = subprocess.run(
        [python, "-c", setup + TIMER, str(clip)],
        check=True,
        capture_output=True,
        text=True,
        cwd=clip.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    cpu, wall, peak = json.loads(done.stdout.splitlines()[-1])
    return cpu, wall, peak


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--times", type=int, default=10, help="repeat the clip's rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", help="interpreter that has the other readers")
    options = parser.parse_args()
    one_core()
    with tempfile.TemporaryDirectory() as scratch:
        clip = repeated(options.clip, options.times, Path(scratch) / "clip.bvh")
        peers = options.peers or peers_python(Path(scratch) / "peers")
        best: dict[str, tuple[float, float, float]] = {}
        for _ in range(options.rounds):
            for name, setup in READERS.items():
                own = name == OURS or name.startswith("numpy")
                found = measure(sys.executable if own else peers, setup, clip)
                best[name] = min(best.get(name, found), found)
        size = clip.stat().st_size
    print(
        f"{facts()}; one core; {options.clip.name} x {options.times} ({size / 1e6:.1f} MB), "
        f"best of {options.rounds}\n"
    )
    print("| reader | processor s | wall s | MB/s | times ours | memory, x file |")
    print("|---|---|---|---|---|---|")
    for name, (cpu, wall, peak) in best.items():
        print(
            f"| {name} | {cpu:.3f} | {wall:.3f} | {size / cpu / 1e6:.0f} "
            f"| {cpu / best[OURS][0]:.1f} | {peak / size:.1f} |"
        )


if __name__ == "__main__":
    main()
