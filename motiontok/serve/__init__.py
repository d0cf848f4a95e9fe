"""Token streams over ZeroMQ: a server of requests and robot states, and its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from motiontok.lazy_imports import lazy_names
from motiontok.serve.client import Client

if TYPE_CHECKING:
    from motiontok.serve.server import Limits, Server

__all__ = ["Client", "Limits", "Server"]

# The server imports torch, which a planner's process need not have.
__getattr__, __dir__ = lazy_names(__name__, {"server": ("Limits", "Server")})
