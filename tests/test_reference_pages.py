"""Cost, environment and API pages: right numbers, every public name, sound HTML."""

import inspect
import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from result_files import put_result

from csbsr import degradation, evaluation, protocol
from csbsr.study.experiments import experiments
from csbsr.study.provenance import PACKAGE
from csbsr_book.chapters import api as api_pages
from csbsr_book.chapters import reference as reference_pages
from csbsr_book.chapters.api import LAYERS, api_html, public_members, public_modules, signature
from csbsr_book.chapters.opening import duration
from csbsr_book.site.display import render
from csbsr_book.site.table import html, values

VOID = {"br", "img", "hr", "meta", "link", "input"}


class Checker(HTMLParser):
    """Collects ids and links; fails on tags that do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def checked(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    return checker


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {layer: api_html(packages) for layer, packages in LAYERS.items()}


def test_layers_hold_every_module_once() -> None:
    listed = [name for packages in LAYERS.values() for name in packages]
    assert len(listed) == len(set(listed))
    there = {p.relative_to(PACKAGE).with_suffix("").parts[0] for p in PACKAGE.rglob("*.py")}
    assert set(listed) == {name for name in there if not name.startswith("_")}


def test_every_public_name_is_there_once_and_links_lead_somewhere(pages: dict[str, str]) -> None:
    found = [checked(text) for text in pages.values()]
    ids = Counter(i for page in found for i in page.ids)
    assert max(ids.values()) == 1
    for layer, packages in LAYERS.items():
        for module in public_modules(packages):
            for name, _ in public_members(module):
                assert f'id="{module.__name__}.{name}"' in pages[layer]
    for page in found:
        assert {link[1:] for link in page.links if link[0] == "#"} <= set(page.ids)
    for name in ("degradation.degrade", "protocol.PRINTED", "evaluation.evaluate", "cli.main"):
        assert (f"csbsr.{name}" in ids) == (name != "protocol.PRINTED"), "values are not listed"


def test_signatures_are_as_written() -> None:
    assert signature(degradation.downsample) == (
        "downsample(images: Tensor, scale: int=4, antialias: bool=True) -> Tensor"
    )
    assert signature(protocol.Protocol) == "Protocol"
    assert "device: torch.device | str='cpu'" in signature(evaluation.evaluate)


def test_fields_come_with_their_docstrings() -> None:
    fields = dict(api_pages.fields(protocol.Protocol))
    assert fields["beta_ramp: float = 1.0"].startswith("Share of step 3")
    text = api_html(["protocol"])
    assert 'id="csbsr.protocol.Protocol.beta_ramp"' in text
    assert 'id="csbsr.protocol.Protocol.but"' in text


def test_docstrings_are_escaped_and_code_is_marked() -> None:
    """Take `a < b` & c.

    More <here>.
    """
    module = ModuleType("m")
    module.__doc__ = test_docstrings_are_escaped_and_code_is_marked.__doc__
    text = render("api.html", modules=[api_pages.module_entry(module)])
    assert (
        "<p>Take <code>a &lt; b</code> &amp; c.</p><details><summary>more on m</summary>"
        "<p>More &lt;here&gt;.</p></details>"
    ) in text
    assert api_pages.paragraphs("") == []


def test_every_public_function_has_a_docstring() -> None:
    missing = []
    for packages in LAYERS.values():
        for module in public_modules(packages):
            missing += [
                f"{module.__name__}.{name}"
                for name, value in public_members(module)
                if not api_pages.own_docstring(value) and inspect.isfunction(value)
            ]
    assert not missing


def test_experiment_table_shows_what_was_measured(tmp_path: Path) -> None:
    path = put_result(tmp_path, "csbsr-pspnet")
    content = json.loads(path.read_text())
    content["run_card"] |= {"seconds": 900.0, "hardware": "abacus & sons"}
    path.write_text(json.dumps(content))
    text = html(reference_pages.experiment_table(tmp_path))
    checked(text)
    assert text.count('scope="row"') == len(experiments())
    assert text.count("15 min") == 1
    assert "abacus &amp; sons (1 runs)" in text
    assert text.count("150,000") == len(experiments())
    assert "nothing was run yet" in html(reference_pages.experiment_table(tmp_path / "none"))


def test_totals_count_shared_steps_once() -> None:
    table = values(reference_pages.totals())
    shared = 6 * (200_000 + 30_000)  # KBPN with each kernel, DBPN, wide DBPN, SrcNet
    own = 150_000 * sum(row.learns for row in experiments())
    assert ["paper", shared + own] in table["rows"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.456, "0.456 s"), (89, "89 s"), (90, "1.5 min"), (7200, "2 h"), (864000, "10 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_benchmarks_of_any_form_are_shown(tmp_path: Path) -> None:
    assert "No benchmark" in html(*reference_pages.benchmark_tables(tmp_path))
    content = {"what": "a <b>", "ratio": {"x / y": 2.5}, "n": 1200, "ok": True, "who": "me"}
    (tmp_path / "one.json").write_text(json.dumps(content))
    (tmp_path / "broken.json").write_text("{")
    text = "".join(map(html, reference_pages.benchmark_tables(tmp_path)))
    checked(text)
    assert "a &lt;b&gt;" in text
    assert '<th scope="row">ratio, x / y</th><td>2.5</td>' in text
    assert "1,200" in text
    assert "True" not in text
    records = {"networks": {"a": {"gmacs": 1.25, "seconds": None}, "b": {"gmacs": 3, "note": "x"}}}
    (tmp_path / "two.json").write_text(json.dumps(records))
    text = "".join(map(html, reference_pages.benchmark_tables(tmp_path)))
    checked(text)
    assert '<th scope="row">a</th><td>1.25</td><td>–</td><td>–</td>' in text
    assert '<th scope="row">b</th><td>3</td><td>–</td><td>x</td>' in text


def test_chapter_times_come_from_executed_notebooks(tmp_path: Path) -> None:
    assert "No chapter" in html(reference_pages.chapter_table(tmp_path))
    for name, record in (("01", {"duration": 12.5}), ("02", {}), ("03.failed", {"duration": 1})):
        notebook = {"metadata": {"papermill": record}, "cells": []}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(notebook))
    text = html(reference_pages.chapter_table(tmp_path))
    assert "12.5 s" in text
    assert "02" not in text
    assert "failed" not in text


def test_profile_and_environment_tables_are_sound() -> None:
    assert "never a result" in html(reference_pages.profile_table())
    checked(html(reference_pages.profile_table()))
    text = html(reference_pages.environment_table())
    checked(text)
    assert "torch" in text
