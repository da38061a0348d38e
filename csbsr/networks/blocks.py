"""Building blocks that several networks share: outputs, convolutions with PReLU, projections."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SegmentationOutput(NamedTuple):
    """What every segmentation network returns.

    `prob` is the crack probability (B, 1, H, W), float32 after the sigmoid; `aux` holds the
    probabilities of auxiliary heads (B, n, H, W), or None where the network has none.
    """

    prob: Tensor
    aux: Tensor | None = None


def probability(logits: Tensor) -> Tensor:
    """Return sigmoid(logits) in float32, whatever precision autocast gave the logits."""
    return torch.sigmoid(logits.float())
