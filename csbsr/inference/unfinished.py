"""Work on a large photograph that may be stopped: its arrays, how far it is, the time left."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from csbsr.files import write_json
from csbsr.inference.segmenter import Progress
from csbsr.inference.tiling import DiskArray, Tiling

Say = Callable[[str], None]


class WorkFolder:
    """What is under way of one photograph; removed when it is done, kept when it is stopped."""

    FILES = ("state.json", "sr.raw", "prob.raw", "carry.raw")

    def __init__(self, output: Path, place: Path, key: str, resume: bool) -> None:
        name = hashlib.sha256(str(place).encode(errors="backslashreplace")).hexdigest()[:16]
        self.folder, self.key, self.done = output / f".csbsr-{name}", key, False
        if self.folder.is_symlink():
            raise ValueError(f"{self.folder} is a link; remove it")
        self._state = self._known() if resume else None
        self.known = self._state is not None

    def __enter__(self) -> "WorkFolder":
        if self._state is None:
            self._remove()
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # A stop keeps what is done for --resume; a failure would only come again.
        if self.done or (kind is not None and issubclass(kind, Exception)):
            self._remove()

    def array(self, name: str, shape: tuple[int, ...], kind: type[np.generic]) -> DiskArray:
        """An array of the photograph's size on disk."""
        return DiskArray(self.folder / f"{name}.raw", shape, kind)

    def state(self) -> Progress:
        """How far it is."""
        return self._state or Progress()

    def save(self, state: Progress) -> None:
        """Note how far it is."""
        write_json(self.folder / "state.json", {"key": self.key, "state": asdict(state)})

    def _known(self) -> Progress | None:
        try:
            content = json.loads((self.folder / "state.json").read_text())
            return Progress(**content["state"]) if content["key"] == self.key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _remove(self) -> None:
        for name in self.FILES:
            (self.folder / name).unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


class Clock:
    """Says from time to time how much is done and how long the rest will take."""

    def __init__(self, counts: tuple[int, int], say: Say, every: float = 10) -> None:
        self.left, self.say, self.every = list(counts), say, every
        self.spent, self.ticks = [0.0, 0.0], [0, 0]
        self.last = self.said = time.monotonic()

    def skip(self, stage: int, rows: int, tiling: Tiling | None, size: tuple[int, int]) -> None:
        """Leave out rows of tiles that were done before."""
        if rows and tiling is not None:
            across = len(tiling.edges(size[1])) - 1
            self.left[stage] = max(self.left[stage] - rows * across, 0)

    def tick(self, stage: int) -> None:
        """Count one tile."""
        now = time.monotonic()
        self.spent[stage] += now - self.last
        self.ticks[stage] += 1
        self.left[stage] = max(self.left[stage] - 1, 0)
        self.last = now
        if now - self.said >= self.every:
            self.said = now
            known = [s / t for s, t in zip(self.spent, self.ticks) if t]
            each = [s / t if t else max(known) for s, t in zip(self.spent, self.ticks)]
            rest = sum(n * t for n, t in zip(self.left, each))
            self.say(f"  {sum(self.left)} tiles left, about {clock_text(rest)}")


def clock_text(seconds: float) -> str:
    """For example `0:07`, `12:30` or `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
