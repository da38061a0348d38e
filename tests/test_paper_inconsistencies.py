"""Inconsistencies of the paper: evidence is computed, and bears the statement out."""

import re

import pytest

from csbsr.toml import build
from csbsr_book.paper.claims import load_claims, printed_verdicts, word
from csbsr_book.paper.examples import printed_value, small_mask
from csbsr_book.paper.inconsistencies import (
    KINDS,
    Evidence,
    Inconsistencies,
    load_inconsistencies,
)
from csbsr_book.paper.printed import METRICS, SEGMENTATION, load_table, load_tables

ENTRIES = {entry.id: entry for entry in load_inconsistencies()}
TABLES = load_tables()
CLAIMS = {claim.id: claim for claim in load_claims()}


def test_typographic_entries_stand_apart_and_last():
    kinds = [entry.kind for entry in ENTRIES.values()]
    assert tuple(dict.fromkeys(kinds)) == KINDS
    assert ENTRIES["split-punctuation"].kind == "typographic"


def test_one_entry_per_passage():
    quotes = [entry.one for entry in ENTRIES.values() if entry.kind == "numbers"]
    assert len(set(quotes)) == len(quotes)


@pytest.mark.parametrize("entry_id", ENTRIES)
def test_entry_is_complete_and_its_evidence_computed(entry_id):
    entry = ENTRIES[entry_id]
    assert entry.one_place
    assert entry.other_place
    assert entry.explanation.endswith(".")
    assert entry.charitable.endswith((".", ")."))
    assert len(entry.one) < 160
    assert len(entry.other or entry.finding) < 160
    typed = re.sub(r"\{\{.+?\}\}|beta \d\.\d", "", entry.evidence.lower())
    assert not re.search(r"\d\.\d|\d\d\d", typed), "numbers of evidence are computed, not typed"
    evidence = entry.computed_evidence()
    assert "{" not in evidence
    if entry.kind == "numbers":
        assert re.search(r"\d|-pspnet", evidence)


@pytest.mark.parametrize("name", sorted({c for e in ENTRIES.values() for c in e.claims}))
def test_sentences_named_are_not_simply_borne_out_by_the_printed_numbers(name):
    assert word(CLAIMS[name], printed_verdicts()) in ("does not hold", "depends on reading")


def test_the_paper_adds_up_where_it_says_93_0_and_98_7_percent():
    table = TABLES["II"]
    for metric, percent in (("IoU_max", 93.0), ("AIU", 98.7)):
        share = table.value("csbsr-pspnet", metric) / table.value("hr-pspnet", metric)
        assert round(100 * share, 1) == percent


def test_explanations_that_count_count_right():
    """Words such as "five of six metrics" are recounted from the table."""
    table = load_table("III")

    def cssr_ahead(csbsr, cssr):
        left, right = table.row(csbsr).values, table.row(cssr).values
        return sum(METRICS[m].gain(right[m], over=left[m]) > 0 for m in left)

    entry = ENTRIES["beta-paragraph"]
    assert "beta 0.7 CSSR is ahead of CSBSR in five of six metrics and at beta 0.9 in four" in (
        entry.explanation
    )
    assert cssr_ahead("csbsr-pspnet-beta0.7", "cssr-pspnet") == 5
    assert cssr_ahead("csbsr-pspnet-beta0.9", "cssr-pspnet-beta0.9") == 4
    for metric in ("HD95_min", "AHD95"):
        assert Evidence(TABLES).rank("III", "cssr-pspnet-increasing", metric, block="CSSR") == 6
    one, increasing = table.row("cssr-pspnet-beta1.0"), table.row("cssr-pspnet-increasing")
    ahead = [METRICS[m].gain(one.values[m], increasing.values[m]) > 0 for m in SEGMENTATION]
    assert sum(ahead) == 3, "beta 1.0 beats it in three of four"


def test_change_with_beta_is_set_beside_the_gain_of_its_own_block():
    evidence = ENTRIES["beta-paragraph"].computed_evidence()
    assert "joint rows of CSSR 0.082, without beta 0.3 0.018" in evidence
    assert "over the row without joint learning 0.026; in CSBSR 0.022 and 0.025" in evidence


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{{ cell("II", "csbsr-pspnet", "SSIM") }}!', "0.703!"),
        ('{{ cell("II", "csbsr-unet", "AHD95") - cell("II", "kbpn+unet", "AHD95") }}', "-18.70"),
        (
            '{{ cell("II", "csbsr-unet", "AHD95").gain(over=cell("II", "kbpn+unet", "AHD95")) }}',
            "18.70",
        ),
        ('{{ cell("II", "csbsr-pspnet", "AIU") / cell("II", "hr-pspnet", "AIU") }}', "0.99"),
        ('{{ rank("IV", "csbsr-pspnet", "SSIM") }}', "4"),
        ('{{ best("II", "IoU_max") }}', "csbsr-pspnet"),
        ('{{ best("IV", "SSIM", place=2) }}', "csbsr-pspnet-wce, csbsr-pspnet-dice"),
        ('{{ marked("III", "SSIM") }}', "kbpn+pspnet, dbpn+pspnet"),
        ('{{ count("III", block="CSSR") }}', "8"),
        ('{{ parameter("training_images") }}', "9 122"),
        ('{{ ticks("2. BC loss") }}', "A, B, D"),
    ],
)
def test_evidence_is_computed(template, text):
    assert Evidence(TABLES).fill(template) == text


@pytest.mark.parametrize(
    "template",
    [
        '{{ cell("VII", "a", "b") }}',
        '{{ what("II") }}',
        '{{ cell("II", "x", "AIU") }}',
        '{{ cell("II") }}',
        "{{ cell( }}",
        '{{ parameter("x") }}',
    ],
)
def test_evidence_that_asks_for_what_there_is_not_is_refused(template):
    with pytest.raises(ValueError, match="cannot be computed") as error:
        Evidence(TABLES).fill(template)
    assert "\n" not in str(error.value)


def test_printed_equations_prefer_what_the_page_says():
    for equation in ("dice", "gdice", "wce"):
        assert printed_value(equation, "truth") > printed_value(equation, "opposite")
    assert printed_value("boundary", "truth") < 0 == printed_value("boundary", "nothing")
    assert printed_value("dice", "nothing") == pytest.approx(1 - small_mask().mean(), abs=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"kind": "grave"},
            "'kind' must be one of numbers, .*, not 'grave'",
        ),
        ({"finding": "both"}, "needs either"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_wrong_entries_are_refused(changes, message):
    good = {
        "id": "x",
        "kind": "statement",
        "one": "a",
        "other": "b",
        "one_place": "p",
        "other_place": "q",
        "explanation": "e.",
        "charitable": "c.",
    }
    assert build(Inconsistencies, {"inconsistency": [good]}, "f").inconsistency[0].id == "x"
    with pytest.raises(ValueError, match=message):
        build(Inconsistencies, {"inconsistency": [{**good, **changes}]}, "f")
    with pytest.raises(ValueError, match="'x' appears twice"):
        build(Inconsistencies, {"inconsistency": [good, good]}, "f")
