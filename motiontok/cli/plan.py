"""``motiontok plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from motiontok.cli.options import (
    SECONDS,
    FiniteNumber,
    device_option,
    json_option,
    prior_option,
    sampling_options,
    seed_option,
    use_device,
)

__all__ = ["plan"]


@click.command()
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("codes.npy"), show_default=True
)
@click.option(
    "--waypoints",
    type=click.Path(path_type=Path),
    help="CSV with columns x,y (m), walked at --speed, or t,x,y (s, m).",
)
@click.option(
    "--velocity-profile",
    "profile",
    type=click.Path(path_type=Path),
    help="CSV with columns t,forward,left,yaw_rate (s, m/s, m/s, rad/s).",
)
@click.option("--speed", type=FiniteNumber(min=0.05), default=1.0, show_default=True)
@click.option("--seconds", type=SECONDS, help="Length [default: the target's].")
@click.option(
    "--no-go",
    "discs",
    type=FiniteNumber(),
    nargs=3,
    multiple=True,
    metavar="X Y RADIUS",
    help="Disc to stay out of, metres; may be repeated.",
)
@click.option(
    "--end", type=FiniteNumber(), nargs=3, metavar="X Y YAW", help="Pose to arrive at (m, m, rad)."
)
@click.option("--label", help="What to do, such as walk.")
@click.option("--style", help="How to do it.")
@click.option("--samples", type=click.IntRange(min=1), default=32, show_default=True)
@click.option(
    "--horizon", type=click.IntRange(min=1), default=2, show_default=True, help="Windows."
)
@click.option("--beam", type=click.IntRange(min=1), default=4, show_default=True)
@click.option(
    "--robot",
    "robot_name",
    metavar="NAME",
    help="Also put the plan on a robot: OUT with the ending .robot.npz.",
)
@click.option("--tokenizer", default="default", show_default=True, metavar="DIR")
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
    """Plan a motion along waypoints or a velocity profile, as codes.

    Searches over a prior's draws window by window. --samples 1 is sampling alone. A picture
    of the plan beside what was asked is written too: OUT with the ending .plan.png.
    """
    import math
    import time
    from dataclasses import replace

    from motiontok.data import Start
    from motiontok.errors import InputError, MissingDependencyError
    from motiontok.paths import lasting_name
    from motiontok.prior import SamplingOptions, TokenPrior
    from motiontok.prior import planning as p
    from motiontok.progress import progress
    from motiontok.tokenizer import MotionTokenizer

    if (waypoints is None) == (profile is None):
        raise InputError("give either --waypoints or --velocity-profile")
    if out.suffix != ".npy":
        raise InputError(f"--out {out}: codes are written to a .npy file")
    options = SamplingOptions(**drawing)
    robot = None
    if robot_name is not None:
        from motiontok.robots import load_robot, retarget

        robot = load_robot(robot_name)
    target: p.PathTarget | p.VelocityProfile
    if waypoints is not None:
        target = p.PathTarget.read(waypoints, speed=speed)
        costs = [p.track_path(target)]
    else:
        assert profile is not None
        target = p.VelocityProfile.read(profile)
        costs = [p.track_velocity(target)]
    length = seconds or max(target.duration, 1.0)
    costs += [p.no_go_disc(*disc) for disc in discs]
    costs += [p.end_pose(Start(*end), time=length - 1.0)] if end is not None else []
    where = use_device(device)
    opened = MotionTokenizer.from_pretrained(tokenizer, device=where)
    planner = p.SearchPlanner(
        TokenPrior.from_pretrained(prior, tokenizer=opened, device=where),
        opened,
        costs,
        steer=target.steer,
        samples=samples,
        horizon=horizon,
        beam=beam,
        label=label,
        style=style,
        options=options,
        seed=seed,
    )
    windows = math.ceil(length * opened.fps / opened.frames_per_window)
    began = time.perf_counter()
    with progress("planning", windows) as update:
        codes = p.follow(planner, opened, seconds=length, update=update)
    spent = time.perf_counter() - began
    named = lasting_name(tokenizer)
    codes = replace(codes, tokenizer=named, licence=planner.prior.licence)
    codes.save(out)
    motion = opened.decode_codes(codes)
    missed = p.tracking_errors(motion, target)
    result = {
        "codes": str(out),
        "seconds": motion.duration,
        "real_time_factor": motion.duration / spent,
        **missed,
    }
    picture = out.with_suffix(".plan.png")
    try:
        p.plot_plan(motion, target, picture, discs=discs, end=end)
        result["picture"] = str(picture)
    except MissingDependencyError as error:
        click.echo(str(error), err=True)
    if robot is not None:
        result["robot"] = str(out.with_suffix(".robot.npz"))
        retarget(motion, robot).save(out.with_suffix(".robot.npz"))
    if as_json:
        click.echo(json.dumps(result))
        return
    errors = ", ".join(f"{k} {v:.2f}" for k, v in missed.items())
    click.echo(
        f"{motion.duration:.1f} s planned in {spent:.1f} s "
        f"({motion.duration / spent:.1f} x real time); {errors}"
    )
    files = [
        f"{name} -> {result[name]}" for name in ("codes", "picture", "robot") if name in result
    ]
    click.echo("   ".join(files))
