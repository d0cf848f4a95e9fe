"""Comparisons of a few steps."""

from __future__ import annotations

from pathlib import Path

from motiontok.evaluate.bench import load_bench
from motiontok.evaluate.compare import Outcome

TOOLS = Path(__file__).parents[3] / "tools" / "bench"


TINY = """
config = "demo"
seeds = [3, 4]
target_mm = 1000

[data]
window = 8
clips = 4
seconds = 1.5
mirror = false

[model]
codes_per_window = 4
vocab_size = 8
width = 8
heads = 1
layers = 1
decoder_width = 8
decoder_layers = 1

[train]
steps = 2
batch_size = 4
evaluate_every = 1
checkpoint_every = 1
log_every = 1

[budgets.low]

[budgets.high]
model = { codes_per_window = 8 }

[methods.pca-pq]

[methods.pca-sq]

[methods.gumbel-na]
method = { temperature_end = 0.5 }

[methods.second]
method = { name = "gumbel-na" }
train = { steps = 1 }
"""


def small(write, methods="[methods.gumbel-na]\n", **changes):
    head = TINY[: TINY.index("[budgets.low]")].replace("[3, 4]", "[3]")
    for old, new in changes.items():
        head = head.replace(f"{old} = ", f"{old} = {new} #")
    return load_bench(write(f"{head}\n[budgets.low]\n{methods}"))


def outcome_of(bench, index, curve=(), **metrics):
    return Outcome(bench.cells[index], {"metrics": metrics}, tuple(curve))
