"""The training loop, checkpoints, gradient clipping and logs."""

from motiontok.training.checkpoint import CHECKPOINT, load_checkpoint, read_header
from motiontok.training.data import TrainingSet, evaluate
from motiontok.training.loop import (
    BEST,
    LOG_COLUMNS,
    Best,
    Trained,
    displayed,
    train,
)
from motiontok.training.resuming import (
    header_of_run,
    is_done,
    require_new_or_same,
    require_same,
)

__all__ = [
    "BEST",
    "CHECKPOINT",
    "LOG_COLUMNS",
    "Best",
    "Trained",
    "TrainingSet",
    "displayed",
    "evaluate",
    "header_of_run",
    "is_done",
    "load_checkpoint",
    "read_header",
    "require_new_or_same",
    "require_same",
    "train",
]
