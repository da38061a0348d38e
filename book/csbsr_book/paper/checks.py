"""The machine-checkable form of a claim, and its evaluation against a source of numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Literal, Protocol, Self

from csbsr.study.contrasts import (
    FALSE,
    OPEN,
    TRUE,
    Judgement,
    Spread,
    Values,
    at_least,
    contrast,
    place,
    pooled_spread,
)
from csbsr.study.contrasts import better as shown_better
from csbsr.study.contrasts import within as shown_within
from csbsr.study.freshness import find_fresh
from csbsr.study.registered import (
    CURVE_STEPS,
    QUOTIENTS,
    Results,
    described,
    gain,
    registration,
    sign,
    study_of,
    values_by_seed,
)
from csbsr.study.results import ResultFile
from csbsr_book.paper.printed import METRICS, Table, cells

CheckType = Literal[
    "better",
    "rank",
    "ratio",
    "gain",
    "level",
    "spread",
    "monotone",
    "curve",
    "sum",
    "equal",
    "example",
]
Need = Literal["all", "any", "most"]
AVERAGES: Mapping[str, str] = {"IoU": "AIU", "HD95": "AHD95"}
"""Curve over thresholds -> the metric that averages it."""
THRESHOLDS = 99


@dataclass(frozen=True)
class Check:
    """What has to be compared; which fields matter depends on `type`.

    better: every left is better than every right (`zip`: one to one) in every metric, by `by`.
    rank: `experiments[0]` has place `rank` among `experiments`. monotone: each experiment is worse
    than the one before. spread: max - min. ratio, gain: left over right. level: the
    value. These four are bounded by `target` +- `tolerance`, `at_least` and `at_most`. curve: left
    better than right at `at_least` of the thresholds. sum, equal: parameters of the paper. example:
    a function of `examples`.
    """

    type: CheckType
    metrics: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    example: str = ""
    need: Need = "all"
    zip: bool = False
    by: float = 0.0
    rank: int = 1
    target: float | None = None
    tolerance: float = 0.0
    at_least: float | None = None
    at_most: float | None = None

    def named_experiments(self) -> tuple[str, ...]:
        """Return every experiment that the check reads, each once."""
        return tuple(dict.fromkeys((*self.left, *self.right, *self.experiments)))


@dataclass(frozen=True)
class Part:
    """One elementary comparison: a weighted sum of cells of one metric, and where it must lie.

    Without bounds the sum must be positive: on printed numbers by any amount, on results by the
    metric's smallest effect of interest.
    """

    metric: str
    weights: Mapping[str, float]
    """Experiment -> weight; `gain` says which sign is better."""
    low: float = -math.inf
    high: float = math.inf
    wanted: str = ""
    """The bounds in words."""

    @property
    def is_bounded(self) -> bool:
        """Whether the claim itself says from where on it is true."""
        return math.isfinite(self.low) or math.isfinite(self.high)


class Numbers(Protocol):
    """Where numbers come from: the printed tables or result files."""

    exact: bool
    """Printed numbers carry no noise of training."""

    def judge(self, part: Part) -> Judgement:
        """Return whether a part is true of these numbers."""
        ...


def text(metric: str, value: float) -> str:
    """Return a value with the digits of its metric."""
    key = CURVE_STEPS.get(metric.partition("@")[0], metric)
    return METRICS[key].text(value) if key in METRICS else f"{value:.3f}"


def interval(check: Check) -> tuple[float, float]:
    """Return the bounds that `target`, `tolerance`, `at_least` and `at_most` leave."""
    low = -math.inf if check.at_least is None else check.at_least
    high = math.inf if check.at_most is None else check.at_most
    if check.target is not None:
        low, high = (
            max(low, check.target - check.tolerance),
            min(high, check.target + check.tolerance),
        )
    return low, high


def bounds(check: Check) -> str:
    """Return the bounds of a check in words."""
    words = []
    if check.target is not None:
        words.append(f"{check.target:g} +- {check.tolerance:g}")
    if check.at_least is not None:
        words.append(f"at least {check.at_least:g}")
    if check.at_most is not None:
        words.append(f"at most {check.at_most:g}")
    return f"{check.type} {' and '.join(words)}"


def pairs(check: Check) -> Iterator[tuple[str, str, str]]:
    """Yield (left, right, metric) of every comparison in a check."""
    sides = zip(check.left, check.right) if check.zip else product(check.left, check.right)
    for (left, right), metric in product(list(sides), check.metrics):
        yield left, right, metric


def better(left: str, right: str, metric: str, by: float = 0.0) -> Part:
    """Return the part "left is better than right in this metric", by at least `by` if given."""
    weights = gain(left, right, metric)
    return Part(metric, weights, by, wanted=f"by {by:g}") if by else Part(metric, weights)


def _parts(check: Check) -> list[Part]:
    """The elementary comparisons of a check; a quotient becomes a difference for each bound.

    The spread of several experiments is within a bound when every difference of two is.
    """
    low, high = interval(check)
    words = bounds(check)
    match check.type:
        case "better":
            return [better(*pair, check.by) for pair in pairs(check)]
        case "monotone":
            steps = list(zip(check.experiments, check.experiments[1:]))
            return [better(a, b, metric) for metric in check.metrics for a, b in steps]
        case "gain":
            return [Part(m, gain(a, b, m), low, high, words) for a, b, m in pairs(check)]
        case "ratio":
            return [
                Part(m, {a: side, b: -side * bound}, low=0.0, wanted=words)
                for a, b, m in pairs(check)
                for bound, side in ((low, 1), (high, -1))
                if math.isfinite(bound)
            ]
        case "level":
            cells = product(check.experiments, check.metrics)
            return [Part(metric, {name: 1}, low, high, words) for name, metric in cells]
        case "spread":
            couples = list(combinations(check.experiments, 2))
            return [
                Part(metric, {a: 1, b: -1}, -high, high, words)
                for metric in check.metrics
                for a, b in couples
            ]
    raise ValueError(f"a check of type '{check.type}' has no parts")


def _curve(check: Check, numbers: Numbers) -> Judgement:
    found = []
    for left, right, curve in pairs(check):
        what = f"{curve} curve of {left} better than of {right}"
        if numbers.exact:
            average = numbers.judge(better(left, right, AVERAGES[curve])).evidence
            note = f"the curve is printed as a picture only; averages: {average}"
            found.append(Judgement(OPEN, note))
            continue
        points = [numbers.judge(better(left, right, f"{curve}@{i}")) for i in range(THRESHOLDS)]
        if points[0].missing:
            found.append(points[0])
            continue
        words = [point.word() for point in points]
        sure, possible = words.count("holds"), words.count("holds") + words.count("undecided")
        evidence = f"{what}: surely at {sure} of {THRESHOLDS} thresholds, possibly at {possible}"
        needed = math.ceil((check.at_least or 1.0) * THRESHOLDS)
        found.append(at_least(needed, points, evidence))
    return _combined(check, found)


def _combined(check: Check, parts: Sequence[Judgement]) -> Judgement:
    needed = {"all": len(parts), "any": 1, "most": len(parts) // 2 + 1}[check.need]
    return at_least(needed, parts)


def evaluate(check: Check, numbers: Numbers) -> Judgement:
    """Return what the numbers say on a check that reads experiments."""
    if check.type == "curve":
        return _curve(check, numbers)
    if check.type == "rank":
        first, *others = check.experiments
        places = []
        for metric in check.metrics:
            rivals = [numbers.judge(better(other, first, metric)) for other in others]
            places.append(place(rivals, check.rank, f"{first} in {metric}"))
        return _combined(check, places)
    return _combined(check, [numbers.judge(part) for part in _parts(check)])


@dataclass(frozen=True)
class PaperNumbers:
    """The printed numbers by experiment and metric, judged exactly as they stand."""

    printed: Mapping[tuple[str, str], float]
    exact: bool = True

    @classmethod
    def of(cls, tables: Mapping[str, Table]) -> Self:
        """Gather the cells of several tables; the same cell must say the same in each."""
        printed: dict[tuple[str, str], float] = {}
        for number, experiment, metric, value in cells(tables):
            cell = experiment, metric
            if printed.setdefault(cell, value) != value:
                raise ValueError(
                    f"Table {number} prints {metric} of '{experiment}' as {value}, "
                    f"another table as {printed[cell]}"
                )
        return cls(printed)

    def value(self, experiment: str, metric: str) -> float | None:
        """Return a printed number, or the quotient of two; None if it is not printed."""
        if metric in QUOTIENTS:
            over, under = (self.value(experiment, part) for part in QUOTIENTS[metric])
            return over / under if over is not None and under else None
        return self.printed.get((experiment, metric))

    def judge(self, part: Part) -> Judgement:
        """Return whether the sum lies where it must; equal numbers decide no ordering."""
        values = {name: self.value(name, part.metric) for name in part.weights}
        if missing := [name for name, value in values.items() if value is None]:
            return Judgement(OPEN, f"no {part.metric} of {', '.join(missing)} is printed")
        total = round(sum(w * values[name] for name, w in part.weights.items()), 9)
        shown = ", ".join(f"{name} {text(part.metric, value)}" for name, value in values.items())
        evidence = f"{part.metric}: {shown}" + (f" ({part.wanted})" if part.wanted else "")
        if part.is_bounded:
            low, high = round(part.low, 9), round(part.high, 9)
            return Judgement(TRUE if low <= total <= high else FALSE, evidence)
        return Judgement(OPEN if total == 0 else TRUE if total > 0 else FALSE, evidence)


PROFILES = ("paper", "quick")
"""Profiles whose runs are results, the most complete first; `smoke` is not among them."""


@dataclass(frozen=True)
class ResultNumbers:
    """Fresh runs of one profile, protocol and data set, judged by contrasts over their seeds."""

    study: tuple[str, str, str]
    runs: Results
    exact: bool = False
    _metrics: dict[str, tuple[Values, Spread | None]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def judge(self, part: Part) -> Judgement:
        """Return the p-values of a part; missing if two of its experiments share no seed."""
        if part.metric not in self._metrics:
            values = values_by_seed(self.runs, part.metric)
            self._metrics[part.metric] = values, pooled_spread(values)
        values, pooled = self._metrics[part.metric]
        names = " and ".join(part.weights)
        if missing := [name for name in part.weights if not values.get(name)]:
            return Judgement(OPEN, f"no {part.metric} of {', '.join(missing)}", missing=True)
        found = contrast(values, part.weights, pooled)
        if found is None:
            return Judgement(OPEN, f"{names} share no seed in {part.metric}", missing=True)
        if part.is_bounded:
            evidence = f"{part.metric}: {names} {described(found)} ({part.wanted})"
            return Judgement(shown_within(found, part.low, part.high), evidence)
        smallest = registration().smallest_effect(part.metric)
        ahead, behind = sorted(part.weights, key=lambda n: -part.weights[n] * sign(part.metric))
        evidence = (
            f"{part.metric}: {ahead} over {behind} {described(found)}; matters from {smallest:g}"
        )
        return Judgement(shown_better(found, smallest), evidence)


def studies(results: Results) -> list[ResultNumbers]:
    """Return the runs that count, apart by profile, protocol and data; the largest profile first.

    Smoke runs never count, and runs of different studies are never mixed.
    """
    groups: dict[tuple[str, str, str], dict[str, list[ResultFile]]] = {}
    for name, runs in results.items():
        for run in runs:
            groups.setdefault(study_of(run), {}).setdefault(name, []).append(run)
    ordered = sorted(
        (k for k in groups if k[0] in PROFILES), key=lambda k: (PROFILES.index(k[0]), k)
    )
    return [ResultNumbers(key, groups[key]) for key in ordered]


def best_study(
    candidates: Sequence[ResultNumbers], experiments: Sequence[str]
) -> ResultNumbers | None:
    """Return the study that has most of these experiments, None if none has any."""
    counts = [sum(name in study.runs for name in experiments) for study in candidates]
    return candidates[counts.index(max(counts))] if any(counts) else None


def collect_results(folder: Path) -> dict[str, list[ResultFile]]:
    """Return the fresh runs of all profiles that count below a results folder, by experiment."""
    found: dict[str, list[ResultFile]] = {}
    for profile in PROFILES:
        for experiment, runs in find_fresh(folder, profile).fresh.items():
            found.setdefault(experiment, []).extend(runs)
    return found
