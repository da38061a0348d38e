"""The authors' segmentation checkpoints: which network each is, and how their keys map to ours."""

import re
from collections.abc import Callable

from csbsr.networks.architecture import (
    CrackFormerConfig,
    DSRLConfig,
    HRNetConfig,
    PSPNetConfig,
    SegmentationConfig,
    SegNetConfig,
    UNetConfig,
)

CONFIGS: dict[str, SegmentationConfig] = {
    "pspnet": PSPNetConfig(extractor="resnet34"),
    "unet16_pixelshuffle": UNetConfig(),
    "unet16_deconv": UNetConfig(upsampling="deconv"),
    "hrnet_w48_ocr": HRNetConfig(),
    "crackformer": CrackFormerConfig(),
    "srcnet_seg": SegNetConfig(),
    "dsrl": DSRLConfig(scale=2),
    "dsrl_x4": DSRLConfig(),
}
"""Name of a released network -> our network of the same function and parameters."""

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

_HRNET: tuple[Rule, ...] = (
    (r"^backbone\.conv(\d)\.", lambda m: f"backbone.stem.{int(m[1]) - 1}.0."),
    (r"^backbone\.bn(\d)\.", lambda m: f"backbone.stem.{int(m[1]) - 1}.1."),
    (r"\.transition1\.0\.", ".transitions.0.0."),
    (r"\.transition1\.1\.0\.", ".transitions.0.1."),
    (r"\.transition(\d)\.\d\.0\.", lambda m: f".transitions.{int(m[1]) - 1}.0."),
    (r"\.stage(\d)\.", lambda m: f".stages.{int(m[1]) - 2}."),
    (r"\.fuse_layers\.", ".fuse."),
    (r"^(aux_head|conv3x3)\.1\.0\.", r"\1.1."),
    (r"^aux_head\.2\.", "aux_head.3."),
    (r"^conv3x3\.", "reduce."),
    (r"^cls_head\.", "head."),
    (r"^ocr_distri_head\.object_context_block\.f_", "context."),
    (r"^ocr_distri_head\.conv_bn_dropout\.", "context.mix."),
    (r"^context\.(down|up|mix)\.1\.0\.", r"context.\1.1."),
    (r"^context\.(pixel|object)\.([01])\.", r"context.\1.0.\2."),
    (r"^context\.(pixel|object)\.2\.", r"context.\1.1.0."),
    (r"^context\.(pixel|object)\.3\.0\.", r"context.\1.1.1."),
    (r"^context\.(pixel|object)\.0\.1\.0\.", r"context.\1.0.1."),
)

_CRACKFORMER: tuple[Rule, ...] = (
    (r"^down1\.nn1\.conv\.", "encoder.0.0.0."),
    (r"^down(\d)\.nn(\d)\.conv\.", lambda m: f"encoder.{int(m[1]) - 1}.{int(m[2]) - 1}."),
    (r"^up(\d)\.nn(\d)\.conv\.", lambda m: f"decoder.{int(m[1]) - 1}.{int(m[2]) - 1}."),
    (r"^fuse(\d)\.nn\.conv\.", lambda m: f"sides.{int(m[1]) - 1}.fuse."),
    (r"^fuse(\d)\.conv\.", lambda m: f"sides.{int(m[1]) - 1}.head."),
    (r"^LABlock_(\d)\.W_1\.", lambda m: f"sides.{int(m[1]) - 1}.mask.0."),
    (r"^LABlock_(\d)\.psi\.", lambda m: f"sides.{int(m[1]) - 1}.mask.1."),
    (r"^final\.", "head."),
    (r"\.conv2\.0\.attn\.embedding$", ".attention.position"),
    (r"\.conv2\.0\.attn\.", ".attention."),
    (r"\.conv2\.0\.mlp\.dwconv\.dwconv\.", ".mlp.local."),
    (r"\.conv2\.0\.mlp\.fc1\.", ".mlp.first."),
    (r"\.conv2\.0\.mlp\.fc2\.", ".mlp.second."),
    (r"\.conv2\.0\.mlp\.gn(\d)\.", r".mlp.norm\1."),
    (r"\.conv1\.", ".reduce.0."),
    (r"\.bn1\.", ".reduce.1."),
    (r"\.bn2\.", ".unused_norm."),
    (r"\.conv3\.", ".expand.0."),
    (r"\.bn3\.", ".expand.1."),
)

_DSRL: tuple[Rule, ...] = (
    (r"^aspp\.aspp(\d)\.atrous_conv\.", lambda m: f"aspp.branches.{int(m[1]) - 1}.0."),
    (r"^aspp\.aspp(\d)\.bn\.", lambda m: f"aspp.branches.{int(m[1]) - 1}.1."),
    (r"^aspp\.global_avg_pool\.([12])\.", lambda m: f"aspp.mean.{int(m[1]) - 1}."),
    (r"^aspp\.conv1\.", "aspp.mix.0."),
    (r"^aspp\.bn1\.", "aspp.mix.1."),
    (r"^decoder\.last_conv\.8\.", "seg_head."),
    (r"^sr_decoder\.last_conv\.8\.", "sr_entry."),
    (r"^decoder\.", "seg_decoder."),
    (r"_decoder\.conv1\.", "_decoder.reduce.0."),
    (r"_decoder\.bn1\.", "_decoder.reduce.1."),
    (r"_decoder\.last_conv\.([01])\.", r"_decoder.conv1.\1."),
    (r"_decoder\.last_conv\.([45])\.", lambda m: f"_decoder.conv2.{int(m[1]) - 4}."),
    (r"^up_sr_(\d)\.", r"sr_ups.\1.up."),
    (r"^up_edsr_(\d)\.conv\.0\.", r"sr_ups.\1.conv1."),
    (r"^up_edsr_(\d)\.conv\.2\.", r"sr_ups.\1.conv2."),
    (r"^up_edsr_(\d)\.residual_upsampler\.0\.", r"sr_ups.\1.skip."),
    (r"^up_conv_last\.", "sr_head."),
    (r"^pointwise\.", "affinity."),
)

# The x2 network's up-blocks are numbered from 1, the x4 network's from 0.
_DSRL_X2: tuple[Rule, ...] = (*_DSRL, (r"^sr_ups\.(\d)\.", lambda m: f"sr_ups.{int(m[1]) - 1}."))

_RULES: dict[str, tuple[Rule, ...]] = {
    "pspnet": _PSPNET,
    "unet16_pixelshuffle": _UNET,
    "unet16_deconv": _UNET,
    "hrnet_w48_ocr": _HRNET,
    "crackformer": _CRACKFORMER,
    "srcnet_seg": _SEGNET,
    "dsrl": _DSRL_X2,
    "dsrl_x4": _DSRL,
}


def rename(name: str, key: str) -> str:
    """Return our key for the authors' `key` of network `name`; unknown keys come back unchanged.

    The rules are applied in order, so that a later one may refine an earlier one.
    """
    for pattern, replacement in _RULES[name]:
        key = re.sub(pattern, replacement, key)
    return key
