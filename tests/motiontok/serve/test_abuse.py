"""Whatever comes in, the sender gets an error and the others go on being served."""

from __future__ import annotations

import time

import msgpack
import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from motiontok.serve import Client, Server
from motiontok.serve.client import ServerError, Subscriber
from motiontok.serve.wire import WireError, pack, unpack


@pytest.fixture(scope="module")
def raw(lasting_server):
    """A socket that sends what it is told."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(f"tcp://127.0.0.1:{lasting_server.port}")
    yield socket
    context.destroy(linger=0)


@pytest.fixture(scope="module")
def other_client(lasting_server):
    """Whoever else is served."""
    with Client(f"tcp://127.0.0.1:{lasting_server.port}", timeout=20.0) as connected:
        yield connected


def poses(positions, rotations):
    return pack({"op": "encode", "root_positions": positions, "rotations": rotations})


def answer(socket):
    assert socket.poll(10_000), "no answer"
    reply = unpack(socket.recv_multipart()[-1])
    assert not reply["ok"]
    return reply["error"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "not a msgpack message"),
        (b"\x00\xff garbage", "not a msgpack message"),
        (b"GET / HTTP/1.1\r\n\r\n", "not a msgpack message"),
        (msgpack.packb([1, 2]), "a message is a map, got list"),
        (msgpack.packb(7), "a message is a map, got int"),
        (msgpack.packb({"op": "info"}), "protocol version None, this is version 1"),
        (msgpack.packb({"v": 2, "op": "info"}), "protocol version 2"),
        (msgpack.packb({1: 2, "v": 1}), "not a msgpack message"),
        (b"\x81" * 5000, "not a msgpack message"),
        (b"\x91" * 5000, "not a msgpack message"),
        (msgpack.packb({"v": 1}), "no operation 'None'"),
        (msgpack.packb({"v": 1, "op": "__init__"}), "no operation '__init__'; choose from info"),
        (msgpack.packb({"v": 1, "op": ["info"]}), "no operation"),
        (msgpack.packb({"v": 1, "id": [1], "op": "info"}), "id must be a number or text"),
        (pack({"op": "info", "more": 1}), "unknown field 'more'"),
        (pack({"op": "decode"}), "codes are missing"),
        (pack({"op": "decode", "codes": [[0] * 7]}), "expected (..., windows, 8), got (1, 7)"),
        (pack({"op": "decode", "codes": [[16] * 8]}), "value 16 at (0, 0) is outside"),
        (pack({"op": "decode", "codes": [[0.5] * 8]}), "expected integers"),
        (pack({"op": "decode", "codes": "words"}), "codes: expected an array of numbers"),
        (pack({"op": "decode", "codes": [[1], [2, 3]]}), "codes: expected an array of numbers"),
        (pack({"op": "decode", "codes": [[0] * 8] * 17}), "at most 16 windows, got 17"),
        (pack({"op": "decode", "codes": [[0] * 8], "frames": "all"}), "frames must be a whole"),
        (pack({"op": "decode", "codes": [[0] * 8], "frames": 33}), "asked for 33 frames"),
        (pack({"op": "decode", "codes": [[0] * 8], "start": [0, 0]}), "start: expected shape (3)"),
        (pack({"op": "decode", "codes": [[0] * 8], "on_invalid": "guess"}), "must be 'error'"),
        (
            pack({"op": "decode", "codes": [[0] * 8], "on_invalid": np.zeros(2)}),
            "on_invalid must be text",
        ),
        (pack({"op": "decode", "codes": [[0] * 8], "start": [1e300, 0, 0]}), "start: expected x"),
        (
            pack({"op": "decode", "codes": [[0] * 8], "offsets": np.full((22, 3), 1e200)}),
            "offsets: value 1e+200 at (0, 0) is no length of a bone",
        ),
        (
            pack({"op": "decode", "codes": [[0] * 8], "offsets": np.full((22, 3), np.nan)}),
            "offsets: holds a value that is not finite",
        ),
        (
            pack({"op": "decode", "codes": [[0] * 8], "offsets": np.zeros((22, 3))}),
            "thigh and shin are 0 mm",
        ),
        (pack({"op": "open", "session": "far", "start": [0, -1e7, 0]}), "start: expected x"),
        (
            pack({"op": "open", "session": "big", "offsets": np.full((22, 3), 1e7)}),
            "offsets: value 10000000.0 at (0, 0)",
        ),
        (pack({"op": "encode"}), "encode needs root_positions and rotations"),
        (
            poses(np.zeros((1, 3)), np.zeros((2, 22, 4))),
            "motion rotations: expected shape (1, 22, 4)",
        ),
        (
            poses(np.full((1, 3), np.nan), np.ones((1, 22, 4))),
            "root_positions: holds a value that is not finite",
        ),
        (
            poses(np.zeros((0, 3)), np.zeros((0, 22, 4))),
            "encode takes 1 to 512 frames, got 0",
        ),
        (pack({"op": "sample", "windows": 17}), "windows times batch must be 1 to 16"),
        (pack({"op": "sample", "windows": 2, "batch": -1}), "windows times batch"),
        (pack({"op": "sample", "windows": True}), "windows must be a whole number"),
        (pack({"op": "sample", "label": "fly"}), "no label 'fly'"),
        (pack({"op": "sample", "label": 3}), "label must be text"),
        (pack({"op": "sample", "temperature": -1.0}), "temperature must be"),
        (pack({"op": "sample", "velocity": [1e400, 0]}), "velocity: holds a value that is not"),
        (pack({"op": "plan"}), "plan needs either waypoints"),
        (pack({"op": "plan", "waypoints": [[1, 2, 3]]}), "waypoints: expected shape (any, 2)"),
        (pack({"op": "plan", "waypoints": np.zeros((0, 2))}), "plan needs either"),
        (pack({"op": "plan", "waypoints": [[1.0, 2.0]], "speed": 0}), "speed must be positive"),
        (pack({"op": "plan", "waypoints": [[1.0, 2.0]], "seconds": 1e9}), "seconds must be above"),
        (pack({"op": "plan", "waypoints": [[1.0, 2.0]], "samples": 10**6}), "samples must be at"),
        (pack({"op": "plan", "profile": [[0, 1, 0, 0], [0, 1, 0, 0]]}), "times must ascend"),
        (
            pack({"op": "plan", "waypoints": [[3.0, 0.0]], "no_go": [[0.1, 0, 0.4]]}),
            "the start is 0.30 m inside no-go disc 0.1 0 0.4",
        ),
        (
            pack({"op": "plan", "waypoints": [[3.0, 0.0]], "no_go": [[3, 0, -1]]}),
            "a positive radius expected",
        ),
        (pack({"op": "plan", "waypoints": [[3.0, 0]], "no_go": [[9, 9, 1]] * 65}), "at most 64 no"),
        (pack({"op": "plan", "waypoints": [[3.0, 0]], "speed": 30}), "leg 1 of the path: 30 m/s"),
        (
            pack({"op": "plan", "waypoints": [[3.0, 0]], "end": [3, 0, 0], "seconds": 3}),
            "the way to the end pose takes 3.0 s",
        ),
        (
            pack({"op": "plan", "profile": [[0, 1, 0, 0], [1, 1, 0, 0]], "end": [1, 0, 0]}),
            "an end pose needs waypoints",
        ),
        (pack({"op": "plan", "profile": [[0, 9, 0, 0]], "seconds": 1}), "9 m/s forward is beyond"),
        (pack({"op": "plan", "waypoints": [[1.0, 0]], "session": "no"}), "no session 'no'"),
        (pack({"op": "plan", "waypoints": [[1.0, 0]], "from_frame": 9}), "from_frame needs a sess"),
        (pack({"op": "sample", "velocity": [10.0, 0]}), "10 m/s forward is beyond"),
        (pack({"op": "sample", "yaw_rate": 50.0}), "50 rad/s is beyond"),
        (pack({"op": "replace", "session": "nobody", "codes": [[0] * 8]}), "no session 'nobody'"),
        (pack({"op": "clear", "session": "nobody"}), "no session 'nobody'"),
        (pack({"op": "measured", "session": "x", "root_pos": [0, 0]}), "root_pos: expected shape"),
        (pack({"op": "open"}), "session must be a name"),
        (pack({"op": "open", "session": "x" * 65}), "session must be a name"),
        (pack({"op": "open", "session": "a\nb"}), "session must be a name"),
        (pack({"op": "push", "session": "nobody", "codes": [[0] * 8]}), "no session 'nobody'"),
        (b"\x00" * 100_001, "100001 bytes; at most 100000 are taken"),
    ],
)  # fmt: skip
def test_bad_requests_get_an_error_and_nothing_else(raw, other_client, message, words):
    raw.send(message)
    error = answer(raw)
    assert words in error["message"]
    assert len(error["message"]) < 300
    assert other_client.info()["protocol"] == 1


@settings(max_examples=150)
@given(message=st.binary(max_size=60))
def test_random_bytes_are_answered(raw, message):
    raw.send(message)
    answer(raw)


@pytest.mark.parametrize(
    "array",
    [
        {"__array__": "<f8", "shape": [2], "data": b"1234"},
        {"__array__": "|O", "shape": [1], "data": b"12345678"},
        {"__array__": "<f8", "shape": [-1], "data": b""},
        {"__array__": "<f8", "shape": [2**62, 2**62], "data": b""},
        {"__array__": "<f8", "shape": "all", "data": b""},
        {"__array__": "<f8", "shape": [1], "data": "12345678"},
        {"__array__": "<f8", "shape": [1] * 9, "data": b"12345678"},
        {"__array__": ["<f8"], "shape": [1], "data": b"12345678"},
        {"__array__": "<f8"},
    ],
)
def test_arrays_that_are_none_are_refused(array):
    with pytest.raises(WireError, match="array"):
        unpack(msgpack.packb({"v": 1, "codes": array}))


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5).filter(lambda k: k not in ("__array__", "v")),
        st.one_of(
            st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=8),
            st.floats(allow_nan=False),
        ),
    )
)  # fmt: skip
def test_messages_there_and_back(message):
    assert unpack(pack(message)) == {"v": 1, **message}


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i2", "i8", "f4", ">f8"])
def test_arrays_there_and_back(dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    again = unpack(pack({"a": array}))["a"]
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype.newbyteorder("<")


def test_parts_that_are_too_many_are_refused(raw):
    raw.send_multipart([b"a", b"b", pack({"op": "info"})])
    assert "one part" in answer(raw)["message"]
    raw.send_multipart([b"", pack({"op": "info"})])
    assert raw.poll(5000)
    assert unpack(raw.recv_multipart()[-1])["ok"]


def test_far_too_large_messages_cost_only_their_sender(server, client):
    with Client(f"tcp://127.0.0.1:{server.port}", timeout=1.0) as greedy:
        greedy._socket.send(b"\x00" * 9 * 8 * 100_000)
        time.sleep(0.2)
        assert client.info()["protocol"] == 1


def test_sessions_and_what_waits_in_them_are_bounded(client, some_codes):
    for name in "abc":
        client.open(name)
    with pytest.raises(ServerError, match="3 sessions are open already, the most allowed"):
        client.open("d")
    for _ in range(3):
        client.push("a", some_codes)
    with pytest.raises(ServerError, match="at most 12 s may wait, push later"):
        client.push("a", np.tile(some_codes, (2, 1)))
    client.push("b", some_codes)


def test_clients_are_bounded(server, client):
    client.info()
    others = [Client(f"tcp://127.0.0.1:{server.port}", timeout=5.0) for _ in range(20)]
    try:
        for other in others[:-1]:
            other.info()
        with pytest.raises(ServerError, match="20 clients are served already, the most allowed"):
            others[-1].info()
        assert client.info()["protocol"] == 1
    finally:
        for other in others:
            other.close()


def test_more_requests_than_can_wait_are_told_so(small_tokenizer, small_prior, some_codes):
    from motiontok.serve import Limits

    with Server(small_tokenizer, prior=small_prior, port=0, limits=Limits(waiting=2)) as server:
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.connect(f"tcp://127.0.0.1:{server.port}")
        for number in range(30):
            socket.send(pack({"id": number, "op": "sample", "windows": 8}))
        replies = []
        while len(replies) < 30 and socket.poll(20_000):
            replies.append(unpack(socket.recv()))
        context.destroy(linger=0)
    assert sorted(r["id"] for r in replies) == list(range(30))
    refused = [r for r in replies if not r["ok"]]
    assert refused
    assert {r["error"]["type"] for r in refused} == {"Busy"}
    assert any(r["ok"] for r in replies)


def test_an_unexpected_failure_is_answered_and_logged(
    server, client, logged, small_tokenizer, monkeypatch
):
    def fail(*arguments, **options):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setitem(server.handlers.quick, "decode", fail)
    with pytest.raises(ServerError) as caught:
        client.decode(codes=[[0] * 8])
    assert caught.value.kind == "InternalError"
    assert "secret" not in str(caught.value)
    assert client.info()["protocol"] == 1
    assert "secret detail" in logged.pop()


def test_a_client_that_vanishes_takes_nobody_along(server, client, states_address, some_codes):
    subscriber = Subscriber("stays", states_address)
    client.open("stays")
    client.push("stays", some_codes)
    gone = Client(f"tcp://127.0.0.1:{server.port}")
    gone.open("gone")
    gone.push("gone", some_codes)
    gone._socket.send(pack({"id": 9, "op": "sample", "windows": 16}))
    gone.close()  # before the answer
    frames = [subscriber.receive(5.0)["frame"] for _ in range(40)]
    assert np.diff(frames).max() == 1
    assert client.info()["sessions"] == 2
    # Whoever knows the name can come back to it.
    with Client(f"tcp://127.0.0.1:{server.port}") as again:
        assert again.open("gone", resume=True)["windows"] == 3
    subscriber.close()


def test_a_slow_subscriber_loses_states_and_delays_nobody(
    server, client, states_address, some_codes
):
    slow, quick = Subscriber("s", states_address), Subscriber("s", states_address)
    client.open("s")
    client.push("s", some_codes)
    stamps = []
    while len(stamps) < 60:
        stamps.append(quick.receive(5.0)["frame"])
    assert np.diff(stamps).max() == 1
    assert slow.receive(1.0)["frame"] < 50
    slow.close()
    quick.close()


def test_idle_sessions_end(small_tokenizer, wait_for):
    from motiontok.serve import Limits

    limits = Limits(idle_seconds=0.2)
    with (
        Server(small_tokenizer, port=0, limits=limits) as server,
        Client(f"tcp://127.0.0.1:{server.port}") as client,
    ):
        client.open("idle")
        assert wait_for(lambda: client.info()["sessions"] == 0)
