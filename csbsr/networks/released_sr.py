"""The authors' super-resolution checkpoints: which network each is, and how their keys map."""

import re

from csbsr.networks.architecture import DBPNConfig, KBPNConfig, SrcNetConfig, SRConfig

CONFIGS: dict[str, SRConfig] = {
    "kbpn": KBPNConfig(),
    "kbpn_kernel7": KBPNConfig(estimated_kernel=7),
    "dbpn": DBPNConfig(),
    "srcnet_sr": SrcNetConfig(),
}
"""Name of a released network -> our network of the same function and parameters."""

Rule = tuple[str, str]

_KBPN: tuple[Rule, ...] = (
    (r"^feat\.", "features."),
    (r"^predictor\.feat_ext\.", "kernel_head.layers."),
    (r"^back_projection_stages\.", "stages."),
    (r"^output_conv\.layer\.", "output."),
    (r"\.kb\.sr_reconst\.layer\.", ".sr_head."),
    (r"\.kb\.up_conv1\.", ".error_up."),
    (r"\.kb\.kernel_predictor\.fe_SR\.(\d+)\.layer\.", r".updater.image.\1."),
    (r"\.kb\.kernel_predictor\.fe_kernel\.(\d+)\.layer\.", r".updater.kernel.\1."),
    (r"\.kb\.kernel_predictor\.fe_cat\.(\d+)\.layer\.", r".updater.joint.\1."),
    (r"\.sft\.SFT_(scale|shift)_conv0\.", r".sft.\1.first."),
    (r"\.sft\.SFT_(scale|shift)_conv1\.", r".sft.\1.second."),
    (r"\.(up|down)\.conv\.", r".\1.reduce."),
    (r"\.(up|down)\.\1_conv1\.", r".\1.first."),
    (r"\.(up|down)\.\1_conv2\.", r".\1.back."),
    (r"\.(up|down)\.\1_conv3\.", r".\1.second."),
    (r"\.layer\.", ".0."),
    (r"\.act\.", ".1."),
)

_DBPN: tuple[Rule, ...] = (
    (r"^feat(\d)\.", r"features.\1."),
    (r"^output_conv\.conv\.", "output."),
    (r"^(up|down)(\d+)\.", r"\1.\2."),
    (r"^(up|down)\.(\d+)\.conv\.", r"\1.\2.reduce."),
    (r"\.(?:up|down)_conv1\.", ".first."),
    (r"\.(?:up|down)_conv2\.", ".back."),
    (r"\.(?:up|down)_conv3\.", ".second."),
    (r"\.(?:conv|deconv)\.", ".0."),
    (r"\.act\.", ".1."),
)

_SRCNET: tuple[Rule, ...] = (
    (r"^sconv1\.", "head."),
    (r"^sconv2\.", "output."),
    (r"^upscaling\.", "up."),
    (r"^rir\.", "body."),
    (r"\.res_groups\.", ".layers."),
    (r"\.res_blocks\.", ".layers."),
    (r"\.fe1\.", ".body."),
)

_BLUR_SKIP: tuple[Rule, ...] = (
    (r"^0\.", "sft.0."),
    (r"^1\.", "conv.0."),
    (r"^2\.", "sft.1."),
    (r"^3\.", "conv.1."),
    (r"\.conv_(scale|shift)\.0\.layer\.", r".\1.first."),
    (r"\.conv_(scale|shift)\.0\.act\.", r".\1.act."),
    (r"\.conv_(scale|shift)\.1\.layer\.", r".\1.second."),
    (r"\.layer\.", ".0."),
    (r"\.norm\.", ".1."),
)

_RULES: dict[str, tuple[Rule, ...]] = {
    "kbpn": _KBPN,
    "kbpn_kernel7": _KBPN,
    "dbpn": _DBPN,
    "srcnet_sr": _SRCNET,
}


def _apply(rules: tuple[Rule, ...], key: str) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def rename(name: str, key: str) -> str:
    """Return our key for the authors' `key` of network `name`; unknown keys come back unchanged."""
    return _apply(_RULES[name], key)


def rename_blur_skip(key: str) -> str:
    """Return our key for the authors' key of a blur skip, both without `blur_skip.`."""
    return _apply(_BLUR_SKIP, key)
