"""The deviations as data, and the tables of the pages about the paper."""

import re
from dataclasses import fields
from html.parser import HTMLParser

import pytest

from csbsr.protocol import Protocol
from csbsr.study.registered import registration
from csbsr.toml import build
from csbsr_book.chapters.ledger import (
    PARTS,
    by_eye_table,
    claims_of,
    claims_summary,
    claims_tables,
    deviations_table,
    inconsistencies_table,
    primary_table,
)
from csbsr_book.paper.checks import collect_results
from csbsr_book.paper.claims import (
    claims_text,
    load_by_eye,
    load_claims,
    primary_on_results,
    verdicts_on_results,
)
from csbsr_book.paper.deviations import NOT_MEASURED, Deviation, load_deviations
from csbsr_book.paper.inconsistencies import SEVERITIES, load_inconsistencies
from csbsr_book.site.table import html

ROWS = {row.id: row for row in load_deviations()}
NOT_RUN = verdicts_on_results({})


def test_every_option_of_the_protocol_has_a_row():
    options = [o for row in ROWS.values() for o in row.options]
    assert sorted(options) == sorted({f.name for f in fields(Protocol)} - {"name"})


def test_all_rows_of_the_comparison_of_text_and_code_are_there():
    assert len(ROWS) >= 28
    assert len(ROWS) == len(load_deviations())


@pytest.mark.parametrize("row_id", ROWS)
def test_rows_are_complete_and_effects_are_measured_or_say_so(row_id):
    row = ROWS[row_id]
    assert row.paper.endswith(".")
    assert row.code.endswith(".")
    assert row.choice.endswith(".")
    effect = row.measured_effect()
    assert effect == NOT_MEASURED if not row.effect else re.search(r"\d", effect)
    assert "nan" not in effect


def test_options_whose_values_differ_are_read_from_the_two_protocols():
    assert ROWS["blur-range"].settings() == (("blur_range", ("variance", "std", "std")),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": ["colour"]}, "'colour' is not an option"),
        ({"effect": "magic"}, "no function 'magic'"),
        ({"measured": 1}, "unknown key 'measured'"),
    ],
)
def test_wrong_rows_are_refused(changes, message):
    row = {"id": "x", "topic": "t", "paper": "p.", "code": "c.", "choice": "o."}
    assert build(Deviation, row, "deviations.toml").measured_effect() == NOT_MEASURED
    with pytest.raises(ValueError, match=message):
        build(Deviation, {**row, **changes}, "deviations.toml")


def inconsistencies():
    return "".join(html(inconsistencies_table(severity)) for severity in SEVERITIES)


class Outline(HTMLParser):
    """Collects ids and checks that tags close in order."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.open, self.counts = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.ids += [value for key, value in attrs if key == "id"]
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_parts_of_the_claims_page_show_every_claim_once():
    tables = [table for part in PARTS for table in claims_tables(claims_of(part), NOT_RUN)]
    text = "".join(map(html, [claims_summary(NOT_RUN), *tables, by_eye_table()]))
    expected = [f"claim-{c.id}" for c in (*load_claims(), *load_by_eye())]
    assert sorted(Outline(text).ids) == sorted(expected)
    assert text.count('class="table-scroll"') == text.count("<table")
    with pytest.raises(ValueError, match="part 'x' is unknown"):
        claims_of("x")


def test_one_claim_shows_quote_place_evidence_and_both_verdicts():
    claim = next(c for c in load_claims() if c.id == "t4-bc-third-ssim")
    (table,) = claims_tables([claim], NOT_RUN)
    text = html(table)
    for part in (claim.place, "third place", "place 4 of 6", "verdict-does-not-hold"):
        assert part in text
    assert "verdict-not-run" in text


def test_inconsistencies_tables_show_every_entry_once():
    text = inconsistencies()
    outline = Outline(text)
    assert sorted(outline.ids) == sorted(f"inconsistency-{e.id}" for e in load_inconsistencies())
    assert outline.counts["table"] == len(SEVERITIES)
    assert "{" not in text


def test_what_was_registered_is_shown_before_it_is_run():
    text = html(primary_table(primary_on_results({})))
    assert text.count("verdict-not-run") == len(registration().primary)
    for primary in registration().primary:
        assert primary.id in text
    assert "HD95_min 3," in text


def test_links_from_inconsistencies_lead_to_claims():
    claims = {f"claim-{c.id}" for c in load_claims()}
    linked = set(re.findall(r'href="[\w-]*claims\.html#([^"]+)"', inconsistencies()))
    assert linked
    assert linked <= claims


def test_deviations_table_shows_every_row_and_option():
    text = html(deviations_table())
    assert sorted(Outline(text).ids) == sorted(f"deviation-{i}" for i in ROWS)


def test_text_report_has_a_line_per_claim_and_counts(tmp_path):
    lines = claims_text(collect_results(tmp_path / "nothing")).splitlines()
    for claim in load_claims():
        assert sum(line.endswith(f" {claim.id}") for line in lines) == 1
    counts = [line.split() for line in lines[-5:]]
    assert [row[-1] for row in counts] == ["0", "0", "0", "0", str(len(load_claims()))]
