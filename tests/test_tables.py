"""Tables show three voices, compute their marks, and say what is missing or stale."""

from pathlib import Path

import pytest
from result_files import put_result

from csbsr.study.experiments import experiments
from csbsr.study.results import ResultFile, find_results
from csbsr.study.run import Request
from csbsr_book.chapters.curves import threshold_figure
from csbsr_book.chapters.tables import (
    best_of_ours,
    measured,
    paper_table_html,
    smoke_table_html,
    verdict,
)
from csbsr_book.paper.printed import load_table
from csbsr_book.site.build import build_book, refused_results
from csbsr_book.site.display import figure_html, run_card_html, table_html
from csbsr_book.site.exhibit import table_values

TABLES = ("II", "III", "IV", "V", "VI")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for name, values in {"csbsr-pspnet": (0.50, 0.52), "kbpn+pspnet": (0.48,)}.items():
        for seed, iou in enumerate(values):
            put_result(folder, name, seed=seed, iou=iou, fingerprint="of other code")
    return folder


@pytest.mark.parametrize("number", TABLES)
def test_without_results_a_table_shows_the_paper_and_says_not_run(number: str) -> None:
    text = paper_table_html(number, {}, {})
    table = load_table(number)
    assert text.count("not run") >= len(table.rows)
    for row in table.rows:
        assert row.experiment in text
    assert "–" in smoke_table_html(number, {})


def test_mean_spread_and_best_are_computed(results: Path) -> None:
    ours = find_results(results, "quick")
    value = measured(ours["csbsr-pspnet"], "IoU_max")
    assert (value.value, value.seeds) == (pytest.approx(0.51), 2)
    assert value.spread == pytest.approx(0.0141421, rel=1e-4)
    assert measured(ours["kbpn+pspnet"], "IoU_max").spread is None
    assert measured(ours["kbpn+pspnet"], "PSNR") is None
    assert best_of_ours(load_table("II"), ours, "IoU_max", "") == "csbsr-pspnet"
    one = {"csbsr-pspnet": ours["csbsr-pspnet"]}
    assert best_of_ours(load_table("II"), one, "IoU_max", "") is None, "one row beats nobody"


def test_cells_hold_all_voices_and_stale_results_are_marked(results: Path) -> None:
    ours = find_results(results, "quick")
    text = paper_table_html("II", ours, {"csbsr-pspnet": ours["csbsr-pspnet"]})
    assert "0.510 ± 0.014" in text  # the authors' line
    (table,) = table_values(text)
    row = next(r for r in table["rows"] if r[0].endswith("csbsr-pspnet"))
    assert row[1] == {
        "paper": "0.573",
        "authors": "0.510 ± 0.014",
        "ours": "0.510",
        "spread": "± 0.014",
        "difference": "−0.063",
    }
    assert "differ in their seeds" in table["caption"]
    assert 'class="value paper"' in text
    assert 'class="value authors"' in text
    assert "results/quick/walls/reproduction%2Bquick/csbsr-pspnet-seed0.json" in text
    assert "origin-stale" in text, "made by other code"


def test_a_verdict_names_difference_size_and_seeds(results: Path) -> None:
    ours = find_results(results, "quick")
    row = load_table("II").row("csbsr-pspnet")
    assert verdict(row, ours) == "IoU_max 0.063 below the paper; reduced size, 2 seeds"


def test_a_release_with_stale_results_is_refused(results: Path) -> None:
    assert len(refused_results(results)) == 3
    with pytest.raises(ValueError, match=r"3 results are refused .* is stale"):
        build_book(Request(results=results), release=True)


def test_no_results_folder_is_no_stale_result(tmp_path: Path) -> None:
    assert refused_results(tmp_path / "absent") == []


def test_curves_skip_what_is_missing(results: Path) -> None:
    ours = find_results(results, "quick")
    figure = threshold_figure(ours, {"csbsr-pspnet": "CSBSR", "dsrl": "DSRL"}, "HD95")
    labels = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert labels == ["CSBSR"]
    empty = threshold_figure({}, {"dsrl": "DSRL"}, "IoU", watermark="smoke run")
    assert "no result" in empty.axes[0].texts[0].get_text()
    assert empty.texts[0].get_text() == "smoke run"


def test_figures_need_words_and_pages_are_escaped() -> None:
    figure = threshold_figure({}, {}, "IoU")
    with pytest.raises(ValueError, match="alternative text"):
        figure_html(figure, label="x", caption="c", alt=" ", origin="ours")
    text = figure_html(figure, label="x", caption="a < b", alt='"q"', origin="ours", smoke=True)
    assert "a &lt; b" in text
    assert "not a result" in text
    card = run_card_html({"profile": "smoke", "seed": 1, "data": "<x>"}, link="j.json")
    assert "&lt;x&gt;" in card
    assert 'href="j.json"' in card
    assert "<th scope=" in table_html(["A", "B"], [["1", "2"]], caption="c")


def test_result_files_are_one_per_experiment_and_seed(results: Path) -> None:
    found = find_results(results, "quick", "walls")
    assert {name: [r.seed for r in runs] for name, runs in found.items()} == {
        "csbsr-pspnet": [0, 1],
        "kbpn+pspnet": [0],
    }
    assert all(isinstance(r, ResultFile) for r in found["csbsr-pspnet"])


def test_every_experiment_has_a_baseline_that_exists() -> None:
    ids = {e.id for e in experiments()}
    assert {e.baseline for e in experiments()} <= ids
    assert all(e.baseline != e.id for e in experiments())
