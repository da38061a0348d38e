"""One table of Sec. IV with its curves and pictures, as the chapters show it."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from csbsr.reproduce.chapter import Chapter
from csbsr.reproduce.display import run_card_html, smoke_note, table_html
from csbsr.reproduce.experiments import experiment
from csbsr.reproduce.figures import (
    crack_free,
    largest_gain,
    most_complex,
    panel_figure,
    search_figure,
    search_names,
    threshold_figure,
)
from csbsr.reproduce.panels import Panel, load_panels
from csbsr.reproduce.profiles import load_profile
from csbsr.reproduce.results import ResultFile, find_results
from csbsr.reproduce.tables import (
    experiments_of,
    json_link,
    measured,
    paper_table_html,
    shown_value,
    smoke_table_html,
)

WATERMARK = "smoke run"

CURVES: Mapping[str, tuple[str, ...]] = {
    "II": ("hr-pspnet", "srcnet", "dsrl", "kbpn+pspnet", "cssr-pspnet", "csbsr-pspnet"),
    "III": ("kbpn+pspnet", "csbsr-pspnet-beta0.1", "csbsr-pspnet", "csbsr-pspnet-increasing"),
    "IV": (
        "hr-pspnet",
        "csbsr-pspnet",
        "csbsr-pspnet-gbc",
        "csbsr-pspnet-wce",
        "csbsr-pspnet-bgdice",
        "csbsr-pspnet-combo",
        "csbsr-pspnet-dice",
    ),
    "V": ("csbsr-pspnet", "csbsr-pspnet-wLC", "csbsr-pspnet-wC8", "csbsr-pspnet-wF1"),
    "VI": ("csbsr-pspnet", "csbsr-pspnet-blurskip", "csbsr-pspnet-blurskip-wF1"),
}
"""Experiments drawn beside each table."""

PANELS: Mapping[str, tuple[str, ...]] = {
    "II": ("hr-pspnet", "srcnet", "dsrl", "csbsr-pspnet"),
    "V": ("csbsr-pspnet", "csbsr-pspnet-wF1"),
    "VI": ("csbsr-pspnet-wF1", "csbsr-pspnet-blurskip-wF1"),
}

RULES: Mapping[str, str] = {
    "first": "the first two images with a crack",
    "complex": "the two images with the longest crack outline",
    "gain": "the two images on which the last column beats the first most by IoU at 0.5",
    "crack-free": "the first two images without a crack",
}


class Comparison:
    """Results behind one table: those of this run, and the best real ones there are.

    Curves and panels come from real results where every needed file is there, otherwise from the
    smoke run, watermarked.
    """

    def __init__(self, chapter: Chapter, number: str) -> None:
        self.chapter, self.number = chapter, number
        extra = (*CURVES.get(number, ()), *PANELS.get(number, ()))
        names = list(dict.fromkeys([*experiments_of(number), *extra]))
        self.run = chapter.measure(names)
        self.real = {} if chapter.smoke else self.run
        if chapter.smoke:
            self.real = chapter.measured()
        self.authors = find_results(chapter.results_folder, "authors")
        drawn = CURVES.get(number, ())
        self.curves_are_smoke = chapter.smoke and not any(n in self.real for n in drawn)
        self.panels_are_smoke = chapter.smoke and not self._files(self.real)

    def table(self) -> str:
        """The table with three voices per cell, and the smoke values folded away."""
        text = paper_table_html(self.number, self.real, self.authors)
        if self.chapter.smoke:
            text += smoke_table_html(self.number, self.run)
        return text

    def _drawn(self) -> Mapping[str, Sequence[ResultFile]]:
        return self.run if self.curves_are_smoke else self.real

    def curves(self, metric: str) -> Figure:
        """Curves of "IoU" or "HD95" over thresholds."""
        names = {name: experiment(name).title for name in CURVES[self.number]}
        return threshold_figure(
            self._drawn(),
            names,
            metric,
            reference="hr-pspnet",
            watermark=WATERMARK if self.curves_are_smoke else "",
        )

    def _shown(self) -> list[str]:
        results = self._drawn()
        return [experiment(n).title for n in CURVES[self.number] if results.get(n)]

    def _missing(self) -> list[str]:
        results = self._drawn()
        return [experiment(n).title for n in CURVES[self.number] if not results.get(n)]

    def curve_caption(self, metric: str) -> str:
        """Which experiments a curve figure shows, and which are missing."""
        kind = "IoU" if metric == "IoU" else "95th percentile of the Hausdorff distance"
        text = f"{kind}, mean over test images, at 99 thresholds: {', '.join(self._shown())}."
        if missing := self._missing():
            text += f" Not run: {', '.join(missing)}."
        return text + " Bands: smallest and largest over seeds, where there are several."

    def curve_alt(self, metric: str) -> str:
        """The curves in words: where each has its best value."""
        parts = []
        for name in CURVES[self.number]:
            for result in self._drawn().get(name, ())[:1]:
                key = "IoU_max" if metric == "IoU" else "HD95_min"
                best, at = result.metrics[key], result.metrics[f"{key}_threshold"]
                parts.append(f"{experiment(name).title} {best:.3g} at threshold {at:.2f}")
        word = "highest IoU" if metric == "IoU" else "lowest HD95"
        return f"Line plot over thresholds 0.01 to 0.99. {word}: " + "; ".join(parts or ["nothing"])

    def _files(self, results: Mapping[str, Sequence[ResultFile]]) -> dict[str, Path]:
        found = {}
        for name in PANELS.get(self.number, ()):
            for result in results.get(name, ())[:1]:
                picture = result.path.with_suffix(".jpg")
                if picture.exists():
                    found[name] = picture
        return found

    def _panels(self) -> dict[str, list[Panel]]:
        results = self.run if self.panels_are_smoke else self.real
        runs = next(iter(r for r in results.values() if r), None)
        profile = load_profile(runs[0].content["profile"]) if runs else self.chapter.profile
        protocol = profile.protocol(self.chapter.protocol.name)
        files = self._files(results)
        return {name: load_panels(path, profile, protocol) for name, path in files.items()}

    def panels(self, rule: str) -> Figure:
        """Pictures of two images chosen by a rule of `RULES`."""
        panels = self._panels()
        columns = list(panels.values())
        last = columns[-1]
        if rule == "complex":
            chosen = most_complex(last, 2)
        elif rule == "gain":
            chosen = largest_gain(last, columns[0], 2)
        elif rule == "crack-free":
            chosen = crack_free(last, 2)
        else:
            chosen = [i for i, panel in enumerate(last) if panel.mask.any()][:2]
        labels = {name: experiment(name).title for name in panels}
        watermark = WATERMARK if self.panels_are_smoke else ""
        return panel_figure(panels, labels, chosen, watermark=watermark)

    def panel_caption(self, rule: str) -> str:
        """What a panel figure shows and by which rule."""
        names = ", ".join(experiment(n).title for n in self._panels())
        return (
            f"Rule: {RULES[rule]}, among twelve synthetic test images (seed 9). Per image, upper "
            f"row: LR, HR, then the SR image of {names} (the HR image itself where no SR network "
            "is used); lower row: truth, then crack probability from black (0) to white (1)."
        )

    def panel_alt(self, rule: str) -> str:
        """A panel figure in words."""
        names = ", ".join(experiment(n).title for n in self._panels())
        return (
            f"Grid of small pictures of {RULES[rule]}: low-resolution and full-size image, true "
            f"crack mask, and for {names} the restored image above the crack probability."
        )

    def control_table(self, names: Sequence[str]) -> str:
        """IoU_max, AIU, HD95_min and PSNR of a few experiments of ours side by side."""
        shown = self.real if any(n in self.real for n in names) else self.chapter.measure(names)
        metrics = ("IoU_max", "AIU", "HD95_min", "AHD95", "PSNR")
        rows = []
        for name in names:
            values = [measured(shown.get(name, ()), metric) for metric in metrics]
            texts = ["–" if v is None else shown_value(v, m) for v, m in zip(values, metrics)]
            rows.append([html.escape(experiment(name).title), *texts])
        smoke = self.chapter.smoke and shown is not self.real
        note = smoke_note(smoke)
        caption = "Ours only; mean and spread over seeds."
        return note + table_html(["Experiment", *metrics], rows, caption=caption)

    @property
    def search_is_smoke(self) -> bool:
        """Whether the search over m exists at smoke only."""
        return self.chapter.smoke and not any(n in self.real for n in search_names())

    def _search_results(self) -> Mapping[str, Sequence[ResultFile]]:
        if self.search_is_smoke or not self.chapter.smoke:
            return self.chapter.measure([*search_names(), "csbsr-pspnet"])
        return self.real

    def search(self) -> Figure:
        """IoU_max over the constants m of the three weights (Table V)."""
        watermark = WATERMARK if self.search_is_smoke else ""
        return search_figure(self._search_results(), watermark=watermark)

    def search_alt(self) -> str:
        """The search over m in words."""
        found = {
            name: value.value
            for name, runs in self._search_results().items()
            if (value := measured(runs, "IoU_max"))
        }
        if not found:
            return "Empty plot: the search over m has not been run."
        best = max(found, key=found.get)
        return (
            f"IoU_max over seven constants m for three kinds of weight, on a logarithmic axis; "
            f"values from {min(found.values()):.3g} to {max(found.values()):.3g}, highest: {best}."
        )

    def result_cards(self) -> str:
        """Run cards of the results that the table shows."""
        shown = self.real if any(self.real.values()) else self.run
        cards = []
        for name in experiments_of(self.number):
            for result in shown.get(name, ()):
                card = result.content["run_card"]
                cards.append(run_card_html(card, note=name, link=json_link(result)))
        return "".join(cards)
