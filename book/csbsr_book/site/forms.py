"""The other forms of the book: student's and instructor's notebooks, slides, one PDF."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from csbsr_book.site.editions import titles, write_editions
from csbsr_book.site.pdf import write_pdf
from csbsr_book.site.plain import PlainMarkdown
from csbsr_book.site.slides import write_slides

Form = Literal["student", "instructor", "slides", "pdf"]


def chosen(folder: Path, names: Sequence[str], build: str = "") -> list[Path]:
    """Notebooks of a folder by their names, all without names.

    ValueError for a name that is not there, or a folder without notebooks (`build` makes them).
    """
    found = {path.stem: path for path in sorted(folder.glob("*.ipynb")) if "." not in path.stem}
    if not found:
        raise ValueError(f"{folder} holds no notebooks{f'; run `{build}` first' if build else ''}")
    if unknown := [name for name in names if name not in found]:
        raise ValueError(f"there is no chapter '{unknown[0]}'; chapters are {', '.join(found)}")
    return [found[name] for name in names or found]


def write_form(
    form: Form, root: Path, names: Sequence[str] = (), output: Path | None = None
) -> list[Path]:
    """Write one form of the book below `_build`, or to `output`; returns the files.

    Slides and the PDF are made of executed pages. ValueError where these are missing, for an
    unknown chapter, and for what the form's own module refuses.
    """
    build = root / "_build"
    if form == "pdf":
        if names:
            raise ValueError("the PDF is that of the whole book; leave the names out")
        return [write_pdf(build / "book", output or build / "book.pdf")]
    if form == "slides":
        executed = chosen(build / "book" / "notebooks", names, "make book")
        known = titles(root / "notebooks")
        plain = PlainMarkdown(lambda page: known.get(page, page))
        static = build / "book" / "book" / "_static"
        return write_slides(executed, output or build / "slides", plain, static)
    return write_editions(chosen(root / "notebooks", names), form, output or build / form)
