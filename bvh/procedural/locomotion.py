"""Walking, running and turning: a path, a rhythm, and a body that follows."""

from __future__ import annotations

import numpy as np

from bvh.procedural.body import Arm, Body, Performance
from bvh.procedural.gait import Path, Steps, step_feet
from bvh.procedural.signals import low_pass, noise, ramp, smoothstep
from bvh.procedural.style import Style
from bvh.rotations import Array

__all__ = ["run", "stepping", "turn", "walk"]

TAU = 2.0 * np.pi


def _ease(body: Body) -> float:
    """Speed that is as easy for this body as 1 for the average one (equal Froude number)."""
    return float(np.sqrt(body.leg / 0.84))


def _cadence(speed: Array, run: Array, body: Body, style: Style) -> Array:
    """Strides per second: people lengthen and quicken their steps together."""
    size = 1.0 / _ease(body)
    walking = 0.97 * np.sqrt(np.maximum(np.abs(speed), 0.5) / 1.35)
    running = 1.36 * (np.maximum(speed, 1.5) / 3.0) ** 0.25
    out: Array = size / style.stride * (walking + run * (running - walking))
    return out


def stepping(path: Path, steps: Steps, body: Body, style: Style) -> Performance:
    """A body that steps along ``path``: pelvis, trunk, head and arms follow the feet."""
    feet = step_feet(path, steps, body, style)
    run, phase = steps.run, TAU * steps.clock
    effort = np.clip(np.abs(path.speed) / 1.4, 0.0, 1.3)
    effort = low_pass(np.maximum(effort, steps.tap), 4.0)
    stance = 0.5 * steps.duty * TAU
    toward_left = np.cos(phase - stance)

    sway = style.sway * (0.022 * (1 - run) + 0.008 * run) * (0.4 + 0.6 * effort)
    sway = sway * np.minimum(1.0, 3.0 * effort)
    left = np.stack([-np.sin(path.heading), np.cos(path.heading)], axis=-1)
    pelvis_xy = path.position + (sway * toward_left)[:, None] * left
    twice = np.cos(2.0 * (phase - stance))
    bob = style.bounce * effort * body.leg * (0.018 * (1 - run) - 0.04 * run) * twice
    height = body.hip_height - body.leg * (style.crouch + 0.012 * effort + 0.015 * run)
    pelvis = np.concatenate([pelvis_xy, (height + bob)[:, None]], axis=-1)

    yaw = -style.sway * (0.09 + 0.06 * run) * effort * np.cos(phase)
    pitch = style.lean + (0.03 + 0.1 * run) * effort
    roll = style.sway * 0.055 * effort * np.cos(phase - 0.8 * stance)
    # Bodies lean into a curve by the ratio of centripetal to gravity acceleration.
    turning = low_pass(np.gradient(path.heading, path.time), 5.0)
    bank = np.clip(np.arctan(path.speed * turning / 9.81), -0.35, 0.35)
    hips = np.stack([path.heading + yaw, pitch, roll - 0.8 * bank], axis=-1)
    look = np.clip(0.22 * turning, -0.5, 0.5)
    trunk = np.stack(
        [
            -(1.75 + 0.3 * run) * yaw + 0.5 * look,
            style.slump + 0.05 * run * effort + 0.012 * np.cos(2 * phase),
            -1.3 * roll,
        ],
        axis=-1,
    )
    level = -(hips[:, 1] + trunk[:, 1]) * 0.75
    head = np.stack([(0.8 + 0.25 * run) * yaw + 0.6 * look, level, 0.25 * roll], axis=-1)
    arms = _swinging(phase, effort, run, style)
    # The faster the step, the less a knee has the time to straighten.
    return Performance(pelvis, hips, trunk, head, feet, arms, 0.996 - 0.018 * run)


def _swinging(phase: Array, effort: Array, run: Array, style: Style) -> tuple[Arm, Arm]:
    arms = []
    for side in (1.0, -1.0):
        arm = Arm.hanging(len(phase))
        # Each arm goes with the opposite leg and lags it a little.
        swing = -side * np.cos(phase - 0.25)
        reach = style.arm_swing * effort
        arm.flex = 0.02 + (0.05 + 0.38 * reach * (1 + 0.35 * run)) * swing * np.minimum(1, effort)
        arm.flex = arm.flex - 0.12 * run
        arm.abduct = arm.abduct + 0.06 * run + 0.03 * np.cos(2 * phase)
        bent = 0.22 + style.elbow + 0.16 * reach * (1 + swing)
        arm.elbow = np.maximum(bent * (1 - run) + run * (1.5 + 0.22 * swing), 0.06)
        arm.twist = arm.twist + 0.15 * effort + 0.35 * run
        arm.shrug = 0.04 * run + 0.02 * swing
        arms.append(arm)
    return arms[0], arms[1]


def _curve(time: Array, rng: np.random.Generator, *, amount: float) -> Array:
    """A wandering heading, rad: gentle curves, and now and then a corner."""
    heading = amount * 0.35 * noise(time, rng, lowest=0.04, top=0.2)
    start = time[0]
    while (start := start + rng.uniform(2.0, 6.0)) < time[-1]:
        if rng.random() < 0.6:
            angle = rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.7)
            heading = heading + amount * angle * ramp(time, start, rng.uniform(1.0, 2.2))
    out: Array = heading - heading[np.argmin(np.abs(time))]
    return out


def _pace(time: Array, rng: np.random.Generator, cruise: float, *, hold: bool) -> Array:
    """Speed over time: start from standing, change pace, come to a stop, or not."""
    end = float(time[-1])
    speed = np.full(len(time), cruise)
    if not hold:
        speed = speed * (1.0 + 0.06 * noise(time, rng, lowest=0.05, top=0.3))
        if rng.random() < 0.4:
            middle = rng.uniform(0.3, 0.7) * end
            speed = speed * (1 + rng.uniform(-0.35, 0.35) * ramp(time, middle, rng.uniform(1, 2)))
    rise = 0.5 + 0.35 * cruise
    if rng.random() < 0.35:
        speed = speed * ramp(time, rng.uniform(-0.2, 0.5), rise)
    if rng.random() < 0.35 and end > 3.0:
        speed = speed * (1.0 - ramp(time, end - rise - rng.uniform(1.6, 2.4), rise))
    return speed


def _clock(time: Array, cadence: Array, rng: np.random.Generator) -> Array:
    step = np.diff(time) * 0.5 * (cadence[1:] + cadence[:-1])
    out: Array = rng.uniform() + np.concatenate([[0.0], np.cumsum(step)])
    return out


def walk(
    time: Array, rng: np.random.Generator, body: Body, style: Style, speed: float | None
) -> Performance:
    """Walk along a winding path at ``speed`` m/s, or at a pace of one's own."""
    cruise = rng.uniform(0.6, 1.75) * _ease(body) if speed is None else speed
    pace = _pace(time, rng, cruise, hold=speed is not None)
    heading = _curve(time, rng, amount=rng.uniform(0.2, 1.0))
    path = Path.follow(time, pace, heading)
    zero = np.zeros_like(time)
    clock = _clock(time, _cadence(pace, zero, body, style), rng)
    duty = np.clip(0.67 - 0.045 * pace, 0.56, 0.67)
    return stepping(path, Steps(clock, duty, zero), body, style)


def run(
    time: Array, rng: np.random.Generator, body: Body, style: Style, speed: float | None
) -> Performance:
    """Run along a winding path at ``speed`` m/s, or at a pace of one's own."""
    cruise = rng.uniform(2.2, 3.9) * _ease(body) if speed is None else speed
    pace = _pace(time, rng, cruise, hold=speed is not None)
    path = Path.follow(time, pace, _curve(time, rng, amount=rng.uniform(0.1, 0.6)))
    running = smoothstep((pace - 1.2) / 1.0)
    clock = _clock(time, _cadence(pace, running, body, style), rng)
    duty = (1 - running) * 0.62 + running * np.clip(0.46 - 0.035 * pace, 0.3, 0.42)
    return stepping(path, Steps(clock, duty, running), body, style)


def turn(
    time: Array, rng: np.random.Generator, body: Body, style: Style, speed: float | None
) -> Performance:
    """Turn on the spot one way or the other, pause, and turn again; or turn while walking.

    ``speed`` is the mean turning speed in rad/s.
    """
    heading = np.zeros_like(time)
    pace = rng.uniform(0.5, 0.9) * _ease(body) if rng.random() < 0.35 else 0.0
    start = rng.uniform(0.1, 0.8)
    while start < time[-1]:
        angle = rng.choice([-1.0, 1.0]) * rng.choice([0.5, 1.0, 1.0, 2.0]) * 0.5 * np.pi
        angle *= rng.uniform(0.8, 1.2)
        duration = abs(angle) / (rng.uniform(1.0, 1.9) if speed is None else speed)
        heading = heading + angle * ramp(time, start, duration)
        start += duration + rng.uniform(0.2, 1.4)
    zero = np.zeros_like(time)
    drift = 0.03 * noise(time, rng, lowest=0.05, top=0.2)
    rate = low_pass(np.abs(np.gradient(heading, time)), 3.0)
    # Walkers slow down for a corner.
    forward = np.gradient(drift, time) if pace == 0 else pace / (1.0 + 0.5 * rate)
    path = Path.follow(time, forward, heading)
    cadence = 0.85 / _ease(body) / style.stride * (1.0 + 0.12 * rate)
    steps = Steps(_clock(time, cadence, rng), np.clip(0.7 - 0.05 * rate, 0.58, 0.7), zero)
    return stepping(path, steps, body, style)
