"""Figures of Sec. IV: threshold curves and visual comparisons, from result files and panels."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from csbsr.reproduce.experiments import M_SEARCH
from csbsr.reproduce.panels import Panel
from csbsr.reproduce.results import ResultFile

COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#e08e0b", "#6a4c93", "#00798c", "#8c564b", "#444444")
REFERENCE = "#111111"
LABELS = {"IoU": "IoU (mean over images)", "HD95": "HD95 in pixels (mean over images)"}


def colour_of(index: int) -> str:
    """Colour of the index-th line or bar, distinguishable with colour blindness and in print."""
    return COLOURS[index % len(COLOURS)]


def threshold_figure(
    results: Mapping[str, Sequence[ResultFile]],
    names: Mapping[str, str],
    metric: str,
    *,
    reference: str | None = None,
    watermark: str = "",
) -> Figure:
    """Curves of `metric` ("IoU" or "HD95") over thresholds; a band shows the spread over seeds.

    `names` maps experiment ids to legend labels, in drawing order; `reference` is dashed black.
    """
    figure, axes = plt.subplots(figsize=(7.2, 4.2))
    number = 0
    for experiment, label in names.items():
        runs = results.get(experiment, ())
        if not runs:
            continue
        curves = np.array(
            [[np.nan if v is None else v for v in r.content["curves"][metric]] for r in runs]
        )
        x = np.array(runs[0].content["curves"]["thresholds"])
        style = {"color": REFERENCE, "linestyle": "--"} if experiment == reference else None
        if style is None:
            style = {"color": colour_of(number)}
            number += 1
        axes.plot(x, curves.mean(0), label=label, **style)
        if len(runs) > 1:
            low, high = curves.min(0), curves.max(0)
            axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.set(xlabel="threshold on the crack probability", ylabel=LABELS[metric], xlim=(0, 1))
    axes.set_ylim(bottom=0)
    if axes.lines:
        axes.legend(loc="best", ncols=2)
    else:
        nothing_here(axes, "no result of these experiments yet")
    stamp(figure, watermark)
    return figure


SEARCHES: Mapping[str, str] = {
    "w^C on L_S": "csbsr-pspnet-wC{:g}",
    "w^F on L_S": "csbsr-pspnet-wF{:g}",
    "w^F on L_C": "csbsr-pspnet-wF{:g}-LC",
}


def search_names() -> list[str]:
    """Experiments of the search over m (Table V)."""
    return [pattern.format(m) for pattern in SEARCHES.values() for m in M_SEARCH]


def search_figure(results: Mapping[str, Sequence[ResultFile]], *, watermark: str = "") -> Figure:
    """IoU_max over m for each weight, with the unweighted experiment as a dotted line."""
    figure, axes = plt.subplots(figsize=(7.2, 3.6))
    for number, (label, pattern) in enumerate(SEARCHES.items()):
        found = [(m, results.get(pattern.format(m), ())) for m in M_SEARCH]
        points = [(m, np.mean([r.metrics["IoU_max"] for r in runs])) for m, runs in found if runs]
        if points:
            axes.plot(*zip(*points), "o-", label=label, color=colour_of(number))
    if base := results.get("csbsr-pspnet", ()):
        level = np.mean([r.metrics["IoU_max"] for r in base])
        axes.axhline(level, color=REFERENCE, linestyle=":", label="no weight")
    axes.set_xscale("log", base=2)
    axes.set(xlabel="m", ylabel="IoU_max")
    axes.set_xticks(M_SEARCH, [f"{m:g}" for m in M_SEARCH])
    if axes.lines:
        axes.legend()
    else:
        nothing_here(axes, "the search over m has not been run")
    stamp(figure, watermark)
    return figure


def nothing_here(axes: Axes, text: str) -> None:
    """Say in an empty plot why it is empty."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="#666666")


def stamp(figure: Figure, text: str) -> None:
    """Write a large pale watermark across a figure."""
    if text:
        figure.text(
            0.5, 0.5, text, ha="center", va="center", rotation=20, fontsize=34, color="#c00000",
            alpha=0.13, zorder=10,
        )  # fmt: skip


def overlay(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """An RGB image (H, W, 3) with the pixels of a mask in red."""
    red = image.copy()
    red[mask] = (0.35 * red[mask] + 0.65 * np.array([220, 20, 40])).astype(np.uint8)
    return red


def panel_figure(
    panels: Mapping[str, Sequence[Panel]],
    labels: Mapping[str, str],
    chosen: Sequence[int],
    *,
    watermark: str = "",
) -> Figure:
    """Rows per chosen image: LR, HR and truth, then the SR image and the prediction per model."""
    first = next(iter(panels.values()))
    columns = 2 + len(panels)
    rows = 2 * len(chosen)
    figure, grid = plt.subplots(rows, columns, figsize=(1.75 * columns, 1.8 * rows), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, index in enumerate(chosen):
        upper, lower = grid[2 * row], grid[2 * row + 1]
        base = first[index]
        _picture(upper[0], base.lr, "LR image" if row == 0 else "")
        _picture(upper[1], base.hr, "HR image" if row == 0 else "")
        _picture(lower[1], base.mask, "")
        lower[1].set_title("truth" if row == 0 else "", fontsize=8.5)
        for column, (name, seen) in enumerate(panels.items(), start=2):
            panel = seen[index]
            blank = panel.sr is None or not panel.sr.any()
            _picture(
                upper[column], base.hr if blank else panel.sr, labels[name] if row == 0 else ""
            )
            if panel.prob is not None:
                _picture(lower[column], panel.prob, "")
    stamp(figure, watermark)
    return figure


def _picture(axes: Axes, image: NDArray[np.uint8], title: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=8.5)


def panel_iou(panel: Panel, threshold: float = 0.5) -> float:
    """IoU of a panel's prediction, 1 if both are empty; the rule by which panels are chosen."""
    if panel.prob is None:
        return 0.0
    prediction, truth = panel.prob > 255 * threshold, panel.mask > 127
    union = np.logical_or(prediction, truth).sum()
    return 1.0 if union == 0 else float(np.logical_and(prediction, truth).sum() / union)


def most_complex(panels: Sequence[Panel], count: int) -> list[int]:
    """Indices of the panels with the longest crack outline, longest first."""

    def outline(panel: Panel) -> int:
        mask = panel.mask > 127
        return int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())

    return sorted(range(len(panels)), key=lambda i: -outline(panels[i]))[:count]


def crack_free(panels: Sequence[Panel], count: int) -> list[int]:
    """Indices of the first panels without a crack."""
    return [i for i, panel in enumerate(panels) if not panel.mask.any()][:count]


def largest_gain(ours: Sequence[Panel], other: Sequence[Panel], count: int) -> list[int]:
    """Indices of the cracked panels on which `ours` beats `other` most by IoU at 0.5."""
    cracked = [i for i, panel in enumerate(ours) if panel.mask.any()]
    return sorted(cracked, key=lambda i: panel_iou(other[i]) - panel_iou(ours[i]))[:count]
