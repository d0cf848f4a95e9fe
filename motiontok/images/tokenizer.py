"""The public object: images to codes and back."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bvh.atomic_write import atomic_path
from motiontok.config import Config, parse_config
from motiontok.data.images import ImageFile, Pixels, Skipped, decode_all, load_square, pixels_of
from motiontok.errors import CodesError, ConfigError, DataError, TokenizerError
from motiontok.images.codes import ImageCodes
from motiontok.methods import DiscreteAutoencoder, make_method
from motiontok.methods.image_networks import image_networks
from motiontok.tokens.checks import check_codes, check_effort
from motiontok.tokens.tokenizer_folder import find_folder

__all__ = ["FORMAT", "ImageTokenizer", "is_image_tokenizer"]

FORMAT = "motiontok-image-tokenizer-1"
_CHUNK_VALUES = 2**23


class ImageTokenizer:
    """Images to short sequences of integers and back.

    ::

        tokenizer = ImageTokenizer.from_pretrained("runs/imagenet256")
        codes = tokenizer.encode("photo.jpg")       # (1, codes_per_image)
        pixels = tokenizer.decode(codes)            # (1, 3, 256, 256) bytes

    A picture of another shape is cut to its middle square and resized. Encoding is
    deterministic, as that of motion.

    Args:
        method: a trained autoencoder of images.
        licence: note on the licence of the training data.
    """

    def __init__(self, method: DiscreteAutoencoder, *, licence: str = "") -> None:
        self.method = method.eval()
        self.licence = licence
        self._fingerprint: str | None = None

    @property
    def config(self) -> Config:
        """Configuration of the training run."""
        return self.method.config

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return self.method.shape

    @property
    def pixels(self) -> Pixels:
        """How images are standardised."""
        return pixels_of(self.config)

    @property
    def vocab_size(self) -> int:
        """Number of values a code can take."""
        return self.config.model.vocab_size

    @property
    def codes_per_image(self) -> int:
        """Codes an image."""
        return self.config.model.codes_per_window

    @property
    def bits_per_image(self) -> float:
        """Rate of the codes, fixed length."""
        return self.codes_per_image * float(np.log2(self.vocab_size))

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any weight or size."""
        if self._fingerprint is None:
            sizes = {
                "codes": self.codes_per_image,
                "vocab_size": self.vocab_size,
                "method": self.config.method.name,
                "dataset": self.config.data.dataset,
                "shape": self.shape,
            }
            digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode())
            for name, tensor in sorted(self._tensors().items()):
                digest.update(name.encode())
                digest.update(tensor.numpy().tobytes())
            self._fingerprint = digest.hexdigest()[:16]
        return self._fingerprint

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.method.device

    def load(self, path: str | os.PathLike[str] | ImageFile) -> NDArray[np.uint8]:
        """A picture as input of this tokenizer, ``(channels, height, width)`` bytes.

        Raises:
            DataError: it cannot be read or decoded.
        """
        file = path if isinstance(path, ImageFile) else ImageFile(str(path), str(path))
        return self._seen(load_square(file, self.shape[1]))

    def encode_files(
        self, files: Sequence[ImageFile], *, skipped: Skipped, effort: int = 1
    ) -> Iterator[tuple[ImageFile, NDArray[np.int64]]]:
        """Codes ``(codes_per_image,)`` of many pictures, decoded by threads, in order.

        Args:
            files: pictures, of which only a few are in memory at a time.
            skipped: receives pictures that cannot be read or decoded and are left out.
            effort: as in :meth:`encode`.
        """
        squares = decode_all(files, self.shape[1], skipped=skipped)
        while part := list(islice(squares, self._chunk(effort))):
            codes = self.encode(np.stack([self._seen(s) for _, s in part]), effort=effort)
            yield from zip((file for file, _ in part), codes, strict=True)

    def encode(
        self,
        images: str | os.PathLike[str] | NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
        *,
        effort: int = 1,
    ) -> NDArray[np.int64]:
        """Codes ``(images, codes_per_image)``.

        Args:
            images: the path of a picture, or bytes ``(images, channels, height, width)``.
            effort: candidates an image, or rounds of search; the best decoding one is kept.

        Raises:
            DataError: no readable picture, or an array of another shape or type.
        """
        check_effort(effort)
        if isinstance(images, str | os.PathLike):
            images = self.load(images)[None]
        array = np.asarray(images)
        if array.dtype != np.uint8 or array.shape[1:] != self.shape or not len(array):
            raise DataError(
                f"images: expected bytes (images, {', '.join(map(str, self.shape))}), got "
                f"{array.dtype} {array.shape}"
            )
        generator = torch.Generator(self.device).manual_seed(0)
        found = []
        for part in torch.from_numpy(array).split(self._chunk(effort)):
            x = self.pixels.standardize(part).to(self.device)
            found.append(self.method.encode(x, effort=effort, generator=generator).cpu())
        return torch.cat(found).numpy()

    def decode(self, codes: NDArray[Any] | Tensor) -> NDArray[np.uint8]:
        """Bytes ``(images, channels, height, width)`` of codes ``(images, codes_per_image)``.

        Raises:
            CodesError: wrong shape, type or a value outside the vocabulary.
        """
        z, _ = check_codes(codes, codes_per_window=self.codes_per_image, vocab_size=self.vocab_size)
        with torch.no_grad():
            parts = [
                self.pixels.to_bytes(self.method.decode(c.to(self.device))).cpu()
                for c in z.reshape(-1, self.codes_per_image).split(self._chunk(1))
            ]
        return torch.cat(parts).numpy()

    def decode_codes(self, codes: ImageCodes) -> NDArray[np.uint8]:
        """Bytes of a codes file.

        Raises:
            CodesError: as :meth:`check` does.
        """
        self.check(codes)
        return self.decode(codes.array)

    def check(self, codes: ImageCodes) -> None:
        """Refuse a codes file that this tokenizer cannot decode.

        Raises:
            CodesError: the codes were made by another tokenizer, have a wrong shape or a
                value outside the vocabulary.
        """
        if codes.fingerprint and codes.fingerprint != self.fingerprint:
            raise CodesError(
                f"codes were made by tokenizer {codes.fingerprint}, this one is "
                f"{self.fingerprint}; give --tokenizer the folder they were encoded with"
                + (f" ({codes.tokenizer})" if codes.tokenizer else "")
            )
        check_codes(codes.array, codes_per_window=self.codes_per_image, vocab_size=self.vocab_size)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``model.safetensors`` and ``config.json``, both or neither.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        folder = Path(folder)
        config = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "licence": self.licence,
            "config": self.config.to_dict(),
        }
        with (
            atomic_path(folder / "config.json") as beside,
            atomic_path(folder / "model.safetensors") as temporary,
        ):
            beside.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
            try:
                save_file(self._tensors(), temporary, metadata={"fingerprint": self.fingerprint})
            except SafetensorError as error:
                raise OSError(str(error)) from None

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], *, device: torch.device | str = "cpu"
    ) -> ImageTokenizer:
        """Read a tokenizer folder, or the folder of the run that trained it.

        Raises:
            TokenizerError: missing, incomplete, damaged, of another version or of motion.
        """
        path = find_folder(Path(folder))
        try:
            values = json.loads((path / "config.json").read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise TokenizerError(f"{path}: format {values['format']!r} is not {FORMAT!r}")
            config = parse_config(values["config"], str(path / "config.json"))
            method = make_method(config, image_networks(config))
            with safe_open(path / "model.safetensors", framework="pt") as file:
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            method.load_state_dict(tensors)
            tokenizer = cls(method, licence=str(values["licence"]))
            stated = values["fingerprint"]
        except (OSError, SafetensorError) as error:
            raise TokenizerError(f"{path}: damaged or incomplete tokenizer ({error})") from None
        except KeyError as error:
            raise TokenizerError(f"{path}: not a usable tokenizer (no {error} in it)") from None
        except (ValueError, TypeError, RuntimeError, ConfigError) as error:
            line = str(error).strip().split("\n")[-1].strip()
            raise TokenizerError(f"{path}: not a usable tokenizer ({line})") from None
        if tokenizer.fingerprint != stated:
            raise TokenizerError(
                f"{path}: config.json says fingerprint {stated}, the weights have "
                f"{tokenizer.fingerprint}; the two files do not belong together"
            )
        tokenizer.method.to(device)
        return tokenizer

    def _seen(self, square: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An RGB square in the channels of this tokenizer."""
        if self.shape[0] == 1:
            # ITU-R 601 luminance, as Pillow has it.
            grey = np.tensordot((0.299, 0.587, 0.114), square, axes=1)
            return grey.round().astype(np.uint8)[None]
        return square

    def _chunk(self, effort: int) -> int:
        """Images at a time that fit in memory."""
        values = max(int(np.prod(self.shape)), self.codes_per_image * self.vocab_size)
        return max(_CHUNK_VALUES // (values * effort), 1)

    def _tensors(self) -> dict[str, Tensor]:
        state = self.method.state_dict()
        return {k: v.detach().cpu().contiguous() for k, v in state.items()}


def is_image_tokenizer(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a tokenizer of images, or a run that trains one."""
    try:
        text = (find_folder(Path(folder)) / "config.json").read_text(encoding="utf-8")
        return json.loads(text).get("format") == FORMAT
    except (OSError, ValueError, AttributeError, RecursionError, TokenizerError):
        return False
