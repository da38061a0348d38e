"""Exact metrics: overlap and surface distance at all thresholds, image fidelity, statistics."""

from csbsr.metrics.centreline import CentrelineCurve, centreline_curve, skeleton
from csbsr.metrics.checks import THRESHOLDS
from csbsr.metrics.curves import (
    MapCurves,
    Summary,
    ThresholdCurves,
    evaluate_batch,
    map_curves,
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
from csbsr.metrics.plain import SurfaceDistance, surface_distance
from csbsr.metrics.statistics import (
    Interval,
    PairedTest,
    SummaryIntervals,
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_summary,
    paired_test,
    values_at,
)
from csbsr.metrics.widths import WIDTH_EDGES, WidthCounts, local_widths, width_counts

__all__ = [
    "THRESHOLDS",
    "WIDTH_EDGES",
    "CentrelineCurve",
    "DetectionScores",
    "Interval",
    "MapCurves",
    "OverlapCounts",
    "PairedTest",
    "Summary",
    "SummaryIntervals",
    "SurfaceDistance",
    "ThresholdCurves",
    "WidthCounts",
    "bootstrap_difference",
    "bootstrap_mean",
    "bootstrap_summary",
    "centreline_curve",
    "detection_scores",
    "evaluate_batch",
    "iou",
    "iou_curve",
    "kernel_psnr",
    "local_widths",
    "map_curves",
    "overlap_counts",
    "paired_test",
    "psnr",
    "skeleton",
    "ssim",
    "ssim_standard",
    "summarise",
    "surface_distance",
    "threshold_curves",
    "values_at",
    "width_counts",
]
