"""How a run shows where it is: a bar on a terminal, plain lines in a log, nothing in a notebook."""

import sys
from typing import Literal

from tqdm import tqdm

Progress = Literal["auto", "bar", "lines", "quiet"]


class Reporter:
    """Shows loss, iterations per second and time left; `quiet` shows nothing.

    "auto" takes the bar on a terminal, nothing inside Jupyter, and lines elsewhere.
    """

    def __init__(self, progress: Progress, title: str, start: int, total: int) -> None:
        if progress not in ("auto", "bar", "lines", "quiet"):
            raise ValueError(
                f"progress = '{progress}' is unknown; choose auto, bar, lines or quiet"
            )
        if progress == "auto":
            in_notebook = "ipykernel" in sys.modules
            progress = "bar" if sys.stderr.isatty() else "quiet" if in_notebook else "lines"
        self._kind, self._title, self._total = progress, title, total
        self._bar = (
            tqdm(desc=title, total=total, initial=start, unit="it", dynamic_ncols=True, leave=False)
            if progress == "bar"
            else None
        )

    def step(self) -> None:
        """Count one iteration; costs nothing and reads nothing from a GPU."""
        if self._bar is not None:
            self._bar.update()

    def line(self, iteration: int, loss: float, per_second: float) -> None:
        """Show the values of a log line."""
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.4g}")
        elif self._kind == "lines":
            left = (self._total - iteration) / max(per_second, 1e-9)
            self._say(
                f"{self._title}: {iteration}/{self._total}  loss {loss:.4g}  "
                f"{per_second:.3g} it/s  {duration(left)} left"
            )

    def note(self, text: str) -> None:
        """Say something that matters even in a notebook, such as a refused checkpoint."""
        if self._bar is not None:
            self._bar.clear()
        self._say(f"{self._title}: {text}")

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03, or 2:03 below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
