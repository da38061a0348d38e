"""Sec. IV-A: whether every arm gets the same training, and which range the blur has."""

from functools import cache

import numpy as np

from csbsr.degradation import constant_kernel, random_kernels
from csbsr.metrics import kernel_psnr
from csbsr.protocol import PRINTED, REPRODUCTION, Protocol
from csbsr.study.budget import budget_of
from csbsr.study.experiments import Experiment, experiments
from csbsr.study.profiles import Profile
from csbsr_book.paper.printed import load_table
from csbsr_book.site.table import Column, Number, Table

PARTS = ("S", "kernel", "C", "skip")


def compared() -> tuple[Experiment, ...]:
    """One experiment of every combination of networks, coupling and training that there is."""
    seen: dict[tuple, Experiment] = {}
    for row in experiments():
        key = (row.sr, row.kernel, row.segmentation, row.coupling, row.blur_skip, row.starts_from)
        if row.learns:
            seen.setdefault(key, row)
    return tuple(seen.values())


def budget_table(profile: Profile, protocol: Protocol) -> Table:
    """Updates, summed learning rate and images of every part, from the resolved steps."""
    rows = []
    for row in compared():
        spent = budget_of(row, profile, protocol)
        cells = []
        for part in PARTS:
            given = spent.get(part)
            cells += [given.updates, given.learning_rate, given.images] if given else [None] * 3
        rows.append([row.title, *cells])
    notes = {"S": "super-resolution", "kernel": "its estimator alone", "C": "segmentation"}
    columns = [
        Column(f"{part}: {what}", note=notes.get(part, "blur skip"), digits=digits)
        for part in PARTS
        for what, digits in (("updates", 0), ("rate", 4), ("images", 0))
    ]
    caption = f"What every part was given ({profile.name}, {protocol.name})"
    return Table(caption, ["Trained as", *columns], rows)


@cache
def constant_levels(protocol: Protocol) -> tuple[float, float]:
    """Kernel PSNR in dB of the mean kernel and of the best constant one, over 2,000 kernels."""
    truth = random_kernels(2000, np.random.default_rng(11), protocol)
    guesses = random_kernels(2000, np.random.default_rng(12), protocol).mean(0)
    found = (guesses, constant_kernel(protocol))
    mean, best = (kernel_psnr(k.expand_as(truth), truth).mean().item() for k in found)
    return mean, best


def blur_range_table() -> Table:
    """What one kernel for all images scores in both ranges, beside the paper's network."""
    row = next(r for r in load_table("VI").rows if r.experiment == "csbsr-pspnet")
    printed = row.values["kernel_PSNR"]
    rows = []
    for protocol, name in ((PRINTED, "variance in [0.2, 4]"), (REPRODUCTION, "std in [0.2, 4]")):
        mean, best = constant_levels(protocol)
        rows.append(
            [
                name,
                Number(mean, "ours"),
                Number(best, "ours"),
                Number(printed, "paper"),
                Number(printed - best, signed=True),
            ]
        )
    columns = [
        "The blur is drawn as",
        Column("Mean kernel", unit="dB", digits=2),
        Column("Best constant kernel", unit="dB", digits=2),
        Column("CSBSR, Table VI", unit="dB", digits=2),
        Column("Table VI over the constant", unit="dB", digits=2),
    ]
    return Table("Kernel PSNR without looking at the image", columns, rows)
