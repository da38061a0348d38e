"""What only runs on a GPU: every such place in the code, named, and what a GPU has said of it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from csbsr.study.machines import PRECISIONS
from csbsr.study.provenance import repository_root
from csbsr.toml import read
from csbsr_book.site.table import Column, Content, Number, Table, TableCell, Words

Check = Literal["tests", "step", "sync", "ranks", "table", "none"]
FOLDERS = ("csbsr", "benchmarks")
"""Where the code is that computes; the book draws on a CPU."""
HANDLES = ("torch.cuda", "torch.backends.cuda", "torch.backends.cudnn")


@dataclass(frozen=True)
class Branch:
    """One place that a GPU takes and a CPU does not, or the other way round."""

    where: str
    """Module and function."""
    code: str
    """The condition or call as it stands there."""
    what: str = ""
    check: Check = "none"
    """The part of `make gpu-check` that goes through it; "ranks" needs two GPUs."""


@dataclass(frozen=True)
class Known:
    """What `gpu_branches.toml` holds."""

    branch: tuple[Branch, ...]


@cache
def known_branches() -> tuple[Branch, ...]:
    """The branches as they are described; a test compares them with those of the code."""
    return read(Known, files("csbsr_book.chapters") / "gpu_branches.toml").branch


def branches_of(root: Path) -> list[tuple[str, str]]:
    """Function and text of every condition on the device and every call of CUDA, as in the code."""
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [(f"{name}:{where}".rstrip(":"), code) for where, code in _branches(tree)]
    return list(dict.fromkeys(found))


def _branches(node: ast.AST, where: str = "") -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        inside = where
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inside = f"{where}.{child.name}".lstrip(".")
        if _is_branch(child):
            yield where, ast.unparse(child)
        if not (isinstance(child, ast.Attribute) and _is_branch(child)):
            yield from _branches(child, inside)


def _is_branch(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return any(isinstance(s, ast.Constant) and s.value in ("cuda", "cpu") for s in sides)
    if isinstance(node, ast.Call):
        constants = [a.value for a in node.args if isinstance(a, ast.Constant)]
        return "cuda" in constants
    if isinstance(node, ast.Attribute):
        return node.attr in ("is_cpu", "is_cuda") or ast.unparse(node).startswith(HANDLES)
    return False


def standing_of(branch: Branch, check: dict | None) -> str:
    """Whether a GPU has run a branch, by the file of `make gpu-check`, None without one."""
    if branch.check == "none":
        return "never: no check goes through it"
    state = (check or {}).get("checks", {}).get(branch.check)
    if state == "passed":
        return f"ran on {check['device']}"
    return f"never: {state}" if state else "never"


def branch_table(check: dict | None) -> Table:
    """Every place that only a GPU takes, and whether one ever did."""
    rows: list[list[Content]] = [
        [
            TableCell((Words(b.where, "code"), Words(b.code, "code"))),
            b.what,
            b.check,
            standing_of(b, check),
        ]
        for b in known_branches()
    ]
    never = sum(standing_of(b, check).startswith("never") for b in known_branches())
    return Table(
        f"Places in the code that differ between a CPU and a GPU: {len(rows)}, of which {never} "
        "have never run on a GPU. The list is compared with the code by a test.",
        ["Where", Column("What it is for", prose=True), "Checked by", "On a GPU"],
        rows,
    )


def check_tables(check: dict | None) -> list[Table]:
    """What `make gpu-check` wrote on a GPU: its parts, the steps, the joint step's memory."""
    if check is None:
        nothing = (
            "`make gpu-check` has not been run on a GPU yet: nothing here was measured on one."
        )
        return [Table("", [], [], empty=nothing)]
    where = f"{check['device']}, torch {check.get('torch')}, profile {check.get('profile')}"
    parts = [[Words(name, "code"), state] for name, state in check.get("checks", {}).items()]
    tables = [Table(f"What was checked on {where}.", ["Part", "state"], parts)]
    steps = check.get("steps", {})
    names = list(dict.fromkeys(name for rows in steps.values() for name in rows))
    rows: list[list[Content]] = [
        [Words(name, "code"), *(_tflops(steps.get(p, {}).get(name)) for p in PRECISIONS)]
        for name in names
    ]
    tables.append(
        Table(
            f"TFLOP per second of one training step of each network alone on {where}.",
            ["Network", *(Column(p, digits=2) for p in PRECISIONS)],
            rows,
        )
    )
    joint = {p: row for p, row in check.get("joint", {}).items() if row}
    tables.append(
        Table(
            f"One joint step of KBPN + PSPNet on {where}.",
            [
                "Precision",
                Column("Seconds", digits=4),
                Column("TFLOP / s", digits=2),
                Column("Memory counted, fp32", unit="GiB", digits=2),
                Column("Memory at its peak", unit="GiB", digits=2),
            ],
            [
                [p, r["seconds"], _tflops(r), r["predicted_gib"], r.get("peak_gib")]
                for p, r in joint.items()
            ],
        )
    )
    return tables


def _tflops(row: dict | None) -> Number:
    return Number(row["tflop"] / row["seconds"] if row else None)


def describe(root: Path | None = None) -> str:
    """The branches of the code that are not described yet, as TOML to be filled in."""
    there = {(b.where, b.code) for b in known_branches()}
    lines = []
    for where, code in branches_of(root or repository_root()):
        if (where, code) not in there:
            lines += ["[[branch]]", f'where = "{where}"', f"code = '''{code}'''", 'what = ""', ""]
    return "\n".join(lines)
