"""The chapter on real degradations: which results it shows, its captions, and what they say."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from csbsr.metrics import bootstrap_mean
from csbsr.study.experiments import experiment
from csbsr.study.profiles import load_profile
from csbsr.study.results import ResultFile
from csbsr.study.robustness import (
    LEADING,
    MODELS,
    PICTURE,
    PICTURED,
    chosen_walls,
    find_fresh_robustness,
    measured_walls,
    read_robustness,
    run_robustness,
    trained_models,
)
from csbsr.study.run import Request
from csbsr.study.sources import data_name
from csbsr_book.chapters.robustness_figures import (
    KINDS,
    comparison_figure,
    condition_label,
    conditions_figure,
    photograph_figure,
    robustness_tables,
    strength_figure,
)
from csbsr_book.site.chapter import Chapter
from csbsr_book.site.display import stale_note

WATERMARK = "smoke run"
COLOURS = "blue: crack pixels found; green: missed; yellow: false alarms"


class Robustness:
    """Measured robustness of this run, or of the largest real one there is when it is `smoke`.

    Models that were not trained yet are trained first. `photos` is a folder of photographs.
    """

    def __init__(self, chapter: Chapter, photos: str | None = None) -> None:
        self.chapter = chapter
        self.photos = Path(photos) if photos else None
        self.request = Request(
            profile=chapter.profile.name,
            data=chapter.data,
            seed=chapter.seed,
            results=chapter.results_folder,
            protocol=chapter.protocol.name,
        )
        run = run_robustness(self.request)
        if chapter.smoke:
            found = find_fresh_robustness(chapter.results_folder, ("paper", "quick"))
        else:
            place = (self.request.profile,), data_name(self.request.data), chapter.protocol.name
            found = find_fresh_robustness(chapter.results_folder, *place)
        self.fresh = found.fresh.get("robustness", [])
        self.stale = found.stale.get("robustness", [])
        self.smoke = chapter.smoke and not self.fresh
        self.files: Sequence[Path] = [r.path for r in self.fresh] or [run]
        self.contents = [read_robustness(path) for path in self.files]
        self.run = read_robustness(run)
        self.profile = load_profile(self.contents[0]["profile"])
        self.walls = measured_walls(self.profile)
        self.chosen = chosen_walls(self.contents[0])
        self.mark = WATERMARK if self.smoke else ""

    @property
    def results(self) -> list[ResultFile]:
        """The files whose numbers are shown."""
        return [ResultFile(path, content) for path, content in zip(self.files, self.contents)]

    def tables(self) -> str:
        """IoU, HD95 and AIU under every condition, as HTML."""
        note = stale_note(bool(self.stale))
        text = note + robustness_tables(self.contents, self.smoke)
        if self.chapter.smoke and not self.smoke:
            text += robustness_tables([self.run], True)
        return text

    def reading(self) -> str:
        """What the numbers say about the leading model against each other one, as HTML."""
        if self.smoke:
            return "<p>The numbers of a smoke run say nothing about the methods.</p>"
        leading = experiment(LEADING).title
        lines = []
        for name in MODELS:
            if name == LEADING:
                continue
            gain = bootstrap_mean(self._per_wall(LEADING) - self._per_wall(name))
            word = (
                "ahead of" if gain.low > 0 else "behind" if gain.high < 0 else "undecided against"
            )
            lines.append(
                f"<li>{html.escape(leading)} is <strong>{word}</strong> "
                f"{html.escape(experiment(name).title)}: {gain.estimate:+.3f} IoU, 95 % interval "
                f"over walls {gain.low:+.3f} to {gain.high:+.3f}.</li>"
            )
        seeds = len(self.contents)
        return (
            "<p>Mean over the fifteen degradations, IoU at the fixed threshold, paired by wall "
            f"({seeds} training seed{'s' * (seeds > 1)}; the interval does not cover other "
            f"seeds):</p><ul>{''.join(lines)}</ul>"
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

    def compared(self) -> Figure:
        """Fig. 16 on walls with a truth."""
        strip = self.files[0].with_suffix(".png")
        protocol = self.profile.protocol(self.chapter.protocol.name)
        return comparison_figure(
            self.contents[0], strip, self.walls, self.chosen, protocol, self.mark
        )

    def every(self) -> Figure:
        """The median wall under every condition."""
        strip = self.files[0].with_suffix(".png")
        protocol = self.profile.protocol(self.chapter.protocol.name)
        return conditions_figure(strip, self.walls, self.chosen, protocol, self.mark)

    @property
    def compared_caption(self) -> str:
        """What Fig. 16 shows and by which rule."""
        titles = ", ".join(experiment(n).title for n in PICTURED)
        number, seed = len(self.walls.names), self.contents[0]["seed"]
        return (
            f"Rule: of {number} synthetic walls (seed 11) with a crack, the worst, the median and "
            f"the best by IoU of {experiment(LEADING).title} under one degradation "
            f"({condition_label(PICTURE).lower()}), threshold fixed without degradation. Columns: "
            f"the wall, its LR image, and on it {titles}; {COLOURS}, the colours of the paper's "
            f"ellipses. Training seed {seed}."
        )

    @property
    def compared_alt(self) -> str:
        """Fig. 16 in words."""
        row = self.contents[0]["models"][LEADING]["conditions"]
        iou = next(r for r in row if (r["kind"], r["strength"]) == PICTURE)["images_IoU"]
        values = ", ".join(f"{iou[i]:.2f}" for i in self.chosen)
        return (
            f"Three walls in rows; each sharp, motion-blurred at low resolution, and with coloured "
            f"pixels of three methods. IoU of {experiment(LEADING).title}: {values}."
        )

    @property
    def every_caption(self) -> str:
        """What the second picture shows."""
        return (
            f"The median wall of Figure 16 under every degradation; at each strength the LR image "
            f"and what {experiment(LEADING).title} finds on it; {COLOURS}."
        )

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
            self.chapter.html(
                "<p>No folder of photographs was given. With one, this cell shows them: "
                "<code>papermill notebooks/14-real-degradations.ipynb out.ipynb -p photos "
                "DIR</code>.</p>"
            )
            return
        models = trained_models(PICTURED, self.request)
        limits = {name: self.run["models"][name]["thresholds"]["IoU"] for name in PICTURED}
        mark = WATERMARK if self.chapter.smoke else ""
        self.chapter.show(
            photograph_figure(self.photos, models, limits, mark),
            label="photographs",
            caption=(
                "Rule: the first four photographs of the folder by name, taken as LR images. Red: "
                f"pixels called a crack by models of the {self.request.profile} profile, at the "
                "threshold that is best on undegraded walls; right: the estimated blur kernel, "
                "mean over tiles. No truth, no numbers; nothing was written to disk."
            ),
            alt="Photographs in rows, each followed by three copies with detected cracks in red.",
            smoke=self.chapter.smoke,
        )
