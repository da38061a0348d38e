"""What symbols and names mean, in one sentence each, and which chapter explains them."""

from dataclasses import dataclass
from functools import cache

from csbsr import toml
from csbsr_book.paper.printed import data_file


@dataclass(frozen=True)
class Term:
    """A name or symbol of the paper; ValueError for a meaning that is no sentence."""

    name: str
    says: str
    """One sentence."""
    page: str
    """The chapter that explains it, as Sphinx names it: "notebooks/10-beta"."""
    symbol: str = ""
    """TeX as the chapters write it, "" for a name without a symbol."""
    also: tuple[str, ...] = ()
    """Other names."""
    anchor: str = ""
    """Section of the page, "" for its beginning."""

    def __post_init__(self) -> None:
        if not self.says.endswith("."):
            raise ValueError(f"'{self.name}' says '{self.says}'; write a sentence")

    @property
    def address(self) -> str:
        """Where it is explained, seen from the root of the site."""
        return f"{self.page}.html" + (f"#{self.anchor}" if self.anchor else "")


@dataclass(frozen=True)
class Terms:
    """The file `terms.toml`; ValueError for a name or symbol that stands there twice."""

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        names = [n for t in self.terms for n in {t.name.lower(), *(a.lower() for a in t.also)}]
        symbols = [t.symbol for t in self.terms if t.symbol]
        for kind, said in (("name", names), ("symbol", symbols)):
            if twice := sorted({n for n in said if said.count(n) > 1}):
                raise ValueError(f"{kind} '{twice[0]}' is explained twice")


@cache
def load_terms() -> tuple[Term, ...]:
    """All terms in the order of the file; ValueError names what does not fit."""
    return toml.read(Terms, data_file("terms.toml")).terms
