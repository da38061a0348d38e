"""Strict reading of TOML: a table becomes a frozen dataclass, and nothing unexpected passes.

The one reader of profiles, printed numbers, claims and every other table of data. A key is a
field, its type is the field's; an error is one line with file, table, key and what is expected.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib.resources.abc import Traversable
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
SCALARS: Mapping[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
}


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the table in a TOML text; ValueError naming `where` if it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not TOML ({error})") from error


def read(kind: type[T], file: Traversable, where: str = "") -> T:
    """Return a TOML file as a dataclass; ValueError if it is not there or does not fit."""
    where = where or file.name
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: cannot be read ({error})") from error
    return build(kind, parse(text, where), where)


def build(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """Return a dataclass made of a TOML table, nested tables and arrays included.

    Fields may be bool, int, float, str, Literal, dataclasses, tuples, mappings with string keys,
    and unions of these; a missing key takes the field's default. ValueError, one line, names
    `where`, the key and what is expected; a ValueError of `__post_init__` gets `where` in front.
    """
    hints = _hints(kind)
    if unknown := sorted(set(table) - set(hints)):
        known = ", ".join(sorted(hints))
        raise ValueError(f"{where}: unknown key '{unknown[0]}'; known keys are {known}")
    for field in fields(kind):  # type: ignore[arg-type]
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and field.name not in table:
            what = _expected(hints[field.name])
            raise ValueError(f"{where}: missing '{field.name}', which must be {what}")
    values = {key: _convert(value, hints[key], where, key) for key, value in table.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind) if f.init}  # type: ignore[arg-type]


def _convert(value: Any, hint: Any, where: str, key: str) -> Any:
    if not _fits(value, hint):
        raise ValueError(f"{where}: '{key}' must be {_expected(hint)}, not {value!r}")
    if get_origin(hint) in (Union, UnionType):
        # An integer stays one where integers are allowed beside numbers.
        members = sorted(get_args(hint), key=lambda member: member is float)
        hint = next(member for member in members if _fits(value, member))
    if is_dataclass(hint):
        return build(hint, value, f"{where}, [{key}]")
    if hint is float:
        return float(value)
    if isinstance(value, list):
        return tuple(
            _convert(item, inner, where, f"{key} {_name_of(item, inner, number)}")
            for number, (item, inner) in enumerate(zip(value, _inner(hint, len(value))), start=1)
        )
    if isinstance(value, Mapping):
        inner = (*get_args(hint), Any, Any)[1]
        return {k: _convert(v, inner, f"{where}, [{key}]", k) for k, v in value.items()}
    return value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a TOML value has the outer form of a type; what is inside is looked at later."""
    origin = get_origin(hint) or hint
    if origin is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, member) for member in get_args(hint))
    if origin is Literal:
        return any(type(value) is type(word) and value == word for word in get_args(hint))
    if origin is float:
        return type(value) in (int, float) and math.isfinite(value)
    if origin in SCALARS:
        return type(value) is origin
    if is_dataclass(origin) or issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if issubclass(origin, Sequence):
        return isinstance(value, list) and len(_inner(hint, len(value))) == len(value)
    return False


def _inner(hint: Any, length: int) -> tuple[Any, ...]:
    """Types of the items of an array with this many items."""
    inner = get_args(hint) or (Any, ...)
    one_for_all = len(inner) == 1 or inner[-1] is Ellipsis
    return (inner[0],) * length if one_for_all else inner


def _name_of(item: Any, kind: Any, number: int) -> str:
    """What an item of an array is called: a table by its first field if that is a string."""
    name = item.get(fields(kind)[0].name) if is_dataclass(kind) and _fits(item, kind) else None
    return f"'{name}'" if isinstance(name, str) else str(number)


def _expected(hint: Any) -> str:
    """A type in the words of somebody who writes TOML."""
    origin = get_origin(hint) or hint
    if origin in (Union, UnionType):
        return " or ".join(_expected(m) for m in get_args(hint) if m is not NoneType)
    if origin is Literal:
        words = [str(word) for word in get_args(hint)]
        return f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    if origin in SCALARS:
        return SCALARS[origin]
    if is_dataclass(origin) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return "a table"
    inner = [_expected(i) for i in get_args(hint) if i is not Ellipsis]
    if len(inner) > 1:
        return f"an array of {', '.join(inner)}"
    return f"an array, each item {inner[0]}" if inner and inner[0] != "anything" else "an array"
