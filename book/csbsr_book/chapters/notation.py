"""The notation page, and the line below each equation that names the functions computing it."""

from markupsafe import Markup

from csbsr.study.provenance import repository_root
from csbsr_book.paper.notation import Equation, Symbol, load_notation
from csbsr_book.site.display import render
from csbsr_book.site.doors import BRANCH, repository_url
from csbsr_book.site.table import Column, Content, Table, TableCell, Words

API = "a10-api.html"


def link_to(function: str) -> Words:
    """The name of a function, linked to the API reference, or to its file if it is the book's."""
    module, _, name = function.rpartition(".")
    if module.startswith("csbsr_book"):
        base = f"{repository_url(repository_root())}/blob/{BRANCH}/book"
        return Words(name, "code", f"{base}/{module.replace('.', '/')}.py")
    return Words(name, "code", f"{API}#{function}")


def symbols_table() -> Table:
    """Every symbol of the paper with its names in the code and the function that computes it."""

    def row(symbol: Symbol) -> list[Content]:
        where = link_to(symbol.function) if symbol.function else "not computed"
        names = TableCell(tuple(Words(name, "code") for name in symbol.names) or ("–",))
        return [symbol.meaning, Words(symbol.tex, "math"), symbol.place, names, where]

    # A formula heads no row: readers of a screen find no text in it.
    columns = [Column("Meaning", prose=True), "Symbol", "Place", "In the code", "Computed by"]
    return Table("Symbols of the paper.", columns, [row(s) for s in load_notation().symbols])


def name_of(equation: Equation) -> str:
    """How an equation is called: its number in the paper, or its label."""
    return f"Eq. ({equation.number})" if equation.number else equation.label.removeprefix("eq-")


def equations_table() -> Table:
    """Every numbered equation with the functions that compute it."""
    rows = [
        [Words(name_of(e), link=e.link), TableCell(tuple(map(link_to, e.functions)))]
        for e in load_notation().equations
    ]
    return Table(
        "Numbered equations and the functions that compute them.", ["Equation", "Functions"], rows
    )


def computed_by(*labels: str) -> Markup:
    """One line per equation that links to its functions; ValueError for an unknown label."""
    known = {e.label: e for e in load_notation().equations}
    if unknown := set(labels) - set(known):
        raise ValueError(f"equation '{min(unknown)}' is not in paper/notation.toml; add it there")
    found = [(name_of(known[label]), map(link_to, known[label].functions)) for label in labels]
    return render("computed_by.html", equations=found)
