"""HTML of the pages about the paper: claims, inconsistencies, deviations."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence

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
from csbsr.reproduce.inconsistencies import SEVERITIES, load_inconsistencies
from csbsr.reproduce.verdicts import WORDS, Verdict

Results = Mapping[str, Sequence[Result]]
PARTS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("Data", ("data-",)),
    ("Table II: comparison", ("t2-",)),
    ("Figures 6 and 7: curves over thresholds", ("f6-", "f7-")),
    ("Joint learning and blind super-resolution", ("joint-", "blind-")),
    ("Table III: effect of beta", ("t3-",)),
    ("Table IV, Figures 12 and 13: losses", ("t4-", "f12-")),
    ("Table V: weights of the SR loss", ("t5-",)),
    ("Table VI, Sec. III-D: blur skip", ("t6-", "s3d-")),
)
"""Headings of the claims page, and how the ids of their claims begin."""
SEVERITY_TITLES: Mapping[str, str] = {
    "numbers": "Text, marks and numbers",
    "equation": "Equations",
    "reference": "References",
    "wording": "Statements against each other",
}


def verdict_html(verdict: Verdict) -> str:
    """Return the word as a label, the numbers below it."""
    style = verdict.verdict.replace(" ", "-")
    label = f'<span class="verdict verdict-{style}">{verdict.verdict}</span>'
    return f'{label}<br><span class="evidence">{html.escape(verdict.evidence)}</span>'


def _quote(text: str) -> str:
    return f"<q>{html.escape(text)}</q>"


def _place(text: str) -> str:
    return f'<br><span class="place">{html.escape(text)}</span>'


def claims_table(claims: Sequence[Claim], results: Results, caption: str = "Claims") -> str:
    """Return one table of claims: statement, printed numbers, our results; ids are anchors."""
    rows = []
    for claim in claims:
        note = f'<br><span class="note">{html.escape(claim.note)}</span>' if claim.note else ""
        reads = ", ".join(claim.metrics) or ", ".join(claim.check.parameters)
        rows.append(
            [
                f'<span id="claim-{claim.id}">{_quote(claim.quote)}</span>{_place(claim.place)}',
                f"{html.escape(reads)}{note}",
                verdict_html(evaluate_on_paper(claim)),
                verdict_html(evaluate_on_results(claim, results)),
            ]
        )
    header = ("Statement", "What is compared", "Printed numbers", "Our results")
    return table_html(header, rows, caption=caption)


def claims_summary(results: Results) -> str:
    """Return a table that counts the verdicts of all claims."""
    claims = load_claims()
    paper = Counter(evaluate_on_paper(c).verdict for c in claims)
    ours = Counter(evaluate_on_results(c, results).verdict for c in claims)
    rows = [[word, str(paper[word]), str(ours[word])] for word in WORDS]
    rows.append(["claims in all", str(len(claims)), str(len(claims))])
    header = ("Verdict", "Printed numbers", "Our results")
    return table_html(header, rows, caption="Verdicts on the paper's claims")


def by_eye_table() -> str:
    """Return the statements about pictures, which are not judged by the machine."""
    rows = [
        [
            f'<span id="claim-{c.id}">{_quote(c.quote)}</span>{_place(c.place)}',
            f'<a href="#{c.figure}">{html.escape(c.figure)}</a>' if c.figure else "",
        ]
        for c in load_by_eye()
    ]
    return table_html(("Statement", "Figure"), rows, caption="Judged by eye, not counted")


def claims_page(results: Results) -> str:
    """Return the generated part of the claims page: summary, one table per part, by eye."""
    blocks = [claims_summary(results)]
    for title, prefixes in PARTS:
        claims = [c for c in load_claims() if c.id.startswith(prefixes)]
        blocks += [f"<h2>{html.escape(title)}</h2>", claims_table(claims, results, title)]
    blocks += ["<h2>Judged by eye</h2>", by_eye_table()]
    return "\n".join(blocks)


def inconsistencies_table(severity: str) -> str:
    """Return the inconsistencies of one severity; ids are anchors."""
    rows = []
    for entry in load_inconsistencies():
        if entry.severity != severity:
            continue
        second = _quote(entry.other) if entry.other else html.escape(entry.finding)
        evidence = html.escape(entry.computed_evidence())
        links = " ".join(f'<a href="claims.html#claim-{c}">{c}</a>' for c in entry.claims)
        where = f'<br><span class="place">Claims: {links}</span>' if links else ""
        rows.append(
            [
                f'<span id="inconsistency-{entry.id}">{_quote(entry.one)}</span>'
                f"{_place(entry.one_place)}",
                f"{second}{_place(entry.other_place)}",
                html.escape(entry.explanation)
                + (f'<br><span class="evidence">{evidence}</span>' if evidence else "")
                + where,
            ]
        )
    header = ("One place says", "Another", "What does not fit")
    return table_html(header, rows, caption=SEVERITY_TITLES[severity])


def inconsistencies_page() -> str:
    """Return the generated part of the inconsistencies page: one table per severity."""
    blocks = [f"<p>{len(load_inconsistencies())} places.</p>"]
    for severity in SEVERITIES:
        blocks += [f"<h2>{SEVERITY_TITLES[severity]}</h2>", inconsistencies_table(severity)]
    return "\n".join(blocks)


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
        rows.append([topic, html.escape(row.paper), html.escape(row.code), choice, effect])
    header = (
        "Topic",
        "Paper says",
        "Released code does",
        "Our choice (option: PAPER / RELEASED)",
        "Measured effect",
    )
    return table_html(header, rows, caption="Where text and released code differ")
