"""Joint trajectories of a robot, and their files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bvh.archives import sidecar_of
from bvh.arrays import check_finite, numbers, open_npz, words
from bvh.atomic_write import atomic_path
from bvh.errors import BVHError
from bvh.rotations import Array, align_signs, conjugate, log, multiply, slerp
from motiontok.errors import RobotError
from motiontok.robots.files.tables import FASTEST, Table, read_table, reordered
from motiontok.robots.files.units import unit_quaternions

__all__ = ["CONTACTS", "Order", "Trajectory", "wxyz_from_xyzw", "xyzw_from_wxyz"]

Order = Literal["pinocchio", "mujoco"]
CONTACTS = ("left_heel", "left_toe", "right_heel", "right_toe")
"""Columns of a trajectory's contacts."""


def wxyz_from_xyzw(q: Array) -> Array:
    """Quaternions ``(..., 4)`` in our order (w, x, y, z) from Pinocchio's (x, y, z, w)."""
    return q[..., [3, 0, 1, 2]]


def xyzw_from_wxyz(q: Array) -> Array:
    """Quaternions ``(..., 4)`` in Pinocchio's order (x, y, z, w) from ours (w, x, y, z)."""
    return q[..., [1, 2, 3, 0]]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A robot's configuration over time.

    Attributes:
        qpos: ``(frames, 7 + joints)`` in Pinocchio's order: world_from_base position
            (m) and quaternion (x, y, z, w), then one value per joint (rad, or m for a sliding
            joint).
        joint_names: of the joints, in the order of the robot description.
        fps: frames per second.
        robot: the robot's name.
        source: name of the original motion.
        contacts: ``(frames, 4)`` true where a heel or toe stands, see :data:`CONTACTS`; None if
            unknown.

    Raises:
        RobotError: shapes disagree, or a value is NaN or infinite.
    """

    qpos: Array
    joint_names: tuple[str, ...]
    fps: float
    robot: str
    source: str = ""
    contacts: Array | None = None

    def __post_init__(self) -> None:
        qpos = np.asarray(self.qpos, dtype=np.float64)
        width = 7 + len(self.joint_names)
        if qpos.ndim != 2 or qpos.shape[1] != width:
            raise RobotError(f"trajectory: expected shape (frames, {width}), got {qpos.shape}")
        if not np.isfinite(qpos).all():
            frame = int(np.argwhere(~np.isfinite(qpos))[0, 0])
            raise RobotError(f"trajectory: frame {frame} holds a value that is not finite")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise RobotError(f"trajectory: fps must be positive, got {self.fps}")
        if self.contacts is not None and self.contacts.shape != (len(qpos), len(CONTACTS)):
            raise RobotError(
                f"trajectory: expected contacts ({len(qpos)}, {len(CONTACTS)}), got"
                f" {self.contacts.shape}"
            )
        object.__setattr__(self, "qpos", qpos)

    def __len__(self) -> int:
        return len(self.qpos)

    @property
    def root_positions(self) -> Array:
        """World position of the base ``(frames, 3)``, metres."""
        return self.qpos[:, :3]

    @property
    def root_rotations(self) -> Array:
        """World attitude of the base ``(frames, 4)``, (w, x, y, z)."""
        return wxyz_from_xyzw(self.qpos[:, 3:7])

    @property
    def joints(self) -> Array:
        """Joint values ``(frames, joints)``, rad or m."""
        return self.qpos[:, 7:]

    def mujoco_qpos(self) -> Array:
        """``(frames, 7 + joints)`` with the base quaternion as (w, x, y, z), as MuJoCo has it."""
        return np.concatenate([self.root_positions, self.root_rotations, self.joints], axis=1)

    def joint_velocities(self) -> Array:
        """Joint velocities ``(frames, joints)`` by central differences, rad/s or m/s."""
        if len(self) < 2:
            return np.zeros_like(self.joints)
        out: Array = np.gradient(self.joints, 1.0 / self.fps, axis=0)
        return out

    def root_velocities(self) -> tuple[Array, Array]:
        """World linear (m/s) and angular (rad/s) velocities ``(frames, 3)`` of the base."""
        if len(self) < 2:
            return np.zeros((len(self), 3)), np.zeros((len(self), 3))
        linear = np.gradient(self.root_positions, 1.0 / self.fps, axis=0)
        q = self.root_rotations
        turns = self.fps * log(multiply(q[1:], conjugate(q[:-1])))
        angular = np.concatenate([turns[:1], 0.5 * (turns[1:] + turns[:-1]), turns[-1:]])
        return linear, angular

    def resample(self, fps: float) -> Trajectory:
        """The same movement at another rate: slerp for the base, linear for the rest.

        Raises:
            RobotError: the rate is not positive.
        """
        if not (np.isfinite(fps) and fps > 0):
            raise RobotError(f"fps must be positive, got {fps}")
        if fps == self.fps or len(self) < 2:
            return replace(self, fps=fps)
        count = int(np.floor((len(self) - 1) * fps / self.fps + 1e-6)) + 1
        at = np.arange(count) * self.fps / fps
        before = np.minimum(at.astype(int), len(self) - 2)
        part = at - before
        qpos = self.qpos[before] + part[:, None] * (self.qpos[before + 1] - self.qpos[before])
        q = align_signs(self.root_rotations)
        qpos[:, 3:7] = xyzw_from_wxyz(slerp(q[before], q[before + 1], part))
        contacts = self.contacts
        if contacts is not None:
            contacts = contacts[before + (part >= 0.5)]
        return replace(self, qpos=qpos, fps=fps, contacts=contacts)

    def save(self, path: str | os.PathLike[str], *, order: Order = "pinocchio") -> None:
        """Write ``.npz`` or ``.csv``, atomically.

        The npz holds ``qpos``, ``qvel`` (joints only), ``joint_names``, ``fps``,
        ``robot``, ``source``, ``frame`` ("world_from_base"), ``quaternion``
        ("xyzw" or "wxyz") and ``contacts`` if they are known. The csv has no header and one row a
        frame: base x y z (m), base quaternion, joints in the order of the robot description; with
        Pinocchio's order that is the layout of the LAFAN1 retargeting data set. Beside
        ``robot.csv`` stands ``robot.csv.json``: ``robot``, ``fps``, ``quaternion``,
        ``joint_names``, ``source`` and ``frame`` as in the npz, and ``frames``.

        Args:
            path: ends in ``.npz`` or ``.csv``.
            order: base quaternion as (x, y, z, w), or with ``"mujoco"`` (w, x, y, z).

        Raises:
            RobotError: the path ends in neither.
        """
        path = Path(path)
        qpos = self.qpos if order == "pinocchio" else self.mujoco_qpos()
        quaternion = "xyzw" if order == "pinocchio" else "wxyz"
        if path.suffix == ".csv":
            about = {
                "robot": self.robot,
                "fps": self.fps,
                "frames": len(self),
                "frame": "world_from_base",
                "quaternion": quaternion,
                "joint_names": self.joint_names,
                "source": self.source,
            }
            # Both are written before either is renamed: no table has another one's sidecar.
            with atomic_path(sidecar_of(path)) as beside, atomic_path(path) as temporary:
                beside.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
                np.savetxt(temporary, qpos, fmt="%.8g", delimiter=",")
        elif path.suffix == ".npz":
            contacts: dict[str, Any] = {}
            if self.contacts is not None:
                contacts["contacts"] = self.contacts
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(
                    file,
                    qpos=qpos,
                    qvel=self.joint_velocities(),
                    joint_names=np.array(self.joint_names),
                    fps=self.fps,
                    robot=self.robot,
                    source=self.source,
                    frame="world_from_base",
                    quaternion=quaternion,
                    **contacts,
                )
        else:
            raise RobotError(f"{path}: a trajectory is written as .npz or .csv")

    def in_order(self, joint_names: Sequence[str]) -> Trajectory:
        """The same, with the joints in another order.

        Raises:
            RobotError: they are not the same joints.
        """
        where = f"trajectory of {self.source or self.robot}"
        qpos = reordered(self.qpos, self.joint_names, joint_names, where)
        return replace(self, qpos=qpos, joint_names=tuple(joint_names))

    @classmethod
    def load_csv(
        cls,
        path: str | os.PathLike[str],
        *,
        robot: str,
        joint_names: Sequence[str],
        fps: float | None = None,
    ) -> Trajectory:
        """Read a ``.csv``, in the order and at the rate of the sidecar that :meth:`save` wrote.

        Without a sidecar, a header line may name the joints, the quaternion's order is the one in
        which the base stands upright, and the rate is 30, as in the LAFAN1 retargeting data set.

        Args:
            path: the file.
            robot: the robot's name.
            joint_names: of its joints, in the wanted order.
            fps: frames per second; overrides the sidecar's.

        Raises:
            RobotError: the file is missing, no table with the columns of the robot's configuration,
                has other joints, or an ambiguous order of the quaternion.
        """
        table = read_table(Path(path), robot=robot, joint_names=joint_names, fps=fps)
        return cls.of_table(table, robot=robot, source=Path(path).stem)

    @classmethod
    def of_table(cls, table: Table, *, robot: str, source: str) -> Trajectory:
        """The trajectory of a table; ``source`` is its motion's name where none is stated."""
        source = table.about.source or source
        return cls(table.qpos, table.joint_names, table.fps, robot, source)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trajectory:
        """Read a ``.npz`` that :meth:`save` wrote, in either order.

        Raises:
            RobotError: the file is missing, damaged or holds something else.
        """
        path = Path(path)
        try:
            with open_npz(path) as data:
                qpos = numbers(data, "qpos")
                names, fps = words(data, "joint_names"), numbers(data, "fps")
                check_finite(qpos, "qpos", (7 + len(names),))
                order = "".join(words(data, "quaternion")[:1])
                if order not in ("xyzw", "wxyz"):
                    raise BVHError(f"quaternion is {order!r}, neither xyzw nor wxyz")
                if fps.size != 1 or not 1.0 / FASTEST <= float(fps.reshape(-1)[0]) <= FASTEST:
                    raise BVHError(f"fps is {fps}, which is no number of frames a second")
                if order == "wxyz":
                    qpos[:, 3:7] = xyzw_from_wxyz(qpos[:, 3:7])
                qpos[:, 3:7] = unit_quaternions(qpos[:, 3:7], "columns 4 to 7 of qpos")
                return cls(
                    qpos=qpos,
                    joint_names=names,
                    fps=float(fps.reshape(-1)[0]),
                    robot="".join(words(data, "robot")[:1]),
                    source="".join(words(data, "source")[:1]),
                    contacts=np.array(data["contacts"], bool) if "contacts" in data else None,
                )
        except (BVHError, RobotError) as error:
            text = str(error).removeprefix(f"{path}: ")
            text = text.replace("not a motion file", "not a robot trajectory")
            text = f"not a robot trajectory: {text}" if text.startswith("lacks") else text
            raise RobotError(f"{path}: {text}") from None
