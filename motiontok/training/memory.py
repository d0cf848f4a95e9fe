"""What to do about a training that does not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from motiontok.errors import TrainingError
from motiontok.memory_shortage import shortage
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.daps.daps import Daps

__all__ = ["cure_of_shortage"]


@contextmanager
def cure_of_shortage(method: DiscreteAutoencoder, rows: int) -> Iterator[None]:
    """Say how a step takes less memory, if there was too little for one.

    Args:
        method: that is trained.
        rows: observations of a batch in this process.

    Raises:
        TrainingError: memory is used up.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not (short := shortage(error)):
            raise
        raise TrainingError(f"{method.device}: {short}; {_cure(method, rows)}") from None


def _cure(method: DiscreteAutoencoder, rows: int) -> str:
    batch = f"another --out with train.batch_size below {method.config.train.batch_size}"
    if isinstance(method, Daps):
        model, samples = method.config.model, method.config.method.samples
        codes = torch.empty(1, samples, model.codes_per_window, device=method.device)
        now = min(method.chunk(codes), rows)
        if now > 1:
            return (
                f"--resume with --set train.chunk={now // 2} (now {now} at a time; gradients stay "
                f"the same), or {batch}"
            )
    return batch
