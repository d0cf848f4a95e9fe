"""How long a folder or archive of clips takes to load: first, and from the cache.

python tools/bench/dataset.py FOLDER [--workers N]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

from measuring import facts

from bvh import dataset


def main() -> None:
    """Load three times with an empty cache of its own and print seconds (wall and processors)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    print(facts())
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MOTIONTOK_CACHE"] = cache
        for what in ("first time", "from cache", "from cache"):
            start, cpu = time.perf_counter(), sum(os.times()[:4])
            data = dataset.load(options.path, workers=options.workers)
            seconds, cpu = time.perf_counter() - start, sum(os.times()[:4]) - cpu
            print(
                f"{what}: {seconds:7.2f} s ({cpu:.2f} s of processors), "
                f"{len(data)} clips, {data.frames} frames"
            )
        print(data.skipped_summary() or "no file skipped")


if __name__ == "__main__":
    main()
