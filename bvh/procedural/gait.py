"""Footsteps along a path: the movement of both feet for a given path and step clock.

A foot stands still from touch-down to lift-off and flies to the next footprint
in between, so planted feet cannot slide. Footprints lie beside the path at the
middle of each stance; a step without length is not lifted, so standing still is the limit of slow
walking and needs no special case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.procedural.body import Body, Foot
from bvh.procedural.signals import keys, smoothstep
from bvh.procedural.style import Style
from bvh.rotations import Array

__all__ = ["Path", "Steps", "step_feet"]


@dataclass(frozen=True)
class Path:
    """Where the pelvis goes, seen from above.

    Attributes:
        time: seconds ``(frames,)``.
        position: ``(frames, 2)`` metres.
        heading: direction the body faces, rad, unwrapped ``(frames,)``.
        speed: along the path, m/s ``(frames,)``.
    """

    time: Array
    position: Array
    heading: Array
    speed: Array

    @classmethod
    def follow(cls, time: Array, speed: Array, heading: Array) -> Path:
        """Integrate forward ``speed`` (m/s) along ``heading`` (rad) from the origin."""
        velocity = speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        step = np.diff(time)[:, None] * 0.5 * (velocity[1:] + velocity[:-1])
        position = np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])
        return cls(time, position, heading, speed)

    def at(self, times: Array) -> tuple[Array, Array]:
        """Position ``(n, 2)`` and heading ``(n,)`` at ``times`` ``(n,)``."""
        xy = [np.interp(times, self.time, self.position[:, axis]) for axis in (0, 1)]
        return np.stack(xy, -1), np.interp(times, self.time, self.heading)


@dataclass(frozen=True)
class Steps:
    """The rhythm of the feet.

    Attributes:
        clock: strides taken so far ``(frames,)``; the left foot lands at whole
            numbers, the right foot half-way between.
        duty: share of a stride that a foot stands ``(frames,)``; below a half there
            is flight.
        run: 0 for walking to 1 for running ``(frames,)``: heel strike, heel kick.
        tap: least vigour of a step, so that dancers step on the spot.
    """

    clock: Array
    duty: Array
    run: Array
    tap: float = 0.0


def step_feet(path: Path, steps: Steps, body: Body, style: Style) -> tuple[Foot, Foot]:
    """Left and right foot for a path and a rhythm."""
    return _foot(path, steps, body, style, 1.0), _foot(path, steps, body, style, -1.0)


def _foot(path: Path, steps: Steps, body: Body, style: Style, side: float) -> Foot:
    time = path.time
    offset = 0.0 if side > 0 else 0.5
    first, last = steps.clock[[0, -1]] - offset
    strides = np.arange(np.ceil(first), np.floor(last) + 1)
    if len(strides) < 2:  # a stride takes longer than the clip
        strides = np.arange(np.floor(first), np.ceil(last) + 1)
    land = _when(steps.clock, strides + offset, time)
    duty = np.interp(land, time, steps.duty)
    leave = _when(steps.clock, strides + offset + duty, time)
    run = np.interp(land, time, steps.run)
    prints, heading = path.at(_when(steps.clock, strides + offset + 0.5 * duty, time))
    # Runners land close under the body and push off far behind it.
    ahead = (0.5 - 0.9 * run) * body.ball[0]
    across = side * style.width * (1.0 - 0.5 * run)
    prints = prints + np.stack(
        [
            np.cos(heading) * ahead - np.sin(heading) * across,
            np.sin(heading) * ahead + np.cos(heading) * across,
        ],
        axis=-1,
    )
    yaw = heading + side * style.toe_out * (1.0 - 0.6 * run)
    travel = np.linalg.norm(np.diff(prints, axis=0), axis=-1)
    moved = travel + 0.35 * np.abs(np.diff(yaw))
    vigour = np.maximum(smoothstep(0.5 * (moved / (0.45 * body.leg)) ** 0.6), steps.tap)
    forward = np.clip(travel / body.leg, 0.0, 1.0)

    index = np.clip(np.searchsorted(land, time, side="right") - 1, 0, len(land) - 2)
    flight = smoothstep((time - leave[index]) / (land[index + 1] - leave[index]))
    position = prints[index] + flight[:, None] * (prints[index + 1] - prints[index])
    lift_times: list[float] = []
    lifts: list[float] = []
    pitch_times: list[float] = []
    pitches: list[float] = []
    for k in range(len(land) - 1):
        t0, t1, t2 = land[k], leave[k], land[k + 1]
        v, r, f = vigour[k], run[k], forward[k]
        before = (vigour[k - 1] * forward[k - 1]) if k else v * f
        stand, swing = t1 - t0, t2 - t1
        strike = -(0.38 * (1 - r) + 0.12 * r)
        toe_off = (0.25 + 0.75 * f) * (0.75 * (1 - r) + 1.15 * r) * v
        kick = toe_off * (1.15 + 0.3 * r)
        pitch_times += [t0, t0 + 0.16 * stand, t0 + (0.52 - 0.1 * r) * stand, t1]
        pitches += [strike * before, 0.0, 0.0, toe_off]
        pitch_times += [t1 + 0.18 * swing, t1 + 0.62 * swing]
        pitches += [kick, (0.05 + 0.25 * r) * v]
        height = np.sqrt(v) * style.lift * body.leg * (0.05 * (1 - r) + (0.09 + 0.14 * f) * r)
        lift_times += [t0, t1, t1 + 0.14 * swing, t1 + 0.4 * swing, t1 + 0.8 * swing]
        lifts += [0.0, 0.0, 0.5 * height, height, (0.45 - 0.15 * r) * height]
    lift_times.append(land[-1])
    lifts.append(0.0)
    pitch = keys(time, pitch_times, pitches)
    airborne = np.clip((time - leave[index]) / (0.5 * (land[index + 1] - leave[index])), 0, 1)
    bend = np.maximum(pitch, 0.0) * (1.0 - 0.8 * smoothstep(airborne))
    heading_foot = yaw[index] + flight * (yaw[index + 1] - yaw[index])
    return Foot(position, heading_foot, keys(time, lift_times, lifts), pitch, np.minimum(bend, 0.9))


def _when(clock: Array, reads: Array, time: Array) -> Array:
    """Times ``(n,)`` of readings of the clock ``(frames,)``, which goes on at its mean rate."""
    beyond = reads - np.clip(reads, clock[0], clock[-1])
    rate = (clock[-1] - clock[0]) / (time[-1] - time[0])
    out: Array = np.interp(reads, clock, time) + beyond / rate
    return out
