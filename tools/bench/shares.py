"""What packing takes by how the work is shared out: processes, shares, Ray.

    python tools/bench/shares.py FOLDER --work DIR

Each way packs all clips of the folder into a store of its own, by the commands that a user gives.
Processor time is that of all processes but Ray's, which belong to its cluster.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measuring import facts


def spent() -> float:
    """Processor seconds of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and print a row a way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    print(facts("ray"))
    pack = [sys.executable, "-m", "motiontok", "pack", str(options.folder), "-o"]
    first = sorted(os.sched_getaffinity(0))[:1]
    ways: dict[str, tuple[list[list[str]], bool]] = {
        "one process (on one core)": ([[]], True),
        "one command, a worker a core": ([[]], False),
        "`--shard 0/2`, then `--shard 1/2`, a worker a core": (
            [["--shard", "0/2"], ["--shard", "1/2"]],
            False,
        ),
        "`--shard 0/2` and `--shard 1/2` at once, one core each": (
            [["--shard", "0/2"], ["--shard", "1/2"]],
            True,
        ),
        "the same again, nothing left to do": ([["--shard", "0/2"]], False),
        "`--ray local`": ([["--ray", "local"]], False),
    }
    print("| way | by the clock, s | processor, s |\n|---|---:|---:|")
    for number, (name, (arguments, narrow)) in enumerate(ways.items()):
        store = options.work / f"store{number}"
        if "again" in name:
            store = options.work / f"store{number - 1}"
        else:
            shutil.rmtree(store, ignore_errors=True)
        cores = [os.sched_getaffinity(0)] * 2
        if narrow:
            cores = [set(first), set(sorted(os.sched_getaffinity(0))[-1:])]
        begin, clock = spent(), time.perf_counter()
        runs = []
        for more, own in zip(arguments, cores, strict=False):
            command = [*pack, str(store), *more]
            command = ["taskset", "-c", ",".join(map(str, sorted(own))), *command]
            runs.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
            if "then" in name:
                runs[-1].wait()
        said = [run.communicate()[0].decode().strip() for run in runs]
        assert not any(run.returncode for run in runs), said
        print(
            f"| {name} | {time.perf_counter() - clock:.1f} | {spent() - begin:.1f} | {said[-1]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
