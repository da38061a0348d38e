"""Curves over thresholds: equal to surface-distance and to the naive loop, value by value."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy import ndimage

from csbsr.metrics import (
    THRESHOLDS,
    evaluate_batch,
    map_curves,
    overlap_counts,
    summarise,
    surface_distance,
    threshold_curves,
)
from csbsr.metrics.levels import level_map
from csbsr.metrics.plain import surface_lengths
from csbsr.metrics.surface import squared_distances

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Reference = Callable[[np.ndarray, np.ndarray, tuple[float, ...]], tuple[list[float], float]]


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    """DeepMind's surface-distance: masks -> Hausdorff percentiles and mean of the two averages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "Inf", np.inf, raising=False)  # the package predates NumPy 2
        peer = pytest.importorskip("surface_distance")

        def measure(mask: np.ndarray, target: np.ndarray, percentiles: tuple[float, ...]):
            distances = peer.compute_surface_distances(target, mask, (1, 1))
            hausdorff = [peer.compute_robust_hausdorff(distances, p) for p in percentiles]
            return hausdorff, float(np.mean(peer.compute_average_surface_distance(distances)))

        yield measure


def small_map(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A small probability map, mask and thresholds, often degenerate."""
    height, width = rng.integers(1, 5 if rng.random() < 0.3 else 22, 2)
    limits = np.sort(rng.choice(THRESHOLDS, 3, replace=False))
    noise = rng.random((height, width)).astype(np.float32)
    single = np.zeros((height, width), np.float32)
    single[rng.integers(height), rng.integers(width)] = rng.random()
    prob = (
        noise,
        np.round(noise * 10) / 10,
        noise**8,
        (noise > 0.8).astype(np.float32),
        single,
        np.ones_like(noise),
        rng.choice(limits.astype(np.float32), (height, width)),
        ndimage.gaussian_filter(noise, 2),
    )[rng.integers(8)]
    target = rng.random((height, width)) < rng.choice([0, 0.03, 0.1, 0.5, 0.9, 1])
    return np.clip(prob, 0, 1).astype(np.float32), target, limits


def crack_map(kind: str, seed: int, size: int = 448) -> tuple[np.ndarray, np.ndarray]:
    """A crack that is found displaced, one that is missed and one that is invented."""
    rng = np.random.default_rng(seed)
    lines = []
    for width in rng.uniform(2, 8, 3):
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.15, 2 * size))
        steps = 0.7 * np.cumsum([np.sin(heading), np.cos(heading)], axis=1)
        i, j = np.clip(rng.uniform(0.1, 0.9, (2, 1)) * size + steps, 0, size - 1).astype(int)
        canvas = np.ones((size, size), bool)
        canvas[i, j] = False
        lines.append(ndimage.distance_transform_edt(canvas) <= width / 2)
    found = np.roll(lines[0] | lines[2], rng.integers(-3, 4, 2), (0, 1)).astype(float)
    soft = ndimage.gaussian_filter(found, 4)
    soft *= 0.98 / soft.max()
    if kind == "sharp":
        soft = 1 / (1 + np.exp(-24 * (ndimage.gaussian_filter(found, 1.5) - 0.45)))
    if kind == "noisy":
        soft = np.clip(soft + 0.25 * rng.random(soft.shape), 0, 1)
    return soft.astype(np.float32), lines[0] | lines[1]


def test_thousands_of_small_masks_equal_surface_distance(reference: Reference) -> None:
    rng, percentiles = np.random.default_rng(0), (50.0, 95.0, 100.0)
    compared = 0
    for _ in range(1200):
        prob, target, limits = small_map(rng)
        curves = [threshold_curves(prob, target, limits, p) for p in percentiles]
        for k, limit in enumerate(limits.astype(np.float32)):
            mask = prob > limit
            if mask.any() and target.any():
                hausdorff, mean = reference(mask, target, percentiles)
                compared += len(percentiles)
            else:
                mean = 0.0 if mask.any() == target.any() else float(prob.shape[1])
                hausdorff = [mean] * len(percentiles)
            assert [c.hausdorff[k] for c in curves] == hausdorff
            assert curves[0].mean_surface_distance[k] == pytest.approx(mean, abs=1e-9)
    assert compared > 4000


@pytest.mark.parametrize("kind", ["soft", "sharp", "noisy"])
def test_crack_maps_equal_surface_distance(reference: Reference, kind: str) -> None:
    prob, target = crack_map(kind, seed=3)
    percentiles = (50.0, 95.0, 100.0)
    curves = [threshold_curves(prob, target, percentile=p) for p in percentiles]
    for k in range(2, 99, 16):
        mask = prob > np.float32(THRESHOLDS[k])
        if not mask.any():
            assert curves[0].hausdorff[k] == 448.0
            continue
        hausdorff, mean = reference(mask, target, percentiles)
        assert [c.hausdorff[k] for c in curves] == hausdorff
        assert curves[1].mean_surface_distance[k] == pytest.approx(mean, abs=1e-9)


def test_any_percentile_equals_the_plain_form() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        prob, target, limits = small_map(rng)
        percentile = float(rng.choice([0, 5, 99.9, rng.uniform(0, 100)]))
        rule = str(rng.choice(["width", "diagonal", "infinite"]))
        curves = threshold_curves(prob, target, limits, percentile, rule)
        for k, limit in enumerate(limits.astype(np.float32)):
            plain = surface_distance(prob > limit, target, percentile, rule)
            assert curves.hausdorff[k] == plain.hausdorff
            assert curves.mean_surface_distance[k] == pytest.approx(plain.mean, abs=1e-9)


def test_several_percentiles_in_one_pass_are_those_of_single_passes() -> None:
    rng, percentiles = np.random.default_rng(4), (95.0, 50.0, 100.0, 0.0)
    for number in range(200):
        prob, target, limits = small_map(rng) if number else (*crack_map("soft", 1), THRESHOLDS)
        together = map_curves(prob, target, limits, percentiles)
        for percentile, hausdorff in zip(percentiles, together.hausdorff):
            alone = threshold_curves(prob, target, limits, percentile)
            np.testing.assert_array_equal(hausdorff, alone.hausdorff)
            np.testing.assert_array_equal(
                together.mean_surface_distance, alone.mean_surface_distance
            )
        np.testing.assert_array_equal(
            together.counts.true_positive, overlap_counts(prob, target, limits).true_positive
        )


def test_symmetry_and_shift() -> None:
    mask, target = np.zeros((2, 9, 30), bool)
    mask[4, 3:20] = target[4, 8:25] = True
    there, back = surface_distance(mask, target, 100), surface_distance(target, mask, 100)
    assert there == back == surface_distance(mask[::-1, ::-1], target[::-1, ::-1], 100)
    assert there.hausdorff == 5.0
    assert threshold_curves(mask * 1.0, target, [0.5], 100).hausdorff[0] == 5.0


def test_surface_of_one_pixel_and_of_two_opposite_ones() -> None:
    half = np.sqrt(0.5)
    np.testing.assert_allclose(surface_lengths(np.ones((1, 1), bool)), np.full((2, 2), half))
    lengths = surface_lengths(np.eye(2, dtype=bool))
    assert lengths[1, 1] == pytest.approx(2 * half)  # the pixels meet in this corner
    assert lengths[0, 1] == half
    bar = surface_lengths(np.ones((1, 3), bool))
    np.testing.assert_allclose(bar, [[half, 1, 1, half]] * 2)


def test_squared_distances_are_exact() -> None:
    rng = np.random.default_rng(2)
    for share in (0.001, 0.02, 0.4):
        surface = rng.random((61, 83)) < share
        surface[rng.integers(61), rng.integers(83)] = True
        exact = np.rint(ndimage.distance_transform_edt(~surface) ** 2)
        np.testing.assert_array_equal(squared_distances(surface.astype(np.uint8)), exact)


def test_levels_on_and_beside_thresholds() -> None:
    limits = THRESHOLDS.astype(np.float32)
    above, below = (np.nextafter(limits, np.float32(side)) for side in (1, 0))
    prob = np.concatenate([limits, above, below, [0, 1]]).astype(np.float32)[None]
    naive = (prob[..., None] > limits).sum(-1)
    target = np.zeros(prob.shape, bool)
    np.testing.assert_array_equal(level_map(prob, target, limits).framed[1:-1, 1:-1], naive)
    crowded = np.float32(0.5) + np.arange(9, dtype=np.float32) * np.float32(1e-6)
    levels = level_map(prob, target, crowded).framed[1:-1, 1:-1]
    np.testing.assert_array_equal(levels, (prob[..., None] > crowded).sum(-1))


def test_more_thresholds_than_one_level_map_holds() -> None:
    prob, target = crack_map("soft", seed=5, size=64)
    limits = np.linspace(0, 1, 601)
    curves = threshold_curves(prob, target, limits)
    some = threshold_curves(prob, target, limits[::100])
    for all_values, values in zip(curves, some):
        np.testing.assert_allclose(all_values[::100], values, atol=1e-12)
    np.testing.assert_array_equal(curves.hausdorff[::100], some.hausdorff)


@pytest.mark.parametrize(
    ("rule", "cost"), [("width", 8.0), ("diagonal", 10.0), ("infinite", np.inf)]
)
def test_empty_masks(rule: str, cost: float) -> None:
    prob = np.full((6, 8), 0.5)
    nothing, something = np.zeros((6, 8)), np.eye(6, 8)
    empty = threshold_curves(prob, nothing, [0.2, 0.8], empty_penalty=rule)
    assert empty.hausdorff.tolist() == empty.mean_surface_distance.tolist() == [cost, 0.0]
    assert empty.iou[0] < 1e-6
    assert empty.iou[1] == 1.0
    missed = threshold_curves(prob, something, [0.8], empty_penalty=rule)
    assert missed.hausdorff[0] == missed.mean_surface_distance[0] == cost


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 4)), np.zeros((4, 5))), "differ in shape"),
        ((np.zeros((1, 4, 4)), np.zeros((4, 4))), "one \\(H, W\\) map"),
        ((np.full((4, 4), 1.5), np.zeros((4, 4))), "outside \\[0, 1\\]"),
        ((np.full((4, 4), -0.1), np.zeros((4, 4))), "outside \\[0, 1\\]"),
        ((np.full((4, 4), np.nan), np.zeros((4, 4))), "NaN"),
        ((np.zeros((4, 4)), np.full((4, 4), 255)), "not binary"),
        ((np.zeros((4, 4)), np.full((4, 4), np.nan)), "not binary"),
        ((np.zeros((4, 4)), np.zeros((4, 4)), [0.5, 0.4]), "not sorted"),
        ((np.zeros((4, 4)), np.zeros((4, 4)), [np.nan]), "NaN or infinity"),
        ((np.zeros((4, 4)), np.zeros((4, 4)), []), "at least one"),
        ((np.zeros((4, 4)), np.zeros((4, 4)), [0.5], 101), "percentile"),
        ((np.zeros((4, 4)), np.zeros((4, 4)), [0.5], 95, "height"), "empty_penalty"),
        ((np.zeros((0, 4)), np.zeros((0, 4))), "no pixels"),
        ((np.zeros((10_001, 1)), np.zeros((10_001, 1))), "cut it in tiles"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        threshold_curves(*arguments)


def test_batch_equals_single_images_in_order() -> None:
    maps = [crack_map("soft", seed, size) for seed, size in enumerate((40, 56, 48))]
    batch = evaluate_batch(*zip(*maps), threads=2)
    for n, (prob, target) in enumerate(maps):
        for field, values in zip(batch, threshold_curves(prob, target)):
            assert field.shape == (3, 99)
            np.testing.assert_array_equal(field[n], values)
    with pytest.raises(ValueError, match="image 1: prob contains NaN"):
        evaluate_batch(np.array([[[0.0]], [[np.nan]]]), np.zeros((2, 1, 1)))
    with pytest.raises(ValueError, match="pass pairs"):
        evaluate_batch([np.zeros((2, 2))], [])


def test_summary_chooses_the_threshold_on_the_mean() -> None:
    iou = np.array([[0.1, 0.9, 0.3], [0.5, 0.1, 0.6]])  # means 0.3, 0.5, 0.45
    hausdorff = np.array([[9.0, 5.0, 2.0], [1.0, 7.0, 4.0]])  # means 5, 6, 3
    summary = summarise(iou, hausdorff, [0.2, 0.5, 0.8])
    assert summary == pytest.approx((0.5, 0.5, 1.25 / 3, 3.0, 0.8, 14 / 3))
    with pytest.raises(ValueError, match="do not fit"):
        summarise(iou, hausdorff)


@pytest.mark.golden
def test_golden_curves(golden) -> None:
    _, arrays, _ = golden("metrics")
    pred, target = arrays["pred"], arrays["target"]
    for percentile, name in ((95, "hd95"), (50, "hd50")):
        curves = evaluate_batch(pred, target, percentile=percentile)
        np.testing.assert_allclose(curves.hausdorff, arrays[name], atol=1e-9)
    np.testing.assert_allclose(curves.iou, arrays["iou"], atol=1e-9)
