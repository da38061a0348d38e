"""Under every table and figure: its run card and its numbers, in a file or in the link itself."""

import base64
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt

from csbsr.study.results import ResultFile
from csbsr_book.chapters.tables import paper_table_html
from csbsr_book.site import chapter as chapters
from csbsr_book.site.build import BookRequest
from csbsr_book.site.chapter import Chapter
from csbsr_book.site.display import table_html
from csbsr_book.site.execute import execute
from csbsr_book.site.exhibit import (
    FOLDER_VARIABLE,
    figure_values,
    merged,
    place_of,
    result_link,
    slug,
    table_values,
)

ROOT = Path(__file__).parents[1]


def result(experiment: str, seed: int, seconds: float, commit: str = "abc") -> ResultFile:
    card = {
        "profile": "quick",
        "protocol": "paper",
        "seed": seed,
        "data": "set",
        "data_hash": "d1",
        "commit": {"id": commit, "dirty": False},
        "hardware": "one machine",
        "device": "cpu",
        "libraries": {"torch": "2.14.1"},
        "seconds": seconds,
    }
    content = {"experiment": experiment, "profile": "quick", "seed": seed, "run_card": card}
    return ResultFile(Path(f"/r/results/quick/set/{experiment}-seed{seed}.json"), content)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """HTML that chapters display."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    found: list[str] = []
    monkeypatch.setattr(chapters, "display", lambda html: found.append(html.data))
    return found


def embedded(text: str) -> dict:
    """The JSON that a link carries in itself."""
    packed = re.search(r'href="data:application/json;base64,([^"]+)" download="', text)[1]
    return json.loads(base64.b64decode(packed))


def line_figure() -> plt.Figure:
    figure, axes = plt.subplots()
    axes.plot([0, 1, 2], [0.5, np.nan, 1 / 3], label="a line")
    axes.axhline(0.25)
    axes.bar([1, 2], [3, 4])
    axes.scatter([1, 2], [3, 5], label="dots")
    axes.imshow(np.array([[0, 7], [2, 3]]))
    axes.set(title="title", xlabel="x", ylabel="y")
    axes.text(1, 1, "a word")
    return figure


def test_the_values_of_a_figure_are_what_it_draws() -> None:
    (axes,) = figure_values(line_figure())["axes"]
    assert axes["title"] == "title"
    assert (axes["x_label"], axes["y_label"]) == ("x", "y")
    assert axes["lines"][0] == {"name": "a line", "x": [0, 1, 2], "y": [0.5, None, 0.333333]}
    assert axes["lines"][1]["y"] == [0.25, 0.25]
    assert axes["bars"] == [{"x": 1, "y": 3}, {"x": 2, "y": 4}]
    assert axes["points"] == [{"name": "dots", "xy": [[1, 3], [2, 5]]}]
    assert axes["pictures"] == [{"shape": [2, 2], "smallest": 0, "largest": 7}]
    assert axes["words"] == ["a word"]


def test_the_values_of_a_table_are_its_cells() -> None:
    text = table_html(
        ["A", "B <sub>1</sub>"], [["x &lt; y", "1<br>2"], ["z", "3"]], caption="So & so"
    )
    assert table_values(text) == [
        {"caption": "So & so", "header": ["A", "B 1"], "rows": [["x < y", "1 2"], ["z", "3"]]}
    ]


def test_the_voices_of_a_paper_table_stay_apart() -> None:
    (table,) = table_values(paper_table_html("IV", {}, {}))
    assert table["caption"].startswith("Table IV.")
    row = next(r for r in table["rows"] if "csbsr-pspnet-wce" in r[0])
    assert row[1]["ours"] == "–"
    assert 0.5 < float(row[1]["paper"]) < 0.6
    assert "authors" not in row[1]


def test_a_figure_alone_carries_its_card_and_numbers_in_the_link(shown: list[str]) -> None:
    chapter = Chapter("x", seed=4)
    chapter.show(line_figure(), label="figure-6", caption="c", alt="a", smoke=True)
    content = embedded(shown[1])
    assert (content["label"], content["kind"], content["chapter"]) == ("figure-6", "figure", "x")
    assert (content["caption"], content["alt"]) == ("c", "a")
    assert (content["origin"], content["smoke"]) == ("ours", True)
    card = content["run_card"]
    assert (card["profile"], card["seed"], card["data"]) == ("smoke", 4, "synthetic")
    assert re.fullmatch(r"[0-9a-f]{16}", card["data_hash"])
    assert card["seconds"] >= 0
    assert {"commit", "hardware", "libraries"} <= set(card)
    assert content["values"]["axes"][0]["lines"][0]["name"] == "a line"
    assert "Run card: smoke, seed 4" in shown[1]
    assert shown[1].count("</figure>") == 1
    assert shown[1].rstrip().endswith("</figure>")  # the card stands inside


def test_the_data_hash_is_that_of_the_results(shown: list[str]) -> None:
    from csbsr.study.run import Request, prepare

    Chapter("x").html(table_html(["A"], [["1"]], caption="t"))
    request = Request(profile="smoke", data="synthetic", seed=0, results=ROOT / "results")
    assert embedded(shown[1])["run_card"]["data_hash"] == prepare(request).plan.data_hash


def test_html_without_a_table_stays_as_it_is(shown: list[str]) -> None:
    Chapter("x").html("<p>words</p>")
    assert shown[1:] == ["<p>words</p>"]


def test_during_a_build_the_numbers_lie_in_a_file_per_exhibit(
    shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    chapter = Chapter("09-comparison")
    table = table_html(["A"], [["1"]], caption="Some values of A & B, in short")
    results = [result("csbsr-pspnet", 0, 10), result("csbsr-pspnet", 1, 20.5, "def")]
    chapter.html(table, label="table-2", results=results)
    chapter.html(table)
    chapter.html(table)
    files = sorted(p.name for p in (tmp_path / "09-comparison").iterdir())
    assert files == [
        "some-values-of-a-b-in-2.json",
        "some-values-of-a-b-in.json",
        "table-2.json",
    ]
    content = json.loads((tmp_path / "09-comparison" / "table-2.json").read_text())
    assert [r["file"] for r in content["results"]] == [
        "quick/set/csbsr-pspnet-seed0.json",
        "quick/set/csbsr-pspnet-seed1.json",
    ]
    assert content["results"][1]["run_card"]["commit"]["id"] == "def"
    assert content["values"][0]["rows"] == [["1"]]
    assert 'href="../_static/exhibits/09-comparison/table-2.json"' in shown[0]
    assert 'href="../_static/results/quick/set/csbsr-pspnet-seed1.json"' in shown[0]
    assert "Run card: quick, seed 0, 1" in shown[0]


def test_several_run_cards_become_one_that_hides_nothing() -> None:
    card = merged([result("a", 0, 10), result("b", 0, 20, "def"), result("b", 1, 1)])
    assert card["seed"] == "0, 1"
    assert card["commit"] == {"id": "abc, def", "dirty": False}
    assert card["seconds"] == 31
    assert (card["data"], card["data_hash"], card["hardware"]) == ("set", "d1", "one machine")
    assert card["libraries"] == {"torch": "2.14.1"}


def test_links_to_results_lead_into_the_book_or_into_the_checkout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = result("kbpn+pspnet", 0, 1)
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert result_link(found) == "../results/quick/set/kbpn%2Bpspnet-seed0.json"
    monkeypatch.setenv(FOLDER_VARIABLE, "anywhere")
    assert result_link(found) == "../_static/results/quick/set/kbpn%2Bpspnet-seed0.json"
    robustness = ResultFile(Path("/r/results/quick/set/robustness/seed0.json"), {"seed": 0})
    assert place_of(robustness) == ("quick", "set", "robustness", "seed0.json")
    assert slug("") == "table"


def test_outside_the_book_a_chapter_brings_its_style(
    shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Chapter("x")
    assert ".csbsr-table" in shown[0]
    monkeypatch.setenv(FOLDER_VARIABLE, "anywhere")
    Chapter("x")
    assert len(shown) == 1


SOURCE = """
from matplotlib import pyplot as plt
from csbsr_book.site.chapter import Chapter
from csbsr_book.chapters.introduction import problems_table
chapter = Chapter("01-x", profile=profile, seed=seed, data=data)
chapter.html(problems_table({}), label="table-1")
figure, axes = plt.subplots()
axes.plot([0, 1], [2, 3])
chapter.show(figure, label="figure-1", caption="c", alt="a")
"""


class Links(HTMLParser):
    """Addresses in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag == "a":
            self.found.append(dict(attributes)["href"])


def test_a_built_chapter_links_to_what_the_build_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from csbsr_book.site.build import gather_pages, run_notebooks

    request = BookRequest(tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book").mkdir()
    for name in ("_config.yml", "_toc.yml", "book/intro.md"):
        (tmp_path / name).write_text("")
    parameters = nbformat.v4.new_code_cell(
        'profile = "smoke"\nseed = 0\ndata = "synthetic"', metadata={"tags": ["parameters"]}
    )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [parameters, nbformat.v4.new_code_cell(SOURCE)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "notebooks" / "01-x.ipynb")
    run_notebooks(request, lambda line: None)
    gather_pages(request)
    executed = nbformat.read(request.staging / "notebooks" / "01-x.ipynb", 4)
    outputs = [o.data["text/html"] for o in executed.cells[-1].outputs]
    links = [link for text in outputs for link in Links(text).found]
    assert links == [f"../_static/exhibits/01-x/{n}-1.json" for n in ("table", "figure")]
    for link in links:
        target = request.staging / "book" / link.removeprefix("../")
        assert json.loads(target.read_text())["run_card"]["profile"] == "smoke"
    assert FOLDER_VARIABLE not in os.environ
    alone = tmp_path / "alone" / "01-x.ipynb"
    execute(tmp_path / "notebooks" / "01-x.ipynb", alone, request.parameters)
    table = nbformat.read(alone, 4).cells[-1].outputs[1].data["text/html"]
    assert embedded(table)["label"] == "table-1"


@pytest.mark.parametrize("label", ["table-1", *(f"figure-{n}" for n in range(1, 17))])
def test_the_exhibit_of_an_anchor_has_its_label(label: str) -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, 4).cells
        for number, cell in enumerate(cells):
            if f"({label})=" in cell.source:
                following = next(c for c in cells[number:] if c.cell_type == "code")
                assert f'"{label}"' in following.source
                return
    raise AssertionError(f"no anchor {label}")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_chapter_is_named_like_its_notebook(path: Path) -> None:
    source = "\n".join(c.source for c in nbformat.read(path, 4).cells)
    assert re.search(r'Chapter\(\s*"([^"]+)"', source)[1] == path.stem
