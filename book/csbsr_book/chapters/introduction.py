"""Table I and Fig. 1: the four problems, and what three ways of combining two networks make of
them."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csbsr.study.panels import Panel, load_panels
from csbsr.study.profiles import load_profile
from csbsr.study.results import ResultFile
from csbsr_book.chapters.curves import most_complex, panel_iou, stamp
from csbsr_book.paper.printed import load_table
from csbsr_book.site.chapter import Chapter
from csbsr_book.site.display import table_html

PROBLEMS: Mapping[str, str] = {
    "A": "class imbalance",
    "B": "fine cracks",
    "C": "low resolution",
    "D": "blur",
}
METHODS: Mapping[str, str] = {
    "srcnet": "(c) independent\n(SrcNet)",
    "dsrl": "(d) multi-task\n(DSRL)",
    "csbsr-pspnet": "(e) joint\n(CSBSR)",
}
"""Experiments of Fig. 1, and what is written above their pictures."""


def problems_table(chapters: Mapping[str, str]) -> str:
    """HTML of Table I with a further column: where this book takes a contribution up.

    `chapters` maps the first character of a row's label ("1" to "4") to HTML.
    """
    table = load_table("I")
    rows = []
    for row in table.rows:
        tick = '<span role="img" aria-label="yes">✓</span>'
        cells = [tick if row.values[letter] else "–" for letter in table.columns]
        rows.append([html.escape(row.label), *cells, chapters.get(row.label[0], "")])
    header = ["Solution", *(f"⟨{k}⟩<br>{PROBLEMS[k]}" for k in table.columns), "In this book"]
    return table_html(header, rows, caption=f"{table.title} (paper, {table.place}).")


class Challenge:
    """Fig. 1 in our own pictures: one synthetic crack, three methods.

    Taken from the best real results where all three are there, otherwise from the smoke run.
    """

    def __init__(self, chapter: Chapter) -> None:
        real = chapter.measured()
        self.smoke = chapter.smoke and not all(_panel_file(real, name) for name in METHODS)
        results = chapter.measure(list(METHODS)) if self.smoke or not chapter.smoke else real
        found = results[next(iter(METHODS))][0].content
        profile = load_profile(found["profile"])
        protocol = profile.protocol(chapter.protocol.name)
        self.results = [results[name][0] for name in METHODS]
        self.panels: dict[str, list[Panel]] = {
            name: load_panels(_panel_file(results, name), profile, protocol) for name in METHODS
        }
        self.index = most_complex(self.panels["csbsr-pspnet"], 1)[0]

    def figure(self) -> Figure:
        """LR image, truth, and the crack probability that each method finds."""
        base = self.panels["csbsr-pspnet"][self.index]
        figure, axes = plt.subplots(1, 5, figsize=(7.2, 1.95))
        shown = [(base.lr, "(a) LR image\nblurred, ×4 smaller"), (base.mask, "(b) truth\n")]
        for name, title in METHODS.items():
            shown.append((self.panels[name][self.index].prob, title))
        for ax, (picture, title) in zip(axes, shown):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
            ax.set_title(title, fontsize=8.5)
            ax.set_axis_off()
        stamp(figure, "smoke run" if self.smoke else "")
        return figure

    def caption(self) -> str:
        """What is shown, by which rule, with the IoU of each method on this image."""
        scores = ", ".join(
            f"{title.splitlines()[1].strip('()')} {panel_iou(self.panels[name][self.index]):.2f}"
            for name, title in METHODS.items()
        )
        return (
            "A synthetic crack: reduced image, true mask, and crack probability from black (0) to "
            "white (1). Rule: of twelve synthetic test images (seed 9) the one with the longest "
            f"crack outline. IoU on this image at threshold 0.5: {scores}."
        )


def _panel_file(results: Mapping[str, Sequence[ResultFile]], name: str) -> Path | None:
    for result in results.get(name, ()):
        path = result.path.with_suffix(".jpg")
        if path.exists():
            return path
    return None
