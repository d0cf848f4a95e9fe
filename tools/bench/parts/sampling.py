"""New codes from the prior."""

from __future__ import annotations

from measuring import in_turns, table

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.prior import SamplingOptions, TokenPrior

TITLE = "Sampling from the prior"

WINDOWS = 4


def measure() -> str:
    """Beside one pass over codes that are known, which needs no code to wait for another."""
    tokenizer = MotionTokenizer.from_pretrained("default")
    prior = TokenPrior.from_pretrained("default", tokenizer=tokenizer)
    known = tokenizer.encode(procedural.make("walk", seconds=WINDOWS * 32 / 30, seed=1))[:WINDOWS]
    plain, guided = SamplingOptions(guidance=1.0), SamplingOptions(guidance=1.5)

    def draw(count: int, options: SamplingOptions) -> object:
        return prior.sample(WINDOWS, batch=count, velocity=(1.0, 0.0), options=options, seed=0)

    timings = in_turns(
        {
            "log-probabilities of known codes": lambda: prior.log_prob(known),
            "one sample": lambda: draw(1, plain),
            "one sample, guidance 1.5": lambda: draw(1, guided),
            "8 samples at once": lambda: draw(8, plain),
        },
        rounds=5,
    )
    codes = WINDOWS * tokenizer.codes_per_window
    return table(
        timings,
        what=f"{WINDOWS} windows",
        unit="codes",
        work={name: codes * (8 if name.startswith("8") else 1) for name in timings},
        against="log-probabilities of known codes",
    )
