"""What a notebook needs: its parameters, and a way to show figures, tables and run cards.

A chapter that shows results uses `csbsr_book.site.study.StudyChapter`: whoever imports this module
alone depends neither on results nor on the code that makes them (`csbsr_book.site.reads`).
"""

import inspect
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.display import HTML, display
from markupsafe import Markup
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csbsr.protocol import REPRODUCTION, Protocol
from csbsr.study.profiles import Profile, load_profile
from csbsr.study.provenance import repository_root, run_card
from csbsr_book.site import table as tables
from csbsr_book.site.display import Origin, render, run_card_html
from csbsr_book.site.doors import BRANCH, repository_url
from csbsr_book.site.exhibit import CaptionedFigure, Exhibit, figure_values, is_building, slug
from csbsr_book.site.table import Table
from csbsr_book.site.theme import STYLE

if TYPE_CHECKING:
    from csbsr.study.results import ResultFile

LONG = 45
"""Lines of code that a page shows open; more are folded."""


class Chapter:
    """One notebook run: `profile`, `seed`, `data` and where results lie.

    `data` is "synthetic" or a folder in the Khanhha layout; `results` defaults to the `results`
    folder of the checkout. ValueError for an unknown profile or protocol, and a seed that is none.
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
        if not isinstance(profile, str):
            raise ValueError(f"profile {profile!r} is no name; choose smoke, quick or paper")
        if type(seed) is not int or not 0 <= seed < 2**32:
            raise ValueError(f"seed {seed!r} must be a whole number of 0 or more")
        self.profile_given = profile
        self.profile: Profile = load_profile(profile)
        self.protocol: Protocol = self.profile.protocol(protocol)
        self.data = str(data or os.environ.get("CSBSR_DATA") or "synthetic")
        self.seed = seed
        self.results_folder = Path(results) if results else repository_root() / "results"
        self.trained = False
        self.started = self.shown = time.perf_counter()
        self.labels: dict[str, int] = {}
        plt.rcParams.update(STYLE)
        plt.close("all")
        sheet = repository_root() / "book" / "_static" / "csbsr.css"
        if sheet.exists() and not is_building():
            self.html(render("style.html", sheet=Markup(sheet.read_text(encoding="utf-8"))))

    @property
    def smoke(self) -> bool:
        """Whether numbers of this run only prove that the code runs."""
        return not self.profile.is_result

    def show(
        self,
        figure: Figure,
        *,
        label: str,
        caption: str,
        alt: str,
        origin: Origin = "ours",
        smoke: bool = False,
        results: Sequence["ResultFile"] = (),
    ) -> None:
        """Show a figure with caption, alternative text, whose it is, run card and numbers.

        `results` are the files whose numbers it shows, if any.
        """
        self.captioned(label, CaptionedFigure(figure, caption, alt, smoke, results, origin))

    def captioned(self, label: str, shown: CaptionedFigure) -> None:
        """Show a figure that brings its own words.

        `CSBSR_FIGURES` names a folder that keeps the picture as well (`csbsr figure`).
        """
        if folder := os.environ.get("CSBSR_FIGURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            shown.figure.savefig(Path(folder) / f"{label}.png", dpi=144)
        numbers = figure_values(shown.figure)
        exhibit = self._exhibit(label, "figure", numbers, shown.results, shown.words)
        self.html(shown.html(exhibit))
        plt.close(shown.figure)

    def table(self, *shown: Table, label: str = "", results: Sequence["ResultFile"] = ()) -> None:
        """Show one or several tables, below them their run card and numbers.

        `label` is by default made of the first caption. Without any row there is no card either.
        """
        text = Markup("\n").join(map(tables.html, shown))
        if filled := [table for table in shown if table.rows]:
            values = [tables.values(table) for table in filled]
            words = {"smoke": all(table.smoke for table in filled)}
            label = label or slug(filled[0].caption)
            text += self._exhibit(label, "table", values, results, words).publish()
        self.html(text)

    def listing(
        self,
        label: str,
        text: Markup,
        values: object,
        results: Sequence["ResultFile"] = (),
    ) -> None:
        """Show what a template made of `values`, below it their JSON and run card."""
        self.html(text + self._exhibit(label, "list", values, results, {"smoke": False}).publish())

    def html(self, text: str) -> None:
        """Show HTML that a template made."""
        display(HTML(str(text)))

    def _exhibit(
        self,
        label: str,
        kind: str,
        values: object,
        results: Sequence["ResultFile"],
        words: Mapping[str, object],
    ) -> Exhibit:
        """Record of what is shown; its seconds are those since the one before."""
        number = self.labels[label] = self.labels.get(label, 0) + 1
        label = label if number == 1 else f"{label}-{number}"
        now = time.perf_counter()
        seconds, self.shown = now - self.shown, now
        card = self._card(seconds, bool(words["smoke"]))
        return Exhibit(self.name, label, kind, values, card, results, words)

    def _card(self, seconds: float, trained: bool) -> dict[str, object]:
        """Run card of this page; profile, protocol and data are in it where it has `trained`."""
        facts = self._training_facts() if trained else {}
        card = run_card(
            profile=self.profile.name,
            protocol=self.protocol.name,
            seed=self.seed,
            data=Path(self.data).resolve().name,
            data_hash=str(facts.get("data_hash", "")),
            seconds=seconds,
            device=str(facts.get("device", "cpu")),
        )
        if facts:
            return card | facts | {"protocol_changes": self.profile.protocol_changes}
        return {k: v for k, v in card.items() if k not in ("profile", "protocol", "data_hash")}

    def _training_facts(self) -> Mapping[str, object]:
        """Device and data of what the page trained; nothing where it cannot train."""
        return {}

    def source(self, function: Callable[..., object]) -> None:
        """Show the function that computes an equation, its name linked to the API page.

        A function of more than `LONG` lines is folded.
        """
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        function = inspect.unwrap(function)
        lines, first = inspect.getsourcelines(function)
        path = Path(inspect.getsourcefile(function)).relative_to(repository_root()).as_posix()
        last = first + len(lines) - 1
        code = highlight("".join(lines), PythonLexer(), HtmlFormatter(nowrap=True))
        repository = repository_url(repository_root())
        name = f"{function.__module__}.{function.__qualname__}"
        public = name.startswith("csbsr.") and "._" not in name and is_building()
        text = render(
            "source.html",
            code=Markup(code),
            name=name,
            reference=f"a10-api.html#{name}" if public else "",
            where=f"{path}, lines {first}-{last}",
            link=repository and f"{repository}/blob/{BRANCH}/{path}#L{first}-L{last}",
            lines=len(lines),
            folded=len(lines) > LONG,
        )
        self.html(text)

    def run_card(self) -> None:
        """Show where the numbers of this page come from."""
        card = self._card(time.perf_counter() - self.started, self.trained)
        self.html(run_card_html(card, note=self.profile.note if self.trained else ""))
