"""From notebook to page: the gate refuses what Jupyter Book would show without a word."""

import ast
from pathlib import Path

import nbformat
import pytest

from csbsr.study.provenance import repository_root
from csbsr_book.site.build import BookRequest, notebook_with, run_notebooks
from csbsr_book.site.execute import execute, gate

ROOT = Path(__file__).parents[1]


def notebook(*sources: str) -> nbformat.NotebookNode:
    parameters = nbformat.v4.new_code_cell(
        'profile = "smoke"\nseed = 0\ndata = "synthetic"', metadata={"tags": ["parameters"]}
    )
    cells = [parameters, *(nbformat.v4.new_code_cell(source) for source in sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_build").mkdir()
    return tmp_path


def put(checkout: Path, name: str, *sources: str) -> Path:
    path = checkout / "notebooks" / name
    nbformat.write(notebook(*sources), path)
    return path


def test_a_failing_cell_stops_the_build_and_keeps_the_evidence(checkout: Path) -> None:
    source = put(checkout, "01-bad.ipynb", "1 / 0")
    target = checkout / "_build" / "book" / "notebooks" / source.name
    with pytest.raises(ValueError, match="ZeroDivisionError") as error:
        execute(source, target, BookRequest(checkout).parameters)
    assert "01-bad.ipynb" in str(error.value)
    assert not target.exists()
    assert target.with_suffix(".failed.ipynb").exists()


def test_chapters_run_once_and_only_again_when_something_changed(checkout: Path) -> None:
    put(checkout, "01-good.ipynb", "print(profile, seed)")
    request = BookRequest(checkout, seed=3)
    said: list[str] = []
    assert run_notebooks(request, said.append) == 1
    executed = checkout / "_build" / "book" / "notebooks" / "01-good.ipynb"
    text = nbformat.read(executed, 4).cells[-1].outputs[0].text
    assert text.strip() == "smoke 3"
    assert "01-good.ipynb" in said[0]
    assert run_notebooks(request, said.append) == 0
    put(checkout, "01-good.ipynb", "print('changed')")
    assert run_notebooks(request, said.append) == 1


def planted(kind: str) -> nbformat.NotebookNode:
    done = notebook("print(1)")
    for number, cell in enumerate(done.cells):
        cell.execution_count = number + 1
    if kind == "error output":
        done.cells[1].outputs = [
            nbformat.v4.new_output("error", ename="KeyError", evalue="'x'", traceback=[])
        ]
    elif kind == "unexecuted cell":
        done.cells[1].execution_count = None
    elif kind == "exception":
        done.metadata["papermill"] = {"exception": True}
    return done


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("error output", "cell 2: KeyError"),
        ("unexecuted cell", "cell 2 was not executed"),
        ("exception", "papermill recorded an exception"),
    ],
)
def test_the_gate_refuses(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "chapter.ipynb"
    nbformat.write(planted(kind), path)
    with pytest.raises(ValueError, match=message) as error:
        gate(path)
    assert "chapter.ipynb" in str(error.value)


def test_the_gate_lets_a_finished_notebook_pass(tmp_path: Path) -> None:
    path = tmp_path / "chapter.ipynb"
    nbformat.write(planted("nothing"), path)
    gate(path)


def committed() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", committed(), ids=lambda p: p.name)
def test_committed_notebooks_are_thin_and_without_outputs(path: Path) -> None:
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    assert any("parameters" in cell.metadata.get("tags", []) for cell in book.cells)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            tree = ast.parse(cell.source)
            statements = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom)]
            assert len(statements) <= 8, "logic belongs into the package"
            written = "solution" in cell.metadata.get("tags", [])  # by a student, who may define
            function = not written and any(isinstance(n, ast.FunctionDef) for n in ast.walk(tree))
            assert not function
            assert not any(isinstance(n, ast.While) for n in ast.walk(tree))
    assert "run_card()" in book.cells[-1].source


@pytest.mark.parametrize(
    "label", [f"figure-{n}" for n in range(1, 17)] + [f"table-{n}" for n in range(1, 7)]
)
def test_every_figure_and_table_has_its_place(label: str) -> None:
    assert notebook_with(label, repository_root()).exists()
