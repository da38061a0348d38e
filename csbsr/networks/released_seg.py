"""The authors' segmentation checkpoints: which network each is, and how their keys map to ours."""

import re
from collections.abc import Callable

from torch import nn

from csbsr.networks.pspnet import PSPNet
from csbsr.networks.segnet import SegNet
from csbsr.networks.unet import UNet16

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "pspnet": lambda: PSPNet("resnet34"),
    "unet16_pixelshuffle": lambda: UNet16("pixel_shuffle"),
    "unet16_deconv": lambda: UNet16("deconv"),
    "srcnet_seg": SegNet,
}
"""Name of a released network -> our module of the same function and parameters."""

Rule = tuple[str, str | Callable[[re.Match[str]], str]]

_PSPNET: tuple[Rule, ...] = (
    (r"^feats\.", "backbone."),
    (r"^psp\.stages\.(\d)\.1\.", r"pyramid.stages.\1."),
    (r"^psp\.bottleneck\.", "pyramid.bottleneck."),
    (
        r"^up_(\d)\.conv\.(\d)\.",
        lambda m: f"ups.{int(m[1]) - 1}.{('conv', 'norm', 'act')[int(m[2])]}.",
    ),
    (r"^final\.0\.", "head."),
    (r"^aux\.", "aux_head."),
)

# The released U-Net lists its encoder's layers twice, as `encoder` and as `conv1` to `conv5`, which
# are the same modules: both names lead to one of ours, and the second, read later, holds.
_UNET: tuple[Rule, ...] = (
    (r"^encoder\.", "backbone.features."),
    (
        r"^conv(\d)\.(\d)\.",
        lambda m: f"backbone.features.{(0, 5, 10, 17, 24)[int(m[1]) - 1] + int(m[2])}.",
    ),
    (r"^dec([234])\.", lambda m: f"decoder.{4 - int(m[1])}."),
    (r"\.block\.0\.conv\.", ".conv."),
    (r"\.block\.1\.", ".up."),
    (r"^dec1\.conv\.", "last."),
    (r"^final\.", "head."),
)


def _segnet_layer(match: re.Match[str]) -> str:
    kind = {"Conv": "conv", "BN": "norm"}[match[1]]
    block, layer = int(match[3]), int(match[4])
    if match[2] == "En":
        return f"encoder.{block - 1}.{layer - 1}.0.{kind}."
    if (block, layer) == (1, 1):
        return {"conv": "head.", "norm": "head_norm."}[kind]
    # The authors count the decoder down, from ConvDe53 to ConvDe11.
    return f"decoder.{5 - block}.{(2, 2, 3, 3, 3)[block - 1] - layer}.0.{kind}."


_SEGNET: tuple[Rule, ...] = ((r"^(Conv|BN)(En|De)(\d)(\d)\.", _segnet_layer),)

_RULES: dict[str, tuple[Rule, ...]] = {
    "pspnet": _PSPNET,
    "unet16_pixelshuffle": _UNET,
    "unet16_deconv": _UNET,
    "srcnet_seg": _SEGNET,
}


def rename(name: str, key: str) -> str:
    """Return our key for the authors' `key` of network `name`; unknown keys come back unchanged.

    The rules are applied in order, so that a later one may refine an earlier one.
    """
    for pattern, replacement in _RULES[name]:
        key = re.sub(pattern, replacement, key)
    return key
