"""Every path becomes its motion by one function."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

import bvh
from bvh import BVHError, procedural
from motiontok import MotionTokenizer
from motiontok.errors import InputError, MotiontokError
from motiontok.motion_io import load_motion


def test_clips_motions_and_codes_are_motions(tiny_run, tmp_path):
    walk = procedural.make("walk", seconds=3, seed=1)
    bvh.write(walk.to_clip(), tmp_path / "walk.bvh")
    walk.save(tmp_path / "walk.npz")
    tokenizer = MotionTokenizer.from_pretrained(tiny_run)
    codes = tokenizer.encode_to_codes(walk, tokenizer=str(tiny_run))
    codes.save(tmp_path / "walk.npy")
    notes: list[str] = []
    kinds = {
        name: load_motion(tmp_path / name, on_note=notes.append)
        for name in ("walk.bvh", "walk.npz", "walk.npy")
    }
    assert [loaded.kind for loaded in kinds.values()] == ["BVH clip", "motion", "codes"]
    assert [len(loaded.motion) for loaded in kinds.values()] == [90] * 3
    decoded = tokenizer.decode_codes(codes)
    np.testing.assert_array_equal(kinds["walk.npy"].motion.rotations, decoded.rotations)
    assert notes == [f"decoding with {tiny_run}, which walk.npy names"]


def test_what_has_no_motion_of_its_own_is_refused(tiny_run, tmp_path):
    walk = procedural.make("walk", seconds=2, seed=1)
    walk.save(tmp_path / "walk.npz")
    MotionTokenizer.from_pretrained(tiny_run).encode_to_codes(walk).save(tmp_path / "walk.npy")
    with pytest.raises(InputError, match=r"this is the sidecar; give .*walk\.npy"):
        load_motion(tmp_path / "walk.json")
    with pytest.raises(InputError, match="not a robot's trajectory; leave out the robot g1"):
        load_motion(tmp_path / "walk.npz", robot="g1")


@pytest.mark.parametrize(
    ("name", "robot"), [("robot.csv", "g1"), ("walk.npz", None), ("walk.npy", None)]
)
def test_what_is_not_read_out_of_an_archive_says_so(name, robot, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"1,2,3")
    with pytest.raises((BVHError, MotiontokError), match=r"archive by their names; unpack a\.zip$"):
        load_motion(tmp_path / "a.zip" / name, robot=robot)
