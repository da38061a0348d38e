"""The claims ledger: the paper's sentences that a number can decide, each judged twice.

A sentence is one entry. What it says is taken apart into sub-claims, one comparison each, with
verdicts of their own; where it can be read in more than one way, each reading is judged. On the
printed numbers a sub-claim is judged exactly, on our results by contrasts over seeds (see
`csbsr.study.contrasts`). One that asks what was registered has the verdict of that primary
contrast. All others are exploratory; those about one table or figure are a family, within which
Holm's procedure keeps the probability of any false word at 5 %. What we tested beyond the paper's
sentences stands apart, as questions of ours.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar, get_args

from csbsr import toml
from csbsr.study.contrasts import WORDS, Judgement, Verdict, Word, settle
from csbsr.study.registered import (
    CURVE_STEPS,
    FROM_BREAKDOWN,
    QUOTIENTS,
    PrimaryOutcome,
    Results,
    primary_outcomes,
    registration,
)
from csbsr.study.results import ResultFile
from csbsr_book.paper import examples
from csbsr_book.paper.checks import Check, evaluate
from csbsr_book.paper.numbers import PaperNumbers, ResultNumbers, best_study, studies
from csbsr_book.paper.printed import (
    METRICS,
    Table,
    data_file,
    load_parameters,
    load_tables,
)

About = Literal[
    "Data",
    "Table II",
    "Figs. 6 and 7",
    "Figs. 9 to 11",
    "Table III",
    "Table IV",
    "Figs. 12 and 13",
    "Table V",
    "Fig. 14",
    "Table VI",
    "Equations and metrics",
]
"""What a statement is read from; one family of Holm's procedure each."""
ABOUT: tuple[About, ...] = get_args(About)
Kind = Literal[
    "ordering",
    "gap",
    "absolute",
    "ratio",
    "internal arithmetic",
    "stability",
    "curve",
    "images",
]
SentenceWord = Word | Literal["depends on reading"]
"""Verdict on a sentence: that of its readings, where they agree."""
SENTENCE_WORDS: tuple[SentenceWord, ...] = (*WORDS[:2], "depends on reading", *WORDS[2:])
WEIGHTIEST: tuple[Word, ...] = (
    "does not hold",
    "too small to matter",
    "not run",
    "undecided",
    "holds",
)
"""Of several sub-claims that must all hold, the word of the whole is the first that occurs."""
T = TypeVar("T", bound="Statement")


def slug(text: str) -> str:
    """Return the text as part of an id: lower case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@dataclass(frozen=True)
class SubClaim:
    """One comparison with a verdict of its own."""

    id: str
    check: Check


@dataclass(frozen=True)
class Reading:
    """One way to read a statement: all of its checks must hold."""

    checks: tuple[Check, ...]
    says: str = ""
    """How words became numbers, where that is a choice of ours."""
    split: Literal["", "metrics", "left", "right", "experiments"] = ""
    """Field of the checks whose items are sub-claims each."""

    def __post_init__(self) -> None:
        if not self.checks:
            raise ValueError("a reading needs at least one check")

    def sub_claims(self, prefix: str) -> tuple[SubClaim, ...]:
        """Return the comparisons; ids begin with `prefix`."""
        found: list[SubClaim] = []
        for check in self.checks:
            items = getattr(check, self.split) if self.split else ()
            for item in items or ("",):
                one = replace(check, **{self.split: (item,)}) if item else check
                found.append(SubClaim(self._name(prefix, one, item), one))
        return tuple(found)

    def _name(self, prefix: str, check: Check, item: str) -> str:
        """What tells a sub-claim from the others: its item, and of several checks what they ask."""
        words = [prefix]
        if len(self.checks) > 1:
            named = (*check.left, *check.experiments, *check.parameters, check.example)[0]
            measure = check.metrics[0] if len(check.metrics) == 1 else ""
            words += [name for name in (named, measure, check.type) if name != item]
        return "-".join(filter(None, map(slug, [*words, item])))


@dataclass(frozen=True)
class Statement:
    """What is tested: one or several readings, and the table or figure it is about."""

    id: str
    about: About
    readings: tuple[Reading, ...]

    def by_reading(self) -> tuple[tuple[SubClaim, ...], ...]:
        """Return the sub-claims of each reading; letters tell readings apart."""
        letters = "abcdef"[: len(self.readings)] if len(self.readings) > 1 else [""]
        pairs = zip(self.readings, letters, strict=True)
        return tuple(r.sub_claims(f"{self.id}-{letter}".strip("-")) for r, letter in pairs)

    def sub_claims(self) -> tuple[SubClaim, ...]:
        """Return the sub-claims of all readings."""
        return tuple(chain.from_iterable(self.by_reading()))

    @property
    def experiments(self) -> tuple[str, ...]:
        """Experiments whose results it needs."""
        names = (s.check.named_experiments() for s in self.sub_claims() if s.check.needs_runs)
        return tuple(dict.fromkeys(chain.from_iterable(names)))


@dataclass(frozen=True)
class Claim(Statement):
    """A sentence of the paper: a quote that identifies it, and where it stands."""

    quote: str
    place: str
    kind: Kind


@dataclass(frozen=True)
class Question(Statement):
    """A question of ours: the paper does not answer it, or not in words."""

    question: str
    why: str


@dataclass(frozen=True)
class ClaimsFile:
    """The file of claims and questions; in lists of checks a group stands for its members."""

    groups: Mapping[str, tuple[str, ...]]
    claim: tuple[Claim, ...]
    question: tuple[Question, ...] = ()

    def resolved(self) -> tuple[tuple[Claim, ...], tuple[Question, ...]]:
        """Return claims and questions without groups; ValueError names the one at fault."""
        claims = tuple(map(self._without_groups, self.claim))
        questions = tuple(map(self._without_groups, self.question))
        every = (*claims, *questions)
        for ids in ([s.id for s in every], [sub.id for s in every for sub in s.sub_claims()]):
            if twice := {i for i, n in Counter(ids).items() if n > 1}:
                raise ValueError(f"claims.toml: '{min(twice)}' appears twice")
        return claims, questions

    def _without_groups(self, statement: T) -> T:
        try:
            readings = [
                replace(reading, checks=tuple(map(self._expanded, reading.checks)))
                for reading in statement.readings
            ]
        except ValueError as error:
            raise ValueError(f"claims.toml, '{statement.id}': {error}") from None
        return replace(statement, readings=tuple(readings))

    def _expanded(self, check: Check) -> Check:
        lists = {k: v for k, v in vars(check).items() if isinstance(v, tuple)}
        members = {
            k: tuple(chain.from_iterable(self.groups.get(item, (item,)) for item in v))
            for k, v in lists.items()
        }
        check = replace(check, **members)
        known = {*METRICS, *QUOTIENTS, *FROM_BREAKDOWN, "false_alarm_area"}
        for metric in check.metrics:
            if metric not in (CURVE_STEPS if check.type == "curve" else known):
                raise ValueError(f"metric '{metric}' is unknown")
        if check.type == "example" and not hasattr(examples, check.example):
            raise ValueError(f"examples has no function '{check.example}'")
        return check


@cache
def _loaded() -> tuple[tuple[Claim, ...], tuple[Question, ...]]:
    return toml.read(ClaimsFile, data_file("claims.toml")).resolved()


def load_claims() -> tuple[Claim, ...]:
    """Return the paper's sentences that a number can decide, in the order of the paper."""
    return _loaded()[0]


def load_questions() -> tuple[Question, ...]:
    """Return what else was tested: questions of ours, which no headline counts."""
    return _loaded()[1]


def load_statements() -> tuple[Statement, ...]:
    """Return claims and questions."""
    return (*load_claims(), *load_questions())


# -- verdicts of sub-claims ----------------------------------------------------------------------


@cache
def _printed() -> PaperNumbers:
    return PaperNumbers.of(load_tables())


def evaluate_on_paper(check: Check, tables: Mapping[str, Table] | None = None) -> Verdict:
    """Return whether the paper's own printed numbers bear a check out."""
    if check.type == "example":
        return getattr(examples, check.example)()
    if check.type in ("sum", "equal"):
        return examples.evaluate_parameters(check.type, check.parameters, load_parameters())
    numbers = _printed() if tables is None else PaperNumbers.of(tables)
    judgement = evaluate(check, numbers)
    return Verdict(judgement.word(), judgement.evidence)


@cache
def printed_verdicts() -> Mapping[str, Verdict]:
    """Return the verdict of the printed numbers on every sub-claim, by id."""
    return {s.id: evaluate_on_paper(s.check) for c in load_statements() for s in c.sub_claims()}


def registered_as(check: Check) -> str | None:
    """Return the id of the primary contrast that asks just what the check says, if one does."""
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
    """Return by id whether our fresh results (experiment -> runs) bear each sub-claim out.

    Those that need no run are left out. All experiments of a sub-claim are taken from one profile,
    protocol and data set. A comparison that several sentences of a family make is counted once.
    """
    candidates, primary = studies(results), primary_on_results(results)
    families: dict[About, dict[Check, Judgement]] = {}
    verdicts: dict[tuple[About, Check], Verdict] = {}
    asked = {
        sub.id: (statement.about, sub.check)
        for statement in load_statements()
        for sub in statement.sub_claims()
        if sub.check.needs_runs
    }
    for about, check in dict.fromkeys(asked.values()):
        study = best_study(candidates, check.named_experiments())
        outcome = primary.get(registered_as(check) or "")
        if outcome and any(outcome.contrasts):
            word, evidence = outcome.verdict
            name = outcome.registered.id
            verdicts[about, check] = Verdict(word, f"registered contrast {name}: {evidence}")
        elif study is None:
            smoke = any(results.get(name) for name in check.named_experiments())
            why = "only smoke runs, which never count" if smoke else "no result of any experiment"
            verdicts[about, check] = Verdict("not run", why)
        else:
            families.setdefault(about, {})[check] = evaluate(check, study)
    for about, judgements in families.items():
        settled = settle(list(judgements.values()))
        verdicts |= zip(((about, check) for check in judgements), settled)
    return {name: verdicts[place] for name, place in asked.items()}


def runs_behind(statement: Statement, candidates: Sequence[ResultNumbers]) -> list[ResultFile]:
    """Return the result files that a statement is judged by; `candidates` as `studies` gives."""
    found: dict[Path, ResultFile] = {}
    for sub in statement.sub_claims():
        names = sub.check.named_experiments() if sub.check.needs_runs else ()
        if study := best_study(candidates, names):
            found |= {run.path: run for name in names for run in study.runs.get(name, ())}
    return list(found.values())


# -- verdicts of sentences -----------------------------------------------------------------------


def word_of_all(words: Iterable[Word]) -> Word | None:
    """Return the word of a reading, whose sub-claims must all hold; None without any."""
    there = set(words)
    return next((word for word in WEIGHTIEST if word in there), None)


def word_of_readings(words: Sequence[Word]) -> SentenceWord | None:
    """Return the word on a sentence: that of its readings; "not run" while one is not."""
    there = set(words)
    if len(there) < 2:
        return next(iter(there), None)
    return "not run" if "not run" in there else "depends on reading"


def words_by_reading(statement: Statement, verdicts: Mapping[str, Verdict]) -> list[Word | None]:
    """Return the word of each reading, None where it has no sub-claim among the verdicts."""
    return [
        word_of_all(verdicts[sub.id].verdict for sub in subs if sub.id in verdicts)
        for subs in statement.by_reading()
    ]


def word(statement: Statement, verdicts: Mapping[str, Verdict]) -> SentenceWord | None:
    """Return the verdict on a statement; None if these verdicts have nothing to say on it."""
    words = words_by_reading(statement, verdicts)
    return word_of_readings([w for w in words if w is not None])


def counts(
    statements: Iterable[Statement], verdicts: Mapping[str, Verdict]
) -> Counter[SentenceWord | None]:
    """Return how many sentences have each verdict; None counts those that it cannot say."""
    return Counter(word(statement, verdicts) for statement in statements)
