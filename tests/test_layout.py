"""Folders are rooms, and imports go one way."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "bvh").rglob("*.py"), *(ROOT / "motiontok").rglob("*.py")])

# Where a room stands: it may import rooms of its own number and below.
RANKS = {
    "errors": -2,
    "lazy_imports": -2,
    "locks": -1,
    "memory_shortage": -1,
    "encoding_limits": 0,
    "sampling_defaults": 0,
    "settings": 0,
    "paths": 0,
    "progress": 0,
    "shards": 0,
    "tensor_digest": 0,
    "plotting": 1,
    "cluster": 1,
    "config": 1,
    "config_checks": 0,
    "data": 2,
    "models": 3,
    "methods": 4,
    "training": 5,
    "codes": 5,
    "tokens": 6,
    "tokenizer": 6,
    "corpus": 7,
    "prior": 7,
    "robots": 7,
    "render": 8,
    "motion_io": 8,
    "evaluate": 8,
    "export": 8,
    "images": 8,
    "lerobot": 8,
    "serve": 8,
    "runs": 9,
    "demonstration": 9,
    "cli": 10,
}


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(name: str) -> str:
    """``motiontok.data.windows`` is in the room ``data``."""
    return name.split(".")[1] if "." in name else ""


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path, *, lazy: bool = True) -> tuple[str, ...]:
    """Modules that a file imports, as absolute names; without lazy, at the top level only."""
    left_out = {
        id(node)
        for block in ast.walk(parsed(path))
        if (isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test))
        or (not lazy and isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef))
        for node in ast.walk(block)
    }
    found: list[str] = []
    for node in ast.walk(parsed(path)):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
    return tuple(found)


def test_bvh_stands_alone():
    """numpy and the standard library, nothing else."""
    outer = {"motiontok", "torch", "scipy", "click", "rich", "safetensors", "pinocchio", "trimesh"}
    wrong = [
        f"{module(path)} imports {name}"
        for path in SOURCES
        if module(path).startswith("bvh")
        for name in imports(path)
        if name.partition(".")[0] in outer
    ]
    assert not wrong


def test_every_room_has_its_place():
    rooms = {room(module(p)) for p in SOURCES if module(p).startswith("motiontok.")}
    assert rooms - {"__main__"} <= RANKS.keys(), "give a new room its place in RANKS"


def test_imports_go_one_way():
    wrong = []
    for path in SOURCES:
        own = room(module(path))
        if not module(path).startswith("motiontok.") or own == "__main__":
            continue
        for name in imports(path):
            other = room(name)
            if not name.startswith("motiontok.") or other == own:
                continue
            if RANKS[other] > RANKS[own] or (RANKS[other] == RANKS[own] and RANKS[own] < 5):
                wrong.append(f"{module(path)} imports {name}")
    assert not wrong


def test_nothing_imports_the_command_line():
    wrong = [
        f"{module(path)} imports {name}"
        for path in SOURCES
        if module(path) != "motiontok.__main__" and room(module(path)) != "cli"
        for name in imports(path)
        if name.startswith("motiontok.cli")
    ]
    assert not wrong


def test_commands_import_what_is_heavy_when_they_run():
    light = ("cli", "encoding_limits", "errors", "paths", "sampling_defaults")
    heavy = {"bvh", "torch", "numpy", "scipy", "pinocchio", "pyrender", "matplotlib", "rich"}
    wrong = [
        f"{module(path)} imports {name}"
        for path in SOURCES
        if room(module(path)) == "cli"
        for name in imports(path, lazy=False)
        if name.partition(".")[0] in heavy
        or (
            name.startswith("motiontok")
            and not f"{name}.".startswith(tuple(f"motiontok.{m}." for m in light))
        )
    ]
    assert not wrong


def test_robots_stores_and_clients_need_no_torch():
    """It takes longer to import than all that their processes need else."""
    sources = {module(path): path for path in SOURCES}
    waiting = [name for name in sources if room(name) == "robots"]
    waiting += ["motiontok.data.store.writing", "motiontok.motion_io", "motiontok.serve.client"]
    named, seen = set(waiting), set(waiting)
    while waiting:
        found = imports(sources[waiting.pop()], lazy=False)
        named |= set(found)
        # With a module its packages are imported.
        parts = (name.split(".") for name in found)
        packages = {".".join(p[:n]) for p in parts for n in range(1, len(p) + 1)}
        new = packages & sources.keys() - seen
        seen |= new
        waiting += new
    assert "motiontok.data.easing" in seen
    # Names of motiontok.data itself are of modules that import torch.
    assert not named & {"torch", "motiontok.data"}


def test_no_module_is_in_a_loop():
    """A module that is being imported is never needed by what it imports."""
    names = {module(p) for p in SOURCES}
    graph = {
        module(p): {n for n in imports(p, lazy=False) if n in names and n != module(p)}
        for p in SOURCES
        # A package's __init__ gathers what its modules define.
        if p.name != "__init__.py"
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for needed in graph.get(name, ()):
                visit(needed, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_nothing_is_ever_unpickled():
    wrong = []
    for path in SOURCES:
        names = {name.partition(".")[0] for name in imports(path)}
        if names & {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}:
            wrong.append(module(path))
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            trusting = (
                called in ("np.load", "numpy.load") and options.get("allow_pickle") != "False"
            )
            if called == "torch.load" or trusting:
                wrong.append(f"{path}:{node.lineno}")
    assert not wrong


def test_files_are_of_a_size_to_be_read():
    lines = {module(p): len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES}
    assert not {name: count for name, count in lines.items() if count > 400}


def test_tests_lie_in_folders_of_the_package():
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert not [str(folder) for folder in folders if not (ROOT / folder).is_dir()]


def test_modules_say_what_they_are_for():
    assert not [module(path) for path in SOURCES if not ast.get_docstring(parsed(path))]


def test_no_two_test_files_share_a_name():
    """Else a reader cannot tell which of them a failure names."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
