"""Images and networks small enough to train in milliseconds, for tests of how runs go."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.data.stream import CrackStream
from csbsr.networks.blocks import SegmentationOutput
from csbsr.networks.dbpn import DBPNOutput
from csbsr.networks.joint import Joint
from csbsr.protocol import RELEASED, Protocol
from csbsr.training.config import StepConfig
from csbsr.training.trainer import TrainResult, train


class Cracks:
    """Four noise images with a straight crack each, 40 pixels a side."""

    names = ("a.png", "b.png", "c.png", "d.png")

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(i)
        image = rng.integers(0, 255, (3, 40, 40), np.uint8)
        mask = np.zeros((1, 40, 40), bool)
        mask[:, :, 8 + 6 * i : 10 + 6 * i] = True
        image[:, mask[0]] = 10
        return image, mask


class TinySR(nn.Module):
    """Bicubic enlargement and one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> DBPNOutput:
        return DBPNOutput(self.conv(F.interpolate(x, scale_factor=4, mode="bicubic")))


class TinySegmentation(nn.Module):
    """Two convolutions with batch norm and dropout, and an auxiliary head."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(8, 1, 3, padding=1)
        self.aux_head = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        features = self.dropout(F.relu(self.norm(self.conv(x))))
        return SegmentationOutput(self.head(features).sigmoid(), self.aux_head(features).sigmoid())


def tiny(seed: int = 0, dropout: float = 0.3) -> Joint:
    """A joint model of 400 parameters."""
    torch.manual_seed(seed)
    return Joint(TinySR(), TinySegmentation(dropout))


def tiny_stage(**values: object) -> StepConfig:
    """A joint step of four iterations on crops of 32 pixels; `values` replace its settings."""
    defaults = {
        "iterations": 4,
        "batch": 2,
        "crop": 32,
        "lr_sr": 1e-3,
        "lr_segmentation": 1e-3,
        "sr_loss": "l1",
        "log_every": 2,
        "checkpoint_every": 2,
    }
    return StepConfig(**(defaults | values))


def run(
    model: nn.Module,
    stage: StepConfig,
    folder: Path,
    *,
    protocol: Protocol = RELEASED,
    seed: int = 0,
    source: Cracks | None = None,
    progress: str = "quiet",
    title: str = "training",
    workers: int = 1,
    device: str | None = None,
) -> TrainResult:
    """Train on the cracks above."""
    stream = CrackStream(source or Cracks(), stage.crop, stage.batch, seed, protocol)
    return train(
        model,
        stage,
        stream,
        seed=seed,
        protocol=protocol,
        folder=folder,
        device=device,
        progress=progress,
        title=title,
        workers=workers,
    )


def weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of everything in the state dict."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    """Whether two state dicts hold the same bits."""
    return before.keys() == after.keys() and all(torch.equal(before[k], after[k]) for k in before)


def launch(function: Callable[..., None], *arguments: object) -> BaseProcess:
    """Start a function in a process of its own, forked from a server that has imported torch."""
    context = multiprocessing.get_context("forkserver")
    # The optimiser imports torch._dynamo on first use, which takes longer than these runs.
    modules = ["pytest", "torch._dynamo", "csbsr.training.trainer", "csbsr.networks.joint"]
    context.set_forkserver_preload(modules)
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def finish(process: BaseProcess) -> int:
    """Wait for a process and return its exit code (-9: killed)."""
    process.join(120)
    assert process.exitcode is not None, "the run hangs"
    return process.exitcode
