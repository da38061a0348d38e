"""Lab 1: checks of Eq. 1 written by hand, and pictures of what it does."""

from collections.abc import Callable

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import blur, degrade, downsample, gaussian_kernels
from csbsr.metrics import psnr
from csbsr.protocol import PRINTED
from csbsr_book.exercises.answers import array, function, holds, number, right, same
from csbsr_book.site.theme import bare

SIGMAS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
SCALE = 4
Kernel = Callable[[float, float, float], object]
Degraded = Callable[[Tensor, Tensor], Tensor]


def picture(side: int = 128) -> Tensor:
    """A synthetic crack (1, 3, side, side) in [0, 1]."""
    image, _ = SyntheticCracks(3, side, seed=0, split="test").load(1)
    return torch.from_numpy(image)[None].float() / 255


def true_kernel(sigma1: float, sigma2: float, theta: float) -> Tensor:
    """The kernel (1, 1, 21, 21) of three numbers."""
    return gaussian_kernels(*(torch.tensor([float(v)]) for v in (sigma1, sigma2, theta)))


def kernel(given: object) -> None:
    """A function (sigma1, sigma2, theta) -> kernel (21, 21)."""
    made = function("kernel", given)
    for values in ((2.0, 2.0, 0.0), (3.0, 1.0, 0.0), (3.0, 1.0, 0.6)):
        found, expected = made(*values), true_kernel(*values)[0, 0]
        array(
            f"shape of kernel{values}", np.asarray(found) * 0, expected * 0, "21 rows and columns"
        )
        off = float(np.asarray(found).sum())
        holds(abs(off - 1) < 1e-3, f"kernel{values} sums to {off:.4g}; a blur keeps the brightness")
        turned = values[0] != values[1] and np.allclose(found, expected.numpy().T, atol=1e-5)
        holds(not turned, f"kernel{values} is turned: x runs along columns, y along rows, upwards")
        mirrored = values[2] and np.allclose(found, expected.numpy()[::-1], atol=1e-5)
        holds(not mirrored, f"kernel{values} turns the wrong way: theta goes from x towards -y")
        hint = "exp(-(u^2 / sigma1^2 + v^2 / sigma2^2) / 2), u and v along the two axes"
        array(f"kernel{values}", found, expected, hint, 2e-3)
    right("three numbers make a kernel: two widths and an angle")


def blurred(given: object) -> None:
    """A function (image, kernel) -> blurred image of the same shape, zeros beyond the border."""
    made, image = function("blurred", given), picture(64)
    one = true_kernel(2.0, 1.0, 0.5)
    found = made(image, one)
    array("shape of blurred", found * 0, image * 0, "pad by half of the kernel on each side")
    array("blurred", found, blur(image, one), "every channel by itself, zeros beyond the border")
    right("it equals `csbsr.degradation.blur`, which does the same in the Fourier domain")


def degraded(given: object) -> None:
    """A function (image, kernel) -> LR image: Eq. 1."""
    made, image = function("degraded", given), picture(64)
    one = true_kernel(2.0, 1.0, 0.5)
    found, expected = made(image, one), degrade(image, one, PRINTED, SCALE)
    array("shape of degraded", found * 0, expected * 0, "reduce by four")
    swapped = blur(downsample(image, SCALE), one)
    holds(
        not torch.allclose(found, swapped, atol=1e-4), "degraded reduces first; Eq. 1 blurs first"
    )
    aliased = downsample(blur(image, one), SCALE, antialias=False)
    plain = torch.allclose(found, aliased, atol=1e-4)
    holds(not plain, "degraded takes every fourth pixel's neighbours only; set antialias=True")
    array("degraded", found, expected, "blur, then reduce with bicubic weights")
    right("this is Eq. 1; every LR image of this book is made so")


def show_kernels(make: Kernel, degrade_: Degraded) -> Figure:
    """Four kernels of the student and what they make of one picture."""
    image, shapes = picture(), ((0.4, 0.4, 0.0), (2.0, 2.0, 0.0), (3.0, 0.6, 0.5), (3.0, 0.6, 2.0))
    figure, axes = plt.subplots(2, len(shapes), figsize=(7.2, 3.8))
    for column, values in enumerate(shapes):
        one = torch.as_tensor(np.asarray(make(*values)), dtype=torch.float32).reshape(1, 1, 21, 21)
        axes[0, column].imshow(one[0, 0], cmap="viridis")
        axes[0, column].set_title("σ {:g}, {:g}\nθ {:g}".format(*values))
        lr = degrade_(image, one)[0].clamp(0, 1)
        axes[1, column].imshow(lr.permute(1, 2, 0))
    bare(*axes.flat)
    return figure


def fidelity(degrade_: Degraded) -> list[float]:
    """PSNR of the bicubic enlargement under round blurs of the standard deviations `SIGMAS`."""
    image, found = picture(), []
    for sigma in SIGMAS:
        lr = degrade_(image, true_kernel(sigma, sigma, 0.0))
        large = F.interpolate(lr, scale_factor=SCALE, mode="bicubic", align_corners=False)
        found.append(float(psnr(large.clamp(0, 1), image)))
    return found


def cost_of_blur(loss: object) -> None:
    """Decibels between the weakest and the strongest blur of `SIGMAS`."""
    found = fidelity(lambda image, one: degrade(image, one, PRINTED, SCALE))
    number("loss", loss, found[0] - found[-1], "first value of `levels` minus the last", 0.02)
    right("what super-resolution could win back, if it knew the blur")


def indistinguishable(given: object) -> None:
    """Which changes of the three numbers leave the kernel as it is."""
    one = true_kernel(3.0, 1.0, 0.5)
    changes = {
        "theta + pi": true_kernel(3.0, 1.0, 0.5 + np.pi),
        "swap": true_kernel(1.0, 3.0, 0.5),
        "swap and theta + pi/2": true_kernel(1.0, 3.0, 0.5 + np.pi / 2),
        "theta + pi/2": true_kernel(3.0, 1.0, 0.5 + np.pi / 2),
    }
    expected = {name for name, other in changes.items() if torch.allclose(one, other, atol=1e-5)}
    same("unchanged", given, expected, "draw the ellipse and turn it")
    right("so an estimator should return the kernel, and not the three numbers")
