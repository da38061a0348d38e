"""One table of Sec. IV as the chapters show it: which results stand behind it, and its tables."""

from collections.abc import Mapping, Sequence

from csbsr.study.experiments import M_SEARCH, experiment
from csbsr.study.freshness import FoundResults, find_fresh
from csbsr.study.pairs import pairs_of
from csbsr.study.results import ResultFile
from csbsr_book.chapters.curves import (
    CURVES,
    PANELS,
    PLAIN,
    WATERMARK,
    curve_picture,
    panel_files,
    panel_picture,
    search_names,
    search_picture,
)
from csbsr_book.chapters.findings import findings_of
from csbsr_book.chapters.headroom import RUNGS, headroom_picture
from csbsr_book.chapters.kernels import printed_skill_table, skill_table
from csbsr_book.chapters.tables import (
    Results,
    pair_table,
    paper_table,
    run_table,
    smoke_table,
)
from csbsr_book.chapters.uncertainty import luckiest_figure
from csbsr_book.chapters.zooms import ZOOMED, zoom_picture
from csbsr_book.paper.printed import NUMERALS, experiments_of
from csbsr_book.site.study import StudyChapter


class Comparison:
    """Results behind one table: those of this run, and the best real ones there are.

    Curves come from real results where there are any, pictures where every needed one is there,
    otherwise from the smoke run, watermarked.
    """

    def __init__(self, chapter: StudyChapter, number: str) -> None:
        self.chapter, self.number = chapter, number
        extra = (*CURVES.get(number, ()), *PANELS.get(number, ()), *ZOOMED.get(number, ()))
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

    def headroom(self, label: str) -> None:
        """Show what knowing more than a photograph tells would be worth."""
        smoke = self.chapter.smoke and not of(self.real.fresh, RUNGS)
        runs = self.chapter.measure(list(RUNGS)).fresh if smoke else self.real.fresh
        shown = headroom_picture(runs, WATERMARK if smoke else "")
        self.chapter.captioned(label, shown)

    def luckiest(self, label: str) -> None:
        """Show how far the best of the search over m is expected above the others by luck."""
        self.chapter.captioned(label, luckiest_figure(self.real.fresh, len(M_SEARCH)))

    def kernel_skill(self) -> None:
        """Show the kernel PSNRs of the table's rows beside the best constant kernel."""
        names = experiments_of(self.number)
        known = [r for r in of(self.real.fresh, names) if r.metrics.get("kernel_PSNR") is not None]
        self.chapter.table(printed_skill_table(names), label="printed-kernel-skill")
        self.chapter.table(skill_table(self.real.fresh, names), label="kernel-skill", results=known)

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
        """Show pictures of images chosen by a rule of `curves.RULES`."""
        smoke = self._lacks_pictures(PANELS[self.number])
        protocol = self.chapter.request.protocol
        shown = panel_picture(self.number, rule, self._runs(smoke), protocol, smoke)
        self.chapter.captioned(label, shown)

    def zooms(self, label: str) -> None:
        """Show what one change does to the pictures, and windows of them enlarged (Fig. 14)."""
        pair = ZOOMED[self.number]
        smoke = self._lacks_pictures(pair)
        protocol = self.chapter.request.protocol
        self.chapter.captioned(label, zoom_picture(pair, self._runs(smoke), protocol, smoke))

    def _lacks_pictures(self, names: Sequence[str]) -> bool:
        """Whether the pictures of the smoke run are shown, because a real one is missing."""
        return self.chapter.smoke and len(panel_files(names, self.real.fresh)) < len(names)

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
