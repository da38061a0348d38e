"""The small pictures inside the diagrams: one synthetic crack in all its forms."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import degrade, gaussian_kernels
from csbsr.protocol import PRINTED
from csbsr_book.site.drawing import (
    DATA,
    FEATURES,
    KERNEL,
    LARGE,
    LOSS_WEIGHTS,
    NORMAL,
    PLAIN,
    SEGMENTATION,
    SHARED,
    SR,
    Point,
    arrow,
    block,
    box,
    canvas,
    ellipse,
    legend,
    picture,
    sign,
    words,
)


class Thumbnails(NamedTuple):
    """One synthetic crack in the forms that the diagrams show; uint8, kernels in [0, 1]."""

    hr: NDArray
    lr: NDArray
    sr: NDArray
    mask: NDArray
    kernel: NDArray


def example_image(index: int = 9) -> tuple[NDArray, NDArray]:
    """Return image (3, 448, 448) and mask (1, 448, 448) of the synthetic crack that is shown."""
    return SyntheticCracks(index + 1, 448, seed=9, split="test").load(index)


@cache
def thumbnails(side: int = 160) -> Thumbnails:
    """Return a window of `example_image`; `sr` is the HR image with a slight blur left in it."""
    image, mask = example_image()
    hr = torch.from_numpy(image)[None].float() / 255
    kernel = gaussian_kernels(torch.tensor([2.0]), torch.tensor([0.7]), torch.tensor([0.6]))
    lr = degrade(hr, kernel, PRINTED)
    left = gaussian_kernels(torch.tensor([0.9]), torch.tensor([0.9]), torch.tensor([0.0]))
    sr = degrade(hr, left, PRINTED, scale=1)
    places = np.argwhere(mask[0])
    top, start = np.clip(places[len(places) // 2] - side // 2, 0, 448 - side) // 4 * 4

    def window(batch: torch.Tensor, scale: int) -> NDArray:
        rows = slice(top // scale, (top + side) // scale)
        columns = slice(start // scale, (start + side) // scale)
        part = batch[0, :, rows, columns].clamp(0, 1)
        return (part * 255).byte().permute(1, 2, 0).numpy()

    shown = mask[0, top : top + side, start : start + side].astype(np.uint8) * 255
    return Thumbnails(window(hr, 1), window(lr, 4), window(sr, 1), shown, kernel[0, 0].numpy())


LOSS = (0.62, 0.36)
FLOWS = (
    ("data", DATA, 0.25),
    (r"gradient of $\mathcal{L}_S$", SR, 1.2),
    (r"gradient of $\mathcal{L}_C$", SEGMENTATION, 2.85),
    ("loss weights", LOSS_WEIGHTS, 4.4),
    (r"blur kernel $K^P$", KERNEL, 5.65),
)


def _named_picture(axes: Axes, at: Point, side: float, image: NDArray, name: str) -> None:
    picture(axes, at, side, image)
    words(axes, (at[0] - 0.08, at[1] + side / 2 + 0.13), name, size=NORMAL, across="right")


def combinations_figure() -> Figure:
    """Return Fig. 2: SR and segmentation side by side, with a shared extractor, and joined."""
    figure, axes = canvas(7.0)
    _serial(axes, 5.62, joint=False)
    _multi_task(axes, 3.72)
    _serial(axes, 1.12, joint=True)
    legend(axes, 0.16, FLOWS)
    return figure


def _serial(axes: Axes, y: float, joint: bool) -> None:
    """(a) S and C trained apart, or (c) CSBSR, on the line y."""
    seen = thumbnails()
    title = (
        "(c) Joint (CSBSR): the gradient of C reaches S"
        if joint
        else "(a) Independent: S and C are trained one after the other"
    )
    words(axes, (0.15, y + (1.42 if joint else 1.24)), title, size=NORMAL, bold=True, across="left")
    picture(axes, (0.55, y), 0.5, seen.lr)
    words(axes, (0.55, y + 0.38), "$I^L$", size=NORMAL)
    name = "Blind\nsuper-resolution\n$S$" if joint else "Non-blind\nsuper-resolution\n$S$"
    box(axes, (1.95, y), (1.3, 0.92), name, SR, letters=LARGE)
    _named_picture(axes, (3.4, y + 0.06), 0.6, seen.sr, "$I^S$")
    box(axes, (4.85, y), (1.3, 0.92), "Segmentation\n$C$", SEGMENTATION, letters=LARGE)
    _named_picture(axes, (6.4, y + 0.06), 0.6, seen.mask, "$I^C$")
    for start, end in ((0.82, 1.28), (2.62, 3.08), (3.72, 4.18), (5.52, 6.08)):
        arrow(axes, ((start, y + 0.06), (end, y + 0.06)))
    top = y + 0.86
    for x, name, look, target in (
        (3.4, r"$\mathcal{L}_S$", SR, 1.95),
        (6.4, r"$\mathcal{L}_C$", SEGMENTATION, 4.85),
    ):
        arrow(axes, ((x, y + 0.38), (x, top - 0.2)))
        ellipse(axes, (x, top), LOSS, name, look)
        arrow(axes, ((x - 0.33, top), (target, top), (target, y + 0.48)), look)
    if not joint:
        words(axes, (3.4, y - 0.46), "no gradient\nfrom $C$ to $S$", colour="#5b6470", size=LARGE)
        return
    arrow(axes, ((4.18, y - 0.36), (2.62, y - 0.36)), SEGMENTATION)
    high = top + 0.3
    arrow(axes, ((6.4, top + 0.19), (6.4, high), (5.62, high)), LOSS_WEIGHTS)
    arrow(axes, ((4.18, high), (3.4, high), (3.4, top + 0.2)), LOSS_WEIGHTS)
    ellipse(axes, (4.9, high), (1.44, 0.34), r"$w^C,\ w^F,\ \mathcal{L}_C$", LOSS_WEIGHTS)
    low = y - 0.66
    arrow(axes, ((1.95, y - 0.47), (1.95, low), (4.85, low), (4.85, y - 0.48)), KERNEL)
    words(axes, (3.4, low + 0.12), "blur skip", colour=KERNEL.line, size=LARGE)


def _multi_task(axes: Axes, y: float) -> None:
    """(b) DSRL: one extractor, two heads."""
    seen = thumbnails()
    title = "(b) Multi-task: a shared extractor, parallel heads"
    words(axes, (0.15, y + 1.02), title, size=NORMAL, bold=True, across="left")
    picture(axes, (0.55, y), 0.5, seen.lr)
    words(axes, (0.55, y + 0.38), "$I^L$", size=NORMAL)
    box(axes, (1.95, y), (1.3, 0.62), "Shared\nextractor", SHARED, letters=LARGE)
    arrow(axes, ((0.82, y), (1.28, y)))
    for up, text, look, image, name, loss in (
        (1, "SR head", SR, seen.sr, "$I^S$", r"$\mathcal{L}_S$"),
        (-1, "Segmentation\nhead", SEGMENTATION, seen.mask, "$I^C$", r"$\mathcal{L}_C$"),
    ):
        line, edge = y + 0.4 * up, y + 0.84 * up
        arrow(axes, ((2.62, y + 0.12 * up), (2.85, y + 0.12 * up), (2.85, line), (3.2, line)))
        box(axes, (3.85, line), (1.24, 0.46), text, look, letters=LARGE)
        arrow(axes, ((4.5, line), (5.0, line)))
        picture(axes, (5.32, line), 0.58, image)
        words(axes, (4.87, line + 0.17), name, size=NORMAL)
        arrow(axes, ((5.64, line), (6.07, line)))
        ellipse(axes, (6.4, line), LOSS, loss, look)
        start = line + 0.2 * up
        arrow(axes, ((6.4, start), (6.4, edge), (4.05, edge), (4.05, line + 0.25 * up)), look)
        back = ((3.65, line + 0.25 * up), (3.65, edge), (1.95, edge), (1.95, y + 0.33 * up))
        arrow(axes, back, look)


def joint_figure() -> Figure:
    """Return Fig. 3: the whole of CSBSR with its losses, weights, gradients and the blur skip."""
    figure, axes = canvas(5.5)
    seen = thumbnails()
    y, top, high, low = 2.75, 4.3, 4.93, 1.3
    equation = r"$\mathcal{L}_J = (1-\beta)\,\mathcal{L}_S + \beta\,\mathcal{L}_C$"
    box(axes, (1.35, 5.18), (2.4, 0.4), equation, PLAIN, letters=11)
    _named_picture(axes, (0.55, top), 0.72, seen.hr, "$I^H$")
    arrow(axes, ((0.55, top - 0.38), (0.55, y + 0.33)))
    words(axes, (0.63, 3.42), "blur $K$,\n↓ 4\n(Eq. 1)", across="left", size=LARGE)
    picture(axes, (0.55, y), 0.6, seen.lr)
    words(axes, (0.55, y - 0.42), "$I^L$", size=NORMAL)
    arrow(axes, ((0.87, y), (1.3, y)))
    box(axes, (2.0, y), (1.36, 1.24), "Blind\nsuper-resolution\n$S$\n(KBPN)", SR, letters=LARGE)
    arrow(axes, ((2.7, y + 0.08), (2.98, y + 0.08)))
    _named_picture(axes, (3.35, y + 0.08), 0.7, seen.sr, "$I^S$")
    arrow(axes, ((3.72, y + 0.08), (4.18, y + 0.08)))
    box(axes, (5.06, y), (1.9, 1.24), "", SEGMENTATION, dashed=True)
    words(axes, (5.06, y + 0.47), "Segmentation $C$", bold=False, size=LARGE)
    box(
        axes,
        (4.62, y - 0.05),
        (0.86, 0.66),
        "any net\nup to its\nhead",
        SEGMENTATION,
        letters=LARGE,
    )
    arrow(axes, ((5.06, y + 0.08), (5.24, y + 0.08)))
    box(axes, (5.58, y - 0.05), (0.66, 0.66), "SFT,\nhead", KERNEL, letters=LARGE)
    arrow(axes, ((5.92, y + 0.08), (6.32, y + 0.08)))
    _named_picture(axes, (6.68, y + 0.08), 0.7, seen.mask, "$I^C$")
    arrow(axes, ((0.92, top + 0.08), (3.04, top + 0.08)))
    arrow(axes, ((3.35, y + 0.45), (3.35, top - 0.19)))
    ellipse(axes, (3.35, top), LOSS, r"$\mathcal{L}_S$", SR)
    arrow(axes, ((3.06, top - 0.1), (2.0, top - 0.1), (2.0, y + 0.63)), SR)
    arrow(axes, ((6.68, y + 0.45), (6.68, top - 0.19)))
    ellipse(axes, (6.68, top), LOSS, r"$\mathcal{L}_C$", SEGMENTATION)
    arrow(axes, ((6.36, top), (5.06, top), (5.06, y + 0.63)), SEGMENTATION)
    picture(axes, (5.75, 3.74), 0.46, seen.mask)
    words(axes, (5.75, 4.09), "truth", size=LARGE)
    arrow(axes, ((6.0, 3.74), (6.5, 3.74), (6.5, top - 0.17)))
    arrow(axes, ((4.1, y - 0.48), (2.7, y - 0.48)), SEGMENTATION)
    arrow(axes, ((6.68, top + 0.19), (6.68, high), (5.9, high)), LOSS_WEIGHTS)
    arrow(axes, ((4.34, high), (3.35, high), (3.35, top + 0.2)), LOSS_WEIGHTS)
    ellipse(axes, (5.12, high), (1.52, 0.36), r"$w^C,\ w^F,\ \mathcal{L}_C$", LOSS_WEIGHTS)
    words(axes, (3.43, 4.66), "pixel by pixel", across="left", colour=LOSS_WEIGHTS.line, size=LARGE)
    left = "blur $K^S$\nis left in it"  # beside I^S, clear of every arrow
    words(axes, (3.43, y + 0.86), left, across="left", colour="#5b6470", size=LARGE)
    picture(axes, (3.35, low), 0.6, seen.kernel, KERNEL)
    words(axes, (3.35, low - 0.44), "estimated kernel $K^P$, 21 × 21", size=LARGE)
    arrow(axes, ((2.0, y - 0.63), (2.0, low), (3.03, low)), KERNEL)
    arrow(axes, ((3.67, low), (5.58, low), (5.58, y - 0.4)), KERNEL)
    words(axes, (4.6, low + 0.13), "blur skip", colour=KERNEL.line, size=LARGE)
    legend(axes, 0.3, FLOWS)
    return figure


def blur_skip_figure() -> Figure:
    """Return Fig. 4: scaling and shifting features by the blur kernel, and what surrounds it."""
    figure, axes = canvas(4.5)
    line, cat, scale, shift = 3.35, 1.5, 2.25, 0.85
    block(axes, (0.5, line), (0.34, 0.62), FEATURES)
    words(axes, (0.58, line - 0.5), "features $F$\n64 maps", size=LARGE)
    picture(axes, (0.5, cat), 0.62, thumbnails().kernel, KERNEL)
    words(
        axes, (0.5, cat - 0.74), "kernel $K^P$,\n441 values,\nthe same at\nevery pixel", size=LARGE
    )
    box(axes, (3.62, 2.12), (4.98, 3.26), "", PLAIN, dashed=True)
    words(axes, (1.24, 0.64), "twice", across="left", bold=True, size=LARGE)
    arrow(axes, ((0.84, line), (4.4, line)))
    arrow(axes, ((1.56, line), (1.56, cat + 0.25)), FEATURES)
    words(axes, (1.64, 2.82), "the paper's change:\nSFT sees $F$ as well", across="left",
          colour=FEATURES.line)  # fmt: skip
    arrow(axes, ((0.82, cat), (1.18, cat)), KERNEL)
    box(axes, (1.56, cat), (0.76, 0.48), "join\n64 + 441", PLAIN, letters=LARGE)
    for y, last, text in ((scale, "3×3 conv\nsigmoid", "scale"), (shift, "3×3 conv", "shift")):
        arrow(axes, ((1.94, cat), (2.1, cat), (2.1, y), (2.26, y)), KERNEL)
        box(axes, (2.68, y), (0.84, 0.5), "3×3 conv\nPReLU", KERNEL, letters=LARGE)
        arrow(axes, ((3.11, y), (3.3, y)), KERNEL)
        box(axes, (3.72, y), (0.84, 0.5), last, KERNEL, letters=LARGE)
        words(axes, (4.32, y + 0.13), text, colour=KERNEL.line)
    arrow(axes, ((4.15, scale), (4.53, scale), (4.53, line - 0.14)), KERNEL)
    arrow(axes, ((4.15, shift), (5.04, shift), (5.04, line - 0.14)), KERNEL)
    sign(axes, (4.53, line), "×")
    arrow(axes, ((4.67, line), (4.9, line)))
    sign(axes, (5.04, line), "+")
    arrow(axes, ((5.18, line), (5.38, line)))
    box(axes, (5.72, line), (0.66, 0.62), "conv,\nBN,\nReLU", FEATURES, letters=LARGE)
    arrow(axes, ((6.06, line), (6.38, line)))
    arrow(axes, ((1.0, line), (1.0, 4.1), (6.52, 4.1), (6.52, line + 0.14)), FEATURES)
    sign(axes, (6.52, line), "+")
    arrow(axes, ((6.66, line), (7.05, line)))
    words(axes, (6.84, line - 0.2), "$F'$", size=NORMAL)
    words(
        axes,
        (3.7, 4.24),
        "around both repetitions: $F' = F + G(F, K^P)$",
        down="center",
        size=LARGE,
    )
    return figure
