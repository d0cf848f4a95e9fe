"""What the commands do with images: the same names, the same files."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motiontok.errors import InputError

if TYPE_CHECKING:
    from motiontok.evaluate.bench import Bench
    from motiontok.images.compare import ImageOutcome

__all__ = ["compare_on_images", "decode_pictures", "encode_pictures", "eval_on_images"]

_PART = 64
_WRITTEN = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def encode_pictures(
    source: Path, out: Path | None, folder: str, effort: int, device: str
) -> list[dict[str, Any]]:
    """Encode a picture, or every picture of a folder, into one file: a row each.

    Raises:
        InputError: nothing there that can be encoded.
    """
    import numpy as np

    from motiontok.data.images import ImageFile, Skipped, find_images
    from motiontok.errors import DataError
    from motiontok.images import ImageCodes, ImageTokenizer
    from motiontok.progress import progress

    out = out or Path("codes.npy")
    if out.suffix != ".npy":
        raise InputError(f"--out {out}: codes are written to a .npy file, one row a picture")
    if source.suffix == ".npy":
        raise InputError(f"{source}: already codes; encode takes a picture or a folder of them")
    opened = ImageTokenizer.from_pretrained(folder, device=device)
    several = source.is_dir()
    files = find_images(source) if several else [ImageFile(str(source), source.name)]
    if not files:
        raise DataError(f"{source}: no pictures (.jpg, .png, .webp, ...) in this folder")
    rows, names, skipped = [], [], Skipped()
    with progress("encoding", len(files)) as update:
        for file, row in opened.encode_files(files, skipped=skipped, effort=effort):
            rows.append(row.astype(np.uint16))
            names.append(file.name)
            update(len(rows) + len(skipped.reasons))
    if not rows and not several:
        raise DataError(skipped.reasons[source.name].replace(source.name, str(source), 1))
    for line in skipped.lines():
        click.echo(line, err=True)
    if not rows:
        raise DataError(f"{source}: none of its {len(files)} pictures can be used")
    codes = ImageCodes(
        np.stack(rows),
        fingerprint=opened.fingerprint,
        tokenizer=str(Path(folder).resolve()),
        names=tuple(names),
        licence=opened.licence,
    )
    codes.save(out)
    bad = len(skipped.reasons)
    click.echo(
        f"{_pictures(len(rows))}{f', {bad} skipped' if bad else ''} -> "
        f"{opened.codes_per_image} codes of {opened.vocab_size} each "
        f"({opened.bits_per_image:.0f} bits) -> {out}",
        err=True,
    )
    return [{"source": n, "codes": str(out), "fingerprint": opened.fingerprint} for n in names]


def decode_pictures(path: Path, out: Path | None, tokenizer: str | None, device: str) -> None:
    """Decode codes to a picture, or to a folder of them.

    Raises:
        InputError: the tokenizer is not there, or ``out`` cannot take what there is.
    """
    from PIL import Image

    from bvh.atomic_write import atomic_path
    from motiontok.images import ImageCodes, ImageTokenizer
    from motiontok.progress import progress

    codes = ImageCodes.load(path)
    folder = tokenizer or codes.tokenizer
    if not folder:
        raise InputError(f"{path}: does not say which tokenizer made it; give --tokenizer")
    if not tokenizer and not Path(folder).is_dir():
        raise InputError(
            f"{path}: its tokenizer {folder} is not there any more; give --tokenizer its folder"
        )
    if not tokenizer:
        print(f"decoding with {folder}, which {path.name} names", file=sys.stderr)
    out = out or Path("decoded.png" if len(codes.array) == 1 else "decoded")
    if out.suffix and out.suffix.lower() not in _WRITTEN:
        raise InputError(f"--out {out}: give a name that ends in {', '.join(_WRITTEN)}")
    if out.suffix and len(codes.array) > 1:
        raise InputError(f"{path}: holds {len(codes.array)} pictures; give --out a folder")
    opened = ImageTokenizer.from_pretrained(folder, device=device)
    opened.check(codes)
    count = len(codes.array)
    names = _without_endings(codes.names) or tuple(f"{n:06d}" for n in range(count))
    with progress("decoding", count) as update:
        for done in range(0, count, _PART):
            pixels = opened.decode(codes.array[done : done + _PART]).transpose(0, 2, 3, 1)
            for number, image in enumerate(pixels, start=done):
                # A name in a sidecar may say anything; only what stays inside the folder is used.
                name = Path(f"{names[number]}.png")
                parts = [part for part in name.parts if part not in ("/", "..")]
                target = out if out.suffix else out.joinpath(*parts)
                with atomic_path(target) as temporary:
                    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
                        temporary
                    )
            update(min(done + _PART, count))
    click.echo(f"{path.name}: {_pictures(count)} -> {out}")


def _without_endings(names: Sequence[str]) -> tuple[str, ...]:
    """Names of pictures without ``.jpg`` and the like, unless it alone tells two apart."""
    stems = [str(Path(name).with_suffix("")) for name in names]
    # a.jpg, a.png and a.jpg.png: the last may not take the first one's name either.
    taken = Counter([*stems, *names])
    return tuple(
        name if taken[stem] > 1 and stem != name else stem
        for name, stem in zip(names, stems, strict=True)
    )


def _pictures(count: int) -> str:
    return f"{count} picture{'s' if count != 1 else ''}"


def eval_on_images(
    tokenizer: str,
    data: Path | None,
    *,
    everything: bool,
    inception: Path | None,
    fid: bool,
    out: Path | None,
    effort: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Measure a tokenizer of images on the held-out images of its data set."""
    from bvh.atomic_write import atomic_path
    from motiontok.data.images import Skipped
    from motiontok.errors import MissingDependencyError
    from motiontok.evaluate.machine import machine
    from motiontok.images import ImageTokenizer
    from motiontok.images.evaluation import evaluate_images, held_out_images
    from motiontok.images.fid import FrechetDistance, load_inception
    from motiontok.images.figures import plot_grid
    from motiontok.images.report import evaluation_markdown, plot_code_use
    from motiontok.images.runs import reconstruct

    opened = ImageTokenizer.from_pretrained(tokenizer, device=device)
    wanted = fid or inception is not None
    distance = FrechetDistance(load_inception(inception, device), device) if wanted else None
    skipped = Skipped()
    found = evaluate_images(
        opened,
        held_out_images(opened.config, data, skipped=skipped, everything=everything),
        seed=seed,
        effort=effort,
        distance=distance,
    )
    for line in skipped.lines():
        click.echo(line, err=True)
    split = "all pictures" if everything else "held out"
    left_out = f", {len(skipped.reasons)} unreadable left out" if skipped.reasons else ""
    result = {
        "tokenizer": tokenizer,
        "fingerprint": opened.fingerprint,
        "method": opened.config.method.name,
        "effort": effort,
        "beta": opened.config.method.beta_end,
        "machine": machine(device),
        "test": {
            "data": f"{opened.config.data.dataset}, {split}{left_out}",
            "images": found.images,
        },
        **{k: v for k, v in found.to_dict().items() if k != "images"},
    }
    text = evaluation_markdown(f"{Path(tokenizer).resolve().name} ({result['method']})", result)
    if out is not None:
        for name, content in (
            ("eval.json", json.dumps(result, indent=1) + "\n"),
            ("eval.md", text),
        ):
            with atomic_path(out / name) as temporary:
                temporary.write_text(content, encoding="utf-8")
        try:
            plot_code_use({result["method"]: result}, out / "usage.png")
            again = reconstruct(opened.method, found.shown.to(opened.device), effort=effort)
            rows = {"held out": found.shown, result["method"]: again}
            plot_grid(rows, opened.pixels, out / "grid.png")
        except MissingDependencyError as error:
            click.echo(str(error), err=True)
    click.echo(json.dumps(result) if as_json else text)
    if out is not None:
        click.echo(f"report -> {out / 'eval.md'}   numbers -> {out / 'eval.json'}", err=as_json)


def compare_on_images(
    bench: Bench, out: Path, data: Path | None, device: str, only: tuple[str, ...], as_json: bool
) -> list[str]:
    """Run a comparison on images and write its report; methods that failed."""
    from motiontok.data.images import pixels_of
    from motiontok.errors import MissingDependencyError
    from motiontok.images.compare import reconstructions, run_image_bench
    from motiontok.images.figures import plot_grid
    from motiontok.images.report import plot_comparison

    def report(outcomes: list[ImageOutcome]) -> None:
        _write_report(bench, outcomes, out, {})

    outcomes = run_image_bench(
        bench,
        out=out,
        data=data,
        device=device,
        only=only,
        say=lambda line: click.echo(line, err=as_json),
        on_outcome=report,
    )
    try:
        pictures = plot_comparison(bench, outcomes, out)
        for budget, rows in reconstructions(bench, outcomes, out=out, data=data).items():
            pictures[f"Held-out images and their reconstructions, {budget}"] = f"grid-{budget}.png"
            plot_grid(rows, pixels_of(bench.base), out / f"grid-{budget}.png")
    except MissingDependencyError as error:
        click.echo(str(error), err=True)
        pictures = {}
    _write_report(bench, outcomes, out, pictures)
    name = "report.json" if as_json else "report.md"
    click.echo((out / name).read_text(encoding="utf-8"), nl=not as_json)
    return sorted({o.cell.method for o in outcomes if o.result is None})


def _write_report(
    bench: Bench, outcomes: list[ImageOutcome], out: Path, pictures: dict[str, str]
) -> None:
    from bvh.atomic_write import atomic_path
    from motiontok.images.report import comparison_markdown

    runs = [
        {
            "method": o.cell.method,
            "budget": o.cell.budget,
            "seed": o.cell.seed,
            "error": o.error,
            "log": list(o.log),
            **(o.result or {}),
        }
        for o in outcomes
    ]
    content = {"name": bench.name, "runs_in_all": len(bench.cells), "runs": runs}
    text = comparison_markdown(bench, outcomes)
    text += "".join(f"\n![{what}]({file})\n" for what, file in pictures.items())
    for name, written in (
        ("report.json", json.dumps(content, indent=1) + "\n"),
        ("report.md", text),
    ):
        with atomic_path(out / name) as temporary:
            temporary.write_text(written, encoding="utf-8")
