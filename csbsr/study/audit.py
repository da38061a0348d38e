"""May these result files be relied on, and be committed? One line for each that may not."""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from csbsr.study.freshness import difference, is_stale
from csbsr.study.profiles import profile_of_card
from csbsr.study.results import ResultFile, read_result
from csbsr.study.robustness import is_robustness_stale, read_robustness

ROUNDING = 1e-5
"""Metrics have seven digits, the values per image six."""


def result_files(results: Path) -> list[Path]:
    """All result files below a folder; none when there is no such folder."""
    return sorted(p for p in results.rglob("*.json") if not p.name.startswith("."))


def committed_files(results: Path) -> list[Path]:
    """Those of them that git tracks; none outside a repository."""
    if not results.is_dir():
        return []
    command = ["git", "ls-files", "-z", "--", "*.json"]
    done = subprocess.run(command, cwd=results, capture_output=True, text=True, check=False)
    return sorted(results / name for name in done.stdout.split("\0") if name)


def refused(paths: Iterable[Path], results: Path) -> list[str]:
    """One line per file that is damaged, misplaced, stale, made by uncommitted code or no result.

    Files of one folder must also stem from the same images and options.
    """
    lines = []
    first: dict[Path, list[ResultFile]] = {}
    for path in paths:
        where = path.relative_to(results)
        try:
            is_robustness = path.parent.name == "robustness"
            result = _robustness(path) if is_robustness else read_result(path)
        except ValueError as error:
            lines.append(str(error))
            continue
        folder = path.parent.parent if is_robustness else path.parent
        reasons = list(_reasons(result, len(where.parts) - is_robustness))
        others = first.setdefault(folder, [])
        if found := difference(result.card, others):
            reasons.append(f"is made from other {found[1]} than {found[0].path.name}")
        else:
            others.append(result)
        if reasons:
            lines.append(f"result {path} {', '.join(reasons)}; run it again from a clean commit")
    return lines


def _robustness(path: Path) -> ResultFile:
    return ResultFile(path, read_robustness(path))


def _reasons(result: ResultFile, depth: int) -> Iterator[str]:
    """What is wrong with a file that can be read."""
    profile, card = result.content["profile"], result.card
    if depth != 4:
        yield "does not lie in <profile>/<data>/<protocol>"
    if profile != "authors" and not _is_result(result):
        yield f"is a {profile} run, which is no result"
    if not result.fingerprint:
        yield "has no fingerprint"
    elif is_robustness_stale(result.content) if "walls" in result.content else is_stale(result):
        yield "is stale"
    commit = card.get("commit", {})
    if not isinstance(commit.get("id"), str):
        yield "names no commit"
    if commit.get("dirty") is not False:
        yield "comes from a checkout with uncommitted changes"
    if "images" in result.content and not _adds_up(result):
        yield "has an IoU_max or AIU that its images do not give"


def _is_result(result: ResultFile) -> bool:
    try:
        return profile_of_card(result.content["profile"], result.card).is_result
    except ValueError:
        return False


def _adds_up(result: ResultFile) -> bool:
    rows = result.content["images"].get("IoU")
    if rows is None:
        return False
    curve = np.array(rows, np.float64).mean(0)
    values = [result.metrics.get(name) for name in ("IoU_max", "AIU")]
    if None in values:
        return False
    return bool(np.allclose(values, [curve.max(), curve.mean()], rtol=0, atol=ROUNDING))
