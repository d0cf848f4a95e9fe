"""How a person moves: the traits that make two clips of one action differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bvh.procedural.body import Body

__all__ = ["Style"]


@dataclass(frozen=True)
class Style:
    """Traits of a subject; factors are 1 for an average adult, angles are in rad.

    Attributes:
        stride: factor of step length at a given speed.
        arm_swing: factor.
        elbow: mean elbow flexion in excess of the usual.
        bounce: factor of the pelvis' vertical excursion.
        sway: factor of the pelvis' sideward and turning excursion.
        lift: factor of foot clearance.
        width: half the distance between the feet, metres.
        toe_out: outward turn of the feet.
        lean: forward lean of the trunk.
        slump: rounding of the back; the head makes up for part of it.
        crouch: bend of the knees while standing, as a share of leg length.
        lively: factor of the slow wandering of every joint.
        side: 1 where the left side leads, -1 where the right does.
    """

    stride: float = 1.0
    arm_swing: float = 1.0
    elbow: float = 0.0
    bounce: float = 1.0
    sway: float = 1.0
    lift: float = 1.0
    width: float = 0.09
    toe_out: float = 0.12
    lean: float = 0.02
    slump: float = 0.0
    crouch: float = 0.008
    lively: float = 1.0
    side: float = 1.0

    @classmethod
    def random(cls, rng: np.random.Generator, body: Body) -> Style:
        """A plausible person of the size of ``body``."""
        return cls(
            stride=rng.uniform(0.88, 1.12),
            arm_swing=rng.uniform(0.5, 1.5),
            elbow=rng.uniform(-0.1, 0.35),
            bounce=rng.uniform(0.7, 1.35),
            sway=rng.uniform(0.6, 1.5),
            lift=rng.uniform(0.8, 1.4),
            width=body.hip_width * rng.uniform(0.75, 1.2),
            toe_out=rng.uniform(0.02, 0.22),
            lean=rng.uniform(-0.02, 0.09),
            slump=rng.uniform(-0.06, 0.2),
            crouch=rng.uniform(0.004, 0.014),
            lively=rng.uniform(0.6, 1.3),
            side=float(rng.choice([-1.0, 1.0])),
        )
