"""HTML from the templates beside this module: figures, run cards, badges; nothing is computed."""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

HERE = Path(__file__).parent

Origin = Literal["paper", "authors", "ours", "paper and ours"]


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader([HERE / "templates", *sorted(HERE.parent.glob("explorables/*/"))]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: object) -> Markup:
    """HTML of a file in `templates/` or of an explorable; what is not Markup is escaped."""
    return Markup(_environment().get_template(template).render(values).strip())


HEAVY = 250_000


def png(figure: Figure, dpi: int = 144) -> bytes:
    """PNG bytes of a matplotlib figure on its own face colour.

    Photographs make a PNG heavy: one beyond `HEAVY` bytes is kept in its 256 most telling colours.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor=figure.get_facecolor())
    if buffer.tell() <= HEAVY:
        return buffer.getvalue()
    picture = Image.open(buffer).convert("RGB")
    method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    lean = io.BytesIO()
    picture.quantize(256, method=method, dither=dither).save(lean, format="png", optimize=True)
    return lean.getvalue()


def size_of(picture: bytes) -> tuple[int, int]:
    """Width and height in pixels of a PNG, from its header."""
    return int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])


def run_card_html(card: Mapping[str, object], note: str = "") -> Markup:
    """A fold-out list of where a number comes from; its summary names what must not be missed."""
    return render("run_card.html", summary=card_summary(card), rows=card_rows(card), note=note)


def protocol_words(card: Mapping[str, object]) -> str | None:
    """Name of the protocol; one that a profile changed says so."""
    name = card.get("protocol")
    if name and card.get("protocol_changes") and "+" not in str(name):
        return f"{name}+{card.get('profile')}"
    return str(name) if name else None


def data_words(card: Mapping[str, object]) -> str | None:
    """Name of the data, and how many images the numbers are a mean over."""
    images = card.get("images")
    return f"{card['data']} ({images} images)" if images else card.get("data")


def card_summary(card: Mapping[str, object]) -> str:
    """One line: profile, protocol, data, seeds; where nothing was trained, that it is no run."""
    if not card.get("profile"):
        return "Computed on this page"
    seed = str(card.get("seed"))
    seeds = f"seed{'s' * (',' in seed)} {seed}"
    parts = (card["profile"], protocol_words(card), data_words(card), seeds)
    return "Run card: " + ", ".join(str(p) for p in parts if p)


def card_rows(card: Mapping[str, object]) -> list[tuple[str, object]]:
    """What a run card lists: names and values, those that are known."""
    commit = card.get("commit") or {}
    libraries = card.get("libraries") or {}
    changes = card.get("protocol_changes") or {}
    dirty = " (with local changes)" if commit.get("dirty") else ""
    rows = (
        ("profile", card.get("profile")),
        ("protocol", protocol_words(card)),
        ("changed options", ", ".join(f"{k} = {v}" for k, v in changes.items())),
        ("seed", card.get("seed")),
        ("data", data_words(card)),
        ("content of the data", card.get("data_hash")),
        ("pre-training", card.get("natural")),
        ("commit", f"{commit.get('id', 'unknown')}{dirty}"),
        ("hardware", card.get("hardware")),
        ("device", card.get("device")),
        ("libraries", ", ".join(f"{k} {v}" for k, v in libraries.items())),
        ("wall time", f"{float(card.get('seconds') or 0):.1f} s"),
    )
    return [(name, value) for name, value in rows if value not in (None, "")]
