"""Losses and loss weights of Sec. III-B and III-C: pure functions, one value per sample."""

from csbsr.losses.loss_weights import (
    combine,
    crack_oriented_weight,
    fail_oriented_weight,
    segmentation_weight,
)
from csbsr.losses.segmentation import (
    boundary_combo_loss,
    boundary_generalized_dice_loss,
    combo_loss,
    generalized_boundary_combo_loss,
    segmentation_loss,
    segmentation_loss_map,
)
from csbsr.losses.super_resolution import (
    SRLoss,
    dsrl_loss,
    feature_affinity_loss,
    kbpn_loss,
    l1_loss,
)
from csbsr.losses.terms import (
    balanced_cross_entropy,
    binary_cross_entropy,
    boundary_loss,
    dice_loss,
    generalized_dice_loss,
    inverse_class_frequency,
    normalise_signed_distance,
    side_output_loss,
    weighted_cross_entropy,
)

__all__ = [
    "SRLoss",
    "balanced_cross_entropy",
    "binary_cross_entropy",
    "boundary_combo_loss",
    "boundary_generalized_dice_loss",
    "boundary_loss",
    "combine",
    "combo_loss",
    "crack_oriented_weight",
    "dice_loss",
    "dsrl_loss",
    "fail_oriented_weight",
    "feature_affinity_loss",
    "generalized_boundary_combo_loss",
    "generalized_dice_loss",
    "inverse_class_frequency",
    "kbpn_loss",
    "l1_loss",
    "normalise_signed_distance",
    "segmentation_loss",
    "segmentation_loss_map",
    "segmentation_weight",
    "side_output_loss",
    "weighted_cross_entropy",
]
