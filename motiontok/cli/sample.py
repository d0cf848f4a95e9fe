"""``motiontok sample``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.number_types import FiniteNumber
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
    from collections.abc import Sequence

    from bvh.rotations import Array
    from motiontok.codes import Codes
    from motiontok.data import World
    from motiontok.prior import TargetPose
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["sample"]

# A miss that is told: m/s or rad/s, and as a share of what was asked.
_MISS = 0.1


@click.command()
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("sample.npy"),
    show_default=True,
    help="Codes file; with --count, sample-0.npy, sample-1.npy, ...",
)
@click.option(
    "--seconds", type=SECONDS, default=5.0, show_default=True, help="Length of what is drawn."
)
@click.option(
    "--velocity",
    type=FiniteNumber(),
    nargs=2,
    metavar="FORWARD LEFT",
    help="Wanted mean velocity in the body's own heading, m/s.",
)
@click.option(
    "--yaw-rate",
    type=FiniteNumber(),
    help="Wanted mean turn, rad/s, positive to the left; alone, it leaves the velocity open.",
)
@click.option("--label", help="Action, such as walk; an unknown one lists all.")
@click.option("--style", help="Style of the action, such as active; an unknown one lists all.")
@click.option(
    "--prefix",
    type=click.Path(path_type=Path),
    help="Clip, motion or codes to continue. The result begins with its whole windows; frames "
    "after the last one are left out, with a note.",
)
@pose_option
@click.option(
    "--robot",
    "robot_name",
    metavar="NAME",
    help="Take velocities as this robot's, and put samples on it: OUT with the ending .robot.npz.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of samples, drawn with different random numbers.",
)
@default_tokenizer_option
@prior_option
@sampling_options
@seed_option
@device_option
@json_option
def sample(
    out: Path,
    seconds: float,
    velocity: tuple[float, float] | None,
    yaw_rate: float | None,
    label: str | None,
    style: str | None,
    prefix: Path | None,
    poses: tuple[str, ...],
    robot_name: str | None,
    count: int,
    tokenizer: str,
    prior: str,
    drawing: dict[str, Any],
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Draw new motion from a prior, as codes.

    Ask for a velocity, a turn, an action and a style, for poses to go through, or for nothing.
    `decode`, `render` and `retarget` take the codes. The sample reaches its poses or is refused
    with exit code 1. Times of poses count from the prefix's end.
    """
    import math
    from dataclasses import replace

    import numpy as np

    from motiontok.cli.outputs import codes_files, refuse_inputs
    from motiontok.cli.sources import open_tokenizer
    from motiontok.cli.worlds import put_on_robot, world_of
    from motiontok.codes import Codes
    from motiontok.data import World
    from motiontok.errors import InputError
    from motiontok.paths import lasting_name
    from motiontok.prior import SamplingOptions, TokenPrior
    from motiontok.prior.target_poses import check_poses
    from motiontok.prior.tokens import commands_done

    if out.suffix != ".npy":
        raise InputError(f"--out {out}: codes are written to a .npy file")
    paths = [
        out if count == 1 else out.with_name(f"{out.stem}-{n}{out.suffix}") for n in range(count)
    ]
    endings = [] if robot_name is None else [".robot.npz"]
    refuse_inputs(
        (file for path in paths for file in codes_files(path, *endings)),
        [*pose_files(poses), *([] if prefix is None else [prefix])],
    )
    options = SamplingOptions(**drawing)
    robot, world = world_of(robot_name)
    where = use_device(device)
    opened = open_tokenizer(tokenizer, device=where)
    loaded = TokenPrior.from_pretrained(prior, tokenizer=opened, device=where)
    head = None if prefix is None else _prefix(prefix, opened)
    frames = max(1, round(seconds * opened.fps))
    asked = np.array(
        [*(velocity or (math.nan, math.nan)), math.nan if yaw_rate is None else yaw_rate]
    )
    loaded.limits.require(asked, "the command", world=world)
    plain = Codes(
        np.empty((0, opened.codes_per_window), np.uint16),
        fingerprint=opened.fingerprint,
        offsets=world.offsets,
        source="-".join(["sample", *filter(None, (label, style))]),
        licence=loaded.licence,
    )
    # Places are in metres of the body that goes on.
    head = plain if head is None else _in_world(head, world, robot is not None)
    body = World(head.offsets, world.name)
    through = open_poses(poses, opened, body)
    if through:
        check_poses(through, seconds, prefix=len(head.array) > 0)
        if not len(head.array) and through[0].time * opened.fps < 0.5:
            # Who begins in a pose begins where it is.
            head = replace(head, start=through[0].place or head.start)
    windows = math.ceil(frames / opened.frames_per_window)
    told: dict[str, Any] = {
        "batch": count,
        "velocity": None if velocity is None else tuple(world.inside(np.array(velocity))),
        "yaw_rate": yaw_rate,
        "label": label,
        "style": style,
        "prefix": head.array if len(head.array) else None,
        "options": options,
        "seed": seed,
    }
    drawn = loaded.sample(
        windows,
        **told,
        poses=[pose.inside(body) for pose in through],
        start=body.start_inside(head.start),
    )
    # The way to poses is told by their errors.
    commands = np.broadcast_to(asked, (count, windows, 3))
    if not through:
        commands = world.commands_outside(loaded.commands(windows, **told))
    named = lasting_name(tokenizer)
    before = len(head.array) * opened.frames_per_window
    wholes = [
        replace(
            head,
            array=np.concatenate([head.array, codes.astype(np.uint16)]),
            frames=before + frames,
            tokenizer=named,
        )
        for codes in drawn
    ]
    missed = [_reached(opened, whole, through, before, body) for whole in wholes]
    files = []
    for path, whole in zip(paths, wholes, strict=True):
        whole.save(path)
        if robot is not None:
            files.append(_on_robot(path))
            put_on_robot(opened.decode_codes(whole), robot)[0].save(files[-1])
    does, errors = commands_done(opened, drawn, commands, world)
    for path, done in zip(paths, does, strict=True):
        if off := _missed(asked, done):
            click.echo(f"note: {path}: {off}; the prior knows no such motion", err=True)
    if as_json:
        result = {"codes": [str(p) for p in paths], "frames": frames, "seed": seed}
        result |= {"world": world.name, "scale": world.scale}
        result |= {"robot": [str(f) for f in files]} if files else {}
        result |= {"velocity": does[:, :2].tolist(), "yaw_rate": does[:, 2].tolist()}
        result |= {name: values.tolist() for name, values in errors.items()}
        result |= {"commands": commands.tolist()} if np.isfinite(commands).all() else {}
        result |= {"pose_error_m": [list(each) for each in missed]} if through else {}
        click.echo(json.dumps(result))
        return
    for path, (forward, left, turn), each, led in zip(paths, does, missed, commands, strict=True):
        off = ", ".join(f"{error:.3f}" for error in each)
        of_label = ""
        if np.isfinite(led).all() and not np.isfinite(asked).any():
            of_label = " (drawn for the label: {:.2f}, {:.2f}, {:.2f})".format(*led.mean(axis=0))
        reached = f", poses missed by {off} m" if through else ""
        click.echo(
            f"{frames} frames, {frames / opened.fps:.1f} s, {forward:.2f} m/s forward, "
            f"{left:.2f} left, {turn:.2f} rad/s{of_label}{reached} "
            f"(metres of a {world.name}) -> {path}"
            f"{'' if robot is None else f', {_on_robot(path)}'}"
        )


def _on_robot(path: Path) -> Path:
    """Where a sample's codes are put on the robot."""
    return path.with_suffix(".robot.npz")


def _reached(
    tokenizer: MotionTokenizer,
    codes: Codes,
    poses: Sequence[TargetPose],
    given: int,
    world: World,
) -> list[float]:
    """Distance of a sample from each pose, m.

    Raises:
        PlanError: it misses one.
    """
    from motiontok.errors import PlanError
    from motiontok.prior.target_poses import pose_errors, unreached

    if not poses:
        return []
    errors = pose_errors(tokenizer.decode_codes(codes), poses, given=given)
    if wrong := unreached(errors, poses, world):
        raise PlanError(f"{wrong}; try another --seed or more time")
    return [float(error) for error in errors]


def _missed(asked: Array, done: Array) -> str:
    """How a sample differs from what was asked for; what was not asked is NaN."""
    names = ("m/s forward", "m/s left", "rad/s")
    return ", ".join(
        f"asked for {wanted:g} {name}, got {found:.2f}"
        for name, wanted, found in zip(names, asked, done, strict=True)
        if abs(found - wanted) > max(_MISS, _MISS * abs(wanted))
    )


def _in_world(head: Codes, world: World, robot: bool) -> Codes:
    """A prefix on the body of the world, where it stands when a robot repeats it; or as it is."""
    from dataclasses import replace

    from motiontok.data import Start, World

    if not robot:
        return head
    size = world.scale / World(head.offsets).scale
    start = Start(size * head.start.x, size * head.start.y, head.start.yaw)
    return replace(head, offsets=world.offsets, start=start)


def _prefix(path: Path, tokenizer: MotionTokenizer) -> Codes:
    """Whole windows of what is to be continued; a part of one would be held still."""
    from dataclasses import replace

    from motiontok.cli.sources import load_motion
    from motiontok.codes import Codes
    from motiontok.errors import CodesError

    if path.suffix == ".npy":
        codes = Codes.load(path)
        tokenizer.require(codes)
    else:
        codes = tokenizer.encode_to_codes(load_motion(path, calibrations=tokenizer.calibrations))
    window = tokenizer.frames_per_window
    whole = (codes.frames or len(codes.array) * window) // window
    if not whole:
        raise CodesError(
            f"{path}: {codes.frames} frames are less than one window, {window}; --prefix needs one"
        )
    if left := codes.frames and codes.frames - whole * window:
        click.echo(
            f"note: {path}: the last {left} of {codes.frames} frames are left out; a prefix is "
            f"whole windows of {window}",
            err=True,
        )
    return replace(codes, array=codes.array[:whole])
