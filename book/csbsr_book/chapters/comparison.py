"""One table of Sec. IV as the chapters show it: which results stand behind it, and its tables."""

from collections.abc import Mapping, Sequence

from csbsr.study.experiments import experiment
from csbsr.study.freshness import FoundResults, find_fresh
from csbsr.study.pairs import pairs_of
from csbsr.study.results import ResultFile
from csbsr_book.chapters.curves import (
    CURVES,
    PANELS,
    PLAIN,
    curve_picture,
    panel_files,
    panel_picture,
    search_names,
    search_picture,
)
from csbsr_book.chapters.findings import findings_of
from csbsr_book.chapters.tables import (
    Results,
    pair_table,
    paper_table,
    run_table,
    smoke_table,
)
from csbsr_book.paper.printed import NUMERALS, experiments_of
from csbsr_book.site.study import StudyChapter


class Comparison:
    """Results behind one table: those of this run, and the best real ones there are.

    Curves and panels come from real results where every needed file is there, otherwise from the
    smoke run, watermarked.
    """

    def __init__(self, chapter: StudyChapter, number: str) -> None:
        self.chapter, self.number = chapter, number
        extra = (*CURVES.get(number, ()), *PANELS.get(number, ()))
        run = chapter.measure(list(dict.fromkeys([*experiments_of(number), *extra])))
        self.run: Results = run.fresh
        self.real: FoundResults = chapter.measured() if chapter.smoke else run

    def findings(self) -> None:
        """Show the box that says what was found for this table."""
        self.chapter.html(findings_of(self.number, self.real).html())

    def table(self) -> None:
        """Show the table with three voices per cell, and the smoke values folded away."""
        rows = experiments_of(self.number)
        real = of(self.real.fresh, rows)
        shown = real or of(self.run, rows)
        data = shown[0].card["data"]
        authors = find_fresh(self.chapter.results_folder, "authors", data).fresh
        tables = [paper_table(self.number, self.real, authors)]
        if self.chapter.smoke:
            tables.append(smoke_table(self.number, self.run))
        label = f"table-{NUMERALS[self.number]}"
        self.chapter.table(*tables, label=label, results=[*of(authors, rows), *shown])

    def control_table(self, names: Sequence[str]) -> None:
        """Show IoU_max, AIU, HD95_min, AHD95 and PSNR of a few experiments of ours."""
        real = of(self.real.fresh, names)
        shown = self.real.fresh if real else self.chapter.measure(names).fresh
        table = run_table(
            "Ours only; mean and spread over seeds.",
            {name: experiment(name).title for name in names},
            ("IoU_max", "AIU", "HD95_min", "AHD95", "PSNR"),
            shown,
        )
        smoke = self.chapter.smoke and not real
        self.chapter.table(
            table.folded() if smoke else table, label="control", results=of(shown, names)
        )

    def pairs(self, *more: str) -> None:
        """Show the rows of the table, and `more`, against their baselines, seed by seed."""
        names = list(dict.fromkeys([*experiments_of(self.number), *more]))
        found = pairs_of(self.real.fresh, names)
        used = of(self.real.fresh, [*found, *(experiment(name).baseline or "" for name in found)])
        label = f"pairs-{NUMERALS[self.number]}"
        self.chapter.table(pair_table(found), label=label, results=used)

    def curves(self, metric: str, label: str) -> None:
        """Show curves of "IoU" or "HD95" over thresholds."""
        smoke = self.chapter.smoke and not of(self.real.fresh, CURVES[self.number])
        self.chapter.captioned(label, curve_picture(self.number, metric, self._runs(smoke), smoke))

    def panels(self, rule: str, label: str) -> None:
        """Show pictures of two images chosen by a rule of `curves.RULES`."""
        smoke = self.chapter.smoke and not panel_files(PANELS[self.number], self.real.fresh)
        protocol = self.chapter.request.protocol
        shown = panel_picture(self.number, rule, self._runs(smoke), protocol, smoke)
        self.chapter.captioned(label, shown)

    def search(self, label: str) -> None:
        """Show IoU_max over the constants m of the three weights (Table V)."""
        smoke = self.chapter.smoke and not of(self.real.fresh, search_names())
        runs = self.real.fresh
        if smoke or not self.chapter.smoke:
            runs = self.chapter.measure([*search_names(), PLAIN]).fresh
        self.chapter.captioned(label, search_picture(runs, smoke))

    def _runs(self, smoke: bool) -> Results:
        return self.run if smoke else self.real.fresh


def of(runs: Mapping[str, Sequence[ResultFile]], names: Sequence[str]) -> list[ResultFile]:
    """Results of these experiments, one after the other."""
    return [result for name in dict.fromkeys(names) for result in runs.get(name, ())]
