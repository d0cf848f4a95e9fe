"""Updates of the weights: average, check, clip, step."""

from __future__ import annotations

import torch
from torch import Tensor

from motiontok.config import TrainConfig
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.schedule import cosine
from motiontok.training.clipping import clip_adaptively, transposed_weights
from motiontok.training.parallel import average_gradients

__all__ = ["Updates"]


class Updates:
    """AdamW on a method's parameters; gradients that are not finite change nothing.

    Nothing waits for the device: gradients that are not finite are detected and counted there, and
    the fused optimiser then leaves weights, moments and its count of steps alone.

    Args:
        method: on its device, with the processes that share its batches.
        settings: learning rates.
    """

    def __init__(self, method: DiscreteAutoencoder, settings: TrainConfig) -> None:
        groups = method.parameter_groups()
        self._clipped = [p for g in groups if g.pop("clip") for p in g["params"]]
        self._transposed = transposed_weights(method)
        # Some methods are fitted by fit() and have nothing to train.
        self.trainable = any(group["params"] for group in groups)
        for group in groups:
            group["follows"] = "lr" not in group
            group.setdefault("share", 1.0)
        self._method, self._settings = method, settings
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        # Steps without an update: in all, and in a row.
        self._counts = torch.zeros(2, dtype=torch.long, device=method.device)

    def counts(self) -> tuple[int, int]:
        """Steps that were skipped, in all and in a row up to now."""
        total, in_a_row = self._counts.tolist()
        return total, in_a_row

    def restore_count(self, skipped: int) -> None:
        """Continue counting skipped steps."""
        self._counts[0] = skipped

    def step(self, loss: Tensor, progress: float) -> None:
        """Differentiate ``loss`` and update, at ``progress`` in [0, 1) through the run."""
        optimizer, settings = self.optimizer, self._settings
        for group in optimizer.param_groups:
            if group["follows"]:
                group["lr"] = group["share"] * cosine(
                    progress, start=settings.learning_rate, end=settings.final_learning_rate
                )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        average_gradients(parameters, self._method.group)
        finite = _all_finite([p.grad for p in parameters if p.grad is not None])
        self._counts += ~finite
        self._counts[1] *= ~finite
        # What torch's own gradient scaler tells the fused optimiser by.
        optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        clip_adaptively(self._clipped, transposed=self._transposed)
        optimizer.step()


def _all_finite(gradients: list[Tensor]) -> Tensor:
    """Whether all numbers are finite, on their device."""
    if gradients[0].is_cuda:
        # A handful of kernels: a norm is finite where its numbers are, and below 1e19.
        return torch.stack(torch._foreach_norm(gradients)).isfinite().all()
    return torch.stack([g.isfinite().all() for g in gradients]).all()
