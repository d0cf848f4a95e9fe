"""Follow a commanded velocity, window by window: the shortest planner there is.

    python examples/velocity_follower.py --out codes.npy && motiontok render codes.npy

Each call draws one window from the prior, conditioned on the present command.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from motiontok import MotionTokenizer
from motiontok.prior import SamplingOptions, TokenPrior
from motiontok.prior.planning import State, follow


def command(time: float) -> tuple[float, float, float]:
    """Forward and left velocity (m/s) and yaw rate (rad/s): a joystick, a policy, ..."""
    return (1.2, 0.0, 0.4) if time > 3.0 else (1.0, 0.0, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--prior", default="default")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--out", default="codes.npy")
    given = parser.parse_args()
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    prior = TokenPrior.from_pretrained(given.prior, tokenizer=tokenizer)
    options = SamplingOptions(guidance=1.5, top_p=0.95)

    def planner(state: State) -> NDArray[np.int64]:
        forward, left, turn = command(state.time)
        codes = prior.sample(
            1,
            velocity=(forward, left),
            yaw_rate=turn,
            prefix=state.codes if len(state.codes) else None,
            options=options,
            seed=len(state.codes),
        )
        return codes[0, 0]

    codes = follow(planner, tokenizer, seconds=given.seconds)
    codes.save(given.out)
    walked = tokenizer.decode_codes(codes).root_positions
    print(f"walked from {walked[0, :2].round(1)} to {walked[-1, :2].round(1)} -> {given.out}")


if __name__ == "__main__":
    main()
