"""Figures for Sec. III-B: what each segmentation loss says about predictions of one crack."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from csbsr import losses
from csbsr.protocol import PRINTED, RELEASED, Protocol
from csbsr.training.schedules import RELEASED_EPOCH, RELEASED_STEP3, alpha_rebalance
from csbsr_book.chapters.example_crack import (
    Example,
    flawed_prediction,
    grown,
    partly_missed,
    shifted,
    soft,
    terms,
)
from csbsr_book.site.exhibit import drawn
from csbsr_book.site.table import Table
from csbsr_book.site.theme import bare

STYLES = {
    "Boundary": {"color": "#0072b2"},
    "Dice": {"color": "#e69f00"},
    "GDice": {"color": "#cc79a7", "linestyle": "--"},
    "WCE": {"color": "#009e73"},
    "BC": {"color": "#000000", "linestyle": ":", "linewidth": 2.2},
}
"""Losses of the figures, told apart by line and by colour; BC with alpha = gamma = 0.5."""


def distance_figure(example: Example) -> Figure:
    """The crack, its signed distance, and both forms of it along one row."""
    signed = example.distance[0, 0].numpy()
    normalised = losses.normalise_signed_distance(example.distance)[0, 0].numpy()
    row, middle = (int(i) for i in np.unravel_index(signed.argmin(), signed.shape))
    figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), width_ratios=(1, 1, 1.15, 1.15))
    axes[0].imshow(example.image[0].permute(1, 2, 0).numpy())
    axes[0].contour(example.mask[0, 0].numpy(), levels=[0.5], colors="#d55e00", linewidths=0.8)
    axes[0].set_title("image and crack")
    limit = float(np.abs(signed).max())
    shown = axes[1].imshow(signed, cmap="RdBu", vmin=-limit, vmax=limit)
    axes[1].axhline(row, color="black", linewidth=0.6)
    axes[1].set_title(r"$\phi_G$ in pixels")
    figure.colorbar(shown, ax=axes[1], shrink=0.75)
    span = slice(max(middle - 24, 0), middle + 25)
    offsets = np.arange(signed.shape[1])[span] - middle
    for axis, values, title in (
        (axes[2], signed, r"paper: $\phi_G$ along the line"),
        (axes[3], normalised, r"released: $\phi_G$ normalised"),
    ):
        axis.axhline(0, color="#888888", linewidth=0.6)
        axis.plot(offsets, values[row, span], color="#0072b2", marker=".", markersize=4)
        axis.set(title=title, xlabel="columns from the deepest pixel")
    bare(*axes[:2])
    return figure


def landscape_figure(example: Example) -> Figure:
    """Each loss when the prediction is displaced, too wide or thin, or incomplete.

    Scaled so that 0 is the perfect prediction and 1 is predicting no crack at all.
    """
    ways = (
        ("displacement in pixels", shifted, range(-16, 17)),
        ("dilation in pixels (< 0: erosion)", grown, range(-5, 17)),
        ("share of the crack missed", partly_missed, np.linspace(0, 1, 21)),
    )
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 5.6), sharex="col", sharey=True)
    for line, protocol in zip(axes, (PRINTED, RELEASED)):
        for axis, (label, change, steps) in zip(line, ways):
            for name, loss in terms(example, protocol).items():
                best = loss(soft(example.mask))
                nothing = loss(soft(torch.zeros_like(example.mask)))
                values = [loss(soft(change(example, step))) for step in steps]
                scaled = (torch.cat(values) - best) / (nothing - best)
                axis.plot(list(steps), scaled.numpy(), label=name, **STYLES[name])
            axis.axhline(1, color="#888888", linewidth=0.6)
            axis.set_ylim(-0.05, 2.5)
            if protocol is RELEASED:
                axis.set_xlabel(label)
        line[0].set_ylabel(f"{protocol.name} form")
    axes[0, 2].legend(loc="upper left", ncols=2)
    figure.supylabel("loss, from 0 = truth to 1 = nothing found", fontsize=9.5)
    return figure


def landscape_alt(figure: Figure) -> str:
    """What `landscape_figure` draws, in numbers read back from its lines."""
    told = []
    for place, protocol in ((0, PRINTED), (3, RELEASED)):
        lines = drawn(figure.axes[place])
        values = (
            f"{name} {np.interp(8, x, y):.2f} and {np.interp(16, x, y):.2f}"
            for name, (x, y) in lines.items()
        )
        told.append(f"{protocol.name}: {', '.join(values)}")
    return (
        "Six panels: two rows, paper and released form; three columns, displacement, dilation and "
        "share of the crack missed; all curves have their minimum at the truth. Displaced by 8 and "
        f"16 pixels they cost, where finding nothing costs 1: {'; '.join(told)}. With the share "
        "missed all losses rise to 1."
    )


def push_figure(example: Example, protocol: Protocol) -> Figure:
    """Where each loss wants more crack (blue) or less (red), for one flawed prediction."""
    prob = flawed_prediction(example)
    figure, axes = plt.subplots(1, 5, figsize=(12, 2.9))
    axes[0].imshow(prob[0, 0].numpy(), cmap="gray", vmin=0, vmax=1)
    axes[0].contour(example.mask[0, 0].numpy(), levels=[0.5], colors="#d55e00", linewidths=0.7)
    axes[0].set_title("prediction, true outline")
    for axis, name in zip(axes[1:], ("Dice", "WCE", "Boundary", "BC")):
        p = prob.clone().requires_grad_()
        (push,) = torch.autograd.grad(-terms(example, protocol)[name](p).sum(), p)
        push = push[0, 0] / push.abs().max()
        axis.imshow((push.sign() * push.abs().sqrt()).numpy(), cmap="RdBu", vmin=-1, vmax=1)
        axis.set_title(name + (r" ($\alpha=\gamma=0.5$)" if name == "BC" else ""))
    bare(*axes)
    return figure


def vanishing_figure(example: Example) -> Figure:
    """How hard each loss pulls at a missed third of the crack, by the probability it has there."""
    covered = partly_missed(example, 1 / 3) > 0.5
    missed = (example.mask > 0.5) & ~covered
    logits = torch.linspace(-7, 3, 41)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
    for axis, protocol in zip(axes, (PRINTED, RELEASED)):
        for name in ("Dice", "GDice", "WCE"):
            pulls = []
            for logit in logits:
                z = torch.where(covered, 5.0, -5.0).masked_fill(missed, float(logit))
                z.requires_grad_()
                loss = terms(example, protocol)[name](torch.sigmoid(z)).sum()
                pulls.append(float(-torch.autograd.grad(loss, z)[0][missed].mean()))
            axis.plot(
                torch.sigmoid(logits).numpy(),
                np.array(pulls) / max(pulls),
                label=name,
                **STYLES[name],
            )
        axis.set(xscale="log", xlabel="probability in the missed part", title=protocol.name)
    axes[0].set_ylabel("pull on the logit,\nlargest = 1")
    axes[0].legend()
    return figure


def vanishing_alt(figure: Figure) -> str:
    """What `vanishing_figure` draws, in numbers read back from its lines."""
    told = []
    for axes, protocol in zip(figure.axes, (PRINTED, RELEASED)):
        lines = drawn(axes)
        peaks = (f"{name} at {x[y.argmax()]:.2g}" for name, (x, y) in lines.items())
        starts = (f"{name} {y[0]:.2f}" for name, (x, y) in lines.items())
        told.append(
            f"{protocol.name}: at the smallest probability {', '.join(starts)}; largest: "
            f"{', '.join(peaks)}"
        )
    told_all = ". ".join(told)
    return f"Two panels of the pull over the probability, as a share of its maximum. {told_all}."


def sizes_table(example: Example) -> Table:
    """The value of every term, unscaled, for some predictions in both forms."""
    predictions = {
        "truth, p = 0 or 1": example.mask,
        "nothing found": soft(torch.zeros_like(example.mask)),
        "shifted by 4 px": soft(shifted(example, 4)),
        "a third missed": soft(partly_missed(example, 1 / 3)),
        "p = 0.5 everywhere": torch.full_like(example.mask, 0.5),
    }
    rows = [
        [f"{name}, {protocol.name}", *(loss(p).item() + 0.0 for p in predictions.values())]
        for protocol in (PRINTED, RELEASED)
        for name, loss in terms(example, protocol).items()
    ]
    caption = "Value of each loss term for some predictions of one crack, in both forms."
    return Table(caption, ["Term, form", *predictions], rows, [_ratio_note(example, predictions)])


def _ratio_note(example: Example, predictions: Mapping[str, Tensor]) -> str:
    """How much smaller the differences of the released Boundary term are than those of Dice."""
    found = terms(example, RELEASED)
    sure = [p for name, p in predictions.items() if not name.startswith(("truth", "p ="))]
    rises = {
        name: [(found[name](p) - found[name](example.mask)).item() for p in sure]
        for name in ("Dice", "Boundary")
    }
    ratios = [dice / boundary for dice, boundary in zip(rises["Dice"], rises["Boundary"])]
    return (
        "In the released form Dice rises from the truth to a sure and wrong prediction "
        f"{min(ratios):.0f} to {max(ratios):.0f} times as much as Boundary."
    )


def alpha_figure(example: Example, gamma: float = 0.5) -> Figure:
    """The "rebalance" schedule over step 3, and the BC loss (released form) along it."""
    iterations = np.arange(0, RELEASED_STEP3 + 1, RELEASED_EPOCH)
    alpha = np.array([alpha_rebalance(int(i)) for i in iterations])
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
    left.stackplot(
        iterations / 1000,
        (1 - alpha) * (1 - gamma),
        (1 - alpha) * gamma,
        alpha,
        labels=("Dice", "WCE", "Boundary"),
        colors=[STYLES[name]["color"] for name in ("Dice", "WCE", "Boundary")],
        alpha=0.75,
        step="post",
    )
    left.set(xlabel="thousand iterations of step 3", ylabel="weight in Eq. 3", xlim=(0, 150))
    left.legend(loc="upper left", frameon=True)
    cases = {
        "nothing found": (torch.zeros_like(example.mask), "-"),
        "shifted by 4 px": (shifted(example, 4), "--"),
        "3 px too wide": (grown(example, 3), "-."),
        "half missed": (partly_missed(example, 0.5), ":"),
    }
    for name, (binary, line) in cases.items():
        bc = [terms(example, RELEASED, float(a))["BC"] for a in alpha]
        values = [(loss(soft(binary)) - loss(soft(example.mask))).item() for loss in bc]
        right.plot(alpha, values, line, label=name, color="black")
    right.set(xlabel=r"$\alpha$", ylabel="excess of BC over the truth", yscale="log")
    right.legend()
    return figure


def alpha_alt(figure: Figure) -> str:
    """What `alpha_figure` draws, in numbers read back from its lines."""
    lines = drawn(figure.axes[1])
    falls = [y[0] / y[-1] for _, y in lines.values()]
    last = {name: y[-1] for name, (_, y) in lines.items()}
    return (
        "Left: stacked areas; Dice and cross entropy start with one half each and fall to almost "
        "nothing, the Boundary term takes their place. Right: four curves on a logarithmic axis "
        "that "
        f"fall by factors of {min(falls):.0f} to {max(falls):.0f} as alpha grows; at the end the "
        f"largest excess is that of '{max(last, key=last.get)}', the smallest that of "
        f"'{min(last, key=last.get)}'."
    )
