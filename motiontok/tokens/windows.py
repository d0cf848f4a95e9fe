"""Windows of raw features to codes and back, in chunks on the network's device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bvh.rotations import Array
from motiontok.data import Statistics, accumulate, differentiate, split_windows
from motiontok.errors import CodesError
from motiontok.methods import DiscreteAutoencoder

__all__ = [
    "cut_windows",
    "decode_windows",
    "encode_clips",
    "encode_windows",
    "log_prob_windows",
    "standardized",
]

_CHUNK = 256
_TOGETHER = 64
"""Windows of short clips to encode together; more are hardly faster."""


def cut_windows(features: Array, length: int) -> Array:
    """Windows ``(..., windows, length, 203)`` of features ``(..., frames, 203)``."""
    rows = features.reshape(-1, *features.shape[-2:])
    cut = np.stack([split_windows(row, length) for row in rows])
    return cut.reshape(*features.shape[:-2], *cut.shape[1:])


def standardized(windows: Array, statistics: Statistics) -> Tensor:
    """As methods take them, ``(count, frames, 203)``, of raw windows ``(..., frames, 203)``."""
    flat = windows.reshape(-1, *windows.shape[-2:])
    return statistics.standardize(accumulate(torch.tensor(flat, dtype=torch.float32)))


def _sequences(method: DiscreteAutoencoder, shape: Sequence[int]) -> tuple[int, int]:
    """(sequences, windows of each) of ``shape``; independent windows are sequences of one."""
    count = math.prod(shape)
    windows = shape[-1] if method.joins_windows and shape else 1
    return count // windows, windows


def encode_windows(
    method: DiscreteAutoencoder,
    statistics: Statistics,
    windows: Array,
    *,
    effort: int,
    temperature: float,
    generator: torch.Generator | None,
    first: int | None = None,
    rate_weight: float = 0.0,
) -> Tensor:
    """Codes ``(..., windows, codes)`` of consecutive windows, on the method's device.

    Args:
        method: encodes.
        statistics: standardise the features.
        windows: raw features ``(..., windows, frames, 203)``.
        effort, temperature, generator: as
            :meth:`~motiontok.methods.base.DiscreteAutoencoder.encode` has them.
        first: number of codes to keep of each window; all by default.
        rate_weight: what a nat of the tokens' own prior costs, of methods that have one.
    """
    device = method.device
    count = _sequences(method, windows.shape[:-2])
    x = standardized(windows, statistics).unflatten(0, count)
    # Only some methods take a weight of rates, or a number of first codes.
    more: dict[str, Any] = {"rate_weight": rate_weight} if rate_weight else {}
    if first and method.fits_first:
        more["first"] = first
    parts = [
        method.encode_sequence(
            part.to(device), effort=effort, temperature=temperature, generator=generator, **more
        )
        for part in x.split(max(1, _CHUNK // (effort * count[1])))
    ]
    codes = torch.cat(parts)[..., :first]
    return codes.reshape(*windows.shape[:-2], -1)


def encode_clips(
    method: DiscreteAutoencoder,
    statistics: Statistics,
    clips: Sequence[Array],
    *,
    effort: int,
    first: int | None = None,
) -> list[Tensor]:
    """Codes ``(windows, codes)`` of each clip, short ones together, in half of the time.

    Args:
        method, statistics, effort, first: as :func:`encode_windows` has them.
        clips: windows of raw features ``(windows, frames, 203)`` of each.
    """
    groups: list[list[Array]] = []
    room = 0
    for windows in clips:
        if len(windows) > room:
            groups.append([])
            room = _TOGETHER
        groups[-1].append(windows)
        room -= len(windows)
    out: list[Tensor] = []
    for some in groups:
        # Independent windows, times their candidates, are many rows already.
        if len(some) == 1 or (effort > 1 and not method.joins_windows):
            for windows in some:
                codes = encode_windows(
                    method,
                    statistics,
                    windows,
                    effort=effort,
                    temperature=0.0,
                    # Each clip's own, as if it were alone.
                    generator=torch.Generator(method.device).manual_seed(0),
                    first=first,
                )
                out.append(codes)
            continue
        x = [standardized(one, statistics).to(method.device) for one in some]
        more = {"first": first} if method.fits_first else {}
        out += [codes[:, :first] for codes in method.encode_clips(x, effort=effort, **more)]
    return out


@torch.no_grad()
def decode_windows(method: DiscreteAutoencoder, statistics: Statistics, codes: Tensor) -> Array:
    """Raw features ``(..., windows, frames, 203)``, float64, of codes ``(..., windows, codes)``."""
    device = method.device
    count = _sequences(method, codes.shape[:-1])
    z = codes.reshape(*count, codes.shape[-1])
    parts = z.split(max(1, _CHUNK // count[1]))
    means = torch.cat([method.decode_sequence(part.to(device)).cpu() for part in parts])
    raw: Array = differentiate(statistics.restore(means)).double().numpy()
    return raw.reshape(*codes.shape[:-1], *raw.shape[2:])


@torch.no_grad()
def log_prob_windows(
    method: DiscreteAutoencoder, statistics: Statistics, windows: Array, codes: Tensor
) -> Tensor:
    """log q of each code ``(..., codes)`` given its window and the codes before it, nats.

    Raises:
        CodesError: there are not as many windows of codes as of features.
        TokenizerError: the encoder is no distribution.
    """
    if codes.shape[:-1] != windows.shape[:-2]:
        raise CodesError(
            f"codes: expected windows {windows.shape[:-2]} as of the motion, got "
            f"{tuple(codes.shape[:-1])}"
        )
    count = _sequences(method, codes.shape[:-1])
    x = standardized(windows, statistics).unflatten(0, count)
    z = codes.reshape(*count, codes.shape[-1])
    size = max(1, _CHUNK // count[1])
    parts = [
        method.code_log_probabilities(some.to(method.device), own.to(method.device))
        for some, own in zip(x.split(size), z.split(size), strict=True)
    ]
    return torch.cat(parts).reshape(codes.shape)
