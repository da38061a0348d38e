"""How much an estimated blur kernel knows: levels, skill, and what no estimator can know."""

from collections.abc import Mapping, Sequence
from functools import cache
from statistics import mean
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

from csbsr.degradation import (
    KERNEL_SIZE,
    blur,
    constant_kernel,
    degrade,
    gaussian_kernels,
    kernel_for_image,
    random_kernels,
)
from csbsr.metrics import kernel_psnr
from csbsr.protocol import PRINTED, REPRODUCTION, Protocol
from csbsr.study.experiments import experiment
from csbsr.study.profiles import load_profile
from csbsr_book.paper.printed import load_table
from csbsr_book.site.exhibit import CaptionedFigure
from csbsr_book.site.table import Column, Number, Table
from csbsr_book.site.theme import BLUE, GREEN, ORANGE, PURPLE, VERMILION, Pixels, bare

if TYPE_CHECKING:
    from csbsr.study.results import ResultFile

RANGES: Mapping[str, Protocol] = {
    "variance in [0.2, 4]": PRINTED,
    "standard deviation in [0.2, 4]": REPRODUCTION,
}
"""The range of the blurs as the paper's text has it, and as the released code and we do."""
DRAWS = 2000


@cache
def constant_levels(protocol: Protocol) -> tuple[float, float]:
    """Kernel PSNR in dB of the mean kernel and of the best constant one, over fresh kernels."""
    truth = random_kernels(DRAWS, np.random.default_rng(11), protocol)
    guesses = random_kernels(DRAWS, np.random.default_rng(12), protocol).mean(0)
    found = (guesses, constant_kernel(protocol))
    average, best = (kernel_psnr(k.expand_as(truth), truth).mean().item() for k in found)
    return average, best


def skill(psnr: float, constant: float) -> float:
    """Skill score of a kernel PSNR over that of the best constant kernel, both in dB.

    The share of the constant's squared error that is gone: 0 knows nothing, 1 is perfect, below 0
    is worse than knowing nothing.
    """
    return 1 - 10 ** ((constant - psnr) / 10)


def constant_on(result: "ResultFile") -> NDArray[np.float64]:
    """Kernel PSNR in dB of the best constant kernel on the test kernels of a result, (N,)."""
    profile = load_profile(result.content["profile"])
    protocol = profile.protocol(result.content["protocol"])
    names = result.content["images"]["names"]
    truth = torch.stack([kernel_for_image(profile.kernel_seed, n, protocol) for n in names])
    return kernel_psnr(constant_kernel(protocol).expand_as(truth), truth).numpy()


SKILL_COLUMNS = (
    Column("Kernel PSNR", unit="dB", digits=2, better="higher"),
    Column("Best constant kernel", note="on the same kernels", unit="dB", digits=2),
    Column("Ahead", unit="dB", digits=2),
    Column("Skill", note="0: knows nothing, 1: perfect", digits=2, better="higher"),
)


def skill_table(results: Mapping[str, Sequence["ResultFile"]], names: Sequence[str]) -> Table:
    """Kernel PSNR of our experiments beside the best constant kernel on their own test kernels."""
    rows = []
    for name in names:
        known = [r for r in results.get(name, ()) if r.metrics.get("kernel_PSNR") is not None]
        if not known:
            continue
        psnr = mean(r.metrics["kernel_PSNR"] for r in known)
        constant = constant_on(known[0])
        level = float(constant.mean())
        single = [
            np.array(v, float) for r in known if (v := r.content["images"].get("kernel_PSNR"))
        ]
        ahead = 100 * float(np.mean([s > constant for s in single])) if single else None
        ours = (Number(v, "ours", seeds=len(known)) for v in (psnr, level))
        rows.append(
            [
                experiment(name).title,
                *ours,
                Number(psnr - level, "ours", signed=True),
                Number(skill(psnr, level), "ours"),
                Number(ahead, "ours"),
            ]
        )
    share = Column("Images ahead", note="of the constant", unit="%", digits=0)
    caption = "Kernel PSNR of our runs, and what it says: the skill over the best constant kernel."
    empty = "No run of ours that estimates a kernel is in the results yet."
    return Table(caption, ["Experiment", *SKILL_COLUMNS, share], rows, empty=empty)


def printed_skill_table(names: Sequence[str] = ("csbsr-pspnet",)) -> Table:
    """Kernel PSNRs of Table VI beside the best constant kernel of either range."""
    table = load_table("VI")
    rows = []
    for range_, protocol in RANGES.items():
        average, best = constant_levels(protocol)
        for name in names:
            printed = table.value(name, "kernel_PSNR")
            rows.append(
                [
                    range_,
                    table.row(name).label,
                    Number(average, "ours"),
                    Number(printed, "paper"),
                    Number(best, "ours"),
                    Number(printed - best, signed=True),
                    Number(skill(printed, best)),
                ]
            )
    level, constant, ahead, score = SKILL_COLUMNS
    columns = [
        "The blur is drawn as",
        "Row of Table VI",
        Column("Mean kernel", unit="dB", digits=2),
        level,
        Column(constant.title, note="of this range", unit="dB", digits=2),
        ahead,
        score,
    ]
    caption = "Kernel PSNRs that the paper prints, against what needs no look at the image"
    return Table(caption, columns, rows)


def scale_note() -> str:
    """One sentence that puts a column of kernel PSNRs on its scale."""
    levels = (f"{constant_levels(p)[1]:.2f} dB for a {name}" for name, p in RANGES.items())
    return (
        "Kernel PSNR starts at the best constant kernel, which looks at no image: "
        f"{' and '.join(levels)}. Ours draw the standard deviation."
    )


def guesses_table() -> Table:
    """Kernel PSNR of estimates that know nothing, on random kernels of both ranges."""
    rows = []
    for name, protocol in RANGES.items():
        kernels = random_kernels(DRAWS, np.random.default_rng(11), protocol)
        blind = (torch.zeros_like(kernels), torch.full_like(kernels, 1 / kernels[0].numel()))
        levels = [kernel_psnr(guess, kernels).mean().item() for guess in blind]
        average, best = constant_levels(protocol)
        printed = load_table("VI").value("csbsr-pspnet", "kernel_PSNR")
        rows.append([name, *levels, average, best, skill(printed, best)])
    titles = ("all zero", "uniform", "mean kernel", "best constant kernel")
    guessed = [Column(title, unit="dB", digits=1) for title in titles]
    score = Column("skill of the paper's number", note="Table VI", digits=2)
    caption = f"Mean kernel PSNR over {DRAWS:,} random kernels, of guesses that look at nothing"
    return Table(caption, ["blur drawn as", *guessed, score], rows)


def ambiguity_figure(hr: Pixels, wide: float = 2.0, narrow: float = 1.0) -> CaptionedFigure:
    """Two sharp pictures and two kernels with one LR image, and what an LR image sees of a kernel.

    `hr` (3, H, W) uint8; `wide` and `narrow` are standard deviations in HR pixels.
    """
    image = torch.from_numpy(hr)[None].float() / 255
    between = (wide**2 - narrow**2) ** 0.5
    kernels = {s: _round(s) for s in (wide, narrow, between)}
    softer = blur(image, kernels[between], "reflect")
    lr = [
        degrade(picture, kernels[s], REPRODUCTION.but(blur_padding="reflect"))
        for picture, s in ((image, wide), (softer, narrow))
    ]
    inner = slice(3, -3)  # away from the border
    gap = (lr[0] - lr[1]).abs()[0].mean(0)[inner, inner] * 255
    figure, axes = plt.subplots(1, 4, figsize=(11, 3.1), width_ratios=(1, 1, 1, 1.35))
    side = min(hr.shape[1:])
    window = slice(side // 4, side // 4 + side // 3)
    small = slice(window.start // 4, window.stop // 4)
    shown = (image[0][:, window, window], softer[0][:, window, window], lr[0][0][:, small, small])
    titles = (
        f"sharp wall\nseen with σ = {wide:g}",
        f"softer wall\nseen with σ = {narrow:g}",
        "LR image of both",
    )
    for ax, picture, title in zip(axes, shown, titles):
        ax.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy())
        ax.set_title(title)
    bare(*axes[:3])
    passed = _transfer_curves(axes[3])
    at_limit = ", ".join(f"{value:.2f} for σ = {s:g}" for s, value in passed.items())
    caption = (
        "Left: a sharp wall under a wide blur and a softer wall under a narrow one give the same "
        "LR "
        f"image; the two differ by at most {gap.max():.1g} of 255 grey levels. Right: what a "
        "Gaussian blur leaves of each frequency; an LR image holds those left of the line. Left "
        f"over at the line: {at_limit}."
    )
    alt = (
        "A sharp picture of a cracked wall, a softer one, and one coarse picture that stands for "
        "both. Beside them curves that fall with the frequency, the faster the wider the blur; at "
        f"the limit of the LR image they are at {at_limit}."
    )
    return CaptionedFigure(figure, caption, alt)


def _round(std: float) -> torch.Tensor:
    one = torch.tensor([std])
    return gaussian_kernels(one, one, torch.zeros(1))


def _transfer_curves(axes: Axes, scale: int = 4) -> dict[float, float]:
    """Draw |K^| over the frequency for some blurs; returns its values at the LR limit."""
    limit = 0.5 / scale
    found = {}
    looks = ((0.2, GREEN, "-"), (0.5, BLUE, "--"), (1.0, ORANGE, "-."), (2.0, PURPLE, ":"))
    frequencies = np.linspace(0, 0.5, 101)
    places = np.arange(KERNEL_SIZE) - KERNEL_SIZE // 2
    waves = np.exp(-2j * np.pi * frequencies[:, None] * places)
    for std, colour, line in (*looks, (4.0, VERMILION, "-")):
        curve = np.abs(waves @ _round(std)[0, 0].sum(0).double().numpy())
        axes.plot(frequencies, curve, line, color=colour, label=f"σ = {std:g}")
        found[std] = float(np.interp(limit, frequencies, curve))
    axes.axvline(limit, color="#666666", linewidth=1)
    axes.set(
        xlabel="frequency in cycles per HR pixel", title="what the blur leaves", ylim=(0, 1.05)
    )
    axes.legend(title="in HR pixels", title_fontsize=8.5)
    return found
