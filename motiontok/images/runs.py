"""A training run on images, from configuration to tokenizer folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from bvh.atomic_write import atomic_path
from motiontok.config import Config
from motiontok.data.images import ImageSet, PictureSet, open_image_set
from motiontok.errors import MissingDependencyError
from motiontok.images.figures import plot_curves, plot_grid
from motiontok.images.measuring import measure_images
from motiontok.images.published import published_for
from motiontok.images.tokenizer import ImageTokenizer
from motiontok.methods import METHODS, DiscreteAutoencoder, make_method
from motiontok.methods.image_networks import image_networks
from motiontok.progress import progress
from motiontok.training import Trained, displayed, require_new_or_same, train
from motiontok.training.parallel import first_before_others, process_group

__all__ = ["ImageRun", "licence_note", "reconstruct", "run_image_training", "train_images"]

_LICENCES = {
    "mnist": "trained on MNIST, CC BY-SA 3.0",
    "cifar10": "trained on CIFAR-10, whose authors ask for a citation",
    "imagenet": "trained on ImageNet, non-commercial research",
    "pictures": "trained on the user's own pictures; their licence applies",
}
_SHOWN = 16


@dataclass(frozen=True, eq=False)
class ImageRun:
    """A finished run.

    Attributes:
        tokenizer: the trained tokenizer, saved in ``out/tokenizer``.
        trained: what the loop reports.
        metrics: of :func:`~motiontok.images.measuring.measure_images` on the held-out
            images.
    """

    tokenizer: ImageTokenizer
    trained: Trained
    metrics: dict[str, float]


def licence_note(config: Config) -> str:
    """Note on the licence of the training data, one line."""
    return _LICENCES[config.data.dataset]


def train_images(
    config: Config,
    data: ImageSet,
    *,
    out: Path,
    device: str,
    resume: bool,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """The training loop, validated by the paper's metrics."""
    held_out = data.validation
    limit = config.train.validation_windows
    if len(held_out) > limit:
        held_out = held_out[torch.linspace(0, len(held_out) - 1, limit).long()]

    def measure(method: DiscreteAutoencoder) -> dict[str, float]:
        return measure_images(method, held_out, data.metrics)[0]

    def tell_others(method: DiscreteAutoencoder, step: int) -> None:
        # What each process could not use of its share, before the others leave.
        if isinstance(data, PictureSet):
            for text in process_group().all_gather_texts(data.skipped.to_json()):
                data.skipped.add_json(text)

    doing, total = displayed(config)
    with progress(f"{doing} {config.name}", total) as update:
        return train(
            config,
            data=data,
            networks=image_networks(config),
            out=out,
            device=torch.device(device),
            resume=resume,
            update=update,
            measure=measure,
            on_evaluation=tell_others,
            clock=clock,
        )


def run_image_training(
    config: Config,
    *,
    out: Path,
    data: Path | None = None,
    device: str = "cpu",
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> ImageRun:
    """Open the images, train, save the tokenizer, measure it on held-out images.

    Args:
        config: the run.
        out: its folder: config.json, log.csv, checkpoint.safetensors, curves.png,
            grid.png, metrics.json and tokenizer/.
        data: path of the images.
        device: where to train.
        resume: continue the run in ``out``.
        say: prints a line for the user.

    Raises:
        DataError: the images are missing or cannot be used.
        TrainingError: ``out`` already holds a run and ``resume`` is not set, or the run
            there was trained with other settings or for longer.
    """
    require_new_or_same(config, out, resume=resume, say=say)
    # What cannot be built fails before images are read, not after.
    make_method(config, image_networks(config))
    fitted = not METHODS[config.method.name].takes_steps
    # The places of pictures in archives that the first process finds are in the cache of the
    # others.
    with first_before_others():
        images = open_image_set(config, data, device=device)
    say(images.note)
    if fitted:
        say(f"fitting {config.method.name} in one pass: it takes no steps and no time budget")
    with closing(images):
        trained = train_images(config, images, out=out, device=device, resume=resume)
    tokenizer = ImageTokenizer(trained.method, licence=licence_note(config))
    tokenizer.save_pretrained(out / "tokenizer")
    metrics, _ = measure_images(trained.method, images.validation, images.metrics)
    metrics |= {"bits_per_image": tokenizer.bits_per_image, "training_seconds": trained.seconds}
    if isinstance(images, PictureSet):
        for line in images.skipped.lines():
            say(line)
    _write_json(out / "metrics.json", metrics)
    try:
        published = published_for(config).get(config.method.name)
        title = f"{config.name}: {config.method.name}"
        if not fitted:
            plot_curves(out / "log.csv", out / "curves.png", title, published)
        # Neighbours in a folder are of one class: what is shown is spread over all.
        places = torch.linspace(0, len(images.validation) - 1, _SHOWN).round().long().unique()
        shown = images.validation[places]
        plot_grid(
            {"held out": shown, config.method.name: reconstruct(trained.method, shown)},
            images.pixels,
            out / "grid.png",
        )
    except MissingDependencyError as error:
        say(str(error))
    return ImageRun(tokenizer, trained, metrics)


@torch.no_grad()
def reconstruct(method: DiscreteAutoencoder, x: torch.Tensor, *, effort: int = 1) -> torch.Tensor:
    """Images decoded from their codes, standardised."""
    return method.eval().decode(method.encode(x, effort=effort))


def _write_json(path: Path, values: object) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
