"""The numbers inside a figure or a table, as plain JSON values a reader can take away."""

import base64
import html
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from csbsr.study.results import ResultFile, write_json
from csbsr_book.site.display import run_card_html

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


SCHEMA = 1
FOLDER_VARIABLE = "CSBSR_EXHIBITS"
"""Names the folder for the JSON files while the book is built."""


def is_building() -> bool:
    """Whether this runs for the rendered book, not in JupyterLab or through papermill alone."""
    return FOLDER_VARIABLE in os.environ


def result_link(result: ResultFile) -> str:
    """Address of a result's JSON, seen from a chapter: in the rendered book or in the checkout."""
    base = "../_static/results" if is_building() else "../results"
    return "/".join([base, *map(quote, place_of(result))])


def place_of(result: ResultFile) -> tuple[str, ...]:
    """Folders and file name of a result below `results/`."""
    parts = result.path.parts
    return parts[-5:] if parts[-2] == "robustness" else parts[-4:]


class Picture(NamedTuple):
    """A figure with its words, whether it is from a smoke run, and the results it shows."""

    figure: Figure
    caption: str
    alt: str
    smoke: bool = False
    results: Sequence[ResultFile] = ()


@dataclass(frozen=True)
class Exhibit:
    """One table or figure of a chapter: its words, its numbers, and where they come from."""

    chapter: str
    label: str
    kind: str
    """ "figure" or "table"."""
    values: object
    """JSON values: what `exhibit_values` found."""
    card: Mapping[str, object]
    """Run card of the chapter up to here."""
    results: Sequence[ResultFile] = ()
    words: Mapping[str, object] = field(default_factory=dict)
    """Caption, alternative text, origin."""

    def content(self) -> dict[str, object]:
        """The JSON of this exhibit."""
        return {
            "schema": SCHEMA,
            "label": self.label,
            "kind": self.kind,
            "chapter": self.chapter,
            **self.words,
            "run_card": dict(self.card),
            "results": [
                {
                    "file": "/".join(place_of(result)),
                    "experiment": result.content.get("experiment", result.path.stem),
                    "seed": result.seed,
                    "run_card": result.content["run_card"],
                }
                for result in self.results
            ],
            "values": self.values,
        }

    def publish(self) -> str:
        """Write the JSON where the book is built, and return the HTML that stands below.

        Outside a build (in JupyterLab, through papermill) the link carries the JSON in itself.
        """
        name = f"{self.label}.json"
        if is_building():
            write_json(Path(os.environ[FOLDER_VARIABLE]) / self.chapter / name, self.content())
            link = f'href="../_static/exhibits/{quote(self.chapter)}/{quote(name)}"'
        else:
            text = json.dumps(self.content(), allow_nan=False, separators=(",", ":"))
            packed = base64.b64encode(text.encode()).decode()
            link = f'href="data:application/json;base64,{packed}" download="{html.escape(name)}"'
        card = merged(self.results) if self.results else self.card
        return (
            f'<div class="provenance" data-exhibit="{html.escape(self.label)}">'
            f"{run_card_html(card, extra=sources_html(self.results))}"
            f"<a {link}>numbers of this {self.kind} (JSON)</a></div>"
        )


def sources_html(results: Sequence[ResultFile]) -> str:
    """List of result files with seconds, commit and a link to each."""
    lines = []
    for result in results:
        card = result.content["run_card"]
        name = result.content.get("experiment", result.path.parent.name)
        commit = (card.get("commit") or {}).get("id", "unknown")
        seconds = float(card.get("seconds") or 0)
        lines.append(
            f"<li><code>{html.escape(name)}</code>, {html.escape(str(card.get('profile')))}, seed "
            f"{result.seed}: {seconds:.0f} s, commit {html.escape(str(commit))}, "
            f'<a href="{result_link(result)}">JSON</a></li>'
        )
    return f'<ul class="sources">{"".join(lines)}</ul>' if lines else ""


def merged(results: Sequence[ResultFile]) -> dict[str, object]:
    """One run card for several results: every value that occurs, seconds added up."""
    cards = [result.content["run_card"] for result in results]
    commits = [card.get("commit") or {} for card in cards]
    libraries: dict[str, str | None] = {}
    for card in cards:
        for name, version in (card.get("libraries") or {}).items():
            libraries[name] = _joined([libraries.get(name), version])
    same = {
        name: _joined(card.get(name) for card in cards)
        for name in ("profile", "protocol", "data", "data_hash", "natural", "hardware", "device")
    }
    return {
        **same,
        "seed": _joined(result.seed for result in results),
        "commit": {
            "id": _joined(c.get("id", "unknown") for c in commits),
            "dirty": any(c.get("dirty") for c in commits),
        },
        "libraries": libraries,
        "seconds": sum(float(card.get("seconds") or 0) for card in cards),
    }


def _joined(values: Iterable[object]) -> str | None:
    return ", ".join(dict.fromkeys(str(v) for v in values if v is not None)) or None


def slug(text: str) -> str:
    """A file name made of the first words of a caption."""
    words = re.findall(r"[a-z0-9]+", html.unescape(text).lower())
    return "-".join(words[:6]) or "table"
