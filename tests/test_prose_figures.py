"""Figures that explain: what their captions say follows from what they draw."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from result_files import put_result

from csbsr.protocol import PRINTED, REPRODUCTION
from csbsr.study.freshness import find_fresh
from csbsr_book.chapters.diagrams import example_image
from csbsr_book.chapters.example_crack import example_crack
from csbsr_book.chapters.halves import crops, frame_figure
from csbsr_book.chapters.headroom import headroom_picture
from csbsr_book.chapters.kernels import (
    ambiguity_figure,
    constant_levels,
    printed_skill_table,
    skill,
    skill_table,
)
from csbsr_book.chapters.losses import landscape_alt, landscape_figure
from csbsr_book.chapters.uncertainty import (
    crossed_figure,
    expected_maximum,
    false_alarms,
    luckiest_figure,
    power,
    power_figure,
    seeds_needed,
)
from csbsr_book.site.exhibit import drawn
from csbsr_book.site.table import values


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_skill_is_the_share_of_squared_error_that_is_gone() -> None:
    assert skill(50, 50) == 0
    assert skill(53.0103, 50) == pytest.approx(0.5, abs=1e-5)  # half the squared error: 3 dB
    assert skill(40, 50) == pytest.approx(1 - 10)


def test_the_papers_kernel_knows_less_than_nothing_in_the_range_of_its_text() -> None:
    rows = values(printed_skill_table())["rows"]
    assert rows[0][-1] < 0 < rows[1][-1] < 0.5
    for protocol in (PRINTED, REPRODUCTION):
        average, best = constant_levels(protocol)
        assert average < best
    assert values(skill_table({}, ["csbsr-pspnet"]))["rows"] == []


def test_two_walls_have_one_lr_image() -> None:
    shown = ambiguity_figure(example_image()[0][:, :160, :160])
    gap = float(shown.caption.split("at most ")[1].split(" of 255")[0])
    assert gap < 0.5  # less than half a grey level: the same picture in 8 bit
    assert "1.00 for σ = 0.2" in shown.caption


def test_even_walls_are_enlarged_most() -> None:
    found = crops(count=9)  # the ninth image has no crack
    free = [c.gain for c in found if c.share == 0]
    assert max(free) > max(c.gain for c in found if c.share > 0.02)


def test_a_crop_has_more_frame_than_an_image() -> None:
    shown = frame_figure(sides=(64, 128), draws=2)
    heights = [bar.get_height() for bar in shown.figure.axes[1].patches]
    assert heights[0] > heights[1] > 0
    assert f"{heights[0]:.1f} % at 64 px" in shown.alt


def test_more_images_do_not_cure_one_seed() -> None:
    rates = false_alarms(0.006, 0.05, np.array([20, 200, 2000]))
    assert (np.diff(rates) > 0).all()
    assert false_alarms(0.0, 0.05, np.array([2000.0]))[0] == pytest.approx(0.05)
    assert "of 8 exclude the truth" in crossed_figure().caption


def test_power_and_seeds() -> None:
    """The numbers of the last chapter's exercise."""
    assert 0.4 < power(0.012, 0.009, 5, paired=False) < 0.5
    assert seeds_needed(0.012, 0.009, paired=False) == 10
    assert power(0.012, 0.0045, 20, paired=True) == pytest.approx(1)
    assert "paired, one run varies by 0.009: 10" in power_figure().caption


def test_the_best_of_equals_is_lucky() -> None:
    assert expected_maximum(1) == pytest.approx(0, abs=1e-6)
    assert expected_maximum(2) == pytest.approx(1 / np.sqrt(np.pi), abs=1e-4)
    assert "None of our experiments has two seeds" in luckiest_figure({}, 7).caption


def test_what_could_be_won_is_said_only_where_it_was_run(tmp_path) -> None:
    assert "Not enough of it has been run" in headroom_picture({}).caption
    for name, level in {"kbpn+pspnet": 0.46, "kbpn-true+pspnet": 0.47}.items():
        put_result(tmp_path, name, iou=level, metrics={"PSNR": 28.0 + 20 * (level - 0.46)})
    shown = headroom_picture(find_fresh(tmp_path, "quick").fresh)
    assert "knowing the kernel: +0.0100 IoU_max, +0.20 dB." in shown.caption
    assert "seeing the HR image" not in shown.caption


def test_displacement_is_said_as_it_is_drawn() -> None:
    """Chapter 4: the second eight pixels cost Dice far less than the first; Boundary goes on."""
    figure = landscape_figure(example_crack())
    dice, boundary = (drawn(figure.axes[3])[name] for name in ("Dice", "Boundary"))
    eight, sixteen = np.interp([8, 16], *dice)
    assert sixteen - eight < 0.25 * eight
    first, second = np.interp([8, 16], *drawn(figure.axes[0])["Boundary"])
    assert second > 1.5 * first  # in proportion, in the printed form
    assert np.interp(16, *boundary) > np.interp(8, *boundary)
    assert f"Dice {eight:.2f} and {sixteen:.2f}" in landscape_alt(figure)
