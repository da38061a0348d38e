"""Tables II-VI: the paper, the authors' weights and ours in every cell, with computed marks.

Numbers of different size are never subtracted: what is compared between paper and ours is the
difference of a row to its own baseline. Which results are fresh is decided elsewhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean, stdev

from csbsr.study.contrasts import contrast, pooled_spread
from csbsr.study.experiments import experiment
from csbsr.study.freshness import FoundResults
from csbsr.study.pairs import Pairs
from csbsr.study.results import ResultFile
from csbsr_book.chapters.kernels import scale_note
from csbsr_book.paper import printed
from csbsr_book.paper.printed import METRICS, Row, load_table
from csbsr_book.site.display import data_words
from csbsr_book.site.exhibit import merged, result_link
from csbsr_book.site.table import Column, Content, Number, Piece, Table, TableCell, Voice, Words

Results = Mapping[str, Sequence[ResultFile]]


def columns_of(metrics: Sequence[str]) -> list[Column]:
    """Columns of metrics with unit, direction and as many decimals as the paper prints."""
    found = (METRICS[m] for m in metrics)
    return [Column(m.label, unit=m.unit, better=m.better, digits=m.digits) for m in found]


def measured(results: Sequence[ResultFile], metric: str, voice: Voice = "ours") -> Number:
    """Mean and standard deviation over seeds; a number without value where there is none."""
    values = [v for r in results if (v := r.metrics.get(metric)) is not None and math.isfinite(v)]
    if not values:
        return Number(None, voice)
    spread = stdev(values) if len(values) > 1 else None
    return Number(mean(values), voice, spread=spread, seeds=len(values))


def best_of_ours(table: printed.Table, results: Results, metric: str, block: str) -> str | None:
    """Experiment of a block that leads every other one beyond noise; None where none does.

    Beyond noise: the 95 % interval of each paired difference lies on the better side of 0.
    """
    found = {
        row.experiment: value
        for row in table.rows
        if not row.reference
        and row.block == block
        and (value := measured(results.get(row.experiment, ()), metric).value) is not None
    }
    if len(found) < 2:
        return None
    higher = METRICS[metric].better == "higher"
    leader = (max if higher else min)(found, key=found.get)
    for other in set(found) - {leader}:
        pair = (leader, other) if higher else (other, leader)
        interval = contrast_cell(results, *pair, metric).interval
        if interval is None or interval[0] <= 0:
            return None
    return leader


def contrast_cell(results: Results, first: str, second: str, metric: str) -> Number:
    """Difference of two experiments over their common seeds, with its 95 % interval."""
    runs = {name: {r.seed: r.metrics.get(metric) for r in found} for name, found in results.items()}
    values = {n: {s: v for s, v in by.items() if v is not None} for n, by in runs.items()}
    found = contrast(values, {first: 1, second: -1}, pooled_spread(values))
    if found is None:
        return Number(None, "ours", signed=True)
    interval = found.interval() if found.spread else None
    seeds = len(found.seeds)
    return Number(found.estimate, "ours", seeds=seeds, interval=interval, signed=True)


def paper_table(number: str, ours: FoundResults, authors: Results) -> Table:
    """Table `number` ("II".."VI"): up to three voices a cell, and each row against its baseline.

    `authors` are results of published weights on the data set that ours were measured on.
    """
    table = load_table(number)
    rows = []
    for row in table.rows:
        label = row.label.replace("(ours)", "(the paper's)")  # "ours" is a voice here
        cells: list[TableCell] = [TableCell((label, Words(row.experiment, "code")))]
        for metric in table.columns:
            best = row.experiment in table.best(metric, block=row.block)
            lines = [Number(row.values.get(metric), "paper", best=best)]
            if row.experiment in authors:
                lines.append(measured(authors[row.experiment], metric, "authors"))
            own = measured(ours.fresh.get(row.experiment, ()), metric)
            best = best_of_ours(table, ours.fresh, metric, row.block) == row.experiment
            cells.append(TableCell((*lines, replace(own, best=best))))
        rows.append([*cells, _against(row, table, ours.fresh), standing(row.experiment, ours)])
    caption = (
        f"Table {number}. {table.title}. Each cell, from above: the paper; the authors' weights, "
        "where somebody supplied them; ours with its standard deviation over seeds. Bold: best, "
        "computed; ours only where it leads every other row of its block beyond the noise of the "
        "seeds. Paper and ours differ in size and data, so the last column but one compares "
        "each row with its own baseline: the difference in IoU_max, ours over common seeds with "
        "its 95 % interval."
    )
    for whose, found in (("Ours", ours.fresh), ("Authors' weights", authors)):
        if shown := [r for row in table.rows for r in found.get(row.experiment, ())]:
            caption += f" {whose}: measured on {data_words(merged(shown))}."
    seeds = {tuple(r.seed for r in ours.fresh.get(row.experiment, ())) for row in table.rows}
    if len(seeds - {()}) > 1:
        caption += " Rows of ours differ in their seeds: the claims compare common seeds only."
    last = [Column("Against its baseline", digits=4), "Ours: what was run"]
    notes = [scale_note()] if "kernel_PSNR" in table.columns else []
    return Table(caption, ["Row", *columns_of(table.columns), *last], rows, notes)


def _against(row: Row, table: printed.Table, results: Results) -> TableCell:
    baseline = experiment(row.experiment).baseline
    rivals = [r for r in table.rows if r.experiment == baseline]
    if not baseline or row.reference:
        return TableCell(("–",))
    values = [r.values.get("IoU_max") for r in (row, *rivals)]
    digits = METRICS["IoU_max"].digits  # as printed; ours need one more
    known = len(values) == 2 and None not in values
    gap = Number(values[0] - values[1] if known else None, "paper", digits, signed=True)
    own = contrast_cell(results, row.experiment, baseline, "IoU_max")
    if gap.value is None and own.value is None:
        return TableCell(("–",))
    return TableCell((gap, own, Words(f"against {experiment(baseline).title}", "words")))


def standing(name: str, ours: FoundResults) -> TableCell:
    """What stands behind a row of ours: profile and seeds with links, stale, or not run."""
    lines = []
    for runs, mark in ((ours.fresh.get(name, ()), ""), (ours.stale.get(name, ()), "stale")):
        if runs:
            line: list[Piece] = [f"{runs[0].content['profile']}, seed{'s' * (len(runs) > 1)} "]
            for i, result in enumerate(runs):
                line += [", " * bool(i), Words(str(result.seed), link=result_link(result))]
            if any(result.without_cracks for result in runs):
                mark = f"{mark} no crack in any mask".strip()
            lines.append((*line, " ", Words(mark, "stale")) if mark else tuple(line))
    return TableCell(tuple(lines) or (Words("not run", "words"),))


def smoke_table(number: str, smoke: Results) -> Table:
    """Values of the smoke run, folded away: they prove that every row runs, nothing else."""
    table = load_table(number)
    return run_table(
        f"Smoke values of Table {number}: not results",
        {row.experiment: row.experiment for row in table.rows},
        table.columns,
        smoke,
    ).folded()


def run_table(
    caption: str, titles: Mapping[str, str], metrics: Sequence[str], results: Results
) -> Table:
    """Metrics of experiments of ours; `titles` maps their ids to what their rows are called."""
    rows = [
        [title, *(measured(results.get(name, ()), m) for m in metrics)]
        for name, title in titles.items()
    ]
    notes = [scale_note()] if "kernel_PSNR" in metrics else []
    return Table(caption, ["Experiment", *columns_of(metrics)], rows, notes)


def pair_table(pairs: Pairs) -> Table:
    """Difference in IoU per seed with its interval over images, and the mean over seeds."""
    seeds = sorted({seed for tests in pairs.values() for seed in tests})
    rows = []
    for name, tests in pairs.items():
        titles = (experiment(n).title for n in (name, experiment(name).baseline))
        gaps = [test["IoU_difference"] for test in tests.values()]
        error = stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else None
        over = Number(mean(gaps), "ours", spread=error, seeds=len(gaps), signed=True)
        rows.append([*titles, *(_on_images(tests.get(seed)) for seed in seeds), over])
    columns = [Column(f"Seed {seed}", digits=4) for seed in seeds]
    return Table(
        "Pairs of ours: difference in IoU, image by image, each at its own best threshold. In "
        "brackets: 95 % interval over test images, which knows nothing of training noise. Last "
        "column: mean and standard error over seeds.",
        ["Experiment", "Against", *columns, Column("Mean over seeds", digits=4)],
        rows,
        empty="No experiment here was run together with its baseline.",
    )


def _on_images(test: Mapping | None) -> Content:
    if test is None:
        return None
    return Number(test["IoU_difference"], "ours", interval=tuple(test["interval"]), signed=True)
