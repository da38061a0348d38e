"""How much could still be won: the same networks with less and with more knowledge than a photo."""

from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt

from csbsr.study.experiments import experiment
from csbsr.study.results import ResultFile
from csbsr_book.chapters.tables import Results, measured
from csbsr_book.paper.printed import METRICS
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.theme import BLUE, VERMILION, stamp

METRIC = "IoU_max"
RUNGS = (
    "darkness",
    "lr+pspnet",
    "bicubic+pspnet",
    "dbpn+pspnet",
    "kbpn-constant+pspnet",
    "kbpn+pspnet",
    "csbsr-pspnet",
    "kbpn-true+pspnet",
    "csbsr-pspnet-true-kernel",
    "hr-pspnet",
)
"""From no training to the HR image itself: what each piece of knowledge is worth."""
ORACLES = frozenset(("kbpn-true+pspnet", "csbsr-pspnet-true-kernel", "hr-pspnet"))
"""Rungs that are told what nobody knows of a photograph."""
STEPS: Mapping[str, tuple[str, str]] = {
    "knowing the kernel": ("kbpn-true+pspnet", "kbpn+pspnet"),
    "knowing it in joint training": ("csbsr-pspnet-true-kernel", "csbsr-pspnet"),
    "estimating it rather than taking one for all": ("kbpn+pspnet", "kbpn-constant+pspnet"),
    "seeing the HR image": ("hr-pspnet", "csbsr-pspnet"),
}


def headroom_picture(runs: Results, watermark: str = "") -> CaptionedFigure:
    """IoU_max and PSNR of every rung, and what each oracle adds."""
    there = [name for name in RUNGS if runs.get(name)]
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 0.8 + 0.34 * max(len(there), 3)), sharey=True)
    for ax, metric in zip(axes, (METRIC, "PSNR")):
        for place, name in enumerate(there):
            level = measured(runs[name], metric)
            if level.value is None:
                continue
            colour, marker = (VERMILION, "D") if name in ORACLES else (BLUE, "o")
            ax.errorbar(level.value, place, xerr=level.spread, fmt=marker, color=colour, capsize=3)
        ax.set(xlabel=METRICS[metric].label + (" in dB" if metric == "PSNR" else ""))
    axes[0].set_yticks(range(len(there)), [experiment(name).title for name in there])
    stamp(figure, watermark)
    gains = [text for what, pair in STEPS.items() if (text := _step(runs, what, *pair))]
    missing = [experiment(name).title for name in RUNGS if name not in there]
    caption = (
        "What each piece of knowledge is worth, mean and standard deviation over seeds; diamonds "
        "are "
        "told what nobody knows of a photograph. "
    )
    caption += f"{'; '.join(gains)}." if gains else "Not enough of it has been run to say."
    if missing:
        caption += f" Not run: {', '.join(missing)}."
    alt = f"Two columns of points over {len(there)} experiments. " + (
        "; ".join(gains) or "No difference can be given."
    )
    return CaptionedFigure(
        figure, caption, alt, bool(watermark), [r for n in there for r in runs[n]]
    )


def _step(runs: Mapping[str, Sequence[ResultFile]], what: str, first: str, second: str) -> str:
    parts = []
    for metric, unit, digits in ((METRIC, METRIC, 4), ("PSNR", "dB", 2)):
        values = (measured(runs.get(name, ()), metric).value for name in (first, second))
        high, low = values
        if high is not None and low is not None:
            parts.append(f"{high - low:+.{digits}f} {unit}")
    return f"{what}: {', '.join(parts)}" if parts else ""
