"""Properties of the segmentation losses that must hold for any prediction and any mask."""

import pytest
import torch

from csbsr import losses
from csbsr.data.distances import signed_distances
from csbsr.protocol import PRINTED, RELEASED

KINDS = ("bc", "gbc", "bgdice", "combo", "dice", "gdice", "wce", "bce", "rcf")
PROTOCOLS = pytest.mark.parametrize("protocol", [PRINTED, RELEASED], ids=lambda p: p.name)


def crack(size: int = 24, width: int = 5) -> torch.Tensor:
    """A slanted crack (1, 1, size, size), wide enough to have an interior."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((rows - columns // 2 - 6).abs() <= width // 2)[None, None].double()


def masks() -> dict[str, torch.Tensor]:
    """A crack, a crack of one pixel's width, no crack, and nothing but crack."""
    return {
        "crack": crack(),
        "thin": crack(width=1),
        "empty": torch.zeros(1, 1, 24, 24, dtype=torch.float64),
        "full": torch.ones(1, 1, 24, 24, dtype=torch.float64),
    }


def value(kind, prob, target, protocol, alpha=0.5, gamma=0.5, pixel_weight=None):
    distance = signed_distances(target.float())
    if target.dtype == torch.float64:
        distance = distance.double()
    return losses.segmentation_loss(
        kind,
        prob,
        target,
        distance,
        protocol=protocol,
        alpha=alpha,
        gamma=gamma,
        pixel_weight=pixel_weight,
    )


@PROTOCOLS
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["crack", "thin", "empty", "full"])
def test_a_better_prediction_never_costs_more(kind, name, protocol):
    """Moving any set of pixels towards the truth does not raise the loss."""
    target = masks()[name]
    generator = torch.Generator().manual_seed(1)
    for _ in range(10):
        prob = torch.rand(target.shape, generator=generator, dtype=torch.float64)
        towards = torch.rand(target.shape, generator=generator) * torch.rand(1, generator=generator)
        better = prob + towards * (target - prob)
        for alpha in (0.0, 0.5, 1.0):
            worse_loss = value(kind, prob, target, protocol, alpha)
            assert value(kind, better, target, protocol, alpha) <= worse_loss + 1e-6


@PROTOCOLS
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["crack", "thin", "empty", "full"])
def test_nothing_is_cheaper_than_the_truth(kind, name, protocol):
    target = masks()[name]
    generator = torch.Generator().manual_seed(2)
    rivals = [torch.rand(target.shape, generator=generator).double() for _ in range(10)]
    rivals += [1 - target, torch.zeros_like(target), torch.ones_like(target)]
    rivals += [target.roll(1, 3), target.roll(-1, 2)]
    for alpha in (0.0, 0.5, 1.0):
        least = value(kind, target, target, protocol, alpha)
        for rival in rivals:
            assert least <= value(kind, rival, target, protocol, alpha) + 1e-6


def test_the_boundary_loss_has_a_negative_minimum():
    """It is minus the summed depth of the crack, reached by covering exactly the crack."""
    target = crack()
    distance = signed_distances(target.float()).double()
    truth = losses.boundary_loss(target, distance, PRINTED)
    depth = (-distance).clamp(min=0).sum()
    assert depth > 0
    torch.testing.assert_close(truth, -depth.reshape(1))
    assert losses.boundary_loss(target, distance, RELEASED) < 0
    for grown in (torch.zeros_like(target), torch.ones_like(target)):
        assert losses.boundary_loss(grown, distance, PRINTED) > truth


def test_the_boundary_loss_does_not_see_a_thin_crack():
    """Every pixel of a crack one or two pixels wide is inner boundary, where phi is 0."""
    target = crack(width=1)
    distance = signed_distances(target.float()).double()
    nothing = torch.zeros_like(target)
    for protocol in (PRINTED, RELEASED):
        assert losses.boundary_loss(target, distance, protocol) == 0
        assert losses.boundary_loss(nothing, distance, protocol) == 0


@PROTOCOLS
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["crack", "empty", "full"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_match_finite_differences(kind, name, protocol, weighted):
    target = masks()[name][:, :, :5, 4:10].contiguous()
    generator = torch.Generator().manual_seed(3)
    prob = 0.1 + 0.8 * torch.rand(target.shape, generator=generator, dtype=torch.float64)
    weight = torch.rand(target.shape, generator=generator).double() if weighted else None
    assert torch.autograd.gradcheck(
        lambda p: value(kind, p, target, protocol, pixel_weight=weight),
        prob.requires_grad_(),
        eps=1e-6,
        atol=1e-5,
        rtol=1e-4,
    )


@PROTOCOLS
def test_alpha_and_gamma_reduce_to_the_named_parts(protocol):
    target = crack()
    prob = torch.rand(target.shape, generator=torch.Generator().manual_seed(4)).double()
    distance = signed_distances(target.float()).double()
    boundary = losses.boundary_loss(prob, distance, protocol)
    parts = {k: value(k, prob, target, protocol) for k in ("dice", "gdice", "wce", "combo")}
    for kind in ("bc", "gbc", "bgdice"):
        close(value(kind, prob, target, protocol, alpha=1), boundary)
    close(value("bc", prob, target, protocol, alpha=0), parts["combo"])
    close(value("bgdice", prob, target, protocol, alpha=0), parts["gdice"])
    for kind, region in (("bc", "dice"), ("gbc", "gdice")):
        close(value(kind, prob, target, protocol, alpha=0, gamma=0), parts[region])
        close(value(kind, prob, target, protocol, alpha=0, gamma=1), parts["wce"])


@PROTOCOLS
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["crack", "empty", "full"])
@pytest.mark.parametrize("prediction", ["zeros", "ones", "truth", "opposite"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16 autocast"])
def test_certain_predictions_stay_finite(kind, name, protocol, prediction, precision):
    target = masks()[name].float()
    prob = {
        "zeros": torch.zeros_like(target),
        "ones": torch.ones_like(target),
        "truth": target.clone(),
        "opposite": 1 - target,
    }[prediction].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision != "float32"):
        loss = value(kind, prob, target, protocol)
        weight = losses.fail_oriented_weight(prob, target, 1.0)
        weighted = value(kind, prob, target, protocol, pixel_weight=weight)
    assert loss.dtype == weighted.dtype == torch.float32
    assert torch.isfinite(loss).all()
    assert torch.isfinite(weighted).all()
    (loss + weighted).sum().backward()
    assert torch.isfinite(prob.grad).all()


def test_half_precision_maps_are_promoted():
    target = crack().bfloat16()
    prob = torch.full_like(target, 0.3)
    for kind in KINDS:
        loss = value(kind, prob, target, PRINTED)
        assert loss.dtype == torch.float32
        close(loss, value(kind, prob.float(), target.float(), PRINTED))


def close(value, expected):
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-5)
