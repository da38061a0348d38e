"""Sec. IV-A: whether every arm gets the same training."""

from csbsr.protocol import Protocol
from csbsr.study.budget import budget_of
from csbsr.study.experiments import Experiment, experiments
from csbsr.study.profiles import Profile
from csbsr_book.site.table import Column, Table

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
