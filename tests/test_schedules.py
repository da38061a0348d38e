"""Alpha, beta and the learning rate over the iterations of a step."""

import pytest

from csbsr.protocol import PRINTED, RELEASED
from csbsr.training.schedules import (
    alpha_rebalance,
    alpha_scaled,
    beta_at,
    learning_rate,
)


def test_rebalancing_counts_epochs():
    """The region weight 1 - alpha falls by 0.01 per 1,521 iterations to 0.01 after 99 epochs."""
    assert alpha_rebalance(0) == alpha_rebalance(1520) == 0
    assert alpha_rebalance(1521) == pytest.approx(0.01)
    assert alpha_rebalance(99 * 1521 - 1) == pytest.approx(0.98)
    assert alpha_rebalance(99 * 1521) == alpha_rebalance(10**6) == pytest.approx(0.99)


@pytest.mark.parametrize("iteration", [0, 1520, 1521, 3042, 75_000, 149_999, 160_000])
def test_scaled_alpha_is_the_released_one_at_full_length(iteration):
    assert alpha_scaled(iteration, 150_000) == alpha_rebalance(iteration)


@pytest.mark.parametrize("total", [100, 800, 3000])
def test_scaled_alpha_runs_its_course_in_any_length(total):
    values = [alpha_scaled(i, total) for i in range(total)]
    assert values[0] == 0
    assert values[-1] == pytest.approx(0.98, abs=0.011)
    assert values == sorted(values)
    assert values[total // 2] == pytest.approx(0.49, abs=0.011)


def test_increasing_beta_ends_with_the_step_or_as_released():
    """Paper: proportional to the iterations. Released code: 1 after 140,000 of 150,000."""
    assert beta_at(0, 150_000, "increasing", PRINTED) == 0
    assert beta_at(75_000, 150_000, "increasing", PRINTED) == 0.5
    assert beta_at(150_000, 150_000, "increasing", PRINTED) == 1
    assert beta_at(70_000, 150_000, "increasing", RELEASED) == pytest.approx(0.5)
    assert beta_at(140_000, 150_000, "increasing", RELEASED) == pytest.approx(1)
    assert beta_at(149_000, 150_000, "increasing", RELEASED) == 1


@pytest.mark.parametrize("beta", [0, 0.3, 1])
def test_fixed_beta(beta):
    assert all(beta_at(i, 10, beta, PRINTED) == beta for i in range(10))


def test_constant_learning_rate_with_and_without_warmup():
    assert [learning_rate(i, 10, 2e-5) for i in (0, 5, 9)] == [2e-5] * 3
    rates = [learning_rate(i, 10, 1.0, warmup=4) for i in range(10)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]


def test_cosine_learning_rate():
    rates = [learning_rate(i, 12, 1.0, warmup=2, decay="cosine") for i in range(13)]
    assert rates[:3] == [0.5, 1, 1]
    assert rates[7] == pytest.approx(0.5)
    assert rates[12] == pytest.approx(0)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert learning_rate(12, 12, 2.0, decay="cosine", floor=0.1) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: alpha_rebalance(-1), "iteration -1"),
        (lambda: alpha_rebalance(0, 0), "0 iterations per epoch"),
        (lambda: alpha_scaled(0, 0), "of 0"),
        (lambda: beta_at(0, 10, -0.1, PRINTED), "beta is -0.1"),
        (lambda: beta_at(0, 10, "rising", PRINTED), "'increasing'"),
        (lambda: learning_rate(0, 10, 1.0, warmup=10), "warmup is 10 of 10"),
        (lambda: learning_rate(0, 10, 1.0, decay="step"), "decay 'step'"),
    ],
)
def test_bad_schedules_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
