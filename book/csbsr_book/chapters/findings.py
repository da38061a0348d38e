"""What we found: the runs behind one table, or behind all of them, said in computed sentences.

Numbers of ours and of the paper differ in size and data. What is compared is therefore the order
of rows and the contrast of a row with its own baseline, never a number with a number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean

from scipy.special import stdtrit

from csbsr.metrics import Interval
from csbsr.study.contrasts import (
    ALPHA,
    WORDS,
    Contrast,
    Values,
    Word,
    contrast,
    pooled_spread,
)
from csbsr.study.experiments import experiment
from csbsr.study.freshness import FoundResults
from csbsr.study.registered import (
    PrimaryOutcome,
    Results,
    described,
    primary_outcomes,
    registration,
    values_by_seed,
)
from csbsr_book.paper.gaps import contrast_rows
from csbsr_book.paper.printed import METRICS, Table, experiments_of, load_table, load_tables
from csbsr_book.site.display import data_words, render
from csbsr_book.site.exhibit import merged
from csbsr_book.site.table import Column, Number
from csbsr_book.site.table import Table as Shown

METRIC = "IoU_max"
TRIVIAL = ("darkness", "otsu")
"""What learns nothing; who does not clearly beat them has not been trained to a comparison."""


@dataclass(frozen=True)
class Order:
    """In how many pairs of measured rows ours point the same way as the printed numbers."""

    same: int
    pairs: int
    first_of_paper: str
    first_of_ours: str


@dataclass(frozen=True)
class AgainstBaseline:
    """One row against its own baseline: ours with its word, and what the paper prints."""

    title: str
    baseline: str
    found: Contrast
    word: Word
    printed: float | None
    photos: Interval | None

    @property
    def text(self) -> str:
        """Ours in words, beside it the interval over photographs and the printed difference."""
        own = f"{self.title} against {self.baseline}: {described(self.found)}"
        if self.photos is not None:
            own += f"; over photographs [{self.photos.low:+.4f}, {self.photos.high:+.4f}]"
        return own if self.printed is None else f"{own}; the paper prints {self.printed:+.3f}"


@dataclass(frozen=True)
class Findings:
    """What the runs behind one table say."""

    rows: int
    measured: int
    seeds: Mapping[int, int]
    """Number of seeds -> number of rows that have as many."""
    where: str
    order: Order | None
    contrasts: Sequence[AgainstBaseline]
    failed: Sequence[str]
    """Rows that do not pass the best trivial baseline by what matters."""
    floor: tuple[str, float] | None
    """The best of `TRIVIAL`: title and value."""
    primary: Sequence[PrimaryOutcome]

    def with_word(self, word: Word) -> list[AgainstBaseline]:
        """The rows whose contrast has this word."""
        return [c for c in self.contrasts if c.word == word]

    @property
    def words(self) -> Sequence[Word]:
        """The verdict words that occur among the contrasts."""
        return [word for word in WORDS if self.with_word(word)]

    def html(self) -> str:
        """The box that opens a chapter."""
        return render("findings.html", found=self)


def findings_of(number: str, ours: FoundResults) -> Findings:
    """What fresh results say about Table `number`; nothing of it is there without a run."""
    table = load_table(number)
    names = experiments_of(number)
    values = values_by_seed(ours.fresh, METRIC)
    run = [name for name in names if values.get(name)]
    counts = [len(values[name]) for name in run]
    shown = [result for name in run for result in ours.fresh[name]]
    where = f"{shown[0].content['profile']}, {data_words(merged(shown))}" if shown else ""
    levels = {name: mean(values[name].values()) for name in TRIVIAL if values.get(name)}
    best = max(levels, key=levels.get, default=None)
    return Findings(
        rows=len(names),
        measured=len(run),
        seeds={n: counts.count(n) for n in sorted(set(counts))},
        where=where,
        order=order_of(table, values),
        contrasts=contrasts_of(table, ours.fresh),
        failed=[experiment(n).title for n in run if best and _at_the_floor(values, n, best)],
        floor=(experiment(best).title, levels[best]) if best else None,
        primary=[o for o in primary_outcomes(ours.fresh) if _belongs(o, names)],
    )


def _at_the_floor(values: Values, name: str, best: str) -> bool:
    smallest = registration().smallest_effect(METRIC)
    found = contrast(values, {name: 1, best: -1})
    return found is not None and found.estimate <= smallest


def _belongs(outcome: PrimaryOutcome, names: Sequence[str]) -> bool:
    registered = outcome.registered
    return registered.first in names and set(registered.second) <= set(names)


def order_of(table: Table, values: Values) -> Order | None:
    """Compare the order of rows, in pairs that have a seed in common; None without a pair.

    Pairs that the paper prints as equal, its bounds, and rows of different blocks do not count.
    """
    rows = [r for r in table.rows if r.values.get(METRIC) is not None and values.get(r.experiment)]
    rows = [r for r in rows if not r.reference]
    signs = []
    for one, other in combinations(rows, 2):
        printed = one.values[METRIC] - other.values[METRIC]
        own = contrast(values, {one.experiment: 1, other.experiment: -1})
        if printed and own and one.block == other.block:
            signs.append(printed * own.estimate > 0)
    if not signs:
        return None
    first = max(rows, key=lambda r: r.values[METRIC])
    own_first = max(rows, key=lambda r: mean(values[r.experiment].values()))
    return Order(sum(signs), len(signs), first.label, own_first.label)


def contrasts_of(table: Table, results: Results) -> list[AgainstBaseline]:
    """Each row that was run with its baseline on a common seed (exploratory)."""
    labels = {row.experiment: row.label for row in table.rows if not row.reference}
    return [
        AgainstBaseline(
            labels[row.experiment],
            experiment(row.baseline).title,
            row.contrast,
            row.verdict.verdict,
            row.printed,
            row.photos,
        )
        for row in contrast_rows(table.id, results, [METRIC])
        if row.contrast and row.experiment in labels
    ]


def gaps_of(metric: str) -> list[float]:
    """Size of every printed difference of a row to its own baseline, over Tables II to VI."""
    rows = (row for number in load_tables() for row in contrast_rows(number, {}, [metric]))
    return [abs(row.printed) for row in rows if row.printed is not None]


def detectable(sd: float, df: int, seeds: int) -> float:
    """Half the 95 % interval of a contrast of so many seeds: what is smaller stays undecided."""
    return float(stdtrit(df, 1 - ALPHA / 2)) * sd / seeds**0.5


def small_table(ours: FoundResults) -> Shown:
    """Spread against effect: what a contrast of 1, 3 and 8 seeds can see, by metric."""
    counts = (1, 3, 8)
    rows = []
    for metric in ("IoU_max", "AIU", "HD95_min", "AHD95", "PSNR", "SSIM", "kernel_PSNR"):
        spread = pooled_spread(values_by_seed(ours.fresh, metric))
        gaps = gaps_of(metric)
        if spread is None:
            continue
        seen = [detectable(spread.sd, spread.df, n) for n in counts]
        digits = METRICS[metric].digits + 1
        hidden = [f"{sum(gap < s for gap in gaps)} of {len(gaps)}" if gaps else "–" for s in seen]
        rows.append(
            [
                METRICS[metric].label,
                Number(spread.sd, "ours", digits),
                spread.df,
                Number(registration().smallest_effect(metric), "ours", digits),
                *(
                    (Number(s, "ours", digits), f" ({words} printed gaps are smaller)")
                    for s, words in zip(seen, hidden)
                ),
            ]
        )
    return Shown(
        "How small is too small? The standard deviation of one paired difference, pooled over all "
        "experiments of ours that share two seeds; from which size on it would matter; and the "
        "smallest difference that a contrast of so many seeds can tell from nothing.",
        [
            "Metric",
            Column("Spread of one difference"),
            Column("Degrees of freedom"),
            Column("Matters from"),
            *(Column(f"Seen with {n} seed{'s' * (n > 1)}") for n in counts),
        ],
        rows,
        empty="No two experiments share two seeds yet, so the spread of a difference is not known.",
    )
