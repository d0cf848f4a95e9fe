"""How fast pictures are drawn: this project's renderer beside plain pyrender, in one run.

python tools/bench/render.py [--robot g1] [--size 640x480] [--frames 40] [--rounds 3]

Plain pyrender draws the robot's full meshes, one node a link, with its own shaders and
three directional lights, with and without its shadows. Each way is measured in turns, in
one process; the best round counts. Processor time includes the threads of software
OpenGL: on a busy machine it says more than frames a second do. The last rows are whole
videos: drawing, captions and H.264 encoding together.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import facts

from bvh import FPS, procedural
from motiontok.render import Actor, MannequinActor, RobotActor, render_video
from motiontok.render.cameras import CameraPath
from motiontok.render.gl_canvas import GLCanvas, load_pyrender
from motiontok.render.software_canvas import SoftwareCanvas
from motiontok.robots import load_robot, retarget

Frame = Callable[[int], Any]


def plain_pyrender(
    robot: Any, configurations: Any, path: CameraPath, size: tuple[int, int], *, shadows: bool
) -> Frame:
    """Draw the way pyrender's examples do."""
    pyrender = load_pyrender()
    import pinocchio as pin
    import trimesh

    scene = pyrender.Scene(ambient_light=[0.3, 0.3, 0.3], bg_color=[0.93, 0.94, 0.95])
    data, visual_data = robot.model.createData(), robot.visual.createData()
    nodes = []
    for shape in robot.visual.geometryObjects:
        mesh = trimesh.load(shape.meshPath, force="mesh")
        material = pyrender.MetallicRoughnessMaterial(
            baseColorFactor=shape.meshColor, metallicFactor=0.0, roughnessFactor=0.8
        )
        nodes.append(scene.add(pyrender.Mesh.from_trimesh(mesh, material=material)))
    floor = trimesh.creation.box([20, 20, 0.01])
    floor.apply_translation([0, 0, -0.005])
    scene.add(pyrender.Mesh.from_trimesh(floor))
    camera = scene.add(pyrender.PerspectiveCamera(yfov=path.at(0).fov))
    for turn in (0.0, 2.0, 4.0):
        pose = trimesh.transformations.euler_matrix(0.6, 0.0, turn)
        scene.add(pyrender.DirectionalLight(intensity=2.0), pose=pose)
    renderer = pyrender.OffscreenRenderer(*size)
    flags = pyrender.RenderFlags.SHADOWS_DIRECTIONAL if shadows else pyrender.RenderFlags.NONE

    def draw(frame: int) -> None:
        pin.updateGeometryPlacements(
            robot.model, data, robot.visual, visual_data, configurations[frame]
        )
        for node, placement in zip(nodes, visual_data.oMg, strict=True):
            scene.set_pose(node, placement.homogeneous)
        scene.set_pose(camera, path.at(frame / FPS).world_from_camera)
        renderer.render(scene, flags=flags)

    return draw


def ours(actor: Actor, size: tuple[int, int], canvas: type) -> Frame:
    """Draw with one of this project's canvases."""
    made = canvas([actor], size)
    path = CameraPath("follow", [actor], aspect=size[0] / size[1])
    return lambda frame: made.draw({0: actor.poses(frame)}, path.at(frame / actor.fps))


def video(actors: list[Actor], size: tuple[int, int], frames: int) -> tuple[float, float]:
    """Wall and processor seconds a frame of a whole video, start-up included."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        render_video(actors, Path(folder) / "out.mp4", size=size)
        return (time.perf_counter() - wall) / frames, (time.process_time() - cpu) / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robot", default="g1")
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    width, height = (int(v) for v in options.size.split("x"))
    size = (width, height)

    motion = procedural.make("dance", seconds=10, seed=0)
    robot = load_robot(options.robot)
    trajectory = retarget(motion, robot)
    figure = RobotActor(robot, trajectory.qpos, fps=trajectory.fps)
    mannequin = MannequinActor(motion)
    path = CameraPath("follow", [figure], aspect=width / height)

    ways: dict[str, Frame] = {
        "pyrender, full meshes, shadows": plain_pyrender(
            robot, trajectory.qpos, path, size, shadows=True
        ),
        "pyrender, full meshes, no shadows": plain_pyrender(
            robot, trajectory.qpos, path, size, shadows=False
        ),
        f"{options.robot} (OpenGL)": ours(figure, size, GLCanvas),
        "skeleton (OpenGL)": ours(mannequin, size, GLCanvas),
        f"{options.robot} (no OpenGL)": ours(figure, size, SoftwareCanvas),
        "skeleton (no OpenGL)": ours(mannequin, size, SoftwareCanvas),
    }
    best = {name: (np.inf, np.inf) for name in ways}
    for _ in range(options.rounds):
        for name, draw in ways.items():
            draw(0)
            count = max(3, options.frames // (1 if "(OpenGL" in name else 4))
            wall, cpu = time.perf_counter(), time.process_time()
            for frame in range(count):
                draw(frame)
            used = (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count
            best[name] = min(best[name], used)
        for name, cast in (
            (f"video: {options.robot}", [figure]),
            ("video: skeleton", [mannequin]),
        ):
            best[name] = min(best.get(name, (np.inf, np.inf)), video(cast, size, len(motion)))

    reference = best["pyrender, full meshes, shadows"]
    print(f"{facts('pyrender')}; {options.robot} and skeleton at {options.size}")
    print(f"{'':36}{'frames/s':>9}{'CPU ms':>9}{'faster':>9}")
    for name, (wall, cpu) in best.items():
        print(f"{name:36}{1 / wall:9.1f}{1e3 * cpu:9.1f}{reference[1] / cpu:8.1f}x")


if __name__ == "__main__":
    main()
