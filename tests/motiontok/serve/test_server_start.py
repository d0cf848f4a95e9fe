"""Servers that cannot start, are not there, or are killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
import zmq

from motiontok.errors import InputError
from motiontok.serve import Client, Server
from motiontok.serve.client import ServerError, Subscriber


def test_a_taken_port_is_said(server, small_tokenizer):
    with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{server.port}"):
        Server(small_tokenizer, port=server.port, states_port=0)


def test_a_sonic_stream_needs_a_robot(small_tokenizer):
    with pytest.raises(InputError, match="needs a robot"):
        Server(small_tokenizer, port=0, sonic=("a",))


def free_port():
    context = zmq.Context()
    port = context.socket(zmq.REP).bind_to_random_port("tcp://127.0.0.1")
    context.destroy(linger=0)
    return port


@pytest.mark.usefixtures("interruptible")
def test_killed_and_started_again_a_server_takes_its_clients_back(tiny_run, some_codes):
    """The server as its own process, killed without warning while a session plays."""
    port, states = free_port(), free_port()
    command = [
        sys.executable, "-m", "motiontok", "serve", "--tokenizer", str(tiny_run), "--prior", "none",
        "--port", str(port), "--states-port", str(states),
    ]  # fmt: skip

    def start():
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        assert "requests on" in process.stdout.readline()
        return process

    process = start()
    try:
        with (
            Client(f"tcp://127.0.0.1:{port}", timeout=20.0) as client,
            closing(Subscriber("plays", f"tcp://127.0.0.1:{states}")) as subscriber,
        ):
            client.open("plays", start=[5.0, 0.0, 0.0])
            before = client.push("plays", some_codes)["pose"]
            assert subscriber.receive(5.0)["frame"] >= 0
            process.kill()
            process.wait()
            while subscriber.receive(0.2) is not None:
                pass  # states that the killed server had sent
            process = start()
            # The client comes back by itself, and the body goes on from where it was.
            after = client.push("plays", some_codes[:1])
            assert after["windows"] == 1
            state = next(s for s in iter(lambda: subscriber.receive(5.0), None) if s["frame"] < 5)
            # Up to five frames on, and this hardly trained tokenizer goes fast; the start, where
            # a new session would be, is a metre away.
            np.testing.assert_allclose(state["root_pos"][:2], before[:2], atol=0.45)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()


def test_without_a_server_a_client_says_so():
    with Client(f"tcp://127.0.0.1:{free_port()}", timeout=0.2) as client:
        with pytest.raises(ServerError, match="did not answer info") as caught:
            client.info()
        assert caught.value.kind == "Timeout"
