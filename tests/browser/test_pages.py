"""Every page, light and dark, at three widths: no error, nothing from outside, nothing cut off.

A page is opened once per scheme, because opening it and typesetting its equations is what takes
time; everything that can be asked of it is asked then, and all that is wrong is listed together.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from rendered import HEIGHTS, SCHEMES, Scheme, Visit, pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

HEADINGS = "[...document.querySelectorAll('main :is(h1,h2,h3,h4,h5,h6)')].map(h => +h.tagName[1])"
OVERFLOW = """[...document.querySelectorAll(".bd-article *")].filter(node => {
  const box = node.getBoundingClientRect();
  return box.width && box.right > document.documentElement.clientWidth + 1 && node.checkVisibility()
    && !node.closest(".table-scroll, div.math, pre, mjx-assistive-mml, .visually-hidden, dialog");
}).slice(0, 3).map(node => node.outerHTML.slice(0, 120))"""
UNTYPESET = """[...document.querySelectorAll(".math")].filter(
  node => !node.querySelector("mjx-container") || node.querySelector("mjx-merror")
).map(node => node.textContent)"""
PICTURES = """Promise.all([...document.querySelectorAll("main img")].map(async p => {
  p.loading = "eager";
  await p.decode().catch(() => {});
  return p.naturalWidth > 0 && p.hasAttribute("alt") ? "" : p.outerHTML.slice(0, 120);
})).then(all => all.filter(Boolean))"""
UNFOLD = "document.querySelectorAll('main details').forEach(d => d.open = d.className !== 'module')"
HEAVIEST = 1_500_000
"""Bytes that a page may load before anybody scrolls, as files, not as a server may send them."""


@pytest.fixture(scope="session")
def axe() -> object:
    """The checker of axe-core, which its package brings along."""
    module = pytest.importorskip("axe_playwright_python.sync_playwright")
    return module.Axe()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", pages())
def test_page(visit: Callable[..., Visit], axe: object, name: str, scheme: Scheme) -> None:
    seen = visit(name, scheme=scheme, query="?q=beta" if name == "search" else "")
    page, weight = seen.page, dict(seen.loaded)
    wrong = [*too_heavy(weight), *too_wide(page)]
    if page.evaluate("document.documentElement.dataset.theme") != scheme:
        wrong.append(f"not in {scheme} colours")
    wrong += [f"not typeset: {text}" for text in page.evaluate(UNTYPESET)]
    wrong += headings(page)
    wrong += [f"no picture or no alt: {picture}" for picture in page.evaluate(PICTURES)]
    wrong += accessibility(page, axe)
    assert not [*wrong, *seen.problems], "\n".join([*wrong, *seen.problems])


def too_heavy(loaded: dict[str, int]) -> Iterator[str]:
    """The largest files of a page that loads too much."""
    if sum(loaded.values()) > HEAVIEST:
        heavy = sorted(loaded.items(), key=lambda item: -item[1])[:4]
        yield f"{sum(loaded.values()) / 1e6:.2f} MB, most in {heavy}"


def too_wide(page: "Page") -> Iterator[str]:
    """What does not fit at each width, the narrowest last."""
    for width in sorted(HEIGHTS, reverse=True):
        page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        wide, found = page.evaluate("document.documentElement.scrollWidth"), page.evaluate(OVERFLOW)
        if wide > width or found:
            yield f"{wide} px wide at {width}: {found}"
    page.set_viewport_size({"width": 1280, "height": HEIGHTS[1280]})


def headings(page: "Page") -> Iterator[str]:
    """Headings of a page that leave out a level, and a title that is missing or there twice."""
    levels = page.evaluate(HEADINGS)
    if levels[:1] != [1] or levels.count(1) != 1:
        yield f"no single title: headings {levels[:8]}"
    if any(below > above + 1 for above, below in pairwise(levels)):
        yield f"headings leave out a level: {levels}"


def accessibility(page: "Page", axe: object) -> Iterator[str]:
    """What axe-core says of a page with everything unfolded."""
    page.evaluate(UNFOLD)
    found = axe.run(page, options={"resultTypes": ["violations"], "preload": False})
    for violation in found.response["violations"]:
        for node in violation["nodes"][:3]:
            yield f"{violation['id']}: {node['target']} {node.get('failureSummary', '')[:160]}"
