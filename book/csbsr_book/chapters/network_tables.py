"""Shapes, parameters and multiply-adds of full-size networks, counted without running them.

Networks are built on PyTorch's meta device: shapes and counts are exact, nothing is computed.
"""

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from csbsr.networks.blocks import parameter_count
from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.pspnet import PSPNet
from csbsr_book.site.display import table_html

READS = ("benchmarks/results/*.json",)

LR, HR = 112, 448
"""Sides of the images in pixels that all counts refer to; one image."""


@dataclass(frozen=True)
class Part:
    """One part of a network as it ran: path, last output shape, parameters, multiply-adds."""

    path: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class Count:
    """A whole network: parameters, multiply-adds for one image, and its parts in running order."""

    parameters: int
    macs: int
    parts: tuple[Part, ...]


def count(
    build: Callable[[], nn.Module], side: int, paths: Sequence[str] = (), *, kernel: bool = False
) -> Count:
    """Count a network on one RGB image of side x side pixels.

    `paths` names the parts to be listed. Convolutions and matrix products count, element-wise
    operations, norms and resizing do not: multiply-adds are half of PyTorch's FlopCounterMode.
    With `kernel` a blur kernel is passed (networks with a blur skip).
    """
    with torch.device("meta"):
        network = build().eval()
        image = torch.empty(1, 3, side, side)
        extra = (torch.empty(1, 441),) if kernel else ()
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [
        network.get_submodule(path).register_forward_hook(_recorder(shapes, path)) for path in paths
    ]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image, *extra)
    for hook in hooks:
        hook.remove()
    totals = counter.get_flop_counts()
    root = type(network).__name__
    parts = tuple(
        Part(
            path,
            type(network.get_submodule(path)).__name__,
            shapes[path],
            parameter_count(network.get_submodule(path)),
            sum(totals.get(f"{root}.{path}", {}).values()) // 2,
        )
        for path in paths
        if path in shapes
    )
    return Count(parameter_count(network), counter.get_total_flops() // 2, parts)


def _recorder(shapes: dict[str, tuple[int, ...]], path: str) -> Callable[..., None]:
    def record(module: nn.Module, inputs: object, output: object) -> None:
        while not isinstance(output, Tensor):
            output = output[-1]  # of several outputs the last
        shapes[path] = tuple(output.shape[1:])

    return record


def shape_table(counted: Count, names: Sequence[str], caption: str) -> str:
    """HTML table of the parts: output, parameters, share of the multiply-adds.

    `names` says in words what each part is.
    """
    rows = [
        [
            f"{html.escape(name)} <code>{part.path}</code>",
            " × ".join(map(str, part.shape)),
            f"{part.parameters:,}",
            f"{part.macs / 1e9:,.1f}",
        ]
        for part, name in zip(counted.parts, names, strict=True)
    ]
    rows.append(["all", "", f"{counted.parameters:,}", f"{counted.macs / 1e9:,.1f}"])
    header = ("Part", "Output", "Parameters", "GMACs")
    return table_html(header, rows, caption=caption)


def blur_skip_rows() -> list[tuple[str, Count, Count | None, str]]:
    """Rows of `cost_table` for PSPNet without a blur skip and with either SFT."""

    def with_skip(modified: bool, plain: bool) -> PSPNet:
        return PSPNet("resnet34", blur_skip=BlurSkip(modified=modified, plain=plain))

    rows: list[tuple[str, Count, Count | None, str]] = [
        ("PSPNet", count(partial(PSPNet, "resnet34"), HR), None, "ResNet-34, as released")
    ]
    for name, modified, remark in (
        ("with blur skip", True, "the paper's"),
        ("with blur skip, original SFT", False, "sees the kernel alone"),
    ):
        ours, plain = (
            count(partial(with_skip, modified, p), HR, kernel=True) for p in (False, True)
        )
        rows.append((name, ours, plain, remark))
    return rows


def cost_table(
    rows: Sequence[tuple[str, Count, Count | None, str]], results: Path | None = None
) -> str:
    """HTML table of whole networks: name, ours, the plain form where it differs, a remark.

    With the benchmark's `networks.json` in `results`, seconds per image are added.
    """
    seconds = measured_seconds(results)
    lines = []
    for name, ours, plain, remark in rows:
        line = [
            html.escape(name),
            f"{ours.parameters:,}",
            f"{ours.macs / 1e9:,.1f}",
            f"{plain.macs / 1e9:,.1f}" if plain else "the same",
            html.escape(remark),
        ]
        if seconds:
            line.insert(4, seconds.get(name, "not measured"))
        lines.append(line)
    header = ["Network", "Parameters", "GMACs", "GMACs, plain form", "Remark"]
    if seconds:
        header.insert(4, "Seconds per image")
    return table_html(
        header, lines, caption=f"One image, LR {LR} × {LR} to HR {HR} × {HR}; convolutions counted."
    )


def measured_seconds(folder: Path | None) -> dict[str, str]:
    """Seconds per image by network from `networks.json`, or nothing where it was not measured."""
    path = folder / "networks.json" if folder else None
    if path is None or not path.is_file():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8")).get("networks", [])
    return {
        row["name"]: f"{row['seconds']:.2f}"
        for row in rows
        if isinstance(row, dict) and "name" in row and "seconds" in row
    }
