"""Tables of the course page: what runs in class, from recorded runs."""

from collections.abc import Mapping

from csbsr.study.provenance import repository_root
from csbsr_book.chapters.opening import duration, measured_pages
from csbsr_book.site.editions import titles
from csbsr_book.site.table import Column, Content, Number, Table, Words

READS = ("benchmarks/results/chapters.json", "notebooks/*.ipynb")
IN_CLASS = 300.0
"""Seconds that a lab may take on two cores."""


def pages() -> Mapping[str, str]:
    """Titles of all notebooks by name."""
    return titles(repository_root() / "notebooks")


def in_class_table(prefix: str, caption: str) -> Table:
    """Notebooks whose names begin with `prefix`: how long each ran, and whether class has time."""
    found = measured_pages()
    rows: list[list[Content]] = []
    for name, title in pages().items():
        if not name.startswith(prefix):
            continue
        seconds = found.get("pages", {}).get(name, {}).get("seconds")
        shown = Number(seconds, "ours", shown=duration(seconds)) if seconds else None
        rows.append(
            [Words(title, link=f"{name}.html"), shown, bool(seconds and seconds < IN_CLASS)]
        )
    where = f"Measured on: {found['hardware']}." if found else ""
    columns = ["Notebook", "ran for", Column("fits into class", note="under 5 minutes")]
    return Table(caption, columns, rows, notes=[where] * bool(where))
