"""Canonical motion: one skeleton layout, one frame, one unit, one rate."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bvh.archives import absent
from bvh.arrays import numbers
from bvh.atomic_write import atomic_path
from bvh.clip import Clip
from bvh.errors import BVHError
from bvh.forward_kinematics import forward_kinematics
from bvh.rotations import Array, dot, multiply, normalize, rotate
from bvh.skeleton import JOINTS, MIRROR, PARENTS, root_between_bodies

__all__ = ["FPS", "Motion", "Source"]

_ROUNDED = 1e-2  # of the square of a quaternion's length in a file
FPS = 30.0
"""Frames per second of canonical motion."""


@dataclass(frozen=True)
class Source:
    """Origin of a motion, and its rate and scale there.

    Attributes:
        name: source name (a file's stem).
        fps: frames per second of the source.
        scale: metres per source unit.
        family: skeleton family the names belong to, or ``"unknown"``.
        joints: canonical joint -> source joint.
    """

    name: str = "motion"
    fps: float = FPS
    scale: float = 1.0
    family: str = "canonical"
    joints: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Motion:
    """Motion of the canonical skeleton: metres, Z up, X forward, Y left.

    Attributes:
        root_positions: ``(frames, 3)`` world position of the hips, metres.
        rotations: ``(frames, 22, 4)`` local quaternions (w, x, y, z), brought to unit length;
            identity is the T-pose facing +X. Row 0 is the hips in the world.
        offsets: ``(22, 3)`` rest offset of each joint from its parent, metres:
            the subject's own bone lengths.
        fps: frames per second.
        source: origin of the motion.

    Raises:
        BVHError: shapes disagree, a value is NaN or infinite, or a quaternion is 0.
    """

    root_positions: Array
    rotations: Array
    offsets: Array
    fps: float = FPS
    source: Source = Source()

    def __post_init__(self) -> None:
        joints = len(JOINTS)
        frames = len(self.root_positions)
        for key, shape in (
            ("root_positions", (frames, 3)),
            ("rotations", (frames, joints, 4)),
            ("offsets", (joints, 3)),
        ):
            value = np.asarray(getattr(self, key), dtype=np.float64)
            if value.shape != shape:
                raise BVHError(f"motion {key}: expected shape {shape}, got {value.shape}")
            if not np.isfinite(value).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
                raise BVHError(f"motion {key}: value at {where} is not finite")
            object.__setattr__(self, key, value)
        object.__setattr__(self, "rotations", _unit(self.rotations))
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise BVHError(f"motion fps must be positive, got {self.fps}")

    def __len__(self) -> int:
        return len(self.root_positions)

    def __getitem__(self, frames: slice) -> Motion:
        """The motion restricted to a slice of frames, without a step.

        Raises:
            BVHError: not a slice, or one with a step, which would change the speed.
        """
        if not isinstance(frames, slice) or frames.step not in (None, 1):
            raise BVHError(f"a motion takes slices of frames without a step, got {frames!r}")
        return replace(
            self,
            root_positions=self.root_positions[frames],
            rotations=self.rotations[frames],
        )

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self) / self.fps

    def global_transforms(self) -> tuple[Array, Array]:
        """Global rotations ``(frames, 22, 4)`` and positions ``(frames, 22, 3)``."""
        local = np.broadcast_to(self.offsets, (len(self), *self.offsets.shape)).copy()
        local[:, 0] = self.root_positions
        return forward_kinematics(self.rotations, local, PARENTS)

    def global_positions(self) -> Array:
        """World joint positions ``(frames, 22, 3)``, metres."""
        return self.global_transforms()[1]

    def resampled(self, fps: float) -> Motion:
        """The motion at another rate: rotations by slerp, positions linearly.

        Raises:
            BVHError: the rate is not above zero.
        """
        # Normalising, which resamples too, knows motions.
        from bvh.normalizer.resample import resample

        if not (np.isfinite(fps) and fps > 0):
            raise BVHError(f"fps must be above zero, got {fps}")
        if fps == self.fps or not len(self):
            return replace(self, fps=fps)
        positions, rotations = resample(
            self.root_positions, self.rotations, source_fps=self.fps, fps=fps
        )
        return replace(self, root_positions=positions, rotations=rotations, fps=fps)

    def mirrored(self) -> Motion:
        """The motion reflected left to right (in the world's XZ plane)."""
        flip = np.array([1.0, -1.0, 1.0])
        order = list(MIRROR)
        return replace(
            self,
            root_positions=self.root_positions * flip,
            # Reflecting Y keeps a rotation's angle about Y and negates it about X and Z.
            rotations=self.rotations[:, order] * np.array([1.0, -1.0, 1.0, -1.0]),
            offsets=self.offsets[order] * flip,
        )

    def moved(self, world_from_old: Array, translation: Array) -> Motion:
        """The motion after a rigid transform of the world.

        Args:
            world_from_old: unit quaternion (4,).
            translation: metres (3,), applied after the rotation.
        """
        rotations = self.rotations.copy()
        rotations[:, 0] = multiply(np.broadcast_to(world_from_old, (len(self), 4)), rotations[:, 0])
        return replace(
            self,
            root_positions=rotate(world_from_old, self.root_positions) + translation,
            rotations=rotations,
        )

    def on_bones(self, offsets: Array) -> Motion:
        """The same motion by another body.

        Rotations are kept. The root's path and height, and the height of the feet over the floor,
        are scaled by the length of the legs: a body that stands on the floor stands on it again.
        The map between heights is the same in all frames and depends on the two bodies alone. So
        cutting and changing bodies commute, and the way back restores the motion.

        Args:
            offsets: ``(22, 3)`` rest offsets of the other body, metres.

        Raises:
            BVHError: wrong shape, or a body with a leg, thigh and shin, shorter than 1 cm.
        """
        other = replace(self, offsets=offsets)
        try:
            scale, lift = root_between_bodies(self.offsets, other.offsets)
        except BVHError as error:
            raise BVHError(f"{self.source.name}: {error}") from None
        return replace(other, root_positions=scale * self.root_positions + [0.0, 0.0, lift])

    def to_clip(self) -> Clip:
        """A BVH clip of this motion: Y up, Z forward, centimetres, ZYX Euler angles.

        That is what Blender, MotionBuilder and Unity expect of a BVH file by
        default; the rest pose in the file is the T-pose.
        """
        root = ("Xposition", "Yposition", "Zposition", "Zrotation", "Yrotation", "Xrotation")
        # World axes change by the cyclic permutation (x, y, z) -> (y, z, x): left, up, forward.
        cycle = [1, 2, 0]
        offsets = 100.0 * self.offsets[:, cycle]
        positions = np.broadcast_to(offsets, (len(self), *offsets.shape)).copy()
        positions[:, 0] = 100.0 * self.root_positions[:, cycle]
        tips = {
            "LeftToe": [7.0, 0.0, 0.0],
            "RightToe": [7.0, 0.0, 0.0],
            "Head": [0.0, 0.0, 18.0],
            "LeftHand": [0.0, 16.0, 0.0],
            "RightHand": [0.0, -16.0, 0.0],
        }
        return Clip(
            names=JOINTS,
            parents=PARENTS,
            offsets=offsets,
            channels=(root, *[root[3:]] * (len(JOINTS) - 1)),
            rotations=self.rotations[..., [0, 2, 3, 1]],
            positions=positions,
            frame_time=1.0 / self.fps,
            end_sites={JOINTS.index(k): np.array(v)[cycle] for k, v in tips.items()},
            name=self.source.name,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.npz`` with every array of this motion, atomically."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                root_positions=self.root_positions,
                rotations=self.rotations,
                offsets=self.offsets,
                fps=self.fps,
                joint_names=np.array(JOINTS),
                source=json.dumps(self.source.__dict__),
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Motion:
        """Read a motion that :meth:`save` wrote.

        Raises:
            BVHError: the file is missing, damaged or holds something else.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as data:
                names = tuple(str(n) for n in data["joint_names"])
                if names != JOINTS:
                    raise BVHError(f"not the canonical 22 joints: {', '.join(names[:4])}…")
                turns = numbers(data, "rotations")
                # Single precision leaves a millionth, a table of few digits a thousandth.
                if turns.shape[-1:] == (4,) and (np.abs(dot(turns, turns) - 1.0) > _ROUNDED).any():
                    raise BVHError("rotations: not unit quaternions")
                return cls(
                    root_positions=numbers(data, "root_positions"),
                    rotations=normalize(turns),
                    offsets=numbers(data, "offsets"),
                    fps=float(data["fps"]),
                    source=Source(**json.loads(str(data["source"]))),
                )
        except (FileNotFoundError, NotADirectoryError):
            raise BVHError(f"{path}: {absent(Path(path))}") from None
        except BVHError as error:
            raise BVHError(f"{path}: {error}") from None
        except Exception as error:
            # Damage shows as almost any exception of zipfile, zlib, numpy's header parser or json.
            what = " ".join(str(error).split()) or type(error).__name__
            if path.is_file() and not zipfile.is_zipfile(path):
                # NumPy takes whatever is no archive for a pickle, and says how to load it.
                what = "no .npz archive"
            raise BVHError(f"{path}: not a motion file ({what})") from None


def _unit(rotations: Array) -> Array:
    """Quaternions scaled to unit length, which a network's may lack; unit ones are unchanged.

    Raises:
        BVHError: one has no length, and is no rotation.
    """
    square = dot(rotations, rotations)
    if not (np.abs(square - 1.0) > 1e-6).any():
        return rotations
    if (square < 1e-12).any():
        where = tuple(int(i) for i in np.argwhere(square < 1e-12)[0])
        raise BVHError(f"motion rotations: the quaternion at {where} has no length")
    return normalize(rotations)
