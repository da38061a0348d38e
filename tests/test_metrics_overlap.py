"""Overlap counts, detection scores, centrelines."""

import numpy as np
import pytest
from scipy import ndimage

from csbsr.metrics import (
    THRESHOLDS,
    OverlapCounts,
    centreline_curve,
    detection_scores,
    iou_curve,
    local_widths,
    overlap_counts,
    skeleton,
    width_counts,
)


@pytest.mark.parametrize("on_thresholds", [False, True])
def test_counts_equal_the_naive_loop(on_thresholds: bool) -> None:
    rng = np.random.default_rng(0)
    limits = THRESHOLDS.astype(np.float32)
    prob = rng.random((57, 43)).astype(np.float32)
    if on_thresholds:
        steps = np.stack([limits, np.nextafter(limits, np.float32(1)), limits - limits % 1e-3])
        prob = rng.choice(steps.ravel(), prob.shape).astype(np.float32)
    target = rng.random(prob.shape) < 0.1
    counts = overlap_counts(prob, target)
    for k, limit in enumerate(limits):
        mask = prob - limit > 0  # as the released code writes it
        naive = (mask & target).sum(), (mask & ~target).sum(), (~mask & target).sum()
        assert tuple(c[k] for c in counts) == naive
        union = naive[0] + naive[1] + naive[2]
        assert iou_curve(prob, target)[k] == (naive[0] + 1e-5) / (union + 1e-5)


def test_a_probability_on_the_threshold_is_background() -> None:
    prob = np.float32([[0.3, np.nextafter(np.float32(0.3), np.float32(1))]])
    assert overlap_counts(prob, np.ones((1, 2)), [0.3]).true_positive[0] == 1
    assert overlap_counts(prob.astype(float), np.ones((1, 2)), [0.3]).true_positive[0] == 1


def test_detection_scores_by_hand() -> None:
    counts = OverlapCounts(*np.array([[3, 0, 0, 0], [1, 0, 2, 0], [2, 0, 0, 4]]))
    scores = detection_scores(counts)  # ordinary, both empty, nothing to find, nothing found
    np.testing.assert_allclose(scores.precision, [0.75, 1, 0, 0])
    np.testing.assert_allclose(scores.recall, [0.6, 1, 0, 0])
    np.testing.assert_allclose(scores.f1, [2 / 3, 1, 0, 0])


def test_thinning_keeps_pieces_and_holes() -> None:
    rng = np.random.default_rng(1)
    eight = np.ones((3, 3))
    for _ in range(300):
        mask = rng.random(rng.integers(1, 20, 2)) < rng.random()
        lines = skeleton(mask)
        assert not (lines & ~mask).any()
        assert ndimage.label(lines, eight)[1] == ndimage.label(mask, eight)[1]
        outside = ndimage.label(~np.pad(lines, 1))[1], ndimage.label(~np.pad(mask, 1))[1]
        assert outside[0] == outside[1]


def plain_thinning(mask: np.ndarray) -> np.ndarray:
    """The definition: peel from four sides in turn, looking at every pixel each time."""
    framed = np.pad(mask, 1)
    around = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))

    def deletable(i: int, j: int) -> bool:
        on = [framed[i + di, j + dj] for di, dj in around]
        number = sum(not on[k] and bool(on[(k + 1) % 8] or on[(k + 2) % 8]) for k in range(0, 8, 2))
        return number == 1 and sum(on) >= 2

    idle, side = 0, 0
    while idle < 4:
        di, dj = ((-1, 0), (1, 0), (0, 1), (0, -1))[side % 4]
        rim = [(i, j) for i, j in np.argwhere(framed) if not framed[i + di, j + dj]]
        gone = 0
        for i, j in [pixel for pixel in rim if deletable(*pixel)]:
            if deletable(i, j):
                framed[i, j] = False
                gone += 1
        idle, side = 0 if gone else idle + 1, side + 1
    return framed[1:-1, 1:-1]


def test_thinning_that_visits_only_the_rim_equals_the_definition() -> None:
    rng = np.random.default_rng(2)
    for sigma in (0, 0.7, 1.5, 3) * 6:
        field = ndimage.gaussian_filter(rng.random(rng.integers(1, 30, 2)), sigma)
        mask = field > np.quantile(field, rng.random())
        np.testing.assert_array_equal(skeleton(mask), plain_thinning(mask))
    full = np.ones((17, 9), bool)
    np.testing.assert_array_equal(skeleton(full), plain_thinning(full))


def test_thinning_of_simple_shapes() -> None:
    assert skeleton(np.ones((2, 2))).sum() == 2  # a line end is kept
    assert skeleton(np.ones((1, 9))).sum() == 9  # a line stays as it is
    bar = skeleton(np.ones((5, 40)))
    assert bar.any(0).sum() == bar.sum()  # one pixel in each column it covers
    assert bar.sum() >= 34
    assert not skeleton(np.zeros((4, 4))).any()


def test_centreline_forgives_width_and_a_small_shift() -> None:
    target, prob = np.zeros((2, 40, 60))
    target[20, 5:55] = 1
    prob[21:26, 5:55] = 0.9  # five pixels wide, its centre 3 px below
    curve = centreline_curve(prob, target, [0.5, 0.95], tolerance=4)
    assert curve.iou[0] > 0.99
    assert curve.iou[1] < 1e-3
    assert iou_curve(prob, target, [0.5])[0] < 1e-3
    assert centreline_curve(prob, target, [0.5], tolerance=1).iou[0] < 1e-3


def test_equal_masks_at_several_thresholds_are_thinned_once_with_the_same_result() -> None:
    prob, target = np.zeros((2, 20, 20))
    prob[5:9, 2:18], prob[12, 3:9], target[6, 2:18] = 0.7, 0.3, 1
    together = centreline_curve(prob, target, [0.1, 0.2, 0.4, 0.5, 0.8]).iou
    alone = [centreline_curve(prob, target, [t]).iou[0] for t in (0.1, 0.2, 0.4, 0.5, 0.8)]
    np.testing.assert_array_equal(together, alone)


def test_local_width_of_bars() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5, 5:55] = mask[15:20, 5:55] = mask[37:40, :] = True
    widths = local_widths(mask)
    assert set(widths[5][widths[5] > 0]) == {1.0}
    assert widths[17, 30] == 5.0
    assert widths[37:].max() == 3.0
    assert (widths > 0).sum() == skeleton(mask).sum()
    assert np.isinf(local_widths(np.ones((3, 3))).max())
    assert not local_widths(np.zeros((3, 3))).any()


def test_width_counts_by_hand() -> None:
    target, prob = np.zeros((2, 40, 60))
    target[5, 5:55] = target[15:20, 5:55] = 1
    prob[5, 5:30], prob[15:20, 5:55] = 0.6, 0.2
    length, found = width_counts(prob, target, [0.1, 0.5])
    assert length.sum() == skeleton(target).sum()
    assert length[0] >= 50  # the thin line, and the ends of the bar's
    assert length[1] >= 40
    assert length[2:].tolist() == [0, 0]
    assert found[:, 0].tolist() == [length[0] - 25, *length[1:]]
    assert found[:, 1].tolist() == [25, 0, 0, 0]


def test_centreline_of_empty_masks_and_bad_tolerance() -> None:
    nothing, something = np.zeros((5, 5)), np.eye(5)
    assert centreline_curve(nothing, nothing, [0.5]).iou[0] == 1
    assert centreline_curve(something, nothing, [0.5]).iou[0] < 1e-4
    assert centreline_curve(nothing, something, [0.5]).counts.false_negative[0] == 5
    with pytest.raises(ValueError, match="tolerance"):
        centreline_curve(nothing, nothing, [0.5], tolerance=-1)
