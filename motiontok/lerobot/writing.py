"""Episodes to a data set of LeRobot."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bvh.atomic_write import atomic_folder
from bvh.motion import FPS
from motiontok.errors import DataError, InputError
from motiontok.lerobot.layout import (
    ACTION,
    EPISODES,
    INFO,
    OURS,
    PLACE,
    STATE,
    STATS,
    TASKS,
    TOKENS,
    Episode,
    features_of,
    parquet,
)
from motiontok.lerobot.statistics import Figures, figures_of, together
from motiontok.tokenizer import MotionTokenizer

__all__ = ["write_dataset"]

_FILE_MB, _FILES = 100, 1000  # of a file, and files of a chunk: LeRobot's own bounds


def write_dataset(
    episodes: Iterable[Episode], folder: str | os.PathLike[str], tokenizer: MotionTokenizer
) -> int:
    """Write a data set of format v3.0, as a whole or not at all.

    Each frame has the robot's configuration as state, the joints of the next frame as action (the
    last frame its own), the codes of its window and its place in that.

    Args:
        episodes: of one robot, at 30 frames/s, with codes; one at a time is in memory.
        folder: of the data set; an existing one must be empty.
        tokenizer: of the codes.

    Returns:
        Number of episodes written.

    Raises:
        InputError: the folder is not empty.
        DataError: no episodes; or episodes of different robots, rates or tokenizers.
        MissingDependencyError: pyarrow is not installed.
        OSError: the folder cannot be written, or the disk is full.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already; give the data set a new folder")
    parquet()
    with atomic_folder(folder) as place:
        writer = _Writer(place, tokenizer)
        try:
            for episode in episodes:
                writer.add(episode)
        finally:
            writer.close()
        writer.finish()
        return writer.episodes


class _Writer:
    def __init__(self, place: Path, tokenizer: MotionTokenizer) -> None:
        self.episodes = self._frames = 0
        self._place, self._tokenizer = place, tokenizer
        self._robot = ""
        self._joints: tuple[str, ...] = ()
        self._features: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, int] = {}
        self._rows: list[dict[str, Any]] = []
        self._stats: list[dict[str, Figures]] = []
        self._ours: list[dict[str, Any]] = []
        self._file = self._bytes = 0
        self._open: Any = None

    def add(self, episode: Episode) -> None:
        """Write one, as a row group of its own."""
        trajectory, codes = episode.trajectory, episode.codes
        name = trajectory.source or f"episode {self.episodes}"
        if not self.episodes:
            self._robot, self._joints = trajectory.robot, trajectory.joint_names
            self._features = features_of(self._joints, self._tokenizer.codes_per_window)
        if (trajectory.robot, trajectory.joint_names) != (self._robot, self._joints):
            raise DataError(
                f"{name}: of {trajectory.robot}, the episodes before are of {self._robot}; a data "
                "set is of one robot"
            )
        if trajectory.fps != FPS:
            raise DataError(f"{name}: at {trajectory.fps:g} frames/s; tokens need {FPS:g}")
        if codes is None or not len(trajectory):
            raise DataError(f"{name}: without {'codes' if len(trajectory) else 'frames'}")
        self._tokenizer.require(codes)
        window, frames = self._tokenizer.frames_per_window, len(trajectory)
        if codes.first or len(codes.array) != -(-frames // window):
            raise DataError(f"{name}: its codes are not those of all its {frames} frames")
        columns = self._columns(episode, codes.array, window)
        self._write(columns)
        self._stats.append({key: figures_of(rows) for key, rows in columns.items()})
        self._rows.append(
            {
                "episode_index": self.episodes,
                "tasks": [episode.task],
                "length": frames,
                "data/chunk_index": self._file // _FILES,
                "data/file_index": self._file % _FILES,
                "dataset_from_index": self._frames,
                "dataset_to_index": self._frames + frames,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
        )
        start = codes.start
        self._ours.append({"source": trajectory.source, "start": [start.x, start.y, start.yaw],
                           "offsets": codes.offsets.tolist()})  # fmt: skip
        self.episodes += 1
        self._frames += frames

    def close(self) -> None:
        """Finish the open file of frames."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def finish(self) -> None:
        """Write the metadata, the info last."""
        if not self.episodes:
            raise DataError("no episodes to write")
        pa = parquet()
        stats = {key: together([one[key] for one in self._stats]) for key in self._features}
        rows: list[dict[str, Any]] = [
            row | {f"stats/{key}/{name}": value
                   for key, figures in own.items() for name, value in figures.items()}
            for row, own in zip(self._rows, self._stats, strict=True)
        ]  # fmt: skip
        (self._place / EPISODES).parent.mkdir(parents=True)
        pa.parquet.write_table(pa.Table.from_pylist(rows), self._place / EPISODES)
        pa.parquet.write_table(_tasks_table(self._tasks), self._place / TASKS)
        self._json(STATS, stats)
        tokenizer = self._tokenizer
        self._json(OURS, {
            "format": 1, "fingerprint": tokenizer.fingerprint, "licence": tokenizer.licence,
            "vocab_size": tokenizer.vocab_size, "codes_per_window": tokenizer.codes_per_window,
            "frames_per_window": tokenizer.frames_per_window, "episodes": self._ours,
        })  # fmt: skip
        self._json(INFO, {
            "codebase_version": "v3.0", "robot_type": self._robot,
            "total_episodes": self.episodes, "total_frames": self._frames,
            "total_tasks": len(self._tasks), "chunks_size": _FILES,
            "data_files_size_in_mb": _FILE_MB, "video_files_size_in_mb": 200, "fps": int(FPS),
            "splits": {"train": f"0:{self.episodes}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": None, "features": self._features,
        })  # fmt: skip

    def _columns(
        self, episode: Episode, codes: NDArray[Any], window: int
    ) -> dict[str, NDArray[Any]]:
        """Rows ``(frames, size)`` of each column."""
        state = episode.trajectory.qpos.astype(np.float32)
        frames = len(state)
        number = np.arange(frames)
        counts: dict[str, NDArray[Any]] = {
            PLACE: number % window,
            "timestamp": (number / FPS).astype(np.float32),
            "frame_index": number,
            "episode_index": np.full(frames, self.episodes),
            "index": self._frames + number,
            "task_index": np.full(frames, self._tasks.setdefault(episode.task, len(self._tasks))),
        }
        return {
            STATE: state,
            ACTION: state[np.minimum(number + 1, frames - 1), 7:],
            TOKENS: codes[number // window].astype(np.int64),
            **{key: values[:, None] for key, values in counts.items()},
        }

    def _write(self, columns: dict[str, NDArray[Any]]) -> None:
        pa = parquet()
        arrays = []
        for key, rows in columns.items():
            flat = pa.array(rows.ravel(), pa.from_numpy_dtype(self._features[key]["dtype"]))
            size = rows.shape[1]
            arrays.append(flat if size == 1 else pa.FixedSizeListArray.from_arrays(flat, size))
        table = pa.Table.from_arrays(arrays, names=list(columns))
        self._bytes += table.nbytes
        if self._open is not None and self._bytes > _FILE_MB << 20:
            self.close()
            self._file, self._bytes = self._file + 1, table.nbytes
        if self._open is None:
            chunk, file = divmod(self._file, _FILES)
            path = self._place / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open = pa.parquet.ParquetWriter(path, table.schema)
        self._open.write_table(table, row_group_size=len(table))

    def _json(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=4, ensure_ascii=False)
        (self._place / name).write_text(text + "\n", encoding="utf-8")


def _tasks_table(tasks: dict[str, int]) -> Any:
    """Tasks and their numbers; LeRobot reads it by pandas, with the texts as index."""
    pa = parquet()

    def column(name: str, kind: str, numpy: str) -> dict[str, Any]:
        return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy,
                "metadata": None}  # fmt: skip

    about = {
        "index_columns": ["task"],
        "column_indexes": [column("", "unicode", "object") | {"name": None, "field_name": None}],
        "columns": [column("task_index", "int64", "int64"), column("task", "unicode", "object")],
        "pandas_version": "2.0.0",
    }
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": list(tasks)})
    return table.replace_schema_metadata({"pandas": json.dumps(about)})
