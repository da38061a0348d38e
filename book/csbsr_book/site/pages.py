"""Sphinx extension of the book: voices, folded solutions, letters of appendices, lean pages.

Jupyter Book loads it (`sphinx.extra_extensions` in `_config.yml`) and Sphinx calls `setup`.
"""

import re
from pathlib import Path
from string import ascii_uppercase

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator
from sphinx_exercise.nodes import solution_node

from csbsr import __version__
from csbsr_book.paper.terms import Term, load_terms
from csbsr_book.site.display import render
from csbsr_book.site.search import write_search_data
from csbsr_book.site.stylesheet import trim

VOICE = re.compile(r"(Paper|Authors['’] code|Ours)(?: and (ours))?(?:[.,:]\s*(.*))?", re.DOTALL)
"""How prose names whose statement follows, in bold or italics: `**Paper.**`, `*Ours:*`."""
ORIGINS = {"paper": "paper", "authors' code": "authors", "ours": "ours"}
"""Name of a voice to the class of its badge."""
APPENDICES = "notebooks/a1-metrics"
"""The first appendix: from here on chapters have letters."""
UNUSED = (
    "thebe", "sphinx-design", "design-tabs", "togglebutton", "toggleHint", "toggleOpen",
    "sphinx_highlight", "doctools",
)  # fmt: skip
"""Scripts and sheets of extensions that Jupyter Book always loads and no page here uses."""


def badges(text: str) -> list[nodes.Node] | None:
    """Badges for a text that names a voice and what it adds, None for any other text."""
    found = VOICE.fullmatch(text.strip())
    if not found:
        return None
    made: list[nodes.Node] = []
    for name in filter(None, found.groups()[:2]):
        word = name.lower().replace("’", "'")
        made += [nodes.inline("", word, classes=["origin", f"origin-{ORIGINS[word]}"])]
        made += [nodes.Text(" ")]
    if rest := found.group(3):
        made.append(nodes.emphasis("", rest))
    return made if rest else made[:-1]


class Voices(SphinxTransform):
    """Every mention of a voice becomes the same badge."""

    default_priority = 400

    def apply(self) -> None:
        """Replace bold and italic voices of one document."""
        for kind in (nodes.strong, nodes.emphasis):
            for node in list(self.document.findall(kind)):
                if made := badges(node.astext()):
                    node.replace_self(made)


class Folded(SphinxTransform):
    """Solutions (`:class: dropdown`) fold without a script."""

    default_priority = 410

    def apply(self) -> None:
        """Put every such admonition of one document into `<details>`."""
        for node in list(self.document.findall(nodes.admonition)):
            fold(node)


def fold(node: nodes.Element) -> None:
    """Put an admonition with `:class: dropdown` into `<details>`; others stay as they are."""
    if "dropdown" not in node["classes"]:
        return
    title = node.next_node(nodes.title)
    words = title.astext() if title else "More"
    if title:
        node.remove(title)
    start, end = str(render("folded.html", title=words)).split("<!-- inside -->")
    before, after = (nodes.raw("", text, format="html") for text in (start, end))
    for name in ("ids", "names", "classes"):  # they would wrap the raw start in an element
        node[name] = []
    node.replace_self([before, *node.children, after])


def fold_solutions(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Fold the solutions of exercises, once their titles carry the exercise's number."""
    for node in list(doctree.findall(solution_node)):
        fold(node)
    for section in doctree.findall(nodes.section):  # one id for all of them is none
        if {"solution-content", "exercise-content"} & set(section["ids"]):
            section["ids"] = []


class NamedHeaders(SphinxTransform):
    """A header cell without words gets some for those who do not see the table."""

    default_priority = 420

    def apply(self) -> None:
        """Name the empty header cells of one document."""
        for head in self.document.findall(nodes.thead):
            for cell in head.findall(nodes.entry):
                if not cell.astext().strip():
                    words = nodes.inline("", "Row", classes=["visually-hidden"])
                    cell.children = []
                    cell += nodes.paragraph("", "", words)


class Symbols(SphinxPostTransform):
    """The first use of a symbol in each section says what it means when it is pointed at."""

    default_priority = 500

    def run(self, **kwargs: object) -> None:
        """Wrap inline formulas that are a symbol of `terms.toml`."""
        terms = {term.symbol: term for term in load_terms() if term.symbol}
        seen: set[tuple[int, str]] = set()
        for node in list(self.document.findall(nodes.math)):
            term = terms.get(node.astext().strip())
            section = node
            while section.parent and not isinstance(section, nodes.section):
                section = section.parent
            key = (id(section), term.name if term else "")
            if term is None or key in seen or isinstance(node.parent, nodes.title):
                continue
            seen.add(key)
            self.wrap(node, term)

    def wrap(self, node: nodes.math, term: Term) -> None:
        """Make one formula a link to the place that explains it, with its meaning."""
        if self.env.docname == term.page:
            link = f"#{term.anchor or 'main-content'}"
        else:
            link = self.app.builder.get_relative_uri(self.env.docname, term.page)
            link += f"#{term.anchor}" if term.anchor else ""
        start, end = str(render("symbol.html", term=term, link=link)).split("<!-- inside -->")
        new = [nodes.raw("", start, format="html"), node.deepcopy()]
        node.replace_self([*new, nodes.raw("", end, format="html")])


def open_citation(translator: HTML5Translator, node: nodes.citation) -> None:
    """An entry of the bibliography without the roles that ARIA 1.3 drops."""
    translator.body.append(translator.starttag(node, "div", CLASS="citation"))


def close_citation(translator: HTML5Translator, node: nodes.citation) -> None:
    """Its end."""
    translator.body.append("</div>\n")


def number_equations(app: Sphinx, doctree: nodes.document) -> None:
    """Give equations the number that the paper prints; ours carry their own name instead."""
    equations = app.env.get_domain("math").equations
    for node in doctree.findall(nodes.math_block):
        if label := node.get("label"):
            node["number"] = label.removeprefix("eq-")
            equations[label] = (app.env.docname, node["number"])


def letter_appendices(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Give chapters from the first appendix on a letter in the place of their number."""
    chapters = env.toctree_includes.get(app.config.root_doc, [])
    if APPENDICES not in chapters:
        return []
    appendices = chapters[chapters.index(APPENDICES) :]
    for name, letter in zip(appendices, ascii_uppercase):
        env.titles[name]["secnumber"] = [letter]
        numbers = env.toc_secnumbers.setdefault(name, {})
        for anchor in [a for a, number in numbers.items() if number]:
            numbers[anchor] = (letter,)
        for reference in env.tocs[name].findall(nodes.reference):
            if reference.get("secnumber"):
                reference["secnumber"] = [letter]
    return appendices


def without_thebe(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Drop the configuration of a kernel that no page of the book starts."""
    for node in list(doctree.findall(nodes.raw)):
        if "x-thebe-config" in node.astext() or "kernelName" in node.astext():
            node.parent.remove(node)


def lean_page(
    app: Sphinx, pagename: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Leave out files nobody uses."""
    for kind in ("script_files", "css_files"):
        context[kind] = [
            file
            for file in context.get(kind, ())
            if not any(name in f"{file.filename} {file.attributes}" for name in UNUSED)
        ]


def finish(app: Sphinx, error: Exception | None) -> None:
    """Once all pages are there: write what the search ranks, trim the theme's stylesheets."""
    if error is None and app.builder.name == "html":
        folder = Path(app.outdir)
        pages = (f"{name}.html" for name in sorted(app.env.found_docs))
        write_search_data(folder, [name for name in pages if (folder / name).exists()])
        trim(folder)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register everything with Sphinx."""
    app.connect("config-inited", lambda app, config: setattr(config, "release", __version__))
    app.add_transform(Voices)
    app.add_transform(Folded)
    app.add_transform(NamedHeaders)
    app.add_node(nodes.citation, override=True, html=(open_citation, close_citation))
    app.add_post_transform(Symbols)
    app.connect("doctree-read", number_equations)
    app.connect("env-get-updated", letter_appendices, priority=900)
    app.connect("doctree-resolved", without_thebe, priority=900)
    app.connect("doctree-resolved", fold_solutions, priority=900)
    app.connect("html-page-context", lean_page, priority=900)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
