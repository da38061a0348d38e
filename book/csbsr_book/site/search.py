"""What the search of the rendered book finds: the prose of every section, as a reader sees it."""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from csbsr_book.paper.terms import Term, load_terms

HIDDEN = (
    "script, style, noscript, pre, table, details.run-card, .provenance, .cell_input, .headerlink, "
    "div.math, .origin, .api dt, nav, [hidden], .visually-hidden"
)
"""What no excerpt may quote: code, numbers of tables, where numbers come from, equations."""
GREEK = {
    unicodedata.name(chr(code)).rpartition(" ")[2].lower(): chr(code)
    for code in range(ord("α"), ord("ω") + 1)
}
SENTENCES = "p, li, dd, dt, figcaption, blockquote"
HEADINGS = ("h1", "h2", "h3", "h4")


@dataclass(frozen=True)
class Explained:
    """A term, by all its names, and what it means."""

    names: tuple[str, ...]
    says: str


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it up to the next heading."""

    page: str
    """Address of the page, seen from the root of the site."""
    anchor: str
    chapter: str
    """Title of the page with its number."""
    heading: str
    text: str
    """Its sentences, one line per paragraph."""
    terms: tuple[Explained, ...] = ()
    """What the chapter explains here."""


def sections(html: str, page: str) -> Iterator[Section]:
    """The sections of one rendered page, in order; none for a page without an article."""
    article = BeautifulSoup(html, "html.parser").select_one("article.bd-article")
    if article is None or article.h1 is None:
        return
    for hidden in article.select(HIDDEN):
        hidden.decompose()
    for formula in article.select(".math"):
        formula.string = spoken(formula.get_text())
    chapter = _text(article.h1)
    for section in article.select("section"):
        heading = section.find(HEADINGS, recursive=False)
        if heading is None:
            continue
        own = [
            tag
            for tag in section.select(SENTENCES)
            if tag.find_parent("section") is section and not tag.find(SENTENCES.split(", "))
        ]
        text = "\n".join(filter(None, map(_text, own)))
        anchor = "" if heading.name == "h1" else str(section.get("id", ""))
        yield Section(page, anchor, chapter, _text(heading), text)


def spoken(tex: str) -> str:
    """An inline formula as plain text: `\\(\\mathcal{L}_\\beta\\)` is "L_β"."""
    tex = tex.strip().removeprefix(r"\(").removesuffix(r"\)")
    text = re.sub(r"\\(?:math\w+|text)\{([^}]*)\}", r"\1", tex)

    def letter(found: re.Match[str]) -> str:
        name = found.group(1)
        return GREEK.get(name, {"le": "≤", "ge": "≥", "times": "×"}.get(name, ""))

    return re.sub(r"\\([A-Za-z]+)", letter, text).replace("{", "").replace("}", "").strip()


def _text(tag: Tag) -> str:
    return " ".join(tag.get_text().split())


def named(found: Sequence[Section], terms: Sequence[Term]) -> list[Section]:
    """The sections, with the terms that each explains."""
    made = []
    for section in found:
        here = (section.page, section.anchor)
        mine = [term for term in terms if (f"{term.page}.html", term.anchor) == here]
        explained = tuple(Explained((term.name, *term.also), term.says) for term in mine)
        made.append(replace(section, terms=explained))
    return made


def write_search_data(html: Path, pages: Sequence[str]) -> int:
    """Write `_static/search-data.js` for these pages of a rendered book; returns its sections.

    A script, because a page that is opened from a folder may not read files.
    """
    found = [
        section
        for page in pages
        for section in sections((html / page).read_text(encoding="utf-8"), page)
    ]
    data = json.dumps([asdict(s) for s in named(found, load_terms())], ensure_ascii=False)
    target = html / "_static" / "search-data.js"
    target.write_text(f"window.searchSections = {data};\n", encoding="utf-8")
    return len(found)
