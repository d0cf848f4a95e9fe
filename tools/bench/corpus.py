"""Encoding a whole corpus of made-up clips: rate a core, and memory by number of clips.

    python tools/bench/corpus.py [--clips 1000 10000] [--tokenizer default]

Clips are 2 to 4 s of BVH of a rig that has to be calibrated; 200 are different, the rest are
these under other names, each of them read, normalised and encoded all the same. `motiontok encode
--pack` runs as a user starts it; peaks of resident memory are polled. The rate a core is by
processor time, of all processes, of what the largest corpus takes longer than the smallest, so
that starting does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import facts, foreign, peak_memory

import bvh
from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.corpus import Corpus

DIFFERENT = 200
KINDS = ("walk", "run", "turn", "hop", "squat", "wave", "dance")


def make(folder: Path, clips: int) -> Path:
    """A folder of so many clips."""
    folder.mkdir()
    for number in range(clips):
        path = folder / f"{number:06d}.bvh"
        if number < DIFFERENT:
            kind = KINDS[number % len(KINDS)]
            motion = procedural.make(kind, seconds=2 + number % 3, seed=number)
            bvh.write(foreign(motion), path)
        else:
            os.link(folder / f"{number % DIFFERENT:06d}.bvh", path)
    return folder


def children(process: int) -> list[int]:
    """Processes that a process has started."""
    try:
        return [
            int(child)
            for task in Path(f"/proc/{process}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
    except OSError:
        return []


def encode(source: Path, out: Path, tokenizer: str) -> dict[str, float]:
    """Encode a folder; wall and processor seconds, frames, and peaks of memory in MB."""
    before, begin = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "motiontok", "encode", str(source), "-o", str(out), "--pack"]
    peaks: dict[int, float] = {}
    with subprocess.Popen(
        [*command, "--device", "cpu", "--tokenizer", tokenizer, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        while run.poll() is None:
            for process in (run.pid, *children(run.pid)):
                peaks[process] = max(peaks.get(process, 0.0), peak_memory(process))
            time.sleep(0.05)
        assert run.stdout is not None
        result = json.loads(run.stdout.read())
    after = os.times()
    main = peaks.pop(run.pid)
    return {
        "wall": time.perf_counter() - begin,
        "cpu": sum(after[2:4]) - sum(before[2:4]),
        "frames": result["frames"],
        "main": main,
        "workers": max(peaks.values(), default=0.0),
    }


def decode(out: Path, tokenizer: MotionTokenizer, clips: int) -> float:
    """Frames read and decoded a second of one core, clips together."""
    corpus = Corpus(out)
    names = list(corpus)[:clips]
    tokenizer.decode_codes(corpus[names[0]])
    begin = time.process_time()
    frames = sum(map(len, tokenizer.decode_many(corpus[name] for name in names)))
    return frames / (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, nargs=2, default=[1000, 10_000])
    parser.add_argument("--tokenizer", default="default")
    given = parser.parse_args()
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    print(facts("torch"), f"; tokenizer {given.tokenizer} ({tokenizer.fingerprint})", sep="")
    print("\n| clips | frames | wall s | processor s | peak memory MB, main | worker |")
    print("|---|---|---|---|---|---|")
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for clips in given.clips:
            source = make(Path(scratch) / f"clips{clips}", clips)
            out = Path(scratch) / f"codes{clips}"
            rows.append(row := encode(source, out, given.tokenizer))
            print(
                f"| {clips:,} | {row['frames']:,} | {row['wall']:.0f} | {row['cpu']:.0f} "
                f"| {row['main']:.0f} | {row['workers']:.0f} |",
                flush=True,
            )
        few, many = rows
        rate = (many["frames"] - few["frames"]) / (many["cpu"] - few["cpu"])
        back = decode(out, tokenizer, DIFFERENT)
    print(
        f"\n{rate:,.0f} frames/s a core from BVH to codes; {back:,.0f} frames/s a core from codes "
        f"to motion ({back / rate:.1f} times as many)"
    )


if __name__ == "__main__":
    main()
