"""Target poses among decoded frames of a temporal tokenizer: distances, and bending.

Frames are in the decoder's own columns, places in metres of the reference body. Distances are
differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from bvh.foot_contacts import standing_by_both
from bvh.motion import FPS
from motiontok.data import COLUMNS, Start
from motiontok.data.easing import smoothstep_tensor
from motiontok.data.foot_locking import FREE, MEMORY, SURE
from motiontok.data.kinematics import wrapped
from motiontok.models.motion_loss import MotionLoss
from motiontok.prior.bridges import Departure, bridge
from motiontok.prior.target_poses import TargetPose

__all__ = ["LONG", "MEAN", "PoseGoals", "path_of"]

_AFTER = 15  # frames in which a motion returns from a pose to the drawn motion
_AROUND = 50  # frames on each side on which foot holding in a frame depends
_SHORT, MEAN, LONG = 6, 50, 75
"""Lengths of gaps between poses, frames. Gaps up to the first become bridges; with the mean of many
drawn ways, gaps up to the second. Gaps from the third on stay as drawn."""
_LEVER = 0.4  # m of body movement for a radian of heading
_BODY = slice(COLUMNS["tilt"].start, COLUMNS["positions"].stop)
_JOINTS = (COLUMNS["positions"].stop - COLUMNS["positions"].start) // 3
_METRE = COLUMNS["positions"].start
_HEIGHT = COLUMNS["height"].start


def path_of(error: MotionLoss, frames: Tensor, begin: Tensor, *, first: bool) -> Tensor:
    """Path of the root in frames, ``(batch, frames, 3)``: x, y (m) and heading (rad).

    Args:
        error: reads velocities from frames.
        frames: ``(batch, frames, columns)``.
        begin: ``(batch or 1, 3)`` of the frame before them or, if ``first``, of frame 0.
        first: whether no frame comes before them.
    """
    rates = error.velocities(frames) / FPS
    if first:
        # Frame 0 is at the start itself: there is no step to it.
        rates = torch.cat([torch.zeros_like(rates[:, :1]), rates[:, 1:]], dim=1)
    turn, forward, left = rates.unbind(-1)
    yaw = begin[:, 2:] + turn.cumsum(dim=1)
    step = _turned(forward, left, yaw)
    return torch.cat([begin[:, None, :2] + step.cumsum(dim=1), yaw[..., None]], dim=-1)


class PoseGoals:
    """Poses at frames of a stretch.

    Args:
        error: reads velocities, feet and positions from frames.
        poses: in metres of the reference body.
        frames: index of each pose in the stretch, rising.
        begin: ``(batch or 1, 3)``, as for :func:`path_of`.
        first: whether no frame comes before the stretch.
        departures: for each pose, mean departures of the ways to it in each row of the batch, or
            None where they are not known.
    """

    def __init__(
        self,
        error: MotionLoss,
        poses: Sequence[TargetPose],
        frames: Sequence[int],
        begin: Tensor,
        *,
        first: bool,
        departures: Sequence[Sequence[Departure] | None] = (),
    ) -> None:
        like = error.raw
        rows = torch.stack([torch.as_tensor(pose.features).to(like) for pose in poses])
        self.frames = list(frames)
        none: list[Sequence[Departure] | None] = [None] * len(self.frames)
        self._departures = list(departures) or none
        self._error, self._begin, self._first = error, begin, first
        self._wanted = (rows - error.mean) / error.raw
        places = [pose.place or Start() for pose in poses]
        self._places = like.new_tensor([[place.x, place.y, place.yaw] for place in places])
        self._placed = torch.tensor([pose.place is not None for pose in poses], device=like.device)
        self._metre = float(error.raw[_METRE])

    def path(self, frames: Tensor) -> Tensor:
        """Path of the root, by :func:`path_of`."""
        return path_of(self._error, frames, self._begin, first=self._first)

    def missed(self, frames: Tensor) -> Tensor:
        """Approximate mean square distance of joints (m2), ``(batch, poses)``."""
        off = frames[:, self.frames] - self._wanted
        posture = (off[..., _BODY] * self._metre).square().sum(dim=-1) / _JOINTS
        rise = off[..., _HEIGHT] * self._error.raw[_HEIGHT]
        path = self.path(frames)
        apart = path[:, self.frames] - self._places
        apart = apart + F.pad(self._held(frames, path), (0, 1))
        lever = _LEVER * wrapped(apart[..., 2:])
        place = torch.cat([apart[..., :2], lever], dim=-1).square().sum(dim=-1)
        return posture + rise.square() + place * self._placed

    def bent(self, frames: Tensor, given: int) -> Tensor:
        """Frames that pass through the poses, with the difference spread over those in between.

        Drawn motion is likely, but not the motion that a person would take to the pose. In short
        gaps a bridge (:mod:`motiontok.prior.bridges`) is nearer to that, so a single draw counts
        little there.

        Args:
            frames: ``(batch, frames, columns)``.
            given: number of first frames that stay unchanged.
        """
        out = frames.clone()
        ends = [max(given - 1, 0), *self.frames]
        known = given > 0 or self.frames[0] > 0
        off = self._wanted - frames[:, self.frames]
        offs = torch.cat([torch.zeros_like(off[:, :1]), off], dim=1)
        if not known:
            # The motion begins in a pose.
            offs[:, 0] = offs[:, 1]
        k = torch.arange(frames.shape[1], device=frames.device)
        add = torch.zeros_like(frames)
        for n, (a, b) in enumerate(pairwise(ends)):
            part = (k > a) & (k <= b) if b > a else k == a
            share = smoothstep_tensor((k[part] - a) / max(b - a, 1))[:, None]
            add[:, part] = offs[:, n, None] + share * (offs[:, n + 1] - offs[:, n])[:, None]
        later = k > ends[-1]
        fading = smoothstep_tensor(1.0 - (k[later] - ends[-1]) / _AFTER)[:, None]
        add[:, later] = fading * offs[:, -1:]
        out[..., _HEIGHT:] += add[..., _HEIGHT:]
        since = ends[0]
        for n, (a, b) in enumerate(pairwise(ends)):
            if (known or n) and b > a:
                self._bridge(out, n, a)
            if b > since and bool(self._placed[n]):
                self._lead(out, since, b, self._places[n])
                since = b
        return out

    def _bridge(self, frames: Tensor, n: int, a: int) -> None:
        """Draw frames between frame ``a`` and pose ``n`` to a bridge, the more so if it is short.

        Frame ``a`` is at its place, and the pose's frame is posed already.
        """
        b, departures = self.frames[n], self._departures[n]
        short = _SHORT if departures is None else MEAN
        kept = min(max((b - a - short) / (LONG - short), 0.0), 1.0)
        if kept == 1.0:
            return
        path = self.path(frames)
        for row, (own, way) in enumerate(zip(frames, path, strict=True)):
            place = self._places[n] if bool(self._placed[n]) else way[b]
            departure = None if departures is None else departures[row]
            line = bridge(self._error, (own[a], way[a]), (own[b], place), b - a, departure)
            line[-1, _HEIGHT:] = own[b, _HEIGHT:]  # to the last bit
            own[a + 1 : b + 1] = line + kept * (own[a + 1 : b + 1] - line)

    def _held(self, frames: Tensor, path: Tensor) -> Tensor:
        """Shift of the root by foot holding at the poses, ``(batch, poses, 2)``.

        Feet are held as in decoding (:func:`motiontok.data.foot_locking.lock_feet`), by the frames
        around each pose; what legs move is left out.
        """
        feet = self._error.feet_of(frames)
        moved = torch.cat([feet.steps[:, :1], feet.steps], dim=1)
        speed = moved.norm(dim=-1) * FPS
        stand = standing_by_both(feet.contacts, feet.height, speed)
        held = torch.minimum(stand[:, 1:], stand[:, :-1]) ** SURE
        steps = (held[..., None] * feet.steps[..., :2]).sum(dim=2)
        slid = _turned(steps[..., 0], steps[..., 1], path[:, 1:, 2])
        weight = FREE + held.sum(dim=2)
        shifts = []
        for frame in self.frames:
            first, end = max(frame - _AROUND, 0), min(frame + _AROUND + 1, frames.shape[1])
            w, s = weight[:, first : end - 1], slid[:, first : end - 1]
            pull = F.pad(s, (0, 0, 0, 1)) - F.pad(s, (0, 0, 1, 0))
            whole = F.pad(w, (0, 1)) + F.pad(w, (1, 0)) + MEMORY**-2
            bands = whole.diag_embed() - w.diag_embed(1) - w.diag_embed(-1)
            shifts.append(torch.linalg.solve(bands, pull)[:, frame - first])
        return torch.stack(shifts, dim=1)

    def _lead(self, frames: Tensor, a: int, b: int, place: Tensor) -> None:
        """Turn and move the root after frame ``a``, so that frame ``b`` is at the place."""
        part, raw = slice(a + 1, b + 1), self._error.raw
        lacks = wrapped(place[2] - self.path(frames)[:, b, 2])
        frames[:, part, 0] += lacks[:, None] * FPS / (b - a) / raw[0]
        path = self.path(frames)
        lacks = (place[:2] - path[:, b, :2]) * FPS / (b - a)
        step = _turned(lacks[:, None, 0], lacks[:, None, 1], -path[:, part, 2])
        frames[:, part, 1:3] += step / raw[1:3]


def _turned(x: Tensor, y: Tensor, angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)
