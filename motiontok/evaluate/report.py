"""Tables of measurements in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from motiontok.evaluate.bench import Bench
from motiontok.evaluate.compare import Outcome

__all__ = [
    "QUALITY",
    "SMOOTHNESS",
    "Column",
    "Row",
    "comparison_markdown",
    "comparison_rows",
    "evaluation_markdown",
    "table_lines",
]

Column = tuple[str, str, int, float]
"""(key, heading, decimals, factor)."""

QUALITY: tuple[Column, ...] = (
    ("mpjpe_mm", "MPJPE mm", 1, 1),
    ("mpjpe_global_mm", "global mm", 1, 1),
    ("mpjpe_procrustes_mm", "Procrustes mm", 1, 1),
    ("end_effectors_mm", "end effectors mm", 1, 1),
    ("rotation_deg", "rotation deg", 1, 1),
    ("velocity_mm_s", "velocity mm/s", 0, 1),
    ("acceleration_mm_s2", "acceleration mm/s²", 0, 1),
    ("skate_mm_s", "skate mm/s", 0, 1),
    ("skate_truth_mm_s", "its source", 0, 1),
)
"""Errors of decoded motion."""

SMOOTHNESS: tuple[Column, ...] = (
    ("speed_mm_s", "speed mm/s", 0, 1),
    ("speed_truth_mm_s", "its source", 0, 1),
    ("acceleration_size_mm_s2", "acceleration mm/s²", 0, 1),
    ("acceleration_size_truth_mm_s2", "its source", 0, 1),
    ("jerk_m_s3", "jerk m/s³", 0, 1),
    ("jerk_truth_m_s3", "its source", 0, 1),
    ("seam_mm", "seam error mm", 2, 1),
    ("inside_mm", "inside mm", 2, 1),
    ("border_step_mm", "step at borders mm", 2, 1),
    ("border_step_truth_mm", "its source", 2, 1),
)
"""Smoothness of decoded motion beside its source, and its seams."""

_PAPER: tuple[Column, ...] = (
    ("psnr", "PSNR dB", 2, 1),
    ("psnr_standardised", "PSNR std. dB", 2, 1),
    ("mse", "MSE std.", 4, 1),
    ("sampled_psnr", "sampled PSNR dB", 2, 1),
    ("log_p", "log p(x\\|z)", 1, 1),
    ("kl", "KL nats", 1, 1),
    ("elbo", "ELBO", 1, 1),
    ("beta_elbo", "β-ELBO", 1, 1),
)
_RATE: tuple[Column, ...] = (
    ("bits_per_window", "bits/window", 0, 1),
    ("bits_per_second", "bits/s", 0, 1),
    ("code_usage", "codes used %", 1, 100),
    ("code_usage_pooled", "pooled %", 1, 100),
    ("perplexity", "perplexity", 1, 1),
    ("perplexity_pooled", "pooled", 1, 1),
)
_COST: tuple[Column, ...] = (
    ("parameters", "parameters M", 2, 1e-6),
    ("steps", "steps", 0, 1),
    ("training_seconds", "training s", 0, 1),
    ("seconds_to_target", "to target s", 0, 1),
    ("step_ms", "step ms", 1, 1),
    ("step_peak_mib", "step peak MiB", 0, 1),
    ("encode_windows_per_s", "encode windows/s", 0, 1),
    ("decode_windows_per_s", "decode windows/s", 0, 1),
    ("encode_latency_ms", "encode one ms", 1, 1),
    ("decode_latency_ms", "decode one ms", 1, 1),
)
_TABLES = (
    ("Motion", QUALITY),
    ("Smoothness", SMOOTHNESS),
    ("Windows", _PAPER),
    ("Rate and codes", _RATE),
    ("Cost", _COST),
)
_NOTES = """\
## How to read the columns

- Motion: whole held-out clips on their own skeletons. Joints and end effectors (feet, hands, head)
  are relative to the hips with heading taken out; *global* is without any alignment.
- Smoothness: the mean size of joint velocity and acceleration relative to the hips, of jerk in the
  world. *Seam* is the error of a joint's step from frame to frame across window borders, *inside*
  the same elsewhere.
- Windows: PSNR over columns mapped to [0, 1] by the training range, pooled. Log p, KL (to the
  uniform prior) and β-ELBO = log p - beta_end KL are of one sampled sequence a window where the
  encoder is stochastic; all else is by greedy codes.
- Rate and codes: perplexity cannot exceed the number of windows.
- Cost: with one thread on a CPU all times are processor time, else wall time. Training includes
  fitting and validation. A step is forward, backward and update of one batch; its peak comes on
  top of weights and optimiser moments."""


@dataclass(frozen=True)
class Row:
    """Means and standard deviations over the seeds of a method at a budget."""

    method: str
    seeds: int
    mean: Mapping[str, float]
    deviation: Mapping[str, float]

    @classmethod
    def of(cls, method: str, runs: Sequence[Mapping[str, float]]) -> Row:
        """The row of the figures of each seed; one that some seeds lack has no mean."""
        keys = [k for k in runs[0] if all(k in run for run in runs)]
        values = {k: np.array([run[k] for run in runs]) for k in keys}
        mean = {k: float(v.mean()) for k, v in values.items()}
        deviation = {k: float(v.std(ddof=1)) for k, v in values.items() if len(v) > 1}
        return cls(method, len(runs), mean, deviation)


def comparison_rows(outcomes: Iterable[Outcome], target_mm: float | None) -> dict[str, list[Row]]:
    """Rows of each budget, best joint error first."""
    cells: dict[str, dict[str, list[dict[str, float]]]] = {}
    for outcome in outcomes:
        if outcome.result is None:
            continue
        numbers = _numbers(outcome.result)
        reached = [s for s, _, mm in outcome.curve if target_mm is not None and mm <= target_mm]
        if reached:
            numbers["seconds_to_target"] = reached[0]
        of_budget = cells.setdefault(outcome.cell.budget, {})
        of_budget.setdefault(outcome.cell.method, []).append(numbers)
    return {budget: _best_first(methods) for budget, methods in cells.items()}


def comparison_markdown(
    bench: Bench, outcomes: Sequence[Outcome], pictures: Mapping[str, str] | None = None
) -> str:
    """The report of a comparison.

    Args:
        bench: the comparison.
        outcomes: of its runs so far.
        pictures: files to show, by what they show.
    """
    done = [o for o in outcomes if o.result is not None]
    lines = [f"# Comparison: {bench.name}", ""]
    if done:
        lines += [*_where([o.result for o in done if o.result is not None]), ""]
    for budget, rows in comparison_rows(outcomes, bench.target_mm).items():
        lines += [f"## {budget}", ""]
        lines += _overview([o for o in done if o.cell.budget == budget], rows)
        for title, columns in _TABLES:
            lines += table_lines(title, rows, columns)
        lines += _unseen_tables([o for o in done if o.cell.budget == budget])
        lines += _actions_table([o for o in done if o.cell.budget == budget], rows)
    for title, file in (pictures or {}).items():
        lines += [f"## {title}", "", f"![{title}]({file})", ""]
    failed = [o for o in outcomes if o.result is None]
    if failed:
        lines += ["## Failed", ""]
        for o in failed:
            lines.append(f"- {o.cell.budget}, {o.cell.method}, seed {o.cell.seed}: {o.error}")
        lines.append("")
    missing = len(bench.cells) - len(outcomes)
    if missing:
        lines += [f"{missing} of {len(bench.cells)} runs are still to do.", ""]
    target = f"- Target: held-out joint error {bench.target_mm:g} mm.\n" if bench.target_mm else ""
    return "\n".join([*lines, _NOTES, target])


def evaluation_markdown(name: str, result: Mapping[str, Any]) -> str:
    """The report of one tokenizer.

    Args:
        name: of the tokenizer.
        result: with ``metrics``, ``machine`` and ``test``, as ``result.json`` has them, and
            ``effort``.
    """
    row = Row(name, 1, _numbers(result), {})
    lines = [f"# {name}", "", *_where([result]), ""]
    if result["effort"] > 1:
        lines[-1:] = [f"- encoded with effort {result['effort']}", ""]
    for title, columns in _TABLES:
        shown = [c for c in columns if c[0] in row.mean]
        lines += [f"| {title} | |", "|---|---:|"]
        lines += [f"| {c[1]} | {_number(row, *c)} |" for c in shown]
        lines.append("")
    actions = result["metrics"].get("actions", {})
    if len(actions) > 1:
        lines += ["| Action | clips | MPJPE mm |", "|---|---:|---:|"]
        for action, found in sorted(actions.items(), key=lambda item: -item[1]["clips"]):
            lines.append(f"| {action or 'unnamed'} | {found['clips']} | {found['mpjpe_mm']:.1f} |")
        lines.append("")
    return "\n".join([*lines, _NOTES, ""])


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in result["metrics"].items() if not isinstance(v, list | dict)}


def _where(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Test set, machines and dates of results, each once."""
    tests, machines = [], []
    for result in results:
        test = result["test"]
        tests.append(
            f"{test['split']}: {test['clips']} clips, {test['windows']} windows; "
            f"{test['training_clips']} clips to train on"
        )
        m = result["machine"]
        machines.append(
            f"{m.get('accelerator', m['processor'])}, {m['cores']} cores, {m['threads']} threads, "
            f"torch {m['torch']}, {m['date']}"
        )
    return [f"- {line}" for line in dict.fromkeys([*tests, *machines])]


def table_lines(title: str, rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    """A table of the columns that some row has, ``title`` over the methods; none is no table."""
    shown = [c for c in columns if any(c[0] in row.mean for row in rows)]
    if not shown:
        return []
    seeds = any(row.seeds > 1 for row in rows)
    head = [title, *(["seeds"] if seeds else []), *(c[1] for c in shown)]
    lines = [
        "| " + " | ".join(head) + " |",
        "|---|" + "---:|" * (len(head) - 1),
    ]
    for row in rows:
        cells = [row.method, *([str(row.seeds)] if seeds else [])]
        cells += [_number(row, *c) for c in shown]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _unseen(outcomes: Sequence[Outcome]) -> dict[str, list[Row]]:
    """Rows of each set that was measured though no run trained on it, best joint error first."""
    sets: dict[str, dict[str, list[dict[str, float]]]] = {}
    for outcome in outcomes:
        for name, found in (outcome.result or {})["metrics"].get("unseen", {}).items():
            sets.setdefault(name, {}).setdefault(outcome.cell.method, []).append(found)
    return {name: _best_first(methods) for name, methods in sets.items()}


def _overview(outcomes: Sequence[Outcome], rows: Sequence[Row]) -> list[str]:
    """Joint errors side by side: of held-out clips, and of each unseen set."""
    sets = {name: {row.method: row for row in of} for name, of in _unseen(outcomes).items()}
    if not sets:
        return []
    joined = []
    for row in rows:
        of_sets = {k: of[row.method].mean["mpjpe_mm"] for k, of in sets.items() if row.method in of}
        joined.append(Row(row.method, row.seeds, {**row.mean, **of_sets}, row.deviation))
    columns = [(name, f"{name}, unseen", 1, 1.0) for name in sets]
    return table_lines("MPJPE mm", joined, [("mpjpe_mm", "held out", 1, 1.0), *columns])


def _unseen_tables(outcomes: Sequence[Outcome]) -> list[str]:
    """Errors of motion on each set that no run trained on."""
    lines = []
    for name, rows in _unseen(outcomes).items():
        count = round(rows[0].mean["clips"])
        lines += table_lines(f"{name}, unseen, {count} clips", rows, QUALITY)
    return lines


def _best_first(methods: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Row]:
    """Rows of each method's figures by seed, least joint error first."""
    rows = (Row.of(method, runs) for method, runs in methods.items())
    return sorted(rows, key=lambda row: row.mean["mpjpe_mm"])


def _actions_table(outcomes: Sequence[Outcome], rows: Sequence[Row]) -> list[str]:
    """Joint error of each action by method, the commonest actions first."""
    errors: dict[str, dict[str, list[float]]] = {}
    clips: dict[str, int] = {}
    for outcome in outcomes:
        # Results of before actions were told apart have none.
        for action, found in (outcome.result or {})["metrics"].get("actions", {}).items():
            clips[action] = found["clips"]
            of_method = errors.setdefault(action, {}).setdefault(outcome.cell.method, [])
            of_method.append(found["mpjpe_mm"])
    if len(errors) < 2:
        return []
    methods = [row.method for row in rows]
    lines = [
        "| MPJPE mm by action | clips | " + " | ".join(methods) + " |",
        "|---|---:|" + "---:|" * len(methods),
    ]
    for action in sorted(errors, key=lambda name: (-clips[name], name)):
        means = [errors[action].get(method) for method in methods]
        cells = ["-" if m is None else f"{np.mean(m):.1f}" for m in means]
        lines.append(f"| {action or 'unnamed'} | {clips[action]} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _number(row: Row, key: str, _heading: str, decimals: int, factor: float) -> str:
    if key not in row.mean:
        return "-"
    value = f"{factor * row.mean[key]:,.{decimals}f}"
    spread = row.deviation.get(key, math.nan)
    return value if math.isnan(spread) else f"{value} ± {factor * spread:,.{decimals}f}"
