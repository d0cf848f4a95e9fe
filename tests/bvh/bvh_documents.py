"""BVH text made by rules of its own, and what it means by scipy: an oracle for the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from bvh import Clip

XYZ_POSITION = ("Xposition", "Yposition", "Zposition")
ZYX = ("Zrotation", "Yrotation", "Xrotation")
ZXY = ("Zrotation", "Xrotation", "Yrotation")


@dataclass(frozen=True)
class Joint:
    name: str
    parent: int
    offset: tuple[str, str, str] = ("0.5", "10.25", "-3")
    channels: tuple[str, ...] = ZYX
    end: tuple[str, str, str] | None = None


BODY = (
    Joint("Hips", -1, ("1", "90.5", "-2.25"), XYZ_POSITION + ZYX),
    Joint("Spine", 0, ("0", "12.5", "0.125")),
    Joint(
        "Head", 1, ("0.0625", "30", "0"), ("Xrotation", "Yrotation", "Zrotation"), ("0", "9", "0")
    ),
    Joint("LeftLeg", 0, ("9.5", "-4", "0"), ZXY, ("0", "-40", "0")),
)
"""Two limbs, two Euler orders."""


@dataclass(frozen=True)
class Style:
    """How the text is laid out; the numbers do not change."""

    newline: str = "\n"
    separator: str = " "
    row_end: str = ""
    per_line: int | None = None
    brace: str = "\n{pad}{{\n"
    end_site: str = "End Site"
    frames: str = "Frames: {}"
    frame_time: str = "Frame Time: {}"
    offset_first: bool = True
    number: str = "{:.4f}"


@dataclass(frozen=True)
class Document:
    joints: Sequence[Joint] = BODY
    style: Style = field(default_factory=Style)
    frames: int = 3
    frame_time: str = "0.0083333"
    seed: int = 0

    @property
    def width(self) -> int:
        return sum(len(j.channels) for j in self.joints)

    @property
    def tokens(self) -> list[list[str]]:
        values = np.random.default_rng(self.seed).uniform(-180, 180, (self.frames, self.width))
        return [[self.style.number.format(v) for v in row] for row in values.tolist()]

    def text(self) -> str:
        style = self.style
        lines = ["HIERARCHY", *self._joint(0, 0), "MOTION"]
        lines += [style.frames.format(self.frames), style.frame_time.format(self.frame_time)]
        tokens = self.tokens
        if style.per_line:
            flat = [t for row in tokens for t in row]
            tokens = [flat[i : i + style.per_line] for i in range(0, len(flat), style.per_line)]
        lines += [style.separator.join(row) + style.row_end for row in tokens]
        return ("\n".join(lines) + "\n").replace("\n", style.newline)

    def _joint(self, index: int, depth: int) -> list[str]:
        joint = self.joints[index]
        pad = "  " * depth
        brace = self.style.brace.format(pad=pad)
        lines = [f"{pad}{'JOINT' if depth else 'ROOT'} {joint.name}{brace}".rstrip("\n")]
        body = [f"{pad}  OFFSET {' '.join(joint.offset)}"]
        body += [" ".join([f"{pad}  CHANNELS {len(joint.channels)}", *joint.channels])]
        lines += body if self.style.offset_first else body[::-1]
        for child, other in enumerate(self.joints):
            if other.parent == index:
                lines += self._joint(child, depth + 1)
        if joint.end is not None:
            opening = f"{pad}  {self.style.end_site}{self.style.brace.format(pad=pad + '  ')}"
            lines += [opening.rstrip("\n"), f"{pad}    OFFSET {' '.join(joint.end)}", f"{pad}  }}"]
        return [*lines, pad + "}"]

    def check(self, clip: Clip) -> None:
        """Assert that a clip is what this document says, by ``float`` and scipy alone."""
        assert clip.names == tuple(j.name for j in self.joints)
        assert clip.parents == tuple(j.parent for j in self.joints)
        assert clip.frame_time == float(self.frame_time)
        offsets = np.array([[float(v) for v in j.offset] for j in self.joints])
        np.testing.assert_array_equal(clip.offsets, offsets)
        ends = {i: j.end for i, j in enumerate(self.joints) if j.end is not None}
        assert {i: tuple(v) for i, v in clip.end_sites.items()} == {
            i: tuple(map(float, end)) for i, end in ends.items()
        }
        values = np.array([[float(t) for t in row] for row in self.tokens])
        values = values.reshape(self.frames, self.width)
        assert clip.rotations.shape == (self.frames, len(self.joints), 4)
        assert clip.positions.shape == (self.frames, len(self.joints), 3)
        column = 0
        for index, joint in enumerate(self.joints):
            position = np.tile(offsets[index], (self.frames, 1))
            rotation = Rotation.identity(self.frames) if self.frames else None
            for name in (c[0].upper() + c[1:].lower() for c in joint.channels):
                if name in XYZ_POSITION:
                    position[:, "XYZ".index(name[0])] = values[:, column]
                elif rotation is not None:
                    turn = Rotation.from_euler(name[0], values[:, [column]], degrees=True)
                    rotation = rotation * turn
                column += 1
            np.testing.assert_array_equal(clip.positions[:, index], position)
            if rotation is not None:
                found = Rotation.from_quat(clip.rotations[:, index], scalar_first=True)
                assert (found.inv() * rotation).magnitude().max() < 1e-13
