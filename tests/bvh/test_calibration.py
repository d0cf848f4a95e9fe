"""The calibration of a rig: shared, saved, and refused by other rigs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rerigging import with_random_axes
from rigs import RIGS, put_on

import bvh
from bvh import BVHError, Calibration, Clip, Motion
from bvh import rotations as rot


def test_a_calibration_is_shared_and_saved(clip: Clip, tmp_path: Path) -> None:
    rig = with_random_axes(clip, np.random.default_rng(0))
    halves = [
        replace(rig, rotations=rig.rotations[part], positions=rig.positions[part])
        for part in (slice(0, 45), slice(45, 90))
    ]
    shared = bvh.calibrate(halves)
    shared.save(tmp_path / "rig.json")
    again = Calibration.load(tmp_path / "rig.json")
    np.testing.assert_allclose(again.axes, shared.axes)
    assert again.joints == shared.joints
    parts = [bvh.normalize(half, calibration=again) for half in halves]
    whole = bvh.normalize(rig, calibration=shared)
    turns = np.concatenate([p.rotations for p in parts])
    np.testing.assert_allclose(rot.angle_between(turns, whole.rotations), 0, atol=1e-6)


def test_a_calibration_does_not_spoil_canonical_clips(motion: Motion) -> None:
    clip = motion.to_clip()
    found = bvh.normalize(clip, calibration=bvh.calibrate(clip))
    np.testing.assert_allclose(rot.angle_between(found.rotations, motion.rotations), 0, atol=1e-6)
    np.testing.assert_allclose(found.root_positions, motion.root_positions, atol=1e-9)


def test_a_calibration_of_another_rig_is_refused(clip: Clip, motion: Motion) -> None:
    other = bvh.calibrate(put_on(RIGS["xsens"][0], motion, 100.0))
    with pytest.raises(BVHError, match="another rig"):
        bvh.normalize(clip, calibration=other)
    with pytest.raises(BVHError, match="not both"):
        bvh.normalize(clip, calibration=bvh.calibrate(clip), up="y")
    with pytest.raises(BVHError, match="different rigs"):
        bvh.calibrate([clip, put_on(RIGS["xsens"][0], motion, 100.0)])


@pytest.mark.parametrize("text", ["", "{}", '{"axes": [[1, 0, 0, 0]]}', "[]", '{"axes": 3}'])
def test_damaged_calibrations_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "rig.json").write_text(text)
    with pytest.raises(BVHError, match="not a calibration"):
        Calibration.load(tmp_path / "rig.json")
