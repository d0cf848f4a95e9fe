"""Motions made by rule: data for demos and tests where no capture is at hand.

Seeded, parametric and varied, on the canonical skeleton::

    motion = procedural.make("walk", seconds=6, seed=0, speed=1.3)
    clips = procedural.dataset(200, seconds=6, seed=0)

Planted feet stand still: legs are solved from footprints, not the other way round.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bvh.errors import BVHError
from bvh.motion import FPS, Motion
from bvh.procedural.body import Body, Performance, solve
from bvh.procedural.dance import dance
from bvh.procedural.hopping import hop
from bvh.procedural.locomotion import run, turn, walk
from bvh.procedural.signals import noise
from bvh.procedural.standing import squat, wave
from bvh.procedural.style import Style
from bvh.rotations import Array, from_axis_angle

__all__ = ["KINDS", "Style", "dataset", "make"]

_Actor = Callable[[Array, np.random.Generator, Body, Style, float | None], Performance]

_ACTORS: dict[str, _Actor] = {
    "walk": walk,
    "run": run,
    "turn": turn,
    "hop": hop,
    "squat": squat,
    "wave": wave,
    "dance": dance,
}

KINDS: tuple[str, ...] = tuple(_ACTORS)
"""Actions that :func:`make` knows."""

_MARGIN = 45
"""Frames computed and dropped before and after a clip, so that it starts mid-motion."""


def make(
    kind: str,
    *,
    seconds: float = 6.0,
    seed: int = 0,
    speed: float | None = None,
    size: float | None = None,
    style: Style | None = None,
) -> Motion:
    """Make one clip of an action at 30 fps.

    Args:
        kind: one of :data:`KINDS`.
        seconds: length; ``round(30 * seconds)`` frames.
        seed: the same seed gives the same clip; every trait not given below is
            drawn from it.
        speed: of the action, in its own unit: walk, run, hop m/s (forward);
            turn rad/s; squat repetitions/s; wave waves/s; dance beats/s.
        size: stature as a factor of the default 1.75 m adult.
        style: how the person moves.

    Raises:
        BVHError: an unknown kind, a length, speed or size that is not positive, or a
            negative seed.
    """
    if kind not in _ACTORS:
        raise BVHError(f"no procedural motion {kind!r}; choose from {', '.join(KINDS)}")
    for label, value in (("seconds", seconds), ("speed", speed), ("size", size)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise BVHError(f"procedural {kind}: {label} must be positive, got {value}")
    if seed < 0:
        raise BVHError(f"procedural {kind}: seed must not be negative, got {seed}")
    frames = round(seconds * FPS)
    if frames < 1:
        raise BVHError(f"procedural {kind}: {seconds} s is less than one frame at {FPS:g} fps")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    drawn = rng.uniform(0.86, 1.1)
    body = Body.scaled(
        drawn if size is None else size,
        legs=rng.uniform(0.96, 1.04),
        arms=rng.uniform(0.95, 1.05),
        width=rng.uniform(0.92, 1.1),
    )
    drawn_style = Style.random(rng, body)
    style = drawn_style if style is None else style
    time = np.arange(-_MARGIN, frames + _MARGIN) / FPS
    performance = _ACTORS[kind](time, rng, body, style, speed)
    _enliven(performance, time, rng, style)
    motion = solve(performance, body, name=f"{kind}_{seed:05d}")[_MARGIN : _MARGIN + frames]
    facing = from_axis_angle([0.0, 0.0, 1.0], rng.uniform(-np.pi, np.pi))
    start = motion.root_positions[0] * np.array([1.0, 1.0, 0.0])
    return motion.moved(np.array([1.0, 0.0, 0.0, 0.0]), -start).moved(facing, np.zeros(3))


def dataset(count: int, *, seconds: float = 6.0, seed: int = 0) -> list[Motion]:
    """Make ``count`` clips, the kinds in turn, every other trait drawn at random.

    Clip ``i`` depends on ``seed`` and ``i`` alone: a larger set begins with a
    smaller one.
    """
    if seed < 0:
        raise BVHError(f"procedural dataset: seed must not be negative, got {seed}")
    seeds = [int(np.random.SeedSequence([seed, i]).generate_state(1)[0]) for i in range(count)]
    return [make(KINDS[i % len(KINDS)], seconds=seconds, seed=s) for i, s in enumerate(seeds)]


def _enliven(performance: Performance, time: Array, rng: np.random.Generator, style: Style) -> None:
    """Let every joint wander slowly, as living bodies do."""
    for values, amount in (
        (performance.hips, 0.012),
        (performance.trunk, 0.03),
        (performance.head, 0.05),
    ):
        for axis in range(3):
            values[:, axis] += amount * style.lively * noise(time, rng)
    performance.head[:, 0] += 0.1 * style.lively * noise(time, rng, lowest=0.03, top=0.25)
    for arm in performance.arms:
        for values, amount in ((arm.flex, 0.03), (arm.abduct, 0.02), (arm.twist, 0.04)):
            values += amount * style.lively * noise(time, rng)
        arm.elbow[:] = np.maximum(arm.elbow + 0.05 * style.lively * noise(time, rng), 0.05)
