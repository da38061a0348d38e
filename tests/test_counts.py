"""A page that states a count is compared with what it counts, and asks for it where it can."""

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

from csbsr.study.experiments import experiments
from csbsr.study.profiles import load_profile
from csbsr_book.paper.claims import load_claims
from csbsr_book.paper.printed import experiments_of, load_tables
from csbsr_book.site.counts import counted, counts

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
PAGES += sorted((ROOT / "notebooks").glob("[0-9a]*.ipynb"))  # labs count what their own cells do
WORDS = (
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    + ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen")
    + ("eighteen", "nineteen", "twenty")
)
TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80}
NUMBERS = {word: value for value, word in enumerate(WORDS, start=1)} | TENS | {"hundred": 100}
STATED = re.compile(
    rf"\b(\d[\d,]*|{'|'.join(NUMBERS)})((?: [a-z][a-z-]*){{0,2}}) "
    r"(experiments|trainings|claims|networks|losses|exercises)\b",
    re.IGNORECASE,
)


def prose(page: Path) -> str:
    """The text of a page without its code, on one line."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = nbformat.reads(text, 4).cells
        text = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    text = re.sub(r"```sh.*?```", "", text, flags=re.DOTALL)
    return " ".join(text.split())


def stated(text: str) -> list[tuple[int, str]]:
    """Numbers that stand next to something countable, digits and words alike."""
    return [
        (NUMBERS.get(number.lower()) or int(number.replace(",", "")), noun.lower())
        for number, _, noun in STATED.findall(text)
    ]


@cache
def truths() -> dict[str, set[int]]:
    """What each noun can truly be counted as."""
    found = counts(ROOT / "results")
    per_table = {len(experiments_of(number)) for number in load_tables()}
    of_table_ii = {r.segmentation for r in experiments() if r.id in experiments_of("II")}
    runs = {found["experiments"], found["trainings"], found["of_tables"], *per_table}
    return {
        "experiments": runs | {2},  # a contrast compares two
        "trainings": runs,
        "claims": {len(load_claims())},
        # S and C; those that Table II tries as C (SrcNet and DSRL bring their own)
        "networks": {2, len(of_table_ii - {"segnet", "dsrl"})},
        # L_S and L_C; the terms of Eq. 3; the rows of Table IV
        "losses": {2, 3, len(experiments_of("IV")), found["losses"]},
        "exercises": set(),
    }


def test_numbers_are_seen_in_digits_and_in_words() -> None:
    text = "about fifty trainings, 1,024 new hard claims, Eight networks; 3 of the experiments"
    assert stated(text) == [
        (50, "trainings"),
        (1024, "claims"),
        (8, "networks"),
        (3, "experiments"),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_counts_in_prose_are_true(page: Path) -> None:
    known = truths()
    for number, noun in stated(prose(page)):
        assert number in known[noun], f"{page.name}: '{number} {noun}', counted: {known[noun]}"


def test_pages_ask_for_counts_by_name() -> None:
    found = counts(ROOT / "results")
    assert (
        found["experiments"] == len(experiments()) >= found["trainings"] >= found["measured"] >= 0
    )
    assert counted("{{ experiments }} in all\n", found, "x.md") == f"{len(experiments())} in all\n"
    with pytest.raises(ValueError, match=r"x\.md: nothing counts 'exercises'"):
        counted("{{ exercises }}", found, "x.md")
    assert counted("title = {{CSBSR}}", found, "x.md") == "title = {{CSBSR}}"
    for page in (ROOT / "book").glob("*.md"):
        assert "{{ " not in counted(page.read_text(encoding="utf-8"), found, page.name)


def test_the_readme_says_what_the_profiles_say() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    quick, paper = load_profile("quick"), load_profile("paper")
    assert f"{quick.step3.iterations:,} iterations of step 3" in text
    whole = sum(step.iterations for step in (paper.step1, paper.step2, paper.step3))
    assert f"{whole:,} iterations" in text
