"""Drawn codes, chosen anew so that feet stand and windows follow their commands.

A prior draws the coarse codes of a window. Each is likely after the ones before it, but they
describe the feet too coarsely, and their small errors add up: feet slide, joints tremble. Decoded
motion is smooth in the quantiser's components. So these are moved along the decoder's gradients
until low, slow feet stand still, and are then quantised anew.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bvh.motion import FPS
from motiontok.data.features import contact
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.quantizers.temporal import Temporal

__all__ = ["plant_codes"]

_STEPS, _RATE = 30, 0.1  # the rate, in components, is the first; it falls to zero
_QUICK_STEPS, _QUICK_RATE = 15, 0.15
_BEAM = 8
_AT_ONCE = 64  # windows

# Weights beside the square error of what was drawn, which is 1.
_SLIDE = 600.0  # of feet that stand
_STAND = 3.0  # of contacts that differ from what feet do
_SMOOTH = 300.0  # of positions' second differences
_COMMAND = 300.0  # of a window's mean velocity (m/s) and yaw rate (rad/s)


def plant_codes(
    method: DiscreteAutoencoder | None,
    codes: Tensor,
    commands: Tensor | None = None,
    *,
    given: int = 0,
    quick: bool = False,
) -> Tensor:
    """Codes near the drawn ones whose feet slide less.

    Args:
        method: decodes; for methods other than temporal ones codes stay unchanged.
        codes: ``(batch, windows, codes)``.
        commands: ``(batch or 1, windows - given, 3)``, mean velocity forward and left (m/s) and yaw
            rate (rad/s) to follow; without commands, or where they are not finite, windows keep
            their decoded ones.
        given: number of earlier windows that stay unchanged.
        quick: take half of the steps, which is enough for commands, but not for plans.

    Returns:
        ``(batch, windows, codes)``.
    """
    if not isinstance(method, Temporal):
        return codes
    place, before = method.device, -(-method.reach // method.config.data.window)
    span = max(1, _AT_ONCE // len(codes))
    out = codes.to(place, copy=True)
    asked = torch.full((*codes.shape[:2], 3), torch.nan, device=place)
    if commands is not None:
        asked[:, given:] = commands.to(place)
    for first in range(given, codes.shape[1], span):
        seen = max(0, first - before)
        part = slice(seen, first + span)
        out[:, part] = _planted(method, out[:, part], asked[:, part], first - seen, quick)
    return out.to(codes.device)


def _planted(method: Temporal, codes: Tensor, asked: Tensor, given: int, quick: bool) -> Tensor:
    """:func:`plant_codes` of few windows."""
    quantizer, count = method.quantizer, codes.shape[:2]
    flat = codes.flatten(0, 1)
    with torch.no_grad():
        drawn = quantizer.shapes(flat) * quantizer.levels[flat[:, :1]]
        drawn = drawn.unflatten(0, count)
        done = _means(method, _frames(method, drawn), count[1])
        asked = torch.where(asked.isfinite(), asked, done)[:, given:]
    free = drawn[:, given:].clone().requires_grad_()
    optimizer = torch.optim.Adam([free])
    steps, rate = (_QUICK_STEPS, _QUICK_RATE) if quick else (_STEPS, _RATE)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1.0 - step / steps)
        with torch.enable_grad():
            frames = _frames(method, torch.cat([drawn[:, :given], free], dim=1))
            missed = _means(method, frames, count[1])[:, given:] - asked
            loss = (
                (free - drawn[:, given:]).square().sum()
                + _COMMAND * missed.square().sum()
                + _unrest(method, frames)
            )
            # Not backward, which would have slopes of all weights besides.
            (free.grad,) = torch.autograd.grad(loss, [free])
        optimizer.step()
    with torch.no_grad():
        latents = free.detach().flatten(0, 1) @ quantizer.synthesis + quantizer.mean
        found = quantizer.encode(latents, beam=_BEAM).unflatten(0, (count[0], -1))
    return torch.cat([codes[:, :given], found], dim=1)


def _frames(method: Temporal, components: Tensor) -> Tensor:
    """Frames ``(batch, frames, columns)`` of components ``(batch, windows, components)``."""
    latents = components @ method.quantizer.synthesis + method.quantizer.mean
    frames: Tensor = method.decoder(
        latents.flatten(1).unflatten(1, (components.shape[1] * method.steps, -1))
    )
    return frames


def _means(method: Temporal, frames: Tensor, windows: int) -> Tensor:
    """Mean velocities and yaw rates ``(batch, windows, 3)`` of frames."""
    said = method.error.velocities(frames).unflatten(1, (windows, -1)).mean(dim=2)
    return said[..., [1, 2, 0]]


def _unrest(method: Temporal, frames: Tensor) -> Tensor:
    """Weighted sum of foot slide, contact error and tremble of joints in frames."""
    feet = method.error.feet_of(frames)
    with torch.no_grad():
        stands = contact(feet.height[:, 1:], feet.steps.norm(dim=-1) * FPS)
    slide = (stands[..., None] * feet.steps / feet.metre).square().sum() / stands.shape[-1]
    wrong = (feet.contacts[:, 1:] - stands).square().sum()
    joints = method.error.positions_of(frames)
    tremble = joints.diff(dim=1).diff(dim=1).square().sum() / joints.shape[-1]
    return _SLIDE * slide + _STAND * wrong + _SMOOTH * tremble
