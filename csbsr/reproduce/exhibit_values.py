"""The numbers inside a figure or a table, as plain JSON values a reader can take away."""

import math
from collections.abc import Sequence
from html.parser import HTMLParser

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

DIGITS = 6
VOICES = ("paper", "authors", "ours", "spread", "difference")
"""What a `<span class="value ...">` inside a cell holds."""


def figure_values(figure: Figure) -> dict[str, list[dict]]:
    """What each axes of a figure holds: titles, labels, lines, bars, pictures and words.

    Of pictures only size and range are kept: the pixels are in the picture itself.
    """
    return {"axes": [_axes_values(axes) for axes in figure.axes if axes.get_visible()]}


def _axes_values(axes: Axes) -> dict:
    lines = [
        {"name": _name(line.get_label()), "x": _numbers(x), "y": _numbers(y)}
        for line in axes.lines
        for x, y in [line.get_data()]
    ]
    points = [
        {"name": _name(c.get_label()), "xy": [_numbers(p) for p in c.get_offsets()]}
        for c in axes.collections
        if len(c.get_offsets()) > 1
    ]
    bars = [
        {"x": _number(p.get_x() + p.get_width() / 2), "y": _number(p.get_height())}
        for p in axes.patches
        if isinstance(p, Rectangle) and axes.axison
    ]
    pictures = [_picture(np.ma.filled(image.get_array(), np.nan)) for image in axes.images]
    words = [t.get_text() for t in axes.texts if t.get_text().strip()]
    found = {
        "title": axes.get_title(),
        "x_label": axes.get_xlabel(),
        "y_label": axes.get_ylabel(),
        "lines": lines,
        "points": points,
        "bars": bars,
        "pictures": pictures,
        "words": words,
    }
    return {key: value for key, value in found.items() if value}


def _name(label: object) -> str:
    return "" if str(label).startswith("_") else str(label)


def _picture(pixels: np.ndarray) -> dict:
    return {
        "shape": list(pixels.shape),
        "smallest": _number(np.nanmin(pixels)),
        "largest": _number(np.nanmax(pixels)),
    }


def _numbers(values: object) -> list[float | str | None]:
    return [_number(v) for v in np.ravel(np.ma.filled(np.ma.asarray(values), np.nan)).tolist()]


def _number(value: object) -> float | str | None:
    """A number of six digits; None where JSON has no word for it; text as it is."""
    if isinstance(value, str):
        return value
    value = float(value)
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def table_values(text: str) -> list[dict]:
    """Caption, header and rows of every table in HTML; cells with several voices as a mapping."""
    reader = _TableReader()
    reader.feed(text)
    reader.close()
    return reader.tables


class _TableReader(HTMLParser):
    """Collects what `display.table_html` wrote."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[dict] = []
        self._caption: list[str] | None = None
        self._captions: list[str] = []
        self._row: list | None = None
        self._cell: list[tuple[str, str]] | None = None
        self._voice = ""

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        match tag:
            case "figcaption":
                self._caption = []
            case "table":
                caption = self._captions.pop() if self._captions else ""
                self.tables.append({"caption": caption, "header": [], "rows": []})
            case "tr":
                self._row = []
            case "th" | "td":
                self._cell = []
            case "br" | "li" | "p":
                self.handle_data(" ")
            case "span":
                words = (dict(attributes).get("class") or "").split()
                if "value" in words:
                    self._voice = next((v for v in VOICES if v in words), "")

    def handle_endtag(self, tag: str) -> None:
        match tag:
            case "figcaption" if self._caption is not None:
                self._captions.append(_words(self._caption))
                self._caption = None
            case "th" | "td" if self._cell is not None and self._row is not None:
                self._row.append(_cell(self._cell))
                self._cell = None
            case "tr" if self._row is not None and self.tables:
                table = self.tables[-1]
                if table["header"]:
                    table["rows"].append(self._row)
                else:
                    table["header"] = self._row
                self._row = None
            case "span":
                self._voice = ""

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append((self._voice, data))
        elif self._caption is not None:
            self._caption.append(data)


def _words(parts: Sequence[str]) -> str:
    return " ".join("".join(parts).split())


def _cell(parts: Sequence[tuple[str, str]]) -> str | dict[str, str]:
    voices = [voice for voice in VOICES if any(v == voice for v, _ in parts)]
    if not voices:
        return _words([text for _, text in parts])
    return {voice: _words([text for v, text in parts if v == voice]) for voice in voices}
