"""A queue is replaced, emptied and told where the robot is, while it plays."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import numpy as np
import pytest

from bvh import procedural
from bvh import rotations as rot
from motiontok.data import Start
from motiontok.serve import Client, Server
from motiontok.serve.client import ServerError, Subscriber
from motiontok.serve.playback import BLENDING, Frame, Playback
from motiontok.serve.sessions import Session
from motiontok.serve.shifts import Shift


@pytest.fixture(scope="module")
def walk(small_tokenizer):
    return small_tokenizer.encode(procedural.make("walk", seconds=6.4, seed=4))


@pytest.fixture
def session(small_tokenizer):
    return Session(
        "s", small_tokenizer, robot=None, start=Start(1.0, 2.0, 0.5),
        offsets=small_tokenizer.offsets, rate=50.0, most_seconds=30.0,
    )  # fmt: skip


@pytest.fixture
def subscribe():
    """Subscribers that are closed also where a test fails: contexts left open wait for ever."""
    made = []

    def make(name, address):
        made.append(Subscriber(name, address))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()


def ticks(session, count):
    return [session.tick() for _ in range(count)]


def speeds(states):
    """Of the hips (m/s) and of joints (rad/s, the fastest) between states."""
    places = np.array([s.root_pos for s in states])
    turned = np.array([s.rotations for s in states])
    between = rot.multiply(rot.conjugate(turned[:-1]), turned[1:])
    angles = 2.0 * np.arccos(np.clip(np.abs(between[..., 0]), 0.0, 1.0))
    return np.linalg.norm(np.diff(places, axis=0), axis=1) * 50, angles.max(axis=1) * 50


def most_of_a_stream(small_tokenizer, codes):
    """The fastest that hips and joints are within the motion itself."""
    motion = small_tokenizer.stream_decoder().push(codes)
    hips = np.linalg.norm(np.diff(motion.root_positions, axis=0), axis=1).max() * 30
    between = rot.multiply(rot.conjugate(motion.rotations[:-1]), motion.rotations[1:])
    angles = 2.0 * np.arccos(np.clip(np.abs(between[..., 0]), 0.0, 1.0))
    return hips, angles.max() * 30


def test_a_queue_that_runs_dry_slows_to_a_stand_along_its_own_motion(session, walk):
    session.push(walk)
    frames = session.queued_seconds * 50
    states = ticks(session, int(frames) + 40)
    held = [s.held for s in states]
    first = held.index(True)
    assert all(held[first:])
    hips, _ = speeds(states[:first])
    # It takes 0.4 s: the last states are slower and slower.
    assert (np.diff(hips[-10:]) < 0.02).all()
    assert hips[-1] < 0.2 * hips[:-20].mean()
    # It comes to rest where the motion ended, later by what it was slowed.
    assert first - frames == pytest.approx(10, abs=3)
    pose = session.pose
    assert np.ptp([s.root_pos for s in states[first:]], axis=0).max() == 0.0
    # Feet are held in what is shown, and not in what a planner goes on from.
    np.testing.assert_allclose(states[-1].root_pos[:2], [pose.x, pose.y], atol=0.3)


def test_an_emptied_queue_slows_to_a_stand(session, walk, small_tokenizer):
    session.push(walk)
    before = ticks(session, 60)
    queued = session.clear(None)
    assert 0.15 < queued < 0.6
    after = ticks(session, 60)
    assert after[-1].held
    hips, joints = speeds([before[-1], *after])
    most, turning = most_of_a_stream(small_tokenizer, walk)
    assert hips.max() < 1.3 * most
    assert joints.max() < 1.3 * turning
    stop = [s.held for s in after].index(True)
    assert stop < 0.8 * 50
    # The way to the stand is the motion's own, that of what was pushed.
    stream = small_tokenizer.stream_decoder(start=Start(1.0, 2.0, 0.5)).push(walk)
    apart = np.linalg.norm(stream.root_positions - after[-1].root_pos, axis=1)
    assert apart.min() < 1e-6
    pose = session.pose
    np.testing.assert_allclose(after[-1].root_pos[:2], [pose.x, pose.y], atol=1e-6)
    # What comes then begins there, without a jump.
    session.push(walk[:3])
    again = ticks(session, 60)
    hips, joints = speeds([after[-1], *again])
    assert hips.max() < 1.3 * most + 0.5
    assert joints.max() < turning + 2.0 * np.pi
    assert not again[30].held


def test_a_queue_is_replaced_from_a_state_on(session, walk, small_tokenizer):
    session.push(walk)
    ticks(session, 20)
    other = np.flip(walk, axis=0)[:3].copy()
    number = session.replace(other, past=None, from_frame=50)
    assert number == 50
    states = ticks(session, 120)
    stream = small_tokenizer.stream_decoder(start=Start(1.0, 2.0, 0.5)).push(walk)

    def shown(frame):
        return stream.root_positions[round(frame)]

    # Until state 50, frame 30, nothing has changed; half a second later it is the other motion.
    np.testing.assert_allclose(states[25].root_pos, shown(27), atol=1e-6)
    new = small_tokenizer.stream_decoder().push(other)
    shift = Shift.between(Start.of(new), Start.of(stream[30:31]))
    at = 15
    expected = shift.of(new.root_positions[at, :2])
    np.testing.assert_allclose(states[30 + 25].root_pos[:2], expected, atol=1e-6)
    np.testing.assert_allclose(
        np.abs((states[30 + 25].rotations[1:] * new.rotations[at, 1:]).sum(axis=-1)), 1.0, atol=1e-9
    )
    hips, joints = speeds(states[20:70])
    most, turning = most_of_a_stream(small_tokenizer, np.concatenate([walk, other]))
    assert hips.max() < most + 1.0
    # Two postures half a turn apart at most, passed between in half a second.
    assert joints.max() < turning + 1.5 * np.pi / 0.5


def test_codes_that_go_on_from_a_past_are_joined_where_it_ends(session, walk, small_tokenizer):
    """The past is what was played: motion goes on as if nothing had been replaced."""
    session.push(walk)
    ticks(session, 40)
    pose, past, number = session.anchored(110)
    assert number == 110
    assert past.shape == (2, 8)
    assert past.dtype.kind == "i"
    stream = small_tokenizer.stream_decoder(start=Start(1.0, 2.0, 0.5)).push(walk)
    np.testing.assert_allclose([pose.x, pose.y], stream.root_positions[66, :2], atol=1e-6)
    session.replace(walk[2:4], past=walk[:2], from_frame=110)
    states = ticks(session, 130)
    _, joints = speeds(states)
    _, turning = most_of_a_stream(small_tokenizer, walk)
    assert joints.max() < 1.5 * turning
    # Frame 63 of the motion is the last of the past; it is where frame 66 was.
    moved = Shift.between(Start.of(stream[63:64]), pose)
    k = 40  # states after 110: frame 66 + 24
    np.testing.assert_allclose(
        states[70 + k].root_pos[:2], moved.of(stream.root_positions[63 + 24, :2]), atol=0.02
    )


def test_plans_are_anchored_to_where_the_robot_was_measured(session, walk, small_tokenizer):
    session.push(walk[:4])
    states = ticks(session, 30)
    shown = states[20]
    off = np.array([0.3, -0.2, 0.0])
    turn = rot.from_axis_angle([0.0, 0.0, 1.0], 0.2)
    before = session.pose
    pose = session.measured(shown.root_pos + off, rot.multiply(turn, shown.root_quat), shown.frame)
    assert pose.yaw - before.yaw == pytest.approx(0.2)
    # Where the body was to end, seen from where it was, is where it will end, seen from there.
    way = np.array([before.x, before.y]) - shown.root_pos[:2]
    c, s = np.cos(0.2), np.sin(0.2)
    turned = np.array([[c, -s], [s, c]]) @ way
    np.testing.assert_allclose([pose.x, pose.y], shown.root_pos[:2] + off[:2] + turned, atol=1e-9)
    anchored, _, _ = session.anchored(60)
    played = small_tokenizer.stream_decoder(start=Start(1.0, 2.0, 0.5)).push(walk[:4])
    assert np.linalg.norm(np.array([anchored.x, anchored.y]) - played.root_positions[36, :2]) > 0.2
    # Codes that are pushed go on from there, and nothing jumps.
    session.push(walk[4:])
    frames = ticks(session, 330)
    hips, _ = speeds(frames)
    most, _ = most_of_a_stream(small_tokenizer, walk)
    assert hips.max() < most + 1.5
    stream = small_tokenizer.stream_decoder(start=Start(1.0, 2.0, 0.5))
    stream.push(walk[:4])
    last = stream.push(walk[4:]).root_positions[-1, :2]
    where = shown.root_pos[:2] + off[:2] + np.array([[c, -s], [s, c]]) @ (last - shown.root_pos[:2])
    np.testing.assert_allclose(frames[-1].root_pos[:2], where, atol=1e-6)


def test_a_measurement_of_before_a_correction_is_not_made_twice(session, walk):
    session.push(walk[:3])
    shown = ticks(session, 20)[-1]
    session.measured(shown.root_pos + [0.4, 0.0, 0.0], shown.root_quat, shown.frame)
    session.replace(walk[:3], past=None, from_frame=None)
    first = session.pose
    # The same state again, as a client that lags sends it.
    again = session.measured(shown.root_pos + [0.4, 0.0, 0.0], shown.root_quat, shown.frame)
    np.testing.assert_allclose([again.x, again.y], [first.x, first.y], atol=1e-9)


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (([0, 0, -0.1], [1, 0, 0, 0], None), "0.10 m high is under the floor"),
        (([50, 0, 0.9], [1, 0, 0, 0], None), "from where the body was to be"),
        (([0, 0, 0.9], [0, 0, 0, 0], None), "a unit quaternion"),
        (([0, 0, 0.9], [1, 0, 0, 0], 900), "frame 900: measurements are taken of states 0 to 19"),
        (([0, 0, 0.9], [1, 0, 0, 0], -5), "frame -5: measurements are taken of states 0 to 19"),
    ],
)
def test_measurements_that_are_none_are_refused(session, walk, measured, words):
    from motiontok.errors import InputError

    position, quaternion, frame = measured
    session.push(walk[:2])
    ticks(session, 20)
    before = session.pose
    with pytest.raises(InputError, match=words):
        session.measured(np.array(position, float), np.array(quaternion, float), frame)
    assert session.pose == before


def test_states_that_are_past_or_beyond_are_told(client, walk, wait_for):
    client.open("p")
    for ask in (client.replace, client.clear):
        arguments = {"codes": walk[:1]} if ask == client.replace else {}
        with pytest.raises(ServerError, match="nothing plays yet"):
            ask("p", **arguments)
    client.push("p", walk[:2])
    assert wait_for(lambda: client.open("p", resume=True)["frame"] > 5)
    with pytest.raises(
        ServerError, match=r"frame 2 is past: \d+ is the next state; take a later from_frame"
    ):
        client.replace("p", walk[:1], from_frame=2)
    with pytest.raises(ServerError, match=r"frame 2 is past"):
        client.clear("p", from_frame=2)
    with pytest.raises(ServerError, match=r"frame 2 is past"):
        client.plan(session="p", from_frame=2, waypoints=[[3.0, 0.0]])
    with pytest.raises(ServerError, match=r"frame 5000 is beyond what waits, which ends at \d+"):
        client.replace("p", walk[:1], from_frame=5000)
    with pytest.raises(ServerError, match="from_frame must be a whole number"):
        client.replace("p", walk[:1], from_frame=2.5)
    with pytest.raises(ServerError, match="outside the vocabulary"):
        client.replace("p", np.full((1, 8), 99))
    with pytest.raises(ServerError, match="measured needs root_pos and root_quat"):
        client.measured("p", root_pos=[0, 0, 1])
    with pytest.raises(ServerError, match="leave out prefix"):
        client.plan(session="p", waypoints=[[3.0, 0.0]], prefix=walk[:1])
    assert client.push("p", walk[2:3])["windows"] == 3


def test_a_planner_replans_from_where_the_body_will_be(client, states_address, walk, subscribe):
    subscriber = subscribe("r", states_address)
    client.open("r", start=[5.0, 1.0, 0.3])
    client.push("r", walk)
    state = subscriber.receive(5.0)
    client.measured(
        "r", root_pos=state["root_pos"] + [0.1, 0, 0], root_quat=state["root_quat"],
        frame=state["frame"],
    )  # fmt: skip
    ahead = client.open("r", resume=True)["frame"] + 200
    plan = client.plan(
        session="r", from_frame=ahead, waypoints=[[7.0, 1.0]], seconds=2.0, samples=2
    )
    assert plan["from_frame"] == ahead
    assert plan["codes"].shape == (2, 8)
    assert plan["past"].shape[0] <= 2
    assert plan["errors"]["path_error_m"] >= 0.0
    assert plan["world"] == "person"
    reply = client.replace("r", plan["codes"], past=plan.get("past"), from_frame=ahead)
    assert reply["from_frame"] == ahead
    assert reply["queued_seconds"] < 6.4  # and not those of what waited
    drawn = client.sample(session="r", velocity=[0.5, 0.0], windows=2)
    assert drawn["codes"].shape == (1, 2, 8)
    assert drawn["velocity_error_m_s"].shape == (1,)
    client.replace("r", drawn["codes"][0], past=drawn.get("past"))
    seen = [subscriber.receive(5.0)["frame"] for _ in range(30)]
    assert np.diff(seen).max() == 1


def test_clients_that_lag_die_and_flood_delay_no_state(
    server, client, states_address, walk, subscribe, wait_for
):
    """Three clients replace, empty and measure in one session as fast as they can."""
    subscriber = subscribe("f", states_address)
    client.open("f")
    client.push("f", walk)
    assert subscriber.receive(5.0)
    stop, counts, kinds = threading.Event(), [0, 0, 0], set()

    def flood(which):
        with Client(f"tcp://127.0.0.1:{server.port}", timeout=10.0) as own:
            rng = np.random.default_rng(which)
            while not stop.is_set():
                counts[which] += 1
                try:
                    if which == 0:
                        own.replace("f", walk[rng.integers(4) :][:2])
                    elif which == 1:
                        # It lags: its states are past, mostly.
                        own.replace("f", walk[:1], from_frame=int(rng.integers(100)))
                    else:
                        own.measured("f", root_pos=rng.normal(size=3), root_quat=[1, 0, 0, 0])
                        own.clear("f")
                except ServerError as error:
                    kinds.add(error.kind)

    threads = [threading.Thread(target=flood, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    gone = Client(f"tcp://127.0.0.1:{server.port}")
    # A machine that is busy may be too late with it, and says so.
    with suppress(ServerError):
        gone.replace("f", walk[:1])
    gone.close()
    states = [subscriber.receive(5.0) for _ in range(80)]
    assert wait_for(lambda: min(counts) > 3, 30.0)
    stop.set()
    for thread in threads:
        thread.join(20.0)
    assert kinds <= {"InputError", "Busy"}
    assert np.diff([s["frame"] for s in states]).tolist() == [1] * 79
    assert all(np.isfinite(s["root_pos"]).all() for s in states)
    norms = np.linalg.norm([s["rotations"] for s in states], axis=-1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-4)
    assert client.push("f", walk[:1])["windows"] > 0


def test_a_robot_keeps_its_limits_while_its_queue_is_replaced(small_tokenizer, walk, subscribe):
    pytest.importorskip("pinocchio", reason="needs: pip install pin example-robot-data")
    from motiontok.robots import load_robot

    robot = load_robot("skeleton")
    with Server(small_tokenizer, robot=robot, port=0) as server:
        subscriber = subscribe("r", f"tcp://127.0.0.1:{server.states_port}")
        with Client(f"tcp://127.0.0.1:{server.port}", timeout=30.0) as client:
            info = client.info()
            assert info["world"] == robot.name
            assert info["scale"] > 0
            client.open("r", start=[3.0, -1.0, 1.0])
            client.push("r", walk[:3])
            states = [subscriber.receive(5.0) for _ in range(20)]
            # The robot begins where it was told to, in its own metres.
            np.testing.assert_allclose(states[0]["root_pos"][:2], [3.0, -1.0], atol=0.2)
            client.replace("r", walk[3:5])
            states += [subscriber.receive(5.0) for _ in range(40)]
            client.clear("r")
            states += [subscriber.receive(5.0) for _ in range(60)]
    joints = np.array([s["joint_pos"] for s in states], dtype=np.float64)
    assert (joints >= robot.lower - 1e-4).all()
    assert (joints <= robot.upper + 1e-4).all()
    moved = np.abs(np.diff(joints, axis=0)) * 50
    assert (moved <= robot.speed_limits * 1.02 + 1e-3).all()
    assert states[-1]["held"]
    assert np.abs(states[-1]["joint_vel"]).max() == 0.0


def test_joints_get_no_faster_than_they_may_where_motions_are_joined():
    frames = [
        [Frame(np.r_[0.0, 0, 1, 1, 0, 0, 0, value], np.tile([1.0], 91)) for _ in range(60)]
        for value in (0.0, 3.0)
    ]
    playback = Playback(quats=1, rate=50.0, speeds=np.array([4.0]), kept=10)
    for frame in frames[0]:
        playback.append(frame)
    for _ in range(10):
        playback.tick()
    playback.join(10, frames[1])
    rows = np.array([playback.tick().row[7] for _ in range(70)])
    assert np.diff(rows).max() * 50 <= 4.0 + 1e-6
    assert rows[-1] == pytest.approx(3.0)
    # Without a limit it would have been there after half a second.
    assert rows[BLENDING * 50 // 30] < 2.5


def test_latency_of_a_command_is_a_frame(session, walk):
    """What a replacement changes is seen in the next states, not a window later."""
    session.push(walk)
    ticks(session, 40)
    kept = session.queued_seconds
    begin = time.monotonic()
    session.replace(walk[:2], past=None, from_frame=None)
    assert time.monotonic() - begin < 5.0
    assert session.queued_seconds < kept
    assert session.frame == 40
