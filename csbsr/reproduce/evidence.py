"""Evidence in words with computed numbers: `{II:csbsr-pspnet:SSIM}` becomes "0.703".

A cell is written `table:experiment:metric`; a table may be narrowed to a block, `III/CSSR`.
In braces stand a cell, or an operation and its arguments:

    ratio A B, difference A B, gain A B (positive = A better)   of two cells
    rank A            place of a cell among the rows of its table (1 + number of better rows)
    best T:m, second T:m, marked T:m, spread T:m, count T       of a table T and a metric m
    parameter NAME, ticks ROW                                   of the hyper-parameters, Table I
    equation NAME [PREDICTION]                                  of the equations as printed
"""

import re
from collections.abc import Mapping

from csbsr.reproduce import printed_equations
from csbsr.reproduce.paper import METRICS, Metric, Row, Table, load_parameters, load_table

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
    mask = printed_equations.small_mask()
    match name:
        case "share":
            return f"{mask.mean():.0%}"
        case "pixels":
            return str(mask.size)
        case "kernel_difference_sum":
            return f"{abs(printed_equations.kernel_difference_sum()):.2f}"
        case "softmax_of_one":
            return f"{printed_equations.softmax_of_one_channel():.0f}"
    value = printed_equations.printed_value(name, prediction) + 0.0
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.2f}"
