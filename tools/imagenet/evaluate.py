"""Measure every tokenizer of a comparison on all validation images, with FID, beside the paper.

    python tools/imagenet/evaluate.py RUNS --data IMAGENET [--inception inception-2015-12-05.pt]

RUNS is what `motiontok compare` wrote, also of other images. Writes RUNS/evaluation.md and, beside
each run, evaluation.json; tokenizers that have one are not measured again, unless for the FID.
Without --inception there is no FID.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from bvh.atomic_write import atomic_path
from motiontok.cli.shared_options import use_device
from motiontok.config import parse_config
from motiontok.data.images import Skipped
from motiontok.evaluate.machine import machine
from motiontok.images import ImageTokenizer
from motiontok.images.evaluation import evaluate_images, held_out_images
from motiontok.images.fid import FrechetDistance, load_inception
from motiontok.images.published import published_for


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--inception", type=Path)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = use_device(arguments.device)
    network = load_inception(arguments.inception, device) if arguments.inception else None
    folders = sorted(p.parents[1] for p in arguments.runs.glob("*/*/seed-*/tokenizer/config.json"))
    if not folders:
        raise SystemExit(f"{arguments.runs}: no BUDGET/METHOD/seed-N/tokenizer in it")
    lines = [
        "| budget, method, seed | images | PSNR dB | SSIM | β-ELBO | FID | published PSNR "
        "| published β-ELBO | published FID |",
        "|---|" + "---:|" * 8,
    ]
    for folder in folders:
        path = folder / "evaluation.json"
        if not path.exists() or (network is not None and not has_fid(path)):
            measure(folder, path, arguments.data, network, device)
        lines.append(row(folder.relative_to(arguments.runs), json.loads(path.read_text())))
        print(lines[-1])
    with atomic_path(arguments.runs / "evaluation.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"-> {arguments.runs / 'evaluation.md'}")


def has_fid(path: Path) -> bool:
    return "fid" in json.loads(path.read_text(encoding="utf-8"))["metrics"]


def measure(folder: Path, path: Path, data: Path, network: object, device: str) -> None:
    tokenizer = ImageTokenizer.from_pretrained(folder, device=device)
    skipped = Skipped()
    found = evaluate_images(
        tokenizer,
        held_out_images(tokenizer.config, data, skipped=skipped),
        distance=FrechetDistance(network, device) if network is not None else None,
    )
    result = {
        "config": tokenizer.config.to_dict(),
        "machine": machine(device),
        "skipped": skipped.reasons,
        **found.to_dict(),
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def row(name: Path, result: dict) -> str:
    metrics = result["metrics"]
    config = parse_config(result["config"], str(name))
    published = published_for(config).get(config.method.name)
    psnr = metrics.get("sampled_psnr", metrics["psnr"])
    cells = [
        str(name),
        str(result["images"]),
        f"{psnr:.2f}",
        f"{metrics['ssim']:.3f}",
        number(metrics.get("beta_elbo", math.nan)),
        number(metrics.get("fid", math.nan)),
        *(
            [number(published.psnr), number(published.beta_elbo), number(published.fid)]
            if published
            else ["-"] * 3
        ),
    ]
    return "| " + " | ".join(cells) + " |"


def number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.2f}"


if __name__ == "__main__":
    main()
