"""One crack and predictions of it that go wrong in a known way, for the loss chapters."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from csbsr import losses
from csbsr.data.distances import signed_distances
from csbsr.data.synthetic import open_cracks
from csbsr.protocol import Protocol

SURE = 0.98
"""Probability of the drawn predictions where they say crack; 1 - SURE elsewhere."""


class Example(NamedTuple):
    """One crack: image (1, 3, H, W) in [0, 1]; mask and signed distance (1, 1, H, W)."""

    image: Tensor
    mask: Tensor
    distance: Tensor


def example_crack(data: str = "synthetic", size: int = 256, seed: int = 0) -> Example:
    """Return the first of 60 training images with 2-6 % crack, 5 pixels wide at some place.

    ValueError if there is none.
    """
    source = open_cracks(data, "train", count=60, size=size, seed=seed)
    for i in range(len(source)):
        image, mask = (array[:, :size, :size].copy() for array in source.load(i))
        distance = signed_distances(torch.from_numpy(mask)[None])
        if 0.02 <= mask.mean() <= 0.06 and distance.min() <= -3:
            pixels = torch.from_numpy(image)[None].float() / 255
            return Example(pixels, torch.from_numpy(mask)[None].float(), distance)
    raise ValueError(f"no image of '{data}' has 2-6 % crack; give another seed or folder")


def terms(
    example: Example, protocol: Protocol, alpha: float = 0.5
) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return five losses of the example (BC with gamma 0.5) as functions of a probability map."""
    mask, distance = example.mask, example.distance
    return {
        "Boundary": lambda p: losses.boundary_loss(p, distance, protocol),
        "Dice": lambda p: losses.dice_loss(p, mask, protocol),
        "GDice": lambda p: losses.generalized_dice_loss(p, mask, protocol),
        "WCE": lambda p: losses.weighted_cross_entropy(p, mask, protocol),
        "BC": lambda p: losses.boundary_combo_loss(p, mask, distance, protocol, alpha),
    }


def soft(binary: Tensor) -> Tensor:
    """Return a sure but not certain prediction of a binary map, so that logarithms are finite."""
    return torch.where(binary > 0.5, SURE, 1 - SURE)


def shifted(example: Example, pixels: int) -> Tensor:
    """Return the mask moved along the axis in which the crack extends less."""
    rows, columns = example.mask[0, 0].nonzero(as_tuple=True)
    axis = 2 if np.ptp(rows.numpy()) < np.ptp(columns.numpy()) else 3
    return example.mask.roll(pixels, axis)


def grown(example: Example, pixels: int) -> Tensor:
    """Return the mask dilated (> 0) or eroded (< 0) by a distance in pixels."""
    limit = example.distance <= pixels if pixels >= 0 else example.distance < pixels
    return limit.float()


def partly_missed(example: Example, share: float) -> Tensor:
    """Return the mask without the rightmost share of its crack pixels."""
    columns = example.mask[0, 0].nonzero(as_tuple=True)[1].float()
    keep = torch.arange(example.mask.shape[-1]) <= torch.quantile(columns, 1 - share)
    return example.mask * keep if share < 1 else torch.zeros_like(example.mask)


def flawed_prediction(example: Example) -> Tensor:
    """Return a prediction with soft edges, its right third faint, and a false blob far away."""
    distance = example.distance[0, 0]
    height, width = distance.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    prob = torch.sigmoid(1.5 - distance) * 0.96 + 0.02
    faint = (columns > torch.quantile(columns[distance <= 0].float(), 2 / 3)) & (distance < 8)
    prob = torch.where(faint, prob * 0.1, prob)
    inner = (rows - height / 2).abs().maximum((columns - width / 2).abs()) < 0.35 * width
    row, column = divmod(int((distance * inner).argmax()), width)
    blob = 0.9 * torch.sigmoid(9 - torch.hypot(rows - float(row), columns - float(column)))
    return torch.maximum(prob, blob)[None, None]
