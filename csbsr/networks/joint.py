"""The whole model (Sec. III): super-resolution S, normalisation, segmentation C, in one module."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.networks.blocks import full_precision
from csbsr.networks.kbpn import KBPN

Normalisation = Literal["instance", "dataset", "none"]
KernelSource = Literal["estimate", "true", "constant"]

DATASET_MEAN = (0.4741, 0.4937, 0.5048)
DATASET_STD = (0.1621, 0.1532, 0.1523)
"""Per-channel statistics of the training images, the released code's alternative to "instance"."""


class JointOutput(NamedTuple):
    """What the joint model returns; H = 4h, W = 4w.

    `sr` (B, 3, H, W), the image as given without a network S, and `prob` (B, 1, H, W), both
    float32; `kernel` (B, 1, 21, 21), sum 1, or None where S estimates none; `aux` and
    `kernel_map` as the two networks return them, or None; `features` DSRL's pair (segmentation,
    SR) for its feature-affinity loss, else None.
    """

    sr: Tensor
    prob: Tensor
    kernel: Tensor | None = None
    aux: Tensor | None = None
    kernel_map: Tensor | None = None
    features: tuple[Tensor, Tensor] | None = None


class Normalise(nn.Module):
    """Normalisation of the SR image before segmentation: (B, 3, H, W) -> (B, 3, H, W), float32.

    "instance": every channel of every image to mean 0, variance 1 (released configuration);
    "dataset": by fixed statistics; "none": as it is. A tile of a larger image is normalised as the
    image is when `statistics` gives the image's mean and standard deviation, (3, 1, 1) each.
    """

    def __init__(self, kind: Normalisation = "instance") -> None:
        super().__init__()
        if kind not in ("instance", "dataset", "none"):
            raise ValueError(f"normalisation '{kind}' is not 'instance', 'dataset' or 'none'")
        self.kind = kind
        for name, values in (("mean", DATASET_MEAN), ("std", DATASET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, image: Tensor, statistics: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Normalise images; `statistics` replace those of each image, for "instance" alone."""
        image = full_precision(image)
        if self.kind == "instance":
            if statistics is None:
                return F.instance_norm(image)
            mean, std = statistics
            return (image - mean) / std
        return (image - self.mean) / self.std if self.kind == "dataset" else image


class Joint(nn.Module):
    """S and C in sequence, trained with one loss (Eq. 2) or separately.

    `sr` is KBPN, DBPN, SrcNetSR, Bicubic, or None for segmentation of the image as given.
    `segmentation` takes a normalised image and, for its blur skip, the kernel. `reads` says which
    image the model is to be given: "lr", or "hr" (by default without S: the upper bound).
    `kernel_source` is where KBPN's kernel comes from, in training and at test: its own estimate,
    the true kernel (the oracle, which must then be given), or one constant kernel for all images,
    the buffer `constant` (1, 21, 21). `shuffle_kernels` hands the blur skip the kernel of the next
    image of the batch (a control; an image alone in its batch keeps its own).
    """

    def __init__(
        self,
        sr: nn.Module | None,
        segmentation: nn.Module,
        normalisation: Normalisation = "instance",
        *,
        reads: Literal["lr", "hr"] | None = None,
        kernel_source: KernelSource = "estimate",
        shuffle_kernels: bool = False,
    ) -> None:
        super().__init__()
        self.sr = sr
        self.reads = reads or ("hr" if sr is None else "lr")
        self.kernel_source = kernel_source
        if kernel_source == "constant":
            self.register_buffer("constant", torch.zeros(1, 21, 21))
        self.shuffle_kernels = shuffle_kernels
        self.normalise = Normalise(normalisation)
        self.segmentation = segmentation

    def forward(
        self,
        lr: Tensor,
        kernel: Tensor | None = None,
        clamp: bool | None = None,
        detach: bool = False,
    ) -> JointOutput:
        """Super-resolve lr (B, 3, h, w) in [0, 1] and segment the result.

        A given `kernel` (B, 1, 21, 21) replaces KBPN's estimate. `clamp` limits the SR image to
        [0, 1] before segmentation; by default only in eval mode, as released. `detach` keeps the
        segmentation loss from reaching S (the control experiment).
        """
        sr, square, kernel_map = self.super_resolve(lr, kernel)
        if clamp if clamp is not None else not self.training:
            sr = sr.clamp(0, 1)
        image = self.normalise(sr)
        condition = None if square is None else square.flatten(1)  # (B, 441)
        if detach:
            image = image.detach()
            condition = None if condition is None else condition.detach()
        if self.shuffle_kernels and condition is not None:
            condition = condition.roll(1, 0)
        prob, aux = self.segmentation(image, condition)
        return JointOutput(sr, prob, square, aux, kernel_map)

    def super_resolve(
        self, lr: Tensor, kernel: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Run S alone: SR image, kernel (B, 1, 21, 21) or None, kernel map or None, as above.

        ValueError if the kernel is to be the true one and is not given.
        """
        if self.sr is None:
            return lr, kernel, None
        if not isinstance(self.sr, KBPN):
            return self.sr(lr).sr, None, None
        if self.kernel_source == "true" and kernel is None:
            raise ValueError("this model is an oracle: it needs the true kernel of every image")
        if self.kernel_source == "constant":
            kernel = self.constant.expand(len(lr), -1, -1, -1)
        sr, kernel_map = self.sr(lr, kernel)
        return sr, kernel_map[:, :, 0, 0].unflatten(1, (1, 21, 21)), kernel_map


class DSRLJoint(nn.Module):
    """DSRL behind the interface of `Joint`: both outputs from the LR image, resized to H x W.

    `network` returns (seg, sr, fea_seg, fea_sr); where it enlarges less than `scale` its outputs
    are resized bilinearly, as the released x2 network's are.
    """

    reads: Literal["lr", "hr"] = "lr"
    kernel_source: KernelSource = "estimate"

    def __init__(self, network: nn.Module, scale: int = 4) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(
        self,
        lr: Tensor,
        kernel: Tensor | None = None,
        clamp: bool | None = None,
        detach: bool = False,
    ) -> JointOutput:
        """Segment and super-resolve lr; `kernel` and `detach` have no meaning here."""
        seg, sr, *features = self.network(lr)
        size = [self.scale * side for side in lr.shape[2:]]
        if list(sr.shape[2:]) != size:
            sr, seg = (F.interpolate(t, size=size, mode="bilinear") for t in (sr, seg))
        if clamp if clamp is not None else not self.training:
            sr = sr.clamp(0, 1)
        return JointOutput(full_precision(sr), full_precision(seg), features=tuple(features))
