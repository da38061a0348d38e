"""L_C: the Boundary Combo loss of Eq. (3), its variant GBC, and the losses they are compared to.

`alpha` is always the paper's: the weight of the Boundary term (the released code's alpha is the
weight of the rest). All functions return one value per sample (B,).
"""

from typing import Literal, get_args

from torch import Tensor

from csbsr.losses.inputs import EPS, full_precision, require_maps
from csbsr.losses.pixelwise import (
    balanced_cross_entropy_map,
    binary_cross_entropy_map,
    boundary_map,
    dice_map,
    generalized_dice_map,
    weighted_cross_entropy_map,
)
from csbsr.losses.terms import (
    PIXELS,
    balanced_cross_entropy,
    binary_cross_entropy,
    boundary_loss,
    dice_loss,
    generalized_dice_loss,
    weighted_cross_entropy,
)
from csbsr.protocol import Protocol

Kind = Literal["bc", "gbc", "bgdice", "combo", "boundary", "dice", "gdice", "wce", "bce", "rcf"]
"""The losses of Table IV and their terms, plain cross entropy (SrcNet, DSRL), CrackFormer's."""


@full_precision
def combo_loss(
    prob: Tensor,
    target: Tensor,
    protocol: Protocol,
    gamma: float = 0.5,
) -> Tensor:
    """Combo loss, the bracket of Eq. (3): Dice and WCE, `gamma` being the share of WCE."""
    prob = prob.clamp(min=EPS)  # as the released code does in every combination
    L_D = dice_loss(prob, target, protocol)
    L_WCE = weighted_cross_entropy(prob, target, protocol)
    return (1 - gamma) * L_D + gamma * L_WCE


@full_precision
def boundary_combo_loss(
    prob: Tensor,
    target: Tensor,
    distance: Tensor,
    protocol: Protocol,
    alpha: float,
    gamma: float = 0.5,
) -> Tensor:
    """Boundary Combo (BC) loss, Eq. (3)."""
    L_B = boundary_loss(prob.clamp(min=EPS), distance, protocol)
    L_Combo = combo_loss(prob, target, protocol, gamma)
    return alpha * L_B + (1 - alpha) * L_Combo


@full_precision
def generalized_boundary_combo_loss(
    prob: Tensor,
    target: Tensor,
    distance: Tensor,
    protocol: Protocol,
    alpha: float,
    gamma: float = 0.5,
) -> Tensor:
    """Generalised Boundary Combo (GBC) loss: Eq. (3) with GDice in the place of Dice."""
    prob = prob.clamp(min=EPS)
    L_B = boundary_loss(prob, distance, protocol)
    L_GD = generalized_dice_loss(prob, target, protocol)
    L_WCE = weighted_cross_entropy(prob, target, protocol)
    return alpha * L_B + (1 - alpha) * ((1 - gamma) * L_GD + gamma * L_WCE)


@full_precision
def boundary_generalized_dice_loss(
    prob: Tensor, target: Tensor, distance: Tensor, protocol: Protocol, alpha: float
) -> Tensor:
    """Boundary and GDice, the pair of reference [21] and last row of Table IV."""
    prob = prob.clamp(min=EPS)
    L_B = boundary_loss(prob, distance, protocol)
    L_GD = generalized_dice_loss(prob, target, protocol)
    return alpha * L_B + (1 - alpha) * L_GD


def segmentation_loss(
    kind: Kind,
    prob: Tensor,
    target: Tensor,
    distance: Tensor | None = None,
    *,
    protocol: Protocol,
    alpha: float = 0.0,
    gamma: float = 0.5,
    pixel_weight: Tensor | None = None,
) -> Tensor:
    """Return the loss named `kind` per sample (B,), optionally with weighted pixels.

    prob, target, distance: (B, 1, H, W); `distance` in raw pixels is only needed by the kinds
    with a Boundary term. `pixel_weight` (B, 1, H, W) multiplies the loss map pixel by pixel;
    ones change nothing. Eq. (3), (10). ValueError for an unknown kind, weights outside [0, 1],
    unequal shapes or a missing distance.
    """
    if pixel_weight is not None:
        require_maps(prob=prob, pixel_weight=pixel_weight)
        loss_map = segmentation_loss_map(
            kind,
            prob,
            target,
            distance,
            protocol=protocol,
            alpha=alpha,
            gamma=gamma,
        )
        return (pixel_weight * loss_map).mean(PIXELS)
    _check(kind, distance, alpha, gamma)
    match kind:
        case "bc":
            return boundary_combo_loss(prob, target, distance, protocol, alpha, gamma)
        case "gbc":
            return generalized_boundary_combo_loss(prob, target, distance, protocol, alpha, gamma)
        case "bgdice":
            return boundary_generalized_dice_loss(prob, target, distance, protocol, alpha)
        case "boundary":
            return boundary_loss(prob, distance, protocol)
        case "combo":
            return combo_loss(prob, target, protocol, gamma)
        case "dice":
            return dice_loss(prob, target, protocol)
        case "gdice":
            return generalized_dice_loss(prob, target, protocol)
        case "wce":
            return weighted_cross_entropy(prob, target, protocol)
        case "bce":
            return binary_cross_entropy(prob, target)
        case "rcf":
            return balanced_cross_entropy(prob, target)


@full_precision
def segmentation_loss_map(
    kind: Kind,
    prob: Tensor,
    target: Tensor,
    distance: Tensor | None = None,
    *,
    protocol: Protocol,
    alpha: float = 0.0,
    gamma: float = 0.5,
) -> Tensor:
    """Return the loss named `kind` as a map (B, 1, H, W) whose mean is `segmentation_loss`.

    Arguments and errors as there. For weights that act pixel by pixel (Sec. III-C).
    """
    _check(kind, distance, alpha, gamma)
    if kind in ("bc", "gbc", "bgdice", "combo"):
        prob = prob.clamp(min=EPS)
    match kind:
        case "boundary":
            return boundary_map(prob, distance, protocol)
        case "bce":
            return binary_cross_entropy_map(prob, target)
        case "rcf":
            return balanced_cross_entropy_map(prob, target)
        case "wce":
            return weighted_cross_entropy_map(prob, target, protocol)
        case "dice" | "bc" | "combo":
            region = dice_map(prob, target, protocol)
        case "gdice" | "gbc" | "bgdice":
            region = generalized_dice_map(prob, target, protocol)
    if kind in ("bc", "gbc", "combo"):
        entropy = weighted_cross_entropy_map(prob, target, protocol)
        region = (1 - gamma) * region + gamma * entropy
    if kind in ("bc", "gbc", "bgdice"):
        return alpha * boundary_map(prob, distance, protocol) + (1 - alpha) * region
    return region


def _check(kind: str, distance: Tensor | None, alpha: float, gamma: float) -> None:
    """Refuse an unknown loss, weights that are no shares, and a missing distance map."""
    if kind not in get_args(Kind):
        raise ValueError(f"loss '{kind}' is unknown; choose one of {', '.join(get_args(Kind))}")
    for name, value in (("alpha", alpha), ("gamma", gamma)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; the weights of Eq. (3) lie in [0, 1]")
    if distance is None and kind in ("bc", "gbc", "bgdice", "boundary"):
        raise ValueError(f"loss '{kind}' has a Boundary term; give it the signed distance map")
