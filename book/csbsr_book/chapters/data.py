"""Figures and tables of the data: contact sheets, Fig. 5, blurs, crack shares, what is in it."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from csbsr.data.manifest import Entry, NearDuplicate
from csbsr.data.stream import CrackSource
from csbsr.degradation import blur, degrade, downsample, gaussian_kernels
from csbsr.protocol import Protocol
from csbsr.realistic import STRENGTHS, realistic
from csbsr_book.site.table import Column, Table
from csbsr_book.site.theme import Pixels

GALLERY = ((0.45, 0.45, 0.0), (1.4, 1.4, 0.0), (2.0, 2.0, 0.0), (2.0, 0.6, 30.0), (2.0, 0.6, 120.0))
"""(sigma1, sigma2, theta in degrees) shown by `degradation_gallery`: variances 0.2 to 4.0."""


def contact_sheet(source: CrackSource, count: int = 24, columns: int = 6) -> Figure:
    """Return the first `count` images of a source, in the order of its names.

    The images must have one size; they are shown whole. Used with synthetic cracks only, because
    real ones may be measured but not published.
    """
    pictures = [_last(source.load(i)[0]) for i in range(min(count, len(source.names)))]
    return _sheet(_tile(pictures, columns), columns)


def crack_free_in(source: CrackSource) -> str:
    """Which images of a source have no crack, with their verb: "Image 9 has", "No image has"."""
    free = [str(i + 1) for i in range(len(source.names)) if not source.load(i)[1].any()]
    if len(free) < 2:
        return f"Image {free[0]} has" if free else "No image has"
    return f"Images {', '.join(free[:-1])} and {free[-1]} have"


def image_and_mask_rows(source: CrackSource, count: int = 8) -> Figure:
    """Return Fig. 5's layout: images above, their masks below, the first `count` with a crack."""
    pictures: list[Pixels] = []
    masks: list[Pixels] = []
    for i in range(len(source.names)):
        image, mask = source.load(i)
        if mask.any() and len(pictures) < count:
            pictures.append(_last(image))
            masks.append(_last(np.repeat(mask * np.uint8(255), 3, axis=0)))
    return _sheet(_tile(pictures + masks, len(pictures)), len(pictures))


def degradation_gallery(
    hr: Pixels,
    protocol: Protocol,
    cases: Sequence[tuple[float, float, float]] = GALLERY,
    mask: NDArray[np.bool_] | None = None,
    window: int = 192,
) -> Figure:
    """Return one column per blur: its kernel, the blurred HR image, and the LR image of Eq. (1).

    `hr` (3, H, W) uint8; `cases` are (sigma1, sigma2, theta in degrees) with standard deviations
    in HR pixels. Shown is a window of the image, around the pixel of `mask` (1, H, W) nearest to
    its middle where a mask is given; LR pixels are enlarged without smoothing.
    """
    box = _window(hr, mask, window)
    s1, s2, theta = torch.tensor(cases, dtype=torch.float64).T
    kernels = gaussian_kernels(s1, s2, torch.deg2rad(theta))  # (N, 1, 21, 21)
    image = torch.from_numpy(hr).float().div(255).expand(len(cases), -1, -1, -1)
    blurred = blur(image, kernels, protocol.blur_padding)
    lr = degrade(image, kernels, protocol)
    figure, axes = plt.subplots(3, len(cases), figsize=(1.75 * len(cases), 5.4), squeeze=False)
    for column, (a, b, angle) in enumerate(cases):
        kernel = kernels[column, 0]
        _bare(axes[0, column]).imshow(kernel.numpy(), cmap="magma", vmin=0)
        axes[0, column].set_title(f"σ = {a:g}, {b:g}\nθ = {angle:g}°", fontsize=9)
        _bare(axes[1, column]).imshow(_picture(blurred[column], box))
        _bare(axes[2, column]).imshow(_picture(lr[column], box, 4))
    for row, name in enumerate(("kernel K", "HR, blurred", "LR, ×4 smaller")):
        _beside(axes[row, 0], name)
    return figure


def realistic_gallery(
    hr: Pixels,
    name: str,
    protocol: Protocol,
    seed: int = 0,
    mask: NDArray[np.bool_] | None = None,
    window: int = 192,
) -> Figure:
    """Return one row per unseen degradation, strengths 1 to 3 beside the plain reduction.

    `hr` (3, H, W) uint8, `name` its name, on which noise and motion depend; the window shown is
    chosen as in `degradation_gallery`.
    """
    box = _window(hr, mask, window)
    image = torch.from_numpy(hr).float().div(255)
    plain = downsample(image[None], antialias=protocol.antialias)[0]
    figure, axes = plt.subplots(len(STRENGTHS), 4, figsize=(7.2, 1.8 * len(STRENGTHS)))
    for row, (kind, amounts) in enumerate(STRENGTHS.items()):
        _bare(axes[row, 0]).imshow(_picture(plain, box, 4))
        _beside(axes[row, 0], kind.replace("_", " "))
        for strength in (1, 2, 3):
            lr = realistic(image, kind, strength, seed, name, protocol)
            ax = _bare(axes[row, strength])
            ax.imshow(_picture(lr, box, 4))
            ax.set_title(f"{amounts[strength - 1]:g}", fontsize=8.5)
    axes[0, 0].set_title("reduction alone", fontsize=8.5)
    return figure


def crack_share_histogram(shares: dict[str, Sequence[float]]) -> Figure:
    """Return how large a part of each image is crack, one outline per split; shares in 0..1."""
    figure, ax = plt.subplots(figsize=(6.4, 2.8))
    top = max(max(values, default=0) for values in shares.values())
    edges = np.linspace(0, 100 * max(top, 0.01), 17)
    for split, values in shares.items():
        weights = np.full(len(values), 100 / max(len(values), 1))
        ax.hist(
            100 * np.asarray(values), edges, weights=weights, histtype="step", lw=1.6, label=split
        )
    ax.set_xlabel("crack pixels in the image (%)")
    ax.set_ylabel("images (%)")
    ax.legend()
    return figure


def split_table(splits: dict[str, Sequence[Entry]]) -> Table:
    """For each split how many images of which size, and how much of them is crack."""
    rows = []
    for split, entries in splits.items():
        sizes = sorted({(e.width, e.height) for e in entries})
        size = f"{sizes[0][0]} x {sizes[0][1]}" if len(sizes) == 1 else f"{len(sizes)} sizes"
        shares = 100 * np.array([e.crack_share for e in entries])
        free = int(np.count_nonzero(shares == 0))
        same = len(entries) - len({e.sha256 for e in entries})
        crack = (float(shares.mean()), float(np.median(shares)))
        rows.append([split, len(entries), size, *crack, free, same])
    share = [Column(name, unit="%", digits=2) for name in ("crack pixels, mean", "median")]
    columns = ["split", "images", "size", *share, "crack-free", "repeated"]
    return Table("What is in the data set of this page.", columns, rows)


def leak_table(pairs: Sequence[NearDuplicate], most: int = 10) -> Table:
    """The pairs of a training and a test image that look alike, or that none do."""
    rows = [[p.first, p.second, p.bits, p.correlation] for p in pairs[:most]]
    return Table(
        f"{len(pairs)} pairs look alike; the {len(rows)} most alike.",
        ["training", "test", "bits apart", Column("correlation", digits=3)],
        rows,
        empty="No training image looks like a test image by this check.",
    )


def _last(image: Pixels) -> Pixels:
    """(3, H, W) -> (H, W, 3)."""
    return image.transpose(1, 2, 0)


def _picture(image: Tensor, box: tuple[int, int, int], scale: int = 1) -> NDArray[np.float32]:
    """The window (top, left, side in HR pixels) of an image that is `scale` times smaller."""
    top, left, side = (v // scale for v in box)
    part = image[..., top : top + side, left : left + side]
    return part.clamp(0, 1).permute(1, 2, 0).numpy()  # (side, side, 3)


def _window(hr: Pixels, mask: NDArray[np.bool_] | None, side: int) -> tuple[int, int, int]:
    h, w = hr.shape[1:]
    side = min(side, h, w) // 4 * 4
    centre = np.array([h // 2, w // 2])
    if mask is not None and mask.any():
        cracks = np.argwhere(mask[0])
        centre = cracks[np.square(cracks - centre).sum(1).argmin()]
    top, left = (np.clip(centre - side // 2, 0, [h - side, w - side]) // 4 * 4).tolist()
    return top, left, side


def _tile(pictures: Sequence[Pixels], columns: int, gap: int = 6) -> Pixels:
    """Pictures of one size side by side on white, reduced to at most 224 pixels a side."""
    step = max(1, -(-pictures[0].shape[0] // 224))
    small = [_reduce(p, step) for p in pictures]
    h, w = small[0].shape[:2]
    rows = -(-len(small) // columns)
    canvas = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for k, picture in enumerate(small):
        y, x = k // columns * (h + gap), k % columns * (w + gap)
        canvas[y : y + h, x : x + w] = picture
    return canvas


def _reduce(picture: Pixels, step: int) -> Pixels:
    h, w = (side // step * step for side in picture.shape[:2])
    blocks = picture[:h, :w].reshape(h // step, step, w // step, step, 3)
    return blocks.mean((1, 3)).round().astype(np.uint8)


def _sheet(canvas: Pixels, columns: int) -> Figure:
    height, width = canvas.shape[:2]
    inches = min(9.0, 1.5 * columns)
    figure = plt.figure(figsize=(inches, inches * height / width), layout="none")
    _bare(figure.add_axes((0, 0, 1, 1))).imshow(canvas, interpolation="antialiased")
    return figure


def _beside(ax: Axes, text: str) -> None:
    ax.text(-0.07, 0.5, text, transform=ax.transAxes, rotation=90, ha="right", va="center")


def _bare(ax: Axes) -> Axes:
    ax.set_axis_off()
    return ax
