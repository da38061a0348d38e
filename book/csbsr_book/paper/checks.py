"""The machine-checkable form of a claim, and its evaluation against a source of numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal, Protocol

from csbsr.study.contrasts import OPEN, Judgement, at_least, place
from csbsr.study.registered import CurvePoint, ImageIoU, Measure, gain, scale_of
from csbsr_book.paper.printed import METRICS

CheckType = Literal[
    "better",
    "champion",
    "rank",
    "ratio",
    "gain",
    "level",
    "spread",
    "monotone",
    "curve",
    "images",
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

    better: every left is better than every right (`zip`: one to one) in every metric. champion:
    some left is better than all of right, in every metric. rank: `experiments[0]` has place `rank`
    among `experiments` (`distinct`: equal printed values share one place). monotone: each
    experiment is worse than the one before. spread: max - min. ratio, gain: left over right.
    level: the value. These four are bounded by `target` +- `tolerance`, `at_least` and `at_most`,
    and `better` may ask for a gain `by` some amount. curve: left better than right at the share
    `at_least` of the thresholds. images: left better than right on at least `count` test images.
    sum, equal: parameters of the paper. example: a function of `examples`.
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
    distinct: bool = False
    target: float | None = None
    tolerance: float = 0.0
    at_least: float | None = None
    at_most: float | None = None
    count: int = 1
    printed_only: bool = False
    """About numbers that the paper quotes; runs of another size have nothing to say on them."""

    def named_experiments(self) -> tuple[str, ...]:
        """Return every experiment that the check reads, each once."""
        return tuple(dict.fromkeys((*self.left, *self.right, *self.experiments)))

    @property
    def needs_runs(self) -> bool:
        """Whether results have something to say on it."""
        return bool(self.named_experiments()) and not self.printed_only


@dataclass(frozen=True)
class Condition:
    """One elementary comparison: a weighted sum of one measure, and where it must lie.

    Without bounds the sum must be positive: on printed numbers by any amount, on results by the
    measure's smallest effect of interest.
    """

    measure: Measure
    coefficients: Mapping[str, float]
    """Experiment -> coefficient; `gain` says which sign is better."""
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

    def judge(self, condition: Condition) -> Judgement:
        """Return whether a condition is true of these numbers."""
        ...

    def images(self, experiments: Sequence[str]) -> tuple[str, ...]:
        """Return the test images with cracks that all of these experiments were measured on."""
        ...


def text(measure: Measure, value: float) -> str:
    """Return a value with the digits of its metric."""
    key = scale_of(measure)
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


def better(left: str, right: str, measure: Measure, by: float = 0.0) -> Condition:
    """Return "left is better than right in this measure", by at least `by` if given."""
    coefficients = gain(left, right, measure)
    if by:
        return Condition(measure, coefficients, by, wanted=f"by {by:g}")
    return Condition(measure, coefficients)


def _conditions(check: Check) -> list[Condition]:
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
            return [Condition(m, gain(a, b, m), low, high, words) for a, b, m in pairs(check)]
        case "ratio":
            return [
                Condition(m, {a: side, b: -side * bound}, low=0.0, wanted=words)
                for a, b, m in pairs(check)
                for bound, side in ((low, 1), (high, -1))
                if math.isfinite(bound)
            ]
        case "level":
            cells = product(check.experiments, check.metrics)
            return [Condition(metric, {name: 1}, low, high, words) for name, metric in cells]
        case "spread":
            couples = list(combinations(check.experiments, 2))
            return [
                Condition(metric, {a: 1, b: -1}, -high, high, words)
                for metric in check.metrics
                for a, b in couples
            ]
    raise ValueError(f"a check of type '{check.type}' has no conditions")


def _curve(check: Check, numbers: Numbers) -> Judgement:
    found = []
    for left, right, curve in pairs(check):
        if numbers.exact:
            average = numbers.judge(better(left, right, AVERAGES[curve])).evidence
            note = f"the curve is printed as a picture only; averages: {average}"
            found.append(Judgement(OPEN, note))
            continue
        steps = (better(left, right, CurvePoint(curve, i)) for i in range(THRESHOLDS))
        points = _judged(steps, numbers)
        what = f"{curve} curve of {left} better than of {right}"
        needed = math.ceil((check.at_least or 1.0) * THRESHOLDS)
        found.append(_counted(needed, points, what, "thresholds"))
    return _combined(check, found)


def _images(check: Check, numbers: Numbers) -> Judgement:
    (left,), (right,) = check.left, check.right
    what = f"{left} better than {right}"
    names = numbers.images((left, right))
    if not names:
        why = "the paper prints pictures only" if numbers.exact else f"no images of {left}, {right}"
        return Judgement(OPEN, f"{what}: {why}", missing=not numbers.exact)
    points = _judged((better(left, right, ImageIoU(name)) for name in names), numbers)
    return _counted(check.count, points, what, "images with cracks")


def _judged(conditions: Iterator[Condition], numbers: Numbers) -> list[Judgement]:
    """Judge conditions on the same runs; the first only, if runs are missing for it."""
    first = numbers.judge(next(conditions))
    return [first] if first.missing else [first, *map(numbers.judge, conditions)]


def _counted(needed: int, points: Sequence[Judgement], what: str, unit: str) -> Judgement:
    """Judge "at least `needed` of these points", saying on how many it is sure and possible."""
    if points[0].missing:
        return points[0]
    words = [point.word() for point in points]
    sure, possible = words.count("holds"), words.count("holds") + words.count("undecided")
    evidence = f"{what}: surely at {sure} of {len(points)} {unit}, possibly at {possible}"
    return at_least(needed, points, evidence)


def _champion(check: Check, numbers: Numbers) -> Judgement:
    found = []
    for metric in check.metrics:
        fields = []
        for left in check.left:
            beaten = [numbers.judge(better(left, right, metric)) for right in check.right]
            fields.append(at_least(len(beaten), beaten))
        winners = [name for name, f in zip(check.left, fields) if f.word() == "holds"]
        whole = f"better than all {len(check.right)} others in {metric}: "
        shown = ", ".join(winners) or f"none surely. {fields[0].evidence}"
        found.append(at_least(1, fields, whole + shown))
    return _combined(check, found)


def _combined(check: Check, found: Sequence[Judgement]) -> Judgement:
    needed = {"all": len(found), "any": 1, "most": len(found) // 2 + 1}[check.need]
    return at_least(needed, found)


def _distinct(others: Sequence[str], metric: str, numbers: Numbers) -> list[str]:
    """One experiment of each group that prints the same number."""
    kept: list[str] = []
    for other in others:
        if all(numbers.judge(better(other, one, metric)).p != OPEN for one in kept):
            kept.append(other)
    return kept


def evaluate(check: Check, numbers: Numbers) -> Judgement:
    """Return what the numbers say on a check that reads experiments."""
    match check.type:
        case "curve":
            return _curve(check, numbers)
        case "images":
            return _images(check, numbers)
        case "champion":
            return _champion(check, numbers)
        case "rank":
            places = []
            for metric in check.metrics:
                first, *others = check.experiments
                others = _distinct(others, metric, numbers) if check.distinct else others
                rivals = [numbers.judge(better(other, first, metric)) for other in others]
                places.append(place(rivals, check.rank, f"{first} in {metric}"))
            return _combined(check, places)
    return _combined(check, [numbers.judge(condition) for condition in _conditions(check)])
