"""Tables of the pages about the paper: claims, inconsistencies, deviations."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from csbsr.protocol import PRINTED, RELEASED
from csbsr.study.contrasts import WORDS, Verdict, Word
from csbsr.study.profiles import NAMES, Profile, load_profile
from csbsr.study.registered import PrimaryOutcome, registration
from csbsr_book.paper.claims import (
    Claim,
    evaluate_on_paper,
    load_by_eye,
    load_claims,
)
from csbsr_book.paper.deviations import load_deviations
from csbsr_book.paper.inconsistencies import load_inconsistencies
from csbsr_book.paper.printed import Value, load_parameters
from csbsr_book.site.table import Column, Content, Line, Number, Table, TableCell, Words

Verdicts = Mapping[str, Verdict]
"""Verdicts of our results by claim id, as `verdicts_on_results` gives them."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "data": ("data-",),
    "comparison": ("t2-",),
    "curves": ("f6-", "f7-"),
    "joint learning": ("joint-", "blind-"),
    "beta": ("t3-",),
    "losses": ("t4-", "f12-"),
    "weights": ("t5-",),
    "blur skip": ("t6-", "s3d-"),
    "examples": ("x-",),
    "percentile": ("p-",),
}
"""Parts of the claims page, and how the ids of their claims begin."""
PRINTED_WORDS: tuple[Word, ...] = ("holds", "does not hold", "undecided")
"""Printed numbers are exact: none is too small, none has not been run."""
SEVERITY_TITLES: Mapping[str, str] = {
    "numbers": "Text, marks and numbers",
    "equation": "Equations",
    "reference": "References",
    "wording": "Statements against each other",
}


def verdict_cell(verdict: Verdict) -> TableCell:
    """The word as a label, the numbers below it."""
    return TableCell((Words(verdict.verdict, "verdict"), Words(verdict.evidence, "evidence")))


def claims_of(part: str) -> list[Claim]:
    """Return the claims of one part of the page; ValueError for an unknown part."""
    if part not in PARTS:
        raise ValueError(f"part '{part}' is unknown; choose one of {', '.join(PARTS)}")
    return [claim for claim in load_claims() if claim.id.startswith(PARTS[part])]


def compared(claim: Claim) -> str:
    """Return what a claim compares in a few words: metrics, and experiments if they are two."""
    what = ", ".join(claim.metrics or claim.check.parameters)
    sides = (*claim.check.left, *claim.check.right)
    if len(sides) == 2:
        what += f": {sides[0]} against {sides[1]}"
    return what or "computed on an example"


def claims_tables(claims: Sequence[Claim], ours: Verdicts) -> list[Table]:
    """One table per statement, a row per claim made of it; ids are anchors.

    The caption holds quote, place and how words became numbers; the columns are what is compared,
    the verdict of the printed numbers, and that of our results.
    """
    tables = []
    for (quote, place, note), family in groupby(claims, lambda c: (c.quote, c.place, c.note)):
        rows = [
            [
                TableCell((compared(claim),), anchor=f"claim-{claim.id}"),
                verdict_cell(evaluate_on_paper(claim)),
                verdict_cell(ours[claim.id]),
            ]
            for claim in family
        ]
        caption = f"\u201c{quote}\u201d ({place})" + (f" {note}" if note else "")
        tables.append(Table(caption, ["Compared", "Printed numbers", "Our results"], rows))
    return tables


def claims_summary(ours: Verdicts) -> Table:
    """The verdicts of all claims, counted."""
    claims = load_claims()
    paper = Counter(evaluate_on_paper(c).verdict for c in claims)
    counted = Counter(ours[c.id].verdict for c in claims)
    rows = [[word, paper[word], counted[word]] for word in WORDS]
    rows.append(["claims in all", len(claims), len(claims)])
    columns = ["Verdict", "Printed numbers", "Our results"]
    return Table("Verdicts on the paper's claims", columns, rows)


def primary_table(outcomes: Mapping[str, PrimaryOutcome]) -> Table:
    """What was registered before it was run, from which difference it matters, what came of it."""
    rows = []
    for outcome in outcomes.values():
        asked = outcome.registered
        limit = Number(asked.smallest, shown=f"{asked.smallest:g} {asked.metric}")
        rows.append(
            [
                TableCell((asked.question, Words(asked.id, "place"))),
                TableCell((limit, Words(asked.reason, "place"))),
                verdict_cell(outcome.verdict),
            ]
        )
    known = ", ".join(f"{n} {found.value:g}" for n, found in registration().smallest.items())
    return Table(
        "Registered before it was run, and what came of it",
        ["Question", "Matters from", "Verdict"],
        rows,
        notes=[f"A difference matters from: {known}."],
    )


def by_eye_table() -> Table:
    """The statements about pictures, which are not judged by the machine."""
    rows = [
        [
            TableCell((Words(c.quote, "quote"), Words(c.place, "place")), anchor=f"claim-{c.id}"),
            c.figure.replace("-", " ").capitalize(),
        ]
        for c in load_by_eye()
    ]
    return Table("Judged by eye, not counted", ["Statement", "Figure"], rows)


def inconsistencies_table(severity: str) -> Table:
    """The inconsistencies of one severity; ids are anchors."""
    rows = []
    for entry in load_inconsistencies():
        if entry.severity != severity:
            continue
        one = (Words(entry.one, "quote"), Words(entry.one_place, "place"))
        other = Words(entry.other, "quote") if entry.other else entry.finding
        why: list[Line] = [entry.explanation]
        if evidence := entry.computed_evidence():
            why.append(Words(evidence, "evidence"))
        if entry.claims:
            links = [Words(c, link=f"a5-claims.html#claim-{c}") for c in entry.claims]
            why.append(("Claims:", *(piece for link in links for piece in (" ", link))))
        rows.append(
            [
                TableCell(one, anchor=f"inconsistency-{entry.id}"),
                TableCell((other, Words(entry.other_place, "place"))),
                TableCell(tuple(why)),
            ]
        )
    columns = ["One place says", "Another", Column("What does not fit", prose=True)]
    return Table(SEVERITY_TITLES[severity], columns, rows)


def deviations_table() -> Table:
    """The deviations: paper, released code, our choice with its option, measured effect."""
    rows = []
    for row in load_deviations():
        settings = [
            (Words(option, "code"), f": {' / '.join(map(str, values))}")
            for option, values in row.settings()
        ]
        topic = TableCell((row.topic,), anchor=f"deviation-{row.id}")
        choice = TableCell((row.choice, *settings))
        rows.append([topic, row.paper, row.code, choice, row.measured_effect()])
    titles = (
        "Paper says",
        "Released code does",
        "Our choice (option: PRINTED / RELEASED / REPRODUCTION)",
        "Measured effect",
    )
    columns = ["Topic", *(Column(title, prose=True) for title in titles)]
    return Table("Where text and released code differ", columns, rows)


OURS: Mapping[str, Callable[[Profile], object]] = {
    "hr_size": lambda p: p.images.synthetic_size,
    "training_images": lambda p: p.images.synthetic_train,
    "comparison_test_images": lambda p: p.images.synthetic_test,
    "iterations_step1": lambda p: p.step1.iterations,
    "iterations_step2": lambda p: p.step2.iterations,
    "iterations_step3": lambda p: p.step3.iterations,
    "batch": lambda p: p.step3.batch,
    "learning_rate_step1": lambda p: p.step1.lr_sr,
}
"""Parameters that a profile changes, and where it keeps them; images are the synthetic ones."""


SPLIT: Mapping[str, Mapping[str, Callable[[Profile], object]]] = {
    "learning_rate_steps2and3": {
        "learning rate, step 2": lambda p: p.step2.lr_sr,
        "learning rate of S, step 3": lambda p: p.step3.lr_sr,
        "learning rate of C, step 3": lambda p: p.step3.lr_segmentation,
    }
}
"""Parameters of which a profile has several."""

GIVEN = (
    "div2k_images", "flickr2k_images", "pretraining_images", "validation_images",
    "test_images", "real_images", "real_image_size",
)  # fmt: skip
"""Counts that depend on the folders a run is given, not on a profile."""
BETWEEN: Mapping[str, str] = {"blur_variance": " to ", "real_image_size": " × "}


def _text(value: Value | object, between: str = ", ") -> str:
    if isinstance(value, tuple):
        return between.join(map(_text, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and 0 < abs(value) < 1e-2:
        return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")
    return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"


def _stated(value: Value | object, between: str = ", ", unit: str = "") -> Content:
    """A stated value as a cell: numbers stay numbers, lists are words."""
    text = f"{_text(value, between)}{unit}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Number(value, shown=text) if is_number else text


def hyperparameter_table() -> Table:
    """Every hyper-parameter that the paper states, its place, and the profiles' values."""
    profiles = [load_profile(name) for name in NAMES]
    rows = []
    for name, parameter in load_parameters().items():
        words = name.replace("_", " ")
        symbol = f" {parameter.symbol}" if parameter.symbol not in ("", words) else ""
        unit = f" {parameter.unit}" if parameter.unit else ""
        printed = _stated(parameter.value, BETWEEN.get(name, ", "), unit)
        for label, chosen in SPLIT.get(name, {f"{words}{symbol}": OURS.get(name)}).items():
            ours: list[Content] = ["as given" if name in GIVEN else "the same"] * len(profiles)
            if chosen:
                ours = [_stated(chosen(p)) for p in profiles]
            rows.append([label, printed, parameter.place, *ours])
    crops = [_stated(p.images.crop or "as the protocol has it") for p in profiles]
    rows.append(["training crop", "none, and a random one", "Sec. IV-A", *crops])
    caption = "Hyper-parameters: paper, and the profiles of the book"
    return Table(caption, ["Parameter", "Paper", "Place", *NAMES], rows)


def protocol_table(names: Sequence[str]) -> Table:
    """Some options in which text and released code differ, in both protocols."""
    paper, released = PRINTED.options(), RELEASED.options()
    rows = [[Words(name, "code"), str(paper[name]), str(released[name])] for name in names]
    columns = ["Option", "Paper's text", "Authors' code"]
    return Table("Where text and code of the setup differ", columns, rows)


def verdicts_by_part(ours: Verdicts) -> Table:
    """For each part of the paper how many claims hold, by its numbers and by ours."""
    rows = []
    for part in PARTS:
        claims = claims_of(part)
        paper = Counter(evaluate_on_paper(claim).verdict for claim in claims)
        counted = Counter(ours[claim.id].verdict for claim in claims)
        counts = [*(paper[word] for word in PRINTED_WORDS), *(counted[word] for word in WORDS)]
        rows.append([part, len(claims), *(count or None for count in counts)])
    columns = [
        *(Column(word, note="(printed)") for word in PRINTED_WORDS),
        *(Column(word, note="(ours)") for word in WORDS),
    ]
    return Table("Verdicts by part of the paper", ["Part", "Claims", *columns], rows)
