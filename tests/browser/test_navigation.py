"""The menus open and close by mouse, touch and keyboard, and chapters lead to one another."""

from collections.abc import Callable

import pytest
from rendered import HEIGHTS, Visit

PAGE = "notebooks/04-boundary-combo-loss"
SHOWN = """id => [id, id + "-modal"].some(name => {
  const node = document.getElementById(name), box = node.getBoundingClientRect();
  return node.querySelector("a") && node.checkVisibility() && box.width > 0 && box.left >= 0
    && box.left < innerWidth;
})"""


def until(seen: Visit, bar: str, shown: bool) -> None:
    seen.page.wait_for_function(f"id => ({SHOWN})(id) === {str(shown).lower()}", arg=bar)


@pytest.mark.parametrize("way", ["mouse", "touch", "keyboard"])
@pytest.mark.parametrize("width", HEIGHTS)
def test_chapters_open_and_close(visit: Callable[..., Visit], width: int, way: str) -> None:
    if way == "touch" and width > 1000:
        pytest.skip("a desktop has no touch here")
    seen = visit(PAGE, width=width)
    button = seen.page.locator(".primary-toggle")
    bar, narrow = "pst-primary-sidebar", width < 992

    def press() -> None:
        if way == "touch":
            button.tap()
        elif way == "mouse":
            button.click()
        else:
            button.focus()
            seen.page.keyboard.press("Enter")

    until(seen, bar, not narrow)
    assert button.get_attribute("aria-expanded") == str(not narrow).lower()
    press()
    until(seen, bar, narrow)
    assert button.get_attribute("aria-expanded") == str(narrow).lower()
    if not narrow:
        press()
        until(seen, bar, True)
    elif way == "keyboard":
        seen.page.keyboard.press("Escape")
        until(seen, bar, False)
        assert button.evaluate("b => b === document.activeElement")
    else:
        dialog = seen.page.locator("#pst-primary-sidebar-modal")
        close = dialog.get_by_role("button", name="Close")
        close.tap() if way == "touch" else close.click()
        until(seen, bar, False)
        press()
        dialog.get_by_role("link", name="10. Results: the task weight").click()
        seen.page.wait_for_url("**/10-beta.html")
    assert seen.problems == []


@pytest.mark.parametrize("width", [390, 768])
def test_contents_of_a_page_lead_to_a_section(visit: Callable[..., Visit], width: int) -> None:
    seen = visit(PAGE, width=width)
    seen.page.locator(".secondary-toggle").tap()
    until(seen, "pst-secondary-sidebar", True)
    dialog = seen.page.locator("#pst-secondary-sidebar-modal")
    link = dialog.get_by_role("link").nth(2)
    target = link.get_attribute("href")
    link.tap()
    until(seen, "pst-secondary-sidebar", False)
    heading = seen.page.locator(target).locator(":is(h2, h3)").first
    seen.page.wait_for_function(
        "node => Math.abs(node.getBoundingClientRect().top) < 200", arg=heading.element_handle()
    )
    assert seen.problems == []


def test_previous_and_next_carry_numbers_and_titles(visit: Callable[..., Visit]) -> None:
    seen = visit(PAGE)
    for side, number in (("prev", "3."), ("next", "5.")):
        title = seen.page.locator(f'a[rel="{side}"] .prev-next-title').inner_text()
        assert title.startswith(number)
        assert len(title) > len(number) + 3
    seen.page.locator('a[rel="next"]').click()
    seen.page.wait_for_url("**/05-*.html")


def test_every_chapter_has_a_number_and_no_two_titles_are_alike(
    visit: Callable[..., Visit],
) -> None:
    links = visit("index").page.locator(".bd-docs-nav .toctree-l1 > a").all_inner_texts()
    chapters = [link.strip() for link in links[1:]]
    assert all(chapter.split(".")[0].isdigit() or chapter[1] == "." for chapter in chapters)
    starts = [" ".join(chapter.split(". ", 1)[1].lower().split()[:4]) for chapter in chapters]
    assert len(set(starts)) == len(starts), sorted(starts)


def test_the_first_key_leads_to_the_text(visit: Callable[..., Visit]) -> None:
    page = visit(PAGE).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    focused = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert focused == "solid"


def test_colours_follow_the_button(visit: Callable[..., Visit]) -> None:
    page = visit(PAGE).page
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    button = page.locator(".theme-switch-button")
    seen = set()
    for _ in range(3):
        button.click()
        seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert before in seen
    assert len(seen) == 2
    page.evaluate("localStorage.clear()")


def test_the_menu_of_the_page_closes_with_escape(visit: Callable[..., Visit]) -> None:
    page = visit(PAGE).page
    page.locator(".page-menu summary").click()
    assert page.get_by_role("link", name="Download source file").is_visible()
    page.keyboard.press("Escape")
    assert page.locator(".page-menu[open]").count() == 0
