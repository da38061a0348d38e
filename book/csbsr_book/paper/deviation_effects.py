"""What a difference between text and released code does, measured on small examples.

Every function compares `PRINTED` with `RELEASED` (or two values of one option) on an example made
here, takes well under a second, and returns one sentence. Effects that need a training are not
measured; the deviations page says so.
"""

import math

import numpy as np
import torch
from torch import Tensor

from csbsr.data.distances import signed_distance
from csbsr.degradation import (
    constant_kernel,
    degrade,
    gaussian_kernels,
    quantise,
    random_kernels,
)
from csbsr.losses.loss_weights import crack_oriented_weight
from csbsr.losses.terms import (
    boundary_loss,
    dice_loss,
    generalized_dice_loss,
    weighted_cross_entropy,
)
from csbsr.metrics import kernel_psnr, psnr, threshold_curves
from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.dbpn import DBPN
from csbsr.networks.kbpn import KBPN, Feedback
from csbsr.networks.pspnet import PSPNet
from csbsr.protocol import PRINTED, RELEASED
from csbsr.training.schedules import beta_at

SIZE = 96


def crack_mask(size: int = SIZE) -> Tensor:
    """Return a mask (1, 1, size, size) with one straight crack, 3 px wide."""
    mask = torch.zeros(1, 1, size, size)
    mask[..., size // 2 - 1 : size // 2 + 2, size // 8 : -size // 8] = 1
    return mask


def crack_image(size: int = SIZE) -> Tensor:
    """Return a grainy grey image (1, 3, size, size) with that crack in it."""
    grain = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    return (0.55 + 0.2 * grain - 0.4 * crack_mask(size)).expand(1, 3, size, size)


def _distance(mask: Tensor) -> Tensor:
    field = signed_distance(mask[0, 0].numpy() > 0.5)
    return torch.as_tensor(np.asarray(field, dtype=np.float32))[None, None]


def _widest(std: float) -> Tensor:
    one = torch.tensor([std])
    return gaussian_kernels(one, one, torch.zeros(1))


def blur_range() -> str:
    """Compare the LR images under the widest blur of either range."""
    variance, std = _widest(math.sqrt(4.0)), _widest(4.0)
    difference = psnr(*(degrade(crack_image(), k, PRINTED) for k in (variance, std)))
    return (
        "The widest blur has a standard deviation of 2 px by the text and 4 px by the code; the "
        f"PSNR between the LR images of one example is then {difference.item():.1f} dB."
    )


def percentile() -> str:
    """Compare the percentiles on a perfect line with one false blob far away."""
    truth = np.zeros((SIZE, SIZE), bool)
    truth[10, 5:90] = True
    prob = truth.astype(np.float32)
    prob[80:84, 40:44] = 1
    values = [threshold_curves(prob, truth, [0.5], percentile=p).hausdorff[0] for p in (95.0, 50.0)]
    return (
        f"A perfect line with one false blob 70 px away: {values[0]:.1f} px at percentile "
        f"95, {values[1]:.1f} px at percentile 50."
    )


def pspnet_extractor() -> str:
    """Count the parameters of both networks at full width."""
    with torch.device("meta"):
        nets = [PSPNet(extractor=p.pspnet_extractor) for p in (PRINTED, RELEASED)]
    counts = [sum(w.numel() for w in net.parameters()) / 1e6 for net in nets]
    return f"PSPNet has {counts[0]:.1f} million parameters with VGG-16, {counts[1]:.1f} otherwise."


def network_sizes() -> str:
    """Count the parameters of the two SR networks at full width, as the code compares them."""
    with torch.device("meta"):
        counts = [
            sum(w.numel() for w in n.parameters()) / 1e6 for n in (DBPN(), KBPN(estimated_kernel=7))
        ]
    return f"DBPN has {counts[0]:.1f} million parameters, KBPN {counts[1]:.1f}."


def estimated_kernel() -> str:
    """Shrink kernels to 7 x 7 and enlarge them again, as the best case of the smaller estimate."""
    kernels = random_kernels(200, np.random.default_rng(0), RELEASED)
    resize = torch.nn.functional.interpolate
    small = resize(kernels, size=(7, 7), mode="bicubic", align_corners=False, antialias=True)
    back = resize(small, size=(21, 21), mode="bicubic", align_corners=False)
    back = back / back.sum((2, 3), keepdim=True)
    constant = constant_kernel(RELEASED).expand_as(kernels)
    score, least = (kernel_psnr(k, kernels).mean().item() for k in (back, constant))
    return (
        f"200 random kernels, shrunk to 7 x 7 and enlarged again: {score:.1f} dB kernel PSNR; the "
        f"best constant kernel has {least:.1f} dB on them."
    )


def feedback() -> str:
    """Compare what is left of the error when KBPN has found the true image and the true kernel."""
    kernel = _widest(2.0)
    lr = degrade(crack_image(), kernel, PRINTED)
    left = [
        (Feedback(grid).reduce(crack_image(), kernel.flatten(1), 4) - lr).abs().mean().item()
        for grid in ("released", "aligned")
    ]
    return (
        "With the true image and the true kernel, blur of 2 px, the mean absolute error that the "
        f"feedback reports is {left[0]:.3f} as released and {left[1]:.3f} when aligned."
    )


def kernel_weight() -> str:
    """Compare the size of the kernel term with that of the image terms for a useless estimate."""
    kernels = random_kernels(200, np.random.default_rng(0), RELEASED)
    error = (kernels - kernels.mean(0, keepdim=True)).square().mean().item()
    return (
        f"For the mean kernel as estimate the term is {PRINTED.kernel_weight:g} x {error:.0e}, far "
        "below image terms of some 0.01: either way it hardly trains the estimator."
    )


def wce() -> str:
    """Compare what missing all cracks costs against a uniform doubt."""
    mask = crack_mask()
    share = mask.mean().item()
    doubt = torch.full_like(mask, 0.5)
    missed = torch.full_like(mask, 0.01)
    ratios = [
        (weighted_cross_entropy(missed, mask, p) / weighted_cross_entropy(doubt, mask, p)).item()
        for p in (PRINTED, RELEASED)
    ]
    return (
        f"With {share:.1%} of crack pixels, predicting 1 % everywhere costs {ratios[0]:.2f} times "
        f"as much as predicting one half by the text, {ratios[1]:.2f} times by the code."
    )


def dice() -> str:
    """Compare the loss of predicting nothing."""
    mask = crack_mask()
    values = [dice_loss(torch.zeros_like(mask), mask, p).item() for p in (PRINTED, RELEASED)]
    return (
        f"Predicting nothing at {mask.mean().item():.1%} of crack pixels: loss {values[0]:.2f} by "
        f"the text, {values[1]:.2f} by the code."
    )


def gdice() -> str:
    """Compare the loss of the truth and of predicting nothing."""
    mask = crack_mask()
    paper, code = (
        [generalized_dice_loss(x, mask, p).item() for x in (mask, torch.zeros_like(mask))]
        for p in (PRINTED, RELEASED)
    )
    return (
        f"Truth against nothing: {paper[0]:.3f} against {paper[1]:.3f} by the text, "
        f"{code[0]:.3f} against {code[1]:.3f} by the code."
    )


def boundary() -> str:
    """Compare the cost of one false pixel beside the crack with the gain of the whole crack."""
    mask = crack_mask()
    distance = _distance(mask)
    beside = torch.zeros_like(mask)
    beside[..., SIZE // 2 + 2, SIZE // 2] = 1
    costs, gains = (
        [boundary_loss(x, distance, p).item() for p in (PRINTED, RELEASED)] for x in (beside, mask)
    )
    return (
        f"One false pixel beside a crack costs {costs[0]:.2f} by the text and {costs[1]:.1e} by "
        f"the code, where the whole crack gains {-gains[0]:.0f} and {-gains[1]:.1e}."
    )


def crack_weight_factor() -> str:
    """Compare the weights on a crack and one pixel beside it for m^C = 8."""
    distance = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    paper, code = (
        crack_oriented_weight(distance, 8.0, p).flatten().tolist() for p in (PRINTED, RELEASED)
    )
    return (
        f"With m^C = 8: {paper[0]:.0f} on a crack and {paper[1]:.4f} one pixel beside it by the "
        f"text, {code[0]:.0f} and {code[1]:.4f} by the code."
    )


def blur_skip_training() -> str:
    """Count what learns in the last stage."""
    with torch.device("meta"):
        skip = sum(w.numel() for w in BlurSkip().parameters()) / 1e6
    return f"With everything else frozen, {skip:.1f} million parameters learn, those of the skip."


def antialias() -> str:
    """Compare the LR images with and without antialias."""
    kernel = _widest(1.0)
    images = [degrade(crack_image(), kernel, PRINTED.but(antialias=a)) for a in (True, False)]
    return (
        "PSNR between the LR images of one example with and without antialias, blur of 1 px: "
        f"{psnr(*images).item():.1f} dB."
    )


def quantise_test() -> str:
    """Compare the LR image before and after truncation to 8 bits."""
    lr = degrade(crack_image(), _widest(1.0), PRINTED)
    score = psnr(lr, quantise(lr)).item()
    return f"PSNR between an LR image and its truncation to 8 bits: {score:.1f} dB."


def blur_padding() -> str:
    """Compare the corner of a constant image under the widest blur."""
    white, kernel = torch.ones(1, 3, SIZE, SIZE), _widest(4.0)
    corner = {
        p: degrade(white, kernel, RELEASED.but(blur_padding=p))[0, 0, 0, 0].item()
        for p in ("zeros", "reflect")
    }
    return (
        f"The corner pixel of a white LR image under the widest blur is {corner['zeros']:.2f} with "
        f"zeros and {corner['reflect']:.2f} with reflection."
    )


def empty_penalty() -> str:
    """State the three penalties for one image of the data set's size."""
    truth = np.zeros((SIZE, SIZE), bool)
    truth[5, 5:9] = True
    nothing = np.zeros((SIZE, SIZE), np.float32)
    values = [
        threshold_curves(nothing, truth, [0.5], empty_penalty=rule).hausdorff[0]
        for rule in ("width", "diagonal", "infinite")
    ]
    return (
        f"A missed crack in an image of {SIZE} px costs {values[0]:.0f} px by the width, "
        f"{values[1]:.1f} px by the diagonal, or {values[2]:.0f}."
    )


def beta_ramp() -> str:
    """Compare beta in the middle of step 3."""
    total = 150_000
    betas = [beta_at(total // 2, total, "increasing", p) for p in (PRINTED, RELEASED)]
    return (
        f"In the middle of step 3 beta is {betas[0]:.3f} by the text, {betas[1]:.3f} by the code."
    )
