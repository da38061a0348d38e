"""Tables as values: numbers stay numbers, and one value becomes HTML, JSON or text.

A function of a chapter returns a `Table`; how it looks is the business of `templates/table.html`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markupsafe import Markup

from csbsr_book.site.display import render

Voice = Literal["", "paper", "authors", "ours"]
VOICES = {"paper": "paper", "authors": "authors' weights", "ours": "ours"}
"""Whose a number is, as its title says it."""


@dataclass(frozen=True)
class Column:
    """A column: title, a second line below it, and what its numbers have in common."""

    title: str
    note: str = ""
    unit: str = ""
    better: Literal["", "higher", "lower"] = ""
    digits: int | None = None
    """Decimals of its numbers; None: as many as four significant digits need."""
    prose: bool = False
    """Holds sentences and is kept wide enough to read them."""


@dataclass(frozen=True)
class Number:
    """A number with its spread over seeds; `value` None is shown as a dash."""

    value: float | None
    voice: Voice = ""
    digits: int | None = None
    """Decimals; None: the column's."""
    spread: float | None = None
    seeds: int | None = None
    interval: tuple[float, float] | None = None
    best: bool = False
    signed: bool = False
    shown: str = ""
    """Text in the place of the digits, such as "15 min" for 900 seconds."""


@dataclass(frozen=True)
class Words:
    """Text with a role: `kind` is a style of the book; with `link` it leads somewhere."""

    text: str
    kind: Literal["", "code", "quote", "place", "evidence", "words", "stale", "verdict", "math"] = (
        ""
    )
    link: str = ""


Piece = str | bool | Number | Words
Line = Piece | tuple[Piece, ...]
"""What stands on one line of a cell."""


@dataclass(frozen=True)
class TableCell:
    """Lines one below the other; `anchor` is the id by which other pages find the cell."""

    lines: tuple[Line, ...]
    anchor: str = ""

    @property
    def parts(self) -> tuple[tuple[Piece, ...], ...]:
        """The pieces of every line."""
        return tuple(line if isinstance(line, tuple) else (line,) for line in self.lines)


Content = TableCell | Line | float | None
"""What a cell may be given as: a bare number is shown as its column says, None as a dash."""


def _cell(content: Content) -> TableCell:
    match content:
        case TableCell():
            return content
        case None:
            return TableCell((Number(None),))
        case bool() | str() | tuple() | Number() | Words():
            return TableCell((content,))
        case _:
            return TableCell((Number(content if isinstance(content, int) else float(content)),))


@dataclass(frozen=True)
class Table:
    """A captioned table; text is escaped, unless it is given as `markupsafe.Markup`.

    ValueError for a row that has another number of cells than there are columns.
    """

    caption: str
    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Content]]
    notes: Sequence[Line] = ()
    """Paragraphs below."""
    empty: str = ""
    """What is shown where there are no rows."""
    smoke: bool = False
    """Folded away and marked: its numbers prove that the code runs, nothing else."""

    def __post_init__(self) -> None:
        columns = tuple(Column(c) if isinstance(c, str) else c for c in self.columns)
        rows = tuple(tuple(map(_cell, row)) for row in self.rows)
        for number, row in enumerate(rows, start=1):
            if len(row) != len(columns):
                raise ValueError(
                    f"table '{self.caption[:40]}', row {number}: {len(row)} cells for "
                    f"{len(columns)} columns"
                )
        object.__setattr__(self, "notes", tuple(map(_cell, self.notes)))
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "rows", rows)

    def folded(self) -> "Table":
        """The same table, marked as that of a smoke run."""
        return replace(self, smoke=True)


def digits_of(number: Number, column: Column) -> str:
    """A number as it is read: decimals of its column, a true minus, a dash for nothing."""
    if number.shown:
        return number.shown
    return "–" if number.value is None else _text(number, column, number.value, number.signed)


def margin_of(number: Number, column: Column) -> str:
    """The spread over seeds and the interval behind a number, "" without either."""
    parts = []
    if number.spread is not None:
        parts.append(f"± {_text(number, column, number.spread, False)}")
    if number.interval is not None:
        low, high = (_text(number, column, v, number.signed) for v in number.interval)
        parts.append(f"[{low}, {high}]")
    return " ".join(parts)


def _text(number: Number, column: Column, value: float, signed: bool) -> str:
    digits = column.digits if number.digits is None else number.digits
    sign = "+" if signed else ""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if digits is None:
        text = f"{value:{sign},}" if isinstance(value, int) else f"{value:{sign}.4g}"
    else:
        text = f"{value:{sign},.{digits}f}"
    return f"−{text[1:]}" if text.startswith("-") else text


def html(table: Table) -> Markup:
    """A scrollable, accessible table; the caption stands outside what scrolls."""
    return render("table.html", table=table, digits=digits_of, margin=margin_of, voices=VOICES)


def values(table: Table) -> dict[str, object]:
    """JSON of a table: caption, columns and rows; a cell of one number is that number.

    A cell with more in it is a mapping: `text`, and per voice (or `value` without one) the number
    or a mapping with `spread`, `seeds`, `interval` and `best`; a list where a voice says several.
    """
    columns = [
        {k: v for k, v in vars(c).items() if k != "prose" and v not in ("", None)}
        for c in table.columns
    ]
    rows = [[_values(cell) for cell in row] for row in table.rows]
    found: dict[str, object] = {"caption": table.caption, "columns": columns, "rows": rows}
    if table.smoke:
        found["smoke"] = True
    if notes := [plain(note) for note in table.notes]:
        found["notes"] = notes
    return found


def plain(cell: TableCell) -> str:
    """The words of a cell without its numbers and marks."""
    words = ("".join(_plain(p) for p in line if not _is_value(p)) for line in cell.parts)
    return " ".join(" ".join(words).split())


def _plain(piece: str | bool | Words) -> str:
    if isinstance(piece, bool):
        return "yes" if piece else "–"
    text = piece.text if isinstance(piece, Words) else piece
    return text.striptags() if isinstance(text, Markup) else text


def _is_value(piece: Piece) -> bool:
    return isinstance(piece, bool | Number)


def _values(cell: TableCell) -> object:
    text = plain(cell)
    numbers = [piece for line in cell.parts for piece in line if _is_value(piece)]
    if not numbers:
        return text
    found: dict[str, list] = {}
    for number in numbers:
        voice = "" if isinstance(number, bool) else number.voice
        found.setdefault(voice or "value", []).append(_value(number))
    single = {voice: v[0] if len(v) == 1 else v for voice, v in found.items()}
    if not any(map(str.isalnum, text)):
        text = ""  # brackets and strokes between numbers
    if text or list(single) != ["value"]:
        return {"text": text, **single} if text else single
    return single["value"]


def _value(number: Number | bool) -> object:
    if isinstance(number, bool):
        return number
    extra = {
        "spread": _finite(number.spread),
        "seeds": number.seeds,
        "interval": number.interval and [_finite(v) for v in number.interval],
        "best": number.best or None,
    }
    extra = {key: value for key, value in extra.items() if value is not None}
    value = _finite(number.value)
    return {"value": value, **extra} if extra else value


def _finite(value: float | None) -> float | None:
    """A number that JSON has a word for."""
    if value is None or isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None


def text(table: Table) -> str:
    """A table for a terminal: columns side by side, the lines of a cell one below the other."""
    grid = [[[c.title] + [c.note] * bool(c.note) for c in table.columns]]
    for row in table.rows:
        grid.append([_lines(cell, column) for cell, column in zip(row, table.columns)])
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*grid)]
    found = [table.caption, *map(plain, table.notes), ""]
    for row in grid:
        for i in range(max(map(len, row))):
            line = (cell[i] if i < len(cell) else "" for cell in row)
            found.append("  ".join(t.ljust(w) for t, w in zip(line, widths)).rstrip())
    return "\n".join(found)


def _lines(cell: TableCell, column: Column) -> list[str]:
    found = []
    for line in cell.parts:
        words = []
        for piece in line:
            if isinstance(piece, Number):
                number = f"{digits_of(piece, column)} {margin_of(piece, column)}".rstrip()
                words.append(f"{piece.voice} {number}".lstrip())
            else:
                words.append(_plain(piece))
        found.append("".join(words))
    return found or [""]
