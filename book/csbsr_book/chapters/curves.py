"""Figures of Sec. IV: threshold curves and visual comparisons, from result files and panels."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from csbsr.study.experiments import M_SEARCH, experiment
from csbsr.study.panels import Panel, load_panels
from csbsr.study.profiles import profile_of_card
from csbsr.study.results import ResultFile
from csbsr_book.chapters.tables import Results, measured
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.theme import mark_of, nothing_here, stamp

PLAIN = "csbsr-pspnet"
"""The experiment without any weight on L_S."""
LABELS = {"IoU": "IoU (mean over images)", "HD95": "HD95 in pixels (mean over images)"}


def threshold_figure(
    results: Mapping[str, Sequence[ResultFile]],
    names: Mapping[str, str],
    metric: str,
    *,
    watermark: str = "",
) -> Figure:
    """Curves of `metric` ("IoU" or "HD95") over thresholds; a band shows the spread over seeds.

    `names` maps experiment ids to legend labels, in drawing order.
    """
    figure, axes = plt.subplots(figsize=(7.2, 4.2))
    for name, label in names.items():
        runs = results.get(name, ())
        if not runs:
            continue
        curves = np.array(
            [[np.nan if v is None else v for v in r.content["curves"][metric]] for r in runs]
        )
        x = np.array(runs[0].content["curves"]["thresholds"])
        mark = mark_of(name)
        axes.plot(x, curves.mean(0), label=label, markevery=0.1, **mark.drawn())
        if len(runs) > 1:
            low, high = curves.min(0), curves.max(0)
            axes.fill_between(x, low, high, color=mark.colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="threshold on the crack probability", ylabel=LABELS[metric], xlim=(0, 1))
    axes.set_ylim(bottom=0)
    if axes.lines:
        axes.legend(loc="best", ncols=2)
    else:
        nothing_here(axes, "no result of these experiments yet")
    stamp(figure, watermark)
    return figure


SEARCHES: Mapping[str, tuple[str, str]] = {
    "w^C on L_S": ("csbsr-pspnet-wC{:g}", "csbsr-pspnet-wC8"),
    "w^F on L_S": ("csbsr-pspnet-wF{:g}", "csbsr-pspnet-wF1"),
    "w^F on L_C": ("csbsr-pspnet-wF{:g}-LC", "csbsr-pspnet-wF1-LC"),
}
"""The three weights of Table V: ids by m, and the experiment whose colour the curve has."""


def search_names() -> list[str]:
    """Experiments of the search over m (Table V)."""
    return [pattern.format(m) for pattern, _ in SEARCHES.values() for m in M_SEARCH]


def search_figure(means: Mapping[str, float], *, watermark: str = "") -> Figure:
    """IoU_max over m for each weight, with the unweighted experiment as a dotted line."""
    figure, axes = plt.subplots(figsize=(7.2, 3.6))
    for label, (pattern, like) in SEARCHES.items():
        points = [(m, means[name]) for m in M_SEARCH if (name := pattern.format(m)) in means]
        if points:
            axes.plot(*zip(*points), label=label, **mark_of(like).drawn())
    if PLAIN in means:
        axes.axhline(means[PLAIN], color=mark_of(PLAIN).colour, linestyle=":", label="no weight")
    axes.set_xscale("log", base=2)
    axes.set(xlabel="m", ylabel="IoU_max")
    axes.set_xticks(M_SEARCH, [f"{m:g}" for m in M_SEARCH])
    if axes.lines:
        axes.legend()
    else:
        nothing_here(axes, "the search over m has not been run")
    stamp(figure, watermark)
    return figure


def panel_figure(
    panels: Mapping[str, Sequence[Panel]],
    labels: Mapping[str, str],
    chosen: Sequence[int],
    below: Callable[[Panel], str],
    *,
    watermark: str = "",
) -> Figure:
    """Rows per chosen image: LR, HR and truth, then the SR image and the prediction per model.

    `below` says what stands under a prediction.
    """
    first = next(iter(panels.values()))
    columns = 2 + len(panels)
    rows = 2 * len(chosen)
    figure, grid = plt.subplots(rows, columns, figsize=(1.75 * columns, 1.8 * rows), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, index in enumerate(chosen):
        upper, lower = grid[2 * row], grid[2 * row + 1]
        base = first[index]
        _draw(upper[0], base.lr, "LR image" if row == 0 else "")
        _draw(upper[1], base.hr, "HR image" if row == 0 else "")
        _draw(lower[1], base.mask, "")
        lower[1].set_title("truth" if row == 0 else "", fontsize=8.5)
        for column, (name, seen) in enumerate(panels.items(), start=2):
            panel = seen[index]
            blank = panel.sr is None or not panel.sr.any()
            restored = base.hr if blank else panel.sr
            _draw(upper[column], restored, labels[name] if row == 0 else "")
            if panel.prob is not None:
                _draw(lower[column], panel.prob, below(panel))
    stamp(figure, watermark)
    return figure


def _draw(axes: Axes, image: NDArray[np.uint8], title: str) -> None:
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


def away_from_cracks(panel: Panel) -> NDArray[np.bool_]:
    """Pixels farther than `AWAY` from every crack: who finds a crack there is wrong."""
    if not panel.mask.any():
        return np.ones(panel.mask.shape, bool)
    return distance_transform_edt(panel.mask < 128) > AWAY


def alarm_share(panel: Panel, threshold: float = 0.5) -> float:
    """Share of the pixels away from cracks that a panel's prediction calls crack."""
    away = away_from_cracks(panel)
    if panel.prob is None or not away.any():
        return 0.0
    return float((panel.prob[away] > 255 * threshold).mean())


def where_alarms_show(panels: Sequence[Panel]) -> list[int]:
    """Indices of all panels without a crack, and of the masonry with most wall away from one."""
    free = [i for i, panel in enumerate(panels) if not panel.mask.any()]
    walls = [i for i in MASONRY if i < len(panels) and i not in free]
    return free + sorted(walls, key=lambda i: -int(away_from_cracks(panels[i]).sum()))[:1]


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
    "VI": ("csbsr-pspnet-wF1", "csbsr-pspnet-blurskip-wF1"),
}

AWAY = 16
"""Pixels: farther from a crack than this, nothing can pass for its edge."""
MASONRY = (2, 5, 6)
"""Panel images of brickwork; the pictures themselves do not say."""

RULES: Mapping[str, str] = {
    "first": "the first two images with a crack",
    "complex": "the two images with the longest crack outline",
    "gain": "the two images on which the last column beats the first most by IoU at 0.5",
    "alarms": f"every image without a crack, then the masonry with most wall farther than {AWAY} "
    "pixels from its crack",
}


def curve_picture(number: str, metric: str, runs: Results, smoke: bool) -> CaptionedFigure:
    """IoU or HD95 over thresholds of the experiments beside a table."""
    titles = {name: experiment(name).title for name in CURVES[number]}
    figure = threshold_figure(runs, titles, metric, watermark=WATERMARK if smoke else "")
    there = [name for name in titles if runs.get(name)]
    missing = [title for name, title in titles.items() if name not in there]
    kind = "IoU" if metric == "IoU" else "95th percentile of the Hausdorff distance"
    shown = ", ".join(titles[name] for name in there)
    caption = f"{kind}, mean over test images, at 99 thresholds: {shown}."
    if missing:
        caption += f" Not run: {', '.join(missing)}."
    caption += " Bands: smallest and largest over seeds, where there are several."
    key, word = ("IoU_max", "highest IoU") if metric == "IoU" else ("HD95_min", "lowest HD95")
    means = {titles[name]: measured(runs[name], key).value for name in there}
    best = [f"{title} {mean:.3g}" for title, mean in means.items() if mean is not None]
    alt = f"Line plot over thresholds 0.01 to 0.99. {word}: " + ("; ".join(best) or "nothing")
    return CaptionedFigure(figure, caption, alt, smoke, [r for name in there for r in runs[name]])


def panel_files(names: Iterable[str], runs: Results) -> dict[str, ResultFile]:
    """The first result of each experiment, if its pictures are kept beside it."""
    first = {name: runs[name][0] for name in names if runs.get(name)}
    return {name: r for name, r in first.items() if r.path.with_suffix(".jpg").exists()}


def panels_of(files: Mapping[str, ResultFile], protocol: str) -> dict[str, list[Panel]]:
    """The pictures kept beside results of one profile; `protocol` degraded their images."""
    found = {}
    for name, result in files.items():
        profile = profile_of_card(result.content["profile"], result.card)
        strip = result.path.with_suffix(".jpg")
        found[name] = load_panels(strip, profile, profile.protocol(protocol))
    return found


def panel_picture(
    number: str, rule: str, runs: Results, protocol: str, smoke: bool
) -> CaptionedFigure:
    """Pictures of images chosen by a rule of `RULES`; `protocol` degraded them."""
    files = panel_files(PANELS[number], runs)
    panels = panels_of(files, protocol)
    chosen = _chosen(rule, list(panels.values())) if panels else []
    if not chosen:
        why = f"no test image fits the rule: {RULES[rule]}" if panels else ""
        return no_pictures(PANELS[number], smoke, why)
    titles = {name: experiment(name).title for name in panels}
    alarms = rule == "alarms"
    below = _alarms if alarms else _iou
    figure = panel_figure(panels, titles, chosen, below, watermark=WATERMARK if smoke else "")
    names = ", ".join(titles.values())
    pictured = f"{len(chosen)} of {len(panels[next(iter(panels))])} synthetic test images (seed 9)"
    caption = (
        f"{pictured}. Rule: {RULES[rule]}. Per image, upper row: LR, HR, then the SR image of "
        f"{names} (the HR image itself where no SR network is used); lower row: truth, then crack "
        "probability from black (0) to white (1), above it at threshold 0.5 the "
        + ("false alarms: called crack of all that is away from one." if alarms else "IoU.")
    )
    if missing := [experiment(name).title for name in PANELS[number] if name not in panels]:
        caption += f" Not run: {', '.join(missing)}."
    lines = (
        f"image {place}: "
        + ", ".join(f"{titles[n]} {below(seen[i])}" for n, seen in panels.items())
        for place, i in enumerate(chosen, start=1)
    )
    alt = (
        f"Grid of small pictures, {pictured}: low-resolution and full-size image, true crack mask, "
        f"and for each method the restored image above the crack probability. {'; '.join(lines)}."
    )
    return CaptionedFigure(figure, caption, alt, smoke, list(files.values()))


def _iou(panel: Panel) -> str:
    return f"IoU {panel_iou(panel):.2f}"


def _alarms(panel: Panel) -> str:
    return f"false {alarm_share(panel):.1%}"


def no_pictures(names: Iterable[str], smoke: bool, why: str = "") -> CaptionedFigure:
    """Stands where pictures of experiments would be; by default none are kept."""
    figure, axes = plt.subplots(figsize=(7.2, 1.4))
    axes.set_axis_off()
    nothing_here(axes, why or "no pictures are kept beside these results")
    titles = ", ".join(experiment(name).title for name in names)
    mend = "They are written by the run: delete the result files and run them again."
    caption = f"No pictures of {titles}: {why or f'none are kept beside the results. {mend}'}"
    return CaptionedFigure(figure, caption, "An empty frame: the pictures are missing.", smoke)


def _chosen(rule: str, columns: Sequence[list[Panel]]) -> list[int]:
    last = columns[-1]
    match rule:
        case "complex":
            return most_complex(last, 2)
        case "gain":
            return largest_gain(last, columns[0], 2)
        case "alarms":
            return where_alarms_show(last)
        case _:
            return [i for i, panel in enumerate(last) if panel.mask.any()][:2]


def search_picture(runs: Results, smoke: bool) -> CaptionedFigure:
    """IoU_max over the constants m of the three weights (Table V)."""
    values = {n: measured(runs.get(n, ()), "IoU_max").value for n in (*search_names(), PLAIN)}
    means = {name: value for name, value in values.items() if value is not None}
    figure = search_figure(means, watermark=WATERMARK if smoke else "")
    alt = "Empty plot: the search over m has not been run."
    if found := {name: value for name, value in means.items() if name != PLAIN}:
        alt = (
            "IoU_max over seven constants m for three kinds of weight, on a logarithmic axis; "
            f"values from {min(found.values()):.3g} to {max(found.values()):.3g}, highest: "
            f"{max(found, key=found.get)}."
        )
    caption = (
        "IoU_max for each constant m of the crack-oriented weight, the fail-oriented weight, "
        "and the fail-oriented weight on the segmentation loss. Dotted: without any weight."
    )
    shown = [result for name in means for result in runs[name]]
    return CaptionedFigure(figure, caption, alt, smoke, shown)
