"""Messages as bytes: msgpack maps, arrays as dtype, shape and little-endian data."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motiontok.errors import InputError, MissingDependencyError

__all__ = ["VERSION", "WireError", "libraries", "pack", "unpack"]

VERSION = 1
"""Version of the protocol, in every message as ``v``."""

_DTYPES = ("<u2", "<u4", "<i2", "<i4", "<i8", "<f4", "<f8", "|u1")
_ARRAY = "__array__"
_MOST_AXES = 4


class WireError(InputError):
    """A message does not follow this protocol."""


def libraries() -> tuple[Any, Any]:
    """The modules ``zmq`` and ``msgpack``.

    Raises:
        MissingDependencyError: one is not installed.
    """
    try:
        return importlib.import_module("zmq"), importlib.import_module("msgpack")
    except ImportError:
        raise MissingDependencyError(
            "streams need pyzmq and msgpack: pip install 'motiontok[serve]'"
        ) from None


def pack(message: dict[str, Any]) -> bytes:
    """Bytes of a message, with the protocol's version."""
    _, msgpack = libraries()
    return bytes(msgpack.packb({"v": VERSION, **message}, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("<"), copy=False))
        if array.dtype.str not in _DTYPES:
            raise TypeError(f"no arrays of {array.dtype}")
        return {_ARRAY: array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}
    raise TypeError(f"no values of {type(value).__name__}")


def unpack(raw: bytes) -> dict[str, Any]:
    """The message in some bytes.

    Raises:
        WireError: not msgpack, no map, another version, or a malformed array.
    """
    _, msgpack = libraries()
    try:
        message = msgpack.unpackb(raw, raw=False, strict_map_key=True, object_hook=_array)
    except WireError:
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:100] or type(error).__name__
        raise WireError(f"not a msgpack message ({what})") from None
    if not isinstance(message, dict):
        raise WireError(f"a message is a map, got {type(message).__name__}")
    if message.get("v") != VERSION:
        raise WireError(f"protocol version {message.get('v')!r}, this is version {VERSION}")
    return message


def _array(value: dict[str, Any]) -> dict[str, Any] | NDArray[Any]:
    if _ARRAY not in value:
        return value
    dtype, shape, data = value[_ARRAY], value.get("shape"), value.get("data")
    if dtype not in _DTYPES:
        raise WireError(f"array of dtype {str(dtype)[:20]!r}; choose from {', '.join(_DTYPES)}")
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_AXES
        or not all(type(n) is int and n >= 0 for n in shape)
        or not isinstance(data, bytes)
    ):
        raise WireError(f"an array has a shape of at most {_MOST_AXES} numbers, and data in bytes")
    kind = np.dtype(dtype)
    if math.prod(shape) * kind.itemsize != len(data):
        raise WireError(f"array of shape {tuple(shape)} {dtype} does not fill {len(data)} bytes")
    return np.frombuffer(data, dtype=kind).reshape(shape)
