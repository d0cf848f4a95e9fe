"""The training loop, checkpoints, gradient clipping and logs."""

from motiontok.training.checkpoint import read_header
from motiontok.training.loop import LOG_COLUMNS, Trained, evaluate, require_same, train

__all__ = ["LOG_COLUMNS", "Trained", "evaluate", "read_header", "require_same", "train"]
