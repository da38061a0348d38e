"""Bootstrap intervals and the paired test."""

import itertools

import numpy as np
import pytest

from csbsr.metrics import (
    bootstrap_difference,
    bootstrap_mean,
    bootstrap_summary,
    paired_test,
    summarise,
    values_at,
)


def test_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        interval = bootstrap_mean(rng.normal(3, 1, 60), level=0.9, resamples=400, seed=trial)
        assert interval.low < interval.estimate < interval.high
        hits += interval.low <= 3 <= interval.high
    assert 165 <= hits <= 195


def test_the_seed_decides() -> None:
    values = np.random.default_rng(1).random(30)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)
    assert bootstrap_mean([0.25]) == (0.25, 0.25, 0.25)


def test_summary_intervals_hold_the_summary() -> None:
    rng = np.random.default_rng(2)
    iou, hausdorff = rng.random((40, 9)), 50 * rng.random((40, 9))
    limits = np.arange(1, 10) / 10
    summary, intervals = summarise(iou, hausdorff, limits), bootstrap_summary(iou, hausdorff)
    for name in ("iou_max", "aiu", "hd95_min", "ahd95"):
        interval = getattr(intervals, name)
        assert interval.estimate == pytest.approx(getattr(summary, name))
        assert interval.low <= interval.high
    assert intervals.aiu.low < intervals.aiu.estimate < intervals.aiu.high


def test_sign_flip_test_is_exact_for_few_images() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 7))
    extreme = [
        abs(np.dot(signs, a - b)) >= abs((a - b).sum()) - 1e-12
        for signs in itertools.product((-1, 1), repeat=7)
    ]
    result = paired_test(a, b)
    assert result.p_value == np.mean(extreme)
    assert result.images == 7
    assert paired_test(b, a).p_value == result.p_value
    assert result.difference.estimate == pytest.approx((a - b).mean())


def test_sign_flip_test_tells_a_difference_from_none() -> None:
    rng = np.random.default_rng(4)
    a = rng.random(80)
    assert paired_test(a, a).p_value == 1.0
    assert paired_test(a + 0.2 + 0.1 * rng.random(80), a).p_value < 1e-3
    p_values = [paired_test(rng.normal(size=40), rng.normal(size=40)).p_value for _ in range(60)]
    assert np.mean(np.array(p_values) < 0.05) < 0.2


def test_values_at_a_threshold() -> None:
    curve = np.arange(6.0).reshape(2, 3)
    assert values_at(curve, 0.5, [0.1, 0.5, 0.9]).tolist() == [1, 4]
    with pytest.raises(ValueError, match="not evaluated"):
        values_at(curve, 0.4, [0.1, 0.5, 0.9])
    with pytest.raises(ValueError, match="do not fit"):
        values_at(curve, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_mean([]), "at least one"),
        (lambda: bootstrap_mean([[1.0]]), "one value per image"),
        (lambda: bootstrap_mean([np.nan]), "NaN"),
        (lambda: bootstrap_mean([1.0], level=95), "level"),
        (lambda: bootstrap_mean([1.0], resamples=0), "resamples"),
        (lambda: bootstrap_summary(np.ones((2, 3)), np.ones((3, 3))), "must both be"),
        (lambda: paired_test([1.0, 2.0], [1.0]), "same images"),
    ],
)
def test_bad_samples(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_images_of_one_photograph_are_drawn_together() -> None:
    rng = np.random.default_rng(5)
    photos = rng.normal(0, 1, 12)
    values, groups = np.repeat(photos, 5), np.repeat([f"p{i:02}" for i in range(12)], 5)
    by_image, by_photo = bootstrap_mean(values), bootstrap_mean(values, groups=groups)
    assert by_photo.estimate == by_image.estimate
    assert tuple(by_photo) == pytest.approx(tuple(bootstrap_mean(photos))), "copies tell nothing"
    assert by_photo.high - by_photo.low > 1.7 * (by_image.high - by_image.low)
    assert bootstrap_mean(values, groups=[str(i) for i in range(60)]).estimate == by_image.estimate
    with pytest.raises(ValueError, match="2 groups for 60 images"):
        bootstrap_mean(values, groups=["a", "b"])


def test_sign_flips_by_photograph() -> None:
    values, groups = np.repeat([0.2, 0.1, 0.3], 4), np.repeat(["a", "b", "c"], 4)
    test = paired_test(values, np.zeros(12), groups=groups)
    assert test.p_value == pytest.approx(2 / 2**3), "three photographs, two patterns as extreme"
    assert test.images == 12


def test_difference_of_two_experiments_chooses_thresholds_anew() -> None:
    rng = np.random.default_rng(6)
    first = rng.random((2, 30, 1)) + np.array([0.0, 0.2, 0.1])
    second = rng.random((3, 30, 1)) + np.array([0.1, 0.0, 0.0])
    found = bootstrap_difference(first, second, over_thresholds="max")
    best = [arm.mean(1).max(1).mean() for arm in (first, second)]
    assert found.estimate == pytest.approx(best[0] - best[1])
    assert found.low < found.estimate < found.high
    same = bootstrap_difference(first, first, over_thresholds="min")
    assert tuple(same) == pytest.approx((0, 0, 0))
    with pytest.raises(ValueError, match=r"must both be \(S, N, T\)"):
        bootstrap_difference(first, second[:, :9])
