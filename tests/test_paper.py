"""The paper's numbers as data: complete, consistent where the paper is, and refused if wrong."""

import pytest

from csbsr.toml import build
from csbsr_book.paper.printed import (
    METRICS,
    Metric,
    Table,
    cells,
    load_parameters,
    load_table,
    load_tables,
)

SHAPES = {"I": (4, 4), "II": (11, 6), "III": (16, 6), "IV": (6, 6), "V": (5, 6), "VI": (3, 7)}


@pytest.mark.parametrize(("number", "shape"), SHAPES.items())
def test_every_row_and_column_is_there(number, shape):
    table = load_table(number)
    assert (len(table.rows), len(table.columns)) == shape
    full = [r for r in table.rows if not r.reference]
    assert all(set(r.values) == set(table.columns) for r in full)


def test_number_of_printed_cells():
    assert sum(1 for _ in cells(load_tables())) == 10 * 6 + 4 + 16 * 6 + 6 * 6 + 5 * 6 + 3 * 7


def test_hr_row_has_no_sr_metrics_and_is_no_competitor():
    table = load_table("II")
    assert set(table.row("hr-pspnet").values) == {"IoU_max", "AIU", "HD95_min", "AHD95"}
    assert table.best("IoU_max") == ("csbsr-pspnet",)
    with pytest.raises(ValueError, match="prints no PSNR for 'hr-pspnet'"):
        table.value("hr-pspnet", "PSNR")


def test_one_experiment_has_the_same_numbers_in_every_table():
    seen = {}
    for number, experiment, metric, value in cells(load_tables()):
        assert seen.setdefault((experiment, metric), value) == value, (number, experiment, metric)


def test_ratios_to_segmentation_in_hr():
    table = load_table("II")
    ratio = {
        m: table.value("csbsr-pspnet", m) / table.value("hr-pspnet", m) for m in ("IoU_max", "AIU")
    }
    assert round(100 * ratio["IoU_max"], 1) == 93.0
    assert round(100 * ratio["AIU"], 1) == 98.7


def test_best_and_second_best_of_the_loss_table():
    table = load_table("IV")
    best = {m: table.best(m) for m in table.columns}
    assert best["HD95_min"] == ("csbsr-pspnet-wce",)
    assert best["SSIM"] == ("csbsr-pspnet-gbc",)
    assert all(best[m] == ("csbsr-pspnet",) for m in ("IoU_max", "AIU", "AHD95", "PSNR"))
    assert table.best("HD95_min", 2) == ("csbsr-pspnet",)
    assert table.best("SSIM", 2) == ("csbsr-pspnet-wce", "csbsr-pspnet-dice")
    assert table.best("SSIM", 9) == ()


def test_beta_table_is_ranked_in_two_blocks():
    table = load_table("III")
    assert table.blocks() == ("CSBSR", "CSSR")
    assert table.best("IoU_max", block="CSSR") == ("cssr-pspnet",)
    assert table.best("HD95_min", block="CSBSR") == ("csbsr-pspnet-increasing",)


@pytest.mark.parametrize("number", ["II", "III"])
def test_marks_sit_on_best_values(number):
    table = load_table(number)
    for block in table.blocks():
        for metric in table.columns:
            marked = [r.experiment for r in table.rows if r.block == block and metric in r.bold]
            assert marked, metric
            assert set(marked) <= set(table.best(metric, block=block))


def test_hyper_parameters_have_their_place():
    parameters = load_parameters()
    assert parameters["gamma"].value == 0.5
    assert parameters["beta"].value == (0.3, 0.9, 0.9, 0.3)
    assert all(p.place for p in parameters.values())


def test_gain_knows_the_direction_of_a_metric():
    assert METRICS["HD95_min"].gain(18.0, over=20.0) == 2.0
    assert METRICS["IoU_max"].gain(0.5, over=0.6) == pytest.approx(-0.1)
    assert Metric("x", "x", "higher", 2).text(1.005) == "1.00"


HEAD = {"id": "II", "title": "t", "place": "p", "columns": ["AIU"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({**HEAD, "colour": "red"}, "unknown key 'colour'"),
        ({**HEAD, "rows": [{"label": "a", "values": {"IoU": 1}}]}, "'IoU' is not a column"),
        ({**HEAD, "rows": [{"label": "a", "valuez": {}}]}, "rows 'a'.*unknown key 'valuez'"),
        ({**HEAD, "rows": [{"label": "a"}]}, "rows 'a'.*missing 'values'"),
        ({**HEAD, "rows": [{"label": "a", "values": {}, "bold": ["AIU"]}]}, "mark on empty cell"),
        ({**HEAD, "rows": [{"label": "a", "experiment": "e", "values": {}}] * 2}, "appears twice"),
    ],
)
def test_wrong_toml_is_refused_in_one_line(data, message):
    with pytest.raises(ValueError, match=message) as error:
        build(Table, data, "here.toml")
    assert "\n" not in str(error.value)


def test_unknown_tables_rows_and_columns_are_refused():
    with pytest.raises(ValueError, match="table 'VII' is unknown"):
        load_table("VII")
    with pytest.raises(ValueError, match="no row for 'x'"):
        load_table("II").row("x")
    with pytest.raises(ValueError, match="no column 'x'"):
        load_table("II").best("x")
