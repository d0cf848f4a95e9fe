"""Train a small transformer from a task in words to tokens, and let it do the task.

    python examples/train_policy_on_tokens.py --data dataset --task walk --out codes.npy
    motiontok render codes.npy --robot g1

``dataset`` is a LeRobot data set that ``motiontok convert`` wrote. Only the first codes of each
window are learned. They are coarse and decode alone; the others are hardly predictable.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor, nn

from motiontok import MotionTokenizer
from motiontok.codes import Codes
from motiontok.lerobot import read_episodes

WINDOWS = 4  # that the policy sees, its own included


def meanings(tokenizer: MotionTokenizer, codes: np.ndarray, size: int = 48) -> Tensor:
    """What each code does to the decoded motion, ``(codes of a window, vocab, size)``.

    A code by its number alone is like no other one, and little data do not show what it means.
    """
    usual = np.array([np.bincount(column).argmax() for column in codes.T])
    n, vocab = len(usual), tokenizer.vocab_size
    found = []
    for place in range(n):
        windows = np.tile(usual, (vocab, 1, 1))
        windows[:, 0, place] = np.arange(vocab)
        first = n if n < tokenizer.codes_per_window else None
        features = np.asarray(tokenizer.decode_features(windows, first=first))
        # Every fourth frame, and columns by their own spread over all codes.
        found.append(features[:, ::4].reshape(vocab, -1))
    all_of = torch.from_numpy(np.stack(found)).float()
    all_of = all_of - all_of.mean(dim=1, keepdim=True)
    flat = all_of.flatten(0, 1) / all_of.std(dim=(0, 1)).clamp(min=1e-3)
    _, _, axes = torch.pca_lowrank(flat, q=min(size, *flat.shape), center=False)
    seen = flat @ axes
    return (seen / seen.std()).unflatten(0, (n, vocab))


class Policy(nn.Module):
    """Logits ``(batch, length, vocab)`` of each code, from the task and the codes before it."""

    def __init__(self, words: int, table: Tensor, width: int = 128) -> None:
        super().__init__()
        self.codes, _, size = table.shape
        self.table = nn.Parameter(table)  # (codes, vocab, size)
        self.words = nn.EmbeddingBag(words, width)
        self.read, self.write = (
            nn.Parameter(torch.randn(self.codes, *shape) / size**0.5)
            for shape in ((size, width), (width, size))
        )
        self.place = nn.Embedding(WINDOWS * self.codes, width)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.3, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 3, nn.LayerNorm(width), False)

    def forward(self, words: Tensor, codes: Tensor) -> Tensor:
        # The task stands first, so each place sees the codes before it.
        of = torch.arange(codes.shape[1] + 1) % self.codes
        said = torch.einsum("bls,lsw->blw", self.table[of[:-1], codes], self.read[of[:-1]])
        x = torch.cat([self.words(words)[:, None], said], 1)[:, : self.place.num_embeddings]
        of = of[: x.shape[1]]
        x = x + self.place.weight[: x.shape[1]]
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        hidden = self.layers(x, mask=mask, is_causal=True)
        meant = torch.einsum("blw,lws->bls", hidden, self.write[of]) / hidden.shape[-1] ** 0.5
        # Products by place, so that the tables of the same codes are not copied per window.
        out = [torch.einsum("bws,vs->bwv", meant[:, k :: self.codes], self.table[k])
               for k in range(min(self.codes, len(of)))]  # fmt: skip
        logits = meant.new_empty(*meant.shape[:2], self.table.shape[1])
        for k, part in enumerate(out):
            logits[:, k :: self.codes] = part
        return logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--tokenizer", default="default")
    parser.add_argument("--codes", type=int, default=8, help="first codes of each window")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--out", default="codes.npy")
    given = parser.parse_args()
    torch.manual_seed(0)
    tokenizer = MotionTokenizer.from_pretrained(given.tokenizer)
    vocab, n = tokenizer.vocab_size, given.codes

    episodes = list(read_episodes(given.data))
    for episode in episodes:
        tokenizer.require(episode.codes)
    tasks = sorted({e.task for e in episodes})
    if given.task not in tasks:
        parser.error(f"no task {given.task!r}; there are {', '.join(tasks)}")
    # Words of a task, all of one length; 0 is no word.
    known = {w: i for i, w in enumerate(sorted({w for t in tasks for w in t.split()}), start=1)}
    longest = max(len(t.split()) for t in tasks)

    def words_of(task: str) -> list[int]:
        return [known[w] for w in task.split()] + [0] * (longest - len(task.split()))

    # Every stretch of windows, and as goals nothing where a motion is shorter.
    words, rows, held = [], [], []
    for number, episode in enumerate(episodes):
        first = episode.codes.array[:, :n].astype(np.int64)
        for begin in range(max(1, len(first) - WINDOWS + 1)):
            part = first[begin : begin + WINDOWS].ravel()
            words.append(words_of(episode.task))
            held.append(number % 8 == 7)
            rows.append(np.pad(part, (0, WINDOWS * n - len(part)), constant_values=-1))
    words, rows = torch.tensor(words), torch.from_numpy(np.stack(rows))
    held = torch.tensor(held)
    print(f"{len(episodes)} episodes of {len(tasks)} tasks, {len(rows)} stretches")

    firsts = np.concatenate([e.codes.array[:, :n] for e in episodes]).astype(np.int64)
    policy = Policy(len(known) + 1, meanings(tokenizer, firsts))
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-4, weight_decay=0.1)

    def loss_of(picked: Tensor) -> Tensor:
        logits = policy(words[picked], rows[picked].clamp(min=0))
        return nn.functional.cross_entropy(logits.flatten(0, 1), rows[picked].flatten(),
                                           ignore_index=-1)  # fmt: skip

    def loss_on_held() -> float:
        policy.eval()
        with torch.no_grad():
            loss = loss_of(torch.nonzero(held)[:, 0]).item() if held.any() else float("nan")
        policy.train()
        return loss

    train, end, steps = torch.nonzero(~held)[:, 0], time.monotonic() + 60 * given.minutes, 0
    best, kept = np.inf, policy.state_dict()
    while time.monotonic() < end:
        loss = loss_of(train[torch.randint(len(train), (32,))])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if steps % 100 == 0:
            new = loss_on_held()
            print(f"step {steps}: {loss.item():.2f} nats a code, held out {new:.2f}")
            if not new >= best:
                best, kept = new, {k: v.clone() for k, v in policy.state_dict().items()}
        steps += 1
    policy.load_state_dict(kept)
    print(f"held out: {best:.2f} nats a code, {np.log(vocab):.2f} without learning")
    policy.eval()
    with torch.no_grad():
        task, made = torch.tensor([words_of(given.task)]), torch.empty((1, 0), dtype=torch.long)
        windows = int(np.ceil(given.seconds * tokenizer.fps / tokenizer.frames_per_window))
        for _ in range(windows * n):
            # Whole windows only: a code's place says which of a window's it is.
            before = max(0, made.shape[1] // n - WINDOWS + 1) * n
            logits = policy(task, made[:, before:])[:, -1]
            code = torch.multinomial(torch.softmax(logits / 0.8, -1), 1)
            made = torch.cat([made, code], 1)

    offsets = episodes[0].codes.offsets
    codes = Codes(made.reshape(windows, n).numpy().astype(np.uint16), tokenizer.fingerprint,
                  given.tokenizer, offsets=offsets, source=given.task,
                  first=n if n < tokenizer.codes_per_window else 0)  # fmt: skip
    codes.save(given.out)
    walked = tokenizer.decode_codes(codes).root_positions
    print(f"{given.task}: {np.ptp(walked[:, :2], axis=0).round(1)} m wide -> {given.out}")


if __name__ == "__main__":
    main()
