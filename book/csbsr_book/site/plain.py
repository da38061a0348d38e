"""MyST as plain Markdown, for readers without Sphinx: student notebooks, slides, JupyterLab.

Roles become words, labels go, directives become a bold title and their text. What is no MyST is
left as it is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

Title = Callable[[str], str]
"""Name of a page -> its title."""

FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}(?P<title>[^\n]*)$")
OPTION = re.compile(r"^:[\w-]+:.*$")
LABEL = re.compile(r"^\([\w-]+\)=\n", re.M)
ROLE = re.compile(r"\{(?P<role>[\w-]+)\}`(?P<text>[^`<]*?)(?:\s*<(?P<target>[^`>]*)>)?`")
EQUATION = re.compile(r"\$\$\s*\(eq-(?P<name>[\w-]+)\)")
WORDS = {"exercise": "Exercise", "admonition": "", "note": "Note", "tip": "Tip"}


@dataclass(frozen=True)
class PlainMarkdown:
    """Translator of one book; `title` names its pages where a role has no words of its own."""

    title: Title = str

    def __call__(self, text: str) -> str:
        """The text without roles, labels, directives and equation labels."""
        text = LABEL.sub("", self._directives(text))
        text = EQUATION.sub(self._tagged, text)
        text = re.sub(r"\$\$(.*?)(\\tag\{[\w-]+\})?\s*\$\$", r"$$\1\2$$", text, flags=re.S)
        return re.sub(r"\n{3,}", "\n\n", ROLE.sub(self._role, text)).strip()

    def _tagged(self, found: re.Match[str]) -> str:
        """Close an equation; the number of the paper, where it has one, becomes its tag."""
        number = found["name"]
        return rf"\tag{{{number}}} $$" if number.isdigit() else "$$"

    def _role(self, found: re.Match[str]) -> str:
        role, words, target = found["role"], found["text"], found["target"]
        if role == "doc":
            page = PurePosixPath(target or words).name.removesuffix(".ipynb")
            return words if target else f'"{self.title(page)}"'
        if role == "eq":
            name = words.removeprefix("eq-")
            return f"Eq. {name}" if name.isdigit() else "the equation above"
        if role == "math":
            return f"${words}$"
        return words

    def _directives(self, text: str) -> str:
        """Directives as a bold title and their text, without options."""
        out: list[str] = []
        fences: list[str] = []
        options = False
        for line in text.split("\n"):
            if opened := FENCE.match(line):
                fences.append(opened["fence"])
                word = WORDS.get(opened["name"], "")
                title = ": ".join(part for part in (word, opened["title"].strip()) if part)
                if title and not opened["name"].startswith("solution"):
                    out += [f"**{title}{'' if title[-1] in '?!.:' else '.'}**", ""]
                options = True
            elif fences and line.strip() == fences[-1]:
                fences.pop()
            elif options and OPTION.match(line):
                continue
            else:
                options = False
                out.append(line)
        return "\n".join(out)
