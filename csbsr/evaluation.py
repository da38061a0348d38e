"""Evaluation of Sec. IV-B: degrade each test image, restore it, segment it, measure."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from csbsr.data.stream import CrackSource
from csbsr.degradation import degrade, kernel_for_image
from csbsr.distributed import gather, ranks, share
from csbsr.metrics import (
    THRESHOLDS,
    centreline_curve,
    detection_scores,
    iou,
    iou_curve,
    kernel_psnr,
    map_curves,
    psnr,
    ssim,
    width_counts,
)
from csbsr.protocol import Protocol

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
    predicted_share: NDArray[np.float64]  # (N, T) share of pixels marked: false alarm if crack-free
    line_length: NDArray[np.int64]  # (N, W) centreline pixels by class of width (`WIDTH_EDGES`)
    line_found: NDArray[np.int64]  # (N, W, T) those of them that are marked
    crack_share: NDArray[np.float64]  # (N,) share of crack pixels in the truth
    psnr: NDArray[np.float64] | None  # (N,), None when there is no SR image
    ssim: NDArray[np.float64] | None
    kernel_psnr: NDArray[np.float64] | None  # None for non-blind super-resolution


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
    image = image.contiguous(memory_format=torch.channels_last)  # a quarter faster on a CPU
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
    limits = np.asarray(thresholds, np.float64)
    rows: list[tuple] = []
    mine = list(share(range(len(source.names)), place))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for names, images, masks in _batches(source, mine, batch):
            hr, kernels = _inputs(names, images, kernel_seed, protocol, device)
            out = predict(model, hr, kernels, protocol)
            prob = out.prob[:, 0].cpu().numpy()  # (B, H, W)
            shapes = pool.map(partial(_measure, limits, protocol), names, prob, masks)
            rows += [(*one, *other) for one, other in zip(shapes, _fidelity(out, hr, kernels))]
            if progress:
                progress(len(rows), len(mine))
    columns = [None if c[0] is None else np.stack(c) for c in zip(*gather(rows, place))]
    return Evaluation(list(source.names), limits, *columns)


def best_threshold(
    model: nn.Module,
    validation: CrackSource,
    protocol: Protocol,
    *,
    kernel_seed: int = 5,
    device: torch.device | str = "cpu",
    batch: int = 4,
) -> float | None:
    """Return the threshold of the highest mean IoU on validation images, None without images.

    The one at which a model is to be used and at which test images may be compared without having
    been looked at; the lowest of several equally good ones. Images, kernels and processes as in
    `evaluate`, but only the IoU is computed.
    """
    place = ranks()
    curves = []
    for names, images, masks in _batches(
        validation, list(share(range(len(validation.names)), place)), batch
    ):
        out = predict(model, *_inputs(names, images, kernel_seed, protocol, device), protocol)
        prob = out.prob[:, 0].cpu().numpy()
        curves += [iou_curve(p, g) for p, g in zip(prob, masks)]
    curves = gather(curves, place)
    return float(THRESHOLDS[np.mean(curves, 0).argmax()]) if curves else None


def _batches(
    source: CrackSource, indices: Sequence[int], batch: int
) -> Iterator[tuple[list[str], list[np.ndarray], list[np.ndarray]]]:
    """Names, images (3, H, W) and masks (H, W) of up to `batch` neighbours of equal size."""
    names: list[str] = []
    images: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    for index in indices:
        image, mask = source.load(index)
        if images and (len(images) == batch or image.shape != images[0].shape):
            yield names, images, masks
            names, images, masks = [], [], []
        names.append(source.names[index])
        images.append(image)
        masks.append(mask[0])
    if images:
        yield names, images, masks


def _inputs(
    names: list[str],
    images: list[np.ndarray],
    kernel_seed: int,
    protocol: Protocol,
    device: torch.device | str,
) -> tuple[Tensor, Tensor]:
    """HR images (B, 3, H, W) in [0, 1] and their test kernels (B, 1, 21, 21)."""
    hr = torch.from_numpy(np.stack(images)).to(device).float().div_(255)
    kernels = torch.stack([kernel_for_image(kernel_seed, n, protocol) for n in names])
    return hr, kernels.to(device)


def _measure(
    thresholds: NDArray[np.float64],
    protocol: Protocol,
    name: str,
    prob: np.ndarray,
    mask: np.ndarray,
) -> tuple:
    """The fields of `Evaluation` from `iou` to `crack_share` of one image."""
    try:
        counts, (hd95, hd50), mean_distance = map_curves(
            prob, mask, thresholds, (95.0, 50.0), protocol.empty_penalty
        )
    except ValueError as error:
        raise ValueError(f"image {name}: {error}") from error
    lines = centreline_curve(prob, mask, CENTRELINE_THRESHOLDS, CENTRELINE_TOLERANCE)
    scores = detection_scores(counts)
    marked = (counts.true_positive + counts.false_positive) / mask.size
    widths = width_counts(prob, mask, thresholds)
    return (
        iou(counts),
        hd95,
        hd50,
        mean_distance,
        lines.iou,
        scores.precision,
        scores.recall,
        marked,
        widths.length,
        widths.found,
        mask.mean(),
    )


def _fidelity(out: Prediction, hr: Tensor, kernels: Tensor) -> list[tuple]:
    """PSNR, SSIM and kernel PSNR of each image, None where the model makes no such thing."""
    nothing = [None] * len(hr)
    quality = fidelity = estimate = nothing
    if out.sr is not None:
        quality, fidelity = psnr(out.sr, hr).cpu().numpy(), ssim(out.sr, hr).numpy()
    if out.kernel is not None:
        estimate = kernel_psnr(out.kernel.float(), kernels).cpu().numpy()
    return list(zip(quality, fidelity, estimate))
