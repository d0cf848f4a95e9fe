"""The server: one thread for sockets, one for quick requests, one for slow ones, one for states."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from bvh.closing import Closing
from bvh.errors import BVHError
from motiontok.errors import InputError, MotiontokError
from motiontok.serve.handlers import Handlers, Limits
from motiontok.serve.sessions import BodyState
from motiontok.serve.wire import libraries, pack, unpack
from motiontok.tokenizer import MotionTokenizer

if TYPE_CHECKING:
    from motiontok.prior import TokenPrior
    from motiontok.robots import Robot

__all__ = ["RATE", "Limits", "Server"]

RATE = 50.0
"""States a second."""

_BACKLOG = 100
"""States that may wait for a slow subscriber; later ones are dropped."""

_GRACE = 5.0  # seconds that work under way has to end
_MINUTE = 60.0


class Server(Closing):
    """Answers requests on one port and publishes states on another.

    ::

        with Server(tokenizer, robot=load_robot("g1")) as server:
            server.run()

    Args:
        tokenizer: encodes and decodes.
        prior: samples and plans, if there is one.
        robot: that sessions move; without one, states are of the human.
        bind: interface to listen on.
        port: for requests; 0 for any free one.
        states_port: for states; the next one if not given, any free one if ``port`` is 0.
        sonic: joint names in the order of SONIC's pose stream, which is then published
            instead of this protocol's states; needs a robot.
        limits: of clients' requests.
        log: called with a line on faults.

    Raises:
        MissingDependencyError: pyzmq or msgpack is not installed.
        InputError: a port is taken, or SONIC's stream is asked for without a robot.
    """

    def __init__(
        self,
        tokenizer: MotionTokenizer,
        *,
        prior: TokenPrior | None = None,
        robot: Robot | None = None,
        bind: str = "127.0.0.1",
        port: int = 5557,
        states_port: int | None = None,
        sonic: tuple[str, ...] | None = None,
        limits: Limits | None = None,
        log: Callable[[str], object] = lambda line: print(line, file=sys.stderr),
    ) -> None:
        if sonic is not None and robot is None:
            raise InputError("the sonic stream needs a robot; give one")
        self._zmq, _ = libraries()
        topic = None
        if sonic is not None:
            from motiontok.serve.sonic import TOPIC

            topic = TOPIC.decode()
            # A controller follows one body.
            limits = Limits(**{**vars(limits or Limits()), "sessions": 1})
        self.limits = limits or Limits()
        self.handlers = Handlers(
            tokenizer, prior=prior, robot=robot, rate=RATE, limits=self.limits, topic=topic
        )
        self._log = log
        self._order = None
        if sonic is not None and robot is not None:
            self._order = [robot.joint_names.index(name) for name in sonic]
        self._context = self._zmq.Context()
        self._stop = threading.Event()
        self._jobs: dict[str, queue.Queue[tuple[bytes, Any, str, dict[str, Any]] | None]] = {
            name: queue.Queue(self.limits.waiting) for name in ("quick", "slow")
        }
        self._seen: dict[bytes, float] = {}
        self.late_ticks = 0
        try:
            self.port, self.states_port = self._bind(bind, port, states_port)
        except Exception:
            self._context.destroy(linger=0)
            raise
        self.bind = bind
        self._threads = [
            threading.Thread(target=target, args=arguments, daemon=True)
            for target, arguments in (
                (self._talk, ()),
                (self._work, ("quick", self.handlers.quick)),
                (self._work, ("slow", self.handlers.slow)),
                (self._publish, ()),
            )
        ]
        for thread in self._threads:
            thread.start()

    def _bind(self, bind: str, port: int, states_port: int | None) -> tuple[int, int]:
        zmq = self._zmq
        self._results = self._context.socket(zmq.PULL)
        self._results.bind("inproc://results")
        self._requests = self._context.socket(zmq.ROUTER)
        self._states = self._context.socket(zmq.PUB)
        # Far more than is answered: beyond this zmq drops the connection itself.
        self._requests.setsockopt(zmq.MAXMSGSIZE, 8 * self.limits.message_bytes)
        self._requests.setsockopt(zmq.RCVHWM, 4 * self.limits.waiting)
        self._states.setsockopt(zmq.SNDHWM, _BACKLOG)
        ports = []
        for socket, number in (
            (self._requests, port),
            (self._states, states_port if states_port is not None else port and port + 1),
        ):
            socket.setsockopt(zmq.LINGER, 0)
            try:
                if number:
                    socket.bind(f"tcp://{bind}:{number}")
                    ports.append(number)
                else:
                    ports.append(socket.bind_to_random_port(f"tcp://{bind}"))
            except zmq.ZMQError as error:
                raise InputError(f"cannot listen on {bind}:{number}: {error}") from None
        return ports[0], ports[1]

    def run(self) -> None:
        """Serve until :meth:`close` or Ctrl-C."""
        while not self._stop.wait(0.2):
            pass

    @override
    def close(self) -> None:
        """Stop serving; does nothing the second time."""
        if self._stop.is_set():
            return
        self._stop.set()
        for jobs in self._jobs.values():
            with suppress(queue.Full):
                jobs.put_nowait(None)
        for thread in self._threads:
            thread.join(timeout=_GRACE)
        # A worker that still computes has a socket: zmq would abort the process at its next call.
        if not any(thread.is_alive() for thread in self._threads):
            self._context.destroy(linger=0)

    def _talk(self) -> None:
        """Receive requests and send answers: the only thread that uses these sockets."""
        zmq = self._zmq
        poller = zmq.Poller()
        poller.register(self._requests, zmq.POLLIN)
        poller.register(self._results, zmq.POLLIN)
        while not self._stop.is_set():
            ready = dict(poller.poll(100))
            if self._results in ready:
                self._requests.send_multipart(self._results.recv_multipart())
            if self._requests in ready:
                frames = self._requests.recv_multipart()
                answer = self._admit(frames)
                if answer is not None:
                    self._requests.send_multipart(answer)
        for socket in (self._requests, self._results):
            socket.close()

    def _admit(self, frames: list[bytes]) -> list[bytes] | None:
        """Hand a request to a worker, or answer at once if it cannot be accepted."""
        client, envelope = frames[0], frames[1:-1]
        route = [client, *envelope[:1]]
        number: Any = None
        try:
            if len(frames) < 2 or len(frames) > 3 or any(envelope):
                raise InputError("a request is one part, or an empty one before it")
            self._count(client)
            if len(frames[-1]) > self.limits.message_bytes:
                raise InputError(
                    f"a request of {len(frames[-1])} bytes; at most "
                    f"{self.limits.message_bytes} are taken"
                )
            request = unpack(frames[-1])
            request.pop("v")
            number = request.pop("id", None)
            if not isinstance(number, int | str | None):
                number = None
                raise InputError("id must be a number or text")
            name = request.pop("op", None)
            kind = next(
                (
                    k
                    for k, known in (("quick", self.handlers.quick), ("slow", self.handlers.slow))
                    if isinstance(name, str) and name in known
                ),
                None,
            )
            if kind is None:
                known = (*self.handlers.quick, *self.handlers.slow)
                raise InputError(f"no operation {str(name)[:40]!r}; choose from {', '.join(known)}")
            self._jobs[kind].put_nowait((client, (route, number), name, request))
        except queue.Full:
            return [*route, _failure(number, "Busy", "too many requests wait; ask again later")]
        except InputError as error:
            return [*route, _failure(number, type(error).__name__, str(error))]
        return None

    def _count(self, client: bytes) -> None:
        now = time.monotonic()
        if client not in self._seen and len(self._seen) >= self.limits.clients:
            self._seen = {c: t for c, t in self._seen.items() if now - t < _MINUTE}
            if len(self._seen) >= self.limits.clients:
                raise InputError(f"{len(self._seen)} clients are served already, the most allowed")
        self._seen[client] = now

    def _work(
        self, kind: str, known: dict[str, Callable[[dict[str, Any]], dict[str, Any]]]
    ) -> None:
        """Answer the requests of one kind, one after the other."""
        out = self._context.socket(self._zmq.PUSH)
        out.setsockopt(self._zmq.LINGER, 0)
        out.connect("inproc://results")
        while not self._stop.is_set():
            job = self._jobs[kind].get()
            if job is None:
                break
            _, (route, number), name, request = job
            try:
                raw = pack({"id": number, "ok": True, **known[name](request)})
            except (MotiontokError, BVHError) as error:
                raw = _failure(number, type(error).__name__, str(error))
            except Exception as error:
                # Whatever it is, the others must go on being served.
                self._log(f"{name}: unexpected {type(error).__name__}: {error}")
                raw = _failure(number, "InternalError", f"unexpected {type(error).__name__}")
            if not self._stop.is_set():
                out.send_multipart([*route, raw])
        out.close()

    def _publish(self) -> None:
        """Send a state of each session at a steady rate."""
        begin, tick = time.monotonic(), 0
        while not self._stop.is_set():
            tick += 1
            wait = begin + tick / RATE - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif wait < -5.0 / RATE:
                # Far behind (a suspended machine): go on from now instead of catching up.
                self.late_ticks += 1
                begin, tick = time.monotonic(), 0
            for session in self.handlers.playing():
                state = session.tick()
                if state is not None:
                    self._send(session.name, state)
        self._states.close()

    def _send(self, name: str, state: BodyState) -> None:
        if self._order is not None:
            from motiontok.serve.sonic import pack_pose

            self._states.send(
                pack_pose(
                    joint_pos=state.joint_pos[self._order],
                    joint_vel=state.joint_vel[self._order],
                    body_quat=state.root_quat,
                    frame_index=state.frame,
                )
            )
            return
        message = {"session": name, "frame": state.frame, "held": state.held}
        message |= {"time": state.frame / RATE, "sent": time.time()}
        arrays = ("root_pos", "root_quat", "joint_pos", "joint_vel", "rotations")
        message |= {k: getattr(state, k).astype(np.float32) for k in arrays}
        self._states.send_multipart([f"state.{name}".encode(), pack(message)])


def _failure(number: Any, kind: str, message: str) -> bytes:
    return pack({"id": number, "ok": False, "error": {"type": kind, "message": message}})
