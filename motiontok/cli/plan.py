"""``motiontok plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.number_types import FiniteNumber, FiniteRange
from motiontok.cli.poses import open_poses, pose_files, pose_option
from motiontok.cli.sampling_options import sampling_options
from motiontok.cli.shared_options import (
    SECONDS,
    default_tokenizer_option,
    device_option,
    json_option,
    prior_option,
    seed_option,
    use_device,
)

if TYPE_CHECKING:
    from motiontok.prior.planning import Plan

__all__ = ["plan"]

_FAR = 0.5  # m, a miss that is told


@click.command()
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("plan.npy"),
    show_default=True,
    help="Codes file.",
)
@click.option(
    "--waypoints",
    type=click.Path(path_type=Path),
    help="CSV with columns x,y (m), walked at --speed, or t,x,y (s, m); in metres of --robot, if "
    "given.",
)
@click.option(
    "--velocity-profile",
    "profile",
    type=click.Path(path_type=Path),
    help="CSV with columns t,forward,left,yaw_rate (s, m/s, m/s, rad/s).",
)
@click.option(
    "--speed",
    type=FiniteRange(min=0.05),
    default=1.0,
    show_default=True,
    help="Speed along waypoints without times, m/s.",
)
@click.option(
    "--seconds",
    type=SECONDS,
    help="Length of the plan  [default: that of its path, profile or poses]",
)
@click.option(
    "--no-go",
    "discs",
    type=FiniteNumber(),
    nargs=3,
    multiple=True,
    metavar="X Y RADIUS",
    help="Disc that no part of the body may enter, metres; may be repeated.",
)
@click.option(
    "--end",
    type=FiniteNumber(),
    nargs=3,
    metavar="X Y YAW",
    help="Pose to reach and stand in (m, m, rad), with --waypoints.",
)
@pose_option
@click.option("--label", help="Action, such as walk.")
@click.option("--style", help="Style of the action.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Candidates drawn for each window.",
)
@click.option(
    "--horizon",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Windows to look ahead.",
)
@click.option(
    "--beam",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Best candidates that are extended by the next window.",
)
@click.option(
    "--robot",
    "robot_name",
    metavar="NAME",
    help="Plan in this robot's metres, and put the plan on it: OUT with the ending .robot.npz.",
)
@default_tokenizer_option
@prior_option
@sampling_options
@seed_option
@device_option
@json_option
def plan(
    out: Path,
    waypoints: Path | None,
    profile: Path | None,
    speed: float,
    seconds: float | None,
    discs: tuple[tuple[float, float, float], ...],
    end: tuple[float, float, float] | None,
    poses: tuple[str, ...],
    label: str | None,
    style: str | None,
    samples: int,
    horizon: int,
    beam: int,
    robot_name: str | None,
    tokenizer: str,
    prior: str,
    drawing: dict[str, Any],
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Plan a motion along waypoints, a velocity profile or through poses, as codes.

    Searches over a prior's draws window by window; --samples 1 is sampling alone. The plan enters
    no disc, goes through its poses and ends in the end pose, or it is refused with exit code 1.
    It follows waypoints and velocities as well as the prior can; a note tells of misses above
    0.5 m. A picture of the plan and its task is written to OUT with the ending .plan.png.
    """
    import time
    from dataclasses import replace

    import numpy as np

    from motiontok.cli.outputs import codes_files, refuse_inputs
    from motiontok.cli.sources import open_tokenizer
    from motiontok.cli.worlds import put_on_robot, world_of
    from motiontok.data import Start
    from motiontok.errors import InputError, MissingDependencyError
    from motiontok.paths import lasting_name
    from motiontok.prior import SamplingOptions, TokenPrior
    from motiontok.prior import planning as p
    from motiontok.progress import progress

    if (waypoints is None) == (profile is None) and (waypoints is not None or not poses):
        raise InputError("give either --waypoints or --velocity-profile, or --pose alone")
    if out.suffix != ".npy":
        raise InputError(f"--out {out}: codes are written to a .npy file")
    endings = [".plan.png"] if robot_name is None else [".plan.png", ".robot.npz"]
    refuse_inputs(
        codes_files(out, *endings),
        [*pose_files(poses), *(path for path in (waypoints, profile) if path is not None)],
    )
    options = SamplingOptions(**drawing)
    robot, world = world_of(robot_name)
    where = use_device(device)
    opened = open_tokenizer(tokenizer, device=where)
    through = open_poses(poses, opened, world)
    start = Start()
    if through and through[0].time * opened.fps < 0.5:
        # Who begins in a pose begins where it is.
        start = through[0].place or start
    target: p.PathTarget | p.VelocityProfile
    places = None
    if waypoints is not None:
        target = p.PathTarget.read(waypoints, speed=speed, start=start)
        # Without times, the first point is the start.
        places = target.points if target.timed else target.points[1:]
    elif profile is not None:
        target = p.VelocityProfile.read(profile)
    else:
        target = p.PathTarget.through_poses(through, start=start)
    task = p.Task(
        target=target,
        world=world,
        seconds=seconds,
        discs=np.array(discs, dtype=np.float64).reshape(-1, 3),
        end=None if end is None else Start(*end),
        poses=through,
        start=start,
    )
    loaded = TokenPrior.from_pretrained(prior, tokenizer=opened, device=where)
    began = time.perf_counter()
    with progress("planning", 1) as update:
        found = p.make_plan(
            task,
            loaded,
            opened,
            samples=samples,
            horizon=horizon,
            beam=beam,
            label=label,
            style=style,
            options=options,
            seed=seed,
            update=lambda n, of: update(n, total=of),
        )
    spent = time.perf_counter() - began
    motion, missed = found.motion, found.errors
    trajectory = None
    if robot is not None:
        trajectory, nearest = put_on_robot(motion, robot, task.discs)
        if nearest is not None:
            missed = {**missed, "clearance_m": min(nearest, missed["clearance_m"])}
    if (waypoints or profile) and (far := _missed(found)):
        told = "" if waypoints is None or end is not None else _arriving(found)
        click.echo(f"note: {out}: {far}{told}", err=True)
    named = lasting_name(tokenizer)
    replace(found.codes, tokenizer=named, licence=loaded.licence).save(out)
    result = {
        "codes": str(out),
        "seconds": motion.duration,
        "real_time_factor": motion.duration / spent,
        "world": world.name,
        "scale": world.scale,
        **missed,
    }
    if through:
        result["pose_errors_m"] = found.pose_errors.tolist()
    picture = out.with_suffix(".plan.png")
    try:
        p.plot_plan(
            motion,
            found.target,
            picture,
            waypoints=places,
            poses=through,
            discs=discs,
            end=end,
        )
        result["picture"] = str(picture)
    except MissingDependencyError as error:
        click.echo(str(error), err=True)
    if trajectory is not None:
        result["robot"] = str(out.with_suffix(".robot.npz"))
        trajectory.save(out.with_suffix(".robot.npz"))
    if as_json:
        click.echo(json.dumps(result))
        return
    errors = ", ".join(f"{k} {v:.2f}" for k, v in missed.items())
    click.echo(
        f"{motion.duration:.1f} s planned in {spent:.1f} s "
        f"({motion.duration / spent:.1f} x real time); {errors}; metres of a {world.name}"
    )
    files = [
        f"{name} -> {result[name]}" for name in ("codes", "picture", "robot") if name in result
    ]
    click.echo("   ".join(files))


def _arriving(found: Plan) -> str:
    """What to do about a plan that stops short of its last waypoint; empty if it does not."""
    from motiontok.prior.planning.targets import PathTarget

    if found.errors["end_error_m"] <= _FAR:
        return ""
    timed = isinstance(found.target, PathTarget) and found.target.timed
    slower = "give later times" if timed else "lower --speed"
    return f": `--end X Y YAW` arrives; or {slower}, or raise --seconds"


def _missed(found: Plan) -> str:
    """By how much a plan misses its waypoints or profile, in words; empty if by little."""
    from motiontok.prior.planning.targets import PathTarget
    from motiontok.prior.planning.tracking import distances_to

    mean, end = found.errors["path_error_m"], found.errors["end_error_m"]
    path, worst = "the places to which its velocities lead", mean
    wide = ""
    if isinstance(found.target, PathTarget):
        path, worst = "its waypoints' path", float(distances_to(found.motion, found.target).max())
        wide = f", {worst:.2f} m at worst"
    if max(mean, end, worst) <= _FAR:
        return ""
    return (
        f"the plan is {mean:.2f} m from {path} on average{wide}, and {end:.2f} m at its end; these "
        "are reported, not promised"
    )
