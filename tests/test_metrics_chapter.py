"""The metrics chapter: hand-worked numbers, tables, and the slider that needs no kernel."""

import base64
import json
import re

import numpy as np
import pytest

from csbsr.metrics import THRESHOLDS, threshold_curves
from csbsr.metrics.plain import surface_lengths
from csbsr_book.chapters import metrics as metric_figures
from csbsr_book.chapters import metrics as metric_tables
from csbsr_book.chapters.example_crack import example_crack
from csbsr_book.chapters.kernels import guesses_table
from csbsr_book.explorables.threshold import threshold_slider
from csbsr_book.site.table import html, values


@pytest.fixture(scope="module")
def prediction() -> tuple[np.ndarray, np.ndarray]:
    return metric_figures.example_prediction(example_crack())


def test_the_worked_example_is_worked_right() -> None:
    prob, target = metric_figures.worked_example()
    half = np.sqrt(0.5)
    assert surface_lengths(target).sum() == pytest.approx(4 + 4 * half)
    assert surface_lengths(prob > 0.5).sum() == pytest.approx(2 + 2 * half + 6 * half)
    full, median = (threshold_curves(prob, target, [0.5], p) for p in (95, 50))
    assert full.iou[0] == pytest.approx(0.5, abs=1e-5)
    assert full.hausdorff[0] == 1.0
    assert median.hausdorff[0] == 0.0
    shares = half / (4 + 4 * half), 2 * half / (2 + 8 * half)
    assert full.mean_surface_distance[0] == pytest.approx(sum(shares) / 2)


def test_figures_and_tables_can_be_made(prediction: tuple[np.ndarray, np.ndarray]) -> None:
    assert len(metric_figures.worked_figure().axes) == 3
    assert len(metric_figures.shift_figure().axes) == 3
    assert len(metric_figures.percentile_figure(*prediction).axes) == 2
    assert len(metric_figures.centreline_figure(*prediction).axes) == 2
    tables = (
        metric_tables.worked_table(),
        metric_tables.empty_table(),
        metric_tables.interval_table(*prediction),
        guesses_table(),
        metric_tables.fidelity_table(example_crack(size=64, seed=1).image),
    )
    assert all("<figcaption>" in html(t) and "nan" not in html(t) for t in tables)
    json.dumps([values(t) for t in tables], allow_nan=False)


def test_numbers_of_a_table_are_numbers_also_where_the_page_shows_two_in_a_cell() -> None:
    rows = values(metric_tables.empty_table())["rows"]
    missed = next(row for row in rows if row[0] == "crack missed entirely")
    assert missed[2] == [448.0, 14.38]
    assert missed[4] == [None, None], "JSON has no word for infinity"
    assert "∞ / ∞" in html(metric_tables.empty_table())


def test_slider_holds_the_masks_of_every_threshold(prediction) -> None:
    text = threshold_slider(*prediction, caption="c", alt="<a>", label="s")
    data = json.loads(re.search(r"const data = (\{.*?\}), root", text).group(1))
    levels = np.frombuffer(base64.b64decode(data["levels"]), np.uint8).reshape(96, 96)
    packed = np.frombuffer(base64.b64decode(data["target"]), np.uint8)
    target = np.unpackbits(packed)[: 96 * 96].reshape(96, 96)
    window = np.lib.stride_tricks.sliding_window_view(prediction[1], (96, 96))
    assert target.sum() == window.sum((2, 3)).max()
    for k in (0, 49, 98):
        mask = levels > k
        both, either = (mask & (target > 0)).sum(), (mask | (target > 0)).sum()
        assert data["iou"][k] == pytest.approx((both + 1e-5) / (either + 1e-5), abs=1e-4)
    assert len(data["hd95"]) == len(data["hd50"]) == len(THRESHOLDS)
    assert '<label for="s-range">' in text
    assert 'type="range" id="s-range"' in text
    assert "&lt;a&gt;" in text
    assert "<noscript>" in text
    assert "http" not in text
    assert len(text) < 40_000


def test_slider_refuses_an_image_smaller_than_its_crop() -> None:
    with pytest.raises(ValueError, match="smaller than the 96 x 96 crop"):
        threshold_slider(np.zeros((64, 64)), np.zeros((64, 64), bool), caption="c", alt="a")
