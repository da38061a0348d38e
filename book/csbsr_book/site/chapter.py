"""What a notebook needs: its parameters, its results, and a way to show figures and run cards."""

import inspect
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from IPython.display import HTML, display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csbsr.protocol import REPRODUCTION, Protocol
from csbsr.study.freshness import find_fresh
from csbsr.study.profiles import Profile, load_profile
from csbsr.study.provenance import repository_root, run_card
from csbsr.study.results import ResultFile
from csbsr.study.run import Request, pick_device, run_experiments
from csbsr.study.sources import data_name, hash_of, open_data
from csbsr_book.site.display import Origin, figure_html, run_card_html
from csbsr_book.site.exhibit import Exhibit, Picture, figure_values, is_building, slug, table_values

SOURCE_URL = "https://github.com/csbsr/csbsr/blob/main"

STYLE = {
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "font.family": "DejaVu Sans",
    "lines.linewidth": 1.6,
    "image.interpolation": "nearest",
    "figure.constrained_layout.use": True,
}
"""Matplotlib settings of every figure in the book."""


class Chapter:
    """One notebook run: `profile`, `seed`, `data` and where results lie.

    `data` is "synthetic" or a folder in the Khanhha layout; `results` defaults to the `results`
    folder of the checkout. ValueError for an unknown profile or protocol.
    """

    def __init__(
        self,
        name: str,
        *,
        profile: str = "smoke",
        seed: int = 0,
        data: str | None = None,
        results: str | None = None,
        protocol: str = REPRODUCTION.name,
    ) -> None:
        self.name = name
        self.profile: Profile = load_profile(profile)
        self.protocol: Protocol = self.profile.protocol(protocol)
        self.seed = int(seed)
        self.data = str(data or os.environ.get("CSBSR_DATA") or "synthetic")
        self.results_folder = Path(results) if results else repository_root() / "results"
        self.started = self.shown = time.perf_counter()
        self.labels: dict[str, int] = {}
        self.data_hash: str | None = None
        self.device = "cpu"  # until something is trained
        plt.rcParams.update(STYLE)
        plt.close("all")
        if not is_building():
            display(HTML(style_html()))

    @property
    def smoke(self) -> bool:
        """Whether numbers of this run only prove that the code runs."""
        return not self.profile.is_result

    def measure(self, names: Sequence[str]) -> dict[str, list[ResultFile]]:
        """Results of these experiments in this profile; those missing or stale are run first."""
        request = Request(
            profile=self.profile.name,
            data=self.data,
            seed=self.seed,
            results=self.results_folder,
            protocol=self.protocol.name,
        )
        run_experiments(names, request, quiet=True)
        self.device = str(pick_device("auto"))
        found = self._fresh()
        return {name: found.get(name, []) for name in names}

    def measured(self) -> dict[str, list[ResultFile]]:
        """Every real result there is: of this profile, or when it is `smoke` of a larger one."""
        if not self.smoke:
            return self._fresh()
        for profile in ("paper", "quick"):
            if found := find_fresh(self.results_folder, profile).fresh:
                return found
        return {}

    def _fresh(self) -> dict[str, list[ResultFile]]:
        place = (self.profile.name, data_name(self.data), self.protocol.name)
        return find_fresh(self.results_folder, *place).fresh

    def show(
        self,
        figure: Figure,
        *,
        label: str,
        caption: str,
        alt: str,
        origin: Origin = "ours",
        smoke: bool = False,
        results: Sequence[ResultFile] = (),
    ) -> None:
        """Show a figure with caption, alternative text, whose it is, run card and numbers.

        `results` are the files whose numbers it shows, if any. `CSBSR_FIGURES` names a folder
        that keeps the picture as well (`csbsr figure`).
        """
        folder = os.environ.get("CSBSR_FIGURES")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            figure.savefig(Path(folder) / f"{label}.png", dpi=144)
        words = {"caption": caption, "alt": alt, "origin": origin, "smoke": smoke}
        below = self._exhibit(label, "figure", figure_values(figure), results, words).publish()
        shown = figure_html(
            figure, label=label, caption=caption, alt=alt, origin=origin, smoke=smoke, below=below
        )
        display(HTML(shown))
        plt.close(figure)

    def picture(self, label: str, picture: Picture) -> None:
        """Show a figure that brings its own words."""
        figure, caption, alt, smoke, results = picture
        self.show(figure, label=label, caption=caption, alt=alt, smoke=smoke, results=results)

    def html(self, text: str, *, label: str = "", results: Sequence[ResultFile] = ()) -> None:
        """Show HTML that a function of the package rendered.

        Below tables stand their run card and numbers; `label` is by default made of the caption.
        """
        if tables := table_values(text):
            label = label or slug(tables[0]["caption"])
            text += self._exhibit(label, "table", tables, results, {}).publish()
        display(HTML(text))

    def _exhibit(
        self,
        label: str,
        kind: str,
        values: object,
        results: Sequence[ResultFile],
        words: Mapping[str, object],
    ) -> Exhibit:
        """Record of what is shown; its seconds are those since the one before."""
        number = self.labels[label] = self.labels.get(label, 0) + 1
        label = label if number == 1 else f"{label}-{number}"
        now = time.perf_counter()
        seconds, self.shown = now - self.shown, now
        card = self._card(seconds)
        return Exhibit(self.name, label, kind, values, card, results, words)

    def _card(self, seconds: float) -> dict[str, object]:
        if self.data_hash is None:
            self.data_hash = hash_of(open_data(self.data, self.profile, self.protocol))
        return run_card(
            profile=self.profile.name,
            protocol=self.protocol.name,
            seed=self.seed,
            data=data_name(self.data),
            data_hash=self.data_hash,
            seconds=seconds,
            device=self.device,
        )

    def source(self, function: Callable[..., object]) -> None:
        """Show the source of the function that computes an equation, with a link to its file."""
        lines, first = inspect.getsourcelines(inspect.unwrap(function))
        path = Path(inspect.getsourcefile(inspect.unwrap(function)))
        relative = path.relative_to(repository_root()).as_posix()
        last = first + len(lines) - 1
        link = f"{SOURCE_URL}/{relative}#L{first}-L{last}"
        display(HTML(source_html("".join(lines), f"{relative}, lines {first}-{last}", link)))

    def run_card(self) -> None:
        """Show where the numbers of this page come from."""
        card = self._card(time.perf_counter() - self.started)
        display(HTML(run_card_html(card, note=self.profile.note)))


def style_html() -> str:
    """The book's style sheet, for pages that are no part of the rendered book."""
    sheet = repository_root() / "book" / "_static" / "csbsr.css"
    return f"<style>{sheet.read_text(encoding='utf-8')}</style>" if sheet.exists() else ""


def source_html(code: str, where: str, link: str) -> str:
    """Highlighted Python with a caption that links to the file."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    body = highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))
    return (
        f'<details class="source"><summary>Source: <a href="{link}">{where}</a></summary>'
        f'<div class="highlight"><pre>{body}</pre></div></details>'
    )
