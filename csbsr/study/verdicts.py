"""Verdicts: how a comparison of numbers becomes "holds", "does not hold" or "inconclusive".

A claim is judged through parts. A part names the cells it reads (experiment and metric) and a
margin that is positive when the part is true. On printed numbers the margin's sign decides, and
a tie decides nothing; on results the margin must exceed the noise of training.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from scipy.stats import t as student

Word = Literal["holds", "does not hold", "inconclusive", "not run"]
WORDS: tuple[Word, ...] = ("holds", "does not hold", "inconclusive", "not run")
Need = Literal["all", "any", "most"]
EPSILON = 1e-9
ENOUGH_SEEDS = 3
"""From this many seeds on, the spread is taken from the runs themselves."""


class Verdict(NamedTuple):
    """One of four words, and the numbers that led to it."""

    verdict: Word
    evidence: str


class Cell(NamedTuple):
    """One number of one experiment."""

    experiment: str
    metric: str


class Numbers(Protocol):
    """Where numbers come from: the printed tables or result files."""

    exact: bool
    """Printed numbers carry no noise of training."""
    absent: Word
    """Verdict when a cell is missing."""

    def samples(self, cell: Cell) -> Mapping[int, float]:
        """Return the values of a cell by seed; empty if there is none."""
        ...

    def documented_sd(self, cell: Cell) -> float | None:
        """Return the known spread over seeds of one run, or None if nobody measured it."""
        ...


@dataclass(frozen=True)
class Part:
    """One elementary comparison; `margin` > 0 means true (>= 0 unless `strict`)."""

    cells: tuple[Cell, ...]
    margin: Callable[[Sequence[float]], float]
    show: Callable[[Sequence[float]], str]
    strict: bool = True


def judge(part: Part, numbers: Numbers) -> Verdict:
    """Return the verdict on one part."""
    samples = [numbers.samples(cell) for cell in part.cells]
    for cell, values in zip(part.cells, samples):
        if not values:
            return Verdict(numbers.absent, f"no {cell.metric} of {cell.experiment}")
    means = [float(np.mean(list(values.values()))) for values in samples]
    margin, text = part.margin(means), part.show(means)
    if numbers.exact:
        return Verdict(_sign(margin, 0.0, part.strict), text)
    band = noise_band(part, samples, numbers)
    seeds = min(len(values) for values in samples)
    runs = "one seed" if seeds == 1 else f"{seeds} seeds"
    if band is None:
        return Verdict("inconclusive", f"{text}; {runs}, spread over seeds not known")
    return Verdict(_sign(margin, band, part.strict), f"{text}; {runs}, noise +-{band:.2g}")


def _sign(margin: float, band: float, strict: bool) -> Word:
    if abs(margin) <= max(band, EPSILON):
        return "holds" if band == 0 and not strict else "inconclusive"
    return "holds" if margin > 0 else "does not hold"


def noise_band(
    part: Part, samples: Sequence[Mapping[int, float]], numbers: Numbers
) -> float | None:
    """Return the half width that a margin must exceed to count, None if it cannot be known.

    With three or more seeds that all cells share, the margins are paired by seed and the band is
    the 95 % confidence interval of their mean. Otherwise it is two standard deviations,
    propagated from each cell: its own spread from three seeds on, the documented one below that.
    """
    shared = set.intersection(*(set(values) for values in samples))
    if len(shared) >= ENOUGH_SEEDS:
        margins = [part.margin([values[seed] for values in samples]) for seed in sorted(shared)]
        n = len(margins)
        return float(student.ppf(0.975, n - 1) * np.std(margins, ddof=1) / math.sqrt(n))
    means = [float(np.mean(list(values.values()))) for values in samples]
    total = 0.0
    for i, (cell, values) in enumerate(zip(part.cells, samples)):
        n = len(values)
        sd = numbers.documented_sd(cell)
        if n >= ENOUGH_SEEDS:
            sd = float(np.std(list(values.values()), ddof=1))
        if sd is None:
            return None
        moved = [m + (sd if j == i else 0.0) for j, m in enumerate(means)]
        back = [m - (sd if j == i else 0.0) for j, m in enumerate(means)]
        total += max(abs(part.margin(v) - part.margin(means)) for v in (moved, back)) ** 2 / n
    return 2 * math.sqrt(total)


def combine(parts: Sequence[Verdict], need: Need = "all") -> Verdict:
    """Return the verdict on a claim that needs all, any or most of its parts.

    A part that fails settles "all" even if others were not run, and one that holds settles "any".
    """
    if not parts:
        raise ValueError("a claim needs at least one part")
    count = {word: sum(p.verdict == word for p in parts) for word in WORDS}
    n = len(parts)
    required = {"all": n, "any": 1, "most": n // 2 + 1}[need]
    open_parts = count["inconclusive"] + count["not run"]
    if count["holds"] >= required:
        word: Word = "holds"
    elif count["holds"] + open_parts < required:
        word = "does not hold"
    else:
        word = "not run" if count["not run"] else "inconclusive"
    if n == 1:
        return Verdict(word, parts[0].evidence)
    decisive = [p.evidence for p in parts if p.verdict == word] or [p.evidence for p in parts]
    shown = "; ".join(decisive[:3]) + (f"; and {len(decisive) - 3} more" if decisive[3:] else "")
    return Verdict(word, f"{count['holds']} of {n} hold. {shown}")


def share(parts: Sequence[Verdict], at_least: float, what: str) -> Verdict:
    """Return the verdict on "true for at least this share of the parts" (a curve's thresholds)."""
    if missing := [p for p in parts if p.verdict == "not run"]:
        return Verdict("not run", missing[0].evidence)
    sure = sum(p.verdict == "holds" for p in parts) / len(parts)
    possible = sure + sum(p.verdict == "inconclusive" for p in parts) / len(parts)
    text = f"{what}: surely at {sure:.0%} of the thresholds, possibly at {possible:.0%}"
    if sure >= at_least:
        return Verdict("holds", text)
    return Verdict("does not hold" if possible < at_least else "inconclusive", text)


def rank(better: Sequence[Verdict], wanted: int, what: str) -> Verdict:
    """Return the verdict on a place; `better` holds, per rival, whether the rival is better."""
    sure = sum(p.verdict == "holds" for p in better)
    possible = sure + sum(p.verdict == "inconclusive" for p in better)
    place = f"place {sure + 1}" if sure == possible else f"place {sure + 1} to {possible + 1}"
    text = f"{what}: {place} of {len(better) + 1}"
    ahead = [p.evidence for p in better if p.verdict in ("holds", "inconclusive")]
    text += f" (not behind: {'; '.join(ahead[:3])})" if ahead else ""
    if sure == possible == wanted - 1:
        return Verdict("holds", text)
    inside = sure <= wanted - 1 <= possible
    return Verdict("inconclusive" if inside else "does not hold", text)
