"""The student's and the instructor's edition of a notebook, made from the one source.

Marks in the source: a line that ends in `# SOLUTION` keeps its name and loses its value; lines
between `# BEGIN SOLUTION` and `# END SOLUTION` are removed (both as Otter-Grader has them). Cells
tagged `solution` are a solution's text and code, cells tagged `teaching-note` are for teachers.
"""

import re
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode

from csbsr_book.site.plain import PlainMarkdown

Edition = Literal["student", "instructor"]

LINE = re.compile(r"^(?P<indent>\s*)(?P<names>[\w, ]+?) = .*# SOLUTION\s*$")
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
STUDENT_NOTE = (
    "*Student edition.* Replace each `...` by your answer and run the cell: it says what is off."
)


def tags_of(cell: NotebookNode) -> list[str]:
    """Tags of a cell."""
    return cell.metadata.get("tags", [])


def stub(source: str) -> str:
    """Code without its solution: `...` in the place of what the student writes.

    ValueError for marks that do not pair, or a marked line that assigns nothing.
    """
    out: list[str] = []
    inside = False
    for line in source.split("\n"):
        if line.strip() in (BEGIN, END):
            if (line.strip() == BEGIN) == inside:
                raise ValueError(f"'{line.strip()}' stands where it closes or opens nothing")
            inside = not inside
            if inside:
                out.append(f"{line[: len(line) - len(line.lstrip())]}...  # your code")
        elif not inside:
            if line.rstrip().endswith("# SOLUTION"):
                found = LINE.match(line)
                if not found:
                    raise ValueError(f"a line marked as solution must assign names: {line!r}")
                count = found["names"].count(",") + 1
                line = f"{found['indent']}{found['names']} = {', '.join(['...'] * count)}"
            out.append(line)
    if inside:
        raise ValueError(f"'{BEGIN}' without '{END}'")
    return "\n".join(out)


def titles(folder: Path) -> dict[str, str]:
    """First heading of every notebook in a folder, by its name without suffix."""
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        text = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type != "code")
        heading = re.search(r"^# (.+)$", text, re.M)
        found[path.stem] = heading[1] if heading else path.stem
    return found


def make_edition(notebook: NotebookNode, edition: Edition, plain: PlainMarkdown) -> NotebookNode:
    """A copy of a source notebook for students or for instructors, in plain Markdown.

    Students get no solution and no teaching note, instructors both. ValueError for bad marks.
    """
    made = deepcopy(notebook)
    made.cells = [cell for cell in made.cells if _kept(cell, edition)]
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source)
            if "solution" in tags_of(cell):
                cell.source = f"**Solution.** {cell.source}"
        elif edition == "student":
            cell.source = stub(cell.source)
        if "hide-input" in tags_of(cell):  # folded in JupyterLab, as on the page
            cell.metadata["jupyter"] = {"source_hidden": True}
    if edition == "student":
        note = nbformat.v4.new_markdown_cell(STUDENT_NOTE, id="student-edition")
        made.cells.insert(1, note)
    return made


def _kept(cell: NotebookNode, edition: Edition) -> bool:
    """Whether a cell is in an edition; ends of gated solutions are in none."""
    if cell.cell_type == "markdown" and "{solution-end}" in cell.source:
        return False
    if edition == "instructor" or cell.cell_type == "code":
        return True
    return not {"solution", "teaching-note"} & set(tags_of(cell))


def write_editions(sources: Iterable[Path], edition: Edition, output: Path) -> list[Path]:
    """Write the edition of each notebook into a folder; returns the files.

    ValueError names the notebook whose marks are wrong; nothing is written then.
    """
    paths = list(sources)
    known = titles(paths[0].parent) if paths else {}
    plain = PlainMarkdown(lambda page: known.get(page, page))
    made = []
    for path in paths:
        try:
            made.append((path.name, make_edition(nbformat.read(path, 4), edition, plain)))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None
    output.mkdir(parents=True, exist_ok=True)
    for name, notebook in made:
        nbformat.write(notebook, output / name)
    return [output / name for name, _ in made]
