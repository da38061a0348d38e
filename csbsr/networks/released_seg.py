"""The authors' segmentation checkpoints: which network each is, and how their keys map to ours."""

import re
from collections.abc import Callable

from torch import nn

from csbsr.networks.pspnet import PSPNet

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "pspnet": lambda: PSPNet("resnet34"),
}
"""Name of a released network -> our module of the same function and parameters."""

_PSPNET = (
    (r"^feats\.", "backbone."),
    (r"^psp\.stages\.(\d)\.1\.", r"pyramid.stages.\1."),
    (r"^psp\.bottleneck\.", "pyramid.bottleneck."),
    (r"^up_1\.", "ups.0."),
    (r"^up_2\.", "ups.1."),
    (r"^up_3\.", "ups.2."),
    (r"^(ups\.\d)\.conv\.0\.", r"\1.conv."),
    (r"^(ups\.\d)\.conv\.1\.", r"\1.norm."),
    (r"^(ups\.\d)\.conv\.2\.", r"\1.act."),
    (r"^final\.0\.", "head."),
    (r"^aux\.", "aux_head."),
)

_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "pspnet": _PSPNET,
}


def rename(name: str, key: str) -> str:
    """Return our key for the authors' `key` of network `name`; unknown keys come back unchanged.

    The rules are applied in order, so that a later one may refine an earlier one.
    """
    for pattern, replacement in _RULES[name]:
        key = re.sub(pattern, replacement, key)
    return key
