"""Lab 3: joint against detached training at toy size, with paired seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from csbsr.study import contrasts
from csbsr_book.exercises import toy
from csbsr_book.exercises.answers import array, function, holds, number, right, same
from csbsr_book.site.theme import BLUE, BROWN, MUTED

Runs = Mapping[str, Sequence[float]]
"""IoU of every seed, by arm: "joint" and "detached"."""


def total(given: object) -> None:
    """A function (l_s, l_c, beta) -> Eq. 2."""
    made = function("total", given)
    l_s, l_c = torch.tensor(0.03), torch.tensor(0.8)
    for beta in (0.0, 0.3, 1.0):
        expected = (1 - beta) * l_s + beta * l_c
        array(
            f"total at beta = {beta:g}", made(l_s, l_c, beta), expected, "(1 - beta) L_S + beta L_C"
        )
    right("Eq. 2")


def segmentation_input(given: object) -> None:
    """A function (sr, coupling) -> what C sees; only a joint arm lets the gradient back."""
    made = function("segmentation_input", given)
    for coupling in ("joint", "detached"):
        sr = torch.rand(1, 3, 4, 4, requires_grad=True)
        found = made(sr, coupling)
        array(f"segmentation_input, {coupling}", found.detach(), sr.detach(), "the same values")
        message = "joint must pass the gradient of L_C on to S; detached must not (`detach()`)"
        holds(
            found.requires_grad == (coupling == "joint"), f"{coupling} is the other way: {message}"
        )
    right("one call makes the difference between the two arms")


def run_pairs(input_of: toy.Input, total_of: toy.Total, seeds: Sequence[int]) -> Runs:
    """Train both arms for every seed with the student's functions; takes seconds per run."""
    return {
        arm: [toy.train_arm(arm, seed, input_of, total_of) for seed in seeds]
        for arm in ("joint", "detached")
    }


def show_pairs(runs: Runs) -> Figure:
    """Both arms of every seed, joined by a line, and their differences."""
    joint, detached = np.array(runs["joint"]), np.array(runs["detached"])
    figure, (left, right_) = plt.subplots(1, 2, figsize=(7, 2.8))
    for a, b in zip(detached, joint):
        left.plot((0, 1), (a, b), color=MUTED, linewidth=1)
    left.plot(np.zeros(len(detached)), detached, "d", color=BROWN)
    left.plot(np.ones(len(joint)), joint, "o", color=BLUE)
    left.set(xticks=(0, 1), xticklabels=("detached", "joint"), xlim=(-0.4, 1.4), ylabel="IoU")
    right_.axhline(0, color=MUTED, linewidth=1)
    right_.plot(range(len(joint)), joint - detached, "o", color=BLUE)
    right_.set(xlabel="seed", ylabel="joint - detached", xticks=range(len(joint)))
    return figure


def _contrast(runs: Runs) -> contrasts.Contrast:
    values = {arm: dict(enumerate(numbers)) for arm, numbers in runs.items()}
    return contrasts.contrast(values, {"joint": 1, "detached": -1})


def paired(mean: object, half: object, runs: Runs) -> None:
    """Mean difference of the pairs and half width of its 95 % interval."""
    found = _contrast(runs)
    low, high = found.interval()
    number("mean", mean, found.estimate, "mean of joint - detached, seed by seed")
    number("half", half, (high - low) / 2, "t * SD of the differences / sqrt(n)")
    right(f"{found.estimate:+.4f} ± {(high - low) / 2:.4f}")


def unpaired(deviation: object, runs: Runs) -> None:
    """Standard deviation that a difference of two single, unpaired runs would have."""
    expected = float(np.hypot(*(np.std(numbers, ddof=1) for numbers in runs.values())))
    number("deviation", deviation, expected, "the variances of both arms add")
    own = float(np.std(np.subtract(*runs.values()), ddof=1))
    right(f"paired it is {own:.4f}, unpaired {expected:.4f}")


def verdict(word: object, runs: Runs, smallest: float) -> None:
    """The verdict on "joint is better" from the interval of the pairs."""
    low, high = _contrast(runs).interval()
    if low >= smallest:
        expected = "holds"
    elif high <= -smallest:
        expected = "does not hold"
    else:
        expected = "too small to matter" if -smallest < low and high < smallest else "undecided"
    same("word", word, expected, "does the whole interval lie above, below or between the borders?")
    right("whatever it is: this is a toy, and says nothing about the paper")


def seeds(n: object, runs: Runs, half: float) -> None:
    """Pairs needed until the 95 % interval is that narrow, by the spread of these pairs."""
    spread = float(np.std(np.subtract(*runs.values()), ddof=1))
    expected = max(2, int(np.ceil((1.96 * spread / half) ** 2)))
    number("n", n, expected, "(1.96 SD / half)^2, rounded up, at least 2", 1e-6)
    right("the spread itself is known badly from few pairs: plan for more")
