"""Signed distance maps of a batch: our one-pass transform against the scipy route of the authors.

    python benchmarks/distances.py [--size 448] [--batch 6] [--repeats 15]

Both run in this process on one thread, in turns, on the same masks; the result is a ratio of
medians of processor time. "route" is what the authors do per mask: two scipy transforms, the
inner boundary by dilation and erosion, normalisation by minimum and maximum. "transforms" leaves
the boundary out, the least that any scipy route needs. The error is the largest difference in
float64.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from csbsr.data.distances import signed_distance
from csbsr.data.synthetic import SyntheticCracks
from csbsr.losses import normalise_signed_distance


def ours(masks: list[np.ndarray]) -> np.ndarray:
    """Exact integer transform, both phases in one pass, then normalisation per sample."""
    signed = torch.from_numpy(np.stack([signed_distance(mask) for mask in masks]))
    return normalise_signed_distance(signed[:, None]).numpy()[:, 0]  # (B, H, W)


def scipy_route(masks: list[np.ndarray], boundary: bool = True) -> np.ndarray:
    """Two transforms per mask, each normalised by its range, inner boundary set to 0."""
    maps = []
    for mask in masks:
        inside, outside = (
            ndimage.distance_transform_edt(mask),
            ndimage.distance_transform_edt(~mask),
        )
        signed = _normalised(outside) - _normalised(inside)
        if boundary:
            cross = ndimage.generate_binary_structure(2, 1)
            label = mask.astype(np.uint8)
            edge = ndimage.grey_dilation(label, footprint=cross) != ndimage.grey_erosion(
                label, footprint=cross
            )
            signed[edge & mask] = 0
        maps.append(signed)
    return np.stack(maps)


def _normalised(distance: np.ndarray) -> np.ndarray:
    return (distance - distance.min()) / (distance.max() - distance.min())


def seconds_in_turns(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each function, in turns, so that a busy machine disturbs all."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure, print, and write benchmarks/results/distances.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=448)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    source = SyntheticCracks(4 * arguments.batch, size=arguments.size)
    loaded = (np.asarray(source.load(i)[1])[0] for i in range(len(source)))
    masks = [mask for mask in loaded if mask.any()][: arguments.batch]
    seconds = seconds_in_turns(
        {
            "ours": lambda: ours(masks),
            "transforms": lambda: scipy_route(masks, boundary=False),
            "route": lambda: scipy_route(masks),
        },
        arguments.repeats,
    )
    result = {
        "size": arguments.size,
        "batch": len(masks),
        "milliseconds": {name: round(1000 * value, 2) for name, value in seconds.items()},
        "ratio": {
            "scipy route / ours": round(seconds["route"] / seconds["ours"], 2),
            "scipy transforms alone / ours": round(seconds["transforms"] / seconds["ours"], 2),
        },
        "largest_error": float(np.abs(ours(masks) - scipy_route(masks)).max()),
    }
    print(json.dumps(result, indent=2))
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "distances.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
