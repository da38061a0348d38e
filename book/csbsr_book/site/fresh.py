"""Which results are shown: a stand-in for `csbsr.study.freshness.find_fresh`, to be swapped."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from csbsr.study.freshness import is_stale
from csbsr.study.results import ResultFile, find_results
from csbsr.study.robustness import find_robustness, is_robustness_stale, read_robustness


class FoundResults(NamedTuple):
    """Results by experiment, seeds in order, parted by whether today's code would give them."""

    fresh: dict[str, list[ResultFile]]
    stale: dict[str, list[ResultFile]]


def find_fresh(
    results: Path, profile: str, data: str | None = None, protocol: str | None = None
) -> FoundResults:
    """Results of a profile on one data set, fresh ones and stale ones apart."""
    found = FoundResults({}, {})
    for name, runs in find_results(results, profile, data).items():
        for result in runs:
            if protocol in (None, result.content["protocol"]):
                side = found.stale if is_stale(result) else found.fresh
                side.setdefault(name, []).append(result)
    return found


def find_fresh_robustness(
    results: Path, profiles: Sequence[str], data: str | None = None
) -> FoundResults:
    """Measured robustness of the first of these profiles that has a fresh one, by "robustness"."""
    stale: list[ResultFile] = []
    for profile in profiles:
        fresh = []
        for path in find_robustness(results, (profile,), data):
            result = ResultFile(path, read_robustness(path))
            (stale if is_robustness_stale(result.content) else fresh).append(result)
        if fresh:
            return FoundResults({"robustness": fresh}, {"robustness": stale})
    return FoundResults({}, {"robustness": stale} if stale else {})
