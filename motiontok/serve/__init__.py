"""Token streams over ZeroMQ: a server of requests and robot states, and its client."""

from motiontok.serve.client import Client
from motiontok.serve.server import Limits, Server

__all__ = ["Client", "Limits", "Server"]
