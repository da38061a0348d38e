"""Checks of the exercises on metrics and verdicts (chapters 9, 15, a1, a5)."""

import math
from collections.abc import Sequence

import numpy as np

from csbsr.metrics import surface_distance
from csbsr.metrics.overlap import SMOOTHING
from csbsr.study import contrasts
from csbsr_book.exercises.answers import by_id, contrast, differing, number, right, same
from csbsr_book.paper.printed import load_table


def overlap(shared: object, union: object, iou: object, a: np.ndarray, b: np.ndarray) -> None:
    """Intersection, union and IoU of two small masks."""
    number("shared", shared, int((a & b).sum()), "pixels that are 1 in both")
    number("union", union, int((a | b).sum()), "pixels that are 1 in at least one")
    number("iou", iou, float((a & b).sum() / (a | b).sum()), "shared divided by union")
    right("counted as the evaluation counts")


def f1_from_iou(f1: object) -> None:
    """F1 of a mask whose IoU is one half."""
    number("f1", f1, 2 * 0.5 / 1.5, "F1 = 2 TP / (2 TP + FP + FN), IoU = TP / (TP + FP + FN)")
    right("F1 = 2 IoU / (1 + IoU): they order single images alike, but not means over images")


def strict(crack: object) -> None:
    """Whether a probability stored as 51/255 is crack at the threshold 0.2."""
    hint = "51/255 is 0.2, and the comparison is strict"
    same("crack", crack, bool(np.float32(51 / 255) > np.float32(0.2)), hint)
    right("with 8-bit maps the comparison at such thresholds decides whole areas")


def iou_with_smoothing(value: object, mask: np.ndarray, target: np.ndarray) -> None:
    """The released IoU of two masks."""
    expected = ((mask & target).sum() + SMOOTHING) / ((mask | target).sum() + SMOOTHING)
    number("value", value, float(expected), "add the constant above and below", tolerance=1e-7)
    right("and it stays defined where both masks are empty")


def far_spot(hd95: object, hd50: object, prediction: np.ndarray, target: np.ndarray) -> None:
    """HD95 and HD50 of a found crack with a false spot far away."""
    for name, given, percentile in (("hd95", hd95, 95), ("hd50", hd50, 50)):
        expected = surface_distance(prediction, target, percentile).hausdorff
        hint = "what share of the predicted outline belongs to the spot?"
        number(name, given, expected, hint)
    right("the percentile decides whether the spot exists")


def blind_spot(insensitive: object) -> None:
    """Which metrics do not notice that a crack became twice as wide."""
    same("insensitive", insensitive, {"centreline IoU"}, "which one thins both masks first?")
    right("a study of crack width must report another metric")


def explained(independent: object, joint: object) -> None:
    """Shares of the way from SrcNet to HR that KBPN + PSPNet and joint learning cover."""
    table = load_table("II")
    low, high = table.value("srcnet", "IoU_max"), table.value("hr-pspnet", "IoU_max")
    middle, end = table.value("kbpn+pspnet", "IoU_max"), table.value("csbsr-pspnet", "IoU_max")
    hint = "differences of IoU_max in Table II, divided by that of HR and SrcNet"
    number("independent", independent, (middle - low) / (high - low), hint)
    number("joint", joint, (end - middle) / (high - low), hint)
    right("most of the way is networks, loss and blur; a tenth of it is the coupling")


def most_helped(network: object, gain: object) -> None:
    """The segmentation network that gains most IoU from joint training in Table II."""
    table = load_table("II")
    gains = {
        n: table.value(f"csbsr-{n}", "IoU_max") - table.value(f"kbpn+{n}", "IoU_max")
        for n in ("pspnet", "hrnet", "crackformer", "unet")
    }
    best = max(gains, key=gains.__getitem__)
    same("network", network, best, "(e) - (d), (g) - (f), (i) - (h), (k) - (j)")
    number("gain", gain, gains[best], "the largest of the four differences")
    right("the paper prints one run of each, so that the order of the gains is unknown")


def paired(mean: object, half: object, first: Sequence[float], second: Sequence[float]) -> None:
    """Mean paired difference and half width of its 95 % interval, runs paired by seed."""
    values = {"a": dict(enumerate(first)), "b": dict(enumerate(second))}
    found = contrasts.contrast(values, {"a": 1, "b": -1})
    low, high = found.interval()
    number("mean", mean, found.estimate, "the mean of the differences seed by seed")
    hint = "t quantile (n - 1 degrees) times the SD of the differences over sqrt(n)"
    number("half", half, (high - low) / 2, hint)
    right("paired, the noise that both arms share is gone")


def empty_price(share: object) -> None:
    """By how much images without a prediction raise a mean HD95 of 448-pixel images."""
    number("raised", share, 0.05 * 448, "5 % of the images pay the width of the image")
    right("as much as the whole HD95_min of the best rows of Table II")


def seeds_needed(n: object, deviation: float, gap: float) -> None:
    """Seeds of each arm for 80 % power at 5 %, runs not paired, normal approximation."""
    expected = math.ceil(((1.96 + 0.84) * deviation * math.sqrt(2) / gap) ** 2)
    hint = "(1.96 + 0.84)^2 * 2 * sd^2 / gap^2, rounded up"
    number("n", n, expected, hint, tolerance=1e-6)
    right("and one seed of each, as printed, decides nothing")


def single_runs(deviation: object, enough: object, spread: float) -> None:
    """Standard deviation of the difference of two single runs, and whether 0.012 stands out."""
    number("deviation", deviation, spread * math.sqrt(2), "variances add")
    same("enough", enough, False, "is the difference larger than two of its standard deviations?")
    right("one run of each cannot tell")


def holm(passed: object, p: Sequence[float]) -> None:
    """Which statements pass Holm's procedure at 5 %, by their numbers from 1."""
    order, expected = sorted(range(len(p)), key=p.__getitem__), set()
    for step, i in enumerate(order):
        if p[i] > 0.05 / (len(p) - step):
            break
        expected.add(i + 1)
    same("passed", passed, expected, "smallest p first: 0.05 / 3, then 0.05 / 2; stop at a failure")
    right("once one fails, all larger p-values fail with it")


def verdicts(words: object, intervals: Sequence[tuple[float, float]], smallest: float) -> None:
    """The verdict of each interval of a difference, given the smallest one that matters."""
    expected = []
    for low, high in intervals:
        if low >= smallest:
            expected.append("holds")
        elif high <= -smallest:
            expected.append("does not hold")
        elif -smallest < low and high < smallest:
            expected.append("too small to matter")
        else:
            expected.append("undecided")
    hint = "where does the whole interval lie: above, below, between, or across a border?"
    same("words", tuple(words) if isinstance(words, list) else words, tuple(expected), hint)
    right("four different answers, and only two of them speak about direction")


def seed_design(arms: object) -> None:
    """Arms that show whether the blind network helps segmentation, nothing else being changed."""
    contrast(arms, "sr", {"kbpn", "dbpn"}, "compare networks trained independently of C")
    right(f"they differ in {', '.join(differing(*(by_id()[a] for a in arms)))} alone")


def pixelwise_counts(counts: Sequence[object], prediction: np.ndarray, target: np.ndarray) -> None:
    """True positives, false positives and false negatives, in this order."""
    expected = (
        (prediction & target).sum(),
        (prediction & ~target).sum(),
        (~prediction & target).sum(),
    )
    for name, given, count in zip(("hits", "false_alarms", "misses"), counts, expected):
        number(name, given, count, "count the pixels that are in both, in one, in the other")
    right("every overlap metric is made of these three")
