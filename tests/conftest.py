"""Shared fixtures: where the golden vectors lie and how their weights are rebuilt."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Golden = tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict]


def golden_weight(key: str, shape: tuple[int, ...], gain: float, salt: int) -> np.ndarray:
    """Weight of one entry of an authors' state dict: a function of its name and shape alone."""
    rng = np.random.RandomState((zlib.crc32(key.encode()) + salt) % 2**32)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_var"):
        value = 0.5 + rng.random_sample(shape)
    elif key.endswith("running_mean"):
        value = 0.1 * rng.standard_normal(shape)
    elif key.endswith("bias"):
        value = 0.05 * rng.standard_normal(shape)
    elif len(shape) == 1 and shape[0] == 1:  # a PReLU slope
        value = 0.25 + 0.05 * rng.standard_normal(shape)
    elif len(shape) <= 1:
        value = 1 + 0.1 * rng.standard_normal(shape)
    else:
        value = gain * rng.standard_normal(shape) / np.sqrt(int(np.prod(shape[1:])))
    return np.asarray(value).astype(np.float32)


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Folder of the golden vectors: `CSBSR_GOLDEN`, or the copy beside the tests."""
    return Path(os.environ.get("CSBSR_GOLDEN") or Path(__file__).parent / "golden")


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> Callable[[str], Golden]:
    """Loader of one golden file: name -> (state dict in the authors' keys, arrays, meta)."""

    def load(name: str) -> Golden:
        with np.load(golden_folder / f"{name}.npz") as file:
            keys, meta = json.loads(str(file["keys"])), json.loads(str(file["meta"]))
            arrays = {k: file[k] for k in file.files if k not in ("keys", "meta")}
        gain, salt = meta.get("gain", 1.0), meta.get("salt", 0)
        state = {k: golden_weight(k, tuple(s), gain, salt) for k, s in keys.items()}
        return state, arrays, meta

    return load
