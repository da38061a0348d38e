"""Contrasts: is one experiment better than another, by how much, and does it matter?

A contrast is the mean difference of two experiments in one metric over the seeds that *both* were
trained with: a seed decides the batches, so the two runs of one seed share much of their luck.
What is said about it is read from one t interval, which lies somewhere on this line:

    worse by what matters | -smallest .. too small to matter .. +smallest | better by what matters

Wholly in the right region: *holds*. Wholly in the left one: *does not hold*. Wholly in the middle
one (two one-sided tests, TOST): *too small to matter*. Across a border: *undecided*, whatever the
estimate. Each word is false only if the interval misses the true difference, so with one contrast
a false word comes at most with probability 5 %, 2.5 % for "holds" wherever the true difference is
not above the smallest effect of interest; a small true gain is never confirmed by being positive.

A statement about several contrasts ("better than every rival", "at 80 of 99 thresholds") never
folds them into a maximum, whose distribution is no t: it holds when enough single contrasts do
(intersection-union for all of them, partial conjunction in general), with valid p-values under any
dependence. Several statements are corrected together by Holm's procedure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

Word = Literal["holds", "does not hold", "too small to matter", "undecided", "not run"]
WORDS: tuple[Word, ...] = ("holds", "does not hold", "too small to matter", "undecided", "not run")
ALPHA = 0.05
"""Probability of any false word in one family of statements."""
OWN_SEEDS = 5
"""From this many common seeds on, the spread is that of the contrast's own differences."""

Values = Mapping[str, Mapping[int, float]]
"""One metric: experiment -> seed -> value."""


class Verdict(NamedTuple):
    """One of five words, and the numbers that led to it."""

    verdict: Word
    evidence: str


@dataclass(frozen=True)
class Spread:
    """Standard deviation of one paired difference over seeds, and how well it is known."""

    sd: float
    df: int
    source: str
    """"own", or "pooled over N experiments"."""


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of experiments, its mean over common seeds, and its spread if known."""

    seeds: tuple[int, ...]
    estimate: float
    spread: Spread | None

    @property
    def standard_error(self) -> float:
        """Standard deviation of the estimate; infinite without a spread."""
        return self.spread.sd / math.sqrt(len(self.seeds)) if self.spread else math.inf

    def interval(self, level: float = 1 - ALPHA) -> tuple[float, float]:
        """Two-sided t interval of the true value; the whole line without a spread."""
        if self.spread is None:
            return -math.inf, math.inf
        half = float(stdtrit(self.spread.df, (1 + level) / 2)) * self.standard_error
        return self.estimate - half, self.estimate + half

    def p_above(self, bound: float) -> float:
        """One-sided p-value against "the true value is at most `bound`"; 1 without a spread."""
        if self.spread is None:
            return 1.0
        distance = self.estimate - bound
        if self.standard_error == 0:  # the same number in every run, as of a shared frozen S
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.spread.df, -distance / self.standard_error))

    def p_below(self, bound: float) -> float:
        """One-sided p-value against "the true value is at least `bound`"; 1 without a spread."""
        if self.spread is not None and self.standard_error == 0:
            return 0.0 if self.estimate < bound else 1.0
        return 1.0 if self.spread is None else 1 - self.p_above(bound)


def pooled_spread(values: Values) -> Spread | None:
    """Return the spread of a paired difference pooled over all experiments of one metric.

    Seeds are blocks: value = experiment + seed + rest. The variance of the rest comes from least
    squares with its residual degrees of freedom, (E - 1)(S - 1) for E experiments that all have S
    seeds, and a paired difference varies twice as much. Shared runs, counted under several names
    (the PSNR of one frozen S), enter once, and what no seed changes (a threshold without training)
    not at all. It takes all experiments to vary alike: where two arms
    vary twice as much as the rest, three seeds give a false word in one of eight cases rather than
    one of twenty, a single seed in three of ten. Primary contrasts have seeds of their own to do
    without it. None without two experiments that share two seeds.
    """
    distinct = dict.fromkeys(tuple(sorted(runs.items())) for runs in values.values())
    repeated = [runs for runs in distinct if len({value for _, value in runs}) > 1]
    if len(repeated) < 2:
        return None
    y = np.array([value for runs in repeated for _, value in runs])
    row = np.repeat(np.arange(len(repeated)), [len(runs) for runs in repeated])
    seeds, column = np.unique([s for runs in repeated for s, _ in runs], return_inverse=True)
    design = np.zeros((len(y), len(repeated) + len(seeds)))
    design[np.arange(len(y)), row] = 1
    design[np.arange(len(y)), len(repeated) + column] = 1
    coefficients, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    df = len(y) - int(rank)
    if df < 1:
        return None
    variance = float(((y - design @ coefficients) ** 2).sum()) / df
    return Spread(math.sqrt(2 * variance), df, f"pooled over {len(repeated)} experiments")


def contrast(
    values: Values, weights: Mapping[str, float], pooled: Spread | None = None
) -> Contrast | None:
    """Return the weighted sum of experiments over the seeds that all of them have.

    {"a": 1, "b": -1} is the difference a - b, {"a": 1} a level, {"a": 1, "b": -0.9} asks whether a
    is 90 % of b. From `OWN_SEEDS` seeds on the spread is the sum's own; below, that of differences
    is `pooled`, or its own where that is larger (a contrast is not surer than its runs look). None
    without a common seed.
    """
    seeds = sorted(set.intersection(*(set(values.get(name, ())) for name in weights)))
    if not seeds:
        return None
    sums = [sum(w * values[name][seed] for name, w in weights.items()) for seed in seeds]
    n = len(seeds)
    own = Spread(float(np.std(sums, ddof=1)), n - 1, "own") if n > 1 else None
    spread = own
    difference = sorted(weights.values()) == [-1, 1]
    if n < OWN_SEEDS and difference and pooled and (own is None or pooled.df > own.df):
        larger = own is not None and own.sd > pooled.sd
        source = f"own, larger than that {pooled.source}"
        spread = Spread(own.sd, pooled.df, source) if larger else pooled
    return Contrast(tuple(seeds), math.fsum(sums) / n, spread)


class PValues(NamedTuple):
    """One-sided p-values of a statement: each is small when its word has been shown."""

    holds: float
    fails: float
    missed: float
    """Shown not to hold, be it reversed or too small to matter; never above `fails`."""


TRUE, FALSE, OPEN = PValues(0, 1, 1), PValues(1, 0, 0), PValues(1, 1, 1)
"""What exact numbers say of a statement."""


def better(found: Contrast, smallest: float) -> PValues:
    """P-values of "above zero by more than the smallest effect of interest"."""
    fails = found.p_below(-smallest)
    small = max(found.p_below(smallest), found.p_above(-smallest))  # TOST
    return PValues(found.p_above(smallest), fails, min(fails, small))


def within(found: Contrast, low: float = -math.inf, high: float = math.inf) -> PValues:
    """P-values of "inside [low, high]": equivalence where both bounds are finite."""
    sides = sum(map(math.isfinite, (low, high)))
    fails = min(1.0, sides * min(found.p_below(low), found.p_above(high)))
    return PValues(max(found.p_above(low), found.p_below(high)), fails, fails)


def _partial_conjunction(needed: int, p: Sequence[float]) -> float:
    """P-value of "at least `needed` of these are shown", valid under any dependence.

    Bonferroni form of Benjamini and Heller (2008): (n - u + 1) p_(u). For all of them the largest
    p-value (intersection-union), for one of them Bonferroni's.
    """
    if needed <= 0:
        return 0.0
    if needed > len(p):
        return 1.0
    return min(1.0, (len(p) - needed + 1) * sorted(p)[needed - 1])


@dataclass(frozen=True)
class Judgement:
    """P-values of one statement, the numbers in words, and whether runs are missing for it."""

    p: PValues
    evidence: str
    missing: bool = False

    def word(self, level: float = ALPHA / 2) -> Word:
        """The word at a one-sided level."""
        if self.p.holds <= level:
            return "holds"
        if self.p.fails <= level:
            return "does not hold"
        if self.p.missed <= level:
            return "too small to matter"
        return "not run" if self.missing else "undecided"


def at_least(needed: int, parts: Sequence[Judgement], evidence: str = "") -> Judgement:
    """Judge "at least `needed` of these statements hold"; ValueError without a statement.

    A missing part shows nothing, but those that were run may settle the whole.
    """
    if not parts:
        raise ValueError("a statement needs at least one part")
    n = len(parts)
    columns = list(zip(*(part.p for part in parts)))
    holds = _partial_conjunction(needed, columns[0])
    fails, missed = (_partial_conjunction(n - needed + 1, column) for column in columns[1:])
    whole = Judgement(PValues(holds, fails, missed), "", any(part.missing for part in parts))
    return Judgement(whole.p, evidence or _evidence(whole, parts), whole.missing)


def _evidence(whole: Judgement, parts: Sequence[Judgement]) -> str:
    if len(parts) == 1:
        return parts[0].evidence
    count = sum(part.word() == "holds" for part in parts)
    decisive = [part.evidence for part in parts if part.word() == whole.word()]
    decisive = decisive or [part.evidence for part in parts if part.word() != "holds"]
    more = f"; and {len(decisive) - 3} more" if len(decisive) > 3 else ""
    shown = decisive[:3]
    return f"{count} of {len(parts)} hold. {'; '.join(shown)}{more}"


def place(rivals: Sequence[Judgement], wanted: int, name: str) -> Judgement:
    """Judge "`name` has this place"; each rival is the statement "the rival is better".

    At least wanted - 1 rivals are shown to be better, and all others to be worse.
    """
    words = [rival.word() for rival in rivals]
    sure, possible = words.count("holds"), len(words) - words.count("does not hold")
    text = f"place {sure + 1}" if sure == possible else f"place {sure + 1} to {possible + 1}"
    text = f"{name}: {text} of {len(rivals) + 1}"
    ahead = [r.evidence for r, word in zip(rivals, words) if word != "does not hold"]
    text += f" (not behind: {'; '.join(ahead[:3])})" if ahead else ""
    worse = [Judgement(_reverse(r.p), r.evidence, r.missing) for r in rivals]
    behind = at_least(len(rivals) - wanted + 1, worse)
    if wanted == 1:
        return Judgement(behind.p, text, behind.missing)
    return at_least(2, [at_least(wanted - 1, rivals), behind], text)


def _reverse(p: PValues) -> PValues:
    """P-values of "worse by what matters" from those of "better by what matters"."""
    small = p.missed if p.missed < p.fails else 1.0
    return PValues(p.fails, p.holds, min(p.holds, small))


def settle(family: Sequence[Judgement], whole: bool = False) -> list[Verdict]:
    """Return the verdicts on a family of statements, Holm's correction over all of them.

    Each statement is two one-sided hypotheses, that it holds and that it misses, so that a false
    direction counts as an error too; the smallest p-value of 2 m must be below ALPHA / (2 m), and
    so on. For one statement these are the ends of its 95 % interval. What was missed is "does not
    hold" rather than "too small to matter" where the reverse is shown at the same level.
    Statements without runs count in m only if `whole` (a family fixed in advance).
    """
    tested = [i for i, j in enumerate(family) if whole or not j.missing or min(j.p) < 1]
    ordered = sorted((p, i) for i in tested for p in (family[i].p.holds, family[i].p.missed))
    levels = dict.fromkeys(range(len(family)), 0.0)
    level = 0.0
    for step, (p, i) in enumerate(ordered):
        level = ALPHA / (len(ordered) - step)
        if p > level:
            break
        levels[i] = level
    remark = f" (Holm over {len(tested)} statements)" if len(tested) > 1 else ""
    return [
        Verdict(judgement.word(levels[i]), judgement.evidence + (remark if i in tested else ""))
        for i, judgement in enumerate(family)
    ]
