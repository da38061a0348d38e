"""Zoom, cards, copying, scrolling and print, on the pages that have something to try them on."""

from collections.abc import Callable

import pytest
from rendered import Visit

LOSS, TABLE = "notebooks/04-boundary-combo-loss", "notebooks/a7-deviations"


def test_a_figure_zooms_on_click_and_on_enter(visit: Callable[..., Visit]) -> None:
    seen = visit(LOSS)
    link, dialog = seen.page.locator("a.zoom").first, seen.page.locator("#zoom")
    link.click()
    assert dialog.is_visible()
    assert dialog.locator("img").get_attribute("alt") == link.locator("img").get_attribute("alt")
    seen.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    link.focus()
    seen.page.keyboard.press("Enter")
    assert dialog.is_visible()
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()
    assert seen.problems == []


def test_a_symbol_says_what_it_means(visit: Callable[..., Visit]) -> None:
    seen = visit(LOSS)
    symbol, card = (
        seen.page.locator('a.symbol[data-term="alpha"]').first,
        seen.page.locator("#card"),
    )
    symbol.hover()
    card.wait_for(state="visible")
    assert "Boundary loss" in card.inner_text()
    seen.page.keyboard.press("Escape")
    card.wait_for(state="hidden")
    assert symbol.get_attribute("aria-describedby") is None


def test_a_cross_reference_says_where_it_leads(visit: Callable[..., Visit]) -> None:
    seen = visit(LOSS)
    card = seen.page.locator("#card")
    seen.page.locator("article a.reference.internal[href$='.html']").first.hover()
    card.wait_for(state="visible")
    assert len(card.inner_text()) > 20
    seen.page.mouse.move(0, 0)
    card.wait_for(state="hidden")
    equation = seen.page.locator("article a.reference.internal[href^='#equation']").first
    equation.hover()
    card.locator("mjx-container").wait_for(state="visible")
    assert seen.problems == []


def test_code_that_teaches_is_open_and_can_be_copied(visit: Callable[..., Visit]) -> None:
    page = visit(LOSS).page
    shown = page.locator(".teaches").first
    assert "def boundary_combo_loss" in shown.locator("pre").inner_text()
    assert "a10-api.html#csbsr.losses" in shown.locator("figcaption a").first.get_attribute("href")
    assert shown.locator("button.copybtn").count() == 1
    plumbing = "[...document.querySelectorAll('.cell_input')].filter(c => !c.closest('details'))"
    assert page.evaluate(f"{plumbing}.length") == 0, "only folded solutions show their cells"


def test_a_run_card_is_a_sign_that_opens(visit: Callable[..., Visit]) -> None:
    page = visit(LOSS).page
    card = page.locator(".provenance .run-card").first
    assert not card.locator("dl").is_visible()
    card.locator("summary").focus()
    page.keyboard.press("Enter")
    assert card.locator("dl").is_visible()
    assert card.get_by_role("link", name="numbers of this").is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_too_wide_scrolls_and_says_so(visit: Callable[..., Visit], width: int) -> None:
    page = visit(TABLE, width=width).page
    wide = page.locator(".scrolls:has(> .more.after:not([hidden]))").first
    if width == 390:
        assert wide.count() == 1
    if not wide.count():
        return
    box = wide.locator(":scope > [tabindex]")
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("box => box.scrollLeft > 0", arg=box.element_handle())
    wide_now = page.locator(".scrolls:has(> .more.before:not([hidden]))")
    wide_now.first.wait_for(state="attached")


@pytest.mark.parametrize("name", [LOSS, TABLE])
def test_print_cuts_nothing(visit: Callable[..., Visit], name: str) -> None:
    page = visit(name).page
    page.set_viewport_size({"width": 720, "height": 1000})
    page.emulate_media(media="print")
    cut = """[...document.querySelectorAll(".table-scroll, pre")].filter(
      n => n.checkVisibility() && n.scrollWidth > document.body.clientWidth + 2).length"""
    assert page.evaluate(cut) == 0
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(media="screen")


def test_an_address_in_the_api_unfolds_its_module(visit: Callable[..., Visit]) -> None:
    page = visit("notebooks/a10-api", query="#csbsr.degradation.degrade").page
    assert page.locator("[id='csbsr.degradation.degrade']").is_visible()
    assert page.locator("details.module[open]").count() == 1
    assert page.evaluate("document.documentElement.scrollHeight") < 15_000


def test_an_explorable_reacts_to_keyboard_and_mouse(explorable: Callable[..., object]) -> None:
    slider = explorable("notebooks/a1-metrics", "threshold")
    before, after = slider.press("input[type=range]", "ArrowRight", times=5)
    assert before != after
    before, after = slider.drag("input[type=range]", 0.3)
    assert before != after
    assert slider.visit.problems == []
