"""The paper as data: printed numbers of its tables, hyper-parameters, published checkpoints.

The numbers live in `paper/*.toml`, each row with the id of the experiment that it reports; what
can be computed (best, second best, differences) is computed here and never typed.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeVar

Value = float | str | tuple[float, ...]
T = TypeVar("T")


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
SUPER_RESOLUTION = ("PSNR", "SSIM")


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
    rows: tuple[Row, ...]
    marks_ranks: int = 1

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
class Difference:
    """A change that the text states relative to a printed row, without printing the result."""

    experiment: str
    table: str
    row: str
    place: str
    changes: Mapping[str, float] = field(default_factory=dict)


def read_toml(name: str) -> dict[str, Any]:
    """Return the content of `paper/<name>.toml`; ValueError if there is no such file."""
    source = files("csbsr_book.paper") / f"{name}.toml"
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"paper/{name}.toml does not exist") from None


def build(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """Build a frozen dataclass from a TOML table; ValueError names unknown or missing keys."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(data) - known:
        raise ValueError(f"{where}: unknown key '{min(unknown)}'; known are {sorted(known)}")
    clean = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    try:
        return kind(**clean)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None


def parse_table(data: Mapping[str, Any], where: str) -> Table:
    """Check one table's TOML and return it; ValueError names the row and the key at fault."""
    rows = tuple(
        build(Row, row, f"{where}, row '{row.get('label')}'") for row in data.get("row", ())
    )
    head = {k: v for k, v in data.items() if k != "row"}
    table = build(Table, {**head, "rows": rows}, where)
    for row in rows:
        for column in (*row.values, *row.bold, *row.underline):
            if column not in table.columns:
                raise ValueError(f"{where}, row '{row.label}': '{column}' is not a column")
        if empty := (set(row.bold) | set(row.underline)) - set(row.values):
            raise ValueError(f"{where}, row '{row.label}': mark on empty cell '{min(empty)}'")
    names = [row.experiment for row in rows if row.experiment]
    if len(names) != len(set(names)):
        raise ValueError(f"{where}: an experiment appears twice")
    return table


NUMERALS: Mapping[str, int] = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}


@cache
def load_table(number: str) -> Table:
    """Return a printed table by its Roman numeral ("I".."VI"), or the "published" numbers."""
    if number == "published":
        return parse_table(read_toml("published"), "paper/published.toml")
    if number not in NUMERALS:
        raise ValueError(f"table '{number}' is unknown; choose one of {', '.join(NUMERALS)}")
    name = f"table-{NUMERALS[number]}"
    return parse_table(read_toml(name), f"paper/{name}.toml")


def load_tables() -> dict[str, Table]:
    """Return the numeric tables II to VI by numeral."""
    return {number: load_table(number) for number in NUMERALS if number != "I"}


def load_published() -> Table:
    """Return the numbers stated beside the released checkpoints."""
    return load_table("published")


@cache
def load_parameters() -> Mapping[str, Parameter]:
    """Return the hyper-parameters by name."""
    where = "paper/hyperparameters.toml"
    items = [build(Parameter, p, where) for p in read_toml("hyperparameters")["parameter"]]
    return {p.name: p for p in items}


@cache
def load_differences() -> tuple[Difference, ...]:
    """Return the changes that the text states without a table row."""
    return tuple(
        build(Difference, d, "paper/implied.toml") for d in read_toml("implied")["difference"]
    )


def cells(tables: Mapping[str, Table]) -> Iterator[tuple[str, str, str, float]]:
    """Yield (table, experiment, metric, value) of every printed cell."""
    for number, table in tables.items():
        for row in table.rows:
            for metric, value in row.values.items():
                yield number, row.experiment, metric, value


def experiments_of(number: str) -> list[str]:
    """Ids of a table's rows."""
    return [row.experiment for row in load_table(number).rows if row.experiment]
