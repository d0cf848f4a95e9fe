"""The files and columns of a data set of LeRobot.

The layout is that of ``LeRobotDataset`` v3.0 (Hugging Face, package ``lerobot``): many episodes per
Parquet file, one row per frame, and tables with the beginning of each episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motiontok.codes import Codes
from motiontok.errors import MissingDependencyError
from motiontok.robots.files.trajectory import Trajectory

__all__ = [
    "ACTION",
    "BASE",
    "EPISODES",
    "INFO",
    "OURS",
    "PLACE",
    "STATE",
    "STATS",
    "TASKS",
    "TOKENS",
    "Episode",
    "features_of",
    "is_dataset",
    "parquet",
]

INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
OURS = "meta/motiontok.json"
"""File for values that the format has no place for: the tokens' tokenizer, and the start of each
episode."""

STATE, ACTION, TOKENS, PLACE = "observation.state", "action", "tokens", "token_frame"
BASE = ("base_x", "base_y", "base_z", "base_qx", "base_qy", "base_qz", "base_qw")
"""First columns of a state: world position (m) and attitude of the base."""


@dataclass(frozen=True, eq=False)
class Episode:
    """One motion of a robot.

    Attributes:
        trajectory: of the robot.
        task: the action, in words.
        codes: tokens of the motion, a window for each ``frames_per_window`` frames; None if a data
            set has none.
    """

    trajectory: Trajectory
    task: str
    codes: Codes | None = None


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a data set of LeRobot, of any version."""
    return (folder / INFO).is_file()


def features_of(joint_names: Sequence[str], codes_per_window: int) -> dict[str, dict[str, Any]]:
    """The columns of a frame, as ``info.json`` has them."""

    def column(dtype: str, names: Sequence[str] | None, size: int = 1) -> dict[str, Any]:
        return {"dtype": dtype, "shape": [size], "names": None if names is None else list(names)}

    state = [*BASE, *joint_names]
    tokens = [f"token_{n}" for n in range(codes_per_window)]
    counts = ("frame_index", "episode_index", "index", "task_index")
    return {
        STATE: column("float32", state, len(state)),
        ACTION: column("float32", joint_names, len(joint_names)),
        TOKENS: column("int64", tokens, codes_per_window),
        PLACE: column("int64", None),
        "timestamp": column("float32", None),
        **{name: column("int64", None) for name in counts},
    }


def parquet() -> Any:
    """The module ``pyarrow``, with its Parquet part.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "data sets of LeRobot need the package pyarrow: pip install 'motiontok[lerobot]'"
        ) from None
    return pyarrow
