"""What our numbers say about a table, in sentences; and how much an oracle could still win."""

from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt

from csbsr.study.contrasts import (
    WORDS,
    Contrast,
    Judgement,
    Word,
    better,
    contrast,
    pooled_spread,
    settle,
)
from csbsr.study.experiments import experiment
from csbsr.study.registered import registration
from csbsr.study.results import ResultFile
from csbsr_book.chapters.tables import Results, measured
from csbsr_book.paper.printed import METRICS, Table, experiments_of, load_table
from csbsr_book.site.display import data_words
from csbsr_book.site.exhibit import CaptionedFigure, merged
from csbsr_book.site.theme import BLUE, VERMILION, stamp

METRIC = "IoU_max"
BAR = "darkness"
"""What every network has to beat: a threshold on how dark a pixel is, without any training."""
WORDED: Mapping[Word, str] = {
    "holds": "Better than what it is compared with, by a difference that matters",
    "too small to matter": "A difference smaller than the smallest that matters",
    "does not hold": "Worse, by a difference that matters",
    "undecided": "Undecided",
}


def findings(number: str, results: Results) -> list[str]:
    """Sentences about one table: what was run, what leads, what each row gains, the trivial bar."""
    names = experiments_of(number)
    known = {name: results[name] for name in names if results.get(name)}
    if not known:
        return [
            f"No row of Table {number} has been run in a profile that counts: nothing to say yet."
        ]
    return [
        _what_was_run(number, known, len(names)),
        *_leader(known, results),
        *_gains(number, list(known), results),
        *_above_the_bar(known, results),
    ]


def _what_was_run(number: str, known: Results, rows: int) -> str:
    files = [result for runs in known.values() for result in runs]
    card = merged(files)
    counts = sorted({len(runs) for runs in known.values()})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        f"{len(known)} of the {rows} rows of Table {number} were run, with {seeds} "
        f"seed{'s' * (counts[-1] > 1)} each: "
        f"profile {card['profile']}, {data_words(card)}."
    )


def _leader(known: Results, results: Results) -> list[str]:
    levels = {n: measured(runs, METRIC).value for n, runs in known.items() if n != "hr-pspnet"}
    order = sorted((n for n in levels if levels[n] is not None), key=levels.get, reverse=True)
    if len(order) < 2:
        return []
    first, second = order[:2]
    found = _contrast(results, first, second)
    word = _words([found])[0] if found else "undecided"
    said = {"holds": "by a difference that matters", "too small to matter": "too little to matter"}
    return [
        f"The highest {METRIC} is that of {experiment(first).title}, {levels[first]:.3f}; next "
        "comes "
        f"{experiment(second).title}, {levels[second]:.3f}: {said.get(word, 'undecided')}."
    ]


def _gains(number: str, names: Sequence[str], results: Results) -> list[str]:
    """One sentence per word, each with the rows it is said of; Holm's correction over the table."""
    table = load_table(number)
    asked = {}
    for name in names:
        baseline = experiment(name).baseline
        if baseline and not table.row(name).reference:
            found = _contrast(results, name, baseline)
            if found:
                asked[name] = found
    words = _words(list(asked.values()))
    sentences = []
    for word in WORDS:
        said = [n for n, w in zip(asked, words) if w == word]
        if said:
            listed = "; ".join(_gain(n, asked[n], table) for n in said)
            sentences.append(f"{WORDED.get(word, word)}: {listed}.")
    return sentences


def _gain(name: str, found: Contrast, table: Table) -> str:
    baseline = experiment(name).baseline
    low, high = found.interval()
    interval = f" [{low:+.4f}, {high:+.4f}]" if found.spread else ", one run"
    values = {row.experiment: row.values.get(METRIC) for row in table.rows}
    known = None not in (values.get(name), values.get(baseline))
    printed = f", paper {values[name] - values[baseline]:+.3f}" if known else ""
    titles = f"{experiment(name).title} against {experiment(baseline).title}"
    return f"{titles} {found.estimate:+.4f}{interval}{printed}"


def _above_the_bar(known: Results, results: Results) -> list[str]:
    bar = measured(results.get(BAR, ()), METRIC).value
    if bar is None:
        return []
    levels = {n: v for n, runs in known.items() if (v := measured(runs, METRIC).value) is not None}
    last = min(levels, key=levels.get)
    return [
        f"A threshold on darkness alone, which learns nothing, reaches {bar:.3f} on these images; "
        f"the lowest row of ours, {experiment(last).title}, is {levels[last] - bar:+.3f} away from "
        "it."
    ]


def _contrast(results: Results, first: str, second: str) -> Contrast | None:
    values = {
        name: {r.seed: v for r in runs if (v := r.metrics.get(METRIC)) is not None}
        for name, runs in results.items()
    }
    return contrast(values, {first: 1, second: -1}, pooled_spread(values))


def _words(found: Sequence[Contrast]) -> list[Word]:
    """What is said of each contrast in the metric, corrected over all of them."""
    smallest = registration().smallest[METRIC].value
    judged = [Judgement(better(one, smallest), "") for one in found]
    return [verdict.verdict for verdict in settle(judged)]


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
