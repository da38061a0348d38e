"""The architecture of a model as a value: everything that builds its networks, and nothing else."""

from dataclasses import asdict, dataclass
from typing import Literal, Self, get_args

from torch import nn

from csbsr.toml import build

WIDEST, DEEPEST = 4096, 64
"""Bounds on sizes and on numbers of stages, groups and blocks: no file may ask for all there is."""
KernelSource = Literal["estimate", "true", "constant"]


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
    blur_padding: Literal["zeros", "reflect"] = "zeros"
    antialias: bool = True
    """How the data were reduced; used where the feedback is aligned with them."""

    def build(self) -> nn.Module:
        """The network, randomly initialised."""
        from csbsr.networks.kbpn import KBPN, Feedback

        return KBPN(
            self.width,
            self.stages,
            estimated_kernel=self.estimated_kernel,
            kernel_head=self.kernel_head,
            sft_hidden=self.sft_hidden,
            feedback=Feedback(self.feedback, self.blur_padding, self.antialias),
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
    residual: bool = False

    def build(self) -> nn.Module:
        """The network, randomly initialised."""
        from csbsr.networks.srcnet import SrcNetSR

        return SrcNetSR(self.width, self.groups, self.blocks, residual=self.residual)


@dataclass(frozen=True)
class BicubicConfig:
    """Enlargement without learning in the place of S."""

    network: Literal["bicubic"] = "bicubic"

    def build(self) -> nn.Module:
        """The enlargement; it has no weights."""
        from csbsr.networks.trivial import Bicubic

        return Bicubic()


@dataclass(frozen=True)
class DarknessConfig:
    """Darkness in the place of C: nothing is learnt."""

    network: Literal["darkness"] = "darkness"
    otsu: bool = False

    def build(self, pretrained: bool = False) -> nn.Module:
        """The map; it has no weights."""
        from csbsr.networks.trivial import Darkness

        return Darkness(self.otsu)


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
    output_stride: Literal[16, 4] = 16
    residual: bool = False

    def build(self, pretrained: bool = False) -> nn.Module:
        """The network, randomly initialised or on ImageNet features."""
        from csbsr.networks.dsrl import DSRL

        return DSRL(
            self.scale,
            self.width,
            pretrained=pretrained,
            output_stride=self.output_stride,
            residual=self.residual,
        )


@dataclass(frozen=True)
class BlurSkipConfig:
    """The blur skip of Sec. III-D before the head of C."""

    sft: Literal["modified", "original"] = "modified"
    hidden: int | None = None
    """Hidden channels of its SFT layers; None: as many as the features have (released)."""
    shuffled: bool = False
    """Control: every image gets the kernel of the next one of its batch."""

    def build(self, channels: int) -> nn.Module:
        """The skip for features of so many channels, randomly initialised."""
        from csbsr.networks.blur_skip import BlurSkip

        return BlurSkip(channels, modified=self.sft == "modified", hidden=self.hidden)


SRConfig = KBPNConfig | DBPNConfig | SrcNetConfig | BicubicConfig
SegmentationConfig = (
    PSPNetConfig
    | UNetConfig
    | HRNetConfig
    | CrackFormerConfig
    | SegNetConfig
    | DSRLConfig
    | DarknessConfig
)


@dataclass(frozen=True)
class _Use:
    """The fields of `Architecture` that belong to no network, as a file holds them."""

    reads: Literal["lr", "hr"] = "lr"
    kernel_source: KernelSource = "estimate"


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
    reads: Literal["lr", "hr"] = "lr"
    """The image that the model is given; "hr" only without S."""
    kernel_source: KernelSource = "estimate"
    """Where KBPN's kernel comes from."""

    def __post_init__(self) -> None:
        for part, values in self.to_dict().items():
            for name, value in values.items():
                most = DEEPEST if name in ("stages", "groups", "blocks") else WIDEST
                if type(value) is int and not 1 <= value <= most:
                    raise ValueError(f"architecture, [{part}]: {name} is {value}; give 1 to {most}")
        if self.sr is None and self.segmentation is None:
            raise ValueError("architecture: there is neither an SR nor a segmentation network")
        if self.reads == "hr" and self.sr is not None:
            raise ValueError("architecture: only a model without S reads HR images")
        if self.kernel_source != "estimate" and not isinstance(self.sr, KBPNConfig):
            raise ValueError("architecture: only KBPN takes a kernel")
        alone = self.sr is None and self.blur_skip is None
        if isinstance(self.segmentation, DSRLConfig) and not alone:
            raise ValueError("architecture: DSRL is one network; give neither sr nor blur_skip")
        if self.blur_skip and (
            self.segmentation is None
            or isinstance(self.sr, DBPNConfig | SrcNetConfig | BicubicConfig)
        ):
            raise ValueError("architecture: a blur skip needs a segmentation network and a kernel")

    def to_dict(self) -> dict[str, dict[str, object]]:
        """Plain values for JSON, without what is None; `from_dict` is the way back."""
        table = asdict(self)
        parts = {n: table[n] for n in ("sr", "segmentation", "blur_skip") if table[n] is not None}
        values = {
            name: {key: value for key, value in part.items() if value is not None}
            for name, part in parts.items()
        }
        return values | {"use": {"reads": self.reads, "kernel_source": self.kernel_source}}

    @classmethod
    def from_dict(cls, table: object) -> Self:
        """Read what `to_dict` wrote; ValueError for a key or value that means nothing here.

        A size that is missing is the network's full size: files stay readable when a network
        gets a new option whose default is what it did before.
        """
        if not isinstance(table, dict):
            raise ValueError("architecture: no table of networks")
        parts: dict[str, object] = {"sr": None, "segmentation": None}
        for name, part in table.items():
            where = f"architecture, [{name}]"
            if name == "blur_skip" and isinstance(part, dict):
                parts[name] = build(BlurSkipConfig, part, where)
            elif name == "use" and isinstance(part, dict):
                parts |= asdict(build(_Use, part, where))
            elif name in ("sr", "segmentation") and isinstance(part, dict):
                kinds = get_args(SRConfig if name == "sr" else SegmentationConfig)
                known = {kind.network: kind for kind in kinds}
                network = part.get("network")
                if not isinstance(network, str) or network not in known:
                    raise ValueError(f"{where}: network {network!r} is none of {', '.join(known)}")
                parts[name] = build(known[network], part, where)
            else:
                raise ValueError(
                    f"{where}: unknown, or no table; known: sr, segmentation, blur_skip, use"
                )
        return cls(**parts)


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
    from csbsr.networks.joint import DSRLJoint

    if isinstance(architecture.segmentation, DSRLConfig):
        return DSRLJoint(architecture.segmentation.build(pretrained))
    sr = architecture.sr.build() if architecture.sr else None
    segmentation: nn.Module = nn.Identity()
    if architecture.segmentation is not None:
        segmentation = build_segmentation(architecture, pretrained)
    return join(architecture, sr, segmentation)


def join(architecture: Architecture, sr: nn.Module | None, segmentation: nn.Module) -> nn.Module:
    """Tie networks that were built before together, as the architecture uses them."""
    from csbsr.networks.joint import Joint
    from csbsr.networks.trivial import Enlarged

    if sr is None and architecture.reads == "lr":
        segmentation = Enlarged(segmentation)
    skip = architecture.blur_skip
    return Joint(
        sr,
        segmentation,
        reads=architecture.reads,
        kernel_source=architecture.kernel_source,
        shuffle_kernels=skip is not None and skip.shuffled,
    )
