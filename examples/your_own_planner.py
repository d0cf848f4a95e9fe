"""A planner of your own: replace `choose` by your policy, language model or solver.

    python examples/your_own_planner.py --out codes.npy

It receives the codes so far, the pose (metres, radians) and the time (seconds), and returns the
codes of one window. Here it sees them as flat ids, like a language model, and repeats the clip that
it was shown.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.prior.planning import State, follow

BOS, EOS, OFFSET = 0, 1, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--out", default="codes.npy")
    given = parser.parse_args()
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    shown = tokenizer.encode(procedural.make("walk", seconds=3.2, seed=0))

    def choose(ids: list[int]) -> list[int]:
        """Your model: ids so far to the ids of one more window."""
        done = (len(ids) - 1) // tokenizer.codes_per_window
        return [int(code) + OFFSET for code in shown[done % len(shown)]]

    def planner(state: State) -> NDArray[np.int64]:
        ids = [BOS]
        if len(state.codes):
            ids = tokenizer.to_ids(state.codes, offset=OFFSET, bos=BOS).tolist()
        # Ids that are no code raise CodesError; they are never decoded to something else.
        return np.asarray(tokenizer.from_ids(choose(ids), offset=OFFSET, bos=BOS, eos=EOS)[0])

    codes = follow(planner, tokenizer, seconds=given.seconds)
    codes.save(given.out)
    print(f"{len(codes.array)} windows -> {given.out}")


if __name__ == "__main__":
    main()
