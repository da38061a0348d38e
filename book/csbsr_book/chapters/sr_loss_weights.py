"""Figures for Sec. III-C: where the weights on the SR loss lie, and what they do to it."""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from csbsr import losses
from csbsr.degradation import degrade, gaussian_kernels
from csbsr.protocol import PRINTED, Protocol
from csbsr_book.chapters.example_crack import Example, flawed_prediction
from csbsr_book.site.exhibit import drawn
from csbsr_book.site.theme import bare

CONSTANTS = tuple(2.0**i for i in range(-3, 4))
"""The values of m^C and m^F that the paper tried (Table V)."""


def naive_sr(example: Example, protocol: Protocol = PRINTED, scale: int = 4) -> Tensor:
    """Return the bicubic enlargement of the degraded image: an SR image that needs no network."""
    kernel = gaussian_kernels(torch.tensor([2.0]), torch.tensor([1.2]), torch.tensor([0.6]))
    lr = degrade(example.image, kernel, protocol, scale)  # (1, 3, H/4, W/4)
    return F.interpolate(lr, scale_factor=scale, mode="bicubic").clamp(0, 1)


def crack_weight_figure(example: Example, constants: tuple[float, ...] = (1 / 8, 1, 8)) -> Figure:
    """The crack and w^C of Eq. (9) for some m^C, on one scale of colours."""
    figure, axes = plt.subplots(1, len(constants) + 2, figsize=(12, 2.8))
    axes[0].imshow(example.image[0].permute(1, 2, 0).numpy())
    axes[0].set_title("image")
    for axis, m in zip(axes[1:-1], constants):
        weight = losses.crack_oriented_weight(example.distance, m, PRINTED)[0, 0].numpy()
        shown = axis.imshow(weight, cmap="magma", vmin=0, vmax=1)
        axis.set_title(rf"$w^C$, $m^C={m:g}$")
    figure.colorbar(shown, ax=axes[-2], shrink=0.75)
    pixels = torch.arange(0, 17, dtype=torch.float32).reshape(1, 1, 1, -1)
    for m in constants:
        weight = losses.crack_oriented_weight(pixels, m, PRINTED).flatten().numpy()
        axes[-1].plot(range(17), weight, marker=".", label=rf"$m^C={m:g}$")
    axes[-1].set(xlabel="distance to the crack in pixels", title=r"$w^C$")
    axes[-1].legend()
    bare(*axes[:-1])
    return figure


def fail_weight_figure(example: Example, constants: tuple[float, ...] = (1 / 8, 1, 8)) -> Figure:
    """A flawed prediction and w^F of Eq. (10) for some m^F, each on its own scale."""
    prob = flawed_prediction(example)
    figure, axes = plt.subplots(1, len(constants) + 2, figsize=(12, 2.8))
    axes[0].imshow(prob[0, 0].numpy(), cmap="gray", vmin=0, vmax=1)
    axes[0].contour(example.mask[0, 0].numpy(), levels=[0.5], colors="#d55e00", linewidths=0.7)
    axes[0].set_title("prediction, true outline")
    error = torch.linspace(0, 1, 41).reshape(1, 1, 1, -1)
    for axis, m in zip(axes[1:-1], constants):
        weight = losses.fail_oriented_weight(prob, example.mask, m)[0, 0].numpy()
        shown = axis.imshow(weight, cmap="magma", vmin=1, vmax=float(np.exp(m)))
        axis.set_title(rf"$w^F$, $m^F={m:g}$")
        figure.colorbar(shown, ax=axis, shrink=0.75)
        curve = losses.fail_oriented_weight(error, torch.zeros_like(error), m).flatten().numpy()
        axes[-1].plot(error.flatten().numpy(), curve, label=rf"$m^F={m:g}$")
    axes[-1].set(xlabel="error of the prediction", title=r"$w^F$", yscale="log")
    axes[-1].legend()
    bare(*axes[:-1])
    return figure


def weighted_error_figure(example: Example, protocol: Protocol = PRINTED) -> Figure:
    """The L1 map of a naive SR image, plain and under each weight that Table V compares."""
    error = (naive_sr(example) - example.image).abs().mean(1, keepdim=True)  # (1, 1, H, W)
    figure, axes = plt.subplots(1, 4, figsize=(11.5, 3.6))
    for axis, (name, weight) in zip(axes, table_v_weights(example, protocol).items()):
        shown = (weight * error)[0, 0].numpy()
        shown = shown / np.quantile(shown, 0.998)
        axis.imshow(shown, cmap="magma", vmin=0, vmax=1)
        share = shares(weight * error, example)
        axis.set(title=name, xlabel=f"{share[0]:.0%} on cracks, {share[1]:.0%} within 4 px")
    bare(*axes)
    return figure


def share_figure(example: Example) -> Figure:
    """Share of the weighted L1 loss that lies on or near cracks, against m^C and m^F."""
    error = (naive_sr(example) - example.image).abs().mean(1, keepdim=True)
    prob = flawed_prediction(example)
    weights = {
        r"$w^C$, against $m^C$": [
            losses.crack_oriented_weight(example.distance, m, PRINTED) for m in CONSTANTS
        ],
        r"$w^F$, against $m^F$": [
            losses.fail_oriented_weight(prob, example.mask, m) for m in CONSTANTS
        ],
    }
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3), sharey=True)
    plain = shares(error, example)
    for axis, (title, maps) in zip(axes, weights.items()):
        found = np.array([shares(weight * error, example) for weight in maps])
        for column, (name, style) in enumerate((("on cracks", "-"), ("within 4 px", "--"))):
            axis.plot(CONSTANTS, found[:, column], style, color="black", marker=".", label=name)
            axis.axhline(plain[column], color="#888888", linestyle=style, linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.set(title=title, xlabel="m", ylim=(0, 1.02))
    axes[0].set_ylabel("share of the weighted L1 loss")
    axes[0].legend()
    return figure


def fail_weight_alt(figure: Figure) -> str:
    """What `fail_weight_figure` draws: the scales of its maps and the ends of its curves."""
    curves = next(lines for axes in figure.axes if (lines := drawn(axes)))
    ends = ", ".join(f"{y[-1]:.4g} for {name.strip('$')}" for name, (_, y) in curves.items())
    return (
        "Five panels: a prediction that misses the right third of a crack and has a false blob; "
        "three "
        "maps that are bright in the missed part and the blob; and the weight against the error, "
        f"straight lines on a logarithmic axis from 1 to {ends}."
    )


def share_alt(figure: Figure) -> str:
    """What `share_figure` draws: the ends of its curves and the unweighted shares."""
    told = []
    for axes, name in zip(figure.axes, ("w C", "w F")):
        ends = (f"{what} from {y[0]:.0%} to {y[-1]:.0%}" for what, (_, y) in drawn(axes).items())
        told.append(f"{name}: {', '.join(ends)}")
    plain = sorted(
        line.get_ydata()[0] for line in figure.axes[0].lines if len(line.get_ydata()) == 2
    )
    grey = " and ".join(f"{share:.0%}" for share in plain)
    return (
        f"Two panels of the share over m from {CONSTANTS[0]:g} to {CONSTANTS[-1]:g}. "
        f"{'. '.join(told)}. Grey lines, without a weight: {grey}."
    )


def table_v_weights(example: Example, protocol: Protocol) -> dict[str, Tensor]:
    """Return the weights on L_S of Table V, with the paper's best constants, by name."""
    prob = flawed_prediction(example)
    loss_map = losses.segmentation_loss_map(
        "bc", prob, example.mask, example.distance, protocol=protocol, alpha=0.0
    )
    return {
        "no weight": torch.ones_like(prob),
        r"$\mathcal{L}_C$ (Combo part)": losses.segmentation_weight(loss_map, protocol),
        r"$w^C$, $m^C=8$": losses.crack_oriented_weight(example.distance, 8.0, protocol),
        r"$w^F$, $m^F=1$": losses.fail_oriented_weight(prob, example.mask, 1.0),
    }


def shares(error: Tensor, example: Example) -> tuple[float, float]:
    """Return which shares of a map's sum lie on cracks, and on or within 4 pixels of them."""
    on = (error * (example.distance <= 0)).sum() / error.sum()
    near = (error * (example.distance <= 4)).sum() / error.sum()
    return float(on), float(near)
