"""The architecture is a test: imports go downwards, modules stay short."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "csbsr"

FLOOR = {
    "protocol": 0,
    "degradation": 1,
    "realistic": 1,
    "metrics": 1,
    "networks": 1,
    "data": 2,
    "losses": 2,
    "training": 3,
    "evaluation": 3,
    "inference": 3,
    "reproduce": 4,
    "cli": 5,
}
BESIDE = {("evaluation", "training"), ("degradation", "protocol"), ("realistic", "degradation")}
"""Pairs on one floor that may meet, beyond a package's own modules."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def package_of(name: str) -> str:
    """The part of the house a dotted module name belongs to ("" for the package itself)."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports_of(path: Path) -> set[str]:
    """The dotted csbsr names that a module imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("csbsr."):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("csbsr.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_downwards(path: Path) -> None:
    own = package_of(".".join(("csbsr", *path.relative_to(PACKAGE).with_suffix("").parts)))
    if own in ("", "__init__"):
        return
    assert own in FLOOR, f"{own} has no floor; add it to the house in the developer chapter"
    for name in imports_of(path):
        other = package_of(name)
        if other in ("", own) or (own, other) in BESIDE:
            continue
        assert FLOOR[other] < FLOOR[own], f"{path.name} imports {name}, which is not below it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_can_be_read_in_one_sitting(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= 250, f"{path.name} has {lines} lines; split it by idea"


def test_ground_floor_knows_nothing_of_experiments() -> None:
    words = ("experiment", "profile", "notebook")
    for folder in ("networks", "metrics", "losses"):
        for path in (PACKAGE / folder).glob("*.py"):
            names = {
                node.id
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Name)
            }
            assert not names & set(words), path.name
