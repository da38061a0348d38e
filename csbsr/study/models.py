"""Networks of an experiment at a profile's widths."""

from torch import nn

from csbsr.networks.joint import DSRLJoint, Joint
from csbsr.protocol import Protocol
from csbsr.study.experiments import SFT, Experiment
from csbsr.study.profiles import Widths

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


def modules_of(experiment: Experiment) -> list[str]:
    """Modules whose code decides an experiment's numbers, as roots of the import graph."""
    return [*training_modules_of(experiment), "csbsr.evaluation"]


def training_modules_of(experiment: Experiment) -> list[str]:
    """Modules whose code decides an experiment's weights: all of the above but the metrics."""
    roots = [
        "csbsr.networks.joint",
        "csbsr.training.trainer",
        "csbsr.data.cracks",
        "csbsr.data.synthetic",
        "csbsr.data.natural",
        *SEGMENTATION_MODULES[experiment.segmentation],
    ]
    if experiment.sr:
        roots += SR_MODULES[experiment.sr]
    if experiment.blur_skip:
        roots.append("csbsr.networks.blur_skip")
    return roots


def _sized(**sizes: int) -> dict[str, int]:
    """Drop sizes of 0, which stand for a network's own default."""
    return {name: value for name, value in sizes.items() if value}


def build_sr(name: str, widths: Widths, protocol: Protocol) -> nn.Module:
    """The super-resolution network called `name`, randomly initialised."""
    if name == "kbpn":
        from csbsr.networks.kbpn import KBPN

        sizes = _sized(width=widths.kbpn, stages=widths.kbpn_stages, sft_hidden=widths.sft_hidden)
        size = protocol.estimated_kernel
        return KBPN(**sizes, estimated_kernel=size, kernel_head=widths.kernel_head)
    if name == "dbpn":
        from csbsr.networks.dbpn import DBPN

        residual = widths.kernel_head == "log_energy"  # narrow networks start from bicubic
        return DBPN(**_sized(width=widths.dbpn, stages=widths.dbpn_stages), residual=residual)
    if name == "srcnet":
        from csbsr.networks.srcnet import SrcNetSR

        sizes = _sized(
            width=widths.srcnet, groups=widths.srcnet_groups, blocks=widths.srcnet_blocks
        )
        return SrcNetSR(**sizes)
    raise ValueError(f"super-resolution network '{name}' is unknown; choose kbpn, dbpn or srcnet")


def build_segmentation(
    name: str, widths: Widths, protocol: Protocol, pretrained: bool, blur_skip: SFT | None = None
) -> nn.Module:
    """The segmentation network called `name`, randomly initialised or on ImageNet features."""
    if name == "pspnet":
        from csbsr.networks.pspnet import PSPNet

        sizes = _sized(width=widths.pspnet)
        network: nn.Module = PSPNet(protocol.pspnet_extractor, **sizes, pretrained=pretrained)
    elif name == "unet":
        from csbsr.networks.unet import UNet16

        network = UNet16(**_sized(width=widths.unet), pretrained=pretrained)
    elif name == "hrnet":
        from csbsr.networks.ocr import HRNetOCR

        network = HRNetOCR(**_sized(width=widths.hrnet))
    elif name == "crackformer":
        from csbsr.networks.crackformer import CrackFormer

        network = CrackFormer(**_sized(width=widths.crackformer))
    elif name == "segnet":
        from csbsr.networks.segnet import SegNet

        network = SegNet(**_sized(width=widths.segnet))
    else:
        raise ValueError(f"segmentation network '{name}' is unknown")
    if blur_skip:
        from csbsr.networks.blur_skip import BlurSkip

        hidden = _sized(hidden=widths.sft_hidden)
        network.blur_skip = BlurSkip(
            network.skip_channels, modified=blur_skip == "modified", **hidden
        )
    return network


def build(
    experiment: Experiment, widths: Widths, protocol: Protocol, pretrained: bool = False
) -> nn.Module:
    """Both networks of an experiment tied together (Sec. III-A), or DSRL's single one."""
    if experiment.sr == "dsrl":
        from csbsr.networks.dsrl import DSRL

        return DSRLJoint(DSRL(scale=4, **_sized(width=widths.dsrl)))
    sr = build_sr(experiment.sr, widths, protocol) if experiment.sr else None
    segmentation = build_segmentation(
        experiment.segmentation, widths, protocol, pretrained, experiment.blur_skip
    )
    return Joint(sr, segmentation)
