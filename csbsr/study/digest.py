"""Hashes of values and of code that are the same on every Python, system and machine.

Only the standard library is imported, so that any interpreter can check it.
"""

import ast
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

PASSED_OVER = (
    "csbsr",  # the version
    "csbsr.files",  # locks and atomic writing
    "csbsr.protocol",  # its options are hashed as values, those of one protocol alone
    "csbsr.training.log",  # these two watch a training and decide nothing
    "csbsr.training.progress",
)
"""Modules that may be imported by code that computes, and whose code decides no number."""


def digest(value: object) -> str:
    """Short SHA-256 of plain values, containers and dataclasses, independent of key order.

    TypeError for anything that has no one spelling as JSON (a path, a set, an array, a NaN).
    """
    text = json.dumps(_plain(value), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) in (list, tuple):
        return [_plain(item) for item in value]
    if type(value) is dict and all(type(key) is str for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    raise TypeError(f"{value!r} of type {type(value).__name__} has no canonical form to hash")


def source_digest(text: str) -> str:
    """SHA-256 of what Python code does: comments, docstrings and layout do not count."""
    return _tree_digest(ast.parse(text))


def _tree_digest(tree: ast.Module) -> str:
    return hashlib.sha256(_canonical(tree).encode()).hexdigest()


def _canonical(node: object) -> str:
    """Spell a syntax tree; what is empty is left out, because Python versions differ in it.

    3.12 added `type_params` and splits the constants of an f-string in other places than 3.11.
    """
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    if isinstance(node, ast.Constant):
        return f"Constant({_spelled(node.value)})"
    if isinstance(node, ast.AST):
        parts = []
        for name in node._fields:
            value = getattr(node, name, None)
            if name in ("body", "orelse", "finalbody") and isinstance(value, list):
                value = [v for v in value if not _says_nothing(v)]
            elif name == "values" and isinstance(node, ast.JoinedStr):
                value = _merged(value)
            if value is not None and value != []:
                parts.append(f"{name}={_canonical(value)}")
        return f"{type(node).__name__}({','.join(parts)})"
    return _spelled(node)


def _spelled(value: object) -> str:
    # ASCII: which characters `repr` shows as they are depends on Python's Unicode tables.
    return f"{type(value).__name__}:{value!a}"


def _says_nothing(statement: ast.AST) -> bool:
    """Docstrings, those of attributes included, `...` and `pass`."""
    bare = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return bare or isinstance(statement, ast.Pass)


def _merged(values: list[ast.expr]) -> list[ast.expr]:
    """Join neighbouring constants of an f-string and drop empty ones."""
    merged: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and merged and isinstance(merged[-1], ast.Constant):
            merged[-1] = ast.Constant(merged[-1].value + value.value)
        else:
            merged.append(value)
    return [v for v in merged if not (isinstance(v, ast.Constant) and v.value == "")]


@cache
def _parsed(path: Path, stamp: tuple[int, int]) -> tuple[str, tuple[str, ...]]:
    """Hash of a module, and the names of what it imports from the package."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            imports += [a.name for a in node.names if a.name.split(".")[0] == PACKAGE.name]
    return _tree_digest(tree), tuple(imports)


def _module_file(name: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def code_closure(roots: Iterable[str], alone: Iterable[str] = ()) -> dict[str, str]:
    """Hash of every module of the package reachable by imports from `roots`, by posix path.

    alone: modules that count themselves but whose imports are not followed, because they import
    every network and use one. ValueError for a name that is no module of the package.
    """
    hashes: dict[str, str] = {}
    roots, alone = tuple(roots), tuple(alone)
    for name in (*roots, *alone):
        if _module_file(name) is None:
            raise ValueError(f"{name} is no module of {PACKAGE.name}; mend the list of modules")
    lonely = set(alone)
    waiting = [*roots, *alone]
    while waiting:
        name = waiting.pop()
        path = None if name in PASSED_OVER else _module_file(name)
        if path is None:
            continue
        key = path.relative_to(PACKAGE.parent).as_posix()
        if key in hashes:
            continue
        status = path.stat()
        hashes[key], imports = _parsed(path, (status.st_mtime_ns, status.st_size))
        waiting += () if name in lonely else imports
    return dict(sorted(hashes.items()))
