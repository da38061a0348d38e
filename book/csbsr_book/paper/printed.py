"""The paper as data: printed numbers of its tables, and hyper-parameters.

The numbers live in `paper/*.toml`, each row with the id of the experiment that it reports; what
can be computed (best, second best, differences) is computed here and never typed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

from csbsr import toml

Value = int | float | str | tuple[int | float, ...]


@dataclass(frozen=True)
class Metric:
    """One column of the tables: key, label as printed, which direction is better, digits."""

    key: str
    label: str
    better: Literal["higher", "lower"]
    digits: int
    unit: str = ""

    def gain(self, value: float, over: float) -> float:
        """Return how much better `value` is than `over` (positive = better), in the unit."""
        difference = value - over if self.better == "higher" else over - value
        return round(difference, 9)

    def text(self, value: float) -> str:
        """Return the value with as many digits as the paper prints."""
        return f"{value:.{self.digits}f}"


METRICS: Mapping[str, Metric] = {
    m.key: m
    for m in (
        Metric("IoU_max", "IoU_max", "higher", 3),
        Metric("AIU", "AIU", "higher", 3),
        Metric("HD95_min", "HD95_min", "lower", 2, "px"),
        Metric("AHD95", "AHD95", "lower", 2, "px"),
        Metric("PSNR", "PSNR", "higher", 2, "dB"),
        Metric("SSIM", "SSIM", "higher", 3),
        Metric("kernel_PSNR", "Kernel PSNR", "higher", 2, "dB"),
        Metric("HD50_min", "HD50_min", "lower", 2, "px"),
        Metric("AHD50", "AHD50", "lower", 2, "px"),
    )
}
SEGMENTATION = ("IoU_max", "AIU", "HD95_min", "AHD95")


@dataclass(frozen=True)
class Row:
    """One printed row: label, experiment id, values by column, and the marks on its cells."""

    label: str
    values: Mapping[str, float]
    experiment: str = ""
    block: str = ""
    reference: bool = False
    """An upper bound that takes no part in the comparison (Table II (a))."""
    baseline: bool = False
    """The row that others are compared with (Tables V and VI)."""
    bold: tuple[str, ...] = ()
    underline: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One printed table; `marks_ranks` says how many ranks the caption promises to mark."""

    id: str
    title: str
    place: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    marks_ranks: int = 1

    def __post_init__(self) -> None:
        for row in self.rows:
            for column in (*row.values, *row.bold, *row.underline):
                if column not in self.columns:
                    raise ValueError(f"row '{row.label}': '{column}' is not a column")
            if empty := {*row.bold, *row.underline} - set(row.values):
                raise ValueError(f"row '{row.label}': mark on empty cell '{min(empty)}'")
        names = [row.experiment for row in self.rows if row.experiment]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"experiment '{min(twice)}' appears twice")

    def row(self, experiment: str) -> Row:
        """Return the row of an experiment; ValueError if the table has none."""
        for row in self.rows:
            if row.experiment == experiment:
                return row
        known = ", ".join(r.experiment for r in self.rows)
        raise ValueError(f"Table {self.id} has no row for '{experiment}'; it has {known}")

    def value(self, experiment: str, metric: str) -> float:
        """Return one printed number; ValueError if the cell is empty or unknown."""
        row = self.row(experiment)
        if metric not in row.values:
            raise ValueError(f"Table {self.id} prints no {metric} for '{experiment}'")
        return row.values[metric]

    def ranking(self, metric: str, block: str | None = None) -> list[tuple[float, list[Row]]]:
        """Return distinct values, best first, with the rows that print them (no reference row)."""
        if metric not in self.columns:
            raise ValueError(f"Table {self.id} has no column '{metric}'")
        groups: dict[float, list[Row]] = {}
        for row in self.rows:
            if metric in row.values and not row.reference and block in (None, row.block):
                groups.setdefault(row.values[metric], []).append(row)
        higher = METRICS[metric].better == "higher"
        return sorted(groups.items(), key=lambda item: item[0], reverse=higher)

    def best(self, metric: str, rank: int = 1, block: str | None = None) -> tuple[str, ...]:
        """Return the experiments with the best value (rank 2: second best distinct value)."""
        order = self.ranking(metric, block)
        return tuple(r.experiment for r in order[rank - 1][1]) if rank <= len(order) else ()

    def blocks(self) -> tuple[str, ...]:
        """Return the names of the blocks that are ranked separately ("" for an undivided one)."""
        return tuple(dict.fromkeys(row.block for row in self.rows))


@dataclass(frozen=True)
class Parameter:
    """One hyper-parameter as the paper states it, with its place."""

    name: str
    value: Value
    place: str
    symbol: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Parameters:
    """The file of hyper-parameters."""

    parameter: tuple[Parameter, ...]


def data_file(name: str) -> Traversable:
    """Return a file of this package."""
    return files("csbsr_book.paper") / name


NUMERALS: Mapping[str, int] = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}


@cache
def load_table(number: str) -> Table:
    """Return a printed table by its Roman numeral ("I".."VI")."""
    if number not in NUMERALS:
        raise ValueError(f"table '{number}' is unknown; choose one of {', '.join(NUMERALS)}")
    return toml.read(Table, data_file(f"table-{NUMERALS[number]}.toml"))


def load_tables() -> dict[str, Table]:
    """Return the numeric tables II to VI by numeral."""
    return {number: load_table(number) for number in NUMERALS if number != "I"}


@cache
def load_parameters() -> Mapping[str, Parameter]:
    """Return the hyper-parameters by name."""
    return {p.name: p for p in toml.read(Parameters, data_file("hyperparameters.toml")).parameter}


def cells(tables: Mapping[str, Table]) -> Iterator[tuple[str, str, str, float]]:
    """Yield (table, experiment, metric, value) of every printed cell."""
    for number, table in tables.items():
        for row in table.rows:
            for metric, value in row.values.items():
                yield number, row.experiment, metric, value


def experiments_of(number: str) -> list[str]:
    """Ids of a table's rows."""
    return [row.experiment for row in load_table(number).rows if row.experiment]
