"""The losses and weights under the released protocol equal what the authors' code returns."""

import re

import numpy as np
import pytest
import torch

from csbsr import losses
from csbsr.data.distances import signed_distance
from csbsr.protocol import RELEASED

pytestmark = pytest.mark.golden

TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(scope="module")
def vectors(golden):
    """Predictions, truth, raw signed distances, and the authors' values by name."""
    _, arrays, _ = golden("losses")
    prob, target = torch.from_numpy(arrays["pred"]), torch.from_numpy(arrays["target"])
    # The authors cast the mask to integers for distances: only exact ones count as crack.
    masks = (target[:, 0] >= 1).numpy()
    distance = torch.from_numpy(np.stack([signed_distance(m) for m in masks]))[:, None].float()
    return prob, target, distance, arrays


def numbers(arrays: dict, pattern: str) -> list[tuple[str, list[float]]]:
    """Names in the file that match, with the numbers they carry."""
    found = [(name, re.fullmatch(pattern, name)) for name in arrays]
    result = [(name, [float(g) for g in match.groups()]) for name, match in found if match]
    assert result, f"no array named like {pattern} in the golden file"
    return result


def test_signed_distance(vectors):
    _, _, distance, arrays = vectors
    ours = losses.normalise_signed_distance(distance)
    torch.testing.assert_close(ours, torch.from_numpy(arrays["sdf"]), **TOLERANCE)


def test_weighted_cross_entropy(vectors):
    prob, target, _, arrays = vectors
    for name, (crack, background) in numbers(arrays, r"wce_([\d.]+)_([\d.]+)"):
        ours = losses.weighted_cross_entropy(prob, target, RELEASED, (crack, background))
        torch.testing.assert_close(ours, torch.from_numpy(arrays[name]), **TOLERANCE)


@pytest.mark.parametrize("kind", ["dice", "gdice", "combo"])
def test_region_losses(vectors, kind):
    prob, target, distance, arrays = vectors
    ours = losses.segmentation_loss(kind, prob, target, distance, protocol=RELEASED)
    torch.testing.assert_close(ours, torch.from_numpy(arrays[kind]), **TOLERANCE)


def test_boundary(vectors):
    prob, _, distance, arrays = vectors
    ours = losses.boundary_loss(prob, distance, RELEASED)
    torch.testing.assert_close(ours, torch.from_numpy(arrays["boundary"]), **TOLERANCE)


@pytest.mark.parametrize("kind", ["bc", "gbc", "bgdice"])
@pytest.mark.parametrize("weighted", [False, True])
def test_combinations(vectors, kind, weighted):
    prob, target, distance, arrays = vectors
    for name, (region_weight,) in numbers(arrays, kind + r"_alpha([\d.]+)"):
        ours = losses.segmentation_loss(
            kind,
            prob,
            target,
            distance,
            protocol=RELEASED,
            alpha=1 - region_weight,  # the authors' alpha weights the region term
            pixel_weight=torch.ones_like(prob) if weighted else None,
        )
        torch.testing.assert_close(ours, torch.from_numpy(arrays[name]), **TOLERANCE)


def test_weights(vectors):
    prob, target, distance, arrays = vectors
    for name, (m,) in numbers(arrays, r"w_crack_([\d.]+)"):
        ours = losses.crack_oriented_weight(distance, m, RELEASED)
        torch.testing.assert_close(ours, torch.from_numpy(arrays[name]), **TOLERANCE)
    for name, (m,) in numbers(arrays, r"w_fail_([\d.]+)"):
        ours = losses.fail_oriented_weight(prob, target, m)
        torch.testing.assert_close(ours, torch.from_numpy(arrays[name]), **TOLERANCE)


def test_feature_affinity(golden):
    _, arrays, _ = golden("fa_loss")
    ours = losses.feature_affinity_loss(*(torch.from_numpy(arrays[k]) for k in ("f1", "f2")))
    authors = torch.from_numpy(arrays["loss"])  # summed over the batch
    torch.testing.assert_close(ours.sum(), authors.reshape(()), **TOLERANCE)
