"""Token streams over ZeroMQ: a server of requests and robot states, and its client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from motiontok.serve.client import Client

if TYPE_CHECKING:
    from motiontok.serve.server import Limits, Server

__all__ = ["Client", "Limits", "Server"]


def __getattr__(name: str) -> Any:
    # It imports torch, which a planner's process need not have.
    if name in ("Limits", "Server"):
        from motiontok.serve import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
