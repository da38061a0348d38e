"""Slides of a chapter: a reveal.js deck of the cells that are tagged for it, offline, printable.

The deck is nbconvert's; reveal.js comes with sphinx-revealjs, MathJax with the book. A slide holds
headings, equations, lists and the first sentence of each paragraph; the whole text is in the
speaker's notes (key S).
"""

import base64
import importlib.resources
import mimetypes
import re
import shutil
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import nbformat
from nbconvert.exporters import SlidesExporter
from nbformat import NotebookNode
from traitlets.config import Config

from csbsr_book.site.plain import PlainMarkdown

TEMPLATE = Path(__file__).parent / "templates" / "deck.html.j2"
BULLETS = 6
"""Lines of text that a slide holds; more go on to a further one."""
HEADING = re.compile(r"^#{1,4} .+$")
SENTENCE = re.compile(r"^(.+?[.!?:])(?:\s+[A-Z*$`(\"].*)?$", re.S)
PICTURE = re.compile(r'(?P<attribute>src|href)="(?P<path>(?:\.\./)+_static/[^"]+)"')


def deck(notebook: NotebookNode, plain: PlainMarkdown, static: Path) -> NotebookNode:
    """The cells of an executed notebook that make its slides, with slide types and notes.

    `static` is the folder of the pictures that outputs name.
    """
    made = nbformat.v4.new_notebook(metadata=deepcopy(notebook.metadata))
    alone = False  # whether the last slide is a heading that waits for a figure
    for cell in notebook.cells:
        if not (kind := cell.metadata.get("slideshow", {}).get("slide_type")):
            continue
        if cell.cell_type == "markdown":
            slides = list(_slides(plain(cell.source)))
            made.cells += [part for slide in slides for part in slide]
            alone = bool(slides) and len(slides[-1][0].source.split("\n\n")) <= 2
        elif outputs := _outputs(cell, static):
            shown = deepcopy(cell)
            shown.outputs = outputs
            shown.metadata["slideshow"] = {"slide_type": "-" if alone else kind}
            if alone:  # notes close a slide
                notes = [c for c in made.cells[-1:] if _type(c) == "notes"]
                made.cells[len(made.cells) - len(notes) :] = [shown, *notes]
            else:
                made.cells.append(shown)
            alone = False
    return made


def _type(cell: NotebookNode) -> str:
    return cell.metadata["slideshow"]["slide_type"]


def _slides(text: str) -> Iterator[list[NotebookNode]]:
    """Slides of one text cell, each with its notes: a new one per heading, and when one is full."""
    heading, blocks = "", []
    for block in re.split(r"\n\s*\n", text):
        if HEADING.match(block.split("\n")[0]):
            if heading or blocks:
                yield from _pages(heading, blocks)
            heading, _, rest = block.partition("\n")
            blocks = [rest] if rest.strip() else []
        else:
            blocks.append(block)
    if heading or blocks:
        yield from _pages(heading, blocks)


def _pages(heading: str, blocks: list[str]) -> Iterator[list[NotebookNode]]:
    """A heading with its blocks, on as many slides as they need."""
    pages: list[list[str]] = [[]]
    room = BULLETS
    for short, lines in map(_short, blocks):
        if lines > room and pages[-1]:
            pages.append([])
            room = BULLETS
        pages[-1].append(short)
        room -= lines
    for number, page in enumerate(pages):
        kind = "slide" if number == 0 else "subslide"
        cells = [_markdown("\n\n".join(filter(None, [heading, *page])), kind)]
        if number == 0 and blocks:
            cells.append(_markdown("\n\n".join(blocks), "notes"))
        yield cells


def _markdown(source: str, kind: str) -> NotebookNode:
    cell = nbformat.v4.new_markdown_cell(source)
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def _short(block: str) -> tuple[str, int]:
    """A block as a slide shows it, and how many lines of text that is."""
    lines = block.strip().split("\n")
    if block.strip().startswith("$$"):
        return block, 2
    if lines[0].startswith("|"):
        return block, len(lines)
    if re.match(r"(?:[-*]|\d+\.) ", lines[0]):
        items = re.split(r"\n(?=(?:[-*]|\d+\.) )", block.strip())
        return "\n".join(map(_first_sentence, items)), len(items)
    return f"- {_first_sentence(block)}", 1


def _first_sentence(text: str) -> str:
    joined = " ".join(text.split())
    found = SENTENCE.match(joined)
    return found[1] if found else joined


def _outputs(cell: NotebookNode, static: Path) -> list[NotebookNode]:
    """Pictures of a cell as HTML with the data in it; captions are cut to their first sentence."""
    found = []
    for output in cell.get("outputs", []):
        text = output.get("data", {}).get("text/html", "")
        text = "".join(text) if isinstance(text, list) else text
        for figure in re.findall(r"<figure class=\"csbsr-figure.*?</figcaption>", text, re.S):
            shown = deepcopy(output)
            shown.data = {"text/html": f"{_inlined(figure, static)}</figure>"}
            found.append(shown)
    return found


def _inlined(text: str, static: Path) -> str:
    """HTML in which pictures of the book's static folder are data; links to them are dropped."""

    def data(found: re.Match[str]) -> str:
        path = static / found["path"].split("_static/", 1)[1]
        if found["attribute"] == "href" or not path.is_file():
            return ""
        kind = mimetypes.guess_type(path.name)[0] or "image/png"
        return f'src="data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"'

    return PICTURE.sub(data, text).replace(' loading="lazy"', "")


def write_slides(
    executed: list[Path], output: Path, plain: PlainMarkdown, static: Path
) -> list[Path]:
    """Write one HTML deck per executed notebook, and what all share beside them.

    `static` is the book's static folder, with MathJax in `vendor`. Returns the decks; a notebook
    without tagged cells gets none. ValueError for one that was not executed.
    """
    output.mkdir(parents=True, exist_ok=True)
    reveal = importlib.resources.files("sphinx_revealjs") / "_static" / "revealjs"
    with importlib.resources.as_file(reveal) as source:
        for part in ("dist", "plugin/notes", "LICENSE"):
            _copy(source / part, output / "reveal.js" / part)
    for part in ("mathjax", "mathjax-tex-font"):
        _copy(static / "vendor" / part, output / "vendor" / part)
    config = Config()
    config.SlidesExporter.reveal_url_prefix = "reveal.js"
    config.SlidesExporter.exclude_input = True
    config.SlidesExporter.exclude_output_prompt = True
    config.SlidesExporter.exclude_input_prompt = True
    exporter = SlidesExporter(config=config, template_file=str(TEMPLATE))
    made = []
    for path in executed:
        notebook = nbformat.read(path, 4)
        code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
        if any(c.execution_count is None for c in code):
            raise ValueError(f"{path.name} was not executed; run `make book` before `make slides`")
        shown = deck(notebook, plain, static)
        if not shown.cells:
            continue
        text, _ = exporter.from_notebook_node(
            shown, resources={"metadata": {"name": plain.title(path.stem)}}
        )
        target = output / f"{path.stem}.html"
        target.write_text(text, encoding="utf-8")
        made.append(target)
    return made


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder over what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)
