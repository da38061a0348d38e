"""What a result file records of an evaluation: metrics, intervals, curves, values per image."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from csbsr.data.groups import photo_group
from csbsr.data.stream import CrackSource
from csbsr.evaluation import CENTRELINE_THRESHOLDS, Evaluation, best_threshold, evaluate
from csbsr.metrics import bootstrap_mean, bootstrap_summary, summarise
from csbsr.protocol import Protocol
from csbsr.study.breakdown import (
    at_threshold,
    by_source,
    by_width,
    false_alarm_curve,
    threshold_index,
)
from csbsr.study.profiles import Profile


def measurements(
    model: nn.Module,
    source: CrackSource,
    profile: Profile,
    protocol: Protocol,
    device: torch.device,
    batch: int = 4,
    validation_threshold: float | None = None,
) -> dict[str, object]:
    """Evaluate a model with the profile's test kernels and return all that is recorded of it.

    validation_threshold: as `threshold_of` chose it, None where there are no validation images.
    """
    evaluation = evaluate(
        model, source, protocol, kernel_seed=profile.kernel_seed, device=device, batch=batch
    )
    return recorded(evaluation, validation_threshold)


def threshold_of(
    model: nn.Module,
    validation: CrackSource,
    profile: Profile,
    protocol: Protocol,
    device: torch.device,
) -> float | None:
    """Choose the threshold on validation images with the profile's test kernels."""
    return best_threshold(
        model, validation, protocol, kernel_seed=profile.kernel_seed, device=device
    )


def rounded(values: list[float], digits: int = 7) -> list[float]:
    """Significant digits that a float32 measurement carries; infinities become None."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in values]


def _mean(values: NDArray[np.float64] | None) -> float | None:
    if values is None:
        return None
    finite = values[np.isfinite(values)]
    return rounded([float(finite.mean())])[0] if finite.size else None


def _curve(values: NDArray[np.float64]) -> list[float]:
    return rounded(values.mean(0).tolist())


def _rows(values: NDArray[np.float64]) -> list[list[float]]:
    return [rounded(row, 6) for row in values.tolist()]


def metrics_of(evaluation: Evaluation) -> dict[str, float | None]:
    """The columns of Tables II-VI, the thresholds chosen, and HD50 beside HD95."""
    summary = summarise(evaluation.iou, evaluation.hd95, evaluation.thresholds)
    median = summarise(evaluation.iou, evaluation.hd50, evaluation.thresholds)
    cracked = evaluation.crack_share > 0
    on_cracks = evaluation.iou[cracked].mean(0).max() if cracked.any() else math.nan
    values = {
        "IoU_max": summary.iou_max,
        "AIU": summary.aiu,
        "HD95_min": summary.hd95_min,
        "AHD95": summary.ahd95,
        "IoU_max_threshold": summary.iou_max_threshold,
        "HD95_min_threshold": summary.hd95_min_threshold,
        "HD50_min": median.hd95_min,
        "AHD50": median.ahd95,
        "IoU_max_cracks_only": on_cracks,
        "clIoU_max": evaluation.centreline.mean(0).max(),
    }
    found = {name: rounded([float(value)])[0] for name, value in values.items()}
    found["PSNR"] = _mean(evaluation.psnr)
    found["SSIM"] = _mean(evaluation.ssim)
    found["kernel_PSNR"] = _mean(evaluation.kernel_psnr)
    return found


def intervals_of(evaluation: Evaluation) -> dict[str, list[float]]:
    """95 % bootstrap intervals over photographs; the noise of training is not in them.

    Images cut from one photograph are drawn together: they are no independent sample.
    """
    groups = [photo_group(name) for name in evaluation.names]
    found = bootstrap_summary(evaluation.iou, evaluation.hd95, groups=groups)
    names = ("IoU_max", "AIU", "HD95_min", "AHD95")
    result = {name: rounded([v.low, v.high]) for name, v in zip(names, found)}
    if evaluation.psnr is not None and np.isfinite(evaluation.psnr).all():
        mean = bootstrap_mean(evaluation.psnr, groups=groups)
        result["PSNR"] = rounded([mean.low, mean.high])
    return result


def recorded(
    evaluation: Evaluation, validation_threshold: float | None = None
) -> dict[str, object]:
    """The parts `metrics`, `curves`, `images`, `sources` and `widths` of a result file."""

    def column(values: NDArray[np.float64] | None) -> list[float] | None:
        return None if values is None else rounded(values.tolist())

    metrics: dict[str, object] = dict(metrics_of(evaluation))
    metrics["intervals"] = intervals_of(evaluation)
    index = threshold_index(evaluation, validation_threshold)
    metrics |= at_threshold(evaluation, index, validation_threshold)
    false_alarms = false_alarm_curve(evaluation)
    precision, recall = evaluation.precision.mean(0), evaluation.recall.mean(0)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return {
        "metrics": metrics,
        "curves": {
            "thresholds": rounded(evaluation.thresholds.tolist()),
            "IoU": _curve(evaluation.iou),
            "HD95": _curve(evaluation.hd95),
            "HD50": _curve(evaluation.hd50),
            "mean_surface_distance": _curve(evaluation.mean_surface_distance),
            "precision": _curve(evaluation.precision),
            "recall": _curve(evaluation.recall),
            "f1": rounded(f1.tolist()),
            "centreline_thresholds": CENTRELINE_THRESHOLDS.tolist(),
            "centreline_IoU": _curve(evaluation.centreline),
            **(
                {} if false_alarms is None else {"false_alarm_area": rounded(false_alarms.tolist())}
            ),
        },
        "sources": by_source(evaluation, index),
        "widths": by_width(evaluation, index),
        "images": {
            "names": evaluation.names,
            "crack_share": rounded(evaluation.crack_share.tolist()),
            "IoU": _rows(evaluation.iou),
            "HD95": _rows(evaluation.hd95),
            "HD50": _rows(evaluation.hd50),
            "PSNR": column(evaluation.psnr),
            "SSIM": column(evaluation.ssim),
            "kernel_PSNR": column(evaluation.kernel_psnr),
        },
    }
