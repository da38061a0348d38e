"""The bibliography: what is cited is there, what is there is cited, no number hangs in the air."""

import re
from pathlib import Path

import pytest
from test_counts import PAGES, prose

BIB = (Path(__file__).parents[1] / "book" / "references.bib").read_text(encoding="utf-8")
KEYS = re.findall(r"^@\w+\{([\w-]+),", BIB, re.MULTILINE)
BUILDS_ON = (
    "haris2018dbpn",
    "yoshida2023kbpn",
    "zhao2017pspnet",
    "wang2021hrnet",
    "yuan2020ocr",
    "liu2021crackformer",
    "ronneberger2015unet",
    "bae2021srcnet",
    "wang2020dsrl",
    "wang2018sft",
    "kervadec2021boundary",
    "milletari2016vnet",
    "sudre2017gdice",
    "taghanaki2019combo",
    "dais2021wce",
    "lin2017focal",
    "deepmind2018surface",
    "wang2004ssim",
    "khanhha2020",
    "zhang2016crack500",
    "eisenbach2017gaps",
    "shi2016crackforest",
    "amhaz2016ael",
    "zou2012cracktree",
    "liu2019deepcrack",
    "yang2017cssc",
    "agustsson2017div2k",
    "timofte2017flickr2k",
)


def cited() -> set[str]:
    groups = [re.findall(r"\{cite(?::\w)?\}`([^`]+)`", prose(page)) for page in PAGES]
    return {key.strip() for found in groups for group in found for key in group.split(",")}


def test_every_entry_is_cited_and_every_citation_has_its_entry() -> None:
    assert len(KEYS) == len(set(KEYS))
    assert cited() == set(KEYS)
    assert set(BUILDS_ON) <= set(KEYS)


def test_entries_are_complete() -> None:
    for entry in re.split(r"\n(?=@)", BIB)[1:]:
        kind, key = re.match(r"@(\w+)\{([\w-]+)", entry).groups()
        place = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}[kind]
        for name in ("title", "author", "year", place):
            assert re.search(rf"^  {name} = \{{.+\}}", entry, re.MULTILINE), f"{key}: no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_bracketed_number_stands_for_a_reference(page: Path) -> None:
    text = re.sub(r"\$[^$]*\$|`[^`]*`", "", prose(page))
    if "inconsistencies" not in page.name:  # quotes the paper's own numbers
        assert not re.findall(r"(?<!\w)\[\d+\](?!\()", text)
