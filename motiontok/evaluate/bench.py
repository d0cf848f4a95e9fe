"""A comparison as a file: methods, budgets and seeds, each a change to one configuration.

::

    config = "bandai"          # a shipped configuration or a file: everything not said here
    seeds = [0, 1, 2]
    target_mm = 15.0           # optional: report the time to this held-out joint error

    [train]                    # sections of a run's configuration: common to all runs
    batch_size = 64

    [budgets.640-bits.train]   # a budget may set time, steps, and the codes' rate
    time_budget = 10.0

    [methods.daps-pq]          # named like the method: nothing more to say
    [methods.daps-k16]         # or a variant of one
    method = { name = "daps", samples = 16 }

Every method is run at every budget with every seed. ``pca-sq``, a codec of variable length
(:mod:`motiontok.evaluate.scalar_codec`), takes each budget's bits as its target.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motiontok.config import Config, let_steps_end_run, load_config, parse_config, shipped_configs
from motiontok.errors import ConfigError
from motiontok.methods import METHODS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["CODEC", "Bench", "Cell", "load_bench", "parse_bench", "read_toml"]

CODEC = "pca-sq"
"""Name of the codec that is compared with the methods but is not one."""

_SECTIONS = ("data", "model", "method", "train")


@dataclass(frozen=True)
class Cell:
    """One run of a comparison.

    Attributes:
        method, budget: labels, as the file names them.
        seed: of the run.
        config: of the run; for ``pca-sq`` its sizes give the rate.
    """

    method: str
    budget: str
    seed: int
    config: Config

    @property
    def is_codec(self) -> bool:
        """Whether this is the codec of variable length, which is fitted, not trained."""
        return self.config.method.name == CODEC

    @property
    def bits(self) -> float:
        """Of a window's codes."""
        model = self.config.model
        return model.codes_per_window * math.log2(model.vocab_size)

    @property
    def label(self) -> str:
        """To tell the user which run this is."""
        return f"{self.budget}, {self.method}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Of the run, in the comparison's folder."""
        return Path(self.budget) / self.method / f"seed-{self.seed}"


@dataclass(frozen=True)
class Bench:
    """A comparison.

    Attributes:
        name: of the file.
        base: configuration that data and its seed come from.
        cells: every run, in the file's order.
        target_mm: held-out joint error whose time is reported, if any.
    """

    name: str
    base: Config
    cells: tuple[Cell, ...]
    target_mm: float | None

    @property
    def methods(self) -> tuple[str, ...]:
        """Labels of the methods, in the file's order."""
        return tuple(dict.fromkeys(cell.method for cell in self.cells))


def load_bench(path: str | Path) -> Bench:
    """Read a comparison.

    Raises:
        ConfigError: no such file, not TOML, or a bad key or value.
    """
    return parse_bench(read_toml(path), Path(path))


def read_toml(path: str | Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_bench(values: Mapping[str, Any], path: Path) -> Bench:
    """A comparison of what its file holds.

    Args:
        values: as :func:`read_toml` gives them.
        path: of the file, to name in messages and to find a configuration beside.

    Raises:
        ConfigError: a bad key or value.
    """
    for key in values:
        if key not in ("config", "seeds", "target_mm", "budgets", "methods", *_SECTIONS):
            raise ConfigError(
                f"{path}: unknown key {key}; a comparison has config, seeds, target_mm, budgets, "
                f"methods and the sections {', '.join(_SECTIONS)}"
            )
    common = {k: values[k] for k in _SECTIONS if k in values}
    start = _base(values.get("config"), path)
    base = parse_config(_changed(start.to_dict(), common, str(path)), str(path))
    budgets, methods = (_tables(values, key, path) for key in ("budgets", "methods"))
    cells = tuple(
        _cell(base, path, budget, method, seed, budgets[budget], methods[method])
        for budget in budgets
        # One seed of everything before the next: an unfinished comparison is whole sooner.
        for seed in _seeds(values.get("seeds", [0]), path)
        for method in methods
    )
    target = values.get("target_mm")
    if target is not None and not (type(target) in (int, float) and 0 < target < float("inf")):
        raise ConfigError(f"{path}: target_mm must be a positive number, got {target!r}")
    return Bench(path.stem, base, cells, target if target is None else float(target))


def _base(name: Any, path: Path) -> Config:
    if not isinstance(name, str):
        raise ConfigError(
            f'{path}: config = "NAME" must name the configuration to start from: a TOML file or '
            f"one of {', '.join(shipped_configs())}"
        )
    beside = path.parent / name
    return load_config(str(beside) if beside.is_file() else name)


def _tables(values: Mapping[str, Any], key: str, path: Path) -> dict[str, Mapping[str, Any]]:
    tables = values.get(key)
    if not isinstance(tables, Mapping) or not tables:
        raise ConfigError(f"{path}: there must be at least one [{key}.NAME]")
    for name, table in tables.items():
        where = f"{path}: {key}.{name}"
        if not isinstance(table, Mapping):
            raise ConfigError(f"{where} is a section, got {table!r}")
        if not name or name.startswith(".") or "/" in name or "\\" in name:
            raise ConfigError(f"{where}: the name becomes a folder's; leave out / and leading dots")
        for section in table:
            if section not in _SECTIONS:
                raise ConfigError(
                    f"{where}: unknown key {section}; it holds sections of a configuration: "
                    f"{', '.join(_SECTIONS)}"
                )
    return dict(tables)


def _seeds(seeds: Any, path: Path) -> list[int]:
    if not isinstance(seeds, list) or not seeds or any(type(s) is not int for s in seeds):
        raise ConfigError(f"{path}: seeds must be a list of whole numbers, got {seeds!r}")
    if len(set(seeds)) != len(seeds):
        raise ConfigError(f"{path}: a seed appears twice in {seeds}")
    return seeds


def _cell(
    base: Config,
    path: Path,
    budget: str,
    method: str,
    seed: int,
    budget_values: Mapping[str, Any],
    method_values: Mapping[str, Any],
) -> Cell:
    where = f"{path}: {budget}, {method}"
    values = _changed(base.to_dict(), budget_values, where)
    values["method"]["name"] = method
    values = _changed(values, method_values, where)
    values = _merge(values, {"name": method, "train": {"seed": seed}}, where)
    config = parse_config(values, where)
    if config.method.name not in (*METHODS, CODEC):
        raise ConfigError(
            f"{where}: no method {config.method.name!r}; name the section like one or give it "
            f"method.name: {', '.join((*METHODS, CODEC))}"
        )
    if config.data != base.data:
        raise ConfigError(f"{where}: all runs share one [data], which stands outside of them")
    return Cell(method, budget, seed, config)


def _changed(config: Mapping[str, Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """:func:`_merge`; steps without a time budget beside them end a run, as with ``--set``."""
    out = _merge(config, values, where)
    let_steps_end_run(out, {f"train.{key}" for key in values.get("train", {})})
    return out


def _merge(into: Mapping[str, Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of ``into`` with ``values`` in it, section by section."""
    out = dict(into)
    for key, value in values.items():
        if isinstance(out.get(key), Mapping):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: {key} is a section, got {value!r}")
            out[key] = _merge(out[key], value, where)
        else:
            out[key] = value
    return out
