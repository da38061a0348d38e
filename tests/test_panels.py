"""Which pictures are shown, which parts of them are enlarged, and what is said below them."""

import numpy as np
import pytest

from csbsr.data import surfaces
from csbsr.data.synthetic import SyntheticCracks
from csbsr.study.panels import COUNT, SEED, Panel
from csbsr_book.chapters.curves import AWAY, MASONRY, alarm_share, where_alarms_show
from csbsr_book.chapters.data import crack_free_in
from csbsr_book.chapters.zooms import windows_of


def panel(mask: np.ndarray, prob: np.ndarray) -> Panel:
    blank = np.zeros((*mask.shape, 3), np.uint8)
    return Panel("p", blank, mask.astype(np.uint8) * 255, blank, blank, prob.astype(np.uint8))


def line(size: int = 64) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[size // 2] = True
    return mask


def test_the_panels_called_masonry_are_brickwork(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SyntheticCracks(COUNT, 64, seed=SEED, split="test")  # the surface is drawn first
    drawn, brickwork = [], surfaces.brickwork

    def noted(rng: np.random.Generator, size: int) -> surfaces.Surface:
        drawn.append(current)
        return brickwork(rng, size)

    monkeypatch.setattr(surfaces, "brickwork", noted)
    for current in range(COUNT):
        source.load(current)
    assert tuple(drawn) == MASONRY
    assert crack_free_in(source) == "Image 9 has"


def test_only_what_is_away_from_cracks_is_a_false_alarm() -> None:
    mask = line()
    near = np.zeros(mask.shape)
    near[mask.shape[0] // 2 - AWAY : mask.shape[0] // 2 + AWAY + 1] = 255
    assert alarm_share(panel(mask, near)) == 0
    assert alarm_share(panel(mask, np.full(mask.shape, 255))) == 1
    assert alarm_share(panel(np.zeros_like(mask), near)) == pytest.approx(near.mean() / 255)


def test_alarms_show_all_that_is_crack_free_and_one_masonry() -> None:
    nothing, crack = np.zeros((64, 64), bool), line()
    wide = crack.copy()
    wide[10:40] = True
    panels = [panel(m, nothing) for m in (crack, nothing, wide, crack, nothing, crack, wide)]
    assert where_alarms_show(panels) == [1, 4, 5]


def test_windows_lie_where_two_predictions_differ() -> None:
    mask = line()
    one, other = np.zeros((2, 64, 64))
    other[40:48, 8:16] = 200
    other[4:12, 44:52] = 100
    assert windows_of(panel(mask, one), panel(mask, other), 8, 2) == [(40, 8), (4, 44)]
