"""Actions on the spot: standing, squatting and waving."""

from __future__ import annotations

import numpy as np

from bvh.procedural.body import Arm, Body, Foot, Performance
from bvh.procedural.signals import keys, noise, ramp, smoothstep
from bvh.procedural.style import Style
from bvh.rotations import Array

__all__ = ["squat", "standing", "wave"]


def standing(
    time: Array, rng: np.random.Generator, body: Body, style: Style, *, wide: float = 1.0
) -> Performance:
    """A body at rest on both feet that shifts its weight now and then."""
    frames = len(time)
    feet = []
    for side in (1.0, -1.0):
        position = np.array([0.5 * body.ball[0] + rng.normal(0.0, 0.02), side * style.width * wide])
        zero = np.zeros(frames)
        yaw = zero + side * (style.toe_out + rng.uniform(0.0, 0.1))
        feet.append(Foot(np.tile(position, (frames, 1)), yaw, zero, zero.copy(), zero.copy()))
    shift = 0.02 * style.sway * noise(time, rng, lowest=0.05, top=0.25)
    fore = 0.01 * noise(time, rng, lowest=0.08, top=0.4)
    height = body.hip_height - body.leg * style.crouch - 0.2 * shift**2 / body.leg
    pelvis = np.stack([fore, shift, height], axis=-1)
    hips = np.stack([0.04 * noise(time, rng), np.full(frames, style.lean), 0.8 * shift], axis=-1)
    trunk = np.stack([-0.5 * hips[:, 0], np.full(frames, style.slump), -1.2 * hips[:, 2]], axis=-1)
    head = np.stack([np.zeros(frames), -0.6 * (hips[:, 1] + trunk[:, 1]), 0.2 * shift], axis=-1)
    arms = (Arm.hanging(frames), Arm.hanging(frames))
    return Performance(pelvis, hips, trunk, head, (feet[0], feet[1]), arms, np.full(frames, 0.996))


def squat(
    time: Array, rng: np.random.Generator, body: Body, style: Style, speed: float | None
) -> Performance:
    """Squat again and again, arms forward; ``speed`` is repetitions a second."""
    does = standing(time, rng, body, style, wide=rng.uniform(1.2, 2.0))
    rate = rng.uniform(0.28, 0.55) if speed is None else speed
    deepest = rng.uniform(0.3, 0.62)
    times, depths = [-2.0, rng.uniform(0.0, 0.5)], [0.0, 0.0]
    while times[-1] < time[-1] + 2.0:
        period = rng.uniform(0.92, 1.08) / rate
        pause = rng.uniform(0.02, 0.18) * period
        down = rng.uniform(0.36, 0.5) * (period - pause)
        start = times[-1]
        low = deepest * rng.uniform(0.8, 1.1)
        times += [start + down, start + down + 0.5 * pause, start + period]
        depths += [low, low, 0.0]
        if rng.random() < 0.3:
            times.append(times[-1] + rng.uniform(0.2, 0.8))
            depths.append(0.0)
    depth = keys(time, times, depths)
    bent = depth / 0.6
    does.pelvis[:, 2] -= depth * body.leg
    # Hips go back as they go down, and the chest comes forward to balance.
    does.pelvis[:, 0] -= 0.22 * body.leg * smoothstep(bent) - 0.01
    does.hips[:, 1] += rng.uniform(0.4, 0.6) * bent
    does.trunk[:, 1] += rng.uniform(0.1, 0.3) * bent
    does.head[:, 1] -= 0.6 * bent
    opened = rng.uniform(0.15, 0.4)
    reach = rng.uniform(1.3, 1.6)
    kind = rng.integers(3)
    for side, foot, arm in zip((1.0, -1.0), does.feet, does.arms, strict=True):
        foot.yaw += side * opened
        raised = smoothstep(depth / (0.5 * deepest))
        if kind == 0:
            arm.flex += reach * raised
            arm.elbow += (0.1 - arm.elbow) * raised
        elif kind == 1:
            arm.flex += 0.55 + 0.3 * raised
            arm.elbow += 1.75
            arm.twist += 0.5
        else:
            arm.flex += 0.5 * reach * bent
            arm.abduct += 0.1 * bent
    return does


def wave(
    time: Array, rng: np.random.Generator, body: Body, style: Style, speed: float | None
) -> Performance:
    """Stand and wave a hand, or both; ``speed`` is waves a second."""
    does = standing(time, rng, body, style)
    rate = rng.uniform(1.2, 2.4) if speed is None else speed
    high = rng.uniform(0.0, 1.0)
    both = rng.random() < 0.15
    start, raised = rng.uniform(0.2, 0.8), np.zeros_like(time)
    while start < time[-1]:
        hold = rng.uniform(1.6, 4.0)
        rise = rng.uniform(0.5, 0.8)
        raised = raised + ramp(time, start, rise) - ramp(time, start + rise + hold, rise)
        start += hold + 2 * rise + rng.uniform(0.4, 1.2)
    swing = 2.0 * np.pi * rate * time + 0.4 * noise(time, rng)
    width = rng.uniform(0.3, 0.5) * (1.0 + 0.15 * noise(time, rng))
    busy = smoothstep((raised - 0.6) / 0.4)
    for side, arm in zip((1.0, -1.0), does.arms, strict=True):
        if side != style.side and not both:
            continue
        arm.abduct += raised * (1.15 + 0.75 * high - arm.abduct)
        arm.flex += raised * 0.25
        arm.twist += raised * (-1.45 - arm.twist)
        arm.elbow += raised * (1.35 - 0.7 * high - arm.elbow)
        arm.elbow += busy * width * np.sin(swing)
        arm.twist += busy * 0.12 * np.sin(swing + 0.5)
        arm.shrug += raised * (0.12 + 0.1 * high)
    lean = style.side * raised * (0.0 if both else 1.0)
    does.pelvis[:, 1] -= 0.015 * lean
    does.trunk[:, 2] -= 0.05 * lean
    does.head[:, 2] += 0.08 * lean
    return does
