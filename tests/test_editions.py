"""Student and instructor editions, slides and the PDF: one source, and each form holds its part."""

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from csbsr.cli import main
from csbsr_book.site import pdf
from csbsr_book.site.editions import make_edition, stub, titles, write_editions
from csbsr_book.site.forms import chosen, write_form
from csbsr_book.site.plain import PlainMarkdown
from csbsr_book.site.slides import deck, write_slides

ROOT = Path(__file__).parents[1]
BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PLAIN = PlainMarkdown(str.upper)


def test_a_stub_keeps_names_and_loses_values() -> None:
    marked = "if True:\n    # BEGIN SOLUTION\n    c = 3\n    # END SOLUTION\nd = 4"
    source = f"a, b = 1, 2  # SOLUTION\n{marked}"
    assert stub(source) == "a, b = ..., ...\nif True:\n    ...  # your code\nd = 4"
    with pytest.raises(ValueError, match="must assign names"):
        stub("print(3)  # SOLUTION")
    with pytest.raises(ValueError, match="without '# END SOLUTION'"):
        stub("# BEGIN SOLUTION\nx = 1")
    with pytest.raises(ValueError, match="closes or opens nothing"):
        stub("x = 1\n# END SOLUTION")


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_editions_of_every_notebook(path: Path) -> None:
    source = nbformat.read(path, 4)
    student = make_edition(source, "student", PLAIN)
    instructor = make_edition(source, "instructor", PLAIN)
    nbformat.validate(student)
    nbformat.validate(instructor)
    text = "\n".join(cell.source for cell in student.cells)
    assert "SOLUTION" not in "".join(c.source for c in student.cells if c.cell_type == "code")
    for mark in ("Teaching note", "**Solution.**", "{doc}", "{eq}", ":::", "```{"):
        assert mark not in text, mark
    exercises = [c for c in source.cells if "exercise" in c.metadata.get("tags", [])]
    whole = "\n".join(cell.source for cell in instructor.cells)
    assert whole.count("**Solution.**") == len(exercises)
    assert sum(cell.source.startswith("**Exercise") for cell in student.cells) == len(exercises)
    if exercises:
        assert "**Teaching note.**" in whole
        assert " = ..." in text or "...  # your code" in text
        assert "# SOLUTION" in whole


def test_myst_becomes_plain_markdown() -> None:
    text = PLAIN(
        "(figure-1)=\n## T\n\nSee {doc}`a <b>`, {doc}`../x/01-y`, {eq}`eq-3` and {eq}`eq-iou`.\n\n"
        "$$\nx\n$$ (eq-3)\n\n$$\ny\n$$ (eq-iou)\n\n"
        ":::{admonition} Before\n:class: tip\n\nbody\n:::\n"
        "```{exercise} Why?\n:label: ex-1\n\nBecause.\n```\n\n```python\ncode\n```"
    )
    assert text.startswith('## T\n\nSee a, "01-Y", Eq. 3 and the equation above.')
    assert r"$$" in text
    assert r"\tag{3}" in text
    assert "(eq-" not in text
    assert "**Before.**\n\n" in text
    assert "**Exercise: Why?**" in text
    assert "label" not in text
    assert "```python\ncode\n```" in text


def test_writing_refuses_what_is_wrong_and_writes_nothing(tmp_path: Path, capsys) -> None:
    good, bad = tmp_path / "in" / "a.ipynb", tmp_path / "in" / "b.ipynb"
    good.parent.mkdir()
    for path, code in ((good, "x = 1  # SOLUTION"), (bad, "# BEGIN SOLUTION")):
        cells = [nbformat.v4.new_markdown_cell("# T"), nbformat.v4.new_code_cell(code)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    with pytest.raises(ValueError, match=r"^b\.ipynb: '# BEGIN"):
        write_editions([good, bad], "student", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert titles(good.parent) == {"a": "T", "b": "T"}
    assert main(["form", "student", "magic"]) == 2
    assert "there is no chapter 'magic'; chapters are 01-" in capsys.readouterr().err
    with pytest.raises(ValueError, match="run `make book` first"):
        chosen(tmp_path, (), "make book")
    with pytest.raises(ValueError, match="whole book"):
        write_form("pdf", tmp_path, ["a"])


def executed(source: list[tuple[str, str, str]], outputs: str = "") -> nbformat.NotebookNode:
    """A small executed notebook of (kind of cell, source, slide type)."""
    cells = []
    for kind, text, slide in source:
        if kind == "code":
            data = nbformat.v4.new_output("display_data", data={"text/html": outputs})
            cell = nbformat.v4.new_code_cell(text, execution_count=1, outputs=[data])
        else:
            cell = nbformat.v4.new_markdown_cell(text)
        if slide:
            cell.metadata["slideshow"] = {"slide_type": slide}
        cells.append(cell)
    return nbformat.v4.new_notebook(cells=cells)


FIGURE = (
    '<figure class="csbsr-figure" data-label="f"><a href="../_static/e/p.png">'
    '<img src="../_static/e/p.png" alt="a" loading="lazy"></a><figcaption>C.</figcaption>rest'
)


def test_a_deck_holds_tagged_cells_equations_and_pictures(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "p.png").write_bytes(b"png")
    notebook = executed(
        [
            ("markdown", "# Title\n\nOne sentence. Another one.", "slide"),
            ("markdown", "Not on a slide.", ""),
            ("markdown", "## Loss\n\nShort. More text.\n\n$$\nx = 1\n$$ (eq-3)", "slide"),
            ("markdown", "## Figure\n\nLook. At it.", "slide"),
            ("code", "plot()", "subslide"),
        ],
        FIGURE,
    )
    made = deck(notebook, PLAIN, tmp_path)
    kinds = [c.metadata["slideshow"]["slide_type"] for c in made.cells]
    assert kinds == ["slide", "notes", "slide", "notes", "slide", "-", "notes"]
    assert made.cells[0].source == "# Title\n\n- One sentence."
    assert "Another one." in made.cells[1].source
    assert r"\tag{3}" in made.cells[2].source
    html = made.cells[5].outputs[0].data["text/html"]
    assert 'src="data:image/png;base64,cG5n"' in html
    assert "rest" not in html
    assert "lazy" not in html


def test_a_full_slide_goes_on_to_another(tmp_path: Path) -> None:
    text = "## Much\n\n" + "\n\n".join(f"Sentence {i}. More." for i in range(14))
    made = deck(executed([("markdown", text, "slide")]), PLAIN, tmp_path)
    kinds = [c.metadata["slideshow"]["slide_type"] for c in made.cells]
    assert kinds == ["slide", "notes", "subslide", "subslide"]
    assert all(c.source.startswith("## Much") for c in made.cells if "slide" in c.metadata)


def test_decks_need_no_network(tmp_path: Path) -> None:
    path = tmp_path / "01-x.ipynb"
    nbformat.write(executed([("markdown", "# T\n\n$$\nx\n$$ (eq-1)", "slide")]), path)
    (made,) = write_slides([path], tmp_path / "slides", PLAIN, ROOT / "book" / "_static")
    text = made.read_text()
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)
    for link in re.findall(r'(?:src|href)="([^"#]+)"', text):
        if not link.startswith("data:"):
            assert (made.parent / link).is_file(), link
    assert (made.parent / "reveal.js" / "LICENSE").is_file()
    assert (made.parent / "vendor" / "mathjax" / "LICENSE").is_file()
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)
    with pytest.raises(ValueError, match="was not executed"):
        write_slides([path], tmp_path / "slides", PLAIN, ROOT / "book" / "_static")


PAGE = (
    "<html><head><script src='a.js'></script><script src='_static/equations.js'></script></head>"
    "<body><nav>menu</nav><article><section id='one'><h1>One<a class='headerlink'>#</a></h1>"
    "<section id='two'><h2><span class='section-number'>4. </span>Two</h2>"
    "<details class='folded'><summary>S</summary>x</details>"
    "<details class='run-card'></details><img loading='lazy'>"
    "<figure class='csbsr-figure'><figcaption>C</figcaption></figure>"
    "<figure class='table-figure'><figcaption>T</figcaption></figure>"
    "<section id='three'><h3>Three</h3></section></section></section></article></body>"
)


def test_the_page_for_paper_unfolds_and_has_contents(tmp_path: Path) -> None:
    (tmp_path / "p.html").write_text(PAGE)
    soup = BeautifulSoup(pdf.prepare(tmp_path / "p.html", "p { }", {"heading-2": 7}), "html.parser")
    assert soup.select_one("details.folded").has_attr("open")
    assert soup.select_one(".run-card") is None
    assert not soup.select_one("article img").has_attr("loading")
    assert "menu" not in soup.get_text()
    assert [s.get("src") for s in soup.select("script")] == ["../_static/equations.js"]
    lines = [(li["class"][0], " ".join(li.get_text().split())) for li in soup.select("nav li")]
    assert lines == [("depth-1", "One"), ("depth-1", "4. Two7"), ("depth-2", "Three")]
    assert [c.get_text() for c in soup.select("figcaption")] == ["Figure 4.1. C", "Table 4.1. T"]


def test_a_pdf_without_a_book_or_a_browser_is_one_line(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(ValueError, match="run `make book` before `make pdf`"):
        pdf.write_pdf(tmp_path, tmp_path / "b.pdf")
    monkeypatch.setenv("CSBSR_CHROMIUM", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="needs Chromium or Chrome"):
        pdf.find_browser()
