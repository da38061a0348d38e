"""The one look of all figures: style, and one colour, marker and line per method everywhere."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""A picture of 8-bit values, (H, W, 3)."""

STYLE: Mapping[str, object] = {
    "figure.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "font.family": "DejaVu Sans",
    "lines.linewidth": 1.6,
    "image.interpolation": "nearest",
    "figure.constrained_layout.use": True,
}
"""Matplotlib settings of every figure in the book."""

BLACK, ORANGE, SKY, GREEN = "#111111", "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILION, PURPLE, BROWN = "#0072b2", "#d55e00", "#cc79a7", "#7a5230"
"""Colours that stay apart with colour blindness (Okabe and Ito 2008; brown for their yellow)."""
MUTED = "#666666"
"""Remarks and references."""
ALARM = "#c00000"
"""What must not be taken for a result."""


class Mark(NamedTuple):
    """How a method is drawn: no two have all three in common."""

    colour: str
    marker: str
    line: str
    width: float = 1.6

    def drawn(self, **changes: object) -> dict[str, object]:
        """Keywords of `Axes.plot`."""
        found = {"color": self.colour, "marker": self.marker, "linestyle": self.line}
        return found | {"linewidth": self.width, "markersize": 4} | changes


METHODS: Mapping[str, Mark] = {
    "hr-pspnet": Mark(BLACK, "", "--"),
    "csbsr-pspnet": Mark(BLUE, "o", "-", 2.4),
    "kbpn+pspnet": Mark(SKY, "s", "--"),
    "cssr-pspnet": Mark(GREEN, "D", "-"),
    "dbpn+pspnet": Mark(GREEN, "s", "--"),
    "detached-pspnet": Mark(BROWN, "d", "-."),
    "srcnet": Mark(ORANGE, "^", "-."),
    "dsrl": Mark(PURPLE, "v", ":"),
    "csbsr-pspnet-beta0.1": Mark(ORANGE, "<", "-"),
    "csbsr-pspnet-increasing": Mark(PURPLE, ">", "-"),
    "csbsr-pspnet-gbc": Mark(SKY, "P", "-"),
    "csbsr-pspnet-wce": Mark(GREEN, "X", "-."),
    "csbsr-pspnet-bgdice": Mark(PURPLE, "p", "--"),
    "csbsr-pspnet-combo": Mark(VERMILION, "h", "-"),
    "csbsr-pspnet-dice": Mark(ORANGE, "*", ":"),
    "csbsr-pspnet-wLC": Mark(BROWN, "8", "--"),
    "csbsr-pspnet-wC8": Mark(VERMILION, "^", "--"),
    "csbsr-pspnet-wF1": Mark(GREEN, "v", "-"),
    "csbsr-pspnet-wF1-LC": Mark(PURPLE, "v", "-."),
    "csbsr-pspnet-blurskip": Mark(ORANGE, "s", "-"),
    "csbsr-pspnet-blurskip-wF1": Mark(VERMILION, "d", "-"),
}
"""Every experiment that is drawn, by its id."""


def mark_of(name: str) -> Mark:
    """How an experiment is drawn in every figure; ValueError for one without a mark."""
    if name not in METHODS:
        raise ValueError(f"experiment '{name}' has no colour; give it one in site/theme.py")
    return METHODS[name]


def stamp(figure: Figure, text: str) -> None:
    """Write a large pale watermark across a figure."""
    if text:
        figure.text(
            0.5, 0.5, text, ha="center", va="center", rotation=20, fontsize=34, color=ALARM,
            alpha=0.13, zorder=10,
        )  # fmt: skip


def nothing_here(axes: Axes, text: str) -> None:
    """Say in an empty plot why it is empty."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=MUTED)


def bare(*axes: Axes) -> None:
    """Remove ticks and grid, which pictures do not have."""
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
