"""The peers of ik.py: run by an interpreter that has mink and pink, not this project.

python ik_peers.py gmr|mink|pink|pink3 robot.urdf targets.npz out.npz [frames]
"""

from __future__ import annotations

import sys
import time
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np

# Position and rotation cost of links in the second pass of GMR's map of LAFAN1 for the G1.
_GMR = {
    "pelvis": (100.0, 5.0),
    "ankle": (50.0, 10.0),
    "torso": (0.0, 10.0),
    "shoulder": (5.0, 100.0),
    "": (10.0, 5.0),
}


def main() -> None:
    name, urdf, path, out = sys.argv[1:5]
    with np.load(path, allow_pickle=False) as data:
        targets = {k: data[k] for k in data}
    count = int(sys.argv[5]) if len(sys.argv) > 5 else len(targets["position"])
    for key in ("position", "quaternion_wxyz"):
        targets[key] = targets[key][:count].astype(np.float64)
    if name in ("gmr", "mink"):
        qpos, seconds = with_mink(urdf, targets, twice=name == "gmr")
    else:
        qpos, seconds = with_pink(urdf, targets, 3 if name == "pink3" else 1)
    np.savez(out, qpos=qpos, seconds=seconds)


def with_mink(urdf: str, targets: dict[str, Any], twice: bool) -> tuple[Any, float]:
    """GMR's loop: two passes a frame, each of QPs until the error falls by less than 0.001.

    As in GMR's map of LAFAN1 for the G1 the first pass turns the links, above all trunk and
    shoulders, and places only the feet; the second has that map's weights too, and alone those
    of the targets file. At most 11 QPs a pass. Both passes start from the model's zero pose at
    the origin.
    """
    import mink
    import mujoco

    tree = ElementTree.parse(urdf).getroot()
    for link in tree.iter("link"):
        for kind in ("visual", "collision"):
            for shape in link.findall(kind):
                link.remove(shape)
    ElementTree.SubElement(ElementTree.SubElement(tree, "mujoco"), "compiler", fusestatic="false")
    spec = mujoco.MjSpec.from_string(ElementTree.tostring(tree, encoding="unicode"))
    spec.worldbody.first_body().add_freejoint()
    model = spec.compile()
    configuration = mink.Configuration(model)
    limits = [mink.ConfigurationLimit(model)]
    names = [str(n) for n in targets["frame_names"]]
    feet = np.array(["ankle" in n for n in names])
    upper = np.array(["torso" in n or "shoulder" in n for n in names])
    passes = []
    second = [next(w for part, w in _GMR.items() if part in n) for n in names]
    weights = [
        (np.where(feet, 50.0, 0.0), np.where(upper, 100.0, 10.0)),
        tuple(np.array(second).T),
    ]
    if not twice:
        weights = [(targets["weight_position"], targets["weight_rotation"])]
    for wp, wr in weights:
        passes.append(
            [
                mink.FrameTask(n, "body", position_cost=p, orientation_cost=r, lm_damping=1)
                for n, p, r in zip(names, wp, wr, strict=True)
            ]
        )
    dt, damping = model.opt.timestep, 5e-1

    def error(tasks: list[Any]) -> float:
        return float(np.linalg.norm([t.compute_error(configuration) for t in tasks]))

    found = []
    start = time.process_time()
    for positions, quaternions in zip(targets["position"], targets["quaternion_wxyz"], strict=True):
        for tasks in passes:
            for task, p, r in zip(tasks, positions, quaternions, strict=True):
                task.set_target(mink.SE3.from_rotation_and_translation(mink.SO3(r), p))
            now, before = error(tasks), np.inf
            for _ in range(11):
                if before - now <= 0.001:
                    break
                velocity = mink.solve_ik(configuration, tasks, dt, "daqp", damping, limits=limits)
                configuration.integrate_inplace(velocity, dt)
                before, now = now, error(tasks)
        found.append(configuration.q.copy())
    seconds = time.process_time() - start
    out = np.array(found)
    out[:, 3:7] = out[:, [4, 5, 6, 3]]  # MuJoCo has (w, x, y, z)
    return out, seconds


def with_pink(urdf: str, targets: dict[str, Any], solves: int) -> tuple[Any, float]:
    """A fixed number of QPs a frame, each a whole step."""
    import pink
    import pinocchio as pin

    model = pin.buildModelFromUrdf(urdf, pin.JointModelFreeFlyer())
    data = model.createData()
    q = pin.neutral(model)
    q[:3] = targets["position"][0, 0]
    q[3:7] = targets["quaternion_wxyz"][0, 0][[1, 2, 3, 0]]
    configuration = pink.Configuration(model, data, q)
    tasks = [
        pink.FrameTask(str(n), position_cost=wp, orientation_cost=wr, lm_damping=1e-6)
        for n, wp, wr in zip(
            targets["frame_names"], targets["weight_position"], targets["weight_rotation"],
            strict=True,
        )
    ]  # fmt: skip
    dt = 1.0 / float(targets["fps"])
    limits = [pink.limits.ConfigurationLimit(model)]
    found = []
    start = time.process_time()
    for positions, quaternions in zip(targets["position"], targets["quaternion_wxyz"], strict=True):
        for task, p, r in zip(tasks, positions, quaternions, strict=True):
            task.set_target(pin.SE3(pin.Quaternion(r[0], r[1], r[2], r[3]).matrix(), p))
        for _ in range(solves):
            velocity = pink.solve_ik(
                configuration, tasks, dt, solver="daqp", limits=limits, safety_break=False
            )
            configuration.integrate_inplace(velocity, dt)
        found.append(configuration.q.copy())
    return np.array(found), time.process_time() - start


if __name__ == "__main__":
    main()
