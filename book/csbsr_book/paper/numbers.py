"""Where a check finds numbers: the printed tables, exact; result files, by contrasts over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from csbsr.study.contrasts import (
    FALSE,
    OPEN,
    TRUE,
    Judgement,
    Spread,
    Values,
    contrast,
    pooled_spread,
)
from csbsr.study.contrasts import better as shown_better
from csbsr.study.contrasts import within as shown_within
from csbsr.study.freshness import find_fresh
from csbsr.study.registered import (
    QUOTIENTS,
    ImageIoU,
    Measure,
    Results,
    described,
    registration,
    sign,
    study_of,
    values_by_seed,
)
from csbsr.study.results import ResultFile
from csbsr_book.paper.checks import Condition, text
from csbsr_book.paper.printed import Table, cells

PROFILES = ("paper", "quick")
"""Profiles whose runs are results, the most complete first; `smoke` is not among them."""
OF_THE_DATA = ("crack_share",)
"""Measures that no model and no seed changes."""


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

    def value(self, experiment: str, measure: Measure) -> float | None:
        """Return a printed number, or the quotient of two; None if it is not printed."""
        if measure in QUOTIENTS:
            over, under = (self.value(experiment, part) for part in QUOTIENTS[measure])
            return over / under if over is not None and under else None
        return self.printed.get((experiment, measure))

    def judge(self, condition: Condition) -> Judgement:
        """Return whether the sum lies where it must; equal numbers decide no ordering."""
        measure = condition.measure
        values = {name: self.value(name, measure) for name in condition.coefficients}
        if missing := [name for name, value in values.items() if value is None]:
            return Judgement(OPEN, f"no {measure} of {', '.join(missing)} is printed")
        total = round(sum(c * values[name] for name, c in condition.coefficients.items()), 9)
        shown = ", ".join(f"{name} {text(measure, value)}" for name, value in values.items())
        evidence = f"{measure}: {shown}" + (f" ({condition.wanted})" if condition.wanted else "")
        if condition.is_bounded:
            low, high = round(condition.low, 9), round(condition.high, 9)
            return Judgement(TRUE if low <= total <= high else FALSE, evidence)
        return Judgement(OPEN if total == 0 else TRUE if total > 0 else FALSE, evidence)

    def images(self, experiments: Sequence[str]) -> tuple[str, ...]:
        """None: the paper prints no numbers of single images."""
        return ()


@dataclass(frozen=True)
class ResultNumbers:
    """Fresh runs of one profile, protocol and data set, judged by contrasts over their seeds."""

    study: tuple[str, str, str]
    runs: Results
    exact: bool = False
    _known: dict[Measure, tuple[Values, Spread | None]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def _values(self, condition: Condition) -> tuple[Values, Spread | None]:
        """The measure by experiment and seed; of single images only where it is asked for."""
        measure, runs = condition.measure, self.runs
        if isinstance(measure, ImageIoU):
            runs = {name: runs.get(name, ()) for name in condition.coefficients}
            values = values_by_seed(runs, measure)
            return values, pooled_spread(values)
        if measure not in self._known:
            values = values_by_seed(runs, measure)
            self._known[measure] = values, pooled_spread(values)
        return self._known[measure]

    def judge(self, condition: Condition) -> Judgement:
        """Return the p-values of a condition; missing if two experiments share no seed."""
        measure, coefficients = condition.measure, condition.coefficients
        values, pooled = self._values(condition)
        names = " and ".join(coefficients)
        if missing := [name for name in coefficients if not values.get(name)]:
            return Judgement(OPEN, f"no {measure} of {', '.join(missing)}", missing=True)
        found = contrast(values, coefficients, pooled)
        if found is None:
            return Judgement(OPEN, f"{names} share no seed in {measure}", missing=True)
        if measure in OF_THE_DATA:
            found = replace(found, spread=Spread(0.0, 1, "none: the data are what they are"))
        if condition.is_bounded:
            evidence = f"{measure}: {names} {described(found)} ({condition.wanted})"
            return Judgement(shown_within(found, condition.low, condition.high), evidence)
        smallest = registration().smallest_effect(measure)
        ahead, behind = sorted(coefficients, key=lambda n: -coefficients[n] * sign(measure))
        evidence = f"{measure}: {ahead} over {behind} {described(found)}; matters from {smallest:g}"
        return Judgement(shown_better(found, smallest), evidence)

    def images(self, experiments: Sequence[str]) -> tuple[str, ...]:
        """Return the test images with cracks that all of these experiments were measured on."""
        shown: dict[str, float] = {}
        for number, name in enumerate(experiments):
            images = [run.content["images"] for run in self.runs.get(name, ())]
            first = images[0] if images else {}
            shares = dict(zip(first.get("names", ()), first.get("crack_share") or ()))
            shown = shares if number == 0 else {k: v for k, v in shown.items() if k in shares}
        return tuple(name for name, share in shown.items() if share)


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
