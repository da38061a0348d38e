"""Worked examples on drawn images: a photograph in Python, and a data set of one's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from csbsr.data.audit import SourceRow
from csbsr.data.synthetic import SyntheticCracks
from csbsr.inference.batch import overlay
from csbsr.inference.segmenter import Segmented
from csbsr_book.site.table import Column, Number, Table


def drawn_photograph(path: Path, side: int = 192) -> Path:
    """Write a drawn wall with a crack as PNG, four times reduced; returns its path."""
    image, _ = SyntheticCracks(1, 4 * side, seed=3, split="test").load(0)
    picture = Image.fromarray(image.transpose(1, 2, 0))
    picture.resize((side, side), Image.Resampling.BICUBIC).save(path)
    return path


def write_deepcrack(root: Path, train: int = 12, test: int = 4, side: int = 128) -> Path:
    """Write drawn cracks in the layout in which DeepCrack is published; returns the folder."""
    for split, count in (("train", train), ("test", test)):
        source = SyntheticCracks(count, side, split=split)
        for kind in ("img", "lab"):
            (root / f"{split}_{kind}").mkdir(parents=True, exist_ok=True)
        for i, name in enumerate(source.names):
            image, mask = source.load(i)
            picture = Image.fromarray(image.transpose(1, 2, 0))
            picture.save(root / f"{split}_img" / f"{name}.png")
            Image.fromarray(mask[0]).save(root / f"{split}_lab" / f"{name}.png")
    return root


def sources_table(rows: Sequence[SourceRow]) -> Table:
    """What `csbsr data check` says of every source."""
    columns = ["Split", "Source", "Images", "Photographs", "Without crack", "Sides"]
    cells = [
        [r.split, r.source, Number(r.images, digits=0), Number(r.photographs, digits=0)]
        + [Number(r.empty, digits=0), f"{r.smallest} to {r.largest}"]
        + [Number(100 * r.crack_share, digits=2)]
        for r in rows
    ]
    caption = "What is in the converted folder. Sides in pixels."
    return Table(caption, [*columns, Column("Crack pixels", unit="%")], cells)


def cracks_table(entries: Sequence[dict], most: int = 5) -> Table:
    """The longest cracks of a photograph, in its pixels."""
    names = {"length": "Length", "mean_width": "Mean width", "maximum_width": "Maximum width"}
    rows = [
        [
            Number(e["crack"], digits=0),
            *(Number(e[n], digits=1) for n in names),
            Number(e["area"], digits=0),
        ]
        for e in entries[:most]
    ]
    found = f"The {len(rows)} longest of {len(entries)} cracks, in pixels of the photograph."
    return Table(found, ["Crack", *names.values(), "Area"], rows)


def metrics_table(metrics: dict[str, float | None], names: Sequence[str], smoke: bool) -> Table:
    """Some metrics of one evaluation; those of a smoke run prove that the code runs."""
    rows = [[Number(metrics[name], "ours") for name in names]]
    if smoke:
        return Table("Smoke values, not results", list(names), rows).folded()
    return Table("The test images of one's own.", list(names), rows)


def segmented_figure(photo: NDArray[np.uint8], seen: Segmented, mask: NDArray[np.bool_]) -> Figure:
    """A photograph (h, w, 3), its super-resolved image, the probability and the mask on it."""
    sr = (seen.sr.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    pictures = {
        "photograph": photo,
        "super-resolved": sr,
        "probability": seen.prob[0].numpy(),
        "cracks": overlay(sr, mask),
    }
    figure, axes = plt.subplots(1, 4, figsize=(9.2, 2.7))
    for axis, (title, picture) in zip(axes, pictures.items()):
        axis.imshow(picture, cmap="magma", vmin=0, vmax=1 if picture.ndim == 2 else None)
        axis.set_title(title)
        axis.set_axis_off()
    return figure


def sheet_figure(sheet: NDArray[np.uint8]) -> Figure:
    """The contact sheet of `csbsr data check --sheet`, its empty columns cut off."""
    used = np.flatnonzero((sheet < 255).any((0, 2)))
    sheet = sheet[:, : used.max() + 2]
    figure, axis = plt.subplots(figsize=(sheet.shape[1] / 80, sheet.shape[0] / 80))
    axis.imshow(sheet)
    axis.set_axis_off()
    return figure
