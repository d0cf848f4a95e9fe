"""``motiontok convert FOLDER``: robots' trajectories to a data set of LeRobot, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from motiontok.errors import InputError

if TYPE_CHECKING:
    from motiontok.lerobot import Episode
    from motiontok.tokenizer import MotionTokenizer

__all__ = ["from_dataset", "to_dataset"]

_NO_TASK = "motion"


def to_dataset(
    source: Path, out: Path, *, robot: str | None, map_path: Path | None, tokenizer: str | None
) -> None:
    """Write a folder of trajectories as a data set of LeRobot, with tokens.

    Raises:
        InputError: no trajectories, or the data set is there already.
        MissingDependencyError: pyarrow is not installed.
    """
    from bvh.archives import natural_key
    from motiontok.cli.sources import open_tokenizer
    from motiontok.cli.trajectories import is_trajectory
    from motiontok.lerobot import write_dataset
    from motiontok.paths import SHIPPED_TOKENIZER

    if out.suffix:
        raise InputError(f"{out}: {source} is a folder, so OUT must be a folder too")
    found = (path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    names = [name for name in sorted(found, key=natural_key) if is_trajectory(source / name)]
    if not names:
        raise InputError(
            f"{source}: no robot's trajectories (.npz, .csv) in this folder; `motiontok retarget` "
            "makes them of clips"
        )
    opened = open_tokenizer(tokenizer or SHIPPED_TOKENIZER)
    skipped: list[str] = []
    episodes = _episodes(source, names, robot, map_path, opened, skipped)
    count = write_dataset(episodes, out, opened)
    for text in skipped:
        click.echo(f"skipped {text}", err=True)
    click.echo(f"{source}: {count} episodes -> {out}")


def from_dataset(source: Path, out: Path) -> None:
    """Write each episode of a data set as a robot's trajectory, ``.npz``.

    Raises:
        InputError: no data set whose states are whole configurations of a robot.
        MissingDependencyError: pyarrow is not installed.
    """
    from motiontok.lerobot import read_episodes

    if out.suffix:
        raise InputError(f"{out}: a data set has many episodes, so OUT must be a folder")
    count = 0
    for episode in read_episodes(source):
        name = PurePosixPath(episode.trajectory.source)
        # Names are a stranger's: none leads out of the folder.
        if not name.name or name.is_absolute() or ".." in name.parts:
            name = PurePosixPath(f"episode_{count:06d}")
        episode.trajectory.save(out / name.parent / f"{name.name}.npz")
        count += 1
    if not count:
        raise InputError(f"{source}: no episodes in this data set")
    click.echo(f"{source}: {count} trajectories -> {out}")


def _episodes(
    source: Path,
    names: list[str],
    robot: str | None,
    map_path: Path | None,
    tokenizer: MotionTokenizer,
    skipped: list[str],
) -> Iterator[Episode]:
    from dataclasses import replace

    from bvh.motion import FPS
    from bvh.splits import parse_name
    from motiontok.cli.trajectories import open_trajectory
    from motiontok.lerobot import Episode
    from motiontok.progress import progress
    from motiontok.robots import motion_of

    with progress("encoding", len(names)) as update:
        for number, name in enumerate(names):
            update(number, name)
            try:
                given = [robot] if robot else []
                trajectory, model = open_trajectory(source / name, given, map_path)
                stem = str(PurePosixPath(name).with_suffix(""))
                trajectory = replace(trajectory.resample(FPS), source=stem)
                codes = tokenizer.encode_to_codes(motion_of(trajectory, model))
            except InputError as error:
                skipped.append(str(error))
                continue
            label = parse_name(PurePosixPath(stem).name)
            words = label.action.replace("-", " ") or _NO_TASK
            task = f"{words}, {label.style}" if label.style else words
            yield Episode(trajectory, task, codes)
