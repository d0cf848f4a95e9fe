"""Tables and pictures of comparisons on images, beside the DAPS paper's figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motiontok.evaluate.bench import Bench
from motiontok.images.compare import ImageOutcome
from motiontok.images.figures import TIGHT
from motiontok.images.published import Published, published_for
from motiontok.plotting import legend_below, new_figure, save_figure

__all__ = ["comparison_markdown", "evaluation_markdown", "plot_code_use", "plot_comparison"]

_MARKERS = "osD^vPX<>ph*"


# (key, heading, decimals, factor)
_QUALITY = (
    ("sampled_psnr", "PSNR dB", 2, 1),
    ("psnr", "greedy dB", 2, 1),
    ("ssim", "SSIM", 3, 1),
    ("weighted_elbo", "log p - {beta:g} KL", 2, 1),
    ("log_p", "log p(x\\|z)", 2, 1),
    ("kl", "KL nats", 1, 1),
    ("fid", "FID", 2, 1),
)
_CODES_AND_COST = (
    ("code_usage", "codes used %", 1, 100),
    ("perplexity", "perplexity", 1, 1),
    ("parameters", "parameters M", 3, 1e-6),
    ("steps", "steps", 0, 1),
    ("training_seconds", "training s", 0, 1),
    ("step_ms", "step ms", 1, 1),
    ("step_peak_mib", "step peak MiB", 0, 1),
)
_NOTES = """\
## How to read the columns

- PSNR is that of each image, then the mean. Where the encoder is stochastic it is of one sampled
  sequence an image, as in the paper, with that of greedy codes beside it; else of the one encoding.
- Log p and KL (to the uniform prior) are of the sample, or log p of the one encoding.
- SSIM is of greedy codes. Codes used and perplexity are means over positions."""


def comparison_markdown(bench: Bench, outcomes: Sequence[ImageOutcome]) -> str:
    """The report of a comparison: measured figures, and published ones if there are any."""
    beta = bench.base.method.beta_end
    lines = [f"# Comparison: {bench.name}", ""]
    done = [o for o in outcomes if o.result is not None]
    if done:
        lines += [*_where([o.result for o in done if o.result is not None]), ""]
    published = published_for(bench.base)
    for budget in dict.fromkeys(o.cell.budget for o in done):
        rows = {
            method: _numbers(
                [o for o in done if (o.cell.budget, o.cell.method) == (budget, method)], beta
            )
            for method in bench.methods
        }
        rows = {method: row for method, row in rows.items() if row}
        order = sorted(rows, key=lambda m: -rows[m]["sampled_psnr"][0])
        lines += [f"## {budget}", ""]
        lines += _table("Quality", order, rows, _QUALITY, beta, published)
        lines += _table("Codes and cost", order, rows, _CODES_AND_COST, beta, {})
    failed = [o for o in outcomes if o.result is None]
    if failed:
        lines += ["## Failed", ""]
        lines += [
            f"- {o.cell.budget}, {o.cell.method}, seed {o.cell.seed}: {o.error}" for o in failed
        ]
        lines.append("")
    missing = len(bench.cells) - len(outcomes)
    if missing:
        lines += [f"{missing} of {len(bench.cells)} runs are still to do.", ""]
    return "\n".join([*lines, _NOTES, ""])


def evaluation_markdown(name: str, result: Mapping[str, Any]) -> str:
    """The report of one tokenizer.

    Args:
        name: of the tokenizer.
        result: with ``metrics``, ``machine``, ``test``, ``beta`` and ``effort``.
    """
    beta = float(result["beta"])
    metrics = _with_elbo(result["metrics"], beta)
    lines = [f"# {name}", "", *_where([result])]
    if result["effort"] > 1:
        lines.append(f"- encoded with effort {result['effort']}, where it says greedy")
    lines += ["", "| | |", "|---|---:|"]
    columns = (*_QUALITY, ("bits_per_image", "bits an image", 0, 1), *_CODES_AND_COST)
    for key, heading, decimals, factor in columns:
        if key in metrics:
            lines.append(f"| {heading.format(beta=beta)} | {factor * metrics[key]:,.{decimals}f} |")
    return "\n".join([*lines, "", _NOTES, ""])


def plot_comparison(bench: Bench, outcomes: Sequence[ImageOutcome], folder: Path) -> dict[str, str]:
    """Validation curves and use of codes by position; files in ``folder`` by what they show.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    pictures = {"Held-out images while training": "curves.png", "Use of codes": "usage.png"}
    curves, usage = pictures.values()
    beta = bench.base.method.beta_end
    style = _styles(bench.methods)
    published = published_for(bench.base)
    figure = new_figure(12, 5.0, doing="drawing curves")
    panels = figure.subplots(1, 2)
    values: tuple[Callable[[Mapping[str, float]], float | None], ...] = (
        _psnr_of,
        lambda row: _elbo_of(row, beta),
    )
    for outcome in outcomes:
        colour, marker = style[outcome.cell.method]
        look = {"color": colour, "marker": marker, "markersize": 3, "lw": 1.2}
        for axes, value in zip(panels, values, strict=True):
            # The untrained networks at step 0 would leave no room for the rest.
            rows = [r for r in outcome.log if r["step"] > 0]
            points = [(r["seconds"], v) for r in rows if (v := value(r)) is not None]
            if len(points) > 1:
                axes.plot(*zip(*points, strict=True), label=outcome.cell.method, **look)
    end = published.get("daps")
    titles = ("PSNR, dB (a sample where the encoder is stochastic)", f"log p - {beta:g} KL, nats")
    for axes, title, goal in zip(
        panels, titles, (end and end.psnr, end and end.beta_elbo), strict=True
    ):
        if goal is not None:
            axes.axhline(goal, color="0.4", ls="--", lw=1, label="DAPS, published end point")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("seconds of training")
        axes.grid(alpha=0.3)
    legend_below(figure)
    save_figure(figure, folder / curves, **TIGHT)

    results = {o.cell.method: o.result for o in outcomes if o.result is not None}
    plot_code_use(results, folder / usage, style)
    return pictures


def plot_code_use(
    results: Mapping[str, Mapping[str, Any]],
    out: Path,
    style: Mapping[str, tuple[Any, str]] | None = None,
) -> None:
    """Draw the use of codes by position.

    Args:
        results: by label: with ``used_per_position`` and ``perplexity_per_position``.
        out: a picture.
        style: colour and marker of each label.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(12, 4.8, doing="drawing curves")
    style = style or _styles(tuple(results))
    for axes, key, title in zip(
        figure.subplots(1, 2),
        ("used_per_position", "perplexity_per_position"),
        ("share of the vocabulary in use", "perplexity of codes"),
        strict=True,
    ):
        for label, result in results.items():
            colour, marker = style[label]
            axes.plot(result[key], color=colour, marker=marker, markersize=3, lw=1, label=label)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("position of the code")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    legend_below(figure)
    save_figure(figure, out, **TIGHT)


def _psnr_of(row: Mapping[str, float]) -> float | None:
    return row.get("val_sampled_psnr", row.get("val_psnr"))


def _elbo_of(row: Mapping[str, float], beta: float) -> float | None:
    if "val_log_p" not in row or "val_kl" not in row:
        return None
    return row["val_log_p"] - beta * row["val_kl"]


def _with_elbo(metrics: Mapping[str, float], beta: float) -> dict[str, float]:
    out = dict(metrics)
    if "kl" in out:
        # At one weight for all, since methods are trained with different ones.
        out["weighted_elbo"] = out["log_p"] - beta * out["kl"]
    return out


def _numbers(outcomes: Sequence[ImageOutcome], beta: float) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over seeds."""
    results = [o.result["metrics"] for o in outcomes if o.result is not None]
    # What is encoded in one way only has that way's PSNR beside the published one.
    runs = [_with_elbo({"sampled_psnr": m["psnr"], **m}, beta) for m in results]
    keys = [k for k in (runs[0] if runs else {}) if all(k in run for run in runs)]
    return {
        k: (
            float(np.mean([r[k] for r in runs])),
            float(np.std([r[k] for r in runs], ddof=1)) if len(runs) > 1 else math.nan,
        )
        for k in keys
    }


def _table(
    title: str,
    order: Sequence[str],
    rows: Mapping[str, Mapping[str, tuple[float, float]]],
    columns: Sequence[tuple[str, str, int, float]],
    beta: float,
    published: Mapping[str, Published],
) -> list[str]:
    shown = [c for c in columns if any(c[0] in row for row in rows.values())]
    if not shown:
        return []
    head = [title, *(c[1].format(beta=beta) for c in shown)]
    head += ["published PSNR", "published β-ELBO"] if published else []
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for method in order:
        cells = [method]
        for key, _, decimals, factor in shown:
            mean, deviation = rows[method].get(key, (math.nan, math.nan))
            text = "-" if math.isnan(mean) else f"{factor * mean:,.{decimals}f}"
            spread = "" if math.isnan(deviation) else f" ± {factor * deviation:,.{decimals}f}"
            cells.append(text + spread)
        if published:
            known = published.get(method)
            elbo = "-" if known is None or known.beta_elbo is None else f"{known.beta_elbo:,.2f}"
            cells += ["-" if known is None else f"{known.psnr:.2f}", elbo]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _where(results: Sequence[Mapping[str, Any]]) -> list[str]:
    tests = [f"{r['test']['images']} held-out images; {r['test']['data']}" for r in results]
    machines = []
    for result in results:
        m = result["machine"]
        machines.append(
            f"{m.get('accelerator', m['processor'])}, {m['cores']} cores, {m['threads']} threads, "
            f"torch {m['torch']}, {m['date']}"
        )
    return [f"- {line}" for line in dict.fromkeys([*tests, *machines])]


def _styles(methods: Sequence[str]) -> dict[str, tuple[Any, str]]:
    from matplotlib import colormaps

    palette = colormaps["tab20"].colors  # type: ignore[attr-defined]
    return {
        name: (palette[(2 * i + i // 10) % 20], _MARKERS[i % len(_MARKERS)])
        for i, name in enumerate(methods)
    }
