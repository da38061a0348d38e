"""The page of claims: the paper's sentences with both verdicts, as data and as folded rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from csbsr.study.contrasts import Verdict
from csbsr.study.registered import PrimaryOutcome, Results, registration
from csbsr.study.results import ResultFile
from csbsr_book.paper.checks import Check
from csbsr_book.paper.claims import (
    ABOUT,
    SENTENCE_WORDS,
    Claim,
    Question,
    Statement,
    load_claims,
    load_questions,
    printed_verdicts,
    runs_behind,
    verdicts_on_results,
    word,
    words_by_reading,
)
from csbsr_book.paper.numbers import studies
from csbsr_book.paper.reading import REASONS, Sentence, by_eye, load_sections
from csbsr_book.site.display import render
from csbsr_book.site.exhibit import place_of
from csbsr_book.site.table import Column, Content, Line, Number, Table, TableCell, Words, html

Verdicts = Mapping[str, Verdict]
"""Verdicts of our results by sub-claim, as `verdicts_on_results` gives them."""
Entry = dict[str, Any]
"""JSON of one statement, see `claims_data`."""


def claims_data(results: Results) -> dict[str, Any]:
    """Return all that is known of the claims, as JSON values.

    `words`, `about` and `sections` (id, title) are what can be filtered by, in their order.
    `claims` (the paper's sentences) and `questions` (ours) have: id, quote and place, or question
    and why; about, kind, section; `link` to its row; the words `printed` and `ours` (None where no
    run has anything to say); `readings` with what they say, their words and `parts` (sub-claims:
    id, compared, metrics, experiments, both verdicts with evidence); `runs`, the result files
    behind it; `tested`, the questions that bear on it.
    """
    ours, candidates = verdicts_on_results(results), studies(results)
    section_of = {c.id: section.id for section in load_sections() for c in section.claims()}
    tested = {
        s.claim: [s.tested]
        for section in load_sections()
        for s in section.sentences
        if s.claim and s.tested and not s.quote
    }
    claims = [
        _entry(claim, ours)
        | {"quote": claim.quote, "place": claim.place, "kind": claim.kind}
        | {"section": section_of[claim.id], "tested": tested.get(claim.id, [])}
        | {"runs": _sources(runs_behind(claim, candidates))}
        for claim in load_claims()
    ]
    questions = [
        _entry(question, ours)
        | {"question": question.question, "why": question.why}
        | {"runs": _sources(runs_behind(question, candidates))}
        for question in load_questions()
    ]
    return {
        "words": list(SENTENCE_WORDS),
        "about": list(ABOUT),
        "sections": [{"id": s.id, "title": s.title} for s in load_sections()],
        "claims": claims,
        "questions": questions,
    }


def _entry(statement: Statement, ours: Verdicts) -> Entry:
    printed = printed_verdicts()
    words = zip(words_by_reading(statement, printed), words_by_reading(statement, ours))
    readings = [
        {
            "says": reading.says,
            "printed": on_paper,
            "ours": on_results,
            "parts": [
                {
                    "id": sub.id,
                    "compared": compared(sub.check),
                    "metrics": list(sub.check.metrics),
                    "experiments": list(sub.check.named_experiments()),
                    "printed": printed[sub.id]._asdict(),
                    "ours": ours[sub.id]._asdict() if sub.id in ours else None,
                }
                for sub in subs
            ],
        }
        for reading, subs, (on_paper, on_results) in zip(
            statement.readings, statement.by_reading(), words
        )
    ]
    return {
        "id": statement.id,
        "about": statement.about,
        "link": f"a5-claims.html#claim-{statement.id}",
        "printed": word(statement, printed),
        "ours": word(statement, ours),
        "readings": readings,
    }


def _sources(runs: Sequence[ResultFile]) -> list[dict[str, object]]:
    return [
        {"experiment": r.experiment, "seed": r.seed, "file": "/".join(place_of(r))} for r in runs
    ]


def sentences(data: Mapping[str, Any], *sections: str) -> tuple[Markup, list[Entry]]:
    """Return folded rows of the paper's sentences in these sections, and their JSON.

    `data` as `claims_data` gives it; ValueError for a section that has no claim.
    """
    known = {section["id"] for section in data["sections"]}
    if unknown := set(sections) - known:
        raise ValueError(f"section '{min(unknown)}' is unknown; choose from {', '.join(known)}")
    found = [entry for entry in data["claims"] if entry["section"] in sections]
    return _rows(found), found


def questions(data: Mapping[str, Any]) -> tuple[Markup, list[Entry]]:
    """Return folded rows of what else was tested, and their JSON."""
    return _rows(data["questions"]), data["questions"]


def _rows(entries: Sequence[Entry]) -> Markup:
    shown = [
        (entry, [html(_reading_table(entry, r)) for r in entry["readings"]]) for entry in entries
    ]
    return render("claims.html", entries=shown)


def _reading_table(entry: Entry, reading: Mapping[str, Any]) -> Table:
    """What a reading compares, a row for each sub-claim; ids are anchors."""
    rows = [
        [
            TableCell(
                (part["compared"],),
                anchor="" if part["id"] == entry["id"] else f"claim-{part['id']}",
            ),
            verdict_cell(Verdict(**part["printed"])),
            verdict_cell(part["ours"] and Verdict(**part["ours"])),
        ]
        for part in reading["parts"]
    ]
    caption = f"Read as: {reading['says']}" if reading["says"] else "As it stands"
    return Table(caption, ["Compared", "Printed numbers", "Our results"], rows)


def verdict_cell(verdict: Verdict | None) -> TableCell:
    """The word as a label, the numbers below it; a dash where there is nothing to say."""
    if verdict is None:
        return TableCell((Words("needs no run", "place"),))
    return TableCell((Words(verdict.verdict, "verdict"), Words(verdict.evidence, "evidence")))


def compared(check: Check) -> str:
    """Return what a sub-claim compares, in a few words."""
    what = ", ".join((*check.metrics, *check.parameters)) or "computed on an example"
    if check.left:
        return f"{what}: {_some(check.left)} against {_some(check.right)}"
    if check.type == "rank":
        return f"{what}: place of {check.experiments[0]} among {len(check.experiments)}"
    return f"{what}: {_some(check.experiments)}" if check.experiments else what


def _some(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more"


def reading_list(ours: Verdicts) -> Markup:
    """Return the paper sentence by sentence, folded by section: its claim, or why it has none."""
    known = {claim.id: claim for claim in load_claims()}
    asked = {question.id: question for question in load_questions()}
    shown = []
    for section in load_sections():
        rows = [_reading_row(sentence, known, asked, ours) for sentence in section.sentences]
        table = Table(section.title, [Column("Sentence", prose=True), "Claim, or why none"], rows)
        judged = sum(bool(sentence.claim) for sentence in section.sentences)
        shown.append((section.title, len(rows), judged, html(table)))
    return render("reading.html", sections=shown, reasons=REASONS)


def _reading_row(
    sentence: Sentence,
    known: Mapping[str, Claim],
    asked: Mapping[str, Question],
    ours: Verdicts,
) -> list[Content]:
    lines: list[Line] = []
    if claim := known.get(sentence.claim):
        again = "again: " if sentence.quote else ""
        lines.append((again, Words(claim.id, link=f"#claim-{claim.id}")))
        printed, found = word(claim, printed_verdicts()), word(claim, ours)
        lines.append(Words(f"printed: {printed}; ours: {found or 'needs no run'}", "evidence"))
    else:
        figure = f", {sentence.figure.replace('-', ' ')}" if sentence.figure else ""
        lines.append(f"{sentence.why}{figure}")
    if sentence.remark:
        lines.append(Words(sentence.remark, "place"))
    if question := asked.get(sentence.tested):
        lines.append(("tested: ", Words(question.question, link=f"#claim-{question.id}")))
    quote = sentence.quote or known[sentence.claim].quote
    return [TableCell((Words(quote, "quote"),)), TableCell(tuple(lines))]


def by_eye_table() -> Table:
    """The sentences about pictures that no number decides."""
    rows = [
        [TableCell((Words(s.quote, "quote"),)), s.figure.replace("-", " ").capitalize()]
        for s in by_eye()
    ]
    return Table("By eye, not counted", [Column("Sentence", prose=True), "Figure"], rows)


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
