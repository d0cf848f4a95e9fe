"""The page and the picture of the general bench."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from general_sets import TABLES, ClipSource, General

from bvh.motion import FPS
from motiontok.evaluate.report import QUALITY, SMOOTHNESS, Column, Row, table_lines
from motiontok.plotting import legend_below, new_figure, save_figure

__all__ = ["Entry", "general_markdown", "plot_general", "rows_of"]

_TWINS_MM = 25.0
"""Clips half of whose windows have one trained on within this are near duplicates, whatever the
table: Bandai-Namco's repeated actions are 14 mm from each other, clips of other sets over 50."""

_BITS: tuple[Column, ...] = (
    ("bits_per_window", "bits/window", 0, 1),
    ("bits_per_second", "bits/s", 0, 1),
)
_ERRORS = _BITS + tuple(c for c in QUALITY if c[0] != "mpjpe_procrustes_mm")
_COST: tuple[Column, ...] = (
    *_BITS,
    ("numbers", "parameters M", 2, 1e-6),
    ("file_mb", "file MB", 1, 1),
    ("encode_frames_per_s", "encode frames/s", 0, 1),
    ("decode_frames_per_s", "decode frames/s", 0, 1),
    ("start_ms", "start-up ms", 0, 1),
    ("training_seconds", "training or fitting s", 0, 1),
)
_HEAD = """\
# What generalises
{finding}
`tools/bench/general.py` writes this page. It measures decoded motion in three tables. **Quote
`unseen` as a tokenizer's error:**

- *Whole data sets never trained on* (`unseen`): users bring motion of other people, other actions
  and other studios.
- *Held-out clips of the sets trained on* (`held-out`): what to expect after training on the user's
  own kind of motion.
- *Near duplicates* flatter. The same actors repeat the same actions, so a held-out clip has twins
  in training, and a tokenizer that only remembers does well. This table is here because figures
  of this kind were published before; quote it only with that name."""
_CLIPS = """\
All tables test the same clips, whole, each on its own skeleton. Only the training data differ:

{held_out}

Above each table stands the distance from test to training clips: the median over {windows} windows
of the mean distance of joints (relative to the hips, heading taken out, on the reference body) to
the nearest training window, mirror images included. A tokenizer that answers with the nearest
window that it remembers has this joint error. Below {twins:.0f} mm the clips are near duplicates in
any table, and the page says so."""
_NOTES = """\
- MPJPE and end effectors (feet, hands, head): joints relative to the hips, heading taken out.
- Global: without any alignment, root drift included. Rotation: of joints, without the hips.
- Velocity and acceleration: mean error, relative to the hips. Skate: speed of feet that stand in
  the source.
- Under *Smoothness*: the mean size of velocity, acceleration (relative to the hips) and jerk (in
  the world) of decoded motion and of its source. Smaller than the source is smoothed, larger
  trembles.
- Seam: error of a joint's step from frame to frame across window borders. Inside: the same
  elsewhere. Step at borders: its length.
- Bits are those of the clips measured. `pca-sq`, a codec of variable length, may take fewer or
  more than its rate on training windows.
- Figures are means over clips, weighted by frames.
- Parameters are all numbers that a method keeps, fitted or trained.
- Speeds are from motion to codes and from codes to motion, features and standing feet included,
  over the test clips of the method's first training on this page. Start-up is
  `from_pretrained`, imports not counted. All times are processor time of one thread."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A run, or a tokenizer that was measured beside the runs.

    Attributes:
        label: of the method or the tokenizer.
        seed: of the run.
        training: name of what it was trained on; empty for a tokenizer.
        seen: sets that it was trained on.
        result: what was measured; empty if the run failed.
        error: why it failed.
    """

    label: str
    seed: int
    training: str
    seen: tuple[str, ...]
    result: Mapping[str, Any]
    error: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def table(self, general: General, of_set: str) -> str:
        """Name of the table in which its figures of a set belong."""
        for training in general.trainings:
            if training.name == self.training:
                return training.table
        return "held-out" if of_set in self.seen else "unseen"


def rows_of(general: General, entries: Sequence[Entry], table: str, of_set: str) -> list[Row]:
    """Rows of one table for one test set, by what they take, the best first."""
    runs: dict[tuple[str, float, str], list[Mapping[str, float]]] = {}
    for entry in entries:
        if not entry.result or entry.table(general, of_set) != table:
            continue
        metrics = entry.result["metrics"]
        own = {k: v for k, v in metrics.items() if k != "measured"}
        model = entry.result["config"]["model"]
        own["rate"] = model["codes_per_window"] * math.log2(model["vocab_size"])
        for found in metrics["measured"]:
            if found["set"] == of_set:
                numbers = {k: v for k, v in found.items() if k not in ("set", "part")}
                window = entry.result["config"]["data"]["window"]
                numbers["bits_per_second"] = numbers["bits_per_window"] * FPS / window
                key = (entry.label, own["rate"], found["part"])
                runs.setdefault(key, []).append(own | numbers)
    rows = [
        Row.of(f"{label}, {part}" if part else label, found)
        for (label, _, part), found in runs.items()
    ]
    return sorted(rows, key=lambda r: (round(r.mean["bits_per_second"], -1), r.mean["mpjpe_mm"]))


def general_markdown(
    general: General, entries: Sequence[Entry], *, picture: Path, page: Path
) -> str:
    """The page.

    Args:
        general: the bench.
        entries: all figures there are.
        picture: of :func:`plot_general`.
        page: file of the page, which the picture is linked from.
    """
    held_out = "\n".join(_held_out(source) for source in general.sources.values())
    nearest = _nearest(entries)
    windows = max((of["windows"] for found in nearest.values() for of in found.values()), default=0)
    finding = f"\n{general.finding}\n" if general.finding else ""
    lines = [_HEAD.format(finding=finding), "", *_summary(general, entries)]
    lines += [_CLIPS.format(held_out=held_out, windows=windows, twins=_TWINS_MM), ""]
    lines += _where(entries)
    link = Path(os.path.relpath(picture, page.parent)).as_posix()
    lines += [f"![Joint error against bits a second, by table]({link})", ""]
    for table, title in TABLES.items():
        trainings = [t for t in general.trainings if t.table == table]
        if trainings:
            lines += [f"## {title}", "", _meaning(general, table), ""]
        for training in trainings:
            for name in training.tests:
                rows = rows_of(general, entries, table, name)
                if not rows:
                    continue
                tested = general.sources[name].title
                trained = ", ".join(general.sources[s].title for s in training.sets)
                lines += [f"### {tested}, trained on {trained}", ""]
                if name in nearest.get(training.name, {}):
                    of = nearest[training.name][name]
                    lines += [
                        f"The nearest training window is {of['median']:.0f} mm away; for a tenth "
                        f"of the windows it is within {of['nearest_tenth']:.0f} mm.",
                        *_warning(of, table),
                        "",
                    ]
                lines += table_lines("Error", rows, _ERRORS)
                lines += table_lines("Smoothness", rows, _BITS + SMOOTHNESS)
    lines += ["## Cost", "", *table_lines("Cost", _cost(general, entries), _COST)]
    failed = [e for e in entries if e.error]
    if failed:
        lines += ["## Failed", ""]
        lines += [f"- {e.training}, {e.label}, seed {e.seed}: {e.error}" for e in failed] + [""]
    missing = len(general.bench.cells) - sum(bool(e.training) for e in entries)
    if missing:
        lines += [f"{missing} of {len(general.bench.cells)} runs are still to do.", ""]
    return "\n".join([*lines, "## How to read the columns", "", _NOTES, ""])


def _held_out(source: ClipSource) -> str:
    of = " of each part" if len(source.paths) > 1 else ""
    rule = f"the first of every {source.every} clips{of}, by name"
    what = rule if source.every else ", ".join(source.held_out)
    return textwrap.fill(f"- {source.title}: {what}", 98, subsequent_indent="  ")


def _meaning(general: General, table: str) -> str:
    if table == "held-out":
        return "Training saw all sets, without the clips held out."
    if table == "unseen":
        return (
            "Each set is tested in turn, trained on the others. **The table to quote**, by the "
            "set's name."
        )
    return (
        "Held-out clips were recorded in the same sessions as training clips: the same people "
        "repeat the\nsame actions. These figures flatter."
    )


def _warning(of: Mapping[str, float], table: str) -> list[str]:
    if of["median"] >= _TWINS_MM or table == "near-duplicates":
        return []
    return ["**So these clips are near duplicates of what was trained on: do not quote them.**"]


def _nearest(entries: Sequence[Entry]) -> dict[str, Mapping[str, Mapping[str, float]]]:
    return {e.training: e.result["nearest_mm"] for e in entries if "nearest_mm" in e.result}


def _summary(general: General, entries: Sequence[Entry]) -> list[str]:
    """Joint errors of all tables side by side, with the bits of those that take others."""
    heads = ["MPJPE mm", "bits/window"]
    nearest = _nearest(entries)
    codecs = {cell.method for cell in general.bench.cells if cell.is_codec}
    cells: dict[tuple[str, float], dict[int, str]] = {}
    for table in TABLES:
        tests = dict.fromkeys(n for t in general.trainings if t.table == table for n in t.tests)
        for name in tests:
            for row in rows_of(general, entries, table, name):
                bits, rate = row.mean["bits_per_window"], row.mean["rate"]
                if row.method in codecs:
                    at = f" at {bits:,.0f}"
                else:
                    at, rate = "", bits
                error = f"{row.mean['mpjpe_mm']:.1f}{at}"
                cells.setdefault((row.method, rate), {})[len(heads)] = error
            (training,) = [
                t.name for t in general.trainings if t.table == table and name in t.tests
            ]
            of = nearest.get(training, {}).get(name)
            twins = " (near duplicates)" if of and _warning(of, table) else ""
            heads.append(f"{table}: {general.sources[name].title}{twins}")
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for (method, rate), found in sorted(cells.items(), key=lambda item: (item[0][1], item[0][0])):
        errors = (found.get(place, "-") for place in range(2, len(heads)))
        lines.append(f"| {method} | {rate:,.0f} | {' | '.join(errors)} |")
    return [*lines, ""]


def _cost(general: General, entries: Sequence[Entry]) -> list[Row]:
    """Of each method's first training that there is, and of tokenizers, over their test clips."""
    rows = []
    chosen: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        if entry.result:
            codes = entry.result["config"]["model"]["codes_per_window"]
            chosen.setdefault((entry.label, codes), entry)
    for part in chosen.values():
        of_label: dict[str, list[Row]] = {}
        for name in general.sources:
            for row in rows_of(general, [part], part.table(general, name), name):
                of_label.setdefault(row.method, []).append(row)
        for label, found in of_label.items():
            frames = sum(row.mean["frames"] for row in found)
            mean = dict(found[0].mean)
            for key in ("encode_frames_per_s", "decode_frames_per_s"):
                mean[key] = frames / sum(row.mean["frames"] / row.mean[key] for row in found)
            windows = sum(row.mean["windows"] for row in found)
            total = sum(row.mean["windows"] * row.mean["bits_per_window"] for row in found)
            mean["bits_per_second"] *= total / windows / mean["bits_per_window"]
            mean["bits_per_window"] = total / windows
            rows.append(replace(found[0], method=label, mean=mean))
    return sorted(rows, key=lambda row: (row.method, row.mean["bits_per_window"]))


def _where(entries: Sequence[Entry]) -> list[str]:
    machines = []
    for entry in entries:
        if entry.result:
            m = entry.result["machine"]
            machines.append(
                f"- {m['processor']}, {m['cores']} cores, {m['threads']} thread, torch "
                f"{m['torch']}, {m['date']}"
            )
    command = "    python tools/bench/general.py --data ROOT --out runs/general"
    return [
        "*At* so many bits: a codec of variable length takes what the clips need. The command runs "
        "what is\nnot there yet; `--help` says how to run parts, and how to measure a tokenizer "
        "beside them.",
        "",
        command,
        "",
        *dict.fromkeys(machines),
        "",
    ]


def plot_general(general: General, entries: Sequence[Entry], out: Path) -> None:
    """Joint error over bits a second, a panel for each table.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure = new_figure(13, 5, doing="drawing the general bench")
    tables = [t for t in TABLES if any(g.table == t for g in general.trainings)]
    panels = figure.subplots(1, len(tables), sharex=True, sharey=True, squeeze=False)[0]
    labels = list(dict.fromkeys(e.label for e in entries))
    colours = {label: f"C{number}" for number, label in enumerate(labels)}
    styles = dict(zip(general.sources, ("-o", "--s", ":^", "-.D", "-v", "--P"), strict=False))
    for axes, table in zip(panels, tables, strict=True):
        for label in labels:
            own = [e for e in entries if e.label == label]
            for name, source in general.sources.items():
                points = sorted(
                    (row.mean["bits_per_second"], row.mean["mpjpe_mm"])
                    for row in rows_of(general, own, table, name)
                )
                if points:
                    axes.plot(
                        *zip(*points, strict=True),
                        styles.get(name, "-o"),
                        color=colours[label],
                        markersize=5,
                        lw=1.2,
                        label=f"{label}, {source.title}",
                    )
        axes.set_title(TABLES[table], fontsize=10)
        axes.set_xlabel("bits a second")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_yscale("log")
        for which in ("set_major_formatter", "set_minor_formatter"):
            getattr(axes.yaxis, which)("{x:g}")
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("MPJPE, mm")
    legend_below(figure)
    save_figure(figure, out)
