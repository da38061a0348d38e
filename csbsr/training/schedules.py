"""What changes over the iterations of one training step: alpha, beta and the learning rate.

Every schedule is a pure function of the number of iterations already done in the step, so a
resumed run needs no state to continue exactly.
"""

from math import cos, pi
from typing import Literal

from csbsr.protocol import Protocol

RELEASED_EPOCH = 1521
"""Iterations per epoch of the authors: floor(9122 images / batch 6) + 1."""

LR_FLOOR = 0.02
"""Share of the learning rate that a training keeps at the end of a cosine (ours)."""

RELEASED_STEP3 = 150_000
"""Iterations of step 3 (Sec. IV-A)."""


def alpha_rebalance(
    iteration: int,
    iterations_per_epoch: int = RELEASED_EPOCH,
    step: float = 0.01,
    floor: float = 0.01,
) -> float:
    """Return alpha of Eq. (3), the weight of the Boundary term, under the "rebalance" strategy.

    The authors decrease the weight of the region term, alpha' = 1 - alpha, from 1 by `step` per
    epoch of joint training down to `floor`; so alpha is 0 during the first epoch and 0.99 from
    epoch 99 on. `iteration`: iterations of step 3 already done. Source: Sec. IV-B-1, released
    code. ValueError if `iteration` is negative or `iterations_per_epoch` is not positive.
    """
    if iteration < 0 or iterations_per_epoch < 1:
        raise ValueError(
            f"alpha_rebalance got iteration {iteration} and {iterations_per_epoch} iterations per "
            "epoch; give iteration >= 0 and iterations_per_epoch >= 1"
        )
    return min(step * (iteration // iterations_per_epoch), 1 - floor)


def alpha_scaled(iteration: int, total: int, step: float = 0.01, floor: float = 0.01) -> float:
    """Return the "rebalance" alpha with its whole course compressed into `total` iterations.

    The shape is that of `alpha_rebalance` over the paper's 150,000 iterations of step 3; both are
    equal for total = 150,000. For reduced runs, in which an epoch of 1,521 iterations would leave
    alpha at 0. Ours. ValueError if `total` is not positive or `iteration` is negative.
    """
    _check(iteration, total)
    return min(step * (iteration * RELEASED_STEP3 // (total * RELEASED_EPOCH)), 1 - floor)


def beta_at(
    iteration: int, total: int, beta: float | Literal["increasing"], protocol: Protocol
) -> float:
    """Return beta of Eq. (2), the weight of L_C, at one iteration of a step of `total`.

    A constant is returned as it is. "increasing" grows in proportion to the iterations from 0 and
    reaches 1 at the end of the step (paper, Table III) or after 14/15 of it (released code, which
    divides by 140,000 of 150,000 iterations): `protocol.beta_ramp`. ValueError for anything else.
    """
    if beta == "increasing":
        _check(iteration, total)
        return min(iteration / (protocol.beta_ramp * total), 1.0)
    return _share("beta", beta, "increasing")


def learning_rate(
    iteration: int,
    total: int,
    base: float,
    warmup: int = 0,
    decay: Literal["constant", "cosine"] = "constant",
    floor: float = 0.0,
) -> float:
    """Return the learning rate at one iteration of a step of `total`.

    Rises linearly over the first `warmup` iterations (never 0), then stays at `base` (the paper
    and the released code: constant throughout) or falls along half a cosine to `floor` times
    `base` (ours, for reduced runs). ValueError if `decay` is unknown or `warmup` is not within
    the step.
    """
    _check(iteration, total)
    if not 0 <= warmup < total:
        raise ValueError(f"warmup is {warmup} of {total} iterations; it must lie in 0..{total - 1}")
    if decay not in ("constant", "cosine"):
        raise ValueError(f"decay '{decay}' is unknown; choose 'constant' or 'cosine'")
    if iteration < warmup:
        return base * (iteration + 1) / warmup
    if decay == "constant":
        return base
    done = min((iteration - warmup) / (total - warmup), 1.0)
    return base * (floor + (1 - floor) * 0.5 * (1 + cos(pi * done)))


def _check(iteration: int, total: int) -> None:
    """Refuse a position that no training step has."""
    if iteration < 0 or total < 1:
        raise ValueError(
            f"schedule asked for iteration {iteration} of {total}; give 0 <= iteration, 1 <= total"
        )


def _share(name: str, value: float | str, word: str) -> float:
    """Return a constant weight after checking that it is a share of 1."""
    if isinstance(value, str) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {value!r}; give a number in [0, 1] or '{word}'")
    return float(value)
