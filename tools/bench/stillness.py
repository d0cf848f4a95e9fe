"""What holding still bodies does to decoded motion: held poses, and clips as they are.

``python tools/bench/stillness.py TOKENIZER FOLDER...``: the stillest pose of each clip is held for
10 s, as it is and with a millimetre of noise at each joint; then all clips are decoded.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from bvh import dataset
from bvh import rotations as rot
from bvh.motion import Motion
from motiontok import MotionTokenizer
from motiontok.data import Noise, Start
from motiontok.evaluate.motion_metrics import compare_motions, mean_metrics

FRAMES = 300
FIGURES = (
    "mpjpe_mm",
    "mpjpe_global_mm",
    "skate_mm_s",
    "jerk_m_s3",
    "velocity_mm_s",
    "acceleration_mm_s2",
)


def held(motion: Motion, noise: float, seed: int) -> Motion:
    """The pose in which a clip moves least over half a second."""
    speed = np.linalg.norm(np.diff(motion.global_positions(), axis=0), axis=-1).mean(axis=1)
    frame = int(np.argmin(np.convolve(speed, np.ones(15) / 15, "valid"))) + 7
    rng = np.random.default_rng(seed)
    pose = motion[frame : frame + 1]
    positions = pose.root_positions + rng.normal(scale=noise, size=(FRAMES, 3))
    axes = rng.normal(size=(FRAMES, 22, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    turns = rot.from_axis_angle(axes, rng.normal(scale=noise / 0.4, size=(FRAMES, 22)))
    return Motion(positions, rot.multiply(pose.rotations, turns), pose.offsets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizer")
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.from_pretrained(options.tokenizer)
    sets = {folder: dataset.load(folder).motions for folder in options.folders}
    clips = [motion for motions in sets.values() for motion in motions]
    poses = [held(m, noise, i) for i, m in enumerate(clips) for noise in (0.0, 1e-3)]
    print(tokenizer, tokenizer.noise())
    for name, noise in (("not held", Noise(0.0, 0.0, 0.0)), ("held", tokenizer.noise())):
        tokenizer.noise = lambda first=None, noise=noise: noise  # type: ignore[method-assign]
        rows = []
        for pose in poses:
            again = tokenizer.decode(
                tokenizer.encode(pose), start=Start.of(pose), offsets=pose.offsets, frames=FRAMES
            )
            way = np.linalg.norm(again.root_positions - again.root_positions[0], axis=1).max()
            steps = np.linalg.norm(np.diff(again.global_positions(), axis=0), axis=-1)
            rows.append((100.0 * way, 100.0 * steps.mean() * again.fps))
        of = np.array(rows)
        summary = [np.median(of, axis=0), of.mean(axis=0), np.percentile(of, 90, axis=0)]
        print(f"{name}: wander cm, speed cm/s, median mean 90 %:", np.round(summary, 2).tolist())
        for folder, motions in sets.items():
            found = mean_metrics(
                (len(m), compare_motions(m, tokenizer.reconstruct(m))) for m in motions
            )
            print(f"{name}: {folder}", {key: round(found[key], 1) for key in FIGURES})


if __name__ == "__main__":
    main()
