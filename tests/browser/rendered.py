"""What the browser tests share: where the rendered book lies, open pages, explorables."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[2]
HTML = Path(os.environ.get("CSBSR_HTML") or ROOT / "_build" / "html")
CHROMIUM = os.environ.get("CSBSR_CHROMIUM") or "/usr/bin/chromium"
HEIGHTS = {390: 844, 768: 1024, 1280: 900}
SCHEMES = ("light", "dark")
Scheme = Literal["light", "dark"]


def pages() -> list[str]:
    """Every page of the rendered book as Sphinx names it; one place holder where there is none."""
    found = sorted(
        path.relative_to(HTML).with_suffix("").as_posix()
        for folder in ("book", "notebooks")
        for path in (HTML / folder).glob("*.html")
    )
    return [*found, "search"] if found else ["nothing-rendered"]


@dataclass
class Visit:
    """An open page, what went wrong on it, and what it loaded: address to bytes."""

    page: "Page"
    problems: list[str] = field(default_factory=list)
    loaded: dict[str, int] = field(default_factory=dict)

    def settle(self) -> None:
        """Wait until the page is still: loaded, and its equations typeset."""
        self.page.wait_for_load_state("load")
        self.page.wait_for_function(
            "!document.querySelector('.math') || document.documentElement.dataset.equations"
        )


@dataclass(frozen=True)
class Explorable:
    """One explorable on its page: its root, and what it says to a screen reader."""

    visit: Visit
    root: "Locator"

    def said(self) -> str:
        """The words of its live region."""
        return self.root.locator("[aria-live]").first.inner_text()

    def press(self, control: str, key: str, times: int = 1) -> tuple[str, str]:
        """Press a key on a control; returns what it said before and after."""
        before = self.said()
        self.root.locator(control).focus()
        for _ in range(times):
            self.visit.page.keyboard.press(key)
        return before, self.said()

    def drag(self, control: str, across: float) -> tuple[str, str]:
        """Drag the mouse over a control, from its middle by a share of its width; before, after."""
        before = self.said()
        box = self.root.locator(control).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = self.visit.page.mouse
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + across * box["width"], y, steps=4)
        mouse.up()
        return before, self.said()
