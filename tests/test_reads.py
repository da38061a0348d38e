"""What a chapter reads: an edit runs the chapters again that it concerns, and no other."""

import json
import shutil
import tomllib
from pathlib import Path

import nbformat
import pytest

from csbsr.cli import main
from csbsr.study.run import Request
from csbsr_book.paper.ledger import LEDGER
from csbsr_book.site import build
from csbsr_book.site.build import BookRequest, build_book, notebook_keys
from csbsr_book.site.reads import SUFFIXES, Library, mentions

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what notebooks read."""
    root = tmp_path_factory.mktemp("checkout")
    leave = shutil.ignore_patterns("__pycache__", "_build")
    for name in ("csbsr", "book/csbsr_book", "notebooks", "benchmarks/results"):
        shutil.copytree(ROOT / name, root / name, ignore=leave)
    shutil.copy2(ROOT / "requirements.lock", root)
    return root


def rerun(root: Path, file: str, text: str) -> set[str]:
    """Chapters whose key changes when `text` is added to a file; the file is left as it was."""
    path, before = root / file, notebook_keys(BookRequest(root))
    old = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((old or b"") + text.encode())
    after = notebook_keys(BookRequest(root))
    path.unlink() if old is None else path.write_bytes(old)
    return {Path(name).stem for name in before if before[name] != after[name]}


def importing(module: str) -> set[str]:
    """Chapters whose code names a module, by a plain search."""
    found = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, 4).cells
        if any(module in cell.source for cell in cells if cell.cell_type == "code"):
            found.add(path.stem)
    return found


def test_an_edit_of_a_chapters_module_runs_its_importers_and_no_other(copied: Path) -> None:
    changed = rerun(copied, "book/csbsr_book/chapters/losses.py", "\n# a word\n")
    assert changed == importing("chapters import losses") == {"04-boundary-combo-loss"}
    changed = rerun(copied, "book/csbsr_book/chapters/example_crack.py", "\n# a word\n")
    assert changed >= importing("example_crack")
    assert "10-beta" not in changed


def test_an_edit_of_the_training_runs_no_chapter_that_trains_nothing(copied: Path) -> None:
    changed = rerun(copied, "csbsr/training/loop.py", "\n# a word\n")
    assert {"07-training-strategy", "09-comparison", "14-real-degradations"} <= changed
    assert not changed & {"02-related-work", "04-boundary-combo-loss", "a1-metrics", "a2-datasets"}


def test_late_imports_and_imports_of_imports_count(copied: Path) -> None:
    changed = rerun(copied, "csbsr/metrics/plain.py", "\n# a word\n")
    assert "a1-metrics" in changed
    late = "\ndef late():\n    from csbsr_book.chapters import losses\n"
    module = copied / "book/csbsr_book/chapters/example_crack.py"
    old = module.read_text()
    module.write_text(old + late)
    try:
        changed = rerun(copied, "book/csbsr_book/chapters/losses.py", "\n# a word\n")
    finally:
        module.write_text(old)
    assert changed >= importing("example_crack")


def test_an_edit_of_a_toml_runs_its_readers(copied: Path) -> None:
    changed = rerun(copied, "book/csbsr_book/paper/deviations.toml", "\n# a word\n")
    assert changed == importing("chapters import ledger")
    assert "a7-deviations" in changed
    changed = rerun(copied, "csbsr/study/profiles/quick.toml", "\n# a word\n")
    assert {"08-experimental-setup", "a8-cost"} <= changed
    changed = rerun(copied, "book/csbsr_book/paper/table-5.toml", "\n# a word\n")
    assert "12-sr-weights" in changed
    assert "a9-environment" not in changed


def test_declared_files_count(copied: Path) -> None:
    changed = rerun(copied, "benchmarks/results/networks.json", " ")
    assert changed == {"06-blur-skip", "a3-networks-sr", "a4-networks-segmentation"} | importing(
        "reference as"
    )
    assert "a10-api" in rerun(copied, "csbsr/cli.py", "\n# a word\n")


def test_a_changed_result_runs_only_the_chapters_that_read_results(copied: Path) -> None:
    changed = rerun(copied, "results/quick/x/reproduction/y-seed0.json", "{}")
    assert {"09-comparison", "10-beta", "15-conclusions", "a5-claims"} <= changed
    library, books = Library.of(copied), (copied / "notebooks").glob("*.ipynb")
    readers = {path.stem for path in books if library.reads_of(path).results}
    without = {"02-related-work", "04-boundary-combo-loss", "05-sr-loss-weights", "06-blur-skip"}
    assert not readers & (without | {"a1-metrics", "a2-datasets", "a3-networks-sr"})
    assert changed == readers
    assert rerun(copied, "results/smoke/x/y/z-seed0.json", "{}") == set()


def test_lock_parameters_images_and_the_notebook_itself_count(copied: Path, tmp_path: Path) -> None:
    everything = {p.stem for p in (copied / "notebooks").glob("*.ipynb")}
    assert rerun(copied, "requirements.lock", "\n# a word\n") == everything
    assert rerun(copied, "notebooks/09-comparison.ipynb", " ") == {"09-comparison", "course"}
    (tmp_path / "a.png").write_bytes(b"1")
    keys = [
        notebook_keys(request)["09-comparison.ipynb"]
        for request in (
            BookRequest(copied),
            BookRequest(copied, profile="quick"),
            BookRequest(copied, seed=1),
            BookRequest(copied, data=str(tmp_path)),
            BookRequest(copied, natural=str(tmp_path)),
        )
    ]
    (tmp_path / "a.png").write_bytes(b"12")
    keys.append(notebook_keys(BookRequest(copied, data=str(tmp_path)))["09-comparison.ipynb"])
    assert len(set(keys)) == len(keys)


def test_every_data_file_of_the_packages_has_a_reader() -> None:
    """A file that no module names would change without any chapter noticing."""
    read, library = set(), Library.of(ROOT)
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        read |= library.reads_of(notebook).files
    for folder in (ROOT / "csbsr", ROOT / "book" / "csbsr_book"):
        for path in folder.rglob("*"):
            named = path.suffix in SUFFIXES and not path.name.startswith(".")
            if named and path.name not in RENDERING and path not in UNSHOWN:
                assert path in read, f"{path.relative_to(ROOT)} is read by no chapter"


UNSHOWN = (LEDGER, ROOT / "csbsr" / "data" / "published.toml")
"""Expected verdicts, which a test compares; addresses, which `csbsr data fetch` reads."""
RENDERING = ("folded.html", "symbol.html", "terms.toml")
"""Read by the Sphinx extension when pages are rendered; they change no chapter."""


def test_every_data_file_is_installed_with_its_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for name, folder in (("csbsr", ROOT / "csbsr"), ("csbsr_book", ROOT / "book" / "csbsr_book")):
        shipped = {p for glob in patterns["package-data"][name] for p in folder.glob(glob)}
        for path in folder.rglob("*"):
            kept = path.suffix in SUFFIXES and not path.name.startswith(".")
            if kept and path != LEDGER:
                assert path in shipped, f"{path.relative_to(ROOT)} is missing in package-data"


def test_what_stands_in_a_source() -> None:
    said = mentions(
        "from typing import TYPE_CHECKING\n"
        "import a.b\n"
        "if TYPE_CHECKING:\n    from c import d\n"
        'READS = ("x/*.json",)\n'
        'def f(n):\n    "A docstring about e.toml."\n    from g import h\n'
        '    return "page.html", f"table-{n}.toml", "no file. toml"\n',
        "here",
    )
    assert said.imports == {"typing", "typing.TYPE_CHECKING", "a.b", "g", "g.h"}
    assert said.files == {"page.html", "table-*.toml"}
    assert said.declared == ("x/*.json",)
    with pytest.raises(ValueError, match=r"there: not Python, line 1"):
        mentions("a b", "there")
    with pytest.raises(ValueError, match="relative import"):
        mentions("from . import a", "there")


def test_a_cell_that_is_no_python_is_named(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    cell = {"cell_type": "code", "source": ["%magic"]}
    path = tmp_path / "notebooks" / "x.ipynb"
    path.write_text(json.dumps({"cells": [cell]}))
    with pytest.raises(ValueError, match=r"x\.ipynb: not Python"):
        Library.of(tmp_path).reads_of(path)


def test_no_jobs_are_refused_before_anything_runs(monkeypatch, capsys) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise AssertionError("an experiment was run")

    monkeypatch.setattr(build, "run_experiments", fail)
    for jobs in (0, -1):
        with pytest.raises(ValueError, match="--jobs must be at least 1"):
            build_book(Request(), jobs=jobs)
    assert main(["book", "--jobs", "0"]) == 2
    assert capsys.readouterr().err == "csbsr: --jobs must be at least 1, not 0\n"
