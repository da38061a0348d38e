"""The one-pass signed distance equals scipy's exact transform, bit by bit."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from csbsr.data.distances import signed_distance, signed_distances
from csbsr.losses import normalise_signed_distance


def by_scipy(mask: np.ndarray) -> np.ndarray:
    """Two transforms and the inner boundary (the crack pixels at distance 1) set to 0."""
    inside = distance_transform_edt(mask)
    return distance_transform_edt(~mask) - np.where(inside == 1, 0, inside)


@pytest.mark.parametrize("share", [0.002, 0.05, 0.5, 0.95, 0.998])
def test_equals_scipy_on_random_masks(share):
    rng = np.random.default_rng(0)
    for _ in range(60):
        mask = rng.random(rng.integers(1, 40, 2)) < share
        if mask.any() and not mask.all():
            np.testing.assert_array_equal(signed_distance(mask), by_scipy(mask))


def test_equals_scipy_on_one_large_mask():
    rows, columns = np.indices((301, 447))
    mask = np.abs(rows - 150 - 60 * np.sin(columns / 40)) < 4 + columns / 60
    found = signed_distance(mask)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, by_scipy(mask))


@pytest.mark.parametrize("position", [(0, 0), (0, 6), (4, 0), (4, 6), (2, 3)])
@pytest.mark.parametrize("value", [True, False])
def test_single_pixels_at_the_borders(position, value):
    mask = np.full((5, 7), not value)
    mask[position] = value
    np.testing.assert_array_equal(signed_distance(mask), by_scipy(mask))


def test_convention_by_hand():
    """Outside positive, inner boundary 0, inside negative from the third pixel on."""
    mask = np.zeros((1, 9), bool)
    mask[0, 2:7] = True
    found = signed_distance(np.repeat(mask, 9, axis=0))[4]
    assert found.tolist() == [2, 1, 0, -2, -3, -2, 0, 1, 2]


@pytest.mark.parametrize("value", [True, False])
def test_masks_without_a_boundary_are_zero(value):
    assert not signed_distance(np.full((4, 6), value)).any()
    normalised = normalise_signed_distance(signed_distances(torch.full((1, 1, 4, 6), value)))
    assert not normalised.any()


def test_flips_carry_over_and_input_layout_does_not_matter():
    mask = np.random.default_rng(1).random((20, 30)) < 0.1
    np.testing.assert_array_equal(signed_distance(mask[:, ::-1]), signed_distance(mask)[:, ::-1])
    np.testing.assert_array_equal(signed_distance(mask.T), signed_distance(mask).T)


def test_batch_form_and_normalisation():
    rng = np.random.default_rng(2)
    masks = rng.random((3, 1, 32, 24)) < 0.6
    batch = signed_distances(torch.from_numpy(masks).float())
    assert batch.shape == masks.shape
    assert batch.dtype == torch.float32
    exact = [by_scipy(mask) for mask in masks[:, 0]]
    np.testing.assert_array_equal(batch[:, 0], np.stack(exact).astype(np.float32))
    normalised = normalise_signed_distance(torch.from_numpy(np.stack(exact))[:, None])
    for signed, found in zip(exact, normalised[:, 0].numpy()):
        expected = np.maximum(signed, 0) / signed.max() - np.maximum(-signed, 0) / -signed.min()
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "mask",
    [np.zeros((2, 4, 4), bool), np.zeros((4, 4)), np.zeros((0, 4), bool)],
    ids=["three axes", "floats", "no pixels"],
)
def test_bad_masks_are_named(mask):
    with pytest.raises(ValueError, match="signed_distance got"):
        signed_distance(mask)


def test_bad_batches_are_named():
    with pytest.raises(ValueError, match="signed_distances got"):
        signed_distances(torch.zeros(4, 4))
