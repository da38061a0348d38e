"""One training step of Sec. III-E: resumable at any moment, the same numbers every time."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from csbsr.distributed import ranks
from csbsr.files import locked
from csbsr.protocol import Protocol
from csbsr.training import checkpoint
from csbsr.training.config import StepConfig
from csbsr.training.guards import StopSignals, arithmetic
from csbsr.training.log import TrainingLog
from csbsr.training.loop import Run, Stream
from csbsr.training.progress import Progress, Reporter

LOCK = ".lock"
"""File in a step's folder that the process holds which trains there."""


@dataclass(frozen=True)
class TrainResult:
    """What a finished step leaves besides the trained model."""

    iterations: int
    resumed_from: int
    """Iteration at which this call began; `iterations` if there was nothing left to do."""
    seconds: float
    """Wall time of this call."""
    images_per_second: float
    waiting_share: float
    """Share of this call's time that the steps waited for data."""
    peak_memory: int | None
    """Largest GPU memory in bytes, None on the CPU."""
    notes: tuple[str, ...]
    """Checkpoints that were refused, and why."""


def train(
    model: nn.Module,
    config: StepConfig,
    stream: Stream,
    *,
    seed: int,
    protocol: Protocol,
    folder: Path,
    device: torch.device | str | None = None,
    progress: Progress = "auto",
    title: str = "training",
    workers: int = 1,
    tensorboard: bool = False,
) -> TrainResult:
    """Train a `csbsr.networks.joint.Joint` in place for one step and leave it in evaluation mode.

    folder receives the last two checkpoints and the log; if it holds a checkpoint of the same
    configuration the run goes on from there, and on the CPU ends with the same bits as one that
    was never interrupted. A second process with the same folder waits for the first, and then
    finds the step finished, or goes on where the first was killed. device: where to train
    (default: where the model is). title: shown in the progress. workers: threads that prepare
    batches; they do not change the result. tensorboard: write events as well.

    Under torchrun (inside `distributed.process_group`) every process calls this with its share of
    the stream. Raises ValueError (configuration; `ForeignCheckpoint` for a folder of another
    one), Stopped (Ctrl-C, state saved), NotFinite, OutOfMemory, OSError (disk full). Sec. III-E.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = torch.device(device) if device is not None else next(model.parameters()).device
    with ExitStack() as stack:
        if ranks().writes:
            quiet = progress == "quiet"
            stack.enter_context(locked(folder / LOCK, title, quiet))
            checkpoint.sweep(folder)
        stack.enter_context(arithmetic(config, target))
        stop = stack.enter_context(StopSignals())
        run = Run(model, config, protocol, seed, target, folder)
        notes = run.resume()
        report = Reporter(
            progress if run.place.writes else "quiet", title, run.done, config.iterations
        )
        stack.callback(report.close)
        log = TrainingLog(folder, run.done, tensorboard) if run.place.writes else None
        for note in notes:
            report.note(note)
        if target.type == "cuda":
            torch.cuda.reset_peak_memory_stats(target)
        first, started = run.done, perf_counter()
        waited = run.train(stream, workers, stop, report, log)
        seconds = perf_counter() - started
        if log is not None:
            log.close()
    model.requires_grad_(True)
    model.eval()
    images = (config.iterations - first) * config.batch
    cuda = target.type == "cuda"
    return TrainResult(
        iterations=config.iterations,
        resumed_from=first,
        seconds=seconds,
        images_per_second=images / max(seconds, 1e-9),
        waiting_share=waited / max(seconds, 1e-9),
        peak_memory=torch.cuda.max_memory_allocated(target) if cuda else None,
        notes=tuple(notes),
    )
