"""Notation is complete in both directions: equations lead to functions, and functions back."""

import inspect
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from test_words import resolves

from csbsr_book.chapters import notation
from csbsr_book.chapters.api import LAYERS, api_html, public_members, public_modules
from csbsr_book.paper.notation import cited, equations_of, load_notation
from csbsr_book.site.table import html

ROOT = Path(__file__).parents[1]
OF_THE_BOOK = ("eq-skill",)
"""Equations that the code of the book computes: it is not in the API reference."""
LABEL = re.compile(r"\$\$\s*\((eq-[\w-]+)\)")


def public_functions() -> dict[str, object]:
    """Every public function and class of the method by dotted name."""
    packages = [name for names in LAYERS.values() for name in names]
    return {
        f"{module.__name__}.{name}": value
        for module in public_modules(packages)
        for name, value in public_members(module)
    }


FUNCTIONS = public_functions()


def labels() -> dict[str, str]:
    """Label of every numbered equation in the book, with its chapter."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            found |= dict.fromkeys(LABEL.findall(cell.source), path.stem)
    return found


def test_every_numbered_equation_has_its_functions_and_its_chapter() -> None:
    assert {e.label: e.chapter for e in load_notation().equations} == labels()
    assert all(e.functions for e in load_notation().equations)
    assert [e.number for e in load_notation().equations if e.number] == list(range(1, 11))


def test_listed_functions_are_public_and_their_docstrings_name_the_equation() -> None:
    for equation in load_notation().equations:
        for name in equation.functions:
            if equation.label in OF_THE_BOOK:
                assert resolves(name), name
                continue
            assert name in FUNCTIONS, f"{equation.label}: no public function {name}"
            if equation.number:
                text = FUNCTIONS[name].__doc__.replace("Eq. 2", "Eq. (2)")
                assert equation.number in cited(text), f"{name} does not name {equation.label}"


def test_functions_that_name_an_equation_are_listed() -> None:
    for name, value in FUNCTIONS.items():
        if not inspect.isfunction(value):
            continue
        listed = {e.number for e in equations_of(name)}
        missing = {n for n in cited(value.__doc__ or "") if n <= 10} - listed
        assert not missing, f"{name} names Eq. {missing}; list it in paper/notation.toml"


def test_below_each_equation_stands_the_link_and_the_function_links_back() -> None:
    pages = "".join(api_html(packages) for packages in LAYERS.values())
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, 4).cells
        for cell, following in pairwise(cells):
            if found := LABEL.findall(cell.source):
                called = ", ".join(f'"{label}"' for label in found)
                assert f"computed_by({called})" in following.source, f"{path.name}: {found}"
    for equation in load_notation().equations:
        line = notation.computed_by(equation.label)
        for name in equation.functions if equation.label not in OF_THE_BOOK else ():
            assert f'href="a10-api.html#{name}"' in line
            assert f'id="{name}"' in pages
            place = pages.index(f'id="{name}"')
            assert f'href="{equation.link}"' in pages[place : place + 4000]


def test_symbols_name_functions_and_variables_that_are_there() -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "csbsr").rglob("*.py"))
    for symbol in load_notation().symbols:
        if not symbol.function:
            continue
        assert symbol.function in FUNCTIONS, symbol.tex
        for name in symbol.names:
            assert re.search(rf"\b{name}\b", source), f"{symbol.tex}: {name}"


def test_every_symbol_of_the_equations_is_in_the_table() -> None:
    table = html(notation.symbols_table())
    for tex in (r"\alpha", r"\beta", r"\gamma", r"\phi_G", "w_p^C", "w_p^F", r"\mathcal{L}_{WCE}"):
        assert tex in table
    assert "Eq. (10)" in html(notation.equations_table())


def test_an_unknown_equation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'eq-99' is not in paper/notation\.toml"):
        notation.computed_by("eq-1", "eq-99")


def test_how_docstrings_name_equations() -> None:
    assert cited("of Eq. (6)-(8), and more") == {6, 7, 8}
    assert cited("Eq. (4), (5). Then (7)") == {4, 5}
    assert cited("Eq. (3), (10).") == {3, 10}
    assert cited("nothing (3)") == set()
