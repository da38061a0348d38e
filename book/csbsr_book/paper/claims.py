"""The claims ledger: every checkable statement of the paper, judged twice."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from csbsr import toml
from csbsr.study.verdicts import WORDS, Verdict
from csbsr_book.paper import examples
from csbsr_book.paper.checks import (
    DERIVED,
    Check,
    PaperNumbers,
    ResultNumbers,
    collect_results,
    evaluate,
)
from csbsr_book.paper.printed import (
    METRICS,
    Table,
    data_file,
    load_parameters,
    load_tables,
)

Kind = Literal[
    "ordering", "gap", "absolute", "ratio", "monotone", "internal arithmetic", "stability", "curve"
]
LEDGER = Path(__file__).parent / "ledger.toml"
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """One checkable statement: id, short quote, place, and what has to be compared."""

    id: str
    quote: str
    place: str
    kind: Kind
    check: Check
    note: str = ""
    """How the words were turned into numbers, where that is a choice of ours."""

    @property
    def experiments(self) -> tuple[str, ...]:
        """Experiments whose results the claim needs."""
        return self.check.named_experiments()

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics, quotients of metrics or curves that it reads."""
        return self.check.metrics


@dataclass(frozen=True)
class ByEye:
    """A statement about pictures that only a reader can judge."""

    id: str
    quote: str
    place: str
    figure: str = ""


def slug(text: str) -> str:
    """Return the text as part of an id: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@dataclass(frozen=True)
class Family(Claim):
    """Claims as they stand in the file: one, or one for each item of a list of its check."""

    split: Literal["", "metrics", "left", "right", "experiments"] = ""


@dataclass(frozen=True)
class ClaimsFile:
    """The file of claims; in lists of checks "@name" stands for the group of that name."""

    groups: Mapping[str, tuple[str, ...]]
    claim: tuple[Family, ...]
    by_eye: tuple[ByEye, ...] = ()

    def claims(self) -> tuple[Claim, ...]:
        """Return the claims one by one; ValueError names the claim at fault."""
        claims = tuple(claim for family in self.claim for claim in self._each(family))
        ids = [claim.id for claim in claims]
        if twice := {i for i in ids if ids.count(i) > 1}:
            raise ValueError(f"claims.toml: claim '{min(twice)}' appears twice")
        return claims

    def _each(self, family: Family) -> list[Claim]:
        try:
            check = self._without_groups(family.check)
            _require_known(check)
        except ValueError as error:
            raise ValueError(f"claims.toml, claim '{family.id}': {error}") from None
        own = {f.name: getattr(family, f.name) for f in fields(Claim)}
        claim = Claim(**own | {"check": check})
        if not family.split:
            return [claim]
        return [
            replace(
                claim,
                id=f"{claim.id}-{slug(item)}",
                check=replace(check, **{family.split: (item,)}),
            )
            for item in getattr(check, family.split)
        ]

    def _without_groups(self, check: Check) -> Check:
        def members(item: str) -> tuple[str, ...]:
            if item.startswith("@") and item[1:] not in self.groups:
                raise ValueError(f"group '{item}' is unknown")
            return self.groups[item[1:]] if item.startswith("@") else (item,)

        lists = {k: v for k, v in vars(check).items() if isinstance(v, tuple)}
        return replace(check, **{k: tuple(chain(*map(members, v))) for k, v in lists.items()})


def _require_known(check: Check) -> None:
    for metric in check.metrics:
        if metric not in METRICS and metric not in DERIVED and check.type != "curve":
            raise ValueError(f"metric '{metric}' is unknown")
    if check.type == "example" and not hasattr(examples, check.example):
        raise ValueError(f"examples has no function '{check.example}'")


@cache
def _file() -> ClaimsFile:
    return toml.read(ClaimsFile, data_file("claims.toml"))


@cache
def load_claims() -> tuple[Claim, ...]:
    """Return every claim, in the order of the paper."""
    return _file().claims()


def load_by_eye() -> tuple[ByEye, ...]:
    """Return the statements about pictures, which are shown but not counted."""
    return _file().by_eye


def evaluate_on_paper(claim: Claim, tables: Mapping[str, Table] | None = None) -> Verdict:
    """Return whether the paper's own printed numbers bear the claim out."""
    if claim.check.type == "example":
        return getattr(examples, claim.check.example)()
    if claim.check.type in ("sum", "equal"):
        names, parameters = claim.check.parameters, load_parameters()
        return examples.evaluate_parameters(claim.check.type, names, parameters)
    return evaluate(claim.check, PaperNumbers.of(load_tables() if tables is None else tables))


def evaluate_on_results(claim: Claim, results: Mapping[str, Sequence[Result]]) -> Verdict:
    """Return whether our result files (experiment -> runs) bear the claim out.

    Smoke runs never count. All experiments of a claim are taken from one profile and protocol.
    """
    if not claim.experiments:
        return Verdict("not run", "needs no experiment")
    numbers = ResultNumbers.of(results, claim.experiments)
    if isinstance(numbers, str):
        return Verdict("not run", numbers)
    return evaluate(claim.check, numbers)


def load_ledger(path: Path = LEDGER) -> dict[str, dict[str, str]]:
    """Return the expected verdicts (`paper` and `results`) by claim id."""
    return toml.parse(path.read_text(encoding="utf-8"), path.name) if path.exists() else {}


def update_ledger(results: Mapping[str, Sequence[Result]], path: Path = LEDGER) -> list[str]:
    """Write the present verdicts to the ledger and return the ids whose verdict changed."""
    before = load_ledger(path)
    lines = ["# Written by `csbsr_book.paper.claims.update_ledger`; do not edit by hand."]
    for claim in load_claims():
        paper, ours = evaluate_on_paper(claim), evaluate_on_results(claim, results)
        lines += ["", f"[{claim.id}]"]
        lines += [f'paper = "{paper.verdict}"', f'results = "{ours.verdict}"']
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    after = load_ledger(path)
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def claims_text(folder: Path) -> str:
    """Return one line per claim (printed numbers, our results, id) and the counts of verdicts."""
    results = collect_results(folder)
    rows = [
        (evaluate_on_paper(claim).verdict, evaluate_on_results(claim, results).verdict, claim.id)
        for claim in load_claims()
    ]
    lines = [f"{'printed numbers':<17}{'our results':<17}claim"]
    lines += [f"{paper:<17}{ours:<17}{name}" for paper, ours, name in rows]
    paper, ours = (Counter(column) for column in list(zip(*rows))[:2])
    lines += ["", f"{'':<17}{'printed numbers':>17}{'our results':>17}"]
    lines += [f"{word:<17}{paper[word]:>17}{ours[word]:>17}" for word in WORDS]
    return "\n".join(lines)
