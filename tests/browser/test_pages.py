"""Every page at three widths, light and dark: no error, no request outside, nothing cut off."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from rendered import HEIGHTS, SCHEMES, Scheme, Visit, pages

HEADINGS = "[...document.querySelectorAll('main :is(h1,h2,h3,h4,h5,h6)')].map(h => +h.tagName[1])"
OVERFLOW = """[...document.querySelectorAll(".bd-article *")].filter(node => {
  const box = node.getBoundingClientRect();
  return box.width && box.right > document.documentElement.clientWidth + 1 && node.checkVisibility()
    && !node.closest(".table-scroll, div.math, pre, mjx-assistive-mml, .visually-hidden, dialog");
}).slice(0, 3).map(node => node.outerHTML.slice(0, 120))"""
UNTYPESET = """[...document.querySelectorAll(".math")].filter(
  node => !node.querySelector("mjx-container") || node.querySelector("mjx-merror")
).map(node => node.textContent)"""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", HEIGHTS)
@pytest.mark.parametrize("name", pages())
def test_page(visit: Callable[..., Visit], name: str, width: int, scheme: Scheme) -> None:
    seen = visit(name, width=width, scheme=scheme)
    page = seen.page
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{wide} px wide: {page.evaluate(OVERFLOW)}"
    assert page.evaluate(OVERFLOW) == []
    assert page.evaluate(UNTYPESET) == []
    assert seen.problems == []


@pytest.mark.parametrize("name", pages())
def test_headings_are_in_order_and_pictures_there(visit: Callable[..., Visit], name: str) -> None:
    seen = visit(name)
    levels = seen.page.evaluate(HEADINGS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels)), levels
    for picture in seen.page.locator("main img").all():
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("p => p.decode().then(() => p.naturalWidth > 0)")
        assert picture.get_attribute("alt") is not None
    assert seen.problems == []


@pytest.mark.parametrize("name", pages())
def test_weight(visit: Callable[..., Visit], name: str) -> None:
    """What a page loads before anybody scrolls, as files, not as a server may compress them."""
    seen = visit(name)
    weight = sum(seen.loaded.values())
    heavy = sorted(seen.loaded.items(), key=lambda item: -item[1])[:4]
    assert weight <= 1_500_000, f"{weight / 1e6:.2f} MB, most in {heavy}"
