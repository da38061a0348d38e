"""What a chapter costs to run, from recorded runs: the page itself, and its experiments."""

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from csbsr.study.profiles import NAMES, load_profile
from csbsr.study.provenance import repository_root
from csbsr_book.site.table import Content, Number, Table, Words

READS = ("benchmarks/results/chapters.json",)


class Runs(NamedTuple):
    """What `StudyChapter.recorded` returns; none for a chapter that shows no results."""

    experiments: int = 0
    seconds: Mapping[str, Sequence[float]] = {}


NO_RUNS = Runs()


def duration(seconds: float) -> str:
    """A duration in the unit that a reader thinks in."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} days"


def measured_pages() -> dict:
    """The benchmark of pages as `benchmarks/chapters.py` left it; empty without one."""
    path = repository_root() / READS[0]
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def running_cost(name: str, runs: Runs = NO_RUNS) -> Table:
    """What running this page and its experiments costs; says so where nothing was recorded."""
    found = measured_pages()
    page = found.get("pages", {}).get(name, {}).get("seconds")
    rows: list[list[Content]] = [
        ["this page, its experiments being run", *_measured([page] if page else [], 1)]
    ]
    for profile in NAMES if runs.experiments else ():
        what = (Words(profile, "code"), f", {runs.experiments} experiments, one seed")
        rows.append([what, *_measured(runs.seconds.get(profile, ()), runs.experiments)])
        if not runs.seconds.get(profile):
            rows[-1][-1] = f"no run recorded; each: {load_profile(profile).cost}"
    where = f"The page was measured on: {found['hardware']}." if page else ""
    return Table(
        "What it costs to run. Several seeds cost as many times as much.",
        ["What", "runs recorded", "median of one", "all"],
        rows,
        notes=[where] * bool(where),
    )


def _measured(seconds: Sequence[float], wanted: int) -> list[Content]:
    """Number of runs, their median, and that of all that are wanted."""
    if not seconds:
        return [0, None, "not recorded yet"]
    one = median(seconds)
    shown = Number(one, "ours", shown=duration(one))
    return [len(seconds), shown, Number(one * wanted, "ours", shown=duration(one * wanted))]
