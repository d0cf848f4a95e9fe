"""Feet that a capture has rolled over, sole up, as no ankle goes: they are rolled back.

Where markers of a foot are swapped, or its Euler angles jump to another solution, the foot
is turned about its own length from one frame to the next and stays so. Ankle and toe are
where they should be; only the roll is not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bvh.normalizer.body import INDEX, SIDES, Body
from bvh.normalizer.geometry import perpendicular, unit
from bvh.remarks import remark
from bvh.rotations import Array, between, conjugate, cross, dot, exp, multiply, rotate

__all__ = ["roll_back"]

_Y = np.array([0.0, 1.0, 0.0])
_Z = np.array([0.0, 0.0, 1.0])
_OVER = -0.5  # cosine of a foot's roll from the shin; ankles roll by 40 degrees
_LONG = 0.25  # s; feet of who runs or leaps may pass there
_JUMP = 0.5  # cosine of a roll from frame to frame that is none


def roll_back(body: Body, axes: Array) -> tuple[Body, tuple[str, ...]]:
    """A body whose feet have their soles below their shins, and a line on each that had not.

    Args:
        body: global transforms of the source's joints.
        axes: ``(22, 4)`` canonical_from_source axes per joint.
    """
    rotations, lines = body.rotations, []
    for side, _ in SIDES:
        if not body.present(side + "Toe"):
            continue
        along = unit(body.at(side + "Toe") - body.at(side + "Foot"))
        cosine, sine = _roll(body, axes, side, along)
        over = _stretches(cosine, sine, body.frame_time)
        if not over:
            continue
        rolled = np.zeros(len(cosine), dtype=bool)
        for part in over:
            rolled[part] = True
        usual = (
            0.0 if rolled.all() else float(np.arctan2(sine[~rolled].sum(), cosine[~rolled].sum()))
        )
        rotations = rotations.copy() if rotations is body.rotations else rotations
        for part in over:
            angle = np.arctan2(sine[part].sum(), cosine[part].sum()) - usual
            turn = exp(angle * along[part])
            for joint in (INDEX[side + "Foot"], INDEX[side + "Toe"]):
                rotations[part, joint] = multiply(turn, rotations[part, joint])
        share = f"in {100 * rolled.mean():.2g} % of the frames"
        lines.append(remark("feet", f"{side}Foot is rolled over, sole up, {share}; rolled back"))
    return replace(body, rotations=rotations), tuple(lines)


def _roll(body: Body, axes: Array, side: str, along: Array) -> tuple[Array, Array]:
    """Cosine and sine ``(frames,)`` of the turn about ``along`` that puts a foot under its shin."""
    thigh, foot = (
        multiply(body.rotations[:, INDEX[joint]], conjugate(axes[INDEX[joint]]))
        for joint in (side + "UpLeg", side + "Foot")
    )
    bone = unit(body.at(side + "Foot") - body.at(side + "Leg"))
    shin = multiply(between(rotate(thigh, -_Z), bone), thigh)
    wanted, given = (unit(perpendicular(rotate(turns, _Y), along)) for turns in (shin, foot))
    return dot(given, wanted), dot(along, cross(given, wanted))


def _stretches(cosine: Array, sine: Array, frame_time: float) -> list[slice]:
    """Stretches in which a foot is rolled onto its side or further, by a jump at an end.

    Somewhere in each it is far over.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (cosine < 0.0).astype(np.int8), [0]])))
    # Cosines of the turn from frame to frame; the clip's first and last frame are jumps too.
    step = cosine[1:] * cosine[:-1] + sine[1:] * sine[:-1]
    step = np.concatenate([[-1.0], step, [-1.0]])
    return [
        slice(start, end)
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        if (end - start) * frame_time >= _LONG
        and (cosine[start:end] < _OVER).any()
        and min(step[start], step[end]) < _JUMP
    ]
