"""Tables II-VI: the paper, the authors' weights and ours in every cell, with computed marks."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from csbsr.study.experiments import experiment
from csbsr.study.freshness import find_fresh, is_stale
from csbsr.study.pairs import Pairs
from csbsr.study.profiles import load_profile
from csbsr.study.results import ResultFile
from csbsr.study.run import Request, run_experiments
from csbsr.study.sources import data_name
from csbsr_book.paper.printed import METRICS, Row, Table, experiments_of, load_table
from csbsr_book.site.display import smoke_note, stale_note, table_html
from csbsr_book.site.exhibit import result_link

Results = Mapping[str, Sequence[ResultFile]]


@dataclass(frozen=True)
class Measured:
    """Mean over seeds of one metric, its spread, and how many seeds there are."""

    value: float
    spread: float | None
    seeds: int


@dataclass(frozen=True)
class Cell:
    """One cell: as printed, with the authors' weights, and ours; None where there is nothing."""

    paper: float | None
    authors: Measured | None
    ours: Measured | None


def measured(results: Sequence[ResultFile], metric: str) -> Measured | None:
    """Mean and standard deviation over seeds; None without a value."""
    values = [v for r in results if (v := r.metrics.get(metric)) is not None and math.isfinite(v)]
    if not values:
        return None
    return Measured(mean(values), stdev(values) if len(values) > 1 else None, len(values))


def cells(row: Row, table: Table, authors: Results, ours: Results) -> dict[str, Cell]:
    """All cells of one row by metric."""
    return {
        metric: Cell(
            row.values.get(metric),
            measured(authors.get(row.experiment, ()), metric),
            measured(ours.get(row.experiment, ()), metric),
        )
        for metric in table.columns
    }


def best_of_ours(table: Table, results: Results, metric: str, block: str) -> str | None:
    """Experiment with the best mean of ours in a block; None unless two rows were run."""
    found = {
        row.experiment: value.value
        for row in table.rows
        if not row.reference
        and row.block == block
        and (value := measured(results.get(row.experiment, ()), metric))
    }
    if len(found) < 2:
        return None
    pick = max if METRICS[metric].better == "higher" else min
    return pick(found, key=found.get)


def verdict(row: Row, ours: Results) -> str:
    """What a row of ours says about the paper's, in words."""
    results = ours.get(row.experiment, ())
    if not results:
        return "not run"
    value, printed = measured(results, "IoU_max"), row.values.get("IoU_max")
    if value is None or printed is None:
        return "run, nothing to compare"
    difference = value.value - printed
    side = "above" if difference > 0 else "below"
    profile = results[0].content["profile"]
    size = "the paper's size" if profile == "paper" else "reduced size"
    seeds = "1 seed" if value.seeds == 1 else f"{value.seeds} seeds"
    return f"IoU_max {abs(difference):.3f} {side} the paper; {size}, {seeds}"


def shown_value(value: Measured, metric: str) -> str:
    """A mean with as many digits as the paper prints, and its spread where there is one."""
    digits = METRICS[metric].digits
    spread = "" if value.spread is None else f" ± {value.spread:.{digits}f}"
    return f"{value.value:.{digits}f}{spread}"


def _cell_html(cell: Cell, metric: str, bold_paper: bool, best_ours: bool) -> str:
    lines = []
    printed = "–" if cell.paper is None else METRICS[metric].text(cell.paper)
    if bold_paper:
        printed = f"<strong>{printed}</strong>"
    lines.append(f'<span class="value paper" title="paper">{printed}</span>')
    if cell.authors is not None:
        text = shown_value(cell.authors, metric)
        lines.append(f'<span class="value authors" title="authors\' weights">{text}</span>')
    if cell.ours is not None:
        digits = METRICS[metric].digits
        text = f"{cell.ours.value:.{digits}f}"
        if best_ours:
            text = f"<strong>{text}</strong>"
        lines.append(f'<span class="value ours" title="ours">{text}</span>')
        if cell.ours.spread is not None:
            spread = f"± {cell.ours.spread:.{digits}f}"
            lines.append(f'<span class="value spread" title="over seeds">{spread}</span>')
        if cell.paper is not None:
            difference = f"{cell.ours.value - cell.paper:+.{digits}f}".replace("-", "−")
            lines.append(
                f'<span class="value difference" title="ours less the paper">{difference}</span>'
            )
    else:
        lines.append('<span class="value ours missing" title="ours: not run">–</span>')
    return "".join(lines)


def _links(results: Sequence[ResultFile]) -> str:
    links = []
    for result in results:
        link = f'<a href="{result_link(result)}">JSON, seed {result.seed}</a>'
        links.append(link + stale_note(is_stale(result)))
    return ", ".join(links)


def paper_table_html(number: str, ours: Results, authors: Results) -> str:
    """Table `number` ("II".."VI") as HTML with three values per cell and a verdict per row."""
    table = load_table(number)
    header = ["Row", *(html.escape(METRICS[m].label) for m in table.columns), "Ours says"]
    rows = []
    for row in table.rows:
        found = cells(row, table, authors, ours)
        line = [f"{html.escape(row.label)}<br><code>{html.escape(row.experiment)}</code>"]
        for metric in table.columns:
            bold = row.experiment in table.best(metric, block=row.block)
            best = best_of_ours(table, ours, metric, row.block) == row.experiment
            line.append(_cell_html(found[metric], metric, bold, best))
        words = f'<span class="words">{html.escape(verdict(row, ours))}</span>'
        rows.append([*line, words + _links(ours.get(row.experiment, ()))])
    note = (
        "from above: the paper; the authors' weights, where somebody supplied them; ours, with its "
        "standard deviation over seeds and its difference to the paper"
    )
    caption = f"Table {number}. {table.title}. Each cell, {note}. Bold: best, computed."
    seeds = {tuple(r.seed for r in ours.get(row.experiment, ())) for row in table.rows} - {()}
    if len(seeds) > 1:
        caption += " Rows of ours differ in their seeds: the claims compare common seeds only."
    return table_html(header, rows, caption=caption)


def smoke_table_html(number: str, smoke: Results) -> str:
    """Values of the smoke run, folded away: they prove that every row runs, nothing else."""
    table = load_table(number)
    header = ["Row", *(html.escape(METRICS[m].label) for m in table.columns)]
    rows = []
    for row in table.rows:
        results = smoke.get(row.experiment, ())
        values = [measured(results, metric) for metric in table.columns]
        shown = ["–" if v is None else shown_value(v, m) for v, m in zip(values, table.columns)]
        rows.append([f"<code>{html.escape(row.experiment)}</code>", *shown])
    inner = table_html(header, rows, caption=f"Smoke values of Table {number}: not results")
    return (
        f'<details class="smoke-values"><summary>Smoke values{smoke_note(True)}</summary>'
        f"{inner}</details>"
    )


def text_table(number: str, request: Request) -> str:
    """Run what is missing of a table and return it as text: paper and ours side by side."""
    table = load_table(number)
    names = experiments_of(number)
    run_experiments(names, request)
    name = data_name(request.data)
    protocol = load_profile(request.profile).protocol(request.protocol).name
    found = find_fresh(request.results, request.profile, name, protocol)
    ours, authors = found.fresh, find_fresh(request.results, "authors", name).fresh
    lines = [f"Table {number}. {table.title}", f"profile {request.profile}, data {name}"]
    if request.profile == "smoke":
        lines.append("SMOKE RUN: the numbers below prove that the code runs; they are not results")
    width = max(len(n) for n in names) + 2
    lines.append(" " * width + "".join(f"{METRICS[m].label:>22}" for m in table.columns))
    for row in table.rows:
        found = cells(row, table, authors, ours)
        line = f"{row.experiment:<{width}}"
        for metric in table.columns:
            cell = found[metric]
            printed = "-" if cell.paper is None else METRICS[metric].text(cell.paper)
            own = "-" if cell.ours is None else shown_value(cell.ours, metric)
            line += f"{printed + ' | ' + own:>22}"
        lines.append(line)
    lines.append("each cell: paper | ours")
    return "\n".join(lines)


NOTHING = "<p>No experiment here was run together with its baseline.</p>"


def pair_table_html(found: Pairs) -> str:
    """HTML: difference in IoU per seed with its interval over images, and the mean over seeds."""
    if not found:
        return NOTHING
    seeds = sorted({seed for tests in found.values() for seed in tests})
    rows = []
    for name, tests in found.items():
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
