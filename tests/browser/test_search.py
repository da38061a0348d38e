"""The search puts the chapter first that explains a term, and quotes sentences."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from rendered import Visit

FIRST = {
    "boundary combo loss": "04-boundary-combo-loss",
    "HD95": "a1-metrics",
    "KBPN": "a3-networks-sr",
    "blur skip": "06-blur-skip",
    "beta": "10-beta",
    "fail-oriented weight": "05-sr-loss-weights",
}


@pytest.mark.parametrize("words", FIRST)
def test_the_chapter_that_explains_it_comes_first(visit: Callable[..., Visit], words: str) -> None:
    seen = visit("search", query=f"?q={quote(words)}")
    results = seen.page.locator("#search-results > li")
    link = results.first.locator("h2 a")
    assert FIRST[words] in link.get_attribute("href")
    for quoted in results.locator("> p").all_inner_texts()[:5]:
        assert len(quoted.split()) > 3
        assert quoted[-1] in ".!?:)”"
    link.click()
    seen.page.wait_for_url(f"**/{FIRST[words]}.html")
    assert seen.problems == []


def test_nothing_found_is_said(visit: Callable[..., Visit]) -> None:
    seen = visit("search", query="?q=zzyzxqq")
    assert "No chapters" in seen.page.locator("#search-status").inner_text()


def test_code_that_no_page_shows_is_not_found(visit: Callable[..., Visit]) -> None:
    sections = visit("search", query="?q=x").page.evaluate("window.searchSections")
    text = "\n".join(section["text"] for section in sections)
    for plumbing in ("chapter.show(", "StudyChapter(", "injected-parameters"):
        assert plumbing not in text
    assert len(sections) > 100


def test_the_key_opens_the_search_everywhere(visit: Callable[..., Visit]) -> None:
    seen = visit("notebooks/10-beta")
    seen.page.keyboard.press("Control+k")
    seen.page.keyboard.type("blur skip")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_url("**/search.html?q=blur+skip")
    assert seen.problems == []
