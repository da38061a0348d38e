"""The networks of an experiment: their architecture in a profile, and the modules they are made of."""

from dataclasses import replace
from typing import TypeVar

from csbsr.networks.architecture import (
    Architecture,
    BlurSkipConfig,
    CrackFormerConfig,
    DBPNConfig,
    DSRLConfig,
    HRNetConfig,
    KBPNConfig,
    PSPNetConfig,
    SegmentationConfig,
    SegNetConfig,
    SrcNetConfig,
    SRConfig,
    UNetConfig,
)
from csbsr.protocol import Protocol
from csbsr.study.experiments import Experiment
from csbsr.study.profiles import Profile, Widths

SR_MODULES = {
    "kbpn": ("csbsr.networks.kbpn",),
    "dbpn": ("csbsr.networks.dbpn",),
    "srcnet": ("csbsr.networks.srcnet",),
    "dsrl": ("csbsr.networks.dsrl",),
}
SEGMENTATION_MODULES = {
    "pspnet": ("csbsr.networks.pspnet",),
    "hrnet": ("csbsr.networks.ocr",),
    "crackformer": ("csbsr.networks.crackformer",),
    "unet": ("csbsr.networks.unet",),
    "segnet": ("csbsr.networks.segnet",),
    "dsrl": ("csbsr.networks.dsrl",),
}


def architecture_of(experiment: Experiment, profile: Profile, protocol: Protocol) -> Architecture:
    """Everything that builds an experiment's model: its networks at the profile's widths.

    It holds the sizes of the networks that the experiment uses and of no other, so that its
    digest changes with these alone.
    """
    widths = profile.widths
    if experiment.sr == "dsrl":
        return Architecture(None, _sized(DSRLConfig(), width=widths.dsrl))
    skip = experiment.blur_skip
    return Architecture(
        _sr(experiment.sr, widths, protocol) if experiment.sr else None,
        _segmentation(experiment.segmentation, widths, protocol),
        _sized(BlurSkipConfig(skip), hidden=widths.sft_hidden) if skip else None,
    )


def _sr(name: str, widths: Widths, protocol: Protocol) -> SRConfig:
    if name == "kbpn":
        config = KBPNConfig(
            estimated_kernel=protocol.estimated_kernel, kernel_head=widths.kernel_head
        )
        return _sized(
            config, width=widths.kbpn, stages=widths.kbpn_stages, sft_hidden=widths.sft_hidden
        )
    if name == "dbpn":
        narrow = widths.kernel_head == "log_energy"  # narrow networks start from bicubic
        return _sized(DBPNConfig(residual=narrow), width=widths.dbpn, stages=widths.dbpn_stages)
    if name == "srcnet":
        return _sized(
            SrcNetConfig(),
            width=widths.srcnet,
            groups=widths.srcnet_groups,
            blocks=widths.srcnet_blocks,
        )
    raise ValueError(f"super-resolution network '{name}' is unknown; choose kbpn, dbpn or srcnet")


def _segmentation(name: str, widths: Widths, protocol: Protocol) -> SegmentationConfig:
    if name == "pspnet":
        return _sized(PSPNetConfig(extractor=protocol.pspnet_extractor), width=widths.pspnet)
    if name == "unet":
        return _sized(UNetConfig(), width=widths.unet)
    if name == "hrnet":
        return _sized(HRNetConfig(), width=widths.hrnet)
    if name == "crackformer":
        return _sized(CrackFormerConfig(), width=widths.crackformer)
    if name == "segnet":
        return _sized(SegNetConfig(), width=widths.segnet)
    raise ValueError(f"segmentation network '{name}' is unknown")


Config = TypeVar("Config")


def _sized(config: Config, **sizes: int) -> Config:
    """A configuration with some sizes; 0 stands for the network's own full size."""
    return replace(config, **{name: value for name, value in sizes.items() if value})
