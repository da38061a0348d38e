"""What a notebook needs: its parameters, its results, and a way to show figures and run cards."""

import inspect
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from IPython.display import HTML, display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csbsr.protocol import PAPER, Protocol
from csbsr.reproduce.display import Origin, figure_html, run_card_html
from csbsr.reproduce.profiles import Profile, load_profile
from csbsr.reproduce.provenance import repository_root, run_card
from csbsr.reproduce.results import ResultFile, find_results
from csbsr.reproduce.run import Request, data_name, run_experiments

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
        protocol: str = PAPER.name,
    ) -> None:
        self.name = name
        self.profile: Profile = load_profile(profile)
        self.protocol: Protocol = self.profile.protocol(protocol)
        self.seed = int(seed)
        self.data = str(data or os.environ.get("CSBSR_DATA") or "synthetic")
        self.results_folder = Path(results) if results else repository_root() / "results"
        self.started = time.perf_counter()
        plt.rcParams.update(STYLE)
        plt.close("all")

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
        found = find_results(self.results_folder, self.profile.name, data_name(self.data))
        return {name: found.get(name, []) for name in names}

    def measured(self) -> dict[str, list[ResultFile]]:
        """Every real result there is: of this profile, or when it is `smoke` of a larger one."""
        if not self.smoke:
            return find_results(self.results_folder, self.profile.name, data_name(self.data))
        for profile in ("paper", "quick"):
            if found := find_results(self.results_folder, profile):
                return found
        return {}

    def show(
        self,
        figure: Figure,
        *,
        label: str,
        caption: str,
        alt: str,
        origin: Origin = "ours",
        smoke: bool = False,
    ) -> None:
        """Show a figure with caption, alternative text and whose it is.

        `CSBSR_FIGURES` names a folder that keeps the picture as well (`csbsr figure`).
        """
        folder = os.environ.get("CSBSR_FIGURES")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            figure.savefig(Path(folder) / f"{label}.png", dpi=144)
        display(
            HTML(
                figure_html(
                    figure, label=label, caption=caption, alt=alt, origin=origin, smoke=smoke
                )
            )
        )
        plt.close(figure)

    def html(self, text: str) -> None:
        """Show HTML that a function of the package rendered."""
        display(HTML(text))

    def source(self, function: Callable[..., object]) -> None:
        """Show the source of the function that computes an equation, with a link to its file."""
        lines, first = inspect.getsourcelines(inspect.unwrap(function))
        path = Path(inspect.getsourcefile(inspect.unwrap(function)))
        relative = path.relative_to(Path(__file__).parents[2]).as_posix()
        last = first + len(lines) - 1
        link = f"{SOURCE_URL}/{relative}#L{first}-L{last}"
        display(HTML(source_html("".join(lines), f"{relative}, lines {first}-{last}", link)))

    def run_card(self) -> None:
        """Show where the numbers of this page come from."""
        card = run_card(
            profile=self.profile.name,
            protocol=self.protocol.name,
            seed=self.seed,
            data=data_name(self.data),
            data_hash="see each result" if self.data != "synthetic" else "embedded, per index",
            seconds=time.perf_counter() - self.started,
            device="cpu",
        )
        display(HTML(run_card_html(card, note=self.profile.note)))


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
