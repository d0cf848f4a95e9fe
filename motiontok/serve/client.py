"""A client of the server, small enough to rewrite in another language."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from bvh.closing import Closing
from motiontok.errors import MotiontokError
from motiontok.serve.wire import libraries, pack, unpack

__all__ = ["Client", "ServerError", "Subscriber"]


class ServerError(MotiontokError):
    """The server refused, or did not answer.

    Attributes:
        kind: name of the error, such as ``"CodesError"``, ``"Busy"`` or ``"Timeout"``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Client(Closing):
    """Requests to a server, one at a time.

    ::

        with Client() as client:
            codes = client.sample(windows=4, label="walk")["codes"][0]
            client.open(session="left")
            client.push(session="left", codes=codes)

    Every operation of docs/protocol.md is a method: fields are keyword arguments, the
    reply is a dictionary.

    Args:
        address: of the requests' port.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, address: str = "tcp://127.0.0.1:5557", *, timeout: float = 30.0) -> None:
        self._zmq, _ = libraries()
        self._address, self._timeout = address, timeout
        self._context = self._zmq.Context()
        self._number = 0
        # Pose and bones with which each session opened here is opened again if it is lost.
        self._opened: dict[str, dict[str, Any]] = {}
        self._connect()

    def _connect(self) -> None:
        self._socket = self._context.socket(self._zmq.DEALER)
        self._socket.setsockopt(self._zmq.LINGER, 0)
        self._socket.connect(self._address)

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Ask for an operation; arrays may be NumPy arrays or lists.

        Raises:
            ServerError: the server refused, or did not answer in time.
        """
        self._number += 1
        sent = {k: v for k, v in fields.items() if v is not None}
        self._socket.send(pack({"id": self._number, "op": op, **sent}))
        while self._socket.poll(int(1000 * self._timeout)):
            reply = unpack(self._socket.recv())
            # A late answer to a request that was given up.
            if reply.get("id") not in (None, self._number):
                continue
            if reply.get("ok"):
                return reply
            error = reply.get("error") or {}
            raise ServerError(str(error.get("type")), str(error.get("message")))
        self._socket.close()
        self._connect()
        raise ServerError("Timeout", f"{self._address} did not answer {op} in {self._timeout:g} s")

    def info(self) -> dict[str, Any]:
        """Versions, sizes, labels, limits."""
        return self.request("info")

    def encode(self, **fields: Any) -> dict[str, Any]:
        """Poses to codes."""
        return self.request("encode", **fields)

    def decode(self, **fields: Any) -> dict[str, Any]:
        """Codes to poses."""
        return self.request("decode", **fields)

    def sample(self, **fields: Any) -> dict[str, Any]:
        """Codes from the prior."""
        return self.request("sample", **fields)

    def plan(self, **fields: Any) -> dict[str, Any]:
        """Codes along a path or a velocity profile."""
        return self.request("plan", **fields)

    def open(self, session: str, **fields: Any) -> dict[str, Any]:
        """Begin a session, or with ``resume=True`` return to it."""
        reply = self.request("open", session=session, **fields)
        # A session that was still there keeps its bones, whatever was asked for.
        kept = self._opened.get(session) if reply["resumed"] else None
        offsets = kept["offsets"] if kept else fields.get("offsets")
        first = kept["first"] if kept else fields.get("first")
        self._opened[session] = {"start": reply["pose"], "offsets": offsets, "first": first}
        return reply

    def push(
        self,
        session: str,
        codes: NDArray[Any],
        *,
        on_invalid: str | None = None,
        reopen: bool = True,
    ) -> dict[str, Any]:
        """Codes to play.

        Args:
            session: its name.
            codes: ``(windows, codes_per_window)``.
            on_invalid: treatment of codes outside the vocabulary: an ``"error"``, the default, or
                ``"hold"`` the pose before them.
            reopen: if the session is lost (the server was restarted, or the session idle for too
                long), open it again at the last pose, with the same bones; only for sessions that
                this client opened.
        """
        fields = {"session": session, "codes": np.asarray(codes), "on_invalid": on_invalid}
        try:
            reply = self.request("push", **fields)
        except ServerError as error:
            if error.kind != "NoSession" or not reopen or session not in self._opened:
                raise
            self.open(session, resume=True, **self._opened[session])
            reply = self.request("push", **fields)
        if session in self._opened:
            self._opened[session]["start"] = reply["pose"]
        return reply

    def replace(self, session: str, codes: NDArray[Any], **fields: Any) -> dict[str, Any]:
        """Codes to play instead of the waiting ones; ``past`` and ``from_frame`` as of a plan."""
        reply = self.request("replace", session=session, codes=np.asarray(codes), **fields)
        if session in self._opened:
            self._opened[session]["start"] = reply["pose"]
        return reply

    def clear(self, session: str, **fields: Any) -> dict[str, Any]:
        """Slow down to a stand, and forget the waiting motion."""
        reply = self.request("clear", session=session, **fields)
        if session in self._opened:
            self._opened[session]["start"] = reply["pose"]
        return reply

    def measured(self, session: str, **fields: Any) -> dict[str, Any]:
        """Report the robot's pose, to which later motion is anchored."""
        reply = self.request("measured", session=session, **fields)
        if session in self._opened:
            self._opened[session]["start"] = reply["pose"]
        return reply

    def end(self, session: str) -> dict[str, Any]:
        """End a session."""
        self._opened.pop(session, None)
        return self.request("close", session=session)

    @override
    def close(self) -> None:
        """Disconnect."""
        self._context.destroy(linger=0)


class Subscriber:
    """Receives the published states of a session.

    Args:
        session: its name.
        address: of the states' port.
    """

    def __init__(self, session: str, address: str = "tcp://127.0.0.1:5558") -> None:
        zmq, _ = libraries()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._topic = f"state.{session}".encode()
        self._socket.setsockopt(zmq.SUBSCRIBE, self._topic)
        self._socket.connect(address)

    def receive(self, timeout: float = 1.0) -> dict[str, Any] | None:
        """The next state, or None if none arrives in time (seconds)."""
        while self._socket.poll(int(1000 * timeout)):
            topic, raw = self._socket.recv_multipart()
            # Topics are matched by their beginning: "left" also gets "left2".
            if topic == self._topic:
                return unpack(raw)
        return None

    def close(self) -> None:
        """Disconnect."""
        self._context.destroy(linger=0)
