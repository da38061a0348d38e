"""Figures of Sec. IV: threshold curves and visual comparisons, from result files and panels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from csbsr.study.experiments import M_SEARCH, experiment
from csbsr.study.panels import Panel, load_panels
from csbsr.study.profiles import load_profile
from csbsr.study.results import ResultFile
from csbsr_book.chapters.tables import Results, measured
from csbsr_book.site.exhibit import Picture

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
    for name, label in names.items():
        runs = results.get(name, ())
        if not runs:
            continue
        curves = np.array(
            [[np.nan if v is None else v for v in r.content["curves"][metric]] for r in runs]
        )
        x = np.array(runs[0].content["curves"]["thresholds"])
        style = {"color": REFERENCE, "linestyle": "--"} if name == reference else None
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


WATERMARK = "smoke run"

CURVES: Mapping[str, tuple[str, ...]] = {
    "II": ("hr-pspnet", "srcnet", "dsrl", "kbpn+pspnet", "cssr-pspnet", "csbsr-pspnet"),
    "III": ("kbpn+pspnet", "csbsr-pspnet-beta0.1", "csbsr-pspnet", "csbsr-pspnet-increasing"),
    "IV": (
        "hr-pspnet",
        "csbsr-pspnet",
        "csbsr-pspnet-gbc",
        "csbsr-pspnet-wce",
        "csbsr-pspnet-bgdice",
        "csbsr-pspnet-combo",
        "csbsr-pspnet-dice",
    ),
    "V": ("csbsr-pspnet", "csbsr-pspnet-wLC", "csbsr-pspnet-wC8", "csbsr-pspnet-wF1"),
    "VI": ("csbsr-pspnet", "csbsr-pspnet-blurskip", "csbsr-pspnet-blurskip-wF1"),
}
"""Experiments drawn beside each table."""

PANELS: Mapping[str, tuple[str, ...]] = {
    "II": ("hr-pspnet", "srcnet", "dsrl", "csbsr-pspnet"),
    "V": ("csbsr-pspnet", "csbsr-pspnet-wF1"),
    "VI": ("csbsr-pspnet-wF1", "csbsr-pspnet-blurskip-wF1"),
}

RULES: Mapping[str, str] = {
    "first": "the first two images with a crack",
    "complex": "the two images with the longest crack outline",
    "gain": "the two images on which the last column beats the first most by IoU at 0.5",
    "crack-free": "the first two images without a crack",
}


def curve_picture(number: str, metric: str, runs: Results, smoke: bool) -> Picture:
    """IoU or HD95 over thresholds of the experiments beside a table."""
    titles = {name: experiment(name).title for name in CURVES[number]}
    figure = threshold_figure(
        runs, titles, metric, reference="hr-pspnet", watermark=WATERMARK if smoke else ""
    )
    there = [name for name in titles if runs.get(name)]
    missing = [title for name, title in titles.items() if name not in there]
    kind = "IoU" if metric == "IoU" else "95th percentile of the Hausdorff distance"
    shown = ", ".join(titles[name] for name in there)
    caption = f"{kind}, mean over test images, at 99 thresholds: {shown}."
    if missing:
        caption += f" Not run: {', '.join(missing)}."
    caption += " Bands: smallest and largest over seeds, where there are several."
    key, word = ("IoU_max", "highest IoU") if metric == "IoU" else ("HD95_min", "lowest HD95")
    best = []
    for name in there:
        value, at = (runs[name][0].metrics[k] for k in (key, f"{key}_threshold"))
        best.append(f"{titles[name]} {value:.3g} at threshold {at:.2f}")
    alt = f"Line plot over thresholds 0.01 to 0.99. {word}: " + ("; ".join(best) or "nothing")
    return Picture(figure, caption, alt, smoke, [r for name in there for r in runs[name]])


def panel_files(number: str, runs: Results) -> dict[str, ResultFile]:
    """The first result with kept pictures of each experiment that a table's panels show."""
    found = {}
    for name in PANELS.get(number, ()):
        for result in runs.get(name, ())[:1]:
            if _picture_of(result).exists():
                found[name] = result
    return found


def _picture_of(result: ResultFile) -> Path:
    return result.path.with_suffix(".jpg")


def panel_picture(number: str, rule: str, runs: Results, protocol: str, smoke: bool) -> Picture:
    """Pictures of two images chosen by a rule of `RULES`; `protocol` degraded them."""
    files = panel_files(number, runs)
    profile = load_profile(next(iter(files.values())).content["profile"])
    panels = {
        name: load_panels(_picture_of(result), profile, profile.protocol(protocol))
        for name, result in files.items()
    }
    titles = {name: experiment(name).title for name in panels}
    watermark = WATERMARK if smoke else ""
    figure = panel_figure(panels, titles, _chosen(rule, list(panels.values())), watermark=watermark)
    names = ", ".join(titles.values())
    caption = (
        f"Rule: {RULES[rule]}, among twelve synthetic test images (seed 9). Per image, upper "
        f"row: LR, HR, then the SR image of {names} (the HR image itself where no SR network "
        "is used); lower row: truth, then crack probability from black (0) to white (1)."
    )
    alt = (
        f"Grid of small pictures of {RULES[rule]}: low-resolution and full-size image, true "
        f"crack mask, and for {names} the restored image above the crack probability."
    )
    return Picture(figure, caption, alt, smoke, list(files.values()))


def _chosen(rule: str, columns: Sequence[list[Panel]]) -> list[int]:
    last = columns[-1]
    match rule:
        case "complex":
            return most_complex(last, 2)
        case "gain":
            return largest_gain(last, columns[0], 2)
        case "crack-free":
            return crack_free(last, 2)
        case _:
            return [i for i, panel in enumerate(last) if panel.mask.any()][:2]


def search_picture(runs: Results, smoke: bool) -> Picture:
    """IoU_max over the constants m of the three weights (Table V)."""
    figure = search_figure(runs, watermark=WATERMARK if smoke else "")
    found = {n: v.value for n in search_names() if (v := measured(runs.get(n, ()), "IoU_max"))}
    alt = "Empty plot: the search over m has not been run."
    if found:
        best = max(found, key=found.get)
        alt = (
            f"IoU_max over seven constants m for three kinds of weight, on a logarithmic axis; "
            f"values from {min(found.values()):.3g} to {max(found.values()):.3g}, highest: {best}."
        )
    caption = (
        "IoU_max for each constant m of the crack-oriented weight, the fail-oriented weight, "
        "and the fail-oriented weight on the segmentation loss. Dotted: without any weight."
    )
    shown = [r for n in (*search_names(), "csbsr-pspnet") for r in runs.get(n, ())]
    return Picture(figure, caption, alt, smoke, shown)
