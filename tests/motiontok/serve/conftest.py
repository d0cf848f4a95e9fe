"""A server on free ports, and raw access to it."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("zmq", reason="needs: pip install 'motiontok[serve]'")
pytest.importorskip("msgpack", reason="needs: pip install 'motiontok[serve]'")

from motiontok import MotionTokenizer
from motiontok.prior import TokenPrior
from motiontok.prior.model import PriorConfig, PriorModel
from motiontok.serve import Client, Limits, Server


@pytest.fixture(scope="session")
def small_tokenizer(tiny_run):
    return MotionTokenizer.from_pretrained(tiny_run)


@pytest.fixture(scope="session")
def small_prior(small_tokenizer):
    """Nothing learnt: requests are what is tested."""
    config = PriorConfig(8, 16, ("", "walk"), ("", "old"), width=8, heads=2, layers=1, rank=4)
    return TokenPrior(PriorModel(config), fingerprint=small_tokenizer.fingerprint)


@pytest.fixture
def interruptible():
    """Processes that the test starts heed Ctrl-C.

    A shell's background ignores it, and so does all that is started there.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def logged():
    return []


@contextmanager
def serving(tokenizer, prior, logged):
    limits = Limits(
        message_bytes=100_000, windows=16, sessions=3, clients=20, queue_seconds=12, idle_seconds=30
    )
    with Server(tokenizer, prior=prior, port=0, limits=limits, log=logged.append) as running:
        yield running
    assert not logged


@pytest.fixture
def server(small_tokenizer, small_prior, logged):
    with serving(small_tokenizer, small_prior, logged) as running:
        yield running


@pytest.fixture(scope="module")
def lasting_server(small_tokenizer, small_prior):
    """For requests that leave nothing behind in it."""
    with serving(small_tokenizer, small_prior, []) as running:
        yield running


@pytest.fixture
def client(server):
    with Client(f"tcp://127.0.0.1:{server.port}", timeout=20.0) as connected:
        yield connected


@pytest.fixture
def states_address(server):
    return f"tcp://127.0.0.1:{server.states_port}"


@pytest.fixture
def some_codes():
    return np.random.default_rng(0).integers(0, 16, (3, 8))


def wait_for(condition, seconds=10.0):
    """Whether something comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(name="wait_for")
def _wait_for():
    return wait_for
