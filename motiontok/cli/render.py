"""``motiontok render``: pictures and videos."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from motiontok.cli.number_types import FiniteRange
from motiontok.cli.ranges import Range, range_options
from motiontok.cli.reading_options import reading_options
from motiontok.cli.shared_options import tokenizer_option

if TYPE_CHECKING:
    from bvh.motion import Motion
    from bvh.reading import Reading
    from motiontok.codes import Codes
    from motiontok.render import Actor, TokenTrack
    from motiontok.render.output import Progress
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["render"]

_PICTURES = (".png", ".jpg", ".jpeg")
_VIDEOS = (".mp4", ".gif")
_LONG = 30.0
"""The time that longer films take is told, after a few pictures."""
_TRIED = 10
"""Pictures that tell how long the others will take."""


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "output",
    type=click.Path(path_type=Path),
    help="Video (.mp4, .gif), or contact sheet (.png, .jpg)  [default: SOURCE's name with .mp4]",
)
@click.option(
    "--robot",
    "robots",
    multiple=True,
    metavar="NAME",
    help="Draw motions as skeleton (default), a shipped robot (see `motiontok robots`) or a "
    ".urdf file. Repeat it for more panels.",
)
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path),
    help="Retarget map (TOML), if --robot is a .urdf file that no shipped map fits.",
)
@tokenizer_option
@range_options
@click.option("--size", metavar="WxH", help="Width and height in pixels, such as 1280x720.")
@click.option(
    "--fps",
    type=FiniteRange(min=0, min_open=True, max=1000),
    help="Pictures per second  [default: the motion's; gif: at most 25]",
)
@click.option(
    "--camera",
    type=click.Choice(["follow", "fixed", "orbit"]),
    default="follow",
    show_default=True,
    help="Follow the figure, stand still with the whole clip in view, or circle around.",
)
@click.option("--overlay", is_flag=True, help="Draw all in one panel, the first as a ghost.")
@click.option("--label", "labels", multiple=True, help="Caption of a panel, in order.")
@click.option(
    "--time",
    "moment",
    type=FiniteRange(min=0),
    metavar="SECONDS",
    help="Draw one picture of this moment of the clip instead of a contact sheet.",
)
@click.option("--columns", type=click.IntRange(min=1), help="Moments in a row of the sheet.")
@click.option("--rows", type=click.IntRange(min=1), help="Rows of moments in the sheet.")
@reading_options(fps=False)
def render(
    sources: tuple[Path, ...],
    output: Path | None,
    robots: tuple[str, ...],
    map_path: Path | None,
    tokenizer: str | None,
    part: Range,
    size: str | None,
    fps: float | None,
    camera: str,
    overlay: bool,
    labels: tuple[str, ...],
    moment: float | None,
    columns: int | None,
    rows: int | None,
    reading: Reading,
    strict: bool,
) -> None:
    """Draw SOURCES side by side as a video or a contact sheet.

    A source is a clip (.bvh), a motion (.npz), tokens (codes.npy) or a robot's
    trajectory (robot.npz, robot.csv; a csv of another tool with --robot).

    --from and --to cut all of them; frames, times and windows shown stay the clip's own. Ctrl-C
    ends a video where it is.
    """
    from motiontok.cli.sources import check_reading
    from motiontok.errors import InputError

    check_reading(reading, sources)
    output = output or Path(sources[0].stem).with_suffix(".mp4")
    suffix = output.suffix.lower()
    if suffix not in _PICTURES + _VIDEOS:
        raise InputError(
            f"{output}: cannot write {suffix or 'a file without suffix'}; "
            f"choose from {', '.join(_VIDEOS + _PICTURES)}"
        )
    if suffix in _VIDEOS and (moment is not None or columns or rows):
        raise InputError(f"{output}: --time, --columns and --rows are for pictures (.png, .jpg)")
    if moment is not None and (columns or rows):
        raise InputError("--time draws one picture; --columns and --rows a sheet: choose one")
    if suffix in _PICTURES and fps is not None:
        raise InputError(f"{output}: --fps is for videos (.mp4, .gif)")

    with _notes(), _told_of_interrupt(output):
        from motiontok.render import render_image, render_sheet, render_video

        pixels = None if size is None else _size(size)
        actors, tokens, since = _actors(
            sources,
            robots or ("skeleton",),
            map_path,
            {"tokenizer": tokenizer, "reading": reading, "strict": strict},
            part=part,
            overlay=overlay,
        )
        if labels and len(labels) != len(actors):
            raise InputError(f"{len(labels)} --label for {len(actors)} panels")
        if overlay and len(actors) > 1:
            actors[0].opacity = 0.35
        options: dict[str, Any] = {
            "size": pixels,
            "camera": camera,
            "layout": "overlay" if overlay else "panels",
            "labels": labels or None,
            "tokens": tokens,
            "since": since,
        }
        seconds = max(len(actor) / actor.fps for actor in actors)
        if moment is not None:
            if moment < since:
                raise InputError(f"--time {moment:g}: what is drawn begins at {since:.4g} s")
            if moment > since + seconds:
                raise InputError(
                    f"--time {moment:g}: what is drawn ends after {since + seconds:.4g} s"
                )
            render_image(actors, output, time=moment - since, **options)
        elif suffix in _PICTURES:
            with _progress() as update:
                render_sheet(actors, output, columns=columns, rows=rows, progress=update, **options)
        else:
            with _progress(seconds, output) as update:
                render_video(actors, output, fps=fps, progress=update, **options)
    click.echo(f"wrote {output}")


def _size(text: str) -> tuple[int, int]:
    from motiontok.errors import InputError, RenderError
    from motiontok.render.film import check_size

    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise InputError(f"--size {text!r} is not a size such as 1280x720")
    try:
        return check_size((int(width), int(height)))
    except RenderError as error:
        raise InputError(f"--size: {error}") from None


def _actors(
    sources: Sequence[Path],
    robots: Sequence[str],
    map_path: Path | None,
    read: Mapping[str, Any],
    *,
    part: Range,
    overlay: bool,
) -> tuple[list[Actor], TokenTrack | None, float]:
    """The figures of all sources, the tokens of the first that has some, and when they begin."""
    from motiontok.cli.sources import is_codes, load_motion, open_codes
    from motiontok.cli.trajectories import is_trajectory, open_trajectory
    from motiontok.render import MannequinActor, RobotActor, TokenTrack

    actors: list[Actor] = []
    origins: list[Path] = []
    persons: dict[int, Motion] = {}
    tokens: TokenTrack | None = None
    begins: list[float] = []
    coded = {
        source: open_codes(source, tokenizer=read["tokenizer"])
        for source in sources
        if is_codes(source)
    }
    # A clip beside its codes is the motion that was encoded.
    known = next((tokenizer.calibrations for _, tokenizer in coded.values()), None)
    of_clips = _part_of_clips(part, coded.values())
    for source in sources:
        if is_trajectory(source):
            named = [r for r in robots if r != "skeleton"]
            played, robot = open_trajectory(
                source, named, map_path, reading=read["reading"], strict=read["strict"]
            )
            qpos = played.qpos
            if part:
                frames = part.frames(len(qpos), played.fps, source)
                begins.append(frames.start / played.fps)
                qpos = qpos[frames]
            label = robot.name if len(sources) == 1 else f"{robot.name}, {source.stem}"
            actors.append(RobotActor(robot, qpos, fps=played.fps, label=label))
            origins.append(source)
            continue
        label, taken, since = source.stem, of_clips, 0.0
        if source in coded:
            codes, opened = coded[source]
            taken, since = part, codes.since
            motion = opened.decode_codes(codes)
            label = "decoded"
            if tokens is None:
                tokens = TokenTrack(
                    opened.frames_per_window,
                    codes=codes.array,
                    vocab_size=opened.vocab_size,
                    first_frame=round(codes.since * codes.fps),
                )
        else:
            motion = load_motion(source, calibrations=known, **read)
        if taken or since:
            frames = taken.frames(len(motion), motion.fps, source, since)
            begins.append(since + frames.start / motion.fps)
            motion = motion[frames]
        origins += [source] * len(robots)
        for name in robots:
            if name == "skeleton":
                persons[len(actors)] = motion
                actors.append(MannequinActor(motion, label=label))
            else:
                actors.append(_retargeted(motion, name, map_path))
                # One clip's panels are told apart by the robots, several clips' by both.
                if len(sources) > 1:
                    actors[-1].label += f", {label}"
    _tell_apart(actors, origins)
    if overlay:
        _in_the_robots_size(actors, persons)
    return actors, tokens, begins[0] if begins else 0.0


def _part_of_clips(part: Range, coded: Iterable[tuple[Codes, MotionTokenizer]]) -> Range:
    """``part``, as far as it is open that which codes are of, if their clip was cut."""
    for codes, tokenizer in coded:
        if codes.since:
            frames = codes.frames or len(codes.array) * tokenizer.frames_per_window
            start = codes.since if part.start is None else part.start
            end = codes.since + frames / codes.fps if part.end is None else part.end
            return Range(start, end)
    return part


def _tell_apart(actors: Sequence[Actor], origins: Sequence[Path]) -> None:
    """Add the folder to captions that files of one name, in several folders, share."""
    shared = Counter(actor.label for actor in actors)
    for actor, origin in zip(actors, origins, strict=True):
        if shared[actor.label] > 1:
            actor.label += f" ({origin.resolve().parent.name})"


def _in_the_robots_size(actors: list[Actor], persons: Mapping[int, Motion]) -> None:
    """Draw persons as large as the first robot, which else falls behind with shorter steps."""
    from motiontok.render import MannequinActor, RobotActor

    robot = next((a.robot for a in actors if isinstance(a, RobotActor)), None)
    if robot is None or not persons:
        return
    from motiontok.robots import sized_like

    for place, motion in persons.items():
        label = actors[place].label
        actors[place] = MannequinActor(sized_like(robot, motion), label=label)
    click.echo(f"note: the person is drawn at the size of {robot.name}", err=True)


def _retargeted(motion: Motion, name: str, map_path: Path | None) -> Actor:
    from motiontok.cli.sources import open_robot
    from motiontok.progress import progress
    from motiontok.render.robot import RobotActor
    from motiontok.robots import retarget

    robot = open_robot(name, map_path)
    with progress("inverse kinematics", len(motion)) as update:
        trajectory = retarget(motion, robot, progress=update)
    return RobotActor(robot, trajectory.qpos, fps=trajectory.fps)


@contextmanager
def _progress(seconds: float = 0.0, output: Path | None = None) -> Iterator[Progress]:
    """A progress bar that appears when the number of pictures is known.

    A long film is first told of, after a few pictures, in one line with the time that it takes.

    Args:
        seconds: of the film.
        output: the film.
    """
    from motiontok.progress import progress

    tried = _TRIED if output is not None and seconds > _LONG else 1
    with ExitStack() as stack:
        bar: list[Any] = []
        begin = 0.0

        def update(done: int, total: int) -> None:
            nonlocal begin
            if done == 1:
                begin = time.monotonic()  # Setting up takes the same time for any length.
            if not bar:
                if done < min(tried, total):
                    return
                if output is not None and tried > 1:
                    each = (time.monotonic() - begin) / max(done - 1, 1)
                    _tell_of_long(total, seconds, each * total, output)
                bar.append(stack.enter_context(progress("drawing", total)))
                bar[0](done, before=done)
            bar[0](done)

        yield update


def _tell_of_long(pictures: int, seconds: float, takes: float, output: Path) -> None:
    about = f"{max(takes, 1.0):.0f} s" if takes < 90 else f"{takes / 60:.0f} min"
    click.echo(
        f"note: {pictures} frames of {seconds:.0f} s take about {about} to draw; --from and --to "
        f"cut them, -o {output.with_suffix('.png')} draws a sheet, Ctrl-C keeps those drawn so far",
        err=True,
    )


@contextmanager
def _told_of_interrupt(output: Path) -> Iterator[None]:
    """Say what Ctrl-C leaves."""
    before = _written(output)
    try:
        yield
    except KeyboardInterrupt:
        if _written(output) != before:
            click.echo(f"wrote {output}, up to here", err=True)
        else:
            left = "not written" if before is None else "left as it was"
            click.echo(f"{output}: {left}; there was nothing to keep yet", err=True)
        raise


def _written(path: Path) -> tuple[int, int] | None:
    """Number and time of change of the file at a path: another file has others."""
    if not path.exists():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


@contextmanager
def _notes() -> Iterator[None]:
    """Print this package's warnings as one line each."""
    from motiontok.render import RenderWarning

    with warnings.catch_warnings():
        show = warnings.showwarning

        def line(message: Any, category: type[Warning], *where: Any) -> None:
            if issubclass(category, RenderWarning):
                click.echo(f"note: {message}", err=True)
            else:
                show(message, category, *where)

        warnings.showwarning = cast(Any, line)
        warnings.simplefilter("once", RenderWarning)
        yield
