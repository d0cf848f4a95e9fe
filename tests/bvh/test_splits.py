"""Splits by name: nothing in both parts, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bvh import BVHError, lafan, procedural
from bvh.dataset import Dataset
from bvh.splits import Label, Split, by_action, by_name, by_subject, every_nth, parse_name

MOTION = procedural.make("wave", seconds=0.2, seed=0)

LAFAN = [
    *("dance1_subject1", "dance2_subject2", "fallAndGetUp1_subject5", "fight1_subject2"),
    *("fight1_subject5", "run2_subject1", "walk2_subject3", "walk2_subject4", "walk10_subject5"),
]
BANDAI = [
    *("dataset-1_bow_active_001", "dataset-1_bow_angry_002", "dataset-1_dash_active_001"),
    *("dataset-2_raise-up-both-hands_normal_001", "dataset-2_wave-left-hand_normal_001"),
]


def data(stems: list[str]) -> Dataset:
    names = [f"in/{stem}.bvh" for stem in stems]
    motions = [procedural.make("wave", seconds=0.1, seed=0) for _ in names]
    return Dataset(motions, names)


def stems(dataset: Dataset) -> list[str]:
    return [name.removeprefix("in/").removesuffix(".bvh") for name in dataset.names]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("walk1_subject5.bvh", Label("walk", subject="5", take="1")),
        ("lafan1/fallAndGetUp3_subject2.bvh", Label("fallAndGetUp", subject="2", take="3")),
        ("dataset-1_bow_active_001.bvh", Label("bow", "active", take="001")),
        (
            "bandai-2/dataset-2_raise-up-both-hands_childish_012.bvh",
            Label("raise-up-both-hands", "childish", take="012"),
        ),
        ("07_01.bvh", Label(subject="07", take="01")),
        ("basketball_s_003_1_2.bvh", Label("basketball", subject="003", take="1_2")),
        ("tennis_KangTennisN05.bvh", Label("tennis", subject="Kang", take="N05")),
        ("snu/woody_wd2_WalkForwardSlow05.bvh", Label("walk", "slow", take="05")),
        ("wd2_WalkForwardVFast01.bvh", Label("walk", "very-fast", take="01")),
        ("woody_wd2_WalkHandWav03.bvh", Label("walk", "hand-wave", take="03")),
        ("woody_wd2_WalkBackward02.bvh", Label("walk-back", take="02")),
        ("woody_wd2_cross_walk_m45d_fast_25.bvh", Label("walk-cross", "fast", take="25")),
        ("woody_wd2_left_turn.bvh", Label("turn-left")),
        ("woody_wd2_PushBackStepLeft00.bvh", Label("push", take="00")),
        ("woody_wd2_tt_serve_1.bvh", Label("table-tennis", take="1")),
        ("woody_boxing_boxman_ducking_dir.bvh", Label("boxing")),
        ("woody_woddy2_walk_sssslow.bvh", Label("walk", "slow")),
        ("woody_wd2_Take_001.bvh", Label(take="001")),
        ("walk_00042.npz", Label("walk", take="00042")),
        ("lafan1/walk1_subject5.bvh.gz", Label("walk", subject="5", take="1")),
        ("side step (2).bvh", Label("side step", take="2")),
        ("Aeroplane_BR.bvh", Label("Aeroplane_BR")),
        ("jump.bvh", Label("jump")),
        ("123.bvh", Label("123")),
    ],
)
def test_names_are_parsed(name: str, label: Label) -> None:
    assert parse_name(name) == label


@given(st.text(max_size=30))
def test_any_name_can_be_parsed(name: str) -> None:
    assert isinstance(parse_name(name), Label)


@given(st.integers(2, 60), st.integers(2, 30))
def test_every_nth_parts_without_overlap_or_loss(count: int, n: int) -> None:
    whole = Dataset([MOTION] * count, [f"{i}.bvh" for i in range(count)])
    train, held_out = every_nth(whole, n)
    assert sorted(train.names + held_out.names) == sorted(whole.names)
    assert held_out.names == whole.names[::n]
    assert len(train.motions) == len(train.names)


def test_daps_validation_and_benchmark_subject() -> None:
    train, held_out = lafan.daps_split(data(LAFAN))
    assert sorted(stems(held_out)) == sorted(lafan.DAPS_VALIDATION)
    assert len(train) == len(LAFAN) - 4
    train, held_out = lafan.benchmark_split(data(LAFAN))
    assert stems(held_out) == ["fallAndGetUp1_subject5", "fight1_subject5", "walk10_subject5"]
    assert not any("subject5" in stem for stem in stems(train))


def test_whole_actions_are_held_out() -> None:
    split = by_action(data(BANDAI), ["bow", "wave-left-hand"])
    assert isinstance(split, Split)
    assert stems(split.held_out) == [BANDAI[0], BANDAI[1], BANDAI[4]]
    assert stems(split.train) == [BANDAI[2], BANDAI[3]]


def test_motions_stay_with_their_names() -> None:
    whole = data(LAFAN)
    for part in every_nth(whole, 3):
        for motion, name in zip(part.motions, part.names, strict=True):
            assert motion is whole.motions[whole.names.index(name)]


def test_names_may_be_stems_or_paths() -> None:
    assert stems(by_name(data(LAFAN), ["in/walk2_subject3.bvh"]).held_out) == ["walk2_subject3"]
    assert stems(by_name(data(LAFAN), ["walk2_subject3"]).held_out) == ["walk2_subject3"]


def test_packed_files_are_named_by_their_stems() -> None:
    packed = data(LAFAN)
    packed.names[:] = [f"{name}.gz" for name in packed.names]
    assert by_name(packed, ["walk2_subject3"]).held_out.names == ["in/walk2_subject3.bvh.gz"]


def test_impossible_splits_are_explained() -> None:
    with pytest.raises(BVHError, match="cannot hold out walk9_subject9: not among the 9"):
        by_name(data(LAFAN), ["walk9_subject9", "walk2_subject3"])
    with pytest.raises(BVHError, match="no motion of action jump; there are: bow, dash"):
        by_action(data(BANDAI), ["jump"])
    with pytest.raises(BVHError, match="no motion of subject 5"):
        by_subject(data(BANDAI), ["5"])
    with pytest.raises(BVHError, match="leaves 0 to train on"):
        by_action(data(["walk1", "walk2"]), ["walk"])
    with pytest.raises(BVHError, match="give n >= 2"):
        every_nth(data(LAFAN), 1)
