"""The two sources of numbers for claims: the printed tables, and result files without smoke."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from csbsr.reproduce.claim_checks import CURVES, DERIVED
from csbsr.reproduce.paper import Table, cells, read_toml
from csbsr.reproduce.results import find_results
from csbsr.reproduce.verdicts import Cell, Word

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
        return cls(groups[best], seed_sd())

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


def seed_sd() -> Mapping[str, float]:
    """Return the documented standard deviation of one run over seeds, by metric."""
    table = read_toml("claims")["seed_sd"]
    return {metric: float(value) for metric, value in table.items() if metric != "source"}


def collect_results(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the runs of all profiles that count below a results folder, by experiment."""
    found: dict[str, list[dict[str, Any]]] = {}
    for profile in PROFILES:
        for experiment, runs in find_results(folder, profile).items():
            found.setdefault(experiment, []).extend(run.content for run in runs)
    return found
