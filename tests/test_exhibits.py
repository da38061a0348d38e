"""Under every table and figure: its run card and its numbers, in a file or in the link itself."""

import base64
import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from csbsr.study.results import ResultFile
from csbsr.study.run import pick_device
from csbsr_book.site import chapter as chapters
from csbsr_book.site import display
from csbsr_book.site.build import BookRequest
from csbsr_book.site.chapter import Chapter
from csbsr_book.site.execute import execute
from csbsr_book.site.exhibit import (
    FOLDER_VARIABLE,
    figure_values,
    merged,
    place_of,
    result_link,
    slug,
)
from csbsr_book.site.study import StudyChapter
from csbsr_book.site.table import Table

ROOT = Path(__file__).parents[1]


def result(experiment: str, seed: int, seconds: float, commit: str = "abc") -> ResultFile:
    card = {
        "profile": "quick",
        "protocol": "reproduction",
        "protocol_changes": {"beta_ramp": 0.5},
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
    content["images"] = {"names": ["a", "b", "c"]}
    return ResultFile(Path(f"/r/results/quick/set/released/{experiment}-seed{seed}.json"), content)


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


def test_a_figure_alone_carries_its_card_and_numbers_in_the_link(shown: list[str]) -> None:
    chapter = StudyChapter("x", seed=4)
    chapter.show(line_figure(), label="figure-6", caption="c", alt="a", smoke=True)
    content = embedded(shown[1])
    assert (content["label"], content["kind"], content["chapter"]) == ("figure-6", "figure", "x")
    assert (content["caption"], content["alt"]) == ("c", "a")
    assert (content["origin"], content["smoke"]) == ("ours", True)
    card = content["run_card"]
    assert (card["profile"], card["seed"], card["data"]) == ("smoke", 4, "synthetic")
    assert card["device"] == str(pick_device("auto"))
    assert re.fullmatch(r"[0-9a-f]{16}", card["data_hash"])
    assert card["seconds"] >= 0
    assert {"commit", "hardware", "libraries"} <= set(card)
    assert content["values"]["axes"][0]["lines"][0]["name"] == "a line"
    summary = f"{display.protocol_words(card)}, synthetic ({card['images']} images), seed 4"
    assert f"Run card: smoke, {summary}" in shown[1]
    assert shown[1].count("</figure>") == 1
    assert shown[1].rstrip().endswith("</figure>")  # the card stands inside


def test_the_data_hash_is_that_of_the_results(shown: list[str]) -> None:
    from csbsr.study.run import Request, prepare

    StudyChapter("x").table(Table("t", ["A"], [[1]]).folded())
    request = Request(profile="smoke", data="synthetic", seed=0, results=ROOT / "results")
    assert embedded(shown[1])["run_card"]["data_hash"] == prepare(request).plan.data_hash


def test_a_table_without_rows_is_a_sentence(shown: list[str]) -> None:
    Chapter("x").table(Table("t", ["A"], [], empty="none < one"))
    assert shown[1:] == ["<p>none &lt; one</p>"]


def test_a_page_that_trained_nothing_is_no_smoke_run(shown: list[str]) -> None:
    Chapter("x").run_card()
    assert "Computed on this page" in shown[1]
    assert "smoke" not in shown[1]


def test_during_a_build_the_numbers_lie_in_a_file_per_exhibit(
    shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    chapter = Chapter("09-comparison")
    table = Table("Some values of A & B, in short", ["A"], [[1]])
    results = [result("csbsr-pspnet", 0, 10), result("csbsr-pspnet", 1, 20.5, "def")]
    chapter.table(table, label="table-2", results=results)
    chapter.table(table)
    chapter.table(table, Table("t", ["A"], [], empty="no row"))
    files = sorted(p.name for p in (tmp_path / "09-comparison").iterdir())
    assert files == [
        "some-values-of-a-b-in-2.json",
        "some-values-of-a-b-in.json",
        "table-2.json",
    ]
    content = json.loads((tmp_path / "09-comparison" / "table-2.json").read_text())
    assert [r["file"] for r in content["results"]] == [
        "quick/set/released/csbsr-pspnet-seed0.json",
        "quick/set/released/csbsr-pspnet-seed1.json",
    ]
    assert content["results"][1]["run_card"]["commit"]["id"] == "def"
    assert content["values"] == [
        {"caption": table.caption, "columns": [{"title": "A"}], "rows": [[1]]}
    ]
    assert "no row" in shown[2]
    assert 'href="../_static/exhibits/09-comparison/table-2.json"' in shown[0]
    assert 'href="../_static/results/quick/set/released/csbsr-pspnet-seed1.json"' in shown[0]
    assert "Run card: quick, reproduction+quick, set (3 images), seeds 0, 1" in shown[0]
    assert "beta_ramp = 0.5" in shown[0]
    assert "Computed on this page" in shown[1], "nothing was trained for it"
    assert "smoke" not in shown[1]


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
    assert result_link(found) == "../results/quick/set/released/kbpn%2Bpspnet-seed0.json"
    monkeypatch.setenv(FOLDER_VARIABLE, "anywhere")
    assert result_link(found) == "../_static/results/quick/set/released/kbpn%2Bpspnet-seed0.json"
    content = {"profile": "quick", "seed": 0}
    robustness = ResultFile(Path("/r/results/quick/set/p+quick/robustness/seed0.json"), content)
    assert place_of(robustness) == ("quick", "set", "p+quick", "robustness", "seed0.json")
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
from csbsr_book.site.study import StudyChapter
from csbsr_book.chapters.introduction import problems_table
chapter = StudyChapter("01-x", profile=profile, seed=seed, data=data)
chapter.table(problems_table({}), label="table-1")
figure, axes = plt.subplots()
axes.plot([0, 1], [2, 3])
chapter.show(figure, label="figure-1", caption="c", alt="a", smoke=True)
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
    (tmp_path / "_config.yml").write_text("repository: {url: ''}\n")
    for name in ("_toc.yml", "book/intro.md"):
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
    names = ("table-1.json", "figure-1.png", "figure-1.json")
    assert links == [f"../_static/exhibits/01-x/{name}" for name in names]
    for link in links:
        target = request.staging / "book" / link.removeprefix("../")
        if target.suffix == ".json":
            assert json.loads(target.read_text())["run_card"]["seed"] == 0
        else:
            assert target.read_bytes().startswith(b"\x89PNG")
            assert f'src="{link}"' in "".join(outputs)
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


def test_a_heavy_picture_keeps_size_and_look_in_fewer_bytes() -> None:
    rng = np.random.default_rng(0)
    wall = rng.normal(0.5, 0.1, (300, 700, 1)).clip(0, 1).repeat(3, 2)
    wall[:, 340:346] = (1, 0, 0)  # what is rare and telling stays
    figure = plt.figure(figsize=(7, 3))
    figure.figimage(wall, origin="upper")
    lean = display.png(figure, dpi=100)
    found = np.asarray(Image.open(io.BytesIO(lean)).convert("RGB")) / 255
    assert found.shape == wall.shape
    assert np.abs(found - wall).mean() < 0.02
    assert np.abs(found[:, 341:345] - (1, 0, 0)).max() < 0.02
    assert len(lean) < 250_000
    plt.close(figure)
