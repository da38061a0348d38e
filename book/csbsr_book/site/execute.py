"""One notebook through papermill: run, refused if anything went wrong, and made fit for a page."""

import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill

from csbsr_book.site.doors import one_set_of_parameters

SHOWN = frozenset(("show-input", "solution"))
"""Tags of a code cell that is part of what the page teaches; every other cell is plumbing."""


def gate(path: Path) -> None:
    """Refuse an executed notebook that failed, shows an error, or has a cell that never ran.

    Jupyter Book renders such notebooks without a word; ValueError names notebook and cell.
    """
    notebook = nbformat.read(path, as_version=4)
    if notebook.metadata.get("papermill", {}).get("exception"):
        raise ValueError(f"{path.name}: papermill recorded an exception; mend the notebook")
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                raise ValueError(f"{path.name}, cell {number}: {output.ename}: {output.evalue}")
        if cell.execution_count is None:
            raise ValueError(f"{path.name}, cell {number} was not executed; run the whole notebook")


def polish(path: Path) -> None:
    """Leave on a page what a reader reads: one set of parameters, no plumbing, no machine paths."""
    notebook = nbformat.read(path, as_version=4)
    one_set_of_parameters(notebook)
    for cell in notebook.cells:
        tags = [t for t in cell.metadata.get("tags", ()) if t != "hide-input"]
        if cell.cell_type == "code" and not {*SHOWN, "remove-input"} & set(tags):
            tags.append("remove-input")
        cell.metadata["tags"] = tags
    record = notebook.metadata.get("papermill", {})
    for key in ("input_path", "output_path", "environment_variables", "parameters"):
        record.pop(key, None)
    nbformat.write(notebook, path)


def execute(source: Path, target: Path, parameters: Mapping[str, object]) -> float:
    """Run one notebook through papermill with its parameters, gate and polish it; returns seconds.

    ValueError when a cell fails; the failed notebook stays beside the target as `*.failed.ipynb`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".running.ipynb")
    started = time.perf_counter()
    try:
        papermill.execute_notebook(
            str(source),
            str(unfinished),
            parameters=dict(parameters),
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            cwd=str(source.parent),
        )
    except papermill.PapermillExecutionError as error:
        failed = target.with_suffix(".failed.ipynb")
        unfinished.replace(failed)
        message = f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue}"
        raise ValueError(f"{message} (see {failed})") from None
    gate(unfinished)
    polish(unfinished)
    unfinished.replace(target)
    return time.perf_counter() - started
