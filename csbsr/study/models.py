"""The networks of an experiment: their architecture in a profile, and the modules they use."""

from dataclasses import replace
from typing import TypeVar

from csbsr.networks.architecture import (
    Architecture,
    BicubicConfig,
    BlurSkipConfig,
    CrackFormerConfig,
    DarknessConfig,
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
    "dbpn_wide": ("csbsr.networks.dbpn",),
    "bicubic": ("csbsr.networks.trivial",),
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
    "darkness": ("csbsr.networks.trivial",),
    "otsu": ("csbsr.networks.trivial",),
}


def architecture_of(experiment: Experiment, profile: Profile, protocol: Protocol) -> Architecture:
    """Everything that builds an experiment's model: its networks at the profile's widths.

    It holds the sizes of the networks that the experiment uses and of no other, so that its
    digest changes with these alone.
    """
    widths = profile.widths
    if experiment.sr == "dsrl":
        config = DSRLConfig(output_stride=widths.dsrl_output_stride, residual=widths.residual)
        return Architecture(None, _sized(config, width=widths.dsrl))
    skip = experiment.blur_skip
    return Architecture(
        _sr(experiment.sr, widths, protocol) if experiment.sr else None,
        _segmentation(experiment.segmentation, widths, protocol),
        _sized(BlurSkipConfig(skip, shuffled=experiment.shuffled_kernel), hidden=widths.sft_hidden)
        if skip
        else None,
        reads=experiment.reads,
        kernel_source=experiment.kernel,
    )


def _sr(name: str, widths: Widths, protocol: Protocol) -> SRConfig:
    if name == "kbpn":
        config = KBPNConfig(
            estimated_kernel=protocol.estimated_kernel,
            kernel_head=widths.kernel_head,
            feedback=protocol.feedback,
            blur_padding=protocol.blur_padding,
            antialias=protocol.antialias,
        )
        return _sized(
            config, width=widths.kbpn, stages=widths.kbpn_stages, sft_hidden=widths.sft_hidden
        )
    if name in ("dbpn", "dbpn_wide"):
        width = widths.dbpn if name == "dbpn" else widths.dbpn_wide
        return _sized(DBPNConfig(residual=widths.residual), width=width, stages=widths.dbpn_stages)
    if name == "bicubic":
        return BicubicConfig()
    if name == "srcnet":
        return _sized(
            SrcNetConfig(residual=widths.residual),
            width=widths.srcnet,
            groups=widths.srcnet_groups,
            blocks=widths.srcnet_blocks,
        )
    raise ValueError(
        f"super-resolution network '{name}' is unknown; choose one of {', '.join(SR_MODULES)}"
    )


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
    if name in ("darkness", "otsu"):
        return DarknessConfig(otsu=name == "otsu")
    raise ValueError(f"segmentation network '{name}' is unknown")


Config = TypeVar("Config")


def _sized(config: Config, **sizes: int) -> Config:
    """A configuration with some sizes; 0 stands for the network's own full size."""
    return replace(config, **{name: value for name, value in sizes.items() if value})
