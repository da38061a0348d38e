"""Where the paper disagrees with itself: the statements, and evidence with computed numbers.

Evidence is a jinja2 template over the functions of `Evidence`, such as
`{{ cell("II", "csbsr-pspnet", "SSIM") }}`, which prints "0.703".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, Self, get_args

from jinja2 import Environment, StrictUndefined, TemplateError

from csbsr import toml
from csbsr.study.experiments import experiment
from csbsr_book.paper import examples
from csbsr_book.paper.printed import (
    METRICS,
    Metric,
    Row,
    Table,
    data_file,
    load_parameters,
    load_table,
    load_tables,
)

Tables = Mapping[str, Table]
TEMPLATES = Environment(undefined=StrictUndefined, autoescape=False)  # escaped where it is shown


@dataclass(frozen=True)
class Number:
    """A printed number, shown with as many digits as its metric has in print."""

    value: float
    metric: Metric

    def __str__(self) -> str:
        return self.metric.text(self.value)

    def __sub__(self, other: Self) -> "Number":
        return Number(self.value - other.value, self.metric)

    def __truediv__(self, other: Self) -> str:
        return f"{self.value / other.value:.2f}"

    def gain(self, over: Self) -> "Number":
        """Return how much better this number is than another of its metric."""
        return Number(self.metric.gain(self.value, over.value), self.metric)


@dataclass(frozen=True)
class Evidence:
    """The functions that evidence may call; `block` is one of the blocks of Table III."""

    tables: Tables

    def fill(self, template: str) -> str:
        """Return the template with its numbers; ValueError if it asks for what there is not."""
        words = {name: getattr(self, name) for name in EVIDENCE}
        try:
            return TEMPLATES.from_string(template).render(words)
        except (TemplateError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"evidence '{template}' cannot be computed: {error}") from None

    def cell(self, table: str, experiment: str, metric: str) -> Number:
        """Return one printed number."""
        return Number(self.tables[table].value(experiment, metric), METRICS[metric])

    def rank(self, table: str, experiment: str, metric: str, block: str = "") -> int:
        """Return the place of a cell among its rows: 1 + number of better ones."""
        own = self.tables[table].value(experiment, metric)
        others = [r.values[metric] for r in self._rows(table, block) if metric in r.values]
        return 1 + sum(METRICS[metric].gain(other, own) > 0 for other in others)

    def best(self, table: str, metric: str, place: int = 1) -> str:
        """Return the experiments with the best (`place` 2: second best) value of a metric."""
        return ", ".join(self.tables[table].best(metric, place))

    def marked(self, table: str, metric: str) -> str:
        """Return the experiments whose cell is bold or underlined."""
        rows = self._rows(table)
        return ", ".join(r.experiment for r in rows if metric in (*r.bold, *r.underline))

    def spread(self, table: str, metric: str, block: str = "", but: str = "") -> Number:
        """Return max - min of a metric over the rows with joint learning, `but` left out."""
        rows = [r for r in self._rows(table, block) if r.experiment != but]
        joint = [r for r in rows if experiment(r.experiment).coupling == "joint"]
        values = [row.values[metric] for row in joint]
        return Number(max(values) - min(values), METRICS[metric])

    def count(self, table: str, block: str = "") -> int:
        """Return the number of rows that are compared."""
        return len(self._rows(table, block))

    def _rows(self, table: str, block: str = "") -> list[Row]:
        rows = self.tables[table].rows
        return [r for r in rows if not r.reference and block in ("", r.block)]

    @staticmethod
    def parameter(name: str) -> str:
        """Return a hyper-parameter, thousands apart."""
        value = load_parameters()[name].value
        return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)

    @staticmethod
    def ticks(row: str) -> str:
        """Return the problems that Table I ticks for a contribution."""
        (found,) = (r for r in load_table("I").rows if r.label == row)
        return ", ".join(problem for problem, ticked in found.values.items() if ticked)

    @staticmethod
    def equation(name: str, prediction: str) -> str:
        """Return an equation as printed, for a prediction on the small mask of `examples`."""
        value = examples.printed_value(name, prediction) + 0.0
        return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.2f}"

    @staticmethod
    def mask_share() -> str:
        """Return the share of crack pixels in the small mask."""
        return f"{examples.small_mask().mean():.0%}"

    @staticmethod
    def mask_pixels() -> int:
        """Return the number of pixels of the small mask."""
        return examples.small_mask().size

    @staticmethod
    def kernel_difference_sum() -> str:
        """Return the sum of the difference of two kernels that each sum to one."""
        return f"{abs(examples.kernel_difference_sum()):.2f}"

    @staticmethod
    def softmax_of_one_channel() -> str:
        """Return the softmax over a single channel."""
        return f"{examples.softmax_of_one_channel():.0f}"


EVIDENCE = tuple(n for n in vars(Evidence) if not n.startswith("_") and n not in ("fill", "tables"))
"""Names that templates know."""


Kind = Literal["numbers", "equation", "statement", "typographic"]
"""Substantive ones first; typographic is what misleads nobody for long."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Inconsistency:
    """Two statements that cannot both stand, where they stand, and why."""

    id: str
    kind: Kind
    one: str
    """Short quote."""
    one_place: str
    other_place: str
    explanation: str
    charitable: str
    """The reading under which the least is wrong."""
    other: str = ""
    """The second quote, or empty if `finding` says in our words what stands there."""
    finding: str = ""
    evidence: str = ""
    """Template for `Evidence.fill`, or empty."""
    claims: tuple[str, ...] = ()
    """Sentences of the ledger whose verdict on the printed numbers it explains."""

    def __post_init__(self) -> None:
        if bool(self.other) == bool(self.finding):
            raise ValueError("needs either 'other' (a quote) or 'finding' (our words)")

    def computed_evidence(self, tables: Mapping[str, Table] | None = None) -> str:
        """Return the evidence with its numbers, "" where none are involved."""
        return Evidence(load_tables() if tables is None else tables).fill(self.evidence)


@dataclass(frozen=True)
class Inconsistencies:
    """The file of inconsistencies."""

    inconsistency: tuple[Inconsistency, ...]

    def __post_init__(self) -> None:
        ids = [entry.id for entry in self.inconsistency]
        if twice := {i for i in ids if ids.count(i) > 1}:
            raise ValueError(f"'{min(twice)}' appears twice")


@cache
def load_inconsistencies() -> tuple[Inconsistency, ...]:
    """Return all entries: numbers, equations, statements, and what is typographic last."""
    entries = toml.read(Inconsistencies, data_file("inconsistencies.toml")).inconsistency
    return tuple(sorted(entries, key=lambda entry: KINDS.index(entry.kind)))
