"""The strict TOML reader: what fits becomes a dataclass, anything else one line that says where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from csbsr.toml import build, parse, read


@dataclass(frozen=True)
class Point:
    name: str
    at: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Plan:
    title: str
    count: int
    rate: float
    on: bool = False
    kind: Literal["a", "b", 2] = "a"
    limit: float | None = None
    value: int | float | str | tuple[float, ...] = 0
    tags: tuple[str, ...] = ()
    first: Point | None = None
    points: tuple[Point, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    free: Any = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count must not be negative")


HEAD = {"title": "t", "count": 3, "rate": 1}


def test_a_whole_file_becomes_a_dataclass(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        'title = "t"\ncount = 3\nrate = 1\nlimit = 2\nvalue = 4\ntags = ["x", "y"]\nkind = 2\n'
        '[first]\nname = "p"\nat = [1, 2.5]\n[[points]]\nname = "q"\n[numbers]\na = 1\n'
    )
    plan = read(Plan, path)
    assert plan == Plan(
        "t", 3, 1.0, limit=2.0, value=4, tags=("x", "y"), kind=2,
        first=Point("p", (1.0, 2.5)), points=(Point("q"),), numbers={"a": 1.0},
    )  # fmt: skip
    assert type(plan.rate) is type(plan.limit) is type(plan.numbers["a"]) is float
    assert type(plan.value) is int, "an integer stays one where integers are allowed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "f.toml: unknown key 'colour'; known keys are count, first"),
        ({"count": None}, "f.toml: missing 'count', which must be an integer"),
        ({"count": 1.0}, "f.toml: 'count' must be an integer, not 1.0"),
        ({"count": True}, "f.toml: 'count' must be an integer, not True"),
        ({"rate": "fast"}, "f.toml: 'rate' must be a number, not 'fast'"),
        ({"rate": float("nan")}, "f.toml: 'rate' must be a number, not nan"),
        ({"on": 0}, "f.toml: 'on' must be true or false, not 0"),
        ({"kind": "c"}, "f.toml: 'kind' must be one of a, b, 2, not 'c'"),
        ({"kind": 2.0}, "f.toml: 'kind' must be one of a, b, 2, not 2.0"),
        ({"limit": "x"}, "f.toml: 'limit' must be a number, not 'x'"),
        ({"value": True}, "'value' must be an integer or a number or a string or an array"),
        ({"value": [1, "x"]}, "f.toml: 'value 2' must be a number, not 'x'"),
        ({"tags": "xy"}, "f.toml: 'tags' must be an array, each item a string, not 'xy'"),
        ({"tags": ["x", 1]}, "f.toml: 'tags 2' must be a string, not 1"),
        ({"first": []}, "f.toml: 'first' must be a table"),
        ({"first": {}}, "f.toml, [first]: missing 'name', which must be a string"),
        ({"first": {"name": "p", "at": [1]}}, "'at' must be an array of a number, a number"),
        ({"points": [{"name": "q", "x": 1}]}, "f.toml, [points 'q']: unknown key 'x'"),
        ({"points": [{"at": [1, 2]}]}, "f.toml, [points 1]: missing 'name'"),
        ({"points": [7]}, "f.toml: 'points 1' must be a table, not 7"),
        ({"numbers": {"a": "x"}}, "f.toml, [numbers]: 'a' must be a number, not 'x'"),
        ({"count": -1}, "f.toml: count must not be negative"),
    ],
)
def test_what_does_not_fit_is_one_line(changes: dict, message: str) -> None:
    table = {k: v for k, v in {**HEAD, **changes}.items() if v is not None}
    with pytest.raises(ValueError) as error:
        build(Plan, table, "f.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).count("f.toml") == 1


def test_files_that_are_no_toml_or_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"here\.toml: not TOML"):
        parse("[a", "here.toml")
    with pytest.raises(ValueError, match=r"none\.toml: cannot be read"):
        read(Plan, tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"bytes\.toml: cannot be read"):
        read(Plan, tmp_path / "bytes.toml")
