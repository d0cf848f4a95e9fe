"""The parts of a tokenizer: motion to codes, codes to features, features to poses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bvh.skeleton import JOINTS, leg_length, standing_height
from motiontok.data import FEATURES, REFERENCE, accumulate, differentiate
from motiontok.data.pose import joint_rotations, root_path
from motiontok.data.seams import blended
from motiontok.export.program import Program, Range, Value
from motiontok.methods.quantizers.temporal import Temporal
from motiontok.tokenizer import MotionTokenizer

__all__ = ["programs_of"]

_WINDOWS = Range("windows")
_FEWEST = 3
"""Least number of codes of a window in a program: the tracer treats 0 and 1 as special cases."""


class _Coder(nn.Module):
    mean: Tensor
    scale: Tensor

    def __init__(self, tokenizer: MotionTokenizer) -> None:
        super().__init__()
        self.method = tokenizer.method
        self.window = tokenizer.frames_per_window
        self.register_buffer("mean", tokenizer.statistics.mean)
        self.register_buffer("scale", tokenizer.statistics.scale)


class _Encoder(_Coder):
    def forward(self, features: Tensor) -> Tensor:
        x = (accumulate(features) - self.mean) / self.scale
        return self.method.encode_sequence(x[None])[0]


class _Decoder(_Coder):
    def forward(self, codes: Tensor) -> Tensor:
        x = self.method.decode_sequence(codes[None])[0]
        features = differentiate(x * self.scale + self.mean)
        return blended(features.flatten(0, 1), self.window)


class _Pose(nn.Module):
    """From features to poses, in double precision, which running sums of long paths need."""

    def forward(
        self, features: Tensor, offsets: Tensor, start: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, bones = features.double(), offsets.double()
        scale = bones[[2, 3, 6, 7]].square().sum(dim=1).sqrt().sum() / (2 * leg_length(REFERENCE))
        legs = torch.stack([bones[1:5, 2], bones[5:9, 2]])
        height = -legs.cumsum(dim=1).amin(dim=1).mean()
        lift = height - scale * standing_height(REFERENCE)
        root, yaw = root_path(rows, start, scale=scale, lift=lift)
        end = torch.cat([root[-1, :2], yaw[-1:]])
        return root.float(), joint_rotations(rows, yaw).float(), end


def programs_of(tokenizer: MotionTokenizer) -> list[Program]:
    """``encoder``, ``decoder`` and ``pose`` of a tokenizer, on the CPU."""
    tokenizer.to("cpu")
    window, size = tokenizer.frames_per_window, tokenizer.codes_per_window
    # Where first codes decode alone, any number of them.
    some = isinstance(tokenizer.method, Temporal) and size > _FEWEST
    windows = Value("features", (_WINDOWS, window, FEATURES), unit="raw, of one clip")
    codes = Value("codes", (_WINDOWS, size), "int64")
    given = Value("codes", (_WINDOWS, Range("codes", _FEWEST, size)), "int64") if some else codes
    frames = Value("features", (f"{window} windows", FEATURES), unit="raw, borders blended")
    pose = (
        Value("features", (Range("frames"), FEATURES), unit="raw"),
        Value("offsets", (len(JOINTS), 3), unit="m, from each joint's parent to it"),
        Value("start", (3,), "float64", "x (m), y (m) and yaw (rad) of frame 0"),
    )
    body = (
        Value("root_positions", ("frames", 3), unit="m"),
        Value("rotations", ("frames", len(JOINTS), 4), unit="local, w x y z"),
        Value("end", (3,), "float64", "x (m), y (m) and yaw (rad) of the last frame"),
    )
    return [
        Program("encoder", _Encoder(tokenizer), (windows,), (codes,)),
        Program("decoder", _Decoder(tokenizer), (given,), (frames,)),
        Program("pose", _Pose(), pose, body),
    ]
