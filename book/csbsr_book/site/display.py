"""HTML for figures, tables and run cards: alternative text, captions, anchors, origin badges."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.figure import Figure

Origin = Literal["paper", "authors", "ours", "paper and ours"]

ORIGINS = {
    "paper": "paper",
    "authors": "authors' code",
    "ours": "ours",
    "paper and ours": "paper and ours",
}


def badge(origin: Origin) -> str:
    """Small label that says whose statement or number this is."""
    style = origin.replace(" ", "-")
    return f'<span class="origin origin-{style}">{html.escape(ORIGINS[origin])}</span>'


def png(figure: Figure, dpi: int = 144) -> bytes:
    """PNG bytes of a matplotlib figure on its own face colour."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor=figure.get_facecolor())
    return buffer.getvalue()


def figure_html(
    figure: Figure,
    *,
    label: str,
    caption: str,
    alt: str,
    origin: Origin,
    smoke: bool = False,
    below: str = "",
) -> str:
    """A captioned picture; `alt` is required, because a reader may not see the picture.

    `below` is HTML that follows the caption.
    """
    if not alt.strip():
        raise ValueError(f"figure '{label}' has no alternative text; describe what it shows")
    image = base64.b64encode(png(figure)).decode()
    kind = "csbsr-figure smoke" if smoke else "csbsr-figure"
    text = f"{badge(origin)}{smoke_note(smoke)} {html.escape(caption)}"
    return (
        f'<figure class="{kind}" data-label="{html.escape(label)}">'
        f'<img src="data:image/png;base64,{image}" alt="{html.escape(alt)}" loading="lazy">'
        f"<figcaption>{text}</figcaption>{below}</figure>"
    )


def smoke_note(smoke: bool) -> str:
    """Mark that a number only proves that the code runs."""
    return ' <span class="origin origin-smoke">smoke run, not a result</span>' if smoke else ""


def stale_note(stale: bool) -> str:
    """Mark that today's code would compute something else."""
    return ' <span class="origin origin-stale">stale</span>' if stale else ""


def run_card_html(
    card: Mapping[str, object], note: str = "", link: str = "", extra: str = ""
) -> str:
    """A fold-out list of where a number comes from, with a link to its JSON if there is one.

    `extra` is HTML that follows the list.
    """
    commit = card.get("commit") or {}
    libraries = card.get("libraries") or {}
    dirty = " (with local changes)" if commit.get("dirty") else ""
    rows: Sequence[tuple[str, object]] = (
        ("profile", card.get("profile")),
        ("protocol", card.get("protocol")),
        ("seed", card.get("seed")),
        ("data", f"{card.get('data')} ({card.get('data_hash')})"),
        ("pre-training", card.get("natural")),
        ("commit", f"{commit.get('id', 'unknown')}{dirty}"),
        ("hardware", card.get("hardware")),
        ("libraries", ", ".join(f"{k} {v}" for k, v in libraries.items())),
        ("wall time", f"{float(card.get('seconds') or 0):.1f} s"),
    )
    body = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in rows
        if value is not None
    )
    source = f' (<a href="{html.escape(link)}">JSON</a>)' if link else ""
    lead = f"<p>{html.escape(note)}{source}</p>" if note or link else ""
    summary = f"Run card: {card.get('profile')}, seed {card.get('seed')}"
    return (
        f'<details class="run-card"><summary>{html.escape(summary)}</summary>'
        f"{lead}<dl>{body}</dl>{extra}</details>"
    )


def table_html(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, row_headers: int = 1
) -> str:
    """A scrollable, accessible table; cells are HTML and must be escaped by the caller."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    lines = []
    for row in rows:
        cells = [f'<th scope="row">{cell}</th>' for cell in row[:row_headers]]
        cells += [f"<td>{cell}</td>" for cell in row[row_headers:]]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    text = html.escape(caption)  # outside what scrolls, so that a phone shows all of it
    return (
        f'<figure class="table-figure"><figcaption>{text}</figcaption>'
        f'<div class="table-scroll" tabindex="0" role="region" aria-label="{text}">'
        f'<table class="csbsr-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></figure>"
    )
