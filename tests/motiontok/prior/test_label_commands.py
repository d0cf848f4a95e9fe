"""Labels that come without a command move as people of them do."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motiontok.errors import InputError, TokenizerError
from motiontok.prior import TokenPrior
from motiontok.prior.folder import write_prior
from motiontok.prior.label_commands import LabelCommands
from motiontok.prior.tokens import TokenSet

OPEN = torch.nan
WINDOWS = 6


def windows_of(*clips):
    """Tokens of clips, each an action, a style and the commands of its windows."""
    actions, styles = (["", *sorted({c[n] for c in clips} - {""})] for n in (0, 1))
    commands = [np.asarray(rows, np.float32).reshape(-1, 3) for *_, rows in clips]
    each = [len(rows) for rows in commands]
    return TokenSet(
        codes=np.zeros((sum(each), 2), np.uint16),
        commands=np.concatenate(commands),
        sequence=np.repeat(np.arange(len(clips)), each).astype(np.int32),
        action=np.repeat([actions.index(c[0]) for c in clips], each).astype(np.int32),
        style=np.repeat([styles.index(c[1]) for c in clips], each).astype(np.int32),
        actions=tuple(actions),
        styles=tuple(styles),
    )


def steady(action, style, *speeds, windows=5):
    return [(action, style, [[speed, 0.0, 0.0]] * windows) for speed in speeds]


def drawn(commands, action, style="", *, windows=3, batch=200, seed=0, **how):
    generator = torch.Generator().manual_seed(seed)
    free = torch.full((batch, windows, 3), OPEN)
    return commands.draw(action, style, free, generator=generator, **how).numpy()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 40))
def test_what_is_drawn_was_done_by_people_of_the_label(seed, length, clips):
    rng = np.random.default_rng(seed)
    tokens = windows_of(
        *[
            (str(rng.choice(["a", "b"])), str(rng.choice(["", "x"])), rng.normal(size=(WINDOWS, 3)))
            for _ in range(clips)
        ]
    )
    commands = LabelCommands.of(tokens, length)
    assert commands.of_pair
    for action, style in commands.of_pair:
        own = tokens.action == tokens.actions.index(action)
        if style:
            own &= tokens.style == tokens.styles.index(style)
        clips_done = tokens.commands[own].reshape(-1, WINDOWS, 3)
        done = np.concatenate([clips_done[:, n : n + length] for n in range(WINDOWS - length + 1)])
        for one in drawn(commands, action, style, windows=length, batch=8, seed=seed):
            assert np.abs(done - one).max(axis=(1, 2)).min() < 1e-5


def test_sequences_are_of_their_label_and_style():
    tokens = windows_of(
        *steady("walk", "slow", 0.4, 0.5),
        *steady("walk", "fast", 1.5, 1.6),
        *steady("wave", "", 0.0),
        *steady("", "", 3.0, 4.0),
    )
    commands = LabelCommands.of(tokens, 3)

    def speeds(*labels):
        return set(drawn(commands, *labels)[:, 0, 0].astype(float).round(2).tolist())

    assert speeds("walk", "slow") == {0.4, 0.5}
    assert speeds("walk") == {0.4, 0.5, 1.5, 1.6}
    assert speeds("", "fast") == {1.5, 1.6}
    assert speeds("wave") == {0.0}
    assert np.isnan(drawn(commands, "")).all()


def test_what_tells_a_label_from_others_is_preferred():
    stands = [0.0] * 10
    tokens = windows_of(
        *steady("walk", "", *stands, *np.linspace(0.9, 1.1, 10)),
        *(clip for label in "abcdefgh" for clip in steady(label, "", *stands)),
    )
    commands = LabelCommands.of(tokens, 3)
    assert (drawn(commands, "walk")[:, 0, 0] > 0.5).mean() > 0.85
    assert (drawn(commands, "a") == 0.0).all()


def test_sequences_follow_one_another_without_a_jump():
    tokens = windows_of(*steady("walk", "", 0.3, 0.4, 1.9, 2.0))
    commands = LabelCommands.of(tokens, 3)
    found = drawn(commands, "walk", windows=20)[..., 0].astype(float)
    assert {0.3, 2.0} <= set(found.round(1).ravel().tolist())
    assert np.abs(np.diff(found, axis=1)).max() < 0.5
    # Nor do they after a prefix.
    led = drawn(commands, "walk", before=torch.tensor([2.1, 0.0, 0.0]))
    assert led[..., 0].min() > 1.5


def test_the_likeliest_course_is_always_the_same():
    commands = LabelCommands.of(windows_of(*steady("walk", "", 1.0, 1.0, 1.0, 2.0)), 2)
    found = [drawn(commands, "walk", greedy=True, seed=seed) for seed in (0, 1)]
    np.testing.assert_array_equal(*found)
    assert (found[0][..., 0] == 1.0).all()


def test_clips_that_are_shorter_than_a_course_give_none():
    commands = LabelCommands.of(
        windows_of(*steady("hop", "", 1.0, windows=2), ("run", "", [[3, 0, 0]])), 3
    )
    assert not commands.of_pair
    assert np.isnan(drawn(commands, "hop")).all()


def test_rows_are_read_as_they_were_written():
    rng = np.random.default_rng(0)
    tokens = windows_of(("a", "x", rng.normal(size=(9, 3))), ("b", "", rng.normal(size=(9, 3))))
    rows = LabelCommands.of(tokens, 3).rows()
    again = LabelCommands.read(json.loads(json.dumps(rows)))
    assert len(rows) == 14
    assert again.rows() == rows


def test_a_label_alone_draws_commands_and_obeys_them(tiny_prior):
    with pytest.raises(InputError, match="windows and batch must be positive, got 0 and 1"):
        tiny_prior.commands(0, label="walk")
    asked = tiny_prior.commands(7, batch=3, label="walk", seed=5)
    assert asked.shape == (3, 7, 3)
    assert np.isfinite(asked).all()
    assert (np.linalg.norm(asked[..., :2], axis=-1) > 0.3).all()  # the clips all walk
    np.testing.assert_array_equal(tiny_prior.commands(7, batch=3, label="walk", seed=5), asked)
    one = tiny_prior.commands(2, label="walk", seed=5)
    codes = tiny_prior.sample(2, label="walk", seed=5)
    bare = TokenPrior(tiny_prior.model, fingerprint=tiny_prior.fingerprint)
    generator = torch.Generator().manual_seed(5)
    # The command sequence is drawn before the codes.
    tiny_prior.label_commands.draw("walk", "", torch.full((1, 2, 3), OPEN), generator=generator)
    np.testing.assert_array_equal(
        bare.sample(
            2,
            label="walk",
            velocity=one[0, :, :2],
            yaw_rate=one[0, :, 2],
            generator=generator,
        ),
        codes,
    )


def test_a_command_is_left_as_it_is(tiny_prior):
    bare = TokenPrior(tiny_prior.model, fingerprint=tiny_prior.fingerprint)
    for told in ({"velocity": (1.0, 0.2)}, {"yaw_rate": 0.5}, {}):
        label = {"label": "walk"} if told else {}
        asked = [prior.commands(2, **told, **label, seed=1) for prior in (tiny_prior, bare)]
        np.testing.assert_array_equal(*asked)
        if "yaw_rate" in told:
            continue  # This tokenizer's prior cannot follow it alone.
        codes = [prior.sample(2, **told, **label, seed=1) for prior in (tiny_prior, bare)]
        np.testing.assert_array_equal(*codes)


def test_priors_without_label_commands_are_read_and_leave_commands_open(
    tiny_prior_run, tiny_tokenizer, tmp_path
):
    shutil.copytree(tiny_prior_run / "prior", tmp_path / "old")
    path = tmp_path / "old" / "prior.json"
    values = json.loads(path.read_text())
    rows = values.pop("courses")
    path.write_text(json.dumps(values))
    old = TokenPrior.from_pretrained(path.parent, tokenizer=tiny_tokenizer)
    assert old.label_commands is None
    assert np.isnan(old.commands(3, label="walk", seed=0)).all()
    old.save_pretrained(tmp_path / "again")
    assert "courses" not in json.loads((tmp_path / "again" / "prior.json").read_text())
    for bad in (rows[0][:-1], [*rows[0][:2], -1.0, *rows[0][3:]], ["walk"]):
        path.write_text(json.dumps({**values, "courses": [*rows, bad]}))
        with pytest.raises(TokenizerError, match="damaged"):
            TokenPrior.from_pretrained(path.parent, tokenizer=tiny_tokenizer)


def test_the_shipped_prior_walks_when_told_to_walk_and_stands_when_told_to_wave():
    from motiontok import MotionTokenizer

    tokenizer = MotionTokenizer.from_pretrained("default")
    prior = TokenPrior.from_pretrained("default", tokenizer=tokenizer)
    asked = prior.commands(3, batch=200, label="walk", seed=0)
    assert (np.linalg.norm(asked[..., :2].mean(axis=1), axis=-1) > 0.3).mean() > 0.8
    standing = prior.commands(3, batch=200, label="wave", seed=0)
    assert np.abs(standing[..., :2]).max() < 0.2


def test_labels_with_brackets_are_written_as_they_are(tmp_path, tiny_prior):
    """File names make labels: what looks like a list in one is none."""
    values = {"a": ["walk [slow]", "x [1,2]"], "b": [["[q]", 1], [2]], "c": {}, "d": []}
    write_prior(tmp_path, values, tiny_prior.model.state_dict())
    found = json.loads((tmp_path / "prior.json").read_text(encoding="utf-8"))
    assert {k: found[k] for k in values} == values
