"""Drawn codes, chosen anew so that feet stand and windows follow their commands.

A prior draws the coarse codes of a window. Each is likely after the ones before it, but they
describe the feet too coarsely, and their small errors add up: feet slide, joints tremble. Decoded
motion is smooth in the quantiser's components. So these are moved along the decoder's gradients
until low, slow feet stand still, and are then quantised anew.

Target poses of a motion (:mod:`motiontok.prior.target_poses`) are met the same way. Drawn frames
are bent through them and encoded, and the components are moved from there. Straight-through steps
win back what the quantiser loses of a pose: the gradients at the quantised components move the
unquantised ones (as in van den Oord et al. 2017), and the codes with the least loss are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bvh.foot_contacts import soft_contact
from bvh.motion import FPS
from motiontok.data import COLUMNS, Start
from motiontok.errors import InputError
from motiontok.methods import DiscreteAutoencoder
from motiontok.methods.quantizers.temporal import Temporal
from motiontok.models.residual_quantizer import ResidualQuantizer
from motiontok.prior.bridges import Departure
from motiontok.prior.pose_goals import PoseGoals, path_of
from motiontok.prior.target_poses import TargetPose

__all__ = ["decoded_frames", "plant_codes", "require_temporal"]

_STEPS, _RATE = 30, 0.1  # the rate, in components, is that of the first step and falls to zero
_QUICK_STEPS, _QUICK_RATE = 15, 0.15
_BEAM = 8
_AT_ONCE = 64  # windows

# Steps through poses are smaller: the loss of a pose is steep.
_POSE_STEPS, _POSE_RATE = 15, 0.03
_CLOSER_STEPS, _CLOSER_RATE = 60, 0.02

# Weights beside the square error of what was drawn, which is 1.
_SLIDE = 600.0  # of feet that stand
_STAND = 3.0  # of contacts that differ from what feet do
_SMOOTH = 300.0  # of positions' second differences
_COMMAND = 300.0  # of a window's mean velocity (m/s) and yaw rate (rad/s)
_POSTURE = 200.0  # of a window's mean rotations of joints
_POSE = 3e4  # of a pose's mean square distance (m2)


def plant_codes(
    method: DiscreteAutoencoder | None,
    codes: Tensor,
    commands: Tensor | None = None,
    *,
    given: int = 0,
    quick: bool = False,
    poses: Sequence[TargetPose] = (),
    start: Start | None = None,
    departures: Sequence[Sequence[Departure] | None] = (),
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
        poses: to go through, in metres of the reference body; their times count from the end of
            the given windows.
        start: place and heading of frame 0, to which the poses' places are relative.
        departures: of the ways to each pose, as :class:`~motiontok.prior.pose_goals.PoseGoals` has
            them.

    Returns:
        ``(batch, windows, codes)``.
    """
    if poses:
        require_temporal(method)
    if not isinstance(method, Temporal):
        return codes
    place, before = method.device, -(-method.reach // method.config.data.window)
    span = max(1, _AT_ONCE // len(codes))
    out = codes.to(place, copy=True)
    asked = torch.full((*codes.shape[:2], 3), torch.nan, device=place)
    if commands is not None:
        asked[:, given:] = commands.to(place)
    first = given
    while first < codes.shape[1]:
        seen, end = max(0, first - before), first + span
        goals = None
        if poses and first == given:
            # All windows up to the last pose are chosen together.
            goals, last = _goals(method, out, given, seen, poses, start or Start(), departures)
            end = max(end, last + 2)
        part = slice(seen, end)
        out[:, part] = _planted(method, out[:, part], asked[:, part], first - seen, quick, goals)
        first = end
    return out.to(codes.device)


def require_temporal(method: DiscreteAutoencoder | None) -> Temporal:
    """The tokenizer's method, if motion can go through poses with it.

    Raises:
        InputError: the method is not temporal.
    """
    if not isinstance(method, Temporal):
        raise InputError(
            "target poses need a prior of a temporal or daps-temporal tokenizer, as the default is"
        )
    return method


def _goals(
    method: Temporal,
    codes: Tensor,
    given: int,
    seen: int,
    poses: Sequence[TargetPose],
    start: Start,
    departures: Sequence[Sequence[Departure] | None],
) -> tuple[PoseGoals, int]:
    """Poses among the frames from window ``seen`` on, and the window of the last pose."""
    window = method.config.data.window
    frames = [pose.frame(given * window, codes.shape[1] * window, FPS) for pose in poses]
    begin = codes.new_tensor([[start.x, start.y, start.yaw]], dtype=torch.float32)
    if seen:
        past = path_of(method.error, decoded_frames(method, codes[:, :given]), begin, first=True)
        # Without the windows before them the first frames move a little differently. So the stretch
        # begins where it has to for the last given frame to be in its place.
        alone = decoded_frames(method, codes[:, seen:given])
        own = path_of(method.error, alone, torch.zeros_like(begin), first=False)[:, -1]
        yaw = past[:, -1, 2] - own[:, 2]
        x, y, cos, sin = *own[:, :2].unbind(-1), yaw.cos(), yaw.sin()
        back = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)
        begin = torch.cat([past[:, -1, :2] - back, yaw[:, None]], dim=-1)
    at = [frame - seen * window for frame in frames]
    goals = PoseGoals(method.error, poses, at, begin, first=not seen, departures=departures)
    return goals, frames[-1] // window


def decoded_frames(method: Temporal, codes: Tensor) -> Tensor:
    """Frames ``(batch, frames, columns)`` of codes ``(batch, windows, codes)``."""
    with torch.no_grad():
        return _frames(method, _components(method, codes))


def _planted(
    method: Temporal,
    codes: Tensor,
    asked: Tensor,
    given: int,
    quick: bool,
    goals: PoseGoals | None,
) -> Tensor:
    """:func:`plant_codes` of few windows."""
    quantizer, count = method.quantizer, codes.shape[1]
    with torch.no_grad():
        drawn = _components(method, codes)
        frames, aim = _frames(method, drawn), drawn
        if goals is not None:
            frames = goals.bent(frames, given * method.config.data.window)
            aim = (method.encoder(frames).unflatten(1, (count, -1)).flatten(2) - quantizer.mean) @ (
                quantizer.analysis
            )
        done = _means(method, frames, count)
        asked = torch.where(asked.isfinite(), asked, done)[:, given:]
        posture = _posture(frames, count)

    def loss_of(free: Tensor) -> Tensor:
        """Loss of each row of the batch."""
        frames = _frames(method, torch.cat([drawn[:, :given], free], dim=1))
        missed = _means(method, frames, count)[:, given:] - asked
        loss = (
            (free - aim[:, given:]).square().sum(dim=(1, 2))
            + _COMMAND * missed.square().sum(dim=(1, 2))
            + _unrest(method, frames)
        )
        if goals is not None:  # poses say how the body is held
            return loss + _POSE * goals.missed(frames).sum(dim=1)
        turned = (_posture(frames, count) - posture)[:, given:]
        return loss + _POSTURE * turned.square().sum(dim=(1, 2))

    free = aim[:, given:].clone()
    steps, rate = (_QUICK_STEPS, _QUICK_RATE) if quick else (_STEPS, _RATE)
    if goals is not None:
        steps, rate = _POSE_STEPS, _POSE_RATE
    optimizer = torch.optim.Adam([free])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1.0 - step / steps)
        free.grad = _slopes(loss_of, free)[1]
        optimizer.step()
    found = _quantized(quantizer, free, _BEAM)
    if goals is not None:
        found = _closer(method, loss_of, free, found)
    return torch.cat([codes[:, :given], found], dim=1)


def _closer(
    method: Temporal, loss_of: Callable[[Tensor], Tensor], free: Tensor, found: Tensor
) -> Tensor:
    """Codes with the least loss on the way of straight-through steps."""
    best, least = found, torch.full_like(free[:, 0, 0], torch.inf)
    optimizer = torch.optim.Adam([free], betas=(0.8, 0.99))
    for step in range(_CLOSER_STEPS):
        loss, free.grad = _slopes(loss_of, _components(method, found))
        better = loss < least
        best = torch.where(better[:, None, None], found, best)
        least = torch.where(better, loss, least)
        optimizer.param_groups[0]["lr"] = _CLOSER_RATE * (1.0 - step / _CLOSER_STEPS)
        optimizer.step()
        found = _quantized(method.quantizer, free, 1)
    return best


def _slopes(loss_of: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of each row, and its gradient in components."""
    here = at.detach().requires_grad_()
    with torch.enable_grad():
        loss = loss_of(here)
        # Not backward, which would also compute gradients of all weights.
        (slopes,) = torch.autograd.grad(loss.sum(), [here])
    return loss.detach(), slopes


def _components(method: Temporal, codes: Tensor) -> Tensor:
    """Components ``(batch, windows, components)`` that codes stand for."""
    flat = codes.flatten(0, 1)
    sized = method.quantizer.shapes(flat) * method.quantizer.levels[flat[:, :1]]
    return sized.unflatten(0, codes.shape[:2])


def _quantized(quantizer: ResidualQuantizer, components: Tensor, beam: int) -> Tensor:
    """Codes ``(batch, windows, codes)`` of components ``(batch, windows, components)``."""
    latents = components.flatten(0, 1) @ quantizer.synthesis + quantizer.mean
    return quantizer.encode(latents, beam=beam).unflatten(0, components.shape[:2])


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


def _posture(frames: Tensor, windows: int) -> Tensor:
    """Mean rotations of joints ``(batch, windows, columns)`` of frames."""
    return frames[..., COLUMNS["rotations"]].unflatten(1, (windows, -1)).mean(dim=2)


def _unrest(method: Temporal, frames: Tensor) -> Tensor:
    """Weighted sum of foot slide, contact error and tremble of joints in each row's frames."""
    feet = method.error.feet_of(frames)
    with torch.no_grad():
        stands = soft_contact(feet.height[:, 1:], feet.steps.norm(dim=-1) * FPS)
    slid = stands[..., None] * feet.steps / feet.metre
    slide = slid.square().sum(dim=(1, 2, 3)) / stands.shape[-1]
    wrong = (feet.contacts[:, 1:] - stands).square().sum(dim=(1, 2))
    joints = method.error.positions_of(frames)
    tremble = joints.diff(dim=1).diff(dim=1).square().sum(dim=(1, 2)) / joints.shape[-1]
    return _SLIDE * slide + _STAND * wrong + _SMOOTH * tremble
