"""Evaluation of Sec. IV-B: degrade each test image, restore it, segment it, measure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from csbsr.data.stream import CrackSource
from csbsr.degradation import degrade, kernel_for_image
from csbsr.metrics import (
    THRESHOLDS,
    centreline_curve,
    detection_scores,
    evaluate_batch,
    kernel_psnr,
    overlap_counts,
    psnr,
    ssim,
)
from csbsr.protocol import Protocol
from csbsr.training.distributed import gather, ranks, share

CENTRELINE_THRESHOLDS = np.arange(1, 10) / 10
CENTRELINE_TOLERANCE = 4.0
"""Thresholds and tolerance in pixels of the centreline IoU, the newer measure of the field."""


class Evaluation(NamedTuple):
    """Per-image measurements; N images in the order of `names`, T thresholds."""

    names: list[str]
    thresholds: NDArray[np.float64]  # (T,)
    iou: NDArray[np.float64]  # (N, T)
    hd95: NDArray[np.float64]  # (N, T) 95th percentile, the paper's
    hd50: NDArray[np.float64]  # (N, T) 50th percentile, which the released code logs as "HD95"
    mean_surface_distance: NDArray[np.float64]  # (N, T)
    centreline: NDArray[np.float64]  # (N, 9) clIoU at the thresholds 0.1 ... 0.9
    precision: NDArray[np.float64]  # (N, T)
    recall: NDArray[np.float64]  # (N, T)
    psnr: NDArray[np.float64] | None  # (N,), None when there is no SR image
    ssim: NDArray[np.float64] | None
    kernel_psnr: NDArray[np.float64] | None  # None for non-blind super-resolution
    crack_share: NDArray[np.float64]  # (N,) share of crack pixels in the truth


class Prediction(NamedTuple):
    """What a model makes of one batch of HR images."""

    lr: Tensor  # (B, 3, H/4, W/4)
    sr: Tensor | None  # (B, 3, H, W) in [0, 1]
    prob: Tensor  # (B, 1, H, W)
    kernel: Tensor | None  # (B, 1, 21, 21)


@torch.inference_mode()
def predict(model: nn.Module, hr: Tensor, kernels: Tensor, protocol: Protocol) -> Prediction:
    """Degrade HR images (B, 3, H, W) with kernels (B, 1, 21, 21) and run the model in eval mode."""
    model.eval()
    lr = degrade(hr, kernels, protocol, test=True)
    image = hr if model.reads == "hr" else lr  # the upper bound segments the HR image itself
    out = model(image, kernels if model.kernel_source == "true" else None)
    sr = None if getattr(model, "sr", model) is None else out.sr.float().clamp(0, 1)
    return Prediction(lr, sr, out.prob.float(), out.kernel)


def evaluate(
    model: nn.Module,
    source: CrackSource,
    protocol: Protocol,
    *,
    kernel_seed: int = 5,
    device: torch.device | str = "cpu",
    batch: int = 4,
    thresholds: Sequence[float] | NDArray = THRESHOLDS,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a model on every image of `source`; images of equal size share a batch.

    The blur kernel of an image is a function of (kernel_seed, name), so any two models meet the
    same degraded images. Under torchrun each process measures its share and all get the whole
    evaluation. ValueError for a source without images.
    """
    if not source.names:
        raise ValueError("there are no test images to evaluate; check the data folder")
    place = ranks()
    mine = list(share(range(len(source.names)), place))
    names = [source.names[i] for i in mine]
    rows: list[tuple] = []
    start = 0
    while start < len(names):
        images, masks = [], []
        for index in mine[start : start + batch]:
            image, mask = source.load(index)
            if images and image.shape != images[0].shape:
                break
            images.append(image)
            masks.append(mask[0])
        chunk = names[start : start + len(images)]
        rows += _measure(model, images, masks, chunk, protocol, kernel_seed, device, thresholds)
        start += len(images)
        if progress:
            progress(start, len(names))
    columns = [None if c[0] is None else np.stack(c) for c in zip(*gather(rows, place))]
    return Evaluation(list(source.names), np.asarray(thresholds, np.float64), *columns)


def _measure(
    model: nn.Module,
    images: list[np.ndarray],
    masks: list[np.ndarray],
    names: list[str],
    protocol: Protocol,
    kernel_seed: int,
    device: torch.device | str,
    thresholds: Sequence[float] | NDArray,
) -> list[tuple]:
    """One tuple per image with the fields of `Evaluation` from `iou` on."""
    hr = torch.from_numpy(np.stack(images)).to(device).float().div_(255)  # (B, 3, H, W)
    kernels = torch.stack([kernel_for_image(kernel_seed, n, protocol) for n in names]).to(device)
    out = predict(model, hr, kernels, protocol)
    prob = out.prob[:, 0].cpu().numpy()  # (B, H, W)
    curves = evaluate_batch(prob, masks, thresholds, 95.0, protocol.empty_penalty)
    halves = evaluate_batch(prob, masks, thresholds, 50.0, protocol.empty_penalty)
    lines = [
        centreline_curve(p, g, CENTRELINE_THRESHOLDS, CENTRELINE_TOLERANCE).iou
        for p, g in zip(prob, masks)
    ]
    precision, recall = _precision_recall(prob, masks, thresholds)
    quality = fidelity = estimate = None
    if out.sr is not None:
        quality = psnr(out.sr, hr).cpu().numpy()
        fidelity = ssim(out.sr, hr).cpu().numpy()
    if out.kernel is not None:
        estimate = kernel_psnr(out.kernel.float(), kernels).cpu().numpy()
    nothing = [None] * len(names)
    return list(
        zip(
            curves.iou,
            curves.hausdorff,
            halves.hausdorff,
            curves.mean_surface_distance,
            lines,
            precision,
            recall,
            nothing if quality is None else quality,
            nothing if fidelity is None else fidelity,
            nothing if estimate is None else estimate,
            [mask.mean() for mask in masks],
        )
    )


def _precision_recall(
    prob: np.ndarray, masks: list[np.ndarray], thresholds: Sequence[float] | NDArray
) -> tuple[np.ndarray, np.ndarray]:
    scores = [detection_scores(overlap_counts(p, g, thresholds)) for p, g in zip(prob, masks)]
    return np.stack([s.precision for s in scores]), np.stack([s.recall for s in scores])
