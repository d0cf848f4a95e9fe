"""Robots' motion and its tokens as data sets of LeRobot, format v3: written and read."""

from motiontok.lerobot.layout import Episode, is_dataset
from motiontok.lerobot.reading import read_episodes
from motiontok.lerobot.writing import write_dataset

__all__ = ["Episode", "is_dataset", "read_episodes", "write_dataset"]
