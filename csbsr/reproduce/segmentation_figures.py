"""Block diagrams of the segmentation networks and of DSRL, laid out by resolution."""

from itertools import pairwise

from matplotlib.figure import Figure

from csbsr.reproduce.diagram_parts import PLAIN, arrow
from csbsr.reproduce.network_figures import (
    CONV,
    DOWN,
    OTHER,
    OUTPUT,
    PITCH,
    UP,
    Layout,
    Node,
    draw,
)

SIDES = ("448²", "224²", "112²", "56²", "28²", "14²")


def _chain(*names: str) -> list[str]:
    return [f"{a}>{b}" for a, b in pairwise(names)]


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
    edges = _chain("b1", "b2", "b3", "b4", "b5", "pyramid", "u1", "u2", "u3", "head")
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
    edges = [
        *_chain("e1", "e2", "e3", "e4", "e5", "center", "d4", "d3", "d2", "last", "head"),
    ]
    skips = ("e1>last", "e2>d2", "e3>d3", "e4>d4")
    return draw(Layout(SIDES[:5], nodes, edges, skips))


def hrnet_figure() -> Figure:
    """Return HRNet-W48 with OCR: four resolutions side by side, joined, and one image context."""
    nodes = {
        "image": Node(1.45, 0, "image\n3", CONV),
        "stem": Node(1.45, 1, "stem and\nstage 1: 256", DOWN, 1.08),
    }
    edges, faint = ["image>stem"], []
    for column, x in enumerate((2.5, 3.35, 4.2)):
        branches = column + 2
        for row in range(branches):
            look = DOWN if row == branches - 1 else CONV
            nodes[f"{column}{row}"] = Node(x, row + 1, f"{48 * 2**row}", look, 0.54)
            if column and row < branches - 1:
                edges.append(f"{column - 1}{row}>{column}{row}")
        faint.append(f"{column}{branches - 2}>{column}{branches - 1}")
    nodes |= {
        "joined": Node(5.05, 1, "joined\n720", OTHER, 0.66),
        "coarse": Node(5.82, 1.97, "coarse\nhead: 1\n(at 112²)", OUTPUT, 0.74, 0.6),
        "ocr": Node(6.55, 1, "conv, 512,\n+ context", OTHER, 0.92),
        "head": Node(6.4, 0, "1×1 conv: 1,\nup ×4, sigmoid", OUTPUT, 1.22),
    }
    edges += ["stem>00", "20>joined", "joined>ocr", "ocr>head@0.15"]
    faint += [f"2{row}>joined" for row in (1, 2, 3)] + ["joined>coarse", "coarse>ocr"]
    return draw(Layout(("448²", "112²", "56²", "28²", "14²"), nodes, edges, faint))


def _encoder_decoder(sides: bool) -> Layout:
    """SegNet, or CrackFormer with a side output at each scale."""
    left, right = (1.62, 3.62) if sides else (1.75, 4.35)
    widths, depths = (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
    outputs = (64, 64, 128, 256, 512)
    kind = "blocks" if sides else "conv"
    nodes, edges, faint = {}, [], []
    for row, (width, depth, out) in enumerate(zip(widths, depths, outputs)):
        look = DOWN if row else CONV
        first = "conv, block" if sides and row == 0 else f"{depth} {kind}"
        nodes[f"e{row}"] = Node(left, row, f"{first}, {width}", look, 1.32)
        text = f"{depth} {kind}, {out}"
        if not sides and row == 0:
            text = "conv, 64"
        nodes[f"d{row}"] = Node(right, row, text, UP, 1.22)
        faint.append(f"e{row}>d{row}")
        if row:
            edges += [f"e{row - 1}>e{row}", f"d{row}>d{row - 1}"]
        if sides:
            nodes[f"s{row}"] = Node(5.05, row, "side: 1", OTHER, 0.76)
            edges.append(f"d{row}>s{row}")
            faint.append(f"s{row}>fuse" if row else "s0>fuse")
    edges.append("e4>d4")
    if sides:
        nodes["fuse"] = Node(6.4, 0, "5 sides joined,\n1, sigmoid", OUTPUT, 1.22)
    else:
        nodes["head"] = Node(6.3, 0, "3×3 conv, 1\nsigmoid", OUTPUT, 1.0)
        edges.append("d0>head")
    return Layout(("448²", "224²", "112²", "56²", "28²"), nodes, edges, faint)


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
    edges = (
        "image>early", "early>deep", "deep>aspp", "aspp>seg", "aspp>sr", "seg>prob", "prob>up",
        "sr>ups", "ups>out",
    )  # fmt: skip
    faint = ("early>seg", "out>fa")
    return draw(Layout(("448²", "112²", "56²", "28²", "7²"), nodes, edges, faint))
