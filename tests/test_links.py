"""Links and paths that pages and code name lead to what is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(p for d in ("docs", "motiontok") for p in sorted((ROOT / d).rglob("*.md"))),
]
CODE = [
    path
    for folder, ending in (
        ("bvh", "*.py"),
        ("motiontok", "*.py"),
        ("tools", "*.py"),
        ("examples", "*.py"),
        ("configs", "*.toml"),
    )
    for path in sorted((ROOT / folder).rglob(ending))
]


def prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Names of a page's headings, as GitHub makes them."""
    found: list[str] = []
    names: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower().strip()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.append(f"{name}-{names.count(name)}" if name in names else name)
        names.append(name)
    return frozenset(found)


def leads_nowhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    return not there.exists() or (bool(anchor) and anchor not in anchors(there))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    targets = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith("http")]
    assert [t for t in targets if leads_nowhere(page, t)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # It names files as they were.
    places = "bvh|motiontok|tools|tests|examples|configs|docs"
    named = set(re.findall(rf"(?<![\w/.-])(?:{places})/[\w/-]+\.(?:py|toml|md)\b", prose(page)))
    assert [n for n in sorted(named) if not (ROOT / n).exists()] == []


def test_pages_that_code_names_are_there() -> None:
    named = {
        (file.relative_to(ROOT).as_posix(), target)
        for file in CODE
        for target in re.findall(r"docs/[\w/-]+\.md(?:#[\w-]+)?", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert [at for at in sorted(named) if leads_nowhere(ROOT / "README.md", at[1])] == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title\n\n```\n# no heading\n```\n## `code`, and more\n## A title\n")
    assert anchors(page) == {"a-title", "code-and-more", "a-title-1"}
    assert not leads_nowhere(page, "#a-title-1")
    assert leads_nowhere(page, "#no-heading")
    assert leads_nowhere(page, "other.md")
