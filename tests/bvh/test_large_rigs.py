"""Rigs of thousands of joints: an answer, and not a minute or a stack overflow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rerigging import with_chain, with_children
from rigs import RIGS, put_on

import bvh
from bvh import BVHError, Clip, procedural
from bvh import rotations as rot


@pytest.fixture(scope="module")
def clip() -> Clip:
    return put_on(RIGS["xsens"][0], procedural.make("walk", seconds=2, seed=2), 100.0)


def nameless(clip: Clip) -> Clip:
    return replace(clip, names=tuple(f"joint{i}" for i in range(len(clip.names))))


def same_joints(found: bvh.Motion, clip: Clip, nameless_clip: Clip) -> None:
    for canonical, name in bvh.normalize(clip).source.joints.items():
        if canonical.startswith("Spine") or canonical in ("Neck", "Head"):
            continue
        at = nameless_clip.names.index(found.source.joints[canonical].removesuffix(" End Site"))
        assert clip.names[at] == name.removesuffix(" End Site"), canonical


@pytest.mark.parametrize("count", [100, 300])
def test_faces_on_rigs_without_names(clip: Clip, count: int) -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-8.0, 8.0, size=(count, 3)) + [0.0, 8.0, 6.0]
    face = with_children(clip, "Head", {f"face{i}": p for i, p in enumerate(places.tolist())})
    same_joints(bvh.normalize(nameless(face)), clip, nameless(face))


def test_ten_thousand_children(clip: Clip) -> None:
    many = {f"strand{i}": (0.0, 30.0 + 1e-3 * i, 0.0) for i in range(10_000)}
    for parent in ("Head", "Hips"):
        odd = nameless(with_children(replace_frames(clip, 4), parent, many))
        same_joints(bvh.normalize(odd), clip, odd)


def test_a_chain_of_1500_joints(clip: Clip) -> None:
    for names in (lambda c: c, nameless):
        odd = names(with_chain(replace_frames(clip, 4), "Head", 1500, (0.0, -0.02, -0.01)))
        same_joints(bvh.normalize(odd), clip, odd)
    alone = Clip(
        names=tuple(f"link{i}" for i in range(1500)),
        parents=tuple(range(-1, 1499)),
        offsets=np.tile([0.0, 1.0, 0.0], (1500, 1)),
        channels=(("Xrotation",),) * 1500,
        rotations=rot.identity(3, 1500),
        positions=np.tile([0.0, 1.0, 0.0], (3, 1500, 1)),
        frame_time=1 / 30,
    )
    with pytest.raises(BVHError, match="no humanoid skeleton"):
        bvh.normalize(alone)


def replace_frames(clip: Clip, count: int) -> Clip:
    picked = np.linspace(0, clip.frames - 1, count).astype(int)
    return replace(clip, rotations=clip.rotations[picked], positions=clip.positions[picked])
