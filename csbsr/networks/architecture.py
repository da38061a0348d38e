"""The architecture of a model as a value: everything that builds its networks, and nothing else."""

from dataclasses import asdict, dataclass, fields
from typing import Literal, Self, get_args, get_type_hints

from torch import nn

LARGEST = 4096
"""No width, depth or side may exceed this: a damaged file must not ask for all memory there is."""


@dataclass(frozen=True)
class KBPNConfig:
    """KBPN, blind super-resolution S."""

    network: Literal["kbpn"] = "kbpn"
    width: int = 128
    stages: int = 4
    sft_hidden: int | None = None
    """Hidden channels of the SFT layers; None: as many as the features have (released)."""
    estimated_kernel: int = 21
    kernel_head: Literal["released", "log_energy"] = "released"
    feedback: Literal["released", "aligned"] = "released"

    def build(self) -> nn.Module:
        """The network, randomly initialised."""
        from csbsr.networks.kbpn import KBPN

        if self.feedback != "released":  # hand it over here once KBPN knows another one
            raise ValueError(f"KBPN: feedback '{self.feedback}' is not built yet")
        return KBPN(
            self.width,
            self.stages,
            estimated_kernel=self.estimated_kernel,
            kernel_head=self.kernel_head,
            sft_hidden=self.sft_hidden,
        )


@dataclass(frozen=True)
class DBPNConfig:
    """DBPN, non-blind super-resolution S."""

    network: Literal["dbpn"] = "dbpn"
    width: int = 64
    stages: int = 4
    residual: bool = False
    """Add the bicubic image; narrow networks start from it."""

    def build(self) -> nn.Module:
        """The network, randomly initialised."""
        from csbsr.networks.dbpn import DBPN

        return DBPN(self.width, self.stages, residual=self.residual)


@dataclass(frozen=True)
class SrcNetConfig:
    """The super-resolution network of SrcNet."""

    network: Literal["srcnet"] = "srcnet"
    width: int = 64
    groups: int = 10
    blocks: int = 20

    def build(self) -> nn.Module:
        """The network, randomly initialised."""
        from csbsr.networks.srcnet import SrcNetSR

        return SrcNetSR(self.width, self.groups, self.blocks)


@dataclass(frozen=True)
class PSPNetConfig:
    """PSPNet, segmentation C."""

    network: Literal["pspnet"] = "pspnet"
    width: int = 64
    extractor: Literal["vgg16", "resnet34"] = "vgg16"

    def build(self, pretrained: bool = False) -> nn.Module:
        """The network, randomly initialised or on ImageNet features."""
        from csbsr.networks.pspnet import PSPNet

        return PSPNet(self.extractor, self.width, pretrained=pretrained)


@dataclass(frozen=True)
class UNetConfig:
    """U-Net on VGG-16, segmentation C."""

    network: Literal["unet"] = "unet"
    width: int = 64
    upsampling: Literal["pixel_shuffle", "deconv"] = "pixel_shuffle"

    def build(self, pretrained: bool = False) -> nn.Module:
        """The network, randomly initialised or on ImageNet features."""
        from csbsr.networks.unet import UNet16

        return UNet16(self.upsampling, self.width, pretrained=pretrained)


@dataclass(frozen=True)
class HRNetConfig:
    """HRNet with OCR, segmentation C; it has no ImageNet features here."""

    network: Literal["hrnet"] = "hrnet"
    width: int = 48

    def build(self, pretrained: bool = False) -> nn.Module:
        """The network, randomly initialised."""
        from csbsr.networks.ocr import HRNetOCR

        return HRNetOCR(self.width)


@dataclass(frozen=True)
class CrackFormerConfig:
    """CrackFormer, segmentation C; it has no ImageNet features."""

    network: Literal["crackformer"] = "crackformer"
    width: int = 64

    def build(self, pretrained: bool = False) -> nn.Module:
        """The network, randomly initialised."""
        from csbsr.networks.crackformer import CrackFormer

        return CrackFormer(self.width)


@dataclass(frozen=True)
class SegNetConfig:
    """SrcNet's segmentation network; it has no ImageNet features here."""

    network: Literal["segnet"] = "segnet"
    width: int = 64

    def build(self, pretrained: bool = False) -> nn.Module:
        """The network, randomly initialised."""
        from csbsr.networks.segnet import SegNet

        return SegNet(self.width)


@dataclass(frozen=True)
class DSRLConfig:
    """DSRL: one network that super-resolves and segments, so that it stands without an S."""

    network: Literal["dsrl"] = "dsrl"
    width: int = 64
    scale: int = 4

    def build(self, pretrained: bool = False) -> nn.Module:
        """The network, randomly initialised or on ImageNet features."""
        from csbsr.networks.dsrl import DSRL

        return DSRL(self.scale, self.width, pretrained=pretrained)


@dataclass(frozen=True)
class BlurSkipConfig:
    """The blur skip of Sec. III-D before the head of C."""

    sft: Literal["modified", "original"] = "modified"
    hidden: int | None = None
    """Hidden channels of its SFT layers; None: as many as the features have (released)."""

    def build(self, channels: int) -> nn.Module:
        """The skip for features of so many channels, randomly initialised."""
        from csbsr.networks.blur_skip import BlurSkip

        return BlurSkip(channels, modified=self.sft == "modified", hidden=self.hidden)


SRConfig = KBPNConfig | DBPNConfig | SrcNetConfig
SegmentationConfig = (
    PSPNetConfig | UNetConfig | HRNetConfig | CrackFormerConfig | SegNetConfig | DSRLConfig
)


@dataclass(frozen=True)
class Architecture:
    """Everything that builds a model; of each size only those that its networks use.

    Defaults of every part are the paper's full size. ValueError for parts that make no model.
    """

    sr: SRConfig | None
    """Super-resolution network S; None: the image is segmented as it is, or DSRL does both."""
    segmentation: SegmentationConfig | None
    """Segmentation network C; None: super-resolution alone."""
    blur_skip: BlurSkipConfig | None = None

    def __post_init__(self) -> None:
        if self.sr is None and self.segmentation is None:
            raise ValueError("architecture: there is neither an SR nor a segmentation network")
        alone = self.sr is None and self.blur_skip is None
        if isinstance(self.segmentation, DSRLConfig) and not alone:
            raise ValueError("architecture: DSRL is one network; give neither sr nor blur_skip")
        if self.blur_skip and (
            self.segmentation is None or isinstance(self.sr, DBPNConfig | SrcNetConfig)
        ):
            raise ValueError("architecture: a blur skip needs a segmentation network and a kernel")

    @property
    def super_resolves(self) -> bool:
        """Whether the model gives an image of more pixels than it got."""
        return self.sr is not None or isinstance(self.segmentation, DSRLConfig)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: object) -> Self:
        """Read what `to_dict` wrote; ValueError on an unknown, missing or senseless value."""
        table = _table(table, cls, "architecture")
        skip = table["blur_skip"]
        return cls(
            _network(table["sr"], SRConfig, "sr"),
            _network(table["segmentation"], SegmentationConfig, "segmentation"),
            None if skip is None else _read(skip, BlurSkipConfig, "blur_skip"),
        )


def build_segmentation(architecture: Architecture, pretrained: bool = False) -> nn.Module:
    """C of an architecture with its blur skip, randomly initialised or on ImageNet features."""
    network = architecture.segmentation.build(pretrained)
    if architecture.blur_skip:
        network.blur_skip = architecture.blur_skip.build(network.skip_channels)
    return network


def build_model(architecture: Architecture, pretrained: bool = False) -> nn.Module:
    """The whole model: S and C tied together (Sec. III-A), or DSRL's single network.

    Randomly initialised; `pretrained` gives C its ImageNet features where it has some. Without a
    segmentation network the model super-resolves and hands the normalised image on.
    """
    from csbsr.networks.joint import DSRLJoint, Joint

    if isinstance(architecture.segmentation, DSRLConfig):
        return DSRLJoint(architecture.segmentation.build(pretrained))
    sr = architecture.sr.build() if architecture.sr else None
    if architecture.segmentation is None:
        return Joint(sr, nn.Identity())
    return Joint(sr, build_segmentation(architecture, pretrained))


def _table(value: object, kind: type, where: str) -> dict:
    """A table with exactly the fields of a dataclass."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: {value!r:.60} is no table of values")
    names = [f.name for f in fields(kind)]
    for name in value:
        if name not in names:
            raise ValueError(f"{where}: '{name!s:.60}' is unknown; known is {', '.join(names)}")
    for name in names:
        if name not in value:
            raise ValueError(f"{where}: '{name}' is missing")
    return value


def _network(value: object, kinds: object, where: str) -> object | None:
    """One network of a union of configurations, chosen by its `network`."""
    if value is None:
        return None
    by_name = {kind.network: kind for kind in get_args(kinds)}
    name = value.get("network") if isinstance(value, dict) else value
    if not isinstance(name, str) or name not in by_name:
        raise ValueError(f"{where}: network {name!r:.60} is none of {', '.join(by_name)}")
    return _read(value, by_name[name], where)


def _read(value: object, kind: type, where: str) -> object:
    table, hints = _table(value, kind, where), get_type_hints(kind)
    for name, given in table.items():
        choices = get_args(hints[name])
        if hints[name] is bool:
            good, want = isinstance(given, bool), "true or false"
        elif choices and int not in choices:
            good, want = isinstance(given, str) and given in choices, " or ".join(choices)
        else:
            whole = isinstance(given, int) and not isinstance(given, bool)
            good = (whole and 1 <= given <= LARGEST) or (given is None and bool(choices))
            want = f"a whole number in 1..{LARGEST}"
        if not good:
            raise ValueError(f"{where}: '{name}' is {given!r:.60}; it must be {want}")
    return kind(**table)
