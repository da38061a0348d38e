"""Block diagrams of all networks.

Every row of a diagram is one resolution; data runs from left to right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from csbsr_book.site.drawing import (
    DATA,
    KERNEL,
    PLAIN,
    SEGMENTATION,
    SHARED,
    SR,
    WIDTH,
    Look,
    Point,
    arrow,
    box,
    canvas,
    sign,
    words,
)

UP, DOWN, CONV, OTHER, OUTPUT = SR, SHARED, PLAIN, KERNEL, SEGMENTATION
"""What colours mean: up-sampling, down-sampling, convolutions, conditions, outputs."""
PITCH = 0.82


@dataclass(frozen=True)
class Node:
    """One box: middle `x` in inches, `row` from the top (0, may be fractional), text, kind."""

    x: float
    row: float
    text: str
    look: Look = CONV
    width: float = 0.62
    height: float = 0.44


@dataclass(frozen=True)
class Edge:
    """An arrow between two nodes.

    In one row or one column it is straight. Any other leaves to the side and enters from above or
    below, or the other way round where it `rises`.
    """

    start: str
    end: str
    aside: float = 0.0
    """Distance in inches from the middle of `end` (and of `start`, where the edge is vertical)."""
    rises: bool = False
    faint: bool = False
    """Thin: skips and concatenations."""


@dataclass(frozen=True)
class Layout:
    """A network: names of its rows, nodes by key, and edges between them."""

    rows: Sequence[str]
    nodes: Mapping[str, Node]
    edges: Sequence[Edge]


def chain(*names: str) -> list[Edge]:
    """Return edges from each node to the next."""
    return [Edge(a, b) for a, b in pairwise(names)]


def faint(*pairs: tuple[str, str]) -> list[Edge]:
    """Return thin edges."""
    return [Edge(a, b, faint=True) for a, b in pairs]


def draw(layout: Layout, width: float = WIDTH) -> Figure:
    """Return the diagram of a network."""
    height = PITCH * len(layout.rows) + 0.1
    figure, axes = canvas(height, width)
    for number, name in enumerate(layout.rows):
        y = _height(layout, number)
        fill = "#f6f7f9" if number % 2 == 0 else "#ffffff"
        axes.add_patch(
            Rectangle((0.03, y - PITCH / 2), width - 0.06, PITCH, fc=fill, ec="none", zorder=0)
        )
        words(axes, (0.1, y), name, across="left", colour="#5b6470")
    for edge in sorted(layout.edges, key=lambda edge: not edge.faint):
        _edge(axes, layout, edge)
    for node in layout.nodes.values():
        at = (node.x, _height(layout, node.row))
        if node.text in ("+", "×", "−"):
            sign(axes, at, node.text)
        else:
            box(axes, at, (node.width, node.height), node.text, node.look)
    return figure


def _height(layout: Layout, row: float) -> float:
    return PITCH * (len(layout.rows) - row - 0.5) + 0.05


def _edge(axes: Axes, layout: Layout, edge: Edge) -> None:
    a, b = layout.nodes[edge.start], layout.nodes[edge.end]
    start = (a.x + edge.aside if abs(a.x - b.x) < 0.02 else a.x, _height(layout, a.row))
    end = (b.x + edge.aside, _height(layout, b.row))
    look, width = (PLAIN, 1.2) if edge.faint else (DATA, 1.5)
    arrow(axes, _route(a, b, start, end, edge.rises), look, width=width)


def _reach(node: Node) -> Point:
    return (0.13, 0.13) if node.text in ("+", "×", "−") else (node.width / 2, node.height / 2)


def _route(a: Node, b: Node, start: Point, end: Point, rises: bool) -> tuple[Point, ...]:
    (ax, ay), (bx, by) = start, end
    (aw, ah), (bw, bh) = _reach(a), _reach(b)
    side, rise = (1 if bx > ax else -1), (1 if by > ay else -1)
    if abs(ay - by) < 0.02:
        return (ax + side * aw, ay), (bx - side * bw, by)
    if abs(ax - bx) < 0.02:
        return (ax, ay + rise * ah), (bx, by - rise * bh)
    if rises:
        return (ax, ay + rise * ah), (ax, by), (bx - side * bw, by)
    return (ax + side * aw, ay), (bx, ay), (bx, by - rise * bh)


def _back_projection(kernel: bool, stages: int = 4) -> Layout:
    """DBPN, or with a row for the kernel KBPN."""
    first, pitch = 2.05, 0.685
    head = Node(1.15, 1, "3 conv\n128" if kernel else "2 conv\n64", width=0.66)
    if kernel:
        head = Node(1.15, 1, "4 conv\n128", width=0.66)
    nodes = {"features": head}
    beside = -0.13 if kernel else 0.0
    edges = [Edge("features", "up1", beside)]
    for t in range(1, stages + 1):
        x = first + 2 * pitch * (t - 1)
        nodes[f"up{t}"] = Node(x, 0, f"up {t}", UP, 0.56)
        if t > 1:
            edges += [Edge(f"down{t - 1}", f"up{t}", beside), *faint((f"up{t - 1}", f"up{t}"))]
        if t < stages:
            text = f"down {t}" + ("\nSFT" if kernel else "")
            nodes[f"down{t}"] = Node(x + pitch, 1, text, DOWN, 0.6)
            edges.append(Edge(f"up{t}", f"down{t}"))
            if t > 1:
                edges += faint((f"down{t - 1}", f"down{t}"))
        if kernel:
            nodes[f"k{t}"] = Node(x, 2, f"update\n{t}", OTHER, 0.6)
            edges += [Edge(f"up{t}", f"k{t}", 0.13), *faint((f"k{t - 1}", f"k{t}"))]
            if t < stages:
                edges += faint((f"k{t}", f"down{t}"))
    end = first + 2 * pitch * (stages - 1) + pitch
    nodes["out"] = Node(end + 0.02, 0, "conv\n3", OUTPUT, 0.52)
    edges.append(Edge(f"up{stages}", "out"))
    if kernel:
        nodes["k0"] = Node(1.15, 2, "initial\nkernel", OTHER, 0.66)
        nodes["kp"] = Node(end + 0.02, 2, "$K^P$\n441", OTHER, 0.52)
        edges += [Edge("features", "k0"), *faint((f"k{stages}", "kp"))]
    rows = ("448²\n(HR)", "112²\n(LR)", "kernel\n21²")
    return Layout(rows[: 3 if kernel else 2], nodes, edges)


def dbpn_figure() -> Figure:
    """Return DBPN: projections up and down, each on all earlier maps of its resolution."""
    return draw(_back_projection(kernel=False))


def kbpn_figure() -> Figure:
    """Return KBPN: DBPN's zigzag with a kernel that is updated in every stage."""
    return draw(_back_projection(kernel=True))


def kbpn_stage_figure() -> Figure:
    """Return one stage of KBPN: SR image, kernel, error, correction, way down."""
    nodes = {
        "low": Node(1.1, 1, "maps of\nstage t−1", PLAIN, 0.78),
        "up": Node(1.85, 0, "up-\nprojection", UP, 0.86),
        "head": Node(2.9, 0, "3×3 conv\n$SR_t$", OUTPUT, 0.76),
        "update": Node(2.9, 2, "update\nkernel", OTHER, 0.74),
        "before": Node(1.55, 2, "$K$ before", OTHER, 0.84),
        "after": Node(3.9, 2, "$K_t$", OTHER, 0.5),
        "blur": Node(3.9, 1, "blur by $K_t$,\nreduce ×4", CONV, 1.0),
        "minus": Node(4.7, 1, "−"),
        "error": Node(4.7, 0, "up 8×8", UP, 0.66),
        "plus": Node(5.28, 0, "+"),
        "high": Node(5.98, 0, "all maps\nso far", PLAIN, 0.76),
        "down": Node(5.98, 1, "down-\nprojection", DOWN, 0.86),
        "sft": Node(6.8, 1, "SFT\nby $K_t$", OTHER, 0.62),
        "x": Node(4.7, 1.62, "LR image", PLAIN, 0.74, 0.28),
    }
    edges = [
        Edge("low", "up", rises=True),
        *chain("up", "head", "update", "after", "blur", "minus", "error", "plus", "high", "down"),
        *chain("before", "update"),
        *chain("head", "blur"),
        *chain("x", "minus"),
        *chain("down", "sft"),
        *chain("after", "sft"),
    ]
    figure = draw(Layout(("448²\n(HR)", "112²\n(LR)", "kernel"), nodes, edges))
    axes = figure.axes[0]
    row = 2.5 * PITCH + 0.05
    around = ((1.85, row + 0.22), (1.85, row + 0.34), (5.28, row + 0.34), (5.28, row + 0.13))
    arrow(axes, around)
    return figure


def srcnet_figure() -> Figure:
    """Return SrcNet's SR network: groups of attention blocks at LR, one step up at the end."""
    nodes = {
        "image": Node(1.05, 1, "conv\n64", CONV, 0.56),
        "g1": Node(2.05, 1, "group 1\n20 blocks", CONV, 0.86),
        "dots": Node(3.05, 1, "...", CONV, 0.42),
        "g10": Node(4.05, 1, "group 10\n20 blocks", CONV, 0.86),
        "last": Node(4.97, 1, "conv\n64", CONV, 0.56),
        "plus": Node(5.55, 1, "+"),
        "up": Node(5.55, 0, "up 8×8\n256", UP, 0.66),
        "out": Node(6.55, 0, "conv\n3", OUTPUT, 0.52),
    }
    edges = chain("image", "g1", "dots", "g10", "last", "plus", "up", "out")
    figure = draw(Layout(("448²\n(HR)", "112²\n(LR)"), nodes, edges))
    row = 0.5 * PITCH + 0.05
    around = ((1.48, row), (1.48, row - 0.33), (5.55, row - 0.33), (5.55, row - 0.13))
    arrow(figure.axes[0], around, PLAIN, width=1.2)
    return figure


SIDES = ("448²", "224²", "112²", "56²", "28²", "14²")


def pspnet_figure() -> Figure:
    """Return PSPNet on VGG-16: down to an eighth, a pyramid of pooled views, three steps up."""
    nodes = {
        "b1": Node(1.55, 0, "2 conv, 64", CONV, 1.2),
        "b2": Node(1.55, 1, "2 conv, 128", DOWN, 1.2),
        "b3": Node(1.55, 2, "3 conv, 256", DOWN, 1.2),
        "b4": Node(1.55, 3, "3 conv, 512", DOWN, 1.2),
        "b5": Node(2.95, 3, "3 dilated\nconv, 512", CONV, 0.98),
        "pyramid": Node(4.4, 3, "pooled to 1, 2, 3, 6\nand joined: 1024", OTHER, 1.44),
        "u1": Node(4.4, 2, "up ×2, conv, 256", UP, 1.44),
        "u2": Node(4.4, 1, "up ×2, conv, 64", UP, 1.44),
        "u3": Node(4.4, 0, "up ×2, conv, 64", UP, 1.44),
        "head": Node(6.3, 0, "1×1 conv, 1\nsigmoid", OUTPUT, 1.0),
        "aux": Node(6.3, 2.05, "auxiliary head:\n1, sigmoid, up", OUTPUT, 1.2),
    }
    edges = chain("b1", "b2", "b3", "b4", "b5", "pyramid", "u1", "u2", "u3", "head")
    layout = Layout(SIDES[:4], nodes, edges)
    figure = draw(layout)
    low = 0.05 + PITCH / 2
    path = ((2.3, low), (2.3, low - 0.33), (6.3, low - 0.33), (6.3, 0.05 + 1.45 * PITCH - 0.22))
    arrow(figure.axes[0], path, PLAIN, width=1.2)
    return figure


def unet_figure() -> Figure:
    """Return the U-Net on VGG-16: what goes down on the left comes up on the right, with skips."""
    nodes = {
        "e1": Node(1.75, 0, "2 conv, 64", CONV, 1.3),
        "e2": Node(1.75, 1, "2 conv, 128", DOWN, 1.3),
        "e3": Node(1.75, 2, "3 conv, 256", DOWN, 1.3),
        "e4": Node(1.75, 3, "3 conv, 512", DOWN, 1.3),
        "e5": Node(1.75, 4, "3 conv, 512", DOWN, 1.3),
        "center": Node(4.35, 4, "conv, 1024,\nshuffled up: 256", UP, 1.5),
        "d4": Node(4.35, 3, "conv, 1024,\nshuffled up: 256", UP, 1.5),
        "d3": Node(4.35, 2, "conv, 512,\nshuffled up: 128", UP, 1.5),
        "d2": Node(4.35, 1, "conv, 256,\nshuffled up: 64", UP, 1.5),
        "last": Node(4.35, 0, "conv, 32", CONV, 1.5),
        "head": Node(6.3, 0, "1×1 conv, 1\nsigmoid", OUTPUT, 1.0),
    }
    edges = chain("e1", "e2", "e3", "e4", "e5", "center", "d4", "d3", "d2", "last", "head")
    skips = faint(("e1", "last"), ("e2", "d2"), ("e3", "d3"), ("e4", "d4"))
    return draw(Layout(SIDES[:5], nodes, [*edges, *skips]))


def hrnet_figure() -> Figure:
    """Return HRNet-W48 with OCR: four resolutions side by side, joined, and one image context."""
    nodes = {
        "image": Node(1.45, 0, "image\n3", CONV),
        "stem": Node(1.45, 1, "stem and\nstage 1: 256", DOWN, 1.08),
    }
    edges = chain("image", "stem")
    for column, x in enumerate((2.5, 3.35, 4.2)):
        branches = column + 2
        for row in range(branches):
            look = DOWN if row == branches - 1 else CONV
            nodes[f"{column}{row}"] = Node(x, row + 1, f"{48 * 2**row}", look, 0.54)
            if column and row < branches - 1:
                edges.append(Edge(f"{column - 1}{row}", f"{column}{row}"))
        edges += faint((f"{column}{branches - 2}", f"{column}{branches - 1}"))
    nodes |= {
        "joined": Node(5.05, 1, "joined\n720", OTHER, 0.66),
        "coarse": Node(5.82, 1.97, "coarse\nhead: 1\n(at 112²)", OUTPUT, 0.74, 0.6),
        "ocr": Node(6.55, 1, "conv, 512,\n+ context", OTHER, 0.92),
        "head": Node(6.4, 0, "1×1 conv: 1,\nup ×4, sigmoid", OUTPUT, 1.22),
    }
    edges += [*chain("stem", "00"), *chain("20", "joined", "ocr"), Edge("ocr", "head", 0.15)]
    edges += faint(*((f"2{row}", "joined") for row in (1, 2, 3)))
    edges += faint(("joined", "coarse"), ("coarse", "ocr"))
    return draw(Layout(("448²", "112²", "56²", "28²", "14²"), nodes, edges))


def _encoder_decoder(sides: bool) -> Layout:
    """SegNet, or CrackFormer with a side output at each scale."""
    left, right = (1.62, 3.62) if sides else (1.75, 4.35)
    widths, depths = (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
    outputs = (64, 64, 128, 256, 512)
    kind = "blocks" if sides else "conv"
    nodes, edges = {}, []
    for row, (width, depth, out) in enumerate(zip(widths, depths, outputs)):
        look = DOWN if row else CONV
        first = "conv, block" if sides and row == 0 else f"{depth} {kind}"
        nodes[f"e{row}"] = Node(left, row, f"{first}, {width}", look, 1.32)
        text = f"{depth} {kind}, {out}"
        if not sides and row == 0:
            text = "conv, 64"
        nodes[f"d{row}"] = Node(right, row, text, UP, 1.22)
        edges += faint((f"e{row}", f"d{row}"))
        if row:
            edges += [Edge(f"e{row - 1}", f"e{row}"), Edge(f"d{row}", f"d{row - 1}")]
        if sides:
            nodes[f"s{row}"] = Node(5.05, row, "side: 1", OTHER, 0.76)
            edges += [Edge(f"d{row}", f"s{row}"), *faint((f"s{row}", "fuse"))]
    edges.append(Edge("e4", "d4"))
    if sides:
        nodes["fuse"] = Node(6.4, 0, "5 sides joined,\n1, sigmoid", OUTPUT, 1.22)
    else:
        nodes["head"] = Node(6.3, 0, "3×3 conv, 1\nsigmoid", OUTPUT, 1.0)
        edges.append(Edge("d0", "head"))
    return Layout(("448²", "224²", "112²", "56²", "28²"), nodes, edges)


def segnet_figure() -> Figure:
    """Return SegNet: the decoder puts values back where pooling took them from."""
    return draw(_encoder_decoder(sides=False))


def crackformer_figure() -> Figure:
    """Return CrackFormer: SegNet's shape with transformer blocks and five side outputs."""
    return draw(_encoder_decoder(sides=True))


def dsrl_figure() -> Figure:
    """Return DSRL x4: one extractor on the LR image, two decoders."""
    nodes = {
        "image": Node(1.25, 1, "LR image\n3", CONV, 0.8),
        "early": Node(1.25, 3, "ResNet-101,\nlayer 1: 256", DOWN, 1.06),
        "deep": Node(1.25, 4, "layers 2–4:\n2048", DOWN, 1.06),
        "aspp": Node(2.75, 4, "ASPP\n256", OTHER, 0.8),
        "seg": Node(3.4, 3, "decoder,\n256", CONV, 0.8),
        "prob": Node(3.4, 2, "1×1 conv, 1\nsigmoid", OUTPUT, 1.0),
        "up": Node(3.4, 0, "resized\n1", OUTPUT, 0.8),
        "sr": Node(4.85, 3, "decoder,\n128 → 64", CONV, 0.9),
        "ups": Node(4.85, 1.5, "up ×2, conv,\nfour times:\n64, 64, 32, 16", UP, 1.16, 0.66),
        "out": Node(4.85, 0, "1×1 conv\n3", OUTPUT, 0.9),
        "fa": Node(6.35, 0, "affinity loss\nof both outputs", OTHER, 1.2),
    }
    edges = [
        *chain("image", "early", "deep", "aspp", "seg", "prob", "up"),
        *chain("aspp", "sr", "ups", "out"),
        *faint(("early", "seg"), ("out", "fa")),
    ]
    return draw(Layout(("448²", "112²", "56²", "28²", "7²"), nodes, edges))
