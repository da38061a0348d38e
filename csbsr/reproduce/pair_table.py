"""Table of paired differences: each experiment against its baseline, seed by seed."""

import html
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from csbsr.reproduce.display import table_html
from csbsr.reproduce.experiments import experiment
from csbsr.reproduce.results import ResultFile

NOTHING = "<p>No experiment here was run together with its baseline.</p>"


def paired_runs(
    runs: Mapping[str, Sequence[ResultFile]], names: Sequence[str]
) -> dict[str, list[ResultFile]]:
    """Results that carry a paired test, by experiment."""
    found = {n: [r for r in runs.get(n, ()) if r.metrics.get("paired")] for n in names}
    return {name: results for name, results in found.items() if results}


def pair_table_html(found: Mapping[str, Sequence[ResultFile]]) -> str:
    """HTML: difference in IoU per seed with its interval over images, and the mean over seeds."""
    if not found:
        return NOTHING
    seeds = sorted({result.seed for results in found.values() for result in results})
    rows = []
    for name, results in found.items():
        tests = {result.seed: result.metrics["paired"] for result in results}
        against = next(iter(tests.values()))["against"]
        differences = [test["IoU_difference"] for test in tests.values()]
        cells = [_seed_cell(tests.get(seed)) for seed in seeds]
        rows.append([_title(name), _title(against), *cells, _over_seeds(differences)])
    header = ("Experiment", "Against", *(f"Seed {seed}" for seed in seeds), "Mean over seeds")
    caption = (
        "Pairs of ours: difference in IoU, image by image, each at its own best threshold. In "
        "brackets: 95 % interval over test images, which knows nothing of training noise. Last "
        "column: mean and standard error over seeds."
    )
    return table_html(header, rows, caption=caption)


def _title(name: str) -> str:
    return html.escape(experiment(name).title)


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _seed_cell(test: Mapping | None) -> str:
    if test is None:
        return "–"
    low, high = (_signed(v) for v in test["interval"])
    return f"{_signed(test['IoU_difference'])}<br><small>[{low}, {high}]</small>"


def _over_seeds(differences: Sequence[float]) -> str:
    text = _signed(mean(differences))
    if len(differences) > 1:
        text += f" ± {stdev(differences) / len(differences) ** 0.5:.4f}"
    return text
