"""What stands between the two halves: instance normalisation, and the frame of the LR image."""

from typing import NamedTuple

import numpy as np
import torch
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import degrade, random_kernels
from csbsr.protocol import RELEASED
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.theme import BLUE, MUTED, ORANGE, VERMILION, bare


class Crop(NamedTuple):
    """A square part of a wall (3, H, W) in [0, 1], how much of it is crack, and its gain."""

    image: NDArray[np.float32]
    share: float
    gain: float
    """By how much instance normalisation enlarges differences of grey: 1 / mean channel spread."""


def crops(side: int = 160, count: int = 18) -> list[Crop]:
    """All crops on a grid of the first synthetic training images (seed 0)."""
    source = SyntheticCracks(count, 448, seed=0, split="train")
    found = []
    for i in range(count):
        image, mask = source.load(i)
        for top in range(0, 448 - side + 1, side // 2):
            for left in range(0, 448 - side + 1, side // 2):
                part = (slice(top, top + side), slice(left, left + side))
                pixels = image[:, *part].astype(np.float32) / 255
                spread = float(pixels.std((1, 2)).mean())
                found.append(Crop(pixels, float(mask[0][part].mean()), 1 / spread))
    return found


def normalisation_figure() -> CaptionedFigure:
    """Two walls before and after instance normalisation, and the gain of many, by crack share."""
    found = crops()
    free = [crop for crop in found if crop.share == 0]
    cracked = [crop for crop in found if crop.share > 0.02]
    pair = (min(cracked, key=lambda c: c.gain), max(free, key=lambda c: c.gain))
    figure, axes = plt.subplots(1, 5, figsize=(11.5, 2.9), width_ratios=(1, 1, 1, 1, 1.7))
    for (before, after), crop, name in zip((axes[:2], axes[2:4]), pair, ("cracked", "no crack")):
        grey = crop.image.mean(0)
        before.imshow(grey, cmap="gray", vmin=0, vmax=1)
        before.set_title(f"{name}: image")
        after.imshow((grey - grey.mean()) * crop.gain, cmap="gray", vmin=-3, vmax=3)
        after.set_title(f"normalised, ×{crop.gain:.0f}")
    bare(*axes[:4])
    for group, colour, marker, name in (
        (free, VERMILION, "s", "no crack"),
        ([c for c in found if c.share > 0], BLUE, "o", "with crack"),
    ):
        where = [100 * c.share for c in group], [c.gain for c in group]
        axes[4].scatter(*where, s=12, color=colour, marker=marker, label=name, alpha=0.7)
    axes[4].set(xlabel="crack pixels in %", ylabel="gain 1 / spread", yscale="log")
    axes[4].set_yticks([5, 10, 20, 40], ["5", "10", "20", "40"])
    axes[4].set_yticks([], minor=True)
    axes[4].legend()
    middle = [float(np.median([c.gain for c in group])) for group in (cracked, free)]
    caption = (
        "Instance normalisation gives every picture the same contrast, so that a wall without a "
        "crack "
        "comes out as its texture, enlarged. Rule: of 160-pixel crops of synthetic walls the "
        "cracked "
        "one (over 2 % crack) with the smallest gain and the crack-free one with the largest. "
        "Right: "
        f"all crops; median gain {middle[0]:.1f} with over 2 % of crack, {middle[1]:.1f} without "
        "any, "
        f"up to {pair[1].gain:.0f}."
    )
    alt = (
        f"A cracked wall before and after (gain {pair[0].gain:.0f}): much the same. An almost even "
        f"wall before and after (gain {pair[1].gain:.0f}): flat grey becomes strong grain. Right: "
        f"points of gain over crack share; those without a crack reach {pair[1].gain:.0f}."
    )
    return CaptionedFigure(figure, caption, alt)


FRAME_DARKER = 0.02
"""From this loss of brightness on, of 1, a pixel counts as darkened."""


def darkened_share(side: int, kernels: torch.Tensor) -> float:
    """Share of the LR pixels of an even wall of `side` HR pixels that zero padding darkens."""
    wall = torch.full((len(kernels), 3, side, side), 0.5)
    lr = degrade(wall, kernels, RELEASED)
    return float((lr < 0.5 - FRAME_DARKER / 2).float().mean())


def frame_figure(sides: tuple[int, ...] = (160, 224, 448), draws: int = 12) -> CaptionedFigure:
    """The dark frame that zero padding leaves around an LR image, in training and in testing."""
    kernels = random_kernels(draws, np.random.default_rng(0), RELEASED)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 2.8))
    for padding, colour, line in (("zeros", VERMILION, "-"), ("reflect", BLUE, "--")):
        lr = degrade(torch.ones(draws, 3, 96, 96), kernels, RELEASED.but(blur_padding=padding))
        rows = lr[:, 0, 12, :8].numpy()
        left.plot(range(8), rows.mean(0), line, color=colour, marker="o", label=padding)
        left.fill_between(range(8), rows.min(0), rows.max(0), color=colour, alpha=0.15, linewidth=0)
    left.set(
        xlabel="LR pixels from the border", ylabel="brightness of an even wall", ylim=(0, 1.05)
    )
    left.legend(title="padding of the blur", title_fontsize=8.5)
    shares = [100 * darkened_share(side, kernels) for side in sides]
    names = [f"{side}\nLR {side // 4}" for side in sides]
    right.bar(names, shares, color=[ORANGE, ORANGE, MUTED])
    right.set(ylabel="darkened LR pixels in %", xlabel="side of the HR image")
    told = ", ".join(f"{share:.1f} % at {side} px" for side, share in zip(sides, shares))
    caption = (
        "Left: an even bright wall after Eq. 1 with the blur padded by zeros, as released, and by "
        f"reflection; mean and range over {draws} kernels. Right: how much of the LR image is "
        "darker "
        f"by over {FRAME_DARKER:.0%} of white: {told}. Crops of training in orange, the test image "
        "in grey."
    )
    alt = (
        "Left: the curve of zero padding starts far below 1 at the border and reaches it within "
        f"three LR pixels; that of reflection stays at 1. Right: bars, {told}."
    )
    return CaptionedFigure(figure, caption, alt)
