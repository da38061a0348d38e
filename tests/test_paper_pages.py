"""The deviations as data, and the tables of the pages about the paper."""

import json
import re
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import pytest

from csbsr.protocol import Protocol
from csbsr.study.registered import registration
from csbsr.toml import build
from csbsr_book.chapters.claims import (
    by_eye_table,
    claims_data,
    primary_table,
    questions,
    reading_list,
    sentences,
)
from csbsr_book.chapters.ledger import (
    claims_summary,
    deviations_table,
    inconsistencies_table,
    verdicts_by_part,
)
from csbsr_book.paper.claims import (
    ABOUT,
    load_claims,
    load_questions,
    load_statements,
    primary_on_results,
    verdicts_on_results,
)
from csbsr_book.paper.deviations import NOT_MEASURED, Deviation, load_deviations
from csbsr_book.paper.inconsistencies import KINDS, load_inconsistencies
from csbsr_book.paper.reading import by_eye, load_sections
from csbsr_book.site.table import html, values

ROWS = {row.id: row for row in load_deviations()}
NOT_RUN = verdicts_on_results({})
DATA = claims_data({})
SECTIONS = [section["id"] for section in DATA["sections"]]


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
    return "".join(html(inconsistencies_table(kind)) for kind in KINDS)


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


def test_the_claims_page_shows_every_sentence_and_sub_claim_once():
    text = sentences(DATA, *SECTIONS)[0] + questions(DATA)[0]
    expected = {f"claim-{s.id}" for s in load_statements()}
    expected |= {f"claim-{sub.id}" for s in load_statements() for sub in s.sub_claims()}
    outline = Outline(text)
    assert sorted(outline.ids) == sorted(expected)
    assert outline.counts["details"] == len(load_statements())
    assert text.count('class="table-scroll"') == text.count("<table")
    with pytest.raises(ValueError, match="section 'x' is unknown"):
        sentences(DATA, "x")


def test_the_claims_page_stays_below_a_megabyte():
    parts = (sentences(DATA, *SECTIONS)[0], questions(DATA)[0], reading_list(NOT_RUN))
    tables = (claims_summary(NOT_RUN), by_eye_table(), primary_table(primary_on_results({})))
    assert sum(map(len, (*parts, *map(html, tables)))) < 700_000


def test_the_notebook_shows_every_section_that_has_claims():
    notebook = (Path(__file__).parents[1] / "notebooks" / "a5-claims.ipynb").read_text()
    for section in load_sections():
        shown = f'\\"{section.id}\\"' in notebook
        assert shown == bool(section.claims()), section.id


def test_one_sentence_shows_quote_place_readings_and_both_verdicts():
    (entry,) = [e for e in DATA["claims"] if e["id"] == "t4-third-in-ssim"]
    text, found = sentences(DATA | {"claims": [entry]}, "losses")
    assert found == [entry]
    for part in (entry["place"], "third place", "place 4 of 6", "verdict-depends-on-reading"):
        assert part in text
    assert "Reading 2 of 2" in text
    assert "verdict-not-run" in text


def test_data_of_the_claims_are_json_with_what_one_can_filter_by():
    data = json.loads(json.dumps(DATA, allow_nan=False))
    assert {c["about"] for c in data["claims"]} <= set(data["about"])
    assert {c["printed"] for c in data["claims"]} <= set(data["words"])
    assert {c["section"] for c in data["claims"]} <= set(SECTIONS)
    assert {c["ours"] for c in data["claims"]} == {"not run", None}
    assert all(c["kind"] and c["quote"] and c["link"].endswith(c["id"]) for c in data["claims"])
    known = {q["id"] for q in data["questions"]}
    assert {name for c in data["claims"] for name in c["tested"]} <= known
    assert not any(c["runs"] for c in data["claims"])


def test_counts_are_of_sentences():
    table = values(claims_summary(NOT_RUN))
    *words, needs_none, total = table["rows"]
    assert [sum(row[i] for row in words) for i in (1, 2)] == [
        len(load_claims()),
        len(load_claims()) - needs_none[2],
    ]
    assert total[1:] == [len(load_claims())] * 2
    assert f"{len(load_questions())} questions of ours" in table["notes"][0]
    by_part = values(verdicts_by_part(NOT_RUN))
    assert [row[0] for row in by_part["rows"]] == list(ABOUT)
    assert sum(row[1] for row in by_part["rows"]) == len(load_claims())


def test_every_sentence_of_the_paper_is_shown_with_what_became_of_it():
    text = reading_list(NOT_RUN)
    assert text.count("<q>") == sum(len(section.sentences) for section in load_sections())
    links = set(re.findall(r'href="#claim-([^"]+)"', text))
    assert links == {c.id for c in load_claims()} | {q.id for q in load_questions()} & links
    assert html(by_eye_table()).count("<q>") == len(by_eye())


def test_inconsistencies_tables_show_every_entry_once():
    text = inconsistencies()
    outline = Outline(text)
    assert sorted(outline.ids) == sorted(f"inconsistency-{e.id}" for e in load_inconsistencies())
    assert outline.counts["table"] == len(KINDS)
    assert "{" not in text


def test_what_was_registered_is_shown_before_it_is_run():
    text = html(primary_table(primary_on_results({})))
    assert text.count("verdict-not-run") == len(registration().primary)
    for primary in registration().primary:
        assert primary.id in text
    assert "HD95_min 3," in text


def test_links_from_inconsistencies_lead_to_claims():
    claims = {f"claim-{claim.id}" for claim in load_claims()}
    linked = set(re.findall(r'href="[\w-]*claims\.html#([^"]+)"', inconsistencies()))
    assert linked
    assert linked <= claims


def test_deviations_table_shows_every_row_and_option():
    text = html(deviations_table())
    assert sorted(Outline(text).ids) == sorted(f"deviation-{i}" for i in ROWS)
