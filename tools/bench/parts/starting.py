"""From the command line to the result."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import Timings, in_turns, table

import bvh
from bvh import procedural

TITLE = "Start-up"


def measure() -> str:
    """Beside an interpreter that does nothing, and one that imports torch.

    Aims, of a machine with nothing else to do: help in 0.3 s, one clip encoded in 3 s.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip, codes = Path(folder) / "clip.bvh", Path(folder) / "codes.npy"
        bvh.write(procedural.make("walk", seconds=5, seed=0).to_clip(), clip)
        encode = ["-m", "motiontok", "encode", str(clip), "-o", str(codes)]
        commands = {
            "python -c pass": ["-c", "pass"],
            "motiontok --help": ["-m", "motiontok", "--help"],
            "python -c 'import torch'": ["-c", "import torch"],
            "motiontok encode clip.bvh": [*encode, "--device", "cpu"],
        }

        spent: dict[str, list[float]] = {name: [] for name in commands}

        def run(name: str) -> None:
            before = os.times()
            subprocess.run([sys.executable, *commands[name]], check=True, stdout=subprocess.DEVNULL)
            after = os.times()
            spent[name].append(sum(after[2:4]) - sum(before[2:4]))

        ways = {name: lambda name=name: run(name) for name in commands}
        timings = {"wall": in_turns(ways, rounds=3, clock=time.perf_counter)}
        timings["processor"] = {n: Timings(tuple(values[1:])) for n, values in spent.items()}
        parts = [
            table(
                found,
                what="command",
                unit="runs",
                work=1,
                against="python -c pass",
                clock=clock,
            )
            for clock, found in timings.items()
        ]
    return "\n\n".join(parts)
