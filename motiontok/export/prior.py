"""A prior as two programs: a window's first state, and the logits of its next code."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motiontok.errors import TokenizerError
from motiontok.export.program import Program, Value
from motiontok.models.kv_cache import KeyValueCache
from motiontok.prior import TokenPrior
from motiontok.prior.lopq_codes import LopqCodes
from motiontok.prior.model import MOST_PRECISE, Conditions, PriorModel
from motiontok.prior.residual_codes import ResidualCodes

__all__ = ["programs_of_prior"]


class _Buffer(KeyValueCache):
    """Keys and values of full length, written at a position; later ones are masked."""

    def __init__(self, keys: Tensor, values: Tensor, place: Tensor) -> None:
        super().__init__(keys, values)
        tokens = torch.arange(keys.shape[-2])
        self._here = (tokens == place)[:, None]
        self.mask = (tokens <= place)[None]

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.keys = torch.where(self._here, key, self.keys)
        self.values = torch.where(self._here, value, self.values)
        return self.keys, self.values


class _Begin(nn.Module):
    def __init__(self, model: PriorModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, past: Tensor, windows: Tensor, commands: Tensor, action: Tensor, style: Tensor
    ) -> tuple[Tensor, ...]:
        model, (before, codes) = self.model, past.shape
        conditions = Conditions(commands[None], action, style)
        h, _ = model.embed(past[None])
        h = torch.cat([model.begin[None, None], h], dim=1)
        last = h[0, windows * codes]
        state, expected = None, model.begin.new_zeros(1, 1)
        usual = model.begin.new_zeros(1, codes)
        if model.local is not None:
            state = model.state_after(F.pad(model.local.windows(past), (0, 0, 1, 0))[None])
            expected = state.expected[0, windows]
            usual = model.local_precision[(windows > 0).long()]
        places = model.places(conditions, 0, before + 1, state).unflatten(1, (before + 1, codes))
        h = (h[:, :-1] + places[:, :-1].flatten(1, 2))[:, None]
        keys: list[Tensor] = []
        values: list[Tensor] = []
        label_keys, label_values = [], []
        for block, memory in zip(model.layers, model.memory(conditions), strict=True):
            found = block.self_attention.keys_values(block.norm_self(h).flatten(0, 1))
            for kept, own in zip((keys, values), found, strict=True):
                kept.append(F.pad(own[0], (0, 0, 0, codes)))
            label_keys.append(memory[0][0])
            label_values.append(memory[1][0])
            h = block(h, memory)
        caches = (torch.stack(x) for x in (keys, values, label_keys, label_values))
        return *caches, last[0], places[0, windows][0], expected[0], usual[0]


class _Step(nn.Module):
    def __init__(self, model: PriorModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        position: Tensor,
        windows: Tensor,
        codes: Tensor,
        command: Tensor,
        tolerance: Tensor,
        keys: Tensor,
        values: Tensor,
        label_keys: Tensor,
        label_values: Tensor,
        last: Tensor,
        place: Tensor,
        expected: Tensor,
        usual: Tensor,
        said: Tensor,
    ) -> tuple[Tensor, ...]:
        model, n = self.model, position
        before, head = (n - 1).clamp_min(0), codes[None, :1]
        code, begun = codes[before], n > 0
        own = (model.table[before, code][:, None] @ model.read[before])[:, 0]
        if isinstance(model.local, ResidualCodes):
            added = model.local.only(before.clamp_min(1)).vector(1, code, head) * (before > 0)
            said = torch.where(begun, said + added[0], said)
            own = own + model.said(added, said[None], expected[None], before)
        h = (torch.where(begun, own, last) + place[n])[:, None, None]
        found = []
        for i, block in enumerate(model.layers):
            memory = (label_keys[i][None], label_values[i][None])
            cache = _Buffer(keys[i][None], values[i][None], windows * len(place) + n)
            h = block(h, memory, cache)
            found.append((cache.keys[0], cache.values[0]))
        hidden = model.norm(h[:, 0, 0])
        logits = ((hidden[:, None] @ model.write[n]) @ model.table[n].mT)[:, 0] + model.bias[n]
        if isinstance(model.local, ResidualCodes):
            local = model.local.only(n.clamp_min(1))
            sure = usual[n] + (hidden * model.local_sure[n]).sum(dim=-1)
            precision = sure.clamp_max(MOST_PRECISE).exp()
            changes = hidden @ model.local_write
            seen = local.score(1, expected[None], changes, precision, head)
            # As motiontok.prior.command_steering has it.
            asked, along = command.isfinite(), model.says[:-1]
            lacking = torch.where(asked, command - model.says[-1], 0.0) - said @ along
            left = lacking - local.effects(1, along, head) * begun
            exact = 1.0 / (tolerance.square() + model.says_later[n].square())
            logits = logits + seen * begun - 0.5 * ((asked * left).square() @ exact[0])
        logits = logits.masked_fill(~model.known[n], -torch.inf)
        all_keys, all_values = (torch.stack(part) for part in zip(*found, strict=True))
        return logits[0], all_keys, all_values, said


def programs_of_prior(prior: TokenPrior) -> list[Program]:
    """``prior_begin`` and ``prior_step`` of a prior, on the CPU.

    Raises:
        TokenizerError: it belongs to a lopq tokenizer, each of whose codes has another shape.
    """
    model = prior.model.cpu()
    if isinstance(model.local, LopqCodes):
        raise TokenizerError(
            "a prior of a lopq tokenizer cannot be exported; those of temporal tokenizers can: "
            "leave --prior out to export the tokenizer alone"
        )
    sizes = model.config
    codes, context, layers = sizes.codes_per_window, sizes.context, sizes.layers
    heads, size = sizes.heads, sizes.width // sizes.heads
    cache, labels = (layers, heads, context * codes, size), (layers, heads, 2, size)
    state = (
        Value("label_keys", labels),
        Value("label_values", labels),
        Value("last", (sizes.width,)),
        Value("place", (codes, sizes.width)),
        Value("expected", (max(sizes.components, 1),)),
        Value("usual", (codes,)),
    )
    changing = (Value("keys", cache), Value("values", cache))
    said = Value("said", (max(sizes.components, 1),), unit="zeros at position 0")
    windows = Value("windows", (1,), "int64", f"of the past that count, 0 to {context - 1}")
    begin = (
        Value("past", (context - 1, codes), "int64", "the first `windows` count, others are 0"),
        windows,
        Value("commands", (context, 3), unit="m/s, m/s, rad/s; row `windows` is the new one's"),
        Value("action", (1,), "int64", "index in actions"),
        Value("style", (1,), "int64", "index in styles"),
    )
    step = (
        Value("position", (1,), "int64", "of the code to draw, 0 first"),
        windows,
        Value("codes", (codes,), "int64", "of this window, as far as they are drawn"),
        Value("command", (3,), unit="of this window; NaN where it has none"),
        Value("tolerance", (1,), unit="m/s and rad/s; inf leaves commands to the network"),
        *changing,
        *state,
        said,
    )
    after = [Value(f"next_{one.name}", one.shape) for one in (*changing, said)]
    logits = Value("logits", (sizes.vocab_size,), unit="-inf of codes that are never drawn")
    return [
        Program("prior_begin", _Begin(model), begin, (*changing, *state)),
        Program("prior_step", _Step(model), step, (logits, *after)),
    ]
