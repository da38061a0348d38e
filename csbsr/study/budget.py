"""What each part of an experiment's model was given: the budget table, and whether it is fair."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from csbsr.protocol import Protocol
from csbsr.study.experiments import Experiment, experiment
from csbsr.study.profiles import Profile
from csbsr.study.steps import TrainingStep, steps_of
from csbsr.training.config import StepConfig
from csbsr.training.schedules import LR_FLOOR, learning_rate

Part = Literal["S", "kernel", "C", "skip"]


@dataclass(frozen=True)
class Spent:
    """Training that one part of a model received."""

    updates: int = 0
    learning_rate: float = 0.0
    """Sum of the learning rate over the updates."""
    images: int = 0
    """Images seen, each as often as it was."""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.updates + other.updates,
            self.learning_rate + other.learning_rate,
            self.images + other.images,
        )


def budget_of(
    row: Experiment, profile: Profile, protocol: Protocol, *, before_last: bool = False
) -> Mapping[Part, Spent]:
    """Training of every part of an experiment's model over all its steps, its parents' included.

    `before_last` leaves out the last step: what S and C bring into the step that is compared.
    """
    spent: dict[Part, Spent] = {}
    if row.starts_from:
        spent |= budget_of(experiment(row.starts_from), profile, protocol)
    steps = steps_of(row, profile, protocol)
    for step in steps[:-1] if before_last else steps:
        for part, more in _of_step(step):
            spent[part] = spent.get(part, Spent()) + more
    return spent


@cache
def _of_step(step: TrainingStep) -> tuple[tuple[Part, Spent], ...]:
    config = step.config
    given, kernel_only = config.kernel_phases
    whole = range(config.iterations)
    if config.train == "kernel":
        return (("kernel", _sum(config, config.lr_sr, whole)),)
    found: list[tuple[Part, Spent]] = []
    if config.trains_sr:
        before, after = whole[:given], whole[max(given, kernel_only) :]
        sr = _sum(config, config.lr_sr, before) + _sum(config, config.lr_sr, after)
        found.append(("S", sr))  # which stands still while the kernel is learnt alone
        if alone := whole[given:kernel_only]:
            found.append(("kernel", _sum(config, config.lr_sr, alone)))
    if config.train in ("blur_skip", "all"):
        found.append(("skip", _sum(config, config.lr_segmentation, whole)))
    if config.trains_segmentation and config.train != "blur_skip":
        found.append(("C", _sum(config, config.lr_segmentation, whole)))
    return tuple(found)


def _sum(config: StepConfig, base: float, iterations: range) -> Spent:
    """Training over some iterations of a step; a constant rate is not added up one by one."""
    changing = iterations
    if config.lr_decay == "constant":
        changing = range(iterations.start, min(iterations.stop, config.warmup))
    rates = (
        learning_rate(i, config.iterations, base, config.warmup, config.lr_decay, LR_FLOOR)
        for i in changing
    )
    total = sum(rates) + base * (len(iterations) - len(changing))
    return Spent(len(iterations), total, len(iterations) * config.batch)


def unfairness(one: Spent, other: Spent) -> float:
    """Largest relative difference between two budgets, 0 for equal ones, at most 1."""
    pairs = (
        (one.updates, other.updates),
        (one.learning_rate, other.learning_rate),
        (one.images, other.images),
    )
    return max((abs(a - b) / max(a, b) if max(a, b) else 0.0) for a, b in pairs)
