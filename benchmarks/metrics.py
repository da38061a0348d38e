"""Metrics at 99 thresholds against the libraries and the plain forms they replace.

    python benchmarks/metrics.py [--size 448] [--images 5] [--repeats 9]

All in this process on one thread, in processor time. Per image: DeepMind's surface-distance once
per threshold against `threshold_curves` (median of the repeats), with a count of values that
differ. The maps hold one crack found a few pixels off, one missed and one invented: "soft" is
blurred, "sharp" saturated like a trained network's, "noisy" has noise in every pixel. Then the IoU
curve against the comparison broadcast over all thresholds, SSIM against the 2-D convolution, and
`evaluate_batch` with two threads against one, in wall time: meaningful only where the load, which
is recorded beside it, is well below the number of cores.
"""

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from csbsr.metrics import THRESHOLDS, evaluate_batch, iou_curve, ssim, threshold_curves
from csbsr.metrics.plain import plain_ssim

KINDS = ("soft", "sharp", "noisy")
LIMITS = THRESHOLDS.astype(np.float32)
TEST_IMAGES = 1695
"""Images of the Khanhha test set."""


def crack_map(kind: str, seed: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A probability map and a mask of random-walk cracks, 2 to 8 pixels wide."""
    rng = np.random.default_rng(seed)
    lines = []
    for width in rng.uniform(2, 8, 3):
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.15, 2 * size))
        steps = 0.7 * np.cumsum([np.sin(heading), np.cos(heading)], axis=1)
        path = (rng.uniform(0.1, 0.9, (2, 1)) * size + steps).astype(int)
        inside = np.cumprod(((path >= 0) & (path < size)).all(0)).astype(bool)
        canvas = np.ones((size, size), bool)
        canvas[tuple(path[:, inside])] = False
        lines.append(ndimage.distance_transform_edt(canvas) <= width / 2)
    found = np.roll(lines[0] | lines[2], rng.integers(-3, 4, 2), (0, 1)).astype(float)
    prob = ndimage.gaussian_filter(found, 4)
    prob *= 0.98 / prob.max()
    if kind == "sharp":
        texture = ndimage.gaussian_filter(rng.standard_normal(found.shape), 6)
        prob = 1 / (1 + np.exp(-24 * (ndimage.gaussian_filter(found, 1.5) - 0.45 + 0.9 * texture)))
    if kind == "noisy":
        prob = np.clip(prob + 0.25 * rng.random(found.shape), 0, 1)
    return prob.astype(np.float32), lines[0] | lines[1]


def surface_distance_curve(prob: NDArray, target: NDArray, percentile: float) -> NDArray:
    """The Hausdorff percentile as one calls surface-distance for it, threshold by threshold."""
    import surface_distance as peer

    values = np.empty(len(LIMITS))
    for k, limit in enumerate(LIMITS):
        mask = prob > limit
        if not mask.any() or not target.any():
            values[k] = 0 if mask.any() == target.any() else prob.shape[1]
            continue
        distances = peer.compute_surface_distances(target, mask, (1, 1))
        values[k] = peer.compute_robust_hausdorff(distances, percentile)
    return values


def broadcast_iou(prob: NDArray, target: NDArray) -> NDArray:
    """The IoU at all thresholds from one array of thresholds x height x width."""
    masks = prob[None] - LIMITS[:, None, None] > 0
    intersection = (masks & target).sum((1, 2))
    return (intersection + 1e-5) / ((masks | target).sum((1, 2)) + 1e-5)


def seconds(
    function: Callable[[], object], repeats: int, clock: Callable[[], float] = time.thread_time
) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return statistics.median(times)


def hausdorff_row(kind: str, size: int, images: int, repeats: int) -> dict[str, float | int]:
    """One kind of map: times, ratios and differing values."""
    peer_times, our_times, differing = [], [], 0
    for seed in range(images):
        prob, target = crack_map(kind, seed, size)
        threshold_curves(prob, target)  # compiled, or read from the cache
        before = seconds(lambda: threshold_curves(prob, target), repeats)  # noqa: B023
        start = time.thread_time()
        expected = surface_distance_curve(prob, target, 95)
        peer_times.append(time.thread_time() - start)
        after = seconds(lambda: threshold_curves(prob, target), repeats)  # noqa: B023
        our_times.append((before + after) / 2)
        ours = threshold_curves(prob, target).hausdorff
        differing += int((np.abs(ours - expected) > 1e-9).sum())
    ratios = [peer / ours for peer, ours in zip(peer_times, our_times)]
    return {
        "surface_distance_ms": round(1e3 * statistics.median(peer_times), 1),
        "ours_ms": round(1e3 * statistics.median(our_times), 2),
        "ratio_median": round(statistics.median(ratios), 1),
        "ratio_min": round(min(ratios), 1),
        "values": images * len(LIMITS),
        "differing_values": differing,
        "projected_s_test_set": round(TEST_IMAGES * statistics.mean(our_times), 1),
    }


def main() -> None:
    """Measure, print, and write benchmarks/results/metrics.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DeprecationWarning)
    vars(np).setdefault("Inf", np.inf)  # surface-distance predates NumPy 2

    size, repeats = arguments.size, arguments.repeats
    result: dict[str, object] = {"size": size, "images": arguments.images, "thresholds": 99}
    for kind in KINDS:
        result[f"hausdorff_{kind}"] = hausdorff_row(kind, size, arguments.images, repeats)
        print(kind, result[f"hausdorff_{kind}"], flush=True)

    projected = [result[f"hausdorff_{kind}"]["projected_s_test_set"] for kind in KINDS]
    result["projected_s_test_set"] = round(statistics.mean(projected), 1)

    prob, target = crack_map("soft", 0, size)
    iou_curve(prob, target)
    plain = seconds(lambda: broadcast_iou(prob, target), repeats)
    ours = seconds(lambda: iou_curve(prob, target), repeats)
    equal = bool((broadcast_iou(prob, target) == iou_curve(prob, target)).all())
    result["iou"] = {"broadcast_ms": round(1e3 * plain, 1), "ours_ms": round(1e3 * ours, 3)}
    result["iou"] |= {"ratio": round(plain / ours, 1), "equal": equal}

    generator = torch.Generator().manual_seed(0)
    x = F.avg_pool2d(torch.rand(1, 3, size, size, generator=generator), 3, 1, 1)
    y = (x + 0.05 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    ssim(x, y)
    plain = seconds(lambda: plain_ssim(x, y), repeats)
    ours = seconds(lambda: ssim(x, y), repeats)
    error = float((plain_ssim(x, y) - ssim(x, y)).abs().max())
    result["ssim"] = {"conv2d_ms": round(1e3 * plain, 1), "ours_ms": round(1e3 * ours, 2)}
    result["ssim"] |= {"ratio": round(plain / ours, 1), "difference": error}

    maps = [crack_map(kind, seed, size) for kind in KINDS for seed in range(4)]
    batch = tuple(zip(*maps))
    one = seconds(lambda: evaluate_batch(*batch, threads=1), 5, time.perf_counter)
    two = seconds(lambda: evaluate_batch(*batch, threads=2), 5, time.perf_counter)
    result["two_threads"] = {"ratio": round(one / two, 2), "load": round(os.getloadavg()[0], 1)}
    for name in ("iou", "ssim", "two_threads"):
        print(name, result[name])
    path = Path(__file__).parent / "results" / "metrics.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
