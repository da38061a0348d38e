"""Degradations that the training never saw: the walls, their LR images, and a model's scores."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import downsample
from csbsr.metrics import THRESHOLDS, evaluate_batch, summarise
from csbsr.protocol import Protocol
from csbsr.realistic import STRENGTHS, realistic

SEED = 11
"""Seed of the walls, and of noise and motion on them."""


class Condition(NamedTuple):
    """A kind of `csbsr.realistic.STRENGTHS` and a strength 1 to 3; ("none", 0): reduction alone."""

    kind: str
    strength: int


CLEAN = Condition("none", 0)
CONDITIONS = (CLEAN, *(Condition(kind, s) for kind in STRENGTHS for s in (1, 2, 3)))


class Walls(NamedTuple):
    """N synthetic walls; `masks` (N, H, W) bool, `hr` (N, 3, H, W) in [0, 1]."""

    names: list[str]
    hr: Tensor
    masks: NDArray[np.bool_]


class ModelScores(NamedTuple):
    """One model under every condition, and its binary masks (N, H, W) where they are kept."""

    content: dict[str, object]
    masks: dict[Condition, NDArray[np.bool_]]


def walls_of(count: int, size: int) -> Walls:
    """The first `count` walls of the test split of seed 11, `size` x `size` pixels."""
    source = SyntheticCracks(count, size, seed=SEED, split="test")
    loaded = [source.load(i) for i in range(len(source))]
    hr = torch.from_numpy(np.stack([image for image, _ in loaded])).float() / 255
    return Walls(list(source.names), hr, np.stack([mask[0] for _, mask in loaded]))


def degraded(hr: Tensor, name: str, condition: Condition, protocol: Protocol) -> Tensor:
    """The LR image (3, H/4, W/4) of a wall (3, H, W) under a condition, in 8-bit steps."""
    if condition == CLEAN:
        lr = downsample(hr[None], 4, protocol.antialias)[0]  # (3, h, w)
        return torch.round(lr.clamp(0, 1) * 255) / 255
    return realistic(hr, *condition, SEED, name, protocol)


def lr_images(walls: Walls, condition: Condition, protocol: Protocol) -> Tensor:
    """All LR images (N, 3, h, w) of one condition; the same for every model."""
    pairs = zip(walls.hr, walls.names)
    return torch.stack([degraded(hr, name, condition, protocol) for hr, name in pairs])


@torch.inference_mode()
def probabilities(model: nn.Module, lr: Tensor, device: torch.device) -> NDArray[np.float32]:
    """Crack probabilities (N, H, W) of LR images (N, 3, h, w), four at a time."""
    model.eval()
    parts = [model(part.to(device)).prob[:, 0].float().cpu() for part in lr.split(4)]
    return torch.cat(parts).numpy()


def score(
    model: nn.Module,
    lr: dict[Condition, Tensor],
    masks: NDArray[np.bool_],
    protocol: Protocol,
    device: torch.device,
    keep: tuple[Condition, ...] = (),
) -> ModelScores:
    """Measure a model under every condition of `lr`, which starts with `CLEAN`.

    "IoU" and "HD95" are taken at the thresholds that are best on the clean images, as a user who
    cannot see the truth has to; "IoU_max" and "HD95_min" choose them anew under each condition.
    """
    rows, kept = [], {}
    at_iou = at_hd = 0
    for condition, images in lr.items():
        prob = probabilities(model, images, device)
        curves = evaluate_batch(prob, list(masks), THRESHOLDS, 95.0, protocol.empty_penalty)
        if condition == CLEAN:
            at_iou = int(curves.iou.mean(0).argmax())
            at_hd = int(curves.hausdorff.mean(0).argmin())
        best = summarise(curves.iou, curves.hausdorff, THRESHOLDS)
        values = {
            "IoU": curves.iou[:, at_iou].mean(),
            "IoU_max": best.iou_max,
            "AIU": best.aiu,
            "HD95": curves.hausdorff[:, at_hd].mean(),
            "HD95_min": best.hd95_min,
            "AHD95": best.ahd95,
        }
        row = {name: _rounded(v) for name, v in values.items()}
        rows.append(
            {"kind": condition.kind, "strength": condition.strength}
            | row
            | {"images_IoU": [_rounded(v) for v in curves.iou[:, at_iou]]}
        )
        if condition in keep:
            kept[condition] = prob > np.float32(THRESHOLDS[at_iou])
    limits = {"IoU": float(THRESHOLDS[at_iou]), "HD95": float(THRESHOLDS[at_hd])}
    return ModelScores({"thresholds": limits, "conditions": rows}, kept)


def _rounded(value: float) -> float | None:
    """Seven significant digits; None for an infinite distance."""
    return float(f"{value:.7g}") if np.isfinite(value) else None
