"""One table of Sec. IV as the chapters show it: which results stand behind it, and its tables."""

import html
from collections.abc import Mapping, Sequence

from csbsr.study.experiments import experiment
from csbsr.study.freshness import find_fresh
from csbsr.study.pairs import pairs_of
from csbsr.study.results import ResultFile
from csbsr_book.chapters.curves import (
    CURVES,
    PANELS,
    curve_picture,
    panel_files,
    panel_picture,
    search_names,
    search_picture,
)
from csbsr_book.chapters.tables import (
    Results,
    measured,
    pair_table_html,
    paper_table_html,
    shown_value,
    smoke_table_html,
)
from csbsr_book.paper.printed import experiments_of
from csbsr_book.site.chapter import Chapter
from csbsr_book.site.display import smoke_note, table_html

ROMAN: Mapping[str, int] = {"II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}
"""Numbers of the tables as their anchors have them."""


class Comparison:
    """Results behind one table: those of this run, and the best real ones there are.

    Curves and panels come from real results where every needed file is there, otherwise from the
    smoke run, watermarked.
    """

    def __init__(self, chapter: Chapter, number: str) -> None:
        self.chapter, self.number = chapter, number
        extra = (*CURVES.get(number, ()), *PANELS.get(number, ()))
        names = list(dict.fromkeys([*experiments_of(number), *extra]))
        self.run: Results = chapter.measure(names)
        self.real: Results = chapter.measured() if chapter.smoke else self.run
        data = next((r.card["data"] for runs in self.real.values() for r in runs), None)
        self.authors: Results = {}
        if data:  # whatever weights are compared with, it is on the same images
            self.authors = find_fresh(chapter.results_folder, "authors", data).fresh

    def table(self) -> None:
        """Show the table with three voices per cell, and the smoke values folded away."""
        text = paper_table_html(self.number, self.real, self.authors)
        if self.chapter.smoke:
            text += smoke_table_html(self.number, self.run)
        rows = experiments_of(self.number)
        real = any(self.real.get(name) for name in rows)
        shown = [*_of(self.authors, rows), *_of(self.real if real else self.run, rows)]
        self.chapter.html(text, label=f"table-{ROMAN[self.number]}", results=shown)

    def control_table(self, names: Sequence[str]) -> None:
        """Show IoU_max, AIU, HD95_min, AHD95 and PSNR of a few experiments of ours."""
        real = any(self.real.get(name) for name in names)
        shown = self.real if real else self.chapter.measure(names)
        metrics = ("IoU_max", "AIU", "HD95_min", "AHD95", "PSNR")
        rows = []
        for name in names:
            values = [measured(shown.get(name, ()), metric) for metric in metrics]
            texts = ["–" if v is None else shown_value(v, m) for v, m in zip(values, metrics)]
            rows.append([html.escape(experiment(name).title), *texts])
        note = smoke_note(self.chapter.smoke and not real)
        table = table_html(
            ["Experiment", *metrics], rows, caption="Ours only; mean and spread over seeds."
        )
        self.chapter.html(note + table, label="control", results=_of(shown, names))

    def pairs(self, *more: str) -> None:
        """Show the rows of the table, and `more`, against their baselines, seed by seed."""
        names = list(dict.fromkeys([*experiments_of(self.number), *more]))
        found = pairs_of(self.real, names)
        self.chapter.html(
            pair_table_html(found),
            label=f"pairs-{ROMAN[self.number]}",
            results=_of(self.real, list(found)),
        )

    def curves(self, metric: str, label: str) -> None:
        """Show curves of "IoU" or "HD95" over thresholds."""
        smoke = self.chapter.smoke and not _of(self.real, CURVES[self.number])
        self.chapter.picture(label, curve_picture(self.number, metric, self._runs(smoke), smoke))

    def panels(self, rule: str, label: str) -> None:
        """Show pictures of two images chosen by a rule of `comparison_pictures.RULES`."""
        smoke = self.chapter.smoke and not panel_files(self.number, self.real)
        protocol = self.chapter.protocol.name
        self.chapter.picture(
            label, panel_picture(self.number, rule, self._runs(smoke), protocol, smoke)
        )

    def search(self, label: str) -> None:
        """Show IoU_max over the constants m of the three weights (Table V)."""
        smoke = self.chapter.smoke and not _of(self.real, search_names())
        runs = self.real
        if smoke or not self.chapter.smoke:
            runs = self.chapter.measure([*search_names(), "csbsr-pspnet"])
        self.chapter.picture(label, search_picture(runs, smoke))

    def _runs(self, smoke: bool) -> Results:
        return self.run if smoke else self.real


def _of(runs: Results, names: Sequence[str]) -> list[ResultFile]:
    return [result for name in dict.fromkeys(names) for result in runs.get(name, ())]
