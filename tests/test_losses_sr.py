"""KBPN's loss term by term, pixel weights on the SR losses, and DSRL's objective."""

import pytest
import torch

from csbsr import losses
from csbsr.degradation import degrade, gaussian_kernels
from csbsr.protocol import PRINTED, RELEASED
from csbsr.training.config import StepConfig
from csbsr.training.objective import Images, Prediction, dsrl_objective


@pytest.fixture
def images():
    """Two HR images, their blur kernels, the LR images, and an imperfect SR image and kernel."""
    generator = torch.Generator().manual_seed(0)
    hr = torch.rand(2, 3, 32, 24, generator=generator)
    true = gaussian_kernels(*torch.tensor([[1.0, 2.0], [2.0, 1.5], [0.3, 1.0]]))
    estimate = gaussian_kernels(*torch.tensor([[1.2, 1.8], [2.1, 1.5], [0.2, 1.1]]))
    sr = hr + 0.1 * torch.randn(hr.shape, generator=generator)
    return sr, hr, degrade(hr, true, PRINTED), estimate, true


def test_kbpn_loss_is_the_weighted_sum_of_its_terms(images):
    sr, hr, lr, estimate, true = images
    for protocol, kernel_weight in ((PRINTED, 0.2), (RELEASED, 0.0)):
        loss = losses.kbpn_loss(sr, hr, lr, estimate, true, protocol=protocol)
        term_hr = (sr - hr).abs().mean((1, 2, 3))
        term_lr = (degrade(sr, estimate, protocol) - lr).abs().mean((1, 2, 3))
        term_kernel = ((estimate - true) ** 2).sum((1, 2, 3)) / 441
        torch.testing.assert_close(loss.hr, term_hr)
        torch.testing.assert_close(loss.lr, term_lr)
        torch.testing.assert_close(loss.kernel, term_kernel)
        total = 0.4 * term_hr + 0.4 * term_lr + kernel_weight * term_kernel
        torch.testing.assert_close(loss.total, total)


def test_kbpn_loss_is_zero_at_the_truth(images):
    _, hr, lr, _, true = images
    for term in losses.kbpn_loss(hr, hr, lr, true, true, protocol=PRINTED):
        torch.testing.assert_close(term, torch.zeros(2), rtol=0, atol=1e-6)


def test_the_kernel_learns_from_the_lr_term(images):
    sr, hr, lr, estimate, true = images
    estimate = estimate.clone().requires_grad_()
    losses.kbpn_loss(sr, hr, lr, estimate, true, protocol=RELEASED).total.sum().backward()
    assert estimate.grad.abs().sum() > 0


def test_pixel_weights_act_pixel_by_pixel(images):
    """Weight 1 on one half: that half's error is all that is left of the HR term."""
    sr, hr, lr, estimate, true = images
    weight = torch.zeros(2, 1, 32, 24)
    weight[:, :, :16] = 1
    loss = losses.kbpn_loss(sr, hr, lr, estimate, true, protocol=PRINTED, pixel_weight=weight)
    half = (sr - hr).abs()[:, :, :16].sum((1, 2, 3)) / hr[0].numel()
    torch.testing.assert_close(loss.hr, half)
    # Reduced to LR, the border of the weight falls between rows 4 and 5 of 8.
    error = (degrade(sr, estimate, PRINTED) - lr).abs()[:, :, :4].sum((1, 2, 3)) / lr[0].numel()
    torch.testing.assert_close(loss.lr, error)
    torch.testing.assert_close(losses.l1_loss(sr, hr, weight), half)


def test_weights_of_one_change_nothing(images):
    sr, hr, lr, estimate, true = images
    ones = torch.ones(2, 1, 32, 24)
    plain = losses.kbpn_loss(sr, hr, lr, estimate, true, protocol=PRINTED)
    weighted = losses.kbpn_loss(sr, hr, lr, estimate, true, protocol=PRINTED, pixel_weight=ones)
    torch.testing.assert_close(weighted, plain)


def test_scalar_weight_of_the_released_protocol_scales_the_loss(images):
    """L_C as one number per sample: L_S L_C, except for the kernel term of weight 0."""
    sr, hr, lr, estimate, true = images
    loss_map = torch.rand(2, 1, 32, 24, generator=torch.Generator().manual_seed(1))
    weight = losses.segmentation_weight(loss_map, RELEASED)
    plain = losses.kbpn_loss(sr, hr, lr, estimate, true, protocol=RELEASED).total
    weighted = losses.kbpn_loss(
        sr, hr, lr, estimate, true, protocol=RELEASED, pixel_weight=weight
    ).total
    torch.testing.assert_close(weighted, plain * loss_map.mean((1, 2, 3)))


def test_bfloat16_autocast_does_not_reach_the_losses(images):
    sr, hr, lr, estimate, true = images
    expected = losses.kbpn_loss(sr, hr, lr, estimate, true, protocol=PRINTED)
    affinity = losses.feature_affinity_loss(sr, hr)
    with torch.autocast("cpu", torch.bfloat16):
        found = losses.kbpn_loss(sr, hr, lr, estimate, true, protocol=PRINTED)
        found_affinity = losses.feature_affinity_loss(sr, hr)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(found_affinity, affinity, rtol=0, atol=0)


def test_gradients_match_finite_differences():
    generator = torch.Generator().manual_seed(2)
    sr, hr = torch.rand(2, 1, 3, 8, 8, generator=generator, dtype=torch.float64)
    lr = torch.rand(1, 3, 2, 2, generator=generator, dtype=torch.float64)
    kernel = torch.rand(1, 1, 3, 3, generator=generator, dtype=torch.float64) / 9

    def total(sr, estimate):
        return losses.kbpn_loss(sr, hr, lr, estimate, kernel, protocol=PRINTED).total

    inputs = sr.requires_grad_(), (kernel * 1.1).requires_grad_()
    assert torch.autograd.gradcheck(total, inputs, eps=1e-6, atol=1e-6)


def test_feature_affinity_by_hand():
    """Two places, one channel: Gram matrices of (1, 2) and (1, 1) differ by 0, 1, 1, 3."""
    a = torch.cat([torch.full((1, 1, 16, 16), v) for v in (1.0, 2.0)], dim=3)
    b = torch.ones_like(a)
    torch.testing.assert_close(losses.feature_affinity_loss(a, b), torch.tensor([5 / 4]))


def test_dsrl_objective(images):
    sr, hr, *_ = images
    prob, target = torch.full((2, 1, 32, 24), 0.25), torch.zeros(2, 1, 32, 24)
    stage = StepConfig(iterations=1, sr_loss="dsrl", loss="bce")
    output = Prediction(sr=sr, prob=prob, features=(sr, hr))
    batch = Images(hr, target, target, target)
    loss, terms = dsrl_objective(output, batch, stage, PRINTED, 0.0)
    assert set(terms) == {"L_C", "L_S", "feature_affinity"}
    expected = (
        -torch.log(torch.tensor(0.75))
        + 0.5 * losses.l1_loss(sr, hr)
        + 0.5 * losses.feature_affinity_loss(sr, hr)
    )
    torch.testing.assert_close(loss, expected)


def test_bad_input_is_named(images):
    sr, hr, *_ = images
    with pytest.raises(ValueError, match="must be equal"):
        losses.l1_loss(sr, hr[:, :, ::2])
    with pytest.raises(ValueError, match="pixel_weight"):
        losses.l1_loss(sr, hr, torch.ones(2, 1))
    with pytest.raises(ValueError, match="16 x 16"):
        losses.feature_affinity_loss(sr[..., :8], hr[..., :8])
