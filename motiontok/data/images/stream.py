"""Batches of pictures, decoded ahead of training by a pool of threads.

Threads are enough: Pillow's decoders and resizers release the interpreter's lock, and nothing has
to be copied between processes.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bvh.workers import cores
from motiontok.data.images.files import ImageFile
from motiontok.data.images.order import ShuffledOrder
from motiontok.data.images.pictures import Picture, centre_crop, open_picture, random_crop
from motiontok.errors import DataError

__all__ = ["PictureStream", "Skipped", "decode_all", "load_square"]

_AHEAD = 4
_ATTEMPTS = 20
_NAMED = 5


@dataclass
class Skipped:
    """Faults of pictures, counted.

    Attributes:
        reasons: by name, of pictures that could not be decoded.
        enlarged: names of pictures smaller than their squares.
        converted: names of pictures not stored as 8-bit RGB, by their kind.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    enlarged: set[str] = field(default_factory=set)
    converted: dict[str, set[str]] = field(default_factory=dict)

    def note(self, file: ImageFile, picture: Picture, size: int) -> None:
        """Count a picture that was made into a square of ``size`` pixels."""
        if min(picture.width, picture.height) < size:
            self.enlarged.add(file.name)
        if picture.kind:
            self.converted.setdefault(picture.kind, set()).add(file.name)

    def to_json(self) -> str:
        """All of it, for another process."""
        converted = {kind: list(names) for kind, names in dict(self.converted).items()}
        return json.dumps([dict(self.reasons), list(self.enlarged), converted])

    def add_json(self, text: str) -> None:
        """Add what another process found."""
        reasons, enlarged, converted = json.loads(text)
        self.reasons |= reasons
        self.enlarged |= set(enlarged)
        for kind, names in converted.items():
            self.converted.setdefault(kind, set()).update(names)

    def lines(self) -> list[str]:
        """All of it for the user, a few lines; none if all was as wanted."""
        out = [f"skipped {reason}" for reason in list(self.reasons.values())[:_NAMED]]
        if len(self.reasons) > _NAMED:
            out.append(f"{len(self.reasons)} pictures skipped in all")
        if self.enlarged:
            out.append(f"pictures smaller than wanted and enlarged: {len(self.enlarged)}")
        if self.converted:
            kinds = ", ".join(f"{len(names)} {k}" for k, names in sorted(self.converted.items()))
            out.append(f"pictures converted to 8-bit RGB: {kinds}")
        return out


def load_square(
    file: ImageFile,
    size: int,
    *,
    generator: np.random.Generator | None = None,
    skipped: Skipped | None = None,
) -> NDArray[np.uint8]:
    """A picture as ``(3, size, size)`` bytes.

    Args:
        file: where it is.
        size: side.
        generator: of the random part that is taken; without one it is the middle square.
        skipped: where a picture that had to be enlarged or converted is noted.

    Raises:
        DataError: it cannot be read or decoded.
    """
    picture = open_picture(file.read(), file.name)
    if generator is None:
        crop = centre_crop(picture.width, picture.height)
    else:
        crop = random_crop(picture.width, picture.height, generator)
    square = picture.square(crop, size)
    if skipped is not None:
        skipped.note(file, picture, size)
    return square


class PictureStream:
    """An endless stream of random parts of pictures, in shuffled epochs.

    The picture at a place of the stream follows from the seed alone, for any thread. A picture that
    cannot be decoded is counted, and another takes its place.

    Args:
        files: pictures.
        size: side of the square parts.
        seed: of order, parts and flips.
        workers: threads; by default one a processor, fairly shared with torchrun's others.

    Attributes:
        skipped: pictures that could not be used so far.
    """

    def __init__(
        self, files: Sequence[ImageFile], size: int, *, seed: int, workers: int | None = None
    ) -> None:
        self.files = files
        self.size = size
        self.skipped = Skipped()
        self._seed = seed
        self._order = ShuffledOrder(len(files), seed=seed)
        self._place = 0
        self._waiting: dict[int, Future[NDArray[np.uint8]]] = {}
        self._pool = ThreadPoolExecutor(workers or cores(), "pictures")

    def seek(self, place: int) -> None:
        """Continue from a place: the number of pictures drawn before it."""
        self._drop()
        self._place = place

    def take(self, count: int, rows: slice = slice(None)) -> NDArray[np.uint8]:
        """The next ``count`` pictures ``(count, 3, size, size)``; decoding of later ones begins.

        Args:
            count: pictures.
            rows: which of them are wanted. The others are not decoded, but passed over.

        Raises:
            DataError: one picture after the other cannot be decoded.
        """
        wanted = [self._place + row for row in range(count)[rows]]
        for batch in range(1 + _AHEAD):
            for place in (batch * count + first for first in wanted):
                if place not in self._waiting:
                    item = self._order[place]
                    self._waiting[place] = self._pool.submit(self._decode, place, item)
        out = np.empty((len(wanted), 3, self.size, self.size), dtype=np.uint8)
        for picture, place in zip(out, wanted, strict=True):
            picture[:] = self._waiting.pop(place).result()
        self._place += count
        return out

    def close(self) -> None:
        """Stop decoding ahead."""
        self._drop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _drop(self) -> None:
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    def _decode(self, place: int, item: int) -> NDArray[np.uint8]:
        generator = np.random.default_rng((self._seed, 1, place))
        error: DataError | None = None
        for _ in range(_ATTEMPTS):
            file = self.files[item]
            try:
                return load_square(file, self.size, generator=generator, skipped=self.skipped)
            except DataError as failure:
                error = failure
                self.skipped.reasons[file.name] = str(failure)
            item = int(generator.integers(len(self.files)))
        raise DataError(f"{_ATTEMPTS} pictures in a row cannot be used, the last one: {error}")


def decode_all(
    files: Sequence[ImageFile], size: int, *, skipped: Skipped, workers: int | None = None
) -> Iterator[tuple[ImageFile, NDArray[np.uint8]]]:
    """The middle square of each picture, in order, those that cannot be decoded left out.

    Args:
        files: pictures.
        size: side of the squares.
        skipped: where the others are noted.
        workers: threads; by default one a processor, fairly shared with torchrun's others.
    """
    workers = workers or cores()
    with ThreadPoolExecutor(workers, "pictures") as pool:
        waiting: deque[tuple[ImageFile, Future[NDArray[np.uint8]]]] = deque()
        rest = iter(files)
        while True:
            for file in rest:
                waiting.append((file, pool.submit(load_square, file, size, skipped=skipped)))
                if len(waiting) >= 16 * workers:
                    break
            if not waiting:
                return
            file, future = waiting.popleft()
            try:
                pixels = future.result()
            except DataError as error:
                skipped.reasons[file.name] = str(error)
                continue
            yield file, pixels
