"""Doors to a chapter: the repository, the cell that installs the book, one set of parameters.

A notebook is opened in four places: from a checkout, on Colab, on Binder, and as the file that a
reader downloads from its page. In all of them its first cell fetches what is missing, and the one
cell of parameters is the one that acts.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from csbsr_book.site.display import render

VARIABLE = "CSBSR_REPOSITORY"
"""Names the repository's address where it is not that of `_config.yml` (a fork, a mirror)."""
BRANCH = "main"
FIRST = "first-cell"
"""Id of the cell that installs the package where it is missing."""
INJECTED, PARAMETERS = "injected-parameters", "parameters"
ASSIGNED = re.compile(r"^(\w+)\s*=", re.MULTILINE)
OUT_OF_SIGHT: Mapping[str, object] = {
    "tags": ["remove-cell"],
    "slideshow": {"slide_type": "skip"},
}
"""On no page and on no slide."""
METADATA: Mapping[str, object] = {"accelerator": "GPU", "colab": {"provenance": []}}
"""What Colab reads: the machine it should give."""


def repository_url(root: Path) -> str:
    """Address of the repository without a slash at its end; "" where nothing states it."""
    config = root / "_config.yml"
    stated = os.environ.get(VARIABLE)
    if not stated and config.exists():
        stated = yaml.safe_load(config.read_text(encoding="utf-8"))["repository"]["url"]
    return (stated or "").rstrip("/")


def configured(text: str, repository: str) -> str:
    """The text of `_config.yml` with another address in the place of its own."""
    own = yaml.safe_load(text)["repository"]["url"]
    return text.replace(own, repository) if repository else text


def first_cell(repository: str, commit: str = BRANCH) -> str:
    """Source of the first cell; `commit` is anything that `git checkout` takes."""
    return str(render("first_cell.txt", repository=repository, commit=commit))


def prepare(notebook: NotebookNode, repository: str, commit: str = BRANCH) -> bool:
    """Give a notebook its first cell and what Colab reads, in place; returns whether it changed."""
    before = nbformat.writes(notebook)
    if not notebook.cells or notebook.cells[0].get("id") != FIRST:
        cell = nbformat.v4.new_code_cell(id=FIRST, metadata=OUT_OF_SIGHT)
        notebook.cells.insert(0, cell)
    notebook.cells[0].source = first_cell(repository, commit)
    notebook.metadata |= METADATA
    return nbformat.writes(notebook) != before


def one_set_of_parameters(notebook: NotebookNode) -> None:
    """Write what papermill injected into the cell of parameters, in place, and drop its own.

    Whoever downloads the executed notebook changes the first values that he meets, and they act.
    """
    tagged = {t: c for c in notebook.cells for t in c.metadata.get("tags", ())}
    injected, own = tagged.get(INJECTED), tagged.get(PARAMETERS)
    if injected is None or own is None:
        return
    given = {
        found[1]: line for line in injected.source.splitlines() if (found := ASSIGNED.match(line))
    }
    lines = own.source.splitlines()
    names = [found[1] if (found := ASSIGNED.match(line)) else "" for line in lines]
    own.source = "\n".join(given.get(name, line) for name, line in zip(names, lines))
    notebook.cells.remove(injected)
