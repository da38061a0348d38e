"""Evidence in words with computed numbers: `{II:csbsr-pspnet:SSIM}` becomes "0.703".

A cell is written `table:experiment:metric`; a table may be narrowed to a block, `III/CSSR`.
In braces stand a cell, or an operation and its arguments:

    ratio A B, difference A B, gain A B (positive = A better)   of two cells
    rank A            place of a cell among the rows of its table (1 + number of better rows)
    best T:m, second T:m, marked T:m, spread T:m, count T       of a table T and a metric m
    parameter NAME, ticks ROW                                   of the hyper-parameters, Table I
    equation NAME [PREDICTION]                                  of the equations as printed"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from csbsr.study.contrasts import Verdict
from csbsr_book.paper import examples
from csbsr_book.paper.claims import evaluate_on_paper, load_claims
from csbsr_book.paper.printed import (
    METRICS,
    Metric,
    Row,
    Table,
    build,
    load_parameters,
    load_table,
    load_tables,
    read_toml,
)

Tables = Mapping[str, Table]


def fill(template: str, tables: Tables) -> str:
    """Return the template with every brace computed; ValueError names a brace it cannot read."""
    return re.sub(r"\{([^{}]+)\}", lambda match: _compute(match.group(1), tables), template)


def _compute(expression: str, tables: Tables) -> str:
    try:
        operation, *arguments = expression.split()
        if not arguments:
            value, metric = _cell(operation, tables)
            return metric.text(value)
        return _operate(operation, arguments, tables)
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"evidence '{{{expression}}}' cannot be computed: {error}") from None


def _operate(operation: str, arguments: list[str], tables: Tables) -> str:
    match operation:
        case "ratio":
            (a, _), (b, _) = (_cell(x, tables) for x in arguments)
            return f"{a / b:.2f}"
        case "difference" | "gain":
            (a, metric), (b, _) = (_cell(x, tables) for x in arguments)
            return metric.text(a - b if operation == "difference" else metric.gain(a, b))
        case "rank":
            value, metric = _cell(arguments[0], tables)
            where, _, key = arguments[0].split(":")
            others = [row.values[key] for row in _rows(where, tables) if key in row.values]
            return str(1 + sum(metric.gain(other, value) > 0 for other in others))
        case "best" | "second":
            where, key = arguments[0].split(":")
            rank = 1 if operation == "best" else 2
            return ", ".join(tables[where].best(key, rank))
        case "marked":
            where, key = arguments[0].split(":")
            rows = _rows(where, tables)
            return ", ".join(r.experiment for r in rows if key in (*r.bold, *r.underline))
        case "spread":
            where, key = arguments[0].split(":")
            values = [row.values[key] for row in _joint(_rows(where, tables))]
            return METRICS[key].text(max(values) - min(values))
        case "count":
            return str(len(_rows(arguments[0], tables)))
        case "parameter":
            value = load_parameters()[arguments[0]].value
            return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)
        case "ticks":
            (row,) = (r for r in load_table("I").rows if r.label == " ".join(arguments))
            return ", ".join(problem for problem, ticked in row.values.items() if ticked)
        case "equation":
            return _equation(*arguments)
    raise ValueError(f"unknown operation '{operation}'")


def _cell(name: str, tables: Tables) -> tuple[float, Metric]:
    where, experiment, metric = name.split(":")
    return tables[where.split("/")[0]].value(experiment, metric), METRICS[metric]


def _rows(where: str, tables: Tables) -> list[Row]:
    number, _, block = where.partition("/")
    rows = [row for row in tables[number].rows if not row.reference]
    return [row for row in rows if row.block == block] if block else rows


def _joint(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "w/o joint" not in row.label]


def _equation(name: str, prediction: str = "") -> str:
    mask = examples.small_mask()
    match name:
        case "share":
            return f"{mask.mean():.0%}"
        case "pixels":
            return str(mask.size)
        case "kernel_difference_sum":
            return f"{abs(examples.kernel_difference_sum()):.2f}"
        case "softmax_of_one":
            return f"{examples.softmax_of_one_channel():.0f}"
    value = examples.printed_value(name, prediction) + 0.0
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.2f}"


Severity = Literal["numbers", "equation", "reference", "wording"]
SEVERITIES: tuple[Severity, ...] = ("numbers", "equation", "reference", "wording")


@dataclass(frozen=True)
class Inconsistency:
    """Two statements that cannot both stand, where they stand, and why."""

    id: str
    severity: Severity
    one: str
    """Short quote."""
    one_place: str
    other_place: str
    explanation: str
    other: str = ""
    """The second quote, or empty if `finding` says in our words what stands there."""
    finding: str = ""
    evidence: str = ""
    """Template for `csbsr_book.paper.inconsistencies.fill`, or empty."""
    claims: tuple[str, ...] = ()
    """Claims of the ledger that the printed numbers do not bear out for this reason."""

    def computed_evidence(self, tables: Mapping[str, Table] | None = None) -> str:
        """Return the evidence with its numbers, "" where none are involved."""
        return fill(self.evidence, load_tables() if tables is None else tables)

    def claim_verdicts(self) -> dict[str, Verdict]:
        """Return the verdict of the printed numbers on each claim named."""
        known = {claim.id: claim for claim in load_claims()}
        return {name: evaluate_on_paper(known[name]) for name in self.claims}


def parse_inconsistencies(data: Mapping[str, Any]) -> tuple[Inconsistency, ...]:
    """Return the entries of an `inconsistencies.toml`; ValueError names the one at fault."""
    entries = []
    for item in data.get("inconsistency", ()):
        where = f"paper/inconsistencies.toml, '{item.get('id')}'"
        entry = build(Inconsistency, item, where)
        if entry.severity not in SEVERITIES:
            raise ValueError(f"{where}: severity '{entry.severity}' is none of {SEVERITIES}")
        if bool(entry.other) == bool(entry.finding):
            raise ValueError(f"{where}: needs either 'other' (a quote) or 'finding' (our words)")
        entries.append(entry)
    ids = [entry.id for entry in entries]
    if twice := {i for i in ids if ids.count(i) > 1}:
        raise ValueError(f"paper/inconsistencies.toml: '{min(twice)}' appears twice")
    return tuple(entries)


@cache
def load_inconsistencies() -> tuple[Inconsistency, ...]:
    """Return all entries, numbers first, then equations, references and wording."""
    entries = parse_inconsistencies(read_toml("inconsistencies"))
    return tuple(sorted(entries, key=lambda entry: SEVERITIES.index(entry.severity)))
