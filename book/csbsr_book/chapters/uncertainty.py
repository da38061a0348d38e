"""What a difference of two runs is worth: crossed sources of variance, power, the luckiest of n."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot as plt
from scipy import stats

from csbsr.study.contrasts import ALPHA
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.theme import BLUE, GREEN, MUTED, ORANGE, VERMILION

if TYPE_CHECKING:
    from csbsr.study.results import ResultFile

Results = Mapping[str, Sequence["ResultFile"]]
NORMAL = float(stats.norm.ppf(1 - ALPHA / 2))


# -- seeds and images ------------------------------------------------------------------------------


def crossed_figure(
    seed_sd: float = 0.006, image_sd: float = 0.05, images: int = 160, seeds: int = 8
) -> CaptionedFigure:
    """Two methods that do not differ, seen through seeds and test images, which are crossed.

    `seed_sd` is the standard deviation over seeds of the difference of two runs, `image_sd` that
    over images within one seed; both in IoU, drawn here and not measured.
    """
    rng = np.random.default_rng(3)
    gaps = rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, image_sd, (seeds, images))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.3), width_ratios=(1.15, 1))
    means, half = gaps.mean(1), NORMAL * gaps.std(1, ddof=1) / images**0.5
    wrong = np.abs(means) > half
    for number, (value, reach, off) in enumerate(zip(means, half, wrong)):
        look = {"color": VERMILION if off else BLUE, "marker": "s" if off else "o"}
        left.errorbar(value, number, xerr=reach, capsize=3, **look)
    reach = stats.t.ppf(1 - ALPHA / 2, seeds - 1) * stdev(means) / seeds**0.5
    low, high = means.mean() - reach, means.mean() + reach
    left.errorbar(means.mean(), seeds + 0.4, xerr=reach, capsize=3, color="black", marker="D")
    left.axvline(0, color=MUTED, linewidth=1)
    names = [*(f"seed {n}" for n in range(seeds)), "all seeds"]
    left.set_yticks([*range(seeds), seeds + 0.4], names)
    left.invert_yaxis()
    left.set(xlabel="difference in IoU; the true one is 0", title="one study")
    sizes = np.geomspace(20, 5000, 60)
    for spread, colour, line in (
        (0.0, GREEN, ":"),
        (seed_sd / 2, ORANGE, "--"),
        (seed_sd, BLUE, "-"),
    ):
        rates = false_alarms(spread, image_sd, sizes)
        right.plot(sizes, 100 * rates, line, color=colour, label=f"seeds vary by {spread:g}")
    right.axhline(100 * ALPHA, color=MUTED, linewidth=1)
    right.set(xscale="log", xlabel="test images", ylabel="false verdicts in %", ylim=(0, 100))
    right.set_title("one seed, interval over images")
    right.legend()
    at_paper = 100 * float(false_alarms(seed_sd, image_sd, np.array([1695.0]))[0])
    caption = (
        "Drawn, not measured: two methods that do not differ. Left: each seed's difference with "
        "its "
        f"95 % interval over {images} test images; {wrong.sum()} of {seeds} exclude the truth "
        "(squares). "
        f"The interval over seeds {'does not' if low < 0 < high else 'does as well'} ({low:+.4f} "
        "to "
        f"{high:+.4f}). Right: how often one seed "
        "gives a false verdict; with the paper's 1,695 test images and seeds that vary by "
        f"{seed_sd:g}, "
        f"in {at_paper:.0f} % of the cases."
    )
    alt = (
        f"Left: {seeds} horizontal intervals, {wrong.sum()} of which do not touch the line at "
        "zero, "
        "and below them a wider one that does. Right: three curves over the number of test images; "
        "the lowest stays at 5 %, the others rise, the highest to "
        f"{100 * false_alarms(seed_sd, image_sd, sizes[-1:])[0]:.0f} % at {sizes[-1]:,.0f} images."
    )
    return CaptionedFigure(figure, caption, alt)


def false_alarms(seed_sd: float, image_sd: float, images: np.ndarray) -> np.ndarray:
    """How often a 95 % interval over images of one seed excludes 0 where the truth is 0.

    More images narrow the interval and leave the luck of the seed as it is.
    """
    return 2 * stats.norm.sf(NORMAL / np.sqrt(1 + images * (seed_sd / image_sd) ** 2))


# -- power -----------------------------------------------------------------------------------------


def power(difference: float, sd: float, seeds: int, *, paired: bool) -> float:
    """Probability that a t test at 5 % sees a true difference of two methods, both signs counted.

    `sd` is that of one run where runs are not paired, of the differences where they are.
    """
    if seeds < 2:
        return 0.0
    df = seeds - 1 if paired else 2 * seeds - 2
    shift = difference / (sd / seeds**0.5 if paired else sd * (2 / seeds) ** 0.5)
    limit = stats.t.ppf(1 - ALPHA / 2, df)
    if abs(shift) > limit + 8:  # beyond what the noncentral t is computed for
        return 1.0
    return float(stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift))


def seeds_needed(difference: float, sd: float, wanted: float = 0.8, *, paired: bool) -> int:
    """The fewest seeds, of each method, that see a true difference with the wanted power."""
    return next(n for n in range(2, 1000) if power(difference, sd, n, paired=paired) >= wanted)


def power_figure(difference: float = 0.012, sd: float = 0.009) -> CaptionedFigure:
    """Power over the number of seeds: runs that are not paired, and pairs of growing likeness."""
    seeds = range(2, 21)
    figure, axes = plt.subplots(figsize=(7.2, 3.3))
    cases = (
        (f"not paired, one run varies by {sd:g}", sd, False, BLUE, "o", "-"),
        (f"paired, differences vary by {sd:g}", sd, True, ORANGE, "s", "--"),
        (f"paired, differences vary by {sd / 2:g}", sd / 2, True, GREEN, "^", "-."),
    )
    found = []
    for label, spread, paired, colour, marker, line in cases:
        values = [100 * power(difference, spread, n, paired=paired) for n in seeds]
        axes.plot(seeds, values, line, color=colour, marker=marker, markersize=4, label=label)
        found.append(f"{label}: {seeds_needed(difference, spread, paired=paired)}")
    axes.axhline(80, color=MUTED, linewidth=1)
    axes.set(xlabel="seeds of each method", ylabel="power in %", ylim=(0, 102), xticks=seeds)
    axes.legend(loc="lower right")
    five = 100 * power(difference, sd, 5, paired=False)
    caption = (
        f"How often a true difference of {difference:g} is seen at the 5 % level. Seeds for 80 %: "
        f"{'; '.join(found)}. Five unpaired seeds see it in {five:.0f} % of all studies."
    )
    alt = (
        "Three rising curves of power over 2 to 20 seeds and a line at 80 %. Seeds at which they "
        f"cross it: {'; '.join(found)}."
    )
    return CaptionedFigure(figure, caption, alt)


# -- the luckiest of n -----------------------------------------------------------------------------


def expected_maximum(n: int) -> float:
    """Expected maximum of n independent standard normal numbers."""

    x = np.linspace(-8, 8, 4001)
    density = n * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1)
    return float(np.sum(x * density) * (x[1] - x[0]))


def luckiest_figure(results: Results, candidates: int) -> CaptionedFigure:
    """How far the best of n equal settings stands above their mean, in spreads and in IoU_max."""
    counts = range(1, 22)
    lift = expected_maximum(candidates)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    left.plot(counts, [expected_maximum(n) for n in counts], color=BLUE, marker="o", markersize=3)
    left.plot([candidates], [lift], "D", color=VERMILION)
    left.set(xlabel="settings tried", ylabel="lift of the best, in spreads")
    spreads = np.linspace(0, 0.02, 50)
    right.plot(spreads, lift * spreads, color=BLUE)
    right.set(
        xlabel="spread of one run over seeds, in IoU_max", ylabel="lift of the best, in IoU_max"
    )
    right.set_xticks([0, 0.005, 0.01, 0.015, 0.02])
    left.set_xticks([1, 7, 14, 21])
    known = [r for r in results.values() if len({x.metrics["IoU_max"] for x in r}) > 1]
    said = "None of our experiments has two seeds yet."
    if known:
        variance = mean(stdev(x.metrics["IoU_max"] for x in runs) ** 2 for runs in known)
        own = variance**0.5
        right.plot([own], [lift * own], "D", color=VERMILION)
        said = f"Our runs vary by {own:.4f}: a lift of {lift * own:.4f} (square on its corner)."
    caption = (
        f"If all settings were equal, the best of {candidates} would be expected {lift:.2f} "
        "spreads "
        f"above their mean. {said}"
    )
    alt = (
        "Left: a curve that rises quickly from 0 for one setting and then slowly to "
        f"{expected_maximum(counts[-1]):.1f} for {counts[-1]}; marked at {candidates}: {lift:.2f}. "
        "Right: a straight line through 0 that turns a spread in IoU_max into a lift."
    )
    return CaptionedFigure(figure, caption, alt)
