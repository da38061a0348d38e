"""Networks and data small enough to train in class: seconds on one core, never a result."""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.data.distances import signed_distances
from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import degrade, random_kernels
from csbsr.losses import normalise_signed_distance
from csbsr.protocol import PRINTED

SIDE, SCALE = 64, 4
Coupling = Literal["joint", "detached"]
Input = Callable[[Tensor, Coupling], Tensor]
Total = Callable[[Tensor, Tensor, float], Tensor]


class Batch(NamedTuple):
    """Images (B, 3, H, W), their LR images, masks and normalised distances (B, 1, H, W)."""

    hr: Tensor
    lr: Tensor
    mask: Tensor
    distance: Tensor


@cache
def cracks(split: str, count: int, seed: int) -> Batch:
    """Synthetic cracks, blurred by Eq. 1 and reduced by four."""
    source = SyntheticCracks(count, SIDE, seed=seed, split=split)
    images, masks = zip(*(source.load(i) for i in range(count)))
    hr = torch.from_numpy(np.stack(images)).float() / 255
    mask = torch.from_numpy(np.stack(masks))
    kernels = random_kernels(count, np.random.default_rng(seed), PRINTED)
    distance = normalise_signed_distance(signed_distances(mask))
    return Batch(hr, degrade(hr, kernels, PRINTED, SCALE), mask.float(), distance)


def segmenter(seed: int, width: int = 8) -> nn.Module:
    """A network C of three convolutions, (B, 3, H, W) -> probabilities (B, 1, H, W)."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.InstanceNorm2d(3),
        nn.Conv2d(3, width, 5, padding=2), nn.ReLU(),
        nn.Conv2d(width, width, 5, padding=2), nn.ReLU(),
        nn.Conv2d(width, 1, 5, padding=2), nn.Sigmoid(),
    )  # fmt: skip


class SuperResolution(nn.Module):
    """A network S: bicubic enlargement and a learnt correction, (B, 3, h, w) -> (B, 3, 4h, 4w)."""

    def __init__(self, seed: int, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.correct = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, 3 * SCALE**2, 3, padding=1), nn.PixelShuffle(SCALE),
        )  # fmt: skip

    def forward(self, lr: Tensor) -> Tensor:
        """The enlarged image."""
        large = F.interpolate(lr, scale_factor=SCALE, mode="bicubic", align_corners=False)
        return large + self.correct(lr)


def drawn(data: Batch, generator: torch.Generator, size: int = 4) -> Batch:
    """A random batch of a data set."""
    index = torch.randperm(len(data.hr), generator=generator)[:size]
    return Batch(*(part[index] for part in data))


def mean_iou(prob: Tensor, mask: Tensor) -> float:
    """Mean IoU over images at its best threshold."""
    found = prob[:, :, None] > torch.linspace(0.05, 0.95, 19)[:, None, None]  # (B, 1, T, H, W)
    truth = mask[:, :, None] > 0.5
    shared, union = (
        (f(found, truth)).sum((1, 3, 4)) for f in (torch.logical_and, torch.logical_or)
    )
    return float(((shared + 1e-5) / (union + 1e-5)).mean(0).max())


def train_arm(
    coupling: Coupling, seed: int, segmentation_input: Input, total: Total, steps: int = 40
) -> float:
    """Train S and C on cracks of one seed and return the IoU on test cracks that all seeds share.

    S is trained alone first, equally in both arms. `segmentation_input` is what C sees of the SR
    image, `total` Eq. 2.
    """
    train, test = cracks("train", 24, seed), cracks("test", 12, 100)
    order = torch.Generator().manual_seed(seed)
    s, c = SuperResolution(seed), segmenter(seed)
    optimiser = torch.optim.Adam(s.parameters(), lr=3e-3)
    for _ in range(steps):
        batch = drawn(train, order)
        descend(optimiser, (s(batch.lr) - batch.hr).abs().mean())
    optimiser = torch.optim.Adam([*s.parameters(), *c.parameters()], lr=3e-3)
    for _ in range(2 * steps):
        batch = drawn(train, order)
        sr = s(batch.lr)
        prob = c(segmentation_input(sr, coupling)).clamp(1e-6, 1 - 1e-6)
        l_s = (sr - batch.hr).abs().mean()
        dice = 1 - 2 * (prob * batch.mask).sum() / (prob**2 + batch.mask**2).sum()
        l_c = 0.5 * dice + 0.5 * F.binary_cross_entropy(prob, batch.mask)
        descend(optimiser, total(l_s, l_c, 0.3))
    with torch.no_grad():
        return mean_iou(c(s(test.lr)), test.mask)


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of gradient descent."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
