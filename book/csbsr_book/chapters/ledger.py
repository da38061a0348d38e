"""HTML of the pages about the paper: claims, inconsistencies, deviations."""

import html
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
from csbsr_book.paper.deviations import Deviation, load_deviations
from csbsr_book.paper.inconsistencies import load_inconsistencies
from csbsr_book.paper.printed import Value, load_parameters
from csbsr_book.site.display import table_html

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


def claims_table(claims: Sequence[Claim], ours: Verdicts) -> str:
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
                verdict_html(ours[claim.id]),
            ]
            for claim in family
        ]
        caption = f"\u201c{quote}\u201d ({place})" + (f" {note}" if note else "")
        header = ("Compared", "Printed numbers", "Our results")
        tables.append(table_html(header, rows, caption=caption))
    return "\n".join(tables)


def claims_summary(ours: Verdicts) -> str:
    """Return a table that counts the verdicts of all claims."""
    claims = load_claims()
    paper = Counter(evaluate_on_paper(c).verdict for c in claims)
    counted = Counter(ours[c.id].verdict for c in claims)
    rows = [[word, str(paper[word]), str(counted[word])] for word in WORDS]
    rows.append(["claims in all", str(len(claims)), str(len(claims))])
    header = ("Verdict", "Printed numbers", "Our results")
    return table_html(header, rows, caption="Verdicts on the paper's claims")


def primary_table(outcomes: Mapping[str, PrimaryOutcome]) -> str:
    """Return what was registered before it was run, and what came of it."""
    rows = [
        [
            f"{html.escape(outcome.registered.question)}{_place(outcome.registered.id)}",
            f"{outcome.registered.smallest:g} {outcome.registered.metric}"
            f"{_place(outcome.registered.reason)}",
            verdict_html(outcome.verdict),
        ]
        for outcome in outcomes.values()
    ]
    header = ("Question", "Matters from", "Verdict")
    return table_html(header, rows, caption="Registered before it was run, and what came of it")


def smallest_note() -> str:
    """Return from which difference on each metric matters, in a sentence."""
    known = [f"{name} {found.value:g}" for name, found in registration().smallest.items()]
    return f"<p>A difference matters from: {html.escape(', '.join(known))}.</p>"


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
        "Our choice (option: PRINTED / RELEASED)",
        "Measured effect",
    )
    return table_html(header, rows, caption="Where text and released code differ")


OURS: Mapping[str, Callable[[Profile], object]] = {
    "hr_size": lambda p: p.images.synthetic_size,
    "training_images": lambda p: p.images.synthetic_train,
    "comparison_test_images": lambda p: p.images.synthetic_test,
    "iterations_step1": lambda p: p.step1.iterations,
    "iterations_step2": lambda p: p.step2.iterations,
    "iterations_step3": lambda p: p.step3.iterations,
    "batch": lambda p: p.step3.batch,
    "learning_rate_step1": lambda p: p.step1.lr_sr,
    "learning_rate_steps2and3": lambda p: p.step3.lr_sr,
}
"""Parameters that a profile changes, and where it keeps them; images are the synthetic ones."""


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
        return html.escape(str(value))
    if isinstance(value, float) and 0 < abs(value) < 1e-2:
        return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-")
    return f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}"


def hyperparameter_table() -> str:
    """HTML: every hyper-parameter that the paper states, its place, and the profiles' values."""
    profiles = [load_profile(name) for name in NAMES]
    rows = []
    for name, parameter in load_parameters().items():
        symbol = f" {parameter.symbol}" if parameter.symbol else ""
        unit = f" {parameter.unit}" if parameter.unit else ""
        label = html.escape(f"{name.replace('_', ' ')}{symbol}")
        ours = ["as given" if name in GIVEN else "the same"] * len(profiles)
        if name in OURS:
            ours = [_text(OURS[name](p)) for p in profiles]
        printed = _text(parameter.value, BETWEEN.get(name, ", "))
        rows.append([label, f"{printed}{html.escape(unit)}", parameter.place, *ours])
    header = ("Parameter", "Paper", "Place", *NAMES)
    return table_html(header, rows, caption="Hyper-parameters: paper, and the profiles of the book")


def protocol_table(names: Sequence[str]) -> str:
    """HTML: some options in which text and released code differ, in both protocols."""
    paper, released = PRINTED.options(), RELEASED.options()
    rows = [
        [f"<code>{name}</code>", html.escape(str(paper[name])), html.escape(str(released[name]))]
        for name in names
    ]
    header = ("Option", "Paper's text", "Authors' code")
    return table_html(header, rows, caption="Where text and code of the setup differ")


def verdicts_by_part(ours: Verdicts) -> str:
    """HTML: for each part of the paper how many claims hold, by its numbers and by ours."""
    rows = []
    for part in PARTS:
        claims = claims_of(part)
        printed = Counter(evaluate_on_paper(claim).verdict for claim in claims)
        counted = Counter(ours[claim.id].verdict for claim in claims)
        cells = [str(printed[word] or "–") for word in PRINTED_WORDS]
        cells += [str(counted[word] or "–") for word in WORDS]
        rows.append([part, str(len(claims)), *cells])
    words = [f"{word}<br>(printed)" for word in PRINTED_WORDS] + [f"{w}<br>(ours)" for w in WORDS]
    header = ("Part", "Claims", *(word.replace("does not ", "does not<br>") for word in words))
    return table_html(header, rows, caption="Verdicts by part of the paper")
