"""Whether a prior does as it is told: commands over a grid, standing, labels. Prints markdown.

    python tools/bench/obedience.py --data FOLDER...

The folders are those of `train-prior`: their tokens say which commands people's motion has.
Samples are drawn as the prior draws them and, beside that, with codes as drawn. An action
classifier trained on decoded training clips judges labels; its own accuracy on held-out clips
stands beside.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bvh.rotations import Array
from motiontok import MotionTokenizer
from motiontok.evaluate.motion_metrics import foot_skate
from motiontok.prior import SamplingOptions, TokenPrior
from motiontok.prior.model import Conditions
from motiontok.prior.runs import load_tokens
from motiontok.prior.tokens import TokenSet, commands_of

WINDOWS = 10  # 10.7 s
JUDGED = 3  # windows of a sample that is judged
TOLERANCE = 0.1
ENOUGH = 20  # training windows that have a command to within the tolerance
FORWARD = np.linspace(-0.5, 1.5, 5)
LEFT = np.linspace(-0.6, 0.6, 5)
TURN = np.linspace(-1.0, 1.0, 5)


def drawn(prior: TokenPrior, commands: Array, *, seed: int) -> torch.Tensor:
    """One sample ``(rows, WINDOWS, codes)`` for each command, not planted."""
    rows, size = len(commands), prior.codes_per_window
    asked = torch.tensor(commands, dtype=torch.float32)[:, None].expand(rows, WINDOWS, 3)
    none = torch.zeros(rows, dtype=torch.long)
    past = torch.zeros(rows, 0, size, dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    for n in range(WINDOWS):
        conditions = Conditions(asked[:, : n + 1], none, none)
        draft = prior.draft(past, conditions, options=SamplingOptions(), generator=generator)
        draft.write(size)
        past = torch.cat([past, draft.codes[:, None]], dim=1)
    return past


def near(commands: Array, seen: Array) -> NDArray[np.int64]:
    """How many of the training windows ``(n, 3)`` have each of the commands."""
    return np.array(
        [
            (
                (np.linalg.norm(seen[:, :2] - one[:2], axis=1) < TOLERANCE)
                & (np.abs(seen[:, 2] - one[2]) < TOLERANCE)
            ).sum()
            for one in commands
        ]
    )


def nearest(command: Array, known: Array) -> Array:
    return np.asarray(known[np.linalg.norm(known - command, axis=1).argmin()])


def skate(tokenizer: MotionTokenizer, codes: NDArray[Any]) -> float:
    positions = [tokenizer.decode(one).global_positions() for one in codes]
    return float(np.mean([foot_skate(p, truth=p, fps=30.0) for p in positions]))


def grid(tokenizer: MotionTokenizer, prior: TokenPrior, training: TokenSet) -> None:
    seen = training.commands.astype(np.float64)
    commands = np.array(list(itertools.product(FORWARD, LEFT, TURN)))
    counts = near(commands, seen)
    known = counts >= ENOUGH
    began = time.process_time()
    codes = drawn(prior, commands, seed=0)
    first = time.process_time() - began
    began = time.process_time()
    planted = prior.planted(codes, torch.tensor(commands, dtype=torch.float32)[:, None])
    second = time.process_time() - began
    print(
        f"{len(commands)} commands, {known.sum()} of which {ENOUGH} training windows have; "
        f"drawn in {first:.0f} s, planted in {second:.0f} s of processor time\n"
    )
    print("| codes | commands | velocity m/s | turn rad/s | within 0.1 and 0.1 | slide mm/s |")
    print("|---|---|---|---|---|---|")
    done = {}
    for name, some in (("as drawn", codes), ("planted", planted)):
        each = tokenizer.decode_features(some.numpy())
        done[name] = np.array([commands_of(f, 32).mean(axis=0) for f in each])
        off = done[name] - commands
        v, turn = np.linalg.norm(off[:, :2], axis=1), np.abs(off[:, 2])
        kept = (v <= TOLERANCE) & (turn <= TOLERANCE)
        for which, rows in (("people do", known), ("hardly anybody does", ~known)):
            slid = skate(tokenizer, some[rows].numpy())
            print(
                f"| {name} | {which} | {v[rows].mean():.3f} | {turn[rows].mean():.3f} | "
                f"{kept[rows].sum()} of {rows.sum()} | {slid:.0f} |",
                flush=True,
            )
    off = done["planted"] - commands
    missed = (np.linalg.norm(off[:, :2], axis=1) > TOLERANCE) | (np.abs(off[:, 2]) > TOLERANCE)
    print("\n| asked | did | nearest that people do | training windows |\n|---|---|---|---|")
    for row in np.flatnonzero(missed):
        cells = [commands[row], done["planted"][row], nearest(commands[row], commands[known])]
        text = " | ".join(" ".join(f"{value:.2f}" for value in cell) for cell in cells)
        print(f"| {text} | {counts[row]} |")


def standing(tokenizer: MotionTokenizer, prior: TokenPrior) -> None:
    codes = drawn(prior, np.zeros((8, 3)), seed=1)
    print("\n| standing | speed m/s | drift in 10.7 s, m | turned rad | slide mm/s |")
    print("|---|---|---|---|---|")
    for name, some in (
        ("as drawn", codes),
        ("planted", prior.planted(codes, torch.zeros(8, 1, 3))),
    ):
        motions = [tokenizer.decode(one) for one in some.numpy()]
        path = np.stack([m.root_positions[:, :2] for m in motions])
        speed = np.linalg.norm(np.diff(path, axis=1), axis=-1).mean() * 30
        drift = np.linalg.norm(path[:, -1] - path[:, 0], axis=-1).mean()
        each = tokenizer.decode_features(some.numpy())
        turned = np.abs([f[:, 0].sum() / 30 for f in each]).mean()
        slid = skate(tokenizer, some.numpy())
        print(f"| {name} | {speed:.3f} | {drift:.2f} | {turned:.2f} | {slid:.0f} |", flush=True)


def described(tokenizer: MotionTokenizer, codes: NDArray[Any]) -> torch.Tensor:
    """What the classifier sees of windows: means, deviations and ends of their features."""
    parts = [codes[first : first + 200, None] for first in range(0, len(codes), 200)]
    x = np.concatenate([tokenizer.decode_features(part) for part in parts])
    rows = [x.mean(axis=1), x.std(axis=1), x[:, -1] - x[:, 0]]
    return torch.tensor(np.concatenate(rows, axis=1), dtype=torch.float32)


def labels(
    tokenizer: MotionTokenizer,
    prior: TokenPrior,
    training: TokenSet,
    held_out: TokenSet,
    most: int,
    samples: int,
    only: Sequence[str] | None,
) -> None:
    """Of actions that held-out clips have, too.

    Without commands of their own labels leave the velocity open.
    """
    free = TokenPrior(
        prior.model, fingerprint=prior.fingerprint, limits=prior.limits, pairs=prior.pairs
    )
    sets = []
    rng = np.random.default_rng(0)
    for tokens, limit in ((training, most), (held_out, 100)):
        names = list(tokens.actions)
        rows = [np.flatnonzero(tokens.action == k) for k in range(len(names))]
        some = [rng.permutation(r)[:limit] for r in rows]
        sets.append((tokens.codes.astype(np.int64), some, names, tokens.sequence, rows))
    codes, train, names, _, of_label = sets[0]
    counts = [len(r) for r in of_label]
    held, test, _, sequence, _ = sets[1]
    known = [k for k in range(1, len(names)) if len(train[k]) >= 100 and len(test[k]) >= 3]
    x = described(tokenizer, np.concatenate([codes[train[k]] for k in known]))
    y = torch.cat([torch.full((len(train[k]),), i) for i, k in enumerate(known)])
    mean, scale = x.mean(dim=0), x.std(dim=0) + 0.05
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Dropout(0.2), torch.nn.Linear(x.shape[1], 128), torch.nn.ReLU(),
        torch.nn.Dropout(0.3), torch.nn.Linear(128, len(known)),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    for _ in range(1200):
        pick = torch.randint(len(x), (128,))
        loss = torch.nn.functional.cross_entropy(net((x[pick] - mean) / scale), y[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()

    @torch.no_grad()
    def share(windows: NDArray[Any], want: int) -> tuple[float, float]:
        """Shares of single windows, and of three in a row together, by their mean logarithms."""
        logits = net((described(tokenizer, windows) - mean) / scale).log_softmax(dim=1)
        together = logits.unflatten(0, (-1, JUDGED)).mean(dim=1)
        one, three = ((x.argmax(dim=1) == want).float().mean() for x in (logits, together))
        return float(one), float(three)

    whole = sequence[JUDGED - 1 :] == sequence[: len(sequence) - JUDGED + 1]
    print("\nThe label is the judge's first choice: of single windows, of three together.\n")
    print("| label | training windows | real | velocity open | as drawn | default |")
    print("|---|---|---|---|---|---|")
    total = []
    for i, k in enumerate(known):
        if only and names[k] not in only:
            continue
        begins = np.flatnonzero(whole & (held_out.action[: len(whole)] == k))[:100]
        real = share(held[(begins[:, None] + np.arange(JUDGED)).ravel()], i)
        found = []
        for drawer, options in (
            (free, SamplingOptions()),
            (prior, SamplingOptions(plant=False)),
            (prior, SamplingOptions()),
        ):
            made = drawer.sample(JUDGED, batch=samples, label=names[k], seed=0, options=options)
            found.append(share(made.reshape(-1, made.shape[-1]), i))
        total.append((real, *found))
        cells = " | ".join(f"{a:.2f}, {b:.2f}" for a, b in (real, *found))
        print(f"| {names[k]} | {counts[k]} | {cells} |", flush=True)
    means = np.array(total).mean(axis=0)
    print(f"| mean | | {' | '.join(f'{a:.2f}, {b:.2f}' for a, b in means)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, action="append")
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--prior", default="default")
    parser.add_argument("--windows", type=int, default=200, help="of each label to train on")
    parser.add_argument("--samples", type=int, default=8, help="of each label")
    parser.add_argument("--part", choices=("grid", "standing", "labels"), action="append")
    parser.add_argument("--label", action="append", help="only this one; may be repeated")
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    prior = TokenPrior.from_pretrained(given.prior, tokenizer=tokenizer)
    file, held_out = load_tokens(tokenizer, given.data, shifts=4)
    with file:
        training = file.read(0, len(file))
    parts = given.part or ["grid", "standing", "labels"]
    if "grid" in parts:
        grid(tokenizer, prior, training)
    if "standing" in parts:
        standing(tokenizer, prior)
    if "labels" in parts:
        labels(tokenizer, prior, training, held_out, given.windows, given.samples, only=given.label)


if __name__ == "__main__":
    main()
