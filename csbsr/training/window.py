"""The log line under way: sums kept on the device, so that no step waits for it."""

from time import perf_counter

import torch
import torch.distributed as dist
from torch import Tensor

from csbsr.distributed import Ranks, agree, everyones
from csbsr.training.guards import NotFinite


class Window:
    """Sums of the loss terms since the last log line, and the first step that was not finite."""

    def __init__(self, device: torch.device, place: Ranks) -> None:
        self._device, self._place = device, place
        self._names: list[str] = []
        self._sums: Tensor | None = None  # (terms,) on the device
        self._count = 0
        self._bad = torch.full((), -1, dtype=torch.int64, device=device)
        self._files: dict[int, list[str]] = {}
        self.start()

    def start(self) -> None:
        """Start the clock of this line."""
        self._waited, self._timed, self._started = 0.0, 0, perf_counter()

    def add(
        self, iteration: int, terms: dict[str, Tensor], files: list[str], waited: float
    ) -> None:
        """Take in one step: its terms, the names of its images, the seconds it waited for data."""
        values = torch.stack([t.float() for t in terms.values()])
        if self._sums is None:
            self._names = list(terms)
            self._sums = torch.zeros_like(values)
        self._sums += values
        self._count += 1
        self._timed += 1
        self._waited += waited
        bad = ~torch.isfinite(values).all() & (self._bad < 0)
        self._bad = self._bad.masked_fill(bad, iteration)
        self._files[iteration] = files

    def check(self) -> None:
        """Raise NotFinite, with the names of the images, if a step was not finite. Waits for it."""
        bad = int(self._bad)
        far = 2**62
        first = agree(bad if bad >= 0 else far, self._place, min)
        if first < far:
            files = ", ".join(everyones(self._files.get(first, []), self._place))
            raise NotFinite(
                f"loss or gradient is not finite at iteration {first + 1} (images {files}); the "
                "last good checkpoint is kept. Lower the learning rate or leave these images out"
            )
        self._files.clear()

    def close(self) -> tuple[dict[str, float], float, float]:
        """Mean of every term, iterations per second and share of time waited; starts anew."""
        self.check()
        means = self._shared_sums() / self._count
        values = dict(zip(self._names, means.tolist()))
        elapsed = max(perf_counter() - self._started, 1e-9)
        speed, share = self._timed / elapsed, min(self._waited / elapsed, 1.0)
        self._sums, self._count = None, 0
        self.start()
        return values, speed, share

    def state(self) -> dict:
        """What a resumed run needs to write the same line."""
        if self._sums is None:
            return {"names": [], "sums": torch.zeros(0), "count": 0}
        return {
            "names": self._names,
            "sums": self._shared_sums().cpu(),
            "count": self._count,
        }

    def restore(self, state: dict) -> None:
        """Go on with the sums of a checkpoint."""
        if state["count"]:
            self._names, self._count = list(state["names"]), int(state["count"])
            self._sums = state["sums"].to(self._device)

    def _shared_sums(self) -> Tensor:
        """The sums, averaged over the processes."""
        if self._place.world == 1:
            return self._sums
        sums = self._sums.clone()
        dist.all_reduce(sums)
        return sums / self._place.world
