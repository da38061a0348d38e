"""Inconsistencies of the paper: evidence is computed, and bears the statement out."""

import re

import pytest

from csbsr.toml import build
from csbsr_book.paper.claims import evaluate_on_paper, load_claims
from csbsr_book.paper.examples import printed_value, small_mask
from csbsr_book.paper.inconsistencies import Evidence, Inconsistencies, load_inconsistencies
from csbsr_book.paper.printed import METRICS, load_table, load_tables

ENTRIES = {entry.id: entry for entry in load_inconsistencies()}
TABLES = load_tables()
CLAIMS = {claim.id: claim for claim in load_claims()}


def test_there_are_about_forty_or_more_of_all_kinds():
    assert len(ENTRIES) >= 40
    kinds = [entry.severity for entry in ENTRIES.values()]
    assert list(dict.fromkeys(kinds)) == ["numbers", "equation", "reference", "wording"]
    assert kinds.count("numbers") >= 20


@pytest.mark.parametrize("entry_id", ENTRIES)
def test_entry_is_complete_and_its_evidence_computed(entry_id):
    entry = ENTRIES[entry_id]
    assert entry.one_place
    assert entry.other_place
    assert entry.explanation.endswith(".")
    assert len(entry.one) < 160
    assert len(entry.other or entry.finding) < 160
    typed = re.sub(r"\{\{.+?\}\}|beta \d\.\d", "", entry.evidence.lower())
    assert not re.search(r"\d\.\d|\d\d\d", typed), "numbers of evidence are computed, not typed"
    evidence = entry.computed_evidence()
    assert "{" not in evidence
    if entry.severity == "numbers":
        assert re.search(r"\d|-pspnet", evidence)


@pytest.mark.parametrize("name", sorted({c for e in ENTRIES.values() for c in e.claims}))
def test_claims_named_are_not_borne_out_by_the_printed_numbers(name):
    assert evaluate_on_paper(CLAIMS[name]).verdict == "does not hold"


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

    assert "beta 0.7 in five of six metrics and at beta 0.9 in four" in (
        ENTRIES["csbsr-over-cssr"].explanation
    )
    assert cssr_ahead("csbsr-pspnet-beta0.7", "cssr-pspnet") == 5
    assert cssr_ahead("csbsr-pspnet-beta0.9", "cssr-pspnet-beta0.9") == 4
    assert "more than three times" in ENTRIES["beta-hardly-matters-cssr"].explanation
    joint = [r.values["IoU_max"] for r in table.rows if r.block == "CSSR" and "w/o" not in r.label]
    two = TABLES["II"]
    gain = two.value("csbsr-pspnet", "IoU_max") - two.value("kbpn+pspnet", "IoU_max")
    assert (max(joint) - min(joint)) / gain > 3
    for metric in ("HD95_min", "AHD95"):
        assert Evidence(TABLES).rank("III", "cssr-pspnet-increasing", metric, block="CSSR") == 6


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
            {"severity": "grave"},
            "'severity' must be one of numbers, .*, not 'grave'",
        ),
        ({"finding": "both"}, "needs either"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_wrong_entries_are_refused(changes, message):
    good = {
        "id": "x",
        "severity": "wording",
        "one": "a",
        "other": "b",
        "one_place": "p",
        "other_place": "q",
        "explanation": "e.",
    }
    assert build(Inconsistencies, {"inconsistency": [good]}, "f").inconsistency[0].id == "x"
    with pytest.raises(ValueError, match=message):
        build(Inconsistencies, {"inconsistency": [{**good, **changes}]}, "f")
    with pytest.raises(ValueError, match="'x' appears twice"):
        build(Inconsistencies, {"inconsistency": [good, good]}, "f")
