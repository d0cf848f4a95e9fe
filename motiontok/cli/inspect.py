"""``motiontok inspect``: what a file holds, and how it is understood."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.reading_options import reading_options, robot_options
from motiontok.cli.shared_options import json_option

if TYPE_CHECKING:
    from bvh import Clip, Motion, Report
    from bvh.reading import Reading

__all__ = ["inspect"]


@click.command()
@click.argument("clip", metavar="CLIP", type=click.Path(path_type=Path))
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    help="Draw one pose before and after normalising, to this .png, .jpg, .svg or .pdf.",
)
@click.option(
    "--frame", type=click.IntRange(min=0), default=0, show_default=True, help="Pose to draw."
)
@robot_options
@reading_options()
@json_option
def inspect(
    clip: Path,
    picture: Path | None,
    frame: int,
    robot: str | None,
    map_path: Path | None,
    reading: Reading,
    strict: bool,
    as_json: bool,
) -> None:
    """Show a file's kind, its joints, and their map onto the canonical skeleton.

    CLIP is a .bvh file, also gzipped or in an archive (clips.zip/walk.bvh), an .npz motion or
    one of the SMPL family, a .npy of joint positions, a robot's trajectory (.npz, .csv), or
    codes (codes.npy).
    """
    import json

    from bvh import BVHError
    from bvh.arrays import refuse_pickle
    from bvh.motion_io import examine_clip
    from bvh.reading import Settings, read_clip
    from bvh.remarks import faults, printable
    from motiontok.cli.sources import STRICT, check_reading, is_codes
    from motiontok.cli.trajectories import is_trajectory
    from motiontok.errors import InputError

    if clip.suffix.lower() == ".json" and clip.with_suffix(".npy").is_file():
        clip = clip.with_suffix(".npy")  # The sidecar and the codes are one thing.
    refuse_pickle(clip)
    trajectory = is_trajectory(clip)
    if robot is not None and not trajectory:
        raise InputError(f"{clip}: not a robot's trajectory; leave out the robot {robot}")
    if trajectory or clip.suffix.lower() in (".npz", ".npy"):
        if picture is not None:
            raise InputError(f"{clip}: --picture is for .bvh files; `motiontok render` draws this")
        if trajectory:
            check_reading(reading, [clip])
            _show_trajectory(clip, robot, map_path, reading, strict=strict, as_json=as_json)
            return
        if is_codes(clip):
            check_reading(reading, [clip])
            _show_codes(clip, as_json=as_json)
            return
        _show_arrays(clip, reading, strict=strict, as_json=as_json)
        return
    settings = Settings(reading)
    reading = settings.of(clip)
    source = read_clip(clip, reading)
    try:
        motion, report = examine_clip(source, clip, reading)
    except BVHError:
        # What is in the file helps to find out why it is no humanoid.
        if not as_json:
            click.echo(printable(f"{_headline(source)}\n{_tree(source, {})}"))
        raise
    if picture is not None:
        from motiontok.render.inspection import draw_pose

        draw_pose(source, motion, report, picture, frame=frame)
    file = settings.file_of(clip)
    if as_json:
        facts = _facts(source, motion, report) | {"settings": file and str(file)}
        click.echo(json.dumps(facts, indent=2))
    else:
        tree = _tree(source, {name: joint for joint, name in report.joints.items()})
        click.echo(printable("\n".join((_headline(source), _summary(report, file), tree))))
        if picture is not None:
            click.echo(f"wrote {picture}")
    if strict and (wrong := faults(report.problems)):
        raise InputError(f"{clip}: {wrong[0]}{STRICT}")


def _show_arrays(path: Path, reading: Reading, *, strict: bool, as_json: bool) -> None:
    """A file that is no tree of joints: its kind, its length, and what was assumed."""
    import json
    from dataclasses import asdict

    from bvh.motion_io import load_motion
    from bvh.remarks import faults
    from bvh.skeleton import JOINTS, standing_height
    from motiontok.cli.sources import STRICT, check_reading
    from motiontok.errors import InputError

    check_reading(reading, [path])
    loaded = load_motion(path, reading=reading)
    motion, report = loaded.motion, loaded.report
    if as_json:
        facts = {
            "name": motion.source.name,
            "kind": loaded.kind,
            "frames": len(motion),
            "fps": motion.fps,
            "duration": motion.duration,
            "source_fps": motion.source.fps,
            "problems": loaded.remarks,
        }
        click.echo(json.dumps(facts | (asdict(report) if report else {}), indent=2))
    else:
        click.echo(
            f"{path.name}: {loaded.kind}, {len(motion)} frames at {motion.fps:.4g} frames/s "
            f"(the file's: {motion.source.fps:.4g}), {motion.duration:.2f} s"
        )
        if report is not None:
            click.echo(_summary(report, None), nl=False)
        else:
            lines = "\n            ".join(loaded.remarks) or "none"
            click.echo(f"  hips      {standing_height(motion.offsets):.2f} m over the feet")
            click.echo(f"  joints    {len(JOINTS)}, canonical\n  problems  {lines}")
    if strict and (wrong := faults(loaded.remarks)):
        raise InputError(f"{path}: {wrong[0]}{STRICT}")


def _show_codes(path: Path, *, as_json: bool) -> None:
    """Codes and their sidecar: how many there are, of what motion and of which tokenizer."""
    import json

    from bvh.remarks import printable
    from motiontok.codes import Codes

    codes = Codes.load(path)
    windows, width = codes.array.shape
    facts = {
        "name": path.name,
        "kind": "codes",
        "windows": windows,
        "codes_per_window": width,
        "first": codes.first,
        "largest_code": int(codes.array.max()),
        "frames": codes.frames,
        "fps": codes.fps,
        "fingerprint": codes.fingerprint,
        "tokenizer": codes.tokenizer,
        "start": [codes.start.x, codes.start.y, codes.start.yaw],
        "source": codes.source,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    frames = f"{codes.frames} frames, {codes.frames / codes.fps:.2f} s"
    if not codes.frames:
        frames = "all frames of its windows"
    kept = f", the first {codes.first} of each window" if codes.first else ""
    where = f", at {codes.tokenizer}" if codes.tokenizer else ""
    x, y, yaw = facts["start"]
    lines = [
        f"{path.name}: codes, {windows} windows x {width}{kept}, {frames}",
        f"  tokenizer {codes.fingerprint or 'not said'}{where}",
        f"  start     {x:.2f} {y:.2f} m, {yaw:.2f} rad",
        f"  source    {codes.source}",
    ]
    click.echo(printable("\n".join(lines)))


def _show_trajectory(
    path: Path,
    robot: str | None,
    map_path: Path | None,
    reading: Reading,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    """Whose trajectory it is, and the canonical motion that it shows."""
    import json

    import numpy as np

    from motiontok.cli.trajectories import open_trajectory
    from motiontok.robots import motion_of

    given = [robot] if robot else []
    trajectory, of = open_trajectory(path, given, map_path, reading=reading, strict=strict)
    motion = motion_of(trajectory, of)
    base = trajectory.root_positions[:, 2]
    way = float(np.linalg.norm(np.diff(trajectory.root_positions[:, :2], axis=0), axis=1).sum())
    facts = {
        "name": trajectory.source,
        "kind": "robot trajectory",
        "robot": of.name,
        "frames": len(trajectory),
        "fps": trajectory.fps,
        "duration": len(trajectory) / trajectory.fps,
        "joint_names": trajectory.joint_names,
        "base_height": [float(base.min()), float(base.max())],
        "path": way,
        "scale": motion.source.scale,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(
        f"{path.name}: trajectory of {of.name}, {len(trajectory)} frames at "
        f"{trajectory.fps:.4g} frames/s, {facts['duration']:.2f} s"
    )
    click.echo(f"  joints    {len(of.joint_names)}: {', '.join(of.joint_names[:3])}, ...")
    click.echo(f"  base      {base.min():.2f} to {base.max():.2f} m high, {way:.2f} m of path")
    click.echo(f"  person    scaled by {motion.source.scale:.2f}, has the legs of an adult")


def _headline(clip: Clip) -> str:
    return (
        f"{clip.name}: {len(clip.names)} joints, {clip.frames} frames at {clip.fps:.4g} frames/s, "
        f"{clip.duration:.2f} s"
    )


def _summary(report: Report, settings: Path | None) -> str:
    from bvh import JOINTS

    missing = [j for j in JOINTS if j not in report.joints]
    unit = report.unit if report.unit not in ("given", "unknown") else f"{report.unit} unit"
    lines = {
        "family": f"{report.family} (confidence {report.confidence:.2f})",
        "filled in": ", ".join(missing) or "nothing",
        "unit": f"{unit}, {report.scale:.6g} m",
        "up": report.up,
        "floor": f"{report.floor:+.3f} m from the file's origin",
        "height": f"{report.height:.2f} m",
        "problems": "\n            ".join(report.problems) or "none",
    }
    if settings is not None:
        lines["settings"] = f"of {settings}"
    return "\n".join(f"  {key:<10}{value}" for key, value in lines.items()) + "\n"


def _tree(clip: Clip, canonical: dict[str, str]) -> str:
    """The joint tree, with what each joint is in the canonical skeleton."""
    depth: list[int] = []
    for parent in clip.parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    rows = [("  " * d + n, canonical.get(n, ""), _channels(c))
            for d, n, c in zip(depth, clip.names, clip.channels, strict=True)]  # fmt: skip
    rows = [("joint", "canonical", "channels"), *rows]
    wide = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c}".rstrip() for a, b, c in rows)


def _channels(channels: tuple[str, ...]) -> str:
    """Channels in short: ``XYZ position, ZXY rotation``."""
    words: dict[str, str] = {}
    for channel in channels:
        kind = channel[1:].lower()
        words[kind] = words.get(kind, "") + channel[0].upper()
    return ", ".join(f"{axes} {kind}" for kind, axes in words.items())


def _facts(clip: Clip, motion: Motion, report: Report) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "name": clip.name,
        "frames": clip.frames,
        "fps": clip.fps,
        "duration": clip.duration,
        "tree": [
            {
                "name": name,
                "parent": clip.names[parent] if parent >= 0 else None,
                "channels": list(channels),
            }
            for name, parent, channels in zip(clip.names, clip.parents, clip.channels, strict=True)
        ],
        **asdict(report),
        "normalised": {"frames": motion.frames, "fps": motion.fps},
    }
