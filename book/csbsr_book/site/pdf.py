"""The book as one PDF: Sphinx makes one page of it, Chromium prints that page.

The contents need page numbers, which only the printed book has: it is printed twice, and the
second time the contents hold the pages that the first print found.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup, Tag
from pypdf import PdfReader

from csbsr_book.site.display import render

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 900
"""Longest time that one print may take."""


class Entry(NamedTuple):
    """A line of the contents: depth 1 for chapters, 2 for sections; `anchor` is its id."""

    depth: int
    title: str
    anchor: str


def find_browser() -> str:
    """Path of a Chromium; `CSBSR_CHROMIUM` names another. ValueError where there is none."""
    named = os.environ.get("CSBSR_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found or not Path(found).exists():
        raise ValueError(
            "the PDF needs Chromium or Chrome; install one (Debian: apt install chromium) or name "
            "it in CSBSR_CHROMIUM"
        )
    return found


def single_page(book: Path, output: Path) -> Path:
    """All pages of a staged book as one HTML file below `output`; ValueError if Sphinx fails."""
    run_cli = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", run_cli, "build", str(book), "--path-output", str(output)]
    command += ["--builder", "custom", "--custom-builder", "singlehtml", "-q"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    page = output / "_build" / "singlehtml" / "index.html"
    found = next(iter(page.parent.rglob("intro.html")), page)
    if done.returncode or not found.exists():
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise ValueError(f"the book could not be put on one page: {' '.join(last)}")
    return found


def contents_of(article: Tag) -> list[Entry]:
    """Chapters and sections in their order; each heading gets an id that is its own.

    On one page Sphinx sets chapters one level lower, and sections of equal names share an id.
    """
    entries = []
    for heading in article.find_all(["h1", "h2", "h3"]):
        for link in heading.select(".headerlink"):
            link.decompose()
        heading["id"] = f"heading-{len(entries) + 1}"
        words = heading.get_text().replace("\\(", "").replace("\\)", "").replace("\\", "")
        title = " ".join(words.split())
        entries.append(Entry(2 if heading.name == "h3" else 1, title, heading["id"]))
    return entries


def number_exhibits(article: Tag) -> None:
    """Write "Figure 4.2." and "Table B.1." into captions, by the number of their chapter."""
    chapter, counts = "", {"Figure": 0, "Table": 0}
    for tag in article.select("h2, figcaption"):
        if tag.name == "h2":
            number = tag.select_one(".section-number")
            chapter = number.get_text().strip().rstrip(".") if number else ""
            counts = dict.fromkeys(counts, 0)
            continue
        classes = set(tag.parent.get("class", ()))
        word = {"csbsr-figure": "Figure", "table-figure": "Table"}
        for kind in (word[name] for name in classes & set(word)):
            counts[kind] += 1
            prefix = f"{chapter}." if chapter else ""
            label = BeautifulSoup("", "html.parser").new_tag("b")
            label.string = f"{kind} {prefix}{counts[kind]}. "
            tag.insert(0, label)


def prepare(page: Path, styles: str, pages: Mapping[str, int]) -> str:
    """HTML fit for paper: nothing folded, nothing late, contents with the known page numbers."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    article = soup.select_one("article") or soup.body
    for image in article.find_all("img"):
        image.attrs.pop("loading", None)
    for block in article.select("details:not(.run-card):not(.smoke-values)"):
        block["open"] = ""
    for block in article.select("script, .run-card, .provenance"):
        block.decompose()
    number_exhibits(article)
    contents = render("print_contents.html", entries=contents_of(article), pages=pages)
    first = article.find(["h1", "h2"])
    place = first.find_parent("section") if first else article
    place.insert_before(BeautifulSoup(str(contents), "html.parser"))
    style = soup.new_tag("style")
    style.string = styles
    soup.body.clear()
    soup.body["class"] = ["book-in-print"]
    soup.body.append(article)
    for script in soup.head.find_all("script"):
        if "equations.js" not in (script.get("src") or ""):
            script.decompose()
    soup.html["data-content_root"] = "../"  # the page lies in the folder of the book's root
    for tag, name in ((tag, name) for name in ("href", "src") for tag in soup.head.find_all()):
        if str(tag.get(name, "")).startswith("_static/"):
            tag[name] = f"../{tag[name]}"
    soup.head.append(style)
    return str(soup)


def print_page(browser: str, page: Path, output: Path) -> None:
    """Print a local page to PDF; ValueError if Chromium fails or takes too long."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
            "--disable-background-networking", "--allow-file-access-from-files",
            "--no-pdf-header-footer", "--generate-pdf-document-outline",
            "--virtual-time-budget=600000", f"--print-to-pdf={output}", page.as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"Chromium did not finish the PDF within {SECONDS} s") from None
    if done.returncode or not output.exists():
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ValueError(f"Chromium could not print the book: {last[0]}")


def pages_of(printed: Path) -> dict[str, int]:
    """Page, from 1, of every anchor that a link of the printed book leads to."""
    reader = PdfReader(printed)
    return {
        name.lstrip("/"): reader.get_destination_page_number(place) + 1
        for name, place in reader.named_destinations.items()
    }


def write_pdf(book: Path, output: Path) -> Path:
    """Print a staged book (`_build/book`, executed) as one PDF; returns it.

    ValueError where there is no staged book, no Chromium, or one of both fails; an older PDF is
    kept then.
    """
    if not any((book / "notebooks").glob("*.ipynb")):
        raise ValueError(f"{book} holds no executed chapters; run `make book` before `make pdf`")
    browser = find_browser()
    styles = (book / "book" / "_static" / "print.css").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        page = single_page(book, Path(folder))
        target = page.with_name("print.html")
        printed, pages = Path(folder) / "book.pdf", {}
        for _ in range(2):
            target.write_text(prepare(page, styles, pages), encoding="utf-8")
            print_page(browser, target, printed)
            pages = pages_of(printed)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(printed, output)
    return output
