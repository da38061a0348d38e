"""The gaps of a printed table beside ours: each row against its baseline, by paired contrasts.

Numbers of paper and ours are of different size; what can be compared is how a row differs from its
baseline, here and there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from csbsr.metrics import Interval
from csbsr.study.contrasts import (
    OPEN,
    Contrast,
    Judgement,
    Verdict,
    better,
    contrast,
    pooled_spread,
    settle,
)
from csbsr.study.experiments import experiment
from csbsr.study.registered import (
    Results,
    described,
    gain,
    photo_interval,
    registration,
    sign,
    values_by_seed,
)
from csbsr_book.paper.printed import Table, experiments_of, load_table


@dataclass(frozen=True)
class ContrastRow:
    """One row of a table against its baseline in one metric; positive = better than it."""

    experiment: str
    baseline: str
    metric: str
    contrast: Contrast | None
    """Estimate, interval over seeds, degrees of freedom and where the spread comes from; None
    without a seed in common."""
    smallest: float
    """From where on a difference matters."""
    printed: float | None
    """The same gap in the paper; None unless the table prints both."""
    verdict: Verdict
    """Exploratory; Holm over all rows of the table in this metric."""
    photos: Interval | None
    """Bootstrap interval over photographs; not the noise of training."""


def contrast_rows(number: str, results: Results, metrics: Sequence[str]) -> tuple[ContrastRow, ...]:
    """Return the contrasts of a printed table's rows ("II".."VI") against their baselines.

    `results` are fresh runs of one profile, protocol and data set, by experiment. Rows without a
    baseline have no contrast. ValueError: a table or a metric that is unknown.
    """
    names = experiments_of(number)
    pairs = [(name, experiment(name).baseline) for name in names]
    pairs = [(name, base) for name, base in pairs if base and base != name]
    return tuple(row for metric in metrics for row in _rows(number, pairs, results, metric))


def _rows(
    number: str, pairs: Sequence[tuple[str, str]], results: Results, metric: str
) -> list[ContrastRow]:
    smallest, table = registration().smallest_effect(metric), load_table(number)
    values = values_by_seed(results, metric)
    pooled = pooled_spread(values)
    found = [contrast(values, gain(name, base, metric), pooled) for name, base in pairs]
    judged = [
        Judgement(OPEN, "no seed in common", missing=True)
        if c is None
        else Judgement(better(c, smallest), f"{described(c)}; matters from {smallest:g}")
        for c in found
    ]
    return [
        ContrastRow(
            name,
            base,
            metric,
            c,
            smallest,
            _printed_gap(table, name, base, metric),
            verdict,
            photo_interval(results.get(name, ()), results.get(base, ()), metric),
        )
        for (name, base), c, verdict in zip(pairs, found, settle(judged))
    ]


def _printed_gap(table: Table, name: str, base: str, metric: str) -> float | None:
    rows = {row.experiment: row.values for row in table.rows}
    if metric not in rows.get(name, {}) or metric not in rows.get(base, {}):
        return None
    return round(sign(metric) * (rows[name][metric] - rows[base][metric]), 9)
