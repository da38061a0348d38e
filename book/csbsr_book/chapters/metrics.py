"""Figures of the metrics chapter."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from csbsr.metrics import (
    THRESHOLDS,
    bootstrap_summary,
    centreline_curve,
    evaluate_batch,
    psnr,
    skeleton,
    ssim,
    ssim_standard,
    surface_distance,
    threshold_curves,
)
from csbsr.metrics.plain import surface_lengths
from csbsr.metrics.surface import squared_distances
from csbsr_book.chapters.example_crack import Example, flawed_prediction
from csbsr_book.site.exhibit import drawn
from csbsr_book.site.table import Column, Content, Number, Table
from csbsr_book.site.theme import bare

HIT, MISSED, INVENTED = "#0072b2", "#d55e00", "#f0c24b"
"""Crack found, crack not found, crack where there is none."""

Map = NDArray[np.float64]
Mask = NDArray[np.bool_]


def example_prediction(example: Example) -> tuple[Map, Mask]:
    """Return a flawed prediction of a crack, slightly blurred, and its mask, both (H, W)."""
    prob = ndimage.gaussian_filter(flawed_prediction(example)[0, 0].numpy(), 1.2)
    return prob.clip(0, 1), example.mask[0, 0].numpy() > 0.5


def worked_example() -> tuple[Map, Mask]:
    """Return the 5 x 5 probability map and mask that the chapter works out by hand."""
    prob, target = np.zeros((2, 5, 5))
    prob[1, 1:4] = 0.1, 0.9, 0.0
    prob[2, 1:4] = 0.1, 0.8, 0.2
    prob[3, 1:4] = 0.0, 0.4, 0.7
    prob[4, 3] = 0.3
    target[1:4, 2] = 1
    return prob, target > 0


def worked_figure(threshold: float = 0.5) -> Figure:
    """The 5 x 5 example: probabilities, then both masks with their surface elements."""
    prob, target = worked_example()
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.5))
    axes[0].imshow(prob, cmap="Greys", vmin=0, vmax=1.4)
    for (i, j), value in np.ndenumerate(prob):
        axes[0].text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=9)
    axes[0].set_title("probability")
    masks = (target, "target"), (prob > threshold, f"probability > {threshold}")
    for axis, (mask, title), (other, _) in zip(axes[1:], masks, masks[::-1]):
        axis.imshow(mask, cmap=ListedColormap(["white", "#bcd7ea"]))
        lengths = surface_lengths(mask)
        squared = squared_distances((surface_lengths(other) > 0).astype(np.uint8))
        for i, j in zip(*np.nonzero(lengths)):
            far = squared[i, j] > 0
            axis.plot(j - 0.5, i - 0.5, "s" if far else "o", color=MISSED if far else HIT)
            axis.annotate(
                f"{lengths[i, j]:.2f}",
                (j - 0.46, i - 0.56),
                fontsize=7.5,
                va="bottom",
                clip_on=False,
            )
        axis.set_title(f"{title}: length {lengths.sum():.2f}")
    for axis in axes:
        bare(axis)
        axis.set(xlim=(-0.5, 4.5), ylim=(4.5, -0.5))
        axis.spines[:].set_visible(False)
        for edge in np.arange(0.5, 4):
            axis.axhline(edge, color="#d0d0d0", linewidth=0.6, zorder=0.5)
            axis.axvline(edge, color="#d0d0d0", linewidth=0.6, zorder=0.5)
    return figure


def _line(width: float, size: int = 128) -> Mask:
    """A gently curved crack of one width."""
    i, j = np.mgrid[:size, :size]
    centre = size / 2 + 9 * np.sin(j / 17)
    return (np.abs(i - centre) < width / 2) & (j >= 12) & (j < size - 12)


def shift_figure() -> Figure:
    """IoU, HD95 and centreline IoU of a crack against itself moved down, for three widths."""
    shifts = range(9)
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3))
    styles = (1, "-", "o"), (3, "--", "s"), (9, ":", "^")
    for width, line, marker in styles:
        target = _line(width)
        moved = [np.roll(target, s, 0).astype(float) for s in shifts]
        curves = [threshold_curves(m, target, [0.5]) for m in moved]
        values = (
            [c.iou[0] for c in curves],
            [c.hausdorff[0] for c in curves],
            [centreline_curve(m, target, [0.5]).iou[0] for m in moved],
        )
        for axis, v in zip(axes, values):
            axis.plot(shifts, v, line, marker=marker, markersize=4, label=f"{width} px wide")
    titles = "IoU", "HD95 in pixels", "centreline IoU, tolerance 4 px"
    for axis, title in zip(axes, titles):
        axis.set(title=title, xlabel="shift in pixels")
    axes[0].legend()
    return figure


def shift_alt(figure: Figure) -> str:
    """What `shift_figure` draws, in numbers read back from its lines."""
    widths = drawn(figure.axes[0])
    falls = ", ".join(f"{name}: {y[1]:.2f}" for name, (_, y) in widths.items())
    distance = next(iter(drawn(figure.axes[1]).values()))[1]
    centre = next(iter(drawn(figure.axes[2]).values()))
    return (
        f"Three panels over a shift of 0 to 8 pixels. IoU after one pixel: {falls}. HD95 grows to "
        f"{distance[-1]:.0f} pixels for all widths. Centreline IoU stays at 1 up to a shift of "
        f"{int(centre[0][centre[1] > 0.99].max())} pixels and is {centre[1][-1]:.2f} at the end."
    )


def percentile_figure(prob: Map, target: Mask) -> Figure:
    """One prediction, and its Hausdorff distance over thresholds at percentiles 50, 95 and 100."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), width_ratios=(1, 1.7))
    _agreement(axes[0], prob > 0.5, target)
    axes[0].set_title("threshold 0.5")
    styles = (50, "#009e73", "--"), (95, "#0072b2", "-"), (100, "#000000", ":")
    for percentile, colour, line in styles:
        curve = threshold_curves(prob, target, percentile=percentile).hausdorff
        label = f"percentile {percentile}: mean {curve.mean():.1f}, least {curve.min():.1f}"
        axes[1].plot(THRESHOLDS, curve, line, color=colour, label=label)
    axes[1].set(xlabel="threshold", ylabel="Hausdorff distance (px)")
    axes[1].legend(loc="center", bbox_to_anchor=(0.5, 0.28))
    return figure


def percentile_alt(figure: Figure) -> str:
    """What `percentile_figure` draws, in numbers read back from its lines."""
    curves = drawn(figure.axes[1])
    middles = (f"{name.split(':')[0]}: {np.median(y):.1f}" for name, (_, y) in curves.items())
    return (
        "Left: a branching crack, mostly found, its right part missed, and an invented round spot. "
        f"Right: three curves of the distance over the threshold; medians: {', '.join(middles)} "
        "pixels."
    )


def centreline_figure(prob: Map, target: Mask) -> Figure:
    """Masks and centrelines of a prediction at threshold 0.5: found, missed, invented."""
    mask = prob > 0.5
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 4))
    _agreement(axes[0], mask, target)
    axes[0].set_title(f"pixels: IoU {threshold_curves(prob, target, [0.5]).iou[0]:.3f}")
    lines, truth = skeleton(mask), skeleton(target)
    near = squared_distances(truth.astype(np.uint8)) <= 16
    found = squared_distances(lines.astype(np.uint8)) <= 16
    for selected, colour, size in (
        (lines & near, HIT, 3),
        (truth & ~found, MISSED, 5),
        (lines & ~near, INVENTED, 5),
    ):
        rows, columns = np.nonzero(selected)
        axes[1].scatter(columns, rows, s=size, color=colour, marker="s", linewidths=0)
    height, width = target.shape
    axes[1].set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    value = centreline_curve(prob, target, [0.5]).iou[0]
    axes[1].set_title(f"centrelines: IoU {value:.3f}")
    bare(axes[1])
    axes[1].spines[:].set(visible=True, color="#d0d0d0")
    for colour, text in ((HIT, "found"), (MISSED, "missed"), (INVENTED, "invented")):
        axes[1].plot([], [], "s", color=colour, label=text)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _agreement(axis: Axes, mask: Mask, target: Mask) -> None:
    classes = target * 2 + mask  # 0 neither, 1 invented, 2 missed, 3 found
    colours = ListedColormap(["white", INVENTED, MISSED, HIT])
    axis.imshow(classes, cmap=colours, vmin=0, vmax=3, interpolation="nearest")
    bare(axis)
    axis.spines[:].set(visible=True, color="#d0d0d0")


def worked_table() -> Table:
    """Metrics of the 5 x 5 example at four thresholds, percentiles 95 and 50."""
    limits = [0.15, 0.35, 0.5, 0.75]
    prob, target = worked_example()
    full, half = (threshold_curves(prob, target, limits, p) for p in (95, 50))
    rows = list(zip(limits, full.iou, full.hausdorff, half.hausdorff, full[2]))
    pixels = [Column(name, unit="px", digits=3) for name in ("HD95", "HD50", "mean distance")]
    columns = [Column("threshold", digits=2), Column("IoU", digits=3), *pixels]
    return Table("The 5 x 5 example, by threshold_curves", columns, rows)


def empty_table(height: int = 300, width: int = 448) -> Table:
    """What an empty mask costs under each rule, for one image and in a mean of 100 images."""
    nothing, crack = np.zeros((2, height, width), bool)
    crack[height // 2, 50 : width - 50] = True
    blob = np.zeros_like(crack)
    blob[5, 5] = True
    cases = (
        ("both empty", nothing, nothing),
        ("crack missed entirely", nothing, crack),
        ("one false pixel, no crack", blob, nothing),
        ("one false pixel, crack elsewhere", blob, crack),
    )
    rules = ("width", "diagonal", "infinite")
    rows = []
    for name, mask, target in cases:
        cells: list[Content] = [name, float(threshold_curves(mask * 1.0, target, [0.5]).iou[0])]
        for rule in rules:
            cost = float(surface_distance(mask, target, 95, rule).hausdorff)
            mean = (99 * 10 + cost) / 100
            cells.append((Number(cost, digits=0), " / ", Number(mean, digits=1)))
        rows.append(cells)
    caption = (
        f"HD95 in pixels of one image of {width} x {height} / mean of 100 images if the other 99 "
        "score 10"
    )
    return Table(caption, ["prediction and target", Column("IoU", digits=3), *rules], rows)


def interval_table(prob: NDArray, target: NDArray, seed: int = 0, tiles: int = 4) -> Table:
    """The four numbers of tiles x tiles parts of one image, with 95 % bootstrap intervals."""
    parts = [
        [block for row in np.array_split(a, tiles) for block in np.array_split(row, tiles, 1)]
        for a in (prob, target)
    ]
    curves = evaluate_batch(*parts)
    intervals = bootstrap_summary(curves.iou, curves.hausdorff, seed=seed)
    rows = [
        [name, Number(i.estimate, interval=(i.low, i.high))]
        for name, i in zip(("IoU max", "AIU", "HD95 min (px)", "AHD95 (px)"), intervals)
    ]
    columns = ["number", Column("estimate", note="95 % interval over tiles", digits=3)]
    return Table(f"Bootstrap intervals over {tiles**2} tiles", columns, rows)


def fidelity_table(image: Tensor) -> Table:
    """PSNR and both forms of SSIM of one image (1, 3, H, W), blurred and with noise."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    rows = []
    for name, changed in (
        ("blurred, 3 x 3 mean", F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)),
        ("blurred, 7 x 7 mean", F.avg_pool2d(image, 7, 1, 3, count_include_pad=False)),
        ("noise, standard deviation 0.03", (image + 0.03 * noise).clamp(0, 1)),
    ):
        try:
            standard: Content = ssim_standard(changed, image).item()
        except ImportError:
            standard = "needs torchmetrics"
        rows.append([name, psnr(changed, image).item(), ssim(changed, image).item(), standard])
    forms = [Column(f"SSIM, {form} form", digits=4) for form in ("released", "standard")]
    columns = ["image", Column("PSNR", unit="dB", digits=2), *forms]
    return Table("One image against three changed copies of itself", columns, rows)
