"""Common parts of autoencoders whose encoder is a policy: networks, rewards, encoding."""

from __future__ import annotations

import math
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from motiontok.config import Config
from motiontok.methods.base import DiscreteAutoencoder
from motiontok.methods.networks import Networks
from motiontok.methods.schedule import exponential_decay
from motiontok.models import AutoregressivePolicy, FactorisedPolicy, LearnedLopqPolicy, Policy
from motiontok.models.activation_cache import ActivationCache
from motiontok.models.cuda_graph import CudaGraphSampler, Sampler

__all__ = ["PolicyAutoencoder"]

# Bytes of the largest activation of a chunk: on a CPU what stays in its cache, on a GPU what
# leaves room in 24 GB for some fifty of them.
_CHUNK = {"cpu": 2**24, "cuda": 2**29}
# Bytes that sampling may keep of a batch for its gradients: twice what 64 tokens of 1,024 values,
# 8 times for each of 32 windows, take.
_RECALL = 2**29


class PolicyAutoencoder(DiscreteAutoencoder):
    """A policy q(z | x), a decoder p(x | z), and an annealed entropy weight.

    Attributes:
        factorised: whether tokens are independent given x (the ``-na`` methods).
        decoder: codes ``(batch, codes)`` to parameters of p(x | z).
    """

    factorised: ClassVar[bool] = False
    decoder: nn.Module
    policy: AutoregressivePolicy | FactorisedPolicy | LearnedLopqPolicy

    def __init__(self, config: Config, networks: Networks) -> None:
        super().__init__(config, networks)
        self.decoder = self._make_decoder(networks)
        self.policy = self._make_policy(networks)
        # A function, not the policy: the weights would be saved twice.
        self._sampler: Sampler = CudaGraphSampler(self._sample)

    def _make_decoder(self, networks: Networks) -> nn.Module:
        return networks.decoder()

    def _make_policy(
        self, networks: Networks
    ) -> AutoregressivePolicy | FactorisedPolicy | LearnedLopqPolicy:
        return networks.factorised_policy() if self.factorised else networks.policy()

    @property
    def largest_kl(self) -> float:
        """KL of a deterministic encoder to the uniform prior, nats: N log V."""
        return self.config.model.codes_per_window * math.log(self.config.model.vocab_size)

    def beta(self, progress: float) -> float:
        """Entropy weight at ``progress`` in [0, 1] through the run."""
        method = self.config.method
        return exponential_decay(progress, start=method.beta_start, end=method.beta_end)

    def kl(self, logp: Tensor) -> Tensor:
        """KL(q || uniform) along a sequence, nats, of ``logp (..., codes, vocab)``."""
        return self.largest_kl + (logp.exp() * logp).sum(dim=(-1, -2))

    def recall(self, x: Tensor) -> ActivationCache | None:
        """A cache of activations from drawing codes of ``x``, for their gradients, if it pays.

        It pays on a CPU without autocast, in batches that it can keep completely. A GPU draws by a
        captured graph, and autocast casts between products.
        """
        model, samples = self.config.model, self.config.method.samples
        # Of a token: attention's four and two products, the MLP's four widths and one; logits.
        each = model.layers * 11 * model.width + model.vocab_size
        count = len(x) * samples * model.codes_per_window * each
        if (
            x.device.type != "cpu"
            or torch.is_autocast_enabled("cpu")
            or not isinstance(self.policy, AutoregressivePolicy)
            or count * x.element_size() > _RECALL
        ):
            return None
        return ActivationCache(samples, model.codes_per_window)

    def draw(
        self,
        x: Tensor,
        samples: int,
        generator: torch.Generator,
        recall: ActivationCache | None = None,
    ) -> Tensor:
        """Codes ``(batch, samples, codes)`` from the policy, for a training step."""
        # Position by position, in the order in which they are used.
        shape = (self.config.model.codes_per_window, len(x) * self.group.size, samples)
        noise = torch.rand(shape, generator=generator, device=x.device, dtype=x.dtype)
        noise = self.group.shard(noise.permute(1, 2, 0))
        if recall is not None:
            policy = cast(AutoregressivePolicy, self.policy)
            return policy.sample(x, samples, noise=noise, recall=recall)[0]
        return self._sampler(x, noise)

    def _sample(self, x: Tensor, noise: Tensor) -> Tensor:
        codes, _ = self.policy.sample(x, noise.shape[1], noise=noise)
        # Weights that were cast without gradients are not for what comes next.
        torch.clear_autocast_cache()
        return codes

    def chunk(self, codes: Tensor) -> int:
        """Observations at a time in the gradient phase, of codes ``(batch, samples, codes)``."""
        if self.config.train.chunk:
            return self.config.train.chunk
        model = self.config.model
        widest = max(model.vocab_size, 4 * model.width, 4 * model.decoder_width)
        each = codes[0].numel() * widest * 4
        return max(1, _CHUNK.get(codes.device.type, _CHUNK["cuda"]) // each)

    def reward(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x | z) ``(batch, samples)`` and means of p ``(batch, samples, *shape)``."""
        score, found = self.log_p(x, codes)
        return score, self.likelihood.mean(found)

    @torch.no_grad()
    @override
    def encode(
        self,
        x: Tensor,
        *,
        effort: int = 1,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        policy: Policy = self.policy
        if effort == 1:
            return policy.sample(x, 1, temperature=temperature, generator=generator)[0][:, 0]
        greedy, _ = policy.sample(x, 1, temperature=0.0)
        drawn, _ = policy.sample(x, effort - 1, temperature=temperature or 1.0, generator=generator)
        return self.likeliest(x, torch.cat([greedy, drawn], dim=1))[0]

    @override
    def decode_parameters(self, codes: Tensor) -> Tensor:
        return self.decoder(codes)
