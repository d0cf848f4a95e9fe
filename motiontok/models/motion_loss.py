"""The error of decoded motion as one number to train on: poses, their change, feet, the path.

All parts are mean squares of metres, so that their weights compare them directly.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bvh.motion import FPS
from bvh.skeleton import FEET, JOINTS
from motiontok.data import COLUMNS, FEATURES, Statistics
from motiontok.data.features import STANDING

__all__ = ["POWER", "Feet", "MotionLoss"]

POWER = 0.75
"""Weights of mean square errors, see :class:`MotionLoss`."""

# Metres that a unit of each column counts for: how far it moves a hand, a foot or the whole body.
_METRES = {
    "yaw_rate": 0.1,
    "velocity": 0.25,
    "height": 0.6,
    "tilt": 0.15,
    "rotations": 0.045,
    "positions": 1.0,
    "contacts": 0.02,
}
# Positions say all that rotations say but the twist of limbs, and how what is at their ends is
# held: what that moves is beyond the last joint.
_ENDS = {"Foot": 0.08, "Head": 0.08, "Hand": 0.06}
_YAW, _VELOCITY = COLUMNS["yaw_rate"], COLUMNS["velocity"]
_HEIGHT = COLUMNS["height"]
_ROOT = slice(_YAW.start, _VELOCITY.stop)
_POSITIONS, _CONTACTS = COLUMNS["positions"], COLUMNS["contacts"]
_FEET = [_POSITIONS.start + 3 * (joint - 1) + axis for joint in FEET for axis in range(3)]
_JOINTS = (_POSITIONS.stop - _POSITIONS.start) // 3

_FLOOR = 1e-4  # of square errors

# Weights beside that of columns, which is 1.
_SPEED = 0.5  # of positions, metres a frame
_ACCELERATION = 0.5  # of positions, metres a frame a frame
_SLIDE = 4.0  # of feet that stand, metres a frame
_PATH = 0.02  # of the root, metres from where the stretch began
_LEVER = 0.3  # metres that a radian of heading moves the body by


class Feet(NamedTuple):
    """Movement of feet and toes in frames.

    Attributes:
        height: ``(batch, frames, 4)``, m above their standing height.
        steps: ``(batch, frames - 1, 4, 3)``, movement since the frame before, m.
        contacts: ``(batch, frames, 4)``, contact columns of the frames, 0 to 1.
        metre: a unit of positions, m.
    """

    height: Tensor
    steps: Tensor
    contacts: Tensor
    metre: Tensor


class MotionLoss(nn.Module):
    """Mean square error of stretches of motion, in units of the deviation of positions.

    It takes frames as :meth:`frames` makes them: velocities of the root instead of running sums,
    and all columns in metres of the movement that they cause, minus their means.

    Args:
        statistics: that standardise the windows; saved weights contain theirs.
    """

    unit: Tensor
    middle: Tensor
    origin: Tensor
    raw: Tensor
    mean: Tensor
    feet: Tensor

    def __init__(self, statistics: Statistics | None) -> None:
        super().__init__()
        scale, mean = torch.ones(FEATURES), torch.zeros(FEATURES)
        if statistics is not None:
            scale, mean = statistics.scale.clone(), statistics.mean.clone()
        worth = torch.ones(FEATURES)
        for name, metres in _METRES.items():
            worth[COLUMNS[name]] = metres
        for joint, name in enumerate(JOINTS[1:]):
            for end, metres in _ENDS.items():
                if name.endswith(end):
                    first = COLUMNS["rotations"].start + 6 * joint
                    worth[first : first + 6] = metres
        metre = scale[_POSITIONS.start]
        # Running sums in seconds' worth: a frame's share of them is a velocity over 30.
        rate = torch.ones(FEATURES)
        rate[_ROOT] = FPS
        self.register_buffer("unit", rate * scale * worth / metre)
        self.register_buffer("raw", metre / worth)
        self.register_buffer("mean", mean.masked_fill(torch.arange(FEATURES) < _ROOT.stop, 0.0))
        self.register_buffer("origin", (-mean / scale)[_ROOT].clone())
        self.register_buffer("middle", torch.zeros(_ROOT.stop))
        self.register_buffer("feet", torch.tensor(_FEET), persistent=False)

    def centre(self, windows: Tensor) -> None:
        """Find the means of velocities; those of the other columns are zero already."""
        self.middle.zero_()
        self.middle.copy_(self.frames(windows)[..., _ROOT].flatten(0, 1).mean(dim=0))

    def frames(self, windows: Tensor) -> Tensor:
        """Frames ``(batch, windows * frames, columns)``, the root's running sums made velocities.

        Args:
            windows: standardised, ``(batch, windows, frames, columns)``.
        """
        sums = windows[..., _ROOT]
        before = self.origin.expand(*sums.shape[:-2], 1, -1).to(sums)
        root = torch.diff(sums, dim=-2, prepend=before) * self.unit[_ROOT] - self.middle
        rest = windows[..., _ROOT.stop :] * self.unit[_ROOT.stop :]
        return torch.cat([root, rest], dim=-1).flatten(1, 2)

    def windows(self, frames: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The inverse of :meth:`frames`: windows of ``shape``."""
        x = frames.reshape(shape)
        steps = (x[..., _ROOT] + self.middle) / self.unit[_ROOT]
        sums = steps.cumsum(dim=-2) + self.origin
        return torch.cat([sums, x[..., _ROOT.stop :] / self.unit[_ROOT.stop :]], dim=-1)

    def velocities(self, frames: Tensor) -> Tensor:
        """Yaw rate (rad/s) and velocity forward and left (m/s) ``(..., 3)`` of frames."""
        return (frames[..., _ROOT] + self.middle) * self.raw[_ROOT]

    def feet_of(self, frames: Tensor) -> Feet:
        """Movement of feet in frames ``(batch, frames, columns)``."""
        metre = self.raw[_POSITIONS.start]
        below = self.feet[2::3]
        own = frames.index_select(-1, below) * metre + self.mean.index_select(0, below)
        root = frames[..., _HEIGHT] * self.raw[_HEIGHT] + self.mean[_HEIGHT]
        height = root + own - own.new_tensor(STANDING)
        return Feet(height, self._steps(frames) * metre, self._contacts(frames), metre)

    def positions_of(self, frames: Tensor) -> Tensor:
        """Positions ``(batch, frames, 63)`` minus their means, in units of their deviation."""
        return frames[..., _POSITIONS]

    def forward(self, found: Tensor, wanted: Tensor, *, length: int) -> Tensor:
        """Error ``(batch, frames / length)`` of each ``length`` frames.

        It is their mean square to the power of 3/4. A fall errs by ten times what a step does:
        its square would be all that is learned from; a root, which is what people judge by, would
        leave it to chance.

        Args:
            found, wanted: ``(batch, frames, columns)``.
            length: frames that count together.
        """
        mean = self.by_frame(found, wanted).unflatten(1, (-1, length)).mean(dim=-1)
        return (mean + _FLOOR) ** POWER

    def by_frame(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Square error of each frame ``(batch, frames)``."""
        off = found - wanted
        slide = self._standing(wanted) * (self._steps(found) - self._steps(wanted))
        lines = [*self._linear(off), slide.flatten(-2) * (_SLIDE / (3 * len(FEET))) ** 0.5]
        out = torch.zeros_like(off[..., 0])
        for line in lines:
            # Changes are of the later frame.
            out[:, out.shape[1] - line.shape[1] :] += line.square().sum(dim=-1)
        return out

    def responses(self, off: Tensor) -> Tensor:
        """Vectors ``(batch, n)`` whose squares add up to :meth:`by_frame`, but for feet.

        Args:
            off: errors ``(batch, frames, columns)``.
        """
        return torch.cat([rows.flatten(1) for rows in self._linear(off)], dim=1)

    def _linear(self, off: Tensor) -> list[Tensor]:
        """The terms that are squared and summed over columns: frames, and changes between them."""
        share = (3 * _JOINTS) ** -0.5
        positions = off[..., _POSITIONS]
        speed = positions.diff(dim=1)
        turn = (off[..., _YAW] * (self.raw[_YAW] / self.raw[_POSITIONS.start] * _LEVER)).cumsum(1)
        way = (off[..., _VELOCITY] * (self.raw[_VELOCITY] / self.raw[_POSITIONS.start])).cumsum(1)
        path = torch.cat([turn, way], dim=-1) / FPS
        return [
            off * share,
            speed * (share * _SPEED**0.5),
            speed.diff(dim=1) * (share * _ACCELERATION**0.5),
            path * (_PATH / 3.0) ** 0.5,
        ]

    def _steps(self, frames: Tensor) -> Tensor:
        """What feet move by on the floor in a frame, ``(batch, frames - 1, 4, 3)``.

        The unit is positions' standard deviation.
        """
        root = self.velocities(frames[..., 1:, :]) / FPS
        metre = self.raw[_POSITIONS.start]
        off = frames.index_select(-1, self.feet)
        feet = (off + self.mean.index_select(0, self.feet) / metre).unflatten(-1, (-1, 3))
        moved = feet.diff(dim=-3)
        x, y, _ = feet[..., :-1, :, :].unbind(-1)
        turn = root[..., None, 0]
        way = root[..., None, 1:] / metre
        rise = (frames[..., _HEIGHT] * self.raw[_HEIGHT] / metre).diff(dim=-2).expand_as(x)
        with_root = torch.stack([way[..., 0] - turn * y, way[..., 1] + turn * x, rise], dim=-1)
        return moved + with_root

    def _standing(self, frames: Tensor) -> Tensor:
        """Contact of each foot, ``(batch, frames - 1, 4, 1)``, 0 to 1."""
        at = self._contacts(frames)
        both = torch.minimum(at[..., 1:, :], at[..., :-1, :])
        return both.clamp(0.0, 1.0)[..., None]

    def _contacts(self, frames: Tensor) -> Tensor:
        """Contact columns of the frames, ``(batch, frames, 4)``."""
        return frames[..., _CONTACTS] * self.raw[_CONTACTS] + self.mean[_CONTACTS]
