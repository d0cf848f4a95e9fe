"""Sets of clips: folders, archives and files, each read on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from bvh import dataset, lafan, splits
from bvh.archives import set_name
from bvh.dataset import Dataset, LazyMotions
from bvh.errors import BVHError
from bvh.motion import Motion
from bvh.motion_io import Calibrations
from bvh.normalizer import Calibration
from bvh.reading import Reading
from bvh.remarks import summary
from bvh.sources import stem
from bvh.splits import Split
from motiontok.config import DataConfig
from motiontok.data.motion_digest import motion_digest
from motiontok.data.store.entries import is_store
from motiontok.data.store.reading import Store
from motiontok.errors import DataError

__all__ = [
    "Copies",
    "check_weights",
    "digests_of",
    "find_copies",
    "notes_on",
    "open_sets",
    "read_sets",
    "remarks_on",
    "set_names",
    "shared_calibrations",
    "split_sets",
    "without",
]

Copies = dict[str, str]
"""Names of a set's clips that an earlier set also has, and that set's name."""


def set_names(
    paths: Sequence[Path], *, advice: str = "a set is drawn more often by its weight"
) -> list[str]:
    """Names of sets: stems of folders and archives, with their parents where two agree.

    Args:
        paths: of the sets.
        advice: what to do instead of giving a path twice, for the message.

    Raises:
        DataError: a path is given twice.
    """
    places = [path.expanduser().resolve() for path in paths]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise DataError(f"{paths[number]}: given twice; {advice}")
    names = [set_name(place) for place in places]
    longer: tuple[Callable[[Path], str], ...] = (
        lambda place: f"{place.parent.name}/{set_name(place)}",
        lambda place: f"{place.parent.name}/{place.name}",
        str,
    )
    for name_of in longer:
        count = Counter(names)
        pairs = zip(names, places, strict=True)
        names = [name_of(place) if count[name] > 1 else name for name, place in pairs]
    return names


def open_sets(paths: Sequence[Path]) -> tuple[list[str], list[Path | Dataset]]:
    """Named sets; a store has as many as were packed into it.

    If other sets have the same name, the store's name precedes it.

    Args:
        paths: folders, archives, files and stores.

    Returns:
        Name of each set, and the place of its clips: a path, or the clips of a store.

    Raises:
        DataError: a path is given twice, a store is damaged, or two sets have one name.
    """
    found: list[tuple[str, str, Path | Dataset]] = []
    for name, path in zip(set_names(paths), paths, strict=True):
        if is_store(path.expanduser()):
            sets = Store(path.expanduser()).datasets()
            found += [(of, f"{name}/{of}", clips) for of, clips in sets]
        else:
            found.append((name, name, path))
    count = Counter(short for short, _, _ in found)
    names = [long if count[short] > 1 else short for short, long, _ in found]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(f"two sets are named {twice[0]}: rename the folder of one, or leave it out")
    return names, [clips for _, _, clips in found]


def read_sets(
    paths: Sequence[Path | Dataset],
    *,
    strict: bool = False,
    reading: Reading | None = None,
    calibrations: Calibrations | None = None,
    update: Callable[[int, int], object] | None = None,
) -> list[Dataset]:
    """The clips of each path.

    Sets with clips of one rig share its calibration, so that a file is read alike in each set.

    Args:
        paths: folders, archives or files, and clips of a store, which stay as they were packed.
        strict: an unreadable clip, or a fault in one, is an error.
        reading: how to read the files.
        calibrations: of a tokenizer, to read files as it does; without them rigs are calibrated.
        update: called with files done and files in all, of the sets so far.

    Raises:
        BVHError: nothing is there, or no clip that can be read; it names the path.
        DataError: ``reading`` asks for another reading of a store's clips, or, if strict, the store
            lacks some.
    """
    found: list[Dataset] = []
    before = 0

    def tell(done: int, total: int) -> None:
        if update is not None:
            update(before + done, before + total)

    alone = calibrations is None
    for path in paths:
        if isinstance(path, Dataset):
            found.append(_as_packed(path, reading, strict=strict))
            continue
        found.append(
            dataset.load(
                path,
                progress=tell,
                strict=strict,
                reading=reading,
                calibrations=calibrations,
                calibrate=alone,
            )
        )
        before += len(found[-1]) + len(found[-1].skipped)
    if not alone:
        return found
    shared = shared_calibrations(found)
    for number, (path, of) in enumerate(zip(paths, found, strict=True)):
        other = {
            rig: shared[rig] for rig, own in of.calibrations.items() if _differ(own, shared[rig])
        }
        if other and not isinstance(path, Dataset):
            found[number] = dataset.load(path, strict=strict, reading=reading, calibrations=other)
    return found


def _as_packed(clips: Dataset, reading: Reading | None, *, strict: bool) -> Dataset:
    if reading is not None and reading.digest:
        raise DataError(
            "clips of a store were read when they were packed; to read them otherwise, pack them "
            "again"
        )
    if strict and clips.skipped:
        name, reason = clips.skipped[0]
        raise DataError(f"{name}: {reason}")
    return clips


def shared_calibrations(found: Sequence[Dataset]) -> dict[str, Calibration | None]:
    """The calibration of each rig, from the first set that has one."""
    shared: dict[str, Calibration | None] = {}
    for of in found:
        for rig, calibration in of.calibrations.items():
            shared[rig] = shared.get(rig) or calibration
    return shared


def _differ(own: Calibration | None, shared: Calibration | None) -> bool:
    if own is None or shared is None:
        return own is not shared
    return own is not shared and own.to_dict() != shared.to_dict()


def check_weights(config: DataConfig, names: Sequence[str]) -> None:
    """Refuse weights of sets that do not exist.

    Raises:
        DataError: it names them, and the existing ones.
    """
    unknown = [name for name in config.weights if name not in names]
    if unknown:
        raise DataError(
            f"data.weights: no set {', '.join(unknown)}; of this run are {', '.join(names)}"
        )


def split_sets(
    config: DataConfig, names: Sequence[str], found: Sequence[Dataset], copies: Sequence[Copies]
) -> list[Split]:
    """Training and held-out clips of each set.

    A set is split as if it were alone, and copies leave both parts. So held-out clips do not change
    with the other sets. Only if all held-out clips are copies, the rest is split anew.

    Args:
        config: with the kind of split.
        names: of the sets.
        found: their clips.
        copies: clips that earlier sets have.

    Raises:
        DataError: a set would be empty, or no set has an action to hold out.
    """
    several = len(found) > 1
    wanted = [name.strip() for name in config.holdout_actions.split(",") if name.strip()]
    there = [{splits.parse_name(clip).action for clip in of.names} for of in found]
    missing = set(wanted).difference(*there)
    if missing and several:
        raise DataError(
            f"data.holdout_actions: no set has clips of {', '.join(sorted(missing))}: the sets are "
            f"{', '.join(names)}"
        )
    out = []
    for name, of, has, copied in zip(names, found, there, copies, strict=True):
        actions = [action for action in wanted if action in has or not several]
        try:
            split = _split(config, of, actions, several=several)
            train, held_out = (without(part, copied) for part in split)
            if copied and not held_out.motions:
                train, held_out = _split(config, without(of, copied), [], several=several)
        except BVHError as error:
            raise DataError(f"{name}: {error}") from None
        out.append(Split(train, held_out))
    return out


def _split(config: DataConfig, of: Dataset, actions: Sequence[str], *, several: bool) -> Split:
    """One set's split; among several sets, a set of one clip is only trained on."""
    whole = set(lafan.DAPS_VALIDATION) <= {stem(clip) for clip in of.names}
    if config.dataset == "lafan" and whole:
        return lafan.daps_split(of)
    if actions:
        return splits.by_action(of, actions)
    if several and len(of) == 1:
        return Split(of, of.take([]))
    return splits.every_nth(of, config.holdout)


def without(clips: Dataset, copies: Copies) -> Dataset:
    """The clips without those of earlier sets."""
    return clips.take(i for i, name in enumerate(clips.names) if name not in copies)


def find_copies(sets: Sequence[Dataset], names: Sequence[str]) -> list[Copies]:
    """Clips that an earlier set also has, by their files' contents or by their motion.

    The same file may be normalised a little differently beside other clips of its rig, and equal
    motions may be written in different files.

    Args:
        sets: of clips.
        names: of the sets.

    Raises:
        DataError: a set has nothing else.
    """
    if len(sets) == 1:
        return [{}]
    seen: dict[str, str] = {}
    out: list[Copies] = []
    for clips, name in zip(sets, names, strict=True):
        keys = list(zip(clips.digests, digests_of(clips.motions), strict=True))
        found = {
            clip: next(seen[key] for key in of_clip if key in seen)
            for clip, of_clip in zip(clips.names, keys, strict=True)
            if not seen.keys().isdisjoint(of_clip)
        }
        if len(found) == len(clips):
            raise DataError(
                f"{name}: each of its {len(clips)} clips is in {_listed(found.values())} already; "
                "leave it out"
            )
        for key in (key for of_clip in keys for key in of_clip):
            seen.setdefault(key, name)
        out.append(found)
    return out


def notes_on(copies: Sequence[Copies], names: Sequence[str]) -> tuple[str, ...]:
    """A line on each set that shares clips with earlier sets."""
    out = []
    for found, name in zip(copies, names, strict=True):
        if not found:
            continue
        clip, where = next(iter(found)), _listed(found.values())
        many = f"{len(found)} clips, such as {clip}, are in {where} too, and count once, there"
        one = f"{clip} is in {where} too, and counts once, there"
        out.append(f"{name}: {one if len(found) == 1 else many}")
    return tuple(out)


def remarks_on(sets: Sequence[Dataset], names: Sequence[str]) -> list[str]:
    """A few lines on faults and assumptions in the files of each set."""
    several = len(sets) > 1
    return [
        f"{name}: {line}" if several else line
        for of, name in zip(sets, names, strict=True)
        for line in summary(of.remarks, clips=len(of))
    ]


def _listed(names: Collection[str]) -> str:
    return " and ".join(dict.fromkeys(names))


def digests_of(motions: Sequence[Motion]) -> list[str]:
    """Digest of each motion; motions that differ in single precision have different ones."""
    return (
        motions.digests if isinstance(motions, LazyMotions) else list(map(motion_digest, motions))
    )
