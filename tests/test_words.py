"""What pages say about this repository is true: paths and modules that they name are there."""

import importlib
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PATH = re.compile(r"(?:csbsr|book|notebooks|tests|benchmarks)/[\w./-]*\w")
MODULE = re.compile(r"csbsr(?:_book)?(?:\.\w+)+")


def code_spans(page: Path) -> set[str]:
    """What stands between backticks in the prose of a page."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = nbformat.reads(text, 4).cells
        text = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    return set(re.findall(r"`([^`\n]+)`", text))


def is_placeholder(name: str) -> bool:
    return bool(re.search(r"\bN+\b|NAME", name))


@pytest.mark.parametrize("page", [*PAGES, *BOOKS], ids=lambda p: p.name)
def test_paths_and_modules_that_a_page_names_are_there(page: Path) -> None:
    for span in code_spans(page):
        if PATH.fullmatch(span) and not is_placeholder(span):
            assert (ROOT / span).exists(), span
        if MODULE.fullmatch(span):
            assert resolves(span), span


def resolves(name: str) -> bool:
    """Whether a dotted name is a module of ours or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_names_resolve_only_where_there_is_something() -> None:
    assert resolves("csbsr.protocol.Protocol.but")
    assert not resolves("csbsr.protocol.magic")
    assert not resolves("csbsr.magic")


def test_nothing_speaks_of_the_house_that_was() -> None:
    old = "repro" + "duce/"
    for folder in ("csbsr", "book", "notebooks", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".ipynb", ".toml", ".html") and path.is_file():
                assert old not in path.read_text(encoding="utf-8"), path
