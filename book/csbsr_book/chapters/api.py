"""The API reference: every public module, class and function with signature and docstring."""

import ast
import html
import importlib
import inspect
import re
import textwrap
from collections.abc import Mapping, Sequence
from types import ModuleType

from csbsr.study.provenance import PACKAGE

READS = ("csbsr/**/*.py",)
"""Every module of the method is imported by name, for its docstrings."""

LAYERS: Mapping[str, tuple[str, ...]] = {
    "ground": ("protocol", "files", "degradation", "realistic", "metrics", "networks"),
    "data and losses": ("data", "losses"),
    "training and use": ("training", "evaluation", "inference"),
    "study": ("study",),
    "command": ("commands", "cli"),
}
"""The floors of the house, lowest first; imports go downwards only."""

STYLE = (
    "<style>.api dt{margin-top:1rem;font-weight:400}.api dt code{overflow-wrap:anywhere;"
    "white-space:normal}.api dd{margin-left:1.1rem;overflow-wrap:anywhere}.api h4{"
    "overflow-wrap:anywhere;margin-top:2rem}.api summary{cursor:pointer}"
    ".api h4 code{overflow-wrap:anywhere;white-space:normal}"
    ".api ul{columns:15rem;padding-left:1.1rem;overflow-wrap:anywhere}</style>"
)


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


def _prose(text: str) -> str:
    """Docstring text as HTML: paragraphs, and code between backticks."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        escaped = html.escape(" ".join(paragraph.split()), quote=False)
        marked = re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escaped)
        parts.append(f"<p>{marked}</p>")
    return "".join(parts)


def own_docstring(value: object) -> str:
    """The docstring that a class or function carries itself, "" for one made up by Python."""
    text = inspect.cleandoc(getattr(value, "__doc__", None) or "")
    made_up = inspect.isclass(value) and text.startswith(f"{value.__name__}(")
    return "" if made_up else text


def described(text: str, of: str) -> str:
    """First paragraph of a docstring, and the rest folded away under "more on `of`"."""
    first, _, rest = text.partition("\n\n")
    if not first:
        return ""
    if not rest.strip():
        return _prose(first)
    return f"{_prose(first)}<details><summary>more on {of}</summary>{_prose(rest)}</details>"


def _entry(anchor: str, code: str, inner: str) -> str:
    return f'<dt id="{anchor}"><code>{html.escape(code)}</code></dt><dd>{inner}</dd>'


def _inside(owner: type, anchor: str) -> str:
    """Fields, methods and properties of a class."""
    entries = [
        _entry(f"{anchor}.{code.split(':')[0]}", code, _prose(doc) if doc else "")
        for code, doc in fields(owner)
    ]
    for name, value in vars(owner).items():
        plain = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if name.startswith("_") or not inspect.isfunction(plain) or not plain.__doc__:
            continue
        shown = name if isinstance(value, property) else signature(plain)
        entries.append(
            _entry(f"{anchor}.{name}", f".{shown}", described(own_docstring(plain), name))
        )
    return f"<dl>{''.join(entries)}</dl>" if entries else ""


def module_html(module: ModuleType) -> str:
    """One module: its docstring, then each public name with an anchor `module.name`."""
    entries = []
    for name, value in public_members(module):
        anchor = f"{module.__name__}.{name}"
        is_class = inspect.isclass(value)
        inner = described(own_docstring(value), name) + (_inside(value, anchor) if is_class else "")
        entries.append(_entry(anchor, f"{'class ' * is_class}{signature(value)}", inner))
    names = f"<dl>{''.join(entries)}</dl>" if entries else ""
    title = module.__name__
    about = described(own_docstring(module), title)
    return f'<section><h4 id="{title}"><code>{title}</code></h4>{about}{names}</section>'


def api_html(packages: Sequence[str]) -> str:
    """All modules of these packages, preceded by a list of links to them."""
    modules = [m for m in public_modules(packages) if public_members(m)]
    links = "".join(
        f'<li><a href="#{m.__name__}">{m.__name__.removeprefix("csbsr.")}</a></li>' for m in modules
    )
    body = "".join(module_html(module) for module in modules)
    return f'{STYLE}<div class="api"><ul>{links}</ul>{body}</div>'
