"""The DAPS paper's figures for images, to compare with measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from motiontok.config import Config

__all__ = ["PUBLISHED", "Published", "published_for"]


@dataclass(frozen=True)
class Published:
    """Validation results of the DAPS paper (Drolet et al., ICLR 2026), means over seeds.

    Attributes:
        beta_elbo: log p - beta_end KL, nats; None where it is not defined or not reported.
        psnr: dB.
        fid: None where it is not reported.
    """

    beta_elbo: float | None
    psnr: float
    fid: float | None = None


PUBLISHED: dict[str, dict[str, Published]] = {
    "mnist": {
        "fsq": Published(None, 18.42),
        "vqvae": Published(None, 18.45),
        "grmck": Published(-62.25, 16.78),
        "gumbel": Published(-68.07, 16.30),
        "gumbel-na": Published(-47.09, 18.21),
        "daps": Published(-46.54, 18.23),
        "daps-na": Published(-46.96, 18.36),
    },
    "cifar10": {
        "fsq": Published(None, 24.19, 163.00),
        "vqvae": Published(None, 24.19, 164.30),
        "grmck": Published(217.45, 22.69, 179.88),
        "gumbel": Published(704.92, 23.74, 169.87),
        "gumbel-na": Published(785.35, 24.27, 162.04),
        "daps": Published(1185.51, 25.21, 157.27),
        "daps-na": Published(977.39, 25.02, 156.33),
    },
    "imagenet": {
        "fsq": Published(None, 24.24, 54.54),
        "vqvae": Published(None, 23.83, 65.01),
        "grmck": Published(60_700.0, 23.01, 73.21),
        "gumbel-na": Published(85_200.0, 24.49, 51.66),
        "daps": Published(87_000.0, 24.66, 48.65),
        "daps-na": Published(78_800.0, 24.40, 57.43),
    },
}

# Codes of an image and values of a code.
_RATES = {"mnist": (8, 256), "cifar10": (64, 512), "imagenet": (1024, 1024)}


def published_for(config: Config) -> Mapping[str, Published]:
    """The paper's figures for these images at this size and rate, by method; else nothing.

    Args:
        config: of a run or of a comparison. The vocabulary may be a little smaller, as FSQ's
            products of levels are.
    """
    data, model = config.data, config.model
    codes, vocabulary = _RATES.get(data.dataset, (0, 0))
    same_rate = (
        model.codes_per_window == codes and 0.9 * vocabulary < model.vocab_size <= vocabulary
    )
    same_size = data.dataset != "imagenet" or data.size == 256
    return PUBLISHED[data.dataset] if same_rate and same_size else {}
