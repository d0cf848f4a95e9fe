"""Nothing that could run a program is loaded, whatever it is called."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bvh import BVHError, dataset
from bvh.arrays import refuse_pickle
from bvh.motion_io import load_motion

ENDINGS = ("bvh", "npz", "npy", "csv", "pkl", "bvh.gz")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_refused_by_name_with_the_reason(
    tmp_path: Path, ending: str, protocol: int
) -> None:
    path = tmp_path / f"walk.{ending}"
    path.write_bytes(pickle.dumps({"poses": Trap(tmp_path / "ran")}, protocol))
    with pytest.raises(BVHError, match=rf"walk\.{ending}: a pickle is not loaded, since it may"):
        load_motion(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("ending", ["bvh", "npz", "npy"])
def test_an_archive_with_a_pickle_is_one(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"body.{ending}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("body/data.pkl", pickle.dumps(Trap(tmp_path / "ran")))
    with pytest.raises(BVHError, match="a pickle is not loaded, since it may run any program"):
        load_motion(path)
    assert not (tmp_path / "ran").exists()


def test_a_folder_leaves_pickles_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONTOK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "evil.npz").write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    with pytest.raises(BVHError, match="a pickle is not loaded, since it may run any program"):
        dataset.load(folder, strict=True)
    assert not (tmp_path / "ran").exists()


def test_what_is_no_pickle_passes(tmp_path: Path) -> None:
    for name, data in {"a.csv": b"0.1,0.2\n", "b.bvh": b"HIERARCHY\n", "c.npy": b""}.items():
        (tmp_path / name).write_bytes(data)
        refuse_pickle(tmp_path / name)
    np.savez(tmp_path / "d.npz", x=np.zeros(3))
    refuse_pickle(tmp_path / "d.npz")
