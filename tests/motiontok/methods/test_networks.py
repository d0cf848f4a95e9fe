"""Methods on data of any shape and likelihood: none of them knows what it codes."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_methods import marked, tiny_config
from torch import nn

from motiontok.data.epoch_sampler import EpochSampler
from motiontok.methods import METHODS, Networks, make_method
from motiontok.models import BernoulliLikelihood, Decoder, LearnedGaussianLikelihood
from motiontok.training import train

CODES, VOCAB = 2, 8
# What starts from a quantiser of windows needs windows and a Gaussian, temporal needs clips.
OF_ANY_DATA = marked(n for n in METHODS if not n.endswith("pq") and "temporal" not in n)


class Perceptron(Decoder):
    def __init__(self, codes, width, shape):
        super().__init__()
        self.shape = shape
        self.out = nn.Linear(codes * width, math.prod(shape))

    def synthesize(self, latents):
        return self.out(latents.flatten(1)).unflatten(1, self.shape)


class Toy(Networks):
    """Linear readers and decoders for any shape."""

    def reader(self, codes, width):
        size = math.prod(self.shape)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(size, codes * width), nn.Unflatten(1, (codes, width))
        )

    def body(self, codes, width):
        values = self.likelihood.parameters_per_value
        return Perceptron(codes, width, (*([values] if values > 1 else []), *self.shape))


KINDS = {
    "bits": ((5,), BernoulliLikelihood(dimensions=1)),
    "image": ((3, 2, 4), LearnedGaussianLikelihood(least=0.01, most=1.0, dimensions=3)),
}


def config_of(name):
    return tiny_config(
        name,
        frames=2,
        codes=CODES,
        vocab=VOCAB,
        method={"samples": 4, "beta_start": 0.3},
        train={
            "steps": 12,
            "batch_size": 16,
            "learning_rate": 1e-2,
            "final_learning_rate": 1e-3,
            "evaluate_every": 6,
            "log_every": 3,
        },
    )


class Data:
    """Eight patterns of a shape, as bits or as they are."""

    fingerprint = "patterns"

    def __init__(self, kind):
        shape, _ = KINDS[kind]
        patterns = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))
        self.patterns = (patterns > 0).float() if kind == "bits" else patterns
        self.validation = self.patterns

    def __len__(self):
        return len(self.patterns)

    def batch(self, size, generator, rows=slice(None)):
        return self.patterns[torch.randint(8, (size,), generator=generator)[rows]]

    def once(self, generator):
        return EpochSampler(
            torch.randperm(8, generator=generator), lambda places: self.patterns[places]
        )

    def seek(self, drawn):
        pass

    def metrics(self, x, y):
        mse = float(((x - y) ** 2).mean())
        return {"mse": mse, "psnr": -10 * math.log10(max(mse, 1e-12))}


def networks_of(kind, config):
    shape, likelihood = KINDS[kind]
    return Toy(config, shape=shape, likelihood=likelihood)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OF_ANY_DATA)
def test_every_method_trains_on_any_kind_of_data(name, kind, tmp_path):
    config, data = config_of(name), Data(kind)
    trained = train(config, data=data, networks=networks_of(kind, config), out=tmp_path)
    method, x = trained.method, data.validation
    with torch.no_grad():
        codes = method.encode(x)
        parameters, mean = method.decode_parameters(codes), method.decode(codes)
        log_p = method.likelihood.log_density(x, parameters)
    assert codes.shape == (8, CODES)
    assert mean.shape == x.shape
    torch.testing.assert_close(mean, method.likelihood.mean(parameters))
    assert log_p.shape == (8,)
    if kind == "bits":
        assert 0 <= float(mean.min()) <= float(mean.max()) <= 1
    header = (tmp_path / "log.csv").read_text().splitlines()[0]
    assert header.endswith("skipped,val_mse,val_psnr,val_code_usage")
    assert trained.best.validation["mse"] <= trained.validation["mse"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_reward_is_the_likelihood_of_the_decoders_parameters(kind):
    config = config_of("daps")
    method = make_method(config, networks_of(kind, config))
    x = Data(kind).patterns
    codes = torch.randint(VOCAB, (8, 3, CODES), generator=torch.Generator().manual_seed(0))
    reward, mean = method.reward(x, codes)
    for k in range(3):
        parameters = method.decode_parameters(codes[:, k])
        torch.testing.assert_close(reward[:, k], method.likelihood.log_density(x, parameters))
        torch.testing.assert_close(mean[:, k], method.decode(codes[:, k]))


def test_learned_variances_learn():
    """Noise of deviation 0.1 about one pattern, which one code stands for."""
    config = config_of("daps")
    torch.manual_seed(0)
    likelihood = LearnedGaussianLikelihood(least=1e-4, dimensions=3)
    method = make_method(config, Toy(config, shape=(3, 2, 4), likelihood=likelihood))
    decoder = method.decoder
    x = 0.1 * torch.randn(64, 3, 2, 4, generator=torch.Generator().manual_seed(1))
    codes = torch.zeros(64, CODES, dtype=torch.long)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        (-method.reward(x, codes[:, None])[0].mean()).backward()
        optimizer.step()
    with torch.no_grad():
        variance = likelihood.variance(decoder(codes[:1]))[0]
    torch.testing.assert_close(variance, x.var(dim=0, unbiased=False), rtol=0.02, atol=0)
