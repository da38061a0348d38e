"""Fig. 14: two methods that differ in one thing, side by side, and where they differ enlarged."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from csbsr.study.experiments import experiment
from csbsr.study.panels import Panel
from csbsr_book.chapters.curves import (
    RULES,
    WATERMARK,
    most_complex,
    no_pictures,
    panel_files,
    panel_iou,
    panels_of,
)
from csbsr_book.chapters.tables import Results
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.theme import ORANGE, SKY, stamp

ZOOMED: Mapping[str, tuple[str, str]] = {"V": ("csbsr-pspnet", "csbsr-pspnet-wF1")}
"""Per table the two experiments that are compared: without and with."""
IMAGES = 2
FRAMES = (ORANGE, SKY)
"""Colours of the windows; as many of each image are enlarged."""


class Pair(NamedTuple):
    """One image as both methods see it, and the windows (top, left) that are enlarged."""

    without: Panel
    with_: Panel
    windows: list[tuple[int, int]]
    side: int


def windows_of(without: Panel, with_: Panel, side: int, count: int) -> list[tuple[int, int]]:
    """Windows in which two predictions differ most, best first; none overlaps another."""
    gap = np.abs(without.prob.astype(float) - with_.prob.astype(float))
    height, width = gap.shape
    step = max(side // 4, 1)
    places = [
        (float(gap[top : top + side, left : left + side].sum()), top, left)
        for top in range(0, height - side + 1, step)
        for left in range(0, width - side + 1, step)
    ]
    chosen: list[tuple[int, int]] = []
    for _, top, left in sorted(places, key=lambda place: (-place[0], place[1:])):
        if all(abs(top - t) >= side or abs(left - x) >= side for t, x in chosen):
            chosen.append((top, left))
        if len(chosen) == count:
            break
    return chosen


def zoom_picture(
    names: Sequence[str], runs: Results, protocol: str, smoke: bool
) -> CaptionedFigure:
    """Fig. 14 of two experiments, or word that a picture of one of them is missing."""
    files = panel_files(names, runs)
    if len(files) < len(names):
        return no_pictures(names, smoke)
    without, with_ = panels_of(files, protocol).values()
    chosen = most_complex(with_, IMAGES)
    pairs = []
    for index in chosen:
        side = with_[index].mask.shape[0] // 5
        windows = windows_of(without[index], with_[index], side, len(FRAMES))
        pairs.append(Pair(without[index], with_[index], windows, side))
    figure = _figure(pairs, WATERMARK if smoke else "")
    titles = [experiment(name).title for name in names]
    images, maps = (float(np.mean([_gap(p, what) for p in pairs])) for what in ("sr", "prob"))
    scores = "; ".join(
        f"image {n}: (c) {panel_iou(p.without):.2f}, (d) {panel_iou(p.with_):.2f}"
        for n, p in enumerate(pairs, start=1)
    )
    caption = (
        f"(a) LR image, (b) HR image and truth, (c) {titles[0]}, (d) {titles[1]}: SR image above, "
        "crack probability below. (c'), (d'): the framed windows of the SR images enlarged. "
        "Rules: "
        f"{RULES['complex']}, among twelve synthetic test images (seed 9); of each the two windows "
        f"in which the probabilities differ most. Between (c) and (d) the SR images differ by "
        f"{images:.1f} of 255 grey levels on average, the probabilities by {maps:.3f}. IoU at 0.5: "
        f"{scores}."
    )
    alt = (
        f"{len(pairs)} cracked walls, each as LR, HR and two SR images above the truth and two "
        "maps "
        f"of crack probability, and two small windows of both SR images enlarged. IoU: {scores}; "
        "the "
        f"SR images differ by {images:.1f} grey levels on average."
    )
    return CaptionedFigure(figure, caption, alt, smoke, list(files.values()))


def _gap(pair: Pair, what: str) -> float:
    first, second = (getattr(panel, what) for panel in pair[:2])
    scale = 255 if what == "prob" else 1
    return float(np.abs(first.astype(float) - second.astype(float)).mean() / scale)


def _figure(pairs: Sequence[Pair], watermark: str) -> Figure:
    rows = 2 * len(pairs)
    figure, grid = plt.subplots(rows, 6, figsize=(10.2, 1.75 * rows), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, pair in enumerate(pairs):
        upper, lower = grid[2 * number], grid[2 * number + 1]
        base, first = pair.without, number == 0
        _show(upper[0], base.lr, "(a) LR" if first else "")
        _show(upper[1], base.hr, "(b) HR, truth" if first else "")
        _show(lower[1], base.mask)
        for column, panel, letter in ((2, pair.without, "c"), (3, pair.with_, "d")):
            _show(upper[column], panel.sr, f"({letter})" if first else "")
            _show(lower[column], panel.prob)
            for axes, window, colour in zip((upper, lower), pair.windows, FRAMES):
                top, left = window
                zoom = axes[column + 2]
                _show(zoom, panel.sr[top : top + pair.side, left : left + pair.side])
                _frame(zoom, (-0.5, -0.5), pair.side, colour)
                for picture in (upper[column], lower[column]):
                    _frame(picture, (left - 0.5, top - 0.5), pair.side, colour)
            upper[column + 2].set_title(f"({letter}')" if first else "", fontsize=8.5)
    stamp(figure, watermark)
    return figure


def _show(axes: Axes, image: NDArray[np.uint8], title: str = "") -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=8.5)


def _frame(axes: Axes, corner: tuple[float, float], side: int, colour: str) -> None:
    axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=2))
