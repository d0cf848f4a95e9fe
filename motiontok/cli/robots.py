"""``motiontok robots``: list the robots, show one, or find out how to map one."""

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
    help="Retarget map (TOML), if NAME is a .urdf file that no shipped map fits.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Find which link of the .urdf file NAME follows which joint, by names and geometry: "
    "print a map and its doubts, and draw it.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="With --check, write the map to this .toml file, for --map.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    help="Draw the robot in its T-pose, feet on the ground, to this .png or .jpg; with --check, a"
    " .png, .svg or .pdf  [default: NAME-check.png]",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def robots(
    name: str | None,
    map_path: Path | None,
    check: bool,
    out: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """List the robots that motions can be put on, or show one.

    NAME is a shipped robot or a .urdf file.
    """
    import json

    from motiontok.cli.sources import open_robot
    from motiontok.errors import InputError
    from motiontok.robots import available

    if check:
        if name is None or map_path is not None:
            raise InputError("--check finds a map; give it a .urdf file and no --map")
        _check(Path(name), out, picture, as_json)
        return
    if out is not None:
        raise InputError("--out goes with --check, and gets the map that it finds")
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


def _check(urdf: Path, out: Path | None, picture: Path | None, as_json: bool) -> None:
    import json

    from bvh.atomic_write import atomic_path
    from motiontok.cli.sources import print_notes
    from motiontok.errors import InputError
    from motiontok.robots.model.portrait import SUFFIXES, draw_portrait
    from motiontok.robots.model.robot import check_robot

    if not urdf.is_file():
        raise InputError(f"{urdf}: no such robot description; --check takes a .urdf file")
    if out is not None and out.suffix != ".toml":
        raise InputError(f"{out}: a map is written as .toml")
    if picture is not None and picture.suffix.lower() not in SUFFIXES:
        raise InputError(f"{picture}: with --check a picture ends in {', '.join(SUFFIXES)}")
    robot, proposal, fits = check_robot(urdf)
    print_notes(f"{urdf}: {line}" for line in robot.remarks)
    picture = picture or Path(f"{urdf.stem}-check.png")
    if out is not None:
        with atomic_path(out) as temporary:
            temporary.write_text(proposal.toml(), encoding="utf-8")
    if as_json:
        draw_portrait(robot, proposal.doubts, picture)
        facts = {
            "urdf": str(urdf),
            "follow": dict(proposal.map.follow),
            "doubts": list(proposal.doubts),
            "told": list(proposal.told),
            "fits": fits,
            "map": None if out is None else str(out),
            "picture": str(picture),
        }
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(proposal.toml())
    for doubt in proposal.doubts:
        click.echo(f"in doubt: {doubt}")
    if not proposal.doubts:
        click.echo("nothing in doubt")
    if fits is not None:
        click.echo(f"the shipped map of {fits} fits it: --robot {urdf} needs no --map")
    elif not proposal.doubts:
        click.echo(f"--robot {urdf} needs no --map")
    else:
        click.echo(f"look at the picture, then: --robot {urdf} --map {out or 'MAP.toml'}")
    draw_portrait(robot, proposal.doubts, picture)
    click.echo(f"wrote {', '.join(str(p) for p in (out, picture) if p is not None)}")


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
