"""L_S: the losses of KBPN, of the non-blind SR networks, and of DSRL; per sample (B,)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from csbsr.degradation import degrade
from csbsr.losses.inputs import full_precision
from csbsr.losses.terms import PIXELS
from csbsr.protocol import Protocol

HR_WEIGHT = 0.4
LR_WEIGHT = 0.4
"""Weights of the first two terms of KBPN's loss (released code); the third is an option."""


class SRLoss(NamedTuple):
    """KBPN's loss and its unweighted terms, each (B,)."""

    total: Tensor
    hr: Tensor
    lr: Tensor
    kernel: Tensor


@full_precision
def l1_loss(sr: Tensor, hr: Tensor, pixel_weight: Tensor | None = None) -> Tensor:
    """Mean absolute error over channels and pixels: L_S of DBPN (CSSR) and of SrcNet.

    sr, hr: (B, 3, H, W). `pixel_weight` (B, 1, H, W) multiplies the error map before the mean.
    For DBPN this is the released code; for SrcNet, whose SR loss is documented nowhere, ours.
    """
    return _weighted_mean(_error(sr, hr), pixel_weight)


@full_precision
def kbpn_loss(
    sr: Tensor,
    hr: Tensor,
    lr: Tensor,
    kernel_estimate: Tensor,
    kernel_true: Tensor,
    *,
    protocol: Protocol,
    pixel_weight: Tensor | None = None,
) -> SRLoss:
    """L_S of KBPN: is the SR image right, does it lead back to the LR image, is the kernel right.

    L_S = 0.4 |SR - HR| + 0.4 |down(SR * K^P) - LR| + w_K (K^P - K)^2, with means over channels
    and pixels, w_K = `protocol.kernel_weight`. sr, hr: (B, 3, H, W); lr: (B, 3, H/s, W/s);
    kernels: (B, 1, k, k) of sum 1. `pixel_weight` (B, 1, H, W) multiplies the first error map
    and, reduced bilinearly, the second; the kernel term is not weighted (released code).
    Gradients flow into sr and kernel_estimate. Sec. III-A, III-C; ValueError for unequal shapes.
    """
    scale = hr.shape[-1] // lr.shape[-1]
    down = degrade(sr, kernel_estimate, protocol, scale)  # (B, 3, H/s, W/s)
    lr_weight = None
    if pixel_weight is not None:
        lr_weight = F.interpolate(
            pixel_weight, size=lr.shape[-2:], mode="bilinear", align_corners=False
        )  # (B, 1, H/s, W/s)
    term_hr = l1_loss(sr, hr, pixel_weight)
    term_lr = l1_loss(down, lr, lr_weight)
    term_kernel = (kernel_estimate - kernel_true).pow(2).mean(PIXELS)
    total = HR_WEIGHT * term_hr + LR_WEIGHT * term_lr + protocol.kernel_weight * term_kernel
    return SRLoss(total, term_hr, term_lr, term_kernel)


@full_precision
def feature_affinity_loss(features_a: Tensor, features_b: Tensor) -> Tensor:
    """DSRL's feature affinity: do both maps find the same pairs of places alike?

    Both (B, C, H, W) maps are averaged over 16 x 16 blocks, which leaves n places; the mean
    absolute difference of their n x n Gram matrices is returned per sample (B,). The released
    code does not normalise the features first and sums over the batch.
    """
    if features_a.shape != features_b.shape or min(features_a.shape[-2:]) < 16:
        raise ValueError(
            "feature affinity needs two maps of one shape, at least 16 x 16 pixels, got "
            f"{tuple(features_a.shape)} and {tuple(features_b.shape)}"
        )
    return (_gram(features_a) - _gram(features_b)).abs().mean((1, 2))


def dsrl_loss(segmentation: Tensor, sr: Tensor, affinity: Tensor) -> Tensor:
    """DSRL's objective: 1.0 segmentation + 0.5 L1 + 0.5 feature affinity, each (B,) (released)."""
    return 1.0 * segmentation + 0.5 * sr + 0.5 * affinity


@full_precision
def kernel_loss(estimate: Tensor, true: Tensor) -> Tensor:
    """Sum of absolute errors of kernels (B, 1, k, k) of sum 1, in [0, 2] for positive ones.

    Trains KBPN's estimator alone; ours: the squared error of such kernels is about 1e-5, too flat
    to learn from in a short training.
    """
    return (estimate - true).abs().sum(PIXELS)


def _gram(features: Tensor) -> Tensor:
    """Return the inner products between all places of the block-averaged features."""
    places = F.avg_pool2d(features, 16).flatten(2)  # (B, C, n)
    return torch.bmm(places.transpose(1, 2), places)  # (B, n, n)


def _error(output: Tensor, truth: Tensor) -> Tensor:
    """Return the absolute error map of two images of one shape."""
    if output.shape != truth.shape:
        raise ValueError(
            f"SR loss got an image of shape {tuple(output.shape)} and a truth of shape "
            f"{tuple(truth.shape)}; they must be equal"
        )
    return (output - truth).abs()


def _weighted_mean(error: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean of an error map per sample, its pixels weighted if a weight is given."""
    if weight is None:
        return error.mean(PIXELS)
    if weight.shape != error[:, :1].shape:
        raise ValueError(
            f"pixel_weight has shape {tuple(weight.shape)}; "
            f"this error map needs {tuple(error[:, :1].shape)}"
        )
    return (weight * error).mean(PIXELS)
