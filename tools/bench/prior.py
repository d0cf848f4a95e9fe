"""How good a prior and the planner on it are, on held-out clips. Prints markdown.

    python tools/bench/prior.py --data path/to/cmu --data path/to/snu --run runs/prior
    python tools/bench/prior.py --data ... --run runs/prior --part windows --rows default drawn

The prior is the one in RUN (or --prior), the tokens are those that `train-prior` kept in
RUN; --data are what it was given, in that order. Times are processor times of one thread, so
that a busy machine does not matter.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bvh.motion import Motion
from bvh.rotations import Array
from motiontok import MotionTokenizer
from motiontok.data import Start, accumulate, from_motion, split_windows, to_motion
from motiontok.data.clips import load_clips
from motiontok.evaluate.motion_metrics import foot_skate
from motiontok.prior import SamplingOptions, TokenPrior
from motiontok.prior.planning import (
    PathTarget,
    SearchPlanner,
    VelocityProfile,
    follow,
    track_path,
    track_velocity,
    tracking_errors,
)
from motiontok.prior.runs import load_tokens
from motiontok.prior.tokens import commands_of

COMPONENTS = 64


class Descriptor:
    """A window as principal components of its standardised features, fitted on real ones."""

    def __init__(self, tokenizer: MotionTokenizer, windows: Array) -> None:
        self.tokenizer = tokenizer
        flat = self._flat(windows)
        self.mean = flat.mean(axis=0)
        _, _, axes = torch.pca_lowrank(torch.from_numpy(flat - self.mean), q=COMPONENTS)
        self.axes = axes.numpy()

    def _flat(self, windows: Array) -> Array:
        x = accumulate(torch.tensor(windows, dtype=torch.float32))
        return self.tokenizer.statistics.standardize(x).flatten(1).numpy()

    def __call__(self, windows: Array) -> Array:
        return (self._flat(windows) - self.mean) @ self.axes


def frechet(a: Array, b: Array) -> float:
    """Distance of two Gaussians (Heusel et al. 2017)."""
    ca, cb = np.cov(a.T), np.cov(b.T)
    values = np.linalg.eigvals(ca @ cb).real.clip(min=0)
    mean = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    return float(mean + np.trace(ca) + np.trace(cb) - 2 * np.sqrt(values).sum())


def spread(x: Array) -> float:
    """Mean distance of two windows."""
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, len(x), (2, 4000))
    return float(np.linalg.norm(x[i] - x[j], axis=1)[i != j].mean())


def whole(features: Array, window: int) -> Array:
    """Whole windows ``(windows, frames, 203)`` of a clip's features."""
    return split_windows(features[: len(features) // window * window], window)


def skate(motions: list[Motion]) -> float:
    """Foot skate (mm/s), weighted by frames."""
    positions = [m.global_positions() for m in motions]
    values = [foot_skate(p, truth=p, fps=30.0) for p in positions]
    return float(np.average(values, weights=[len(p) for p in positions]))


def windows(
    tokenizer: MotionTokenizer,
    prior: TokenPrior,
    run: Path,
    data: list[Path],
    tolerances: list[float],
    guidances: list[float],
    first: int | None,
    rows: list[str],
) -> None:
    """Likelihood, and ``rows`` of samples, decoded from their ``first`` codes, beside real ones."""
    file, held_out = load_tokens(tokenizer, data, shifts=4)
    with file:
        training = file.read(0, len(file))
    metrics = json.loads((run / "metrics.json").read_text())
    assert prior.model.local is not None
    drawn = held_out.codes[:, : prior.config.codes_per_window]
    said = prior.model.local.windows(torch.from_numpy(drawn.astype(np.int64)))
    missed = (
        said @ prior.model.says[:-1] + prior.model.says[-1] - torch.from_numpy(held_out.commands)
    )
    print("commands that codes say, root mean square error:", missed.square().mean(dim=0).sqrt())
    print("nats a code:", {k: round(v, 3) for k, v in metrics.items() if "nats" in k})

    clips = load_clips(tokenizer.config.data, data, seed=0)
    n = tokenizer.frames_per_window
    real = [from_motion(m) for m in clips.held_out if len(m) >= n]
    reference = [from_motion(m) for m in clips.training[::3] if len(m) >= n]
    describe = Descriptor(tokenizer, np.concatenate([whole(f, n) for f in reference]))
    base = describe(np.concatenate([whole(f, n) for f in reference]))

    sequences = [np.flatnonzero(held_out.sequence == s) for s in np.unique(held_out.sequence)]

    def draw(mode: str, seed: int = 0, **how: Any) -> list[Array]:
        """Codes as long as each held-out clip's, with its conditions."""
        out, limits = [], prior.limits
        options = SamplingOptions(top_p=0.95, **how)
        rng = np.random.default_rng(seed)
        for k, rows in enumerate(sequences):
            if mode == "unigram":
                pick = rng.integers(0, len(training), (len(rows), tokenizer.codes_per_window))
                out.append(training.codes[pick, np.arange(tokenizer.codes_per_window)])
                continue
            # All windows of a clip at once, or each after the real ones before it.
            parts = [rows[i : i + 1] for i in range(len(rows))] if mode == "one" else [rows]
            drawn = []
            for part in parts:
                asked: dict[str, Any] = {}
                if mode != "free":
                    # Beyond its limits nothing may be asked.
                    rows_asked = np.clip(held_out.commands[part], limits.lower, limits.upper)
                    asked = {
                        "velocity": rows_asked[:, :2],
                        "yaw_rate": rows_asked[:, 2],
                        "label": held_out.actions[held_out.action[rows[0]]] or None,
                        "style": held_out.styles[held_out.style[rows[0]]] or None,
                        "prefix": held_out.codes[rows[0] : part[0]] if part[0] > rows[0] else None,
                    }
                drawn.append(
                    prior.sample(len(part), options=options, seed=1000 * seed + k, **asked)[0]
                )
            out.append(np.concatenate(drawn))
        return out

    def report(name: str, features: list[Array], motions: list[Motion] | None = None) -> None:
        cut = describe(np.concatenate([whole(f, n) for f in features]))
        got = np.concatenate([commands_of(f[: len(f) // n * n], n) for f in features])
        error = got - held_out.commands
        velocity = np.sqrt((error[:, :2] ** 2).sum(axis=1).mean())
        turn = np.sqrt((error[:, 2] ** 2).mean())
        bodies = motions or [to_motion(f, tokenizer.offsets) for f in features]
        print(
            f"| {name} | {frechet(cut, base):.2f} | {spread(cut):.1f} | "
            f"{skate(bodies):.0f} | {velocity:.2f} | {turn:.2f} |",
            flush=True,
        )

    print(f"\n{len(held_out)} held-out windows, reference {len(base)} training windows\n")
    print("| windows | Frechet distance | spread | skate mm/s | velocity m/s | yaw rate rad/s |")
    print("|---|---|---|---|---|---|")
    cut = [f[: len(f) // n * n] for f in real]
    own = [m[: len(m) // n * n] for m in clips.held_out if len(m) >= n]
    report("real, held out", cut, own)

    def decoded(codes: list[Array], count: int | None) -> tuple[list[Array], list[Motion]]:
        kept = [c[:, :count].astype(np.int64) for c in codes]
        said = {"first": count}
        features = [tokenizer.decode_features(c, **said) for c in kept]
        return features, [tokenizer.decode(c, **said) for c in kept]

    own_codes = [held_out.codes[r] for r in sequences]
    report("the same, encoded and decoded", *decoded(own_codes, None))
    # The default path, and what each of its parts does.
    ways: list[tuple[str, str, str, dict[str, Any]]] = [
        ("default", "samples, their commands and labels, the default", "conditioned", {}),
        ("drawn", "the same, as drawn", "conditioned", {"plant": False}),
        ("drawn", "as drawn, guidance 1", "conditioned", {"plant": False, "guidance": 1.0}),
        *(
            ("tolerance", f"the default, tolerance {t:g}", "conditioned", {"tolerance": t})
            for t in tolerances
        ),
        *(
            ("guidance", f"the default, guidance {g:g}", "conditioned", {"guidance": g})
            for g in guidances
        ),
        ("one", "the default, each after the real ones before it", "one", {}),
        ("free", "samples, no conditions", "free", {}),
        ("unigram", "unigram samples", "unigram", {}),
    ]
    for kind, name, mode, how in ways:
        if kind in rows:
            report(name, *decoded(draw(mode, **how), first))


def plans(tokenizer: MotionTokenizer, prior: TokenPrior, targets: int) -> None:
    """Search beside sampling alone."""
    print(
        "\n| samples, horizon, beam | tolerance | path m | end m | velocity m/s | yaw rad/s "
        "| x real |"
    )
    print("|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    paths = [
        PathTarget.through(
            np.cumsum(rng.uniform(-0.6, 1.6, (4, 2)) + [1.0, 0.0], axis=0), speed=1.0
        )
        for _ in range(targets)
    ]
    times = np.array([0.0, 2.0, 5.0, 8.0])
    profiles = [
        VelocityProfile(
            times,
            np.stack([rng.uniform(0.6, 1.6, 4), np.zeros(4), rng.uniform(-0.6, 0.6, 4)], axis=1),
        )
        for _ in range(targets)
    ]
    inf = float("inf")
    for samples, horizon, beam, tolerance in (
        (1, 1, 1, inf), (1, 1, 1, 0.1), (8, 1, 1, 0.1), (32, 1, 1, inf), (32, 1, 1, 0.1),
        (32, 2, 4, inf), (32, 2, 4, 0.1), (64, 2, 8, 0.1),
    ):  # fmt: skip
        found: dict[str, list[float]] = {}
        spent = length = 0.0
        options = SamplingOptions(top_p=0.95, tolerance=tolerance)
        for wanted, cost in ((paths, track_path), (profiles, track_velocity)):
            for seed, target in enumerate(wanted):
                planner = SearchPlanner(
                    prior, tokenizer, [cost(target)], steer=target.steer, samples=samples,
                    horizon=horizon, beam=beam, options=options, seed=seed,
                )  # fmt: skip
                began = time.process_time()
                codes = follow(planner, tokenizer, seconds=target.duration, start=Start())
                spent += time.process_time() - began
                motion = tokenizer.decode_codes(codes)
                length += motion.duration
                for k, v in tracking_errors(motion, target).items():
                    found.setdefault(k, []).append(v)
        row = [f"{np.mean(v):.2f}" for v in found.values()]
        name = f"{samples}, {horizon}, {beam}" + (" (sampling alone)" if samples == 1 else "")
        print(f"| {name} | {tolerance:g} | {' | '.join(row)} | {length / spent:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, action="append")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--prior")
    parser.add_argument("--part", choices=("windows", "plans", "both"), default="both")
    parser.add_argument("--targets", type=int, default=12, help="paths, and profiles, to plan")
    parser.add_argument("--tolerance", type=float, nargs="*", default=[float("inf"), 0.2, 0.05])
    parser.add_argument("--guidance", type=float, nargs="*", default=[1.5])
    parser.add_argument("--codes", type=int, help="of samples, decode only so many first codes")
    kinds = ("default", "drawn", "tolerance", "guidance", "one", "free", "unigram")
    parser.add_argument(
        "--rows", choices=kinds, nargs="+", default=kinds, help="of the table of windows"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    prior = TokenPrior.from_pretrained(given.prior or given.run / "prior", tokenizer=tokenizer)
    if given.part != "plans":
        windows(
            tokenizer,
            prior,
            given.run,
            given.data,
            given.tolerance,
            given.guidance,
            given.codes,
            given.rows,
        )
    if given.part != "windows":
        plans(tokenizer, prior, given.targets)


if __name__ == "__main__":
    main()
