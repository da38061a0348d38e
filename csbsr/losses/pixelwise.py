"""The terms of the segmentation losses as maps, so that pixels can be weighted.

Each map has the shape of the sample, (B, 1, H, W), and its mean over the pixels *is* the loss of
the same name in `csbsr.losses.terms`, in both protocols. For sums over pixels this is immediate.
The Dice losses are ratios, but one minus the ratio is again a sum over pixels:

    1 - 2 sum(P G) / sum(P^2 + G^2) = sum((P - G)^2) / sum(P^2 + G^2),

so a pixel's share of the Dice loss is its squared error over the common denominator. The released
code splits 1 - ratio differently, and its mean over pixels is not the loss (it is the loss divided
by the number of pixels); with several samples in a batch it also mixes them.
"""

import torch
from torch import Tensor

from csbsr.losses.inputs import EPS, full_precision, require_maps
from csbsr.losses.terms import PIXELS, inverse_area, normalise_signed_distance
from csbsr.protocol import Protocol


@full_precision
def boundary_map(prob: Tensor, distance: Tensor, protocol: Protocol) -> Tensor:
    """Signed distance times probability at each pixel; mean = `boundary_loss`."""
    require_maps(prob=prob, distance=distance)
    if protocol.boundary == "integral":
        return pixels(prob) * distance * prob
    return normalise_signed_distance(distance) * prob


@full_precision
def dice_map(prob: Tensor, target: Tensor, protocol: Protocol) -> Tensor:
    """Squared error at each pixel over the denominator of Eq. (6); mean = `dice_loss`."""
    require_maps(prob=prob, target=target)
    if protocol.dice == "two_class":
        P, G = both(prob), both(target)  # (B, 2, H, W)
        error = (P - G).pow(2).sum(1, keepdim=True)  # (B, 1, H, W)
        return pixels(prob) * error / (P**2 + G**2).sum(PIXELS, keepdim=True)
    size = (prob**2 + target**2).sum(PIXELS, keepdim=True)  # (B, 1, 1, 1)
    return pixels(prob) * (prob - target) ** 2 / (size + 1e-6)


@full_precision
def generalized_dice_map(prob: Tensor, target: Tensor, protocol: Protocol) -> Tensor:
    """Weighted error P + G - 2 P G at each pixel; mean = `generalized_dice_loss`."""
    require_maps(prob=prob, target=target)
    if protocol.gdice == "two_class":
        P, G = both(prob), both(target)  # (B, 2, H, W)
        w = inverse_area(G.flatten(2))[..., None, None]  # (B, 2, 1, 1)
        error = (w * (P + G - 2 * P * G)).sum(1, keepdim=True)  # (B, 1, H, W)
        return pixels(prob) * error / (w * (P + G)).sum(PIXELS, keepdim=True)
    w = 1 / (target.sum(PIXELS, keepdim=True) + 1e-10) ** 2
    error = w * (prob + target - 2 * prob * target)
    size = w * (prob + target).sum(PIXELS, keepdim=True) + 1e-5
    return (pixels(prob) * error - 1e-5) / size  # the smoothing is shared by all pixels


@full_precision
def weighted_cross_entropy_map(prob: Tensor, target: Tensor, protocol: Protocol) -> Tensor:
    """Weighted -log of the probability of each pixel's class; mean = `weighted_cross_entropy`."""
    require_maps(prob=prob, target=target)
    P, G = both(prob), both(target)  # (B, 2, H, W)
    if protocol.wce == "inverse_frequency":
        areas = inverse_area(G.flatten(2))[..., None, None]  # (B, 2, 1, 1)
        w_crack, w_background = areas.split(1, dim=1)
        crack, background = (G * torch.log(P.clamp(min=EPS))).split(1, dim=1)  # 2 x (B, 1, H, W)
        return -pixels(prob) * (w_crack * crack + w_background * background)
    crack, background = (G * torch.log(P + EPS)).split(1, dim=1)
    return -(crack + background) / 2


@full_precision
def binary_cross_entropy_map(prob: Tensor, target: Tensor) -> Tensor:
    """Plain cross entropy of each pixel; mean = `binary_cross_entropy`."""
    require_maps(prob=prob, target=target)
    return -(both(target) * torch.log(both(prob).clamp(min=EPS))).sum(1, keepdim=True)


@full_precision
def balanced_cross_entropy_map(prob: Tensor, target: Tensor) -> Tensor:
    """Balanced cross entropy of each pixel; mean = `balanced_cross_entropy`."""
    require_maps(prob=prob, target=target)
    P, G = both(prob), both(target)  # (B, 2, H, W)
    share_crack, share_background = G.mean((2, 3), keepdim=True).split(1, dim=1)
    crack, background = (G * torch.log(P.clamp(min=EPS))).split(1, dim=1)
    return -(share_background * crack + 1.1 * share_crack * background)


def both(crack: Tensor) -> Tensor:
    """Return the maps of both classes, crack first: (B, 1, H, W) -> (B, 2, H, W)."""
    return torch.cat((crack, 1 - crack), 1)


def pixels(map_: Tensor) -> int:
    """Return the number of pixels of one sample, which turns a mean into a sum."""
    return map_[0].numel()
