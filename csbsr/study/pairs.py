"""The paired test of a result against its baseline, computed from the two files when asked for."""

from collections.abc import Mapping, Sequence

import numpy as np

from csbsr.data.groups import photo_group
from csbsr.metrics import paired_test
from csbsr.study.experiments import experiment
from csbsr.study.record import rounded
from csbsr.study.results import ResultFile

Pairs = dict[str, dict[int, dict[str, object]]]
"""Experiment -> seed -> paired test."""


def paired_with(mine: ResultFile, other: ResultFile) -> dict[str, object] | None:
    """Test a result against another one on the same images, each at its own threshold.

    None when protocol, data or images differ. The p-value speaks of test photographs only: two
    trainings of the same setting differ by more (see `statistics` in the metrics chapter).
    """
    images, theirs = mine.content["images"], other.content["images"]
    settings = {(r.content["protocol"], r.card.get("data_hash")) for r in (mine, other)}
    if len(settings) > 1 or images["names"] != theirs["names"]:
        return None
    at_best = []
    for rows in (np.array(images["IoU"], float), np.array(theirs["IoU"], float)):
        at_best.append(rows[:, rows.mean(0).argmax()])  # (images,)
    test = paired_test(*at_best, groups=[photo_group(name) for name in images["names"]])
    return {
        "against": other.experiment,
        "IoU_difference": rounded([test.difference.estimate])[0],
        "interval": rounded([test.difference.low, test.difference.high]),
        "p_value": rounded([test.p_value])[0],
        "images": test.images,
    }


def pairs_of(runs: Mapping[str, Sequence[ResultFile]], names: Sequence[str]) -> Pairs:
    """Tests of these experiments against their baselines, seed by seed, where both were run."""
    found: Pairs = {}
    for name in names:
        others = {result.seed: result for result in runs.get(experiment(name).baseline or "", ())}
        for result in runs.get(name, ()):
            other = others.get(result.seed)
            if other and (test := paired_with(result, other)):
                found.setdefault(name, {})[result.seed] = test
    return found
