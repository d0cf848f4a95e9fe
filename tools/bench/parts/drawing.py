"""Pictures of a robot."""

from __future__ import annotations

import os

from measuring import in_turns, table
from render import ours, plain_pyrender

from bvh import procedural
from motiontok.render import MannequinActor, RobotActor
from motiontok.render.cameras import CameraPath
from motiontok.render.gl_canvas import GLCanvas
from motiontok.render.software_canvas import SoftwareCanvas
from motiontok.robots import load_robot, retarget

TITLE = "Drawing"

SIZE = (640, 480)
FRAMES = 2


def measure() -> str:
    """Beside plain pyrender without shadows, in its own way with the robot's full meshes."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    motion = procedural.make("dance", seconds=3, seed=0)
    robot = load_robot("g1")
    trajectory = retarget(motion, robot)
    figure = RobotActor(robot, trajectory.qpos, fps=trajectory.fps)
    body = MannequinActor(motion)
    path = CameraPath("follow", [figure], aspect=SIZE[0] / SIZE[1])
    peer = "pyrender, full meshes, no shadows"
    ways = {
        peer: plain_pyrender(robot, trajectory.qpos, path, SIZE, shadows=False),
        "Unitree G1, soft shadow": ours(figure, SIZE, GLCanvas),
        "mannequin, soft shadow": ours(body, SIZE, GLCanvas),
        "Unitree G1 without OpenGL": ours(figure, SIZE, SoftwareCanvas),
    }
    timings = in_turns(
        {name: lambda draw=draw: [draw(k) for k in range(FRAMES)] for name, draw in ways.items()},
        rounds=3,
    )
    return table(timings, what="640 x 480", unit="frames", work=FRAMES, against=peer)
