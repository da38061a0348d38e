"""Checks of the exercises on networks and the blur skip (chapters 6, 13, a3, a4)."""

import math

import torch
from torch import Tensor, nn

from csbsr.degradation import KERNEL_SIZE
from csbsr_book.exercises.answers import (
    array,
    by_id,
    contrast,
    experiment,
    holds,
    number,
    right,
    same,
)
from csbsr_book.paper.printed import load_table

SIDE, FEATURES = 448, 64


def difference_of_kernels(total: object, grey: object) -> None:
    """Sum of K - K^P, and the brightness it makes of a grey image of 0.5."""
    number("total", total, 0.0, "both kernels sum to 1")
    number("grey", grey, 0.0, "a constant image is multiplied by the sum of the kernel")
    right("so the printed equation cannot be meant literally")


def left_blur(sigma: object) -> None:
    """Blur left of sigma 2 when sigma 1.5 has been undone."""
    hint = "variances of Gaussians add under convolution"
    number("sigma", sigma, math.sqrt(2.0**2 - 1.5**2), hint)
    right("the quotient of the spectra, not the difference of the kernels")


def neutral_start(part: object) -> None:
    """The part of Fig. 4 whose zero makes the module do nothing at the start."""
    hint = "F' = F + what comes out of the second repetition; what scales that last?"
    same("part", part, "gain of the last batch norm", hint)
    right("the skip could then be switched on without a jump")


def kernel_maps(products: object, share: object) -> None:
    """Multiply-adds per pixel of the first 3x3 convolution, and the kernel's share of them."""
    channels = FEATURES + KERNEL_SIZE**2
    number("products", products, 9 * channels**2, "9 times channels in times channels out")
    number("share", share, KERNEL_SIZE**2 / channels, "441 of 505 maps come from the kernel")
    right("nearly all of it repeats one sum at every pixel")


def constant_map(value: object, weight: Tensor, level: float) -> None:
    """What a convolution makes of a constant map away from the border."""
    picture = torch.full((1, 1, 9, 9), level)
    expected = nn.functional.conv2d(picture, weight, padding=1)[0, 0, 4, 4]
    number("value", value, float(expected), "the sum of the weights times the level", 1e-4)
    right("one number, however large the image")


def skip_control(control: object) -> None:
    """The experiment that gives the blur skip a kernel of another image."""
    found = experiment("control", control)
    holds(found.shuffled_kernel, "its kernel is the image's own; look for `shuffled_kernel`")
    right("if it does as well, the skip helps by its weights and not by the blur")


def kernel_error(mse: object) -> None:
    """Mean squared error of a kernel at 50.65 dB."""
    printed = load_table("VI").value("csbsr-pspnet", "kernel_PSNR")
    number("mse", mse, 10 ** (-printed / 10), "PSNR = -10 log10 MSE, peak 1", tolerance=0.02)
    right("tiny, because 441 numbers that sum to 1 are tiny themselves")


def skip_price(iou: object, hd95: object) -> None:
    """Changes of IoU_max and HD95_min by the skip with m^F = 1 in Table VI."""
    table = load_table("VI")
    for name, given, metric in (("iou", iou, "IoU_max"), ("hd95", hd95, "HD95_min")):
        with_skip = table.value("csbsr-pspnet-blurskip-wF1", metric)
        expected = with_skip - table.value("csbsr-pspnet", metric)
        number(name, given, expected, "last row minus first row", tolerance=0.004)
    right("one metric is worse and the other better; the paper speaks of the second")


def longer(control: object) -> None:
    """The experiment that trains CSBSR as long as the blur skip does, without the skip."""
    found = experiment("control", control)
    skip = by_id()["csbsr-pspnet-blurskip"]
    holds(found.starts_from == skip.starts_from, "it must continue the finished CSBSR as well")
    holds(found.blur_skip is None, "it must not have the skip")
    right("what the skip gains over this arm is not longer training")


def transposed(size: object) -> None:
    """Side of what DBPN's transposed convolution makes of 112 pixels."""
    layer = nn.ConvTranspose2d(1, 1, 8, stride=4, padding=2)
    expected = layer(torch.zeros(1, 1, 112, 1)).shape[2]
    number("size", size, expected, "(112 - 1) * 4 - 2 * 2 + 8", tolerance=1e-6)
    right("exactly four times; neighbouring outputs share inputs, because 8 is more than 4")


def projection_weights(weights: object) -> None:
    """Weights of an 8x8 transposed convolution from 64 to 64 channels, bias included."""
    expected = sum(p.numel() for p in nn.ConvTranspose2d(64, 64, 8, 4, 2).parameters())
    number("weights", weights, expected, "64 * 64 * 8 * 8, and one bias per channel", 1e-6)
    right("each projection unit has three of them")


def first_harm(place: object) -> None:
    """Where in a stage of KBPN a wrong kernel first does harm."""
    hint = "which operation uses the kernel and is compared with the LR image?"
    same("place", place, "reduction", hint)
    right("a right image is then corrected as if it were wrong")


def fair_sizes(control: object) -> None:
    """The experiment that gives the non-blind network about as much work as the blind one."""
    found = experiment("control", control)
    holds(found.sr == "dbpn_wide", "it needs a DBPN with more channels")
    right("blind against non-blind at equal size")


def pooled_cell(pixels: object, crack: object) -> None:
    """Pixels that a cell of PSPNet's 6x6 pooling averages, and the share of a crack 2 px wide."""
    side = SIDE / 6
    number("pixels", pixels, side**2, "(448 / 6) squared")
    number(
        "crack", crack, 2 * side / side**2, "a crossing crack covers about 2 times 75 of them", 0.03
    )
    right("context, not cracks, comes through the pyramid")


def one_object(weight: object, scores: Tensor) -> None:
    """Attention over a single object: the softmax of one number per pixel."""
    array("weight", weight, torch.softmax(scores, 0), "softmax over the objects, axis 0")
    right("1 everywhere: with one class, OCR adds the same vector to every pixel")


def arrows(unet: object, segnet: object) -> None:
    """Numbers that travel along the finest arrow of U-Net and of SegNet."""
    number("unet", unet, FEATURES * SIDE**2, "64 feature maps of 448 x 448")
    number("segnet", segnet, FEATURES * (SIDE // 2) ** 2, "one place per maximum, 64 x 224 x 224")
    right("U-Net hands over values, SegNet only places")


def network_contrast(arms: object) -> None:
    """Two jointly trained experiments that differ in C, and in beta as the paper has them."""
    contrast(arms, "segmentation", {"pspnet", "unet"}, "both have beta = 0.3 in Table II")
    right("of the four networks only these two were trained with one beta")
