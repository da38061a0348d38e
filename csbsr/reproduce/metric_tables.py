"""Tables of the metrics chapter."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from csbsr.degradation import random_kernels
from csbsr.metrics import (
    bootstrap_summary,
    evaluate_batch,
    kernel_psnr,
    psnr,
    ssim,
    ssim_standard,
    surface_distance,
    threshold_curves,
)
from csbsr.protocol import PAPER, RELEASED
from csbsr.reproduce.display import table_html
from csbsr.reproduce.metric_figures import worked_example


def worked_table() -> str:
    """Metrics of the 5 x 5 example at four thresholds, percentiles 95 and 50."""
    limits = [0.15, 0.35, 0.5, 0.75]
    prob, target = worked_example()
    full, half = (threshold_curves(prob, target, limits, p) for p in (95, 50))
    rows = [
        [f"{t:.2f}", f"{i:.3f}", f"{h95:.3f}", f"{h50:.3f}", f"{m:.3f}"]
        for t, i, h95, h50, m in zip(limits, full.iou, full.hausdorff, half.hausdorff, full[2])
    ]
    header = ["threshold", "IoU", "HD95 (px)", "HD50 (px)", "mean distance (px)"]
    return table_html(header, rows, caption="The 5 x 5 example, by threshold_curves")


def empty_table(height: int = 300, width: int = 448) -> str:
    """What an empty mask costs under each rule, for one image and in a mean of 100 images."""
    nothing, crack = np.zeros((2, height, width), bool)
    crack[height // 2, 50 : width - 50] = True
    blob = np.zeros_like(crack)
    blob[5, 5] = True
    cases = (
        ("both empty", nothing, nothing),
        ("crack missed entirely", nothing, crack),
        ("one false pixel, no crack", blob, nothing),
        ("one false pixel, crack elsewhere", blob, crack),
    )
    rows = []
    for name, mask, target in cases:
        cells = [f"{threshold_curves(mask * 1.0, target, [0.5]).iou[0]:.3f}"]
        for rule in ("width", "diagonal", "infinite"):
            cost = surface_distance(mask, target, 95, rule).hausdorff
            cells.append(f"{cost:.0f} / {(99 * 10 + cost) / 100:.1f}".replace("inf", "∞"))
        rows.append([name, *cells])
    header = ["prediction and target", "IoU", "width", "diagonal", "infinite"]
    caption = (
        f"HD95 in pixels of one image of {width} x {height} / mean of 100 images if the other 99 "
        "score 10"
    )
    return table_html(header, rows, caption=caption)


def interval_table(prob: NDArray, target: NDArray, seed: int = 0, tiles: int = 4) -> str:
    """The four numbers of tiles x tiles parts of one image, with 95 % bootstrap intervals."""
    parts = [
        [block for row in np.array_split(a, tiles) for block in np.array_split(row, tiles, 1)]
        for a in (prob, target)
    ]
    curves = evaluate_batch(*parts)
    intervals = bootstrap_summary(curves.iou, curves.hausdorff, seed=seed)
    rows = [
        [name, f"{i.estimate:.3f}", f"{i.low:.3f} to {i.high:.3f}"]
        for name, i in zip(("IoU max", "AIU", "HD95 min (px)", "AHD95 (px)"), intervals)
    ]
    header = ["number", "estimate", "95 % interval over tiles"]
    return table_html(header, rows, caption=f"Bootstrap intervals over {tiles**2} tiles")


def kernel_psnr_table(count: int = 500, seed: int = 0) -> str:
    """Kernel PSNR of estimates that know nothing, on random kernels of both protocols."""
    rows = []
    for protocol, label in ((PAPER, "variance in [0.2, 4]"), (RELEASED, "std in [0.2, 4]")):
        kernels = random_kernels(count, np.random.default_rng(seed), protocol)
        guesses = (
            torch.zeros_like(kernels),
            torch.full_like(kernels, 1 / kernels[0].numel()),
            kernels.mean(0, keepdim=True).expand_as(kernels),
        )
        cells = [f"{kernel_psnr(guess, kernels).mean():.1f}" for guess in guesses]
        rows.append([f"{protocol.name} ({label})", *cells])
    header = ["kernels", "all zero", "uniform", "mean kernel"]
    return table_html(header, rows, caption=f"Mean kernel PSNR in dB over {count} random kernels")


def fidelity_table(image: Tensor) -> str:
    """PSNR and both forms of SSIM of one image (1, 3, H, W), blurred and with noise."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    rows = []
    for name, changed in (
        ("blurred, 3 x 3 mean", F.avg_pool2d(image, 3, 1, 1, count_include_pad=False)),
        ("blurred, 7 x 7 mean", F.avg_pool2d(image, 7, 1, 3, count_include_pad=False)),
        ("noise, standard deviation 0.03", (image + 0.03 * noise).clamp(0, 1)),
    ):
        try:
            standard = f"{ssim_standard(changed, image).item():.4f}"
        except ImportError:
            standard = "needs torchmetrics"
        released = f"{ssim(changed, image).item():.4f}"
        rows.append([name, f"{psnr(changed, image).item():.2f}", released, standard])
    header = ["image", "PSNR (dB)", "SSIM, released form", "SSIM, standard form"]
    return table_html(header, rows, caption="One image against three changed copies of itself")
