"""Figures and tables of a chapter with their words, numbers as JSON, and where they come from."""

import base64
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from csbsr.files import write_json
from csbsr_book.site.display import (
    Origin,
    card_rows,
    card_summary,
    png,
    protocol_words,
    render,
    size_of,
)

if TYPE_CHECKING:
    from csbsr.study.results import ResultFile

DIGITS = 6


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


def drawn(axes: Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Lines of a plot by their label, x and y: what an alternative text can say in numbers."""
    lines = {_name(line.get_label()): line.get_data() for line in axes.lines}
    return {
        name: (np.asarray(x, float), np.asarray(y, float)) for name, (x, y) in lines.items() if name
    }


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


SCHEMA = 2
FOLDER_VARIABLE = "CSBSR_EXHIBITS"
"""Names the folder for the JSON files while the book is built."""


def is_building() -> bool:
    """Whether this runs for the rendered book, not in JupyterLab or through papermill alone."""
    return FOLDER_VARIABLE in os.environ


def result_link(result: "ResultFile") -> str:
    """Address of a result's JSON, seen from a chapter: in the rendered book or in the checkout."""
    base = "../_static/results" if is_building() else "../results"
    return "/".join([base, *map(quote, place_of(result))])


def place_of(result: "ResultFile") -> tuple[str, ...]:
    """Folders and file name of a result below `results/`."""
    parts = result.path.parts
    profile = result.content["profile"]
    return parts[len(parts) - 1 - parts[::-1].index(profile) :]


@dataclass(frozen=True)
class CaptionedFigure:
    """A figure with its words, whose it is, whether it is of a smoke run, and the results in it.

    ValueError without alternative text, because a reader may not see the picture.
    """

    figure: Figure
    caption: str
    alt: str
    smoke: bool = False
    results: Sequence["ResultFile"] = ()
    origin: Origin = "ours"

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError(f"figure '{self.caption}' has no alternative text; say what it shows")

    @property
    def words(self) -> dict[str, object]:
        """What is said about the figure."""
        return {name: getattr(self, name) for name in ("caption", "alt", "origin", "smoke")}

    def html(self, exhibit: "Exhibit") -> Markup:
        """The picture with its caption, and what stands below."""
        drawn = png(self.figure)
        width, height = size_of(drawn)
        return render(
            "figure.html",
            picture=exhibit.picture(drawn),
            width=width,
            height=height,
            label=exhibit.label,
            below=exhibit.publish(),
            **self.words,
        )


@dataclass(frozen=True)
class Exhibit:
    """One table or figure of a chapter: its words, its numbers, and where they come from."""

    chapter: str
    label: str
    kind: str
    """ "figure", "table" or "list"."""
    values: object
    """JSON values: of a figure what it draws, of a table its cells, of a list its entries."""
    card: Mapping[str, object]
    """Run card of the chapter up to here."""
    results: Sequence["ResultFile"] = ()
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
            "results": [source_of(result) for result in self.results],
            "values": self.values,
        }

    def picture(self, drawn: bytes) -> str:
        """Address of a PNG: a file beside the page, outside a build the picture itself."""
        if not is_building():
            return f"data:image/png;base64,{base64.b64encode(drawn).decode()}"
        name = f"{self.label}.png"
        folder = Path(os.environ[FOLDER_VARIABLE]) / self.chapter
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(drawn)
        return self._address(name)

    def _address(self, name: str) -> str:
        return f"../_static/exhibits/{quote(self.chapter)}/{quote(name)}"

    def publish(self) -> Markup:
        """Write the JSON where the book is built, and return what stands below.

        Outside a build (in JupyterLab, through papermill) the link carries the JSON in itself.
        """
        name = f"{self.label}.json"
        if is_building():
            write_json(Path(os.environ[FOLDER_VARIABLE]) / self.chapter / name, self.content())
            link = self._address(name)
        else:
            text = json.dumps(self.content(), allow_nan=False, separators=(",", ":"))
            packed = base64.b64encode(text.encode()).decode()
            link = f"data:application/json;base64,{packed}"
        card = merged(self.results) if self.results else self.card
        return render(
            "provenance.html",
            label=self.label,
            kind=self.kind,
            numbers=link,
            download="" if is_building() else name,
            summary=card_summary(card),
            rows=card_rows(card),
            note="",
            sources=[(source_of(result), result_link(result)) for result in self.results],
        )


def source_of(result: "ResultFile") -> dict[str, object]:
    """Which file a number comes from, and the run card in it."""
    return {
        "file": "/".join(place_of(result)),
        "experiment": result.content.get("experiment", result.path.parent.name),
        "seed": result.seed,
        "run_card": result.content["run_card"],
    }


def images_of(result: "ResultFile") -> int | None:
    """How many test images a result is a mean over."""
    kind = "images" if "images" in result.content else "walls"
    return len(result.content.get(kind, {}).get("names", ())) or None


def merged(results: Sequence["ResultFile"]) -> dict[str, object]:
    """One run card for several results: every value that occurs, seconds added up."""
    cards = [result.content["run_card"] for result in results]
    commits = [card.get("commit") or {} for card in cards]
    libraries: dict[str, str | None] = {}
    for card in cards:
        for name, version in (card.get("libraries") or {}).items():
            libraries[name] = _joined([libraries.get(name), version])
    same = {
        name: _joined(card.get(name) for card in cards)
        for name in ("profile", "data", "data_hash", "natural", "hardware", "device")
    }
    changes: dict[str, object] = {}
    for card in cards:
        changes |= card.get("protocol_changes") or {}
    return {
        **same,
        "protocol": _joined(protocol_words(card) for card in cards),
        "protocol_changes": changes,
        "images": _joined(images_of(result) for result in results),
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
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words[:6]) or "table"
