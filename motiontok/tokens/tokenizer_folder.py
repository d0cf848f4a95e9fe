"""A tokenizer's folder: ``config.json`` and ``model.safetensors``, nothing pickled.

Beside them ``calibrations.json``, if rigs of the training clips were calibrated.
"""

from __future__ import annotations

import copy
import hashlib
import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bvh.atomic_write import atomic_path
from bvh.errors import BVHError
from bvh.motion_io import Calibrations
from bvh.normalizer import Calibration
from motiontok.config import Config, parse_config
from motiontok.data import REFERENCE, Noise, Statistics
from motiontok.errors import ConfigError, TokenizerError
from motiontok.methods import DiscreteAutoencoder, MotionNetworks, make_method
from motiontok.paths import SHIPPED_TOKENIZER
from motiontok.tokens.hub import folder_of
from motiontok.tokens.weight_quantization import dequantize_weights, quantize_weights, rounded_rows

__all__ = [
    "FORMAT",
    "Parts",
    "find_folder",
    "fingerprint_of",
    "read_folder",
    "rounded",
    "write_folder",
]

_CALIBRATIONS = "calibrations.json"

FORMAT = "motiontok-tokenizer-2"

_RETIRED = {
    "motiontok-tokenizer-1": "its features depended on the length of bones; train it again",
}


class Parts(NamedTuple):
    """Parts of a tokenizer.

    Attributes:
        method: the trained autoencoder.
        statistics: of the features it was trained on.
        licence: note on the licence of the training data.
        calibrations: of the rigs it was trained on.
        noise: tremble of decoded held poses, if it was measured.
    """

    method: DiscreteAutoencoder
    statistics: Statistics
    licence: str
    calibrations: Calibrations
    noise: Noise | None = None


def fingerprint_of(parts: Parts) -> str:
    """16 hex digits that change with any weight, statistic or size."""
    config = parts.method.config
    model = config.to_dict()["model"]
    if config.method.name != "lopq":
        # Settings added later must not change the fingerprints of older tokenizers.
        model = {k: v for k, v in model.items() if k not in ("components", "bases")}
    if config.model.networks == "paper":
        del model["networks"]
    sizes = {
        "model": model,
        "method": config.method.name,
        "window": config.data.window,
    }
    digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode())
    for name, tensor in sorted(_tensors(parts).items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def rounded(parts: Parts) -> Parts:
    """A copy whose weights fit 16 bits exactly, and 8 bits where its method allows it."""
    method = copy.deepcopy(parts.method)
    for name, tensor in (*method.named_parameters(), *method.named_buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.half().to(tensor.dtype)
            if name in method.rows_in_8_bits:
                tensor.data = rounded_rows(tensor.data, method.rows_in_8_bits[name])
    return parts._replace(method=method)


def write_folder(folder: Path, parts: Parts, fingerprint: str) -> None:
    """Write both files, or neither; and calibrations, if there are any.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    config = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "licence": parts.licence,
        "config": parts.method.config.to_dict(),
    }
    if parts.noise is not None:
        config["noise"] = asdict(parts.noise)
    known = {rig: of.to_dict() for rig, of in parts.calibrations.items() if of is not None}
    with (
        atomic_path(folder / _CALIBRATIONS) if known else nullcontext() as third,
        atomic_path(folder / "config.json") as beside,
        atomic_path(folder / "model.safetensors") as temporary,
    ):
        if third is not None:
            third.write_text(json.dumps(known) + "\n", encoding="utf-8")
        beside.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        try:
            save_file(
                quantize_weights(_tensors(parts)), temporary, metadata={"fingerprint": fingerprint}
            )
        except SafetensorError as error:
            raise OSError(str(error)) from None
    if not known:
        (folder / _CALIBRATIONS).unlink(missing_ok=True)


def read_folder(path: Path) -> tuple[Parts, str]:
    """Parts of a tokenizer, and the fingerprint that its ``config.json`` states.

    Raises:
        TokenizerError: incomplete, damaged or of another version.
    """
    try:
        values = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            reason = _RETIRED.get(values["format"], "use the motiontok that wrote it")
            raise TokenizerError(f"{path}: format {values['format']!r} is not {FORMAT!r}: {reason}")
        stated = str(values["fingerprint"])
        config: Config = parse_config(values["config"], str(path / "config.json"))
        method = make_method(config, MotionNetworks(config))
        with safe_open(path / "model.safetensors", framework="pt") as file:
            tensors = dequantize_weights({k: file.get_tensor(k) for k in file.keys()})  # noqa: SIM118
        method.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        statistics = Statistics(
            **{k[11:]: v for k, v in tensors.items() if k.startswith("statistics.")}
        )
        if not np.array_equal(tensors["skeleton"].numpy(), REFERENCE):
            raise TokenizerError(
                f"{path}: its features are of another reference skeleton than this motiontok's; "
                "use the motiontok that wrote it"
            )
        known = _read_calibrations(path / _CALIBRATIONS)
        noise = _noise_of(values)
        return Parts(method, statistics, str(values["licence"]), known, noise), stated
    except (OSError, SafetensorError) as error:
        raise TokenizerError(f"{path}: damaged or incomplete tokenizer ({error})") from None
    except KeyError as error:
        raise TokenizerError(f"{path}: not a usable tokenizer (no {error} in it)") from None
    # A RuntimeError is also what deep brackets are.
    except (ValueError, TypeError, AttributeError, RuntimeError, ConfigError, BVHError) as error:
        line = str(error).strip().split("\n")[-1].strip()
        raise TokenizerError(f"{path}: not a usable tokenizer ({line})") from None


def _noise_of(values: dict[str, Any]) -> Noise | None:
    """Tremble that ``config.json`` states, which no fingerprint covers."""
    if "noise" not in values:
        return None
    noise = Noise(**values["noise"])
    for name, value in asdict(noise).items():
        if not isinstance(value, int | float) or not 0.0 <= value < float("inf"):
            raise ValueError(f"noise.{name} must be metres of 0 or more, got {value!r}")
    return noise


def _read_calibrations(path: Path) -> Calibrations:
    """There are none if each training clip was measured on itself."""
    if not path.is_file():
        return {}
    values = json.loads(path.read_text(encoding="utf-8"))
    return {rig: Calibration.from_dict(of) for rig, of in values.items()}


def find_folder(folder: Path) -> Path:
    """The folder of a tokenizer.

    Args:
        folder: that folder itself, the run that trained it, the shipped one's name, or a name of
            the Hugging Face hub (:mod:`motiontok.tokens.hub`).

    Raises:
        TokenizerError: there is none.
    """
    if str(folder) == SHIPPED_TOKENIZER:
        folder = Path(__file__).parents[1] / "pretrained"
        if not (folder / "config.json").is_file():
            raise TokenizerError(
                "no tokenizer is shipped with this package: train one (motiontok train) and give "
                "--tokenizer its folder"
            )
        return folder
    folder = folder_of(folder)
    # A run's folder has a config.json of its own; the tokenizer inside it is meant.
    if (folder / "tokenizer" / "config.json").is_file():
        return folder / "tokenizer"
    if any((folder / name).exists() for name in ("tokenizer", "checkpoint.safetensors")):
        raise TokenizerError(
            f"{folder}: a run that was ended before it wrote its tokenizer; `motiontok train` with "
            "--resume goes on with it"
        )
    if (folder / "config.json").is_file():
        return folder
    what = "has no config.json" if folder.is_dir() else "no such folder"
    raise TokenizerError(
        f"{folder}: {what}; give the folder of a tokenizer or of a run that `motiontok train` wrote"
    )


def _tensors(parts: Parts) -> dict[str, Tensor]:
    tensors = {f"model.{k}": v for k, v in parts.method.state_dict().items()}
    tensors |= {f"statistics.{k}": v for k, v in parts.statistics.state().items()}
    tensors["skeleton"] = torch.tensor(REFERENCE)
    return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
