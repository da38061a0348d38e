"""The machine-checkable form of a claim, and its evaluation against a source of numbers."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, Literal, Self

from csbsr import toml
from csbsr.study.freshness import find_fresh
from csbsr.study.verdicts import (
    Cell,
    Need,
    Numbers,
    Part,
    Verdict,
    Word,
    combine,
    judge,
    rank,
    share,
)
from csbsr_book.paper.printed import METRICS, Table, cells, data_file

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
CURVES: Mapping[str, tuple[str, str]] = {
    "IoU": ("IoU_max", "AIU"),
    "HD95": ("HD95_min", "AHD95"),
}
"""Curve over thresholds -> metric that gives its direction and spread, and its average."""
DERIVED: Mapping[str, tuple[str, str]] = {
    "IoU_stability": ("AIU", "IoU_max"),
    "HD95_stability": ("HD95_min", "AHD95"),
}
"""Average over thresholds against the best threshold, as a quotient; 1 = a flat curve."""
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


def gain(metric: str, value: float, over: float) -> float:
    """Return how much better `value` is than `over`, for plain, derived and curve metrics."""
    base = metric.split("@")[0]
    if base in DERIVED:
        return value - over
    return METRICS[CURVES[base][0] if base in CURVES else base].gain(value, over)


def text(metric: str, value: float) -> str:
    """Return a value with the digits of its metric."""
    base = metric.split("@")[0]
    if base in DERIVED:
        return f"{value:.3f}"
    return METRICS[CURVES[base][0] if base in CURVES else base].text(value)


def better(left: str, right: str, metric: str, by: float = 0.0) -> Part:
    """Return the part "left is better than right in this metric by more than `by`"."""

    def show(v: Sequence[float]) -> str:
        return f"{metric}: {left} {text(metric, v[0])}, {right} {text(metric, v[1])}"

    return Part(
        (Cell(left, metric), Cell(right, metric)),
        lambda v: gain(metric, v[0], v[1]) - by,
        show,
        strict=by == 0,
    )


def within(check: Check, value: float) -> float:
    """Return the distance of a value to the nearest bound, negative outside."""
    margins = []
    if check.target is not None:
        margins.append(check.tolerance - abs(value - check.target))
    if check.at_least is not None:
        margins.append(value - check.at_least)
    if check.at_most is not None:
        margins.append(check.at_most - value)
    return round(min(margins), 9)


def bounds(check: Check) -> str:
    """Return the bounds of a check in words."""
    words = []
    if check.target is not None:
        words.append(f"{check.target:g} +- {check.tolerance:g}")
    if check.at_least is not None:
        words.append(f"at least {check.at_least:g}")
    if check.at_most is not None:
        words.append(f"at most {check.at_most:g}")
    return " and ".join(words)


def pairs(check: Check) -> Iterator[tuple[str, str, str]]:
    """Yield (left, right, metric) of every comparison in a check."""
    sides = zip(check.left, check.right) if check.zip else product(check.left, check.right)
    for (left, right), metric in product(list(sides), check.metrics):
        yield left, right, metric


def _bounded(check: Check) -> list[Part]:
    if check.type in ("ratio", "gain"):
        sign = "/" if check.type == "ratio" else "over"
        return [
            _bounded_part(
                check,
                (Cell(left, metric), Cell(right, metric)),
                _quotient if check.type == "ratio" else partial(_gain_of, metric),
                f"{metric}: {left} {sign} {right}",
            )
            for left, right, metric in pairs(check)
        ]
    if check.type == "level":
        return [
            _bounded_part(check, (Cell(e, metric),), _first, f"{metric}: {e}")
            for e, metric in product(check.experiments, check.metrics)
        ]
    return [
        _bounded_part(
            check,
            tuple(Cell(e, metric) for e in check.experiments),
            _spread,
            f"{metric}: spread over {len(check.experiments)} experiments",
        )
        for metric in check.metrics
    ]


def _first(values: Sequence[float]) -> float:
    return values[0]


def _quotient(values: Sequence[float]) -> float:
    return values[0] / values[1]


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _gain_of(metric: str, values: Sequence[float]) -> float:
    return gain(metric, values[0], values[1])


def _bounded_part(
    check: Check,
    cells: tuple[Cell, ...],
    value: Callable[[Sequence[float]], float],
    name: str,
) -> Part:
    return Part(
        cells,
        lambda v: within(check, value(v)),
        lambda v: f"{name} = {value(v):.5g} ({bounds(check)})",
        strict=False,
    )


def _curve(check: Check, numbers: Numbers) -> Verdict:
    verdicts = []
    for left, right, curve in pairs(check):
        if numbers.exact:
            average = CURVES[curve][1]
            means = judge(better(left, right, average), numbers)
            note = f"the curve is printed as a picture only; averages: {means.evidence}"
            verdicts.append(Verdict("inconclusive", note))
            continue
        points = [better(left, right, f"{curve}@{i}") for i in range(THRESHOLDS)]
        parts = [judge(point, numbers) for point in points]
        what = f"{curve} curve of {left} better than of {right}"
        verdicts.append(share(parts, check.at_least or 1.0, what))
    return combine(verdicts, check.need)


def evaluate(check: Check, numbers: Numbers) -> Verdict:
    """Return the verdict on a check that reads experiments."""
    if check.type == "curve":
        return _curve(check, numbers)
    if check.type == "rank":
        first, *others = check.experiments
        verdicts = []
        for metric in check.metrics:
            cells = [Cell(e, metric) for e in check.experiments]
            if missing := [cell.experiment for cell in cells if not numbers.samples(cell)]:
                verdicts.append(Verdict(numbers.absent, f"no {metric} of {', '.join(missing)}"))
                continue
            rivals = [judge(better(other, first, metric), numbers) for other in others]
            verdicts.append(rank(rivals, check.rank, f"{first} in {metric}"))
        return combine(verdicts, check.need)
    if check.type == "better":
        parts = [better(*pair, check.by) for pair in pairs(check)]
    elif check.type == "monotone":
        steps = list(zip(check.experiments, check.experiments[1:]))
        parts = [better(a, b, metric) for metric in check.metrics for a, b in steps]
    else:
        parts = _bounded(check)
    return combine([judge(part, numbers) for part in parts], check.need)


PROFILES = ("paper", "quick")
"""Profiles whose runs are results, the most complete first; `smoke` is not among them."""


@dataclass(frozen=True)
class PaperNumbers:
    """The printed numbers, by cell."""

    printed: Mapping[Cell, float]
    exact: bool = True
    absent: Word = "inconclusive"

    @classmethod
    def of(cls, tables: Mapping[str, Table]) -> Self:
        """Gather the cells of several tables; the same cell must say the same in each."""
        printed: dict[Cell, float] = {}
        for number, experiment, metric, value in cells(tables):
            cell = Cell(experiment, metric)
            if printed.setdefault(cell, value) != value:
                raise ValueError(
                    f"Table {number} prints {metric} of '{experiment}' as {value}, "
                    f"another table as {printed[cell]}"
                )
        return cls(printed)

    def samples(self, cell: Cell) -> Mapping[int, float]:
        """Return the printed value as the only sample."""
        if cell.metric in DERIVED:
            over, under = (self.samples(Cell(cell.experiment, m)) for m in DERIVED[cell.metric])
            return {0: over[0] / under[0]} if over and under else {}
        return {0: self.printed[cell]} if cell in self.printed else {}

    def documented_sd(self, cell: Cell) -> float | None:
        """Return 0: a printed number is taken as it stands."""
        return 0.0


@dataclass(frozen=True)
class ResultNumbers:
    """Runs of one profile and protocol, by experiment."""

    runs: Mapping[str, Sequence[Mapping[str, Any]]]
    sd: Mapping[str, float]
    exact: bool = False
    absent: Word = "not run"

    @classmethod
    def of(
        cls, results: Mapping[str, Sequence[Mapping[str, Any]]], experiments: Sequence[str]
    ) -> Self | str:
        """Choose the profile and protocol that cover most of the experiments.

        Returns a sentence instead when there is no run that counts.
        """
        groups: dict[tuple[int, str], dict[str, list[Mapping[str, Any]]]] = {}
        smoke = 0
        for experiment in experiments:
            for run in results.get(experiment, ()):
                if run["profile"] not in PROFILES:
                    smoke += 1
                    continue
                key = (PROFILES.index(run["profile"]), _protocol(run))
                groups.setdefault(key, {}).setdefault(experiment, []).append(run)
        if not groups:
            return "only smoke runs, which never count" if smoke else "no result of any experiment"
        best = min(groups, key=lambda key: (-len(groups[key]), key))
        return cls(groups[best], seed_spread().sd)

    def samples(self, cell: Cell) -> Mapping[int, float]:
        """Return finite values by seed; a run without this metric gives none."""
        values = {}
        for run in self.runs.get(cell.experiment, ()):
            value = _value(run, cell.metric)
            if value is not None and math.isfinite(value):
                values[int(run["seed"])] = value
        return values

    def documented_sd(self, cell: Cell) -> float | None:
        """Return the documented spread over seeds; for a quotient, propagated from its parts."""
        name, _, _ = cell.metric.partition("@")
        if name in CURVES:
            name = CURVES[name][0]
        if name not in DERIVED:
            return self.sd.get(name)
        relative = 0.0
        for metric in DERIVED[name]:
            sd, values = self.sd.get(metric), self.samples(Cell(cell.experiment, metric))
            if sd is None or not values:
                return None
            relative += (sd * len(values) / sum(values.values())) ** 2
        quotient = self.samples(Cell(cell.experiment, cell.metric))
        return math.sqrt(relative) * sum(quotient.values()) / max(len(quotient), 1)


def _value(run: Mapping[str, Any], metric: str) -> float | None:
    if metric in DERIVED:
        over, under = (_value(run, m) for m in DERIVED[metric])
        return None if over is None or not under else over / under
    name, at, index = metric.partition("@")
    if not at:
        return run["metrics"].get(metric)
    curve = run["curves"].get(name)
    return curve[int(index)] if curve and int(index) < len(curve) else None


def _protocol(run: Mapping[str, Any]) -> str:
    protocol = run.get("protocol", "")
    return protocol if isinstance(protocol, str) else json.dumps(protocol, sort_keys=True)


@dataclass(frozen=True)
class SeedSpread:
    """Documented standard deviation of one run over seeds, by metric, and where it was measured."""

    source: str
    sd: Mapping[str, float]


@cache
def seed_spread() -> SeedSpread:
    """Return the documented spread of one run."""
    return toml.read(SeedSpread, data_file("seed-spread.toml"))


def collect_results(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the runs of all profiles that count below a results folder, by experiment."""
    found: dict[str, list[dict[str, Any]]] = {}
    for profile in PROFILES:
        for experiment, runs in find_fresh(folder, profile).fresh.items():
            found.setdefault(experiment, []).extend(run.content for run in runs)
    return found
