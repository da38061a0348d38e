"""The claims ledger: every checkable statement of the paper, judged twice.

On the printed numbers a claim is judged exactly. On our results it is judged by contrasts over
seeds (see `csbsr.study.contrasts`). A claim that asks what was registered has the verdict of that
primary contrast. All others are exploratory; those read from one table or figure are a family,
within which Holm's procedure keeps the probability of any false word at 5 %.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from csbsr.study.contrasts import WORDS, Judgement, Verdict, settle
from csbsr.study.registered import (
    QUOTIENTS,
    PrimaryOutcome,
    Results,
    primary_outcomes,
    registration,
)
from csbsr_book.paper import examples
from csbsr_book.paper.checks import (
    Check,
    PaperNumbers,
    best_study,
    evaluate,
    studies,
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
        if metric not in METRICS and metric not in QUOTIENTS and check.type != "curve":
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
    numbers = PaperNumbers.of(load_tables() if tables is None else tables)
    judgement = evaluate(claim.check, numbers)
    return Verdict(judgement.word(), judgement.evidence)


def family(claim: Claim) -> str:
    """Return the table or figure that a claim was read from: what its id begins with."""
    return claim.id.partition("-")[0]


def registered_as(claim: Claim) -> str | None:
    """Return the id of the primary contrast that asks just what the claim says, if one does."""
    check = claim.check
    if check.type == "better" and len(check.left) == 1 and not check.by and check.need == "all":
        first, second = check.left[0], check.right
    elif check.type == "rank" and check.rank == 1:
        first, *second = check.experiments
    else:
        return None
    for primary in registration().primary:
        same = (primary.first, set(primary.second)) == (first, set(second))
        if same and check.metrics == (primary.metric,):
            return primary.id
    return None


def primary_on_results(results: Results) -> dict[str, PrimaryOutcome]:
    """Return the outcomes of the registered contrasts by id, in the study that has most of them."""
    plan = registration()
    names = [name for p in plan.primary for name in (p.first, *p.second)]
    candidates = [s for s in studies(results) if s.study[0] == plan.profile]
    study = best_study(candidates, names)
    return {o.registered.id: o for o in primary_outcomes(study.runs if study else {})}


def verdicts_on_results(results: Results) -> dict[str, Verdict]:
    """Return by claim id whether our fresh results (experiment -> runs) bear each claim out.

    All experiments of a claim are taken from one profile, protocol and data set.
    """
    candidates, primary = studies(results), primary_on_results(results)
    verdicts: dict[str, Verdict] = {}
    families: dict[str, dict[str, Judgement]] = {}
    for claim in load_claims():
        study = best_study(candidates, claim.experiments)
        outcome = primary.get(registered_as(claim) or "")
        if not claim.experiments:
            verdicts[claim.id] = Verdict("not run", "needs no experiment")
        elif outcome and any(outcome.contrasts):
            word, evidence = outcome.verdict
            name = outcome.registered.id
            verdicts[claim.id] = Verdict(word, f"registered contrast {name}: {evidence}")
        elif study is None:
            smoke = any(results.get(name) for name in claim.experiments)
            why = "only smoke runs, which never count" if smoke else "no result of any experiment"
            verdicts[claim.id] = Verdict("not run", why)
        else:
            families.setdefault(family(claim), {})[claim.id] = evaluate(claim.check, study)
    for judgements in families.values():
        verdicts |= zip(judgements, settle(list(judgements.values())))
    return verdicts


def load_ledger(path: Path = LEDGER) -> dict[str, dict[str, str]]:
    """Return the expected verdicts (`paper` and `results`) by claim id."""
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def update_ledger(results: Results, path: Path = LEDGER) -> list[str]:
    """Write the present verdicts to the ledger and return the ids whose verdict changed."""
    before, ours = load_ledger(path), verdicts_on_results(results)
    lines = ["# Written by `csbsr_book.paper.claims.update_ledger`; do not edit by hand."]
    for claim in load_claims():
        lines += ["", f"[{claim.id}]", f'paper = "{evaluate_on_paper(claim).verdict}"']
        lines += [f'results = "{ours[claim.id].verdict}"']
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    after = load_ledger(path)
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def claims_text(results: Results) -> str:
    """Return one line per claim (printed numbers, our results, id) and the counts of verdicts."""
    ours = verdicts_on_results(results)
    rows = [(evaluate_on_paper(c).verdict, ours[c.id].verdict, c.id) for c in load_claims()]
    lines = [f"{'printed numbers':<21}{'our results':<21}claim"]
    lines += [f"{paper:<21}{word:<21}{name}" for paper, word, name in rows]
    counts = [Counter(column) for column in list(zip(*rows))[:2]]
    lines += ["", f"{'':<21}{'printed numbers':>17}{'our results':>17}"]
    lines += [f"{word:<21}{counts[0][word]:>17}{counts[1][word]:>17}" for word in WORDS]
    return "\n".join(lines)
