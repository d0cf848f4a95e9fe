"""``motiontok robots``: list the robots, or show one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from motiontok.robots import Robot

__all__ = ["robots"]


@click.command()
@click.argument("name", required=False)
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path),
    help="Retarget map (TOML), where NAME is a .urdf file.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    help="Draw the robot in its T-pose, feet on the ground, to this .png or .jpg.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def robots(name: str | None, map_path: Path | None, picture: Path | None, as_json: bool) -> None:
    """List the robots that motions can be put on, or show one.

    NAME is a shipped robot or a .urdf file (with --map).
    """
    import json

    from motiontok.cli.sources import open_robot
    from motiontok.errors import InputError
    from motiontok.robots import available

    if name is None:
        if picture is not None:
            raise InputError(f"--picture needs a robot; choose from {', '.join(available())}")
        if as_json:
            click.echo(json.dumps(list(available())))
        else:
            click.echo("\n".join(available()))
        return
    robot = open_robot(name, map_path)
    facts = _facts(robot)
    if picture is not None:
        _draw(robot, picture)
        facts["picture"] = str(picture)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"{robot.name}: {facts['joints']} joints, {robot.urdf}")
    click.echo(f"hips {facts['leg_length']:.2f} m above the ground in the T-pose")
    click.echo(f"{'joint':<16}{'follows with':<28}{'position':>9}{'rotation':>9}")
    for joint, row in facts["follow"].items():
        click.echo(f"{joint:<16}{row['frame']:<28}{row['position']:>9g}{row['rotation']:>9g}")
    if picture is not None:
        click.echo(f"wrote {picture}")


def _facts(robot: Robot) -> dict[str, Any]:
    return {
        "name": robot.name,
        "urdf": str(robot.urdf),
        "joints": len(robot.joint_names),
        "joint_names": list(robot.joint_names),
        "lower": robot.lower.tolist(),
        "upper": robot.upper.tolist(),
        "speed": robot.speed_limits.tolist(),
        "leg_length": robot.calibration.leg_length,
        "follow": {
            joint: {
                "frame": frame,
                "position": robot.map.weights[joint].position,
                "rotation": robot.map.weights[joint].rotation,
            }
            for joint, frame in robot.map.follow.items()
        },
    }


def _draw(robot: Robot, path: Path) -> None:
    from motiontok.render import render_image
    from motiontok.render.robot import RobotActor
    from motiontok.robots.retargeting import retarget, t_pose

    trajectory = retarget(t_pose(), robot)
    actor = RobotActor(robot, trajectory.qpos, fps=trajectory.fps)
    render_image([actor], path, size=(640, 640), camera="fixed")
