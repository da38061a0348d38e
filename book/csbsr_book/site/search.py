"""What the search of the rendered book finds: the prose of every section, as a reader sees it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from csbsr_book.paper.terms import Term, load_terms

HIDDEN = (
    "script, style, noscript, pre, table, details.run-card, .provenance, .cell_input, .headerlink, "
    ".math, nav, [hidden], .visually-hidden"
)
"""What no excerpt may quote: code, numbers of tables, where numbers come from, formulas."""
SENTENCES = "p, li, dd, dt, figcaption, blockquote"
HEADINGS = ("h1", "h2", "h3", "h4")


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
    terms: str = ""
    """Names and symbols that the chapter explains here."""


def sections(html: str, page: str) -> Iterator[Section]:
    """The sections of one rendered page, in order; none for a page without an article."""
    article = BeautifulSoup(html, "html.parser").select_one("article.bd-article")
    if article is None or article.h1 is None:
        return
    for hidden in article.select(HIDDEN):
        hidden.decompose()
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


def _text(tag: Tag) -> str:
    return " ".join(tag.get_text().split())


def named(found: Sequence[Section], terms: Sequence[Term]) -> list[Section]:
    """The sections, with the terms that each explains."""
    made = []
    for section in found:
        mine = [
            term
            for term in terms
            if f"{term.page}.html" == section.page and term.anchor == section.anchor
        ]
        words = ", ".join(word for term in mine for word in (term.name, *term.also))
        made.append(Section(**asdict(section) | {"terms": words}))
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
