"""Sets of clips of the general bench, what each cell trains on, and what it is tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bvh import dataset, splits
from bvh.dataset import Dataset
from bvh.errors import BVHError
from bvh.splits import Split
from motiontok.data.clips import Clips, ClipSet
from motiontok.errors import ConfigError
from motiontok.evaluate.bench import Bench, Cell, parse_bench, read_toml

__all__ = [
    "TABLES",
    "ClipSource",
    "General",
    "GeneralCell",
    "Training",
    "clips_of",
    "load_general",
    "load_split",
]

TABLES = {
    "held-out": "Held-out clips of the sets trained on",
    "unseen": "Whole data sets never trained on",
    "near-duplicates": "Near duplicates",
}
"""The tables by name, from what is asked of a tokenizer in use to what flatters it."""


@dataclass(frozen=True)
class ClipSource:
    """Where a set's clips are and which are held out.

    Attributes:
        name, title: in commands and in tables.
        paths: folders or archives, relative to the root of the data.
        every: the first of so many clips of each path is held out; 0 if they are named.
        held_out: names of the clips held out instead.
    """

    name: str
    title: str
    paths: tuple[str, ...]
    every: int = 0
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """What cells of one kind train on and are tested on.

    Attributes:
        name: of the folder.
        table: it belongs to.
        sets: to train on, all clips but those held out.
        tests: sets whose held-out clips are tested on.
    """

    name: str
    table: str
    sets: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class GeneralCell(Cell):
    """One run: a method at a budget with a seed, on what it trains on."""

    training: Training

    @property
    def label(self) -> str:
        return f"{self.training.name}, {self.budget}, {self.method}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        return Path(self.training.name) / self.budget / self.method / f"seed-{self.seed}"


@dataclass(frozen=True)
class General:
    """The bench.

    Attributes:
        bench: every run, of one training after the other.
        sources: sets by name.
        trainings: in the order of the tables.
        prefixes: methods that are trained at the largest budget only.
        finding: what the page opens with, in Markdown; may be empty.
    """

    bench: Bench
    sources: Mapping[str, ClipSource]
    trainings: tuple[Training, ...]
    prefixes: tuple[str, ...]
    finding: str = ""

    def described(self, training: Training) -> dict[str, Any]:
        """What a result is of, to tell whether it is still this bench's; without places."""
        names = dict.fromkeys((*training.sets, *training.tests))
        of_sets = {name: asdict(self.sources[name]) for name in names}
        for values in of_sets.values():
            del values["title"], values["paths"]
            values["held_out"] = list(values["held_out"])
        return {"sets": list(training.sets), "tests": list(training.tests), "held_out": of_sets}


def load_general(path: Path, places: Mapping[str, str] | None = None) -> General:
    """Read the bench.

    Args:
        path: of its TOML file.
        places: paths of sets that are elsewhere, by the sets' names.

    Raises:
        ConfigError: no such file, not TOML, or a bad key or value.
    """
    values = read_toml(path)
    tables, duplicates = values.pop("sets", None), values.pop("near_duplicates", "")
    prefixes, finding = values.pop("prefixes", []), values.pop("finding", "")
    if not isinstance(finding, str):
        raise ConfigError(f"{path}: finding is text, got {finding!r}")
    if not isinstance(tables, Mapping) or not tables:
        raise ConfigError(f"{path}: there must be at least one [sets.NAME]")
    sources = {name: _source(name, table, path) for name, table in tables.items()}
    for name, place in (places or {}).items():
        if name not in sources:
            raise ConfigError(f"--set {name}: no such set; choose from {', '.join(sources)}")
        sources[name] = replace(sources[name], paths=(place,))
    if duplicates and duplicates not in sources:
        raise ConfigError(
            f"{path}: near_duplicates = {duplicates!r} is none of {', '.join(tables)}"
        )
    bench = parse_bench(values, path)
    for method in prefixes:
        if method not in bench.methods:
            raise ConfigError(f"{path}: prefixes: no method {method!r} in this bench")
    most = max(cell.bits for cell in bench.cells)
    kept = [c for c in bench.cells if c.method not in prefixes or c.bits == most]
    every = tuple(sources)
    trainings = [Training("all", "held-out", every, every)]
    if len(every) > 1:
        for name in every:
            others = tuple(other for other in every if other != name)
            trainings.append(Training(f"without-{name}", "unseen", others, (name,)))
    if duplicates:
        alone = (duplicates,)
        trainings.append(Training(f"{duplicates}-alone", "near-duplicates", alone, alone))
    cells = tuple(
        GeneralCell(c.method, c.budget, c.seed, c.config, training)
        for training in trainings
        for c in kept
    )
    return General(
        replace(bench, cells=cells), sources, tuple(trainings), tuple(prefixes), finding.strip()
    )


def _source(name: str, table: Any, path: Path) -> ClipSource:
    where = f"{path}: sets.{name}"
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} is a section, got {table!r}")
    for key in table:
        if key not in ("title", "paths", "every", "held_out"):
            raise ConfigError(
                f"{where}: unknown key {key}; a set has title, paths, every, held_out"
            )
    paths, held_out = (_strings(table, key, where) for key in ("paths", "held_out"))
    every = table.get("every", 0)
    if not paths:
        raise ConfigError(f"{where}: paths must name at least one folder or archive")
    if type(every) is not int or (every >= 2) == bool(held_out):
        raise ConfigError(f"{where}: give either every (2 or more) or held_out (clips' names)")
    return ClipSource(name, str(table.get("title", name)), paths, every, held_out)


def _strings(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = table.get(key, [])
    if not isinstance(values, list) or any(not isinstance(v, str) for v in values):
        raise ConfigError(f"{where}: {key} must be a list of strings, got {values!r}")
    return tuple(values)


def load_split(source: ClipSource, root: Path) -> Split:
    """The clips of a set, those to train on and those held out.

    Raises:
        BVHError: nothing usable is there, or a named clip is not.
    """
    parts = [dataset.load(root / path) for path in source.paths]
    if source.every:
        halves = [splits.every_nth(part, source.every) for part in parts]
        return Split(_joined([h.train for h in halves]), _joined([h.held_out for h in halves]))
    try:
        return splits.by_name(_joined(parts), source.held_out)
    except BVHError as error:
        raise BVHError(f"set {source.name}: {error}") from None


def _joined(parts: Sequence[Dataset]) -> Dataset:
    motions = [motion for part in parts for motion in part.motions]
    return Dataset(motions, [name for part in parts for name in part.names])


def clips_of(training: Training, of_sets: Mapping[str, Split]) -> Clips:
    """What a training sees: clips of its sets, their held-out clips to validate on."""
    sets = (
        ClipSet(name, of_sets[name].train.motions, of_sets[name].held_out.motions)
        for name in training.sets
    )
    licence = f"trained on {', '.join(training.sets)}; the clips' licences apply"
    return Clips(tuple(sets), licence)
