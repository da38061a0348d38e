"""Doors to a chapter: one address, a first cell that installs, one cell of parameters that acts."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
import yaml

from csbsr_book.site.doors import (
    FIRST,
    METADATA,
    configured,
    first_cell,
    one_set_of_parameters,
    prepare,
    repository_url,
)
from csbsr_book.site.execute import execute

ROOT = Path(__file__).parents[1]
BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
FILES = [
    *ROOT.glob("*.md"), *ROOT.glob("*.cff"), *(ROOT / "book").glob("*.md"), *BOOKS,
    *(ROOT / ".github").rglob("*.yml"),
]  # fmt: skip


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_every_notebook_installs_the_book_where_it_is_missing(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].id == FIRST
    assert notebook.cells[0].source == first_cell(ADDRESS)
    assert {key: notebook.metadata[key] for key in METADATA} == METADATA
    assert not prepare(notebook, ADDRESS), "a second time changes nothing"


def test_the_first_cell_fetches_this_commit_and_nothing_where_the_package_is() -> None:
    source = first_cell("https://example.org/wall", "0123abc")
    assert "https://example.org/wall" in source
    assert "0123abc" in source
    tree = ast.parse(source)
    installs = tree.body[-1]
    assert isinstance(installs, ast.If)
    assert "find_spec" in ast.unparse(installs.test)
    assert len(tree.body) == 2, "everything but an import stands under the condition"


def test_one_setting_holds_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CSBSR_REPOSITORY", raising=False)
    assert repository_url(ROOT) == ADDRESS
    assert repository_url(tmp_path) == ""
    monkeypatch.setenv("CSBSR_REPOSITORY", "https://example.org/fork/")
    assert repository_url(ROOT) == "https://example.org/fork"
    text = (ROOT / "_config.yml").read_text(encoding="utf-8")
    changed = yaml.safe_load(configured(text, "https://example.org/fork"))
    assert changed["repository"]["url"] == "https://example.org/fork"
    assert changed == yaml.safe_load(text) | {"repository": changed["repository"]}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_into_the_repository_point_at_files_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for kind, place in re.findall(rf"{re.escape(ADDRESS)}/(blob|tree|raw)/[\w.]+/([\w./-]+)", text):
        assert (ROOT / place).exists(), f"{kind}: {place}"


def test_launch_buttons_find_their_notebooks() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert config["launch_buttons"]["colab_url"].startswith("https://colab.research.google.com")
    folder = ROOT / config["repository"]["path_to_book"]
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]
    for page in pages:
        assert any((folder / f"{page}{suffix}").exists() for suffix in (".md", ".ipynb")), page


def test_a_downloaded_notebook_has_one_cell_of_parameters_and_it_acts(tmp_path: Path) -> None:
    cells = [
        nbformat.v4.new_code_cell('size = 1\nname = "a"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(size, name)"),
    ]
    source, target = tmp_path / "a.ipynb", tmp_path / "out" / "a.ipynb"
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "-"}},
    )
    nbformat.write(notebook, source)
    execute(source, target, {"size": 2})
    made = nbformat.read(target, as_version=4)
    assert made.cells[0].source.splitlines() == ["size = 2", 'name = "a"']
    assert made.cells[1].outputs[0].text == "2 a\n"
    made.cells[0].source = made.cells[0].source.replace("2", "3")
    nbformat.write(made, source)
    execute(source, target, {})
    assert nbformat.read(target, as_version=4).cells[1].outputs[0].text == "3 a\n"


def test_a_notebook_without_parameters_stays_as_it_is() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    before = nbformat.writes(notebook)
    one_set_of_parameters(notebook)
    assert nbformat.writes(notebook) == before


def test_every_workflow_is_a_workflow() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert found["jobs"], path.name
        assert found[True], f"{path.name} says when it runs"  # YAML reads `on` as true


def test_versions_agree() -> None:
    from csbsr import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
