"""What stands under every table and figure: its run card, and its numbers as JSON."""

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from matplotlib.figure import Figure

from csbsr.reproduce.display import run_card_html
from csbsr.reproduce.results import ResultFile, write_json

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
    return parts[-4:] if parts[-2] == "robustness" else parts[-3:]


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
