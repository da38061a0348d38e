"""Parts of the drawn diagrams: boxes, ellipses, pictures, feature blocks, arrows with corners.

A canvas measures in inches, so that letters keep their size whatever is drawn around them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray

WIDTH = 7.2
"""Width of every diagram in inches."""
SMALL, LARGE, NORMAL = 8.5, 10.0, 10.5
"""Sizes of letters in points; nothing is smaller than SMALL, boxes of Figs. 2 to 4 are LARGE."""
INK = "#1f2933"
Point = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """Line and fill of a kind of part, and its dashes; kinds differ in more than colour."""

    line: str
    fill: str
    dashes: str | tuple = "-"


DATA = Look("#3d4650", "#ffffff")
SR = Look("#0b6ba8", "#dcecf8", (0, (4, 1.6)))
SEGMENTATION = Look("#c2410c", "#fde6d8", (0, (4, 1.6)))
LOSS_WEIGHTS = Look("#7a3e9d", "#f0e6f6", (0, (1.2, 1.4)))
FEATURES = Look("#c2410c", "#fde6d8")
KERNEL = Look("#946200", "#fdf1cf")
SHARED = Look("#3f6b52", "#e0f0e6")
PLAIN = Look("#6b7280", "#f1f3f5")


def canvas(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return an empty figure whose axes measure in inches from the lower left corner."""
    figure = plt.figure(figsize=(width, height), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height), xticks=[], yticks=[])
    axes.set_axis_off()
    return figure, axes


def words(
    axes: Axes,
    at: Point,
    text: str,
    *,
    size: float = SMALL,
    colour: str = INK,
    bold: bool = False,
    across: str = "center",
    down: str = "center",
) -> None:
    """Write text at a point."""
    weight = "bold" if bold else "normal"
    axes.text(
        *at, text, fontsize=size, color=colour, weight=weight, ha=across, va=down, linespacing=1.25,
        zorder=6,
    )  # fmt: skip


def box(
    axes: Axes,
    at: Point,
    size: Point,
    text: str,
    look: Look = PLAIN,
    *,
    letters: float = SMALL,
    bold: bool = False,
    dashed: bool = False,
) -> None:
    """Draw a rounded box around its middle and write into it."""
    (x, y), (w, h) = at, size
    axes.add_patch(
        FancyBboxPatch(
            (x - w / 2, y - h / 2), w, h, boxstyle="round,pad=0,rounding_size=0.07", lw=1.2,
            fc="none" if dashed else look.fill, ec=look.line, ls=(0, (3, 2)) if dashed else "-",
            zorder=1 if dashed else 3,
        )
    )  # fmt: skip
    if text:
        words(axes, at, text, size=letters, bold=bold)


def ellipse(axes: Axes, at: Point, size: Point, text: str, look: Look) -> None:
    """Draw a loss or a weight."""
    axes.add_patch(Ellipse(at, *size, fc=look.fill, ec=look.line, lw=1.3, zorder=3))
    words(axes, at, text, size=NORMAL + 0.5)


def sign(axes: Axes, at: Point, text: str, radius: float = 0.13) -> None:
    """Draw an operation: a circle with its sign."""
    axes.add_patch(Ellipse(at, 2 * radius, 2 * radius, fc="#ffffff", ec=INK, lw=1.2, zorder=4))
    words(axes, at, text, size=11)


def picture(axes: Axes, at: Point, side: float, image: NDArray, look: Look = DATA) -> None:
    """Show a small square image (H, W) or (H, W, 3) with a frame."""
    (x, y), half = at, side / 2
    extent = (x - half, x + half, y - half, y + half)
    grey = {"cmap": "gray"} if image.ndim == 2 else {}
    limits = (axes.get_xlim(), axes.get_ylim())
    axes.imshow(image, extent=extent, aspect="auto", zorder=3, interpolation="antialiased", **grey)
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.add_patch(
        Rectangle((x - half, y - half), side, side, fc="none", ec=look.line, lw=1.2, zorder=4)
    )


def block(axes: Axes, at: Point, size: Point, look: Look, depth: float = 0.16) -> None:
    """Draw a set of feature maps as a slanted block; `at` is the middle of its front."""
    (x, y), (w, h) = at, size
    left, right, low, high = x - w / 2, x + w / 2, y - h / 2, y + h / 2
    up = depth * 0.8
    faces = (
        ((left, low), (right, low), (right, high), (left, high)),
        ((left, high), (right, high), (right + depth, high + up), (left + depth, high + up)),
        ((right, low), (right + depth, low + up), (right + depth, high + up), (right, high)),
    )
    for face, shade in zip(faces, (1.0, 0.96, 0.88)):
        colour = np.clip(np.array(plt.matplotlib.colors.to_rgb(look.fill)) * shade, 0, 1)
        axes.add_patch(Polygon(face, closed=True, fc=colour, ec=look.line, lw=1.1, zorder=3))


def arrow(
    axes: Axes,
    points: Sequence[Point],
    look: Look = DATA,
    *,
    head: bool = True,
    width: float = 1.5,
) -> None:
    """Draw an arrow along straight pieces with rounded corners."""
    axes.add_patch(
        PathPatch(
            _rounded(points), fc="none", ec=look.line, lw=width, ls=look.dashes, zorder=2,
            joinstyle="round", capstyle="butt",
        )
    )  # fmt: skip
    if head:  # apart from the line, so that its outline is not dashed
        before, tip = np.asarray(points[-2], float), np.asarray(points[-1], float)
        along = (tip - before) / np.hypot(*(tip - before))
        across = np.array((-along[1], along[0]))
        corners = (tip, tip - 0.11 * along + 0.042 * across, tip - 0.11 * along - 0.042 * across)
        axes.add_patch(Polygon(corners, closed=True, fc=look.line, ec=look.line, lw=0.6, zorder=5))


def _rounded(points: Sequence[Point], radius: float = 0.09) -> Path:
    """A path through the points whose corners are quarter turns of at most this radius."""
    corners = np.asarray(points, float)
    vertices, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:]):
        back, on = before - corner, after - corner
        reach = min(radius, np.hypot(*back) / 2, np.hypot(*on) / 2)
        enter = corner + back / np.hypot(*back) * reach
        leave = corner + on / np.hypot(*on) * reach
        vertices += [enter, corner, leave]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*vertices, corners[-1]], [*codes, Path.LINETO])


def legend(axes: Axes, y: float, entries: Sequence[tuple[str, Look, float]]) -> None:
    """Explain arrows in a line at height y: text, look, and the left end of each entry."""
    for text, look, x in entries:
        arrow(axes, ((x, y), (x + 0.38, y)), look)
        words(axes, (x + 0.45, y), text, across="left")
