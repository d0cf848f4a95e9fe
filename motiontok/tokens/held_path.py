"""Encoding that does not drift from the root's path."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bvh.motion import FPS
from bvh.rotations import Array
from motiontok.data import COLUMNS, Noise, Start, Statistics, StillnessFilter
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.quantizers.temporal import Temporal
from motiontok.models.step_convolutions import fixed_weights
from motiontok.tokens.path import root_path, rotated
from motiontok.tokens.windows import cut_windows, standardized

__all__ = ["encode_on_path"]

_TURN = COLUMNS["yaw_rate"].start
_VELOCITY = COLUMNS["velocity"]

_Codes: TypeAlias = NDArray[np.int64]
_Again: TypeAlias = Callable[[Array, int, int], _Codes]
"""Codes ``(codes,)`` of a window that has been corrected: of consecutive windows, it and those on
which it depends; its place among these; its number in the clip."""


def encode_on_path(
    features: Array,
    method: DiscreteAutoencoder,
    statistics: Statistics,
    *,
    encode: Callable[[Array], Tensor],
    decode: Callable[[_Codes], Array],
    noise: Noise,
    effort: int,
    first: int | None = None,
    anew: bool = False,
) -> _Codes:
    """Codes of a clip, each window corrected for the path error up to there.

    The decoded path's error in place and heading at the beginning of a window is added to the
    window's velocities, spread evenly over its frames, and the window is encoded again. So errors
    of windows do not add up. Later windows are used uncorrected; the path error that their final
    codes cause is corrected in its turn.

    Args:
        features: ``(frames, 203)`` raw.
        method: encodes.
        statistics: that standardise features.
        encode: windows to codes, as ``effort`` and ``first`` have them.
        decode: codes to windows.
        noise: of the decoder, used to hold still bodies: a held body's root stays in its place.
        effort: of encoding.
        first: number of codes of each window; all by default.
        anew: corrected windows are encoded from nothing, with a temporal method too, whose analysis
            is otherwise kept.

    Returns:
        ``(windows, codes)``.
    """
    window = method.config.data.window
    context = -(-method.reach // window)
    windows = cut_windows(features, window)
    place, heading = root_path(_standing(windows.reshape(-1, features.shape[1])), Start())
    if isinstance(method, Temporal) and not anew:
        codes, again = _analysed(windows, method, statistics, effort=effort, first=first)
    else:
        codes, again = encode(windows).cpu().numpy(), _anew(encode)
    # Where the decoded path is before each window; the last ones are found anew at each step.
    poses, filters = [Start()], [StillnessFilter(noise)]
    with fixed_weights(method):
        for n, x in enumerate(windows):
            begin = max(n - context, 0)
            if n:
                now, last = poses[n], n * window - 1
                x[:, _TURN] += (heading[last] - now.yaw) * FPS / window
                yaw = now.yaw + np.cumsum(x[:, _TURN]) / FPS
                step = np.diff(place[last : last + window + 1], axis=0)
                step = step + (place[last] - [now.x, now.y]) / window
                x[:, _VELOCITY] = FPS * rotated(step, -yaw)
                codes[n] = again(windows[begin : n + 1 + context], n - begin, n)
            known = max(begin - context, 0)
            decoded = decode(codes[known : n + 1 + context])[begin - known : n + 1 - known]
            del poses[begin + 1 :], filters[begin + 1 :]
            for frames in decoded:
                filters.append(filters[-1].copy())
                rows = filters[-1].push(frames)
                rows = rows if len(poses) > 1 else _standing(rows)
                positions, turned = root_path(rows, poses[-1])
                x_end, y_end = positions[-1]
                poses.append(Start(float(x_end), float(y_end), float(turned[-1])))
    return codes


def _anew(encode: Callable[[Array], Tensor]) -> _Again:
    def again(around: Array, place: int, number: int) -> _Codes:
        found: _Codes = encode(around)[place].cpu().numpy()
        return found

    return again


@torch.no_grad()
def _analysed(
    windows: Array, method: Temporal, statistics: Statistics, *, effort: int, first: int | None
) -> tuple[_Codes, _Again]:
    """Codes, and what moves that which is quantised as far as the encoder's latents move."""

    def ready(some: Array) -> Tensor:
        return standardized(some, statistics).to(method.device)[None]

    x = ready(windows)
    codes, quantized = method.analysed(x, effort=effort, first=first)
    added = quantized - method.latents_of(x)

    @torch.no_grad()
    def again(around: Array, place: int, number: int) -> _Codes:
        moved = method.latents_of(ready(around))[place] + added[number]
        found: _Codes = method.quantized(moved[None], first)[0].cpu().numpy()
        return found

    return codes.cpu().numpy(), again


def _standing(features: Array) -> Array:
    """Features whose first frame has no step from the frame before."""
    out = features.copy()
    out[0, [_TURN, _VELOCITY.start, _VELOCITY.start + 1]] = 0.0
    return out
