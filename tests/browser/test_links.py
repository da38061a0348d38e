"""Links and anchors inside the rendered book lead somewhere; the site stays small."""

from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from rendered import HTML, pages


@cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    return frozenset(tag["id"] for tag in soup(path).find_all(id=True))


@pytest.mark.parametrize("name", pages())
def test_links_resolve(name: str) -> None:
    path, lost = HTML / f"{name}.html", []
    page = soup(path)
    addresses = {tag[key] for key in ("href", "src") for tag in page.find_all(**{key: True})}
    for address in sorted(addresses):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            assert parts.scheme != "http", address
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        page_with_anchor = parts.fragment and target.suffix == ".html"
        if not target.exists() or (
            page_with_anchor and unquote(parts.fragment) not in anchors(target)
        ):
            lost.append(address)
    assert not lost
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids)), sorted({i for i in ids if ids.count(i) > 1})


def test_the_site_is_small() -> None:
    total = sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file())
    assert total < 40e6, f"{total / 1e6:.0f} MB"
