"""Motion files for trackers, and folders that become them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("pinocchio", reason="needs: pip install 'motiontok[robot]'")

import pinocchio as pin

from bvh import procedural
from bvh.rotations import conjugate, log, multiply
from motiontok.cli.retarget import retarget as command
from motiontok.errors import RobotError
from motiontok.robots import Trajectory, retarget
from motiontok.robots.files.tracker_writing import save_tracking
from motiontok.robots.model.joint_orders import joint_order


@pytest.fixture(scope="module")
def walked(g1):
    return retarget(procedural.make("walk", seconds=2, seed=0), g1)


@pytest.mark.parametrize("order", ["isaaclab", "mujoco"])
def test_a_tracker_gets_what_the_robot_does(g1, walked, tmp_path, order):
    path = tmp_path / "walk.npz"
    frames = save_tracking(walked, g1, path, joints=order)
    with np.load(path, allow_pickle=False) as data:
        motion = dict(data)
    assert motion["fps"].tolist() == [50.0]
    assert frames == len(motion["joint_pos"]) == round((len(walked) - 1) / 30 * 50) + 1
    names = motion["joint_names"].tolist()
    assert names == list(joint_order(g1, order))
    # The same angles under the same names: frame 50 is a second in, as frame 30 is.
    old = dict(zip(walked.joint_names, walked.joints[30], strict=True))
    np.testing.assert_allclose(motion["joint_pos"][50], [old[n] for n in names], atol=1e-5)
    # Bodies are where the model has them, by name.
    data = g1.model.createData()
    pin.framesForwardKinematics(g1.model, data, walked.qpos[30])
    for k, name in enumerate(motion["body_names"].tolist()):
        placed = data.oMf[g1.model.getFrameId(name, pin.FrameType.BODY)]
        np.testing.assert_allclose(motion["body_pos_w"][50, k], placed.translation, atol=1e-4)
        turned = pin.Quaternion(placed.rotation).coeffs()[[3, 0, 1, 2]]
        assert abs(turned @ motion["body_quat_w"][50, k]) > 1 - 1e-6
    assert motion["body_names"][0] == "pelvis"
    assert motion["body_names"][1 + names.index("left_knee_joint")] == "left_knee_link"


def test_velocities_are_those_of_the_positions(g1, walked, tmp_path):
    path = tmp_path / "walk.npz"
    save_tracking(walked, g1, path)
    with np.load(path) as data:
        motion = {k: data[k].astype(float) for k in data.files if data[k].dtype == np.float32}
        bodies = data["body_names"].tolist()
    middle = slice(1, -1)
    rate = (motion["joint_pos"][2:] - motion["joint_pos"][:-2]) * 25
    np.testing.assert_allclose(motion["joint_vel"][middle], rate, atol=1e-3)
    q = motion["body_quat_w"]
    spin = log(multiply(q[2:], conjugate(q[:-2]))) * 25
    np.testing.assert_allclose(motion["body_ang_vel_w"][middle], spin, atol=0.25)
    assert np.abs(motion["body_ang_vel_w"]).max() > 1.0
    # Of centres of mass: the pelvis's own moves as its frame and its turning say.
    center = g1.model.inertias[1].lever
    w, x, y, z = q[:, bodies.index("pelvis")].T
    turns = [pin.Quaternion(*v).toRotationMatrix() for v in zip(w, x, y, z, strict=True)]
    place = motion["body_pos_w"][:, bodies.index("pelvis")] + np.array([r @ center for r in turns])
    np.testing.assert_allclose(
        motion["body_lin_vel_w"][middle, bodies.index("pelvis")],
        (place[2:] - place[:-2]) * 25,
        atol=0.01,
    )


def test_contacts_are_where_feet_stand(g1, walked, tmp_path):
    path = tmp_path / "walk.npz"
    save_tracking(walked, g1, path)
    with np.load(path) as data:
        names, contacts = data["contact_names"].tolist(), data["contacts"]
        feet = [
            data["body_names"].tolist().index(f"{s}_ankle_roll_link") for s in ("left", "right")
        ]
        speeds = np.linalg.norm(data["body_lin_vel_w"][:, feet], axis=-1)
    assert names == ["left_heel", "left_toe", "right_heel", "right_toe"]
    for side in (0, 1):
        stands = contacts[:, 2 * side] & contacts[:, 2 * side + 1]
        assert 0.1 < stands.mean() < 0.9
        assert speeds[stands, side].mean() < 0.2 * speeds[~stands, side].mean()


def test_what_is_no_motion_is_refused(g1, walked, tmp_path):
    with pytest.raises(RobotError, match=r"\.npz"):
        save_tracking(walked, g1, tmp_path / "walk.csv")
    # At 50 frames/s two of 240 are one too.
    for frames, fps in ((1, 30.0), (2, 240.0)):
        short = Trajectory(walked.qpos[:frames], walked.joint_names, fps, "g1")
        with pytest.raises(RobotError, match="one frame at 50 frames/s has no velocity"):
            save_tracking(short, g1, tmp_path / "walk.npz")


def test_contacts_are_kept_in_files_and_at_other_rates(walked, tmp_path):
    path = tmp_path / "walk.npz"
    walked.save(path)
    np.testing.assert_array_equal(Trajectory.load(path).contacts, walked.contacts)
    fast = walked.resample(60)
    np.testing.assert_array_equal(fast.contacts[::2], walked.contacts)


@pytest.fixture
def clips(tmp_path, one_core):
    folder = tmp_path / "clips"
    folder.mkdir()
    for kind in ("walk", "dance"):
        procedural.make(kind, seconds=1, seed=0).save(folder / f"{kind}.npz")
    return folder


def put(*arguments):
    return CliRunner().invoke(command, [*map(str, arguments), "--json"])


def test_a_run_goes_on_where_it_was(clips, tmp_path):
    out = tmp_path / "out"
    first = put(clips, "-o", out, "--beyondmimic")
    assert first.exit_code == 0, first.output
    stamps = {f.name: f.stat().st_mtime_ns for f in out.glob("*.npz")}
    assert set(stamps) == {"walk.npz", "dance.npz"}
    # As if it had been ended in the middle of the last clip.
    ledger = out / "retarget.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text(lines[0] + lines[1][:20])
    kept = json.loads(lines[0])["output"]
    again = put(clips, "-o", out, "--beyondmimic")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    now = {f.name: f.stat().st_mtime_ns for f in out.glob("*.npz")}
    assert now[kept] == stamps[kept]
    assert sum(now[name] != stamps[name] for name in now) == 1
    # Another rate is another result.
    other = json.loads(put(clips, "-o", out, "--beyondmimic", "--fps", 25).stdout)
    assert {row["fps"] for row in other["files"]} == {25}


def test_clips_beyond_a_bound_are_left_out(clips, tmp_path):
    out = tmp_path / "out"
    rows = {row["source"]: row for row in json.loads(put(clips, "-o", out).stdout)["files"]}
    jerks = sorted(row["joint_jerk"] for row in rows.values())
    bound = f"joint_jerk={(jerks[0] + jerks[1]) / 2}"
    done = json.loads(put(clips, "-o", out, "--max", bound).stdout)
    assert done["written"] == 1
    (left,) = done["left_out"]
    assert rows[left]["joint_jerk"] == jerks[1]
    assert len(list(out.glob("*.npz"))) == 1
    lines = [json.loads(line) for line in (out / "retarget.jsonl").read_text().splitlines()]
    assert all(line["report"]["joint_jerk"] > 0 for line in lines)
    assert put(clips, "-o", out, "--max", "joint_jerk=0").exit_code != 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--max", "beauty=1"], "no figure 'beauty'"),
        (["--max", "root_jerk=much"], "FIGURE=NUMBER"),
        (["--joints", "mujoco"], "--beyondmimic"),
        (["--beyondmimic", "--csv"], "csv"),
    ],
)
def test_bad_options_are_named(clips, tmp_path, arguments, reason):
    done = put(clips, "-o", tmp_path / "out", *arguments)
    assert done.exit_code != 0
    assert reason in str(done.exception) + done.output
