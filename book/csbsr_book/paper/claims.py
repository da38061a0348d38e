"""The claims ledger: every checkable statement of the paper, judged twice.

On the printed numbers a claim is judged exactly. On our results it is judged by contrasts over
seeds (see `csbsr.study.contrasts`). A claim that asks what was registered has the verdict of that
primary contrast. All others are exploratory; those read from one table or figure are a family,
within which Holm's procedure keeps the probability of any false word at 5 %.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Literal

from csbsr import toml
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
    data_file,
    load_parameters,
    load_tables,
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
        if metric not in METRICS and metric not in QUOTIENTS and check.type != "curve":
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
    return toml.parse(path.read_text(encoding="utf-8"), path.name) if path.exists() else {}


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
