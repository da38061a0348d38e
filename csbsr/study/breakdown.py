"""What one mean hides: results by data set, by crack width, and on images without cracks.

All at one threshold for all images: the validation threshold, or without validation images the one
of the highest mean IoU.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from csbsr.data.groups import source_of
from csbsr.evaluation import Evaluation
from csbsr.metrics import WIDTH_EDGES


def threshold_index(evaluation: Evaluation, validation_threshold: float | None) -> int:
    """Index of the threshold at which an evaluation is broken down.

    ValueError for a validation threshold that was not evaluated.
    """
    if validation_threshold is None:
        return int(evaluation.iou.mean(0).argmax())
    distance = np.abs(evaluation.thresholds - validation_threshold)
    if distance.min() > 1e-6:
        raise ValueError(
            f"validation threshold {validation_threshold} is none of the evaluation's thresholds"
        )
    return int(distance.argmin())


def at_threshold(
    evaluation: Evaluation, index: int, validation_threshold: float | None
) -> dict[str, float | None]:
    """The metrics at the threshold with this index; None where there are no such images."""
    false_alarms = false_alarm_curve(evaluation)
    found: dict[str, float | None] = {
        "validation_threshold": validation_threshold,
        "false_alarm_area": None if false_alarms is None else _number(false_alarms[index]),
    }
    for name, curve in (("IoU", evaluation.iou), ("HD95", evaluation.hd95)):
        chosen = validation_threshold is not None
        mean = float(curve[:, index].mean())
        found[f"{name}_at_validation_threshold"] = _number(mean) if chosen else None
    return found


def false_alarm_curve(evaluation: Evaluation) -> NDArray[np.float64] | None:
    """Mean share of pixels marked on crack-free images (T,), None where every image has cracks."""
    free = evaluation.crack_share == 0
    return evaluation.predicted_share[free].mean(0) if free.any() else None


def width_recall_curves(evaluation: Evaluation) -> NDArray[np.float64]:
    """Share of the centreline found, all images together, (W, T); NaN for a class without any."""
    length, found = evaluation.line_length.sum(0), evaluation.line_found.sum(0)
    with np.errstate(invalid="ignore"):
        return found / length[:, None].astype(np.float64)


def by_width(evaluation: Evaluation, index: int) -> list[dict[str, object]]:
    """Per class of local width in pixels: bounds, centreline pixels, share found, its curve."""
    bounds = (0.0, *WIDTH_EDGES, None)
    rows: list[dict[str, object]] = []
    for low, high, length, curve in zip(
        bounds, bounds[1:], evaluation.line_length.sum(0), width_recall_curves(evaluation)
    ):
        recall, values = _number(curve[index]), [_number(value) for value in curve]
        row: dict[str, object] = {"above": low, "up_to": high, "pixels": int(length)}
        rows.append(row | {"recall": recall, "curve": values})
    return rows


def by_source(evaluation: Evaluation, index: int) -> dict[str, dict[str, float | int | None]]:
    """Per data set in the order of their names: images, means, pooled recall of the centreline.

    `IoU` and `recall` are of images with cracks, `false_alarm_area` of those without; None where
    there is no such image or value.
    """
    sources = [source_of(name) for name in evaluation.names]
    found = {}
    for source in sorted(set(sources)):
        rows = np.array([s == source for s in sources])
        cracked = rows & (evaluation.crack_share > 0)
        free = rows & (evaluation.crack_share == 0)
        length = evaluation.line_length[cracked].sum()
        lines = evaluation.line_found[cracked, :, index].sum()
        found[source] = {
            "images": int(rows.sum()),
            "crack_free": int(free.sum()),
            "IoU": _mean(evaluation.iou[cracked, index]),
            "HD95": _mean(evaluation.hd95[cracked, index]),
            "precision": _mean(evaluation.precision[cracked, index]),
            "recall": _mean(evaluation.recall[cracked, index]),
            "line_recall": _number(lines / length) if length else None,
            "false_alarm_area": _mean(evaluation.predicted_share[free, index]),
            "PSNR": None if evaluation.psnr is None else _mean(evaluation.psnr[rows]),
        }
    return found


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float | None:
    finite = np.asarray(values)[np.isfinite(values)]
    return _number(float(finite.mean())) if finite.size else None


def _number(value: float) -> float | None:
    return float(f"{value:.7g}") if math.isfinite(value) else None
