"""The deviations page as data: what the paper says, what the code does, what this book does."""

from dataclasses import dataclass, fields
from functools import cache

from csbsr import toml
from csbsr.protocol import PROTOCOLS, Protocol
from csbsr_book.paper import deviation_effects
from csbsr_book.paper.printed import data_file

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

    def __post_init__(self) -> None:
        known = {f.name for f in fields(Protocol)} - {"name"}
        if unknown := set(self.options) - known:
            raise ValueError(f"'{min(unknown)}' is not an option of Protocol")
        if self.effect and not hasattr(deviation_effects, self.effect):
            raise ValueError(f"deviation_effects has no function '{self.effect}'")

    def settings(self) -> tuple[tuple[str, tuple[object, ...]], ...]:
        """Return each option with its values in PRINTED, RELEASED and REPRODUCTION."""
        return tuple((o, tuple(getattr(p, o) for p in PROTOCOLS)) for o in self.options)

    def measured_effect(self) -> str:
        """Return the measured effect in one sentence, or "not measured"."""
        return getattr(deviation_effects, self.effect)() if self.effect else NOT_MEASURED


@dataclass(frozen=True)
class Deviations:
    """The file of deviations."""

    deviation: tuple[Deviation, ...]


@cache
def load_deviations() -> tuple[Deviation, ...]:
    """Return every row of the deviations page."""
    return toml.read(Deviations, data_file("deviations.toml")).deviation
