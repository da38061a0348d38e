"""The chapter on real degradations: which results it shows, its captions, and what they say."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from csbsr.metrics import bootstrap_mean
from csbsr.study.experiments import experiment
from csbsr.study.profiles import profile_of_card
from csbsr.study.results import ResultFile
from csbsr.study.robustness import (
    LEADING,
    MODELS,
    PICTURE,
    PICTURED,
    Condition,
    chosen_walls,
    find_fresh_robustness,
    measured_walls,
    read_robustness,
    run_robustness,
    trained_models,
)
from csbsr.study.sources import data_name
from csbsr_book.chapters.curves import WATERMARK, no_pictures
from csbsr_book.chapters.robustness_figures import (
    KINDS,
    comparison_figure,
    condition_label,
    conditions_figure,
    dark_false_alarms,
    photograph_figure,
    robustness_tables,
    strength_figure,
)
from csbsr_book.site.display import render
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.study import StudyChapter
from csbsr_book.site.table import Column, Content, Number, Table

COLOURS = "blue: crack pixels found; green: missed; yellow: false alarms"


class Robustness:
    """Measured robustness of this run, or of the largest real one there is when it is `smoke`.

    Models that were not trained yet are trained first. `photos` is a folder of photographs.
    """

    def __init__(self, chapter: StudyChapter, photos: str | None = None) -> None:
        self.chapter = chapter
        self.photos = Path(photos) if photos else None
        chapter.trained = True
        run = run_robustness(chapter.request)
        self.run = ResultFile(run, read_robustness(run))
        if chapter.smoke:
            found = find_fresh_robustness(chapter.results_folder, ("paper", "quick"))
        else:
            place = (chapter.profile.name,), data_name(chapter.data), chapter.protocol.name
            found = find_fresh_robustness(chapter.results_folder, *place)
        fresh = found.fresh.get("robustness", [])
        self.stale: Sequence[ResultFile] = found.stale.get("robustness", [])
        self.smoke = chapter.smoke and not fresh
        self.results: Sequence[ResultFile] = fresh or [self.run]
        """The files whose numbers are shown."""
        self.contents = [result.content for result in self.results]
        self.profile = profile_of_card(self.contents[0]["profile"], self.results[0].card)
        self.walls = measured_walls(self.profile)
        self.chosen = chosen_walls(self.contents[0])
        self.mark = WATERMARK if self.smoke else ""

    def tables(self) -> list[Table]:
        """IoU, HD95 and AIU under every condition; those of a smoke run are folded away."""
        found = robustness_tables(self.contents)
        smoke = robustness_tables([self.run.content]) if self.chapter.smoke else []
        if self.smoke:
            found = []
        return [*found, *(table.folded() for table in smoke), *self._left_out()]

    def _left_out(self) -> list[Table]:
        if not self.stale:
            return []
        seeds = ", ".join(f"{r.content['profile']}, seed {r.seed}" for r in self.stale)
        return [Table("", [], [], empty=f"Stale and left out: {seeds}; run them again.")]

    def reading(self) -> Table:
        """What the numbers say about the leading model against each other one."""
        rows: list[list[Content]] = []
        for name in () if self.smoke else (n for n in MODELS if n != LEADING):
            gain = bootstrap_mean(self._per_wall(LEADING) - self._per_wall(name))
            word = "ahead" if gain.low > 0 else "behind" if gain.high < 0 else "undecided"
            interval = (gain.low, gain.high)
            number = Number(gain.estimate, "ours", interval=interval, signed=True)
            rows.append([experiment(name).title, number, word])
        leading, seeds = experiment(LEADING).title, len(self.contents)
        return Table(
            "Mean over the fifteen degradations, IoU at the fixed threshold, paired by wall, with "
            f"the 95 % interval over walls ({seeds} training seed{'s' * (seeds > 1)}; the interval "
            "does not cover other seeds).",
            ["Against", Column(f"{leading}: IoU more", digits=3), f"{leading} is"],
            rows,
            empty="The numbers of a smoke run say nothing about the methods.",
        )

    def _per_wall(self, model: str) -> np.ndarray:
        """Mean IoU of each wall over all degradations and seeds, (N,)."""
        values = [
            [row["images_IoU"] for row in content["models"][model]["conditions"][1:]]
            for content in self.contents
        ]
        return np.mean(values, axis=(0, 1))

    def strengths(self) -> Figure:
        """IoU over the strength of each kind."""
        return strength_figure(self.contents, self.mark)

    def compared(self) -> CaptionedFigure:
        """Fig. 16 on walls with a truth: what it shows and by which rule."""
        if not self._strip.exists():
            return no_pictures(PICTURED, self.smoke)
        protocol = self.profile.protocol(self.chapter.request.protocol)
        first = self.contents[0]
        figure = comparison_figure(first, self._strip, self.walls, self.chosen, protocol, self.mark)
        titles = ", ".join(experiment(n).title for n in PICTURED)
        leading = experiment(LEADING).title
        row = first["models"][LEADING]["conditions"]
        iou = next(r for r in row if (r["kind"], r["strength"]) == PICTURE)["images_IoU"]
        values = ", ".join(f"{iou[i]:.2f}" for i in self.chosen)
        caption = (
            f"Rule: of {len(self.walls.names)} synthetic walls (seed 11) with a crack, the worst, "
            f"the median and the best by IoU of {leading} under one degradation "
            f"({condition_label(PICTURE).lower()}), threshold fixed without degradation. Columns: "
            f"the wall, its LR image, and on it {titles}; {COLOURS}, the colours of the paper's "
            f"ellipses. Training seed {first['seed']}. {self._darkness(first)}"
        )
        alt = (
            f"{len(self.chosen)} walls in rows; each sharp, motion-blurred at low resolution, and "
            f"with coloured pixels of {len(PICTURED)} methods. IoU of {leading}: {values}. "
            f"{self._darkness(first)}"
        )
        return CaptionedFigure(figure, caption, alt, self.smoke, self.results)

    def _darkness(self, content: dict) -> str:
        """How much of what is falsely called a crack is merely dark, in a sentence."""
        shares = dark_false_alarms(content, self._strip, self.walls, self.chosen)
        told = ", ".join("no false alarm" if s is None else f"{s:.0%}" for s in shares)
        return (
            f"False alarms of {experiment(LEADING).title} on pixels darker than their wall's "
            "median, "
            f"from above: {told}."
        )

    def every(self) -> CaptionedFigure:
        """The median wall under every condition."""
        if not self._strip.exists():
            return no_pictures((LEADING,), self.smoke)
        protocol = self.profile.protocol(self.chapter.request.protocol)
        figure = conditions_figure(self._strip, self.walls, self.chosen, protocol, self.mark)
        caption = (
            "The median wall of Figure 16 under every degradation; at each strength the LR image "
            f"and what {experiment(LEADING).title} finds on it; {COLOURS}."
        )
        rows = self.contents[0]["models"][LEADING]["conditions"]
        index = self.chosen[len(self.chosen) // 2]
        found = {(r["kind"], r["strength"]): r["images_IoU"][index] for r in rows[1:]}
        told = (
            f"{condition_label(Condition(*place)).lower()} {found[place]:.2f}"
            for place in (max(found, key=found.get), min(found, key=found.get))
        )
        alt = (
            f"Grid of {len(KINDS)} degradations by their strengths, each an image beside coloured "
            f"findings. IoU on this wall is highest and lowest under: {', '.join(told)}."
        )
        return CaptionedFigure(figure, caption, alt, self.smoke, self.results)

    @property
    def _strip(self) -> Path:
        """The masks kept beside the first result."""
        return self.results[0].path.with_suffix(".png")

    @property
    def strength_alt(self) -> str:
        """The line plots in words."""
        rows = self.contents[0]["models"][LEADING]["conditions"]
        ends = {r["kind"]: r["IoU"] for r in rows if r["strength"] == 3}
        text = ", ".join(f"{KINDS[k][0].lower()} {v:.2f}" for k, v in ends.items())
        return (
            f"Five line plots of IoU over strength 0 to 3 for {len(MODELS)} methods. "
            f"{experiment(LEADING).title} starts at {rows[0]['IoU']:.2f}; at strength 3: {text}."
        )

    def photographs(self) -> None:
        """Show what the models find in the reader's photographs, or how to give some."""
        if self.photos is None:
            self.chapter.html(render("no_photographs.html"))
            return
        models = trained_models(PICTURED, self.chapter.request)
        limits = {name: self.run.content["models"][name]["thresholds"]["IoU"] for name in PICTURED}
        mark = WATERMARK if self.chapter.smoke else ""
        self.chapter.show(
            photograph_figure(self.photos, models, limits, mark),
            label="photographs",
            caption=(
                "Rule: the first four photographs of the folder by name, taken as LR images. Red: "
                f"pixels called a crack by models of the {self.chapter.profile.name} profile, at "
                "the threshold that is best on undegraded walls; right: the estimated blur "
                "kernel, mean over tiles. No truth, no numbers; nothing was written to disk."
            ),
            alt="Photographs in rows, each followed by three copies with detected cracks in red.",
            smoke=self.chapter.smoke,
        )
