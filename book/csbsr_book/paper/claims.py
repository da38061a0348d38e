"""The claims ledger: every checkable statement of the paper, judged twice."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

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
    build,
    load_parameters,
    load_tables,
    read_toml,
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


def _expand(family: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[Claim]:
    where = f"paper/claims.toml, claim '{family.get('id')}'"
    data = dict(family)
    split = data.pop("split", None)
    raw = {k: _resolve(v, groups, where) for k, v in data.pop("check", {}).items()}
    check = build(Check, raw, where)
    for metric in check.metrics:
        if metric not in METRICS and metric not in DERIVED and check.type != "curve":
            raise ValueError(f"{where}: metric '{metric}' is unknown")
    if check.type == "example" and not hasattr(examples, check.example):
        raise ValueError(f"{where}: examples has no function '{check.example}'")
    claim = build(Claim, {**data, "check": check}, where)
    if split is None:
        return [claim]
    if split not in ("metrics", "left", "right", "experiments"):
        raise ValueError(
            f"{where}: split '{split}' is unknown; choose metrics, left, right or experiments"
        )
    return [
        replace(claim, id=f"{claim.id}-{slug(item)}", check=replace(check, **{split: (item,)}))
        for item in getattr(check, split)
    ]


def _resolve(value: Any, groups: Mapping[str, Sequence[str]], where: str) -> Any:
    """Replace "@name" in a list by the group of that name."""
    if not isinstance(value, list):
        return value
    items: list[str] = []
    for item in value:
        if isinstance(item, str) and item.startswith("@"):
            if item[1:] not in groups:
                raise ValueError(f"{where}: group '{item}' is unknown")
            items += groups[item[1:]]
        else:
            items.append(item)
    return tuple(items)


def parse_claims(data: Mapping[str, Any]) -> tuple[Claim, ...]:
    """Return all claims of a `claims.toml`; ValueError names the claim at fault."""
    groups = data.get("groups", {})
    claims = tuple(c for family in data.get("claim", ()) for c in _expand(family, groups))
    ids = [c.id for c in claims]
    if twice := {i for i in ids if ids.count(i) > 1}:
        raise ValueError(f"paper/claims.toml: claim '{min(twice)}' appears twice")
    return claims


@cache
def load_claims() -> tuple[Claim, ...]:
    """Return the claims ledger, in the order of the paper."""
    return parse_claims(read_toml("claims"))


@cache
def load_by_eye() -> tuple[ByEye, ...]:
    """Return the statements about pictures, which are shown but not counted."""
    return tuple(build(ByEye, c, "paper/claims.toml") for c in read_toml("claims")["by_eye"])


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
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


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
