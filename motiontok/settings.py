"""Nested mappings, as TOML has them, into dataclasses: every key known, every type checked."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from motiontok.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["build", "put"]

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A dataclass of sections, which are dataclasses, of a nested mapping.

    Args:
        cls: the dataclass.
        values: of its fields; the others keep their defaults.
        where: file to name in messages.

    Raises:
        ConfigError: unknown key or wrong type.
    """
    return _build(cls, values, where, "", cls)


def put(values: dict[str, Any], text: str, cls: type[Any]) -> str:
    """Write ``section.key=value``, or ``key=value`` of a key that one section has, into a mapping.

    Args:
        values: nested, changed.
        text: the value as TOML, or a bare word. A part of the key that is quoted may have dots.
        cls: the dataclass of sections that the mapping is of.

    Returns:
        The key with its section.

    Raises:
        ConfigError: not of that form.
    """
    key, equals, raw = _halves(text)
    parts = _parts(key)
    if len(parts) == 1 and parts[0] != "name":
        homes = [home for home, fields in _sections(cls).items() if parts[0] in fields]
        if len(homes) == 1:
            parts = [homes[0], parts[0]]
    if not equals or not all(parts):
        raise ConfigError(f"--set {text}: expected section.key=value, such as train.steps=1000")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw  # a bare word is a string
    target = values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise ConfigError(f"--set {text}: {part} is no section")
    target[parts[-1]] = value
    return ".".join(parts)


def _build(cls: type[T], values: Mapping[str, Any], where: str, prefix: str, root: type[Any]) -> T:
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            nearest = ", ".join(_nearest(key, prefix, hints, root))
            raise ConfigError(f"{where}: unknown key {prefix}{key}; did you mean {nearest}?")
    return cls(**{k: _convert(v, hints[k], where, prefix + k, root) for k, v in values.items()})


def _sections(cls: type[Any]) -> dict[str, list[str]]:
    """Names of the fields of each field that is a dataclass."""
    return {
        section: [f.name for f in dataclasses.fields(kind)]
        for section, kind in typing.get_type_hints(cls).items()
        if dataclasses.is_dataclass(kind)
    }


def _nearest(key: str, prefix: str, hints: Mapping[str, Any], root: type[Any]) -> list[str]:
    """Known keys to suggest: similar ones here, else anywhere, else all of them here."""
    here = [prefix + k for k in difflib.get_close_matches(key, hints, n=3)]
    anywhere = {
        name: f"{section}.{name}" for section, names in _sections(root).items() for name in names
    }
    elsewhere = [anywhere[k] for k in difflib.get_close_matches(key, anywhere, n=3)]
    return here or elsewhere or sorted(prefix + k for k in hints)


def _convert(value: Any, kind: Any, where: str, key: str, root: type[Any]) -> Any:
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: {key} is a section, got {value!r}")
        assert isinstance(kind, type)
        return _build(kind, value, where, key + ".", root)
    if typing.get_origin(kind) is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: {key} is a section, got {value!r}")
        of = typing.get_args(kind)[1]
        return {name: _convert(v, of, where, f"{key}.{name}", root) for name, v in value.items()}
    if isinstance(kind, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{where}: {key} must be of type {kind.__name__}, got {value!r}")
    return value


def _halves(text: str) -> tuple[str, str, str]:
    """A key, the first ``=`` that is not in quotes, and the value."""
    places = [i for i, letter in enumerate(text) if letter == "="]
    first = next((i for i in places if text[:i].replace('\\"', "").count('"') % 2 == 0), None)
    return (text, "", "") if first is None else (text[:first], "=", text[first + 1 :])


def _parts(key: str) -> list[str]:
    """Names of a dotted key; one that is quoted, as in TOML, may have dots in it."""
    try:
        value: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        value = {}
    parts = []
    while isinstance(value, dict) and len(value) == 1:
        ((part, value),) = value.items()
        parts.append(part)
    return parts or key.strip().split(".")
