"""What ends a run early, each with one clear line: Ctrl-C, a loss that is not finite, no memory."""

import hashlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import torch

from csbsr.training.config import StepConfig


class Stopped(Exception):
    """The run was asked to stop and has saved its state; the CLI exits with code 130."""

    def __init__(self, iteration: int, total: int, folder: Path) -> None:
        super().__init__(
            f"stopped at iteration {iteration} of {total}, everything is saved in {folder}; "
            "run the same command again to go on"
        )
        self.iteration, self.total, self.folder = iteration, total, folder


class NotFinite(RuntimeError):
    """The loss or a gradient became infinite or NaN; the last good checkpoint is kept."""


class OutOfMemory(RuntimeError):
    """The step does not fit into memory; the message says which setting to lower."""


class StopSignals:
    """Turns the first Ctrl-C (or SIGTERM) into a request that the run reads between two steps.

    A second one interrupts at once. Outside the main thread it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def memory_errors(config: StepConfig, size: int, device: torch.device) -> Iterator[None]:
    """Turn torch's out-of-memory errors into one line that says what to lower.

    size: side of the HR images of the batch in pixels.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        words = ("out of memory", "can't allocate memory", "not enough memory")
        if not isinstance(error, MemoryError) and not any(word in text for word in words):
            raise
        hints = ["lower `batch`"]
        if size > 64:
            hints.append("lower `crop`")
        if config.precision != "bf16":
            hints.append("use `--precision bf16`")
        raise OutOfMemory(
            f"out of memory on {device} at batch {config.batch}, HR {size}x{size}, "
            f"{config.precision}: {', '.join(hints[:-1]) or hints[0]}"
            + (f" or {hints[-1]}" if len(hints) > 1 else "")
        ) from error


@contextmanager
def arithmetic(config: StepConfig, device: torch.device) -> Iterator[None]:
    """Set TF32 and cuDNN for one run, and put them back after.

    cuDNN does not search for the fastest algorithm: what it finds depends on the moment, and a
    run that is resumed must give the numbers of one that was not interrupted. Random draws inside
    do not disturb the generators of the caller.
    """
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (cuda.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    cuda.allow_tf32 = cudnn.allow_tf32 = config.precision != "fp32"
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        cuda.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before


def seed_iteration(seed: int, iteration: int) -> None:
    """Seed what torch draws in one iteration (dropout) from (seed, iteration) alone.

    That is why a resumed run needs no generator state, and why several processes draw the masks
    that one would (`csbsr.training.shared_layers`).
    """
    digest = hashlib.sha256(f"{seed}:{iteration}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
