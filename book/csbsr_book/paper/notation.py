"""The paper's symbols and numbered equations as data: names in the code, functions that compute."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from csbsr import toml
from csbsr_book.paper.printed import data_file

CITED = re.compile(r"Eqs?\. \(?\d+\)?(?:(?:-|, | and )\(\d+\))*")
"""How docstrings name equations: Eq. (3), Eq. (4), (5), Eq. (6)-(8)."""


@dataclass(frozen=True)
class Symbol:
    """A symbol of the paper: LaTeX, meaning, place, names in the code, where it is computed."""

    tex: str
    meaning: str
    place: str
    names: tuple[str, ...]
    function: str
    """Dotted name, "" for what is never computed."""


@dataclass(frozen=True)
class Equation:
    """A numbered equation of the book: its label, its chapter, the functions that compute it."""

    label: str
    chapter: str
    functions: tuple[str, ...]

    @property
    def number(self) -> int | None:
        """Number in the paper; None for an equation of ours."""
        name = self.label.removeprefix("eq-")
        return int(name) if name.isdigit() else None

    @property
    def link(self) -> str:
        """Address of the equation within the book's notebooks."""
        return f"{self.chapter}.html#equation-{self.label}"


@dataclass(frozen=True)
class Notation:
    """The file of symbols and equations."""

    symbols: tuple[Symbol, ...]
    equations: tuple[Equation, ...]


@cache
def load_notation() -> Notation:
    """Return every symbol and every numbered equation."""
    return toml.read(Notation, data_file("notation.toml"))


def equations_of(function: str) -> list[Equation]:
    """The equations that a function computes, by its dotted name."""
    return [e for e in load_notation().equations if function in e.functions]


def cited(docstring: str) -> set[int]:
    """Numbers of the equations that a docstring names."""
    return {number for text in CITED.findall(docstring) for number in _numbers(text)}


def _numbers(text: str) -> Iterator[int]:
    for first, last in re.findall(r"(\d+)\)?(?:-\((\d+)\))?", text):
        yield from range(int(first), int(last or first) + 1)
