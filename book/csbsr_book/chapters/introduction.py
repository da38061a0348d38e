"""Table I and Fig. 1: the four problems, and what three ways of combining two networks make of
them."""

from collections.abc import Mapping

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csbsr.study.panels import Panel
from csbsr_book.chapters.curves import (
    most_complex,
    no_pictures,
    panel_files,
    panel_iou,
    panels_of,
)
from csbsr_book.paper.printed import load_table
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.study import StudyChapter
from csbsr_book.site.table import Column, Line, Table
from csbsr_book.site.theme import stamp

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


def problems_table(chapters: Mapping[str, Line]) -> Table:
    """Table I with a further column: where this book takes a contribution up.

    `chapters` maps the first character of a row's label ("1" to "4") to what stands there.
    """
    table = load_table("I")
    rows = [
        [
            row.label,
            *(bool(row.values[letter]) for letter in table.columns),
            chapters.get(row.label[0], ""),
        ]
        for row in table.rows
    ]
    problems = [Column(f"⟨{letter}⟩", note=PROBLEMS[letter]) for letter in table.columns]
    caption = f"{table.title} (paper, {table.place})."
    return Table(caption, ["Solution", *problems, "In this book"], rows)


def challenge(chapter: StudyChapter) -> CaptionedFigure:
    """Fig. 1 in our own pictures: LR image, truth, and the probabilities of three methods.

    Taken from the best real results where all three are there, otherwise from the smoke run.
    """
    real = chapter.measured().fresh
    smoke = chapter.smoke and len(panel_files(METHODS, real)) < len(METHODS)
    results = chapter.measure(list(METHODS)).fresh if smoke or not chapter.smoke else real
    files = panel_files(METHODS, results)
    if len(files) < len(METHODS):
        return no_pictures(METHODS, smoke)
    panels = panels_of(files, chapter.request.protocol)
    index = most_complex(panels["csbsr-pspnet"], 1)[0]
    scores = ", ".join(
        f"{title.splitlines()[1].strip('()')} {panel_iou(panels[name][index]):.2f}"
        for name, title in METHODS.items()
    )
    caption = (
        "A synthetic crack: reduced image, true mask, and crack probability from black (0) to "
        "white (1). Rule: of twelve synthetic test images (seed 9) the one with the longest crack "
        f"outline. IoU on this image at threshold 0.5: {scores}."
    )
    alt = (
        "Five small pictures in a row: a coarse, blurred photograph of a cracked surface, its true "
        "crack mask in white, and the crack probabilities of SrcNet, DSRL and CSBSR as grey maps. "
        f"IoU: {scores}."
    )
    found = {name: seen[index] for name, seen in panels.items()}
    return CaptionedFigure(_figure(found, smoke), caption, alt, smoke, list(files.values()))


def _figure(found: Mapping[str, Panel], smoke: bool) -> Figure:
    base = found["csbsr-pspnet"]
    figure, axes = plt.subplots(1, 5, figsize=(7.2, 1.95))
    shown = [(base.lr, "(a) LR image\nblurred, ×4 smaller"), (base.mask, "(b) truth\n")]
    shown += [(found[name].prob, title) for name, title in METHODS.items()]
    for ax, (picture, title) in zip(axes, shown):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
        ax.set_title(title, fontsize=8.5)
        ax.set_axis_off()
    stamp(figure, "smoke run" if smoke else "")
    return figure
