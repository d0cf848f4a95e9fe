"""A product quantiser on principal components, and a policy and decoder that start from it.

The quantiser is fitted in a minute and has the token shape of the paper's model:
N tokens of V values. Taking it as the starting point, with a Gaussian likelihood of
variance s2 and an orthonormal basis, the entropy-regularised optimum

    q*(z | x)  proportional to  exp(log p(x | z) / beta)

factorises over tokens and is known in closed form: logits -|y_n - c_nv|^2 / (2 s2 beta),
with y_n the window's coefficients in group n and c_nv the codewords. The policy head below has
exactly these logits at step 0, and learns to move the point y_n by the observation and the tokens
so far. The decoder adds to the linear synthesis a network whose output starts at zero. DAPS then
improves both.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from motiontok.models.autoregressive_encoder import TokenHead
from motiontok.models.gain_codebook import TRIED_SIZES, GainCodebook, keep_best
from motiontok.models.initialization import zeroed
from motiontok.models.k_means import k_means, nearest
from motiontok.models.principal_components import allocate, principal_components
from motiontok.models.sampling import draw_tokens, log_softmax

__all__ = ["ENOUGH", "CodebookHead", "ProductQuantizer", "RefiningDecoder", "component_count"]

ENOUGH = 20_000
"""Observations to which a product quantiser is fitted."""


class ProductQuantizer(nn.Module):
    """Principal components cut into N groups, a codebook of V codewords for each.

    Groups are contiguous runs of components in order of variance, so tokens go from
    coarse to fine. A group ends where reverse water-filling has spent log2(V) bits.
    If ``sized``, the first token has no group: it names the sizes of the others' coefficients,
    and codewords are in units of these.

    Args:
        shape: of an observation, a window ``(frames, columns)`` or a small image.
        codes: tokens.
        vocab_size: values of a token.
        size: most components of a group.
        variances: whether it also gives variances of values around the decoded ones, for a
            likelihood with learned variances.
        sized: see above; needs two tokens.

    Attributes:
        mean: ``(values,)``, values being the product of ``shape``.
        basis: ``(components, values)``, orthonormal rows, then rows of zeros.
            It has more components than the groups use, since uncoded ones can be inferred.
        slots: ``(codes, size)``, component of each coordinate of a group, -1 for none.
        codewords: ``(codes, vocab, size)``.
        spread: ``(codes, size)``, deviation of the codewords' coordinates, 1 for none.
        sizes: codebook of the first token, if ``sized``.
        unit: ``(codes, size)``, deviation of coefficients, 1 for none, if ``sized``.
        error: rms quantisation error of an observation's components.
        log_variance: ``shape``, of a value's quantisation error, if ``variances``.
    """

    mean: Tensor
    basis: Tensor
    slots: Tensor
    spread: Tensor
    unit: Tensor
    error: Tensor
    log_variance: Tensor

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        codes: int,
        vocab_size: int,
        size: int = 16,
        variances: bool = False,
        sized: bool = False,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.codes, self.vocab_size, self.size = codes, vocab_size, size
        self.variances = variances
        values = math.prod(shape)
        self.register_buffer("mean", torch.zeros(values))
        components = component_count(shape, codes)
        self.register_buffer("basis", torch.zeros(components, values))
        self.register_buffer("slots", torch.full((codes, size), -1))
        self.register_buffer("spread", torch.ones(codes, size))
        self.register_buffer("error", torch.ones(()))
        self.codewords = nn.Parameter(torch.zeros(codes, vocab_size, size))
        if variances:
            self.register_buffer("log_variance", torch.zeros(self.shape))
        self.sizes = GainCodebook(tokens=codes - 1, vocab_size=vocab_size) if sized else None
        if sized:
            self.register_buffer("unit", torch.ones(codes, size))

    def coefficients(self, x: Tensor) -> Tensor:
        """Coefficients ``(batch, codes, size)`` of observations ``(batch, *shape)``."""
        y = (x.flatten(1) - self.mean) @ self.basis.T
        # Slot -1 picks the column of zeros.
        return torch.cat([y, y.new_zeros(y.shape[0], 1)], dim=1)[:, self.slots]

    def components(self, coefficients: Tensor) -> Tensor:
        """Components ``(batch, components)`` of coefficients ``(batch, codes, size)``."""
        y = coefficients.new_zeros(coefficients.shape[0], len(self.basis) + 1)
        y = y.index_copy(1, self.slots.flatten() % y.shape[1], coefficients.flatten(1))
        return y[:, :-1]

    def synthesize(self, components: Tensor) -> Tensor:
        """Observations ``(batch, *shape)`` of ``(batch, components)``."""
        return (components @ self.basis + self.mean).unflatten(1, self.shape)

    def parameters_around(self, mean: Tensor, change: Tensor | None = None) -> Tensor:
        """Parameters of p(x | z) with means ``(batch, *shape)``.

        Args:
            mean: see there; without ``variances`` these are the parameters.
            change: change of the logarithms of the variances, in components ``(batch,
                components)``, scaled so that 1 in a component is about 1 in a value.

        Returns:
            ``(batch, *shape)``, or ``(batch, 2, *shape)`` with variances.
        """
        if not self.variances:
            return mean
        log_variance = self.log_variance.expand_as(mean)
        if change is not None:
            moved = math.sqrt(math.prod(self.shape)) * change @ self.basis
            log_variance = log_variance + moved.unflatten(1, self.shape)
        return torch.stack([mean, log_variance], dim=1)

    def look_up(self, codes: Tensor, first: int = 0) -> Tensor:
        """Codewords ``(..., tokens, size)`` of codes ``(..., tokens)`` at ``first`` onwards.

        In units of sizes, if there are any.
        """
        positions = torch.arange(first, first + codes.shape[-1], device=codes.device)
        return self.codewords[positions, codes]

    def encode(self, x: Tensor) -> Tensor:
        """Nearest codewords ``(batch, codes)``, with the best of the few likeliest sizes."""
        y = self.coefficients(x)
        if self.sizes is None:
            return self._nearest(y)
        tried = self.sizes.scores(self._energy(y)).topk(min(TRIED_SIZES, self.vocab_size)).indices
        found = [self._nearest(y, sizes) for sizes in tried.unbind(dim=1)]
        return keep_best([((self.quantized(codes) - y).flatten(1), codes) for codes in found])

    def quantized(self, codes: Tensor) -> Tensor:
        """Coefficients ``(batch, tokens, size)`` of codes ``(batch, tokens)``."""
        said = self.look_up(codes)
        return said if self.sizes is None else said * self._scale(codes[:, 0])[:, : codes.shape[1]]

    def decode(self, codes: Tensor) -> Tensor:
        """Observations ``(batch, *shape)`` of codes ``(batch, codes)``, or of the first ones.

        Groups without a code are at 0, their mean.
        """
        missing = self.codes - codes.shape[1]
        return self.synthesize(self.components(F.pad(self.quantized(codes), (0, 0, 0, missing))))

    def _nearest(self, y: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Codes of coefficients, given those ``(batch,)`` of sizes if there are any."""
        if sizes is not None:
            y = y / self._scale(sizes)
        found = [nearest(y[:, n], self.codewords[n]) for n in range(self.codes)]
        return torch.stack(found if sizes is None else [sizes, *found[1:]], dim=1)

    def _scale(self, sizes: Tensor) -> Tensor:
        """Sizes ``(batch, codes, 1)`` of tokens, by codes ``(batch,)``."""
        assert self.sizes is not None
        return F.pad(self.sizes.sizes(sizes), (1, 0), value=1.0)[..., None]

    def _energy(self, y: Tensor) -> Tensor:
        """Sums of squares ``(batch, codes - 1)`` of each group's coefficients, standardised."""
        return (y / self.unit)[:, 1:].square().sum(dim=-1)

    @torch.no_grad()
    def fit(self, x: Tensor, generator: torch.Generator, *, iterations: int = 8) -> None:
        """Fit basis and codewords to observations ``x (count, *shape)``."""
        flat = x.flatten(1)
        self.mean.copy_(flat.mean(dim=0))
        centred = flat - self.mean
        wanted = min(len(self.basis), *centred.shape)
        variance, basis = principal_components(centred, wanted, generator)
        self.basis.zero_()
        self.basis[: len(basis)] = basis
        self.slots.fill_(-1)
        self.codewords.zero_()
        self.spread.fill_(1.0)
        y = centred @ basis.T
        first = 0 if self.sizes is None else 1
        edges = allocate(variance, self.codes - first, math.log2(self.vocab_size), self.size)
        for n, (low, high) in enumerate(edges, start=first):
            self.slots[n, : high - low] = torch.arange(low, high)
        scale = self._fit_sizes(x, generator)
        for n, (low, high) in enumerate(edges, start=first):
            if high == low:
                continue
            points = y[:, low:high] / scale[:, n]
            words = k_means(points, self.vocab_size, generator, iterations=iterations)
            self.codewords[n, : len(words), : high - low] = words
            self.spread[n, : high - low] = words.std(dim=0, unbiased=False).clamp_min(1e-6)
        coded = self.components(self.quantized(self.encode(x[:4096])))
        lacking = y[:4096] - coded[:, : len(basis)]
        self.error.copy_(lacking.square().mean().sqrt())
        if self.variances:
            square = (x[:4096] - self.synthesize(coded)).square().mean(dim=0)
            self.log_variance.copy_(square.clamp_min(1e-6).log())

    def _fit_sizes(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Fit sizes; returns them, ``(batch, codes, 1)``, 1 where no token names them."""
        if self.sizes is None:
            return x.new_ones(1, self.codes, 1)
        y = self.coefficients(x)
        used = self.slots >= 0
        deviation = y.square().mean(dim=0).sqrt()
        self.unit.copy_(torch.where(used & (deviation > 1e-6), deviation, 1.0))
        energy = self._energy(y)
        self.sizes.fit(energy, used.sum(dim=1)[1:], generator)
        return self._scale(self.sizes.scores(energy).argmax(dim=1))


def component_count(shape: tuple[int, ...], codes: int) -> int:
    """Number of principal components to keep: more than the codes can describe."""
    return min(max(256, 8 * codes), math.prod(shape))


class CodebookHead(TokenHead):
    """Logits as negative distances between codewords and a point that the policy moves.

    logits_nv = exp(g_n) (-|y_n + u_n - c_nv|^2) / (2 s2 beta), where y_n are the
    window's coefficients, u_n = U h_n is linear in the transformer's state and starts
    at zero, g_n is a learned log precision that starts at zero. The codewords are the
    decoder's: the policy loss does not move them.

    Args:
        quantizer: the decoder's, fitted or to be fitted.
        width: width of the transformer.
        variance: s2 of the likelihood.
    """

    quantizer: ProductQuantizer
    beta: Tensor

    def __init__(self, quantizer: ProductQuantizer, *, width: int, variance: float) -> None:
        super().__init__()
        # The decoder owns the quantiser; registered here too it would be saved twice.
        self.__dict__["quantizer"] = quantizer
        self.variance = variance
        self.lift = nn.Parameter(
            torch.randn(quantizer.codes, quantizer.size, width) / math.sqrt(quantizer.size)
        )
        self.move = nn.Parameter(torch.zeros(quantizer.codes, width, quantizer.size))
        self.precision = nn.Parameter(torch.zeros(quantizer.codes))
        self.register_buffer("beta", torch.ones(()))

    @override
    def embed(self, codes: Tensor, first: int) -> Tensor:
        words = self.quantizer.look_up(codes, first).detach()
        lift = self.lift[first : first + codes.shape[-1]]
        return torch.einsum("bkns,nsw->bknw", words, lift)

    @override
    def context(self, x: Tensor) -> Tensor:
        return self.quantizer.coefficients(x)

    @override
    def logits(self, hidden: Tensor, context: Tensor, first: int) -> Tensor:
        here = slice(first, first + hidden.shape[2])
        words = self.quantizer.codewords[here].detach()
        point = context[:, None, here] + torch.einsum("bknw,nws->bkns", hidden, self.move[here])
        # |point|^2 is the same for every word and cancels in the softmax.
        score = torch.einsum("bkns,nvs->bknv", point, words) - 0.5 * (words**2).sum(dim=-1)
        scale = self.precision[here].exp() / (self.variance * self.beta)
        return score * scale[:, None]

    def sample_prior(self, x: Tensor, noise: Tensor) -> Tensor:
        """Codes ``(batch, codes)`` from the policy in its initial state.

        Its tokens are independent given ``x``, so no loop over them is needed.

        Args:
            x: ``(batch, *shape)``.
            noise: numbers of [0, 1) ``(batch, codes)`` to draw with.
        """
        still = self.lift.new_zeros(x.shape[0], 1, self.quantizer.codes, self.lift.shape[-1])
        logits = self.logits(still, self.context(x), 0)[:, 0]
        return draw_tokens(log_softmax(logits), noise=noise)


class RefiningDecoder(nn.Module):
    """Linear synthesis of the quantiser plus a perceptron's inference, zero at first.

    The perceptron reads all codewords of a window at once, standardised, and adds to its
    principal components: coordinates within a codeword's cell, and components that carry no bits
    but depend on those that do. In that space a window is a few hundred numbers, so it costs a
    hundredth of a network over frames, and minutes of training achieve much. Where variances are
    learned, it also moves their logarithms.

    Args:
        quantizer: fitted or to be fitted.
        width: hidden units.
        layers: hidden layers.
    """

    def __init__(self, quantizer: ProductQuantizer, *, width: int, layers: int) -> None:
        super().__init__()
        self.quantizer = quantizer
        sizes = [quantizer.codes * quantizer.size, *[width] * layers]
        hidden: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            hidden += [nn.Linear(inputs, outputs), nn.GELU()]
        self.hidden = nn.Sequential(*hidden)
        self.outputs = 2 if quantizer.variances else 1
        self.out = zeroed(nn.Linear(width, self.outputs * len(quantizer.basis)))

    def forward(self, codes: Tensor) -> Tensor:
        """Parameters of p(x | z) of codes ``(batch, codes)``."""
        quantizer = self.quantizer
        words = quantizer.look_up(codes)
        inferred = self.out(self.hidden((words / quantizer.spread).flatten(1)))
        moved, *change = inferred.chunk(self.outputs, dim=1)
        mean = quantizer.synthesize(quantizer.components(words) + quantizer.error * moved)
        return quantizer.parameters_around(mean, *change)
