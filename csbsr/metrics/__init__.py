"""Exact metrics: overlap and surface distance at all thresholds, image fidelity, statistics."""

from csbsr.metrics.checks import THRESHOLDS
from csbsr.metrics.curves import (
    Summary,
    ThresholdCurves,
    evaluate_batch,
    summarise,
    threshold_curves,
)
from csbsr.metrics.image import kernel_psnr, psnr, ssim, ssim_standard
from csbsr.metrics.overlap import (
    DetectionScores,
    OverlapCounts,
    detection_scores,
    iou,
    iou_curve,
    overlap_counts,
)

__all__ = [
    "THRESHOLDS",
    "DetectionScores",
    "OverlapCounts",
    "Summary",
    "ThresholdCurves",
    "detection_scores",
    "evaluate_batch",
    "iou",
    "iou_curve",
    "kernel_psnr",
    "overlap_counts",
    "psnr",
    "ssim",
    "ssim_standard",
    "summarise",
    "threshold_curves",
]
