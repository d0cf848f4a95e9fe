"""Checkpoints as single safetensors files: model, optimiser, random state, progress.

Nothing is pickled: optimiser moments are tensors named after their parameter, the
rest is JSON in the file's header. A file is replaced by a rename, so a run killed in
the middle of saving leaves the previous checkpoint. Digests tell a file that a disk or a
copy has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bvh.atomic_write import atomic_path
from motiontok.errors import TrainingError
from motiontok.tensor_digest import digest_of

__all__ = [
    "CHECKPOINT",
    "FORMAT",
    "Checkpoint",
    "load_checkpoint",
    "read_header",
    "save_checkpoint",
    "save_weights",
]

CHECKPOINT = "checkpoint.safetensors"
"""The last step of a run, to resume from."""

FORMAT = "motiontok-checkpoint-1"

_CHANGED = "it is not as it was written"


@dataclass(frozen=True)
class Checkpoint:
    """Contents of a checkpoint.

    Attributes:
        tensors: every tensor by name (``model.``, ``optimizer.``, ``generator``, ``extra.``).
        header: step, configuration and other values of the loop.
    """

    tensors: dict[str, Tensor]
    header: dict[str, Any]

    def restore(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> None:
        """Put weights, moments and random state back.

        Raises:
            TrainingError: the checkpoint belongs to another model or kind of device.
        """
        self.restore_weights(model)
        for name, parameter in model.named_parameters():
            prefix = f"optimizer.{name}."
            moments = {
                k[len(prefix) :]: v.to(parameter.device)
                for k, v in self.tensors.items()
                if k.startswith(prefix)
            }
            if moments:
                optimizer.state[parameter] = moments
        try:
            generator.set_state(self.tensors["generator"])
        except RuntimeError:
            raise TrainingError(
                f"checkpoint holds the random state of another kind of device than "
                f"{generator.device.type}; resume with the --device it was trained on"
            ) from None

    def restore_weights(self, model: nn.Module) -> None:
        """Put only weights back.

        Raises:
            TrainingError: the checkpoint belongs to another model.
        """
        state = {k[6:]: v for k, v in self.tensors.items() if k.startswith("model.")}
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            detail = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
            raise TrainingError(f"checkpoint does not fit this model: {detail}") from None

    def extra(self, name: str) -> Tensor | None:
        """An additional tensor, such as a running count."""
        return self.tensors.get(f"extra.{name}")


def save_checkpoint(
    path: Path,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    header: dict[str, Any],
    extra: dict[str, Tensor],
) -> None:
    """Write a checkpoint atomically.

    Raises:
        TrainingError: the disk is full or the folder cannot be written.
    """
    tensors = _weights(model)
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{name}.{key}"] = torch.as_tensor(value)
    tensors["generator"] = generator.get_state()
    tensors |= {f"extra.{k}": v for k, v in extra.items()}
    _save(path, tensors, header)


def save_weights(path: Path, *, model: nn.Module, header: dict[str, Any]) -> None:
    """Write a checkpoint with weights alone, for use, not for resuming.

    Raises:
        TrainingError: the disk is full or the folder cannot be written.
    """
    _save(path, _weights(model), header)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {f"model.{k}": v for k, v in model.state_dict().items()}


def _save(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    tensors = {k: v.detach().to("cpu").contiguous().clone() for k, v in tensors.items()}
    metadata = {"format": FORMAT, "header": json.dumps(header), "tensors": digest_of(tensors)}
    metadata["digest"] = _digest(metadata)
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"cannot save {path}: {error}; the previous checkpoint, if any, is kept"
        ) from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        TrainingError: the file is missing, truncated or no checkpoint of this program.
    """
    with _opened(path) as (file, header):
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        found = digest_of(tensors)
        # Files of before there were digests have none.
        if file.metadata().get("tensors", found) != found:
            raise ValueError(_CHANGED)
        return Checkpoint(tensors, header)


def read_header(path: Path) -> dict[str, Any]:
    """Header of a checkpoint, without its tensors.

    Raises:
        TrainingError: as :func:`load_checkpoint`.
    """
    with _opened(path) as (_, header):
        return header


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    if not path.is_file():
        raise TrainingError(f"{path}: no checkpoint to resume from; start without --resume")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise TrainingError(
                    f"{path}: not a checkpoint of this version "
                    f"(format {metadata.get('format', 'unknown')!r}, expected {FORMAT!r})"
                )
            found = _digest(metadata)
            if metadata.get("digest", found) != found:
                raise ValueError(_CHANGED)
            header = json.loads(metadata["header"])
            step = header.get("step") if isinstance(header, dict) else None
            if not isinstance(step, int) or step < 0:
                raise ValueError(f"its step is {step!r}")
            yield file, header
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{path}: damaged checkpoint ({error}); delete it and train again"
        ) from None


def _digest(metadata: dict[str, str]) -> str:
    known = json.dumps({k: v for k, v in metadata.items() if k != "digest"}, sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()
