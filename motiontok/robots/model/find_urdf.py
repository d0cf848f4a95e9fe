"""Finding the description of a shipped robot, in a package or a cache; it is never fetched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from motiontok.errors import MissingDependencyError, RobotError
from motiontok.robots.model.maps import RobotMap

__all__ = ["find_description"]

# Repositories that `robot_descriptions` keeps, and a module of it whose import fetches one.
_CACHED = {"unitree_ros": "g1_description"}
# Modules of robots that have their own; it fetches the same repository.
_OWN = {"h1": "h1_description", "h1_2": "h1_2_description"}


def find_description(map: RobotMap) -> Path:
    """The URDF that a map names.

    A relative path is taken from the map's folder, from example-robot-data's robots, and from the
    cache of the package robot_descriptions.

    Raises:
        RobotError: it is not found; the message says how to get it.
        MissingDependencyError: it comes with example-robot-data, which is not installed.
    """
    if not map.urdf:
        raise RobotError(f"{map.path or map.name}: no urdf stated")
    repository = "".join(Path(map.urdf).parts[:1])  # "." has none
    if repository in _CACHED:
        return _cached(map, repository)
    candidates = [Path(map.urdf)] if Path(map.urdf).is_absolute() else []
    if map.path is not None:
        candidates.append(map.path.parent / map.urdf)
    shares = [Path(p) / "cmeel.prefix" / "share" for p in sys.path]
    shares += [Path(sys.prefix) / "share"]
    folders = [s / "example-robot-data" / "robots" for s in shares]
    candidates += [f / map.urdf for f in folders]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not any(f.is_dir() for f in folders):
        raise MissingDependencyError(
            f"{map.name} needs the package example-robot-data; run: pip install 'motiontok[robot]'"
        )
    raise RobotError(f"{map.path or map.name}: robot description {map.urdf} not found")


def _cached(map: RobotMap, repository: str) -> Path:
    named = os.environ.get("ROBOT_DESCRIPTIONS_CACHE") or "~/.cache/robot_descriptions"
    cache = Path(named).expanduser()
    # A clone of a commit that was asked for lies in unitree_ros-COMMIT/unitree_ros.
    roots = [cache, *sorted(cache.glob(f"{repository}-*"))]
    for root in roots:
        if (root / map.urdf).is_file():
            return root / map.urdf
    held = next((root / repository for root in roots if (root / repository).is_dir()), None)
    if held is not None:
        raise RobotError(
            f"{map.name}: its description, {map.urdf}, is not in {held}; give its path in place "
            f"of the name: --robot path/to/{Path(map.urdf).name}"
        )
    module = _OWN.get(map.name, _CACHED[repository])
    raise RobotError(
        f"{map.name}: its description does not come with this package; give its path in place of "
        f"the name: --robot path/to/{Path(map.urdf).name}, or cache it once, from the network: "
        f'pip install robot_descriptions && python -c "import robot_descriptions.{module}"'
    )
