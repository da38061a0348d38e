"""Lab 4: predictions that break a metric, and checks that they do."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from csbsr.metrics import centreline_curve, surface_distance
from csbsr_book.exercises.answers import answered, function, holds, number, right, same
from csbsr_book.site.theme import BLUE, ORANGE, VERMILION, bare

SIDE = 128
Mask = NDArray[np.bool_]


def crack(width: int = 3) -> Mask:
    """The true crack of this lab (SIDE, SIDE): a slanted, bent line."""
    rows, columns = np.indices((SIDE, SIDE))
    line = 50 + 0.25 * columns + 6 * np.sin(columns / 12)
    inside = (columns >= 10) & (columns < SIDE - 10)
    return (np.abs(rows - line) <= width / 2) & inside


def scores(prediction: object, target: Mask) -> dict[str, float]:
    """IoU, HD95, HD50 and centreline IoU of two masks."""
    answered("prediction", prediction)
    mask = np.asarray(prediction)
    holds(mask.shape == target.shape, f"the prediction must have the shape {target.shape}")
    holds(mask.dtype == bool, "the prediction must be a mask of truth values (dtype bool)")
    union = (mask | target).sum()
    lines = centreline_curve(mask.astype(np.float32), target, thresholds=[0.5])
    return {
        "IoU": float((mask & target).sum() / union) if union else 1.0,
        "HD95": surface_distance(mask, target, 95).hausdorff,
        "HD50": surface_distance(mask, target, 50).hausdorff,
        "centreline IoU": float(lines.iou[0]),
    }


def iou(given: object) -> None:
    """A function (prediction, target) -> IoU; two empty masks score 1."""
    made, target = function("iou", given), crack()
    for name, other in (("a shifted crack", np.roll(target, 1, 0)), ("half", target & (np.indices(
            target.shape)[1] < 64))):  # fmt: skip
        number(
            f"iou of {name}", made(other, target), scores(other, target)["IoU"], "shared / union"
        )
    nothing = np.zeros_like(target)
    number("iou of two empty masks", made(nothing, nothing), 1.0, "what if the union is empty?")
    right("and now break it")


def _reached(found: dict[str, float], metric: str, at_least: bool, limit: float) -> None:
    value = found[metric]
    enough = value >= limit if at_least else value <= limit
    word = "at least" if at_least else "at most"
    holds(enough, f"{metric} is {value:.3g}, wanted is {word} {limit:g}")


def good_overlap_far_outline(prediction: object, target: Mask) -> None:
    """IoU of at least 0.7 and an HD95 of at least 30 pixels."""
    found = scores(prediction, target)
    _reached(found, "IoU", True, 0.7)
    _reached(found, "HD95", True, 30)
    right("IoU {IoU:.2f}, HD95 {HD95:.1f} px: a spot far away costs little area".format(**found))


def bad_overlap_near_outline(prediction: object, target: Mask) -> None:
    """IoU of at most 0.05 and an HD95 of at most 5 pixels, with as much crack as there is."""
    found = scores(prediction, target)
    enough = np.asarray(prediction).sum() >= 0.8 * target.sum()
    holds(bool(enough), "the prediction must have at least 80 % of the true area")
    _reached(found, "IoU", False, 0.05)
    _reached(found, "HD95", False, 5)
    right("IoU {IoU:.2f}, HD95 {HD95:.1f} px: a crack beside the crack".format(**found))


def half_missed(prediction: object, target: Mask) -> None:
    """HD50 of at most 1 although at least 40 % of the crack is missed."""
    found = scores(prediction, target)
    missed = 1 - (np.asarray(prediction) & target).sum() / target.sum()
    holds(missed >= 0.4, f"only {missed:.0%} of the crack is missed, wanted are 40 %")
    _reached(found, "HD50", False, 1)
    right("HD50 {HD50:.1f}, HD95 {HD95:.1f} px: the median does not see it".format(**found))


def cheaper_nothing(prediction: object, target: Mask) -> None:
    """A prediction that finds something and costs more HD95 than an empty one."""
    found = scores(prediction, target)
    mask = np.asarray(prediction)
    holds(bool(mask.any()), "the prediction is empty; it must find something")
    nothing = scores(np.zeros_like(target), target)["HD95"]
    _reached(found, "HD95", True, nothing)
    holds(found["HD95"] > nothing, f"HD95 equals that of an empty mask, {nothing:g}; go further")
    text = f"HD95 {found['HD95']:.1f} px against {nothing:g} for an empty mask"
    right(f"{text}: here it pays to say nothing")


def blind_to(metric: object, target: Mask) -> None:
    """The metric that hardly changes when the crack is drawn three times as wide."""
    found = scores(crack(9), target)
    expected = "centreline IoU" if found["centreline IoU"] > 0.95 else ""
    same("metric", metric, expected, "compute `scores` of `crack(9)` against the true crack")
    right("and this can be wanted: the width of a hand-drawn mask is uncertain")


def optimism(gain: object, curves: NDArray[np.float64], chosen: int) -> None:
    """How much the best threshold of the test images gains over one chosen elsewhere."""
    mean = curves.mean(0)
    expected = float(mean.max() - mean[chosen])
    number("gain", gain, expected, "maximum of the mean curve minus its value at `chosen`")
    right("small here, and never negative: this is why it is called optimistic")


def threshold_curves_of_twenty(seed: int = 0) -> tuple[NDArray[np.float64], int]:
    """IoU of 20 invented test images at 99 thresholds, and a threshold chosen on others."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0.01, 0.99, 99)
    curves = [0.55 - 0.9 * (grid - rng.normal(0.55, 0.12)) ** 2 for _ in range(40)]
    return np.array(curves[:20]), int(np.mean(curves[20:], axis=0).argmax())


def show(target: Mask, **predictions: Mask) -> Figure:
    """Each prediction over the truth: hits blue, misses orange, false alarms vermilion."""
    figure, axes = plt.subplots(1, len(predictions), figsize=(2.6 * len(predictions), 3))
    for ax, (name, mask) in zip(np.atleast_1d(axes), predictions.items()):
        picture = np.ones((*target.shape, 3))
        for where, colour in (
            (mask & target, BLUE),
            (~mask & target, ORANGE),
            (mask & ~target, VERMILION),
        ):
            picture[where] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        ax.imshow(picture)
        found = scores(mask, target)
        ax.set_title(f"{name.replace('_', ' ')}\nIoU {found['IoU']:.2f}, HD95 {found['HD95']:.0f}")
        bare(ax)
    return figure
