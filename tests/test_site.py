"""Pieces of the rendered book that need no browser: search index, stylesheet, voices, terms."""

from pathlib import Path

import pytest
from docutils import nodes

from csbsr_book.paper.terms import Term, Terms, load_terms
from csbsr_book.site.pages import badges
from csbsr_book.site.search import Explained, named, sections, write_search_data
from csbsr_book.site.stylesheet import without_unused

PAGE = """<article class="bd-article"><section id="top"><h1>3. Loss<a class="headerlink">#</a></h1>
<p>The loss <span class="math">\\(\\mathcal{L}_\\beta\\)</span> is small.</p>
<div class="cell_input"><pre>secret_call()</pre></div>
<section id="two"><h2>Two terms</h2><ul><li><p>First.</p></li><li>Second.</li></ul>
<details class="run-card"><summary>run</summary><p>seed 3</p></details>
<figure><figcaption>A caption.</figcaption></figure></section></section></article>"""


def test_sections_are_what_a_reader_reads() -> None:
    first, second = sections(PAGE, "notebooks/03.html")
    assert (first.chapter, first.anchor, first.text) == ("3. Loss", "", "The loss L_β is small.")
    assert (second.heading, second.anchor) == ("Two terms", "two")
    assert second.text == "First.\nSecond.\nA caption."
    assert list(sections("<p>no article</p>", "x.html")) == []


def test_terms_are_named_where_they_are_explained(tmp_path: Path) -> None:
    found = list(sections(PAGE, "p.html"))
    terms = [Term("HD95", "A distance.", "p", also=("Hausdorff",), anchor="two")]
    first, second = named(found, terms)
    assert first.terms == ()
    assert second.terms == (Explained(("HD95", "Hausdorff"), "A distance."),)
    (tmp_path / "_static").mkdir()
    (tmp_path / "p.html").write_text(PAGE)
    assert write_search_data(tmp_path, ["p.html"]) == 2
    script = (tmp_path / "_static" / "search-data.js").read_text()
    assert script.startswith("window.searchSections = [{")
    assert "secret_call" not in script


def test_unused_rules_go_and_used_ones_stay() -> None:
    sheet = (
        ".a{x:1}.b,.a>p{x:2}.gone{x:3}p:not(.gone){x:4}@media print{.gone{x:5}.a{x:6}}"
        "@media screen{.gone{x:7}}@font-face{font-family:Font Awesome}:root{--y:1}"
    )
    assert without_unused(sheet, {"a", "b"}) == (
        ".a{x:1}.b,.a>p{x:2}p:not(.gone){x:4}@media print{.a{x:6}}:root{--y:1}"
    )


@pytest.mark.parametrize(
    ("text", "classes", "rest"),
    [
        ("Paper.", ["origin-paper"], ""),
        ("Authors’ code and ours:", ["origin-authors", "origin-ours"], ""),
        ("Ours, worth knowing:", ["origin-ours"], "worth knowing:"),
    ],
)
def test_a_voice_becomes_a_badge(text: str, classes: list[str], rest: str) -> None:
    made = badges(text)
    assert [n["classes"][1] for n in made if isinstance(n, nodes.inline)] == classes
    assert "".join(n.astext() for n in made if isinstance(n, nodes.emphasis)) == rest


def test_other_words_are_no_voice() -> None:
    assert badges("Paper size") is None
    assert badges("not ours") is None


def test_terms_are_sentences_and_unique() -> None:
    assert all(term.address.endswith(".html") or "#" in term.address for term in load_terms())
    with pytest.raises(ValueError, match="write a sentence"):
        Term("x", "no dot", "p")
    with pytest.raises(ValueError, match="name 'x' is explained twice"):
        Terms((Term("x", "A.", "p"), Term("X", "B.", "p")))
