"""Motion to codes and back, one clip at a time and many together."""

from __future__ import annotations

import numpy as np
from measuring import in_turns, table

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.data import from_motion
from motiontok.tokens.windows import cut_windows

TITLE = "Encoding and decoding"

COMPONENTS = 512


def measure() -> str:
    """Beside one matrix product: the least that a linear codec of 512 components does."""
    kinds = ("walk", "run", "wave", "dance")
    motions = [procedural.make(kinds[n % 4], seconds=4, seed=n) for n in range(16)]
    frames = sum(map(len, motions))
    axes = np.random.default_rng(0).normal(size=(32 * 203, COMPONENTS)).astype(np.float32)
    tokenizer = MotionTokenizer.from_pretrained("default")
    windows = np.concatenate(
        [cut_windows(from_motion(m), tokenizer.frames_per_window) for m in motions]
    )
    flat = windows.reshape(len(windows), -1).astype(np.float32)
    codes = [tokenizer.encode_to_codes(m) for m in motions]
    rows = np.concatenate([c.array for c in codes]).astype(np.int64)
    timings = in_turns(
        {
            "one matrix product": lambda: flat @ axes,
            "features": lambda: [from_motion(m) for m in motions],
            "encode, clip by clip": lambda: [tokenizer.encode(m) for m in motions],
            "encode, 16 clips' windows at once": lambda: tokenizer.encode(windows),
            "decode to features, all at once": lambda: tokenizer.decode_features(rows),
            "decode to motion, clip by clip": lambda: [tokenizer.decode_codes(c) for c in codes],
            "decode to motion, 16 clips together": lambda: list(tokenizer.decode_many(codes)),
        },
        rounds=5,
    )
    what = "the default tokenizer, 16 clips of 120 frames"
    return table(timings, what=what, unit="frames", work=frames, against="one matrix product")
