"""Walk past waypoints and around a disc, by search over the prior's draws.

    python examples/waypoint_walker.py --out codes.npy && motiontok render codes.npy --robot g1

Costs are functions; the last one is written here, as an example.
"""

from __future__ import annotations

import argparse

import numpy as np

from motiontok import MotionTokenizer
from motiontok.prior import TokenPrior
from motiontok.prior.planning import (
    PathTarget,
    Rollout,
    SearchPlanner,
    follow,
    no_go_disc,
    track_path,
    tracking_errors,
)


def not_too_fast(rollout: Rollout) -> np.ndarray:
    """Steps longer than 2 m/s cost what they exceed it by."""
    speed = 30.0 * np.linalg.norm(np.diff(rollout.positions, axis=1), axis=-1)
    return np.maximum(speed - 2.0, 0.0).mean(axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--prior", default="default")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.0, help="default: the path's")
    parser.add_argument("--out", default="codes.npy")
    given = parser.parse_args()
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    path = PathTarget.through(np.array([[2.0, 0.0], [4.0, 1.5], [4.0, 4.0]]), speed=1.0)
    planner = SearchPlanner(
        TokenPrior.from_pretrained(given.prior, tokenizer=tokenizer),
        tokenizer,
        [track_path(path), no_go_disc(4.5, 1.0, 0.5), not_too_fast],
        steer=path.ways,
        samples=given.samples,
        horizon=1,
        beam=1,
    )
    codes = follow(planner, tokenizer, seconds=given.seconds or path.duration)
    codes.save(given.out)
    errors = tracking_errors(tokenizer.decode_codes(codes), path)
    print(", ".join(f"{k} {v:.2f}" for k, v in errors.items()), "->", given.out)


if __name__ == "__main__":
    main()
