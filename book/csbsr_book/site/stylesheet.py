"""A theme's stylesheet without the rules that no page uses: Bootstrap and icons are most of it."""

import re
from collections.abc import Iterator, Set
from pathlib import Path

import tinycss2
from tinycss2.ast import AtRule, Node, QualifiedRule

NAME = re.compile(r"[.#](-?[A-Za-z_][\w-]*)")
WORD = re.compile(r"[\w-]+")
NEGATION = re.compile(r":not\([^)]*\)")


def words_of(folder: Path) -> Set[str]:
    """Every word in the pages and scripts of a rendered book: classes and ids are among them."""
    scripts = (folder / "_static").rglob("*.js")
    files = [*folder.rglob("*.html"), *(p for p in scripts if "vendor" not in p.parts)]
    return {word for path in files for word in WORD.findall(path.read_text(encoding="utf-8"))}


def without_unused(sheet: str, words: Set[str]) -> str:
    """A stylesheet without rules whose classes and ids are not among the words."""
    return "".join(_kept(tinycss2.parse_stylesheet(sheet), words))


def _kept(rules: list[Node], words: Set[str]) -> Iterator[str]:
    for rule in rules:
        if isinstance(rule, QualifiedRule):
            if any(_used(one, words) for one in tinycss2.serialize(rule.prelude).split(",")):
                yield rule.serialize()
        elif isinstance(rule, AtRule) and rule.lower_at_keyword in ("media", "supports"):
            inside = "".join(_kept(tinycss2.parse_rule_list(rule.content), words))
            if inside:
                head = tinycss2.serialize(rule.prelude)
                yield f"@{rule.lower_at_keyword}{head}{{{inside}}}"
        elif isinstance(rule, AtRule):
            text = rule.serialize()
            if "Font Awesome" not in text:
                yield text


def _used(selector: str, words: Set[str]) -> bool:
    return all(name in words for name in NAME.findall(NEGATION.sub("", selector)))


def trim(folder: Path) -> int:
    """Trim the stylesheets of the theme and its extensions in a rendered book; bytes left out."""
    words, saved = words_of(folder), 0
    for path in sorted((folder / "_static").rglob("*.css")):
        if "vendor" in path.parts or path.name in ("csbsr.css", "site.css"):
            continue
        before = path.read_text(encoding="utf-8")
        after = without_unused(before, words)
        saved += len(before) - len(after)
        path.write_text(after, encoding="utf-8")
    return saved
