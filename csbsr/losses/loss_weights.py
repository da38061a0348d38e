"""Loss weights: segmentation-aware maps that multiply a map of the SR loss (Sec. III-C).

All weights are (B, 1, H, W), carry no gradient, and combine by multiplication.
"""

from math import isfinite

import torch
from torch import Tensor

from csbsr.losses.inputs import full_precision, require_maps
from csbsr.losses.terms import PIXELS
from csbsr.protocol import Protocol


@full_precision
def crack_oriented_weight(distance: Tensor, m: float, protocol: Protocol) -> Tensor:
    """Crack-Oriented weight w^C = exp(-m D), Eq. (9): high on cracks, falling with the distance.

    `distance` (B, 1, H, W) is the signed distance in pixels; inside cracks D is 0. Paper: the
    largest weight is 1. Released code: 2. A sample without cracks has no D; as in the released
    code it counts as 0, so such a sample keeps its weight everywhere instead of losing it.
    ValueError if `m` is negative.
    """
    _check("m^C", m)
    D = distance.detach().clamp(min=0)
    return protocol.crack_weight_factor * torch.exp(-m * D)


@full_precision
def fail_oriented_weight(prob: Tensor, target: Tensor, m: float) -> Tensor:
    """Fail-Oriented weight w^F = exp(m |T^P - T^GT|), Eq. (10): from 1 (right) to e^m (wrong).

    The weight is a constant to the optimiser: no gradient flows into the prediction through it
    (released code; the paper is silent). ValueError if `m` is negative.
    """
    _check("m^F", m)
    require_maps(prob=prob, target=target)
    return torch.exp(m * (prob.detach() - target).abs())


@full_precision
def segmentation_weight(loss_map: Tensor, protocol: Protocol) -> Tensor:
    """L_C as a weight on L_S (Sec. III-C), without gradient.

    `loss_map` (B, 1, H, W) is `segmentation_loss_map`. Paper: pixel by pixel; since a negative
    weight would reward bad SR, the negative part that the Boundary term has inside cracks is cut
    off (ours). Released code: one number per sample, the mean, whatever its sign, here repeated
    over the pixels.
    """
    loss_map = loss_map.detach()
    if protocol.segmentation_on_sr == "pixelwise":
        return loss_map.clamp(min=0)
    return loss_map.mean(PIXELS, keepdim=True).expand_as(loss_map)


def combine(*weights: Tensor | None) -> Tensor | None:
    """Return the pixel-wise product of those weights that are given, None if none is."""
    product = None
    for weight in weights:
        if weight is not None:
            product = weight if product is None else product * weight
    return product


def _check(name: str, m: float) -> None:
    """Refuse a constant with which the weight would grow where it has to fall."""
    if not (isfinite(m) and m >= 0):
        raise ValueError(f"{name} is {m}; Eq. (9) and (10) need a finite constant >= 0")
