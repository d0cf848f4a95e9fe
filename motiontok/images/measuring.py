"""Measures of an autoencoder of images on held-out ones."""

from __future__ import annotations

from torch import Tensor

from motiontok.evaluate.observations import Errors, evaluate_observations
from motiontok.evaluate.usage import CodeUsage
from motiontok.methods import DiscreteAutoencoder

__all__ = ["measure_images"]

_VALUES = 2**22


def measure_images(
    method: DiscreteAutoencoder, images: Tensor, errors: Errors, *, seed: int = 0, effort: int = 1
) -> tuple[dict[str, float], CodeUsage]:
    """The paper's metrics of reconstructed images, and how codes are used.

    Args:
        method: left in evaluation mode.
        images: ``(images, channels, height, width)``, standardised.
        errors: of reconstructions from originals.
        seed: of samples.
        effort: of encoding.

    Returns:
        Metrics of :func:`~motiontok.evaluate.observations.evaluate_observations` (``mse``,
        ``psnr``, ``ssim``, ``log_p``; of a policy ``kl``, ``elbo``, ``beta_elbo`` and
        ``sampled_*``) and of :class:`~motiontok.evaluate.usage.CodeUsage`, whose counts
        come beside them.
    """
    method.eval()
    model = method.config.model
    largest = max(images[0].numel(), model.codes_per_window * model.vocab_size)
    metrics, codes = evaluate_observations(
        method, images, errors, seed=seed, effort=effort, batch=max(_VALUES // largest, 1)
    )
    usage = CodeUsage.of(codes.cpu().numpy(), model.vocab_size)
    return metrics | usage.summary(), usage
