"""Latency of the server, and a soak with clients that misbehave. Prints markdown.

    python tools/bench/serve.py [--robot g1] [--seconds 60]

The server is its own process. One session plays a walk at 50 Hz all the time, while
others ask, send garbage, read slowly, or vanish in the middle; once a client is killed
and comes back. All processes are on this machine and share its processors.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time

import numpy as np
import zmq

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.serve import Client
from motiontok.serve.client import ServerError, Subscriber

PORT = 15557


def memory(process: subprocess.Popen[str]) -> float:
    """Resident memory in MB."""
    with open(f"/proc/{process.pid}/status") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def percentiles(name: str, seconds: list[float]) -> None:
    ms = 1000 * np.array(seconds)
    p50, p95, p99 = np.percentile(ms, [50, 95, 99])
    print(
        f"| {name} | {len(ms)} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {ms.max():.1f} |", flush=True
    )


def command_to_motion(client: Client, codes: np.ndarray) -> None:
    """From a new velocity to codes that play: at the answer the next state is another one."""
    replaced, whole = [], []
    client.open("commanded")
    client.push("commanded", codes[:8])
    for n in range(20):
        time.sleep(0.3)
        began = time.perf_counter()
        turn = 0.5 if n % 2 else -0.5
        drawn = client.sample(session="commanded", windows=1, velocity=[0.6, 0.0], yaw_rate=turn)
        asked = time.perf_counter()
        client.replace("commanded", drawn["codes"][0], past=drawn.get("past"))
        replaced.append(time.perf_counter() - asked)
        whole.append(time.perf_counter() - began)
    client.end("commanded")
    percentiles("replace, 1 window with inverse kinematics, until the answer", replaced)
    percentiles("command to motion: sample, and replace what waits", whole)


class Troublemaker(threading.Thread):
    """Sends garbage, requests whose answers it does not wait for, and goes."""

    def __init__(self, codes: np.ndarray) -> None:
        super().__init__(daemon=True)
        self.codes, self.stop, self.rounds = codes, threading.Event(), 0

    def run(self) -> None:
        rng = np.random.default_rng(0)
        while not self.stop.is_set():
            context = zmq.Context()
            socket = context.socket(zmq.DEALER)
            socket.setsockopt(zmq.IDENTITY, b"trouble")
            socket.connect(f"tcp://127.0.0.1:{PORT}")
            for size in (0, 1, 100, 10_000, 9_000_000):
                socket.send(rng.bytes(size))
            socket.poll(500)
            context.destroy(linger=0)
            try:
                with Client(f"tcp://127.0.0.1:{PORT}", timeout=5.0) as client:
                    name = f"gone{self.rounds % 4}"
                    client.open(name, resume=True)
                    client.push(name, self.codes[:2])
            except ServerError:
                pass
            self.rounds += 1
            self.stop.wait(1.0)


class Reader(threading.Thread):
    """Reads states, and notes when they come."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.subscriber = Subscriber("walker", address)
        self.stop = threading.Event()
        self.delays: list[float] = []
        self.arrivals: list[float] = []
        self.frames: list[int] = []
        self.held = 0

    def run(self) -> None:
        while not self.stop.is_set():
            state = self.subscriber.receive(0.5)
            if state is None:
                continue
            self.delays.append(time.time() - state["sent"])
            self.arrivals.append(time.perf_counter())
            self.frames.append(state["frame"])
            self.held += state["held"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robot", default="g1")
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--prior", default="default")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    codes = tokenizer.encode(procedural.make("walk", seconds=17.0, seed=1))
    command = [sys.executable, "-m", "motiontok", "serve", "--robot", given.robot]
    command += ["--tokenizer", given.tokenizer, "--prior", given.prior, "--port", str(PORT)]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert server.stdout is not None
    print(server.stdout.readline().strip(), file=sys.stderr)
    address, states = f"tcp://127.0.0.1:{PORT}", f"tcp://127.0.0.1:{PORT + 1}"
    client = Client(address, timeout=60.0)
    try:
        print("| requests, nothing else going on | number | median ms | 95 % | 99 % | worst |")
        print("|---|---|---|---|---|---|")
        pose = procedural.make("walk", seconds=32 / 30, seed=2)
        for name, count, ask in (
            ("info", 200, lambda: client.info()),
            ("decode, 1 window", 100, lambda: client.decode(codes=codes[:1])),
            (
                "encode, 1 window",
                50,
                lambda: client.encode(
                    root_positions=pose.root_positions,
                    rotations=pose.rotations,
                    offsets=pose.offsets,
                ),
            ),
            ("sample, 1 window", 20, lambda: client.sample(windows=1, label="walk")),
        ):
            took = []
            for _ in range(count):
                began = time.perf_counter()
                ask()
                took.append(time.perf_counter() - began)
            percentiles(name, took)
        command_to_motion(client, codes)

        print("\n| while troublemakers are at work | number | median ms | 95 % | 99 % | worst |")
        print("|---|---|---|---|---|---|")
        trouble = Troublemaker(codes)
        slow = Subscriber("walker", states)  # never read
        reader = Reader(states)
        client.open("walker")
        client.push("walker", codes[:4])
        pushed, pushes = 4, []
        before = memory(server)
        reader.start()
        trouble.start()
        end = time.monotonic() + given.seconds
        while time.monotonic() < end:
            time.sleep(0.05)
            # A window is 53 states: keep some seconds in hand.
            if reader.frames and reader.frames[-1] > (pushed - 3) * 53:
                began = time.perf_counter()
                at = pushed % (len(codes) - 1)
                client.push("walker", codes[at : at + 1])
                pushes.append(time.perf_counter() - began)
                pushed += 1
        for thread in (trouble, reader):
            thread.stop.set()
            thread.join(10.0)
        percentiles("push, 1 window with inverse kinematics", pushes)
        percentiles("state: from sending to reading", reader.delays)
        percentiles("state: time between two (20 is due)", list(np.diff(reader.arrivals)))
        print(
            f"\n{given.seconds:.0f} s, {len(reader.frames)} states, "
            f"{int((np.diff(reader.frames) - 1).sum())} lost, {reader.held} held; "
            f"{trouble.rounds} rounds of trouble; memory {before:.0f} -> {memory(server):.0f} MB"
        )
        slow.close()
        reader.subscriber.close()
    finally:
        client.close()
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
