"""Requests to the server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import msgpack
import zmq
from measuring import in_turns, table

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.serve import Client

TITLE = "The server's answers"

PORT = 15_657


def echo(context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
    """A server that unpacks and packs what it is sent, and does nothing else."""
    socket = context.socket(zmq.REP)
    socket.bind(address)
    while message := msgpack.unpackb(socket.recv()):
        socket.send(msgpack.packb(message))
    socket.close(0)


def measure() -> str:
    """Beside a bare server that sends back what it gets, over the same kind of socket."""
    tokenizer = MotionTokenizer.from_pretrained("default")
    motion = procedural.make("walk", seconds=32 / 30, seed=1)
    codes = tokenizer.encode(motion)[:1]
    pose = {
        "root_positions": motion.root_positions,
        "rotations": motion.rotations,
        "offsets": motion.offsets,
    }
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    thread = threading.Thread(target=echo, args=(context, f"tcp://127.0.0.1:{PORT + 2}"))
    thread.start()
    bare = context.socket(zmq.REQ)
    bare.connect(f"tcp://127.0.0.1:{PORT + 2}")

    def ask(message: object) -> None:
        bare.send(msgpack.packb(message))
        bare.recv()

    command = [sys.executable, "-m", "motiontok", "serve", "--port", str(PORT)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        server.stdout.readline()
        try:
            with Client(f"tcp://127.0.0.1:{PORT}", timeout=60.0) as client:
                timings = in_turns(
                    {
                        "bare echo of 32 codes": lambda: ask({"codes": codes[0].tolist()}),
                        "info": client.info,
                        "decode, 1 window": lambda: client.decode(codes=codes),
                        "encode, 1 window": lambda: client.encode(**pose),
                        "sample, 1 window": lambda: client.sample(windows=1, label="walk"),
                    },
                    rounds=9,
                    clock=time.perf_counter,
                )
        finally:
            server.terminate()
            bare.send(msgpack.packb(None))
            thread.join(5.0)
            context.destroy(linger=0)
    return table(
        timings,
        what="request",
        unit="requests",
        work=1,
        against="bare echo of 32 codes",
        clock="wall",
    )
