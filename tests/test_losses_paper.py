"""Eq. 3-10 as printed, on cases small enough to compute by hand, and the maps behind them.

The case: four pixels in a row, crack in the first two; p = (0.8, 0.5, 0.25, 0.1). The signed
distance is set by hand to (-2, -1, 1, 2) so that every term of every sum is visible.
"""

from math import exp, log

import pytest
import torch

from csbsr import losses
from csbsr.losses import pixelwise
from csbsr.protocol import PRINTED, RELEASED

PROB = torch.tensor([0.8, 0.5, 0.25, 0.1], dtype=torch.float64).reshape(1, 1, 1, 4)
TARGET = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 4)
DISTANCE = torch.tensor([-2.0, -1.0, 1.0, 2.0], dtype=torch.float64).reshape(1, 1, 1, 4)

BOUNDARY = -2 * 0.8 - 0.5 + 0.25 + 2 * 0.1  # = -1.65
# Crack: 2 (0.8 + 0.5); background: 2 (0.75 + 0.9). Squares of all entries of P, and 4 of G.
DICE = 1 - (2 * 1.3 + 2 * 1.65) / (
    (0.64 + 0.25 + 0.0625 + 0.01) + (0.04 + 0.25 + 0.5625 + 0.81) + 4
)
# Both classes have two pixels, so w = 1/2 for each and cancels: sum(P) + sum(G) = 4 + 4.
GDICE = 1 - (2 * 1.3 + 2 * 1.65) / 8
WCE = -0.5 * (log(0.8) + log(0.5)) - 0.5 * (log(0.75) + log(0.9))

VALUES = {
    "dice": DICE,
    "gdice": GDICE,
    "wce": WCE,
    "combo": 0.7 * DICE + 0.3 * WCE,
    "bc": 0.2 * BOUNDARY + 0.8 * (0.7 * DICE + 0.3 * WCE),
    "gbc": 0.2 * BOUNDARY + 0.8 * (0.7 * GDICE + 0.3 * WCE),
    "bgdice": 0.2 * BOUNDARY + 0.8 * GDICE,
    "bce": -(log(0.8) + log(0.5) + log(0.75) + log(0.9)) / 4,
    "rcf": -(0.5 * (log(0.8) + log(0.5)) + 0.55 * (log(0.75) + log(0.9))) / 4,
}
KINDS = sorted(VALUES)


def close(value, expected, tolerance=1e-7):
    torch.testing.assert_close(
        value, torch.as_tensor(expected, dtype=value.dtype), rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("kind", KINDS)
def test_loss_by_hand(kind):
    value = losses.segmentation_loss(
        kind, PROB, TARGET, DISTANCE, protocol=PRINTED, alpha=0.2, gamma=0.3
    )
    close(value, [VALUES[kind]])


def test_boundary_is_the_printed_integral():
    close(losses.boundary_loss(PROB, DISTANCE, PRINTED), [BOUNDARY])


def test_equation_4_is_equation_5_plus_a_constant():
    """Twice the distance summed over the mismatch = 2 (integral phi s - integral phi g)."""
    binary = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 4)
    mismatch = 2 * (DISTANCE.abs() * (binary - TARGET).abs()).sum()  # |phi| = D_G: 2 (1 + 1)
    printed = 2 * (
        losses.boundary_loss(binary, DISTANCE, PRINTED)
        - losses.boundary_loss(TARGET, DISTANCE, PRINTED)
    )
    close(mismatch, 4.0)
    close(printed, [4.0])


def test_rare_class_weighs_more():
    """One crack pixel of four: w = (1, 1/3) in Eq. 7 and Eq. 8."""
    target = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).reshape(1, 1, 1, 4)
    common = 0.5 + 0.75 + 0.9
    gdice = 1 - 2 * (0.8 + common / 3) / ((1.65 + 1) + (2.35 + 3) / 3)
    close(losses.generalized_dice_loss(PROB, target, PRINTED), [gdice])
    wce = -log(0.8) - (log(0.5) + log(0.75) + log(0.9)) / 3
    close(losses.weighted_cross_entropy(PROB, target, PRINTED), [wce])


def test_class_weights_of_a_training_set():
    """Eq. 8 with the crack share 1/4 of the training set, instead of this sample's 1/2."""
    weights = losses.inverse_class_frequency(crack_fraction=0.25, pixels=4)
    assert weights == pytest.approx((1.0, 1 / 3))
    value = losses.weighted_cross_entropy(PROB, TARGET, PRINTED, weights)
    close(value, [-(log(0.8) + log(0.5)) - (log(0.75) + log(0.9)) / 3])
    with pytest.raises(ValueError, match="crack_fraction"):
        losses.inverse_class_frequency(0.0, 4)


def test_side_outputs_add_up():
    sides = torch.cat([PROB, TARGET, PROB], dim=1)
    close(losses.side_output_loss(PROB, sides, TARGET), [3 * VALUES["rcf"]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", [PRINTED, RELEASED], ids=lambda p: p.name)
def test_mean_of_the_map_is_the_loss(kind, protocol, batch):
    prob, target, distance = batch
    settings = {"protocol": protocol, "alpha": 0.3, "gamma": 0.4}
    loss = losses.segmentation_loss(kind, prob, target, distance, **settings)
    loss_map = losses.segmentation_loss_map(kind, prob, target, distance, **settings)
    assert loss_map.shape == prob.shape
    torch.testing.assert_close(loss_map.mean((1, 2, 3)), loss, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", [PRINTED, RELEASED], ids=lambda p: p.name)
def test_weights_of_one_change_nothing_and_samples_do_not_mix(kind, protocol, batch):
    prob, target, distance = batch
    settings = {"protocol": protocol, "alpha": 0.3, "gamma": 0.4}
    plain = losses.segmentation_loss(kind, prob, target, distance, **settings)
    ones = torch.ones_like(prob)
    weighted = losses.segmentation_loss(kind, prob, target, distance, pixel_weight=ones, **settings)
    torch.testing.assert_close(weighted, plain, rtol=1e-10, atol=1e-10)
    ones[0] = 0
    weighted = losses.segmentation_loss(kind, prob, target, distance, pixel_weight=ones, **settings)
    assert weighted[0] == 0
    torch.testing.assert_close(weighted[1:], plain[1:], rtol=1e-10, atol=1e-10)


def test_dice_map_by_hand():
    """Sum of (P - G)^2 over both classes, over the denominator of Eq. 6, times four pixels."""
    denominator = 0.9625 + 1.6625 + 4
    expected = [4 * 2 * e**2 / denominator for e in (0.2, 0.5, 0.25, 0.1)]
    close(pixelwise.dice_map(PROB, TARGET, PRINTED).flatten(), expected)


def test_crack_oriented_weight_by_hand():
    weight = losses.crack_oriented_weight(DISTANCE, 0.5, PRINTED)
    close(weight.flatten(), [1, 1, exp(-0.5), exp(-1.0)])
    close(losses.crack_oriented_weight(DISTANCE, 0.5, RELEASED), 2 * weight)


def test_fail_oriented_weight_by_hand():
    prob = PROB.clone().requires_grad_()
    weight = losses.fail_oriented_weight(prob, TARGET, 2.0)
    close(weight.flatten(), [exp(0.4), exp(1.0), exp(0.5), exp(0.2)])
    assert not weight.requires_grad


def test_segmentation_loss_as_a_weight():
    loss_map = torch.tensor([2.0, -1.0, 0.5, 0.5], requires_grad=True).reshape(1, 1, 1, 4)
    close(losses.segmentation_weight(loss_map, PRINTED).flatten(), [2, 0, 0.5, 0.5])
    scalar = losses.segmentation_weight(loss_map, RELEASED)
    close(scalar.flatten(), [0.5] * 4)
    assert not scalar.requires_grad


def test_weights_combine_by_multiplication():
    a, b = torch.full((1, 1, 1, 4), 2.0), DISTANCE
    close(losses.combine(a, None, b), 2 * b)
    assert losses.combine(None, None) is None


@pytest.mark.parametrize("m", [-1.0, float("nan"), float("inf")])
def test_weight_constants_are_checked(m):
    with pytest.raises(ValueError, match=r"m\^C"):
        losses.crack_oriented_weight(DISTANCE, m, PRINTED)
    with pytest.raises(ValueError, match=r"m\^F"):
        losses.fail_oriented_weight(PROB, TARGET, m)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "focal"}, "unknown"),
        ({"alpha": 1.5}, "alpha"),
        ({"gamma": -0.1}, "gamma"),
        ({"distance": None}, "signed distance"),
        ({"target": TARGET[0]}, "common shape"),
        ({"pixel_weight": torch.ones(1, 1, 1, 1)}, "common shape"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"kind": "bc", "prob": PROB, "target": TARGET, "distance": DISTANCE, "alpha": 0.5}
    with pytest.raises(ValueError, match=message):
        losses.segmentation_loss(**(arguments | change), protocol=PRINTED)


@pytest.fixture
def batch():
    """Three random samples with cracks of different size, in float64, one of them empty."""
    generator = torch.Generator().manual_seed(0)
    prob = torch.rand(3, 1, 6, 5, generator=generator, dtype=torch.float64)
    threshold = torch.tensor([0.5, 0.9, 2.0]).reshape(3, 1, 1, 1)
    target = (torch.rand(3, 1, 6, 5, generator=generator) > threshold).double()
    distance = torch.randn(3, 1, 6, 5, generator=generator, dtype=torch.float64) - 3 * target + 1
    return prob, target, distance
