"""Units of a robot's table, stated or found from its numbers, and its unit quaternions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bvh.rotations import Array, normalize
from motiontok.errors import RobotError

__all__ = ["in_metres", "in_radians", "is_unit", "unit_quaternions"]

_LOW = 2.5  # m: no base that walks on a floor is higher
_UNITS = (("centimetres", 0.01, 20.0, 250.0), ("millimetres", 0.001, 250.0, 2500.0))
"""Name, metres, and the range of a base's height in this unit."""

_LOOSE = 0.35  # rad beyond a limit that other tools' joints are now and then
_TOLD = 0.1  # rad beyond a limit that is worth a word
_TIGHT = 0.1  # rad beyond a limit if degrees are to be taken for them
_RARE = 0.005  # share of frames that do not count

_OFF = 1e-2  # from 1 that the length of a quaternion of few digits is
_EXACT = 1e-6  # that rounding in single precision does not reach


def in_metres(places: Array, scale: float | None, where: str) -> tuple[Array, str]:
    """Positions ``(frames, 3)`` of a base in metres, and what was found; empty for metres.

    Args:
        places: as in the table.
        scale: metres per unit; found from the base's height, if not given.
        where: for the message.

    Raises:
        RobotError: no unit gives the base a robot's height.
    """
    if scale is not None:
        return scale * places, ""
    height = float(np.median(np.abs(places[:, 2]))) if len(places) else 0.0
    if height < _LOW:
        return places, ""
    for name, metres, low, high in _UNITS:
        if low <= height < high:
            return metres * places, f"base positions taken as {name}: it is {height:.4g} high"
    raise RobotError(
        f"{where}: its base is {height:.4g} high, too high in metres and in centimetres; give "
        "metres per unit with --scale"
    )


def in_radians(
    joints: Array,
    angles: str | None,
    limits: tuple[Array, Array],
    names: Sequence[str],
    where: str,
) -> tuple[Array, list[str]]:
    """Joint values ``(frames, joints)`` in radians, and remarks.

    Args:
        joints: as in the table, in the robot's order.
        angles: ``"radians"``, ``"degrees"``; found from the limits of the joints, if not given.
        limits: lower and upper ``(joints,)``, rad, or m for sliding joints.
        names: of the joints.
        where: for the message.

    Raises:
        RobotError: values are beyond the limits in radians and in degrees.
    """
    if angles == "degrees":
        joints = np.deg2rad(joints)
    beyond, worst = _beyond(joints, limits)
    if angles is not None or beyond <= _LOOSE:
        told = [_odd(joints, worst, limits, names)] if beyond > _TOLD else []
        return joints, told
    turned = np.deg2rad(joints)
    if _beyond(turned, limits)[0] <= _TIGHT:
        most = float(np.abs(joints[:, worst]).max())
        return turned, [f"joint values taken as degrees: {names[worst]} reaches {most:.4g}"]
    raise RobotError(
        f"{where}: {_odd(joints, worst, limits, names)}, in radians and in degrees; is it another "
        "robot's, or in another order? --angles takes the values as they are"
    )


def is_unit(quaternions: Array) -> bool:
    """Whether quaternions ``(n, 4)`` have length 1, to a hundredth."""
    return bool((np.abs(np.linalg.norm(quaternions, axis=-1) - 1.0) <= _OFF).all())


def unit_quaternions(quaternions: Array, what: str) -> Array:
    """Quaternions ``(n, 4)`` of few digits scaled to length 1, as kinematics take them.

    Raises:
        RobotError: they are no unit quaternions; it begins with ``what`` they are.
    """
    if not is_unit(quaternions):
        raise RobotError(f"{what} are not unit quaternions")
    exact = np.abs(np.linalg.norm(quaternions, axis=-1) - 1.0) <= _EXACT
    return quaternions if exact.all() else normalize(quaternions)


def _beyond(joints: Array, limits: tuple[Array, Array]) -> tuple[float, int]:
    """Largest excess of a joint over its limits, a few frames aside, and that joint."""
    if not joints.size:
        return 0.0, 0
    lower, upper = limits
    excess = np.maximum(np.maximum(lower - joints, joints - upper), 0.0)
    usual = np.quantile(excess, 1.0 - _RARE, axis=0)
    worst = int(usual.argmax())
    return float(usual[worst]), worst


def _odd(joints: Array, joint: int, limits: tuple[Array, Array], names: Sequence[str]) -> str:
    low, high = float(joints[:, joint].min()), float(joints[:, joint].max())
    return (
        f"{names[joint]} goes from {low:.4g} to {high:.4g}, and its limits are "
        f"{limits[0][joint]:.3g} to {limits[1][joint]:.3g}"
    )
