"""Checks of the exercises on pictures: tasks, degradation, data (chapters 1, 2, 8, 14, a2)."""

import math
from collections.abc import Collection

import numpy as np
import torch

from csbsr.data.groups import photo_group
from csbsr.degradation import BLUR_RANGE, KERNEL_SIZE, blur, degrade, downsample, gaussian_kernels
from csbsr.metrics import surface_distance
from csbsr.protocol import PRINTED
from csbsr_book.exercises.answers import (
    answered,
    array,
    by_id,
    contrast,
    differing,
    holds,
    number,
    right,
    same,
)

SCALE = 4


def nothing_found(accuracy: object, iou: object) -> None:
    """Accuracy and IoU of "no crack anywhere" where cracks cover 2 %."""
    mask = np.zeros((50, 100), bool)
    mask[:2, :50] = True  # 2 % of the pixels
    number("accuracy", accuracy, float((~mask).mean()), "count the pixels that are background")
    number("iou", iou, 0.0, "the union is the crack itself, and nothing of it is shared")
    right("a network that does nothing looks good in accuracy and worthless in IoU")


def one_pixel_off(iou_one: object, iou_two: object, off_one: object, off_two: object) -> None:
    """IoU and distance of a crack 2 pixels wide and 300 long, shifted by one and by two."""
    crack = np.zeros((304, 12), bool)
    crack[2:302, 4:6] = True
    for shift, overlap, off in ((1, iou_one, off_one), (2, iou_two, off_two)):
        moved = np.roll(crack, shift, 1)
        expected = (crack & moved).sum() / (crack | moved).sum()
        hint = "pixels in both, divided by pixels in at least one"
        number(f"IoU at {shift} px", overlap, float(expected), hint)
        distance = surface_distance(crack, moved).hausdorff
        number(f"distance at {shift} px", off, distance, "how far did every outline move?")
    right("IoU falls from 1/3 to 0 while the distance goes from 1 to 2 pixels")


def crack_share(share: object, mask: np.ndarray) -> None:
    """Share of crack pixels of one mask (1, H, W)."""
    number("share", share, float(mask.mean()), "crack pixels divided by all pixels of the mask")
    right(f"a prediction without any crack would be right for {1 - mask.mean():.1%} of the pixels")


def only_joint(arms: object) -> None:
    """Two experiments that differ in nothing but the gradient of L_C in S."""
    hint = "S must train equally long in both; which arm trains on without the gradient of L_C?"
    contrast(arms, "coupling", {"joint", "detached"}, hint)
    right("both train S equally long; only one lets the segmentation loss reach it")


def covered(pixels: object) -> None:
    """Side of the area in HR pixels that a kernel covers if it is applied after the reduction."""
    hint = "each LR pixel stands for a whole block of HR pixels"
    number("pixels", pixels, KERNEL_SIZE * SCALE, hint)
    right("K of Eq. 1 is measured in HR pixels")


def strongest_blur(paper: object, code: object) -> None:
    """Strongest standard deviation of both ranges, in LR pixels."""
    largest = BLUR_RANGE[1]
    number("paper", paper, math.sqrt(largest) / SCALE, "4.0 is a variance there; then divide by s")
    number("code", code, largest / SCALE, "4.0 is a standard deviation there; then divide by s")
    right("the released range blurs up to twice as much")


def other_order(other: object, image: torch.Tensor, kernel: torch.Tensor) -> None:
    """The image that is reduced first and blurred then: another model than Eq. 1."""
    expected = blur(downsample(image, SCALE), kernel)
    array("other", other, expected, "reduce with `downsample`, then blur the small image")
    apart = (expected - degrade(image, kernel, PRINTED, SCALE)).abs().max().item()
    right(f"the two orders differ by up to {apart:.2f} of the brightness range")


def needs_sr(given: object) -> None:
    """Which couplings of Fig. 2 need S when they are used."""
    hint = "whose segmentation reads the SR image?"
    same("needed", given, {"a", "c"}, hint)
    right("only the multi-task network can drop its SR head after training")


def srcnet_against_csbsr(fields: object) -> None:
    """The fields in which SrcNet and CSBSR differ."""
    ids = by_id()
    expected = differing(ids["srcnet"], ids["csbsr-pspnet"])
    same("fields", fields, expected, "compare the two rows of `csbsr.study.experiments`")
    right("their distance in Table II is due to all of these together")


def blur_shares(below_one: object, above_two: object, above_two_variance: object) -> None:
    """Shares of blurs below 1 and above 2 pixels, for both readings of the range."""
    low, high = BLUR_RANGE
    number("below_one", below_one, (1 - low) / (high - low), "the share of [0.2, 4] below 1")
    number("above_two", above_two, (high - 2) / (high - low), "the share of [0.2, 4] above 2")
    hint = "a variance of at most 4 is a standard deviation of at most 2"
    number("above_two_variance", above_two_variance, 0.0, hint)
    right("both readings agree below one pixel and part above it")


def zero_kernel(psnr: object) -> None:
    """Kernel PSNR that an all-zero estimate gets for a Gaussian of standard deviation 2."""
    wide = torch.tensor([2.0])
    kernel = gaussian_kernels(wide, wide, torch.zeros(1))
    expected = -10 * math.log10(float(kernel.square().mean()))
    hint = "the squares of a Gaussian sum to 1 / (4 pi sigma^2); divide by 441"
    number("psnr", psnr, expected, hint, tolerance=0.005)
    right("decibels of a kernel mean nothing without the best constant beside them")


def threshold_split(split: object) -> None:
    """Where a threshold may be chosen if its score on the test images is to be honest."""
    same("split", split, "validation", "which images decide nothing else in the result?")
    right("then the test images play no part in the choice")


def motion_that_fits(fits: object) -> None:
    """Which of the three motions fit into a kernel of 21 x 21 pixels."""
    same("fits", fits, {9, 19}, "the path must not be longer than the side of the kernel")
    right("at 33 pixels no kernel of 21 can be right about the blur")


def noise_level(weak: object, strong: object) -> None:
    """PSNR of the noise of strength 1 and 3, standard deviations 0.02 and 0.1."""
    for name, given, deviation in (("weak", weak, 0.02), ("strong", strong, 0.1)):
        hint = "the mean squared error is the variance; PSNR = -10 log10 of it"
        number(name, given, -20 * math.log10(deviation), hint, tolerance=0.005)
    right("the weak noise is quieter than what SR gets wrong, the strong one much louder")


def transfer_study(factors: object) -> None:
    """What must not vary between two models whose robustness is compared."""
    expected = {"walls", "degradations", "threshold rule"}
    hint = "everything but the model: what is photographed, what is done to it, how it is cut"
    same("kept", factors, expected, hint)
    right("then only the training of the model can explain a difference")


def split_sizes(train: object, validation: object) -> None:
    """Sizes of the authors' split of the 9,603 training images."""
    whole = 9603
    number("train", train, int(0.95 * whole), "95 % of them, the part behind the point cut off")
    number("validation", validation, whole - int(0.95 * whole), "the rest")
    right("the numbers of Sec. IV-A")


def same_photograph(groups: object, names: Collection[str]) -> None:
    """Number of photographs behind these file names."""
    expected = len({photo_group(name) for name in names})
    number("groups", groups, expected, "crops of one photograph share the first part of the name")
    right("a fair split keeps the crops of one photograph on one side")


def leaky_split(train: object, test: object, names: Collection[str]) -> None:
    """A split of these names without a photograph on both sides."""
    answered("train", train)
    answered("test", test)
    train, test = set(train), set(test)
    holds(train | test == set(names), "some images are in neither part, or names are made up")
    holds(bool(train) and bool(test), "one of the two parts is empty")
    both = {photo_group(n) for n in train} & {photo_group(n) for n in test}
    holds(not both, f"crops of {', '.join(sorted(both))} are on both sides")
    right("no photograph is on both sides")
