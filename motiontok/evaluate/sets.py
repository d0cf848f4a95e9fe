"""Metrics of several sets of clips: of each, over all frames, and over sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from motiontok.data.clips import ClipSet
from motiontok.evaluate.motion_metrics import mean_metrics

__all__ = ["metrics_of_sets", "of_sets", "sets_markdown"]

Rows = Sequence[tuple[int, dict[str, float]]]
"""Frames and metrics of clips."""

_COLUMNS = (
    ("mpjpe_mm", "MPJPE mm", 1),
    ("mpjpe_global_mm", "global mm", 1),
    ("rotation_deg", "rotation deg", 1),
    ("skate_mm_s", "skate mm/s", 0),
    ("skate_truth_mm_s", "its source", 0),
    ("drift_mm", "drift mm", 0),
)


def metrics_of_sets(rows: Mapping[str, Rows]) -> dict[str, Any]:
    """Metrics of the clips of sets.

    Args:
        rows: frames and metrics of each clip, by set. A set without clips has no metrics.

    Returns:
        Means over all frames by metric; ``sets``, with clips, frames and means over the set's
        frames by set; and ``mean_over_sets``, in which a set counts as much as any other.
    """
    out: dict[str, Any] = mean_metrics([row for of in rows.values() for row in of])
    means = {name: mean_metrics(of) for name, of in rows.items() if of}
    out["sets"] = {
        name: {"clips": len(rows[name]), "frames": sum(frames for frames, _ in rows[name]), **mean}
        for name, mean in means.items()
    }
    keys = dict.fromkeys(key for mean in means.values() for key in mean)
    out["mean_over_sets"] = {
        key: float(np.mean([mean[key] for mean in means.values() if key in mean])) for key in keys
    }
    return out


def of_sets(sets: Sequence[ClipSet]) -> str:
    """What a split is of, if there are several sets, after a space: `` of cmu, snu``."""
    names = [of.name for of in sets if of.held_out]
    return f" of {', '.join(names)}" if len(sets) > 1 else ""


def sets_markdown(metrics: Mapping[str, Any]) -> str:
    """A table of :func:`metrics_of_sets`; empty of a single set, which the totals are of."""
    sets = metrics["sets"]
    if len(sets) < 2:
        return ""
    shown = [column for column in _COLUMNS if column[0] in metrics]
    head = ["Set", "clips", "frames", *(title for _, title, _ in shown)]
    clips, frames = (sum(of[key] for of in sets.values()) for key in ("clips", "frames"))
    rows = [
        *((name, of["clips"], of["frames"], of) for name, of in sets.items()),
        ("mean over frames", clips, frames, metrics),
        ("mean over sets", clips, frames, metrics["mean_over_sets"]),
    ]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for name, count, length, of in rows:
        cells = [f"{of[key]:,.{digits}f}" if key in of else "-" for key, _, digits in shown]
        lines.append(f"| {name} | {count:,} | {length:,} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
