"""Tables about the paper as a whole: verdicts counted, inconsistencies, deviations, parameters."""

from collections.abc import Callable, Mapping, Sequence

from csbsr.protocol import PRINTED, RELEASED
from csbsr.study.contrasts import Verdict
from csbsr.study.profiles import NAMES, Profile, load_profile
from csbsr_book.paper.claims import (
    ABOUT,
    SENTENCE_WORDS,
    counts,
    load_claims,
    load_questions,
    printed_verdicts,
)
from csbsr_book.paper.deviations import load_deviations
from csbsr_book.paper.inconsistencies import Kind, load_inconsistencies
from csbsr_book.paper.printed import Value, load_parameters
from csbsr_book.site.table import Column, Content, Line, Number, Table, TableCell, Words

Verdicts = Mapping[str, Verdict]
"""Verdicts of our results by sub-claim, as `verdicts_on_results` gives them."""
KIND_TITLES: Mapping[Kind, str] = {
    "numbers": "Text against numbers",
    "equation": "Equations",
    "statement": "Statements against each other",
    "typographic": "Typographic",
}


def claims_summary(ours: Verdicts) -> Table:
    """The verdicts on the paper's sentences, counted."""
    claims = load_claims()
    columns = counts(claims, printed_verdicts()), counts(claims, ours)
    rows: list[list[Content]] = [
        [name, *(column[name] for column in columns)] for name in SENTENCE_WORDS
    ]
    rows.append(["needs no run", None, columns[1][None]])
    rows.append(["sentences in all", len(claims), len(claims)])
    parts = sum(len(claim.sub_claims()) for claim in claims)
    note = (
        f"{len(claims)} sentences of the paper, taken apart into {parts} sub-claims with verdicts "
        f"of their own; {len(load_questions())} questions of ours are not counted here."
    )
    titles = ["Verdict", "Printed numbers", "Our results"]
    return Table("Verdicts on the paper's sentences", titles, rows, notes=[note])


def verdicts_by_part(ours: Verdicts) -> Table:
    """For each table and figure how many sentences hold, by its numbers and by ours."""
    by_part = [(about, [c for c in load_claims() if c.about == about]) for about in ABOUT]
    columns: list[Column] = []
    counted: list[list[int]] = [[] for _ in by_part]
    for voice, verdicts in (("printed", printed_verdicts()), ("ours", ours)):
        found = [counts(claims, verdicts) for _, claims in by_part]
        for name in SENTENCE_WORDS:
            if any(count[name] for count in found):
                columns.append(Column(name, note=f"({voice})"))
                for row, count in zip(counted, found):
                    row.append(count[name])
    rows = [
        [about, len(claims), *(number or None for number in row)]
        for (about, claims), row in zip(by_part, counted)
    ]
    return Table("Verdicts by part of the paper", ["Part", "Sentences", *columns], rows)


def inconsistencies_table(kind: Kind) -> Table:
    """The inconsistencies of one kind, each with its most charitable reading; ids are anchors."""
    rows = []
    for entry in load_inconsistencies():
        if entry.kind != kind:
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
                entry.charitable,
            ]
        )
    last = (Column(title, prose=True) for title in ("What does not fit", "Most charitable reading"))
    return Table(KIND_TITLES[kind], ["One place says", "Another", *last], rows)


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
