"""The processes that train one model together.

A batch is shared out in rows. A process's random numbers are its rows of those that one process
would draw for the whole batch, and means go over all rows. So any number of processes computes the
same step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor

__all__ = ["ProcessGroup"]


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those of ``torch.distributed``'s default group.

    Attributes:
        rank: from 0.
        size: processes.
    """

    rank: int = 0
    size: int = 1

    def rows(self, batch: int) -> slice:
        """This process's rows of a batch."""
        count = batch // self.size
        return slice(self.rank * count, (self.rank + 1) * count)

    def shard(self, whole: Tensor) -> Tensor:
        """This process's rows of ``whole (batch, ...)``."""
        return whole[self.rows(len(whole))]

    def noise(self, rows: int, *shape: int, like: Tensor, generator: torch.Generator) -> Tensor:
        """Numbers of [0, 1) ``(rows, *shape)``: this process's share of the whole batch's."""
        count = rows * self.size
        whole = torch.rand(count, *shape, generator=generator, device=like.device, dtype=like.dtype)
        return self.shard(whole)

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a value over the processes; its gradient is that of this process's own value.

        Averaging gradients over the processes later makes them those of the mean.
        """
        if self.size == 1:
            return value
        total = value.detach().clone()
        torch.distributed.all_reduce(total)
        return value + (total / self.size - value.detach())

    def sum(self, value: Tensor) -> Tensor:
        """Sum over the processes, without gradient."""
        total = value.detach().clone()
        if self.size > 1:
            torch.distributed.all_reduce(total)
        return total

    def all_gather(self, part: Tensor) -> Tensor:
        """All rows ``(batch, ...)``, from every process's share."""
        if self.size == 1:
            return part
        parts = [part.new_empty(part.shape) for _ in range(self.size)]
        torch.distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    def all_gather_texts(self, text: str) -> list[str]:
        """The texts of all processes, by rank, of any lengths."""
        if self.size == 1:
            return [text]
        said = torch.tensor(list(text.encode()), dtype=torch.uint8)
        lengths = self.all_gather(torch.tensor([len(said)])).tolist()
        padded = torch.zeros(max(lengths), dtype=torch.uint8)
        padded[: len(said)] = said
        rows = self.all_gather(padded[None])
        return [
            bytes(row[:length].tolist()).decode() for row, length in zip(rows, lengths, strict=True)
        ]
