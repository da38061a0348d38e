"""Which losses and weights apply when: L_J = (1 - beta) L_S + beta L_C (Eq. 2) and its parts."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from csbsr.degradation import degrade
from csbsr.losses.loss_weights import (
    combine,
    crack_oriented_weight,
    fail_oriented_weight,
    segmentation_weight,
)
from csbsr.losses.segmentation import segmentation_loss, segmentation_loss_map
from csbsr.losses.super_resolution import (
    dsrl_loss,
    feature_affinity_loss,
    kbpn_loss,
    kernel_loss,
    l1_loss,
)
from csbsr.protocol import Protocol
from csbsr.training.config import StepConfig
from csbsr.training.parts import autocast

BOUNDARY_LOSSES = ("bc", "gbc", "bgdice")


class Images(NamedTuple):
    """One batch on the model's device, see `csbsr.data.stream.CrackBatch`."""

    hr: Tensor  # (B, 3, H, W)
    mask: Tensor  # (B, 1, H, W)
    distance: Tensor  # (B, 1, H, W)
    kernel: Tensor  # (B, 1, 21, 21)


class Prediction(NamedTuple):
    """What the networks made of a batch; None where a half did not run."""

    sr: Tensor | None = None  # (B, 3, H, W)
    kernel: Tensor | None = None  # (B, 1, 21, 21)
    prob: Tensor | None = None  # (B, 1, H, W)
    aux: Tensor | None = None  # (B, n, H, W)
    features: tuple[Tensor, Tensor] | None = None  # DSRL's pair for its feature affinity


class Objective(nn.Module):
    """Degradation, networks and losses of one iteration, as one module.

    Losses are inside, so that DDP sees which parameters took part. `model` is a
    `csbsr.networks.joint.Joint`, of which either half may be absent, or a `JointDSRL`. Without an
    SR network the HR images themselves are segmented.
    """

    def __init__(self, model: nn.Module, config: StepConfig, protocol: Protocol) -> None:
        super().__init__()
        self.model, self.config, self.protocol = model, config, protocol
        self.networks = torch.compile(self._networks) if config.compile else self._networks

    def forward(
        self, images: Images, alpha: float, beta: float, given_kernel: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss to descend (scalar) and every term by name (detached scalars)."""
        with torch.no_grad():
            source = images.hr
            if self.model.reads == "lr":
                source = degrade(images.hr, images.kernel, self.protocol)  # (B, 3, H/4, W/4)
            if self.config.channels_last:
                source = source.contiguous(memory_format=torch.channels_last)
        given = given_kernel or self.model.kernel_source == "true"
        with autocast(self.config, source.device):
            output = self.networks(source, images.kernel if given else None)
        return objective(output, images, source, self.config, self.protocol, alpha, beta)

    def _networks(self, source: Tensor, kernel: Tensor | None) -> Prediction:
        if self.config.train == "kernel":
            return Prediction(kernel=self.model.sr.estimate_kernel(source))
        if self.config.train == "sr":
            sr, estimate, _ = self.model.super_resolve(source, kernel)
            return Prediction(sr, estimate)
        out = self.model(source, kernel, clamp=False, detach=self.config.detach)
        return Prediction(out.sr, out.kernel, out.prob, out.aux, out.features)


def objective(
    output: Prediction,
    images: Images,
    lr: Tensor,
    config: StepConfig,
    protocol: Protocol,
    alpha: float,
    beta: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch and its terms by name: `loss`, `L_S`, `L_C` and what they consist of.

    S alone: L_S. Its kernel alone: L_K. C or the blur skip alone: L_C. Both: Eq. 2. DSRL: its
    own sum. KBPN adds `L_S_hr`, `L_S_lr`, `L_S_kernel`, auxiliary heads `L_C_aux`, DSRL
    `feature_affinity`. `alpha` and `beta` are the values at this iteration; the loss is the mean
    over the batch.
    """
    if config.sr_loss == "dsrl":
        loss, terms = dsrl_objective(output, images, config, protocol, alpha)
    elif config.train == "kernel":
        loss = kernel_loss(output.kernel, images.kernel)
        terms = {"L_K": loss}
    elif config.train == "sr":
        loss, terms = sr_objective(output, images, lr, None, config, protocol)
    else:
        loss, terms = segmentation_objective(output, images, config, protocol, alpha)
        if config.trains_sr:
            weight = sr_weight(output, images, config, protocol, alpha)
            l_s, parts = sr_objective(output, images, lr, weight, config, protocol)
            loss = (1 - beta) * l_s + beta * loss
            terms |= parts
    loss = loss.mean()
    return loss, {"loss": loss.detach()} | {k: v.detach().mean() for k, v in terms.items()}


def segmentation_objective(
    output: Prediction, images: Images, config: StepConfig, protocol: Protocol, alpha: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """L_C per sample (B,), with the fail-oriented weight and auxiliary heads if any."""
    weight = None
    if config.fail_weight_on_segmentation is not None:
        weight = fail_oriented_weight(output.prob, images.mask, config.fail_weight_on_segmentation)
    main = _segmentation(output.prob, images, config, protocol, alpha, weight)
    if output.aux is None or protocol.auxiliary_weight == 0:
        return main, {"L_C": main}
    sides = output.aux.split(1, dim=1)  # n x (B, 1, H, W)
    aux = torch.stack(
        [_segmentation(side, images, config, protocol, alpha, weight) for side in sides]
    )  # (n, B)
    # As released: CrackFormer's sides are averaged, but summed when the loss has a Boundary term.
    aux = aux.sum(0) if config.loss in BOUNDARY_LOSSES else aux.mean(0)
    total = main + protocol.auxiliary_weight * aux
    return total, {"L_C": total, "L_C_aux": aux}


def sr_objective(
    output: Prediction,
    images: Images,
    lr: Tensor,
    weight: Tensor | None,
    config: StepConfig,
    protocol: Protocol,
) -> tuple[Tensor, dict[str, Tensor]]:
    """L_S per sample (B,): KBPN's three terms or L1, its pixels weighted by `weight`."""
    if config.sr_loss == "l1":
        total = l1_loss(output.sr, images.hr, weight)
        return total, {"L_S": total}
    if output.kernel is None:
        raise ValueError(
            "step: sr_loss = 'kbpn' needs a network that estimates a kernel; choose 'l1'"
        )
    parts = kbpn_loss(
        output.sr,
        images.hr,
        lr,
        output.kernel,
        images.kernel,
        protocol=protocol,
        pixel_weight=weight,
    )
    terms = {"L_S_hr": parts.hr, "L_S_lr": parts.lr, "L_S_kernel": parts.kernel}
    return parts.total, {"L_S": parts.total} | terms


def sr_weight(
    output: Prediction, images: Images, config: StepConfig, protocol: Protocol, alpha: float
) -> Tensor | None:
    """Product of w^C, w^F and L_C on L_S (B, 1, H, W), without gradient; None if none is asked."""
    crack = fail = segmentation = None
    with torch.no_grad():
        if config.crack_weight is not None:
            crack = crack_oriented_weight(images.distance, config.crack_weight, protocol)
        if config.fail_weight is not None:
            fail = fail_oriented_weight(output.prob, images.mask, config.fail_weight)
        if config.segmentation_on_sr:
            loss_map = segmentation_loss_map(
                config.loss,
                output.prob,
                images.mask,
                images.distance,
                alpha=alpha,
                protocol=protocol,
            )
            segmentation = segmentation_weight(loss_map, protocol)
        return combine(crack, fail, segmentation)


def dsrl_objective(
    output: Prediction, images: Images, config: StepConfig, protocol: Protocol, alpha: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """DSRL's objective per sample (B,), with its terms: L_C (its own is "bce"), L1, affinity."""
    l_c = _segmentation(output.prob, images, config, protocol, alpha, None)
    l_s = l1_loss(output.sr, images.hr)
    affinity = feature_affinity_loss(*output.features)
    return dsrl_loss(l_c, l_s, affinity), {"L_C": l_c, "L_S": l_s, "feature_affinity": affinity}


def _segmentation(
    prob: Tensor,
    images: Images,
    config: StepConfig,
    protocol: Protocol,
    alpha: float,
    weight: Tensor | None,
) -> Tensor:
    return segmentation_loss(
        config.loss,
        prob,
        images.mask,
        images.distance,
        alpha=alpha,
        protocol=protocol,
        pixel_weight=weight,
    )
