"""The interface of every discrete autoencoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from motiontok.config import Config, ModelConfig
from motiontok.errors import TokenizerError
from motiontok.methods.networks import Networks
from motiontok.methods.process_group import ProcessGroup
from motiontok.models import Policy
from motiontok.progress import ProgressCallback, silent

__all__ = ["DiscreteAutoencoder", "Draw", "StepResult"]

Draw = Callable[[int], Tensor]
"""Random observations ``(<= count, *shape)``: none twice before all were drawn, and fewer at the
end."""


@dataclass(frozen=True)
class StepResult:
    """Result of one training step.

    Attributes:
        loss: scalar to differentiate.
        metrics: scalars to log, detached, still on the device.
        codes: codes of this step ``(batch, codes)``, for usage statistics.
        reconstruction: mean of p(x | z) for those codes, or for what a step decodes in their place,
            detached. Errors of training, in the log, are its own.
    """

    loss: Tensor
    metrics: dict[str, Tensor]
    codes: Tensor
    reconstruction: Tensor


class DiscreteAutoencoder(nn.Module):
    """From observations ``x (batch, *shape)``, such as standardised windows, to codes and back.

    Args:
        config: sizes and hyper-parameters.
        networks: of the kind of data.

    Attributes:
        shape: of an observation: (frames, columns) of windows of motion.
        likelihood: p(x | z).
        decodes_prefixes: whether the first codes of a window decode without the others, to a
            coarser window.
        group: the processes that share the batches.
        in_teams: whether a step on one shard equals that shard's part of the full-batch step.
        rows_in_8_bits: weights that may be kept in 8 bits, by name, and the first such row.
        sizes: settings of the model on which its weights depend.
        stretch: consecutive windows of a training observation; with more than one it is ``(stretch,
            *shape)``.
        reach: frames before and after a window on which its codes and its decoding depend; with
            more ``effort`` than 1, codes may depend on more.
        usual_effort: effort of encoding, unless another is asked for.
        takes_steps: whether there is anything to train after :meth:`fit`.
        fits_first: whether :meth:`encode_sequence` takes ``first``, and finds codes of which so
            many decode to what is near.
    """

    decodes_prefixes: ClassVar[bool] = False
    in_teams: ClassVar[bool] = False
    rows_in_8_bits: ClassVar[dict[str, int]] = {}
    sizes: ClassVar[tuple[str, ...]] = tuple(f.name for f in fields(ModelConfig))
    stretch: ClassVar[int] = 1
    reach: ClassVar[int] = 0
    usual_effort: ClassVar[int] = 1
    takes_steps: ClassVar[bool] = True
    fits_first: ClassVar[bool] = False

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__()
        self.config = config
        self.shape = networks.shape
        self.likelihood = networks.likelihood
        self.group = ProcessGroup()

    @property
    def device(self) -> torch.device:
        """Where the weights are; a fitted method has buffers only."""
        return next(chain(self.parameters(), self.buffers())).device

    @property
    def joins_windows(self) -> bool:
        """Whether windows are coded and decoded with their neighbours."""
        return self.reach > 0

    def fit(
        self, draw: Draw, generator: torch.Generator, on_progress: ProgressCallback = silent
    ) -> None:
        """Fit to training data before the first step; most methods do nothing.

        Args:
            draw: gives training observations.
            generator: source of randomness.
            on_progress: called with the progress of a long fit.
        """

    def start_from(
        self, trained: DiscreteAutoencoder, draw: Draw, generator: torch.Generator
    ) -> None:
        """Take the weights of a trained autoencoder instead of :meth:`fit`.

        Args:
            trained: of the same sizes.
            draw, generator: as :meth:`fit` has them.
        """
        self.load_state_dict(trained.state_dict())

    @classmethod
    def goes_on_from(cls, trained: DiscreteAutoencoder) -> bool:
        """Whether :meth:`start_from` accepts it, given the same sizes."""
        return type(trained) is cls

    @abstractmethod
    def training_step(self, x: Tensor, progress: float, generator: torch.Generator) -> StepResult:
        """Loss and metrics of one batch, ``progress`` in [0, 1) through the run."""

    @abstractmethod
    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Codes ``(batch, codes)``.

        Args:
            x: ``(batch, *shape)``.
            effort: candidates for each x, of which the best reconstruction is kept, or rounds of a
                search for better ones.
            temperature: 0 takes the most likely code at each position; at ``effort`` 1
                a positive value samples.
            generator: source of randomness.
        """

    @abstractmethod
    def decode_parameters(self, codes: Tensor) -> Tensor:
        """Parameters of p(x | z), as its likelihood has them, of codes ``(batch, codes)``.

        Where :attr:`decodes_prefixes`, there may be fewer codes than a window has.
        """

    def decode(self, codes: Tensor) -> Tensor:
        """Mean of p(x | z), ``(batch, *shape)``, of codes ``(batch, codes)``."""
        return self.likelihood.mean(self.decode_parameters(codes))

    def encode_sequence(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Codes ``(batch, windows, codes)`` of consecutive windows.

        Args:
            x: ``(batch, windows, *shape)``.
            effort, temperature, generator: as :meth:`encode` has them.
        """
        codes = self.encode(
            x.flatten(0, 1), effort=effort, temperature=temperature, generator=generator
        )
        return codes.unflatten(0, x.shape[:2])

    def encode_clips(
        self, clips: Sequence[Tensor], *, effort: int = 1, first: int | None = None
    ) -> list[Tensor]:
        """Codes ``(windows, codes)`` of each of several clips, which know nothing of each other.

        As :meth:`encode_sequence` has them one after the other, up to rounding, in less time.

        Args:
            clips: ``(windows, *shape)``, a few windows in all.
            effort, first: as :meth:`encode_sequence` has them; ``first`` only if
                :attr:`fits_first`.
        """
        codes = self.encode(torch.cat(list(clips)), effort=effort)
        return list(codes.split([len(clip) for clip in clips]))

    def decode_sequence(self, codes: Tensor) -> Tensor:
        """Means ``(batch, windows, *shape)`` of codes ``(batch, windows, codes)``."""
        return self.decode(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def code_log_probabilities(self, x: Tensor, codes: Tensor) -> Tensor:
        """log q(z_n | z_<n, x) ``(batch, windows, codes)``, nats, of codes of that shape.

        Args:
            x: ``(batch, windows, *shape)``, consecutive windows.
            codes: of them.

        Raises:
            TokenizerError: the encoder is no distribution.
        """
        policy = getattr(self, "policy", None)
        if not isinstance(policy, Policy):
            raise TokenizerError(
                f"the encoder of method {self.config.method.name} is deterministic: its codes "
                "have no log-probability"
            )
        flat = codes.flatten(0, 1)
        logp = policy.log_probabilities(x.flatten(0, 1), flat[:, None])[:, 0]
        return logp.gather(-1, flat[..., None])[..., 0].view(codes.shape)

    def log_p(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x | z) ``(batch, samples)`` of codes ``(batch, samples, codes)``.

        Returns:
            Beside it the parameters of p ``(batch, samples, ...)``.
        """
        found = self.decode_parameters(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
        # A sum over thousands of numbers, whatever autocast made of them.
        found = found.to(torch.promote_types(found.dtype, torch.float32))
        return self.likelihood.log_density(x[:, None], found), found

    def likeliest(self, x: Tensor, tried: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of ``tried (batch, tries, codes)`` with the largest p(x | z), and log p."""
        score, place = self.log_p(x, tried)[0].max(dim=1)
        return tried[torch.arange(len(x), device=x.device), place], score

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW groups: weight decay on matrices only, none on biases, norms and embeddings.

        ``clip`` says whether the group's gradients are clipped. A group with its own ``lr`` keeps
        it; the others follow the run's learning rate, or their ``share`` of it.
        """
        matrices: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        embeddings = {
            id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding | nn.LayerNorm)
        }
        for parameter in self.shared_parameters():
            plain = parameter.dim() >= 2 and id(parameter) not in embeddings
            (matrices if plain else rest).append(parameter)
        return [
            {"params": matrices, "weight_decay": 1e-4, "clip": True},
            {"params": rest, "weight_decay": 0.0, "clip": True},
        ]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters under the common learning rate and clipping."""
        return [p for p in self.parameters() if p.requires_grad]
