"""The API reference: every public module, class and function with signature and docstring."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

from markupsafe import Markup

from csbsr.study.provenance import PACKAGE
from csbsr_book.paper.notation import Equation, equations_of
from csbsr_book.site.display import render

READS = ("csbsr/**/*.py",)
"""Every module of the method is imported by name, for its docstrings."""

LAYERS: Mapping[str, tuple[str, ...]] = {
    "ground": (
        "files", "toml", "allocator", "protocol", "degradation", "realistic", "metrics", "networks",
    ),
    "data and losses": ("data", "losses", "model_file"),
    "training and use": ("distributed", "training", "evaluation", "low_resolution", "inference"),
    "study": ("study",),
    "command": ("data_commands", "result_commands", "commands", "cli"),
}  # fmt: skip
"""The floors of the house, lowest first; imports go downwards only."""

Paragraphs = list[list[str]]
"""Paragraphs of a docstring, each split at its backticks: every second piece is code."""


@dataclass(frozen=True)
class Entry:
    """A module or a public name: how it is written, what its docstring says, what is in it."""

    anchor: str
    name: str
    code: str
    first: Paragraphs
    more: Paragraphs
    inside: Sequence["Entry"] = ()
    equations: Sequence[Equation] = ()
    """The numbered equations that it computes."""


def public_modules(packages: Sequence[str]) -> list[ModuleType]:
    """Modules of csbsr in these packages, imported, by name."""
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in packages and not any(part.startswith("_") for part in parts):
            names.append(".".join(("csbsr", *parts)))
    return [importlib.import_module(name) for name in names]


def public_members(module: ModuleType) -> list[tuple[str, object]]:
    """Public classes and functions that a module itself defines, in the order of its file."""
    found = []
    for name, value in vars(module).items():
        own = getattr(value, "__module__", "") == module.__name__
        if (
            own
            and not name.startswith("_")
            and (inspect.isclass(value) or inspect.isroutine(value))
        ):
            found.append((name, value))
    return found


def _node(value: object) -> ast.ClassDef | ast.FunctionDef:
    return ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]


def _call(node: ast.FunctionDef, name: str) -> str:
    """`name(parameters) -> result`, as written in the source, without self."""
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{name}({ast.unparse(arguments)}){result}"


def signature(value: object) -> str:
    """How a class or function is called, with types and defaults as the source has them."""
    node = _node(value)
    if isinstance(node, ast.FunctionDef):
        return _call(node, node.name)
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return _call(inner, node.name).removesuffix(" -> None")
    return node.name


def fields(owner: type) -> list[tuple[str, str]]:
    """Annotated fields of a class as written, each with the docstring that follows it or ""."""
    found = []
    body = _node(owner).body
    for line, following in zip(body, [*body[1:], None]):
        if not isinstance(line, ast.AnnAssign):
            continue
        text = following.value if isinstance(following, ast.Expr) else None
        doc = text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else ""
        found.append((ast.unparse(line), inspect.cleandoc(doc)))
    return found


def paragraphs(text: str) -> Paragraphs:
    """Paragraphs of a docstring, split at backticks."""
    found = (" ".join(p.split()) for p in re.split(r"\n\s*\n", text.strip()))
    return [re.split(r"`+([^`]+)`+", paragraph) for paragraph in found if paragraph]


def own_docstring(value: object) -> str:
    """The docstring that a class or function carries itself, "" for one made up by Python."""
    text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    made_up = inspect.isclass(value) and text.startswith(f"{value.__name__}(")
    return "" if made_up else text


def _entry(
    anchor: str, name: str, code: str, text: str, inside: Sequence[Entry] = (), whole: bool = False
) -> Entry:
    """An entry whose docstring is folded away after its first paragraph, unless it is `whole`."""
    found = paragraphs(text)
    shown = len(found) if whole else 1
    return Entry(anchor, name, code, found[:shown], found[shown:], inside)


def _members(owner: type, anchor: str) -> list[Entry]:
    """Fields, methods and properties of a class."""
    entries = []
    for code, doc in fields(owner):
        name = code.split(":")[0]
        entries.append(_entry(f"{anchor}.{name}", name, code, doc, whole=True))
    for name, value in vars(owner).items():
        plain = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if name.startswith("_") or not inspect.isfunction(plain) or not plain.__doc__:
            continue
        shown = name if isinstance(value, property) else signature(plain)
        entries.append(_entry(f"{anchor}.{name}", name, f".{shown}", own_docstring(plain)))
    return entries


def module_entry(module: ModuleType) -> Entry:
    """One module: its docstring, then each public name with an anchor `module.name`."""
    entries = []
    for name, value in public_members(module):
        anchor = f"{module.__name__}.{name}"
        is_class = inspect.isclass(value)
        code = f"{'class ' * is_class}{signature(value)}"
        inside = _members(value, anchor) if is_class else ()
        entry = _entry(anchor, name, code, own_docstring(value), inside)
        entries.append(replace(entry, equations=equations_of(anchor)))
    title = module.__name__
    return _entry(title, title, title, own_docstring(module), entries)


def api_html(packages: Sequence[str]) -> Markup:
    """All modules of these packages, preceded by a list of links to them."""
    modules = [module_entry(m) for m in public_modules(packages) if public_members(m)]
    return render("api.html", modules=modules)
