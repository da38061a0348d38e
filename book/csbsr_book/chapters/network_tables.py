"""Shapes, parameters and multiply-adds of full-size networks, counted without running them.

Networks are built on PyTorch's meta device: shapes and counts are exact, nothing is computed.
"""

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
from csbsr_book.site.table import Column, Content, Table, Words

READS = ("benchmarks/results/*.json",)

LR, HR = 112, 448
"""Sides of the images in pixels that all counts refer to; one image."""


@dataclass(frozen=True)
class Submodule:
    """One submodule of a network as it ran: path, last output shape, parameters, multiply-adds."""

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
    parts: tuple[Submodule, ...]


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
        Submodule(
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


def shape_table(counted: Count, names: Sequence[str], caption: str) -> Table:
    """The parts of a network: output, parameters, share of the multiply-adds.

    `names` says in words what each part is.
    """
    rows: list[list[Content]] = [
        [
            (f"{name} ", Words(part.path, "code")),
            " × ".join(map(str, part.shape)),
            part.parameters,
            part.macs / 1e9,
        ]
        for part, name in zip(counted.parts, names, strict=True)
    ]
    rows.append(["all", "", counted.parameters, counted.macs / 1e9])
    return Table(caption, ["Part", "Output", "Parameters", Column("GMACs", digits=1)], rows)


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
) -> Table:
    """Whole networks: name, ours, the plain form where it differs, a remark.

    With the benchmark's `networks.json` in `results`, seconds per image are added.
    """
    seconds = measured_seconds(results)
    lines = []
    for name, ours, plain, remark in rows:
        line = [name, ours.parameters, ours.macs / 1e9, plain.macs / 1e9 if plain else "the same"]
        measured = [seconds.get(name, "not measured")] if seconds else []
        lines.append([*line, *measured, remark])
    columns = [
        "Network",
        "Parameters",
        Column("GMACs", digits=1),
        Column("GMACs, plain form", digits=1),
        *([Column("Seconds per image", digits=2)] if seconds else []),
        "Remark",
    ]
    caption = f"One image, LR {LR} × {LR} to HR {HR} × {HR}; convolutions counted."
    return Table(caption, columns, lines)


def measured_seconds(folder: Path | None) -> dict[str, float]:
    """Seconds per image by network from `networks.json`, or nothing where it was not measured."""
    path = folder / "networks.json" if folder else None
    if path is None or not path.is_file():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8")).get("networks", [])
    return {
        row["name"]: float(row["seconds"])
        for row in rows
        if isinstance(row, dict) and "name" in row and "seconds" in row
    }
