"""Motion to codes and back, one clip at a time and many together."""

from __future__ import annotations

import numpy as np
from measuring import in_turns, table

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.data import from_motion
from motiontok.paths import SHIPPED_TOKENIZERS
from motiontok.tokens.windows import cut_windows

TITLE = "Encoding and decoding"

COMPONENTS = 512


def measure() -> str:
    """Beside one matrix product: the least that a linear codec of 512 components does."""
    kinds = ("walk", "run", "wave", "dance")
    motions = [procedural.make(kinds[n % 4], seconds=4, seed=n) for n in range(16)]
    frames = sum(map(len, motions))
    axes = np.random.default_rng(0).normal(size=(32 * 203, COMPONENTS)).astype(np.float32)
    parts = []
    for name in SHIPPED_TOKENIZERS:
        tokenizer = MotionTokenizer.from_pretrained(name)
        cut = [cut_windows(from_motion(m), tokenizer.frames_per_window) for m in motions]
        together = np.concatenate(cut)
        flat = together.reshape(len(together), -1).astype(np.float32)
        codes = [tokenizer.encode_to_codes(m) for m in motions]
        rows = np.concatenate([c.array for c in codes]).astype(np.int64)
        timings = in_turns(
            {
                "one matrix product": lambda flat=flat: flat @ axes,
                "features": lambda: [from_motion(m) for m in motions],
                "encode, clip by clip": lambda t=tokenizer: [t.encode(m) for m in motions],
                "encode, 16 clips' windows at once": lambda t=tokenizer, w=together: t.encode(w),
                "decode to features, all at once": lambda t=tokenizer, z=rows: t.decode_features(z),
                "decode to motion, clip by clip": lambda t=tokenizer, c=codes: [
                    t.decode_codes(one) for one in c
                ],
                "decode to motion, 16 clips together": lambda t=tokenizer, c=codes: list(
                    t.decode_many(c)
                ),
            },
            rounds=5,
        )
        what = f"tokenizer `{name}`, 16 clips of 120 frames"
        parts.append(
            table(timings, what=what, unit="frames", work=frames, against="one matrix product")
        )
    return "\n\n".join(parts)
