"""Plant the feet: targets on which standing soles lie flat on the ground and stay put.

A foot's raw target follows the human's, and slides a little where the human slid, where
the capture is noisy, and where a robot with wider hips turns about a planted foot. Here
each standing heel or toe gets an anchor on the ground (Kovar et al. 2002, "Footskate
cleanup for motion capture editing"); between contacts the correction fades from one
anchor's to the next one's, so that no swing starts or ends with a jump.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bvh import rotations as quaternions
from bvh.rotations import Array, to_matrix
from motiontok.robots import so3
from motiontok.robots.calibration import Calibration, Sole
from motiontok.robots.contacts import SIDES, Contacts, runs
from motiontok.robots.targets import Targets

__all__ = ["plant_feet"]

_BAND = 0.02  # m that a standing point may drift before its anchor follows
_FIRMER = 3.0  # factor of a standing foot's weights


def plant_feet(targets: Targets, calibration: Calibration, contacts: Contacts) -> Targets:
    """Targets whose standing feet are flat, on z = 0, and still.

    Args:
        targets: of a motion, from :func:`~motiontok.robots.targets.make_targets`.
        calibration: of the robot.
        contacts: of the same motion.
    """
    frames = len(targets)
    rotations, positions = targets.rotations.copy(), targets.positions.copy()
    rotation_weights = np.repeat(targets.rotation_weights, frames, axis=0)
    position_weights = np.repeat(targets.position_weights, frames, axis=0)
    for side, name in enumerate(SIDES):
        k = calibration.index(name + "Foot")
        heel, toe = contacts.heels[:, side], contacts.toes[:, side]
        standing = heel | toe
        if not standing.any():
            continue
        rotations[:, k], positions[:, k] = _plant(
            rotations[:, k], positions[:, k], calibration.soles[name + "Foot"], heel, toe
        )
        rotation_weights[standing, k] *= _FIRMER
        position_weights[standing, k] *= _FIRMER
    return replace(
        targets,
        rotations=rotations,
        positions=positions,
        rotation_weights=rotation_weights,
        position_weights=position_weights,
    )


def _plant(
    rotations: Array, positions: Array, sole: Sole, heel: Array, toe: Array
) -> tuple[Array, Array]:
    both, standing = heel & toe, heel | toe
    ahead = rotations[:, :, 0]
    heels, toes = positions + rotations @ sole.heel, positions + rotations @ sole.toe

    # Headings of flat feet get anchors too: unit circle, one band at the toe's distance.
    length = sole.toe[0] - sole.heel[0]
    direction = ahead[:, :2] / np.maximum(np.linalg.norm(ahead[:, :2], axis=-1), 1e-6)[:, None]
    for start, end in runs(both):
        direction[start:end] = _anchor(direction[start:end], _BAND / length)
    direction /= np.maximum(np.linalg.norm(direction, axis=-1), 1e-6)[:, None]
    wanted = np.where(both[:, None, None], _flat(direction), _level(rotations))
    turn = so3.log(wanted @ rotations.swapaxes(-1, -2))[0]
    turn = _fade(turn, standing)
    turned = to_matrix(quaternions.exp(turn)) @ rotations

    correction = np.zeros_like(positions)
    toe_anchor, heel_anchor = toes.copy(), heels.copy()
    for start, end in runs(toe):
        toe_anchor[start:end, :2] = _anchor(toes[start:end, :2], _BAND)
    for start, end in runs(heel):
        heel_anchor[start:end, :2] = _anchor(heels[start:end, :2], _BAND)
        joint = start + np.flatnonzero(both[start:end])
        if len(joint):
            # Where heel and toe both stand the toe decides; the heel's other frames join on.
            nearest = joint[np.abs(np.arange(start, end)[:, None] - joint).argmin(axis=1)]
            flat = toe_anchor[nearest] + turned[nearest] @ (sole.heel - sole.toe)
            heel_anchor[start:end, :2] = flat[:, :2]
    for mask, anchor, point in ((heel & ~toe, heel_anchor, sole.heel), (toe, toe_anchor, sole.toe)):
        anchor[:, 2] = 0.0
        offset = anchor - (turned @ point + positions)
        correction[mask] = offset[mask]
    return turned, positions + _fade(correction, standing)


def _anchor(path: Array, band: float) -> Array:
    """A path ``(frames, n)`` that moves only when ``path`` leaves a band around it."""
    forward = _drag(path, path[0], band)
    # Started from where the path will be, it need not move at all if it fits the band.
    back = _drag(path[::-1], forward[-1], band)[::-1]
    return _drag(path, back[0], band)


def _drag(path: Array, start: Array, band: float) -> Array:
    columns = []
    for column in range(path.shape[1]):
        at, out = float(start[column]), []
        for value in path[:, column].tolist():
            at = min(max(at, value - band), value + band)
            out.append(at)
        columns.append(out)
    return np.array(columns).T


def _flat(direction: Array) -> Array:
    """Upright rotations ``(frames, 3, 3)`` whose X axis points along ``(frames, 2)``."""
    out = np.zeros((len(direction), 3, 3))
    out[:, 0, 0] = out[:, 1, 1] = direction[:, 0]
    out[:, 1, 0], out[:, 0, 1] = direction[:, 1], -direction[:, 1]
    out[:, 2, 2] = 1.0
    return out


def _level(rotations: Array) -> Array:
    """The nearest rotations with the same X axis and a horizontal Y axis."""
    x = rotations[:, :, 0]
    y = np.stack([-x[:, 1], x[:, 0], np.zeros(len(x))], axis=-1)
    size = np.linalg.norm(y, axis=-1, keepdims=True)
    y = y / np.maximum(size, 1e-6)
    level = np.stack([x, y, np.cross(x, y)], axis=-1)
    # A foot that points straight down has no heading, one upside down no sole to stand on.
    usable = (size[..., 0] > 0.2) & (rotations[:, 2, 2] > 0)
    out: Array = np.where(usable[:, None, None], level, rotations)
    return out


def _fade(values: Array, known: Array) -> Array:
    """Fill the frames between known ones by a smooth blend of the two ends ``(frames, n)``."""
    out = values.copy()
    at = np.flatnonzero(known)
    out[: at[0]], out[at[-1] + 1 :] = values[at[0]], values[at[-1]]
    for start, end in runs(~known):
        if start > at[0] and end <= at[-1]:
            s = (np.arange(start, end) - start + 1.0)[:, None] / (end - start + 1)
            s = s * s * (3.0 - 2.0 * s)
            out[start:end] = (1.0 - s) * values[start - 1] + s * values[end]
    return out
