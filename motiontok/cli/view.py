"""``motiontok view``: playback in the browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.reading_options import reading_options
from motiontok.cli.shared_options import tokenizer_option

if TYPE_CHECKING:
    from bvh.motion import Motion
    from bvh.reading import Reading
    from motiontok.codes import Codes
    from motiontok.render import Actor
    from motiontok.render.token_editor import TokenEditor
    from motiontok.render.viewer import Viewer
    from motiontok.robots import Robot
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["view"]


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--robot",
    "robot_name",
    metavar="NAME",
    help="Also show the motion on a robot: a shipped one (see `motiontok robots`) or a .urdf file.",
)
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path),
    help="Retarget map (TOML), if --robot is a .urdf file that no shipped map fits.",
)
@tokenizer_option
@reading_options()
@click.option("--host", default="127.0.0.1", show_default=True, help="Interface to listen on.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on.",
)
def view(
    source: Path,
    robot_name: str | None,
    map_path: Path | None,
    tokenizer: str | None,
    reading: Reading,
    strict: bool,
    host: str,
    port: int,
) -> None:
    """Play SOURCE in the browser: a clip (.bvh), a motion (.npz) or tokens (codes.npy).

    Also a robot's trajectory (robot.npz, robot.csv; a csv of another tool with --robot). A
    person beside a robot is drawn at the robot's size.

    A clip is shown beside the motion decoded from its tokens, by the shipped tokenizer or
    --tokenizer. Tokens lie as tiles before the figures; click one to swap it and see the motion
    change. Each tab plays and changes on its own; "Save codes" downloads the changed tokens.
    """
    from motiontok.cli.sources import check_reading
    from motiontok.cli.trajectories import is_trajectory, trajectory_actor
    from motiontok.render.viewer import Viewer

    check_reading(reading, [source])
    if is_trajectory(source):
        given = [robot_name] if robot_name else []
        actor = trajectory_actor(source, given, map_path, reading=reading, strict=strict)
        _serve(Viewer({actor.label: actor}, name=source.name, host=host, port=port), source)
        return
    motions, editor = _motions(source, tokenizer, {"reading": reading, "strict": strict})
    robot: Robot | None = None
    if robot_name is not None:
        from motiontok.cli.sources import open_robot

        robot = open_robot(robot_name, map_path)
    last = list(motions)[-1]

    def rebuild(motion: Motion) -> Iterator[tuple[str, Actor]]:
        return _actors({last: motion}, robot)

    viewer = Viewer(
        dict(_actors(motions, robot)),
        name=source.name,
        editor=editor,
        rebuild=rebuild,
        edited=last,
        host=host,
        port=port,
    )
    _serve(viewer, source)


def _serve(viewer: Viewer, source: Path) -> None:
    click.echo(f"showing {source} at {viewer.url} (Ctrl-C ends)")
    try:
        viewer.run()
    except KeyboardInterrupt:
        click.echo("closed")
    finally:
        viewer.close()


def _motions(
    source: Path, tokenizer: str | None, read: Mapping[str, Any]
) -> tuple[Mapping[str, Motion], TokenEditor]:
    """Motions to show, by name, and the tokens of the last one."""
    from motiontok.cli.sources import is_codes, load_motion, open_codes, open_tokenizer

    if is_codes(source):
        codes, opened = open_codes(source, tokenizer=tokenizer)
        return {"decoded": opened.decode_codes(codes)}, _editor(codes, opened, source)
    from motiontok.paths import SHIPPED_TOKENIZER, lasting_name

    name = tokenizer or SHIPPED_TOKENIZER
    opened = open_tokenizer(name)
    motion = load_motion(source, calibrations=opened.calibrations, **read)
    codes = opened.encode_to_codes(motion, tokenizer=lasting_name(name))
    return {"source": motion, "decoded": opened.decode_codes(codes)}, _editor(codes, opened, source)


def _editor(codes: Codes, tokenizer: MotionTokenizer, source: Path) -> TokenEditor:
    from tempfile import TemporaryDirectory

    from motiontok.render.token_editor import TokenEditor

    def decode(array: Any) -> Motion:
        return tokenizer.decode_codes(replace(codes, array=array))

    def files(array: Any) -> dict[str, bytes]:
        name = f"{source.name.partition('.')[0]}-edited.npy"
        with TemporaryDirectory() as folder:
            replace(codes, array=array).save(Path(folder) / name)
            return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}

    return TokenEditor(
        codes.array,
        decode,
        vocab_size=tokenizer.vocab_size,
        frames_per_window=tokenizer.frames_per_window,
        files=files,
    )


def _actors(motions: Mapping[str, Motion], robot: Robot | None) -> Iterator[tuple[str, Actor]]:
    """Mannequins of the motions, then the robot with the last of them."""
    from motiontok.render import MannequinActor, RobotActor

    if robot is None:
        for name, motion in motions.items():
            yield name, MannequinActor(motion, label=name)
    else:
        from motiontok.robots import retarget, sized_like

        # A larger person's steps would leave the robot behind.
        for name, motion in motions.items():
            yield name, MannequinActor(sized_like(robot, motion), label=name)
        trajectory = retarget(list(motions.values())[-1], robot)
        yield "robot", RobotActor(robot, trajectory.qpos, fps=trajectory.fps)
