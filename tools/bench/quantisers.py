"""What fitted quantisers lose on motion they have seen the like of, and on other sets. Markdown.

    python tools/bench/quantisers.py --data general --other lafan1 --other bandai-1

Windows of 32 frames, mirror images in training, every 20th clip of ``--data`` held out and all of
``--other`` never seen. The error is the mean distance of joints from where they were, in the body's
frame, hips left out. Every codec is fitted to the same leading components of the same windows.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from measuring import facts
from torch import Tensor, nn

from bvh import dataset
from motiontok.data import COLUMNS, Statistics, accumulate, from_motion
from motiontok.models import LopqQuantizer, ProductQuantizer
from motiontok.models.k_means import k_means, nearest
from motiontok.models.principal_components import principal_components

WINDOW, VOCAB, KEPT = 32, 1024, 1024
PAIRS, SEEN_BEFORE = 40_000, 8
POSITIONS = COLUMNS["positions"]

Codec = Callable[[Tensor], Tensor]
"""Components ``(windows, components)`` coded and decoded."""


@dataclass
class Windows:
    """Consecutive windows of clips that are not trained on.

    Attributes:
        components: ``(windows, KEPT)``.
        rest: ``(windows, frames * joints * 3)``, of positions (m) what components lack.
        first: ``(windows,)``, whether no window of the clip comes before.
    """

    components: Tensor
    rest: Tensor
    first: Tensor


class Space:
    """Leading principal components of standardised windows."""

    def __init__(self, windows: Tensor, generator: torch.Generator) -> None:
        self.statistics = Statistics.fit(accumulate(windows))
        flat = self._flat(windows)
        self.mean = flat.mean(dim=0)
        self.basis = principal_components(flat - self.mean, KEPT, generator)[1]
        columns = torch.arange(WINDOW * windows.shape[2]).reshape(WINDOW, -1)
        self.places = columns[:, POSITIONS].flatten()
        self.metres = self.statistics.scale[POSITIONS].repeat(WINDOW)
        self.to_positions = self.basis[:, self.places] * self.metres
        # The last frames, the root's path as steps: linear in a window's components.
        late = self.basis.unflatten(1, (WINDOW, -1))[:, -SEEN_BEFORE - 1 :]
        root = slice(COLUMNS["yaw_rate"].start, COLUMNS["velocity"].stop)
        ends = late[:, 1:].clone()
        ends[..., root] = late[..., root].diff(dim=1)
        self.to_ends = ends.flatten(1)

    def _flat(self, windows: Tensor) -> Tensor:
        return self.statistics.standardize(accumulate(windows)).flatten(1)

    def components(self, windows: Tensor) -> Tensor:
        """Components of raw windows ``(windows, frames, columns)``."""
        return torch.cat([(self._flat(w) - self.mean) @ self.basis.T for w in windows.split(4096)])

    def held_out(self, clips: Sequence[np.ndarray]) -> Windows:
        """Consecutive windows of clips, what is left at their ends cut off."""
        cut = [torch.tensor(c[: len(c) // WINDOW * WINDOW]) for c in clips if len(c) >= WINDOW]
        windows = torch.cat([c.unflatten(0, (-1, WINDOW)) for c in cut])
        y = self.components(windows)
        exact = (self._flat(windows) - self.mean)[:, self.places] * self.metres
        first = torch.zeros(len(windows), dtype=torch.bool)
        lengths = torch.tensor([len(c) // WINDOW for c in cut])
        first[lengths.cumsum(0) - lengths] = True
        return Windows(y, exact - y @ self.to_positions, first)

    def error(self, windows: Windows, decoded: Tensor) -> float:
        """Mean distance of joints, mm, of components that were decoded."""
        lost = (windows.components - decoded) @ self.to_positions + windows.rest
        return 1000.0 * float(lost.unflatten(1, (-1, 3)).norm(dim=-1).mean())


def random_windows(
    clips: Sequence[np.ndarray], count: int, rng: np.random.Generator, length: int = WINDOW
) -> Tensor:
    """Windows ``(<= count, length, columns)``, none twice."""
    starts = np.array([max(len(c) - length + 1, 0) for c in clips])
    ends = starts.cumsum()
    drawn = rng.permutation(ends[-1])[:count]
    which = ends.searchsorted(drawn, side="right")
    pairs = zip(which, drawn - ends[which] + starts[which], strict=True)
    return torch.tensor(np.stack([clips[c][a : a + length] for c, a in pairs]))


def in_parts(codec: Codec) -> Codec:
    """The same, few windows at a time."""
    return lambda y: torch.cat([codec(part) for part in y.split(2048)])


def pca_pq(y: Tensor, tokens: int, *, sized: bool) -> ProductQuantizer:
    found = ProductQuantizer(shape=y.shape[1:], codes=tokens, vocab_size=VOCAB, sized=sized)
    found.fit(y[:20_000], torch.Generator().manual_seed(0))
    return found.requires_grad_(False)


def lopq(y: Tensor, tokens: int, *, sized: bool, bases: int) -> LopqQuantizer:
    found = LopqQuantizer(
        shape=y.shape[1:], codes=tokens, vocab_size=VOCAB,
        components=KEPT // 2 if tokens < 64 else KEPT, bases=bases, sized=sized,
    )  # fmt: skip
    place = 0

    def draw(count: int) -> Tensor:
        nonlocal place
        place += count
        return y[place - count : place]

    found.fit(draw, torch.Generator().manual_seed(0))
    return found


def through(quantizer: ProductQuantizer | LopqQuantizer, **search: int) -> Codec:
    """Encoded and decoded."""
    return in_parts(lambda y: quantizer.decode(quantizer.encode(y, **search)))


def one_size(quantizer: LopqQuantizer) -> Codec:
    """With the likeliest sizes alone tried."""

    def codec(x: Tensor) -> Tensor:
        y = quantizer.components(x)
        cells = quantizer.cell_scores(y).argmax(dim=1)
        return quantizer.decode(quantizer.quantize(y, cells, tried=1))

    return in_parts(codec)


class Predicted:
    """Means and deviations of later groups from those decoded before, by small networks.

    The groups of a sized product quantiser are cut into stages. A network of one hidden layer
    reads what the stages before were decoded to (in training: as it is, with noise of the size of
    their error) and says mean and logarithm of the variance of every coefficient of its own.
    """

    def __init__(self, start: ProductQuantizer, y: Tensor, *, stages: int = 8) -> None:
        assert start.sizes is not None
        self.start, count = start, start.codes - 1
        self.used = start.slots[1:] >= 0
        cut = [round(count * s / stages) for s in range(stages + 1)]
        self.stages = [range(a, b) for a, b in pairwise(cut)]
        shapes, _ = self._shapes(y[:8192])
        lost = shapes - self._nearest(shapes, start.codewords[1:] / start.unit[1:, None])
        self.noise = lost.square().mean(dim=0).sqrt()
        size, numbers = start.size, count * start.size
        torch.manual_seed(0)
        self.networks = nn.ModuleList()
        for stage in self.stages[1:]:
            inputs, outputs = stage.start * size + 1, 2 * len(stage) * size
            network = nn.Sequential(nn.Linear(inputs, 128), nn.GELU(), nn.Linear(128, outputs))
            nn.init.zeros_(network[2].weight)
            nn.init.zeros_(network[2].bias)
            self.networks.append(network)
        self.numbers = numbers
        self._train(y)
        self.words: list[Tensor] = []
        self._code(y[:20_000])

    def _shapes(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients in units of sizes ``(windows, tokens, size)``, and what these units are."""
        start = self.start
        assert start.sizes is not None
        z = start.coefficients(y)[:, 1:] / start.unit[1:]
        sizes = start.sizes.sizes(start.sizes.scores(z.square().sum(dim=-1)).argmax(dim=1))
        return z / sizes[..., None], sizes[..., None]

    @staticmethod
    def _nearest(x: Tensor, words: Tensor) -> Tensor:
        return torch.stack([w[nearest(x[:, n], w)] for n, w in enumerate(words)], dim=1)

    def _say(self, stage: int, decoded: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        here = self.stages[stage]
        size = sizes[..., 0].log().mean(dim=1, keepdim=True)
        known = torch.cat([decoded[:, : here.start].flatten(1), size], dim=1)
        mean, spread = self.networks[stage - 1](known).unflatten(1, (2, len(here), -1)).unbind(1)
        return mean, (0.5 * spread).exp()

    @torch.enable_grad()
    def _train(self, y: Tensor, steps: int = 2000) -> None:
        optimizer = torch.optim.AdamW(self.networks.parameters(), lr=2e-3, weight_decay=0.01)
        generator = torch.Generator().manual_seed(0)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (1 + math.cos(math.pi * step / steps))
            shapes, sizes = self._shapes(y[torch.randint(len(y), (512,), generator=generator)])
            noisy = shapes + self.noise * torch.randn(shapes.shape, generator=generator)
            loss = torch.zeros(())
            for n, here in enumerate(self.stages[1:], start=1):
                mean, spread = self._say(n, noisy, sizes)
                off, floor = shapes[:, here] - mean, self.noise[here].square()
                variance = spread.square() + floor
                density = (off.square() + floor) / variance + variance.log()
                loss = loss + (density * self.used[here]).sum(dim=(1, 2)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def _code(self, y: Tensor) -> Tensor:
        """Decoded shapes, with sizes; fits the codewords that it has none of yet."""
        shapes, sizes = self._shapes(y)
        decoded = torch.zeros_like(shapes)
        for n, here in enumerate(self.stages):
            mean, spread = torch.zeros(()), torch.ones(())
            if n:
                mean, spread = self._say(n, decoded, sizes)
            rest = (shapes[:, here] - mean) / spread
            if len(self.words) < here.stop:
                generator = torch.Generator().manual_seed(0)
                for k, token in enumerate(here):
                    unit = self.start.unit[token + 1]
                    points = rest[:, k] * unit * self.used[token]
                    self.words.append(k_means(points, VOCAB, generator, iterations=8) / unit)
            words = torch.stack(self.words[here.start : here.stop])
            decoded[:, here] = (mean + spread * self._nearest(rest, words)) * self.used[here]
        return decoded * sizes

    def __call__(self, y: Tensor) -> Tensor:
        z = nn.functional.pad(self._code(y) * self.start.unit[1:], (0, 0, 1, 0))
        return self.start.synthesize(self.start.components(z))


class AfterPast:
    """A codec of what a linear map of the last frames of the window before does not foretell."""

    def __init__(
        self, space: Space, before: Tensor, after: Tensor, fit: Callable[[Tensor], Codec]
    ) -> None:
        self.space = space
        # As they will be: decoded.
        known = self._known(fit(after)(before))
        gram = known.T @ known
        gram += 1e-3 * gram.diagonal().mean() * torch.eye(len(gram))
        self.map = torch.linalg.solve(gram, known.T @ after)
        alone = torch.arange(len(after)) % 16 == 0  # clips begin, too
        rest = after - torch.where(alone[:, None], 0.0, known @ self.map)
        self.codec = fit(rest)

    def _known(self, y: Tensor) -> Tensor:
        return torch.nn.functional.pad(y @ self.space.to_ends, (0, 1), value=1.0)

    def __call__(self, windows: Windows) -> Tensor:
        """Decoded components, each window by what the one before was decoded to."""
        y, out = windows.components, torch.zeros_like(windows.components)
        starts = windows.first.nonzero()[:, 0]
        lengths = torch.cat([starts, torch.tensor([len(y)])]).diff()
        for step in range(int(lengths.max())):
            at = starts[lengths > step] + step
            expected = self._known(out[at - 1]) @ self.map if step else torch.zeros(())
            out[at] = expected + self.codec(y[at] - expected)
        return out


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="clips to fit to")
    parser.add_argument("--other", type=Path, action="append", default=[], help="never seen")
    parser.add_argument("--bits", type=int, nargs="+", default=[160, 320, 640])
    parser.add_argument("--bases", type=int, default=256)
    parser.add_argument("--windows", type=int, default=160_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(facts("torch"), flush=True)
    rng = np.random.default_rng(0)
    clips = dataset.load(given.data).motions
    held = [from_motion(m) for m in clips[::20]]
    kept = [m for n, m in enumerate(clips) if n % 20]
    seen = [from_motion(m) for m in kept] + [from_motion(m.mirrored()) for m in kept]
    space = Space(random_windows(seen, 16_384, rng), torch.Generator().manual_seed(0))
    drawn = random_windows(seen, given.windows, rng)
    y = space.components(drawn)
    drawn = random_windows(seen, PAIRS, rng, 2 * WINDOW)
    before, after = (space.components(half) for half in drawn.split(WINDOW, dim=1))
    del drawn, seen
    sets = {"held out": space.held_out(held)}
    for folder in given.other:
        found = dataset.load(folder).motions
        sets[folder.name] = space.held_out([from_motion(m) for m in found])

    def row(name: str, bits: int, codec: Callable[[Windows], Tensor]) -> None:
        begun = time.process_time()
        errors = [space.error(w, codec(w)) for w in sets.values()]
        rate = sum(len(w.first) for w in sets.values()) * WINDOW / (time.process_time() - begun)
        cells = " | ".join(f"{e:.1f}" for e in errors)
        print(f"| {name} | {bits} | {cells} | {rate:,.0f} |", flush=True)

    print("| | bits | " + " | ".join(sets) + " | frames/s, there and back |")
    print("|---|---|" + "---|" * (len(sets) + 1))
    for bits in given.bits:
        tokens = bits // 10

        def plain(codec: Codec) -> Callable[[Windows], Tensor]:
            return lambda windows: codec(windows.components)

        for sized in (False, True):
            begun = time.process_time()
            flat = pca_pq(y, tokens, sized=sized)
            told = f"fitted in {time.process_time() - begun:.0f} s"
            which = "with sizes" if sized else "without"
            row(f"pca-pq {which} ({told})", bits, plain(through(flat)))
        row("the same, means and deviations predicted", bits, plain(in_parts(Predicted(flat, y))))
        for sized in (False, True):
            begun = time.process_time()
            local = lopq(y, tokens, sized=sized, bases=given.bases)
            told = f"fitted in {time.process_time() - begun:.0f} s"
            which = "with sizes" if sized else "without"
            row(f"lopq {which} ({told})", bits, plain(through(local)))
        row("the same, one size tried", bits, plain(one_size(local)))
        row("the same, four cells tried", bits, plain(through(local, cells=4)))

        def flat_of(z: Tensor, tokens: int = tokens) -> Codec:
            return through(pca_pq(z, tokens, sized=True))

        def local_of(z: Tensor, tokens: int = tokens) -> Codec:
            return through(lopq(z, tokens, sized=True, bases=32))

        for name, fit in (("pca-pq", flat_of), ("lopq, 32 bases", local_of)):
            row(f"{name}, {PAIRS:,} windows", bits, plain(fit(after)))
            row("the same after the window before", bits, AfterPast(space, before, after, fit))


if __name__ == "__main__":
    main()
