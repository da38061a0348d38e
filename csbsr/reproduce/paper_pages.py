"""HTML of the pages about the paper: claims, inconsistencies, deviations."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from csbsr.reproduce.claim_numbers import seed_sd
from csbsr.reproduce.claims import (
    Claim,
    Result,
    evaluate_on_paper,
    evaluate_on_results,
    load_by_eye,
    load_claims,
)
from csbsr.reproduce.deviations import Deviation, load_deviations
from csbsr.reproduce.display import table_html
from csbsr.reproduce.inconsistencies import load_inconsistencies
from csbsr.reproduce.paper import read_toml
from csbsr.reproduce.verdicts import WORDS, Verdict

Results = Mapping[str, Sequence[Result]]
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
SEVERITY_TITLES: Mapping[str, str] = {
    "numbers": "Text, marks and numbers",
    "equation": "Equations",
    "reference": "References",
    "wording": "Statements against each other",
}


def verdict_html(verdict: Verdict) -> str:
    """Return the word as a label, the numbers below it."""
    style = "fails" if verdict.verdict == "does not hold" else verdict.verdict.replace(" ", "-")
    label = f'<span class="verdict verdict-{style}">{verdict.verdict}</span>'
    return f'{label}<br><span class="evidence">{html.escape(verdict.evidence)}</span>'


def _prose(content: str) -> str:
    """Mark a cell of sentences, which style sheets keep wide enough to read."""
    return f'<div class="prose">{content}</div>'


def _quote(text: str) -> str:
    return f"<q>{html.escape(text)}</q>"


def _place(text: str) -> str:
    return f'<br><span class="place">{html.escape(text)}</span>'


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


def claims_table(claims: Sequence[Claim], results: Results) -> str:
    """Return one table per statement, a row per claim made of it; ids are anchors.

    The caption holds quote, place and how words became numbers; the columns are what is compared,
    the verdict of the printed numbers, and that of our results.
    """
    tables = []
    for (quote, place, note), family in groupby(claims, lambda c: (c.quote, c.place, c.note)):
        rows = [
            [
                f'<span id="claim-{claim.id}">{html.escape(compared(claim))}</span>',
                verdict_html(evaluate_on_paper(claim)),
                verdict_html(evaluate_on_results(claim, results)),
            ]
            for claim in family
        ]
        caption = f"\u201c{quote}\u201d ({place})" + (f" {note}" if note else "")
        header = ("Compared", "Printed numbers", "Our results")
        tables.append(table_html(header, rows, caption=caption))
    return "\n".join(tables)


def claims_summary(results: Results) -> str:
    """Return a table that counts the verdicts of all claims."""
    claims = load_claims()
    paper = Counter(evaluate_on_paper(c).verdict for c in claims)
    ours = Counter(evaluate_on_results(c, results).verdict for c in claims)
    rows = [[word, str(paper[word]), str(ours[word])] for word in WORDS]
    rows.append(["claims in all", str(len(claims)), str(len(claims))])
    header = ("Verdict", "Printed numbers", "Our results")
    return table_html(header, rows, caption="Verdicts on the paper's claims")


def noise_note() -> str:
    """Return the spread over seeds that one run is judged by, in a sentence."""
    known = [f"{metric} {value:g}" for metric, value in seed_sd().items()]
    source = read_toml("claims")["seed_sd"]["source"]
    return (
        f"<p>Documented spread of one run over seeds: {html.escape(', '.join(known))}. "
        f"Source: {html.escape(source)}. It is a lower bound for other settings.</p>"
    )


def by_eye_table() -> str:
    """Return the statements about pictures, which are not judged by the machine."""
    rows = [
        [
            f'<span id="claim-{c.id}">{_quote(c.quote)}</span>{_place(c.place)}',
            html.escape(c.figure.replace("-", " ").capitalize()),
        ]
        for c in load_by_eye()
    ]
    return table_html(("Statement", "Figure"), rows, caption="Judged by eye, not counted")


def inconsistencies_table(severity: str) -> str:
    """Return the inconsistencies of one severity; ids are anchors."""
    rows = []
    for entry in load_inconsistencies():
        if entry.severity != severity:
            continue
        second = _quote(entry.other) if entry.other else html.escape(entry.finding)
        evidence = html.escape(entry.computed_evidence())
        links = " ".join(f'<a href="a5-claims.html#claim-{c}">{c}</a>' for c in entry.claims)
        where = f'<br><span class="place">Claims: {links}</span>' if links else ""
        rows.append(
            [
                f'<span id="inconsistency-{entry.id}">{_quote(entry.one)}</span>'
                f"{_place(entry.one_place)}",
                f"{second}{_place(entry.other_place)}",
                _prose(
                    html.escape(entry.explanation)
                    + (f'<br><span class="evidence">{evidence}</span>' if evidence else "")
                    + where
                ),
            ]
        )
    header = ("One place says", "Another", "What does not fit")
    return table_html(header, rows, caption=SEVERITY_TITLES[severity])


def _settings(row: Deviation) -> str:
    lines = [
        f"<code>{option}</code>: {html.escape(str(paper))} / {html.escape(str(released))}"
        for option, paper, released in row.settings()
    ]
    return "<br>".join(lines)


def deviations_table() -> str:
    """Return the deviations: paper, released code, our choice with its option, measured effect."""
    rows = []
    for row in load_deviations():
        settings = _settings(row)
        choice = html.escape(row.choice) + (f"<br>{settings}" if settings else "")
        effect = html.escape(row.measured_effect())
        topic = f'<span id="deviation-{row.id}">{html.escape(row.topic)}</span>'
        cells = (html.escape(row.paper), html.escape(row.code), choice, effect)
        rows.append([topic, *map(_prose, cells)])
    header = (
        "Topic",
        "Paper says",
        "Released code does",
        "Our choice (option: PAPER / RELEASED)",
        "Measured effect",
    )
    return table_html(header, rows, caption="Where text and released code differ")
