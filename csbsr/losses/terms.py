"""The terms of the segmentation losses, Eq. (5)-(8), each as a function of one sample's maps.

Every function takes probabilities `prob` and truth `target` in [0, 1], both (B, 1, H, W), and
returns one value per sample (B,). `protocol` chooses between the equation as printed, with the
sign that makes it a loss, and the form that the released code computes.
"""

import torch
from torch import Tensor

from csbsr.losses.inputs import EPS, full_precision, require_maps
from csbsr.protocol import Protocol

PIXELS = (1, 2, 3)
"""Axes of one sample's map."""

ClassWeights = tuple[float, float]
"""WCE weights of (crack, background)."""


@full_precision
def boundary_loss(prob: Tensor, distance: Tensor, protocol: Protocol) -> Tensor:
    """Boundary loss, Eq. (5): signed distance to the crack, summed over the predicted crack.

    `distance` is the raw signed distance in pixels of `csbsr.data.distances`. Paper: the integral
    over the image. Released code: the distance normalised to [-1, 1], mean over pixels. The
    minimum is negative for cracks wider than two pixels and 0 otherwise; 0 throughout for masks
    that are empty or full, which have no boundary. Units: square pixels times pixels, or none.
    """
    require_maps(prob=prob, distance=distance)
    if protocol.boundary == "integral":
        return (distance * prob).sum(PIXELS)
    return (normalise_signed_distance(distance) * prob).mean(PIXELS)


@full_precision
def dice_loss(prob: Tensor, target: Tensor, protocol: Protocol) -> Tensor:
    """Dice loss: 1 - the Dice coefficient of Eq. (6), in [0, 1].

    Paper: crack and background summed. Released code: crack alone, smoothed by 1e-6.
    """
    require_maps(prob=prob, target=target)
    if protocol.dice == "two_class":
        P, G = two_classes(prob), two_classes(target)  # (B, 2, N)
        return 1 - 2 * (P * G).sum((1, 2)) / (P**2 + G**2).sum((1, 2))
    P, G = prob.flatten(1), target.flatten(1)  # (B, N)
    return 1 - (2 * (P * G).sum(1) + 1e-6) / ((P**2).sum(1) + (G**2).sum(1) + 1e-6)


@full_precision
def generalized_dice_loss(prob: Tensor, target: Tensor, protocol: Protocol) -> Tensor:
    """Generalised Dice loss: 1 - the coefficient of Eq. (7), which weights classes by rarity.

    Paper: both classes, w = 1 / pixels of the class; a class without a pixel counts as one pixel.
    Released code: crack alone, w = 1 / pixels^2, smoothed by 1e-5. With a single class the weight
    only scales that smoothing: a perfect prediction gives slightly less than 0, and an image
    without cracks a constant 1.
    """
    require_maps(prob=prob, target=target)
    if protocol.gdice == "two_class":
        P, G = two_classes(prob), two_classes(target)  # (B, 2, N)
        w = inverse_area(G)  # (B, 2)
        return 1 - 2 * (w * (P * G).sum(2)).sum(1) / (w * (P + G).sum(2)).sum(1)
    P, G = prob.flatten(1), target.flatten(1)  # (B, N)
    w = 1 / (G.sum(1) + 1e-10) ** 2
    return 1 - 2 * (w * (P * G).sum(1) + 1e-5) / (w * (P + G).sum(1) + 1e-5)


@full_precision
def weighted_cross_entropy(
    prob: Tensor, target: Tensor, protocol: Protocol, class_weights: ClassWeights | None = None
) -> Tensor:
    """Weighted cross entropy (WCE), Eq. (8) with the minus sign it lacks; >= 0.

    `class_weights` are those of (crack, background). Paper: summed over pixels; by default
    w = 1 / pixels of the class in this sample, and `inverse_class_frequency` gives the weights of
    a whole training set. Released code: mean over pixels, divided by the sum of the weights,
    which are 1 and 1 by default (that is half the plain cross entropy).
    """
    require_maps(prob=prob, target=target)
    P, G = two_classes(prob), two_classes(target)  # (B, 2, N)
    if protocol.wce == "inverse_frequency":
        w_crack, w_background = class_weights or inverse_area(G).unbind(1)  # numbers or 2 x (B,)
        crack, background = (G * torch.log(P.clamp(min=EPS))).sum(2).unbind(1)  # 2 x (B,)
        return -(w_crack * crack + w_background * background)
    w_crack, w_background = class_weights or (1.0, 1.0)
    crack, background = (G * torch.log(P + EPS)).mean(2).unbind(1)
    return -(w_crack * crack + w_background * background) / (w_crack + w_background)


@full_precision
def binary_cross_entropy(prob: Tensor, target: Tensor) -> Tensor:
    """Plain cross entropy, mean over pixels: L_C of SrcNet and DSRL (Sec. IV-B-1)."""
    require_maps(prob=prob, target=target)
    P, G = two_classes(prob), two_classes(target)  # (B, 2, N)
    return -(G * torch.log(P.clamp(min=EPS))).mean(2).sum(1)


@full_precision
def balanced_cross_entropy(prob: Tensor, target: Tensor) -> Tensor:
    """Cross entropy balanced within the sample, as for RCF and CrackFormer; >= 0.

    A crack pixel weighs the share of background, a background pixel 1.1 times the share of crack,
    mean over pixels (ours; RCF sums). In a sample without cracks the background weighs nothing:
    the loss is 0 whatever is predicted.
    """
    require_maps(prob=prob, target=target)
    P, G = two_classes(prob), two_classes(target)  # (B, 2, N)
    share_crack, share_background = G.mean(2).unbind(1)  # 2 x (B,)
    crack, background = (G * torch.log(P.clamp(min=EPS))).mean(2).unbind(1)
    return -(share_background * crack + 1.1 * share_crack * background)


def side_output_loss(prob: Tensor, sides: Tensor, target: Tensor) -> Tensor:
    """CrackFormer's own loss: the balanced cross entropy of the output and of each side output.

    `sides`: probabilities (B, S, H, W) of the S side outputs. Returns the sum of 1 + S losses (B,).
    """
    losses = [balanced_cross_entropy(side, target) for side in sides.split(1, dim=1)]
    return balanced_cross_entropy(prob, target) + torch.stack(losses).sum(0)


def normalise_signed_distance(distance: Tensor) -> Tensor:
    """Return signed distances (B, 1, H, W) divided, per sample and sign, by their largest size.

    The released code's normalisation to [-1, 1]; a side without any extent stays 0.
    """
    largest = distance.amax(PIXELS, keepdim=True)  # (B, 1, 1, 1)
    deepest = -distance.amin(PIXELS, keepdim=True)
    deepest = deepest.masked_fill(deepest == 0, 1)
    return distance / torch.where(distance > 0, largest, deepest)


def inverse_class_frequency(crack_fraction: float, pixels: int) -> ClassWeights:
    """Return the weights of Eq. (8) from the share of crack pixels in the training set.

    Eq. (8) divides by the pixels of the class in *all* training images, which makes the loss
    shrink with the number of images; these weights are multiplied by that number, so that a
    sample of average crack area gets the sum of two class means. `pixels`: per training sample.
    ValueError unless 0 < crack_fraction < 1.
    """
    if not 0 < crack_fraction < 1 or pixels < 1:
        raise ValueError(
            f"inverse_class_frequency got crack_fraction {crack_fraction} and {pixels} pixels; "
            "give a share strictly between 0 and 1 and at least one pixel"
        )
    return 1 / (crack_fraction * pixels), 1 / ((1 - crack_fraction) * pixels)


def two_classes(crack: Tensor) -> Tensor:
    """Return the class maps of Eq. (6)-(8), crack first: (B, 1, H, W) -> (B, 2, N)."""
    return torch.stack((crack, 1 - crack), 1).flatten(2)


def inverse_area(G: Tensor) -> Tensor:
    """Return w_j = 1 / sum_i G_ij (B, 2) of Eq. (7) and (8); an absent class counts one pixel."""
    return 1 / G.sum(2).clamp(min=1)
