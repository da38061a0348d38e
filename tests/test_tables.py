"""Tables show three voices, compute their marks, and say what is missing or stale."""

from pathlib import Path

import pytest
from markupsafe import Markup
from matplotlib import pyplot as plt
from result_files import put_result

from csbsr.study.experiments import experiments
from csbsr.study.freshness import FoundResults, find_fresh
from csbsr.study.robustness import MODELS
from csbsr.study.run import Request
from csbsr_book.chapters.curves import CURVES, SEARCHES, panel_picture, threshold_figure
from csbsr_book.chapters.tables import (
    best_of_ours,
    measured,
    paper_table,
    smoke_table,
)
from csbsr_book.paper.printed import load_table
from csbsr_book.site.build import build_book, refused_results
from csbsr_book.site.display import run_card_html
from csbsr_book.site.exhibit import CaptionedFigure, Exhibit
from csbsr_book.site.table import Column, Table, TableCell, Words, html, text, values
from csbsr_book.site.theme import METHODS, mark_of

TABLES = ("II", "III", "IV", "V", "VI")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for name, found in {"csbsr-pspnet": (0.50, 0.52), "kbpn+pspnet": (0.48,)}.items():
        for seed, iou in enumerate(found):
            put_result(folder, name, seed=seed, iou=iou)
    return folder


@pytest.fixture
def found(results: Path) -> FoundResults:
    return find_fresh(results, "quick")


@pytest.mark.parametrize("number", TABLES)
def test_without_results_a_table_shows_the_paper_and_says_not_run(number: str) -> None:
    text = html(paper_table(number, FoundResults({}, {}), {}))
    table = load_table(number)
    assert text.count("not run") == len(table.rows)
    for row in table.rows:
        assert row.experiment in text
    assert smoke_table(number, {}).smoke
    assert "–" in html(smoke_table(number, {}))


def test_mean_spread_and_best_are_computed(found: FoundResults) -> None:
    ours = found.fresh
    value = measured(ours["csbsr-pspnet"], "IoU_max")
    assert (value.value, value.seeds) == (pytest.approx(0.51), 2)
    assert value.spread == pytest.approx(0.0141421, rel=1e-4)
    assert measured(ours["kbpn+pspnet"], "IoU_max").spread is None
    assert measured(ours["kbpn+pspnet"], "PSNR").value is None
    assert best_of_ours(load_table("II"), ours, "IoU_max", "") is None, "one common seed"
    one = {"csbsr-pspnet": ours["csbsr-pspnet"]}
    assert best_of_ours(load_table("II"), one, "IoU_max", "") is None, "one row beats nobody"


def test_bold_needs_a_lead_beyond_the_noise(tmp_path: Path) -> None:
    for seed in range(5):
        put_result(tmp_path, "csbsr-pspnet", seed=seed, iou=0.51 + 0.002 * (seed % 2))
        put_result(tmp_path, "kbpn+pspnet", seed=seed, iou=0.48)
        put_result(tmp_path, "csbsr-unet", seed=seed, iou=0.47)
    clear = find_fresh(tmp_path, "quick").fresh
    assert best_of_ours(load_table("II"), clear, "IoU_max", "") == "csbsr-pspnet"
    for seed in range(5):
        put_result(tmp_path, "csbsr-unet", seed=seed, iou=0.51 + 0.001 * (-1) ** seed)
    close = find_fresh(tmp_path, "quick").fresh
    assert best_of_ours(load_table("II"), close, "IoU_max", "") is None


def row_of(table: Table, name: str) -> list:
    (row,) = (row for row in values(table)["rows"] if row[0].endswith(f" {name}"))
    return row


def test_cells_hold_all_voices_as_numbers(found: FoundResults) -> None:
    table = paper_table("II", found, {"csbsr-pspnet": found.fresh["csbsr-pspnet"]})
    row = row_of(table, "csbsr-pspnet")
    ours = {"value": pytest.approx(0.51), "spread": pytest.approx(0.01414, rel=1e-3), "seeds": 2}
    assert row[1] == {"paper": {"value": 0.573, "best": True}, "authors": ours,
                      "ours": ours}  # fmt: skip
    assert "authors" not in row_of(table, "kbpn+pspnet")[1]
    assert row[-1] == "quick, seeds 0, 1"
    text = html(table)
    assert 'class="value paper"' in text
    assert 'class="value authors"' in text
    assert "± 0.014" in text
    assert "results/quick/walls/reproduction%2Bquick/csbsr-pspnet-seed0.json" in text
    assert "differ in their seeds" in table.caption
    assert "Ours: measured on walls (1 images). Authors' weights: measured on" in table.caption


def test_numbers_of_different_size_are_never_subtracted(found: FoundResults) -> None:
    """Paper and ours meet in the contrast of a row to its own baseline, ours paired by seed."""
    row = row_of(paper_table("II", found, {}), "csbsr-pspnet")
    printed = load_table("II")
    gap = printed.value("csbsr-pspnet", "IoU_max") - printed.value("kbpn+pspnet", "IoU_max")
    assert row[-2] == {
        "text": "against KBPN + PSPNet",
        "paper": pytest.approx(gap),
        "ours": {"value": pytest.approx(0.50 - 0.48), "seeds": 1},  # and no spread to judge it by
    }
    assert f"{0.573 - 0.51:.3f}" not in html(paper_table("II", found, {}))


def test_stale_results_enter_no_number_and_are_shown_as_stale(found: FoundResults) -> None:
    table = paper_table("II", FoundResults({}, found.fresh), {})
    row = row_of(table, "csbsr-pspnet")
    assert [cell["ours"] for cell in row[1:-1]] == [None] * (len(row) - 2)
    assert row[-1] == "quick, seeds 0, 1 stale"
    assert "origin-stale" in html(table)
    assert "Ours: measured" not in table.caption


def test_the_terminal_shows_every_voice(found: FoundResults) -> None:
    shown = text(paper_table("II", found, {"csbsr-pspnet": found.fresh["csbsr-pspnet"]}))
    for words in ("paper 0.573", "authors 0.510 ± 0.014", "ours 0.510 ± 0.014", "not run"):
        assert words in shown


@pytest.mark.parametrize("rule", ["first", "complex", "gain", "alarms"])
def test_missing_pictures_are_said_to_be_missing(found: FoundResults, rule: str) -> None:
    shown = panel_picture("II", rule, found.fresh, "reproduction", smoke=False)
    assert "no pictures" in shown.figure.axes[0].texts[0].get_text()
    assert "run them again" in shown.caption
    plt.close("all")


def test_every_drawn_experiment_has_one_mark_of_its_own() -> None:
    drawn = {name for names in (*CURVES.values(), MODELS) for name in names}
    drawn |= {like for _, like in SEARCHES.values()}
    assert drawn <= set(METHODS)
    assert set(METHODS) <= {e.id for e in experiments()}
    looks = [(m.colour, m.marker, m.line) for m in METHODS.values()]
    assert len(set(looks)) == len(looks)
    for names in (*CURVES.values(), MODELS):
        colours = [mark_of(name).colour for name in names]
        assert len(set(colours)) == len(colours), f"two lines of one colour among {names}"
    with pytest.raises(ValueError, match=r"'unet' has no colour.*theme\.py"):
        mark_of("unet")


def test_a_release_with_stale_results_is_refused(results: Path) -> None:
    put_result(results, "dsrl", fingerprint="of other code")
    with pytest.raises(ValueError, match=r"refused for a release, first: .*dsrl-seed0"):
        build_book(Request(results=results), release=True)


def test_no_results_folder_is_nothing_to_refuse(tmp_path: Path) -> None:
    assert refused_results(tmp_path / "absent") == []


def test_curves_skip_what_is_missing(found: FoundResults) -> None:
    figure = threshold_figure(found.fresh, {"csbsr-pspnet": "CSBSR", "dsrl": "DSRL"}, "HD95")
    labels = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert labels == ["CSBSR"]
    empty = threshold_figure({}, {"dsrl": "DSRL"}, "IoU", watermark="smoke run")
    assert "no result" in empty.axes[0].texts[0].get_text()
    assert empty.texts[0].get_text() == "smoke run"


def test_figures_need_words_and_pages_are_escaped() -> None:
    figure = threshold_figure({}, {}, "IoU")
    with pytest.raises(ValueError, match="figure 'c' has no alternative text"):
        CaptionedFigure(figure, "c", alt=" ")
    exhibit = Exhibit("01-x", "x", "figure", {}, {})
    shown = CaptionedFigure(figure, "a < b", '"q"', smoke=True).html(exhibit)
    assert "a &lt; b" in shown
    assert "not a result" in shown
    assert "&lt;x&gt;" in run_card_html({"profile": "smoke", "seed": 1, "data": "<x>"})


def test_cells_escape_text_and_keep_markup() -> None:
    cell = TableCell(("<b>", Markup("<i>i</i>"), (Words("c", "code"), ": <d>")), anchor="a1")
    table = Table("So & so", ["A", Column("B", digits=2)], [[cell, 1234.5], [True, None]])
    shown = html(table)
    for part in ("&lt;b&gt;", "<i>i</i>", "<code>c</code>: &lt;d&gt;", 'id="a1"', "1,234.50"):
        assert part in shown
    assert 'scope="col"' in shown
    assert values(table) == {
        "caption": "So & so",
        "columns": [{"title": "A"}, {"title": "B", "digits": 2}],
        "rows": [["<b> i c: <d>", 1234.5], [True, None]],
    }


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="table 't', row 2: 1 cells for 2 columns"):
        Table("t", ["A", "B"], [[1, 2], [3]])


def test_every_baseline_exists() -> None:
    ids = {e.id for e in experiments()}
    assert {e.baseline for e in experiments() if e.baseline} <= ids
    assert all(e.baseline != e.id for e in experiments())
