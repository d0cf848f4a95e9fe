"""How long normalising takes, a clip at a time.

python tools/bench/normalize.py FOLDER [--every N]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from measuring import facts

import bvh


def main() -> None:
    """Normalise clips one by one, by themselves and with a shared calibration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th file")
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.bvh"))[:: options.every]
    clips = [bvh.read(path) for path in paths]
    print(facts())
    print(f"{len(clips)} clips, {np.mean([c.frames for c in clips]):.0f} frames on average")
    shared = bvh.calibrate(clips[:: max(1, len(clips) // 64)])
    for what, calibration in (("by itself", None), ("calibrated before", shared)):
        start = time.process_time()
        reports = [bvh.examine(clip, calibration=calibration)[1] for clip in clips]
        seconds = time.process_time() - start
        frames = sum(c.frames for c in clips)
        print(
            f"{what}: {1e3 * seconds / len(clips):.2f} ms a clip, {frames / seconds:.0f} frames/s"
        )
    for problem, count in Counter(p for r in reports for p in r.problems).most_common():
        print(f"{count:6d} {problem}")


if __name__ == "__main__":
    main()
