"""The short benchmarks: each part beside a named peer or floor, in one run of minutes.

    python tools/bench/latest.py [PART ...] [--out docs/benchmarks/latest.md]

Parts run one after the other, each in a process of its own on one thread. Ways of doing the same
are measured in turns, so that what else the machine does slows all of them; a ratio is the median
of the rounds' ratios. A part that cannot run here says why, and the others go on.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

from measuring import facts, load

from bvh.atomic_write import atomic_path

PARTS = ("clips", "coding", "sampling", "retargeting", "drawing", "serving", "starting")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, help="Markdown file; by default it is printed")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    for name in given.parts:
        if name not in PARTS:
            parser.error(f"no part {name!r}: choose from {', '.join(PARTS)}")
    if given.here:
        part = importlib.import_module(f"parts.{given.parts[0]}")
        print(f"## {part.TITLE}\n\n{inspect.getdoc(part.measure)}\n\n{part.measure()}")
        return
    sections = [
        "# The latest run of the short benchmarks",
        "`make bench` writes this page. Medians of rounds in turns, with the least and the most; "
        "the last column compares with a named peer or floor, measured in the same rounds. One "
        "thread.",
        facts("torch"),
    ]
    for name in given.parts:
        print(f"{name} ...", file=sys.stderr, flush=True)
        sections.append(section(name))
    text = "\n\n".join(sections) + "\n"
    if given.out:
        with atomic_path(given.out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    else:
        print(text)


def section(name: str) -> str:
    """Heading and tables of one part."""
    done = subprocess.run(
        [sys.executable, __file__, name, "--here"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **dict.fromkeys(THREADS, "1")},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(done.stderr, file=sys.stderr)
        return f"## {name}\n\nNot measured: {reason}"
    return f"{done.stdout.strip()}\n\n({load()} at the end)"


if __name__ == "__main__":
    main()
