"""What users may say, and what normalising refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rerigging import in_world, renamed, with_random_axes
from rigs import RIGS, put_on

import bvh
from bvh import JOINTS, BVHError, Clip, Motion
from bvh import rotations as rot
from bvh.dataset import load
from bvh.normalizer.world_axes import world_from_source


def test_frames_are_needed(clip: Clip, motion: Motion, tmp_path: Path) -> None:
    for i, source in enumerate((clip, motion.to_clip())):
        empty = replace(source, rotations=source.rotations[:0], positions=source.positions[:0])
        for use in (bvh.normalize, bvh.calibrate):
            with pytest.raises(BVHError, match="no frames"):
                use(empty)
        # A folder is calibrated before its clips are read.
        folder = tmp_path / str(i)
        folder.mkdir()
        for name in ("a", "b"):
            bvh.write(empty, folder / f"{name}.bvh")
        with pytest.raises(BVHError, match="no frames"):
            load(folder, cache=False)


@pytest.mark.parametrize("seconds", [0.0, -0.1, np.nan, np.inf])
def test_frames_need_time(clip: Clip, motion: Motion, seconds: float) -> None:
    for source in (clip, motion.to_clip()):
        with pytest.raises(BVHError, match="frame time"):
            bvh.normalize(replace(source, frame_time=seconds))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames_are_enough(clip: Clip, frames: int) -> None:
    short = replace(clip, rotations=clip.rotations[:frames], positions=clip.positions[:frames])
    found = bvh.normalize(short)
    assert found.frames == frames
    expected = bvh.normalize(clip)
    hips = rot.angle_between(found.rotations[:, 0], expected.rotations[:frames, 0])
    np.testing.assert_allclose(hips, 0, atol=1e-9)


def test_a_t_pose_alone_is_the_t_pose(clip: Clip) -> None:
    still = replace(clip, rotations=rot.identity(1, len(clip.names)), positions=clip.offsets[None])
    found, report = bvh.examine(still)
    np.testing.assert_allclose(rot.angle_between(found.rotations, rot.identity(22)), 0, atol=0.35)
    assert any("twist" in p for p in report.problems)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_located(clip: Clip, value: float) -> None:
    positions = clip.positions.copy()
    positions[7, clip.names.index("mixamorig:LeftLeg"), 1] = value
    with pytest.raises(BVHError, match=r"mixamorig:LeftLeg is not finite in frame 7"):
        bvh.normalize(replace(clip, positions=positions))


@pytest.mark.parametrize("names", ["canonical", "known", "unknown"])
def test_places_no_body_can_be_at_are_refused_and_jumps_told(
    clip: Clip, motion: Motion, names: str
) -> None:
    if names == "canonical":
        clip = motion.to_clip()
    elif names == "unknown":
        clip = replace(clip, names=tuple(f"j{i}" for i in range(len(clip.names))))
    assert not any("jumps" in p for p in bvh.examine(clip)[1].problems)
    place = clip.positions.copy()
    place[7, 0, 0] = 1e30
    with pytest.raises(BVHError, match=r"position x of .* is 1e\+30 in frame 7"):
        bvh.normalize(replace(clip, positions=place))
    place[7] = clip.positions[7]
    place[40, 0, 0] += 5000.0
    problems = bvh.examine(replace(clip, positions=place))[1].problems
    told = [p for p in problems if "jumps" in p]
    assert len(told) == 1
    assert "50 m from frame 39 to 40" in told[0]


def test_no_humanoid_is_refused() -> None:
    count = 5
    chain = Clip(
        names=tuple(f"tail{i}" for i in range(count)),
        parents=(-1, 0, 1, 2, 3),
        offsets=np.tile([0.0, 10.0, 0.0], (count, 1)),
        channels=(("Xrotation",),) * count,
        rotations=rot.identity(4, count),
        positions=np.tile([0.0, 10.0, 0.0], (4, count, 1)),
        frame_time=1 / 30,
        name="snake",
    )
    with pytest.raises(BVHError, match=r"snake: no humanoid skeleton .*tail0.*in a mapping"):
        bvh.normalize(chain)


def test_missing_legs_are_named(clip: Clip) -> None:
    upper = [n for n in JOINTS if not any(p in n for p in ("Leg", "Foot", "Toe"))]
    mapping = {c: "mixamorig:" + c for c in upper}
    names = {n: f"x{i}" for i, n in enumerate(clip.names) if "Leg" in n or "Foot" in n}
    broken = renamed(clip, names)
    # Nothing but arms and trunk can be named, and topology is told that legs are absent.
    mapping |= {s + p: "" for s in ("Left", "Right") for p in ("UpLeg", "Leg", "Foot", "Toe")}
    with pytest.raises(BVHError, match="no LeftUpLeg, LeftLeg, LeftFoot, RightUpLeg"):
        bvh.normalize(broken, mapping=mapping)


def test_limbs_without_length_are_refused(clip: Clip) -> None:
    knee = clip.names.index("mixamorig:LeftLeg")
    positions = clip.positions.copy()
    positions[:, knee] = 0.0
    with pytest.raises(BVHError, match=r"LeftUpLeg and mixamorig:LeftLeg are at the same place"):
        bvh.normalize(replace(clip, positions=positions))


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_mapping_file_names_the_joints(clip: Clip, suffix: str, tmp_path: Path) -> None:
    expected = bvh.normalize(clip)
    odd = replace(clip, names=tuple(f"n{i}" for i in range(len(clip.names))))
    mapping = {c: odd.names[clip.names.index(n)] for c, n in expected.source.joints.items()}
    path = tmp_path / f"map.{suffix}"
    if suffix == "json":
        path.write_text(json.dumps(mapping))
    else:
        path.write_text("".join(f'{k} = "{v}"\n' for k, v in mapping.items()))
    found = bvh.normalize(odd, mapping=path)
    assert found.source.family == "custom"
    np.testing.assert_allclose(found.rotations, expected.rotations, atol=1e-12)
    assert bvh.read_mapping(path) == mapping


def test_a_mapping_overrules_one_joint_or_removes_it(clip: Clip) -> None:
    found = bvh.normalize(clip, mapping={"Head": "mixamorig:HeadTop_End", "LeftToe": ""})
    assert found.source.joints["Head"] == "mixamorig:HeadTop_End"
    assert "LeftToe" not in found.source.joints
    assert found.source.joints["RightToe"] == "mixamorig:RightToeBase"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"Pelvis": "mixamorig:Hips"}, "no canonical joint 'Pelvis'; choose from Hips"),
        ({"Hips": "Hips"}, "wants joint 'Hips' for Hips, but there are only mixamorig:Hips"),
    ],
)
def test_mappings_that_do_not_fit(clip: Clip, mapping: dict[str, str], message: str) -> None:
    with pytest.raises(BVHError, match=message):
        bvh.normalize(clip, mapping=mapping)


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", "Hips = "), ("a.json", "[1]"), ("a.toml", "Hips = 3")]
)
def test_mapping_files_that_are_none(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BVHError, match=name):
        bvh.read_mapping(tmp_path / name)
    with pytest.raises(BVHError, match="No such file"):
        bvh.read_mapping(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"up": "w"}, "up axis must be one of x, y, z"),
        ({"scale": 0.0}, "scale must be"),
        ({"scale": np.nan}, "scale must be"),
        ({"fps": 0.0}, "fps must be"),
    ],
)
def test_overrides_are_checked(clip: Clip, given_: dict[str, object], message: str) -> None:
    with pytest.raises(BVHError, match=message):
        bvh.normalize(clip, **given_)  # type: ignore[arg-type]


def test_up_axis_and_scale_can_be_given(clip: Clip) -> None:
    found = bvh.normalize(clip, up="z", scale=0.02)
    expected = bvh.normalize(clip)
    np.testing.assert_allclose(
        np.linalg.norm(found.offsets, axis=-1)[1:4],
        2 * np.linalg.norm(expected.offsets, axis=-1)[1:4],
    )
    # Told that Z is up, the body lies on its back.
    assert abs(found.global_transforms()[1][0, 13, 2] - found.root_positions[0, 2]) < 0.3


def test_an_unknown_unit_is_scaled_to_a_body_and_told(clip: Clip) -> None:
    found, report = bvh.examine(in_world(clip, rot.identity(), 37.0))
    assert report.unit == "unknown"
    assert any("unit" in p for p in report.problems)
    assert 1.5 < report.height < 2.0
    assert found.source.scale == report.scale


def test_bones_that_stretch_are_told(clip: Clip) -> None:
    positions = clip.positions.copy()
    positions[40:, clip.names.index("mixamorig:LeftForeArm"), 0] += 4.0
    report = bvh.examine(replace(clip, positions=positions))[1]
    assert any("LeftArm-LeftForeArm stretches by" in p for p in report.problems)


def test_feet_without_toes_stand_on_the_floor(clip: Clip) -> None:
    found, report = bvh.examine(clip, mapping={"LeftToe": "", "RightToe": ""})
    ankles = found.global_positions()[:, [JOINTS.index(s + "Foot") for s in ("Left", "Right")], 2]
    assert np.percentile(ankles, 5) == pytest.approx(0.08, abs=0.02)
    assert sum("no toe" in p for p in report.problems) == 2


def test_a_body_on_the_ground_keeps_its_up_axis(clip: Clip) -> None:
    # One second of lying on the back in a clip that otherwise stands.
    root = clip.rotations[:, 0].copy()
    root[60:] = rot.multiply(rot.from_axis_angle([1, 0, 0], -np.pi / 2), root[60:])
    place = clip.positions.copy()
    place[60:, 0, 1] = 12.0
    rotations = clip.rotations.copy()
    rotations[:, 0] = root
    found, report = bvh.examine(replace(clip, rotations=rotations, positions=place))
    assert report.up == "y"
    assert found.root_positions[:60, 2].min() > 0.7
    assert found.root_positions[60:, 2].max() < 0.3


@pytest.mark.parametrize("up", ["x", "z", "-x", "-y", "-z"])
def test_a_canonical_file_whose_root_was_turned_is_put_upright(motion: Motion, up: str) -> None:
    clip = motion.to_clip()
    turn = rot.multiply(rot.conjugate(world_from_source(up)), world_from_source("y"))
    rotations, place = clip.rotations.copy(), clip.positions.copy()
    rotations[:, 0] = rot.multiply(turn, rotations[:, 0])
    place[:, 0] = rot.rotate(turn, place[:, 0])
    found, report = bvh.examine(replace(clip, rotations=rotations, positions=place))
    assert report.up == up
    np.testing.assert_allclose(found.global_positions()[..., 2],
                               motion.global_positions()[..., 2], atol=0.02)  # fmt: skip


@pytest.mark.parametrize("height", [0.15, 0.6])  # on the floor, on a bed
def test_a_canonical_body_that_lies_is_left_lying_and_told(motion: Motion, height: float) -> None:
    back = rot.from_axis_angle([0.0, 1.0, 0.0], -np.pi / 2)
    lying = motion.moved(back, np.zeros(3))
    places = lying.root_positions.copy()
    places[:] = [1.0, 2.0, height]
    lying = replace(lying, root_positions=places)
    found, report = bvh.examine(lying.to_clip())
    assert report.family == "canonical"
    assert "lies" in report.problems[0]
    np.testing.assert_allclose(found.global_positions(), lying.global_positions(), atol=1e-9)


def test_a_pelvis_is_upright_where_the_body_stands(motion: Motion) -> None:
    # A rig of unknown shape without a T-pose, that sits down for most of the clip.
    turns = motion.rotations.copy()
    sitting = slice(20, 90)
    turns[sitting] = rot.identity(22)
    for joint, angle in (("Hips", -0.6), ("Spine", 0.3), ("Spine1", 0.3)):
        turns[sitting, JOINTS.index(joint)] = rot.from_axis_angle([0, 1, 0], angle)
    for side in ("Left", "Right"):
        turns[sitting, JOINTS.index(side + "UpLeg")] = rot.from_axis_angle([0, 1, 0], -1.0)
        turns[sitting, JOINTS.index(side + "Leg")] = rot.from_axis_angle([0, 1, 0], 1.6)
    seated = put_on(RIGS["mixamo"][0], replace(motion, rotations=turns), 100.0)
    found = bvh.normalize(with_random_axes(seated, np.random.default_rng(2)), up="y")
    pitch = rot.angle_between(found.rotations[:20, 0], motion.rotations[:20, 0])
    assert np.rad2deg(pitch.max()) < 10
    leaning = rot.angle_between(found.rotations[30:, 0], turns[30:, 0])
    assert np.rad2deg(leaning.max()) < 10


def test_crawling_keeps_its_up_axis(clip: Clip) -> None:
    # Bent forward to the floor all the time, and moving along.
    rotations, place = clip.rotations.copy(), clip.positions.copy()
    rotations[:, 0] = rot.multiply(rot.from_axis_angle([1, 0, 0], 1.45), rotations[:, 0])
    place[:, 0] = [0.0, 40.0, 0.0] + np.arange(clip.frames)[:, None] * [0.0, 0.0, 2.0]
    report = bvh.examine(replace(clip, rotations=rotations, positions=place))[1]
    assert report.up == "y"


@pytest.mark.parametrize("rung", [0.15, 0.3, 0.45])
def test_who_climbs_has_a_floor_too(motion: Motion, rung: float) -> None:
    """A ladder, and rests on it of which the lowest twentieth ends halfway between two rungs."""
    rests = [11, *[14] * 15, 7]
    pose = motion[10:11]
    height = rung * np.repeat(np.arange(len(rests)), rests)
    root = np.tile(pose.root_positions, (len(height), 1))
    root[:, 2] += height
    turns = np.repeat(pose.rotations, len(height), axis=0)
    climbing = replace(motion, root_positions=root, rotations=turns)
    found = bvh.normalize(put_on(RIGS["mixamo"][0], climbing, 100.0), up="y")
    rise = np.ptp(found.root_positions[:, 2])
    assert rise == pytest.approx(rung * (len(rests) - 1), rel=0.05)
    # Of a step in midair: its toes are not level.
    assert abs(found.global_positions()[0, [4, 8], 2].mean() - 0.02) < 0.005


@pytest.mark.parametrize("size", [0.6, 0.75, 1.5])
def test_children_and_giants_stand_on_their_floor_as_adults_do(motion: Motion, size: float) -> None:
    """Captures are noisy: what counts as still and as level is in proportion to the body."""
    rng = np.random.default_rng(0)
    shaken = replace(
        motion,
        root_positions=motion.root_positions + rng.normal(scale=0.004, size=(len(motion), 3)),
    )
    clip = put_on(RIGS["mixamo"][0], shaken, 100.0)
    adult = bvh.normalize(clip)
    scaled = replace(clip, offsets=size * clip.offsets, positions=size * clip.positions)
    other, report = bvh.examine(scaled)
    assert report.unit == "cm"
    np.testing.assert_allclose(other.offsets, size * adult.offsets, atol=1e-9)
    np.testing.assert_allclose(other.root_positions, size * adult.root_positions, atol=1e-6)


@pytest.mark.parametrize("size", [0.4, 0.6, 0.7, 2.0, 3.0])
def test_files_of_ours_are_in_centimetres_whoever_moves(motion: Motion, size: float) -> None:
    other = motion.on_bones(size * motion.offsets)
    found = bvh.normalize(other.to_clip())
    np.testing.assert_allclose(found.offsets, other.offsets, atol=1e-9)
    np.testing.assert_allclose(found.root_positions, other.root_positions, atol=1e-9)
