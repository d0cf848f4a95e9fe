"""Requests, sessions and states of a running server."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from bvh import procedural
from motiontok import MotionTokenizer
from motiontok.data import REFERENCE, Start
from motiontok.prior import TokenPrior
from motiontok.prior.label_commands import CommandSequence, LabelCommands
from motiontok.serve import Limits, Server
from motiontok.serve import server as server_module
from motiontok.serve.client import Client, ServerError, Subscriber
from motiontok.serve.wire import pack


def test_info_says_what_a_planner_must_know(client, small_tokenizer):
    info = client.info()
    assert info["protocol"] == 1
    assert info["fingerprint"] == small_tokenizer.fingerprint
    assert (info["vocab_size"], info["codes_per_window"], info["frames_per_window"]) == (16, 8, 32)
    assert info["rate"] == 50.0
    assert info["robot"] is None
    assert info["labels"] == ["walk"]
    assert info["limits"]["windows"] == 16


def test_encoding_and_decoding_are_the_tokenizers(client, small_tokenizer):
    motion = procedural.make("walk", seconds=2.5, seed=4)
    reply = client.encode(
        root_positions=motion.root_positions, rotations=motion.rotations, offsets=motion.offsets
    )
    expected = small_tokenizer.encode_to_codes(motion)
    np.testing.assert_array_equal(reply["codes"], expected.array)
    assert reply["frames"] == 75
    assert reply["start"] == pytest.approx([expected.start.x, expected.start.y, expected.start.yaw])
    decoded = client.decode(
        codes=reply["codes"], start=reply["start"], offsets=motion.offsets, frames=75
    )
    whole = small_tokenizer.decode_codes(expected)
    np.testing.assert_allclose(decoded["root_positions"], whole.root_positions, atol=1e-5)
    np.testing.assert_allclose(decoded["rotations"], whole.rotations, atol=1e-6)
    assert decoded["fps"] == 30.0


def test_sampling_is_the_priors(client, small_prior):
    reply = client.sample(windows=3, batch=2, label="walk", velocity=[1.0, 0.0], seed=5)
    assert reply["codes"].shape == (2, 3, 8)
    again = client.sample(windows=3, batch=2, label="walk", velocity=[1.0, 0.0], seed=5)
    np.testing.assert_array_equal(reply["codes"], again["codes"])
    assert reply["fingerprint"] == small_prior.fingerprint
    np.testing.assert_array_equal(reply["commands"], np.tile([1.0, 0.0, 0.0], (2, 3, 1)))


def test_a_label_without_a_command_says_what_it_was_led_to_do(client, small_prior, monkeypatch):
    assert "commands" not in client.sample(label="walk")
    walks = (CommandSequence(1.0, np.array([[1.2, 0.0, 0.1], [0.6, 0.0, 0.0]], np.float32)),)
    monkeypatch.setattr(small_prior, "label_commands", LabelCommands({("walk", ""): walks}))
    reply = client.sample(windows=2, label="walk")
    scale = np.array([reply["scale"], reply["scale"], 1.0])
    np.testing.assert_allclose(reply["commands"][0], walks[0].commands * scale, rtol=1e-6)
    assert reply["velocity_error_m_s"].shape == (1,)


def test_planning(client):
    path = client.plan(
        waypoints=[[1.0, 0.0], [1.0, 1.0]], seconds=2.0, samples=2, no_go=[[3, 3, 1]]
    )
    assert path["codes"].shape == (2, 8)
    assert path["frames"] == 60
    profile = client.plan(profile=[[0, 1, 0, 0], [2, 1, 0, 0.5]], samples=2, start=[1, 2, 0.5])
    assert profile["codes"].shape == (2, 8)


def test_states_come_at_their_rate_and_show_the_motion(
    client, states_address, small_tokenizer, some_codes
):
    subscriber = Subscriber("left", states_address)
    reply = client.open("left", start=[1.0, 2.0, 0.5])
    assert reply["topic"] == "state.left"
    assert not reply["resumed"]
    assert subscriber.receive(0.3) is None  # nothing before the first codes
    pushed = client.push("left", some_codes)
    assert pushed["windows"] == 3
    states = [subscriber.receive(5.0) for _ in range(60)]
    subscriber.close()
    frames = [s["frame"] for s in states]
    assert np.diff(frames).tolist() == [1] * 59
    np.testing.assert_allclose([s["time"] for s in states], np.array(frames) / 50)
    start = Start(1.0, 2.0, 0.5)
    stream = small_tokenizer.stream_decoder(start=start)
    motion = stream.push(some_codes)
    at = np.array(frames[:50]) * 30 / 50
    for k in range(3):
        expected = np.interp(at, np.arange(len(motion)), motion.root_positions[:, k])
        got = [s["root_pos"][k] for s in states[:50]]
        np.testing.assert_allclose(got, expected, atol=1e-5)
    assert states[0]["rotations"].shape == (22, 4)
    norms = np.linalg.norm([s["rotations"] for s in states], axis=-1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-5)
    assert not any(s["held"] for s in states)
    assert pushed["pose"] == pytest.approx([stream.pose.x, stream.pose.y, stream.pose.yaw])


def test_a_stream_that_runs_dry_holds_still_and_goes_on(client, states_address, some_codes):
    subscriber = Subscriber("dry", states_address)
    client.open("dry")
    client.push("dry", some_codes[:1])
    # 26 frames are final: 43 states.
    states = [subscriber.receive(5.0) for _ in range(55)]
    assert states[-1]["held"]
    assert not states[10]["held"]
    still = [s["root_pos"] for s in states if s["held"]]
    assert np.ptp(still, axis=0).max() == 0.0
    client.push("dry", some_codes[1:2])
    moving = next(s for s in iter(lambda: subscriber.receive(5.0), None) if not s["held"])
    assert np.abs(moving["root_pos"] - still[0]).max() < 0.2
    subscriber.close()


def test_sessions_are_named_resumed_and_ended(client, some_codes):
    client.open("a")
    with pytest.raises(ServerError, match="session 'a' is open; choose another name, or resume"):
        client.open("a")
    client.push("a", some_codes)
    back = client.open("a", resume=True)
    assert back["resumed"]
    assert back["windows"] == 3
    client.end("a")
    with pytest.raises(ServerError) as caught:
        client.push("a", some_codes, reopen=False)
    assert caught.value.kind == "NoSession"


@pytest.mark.parametrize("pushed", [False, True])
def test_a_lost_session_is_opened_again_where_and_as_it_was(
    server, client, states_address, small_tokenizer, some_codes, pushed
):
    """Before and after the first codes. Where held feet put the body depends on its bones."""
    subscriber = Subscriber("a", states_address)
    offsets = 3.0 * small_tokenizer.offsets
    pose = client.open("a", start=[10.0, 5.0, 1.57], offsets=offsets)["pose"]
    assert pose == [10.0, 5.0, 1.57]
    assert subscriber.receive(0.3) is None
    if pushed:
        pose = client.push("a", some_codes)["pose"]
        assert subscriber.receive(5.0)
    server.handlers.sessions.clear()  # as when it is restarted, or the session idle for too long
    assert client.push("a", some_codes)["windows"] == 3
    state = next(s for s in iter(lambda: subscriber.receive(5.0), None) if s["frame"] == 0)
    subscriber.close()
    known, other = (
        small_tokenizer.stream_decoder(start=pose, offsets=bones).push(some_codes)
        for bones in (offsets, None)
    )
    assert np.abs(known.root_positions[0] - other.root_positions[0]).max() > 0.01
    np.testing.assert_allclose(state["root_pos"], known.root_positions[0], atol=1e-4)


def test_only_sessions_that_a_client_opened_are_opened_again(client, some_codes):
    def refused():
        with pytest.raises(ServerError) as caught:
            client.push("b", some_codes)
        return caught.value.kind

    assert refused() == "NoSession"
    client.open("b")
    client.push("b", some_codes)
    client.end("b")
    assert refused() == "NoSession"
    assert client.info()["sessions"] == 0


def test_a_session_holds_invalid_windows_where_it_is_asked_to(client, some_codes):
    broken = np.full((1, 8), -1)
    client.open("h")
    for options in ({}, {"on_invalid": "hold"}):  # there is nothing to hold yet, either
        with pytest.raises(ServerError, match="outside the vocabulary"):
            client.push("h", broken, **options)
    client.push("h", some_codes)
    reply = client.push("h", np.repeat(broken, 2, axis=0), on_invalid="hold")
    assert reply["windows"] == 5
    still = client.push("h", broken, on_invalid="hold")["pose"]
    assert still == pytest.approx(reply["pose"], abs=1e-6)
    with pytest.raises(ServerError, match="on_invalid must be 'error' or 'hold'"):
        client.push("h", broken, on_invalid="guess")


def test_two_sessions_do_not_mix(client, states_address, some_codes):
    names = ("one", "one2")
    subscribers = [Subscriber(name, states_address) for name in names]
    client.open("one", start=[0.0, 0.0, 0.0])
    client.open("one2", start=[100.0, 0.0, 0.0])
    for name in names:
        client.push(name, some_codes)
    for name, subscriber, low in zip(names, subscribers, (-50, 50), strict=True):
        for _ in range(20):
            state = subscriber.receive(5.0)
            assert state["session"] == name
            assert low < state["root_pos"][0] < low + 100
        subscriber.close()


def test_a_robot_is_moved_within_its_limits(small_tokenizer, some_codes):
    pytest.importorskip("pinocchio", reason="needs: pip install pin example-robot-data")
    from motiontok.robots import load_robot
    from motiontok.serve import Server

    robot = load_robot("skeleton")
    with Server(small_tokenizer, robot=robot, port=0) as server:
        subscriber = Subscriber("r", f"tcp://127.0.0.1:{server.states_port}")
        with Client(f"tcp://127.0.0.1:{server.port}") as client:
            assert client.info()["joint_names"] == list(robot.joint_names)
            client.open("r")
            client.push("r", some_codes)
            states = [subscriber.receive(5.0) for _ in range(60)]
            with pytest.raises(ServerError, match="this server has no prior"):
                client.sample(windows=1)
        subscriber.close()
    joints = np.array([s["joint_pos"] for s in states])
    assert (joints >= robot.lower - 1e-4).all()
    assert (joints <= robot.upper + 1e-4).all()
    velocity = np.array([s["joint_vel"] for s in states])
    moved = np.gradient(joints, 1 / 50, axis=0)
    # Velocities are those of the positions, up to smoothing.
    assert np.abs(velocity[2:-2] - moved[2:-2]).mean() < 0.2 * np.abs(moved).mean() + 1e-3


@pytest.mark.usefixtures("one_g1")
def test_sonic_messages_are_as_the_controller_reads_them(small_tokenizer, some_codes):
    """Read by hand, as documented: topic, 1,280 bytes of JSON, packed little-endian fields."""
    pytest.importorskip("pinocchio", reason="needs: pip install pin example-robot-data")
    import json

    from motiontok.robots import load_robot
    from motiontok.robots.model.joint_orders import joint_order
    from motiontok.serve import Server

    robot = load_robot("g1")
    order = joint_order(robot, "isaaclab")
    with Server(small_tokenizer, robot=robot, port=0, sonic=order) as server:
        context = zmq.Context()
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, b"pose")
        socket.connect(f"tcp://127.0.0.1:{server.states_port}")
        with Client(f"tcp://127.0.0.1:{server.port}") as client:
            assert client.open("only")["topic"] == "pose"
            with pytest.raises(ServerError, match="1 sessions are open"):
                client.open("other")
            client.push("only", some_codes)
            raws = []
            while len(raws) < 5:
                assert socket.poll(5000)
                raws.append(socket.recv())
        context.destroy(linger=0)
    indices = []
    for raw in raws:
        assert raw.startswith(b"pose")
        header = json.loads(raw[4 : 4 + 1280].rstrip(b"\0"))
        assert (header["v"], header["endian"], header["count"]) == (1, "le", 1)
        at, fields = 4 + 1280, {}
        for field in header["fields"]:
            kind = {"f32": "<f4", "i64": "<i8"}[field["dtype"]]
            count = int(np.prod(field["shape"]))
            fields[field["name"]] = np.frombuffer(raw, kind, count, at).reshape(field["shape"])
            at += count * np.dtype(kind).itemsize
        assert at == len(raw)
        assert fields["joint_pos"].shape == fields["joint_vel"].shape == (1, 29)
        assert fields["body_quat"].shape == (1, 4)
        assert np.linalg.norm(fields["body_quat"]) == pytest.approx(1.0, abs=1e-5)
        indices.append(int(fields["frame_index"][0]))
        lower = robot.lower[[robot.joint_names.index(n) for n in order]]
        assert (fields["joint_pos"][0] >= lower - 1e-4).all()
    assert np.diff(indices).tolist() == [1] * 4


@pytest.mark.usefixtures("one_g1")
def test_the_order_of_isaac_lab():
    """Against the permutation that users of the G1 in Isaac Lab publish."""
    pytest.importorskip("pinocchio", reason="needs: pip install pin example-robot-data")
    from motiontok.errors import InputError
    from motiontok.robots import load_robot
    from motiontok.robots.model.joint_orders import joint_order

    robot = load_robot("g1")
    published = [0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 22, 4, 10, 16, 23, 5, 11, 17, 24, 18, 25]
    published += [19, 26, 20, 27, 21, 28]
    expected = tuple(robot.joint_names[i] for i in published)
    assert joint_order(robot, "isaaclab") == expected
    assert joint_order(robot, "robot") == robot.joint_names
    with pytest.raises(InputError, match="no joint order 'alphabetic'"):
        joint_order(robot, "alphabetic")


def test_joint_orders_are_read_from_files(tmp_path):
    pytest.importorskip("pinocchio", reason="needs: pip install pin example-robot-data")
    from motiontok.errors import InputError
    from motiontok.robots import load_robot
    from motiontok.robots.model.joint_orders import joint_order

    robot = load_robot("skeleton")
    names = tuple(reversed(robot.joint_names))
    (tmp_path / "order.txt").write_text("\n".join(names))
    assert joint_order(robot, str(tmp_path / "order.txt")) == names
    (tmp_path / "order.txt").write_text("\n".join(names[1:]))
    with pytest.raises(InputError, match="must name each joint"):
        joint_order(robot, str(tmp_path / "order.txt"))


def test_target_poses_are_gone_through_and_bad_ones_refused():
    tokenizer = MotionTokenizer.from_pretrained("default")
    prior = TokenPrior.from_pretrained("default", tokenizer=tokenizer)
    walk = procedural.make("walk", seconds=4.0, seed=3).on_bones(REFERENCE)
    begin = np.array([*walk.root_positions[30, :2], 0.0])
    posed = {
        "pose_times": [0.8],
        "pose_root_positions": walk.root_positions[30:31] - begin,
        "pose_rotations": walk.rotations[30:31],
    }
    limits = Limits(windows=16, sessions=3, clients=20)
    with (
        Server(tokenizer, prior=prior, port=0, limits=limits) as running,
        Client(f"tcp://127.0.0.1:{running.port}", timeout=60.0) as client,
    ):
        sample = client.sample(windows=1, **posed)
        assert sample["pose_error_m"].shape == (1, 1)
        assert sample["pose_error_m"].max() < 0.15
        plan = client.plan(**posed, seconds=1.0, samples=2, horizon=1, beam=1)
        assert plan["pose_error_m"].shape == (1,)
        assert plan["errors"]["pose_error_m"] < 0.15
        for wrong, message in (
            ({"pose_times": None}, "target poses need pose_times"),
            ({"pose_times": [0.2, 0.4]}, "must be of 1 to 4 poses each, got 2, 1, 1"),
            ({"pose_times": [3.0]}, "its time is 3 s"),
            ({"pose_rotations": np.zeros((1, 22, 4))}, "quaternion of no length"),
            ({"pose_root_positions": [[0.0, 0.0, 0.2]]}, "under the floor"),
            ({"pose_root_positions": [[50.0, 0.0, 1.0]]}, "cannot be reached"),
        ):
            with pytest.raises(ServerError, match=message):
                client.sample(windows=1, **{**posed, **wrong})


def test_closing_does_not_wait_for_work_and_work_that_goes_on_harms_nothing(
    small_tokenizer, monkeypatch
):
    monkeypatch.setattr(server_module, "_GRACE", 0.2)
    begun, end, ended = threading.Event(), threading.Event(), threading.Event()

    def slow(request):
        begun.set()
        end.wait(30.0)
        ended.set()
        return {}

    server = Server(small_tokenizer, port=0)
    monkeypatch.setitem(server.handlers.slow, "plan", slow)
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(f"tcp://127.0.0.1:{server.port}")
    socket.send(pack({"id": 1, "op": "plan"}))
    assert begun.wait(30.0)
    server.close()
    end.set()
    assert ended.wait(30.0)
    # What works on would abort the process when it answers, or closes its socket.
    for thread in server._threads:
        thread.join(timeout=30.0)
        assert not thread.is_alive()
    context.destroy(linger=0)


def test_the_client_shown_on_the_page_runs_and_leaves_no_session(server, client):
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert "tcp://127.0.0.1:5557" in shown
    names: dict[str, Any] = {}
    exec(shown.replace("5557", str(server.port)), names)
    # The plan began where the page says, after what was playing.
    assert names["plan"]["from_frame"] == names["frame"] + 250
    assert len(names["plan"]["past"])
    assert client.info()["sessions"] == 0
    assert not client.open("walker")["resumed"]
