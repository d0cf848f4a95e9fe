"""Hopping: ballistic flights between springy landings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.procedural.body import Body, Performance
from bvh.procedural.signals import keys, ramp, smoothstep
from bvh.procedural.standing import standing
from bvh.procedural.style import Style
from bvh.rotations import Array

__all__ = ["hop"]

GRAVITY = 9.81


@dataclass(frozen=True)
class _Jump:
    """One hop: contact from ``land`` to ``leave``, then flight; seconds, m/s.

    Attributes:
        land: when the feet come down before this jump.
        leave: when they leave the ground.
        arrival: downward speed at ``land``.
        departure: upward speed at ``leave``.
        toe: how far the feet point down at ``leave``, rad.
    """

    land: float
    leave: float
    arrival: float
    departure: float
    toe: float

    @property
    def flight(self) -> float:
        """Seconds in the air."""
        return 2.0 * self.departure / GRAVITY


def hop(
    time: Array, rng: np.random.Generator, body: Body, style: Style, speed: float | None
) -> Performance:
    """Hop on both feet or on one, on the spot or forward at ``speed`` m/s."""
    does = standing(time, rng, body, style)
    pace = float(rng.choice([0.0, 0.0, 0.5, 0.9])) if speed is None else speed
    one_leg = rng.random() < 0.3
    jumps = _jumps(time, rng, one_leg=one_leg)
    turning = rng.normal(0.0, 0.3)
    soften = rng.uniform(0.12, 0.17)

    rise, pitch, drive, heading = (np.zeros_like(time) for _ in range(4))
    feet_at, body_at = np.zeros((len(time), 2)), np.zeros((len(time), 2))
    facing = 0.0
    for jump in jumps:
        rise += _height(time, jump, soften)
        land = jump.leave + jump.flight
        pitch += keys(
            time,
            [jump.leave - 0.13, jump.leave, jump.leave + 0.5 * jump.flight, land, land + 0.12],
            [0.0, jump.toe, 0.8 * jump.toe, 0.45 * jump.toe, 0.0],
        )
        # Arms go back before the push and forward with it.
        drive += keys(
            time,
            [jump.leave - 0.45, jump.leave - 0.22, jump.leave + 0.08, land + 0.1, land + 0.35],
            [0.0, -0.5, 1.0, 0.35, 0.0],
        )
        going = smoothstep((time - jump.leave) / jump.flight)[:, None]
        stand = jump.leave - jump.land
        stride = pace * (stand + jump.flight) * np.array([np.cos(facing), np.sin(facing)])
        feet_at += stride * going
        # The body moves on over the standing feet, before and after the flight.
        leading = ramp(time, jump.leave - 0.5 * stand, jump.flight + stand)
        body_at += stride * leading[:, None]
        heading += turning * going[:, 0]
        facing += turning

    way = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    left = np.stack([-way[:, 1], way[:, 0]], axis=-1)
    width = style.width * (0.4 if one_leg else 1.0)
    lifted = np.maximum(rise, 0.0) * rng.uniform(0.85, 1.0)
    tucked = rng.uniform(0.2, 0.35) * body.leg
    for foot, side in zip(does.feet, (1.0, -1.0), strict=True):
        foot.position = feet_at + 0.5 * body.ball[0] * way + side * width * left
        foot.yaw = foot.yaw + heading
        foot.lift, foot.pitch = lifted, pitch
        foot.bend = 0.9 * pitch * (lifted < 0.05)
        if one_leg and side != style.side:
            foot.position = foot.position - tucked * way
            foot.lift, foot.pitch = lifted + tucked, 0.8 + 0.3 * pitch
            foot.bend = np.zeros_like(time)

    does.reach -= 0.012
    crouched = np.clip(-rise / body.leg, 0.0, 0.5)
    does.pelvis[:, :2] *= 0.3
    does.pelvis[:, :2] += body_at - 0.4 * body.leg * crouched[:, None] * way
    does.pelvis[:, 2] += rise + 0.85 * body.ball[0] * np.sin(pitch) - 0.02 * body.leg
    does.hips[:, 0] = does.hips[:, 0] * 0.3 + heading
    does.hips[:, 1] += 1.3 * crouched + 0.08 * pace
    does.trunk[:, 1] += 0.8 * crouched
    does.head[:, 1] -= 1.2 * crouched
    reach = rng.uniform(0.3, 0.9) * style.arm_swing
    spread = 0.3 * rng.uniform()
    for arm in does.arms:
        arm.flex += reach * drive
        arm.abduct += 0.15 + spread * drive**2
        arm.elbow += 0.5 + 0.4 * drive**2
    return does


def _jumps(time: Array, rng: np.random.Generator, *, one_leg: bool) -> list[_Jump]:
    height = rng.uniform(0.05, 0.12) if one_leg else rng.uniform(0.06, 0.28)
    rest = rng.uniform(0.0, 0.7) if rng.random() < 0.4 else 0.0
    contact = rng.uniform(0.32, 0.42) + 0.35 * np.sqrt(height)
    toe = rng.uniform(0.5, 0.75)
    jumps: list[_Jump] = []
    land, arrival = float(time[0]) + rng.uniform(0.0, 0.8), 0.0
    while land < time[-1]:
        departure = float(np.sqrt(2 * GRAVITY * height * rng.uniform(0.8, 1.15)))
        leave = land + contact + rest * rng.uniform(0.6, 1.4)
        jumps.append(_Jump(land, leave, arrival, departure, toe))
        land, arrival = leave + jumps[-1].flight, departure
    return jumps


def _height(time: Array, jump: _Jump, soften: float) -> Array:
    """Height of the body over standing during this jump's contact and flight, 0 elsewhere.

    On the ground the body falls and rises like a critically damped spring of time
    constant ``soften``; in the air it is a projectile.
    """
    stand = jump.leave - jump.land
    after = np.clip(time - jump.land, 0.0, stand)
    before = stand - after
    fade = smoothstep(after / stand)
    absorb = jump.arrival * after * np.exp(-after / soften) * (1.0 - fade)
    push = jump.departure * before * np.exp(-before / soften) * fade
    air = np.clip(time - jump.leave, 0.0, jump.flight)
    out: Array = jump.departure * air - 0.5 * GRAVITY * air * air - absorb - push
    return out
