"""Sampling, likelihood and files of a prior."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motiontok.errors import CodesError, InputError, TokenizerError
from motiontok.models import LopqQuantizer
from motiontok.prior import SamplingOptions, TokenPrior
from motiontok.prior.lopq_codes import LopqCodes
from motiontok.prior.model import Conditions, PriorConfig, PriorModel
from motiontok.prior.rollout import PartialRollout
from motiontok.prior.sampling import choose, filter_logits
from motiontok.sampling_defaults import LABEL_GUIDANCE


def test_a_prior_knows_its_labels_and_its_tokenizer(tiny_prior, tiny_tokenizer):
    assert tiny_prior.actions == ("run", "turn-left", "turn-right", "walk")
    assert tiny_prior.styles == ("active", "old")
    assert tiny_prior.fingerprint == tiny_tokenizer.fingerprint
    assert "procedural" in tiny_prior.licence


def test_samples_are_codes_that_decode(tiny_prior, tiny_tokenizer):
    codes = tiny_prior.sample(3, batch=2, velocity=(1.0, 0.0), label="walk", seed=0)
    assert codes.shape == (2, 3, 8)
    assert codes.dtype == np.int64
    assert len(tiny_tokenizer.decode(codes[0])) == 96


def test_a_seed_makes_a_sample_reproducible(tiny_prior):
    a, b, c = (tiny_prior.sample(3, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    generator = torch.Generator().manual_seed(1)
    np.testing.assert_array_equal(tiny_prior.sample(3, generator=generator), a)


def test_the_most_likely_codes_need_no_seed(tiny_prior):
    options = SamplingOptions(temperature=0.0)
    a, b = (tiny_prior.sample(2, label="run", options=options) for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module", params=["table", "local"])
def random_model(request):
    """A network with nothing learnt, so that every token depends on everything before it."""
    torch.manual_seed(0)
    components = 9 if request.param == "local" else 0
    config = PriorConfig(
        5, 7, ("", "a", "b"), ("", "x"), width=16, heads=2, layers=2, rank=4, components=components
    )
    model = PriorModel(config)
    if components:
        quantizer = LopqQuantizer(
            shape=(3, 4), codes=5, vocab_size=7, components=9, bases=3, size=2
        )
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(200, 3, 4, generator=generator) * torch.linspace(0.5, 2.0, 4)
        quantizer.fit(lambda count: x[:count], generator)
        assert quantizer.ends[-1] > 4, "some codes are to say several coordinates"
        model.local = LopqCodes(quantizer)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model.eval()


@pytest.mark.parametrize("past", [0, 1, 2])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_sampling_and_teacher_forcing_agree(random_model, past, guidance):
    generator = torch.Generator().manual_seed(past)
    seen = torch.randint(7, (2, past, 5), generator=generator)
    conditions = Conditions(
        torch.randn(2, past + 1, 3, generator=generator),
        torch.tensor([1, 2]),
        torch.tensor([0, 1]),
    )
    draft = PartialRollout(
        random_model,
        seen,
        conditions,
        samples=3,
        options=SamplingOptions(guidance=guidance),
        generator=generator,
    )
    draft.write(2)
    begun = draft.codes
    assert begun.shape == (6, 2)
    # Three samples of the first past, then of the second; these go on.
    kept = torch.tensor([5, 0, 2, 2])
    draft.take(kept)
    draft.write(5)
    assert draft.codes.shape == (4, 5)
    torch.testing.assert_close(draft.codes[:, :2], begun[kept])
    own = torch.tensor([1, 0, 0, 0])
    asked = Conditions(conditions.commands[own], conditions.action[own], conditions.style[own])
    whole = torch.cat([seen[own], draft.codes[:, None]], dim=1)
    forced = random_model(whole, asked)[:, -1].gather(-1, draft.codes[..., None])[..., 0]
    torch.testing.assert_close(forced.sum(dim=-1), draft.logp, atol=1e-4, rtol=1e-4)


def test_no_token_sees_what_follows(random_model):
    codes = torch.randint(7, (1, 3, 5), generator=torch.Generator().manual_seed(0))
    conditions = Conditions.none(1, 3)
    before = random_model(codes, conditions)
    for n in range(15):
        other = codes.clone().flatten()
        other[n] = (other[n] + 1) % 7
        after = random_model(other.reshape(1, 3, 5), conditions)
        same = (before == after).all(dim=-1).flatten()
        assert same[: n + 1].all()
        assert not same[n + 1 :].any()


def test_labels_alone_are_guided_by_default(tiny_prior):
    # Without commands of labels, which a label alone would draw.
    alone = TokenPrior(tiny_prior.model, fingerprint=tiny_prior.fingerprint)

    def drawn(guidance, **conditions):
        options = SamplingOptions(guidance=guidance, plant=False)
        return alone.sample(2, batch=4, seed=0, options=options, **conditions)

    labels = {"label": "walk", "style": "old"}
    np.testing.assert_array_equal(drawn(None, **labels), drawn(LABEL_GUIDANCE, **labels))
    assert (drawn(None, **labels) != drawn(1.0, **labels)).any()
    # Commands are not, nor beside labels.
    fast = {"velocity": (1.5, 0.0)}
    np.testing.assert_array_equal(drawn(None, **fast), drawn(1.0, **fast))
    assert (drawn(None, **labels, **fast) != drawn(LABEL_GUIDANCE, **labels, **fast)).any()


def test_guidance_of_zero_ignores_the_conditions(tiny_prior):
    free = tiny_prior.sample(3, seed=4)
    options = SamplingOptions(guidance=0.0)
    asked = tiny_prior.sample(3, seed=4, velocity=(2.0, 0.0), label="run", options=options)
    np.testing.assert_array_equal(free, asked)


def test_a_prefix_is_continued(tiny_prior):
    options = SamplingOptions(temperature=0.0)
    told = {"label": "walk", "velocity": (1.0, 0.0), "options": options}
    whole = tiny_prior.sample(5, **told)[0]
    rest = tiny_prior.sample(3, **told, prefix=whole[:2])[0]
    np.testing.assert_array_equal(rest, whole[2:])


def test_log_prob_is_that_of_sampling(tiny_prior):
    codes = tiny_prior.sample(4, seed=3, label="run", velocity=(2.0, 0.0))[0]
    own = tiny_prior.log_prob(codes, label="run", velocity=(2.0, 0.0))
    assert own.shape == codes.shape
    assert (own < 0).all()
    draft = tiny_prior.draft(
        torch.from_numpy(codes[None, :2]),
        tiny_prior.conditions(3, label="run", velocity=(2.0, 0.0)),
        options=SamplingOptions(),
        generator=torch.Generator().manual_seed(0),
    )
    draft.write(codes.shape[1])
    again = np.concatenate([codes[:2], draft.codes.numpy()])
    expected = tiny_prior.log_prob(again, label="run", velocity=(2.0, 0.0))[2].sum()
    assert float(draft.logp) == pytest.approx(expected, abs=1e-3)


@given(
    logits=st.lists(st.floats(-10, 10), min_size=2, max_size=20, unique=True),
    top_k=st.integers(0, 25),
    top_p=st.floats(0.01, 1.0),
)
def test_filters_keep_the_likeliest_and_never_nothing(logits, top_k, top_p):
    values = torch.tensor(logits, dtype=torch.float64)
    kept = filter_logits(values, top_k=top_k, top_p=top_p).isfinite()
    assert kept.any()
    if top_k:
        assert int(kept.sum()) <= max(top_k, 1)
    assert values[kept].min() >= values[~kept].max() if (~kept).any() else True
    # The least likely kept one was needed to reach top_p of what top-k left.
    left = filter_logits(values, top_k=top_k, top_p=1.0).softmax(dim=-1)
    mass = float(left[kept].sum())
    assert mass >= top_p - 1e-9
    assert mass - float(left[kept].min()) < top_p + 1e-9


def test_draws_follow_the_probabilities():
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(20_000, -1)
    drawn = choose(logits, SamplingOptions(top_p=1.0), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.2]), atol=0.015, rtol=0.0)
    cold = choose(logits, SamplingOptions(temperature=0.1), torch.Generator().manual_seed(0))
    assert (cold == 0).float().mean() > 0.98


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label": "fly"}, "no label 'fly': choose from run, turn-left, turn-right, walk"),
        ({"label": "wlak"}, "did you mean walk?"),
        ({"label": ""}, "no label ''"),
        ({"style": "walk"}, "choose from active, old"),
        ({"velocity": (1.0, 2.0, 3.0)}, "velocity must be of shape (2,) or (2, 2)"),
        ({"velocity": (np.nan, 0.0)}, "must be finite"),
        ({"velocity": 1.0}, "velocity must be of shape (2,) or (2, 2), got ()"),
        ({"velocity": np.ones((2, 1))}, "velocity must be of shape (2,) or (2, 2), got (2, 1)"),
        ({"velocity": (1, 0), "yaw_rate": [1.0, 2.0, 3.0]}, "yaw rate must be of shape () or (2,)"),
        ({"velocity": (1, 0), "yaw_rate": [0.5]}, "yaw rate must be of shape () or (2,), got (1,)"),
        ({"velocity": "fast"}, "velocity: numbers expected, got 'fast'"),
        ({"yaw_rate": 0.5}, "a yaw rate without a velocity needs a finite tolerance"),
        ({"batch": 0}, "must be positive"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(tiny_prior, options, words):
    with pytest.raises(InputError) as caught:
        tiny_prior.sample(2, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"temperature": -1}, {"temperature": np.nan}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.1},
     {"guidance": -1}],
)  # fmt: skip
def test_impossible_sampling_options_are_refused(options):
    with pytest.raises(InputError, match="must be"):
        SamplingOptions(**options)


def test_a_prefix_of_other_codes_is_refused(tiny_prior):
    with pytest.raises(CodesError, match="outside the vocabulary"):
        tiny_prior.sample(1, prefix=np.full((2, 8), 16))
    few = np.zeros((2, 3), int)
    for use in (lambda: tiny_prior.sample(1, prefix=few), lambda: tiny_prior.log_prob(few)):
        with pytest.raises(CodesError, match="needs all codes of each window, not the first 3"):
            use()
    with pytest.raises(CodesError, match=r"expected one sequence \(windows, 8\)"):
        tiny_prior.log_prob(np.zeros((1, 2, 8), int))


def test_another_tokenizer_is_refused_with_both_fingerprints(tiny_prior_run, tiny_tokenizer):
    from motiontok import MotionTokenizer

    statistics = tiny_tokenizer.statistics
    other = MotionTokenizer(tiny_tokenizer.method, replace(statistics, mean=statistics.mean + 1.0))
    with pytest.raises(TokenizerError) as caught:
        TokenPrior.from_pretrained(tiny_prior_run / "prior", tokenizer=other)
    assert other.fingerprint in str(caught.value)
    assert tiny_tokenizer.fingerprint in str(caught.value)


def test_saved_and_read_again_it_is_the_same(tiny_prior, tmp_path):
    tiny_prior.save_pretrained(tmp_path / "copy")
    again = TokenPrior.from_pretrained(tmp_path / "copy")
    np.testing.assert_array_equal(again.sample(3, seed=1), tiny_prior.sample(3, seed=1))
    assert again.licence == tiny_prior.licence
    assert sorted(p.name for p in (tmp_path / "copy").iterdir()) == [
        "prior.json",
        "prior.safetensors",
    ]


def flip(path):
    """Change a bit of the last number."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: shutil.rmtree(f), "no prior there"),
        (lambda f: (f / "prior.json").write_text("{"), "damaged or incomplete"),
        (lambda f: (f / "prior.safetensors").write_bytes(b"x"), "damaged or incomplete"),
        (lambda f: (f / "prior.safetensors").unlink(), "damaged or incomplete"),
        (lambda f: flip(f / "prior.safetensors"), "weights are not those that prior.json was"),
        (lambda f: rewrite(f, format="motiontok-prior-9"), "motiontok-prior-9"),
        (lambda f: rewrite(f, config={"width": 3}), "damaged or incomplete"),
    ],
)
def test_damaged_folders_are_refused(tiny_prior_run, tmp_path, damage, words):
    folder = shutil.copytree(tiny_prior_run / "prior", tmp_path / "prior")
    damage(folder)
    with pytest.raises(TokenizerError) as caught:
        TokenPrior.from_pretrained(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def rewrite(folder, **changes):
    path = folder / "prior.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_only_codes_of_training_windows_are_drawn():
    """However likely the network thinks a code that no window has, and whatever the guidance."""
    torch.manual_seed(0)
    model = PriorModel(PriorConfig(3, 8, width=16, heads=2, layers=1, rank=4))
    counts = torch.full((3, 8), 100.0)
    counts[:, 5], counts[1, 2] = 2.0, 0.0
    model.start_from(torch.randn(3, 8, 4), counts)
    with torch.no_grad():
        model.bias[:, 5] = 20.0
    for guidance in (1.0, 3.0):
        draft = PartialRollout(
            model,
            torch.zeros(1, 0, 3, dtype=torch.long),
            Conditions.none(1, 1),
            samples=500,
            options=SamplingOptions(guidance=guidance),
            generator=torch.Generator().manual_seed(0),
        )
        draft.write(3)
        assert set(draft.codes[:, 0].tolist()) <= set(range(8)) - {5}
        assert set(draft.codes[:, 1].tolist()) <= set(range(8)) - {2, 5}
    # Of a few windows all codes may be drawn.
    model.start_from(torch.randn(3, 8, 4), torch.zeros(3, 8).fill_diagonal_(4.0))
    assert bool(model.known.all())
