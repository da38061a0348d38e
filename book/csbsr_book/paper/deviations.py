"""The deviations page as data: what the paper says, what the code does, what this book does."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from csbsr.protocol import PRINTED, RELEASED, Protocol
from csbsr_book.paper import deviation_effects
from csbsr_book.paper.printed import build, read_toml

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Deviation:
    """One difference between text and released code, and our choice."""

    id: str
    topic: str
    paper: str
    code: str
    choice: str
    options: tuple[str, ...] = ()
    """Fields of `Protocol` that switch between the two."""
    effect: str = ""
    """Function of `deviation_effects` that measures the difference."""

    def settings(self) -> tuple[tuple[str, object, object], ...]:
        """Return (option, value in PRINTED, value in RELEASED) of every option."""
        return tuple((o, getattr(PRINTED, o), getattr(RELEASED, o)) for o in self.options)

    def measured_effect(self) -> str:
        """Return the measured effect in one sentence, or "not measured"."""
        return getattr(deviation_effects, self.effect)() if self.effect else NOT_MEASURED


def parse_deviations(data: Mapping[str, Any]) -> tuple[Deviation, ...]:
    """Return the rows of a `deviations.toml`; ValueError names the row at fault."""
    known = {f.name for f in fields(Protocol)} - {"name"}
    rows = []
    for item in data.get("deviation", ()):
        where = f"paper/deviations.toml, '{item.get('id')}'"
        row = build(Deviation, item, where)
        if unknown := set(row.options) - known:
            raise ValueError(f"{where}: '{min(unknown)}' is not an option of Protocol")
        if row.effect and not hasattr(deviation_effects, row.effect):
            raise ValueError(f"{where}: deviation_effects has no function '{row.effect}'")
        rows.append(row)
    return tuple(rows)


@cache
def load_deviations() -> tuple[Deviation, ...]:
    """Return every row of the deviations page."""
    return parse_deviations(read_toml("deviations"))
