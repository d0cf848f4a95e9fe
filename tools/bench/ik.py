"""Inverse kinematics: this project beside mink (as GMR uses it) and pink, in one run.

    python tools/bench/ik.py g1-dance-targets.npz --peers .bench-venv
    python tools/bench/ik.py walk.bvh run.bvh dance.bvh --peers .bench-venv

A targets file holds world targets of G1 link frames (``position``, ``quaternion_wxyz``,
``frame_names``, ``weight_position``, ``weight_rotation``, ``fps``). With placement
(R, p), target (Rt, pt) the cost of a frame is the sum over the links of
``|wp R^T (pt - p)|^2 + |wr log(R^T Rt)|^2``; means leave out the first 10 frames. A frame
counts as bad when its cost is above 300, and as lost when pelvis or torso are more than
100 degrees off.

Of clips, this project's time is that of the whole retargeting: targets, contacts, planted
feet, inverse kinematics, floor and self-collision. The peers get the targets for nothing.

Jerk is the mean size of third differences, near a limit a joint within 2 % of its range of
one; ``--cuts`` retargets each clip
again from later frames on, and says how far joints are from those of the whole clip a
second after the cut.

GMR is its loop and its map's weights on mink, reimplemented in ik_peers.py; its preparation
of targets is replaced by ours, as for the others, so that all follow the same.

Everything runs on one core. The peers run in a virtual environment of their own, which
is made at first (pip install mink mujoco daqp pin-pink). Rounds alternate between the
systems, so that a busy machine slows all of them; the fastest round of each counts, in
processor time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import bvh  # noqa: E402
from bvh.rotations import Array, angle_between, from_matrix, normalize, to_matrix  # noqa: E402
from motiontok.robots import Follower, Report, Trajectory, evaluate, load_robot, retarget  # noqa: E402
from motiontok.robots.kinematics.kinematics import Kinematics  # noqa: E402
from motiontok.robots.limits.self_collision import SelfCollision  # noqa: E402
from motiontok.robots.model.robot import Robot  # noqa: E402
from motiontok.robots.solver.offline import solve_trajectory  # noqa: E402
from motiontok.robots.solver.online import OnlineSolver  # noqa: E402
from motiontok.robots.solver.tasks import PoseTask  # noqa: E402
from motiontok.robots.targets import Targets, make_targets  # noqa: E402

PEERS = ("gmr", "mink", "pink", "pink3")
TITLES = {
    "ours": "motiontok, whole trajectory",
    "free": "  same, bodies may collide",
    "online": "motiontok, online",
    "late": "motiontok, online, 0.3 s late",
    "later": "motiontok, online, 0.5 s late",
    "gmr": "GMR's loop: mink, daqp, two passes",
    "mink": "mink, daqp, one pass",
    "pink": "pink, 1 QP a frame",
    "pink3": "pink, 3 QPs a frame",
}


Result = tuple[Array, float, Array | None]  # configurations, seconds, seconds a frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", type=Path, nargs="+", help="one targets file, or clips")
    parser.add_argument("--peers", type=Path, help="virtual environment of the peers")
    parser.add_argument("--frames", type=int, help="only the first so many frames")
    parser.add_argument("--from-frame", type=int, default=0, help="leave out what comes before")
    parser.add_argument("--cuts", type=int, nargs="*", default=[], help="frames to cut off")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    python = None if arguments.peers is None else peers_python(arguments.peers)
    robot = load_robot("g1")
    if arguments.sources[0].suffix == ".npz":
        bench_targets(robot, arguments.sources[0], python, arguments.frames, arguments.rounds)
    else:
        part = slice(
            arguments.from_frame,
            arguments.frames and arguments.from_frame + arguments.frames,
        )
        bench_clips(robot, arguments.sources, python, part, arguments.rounds)
        if arguments.cuts:
            bench_cuts(robot, arguments.sources, part, arguments.cuts)


def bench_cuts(robot: Robot, paths: list[Path], part: slice, cuts: list[int]) -> None:
    print("\n| clip | rad apart at most, from a second after the cut on | frames cut off |")
    print("|---|---|---|")
    for path in paths:
        motion = bvh.normalize(bvh.read(path))[part]
        joints = retarget(motion, robot).joints
        after = round(motion.fps)
        apart = [
            float(np.abs(retarget(motion[k:], robot).joints[after:] - joints[k + after :]).max())
            for k in cuts
        ]
        print(f"| {path.stem} | {max(apart):.4f} | {cuts[int(np.argmax(apart))]} (of {cuts}) |")


def fastest(systems: dict[str, Callable[[], Result]], rounds: int) -> dict[str, Result]:
    best: dict[str, Result] = {}
    for _ in range(rounds):
        for name, run in systems.items():
            result = run()
            if name not in best or result[1] < best[name][1]:
                best[name] = result
    return best


def ratios(seconds: dict[str, float]) -> None:
    for name in ("gmr", "mink"):
        if name in seconds:
            print(
                f"ours / {TITLES[name].strip()}: {seconds[name] / seconds['ours']:.1f} x frames/s"
            )


def bench_targets(
    robot: Robot, path: Path, python: Path | None, frames: int | None, rounds: int
) -> None:
    targets = read_targets(path, robot)[:frames]
    collision = robot.self_collision
    systems: dict[str, Callable[[], Result]] = {
        "ours": lambda: ours(robot, targets, collide=False, checker=collision),
        "free": lambda: ours(robot, targets, collide=True, checker=collision),
        "online": lambda: online(robot, targets),
    }
    if python is not None:
        systems |= {n: partial(peer, python, n, robot, path, frames) for n in PEERS}
    best = fastest(systems, rounds)
    print(f"{len(targets)} frames; seconds are processor time of one core\n")
    print(
        "| system | frames/s | position cm (ankles) | cost mean / median | bad | lost"
        " | joint speed max rad/s | limits broken | overlap mm, frames |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (q, seconds, _times) in best.items():
        print(row(TITLES[name], q, seconds, robot, targets))
    times = best["online"][2]
    if times is not None:
        p50, p99 = np.percentile(1e3 * times, [50, 99])
        print(f"\nonline: {p50:.2f} ms a frame at the median, {p99:.2f} ms at the 99th percentile")
    ratios({name: result[1] for name, result in best.items()})


def _overlap(report: Report) -> str:
    if report.self_penetration is None or report.colliding_frames is None:
        return "not looked at"
    return f"{1000 * report.self_penetration:.0f} ({100 * report.colliding_frames:.0f} %)"


def bench_clips(
    robot: Robot, paths: list[Path], python: Path | None, part: slice, rounds: int
) -> None:
    robot.self_collision  # noqa: B018 - built once, as for a folder of clips
    print(
        "| clip | system | frames/s | position cm | joint speed max rad/s (frames too fast)"
        " | ms a frame, median (99 %)"
        " | base jerk m/s3 (source) | joint jerk rad/s3 | frames near a limit"
        " | slide cm/s (source) | tilt deg | sole, body below ground mm | overlap mm (frames) |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    total: dict[str, float] = {}
    count = 0
    for path in paths:
        motion = bvh.normalize(bvh.read(path))[part]
        count += len(motion)
        with tempfile.TemporaryDirectory() as folder:
            targets = Path(folder) / "targets.npz"
            write_targets(
                targets, make_targets(motion, robot.calibration, robot.map.weights), robot
            )
            systems: dict[str, Callable[[], Result]] = {
                "ours": partial(whole, robot, motion),
                "online": partial(follow, robot, motion, 0.0),
                "late": partial(follow, robot, motion, 0.3),
                "later": partial(follow, robot, motion, 0.5),
            }
            if python is not None:
                systems |= {n: partial(peer, python, n, robot, targets, None) for n in PEERS}
            best = fastest(systems, rounds)
        for name, (q, seconds, times) in best.items():
            total[name] = total.get(name, 0.0) + seconds
            trajectory = Trajectory(q, robot.joint_names, motion.fps, robot.name)
            r = evaluate(trajectory, motion, robot)
            print(
                f"| {path.stem} | {TITLES[name].strip()} | {len(q) / seconds:.0f}"
                f" | {100 * r.position_error:.1f} | {r.joint_speed_max:.0f}"
                f" ({100 * r.speed_violations:.0f} %)"
                f" | {milliseconds(times)}"
                f" | {r.root_jerk:.0f} ({r.root_jerk_source:.0f}) | {r.joint_jerk:.0f}"
                f" | {100 * r.near_limit:.1f} %"
                f" | {100 * r.foot_slide:.1f} ({100 * r.foot_slide_source:.1f})"
                f" | {np.degrees(r.foot_tilt):.1f}"
                f" | {1000 * r.foot_depth:.0f}, {1000 * r.body_depth:.0f}"
                f" | {_overlap(r)} |"
            )
    print(f"\nall {count} frames:")
    for name, seconds in total.items():
        print(f"{TITLES[name].strip()}: {count / seconds:.0f} frames/s")
    ratios(total)


def milliseconds(times: Array | None) -> str:
    if times is None:
        return ""
    return "{:.2f} ({:.2f})".format(*np.percentile(1e3 * times, [50, 99]))


def write_targets(path: Path, targets: Targets, robot: Robot) -> None:
    """Targets of joint centres as targets of the links' own frames, for the peers."""
    names = [robot.map.follow[joint] for joint in robot.calibration.joints]
    frames = [robot.model.frames[robot.model.getFrameId(n)] for n in names]
    bodies = targets.rotations @ targets.local_rotations.swapaxes(-1, -2)
    origins = targets.positions - (bodies @ targets.local_positions[..., None])[..., 0]
    placed = np.array([f.placement.translation for f in frames])
    turned = np.array([f.placement.rotation for f in frames])
    np.savez(
        path,
        frame_names=np.array(names),
        position=origins + (bodies @ placed[..., None])[..., 0],
        quaternion_wxyz=from_matrix(bodies @ turned),
        weight_position=targets.position_weights[0],
        weight_rotation=targets.rotation_weights[0],
        fps=targets.fps,
    )


def whole(robot: Robot, motion: bvh.Motion) -> Result:
    start = time.process_time()
    q = retarget(motion, robot).qpos
    return q, time.process_time() - start, None


def follow(robot: Robot, motion: bvh.Motion, look_ahead: float) -> Result:
    follower = Follower(robot, offsets=motion.offsets, fps=motion.fps, look_ahead=look_ahead)
    poses = list(zip(motion.root_positions, motion.rotations, strict=True))
    q, times = [], []
    for pose in [*poses, *poses[-1:] * follower.latency]:
        start = time.process_time()
        q.append(follower.push(*pose))
        times.append(time.process_time() - start)
    seconds = np.array(times[: len(poses)])
    return np.array(q[follower.latency :]), float(seconds.sum()), seconds


def read_targets(path: Path, robot: Robot) -> Targets:
    """Targets of G1 links as the solver takes them."""
    with np.load(path, allow_pickle=False) as data:
        names = [str(n) for n in data["frame_names"]]
        frames = [robot.model.frames[robot.model.getFrameId(n)] for n in names]
        return Targets(
            bodies=tuple(int(f.parentJoint) for f in frames),
            local_rotations=np.array([f.placement.rotation for f in frames]),
            local_positions=np.array([f.placement.translation for f in frames]),
            rotations=to_matrix(normalize(data["quaternion_wxyz"].astype(np.float64))),
            positions=data["position"].astype(np.float64),
            rotation_weights=data["weight_rotation"][None],
            position_weights=data["weight_position"][None],
            fps=float(data["fps"]),
        )


def ours(robot: Robot, targets: Targets, *, collide: bool, checker: SelfCollision) -> Result:
    start = time.process_time()
    q = solve_trajectory(
        robot.model,
        targets,
        speed_limits=robot.speed_limits,
        collision=None if collide else checker,
    )
    return q, time.process_time() - start, None


def online(robot: Robot, targets: Targets) -> Result:
    solver = OnlineSolver(
        robot.model,
        targets.bodies,
        targets.local_positions,
        speed_limits=robot.speed_limits,
        fps=targets.fps,
    )
    frames = [targets[k : k + 1] for k in range(len(targets))]
    q, times = [], []
    for frame in frames:
        start = time.process_time()
        q.append(solver.step(frame)[0])
        times.append(time.process_time() - start)
    return np.array(q), float(np.sum(times)), np.array(times)


def peer(python: Path, name: str, robot: Robot, targets: Path, frames: int | None) -> Result:
    script = Path(__file__).with_name("ik_peers.py")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "q.npz"
        command = [python, script, name, robot.urdf, targets, out]
        if frames:
            command.append(frames)
        subprocess.run([str(c) for c in command], check=True)
        with np.load(out) as data:
            return data["qpos"], float(data["seconds"]), None


def peers_python(folder: Path) -> Path:
    """Interpreter of the peers' environment, made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        packages = ["mink", "mujoco", "daqp", "pin-pink", "qpsolvers"]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    return python


def row(title: str, q: Array, seconds: float, robot: Robot, targets: Targets) -> str:
    kinematics = Kinematics(robot.model, targets.bodies)
    task = PoseTask(kinematics, targets)
    state = kinematics.evaluate(q)
    rotations, positions = task.poses(state)
    cost = task.cost(state)[10:]
    distance = 100 * np.linalg.norm(positions - targets.positions, axis=-1)[10:]
    trunk = [0, 7]
    off = angle_between(
        from_matrix(rotations[:, trunk]), from_matrix(targets.rotations[:, trunk])
    ).max(axis=1)[10:]
    joints = q[:, 7:]
    speed = np.abs(np.diff(joints[10:], axis=0)).max() * targets.fps
    broken = max(float((robot.lower - joints).max()), float((joints - robot.upper).max()), 0.0)
    overlap = 1000 * robot.self_collision.near(q[10:]).deepest(len(q) - 10)
    ankles = distance[:, [3, 6]].mean()
    return (
        f"| {title} | {len(q) / seconds:.0f} | {distance.mean():.1f} ({ankles:.1f})"
        f" | {cost.mean():.0f} / {np.median(cost):.0f} | {(cost > 300).sum()}"
        f" | {(off > np.radians(100)).sum()} | {speed:.0f} | {broken:.1e}"
        f" | {overlap.max():.0f}, {(overlap > 1).sum()} |"
    )


if __name__ == "__main__":
    main()
