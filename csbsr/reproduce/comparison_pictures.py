"""Curves, panels and the search over m of Sec. IV, with captions that say what is shown and why."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from csbsr.reproduce.exhibit import Picture
from csbsr.reproduce.experiments import experiment
from csbsr.reproduce.figures import (
    crack_free,
    largest_gain,
    most_complex,
    panel_figure,
    search_figure,
    search_names,
    threshold_figure,
)
from csbsr.reproduce.panels import Panel, load_panels
from csbsr.reproduce.profiles import load_profile
from csbsr.reproduce.results import ResultFile
from csbsr.reproduce.tables import Results, measured

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
