"""How often a plan that keeps what is asked is found, and how well it does. Prints markdown.

    python tools/bench/plans_kept.py [--plans 12]

Each goes 5 m at 0.8 to 1.3 m/s, with a disc of 0.3 to 0.8 m near the middle; every second one ends
in a pose of any heading, every third is in the metres of a body of 0.735.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from motiontok import MotionTokenizer
from motiontok.data import REFERENCE, Start, World
from motiontok.errors import PlanError
from motiontok.prior import TokenPrior
from motiontok.prior.planning import PathTarget, Task, make_plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--prior", default="default")
    parser.add_argument("--plans", type=int, default=12)
    given = parser.parse_args()
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    prior = TokenPrior.from_pretrained(given.prior, tokenizer=tokenizer)
    rng = np.random.default_rng(0)
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    counts = {False: 0, True: 0}
    for n in range(given.plans):
        ends = n % 2 == 1
        counts[ends] += 1
        disc = np.array([[2.5, rng.uniform(-0.4, 0.4), rng.uniform(0.3, 0.8)]])
        task = Task(
            target=PathTarget.through(np.array([[5.0, 0.0]]), speed=rng.uniform(0.8, 1.3)),
            discs=disc,
            world=World() if n % 3 else World(0.735 * REFERENCE, "g1"),
            end=Start(5.0, 0.0, rng.uniform(-3.0, 3.0)) if ends else None,
        )
        began = time.perf_counter()
        try:
            plan = make_plan(task, prior, tokenizer, samples=16, horizon=1, beam=1, seed=n)
        except PlanError:
            continue
        spent = (time.perf_counter() - began) / plan.motion.duration
        found[ends].append({**plan.errors, "spent": spent})
    names = ("path_error_m", "end_error_m", "end_heading_error_rad", "clearance_m", "spent")
    print("| | found | path m | end m | its heading rad | least clearance m | s of a second |")
    print("|---|---|---|---|---|---|---|")
    for ends, rows in found.items():
        values = [[row[name] for row in rows if name in row] for name in names]
        said = [
            f"{(min(v) if name == 'clearance_m' else float(np.mean(v))):.2f}" if v else ""
            for name, v in zip(names, values, strict=True)
        ]
        label = "to an end pose" if ends else "to a place"
        print(f"| {label} | {len(rows)} of {counts[ends]} | {' | '.join(said)} |", flush=True)


if __name__ == "__main__":
    main()
