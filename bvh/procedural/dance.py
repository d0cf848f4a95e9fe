"""Dancing: steps on a beat, strung together from short moves."""

from __future__ import annotations

import numpy as np

from bvh.procedural.body import Body, Performance
from bvh.procedural.gait import Path, Steps
from bvh.procedural.locomotion import stepping
from bvh.procedural.signals import ramp
from bvh.procedural.style import Style
from bvh.rotations import Array

__all__ = ["dance"]


def dance(
    time: Array, rng: np.random.Generator, body: Body, style: Style, speed: float | None
) -> Performance:
    """Step, sway and swing the arms on a beat; ``speed`` is beats a second."""
    tempo = rng.uniform(1.5, 2.2) if speed is None else speed
    beat = tempo * time + rng.uniform()
    offset = np.zeros((len(time), 2))
    heading = np.zeros_like(time)
    # Blocks of four or eight beats, each with its own way of travelling.
    start = float(np.floor(beat[0]))
    while start < beat[-1]:
        length = float(rng.choice([4, 4, 8]))
        move = rng.choice(["side", "side", "spot", "forward", "spin", "box"])
        reach = rng.uniform(0.22, 0.45) * body.leg
        if move == "side":
            for pair in range(int(length) // 2):
                way = reach * (1 if pair % 2 == 0 else -1) * style.side
                offset[:, 1] += way * ramp(beat, start + 2 * pair, 2.0)
        elif move == "forward":
            half = length / 2
            offset[:, 0] += 1.5 * reach * ramp(beat, start, half)
            offset[:, 0] -= 1.5 * reach * ramp(beat, start + half, half)
        elif move == "spin":
            heading += (
                rng.choice([-1.0, 1.0]) * rng.choice([np.pi, 2 * np.pi]) * ramp(beat, start, length)
            )
        elif move == "box":
            quarter = length / 4
            for step, (axis, way) in enumerate(((0, 1), (1, 1), (0, -1), (1, -1))):
                offset[:, axis] += way * reach * ramp(beat, start + step * quarter, quarter)
        start += length
    heading += rng.uniform(0.1, 0.4) * np.sin(np.pi * beat / 4 + rng.uniform(0, 6))
    middle = np.argmin(np.abs(time))
    offset -= offset[middle]
    speeds = np.linalg.norm(np.gradient(offset, time, axis=0), axis=-1)
    path = Path(time, offset, heading - heading[middle], 0.3 * speeds)
    steps = Steps(beat / 2, np.full(len(time), 0.62), np.zeros_like(time), rng.uniform(0.25, 0.6))
    does = stepping(path, steps, body, style)
    return _groove(does, beat, rng, body, style)


def _groove(
    does: Performance, beat: Array, rng: np.random.Generator, body: Body, style: Style
) -> Performance:
    """Add the beat to a stepping body: knees, hips, chest, head and arms."""
    tau = 2 * np.pi
    bounce = rng.uniform(0.02, 0.05) * style.bounce * body.leg
    does.pelvis[:, 2] -= bounce * (1 + np.cos(tau * beat)) + 0.02 * body.leg
    half = np.cos(np.pi * beat)
    side = np.stack([-np.sin(does.hips[:, 0]), np.cos(does.hips[:, 0])], -1)
    does.pelvis[:, :2] += (rng.uniform(0.01, 0.05) * style.sway * half)[:, None] * side
    does.hips[:, 2] += rng.uniform(0.03, 0.12) * style.sway * half
    does.hips[:, 0] += rng.uniform(0.0, 0.3) * np.sin(np.pi * beat)
    does.trunk[:, 2] -= rng.uniform(0.05, 0.2) * half
    does.trunk[:, 0] += rng.uniform(0.0, 0.35) * np.sin(np.pi * beat + rng.uniform(-0.5, 0.5))
    does.trunk[:, 1] += rng.uniform(0.02, 0.08) * np.cos(tau * beat)
    does.head[:, 1] += rng.uniform(0.02, 0.12) * np.cos(tau * beat - 0.5)
    does.head[:, 2] += rng.uniform(0.0, 0.12) * half

    # Arms hold a shape for some beats and pulse in it, then glide to the next.
    shapes = {
        "low": (0.3, 0.3, 0.2, 1.2),
        "front": (1.2, 0.2, 0.4, 1.0),
        "wide": (0.0, 1.4, -0.2, 0.5),
        "up": (0.2, 2.6, -0.4, 0.5),
        "goal": (0.0, 1.5, -1.4, 1.5),
        "hips": (-0.35, 0.7, 0.7, 1.6),
    }
    names = list(shapes)
    together = rng.random() < 0.6
    plan_rng = rng.integers(2**32)
    for index, arm in enumerate(does.arms):
        plan = np.random.default_rng([int(plan_rng), 0 if together else index])
        current = np.array(shapes[plan.choice(names)])
        shape = np.tile(current, (len(beat), 1))
        start = float(np.floor(beat[0]))
        while (start := start + float(plan.choice([2, 4, 4]))) < beat[-1]:
            target = np.array(shapes[plan.choice(names)]) + plan.normal(0.0, 0.08, 4)
            shape += ramp(beat, start - 0.8, 1.6)[:, None] * (target - current)
            current = target
        sign = 1.0 if index == 0 or together else -1.0
        pulse = sign * np.sin(np.pi * beat * plan.choice([1.0, 2.0]) + plan.uniform(0, 6))
        size = plan.uniform(0.08, 0.3) * style.arm_swing
        arm.flex += shape[:, 0] + size * pulse
        arm.abduct += shape[:, 1] + 0.6 * size * pulse
        arm.twist += shape[:, 2]
        arm.elbow = np.clip(shape[:, 3] + 1.2 * size * pulse + 0.1, 0.08, 2.3)
        arm.shrug += 0.12 * np.maximum(shape[:, 1] - 1.0, 0.0)
    return does
