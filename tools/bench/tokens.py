"""Root drift, and feet held in a stream, on real clips. Prints markdown.

python tools/bench/tokens.py --data path/to/bandai [--tokenizer DIR]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bvh import dataset, procedural, splits
from bvh.motion import Motion
from motiontok import MotionTokenizer
from motiontok.data import Start
from motiontok.evaluate.motion_metrics import compare_motions, foot_skate


def drift(tokenizer: MotionTokenizer, name: str, motions: Sequence[Motion]) -> None:
    """Distance of the decoded root on the floor, without and with a held path."""
    for hold in (False, True):
        rows = []
        for motion in motions:
            again = tokenizer.reconstruct(motion, hold_path=hold)
            apart = np.linalg.norm((again.root_positions - motion.root_positions)[:, :2], axis=-1)
            found = compare_motions(motion, again)
            rows.append(
                [apart.mean(), apart[-1], apart.max()]
                + [found[k] for k in ("mpjpe_mm", "mpjpe_global_mm", "skate_mm_s")]
            )
        mean = np.mean(rows, axis=0)
        print(
            f"| {name} | {'yes' if hold else 'no'} | {mean[0]:.2f} | {mean[1]:.2f} | "
            f"{np.max(rows, axis=0)[2]:.2f} | {mean[3]:.1f} | {mean[4]:.1f} | {mean[5]:.0f} |",
            flush=True,
        )


def streams(tokenizer: MotionTokenizer, motions: Sequence[Motion]) -> None:
    """Window by window against all at once."""
    apart, moved, skates = [], [], []
    for motion in motions:
        codes = tokenizer.encode(motion)
        known = {"start": Start.of(motion), "offsets": motion.offsets}
        whole, free = (tokenizer.decode(codes, plant=p, **known) for p in (True, False))
        stream = tokenizer.stream_decoder(**known)
        parts = [stream.push(c) for c in codes] + [stream.flush()]
        path = np.concatenate([p.root_positions for p in parts])
        apart.append(np.linalg.norm(path - whole.root_positions, axis=-1))
        moved.append(np.linalg.norm(free.root_positions - whole.root_positions, axis=-1))
        truth = motion.global_positions()
        streamed = np.concatenate([p.global_positions() for p in parts])
        bodies = (truth, free.global_positions(), whole.global_positions(), streamed)
        skates.append([foot_skate(b[: len(truth)], truth=truth, fps=30.0) for b in bodies])
    a, m = (1000 * np.concatenate(x) for x in (apart, moved))
    for name, x in (("stream beside the whole", a), ("feet held beside not held", m)):
        print(f"\nroot, {name}: mean {x.mean():.1f} mm, 99 % {np.percentile(x, 99):.1f} mm")
    names = ("source", "not held", "held at once", "held in a stream")
    means = zip(names, np.mean(skates, axis=0), strict=True)
    print("foot skate mm/s:", ", ".join(f"{name} {mean:.0f}" for name, mean in means))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", default="default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    clips = dataset.load(given.data)
    held_out = splits.every_nth(clips, tokenizer.config.data.holdout).held_out.motions
    made = [procedural.make(k, seconds=60.0, seed=s) for k in ("walk", "run") for s in (11, 12, 13)]
    print("| clips | path held | mean m | end m | worst m | MPJPE mm | global mm | skate mm/s |")
    print("|---|---|---|---|---|---|---|---|")
    drift(tokenizer, f"{len(made)} made-up walks and runs of 60 s", made)
    long = [m for m in clips.motions if len(m) >= 450]
    drift(tokenizer, f"{len(long)} real clips of 15 to 63 s", long)
    drift(tokenizer, f"{len(held_out)} held-out clips", held_out)
    streams(tokenizer, [m for m in held_out if len(m) >= 96])


if __name__ == "__main__":
    main()
