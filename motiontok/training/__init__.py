"""The training loop, checkpoints, gradient clipping and logs."""

from motiontok.training.checkpoint import read_header
from motiontok.training.data import TrainingSet, evaluate
from motiontok.training.loop import LOG_COLUMNS, Trained, require_same, train

__all__ = [
    "LOG_COLUMNS",
    "Trained",
    "TrainingSet",
    "evaluate",
    "read_header",
    "require_same",
    "train",
]
