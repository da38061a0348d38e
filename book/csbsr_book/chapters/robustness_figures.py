"""Tables and figures of Sec. IV-C: robustness over kinds and strengths, Fig. 16, photographs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from csbsr.data.cracks import image_files
from csbsr.inference import read_photograph, segment_photograph
from csbsr.inference.batch import overlay
from csbsr.protocol import Protocol
from csbsr.realistic import STRENGTHS
from csbsr.study.experiments import experiment
from csbsr.study.robustness import (
    CLEAN,
    CONDITIONS,
    LEADING,
    PICTURE,
    PICTURED,
    Condition,
    Walls,
    degraded,
)
from csbsr_book.site.table import Column, Content, Number, Table
from csbsr_book.site.theme import ALARM, Pixels, mark_of, stamp

KINDS = {
    "motion": ("Motion blur", "path of {:g} px"),
    "defocus": ("Defocus", "radius {:g} px"),
    "noise": ("Noise", "standard deviation {:g}"),
    "jpeg": ("JPEG", "quality {:g}"),
    "low_light": ("Low light", "{:.0%} of the light"),
}
FOUND, MISSED, FALSE = (40, 110, 255), (0, 190, 90), (255, 214, 0)
"""Colours of the paper's ellipses: true positive, false negative, false positive."""
RANKS = ("worst", "median", "best")


def condition_label(condition: Condition) -> str:
    """A condition in words, with what its strength means; pixels are HR pixels."""
    if condition == CLEAN:
        return "Reduction alone"
    kind, amount = KINDS[condition.kind]
    value = STRENGTHS[condition.kind][condition.strength - 1]
    return f"{kind}, {amount.format(value)}"


def _mean(contents: Sequence[dict], model: str, row: int, metric: str) -> float | None:
    """Mean over seeds; None where a value is infinite or missing."""
    values = [c["models"][model]["conditions"][row][metric] for c in contents]
    return None if None in values else float(np.mean(values))


def robustness_table(contents: Sequence[dict], metric: str, best: str | None) -> Table:
    """One row per condition, one column per model; in brackets the value at the best threshold.

    `metric` is "IoU", "HD95" or "AIU", `best` the metric in brackets or None.
    """
    models = list(contents[0]["models"])
    digits = 1 if "HD95" in metric else 3
    pick = min if "HD95" in metric else max
    rows = []
    for number, condition in enumerate(CONDITIONS):
        values = {m: _mean(contents, m, number, metric) for m in models}
        known = {m: round(v, digits) for m, v in values.items() if v is not None}
        top = pick(known.values(), default=None)
        cells: list[Content] = [condition_label(condition)]
        for model, value in values.items():
            at_fixed = Number(value, best=model in known and known[model] == top)
            other = _mean(contents, model, number, best) if best else None
            cells.append((at_fixed, " (", Number(other), ")") if other is not None else at_fixed)
        rows.append(cells)
    seeds, walls = len(contents), len(contents[0]["walls"]["names"])
    meaning = {
        "IoU": "IoU at the threshold that is best without degradation, in brackets IoU_max",
        "HD95": "HD95 in pixels at the threshold that is best without degradation, in brackets "
        "HD95_min",
        "AIU": "AIU, the mean IoU over 99 thresholds",
    }[metric]
    caption = (
        f"{meaning}. Mean over {walls} synthetic walls, {seeds} seed{'s' * (seeds > 1)}; bold: "
        f"{'lowest' if pick is min else 'highest'} of the row."
    )
    columns = [Column(experiment(m).title, digits=digits) for m in models]
    return Table(caption, ["Degradation", *columns], rows)


def robustness_tables(contents: Sequence[dict]) -> list[Table]:
    """The three tables: IoU, HD95, AIU."""
    pairs = (("IoU", "IoU_max"), ("HD95", "HD95_min"), ("AIU", None))
    return [robustness_table(contents, metric, best) for metric, best in pairs]


def strength_figure(contents: Sequence[dict], watermark: str = "") -> Figure:
    """IoU at the clean threshold over strength 0 to 3: one plot per kind, one line per model."""
    figure, grid = plt.subplots(2, 3, figsize=(7.4, 4.6), sharex=True, sharey=True)
    models = list(contents[0]["models"])
    for axes, kind in zip(grid.flat, KINDS):
        rows = [0, *(CONDITIONS.index(Condition(kind, s)) for s in (1, 2, 3))]
        for model in models:
            values = [_mean(contents, model, row, "IoU") for row in rows]
            axes.plot(range(4), values, label=experiment(model).title, **mark_of(model).drawn())
        axes.set_title(KINDS[kind][0])
        axes.set_xticks(range(4), ["none", "1", "2", "3"])
    grid[0, 0].set_ylim(bottom=0)
    for axes in grid[:, 0]:
        axes.set_ylabel("IoU, threshold fixed")
    for axes in grid.flat:
        axes.set_xlabel("strength")
        axes.tick_params(labelbottom=True)
    legend = grid[1, 2]
    legend.set_axis_off()
    legend.legend(*grid[0, 0].get_legend_handles_labels(), loc="center left")
    stamp(figure, watermark)
    return figure


def judged(image: Pixels, found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Pixels:
    """An image (H, W, 3) with hits in blue, misses in green and false alarms in yellow."""
    marked = image.copy()
    marked[found & truth] = FOUND
    marked[truth & ~found] = MISSED
    false = found & ~truth  # half transparent: false alarms can cover a whole picture
    marked[false] = (0.45 * marked[false] + 0.55 * np.array(FALSE)).astype(np.uint8)
    return marked


def _strip(path: Path, side: int) -> NDArray[np.bool_]:
    """Masks (rows, columns, H, W) as `run_robustness` stored them."""
    pixels = np.asarray(Image.open(path).convert("1"))
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    return pixels.reshape(rows, side, columns, side).swapaxes(1, 2)


def _enlarged(walls: Walls, index: int, condition: Condition, protocol: Protocol) -> Pixels:
    """The LR image of a wall, each pixel drawn four by four."""
    lr = degraded(walls.hr[index], walls.names[index], condition, protocol)
    small = (lr * 255).round().byte().permute(1, 2, 0).numpy()  # (h, w, 3)
    return small.repeat(4, 0).repeat(4, 1)


def _show(axes: Axes, picture: Pixels, title: str = "", left: str = "") -> None:
    axes.imshow(picture)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title, fontsize=8.5)
    axes.set_ylabel(left, fontsize=8.5)


def _stamp(figure: Figure, mark: str) -> None:
    """A watermark, and a line below, because pictures hide a watermark."""
    stamp(figure, mark)
    if mark:
        figure.supxlabel(f"{mark}: not a result", color=ALARM, fontsize=9)


def comparison_figure(
    content: dict,
    strip: Path,
    walls: Walls,
    chosen: Sequence[int],
    protocol: Protocol,
    mark: str = "",
) -> Figure:
    """Fig. 16 with a truth: worst, median and best wall under motion blur, and what was found."""
    masks = _strip(strip, walls.masks.shape[-1])
    row = CONDITIONS.index(PICTURE)
    iou = content["models"][LEADING]["conditions"][row]["images_IoU"]
    titles = ["wall", "LR image", *(experiment(m).title for m in PICTURED)]
    figure, grid = plt.subplots(len(chosen), 5, figsize=(8.4, 1.85 * len(chosen)), squeeze=False)
    for line, (axes, index) in enumerate(zip(grid, chosen)):
        top = titles if line == 0 else [""] * 5
        hr = (walls.hr[index] * 255).round().byte().permute(1, 2, 0).numpy()
        lr = _enlarged(walls, index, PICTURE, protocol)
        _show(axes[0], hr, top[0], f"{RANKS[line]}, IoU {iou[index]:.2f}")
        _show(axes[1], lr, top[1])
        for column in range(3):
            seen = judged(lr, masks[line, column], walls.masks[index])
            _show(axes[2 + column], seen, top[2 + column])
    _stamp(figure, mark)
    return figure


def dark_false_alarms(
    content: dict, strip: Path, walls: Walls, chosen: Sequence[int]
) -> list[float | None]:
    """Share of the leading model's false alarms on pixels darker than their wall's median.

    One number per wall of `comparison_figure`, None without a false alarm.
    """
    masks = _strip(strip, walls.masks.shape[-1])
    column = list(PICTURED).index(LEADING)
    shares: list[float | None] = []
    for line, index in enumerate(chosen):
        grey = walls.hr[index].mean(0).numpy()
        false = masks[line, column] & ~walls.masks[index]
        dark = grey < np.median(grey)
        shares.append(float(dark[false].mean()) if false.any() else None)
    return shares


def conditions_figure(
    strip: Path, walls: Walls, chosen: Sequence[int], protocol: Protocol, mark: str = ""
) -> Figure:
    """The median wall under every kind and strength, each LR image beside what CSBSR finds."""
    masks = _strip(strip, walls.masks.shape[-1])
    line = len(chosen) // 2
    index, stored = chosen[line], masks[line, len(PICTURED) :]
    figure, grid = plt.subplots(len(KINDS), 6, figsize=(8.4, 1.5 * len(KINDS)), squeeze=False)
    for axes, kind in zip(grid, KINDS):
        for strength in (1, 2, 3):
            condition = Condition(kind, strength)
            lr = _enlarged(walls, index, condition, protocol)
            seen = judged(lr, stored[CONDITIONS.index(condition)], walls.masks[index])
            pair = axes[2 * strength - 2 : 2 * strength]
            amount = KINDS[kind][1].format(STRENGTHS[kind][strength - 1])
            _show(pair[0], lr, amount, KINDS[kind][0] if strength == 1 else "")
            _show(pair[1], seen)
    _stamp(figure, mark)
    return figure


def photograph_figure(
    folder: Path,
    models: Mapping[str, nn.Module],
    limits: Mapping[str, float],
    mark: str = "",
    most: int = 4,
) -> Figure:
    """The first photographs of a folder by name, with the cracks each model finds in red.

    Photographs are taken as LR images, cut into overlapping tiles, and written nowhere. The last
    column is the blur that the last model estimated. ValueError for a folder without images.
    """
    files = list(image_files(folder).values())[:most]
    columns = len(models) + 2
    figure, grid = plt.subplots(
        len(files), columns, figsize=(2.1 * columns, 1.4 * len(files)), squeeze=False
    )
    for line, (axes, path) in enumerate(zip(grid, files)):
        image = read_photograph(path)
        picture = (image * 255).round().byte().permute(1, 2, 0).numpy()
        _show(axes[0], picture, "photograph" if line == 0 else "")
        for column, (name, model) in enumerate(models.items(), start=1):
            seen = segment_photograph(model, image)
            found = seen.prob[0] > limits[name]  # (4h, 4w)
            found = found.unflatten(0, (-1, 4)).unflatten(2, (-1, 4)).amax((1, 3))  # (h, w)
            top = experiment(name).title if line == 0 else ""
            _show(axes[column], overlay(picture, found.numpy()), top)
        axes[-1].set_axis_off()
        if seen.kernel is not None:
            axes[-1].imshow(seen.kernel[0].numpy(), cmap="magma")
            axes[-1].set_title("estimated blur" if line == 0 else "", fontsize=8.5)
    _stamp(figure, mark)
    return figure
