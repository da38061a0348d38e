"""The rendered book in Debian's Chromium: a local server, one browser, and pages that keep watch.

`visit("notebooks/10-beta", width=390, scheme="dark")` opens a page; whatever goes wrong while it is
open (console errors, failed or external requests) lies in its `problems`. Explorables have a handle
of their own: `explorable("notebooks/a1-metrics", "threshold-slider")`.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rendered import CHROMIUM, HEIGHTS, HTML, Explorable, Scheme, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a browser."""
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


class Quiet(SimpleHTTPRequestHandler):
    """Files of the rendered book, without a line per request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Address of the rendered book."""
    if not (HTML / "index.html").exists():
        pytest.fail(f"{HTML} holds no rendered book; run 'make book' first")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium, started once."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium, or set CSBSR_CHROMIUM")
    sync = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")
    with sync.sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def contexts(browser: "Browser") -> Iterator[Callable[[int, Scheme], "BrowserContext"]]:
    """One browser window per width and colour scheme, so that files are fetched once."""
    made: dict[tuple[int, Scheme], BrowserContext] = {}

    def context(width: int, scheme: Scheme) -> "BrowserContext":
        if (width, scheme) not in made:
            made[width, scheme] = browser.new_context(
                viewport={"width": width, "height": HEIGHTS[width]},
                color_scheme=scheme,
                has_touch=width < 1000,
            )
        return made[width, scheme]

    yield context
    for opened in made.values():
        opened.close()


@pytest.fixture
def visit(
    site: str, contexts: Callable[[int, Scheme], "BrowserContext"]
) -> Iterator[Callable[..., Visit]]:
    """Opener of pages: `visit(name, width=1280, scheme="light", query="")`."""
    opened: list[Page] = []

    def open_page(
        name: str, *, width: int = 1280, scheme: Scheme = "light", query: str = ""
    ) -> Visit:
        page = contexts(width, scheme).new_page()
        opened.append(page)
        seen = Visit(page)

        def console(message: object) -> None:
            if message.type in ("error", "warning"):
                seen.problems.append(f"console: {message.text}")

        def response(answer: object) -> None:
            if answer.status >= 400:
                seen.problems.append(f"{answer.status}: {answer.url}")
            else:
                file = HTML / answer.url.removeprefix(site).split("?")[0].lstrip("/")
                seen.loaded[answer.url] = file.stat().st_size if file.is_file() else 0

        def request(asked: object) -> None:
            if asked.url.startswith("http") and not asked.url.startswith(site):
                seen.problems.append(f"external: {asked.url}")

        page.on("console", console)
        page.on("pageerror", lambda error: seen.problems.append(f"script: {error}"))
        page.on("requestfailed", lambda r: seen.problems.append(f"failed: {r.url}"))
        page.on("request", request)
        page.on("response", response)
        page.goto(f"{site}/{name}.html{query}")
        seen.settle()
        return seen

    yield open_page
    for page in opened:
        page.close()


@pytest.fixture
def explorable(visit: Callable[..., Visit]) -> Callable[..., Explorable]:
    """Opener of explorables: `explorable(page, name)`, the root is `[data-explorable=name]`."""

    def open_explorable(name: str, which: str, **how: object) -> Explorable:
        opened = visit(name, **how)
        root = opened.page.locator(f'[data-explorable="{which}"]')
        root.scroll_into_view_if_needed()
        return Explorable(opened, root)

    return open_explorable
