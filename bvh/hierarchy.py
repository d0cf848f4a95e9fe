"""The part of a BVH file before its numbers: joint tree, channels, frame count and rate."""

from __future__ import annotations

import math
import re
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from bvh.errors import BVHError
from bvh.rates import seconds_per_frame
from bvh.rotations import Array

__all__ = ["POSITION", "ROTATION", "Header", "axes", "channel_fault", "line_of", "parse_header"]

POSITION: tuple[str, ...] = ("Xposition", "Yposition", "Zposition")
ROTATION: tuple[str, ...] = ("Xrotation", "Yrotation", "Zrotation")

_CANONICAL = {name.lower(): name for name in POSITION + ROTATION}
_SPACE = re.compile(rb"\s*")
_WORD = re.compile(rb"[{}]|[^\s{}]+")
_REST_OF_LINE = re.compile(rb"[^\r\n{}]*")
_FRAMES = re.compile(rb"frames\s*:?\s*", re.IGNORECASE)
_FRAME_TIME = re.compile(rb"frames?\s*time\s*:?\s*", re.IGNORECASE)
_ANY_FRAME_TIME = re.compile(
    rb"frames?[ \t]*time[ \t]*:?[ \t]*(?:[^\s]+|[\r\n]+[ \t]*[^\s]+[ \t]*(?=[\r\n]))?",
    re.IGNORECASE,
)
"""With its value, whatever that is: a word behind it, or one alone on the next line."""

_BINARIES = ((b"Kaydara FBX", "FBX"), (b"; FBX", "FBX"), (b"glTF", "glTF"), (b"\x02P", "C3D"))
_SAVE_IT = "save its skeleton's motion as .bvh, as Blender and other programs can"
_OR_GIVE_IT = ", or give frames a second (--source-fps, fps= of bvh.read)"


@dataclass
class Header:
    """Everything a BVH file says before its numbers.

    Attributes:
        names: joint names as written, parents before children.
        parents: parent index of each joint, -1 for the root.
        offsets: ``(joints, 3)``.
        channels: canonical channel names of each joint, in file order.
        end_sites: joint index -> offset (3,) of its ``End Site``.
        frames: the ``Frames:`` value, or None if the file has none.
        frame_time: seconds per frame.
        assumed: assumptions about it; empty if there were none.
        data_start: byte index of the first number.
    """

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: Array = field(default_factory=lambda: np.zeros((0, 3)))
    channels: list[tuple[str, ...]] = field(default_factory=list)
    end_sites: dict[int, Array] = field(default_factory=dict)
    frames: int | None = None
    frame_time: float = 0.0
    assumed: str = ""
    data_start: int = 0


def axes(channels: tuple[str, ...], kind: tuple[str, ...]) -> str:
    """Axes of the rotation (or position) channels among ``channels``, such as ``"zyx"``."""
    return "".join(name[0].lower() for name in channels if name in kind)


def channel_fault(channels: tuple[str, ...]) -> str | None:
    """What is wrong with a joint's channels, or None."""
    position, rotation = axes(channels, POSITION), axes(channels, ROTATION)
    if len(position) + len(rotation) < len(channels):
        return f"channels other than {', '.join(POSITION + ROTATION)}"
    if len(set(position)) < len(position):
        return "a position channel twice"
    if len(rotation) > 3 or any(a == b for a, b in pairwise(rotation)):
        return "rotation channels that are no Euler order"
    return None


def line_of(data: bytes, position: int) -> int:
    """Number of the line, from 1, that holds byte ``position``."""
    ends = data.count(b"\n", 0, position) + data.count(b"\r", 0, position)
    return 1 + ends - data.count(b"\r\n", 0, position)


def parse_header(data: bytes, label: str, *, fps: float | None = None) -> Header:
    """Parse a BVH file up to its first number.

    Args:
        data: the file's bytes.
        label: the file's name, for messages.
        fps: frames per second; overrides the file's.

    Raises:
        BVHError: the header is damaged; the message names file and line.
    """
    return _Parser(data, label, fps).parse()


@dataclass(frozen=True)
class _Tree:
    """The text of a joint tree from the file's first byte on, and what it says."""

    text: bytes
    header: Header


_last_tree = _Tree(b"", Header())
"""Of the file read last: the next one is often of the same rig, and reading words is slow."""


class _Parser:
    """A cursor over the header's words. Keywords are read in any letter case."""

    def __init__(self, data: bytes, label: str, fps: float | None) -> None:
        self.data = data
        self.label = label
        self.fps = fps
        self.at = 0
        self.word_at = 0

    def parse(self) -> Header:
        global _last_tree
        known = _last_tree  # taken once: another thread may put another in its place
        if known.text and self.data.startswith(known.text):
            header = deepcopy(known.header)
            self.at = len(known.text)
        else:
            header = self._hierarchy()
            _last_tree = _Tree(self.data[: self.at], deepcopy(header))
        self._motion(header)
        return header

    def _hierarchy(self) -> Header:
        header = Header()
        if self._word().upper() != b"HIERARCHY":
            if kind := next((k for start, k in _BINARIES if self.data.startswith(start)), None):
                raise BVHError(f"{self.label}: {kind}, not BVH; {_SAVE_IT}")
            raise self._expected("HIERARCHY, the first word of a BVH file")
        if self._word().upper() != b"ROOT":
            raise self._expected("ROOT")
        self._tree(header)
        return header

    def _tree(self, header: Header) -> None:
        offsets: list[Array | None] = []
        channels: list[tuple[str, ...] | None] = []

        def open_joint(parent: int) -> int:
            header.names.append(self._name())
            header.parents.append(parent)
            offsets.append(None)
            channels.append(None)
            self._brace()
            return len(header.names) - 1

        joint = open_joint(-1)
        while joint >= 0:
            word = self._word()
            key = word.upper()
            if key == b"OFFSET":
                if offsets[joint] is not None:
                    raise self._error(f"joint {header.names[joint]} has a second OFFSET")
                offsets[joint] = self._vector()
            elif key == b"CHANNELS":
                if channels[joint] is not None:
                    raise self._error(f"joint {header.names[joint]} has a second CHANNELS")
                if joint != len(header.names) - 1:
                    raise self._error(
                        f"CHANNELS of joint {header.names[joint]} come after the joints below it, "
                        "so the order of the columns is unknown"
                    )
                channels[joint] = self._channels(header.names[joint])
            elif key == b"JOINT":
                joint = open_joint(joint)
            elif key == b"END" or key == b"ENDSITE":
                self._rest_of_line()
                header.end_sites.setdefault(joint, self._end_site())
            elif word == b"}":
                if offsets[joint] is None:
                    raise self._error(f"joint {header.names[joint]} has no OFFSET")
                joint = header.parents[joint]
            else:
                raise self._expected("OFFSET, CHANNELS, JOINT, End Site or }")
        header.offsets = np.array(offsets, dtype=np.float64)
        # A joint without a CHANNELS line stays at its rest pose.
        header.channels = [c or () for c in channels]

    def _motion(self, header: Header) -> None:
        word = self._word().upper()
        if word == b"ROOT":
            raise self._error("a second ROOT: only one skeleton a file is read; split the file")
        if word != b"MOTION":
            raise self._expected("MOTION")
        told = False
        while not told:
            self._skip_space()
            if told := self._frame_time(header):
                pass
            elif header.frames is None and (match := _FRAMES.match(self.data, self.at)):
                self.at = match.end()
                header.frames = self._count("the number of frames after Frames:")
            elif self.fps is not None and header.frames is not None:
                break  # no Frame Time: at all
            else:
                self._word()
                raise self._expected(f"Frame Time: (and Frames: before it){_OR_GIVE_IT}")
        if self.fps is not None:
            header.frame_time = 1.0 / self.fps
        self._skip_space()
        header.data_start = self.at

    def _frame_time(self, header: Header) -> bool:
        """Whether ``Frame Time:`` stands here; it is taken, or passed over if the rate is given."""
        if self.fps is not None:
            match = _ANY_FRAME_TIME.match(self.data, self.at)
            self.at = match.end() if match else self.at
            return match is not None
        match = _FRAME_TIME.match(self.data, self.at)
        if match is None:
            return False
        self.at = match.end()
        value = self._number(f"seconds per frame after Frame Time:{_OR_GIVE_IT}")
        if not (value > 0 and math.isfinite(1.0 / value)):
            raise self._error(
                f"Frame Time: is {value:g}, expected a positive number of seconds{_OR_GIVE_IT}"
            )
        try:
            header.frame_time, header.assumed = seconds_per_frame(value)
        except ValueError as error:
            raise self._error(
                f"Frame Time: is {error}; write 0.0333333 there for 30 frames a second{_OR_GIVE_IT}"
            ) from None
        return True

    def _channels(self, joint: str) -> tuple[str, ...]:
        count = self._count("the number of channels after CHANNELS")
        names: list[str] = []
        while len(names) < count:
            word = self._word()
            name = _CANONICAL.get(word.decode("latin-1").lower())
            if name is None:
                raise self._expected(
                    f"{count} channels of joint {joint} (found {len(names)}), "
                    "each one of " + ", ".join(POSITION + ROTATION)
                )
            names.append(name)
        channels = tuple(names)
        if fault := channel_fault(channels):
            raise self._error(f"joint {joint} has {fault}: {' '.join(channels)}")
        return channels

    def _end_site(self) -> Array:
        self._brace()
        offset = None
        while (word := self._word()) != b"}":
            key = word.upper()
            if key == b"OFFSET" and offset is None:
                offset = self._vector()
            elif key != b"CHANNELS" or self._count("0 channels at an End Site") != 0:
                raise self._expected("OFFSET or } in an End Site")
        return np.zeros(3) if offset is None else offset

    def _name(self) -> str:
        name = self._rest_of_line()
        if not name:
            raise self._error("a joint without a name")
        try:
            return name.decode("utf-8")
        except UnicodeDecodeError:
            return name.decode("latin-1")

    def _rest_of_line(self) -> bytes:
        match = _REST_OF_LINE.match(self.data, self.at)
        text = match.group() if match else b""
        self.at += len(text)
        return text.strip()

    def _brace(self) -> None:
        if self._word() != b"{":
            raise self._expected("{")

    def _vector(self) -> Array:
        return np.array([self._number("a number of an OFFSET") for _ in range(3)])

    def _number(self, what: str) -> float:
        word = self._word()
        try:
            value = float(word)
        except ValueError:
            raise self._expected(what) from None
        if not math.isfinite(value) or b"_" in word:
            raise self._expected(f"{what}, finite")
        return value

    def _count(self, what: str) -> int:
        value = self._number(what)
        if value < 0 or value != int(value):
            raise self._expected(what)
        return int(value)

    def _word(self) -> bytes:
        self._skip_space()
        self.word_at = self.at
        match = _WORD.match(self.data, self.at)
        if match is None:
            return b""
        self.at = match.end()
        return match.group()

    def _skip_space(self) -> None:
        match = _SPACE.match(self.data, self.at)
        if match:
            self.at = match.end()

    def _expected(self, what: str) -> BVHError:
        word = _WORD.match(self.data, self.word_at)
        found = "the end of the file"
        if word:
            text = word.group()[:40].decode("latin-1")
            found = repr(text)
        return self._error(f"expected {what}, found {found}")

    def _error(self, message: str) -> BVHError:
        return BVHError(f"{self.label}, line {line_of(self.data, self.word_at)}: {message}")
