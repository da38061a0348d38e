"""The paired test of a result against its baseline, computed from the two result files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from csbsr.metrics import paired_test
from csbsr.study.experiments import experiment
from csbsr.study.results import ResultFile, find_results, rounded, write_json


def paired_with(mine: ResultFile, other: ResultFile) -> dict[str, object] | None:
    """Test a result against another one on the same images, each at its own threshold.

    None when the images differ. The p-value speaks of test images only: two trainings of the same
    setting differ by more (see `statistics` in the metrics chapter).
    """
    images, theirs = mine.content["images"], other.content["images"]
    if images["names"] != theirs["names"]:
        return None
    at_best = []
    for rows in (np.array(images["IoU"], float), np.array(theirs["IoU"], float)):
        at_best.append(rows[:, rows.mean(0).argmax()])  # (images,)
    test = paired_test(*at_best)
    return {
        "against": other.content["experiment"],
        "fingerprint": other.fingerprint,
        "IoU_difference": rounded([test.difference.estimate])[0],
        "interval": rounded([test.difference.low, test.difference.high]),
        "p_value": rounded([test.p_value])[0],
        "images": test.images,
    }


def refresh_pairs(
    results: Path, profile: str, data: str, seed: int, is_stale: Callable[[ResultFile], bool]
) -> int:
    """Bring the paired tests of all results of one seed up to date; returns how many changed.

    A result has a test if its baseline was run with the same seed and neither of the two is stale,
    whichever of them came first.
    """
    found = {
        name: result
        for name, runs in find_results(results, profile, data).items()
        for result in runs
        if result.seed == seed and not is_stale(result)
    }
    changed = 0
    for name, result in found.items():
        baseline = experiment(name).baseline
        other = found.get(baseline) if baseline != name else None
        metrics = result.content["metrics"]
        known = metrics.get("paired") or {}
        if other is not None and known.get("fingerprint") == other.fingerprint:
            continue
        test = paired_with(result, other) if other else None
        if test != metrics.get("paired"):
            metrics["paired"] = test
            write_json(result.path, result.content)
            changed += 1
    return changed
