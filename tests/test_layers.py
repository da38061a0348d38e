"""The architecture is a test: imports go downwards, also inside the packages; no cycles."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSES = {"csbsr": ROOT / "csbsr", "csbsr_book": ROOT / "book" / "csbsr_book"}

FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "csbsr.protocol",
        "csbsr.files",
        "csbsr.toml",
        "csbsr.allocator",
        "csbsr.distributed",
        "csbsr.study.digest",
        "csbsr.study.job_process",
    ),
    ("csbsr.degradation", "csbsr.metrics", "csbsr.study.slurm_task"),
    ("csbsr.networks", "csbsr.realistic"),
    ("csbsr.data", "csbsr.losses", "csbsr.model_file"),
    ("csbsr.training",),
    ("csbsr.evaluation", "csbsr.inference"),
    ("csbsr.low_resolution",),
    ("csbsr.study.provenance", "csbsr.study.experiments", "csbsr.study.profiles"),
    ("csbsr.study.breakdown", "csbsr.study.models", "csbsr.study.panels"),
    ("csbsr.study.recipe", "csbsr.study.record"),
    ("csbsr.study.steps", "csbsr.study.sources"),
    ("csbsr.study.budget", "csbsr.study.machines", "csbsr.study.work"),
    ("csbsr.study.cost",),
    ("csbsr.study.results", "csbsr.study.contrasts"),
    ("csbsr.study.registered",),
    ("csbsr.study.freshness", "csbsr.study.kept_logs", "csbsr.study.trained"),
    ("csbsr.study.pairs",),
    ("csbsr.study.run",),
    ("csbsr.study.graph",),
    (
        "csbsr.study.authors",
        "csbsr.study.robustness",
        "csbsr.study.shipped",
        "csbsr.study.sweep",
    ),
    ("csbsr.study.audit", "csbsr.study.slurm"),
    ("csbsr.study.exchange",),
    ("csbsr_book.paper",),
    ("csbsr_book.site",),
    ("csbsr_book.chapters", "csbsr_book.explorables", "csbsr_book.exercises"),
    ("csbsr.commands", "csbsr.data_commands"),
    ("csbsr.result_commands",),
    ("csbsr.cli",),
)
"""Lowest first. A module may import modules of lower floors, and those of its own package."""


@cache
def modules() -> dict[str, Path]:
    """Every module of both houses by dotted name."""
    found = {}
    for house, folder in HOUSES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [house, *path.relative_to(folder).with_suffix("").parts]
            if parts[-1] == "__init__":
                parts.pop()
            found[".".join(parts)] = path
    return found


def floor_of(name: str) -> int | None:
    """Number of the floor a module stands on; None for the bare packages."""
    for number, rooms in enumerate(FLOORS):
        if any(name == room or name.startswith(room + ".") for room in rooms):
            return number
    return None


def room_of(name: str) -> str:
    """The entry of FLOORS that holds a module."""
    rooms = (room for floor in FLOORS for room in floor)
    return next((r for r in rooms if name == r or name.startswith(r + ".")), name)


@cache
def imports_of(name: str) -> frozenset[str]:
    """The modules of both houses that a module imports anywhere, late imports included."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules() else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(f for f in found if f in modules() and f not in HOUSES and f != name)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_only_downwards(name: str) -> None:
    own = floor_of(name)
    if own is None:
        assert modules()[name].name == "__init__.py", f"{name} has no floor; give it one"
        return
    for other in imports_of(name):
        if room_of(other) == room_of(name):
            continue
        floor = floor_of(other)
        assert floor is None or floor < own, f"{name} imports {other}, which is not below it"


def test_no_cycles_also_not_through_late_imports() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name in done:
            return
        for other in sorted(imports_of(name)):
            visit(other, (*path, name))
        done.add(name)

    for name in modules():
        visit(name, ())


def test_the_method_draws_nothing() -> None:
    """`csbsr` is the method: no HTML, no matplotlib, no notebook (the roof excepted)."""
    drawing = {"matplotlib", "IPython", "papermill", "nbformat", "html", "csbsr_book"}
    for name, path in modules().items():
        if name.startswith("csbsr_book") or name in ("csbsr.cli", "csbsr.commands"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                roots = {(node.module or "").split(".")[0]}
            elif isinstance(node, ast.Import):
                roots = {alias.name.split(".")[0] for alias in node.names}
            else:
                continue
            assert not roots & drawing, f"{name} imports {roots & drawing}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_modules_can_be_read_in_one_sitting(name: str) -> None:
    lines = modules()[name].read_text(encoding="utf-8").count("\n")
    assert lines <= 400, f"{name} has {lines} lines; split it by idea"


def test_ground_floor_knows_nothing_of_experiments() -> None:
    words = ("experiment", "profile", "notebook")
    for folder in ("networks", "metrics", "losses"):
        for path in (HOUSES["csbsr"] / folder).glob("*.py"):
            names = {
                node.id
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Name)
            }
            assert not names & set(words), path.name
