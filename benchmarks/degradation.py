"""Speed of the batched degradation against the per-sample loop, and of the data behind it.

    python benchmarks/degradation.py            # prints, and writes results/degradation.json

The peer is what the released code does for each sample: pad, convolve with one 21x21 kernel,
resize. Both run here, in turn, in one process; the ratio of the best times is what counts.
"""

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from csbsr.data.distances import signed_distance
from csbsr.data.stream import CrackStream
from csbsr.data.synthetic import SyntheticCracks, crack_photograph
from csbsr.degradation import degrade, downsample, random_kernels
from csbsr.protocol import PRINTED


def per_sample(hr: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """The plain form of Eq. (1): one image after the other."""
    pad = kernels.shape[-1] // 2
    out = []
    for image, kernel in zip(hr, kernels):
        channels = F.pad(image[:, None], (pad,) * 4)  # (3, 1, H + 20, W + 20)
        blurred = F.conv2d(channels, kernel[None])[:, 0]  # (3, H, W)
        out.append(downsample(blurred[None]))
    return torch.cat(out)


def best(functions: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Best processor seconds of each function, in turns, so that a busy machine disturbs all."""
    times: dict[str, float] = {}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            start = time.process_time()
            function()
            seconds = time.process_time() - start
            if turn:  # the first turn warms up
                times[name] = min(seconds, times.get(name, np.inf))
    return times


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    hr = torch.from_numpy(rng.random((6, 3, 448, 448), dtype=np.float32))
    kernels = random_kernels(6, rng, PRINTED)
    error = (degrade(hr, kernels, PRINTED) - per_sample(hr, kernels)).abs().max()
    with torch.inference_mode():
        times = best(
            {
                "batched": lambda: degrade(hr, kernels, PRINTED),
                "per_sample": lambda: per_sample(hr, kernels),
            }
        )
    source = SyntheticCracks(60, 448, seed=1)
    stream = CrackStream(source, 224, 6, 0, PRINTED)
    mask = next(m[0] for m in (source.load(i)[1] for i in range(60)) if m.any())
    signed_distance(mask)

    def photographs() -> None:
        for i in range(20):
            crack_photograph(np.random.default_rng(i), 448)

    used = []
    for function, count in ((photographs, 20), (lambda: stream.batch(0), 6)):
        function()
        start = time.process_time()
        function()
        used.append(count / (time.process_time() - start))
    report = {
        "what": "degradation of 6x3x448x448 with 21x21 kernels, zero padding, antialias",
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "milliseconds": {name: round(1e3 * seconds, 1) for name, seconds in times.items()},
        "ratio": round(times["per_sample"] / times["batched"], 2),
        "largest_difference": float(error),
        "synthetic_images_per_second_and_core": round(used[0], 1),
        "stream_samples_per_second_and_core_images_in_memory": round(used[1], 1),
    }
    print(json.dumps(report, indent=2))
    path = Path(__file__).parent / "results" / "degradation.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
