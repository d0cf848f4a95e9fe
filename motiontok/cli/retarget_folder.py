"""``motiontok retarget FOLDER``: clips, codes and robots' motion onto a robot; resumable."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from motiontok.cli.folder_codes import CodesDecoder, codes_in
from motiontok.cli.outputs import refuse_inputs
from motiontok.cli.sources import load_motion, print_notes
from motiontok.cli.trajectories import is_trajectory
from motiontok.errors import InputError

if TYPE_CHECKING:
    from bvh import Motion
    from bvh.reading import Settings
    from motiontok.cli.layouts import Layout
    from motiontok.robots import Robot
    from motiontok.robots.reports.ledger import Line

__all__ = ["retarget_folder"]


def retarget_folder(
    source: Path,
    output: Path,
    robot: Robot,
    read: dict[str, Any],
    layout: Layout,
    *,
    suffix: str,
    tokenizer: str | None,
    bounds: Mapping[str, float],
    ground: list[list[float]] | None,
    as_json: bool,
) -> None:
    """Put every clip, robot's trajectory and file of codes of a folder on a robot, on all cores.

    A trajectory is written, and entered in the ledger with its report, as soon as it is
    there. Clips whose content and settings are in the ledger are left alone.

    Args:
        source, output: folders.
        robot: the robot.
        read: how clips are read, for :func:`load_motion`.
        layout: of the files.
        suffix: of their names.
        tokenizer: of codes in the folder; by default the one that they name.
        bounds: clips whose figures are beyond are left out.
        ground: as for :func:`motiontok.robots.retarget`.
        as_json: print the reports as JSON.
    """
    from bvh import BVHError
    from bvh.archives import result_names
    from bvh.reading import Settings
    from bvh.remarks import summary as in_few_lines
    from motiontok.locks import locked
    from motiontok.progress import progress
    from motiontok.robots import retarget_and_evaluate_all
    from motiontok.robots.reports.ledger import (
        LEDGER,
        Line,
        digest,
        exceeded,
        read_ledger,
        write_ledger,
    )
    from motiontok.shards import make_folder

    if output.suffix in (".npz", ".csv"):
        raise InputError(f"{output}: SOURCE is a folder, so the output must be a folder too")
    coded = set(codes_in(source))
    files = _files_in(source, coded)
    written = _results_among(files, source, output)
    files = [file for file in files if file not in written]
    if not files:
        raise InputError(f"{source}: no motions in this folder but those that retarget wrote")
    results = result_names(files, suffix)
    refuse_inputs((output / name for name in results.values()), (source / file for file in files))
    print_notes(_left_out(written, source, output, set(results.values())))
    decode = CodesDecoder(tokenizer)
    broken: list[str] = []
    settings = Settings(read["reading"])
    how = _settings(robot, read, layout, bounds, ground)
    make_folder(output, "a folder of clips goes")
    remarks: list[tuple[str, str]] = []
    with locked(output, "retargeting into this folder"):
        old, done, hashes = read_ledger(output), {}, {}
        for file in files:
            hashes[file] = digest(*_contents(source / file, settings))
            line = old.get(file)
            same = line is not None and (line.sha256, line.how) == (hashes[file], how)
            if line is not None and same and (line.left_out or (output / line.output).is_file()):
                done[file] = line
        write_ledger(output, list(done.values()))
        # Reading runs ahead of solving: names wait here until their trajectories come.
        names: deque[str] = deque()

        def motions() -> Iterator[Motion]:
            for file in files:
                if file in done:
                    continue
                try:
                    motion = (
                        decode(source / file)
                        if file in coded
                        else load_motion(source / file, tell=remarks.append, **read)
                    )
                except (BVHError, InputError) as error:
                    broken.append(str(error))
                    continue
                if not len(motion):
                    broken.append(f"{source / file}: has no frames")
                    continue
                names.append(file)
                yield motion

        there = set(done)
        before = len(there)
        left = before < len(files)
        results_of = (
            retarget_and_evaluate_all(motions(), robot, at_rate=layout.at_rate, ground=ground)
            if left
            else ()
        )
        with (
            (output / LEDGER).open("a", encoding="utf-8") as ledger,
            progress("inverse kinematics", len(files) + len(broken)) as update,
        ):
            if before:
                update(before, before=before)
            for trajectory, report in results_of:
                file = names.popleft()
                beyond = exceeded(report, bounds)
                path = output / results[file]
                if beyond:
                    path.unlink(missing_ok=True)
                else:
                    layout.save(trajectory, robot, path)
                frames, fps = len(trajectory), trajectory.fps
                name = "" if beyond else results[file]
                line = Line(file, hashes[file], how, name, frames, fps, beyond, report.to_dict())
                done[file] = line
                ledger.write(line.text())
                ledger.flush()
                update(len(done) + len(broken), results[file])
    print_notes(in_few_lines(remarks, clips=len(files)))
    for text in broken:
        click.echo(f"skipped {text}", err=True)
    if not done:
        raise InputError(f"{source}: none of {len(files)} files could be used")
    if read["strict"] and broken:
        raise InputError(f"{source}: {len(broken)} of its files were not used, with --strict")
    lines = [done[f] for f in files if f in done]
    _tell(source, output, robot, lines, broken, there=there, as_json=as_json)


def _files_in(source: Path, coded: Set[str]) -> list[str]:
    """Relative paths of the files of motion and of codes, in natural order.

    Raises:
        BVHError: there are none.
    """
    from bvh.archives import find_motion_files, natural_key
    from bvh.clip_files import names_in

    if not coded:
        return names_in(source)
    return sorted([*find_motion_files(source), *coded], key=natural_key)


def _results_among(files: Sequence[str], source: Path, output: Path) -> dict[str, Path | None]:
    """Robots' trajectories that are no sources, each with the ledger's folder that names it.

    They are the results of this command, in the output or a folder below the source, and all other
    files in the output. Results are put on another robot where their folder is the source.
    """
    from motiontok.robots.reports.ledger import LEDGER, read_ledger

    solved = [file for file in files if is_trajectory(source / file)]
    below = {source / p for file in solved for p in PurePosixPath(file).parents if p.name}
    ledger_of = {
        (folder / line.output).resolve(): folder
        for folder in (*below, output)
        if (folder / LEDGER).is_file()
        for line in read_ledger(folder).values()
    }
    places = {file: (source / file).resolve() for file in solved}
    inside = output.resolve()
    return {
        file: ledger_of.get(place)
        for file, place in places.items()
        if place in ledger_of or inside in place.parents
    }


def _left_out(
    written: Mapping[str, Path | None], source: Path, output: Path, results: set[str]
) -> Iterator[str]:
    """Notes on trajectories that are no sources, except for results in the output."""
    inside = output.resolve()
    for folder, count in Counter(written.values()).items():
        if folder is not None and folder.resolve() != inside:
            yield f"{folder}: left out {count} trajectories that retarget wrote there"
    for file, folder in written.items():
        # A killed run may have written a result without entering it.
        name = (source / file).resolve().relative_to(inside) if folder is None else None
        if name is not None and name.as_posix() not in results:
            yield f"{source / file}: left out, as it lies among the results; give another OUTPUT"


def _contents(path: Path, settings: Settings) -> Iterator[bytes | str]:
    """All that a file's motion depends on, except for the settings of all files."""
    from bvh.archives import table_sidecar
    from bvh.arrays import is_npy

    yield path.read_bytes()
    if (sidecar := table_sidecar(path)) is not None:
        yield sidecar.read_bytes()
    if is_npy(path):
        yield path.with_suffix(".json").read_bytes()
    if settings.file_of(path) is not None:
        yield settings.of(path).digest


def _settings(
    robot: Robot,
    read: dict[str, Any],
    layout: Layout,
    bounds: Mapping[str, float],
    ground: list[list[float]] | None,
) -> str:
    """Digest of all that a result depends on, the clip aside."""
    from motiontok.robots.reports.ledger import digest

    reading = read["reading"]
    described = robot.map.path.read_bytes() if robot.map.path is not None else b""
    joints = Path(layout.joints)
    order = joints.read_bytes() if joints.is_file() else b""
    return digest(
        robot.urdf.read_bytes(),
        " ".join(sorted(robot.lost)),
        # Ledgers of robots without meshes once had zeros.
        "" if robot.measures_self_collision else "self-collision not measured",
        described,
        json.dumps(dict(robot.map.follow)),
        repr(layout),
        order,
        "" if reading is None else reading.digest,
        json.dumps([dict(bounds), ground], sort_keys=True),
    )


def _tell(
    source: Path,
    output: Path,
    robot: Robot,
    lines: list[Line],
    broken: list[str],
    *,
    there: Set[str],
    as_json: bool,
) -> None:
    from motiontok.robots import Report
    from motiontok.robots.reports.ledger import LEDGER

    kept = [line for line in lines if not line.left_out]
    for line in lines:
        if line.left_out:
            click.echo(f"left out {source / line.file}: {line.left_out}", err=True)
    if not kept:
        raise InputError(
            f"{source}: all {len(lines)} clips are beyond --max; see {output / LEDGER}"
        )
    frames = [line.frames for line in kept]
    old = sum(line.file in there for line in kept)
    together = Report.of_many([line.figures() for line in kept], frames)
    if not as_json:
        click.echo(together.table())
        if len(kept) > 1:
            worst = max(kept, key=lambda line: line.figures().position_error)
            error = 100 * worst.figures().position_error
            click.echo(f"worst clip: {source / worst.file}, position error {error:.2f} cm mean")
        left = f", {len(lines) - len(kept)} left out" if len(kept) < len(lines) else ""
        click.echo(
            f"wrote {len(kept) - old} trajectories{f', {old} were there already' if old else ''}"
            f"{left}, {sum(frames)} frames for {robot.name} to {output}"
        )
        return
    rows = [
        {
            "source": str(source / line.file),
            "output": str(output / line.output),
            "frames": line.frames,
            "fps": line.fps,
            **line.report,
        }
        for line in kept
    ]
    summary = {
        "output": str(output),
        "robot": robot.name,
        "written": len(kept),
        "skipped": broken,
        "left_out": {str(source / e.file): e.left_out for e in lines if e.left_out},
        "frames": sum(frames),
        **together.to_dict(),
        "files": rows,
    }
    click.echo(json.dumps(summary, indent=2))
