"""The training loop, checkpoints, gradient clipping and logs."""

from motiontok.training.loop import LOG_COLUMNS, Trained, evaluate, train

__all__ = ["LOG_COLUMNS", "Trained", "evaluate", "train"]
