"""A data set of LeRobot to episodes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motiontok.codes import Codes
from motiontok.data import offsets_of, start_of
from motiontok.errors import InputError, MotiontokError
from motiontok.lerobot.layout import BASE, INFO, OURS, STATE, TASKS, TOKENS, Episode, parquet
from motiontok.robots.files.trajectory import Trajectory

__all__ = ["read_episodes"]

_MOST_JSON = 1 << 28


def read_episodes(folder: str | os.PathLike[str]) -> Iterator[Episode]:
    """Episodes of a data set of format v3, one after the other, a file in memory at a time.

    States must be whole configurations of a robot: columns ``base_x`` to ``base_qw`` (metres, and
    a quaternion x y z w) and the joints, by name. Codes come if ``meta/motiontok.json`` names their
    tokenizer.

    Args:
        folder: of the data set.

    Yields:
        Trajectories with their tasks, in the order of the episodes.

    Raises:
        InputError: no such data set, one of another version or without those columns, or a
            damaged one.
        MissingDependencyError: pyarrow is not installed.
    """
    folder = Path(folder)
    pa = parquet()
    try:
        info = _json(folder / INFO)
        if not str(info["codebase_version"]).startswith("v3."):
            raise InputError(
                f"{folder / INFO}: format {info['codebase_version']}, expected v3; convert it with "
                "LeRobot's convert_dataset_v21_to_v30"
            )
        names, columns = _columns(info, folder)
        ours = _json(folder / OURS) if (folder / OURS).is_file() else None
        if ours is not None and ours["format"] != 1:
            raise InputError(f"{folder / OURS}: format {ours['format']!r} is not 1")
        tasks = _tasks(folder / TASKS)
        wanted = ["episode_index", "task_index", STATE, *([TOKENS] if ours else [])]
        for path in sorted((folder / "data").glob("*/*.parquet")):
            table = pa.parquet.read_table(path, columns=wanted)
            numbers = table["episode_index"].to_numpy()
            cuts = np.flatnonzero(np.diff(numbers, prepend=-1))
            for first, end in zip(cuts, [*cuts[1:], len(numbers)], strict=True):
                rows = table.slice(first, end - first)
                task = tasks[rows["task_index"][0].as_py()]
                state = _matrix(rows, STATE)[:, columns].astype(np.float64)
                state[:, 3:7] /= np.linalg.norm(state[:, 3:7], axis=1, keepdims=True)
                about = ours["episodes"][int(numbers[first])] if ours else {}
                trajectory = Trajectory(
                    qpos=state,
                    joint_names=tuple(names),
                    fps=float(info["fps"]),
                    robot=str(info["robot_type"] or ""),
                    source=str(about.get("source", "")),
                )
                codes = _codes(_matrix(rows, TOKENS), ours, about) if ours else None
                yield Episode(trajectory, task, codes)
    except MotiontokError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; a data set of LeRobot has it") from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, pa.ArrowException) as error:
        reason = str(error).split("\n")[0]
        raise InputError(
            f"{folder}: damaged data set of LeRobot ({type(error).__name__}: {reason})"
        ) from None


def _columns(info: dict[str, Any], folder: Path) -> tuple[list[str], list[int]]:
    """Joints of a state, and the places of base and joints in it."""
    names = info["features"].get(STATE, {}).get("names")
    # Older data sets name the axis first: {"motors": [...]}.
    named = next(iter(names.values()), []) if isinstance(names, dict) else (names or [])
    lacking = [name for name in BASE if name not in named]
    if lacking:
        raise InputError(
            f"{folder}: {STATE} has no {lacking[0]}; a motion needs the base as {', '.join(BASE)}"
        )
    joints = [str(name) for name in named if name not in BASE]
    return joints, [named.index(name) for name in (*BASE, *joints)]


def _tasks(path: Path) -> dict[int, str]:
    """Texts by their number; the column of texts is pandas' index, of any name."""
    path.stat()  # pyarrow's error names no file
    table = parquet().parquet.read_table(path)
    texts = next(name for name in table.column_names if name != "task_index")
    return dict(zip(table["task_index"].to_pylist(), map(str, table[texts].to_pylist()),
                    strict=True))  # fmt: skip


def _matrix(rows: Any, name: str) -> NDArray[Any]:
    """Rows ``(frames, size)`` of a column of lists."""
    return np.stack(rows[name].to_numpy(zero_copy_only=False))


def _codes(rows: NDArray[Any], ours: dict[str, Any], about: dict[str, Any]) -> Codes:
    array = rows[:: int(ours["frames_per_window"])]
    if array.min() < 0 or array.max() >= int(ours["vocab_size"]):
        raise ValueError(f"tokens outside the vocabulary of {ours['vocab_size']}")
    return Codes(
        array.astype(np.uint16),
        fingerprint=str(ours["fingerprint"]),
        frames=len(rows),
        start=start_of(about["start"]),
        offsets=offsets_of(about["offsets"]),
        source=str(about["source"]),
        licence=str(ours["licence"]),
    )


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MOST_JSON:
        raise ValueError(f"{path.name} is larger than {_MOST_JSON >> 20} MiB")
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name}: expected an object")
    return values
