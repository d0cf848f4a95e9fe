"""A bench of generalisation: held-out clips, whole data sets left out, and near duplicates.

    python tools/bench/general.py --data ROOT --out runs/general
        [--set NAME=PATH] [--only NAME] [--tokenizer [LABEL=]DIR[:SET,SET]]

Trains every method of general.toml at every rate for each table, measures decoded motion of whole
clips, and writes docs/benchmarks/general.md. What is there is not run again, and what was
interrupted goes on. All of it is one thread's.

--only picks methods, tables (held-out, unseen, near-duplicates) or trainings (such as
without-lafan). --tokenizer measures a tokenizer's folder beside them, without training; SETs are
those that it was trained on, all of them if nothing is said: what is of unknown origin may have
seen everything. Results are in OUT, and all of them in OUT.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from general_page import Entry, general_markdown, plot_general
from general_sets import (
    TABLES,
    General,
    GeneralCell,
    Training,
    clips_of,
    load_general,
    load_split,
)

from bvh.atomic_write import atomic_path
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.splits import Split
from motiontok import MotionTokenizer
from motiontok.data.training_data import TrainingData, make_training_data
from motiontok.errors import ConfigError, MotiontokError
from motiontok.evaluate.bench import Cell
from motiontok.evaluate.cells import Run, run_cells
from motiontok.evaluate.clips import ClipCoder, CodecCoder, TokenCoder, measure_clips
from motiontok.evaluate.compare import fit_codec, train_cell
from motiontok.evaluate.cost import clock_of
from motiontok.evaluate.machine import machine
from motiontok.evaluate.nearest import nearest_training_mm, pose_windows
from motiontok.tokens.tokenizer_folder import find_folder

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DEVICE = "cpu"
TEST_WINDOWS = 300
"""Of each test set, to look for the nearest training window of."""

Say = Callable[[str], None]

Coders = dict[str, ClipCoder[Any]]
"""What codes clips, by what part of a window's codes it is; empty for all of them."""


class Given(NamedTuple):
    """A tokenizer to measure: its folder, and the sets that it was trained on."""

    folder: str
    sets: tuple[str, ...]


class Data:
    """Clips and training windows, read when they are first needed."""

    def __init__(self, general: General, root: Path, say: Say) -> None:
        self._general, self._root, self._say = general, root, say
        self._splits: dict[str, Split] = {}
        # All of them at once would not fit.
        self._ready: tuple[str, TrainingData] | None = None

    def held_out(self, name: str) -> Sequence[Motion]:
        """Clips of a set to test on."""
        return self._split(name).held_out.motions

    def training(self, training: Training) -> TrainingData:
        """Windows to train on, features and statistics."""
        if self._ready is None or self._ready[0] != training.name:
            self._ready = None
            clips = clips_of(training, {name: self._split(name) for name in training.sets})
            ready = make_training_data(clips, self._general.bench.base.data, device=DEVICE)
            self._say(f"{training.name}: {len(clips.training)} clips, {len(ready)} windows")
            self._ready = (training.name, ready)
        return self._ready[1]

    def _split(self, name: str) -> Split:
        if name not in self._splits:
            found = load_split(self._general.sources[name], self._root)
            self._say(f"{name}: {len(found.train)} clips and {len(found.held_out)} held out")
            self._splits[name] = found
        return self._splits[name]


def run_general(
    general: General,
    data: Data,
    *,
    out: Path,
    only: Collection[str] = (),
    tokenizers: Mapping[str, Given] | None = None,
    say: Say = print,
    on_entries: Callable[[list[Entry]], object] = lambda entries: None,
) -> list[Entry]:
    """Run what is missing.

    Args:
        general: the bench.
        data: its clips.
        out: folder of all runs: ``TRAINING/BUDGET/METHOD/seed-N``, ``tokenizers/LABEL``.
        only: methods, tables or trainings to run now; everything if empty.
        tokenizers: to measure beside, by label.
        say: prints a line for the user.
        on_entries: called with all figures so far after each run.

    Returns:
        Figures of all that is there.

    Raises:
        ConfigError: ``only`` names nothing of this bench, or a result in ``out`` is of
            another one.
        BVHError, DataError: the clips cannot be used.
    """
    methods = set(only) & set(general.bench.methods)
    places = set(only) & {name for t in general.trainings for name in (t.name, t.table)}
    for name in set(only) - methods - places:
        known = (*general.bench.methods, *TABLES, *(t.name for t in general.trainings))
        raise ConfigError(f"--only {name}: choose from {', '.join(dict.fromkeys(known))}")
    beside: list[Entry] = []
    for label, given in (tokenizers or {}).items():
        say(f"tokenizer {label}")
        beside.append(_measure_given(general, data, label, given, out / "tokenizers" / label))

    def wanted(cell: Cell) -> bool:
        assert isinstance(cell, GeneralCell)
        return not places or bool(places & {cell.training.name, cell.training.table})

    @contextmanager
    def prepare(count: int) -> Iterator[Run]:
        def run(cell: Cell) -> dict[str, Any]:
            assert isinstance(cell, GeneralCell)
            return _run(general, cell, data, out)

        yield run

    def entry(
        cell: Cell, result: dict[str, Any] | None, rows: list[dict[str, float]], error: str
    ) -> Entry:
        assert isinstance(cell, GeneralCell)
        if result is not None and result.get("clips") != general.described(cell.training):
            raise ConfigError(
                f"{out / cell.folder}: is of a run on other clips; use another --out, or delete "
                "the folder to run it again"
            )
        seen = cell.training.sets
        return Entry(cell.method, cell.seed, cell.training.name, seen, result or {}, error)

    found = run_cells(
        general.bench,
        prepare,
        entry,
        lambda metrics: ", ".join(
            f"{of['set']} {of['mpjpe_mm']:.1f} mm at {of['bits_per_window']:.0f} bits"
            for of in metrics["measured"]
        ),
        out=out,
        device=DEVICE,
        only=methods,
        wanted=wanted,
        say=say,
        on_outcome=lambda found: on_entries([*found, *beside]),
    )
    return [*found, *beside]


def _run(general: General, cell: GeneralCell, data: Data, out: Path) -> dict[str, Any]:
    """Train and measure one cell."""
    ready = data.training(cell.training)
    metrics: dict[str, Any]
    if cell.is_codec:
        begin = clock_of(torch.device(DEVICE))()
        codec = fit_codec(cell, ready, device=DEVICE)
        seconds = clock_of(torch.device(DEVICE))() - begin
        window = cell.config.data.window
        metrics = {"training_seconds": seconds, "numbers": codec.numbers}
        coders: Coders = {"": CodecCoder(codec, ready.statistics, window)}
    else:
        folder = out / cell.folder
        tokenizer, trained = train_cell(cell, folder, ready, licence="", device=DEVICE)
        metrics = {"training_seconds": trained.seconds, "steps": trained.step}
        metrics |= _footprint(folder / "tokenizer")
        shorter = cell.method in general.prefixes
        coders = _coders(general, tokenizer) if shorter else {"": TokenCoder(tokenizer)}
    metrics["measured"] = _measured(cell.training.tests, coders, data)
    return {
        "config": cell.config.to_dict(),
        "clips": general.described(cell.training),
        "nearest_mm": _nearest(general, cell.training, data, out),
        "machine": machine(DEVICE),
        "metrics": metrics,
    }


def _coders(general: General, tokenizer: MotionTokenizer) -> Coders:
    """A tokenizer at its own rate, and at the bench's lower ones if its codes go to them."""
    most = tokenizer.codes_per_window
    lengths = {cell.config.model.codes_per_window for cell in general.bench.cells}
    shorter = sorted(n for n in lengths if n < most) if tokenizer.method.decodes_prefixes else []
    parts: Coders = {f"first {n} of {most} codes": TokenCoder(tokenizer, n) for n in shorter}
    return parts | {"": TokenCoder(tokenizer)}


def _measured(tests: Sequence[str], coders: Coders, data: Data) -> list[dict[str, Any]]:
    """Figures of each test set by each part of the codes."""
    return [
        {"set": name, "part": part, **measure_clips(coder, data.held_out(name), device=DEVICE)}
        for name in tests
        for part, coder in coders.items()
    ]


def _footprint(folder: Path) -> dict[str, float]:
    """Size of a tokenizer and time to read it, imports not counted."""
    clock, taken = clock_of(torch.device(DEVICE)), []
    for _ in range(3):
        begin = clock()
        tokenizer = MotionTokenizer.from_pretrained(folder)
        taken.append(clock() - begin)
    found = Path(folder)
    size = sum(f.stat().st_size for f in found.iterdir()) if found.is_dir() else 0
    return {
        "numbers": sum(t.numel() for t in tokenizer.method.state_dict().values()),
        "file_mb": size / 1e6,
        "start_ms": 1e3 * median(taken),
    }


def _nearest(general: General, training: Training, data: Data, out: Path) -> dict[str, Any]:
    """Distance from each test set to what was trained on; worked out once a training."""
    path, clips = out / training.name / "nearest.json", general.described(training)
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["clips"] == clips:
            return dict(kept["nearest_mm"])
    ready, found = data.training(training), {}
    for name in training.tests:
        tests = pose_windows(data.held_out(name), ready.windows.length, most=TEST_WINDOWS)
        distance = nearest_training_mm(ready.windows, tests)
        found[name] = {
            "windows": len(distance),
            "median": float(distance.median()),
            "nearest_tenth": float(distance.quantile(0.1)),
        }
    _write(path, {"clips": clips, "nearest_mm": found})
    return found


def _measure_given(general: General, data: Data, label: str, given: Given, folder: Path) -> Entry:
    """A tokenizer on all test sets, without training."""
    tokenizer = MotionTokenizer.from_pretrained(given.folder)
    every = tuple(general.sources)
    clips = general.described(Training("", "", (), every))
    path = folder / "result.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if result.get("fingerprint") != tokenizer.fingerprint or result.get("clips") != clips:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            metrics: dict[str, Any] = _footprint(find_folder(Path(given.folder)))
            metrics["measured"] = _measured(every, _coders(general, tokenizer), data)
        finally:
            torch.set_num_threads(before)
        result = {
            "config": tokenizer.config.to_dict(),
            "fingerprint": tokenizer.fingerprint,
            "clips": clips,
            "machine": machine(DEVICE),
            "metrics": metrics,
        }
        _write(path, result)
    return Entry(label, 0, "", given.sets or every, result, "")


def _write(path: Path, values: object) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def tokenizer_given(text: str, sets: Collection[str]) -> tuple[str, Given]:
    """Label, folder and sets of ``[LABEL=]DIR[:SET,SET]``.

    Raises:
        ConfigError: a set that the bench has not.
    """
    label, equals, rest = text.partition("=")
    rest = rest if equals else text
    folder, colon, names = rest.rpartition(":")
    if not colon:
        folder, names = rest, ""
    seen = tuple(name for name in names.split(",") if name)
    for name in seen:
        if name not in sets:
            raise ConfigError(f"--tokenizer {text}: no set {name!r}; choose from {', '.join(sets)}")
    return label if equals else Path(folder).name, Given(folder, seen)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", type=Path, default=HERE / "general.toml")
    parser.add_argument("--data", type=Path, default=Path(), help="root of the sets' paths")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--tokenizer", action="append", default=[], metavar="[LABEL=]DIR[:SETS]")
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/benchmarks/general.md")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs/images/general.png")
    given = parser.parse_args()
    try:
        places = dict(text.partition("=")[::2] for text in given.set)
        general = load_general(given.bench, places)
        tokenizers = dict(tokenizer_given(text, general.sources) for text in given.tokenizer)

        def say(line: str) -> None:
            print(line, flush=True)

        def report(entries: list[Entry]) -> None:
            _write(given.out.with_name(f"{given.out.name}.json"), [e.to_dict() for e in entries])
            plot_general(general, entries, given.picture)
            text = general_markdown(general, entries, picture=given.picture, page=given.page)
            with atomic_path(given.page) as temporary:
                temporary.write_text(text, encoding="utf-8")

        torch.set_num_threads(1)
        entries = run_general(
            general,
            Data(general, given.data, say),
            out=given.out,
            only=given.only,
            tokenizers=tokenizers,
            say=say,
            on_entries=report,
        )
        report(entries)
    except (MotiontokError, BVHError) as error:
        sys.exit(f"error: {error}")
    failed = [e for e in entries if e.error]
    if failed:
        sys.exit(f"error: {len(failed)} runs failed; the same command tries them again")


if __name__ == "__main__":
    main()
