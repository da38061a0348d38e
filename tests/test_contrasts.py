"""Contrasts: tiny cases by hand, and how often a word is false."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import ttest_rel

from csbsr.study.contrasts import (
    FALSE,
    OPEN,
    TRUE,
    Contrast,
    Judgement,
    PValues,
    Spread,
    at_least,
    better,
    contrast,
    place,
    pooled_spread,
    settle,
    within,
)

DIFFERENCE = {"a": 1, "b": -1}
TRIALS = 2000


def judged(p, missing=False):
    return Judgement(PValues(*p), "x", missing)


def test_only_seeds_in_common_enter():
    values = {"a": {0: 0.5, 1: 0.6, 7: 0.1}, "b": {1: 0.4, 0: 0.45, 9: 0.9}}
    found = contrast(values, DIFFERENCE)
    assert found.seeds == (0, 1)
    assert found.estimate == pytest.approx((0.05 + 0.2) / 2)
    assert contrast({"a": {0: 1.0}, "b": {1: 1.0}}, DIFFERENCE) is None
    assert contrast({"a": {0: 1.0}}, DIFFERENCE) is None


def test_interval_and_p_value_are_those_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.random(6), rng.random(6)
    found = contrast({"a": dict(enumerate(a)), "b": dict(enumerate(b))}, DIFFERENCE)
    test = ttest_rel(a, b)
    assert found.interval() == pytest.approx(test.confidence_interval(0.95))
    assert 2 * min(found.p_above(0), found.p_below(0)) == pytest.approx(test.pvalue)
    assert (found.spread.df, found.spread.source) == (5, "own")


def test_pooled_spread_of_a_full_layout_is_that_of_a_block_design():
    values = np.random.default_rng(1).random((4, 3))  # experiments x seeds
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    found = pooled_spread({f"e{i}": dict(enumerate(row)) for i, row in enumerate(values)})
    assert found.df == 3 * 2
    assert found.sd == pytest.approx(math.sqrt(2 * (rest**2).sum() / 6))


def test_pooled_spread_of_two_experiments_is_that_of_their_differences():
    a, b = {0: 0.50, 1: 0.61, 2: 0.55}, {0: 0.49, 1: 0.58, 2: 0.56, 3: 0.7}
    found = pooled_spread({"a": a, "b": b, "single": {0: 0.3}})
    assert found.df == 2
    assert found.sd == pytest.approx(np.std([0.01, 0.03, -0.01], ddof=1))


def test_shared_runs_count_once_and_what_no_seed_changes_never():
    values = {"a": {0: 1.0, 1: 3.0}, "b": {0: 2.0, 1: 5.0}, "c": {0: 2.5, 1: 3.0}}
    assert pooled_spread({**values, "d": {0: 1.0, 1: 3.0}}) == pooled_spread(values)
    assert pooled_spread({**values, "untrained": {0: 0.3, 1: 0.3}}) == pooled_spread(values)
    assert pooled_spread({"a": {0: 1.0}, "b": {0: 2.0}}) is None
    assert pooled_spread({}) is None


def test_few_seeds_use_the_pooled_spread_or_their_own_larger_one():
    pooled = Spread(0.02, 20, "pooled over 9 experiments")
    calm = {"a": {0: 0.50, 1: 0.51}, "b": {0: 0.40, 1: 0.41}}
    assert contrast(calm, DIFFERENCE, pooled).spread == pooled
    wild = {"a": {0: 0.50, 1: 0.60}, "b": {0: 0.40, 1: 0.41}}
    spread = contrast(wild, DIFFERENCE, pooled).spread
    assert spread.sd == pytest.approx(0.09 / math.sqrt(2))
    assert "own, larger" in spread.source
    many = {name: dict(enumerate(np.linspace(0, k, 5))) for name, k in (("a", 1), ("b", 2))}
    assert contrast(many, DIFFERENCE, pooled).spread.source == "own"
    assert contrast(calm, {"a": 1, "b": -0.9}, pooled).spread.source == "own", "no difference"


def test_one_seed_with_nothing_to_pool_decides_nothing():
    found = contrast({"a": {0: 0.9}, "b": {0: 0.1}}, DIFFERENCE)
    assert found.interval() == (-math.inf, math.inf)
    assert better(found, 0.01) == OPEN
    assert settle([Judgement(better(found, 0.01), "")])[0].verdict == "undecided"


@pytest.mark.parametrize(
    ("estimate", "word"),
    [
        (0.025, "holds"),
        (0.013, "undecided"),  # above zero for sure, but by what matters?
        (0.0024, "too small to matter"),
        (-0.0024, "too small to matter"),
        (-0.008, "undecided"),
        (-0.025, "does not hold"),
    ],
)
def test_the_word_is_where_the_interval_lies(estimate, word):
    found = Contrast(tuple(range(8)), estimate, Spread(0.005, 7, "own"))
    assert found.interval()[1] - estimate == pytest.approx(0.00418, abs=1e-5)
    assert settle([Judgement(better(found, 0.010), "")])[0].verdict == word


@pytest.mark.parametrize(
    ("estimate", "word"), [(0.0, "holds"), (0.004, "undecided"), (0.02, "does not hold")]
)
def test_equivalence_by_two_one_sided_tests(estimate, word):
    found = Contrast(tuple(range(8)), estimate, Spread(0.003, 7, "own"))
    assert settle([Judgement(within(found, -0.005, 0.005), "")])[0].verdict == word
    one_sided = within(found, low=-0.005)
    assert one_sided.fails == pytest.approx(found.p_below(-0.005))


def test_equal_numbers_in_all_runs_differ_by_nothing_that_matters():
    shared = {s: 28.0 + s for s in range(8)}  # the PSNR of one frozen S under two names
    found = contrast({"a": shared, "b": shared}, DIFFERENCE)
    assert settle([Judgement(better(found, 0.1), "")])[0].verdict == "too small to matter"


# ------------------------------------------------------------------ several parts


@pytest.mark.parametrize(
    ("parts", "needed", "word"),
    [
        ([TRUE, TRUE], 2, "holds"),
        ([TRUE, OPEN], 2, "undecided"),
        ([FALSE, OPEN], 2, "does not hold"),
        ([TRUE, OPEN], 1, "holds"),
        ([FALSE, FALSE], 1, "does not hold"),
        ([TRUE, TRUE, FALSE], 2, "holds"),
        ([TRUE, OPEN, FALSE], 2, "undecided"),
        ([(1, 1, 0), TRUE], 2, "too small to matter"),
        ([(1, 1, 0), FALSE], 2, "does not hold"),
    ],
)
def test_enough_parts_decide(parts, needed, word):
    assert at_least(needed, [judged(p) for p in parts]).word() == word


def test_parts_that_were_not_run_leave_the_rest_to_decide():
    missing = judged(OPEN, missing=True)
    assert at_least(2, [judged(OPEN), missing]).word() == "not run"
    assert at_least(2, [judged(FALSE), missing]).word() == "does not hold"
    assert at_least(1, [judged(TRUE), missing]).word() == "holds"
    with pytest.raises(ValueError, match="at least one part"):
        at_least(1, [])


def test_all_need_the_largest_p_value_and_any_bonferroni():
    parts = [judged((p, 1, 1)) for p in (0.001, 0.02, 0.3)]
    found = [at_least(needed, parts).p.holds for needed in (3, 2, 1)]
    assert found == pytest.approx([0.3, 2 * 0.02, 3 * 0.001])
    tiny = [judged((1, p, p)) for p in (0.001, 0.5, 0.5)]
    assert at_least(3, tiny).p.fails == pytest.approx(3 * 0.001), "one of three failed"


@pytest.mark.parametrize(
    ("rivals", "wanted", "word"),
    [
        ([FALSE, FALSE, FALSE], 1, "holds"),
        ([TRUE, FALSE, FALSE], 1, "does not hold"),
        ([OPEN, FALSE, FALSE], 1, "undecided"),
        ([TRUE, FALSE, FALSE], 2, "holds"),
        ([FALSE, FALSE, FALSE], 2, "does not hold"),
        ([TRUE, OPEN, FALSE], 2, "undecided"),
        ([TRUE, TRUE, OPEN], 2, "does not hold"),
        ([(1, 1, 0), FALSE, FALSE], 1, "too small to matter"),
    ],
)
def test_places(rivals, wanted, word):
    assert place([judged(p) for p in rivals], wanted, "x").word() == word


def test_holm_by_hand():
    """Two hypotheses each: six p-values, thresholds 0.05 / 6, / 5, / 4, ..."""
    strong, middling, weak = (judged((p, 1, 1)) for p in (0.008, 0.0099, 0.013))
    words = [v.verdict for v in settle([weak, middling, strong])]
    assert words == ["undecided", "holds", "holds"]
    assert settle([weak])[0].verdict == "holds", "alone it would"
    assert "Holm over 3" in settle([weak, middling, strong])[0].evidence


def test_a_family_fixed_in_advance_counts_what_was_not_run():
    family = [judged((0.02, 1, 1)), judged(OPEN, missing=True)]
    assert [v.verdict for v in settle(family)] == ["holds", "not run"]
    assert [v.verdict for v in settle(family, whole=True)] == ["undecided", "not run"]


# ------------------------------------------------------------------ how often a word is false


def runs(rng, seeds, truth, sd):
    """Experiments that share the luck of a seed; `sd` is that of a paired difference."""
    luck = rng.normal(0, 0.006, 16)
    rest = sd / math.sqrt(2)
    return {
        name: {s: truth.get(name, 0.0) + luck[s] + rng.normal(0, rest) for s in range(n)}
        for name, n in seeds.items()
    }


def words(seeds, truth, sd, smallest):
    rng = np.random.default_rng(0)
    count = Counter()
    for _ in range(TRIALS):
        values = runs(rng, seeds, truth, sd)
        found = contrast(values, DIFFERENCE, pooled_spread(values))
        count[settle([Judgement(better(found, smallest), "")])[0].verdict] += 1
    return count


@pytest.mark.parametrize(
    ("a", "b", "others"),
    [(5, 3, 2), (8, 8, 0), (2, 8, 3), (1, 8, 3), (3, 3, 0), (2, 8, 0)],
)
def test_without_an_effect_at_most_five_percent_of_verdicts_are_false(a, b, others):
    """The hardest case: every difference matters, however small."""
    seeds = {"a": a, "b": b, **{f"other {i}": i + 1 for i in range(others)}}
    count = words(seeds, {}, sd=0.003, smallest=1e-12)
    assert count["holds"] + count["does not hold"] <= 0.06 * TRIALS
    assert count["holds"] <= 0.036 * TRIALS
    assert count["does not hold"] <= 0.036 * TRIALS


@pytest.mark.parametrize(("a", "b"), [(8, 8), (5, 3)])
def test_at_the_smallest_effect_of_interest_it_is_confirmed_in_few_percent(a, b):
    count = words({"a": a, "b": b}, {"a": 0.01}, sd=0.003, smallest=0.01)
    assert count["holds"] <= 0.036 * TRIALS
    assert count["holds"] + count["too small to matter"] <= 0.06 * TRIALS
    assert not count["does not hold"]


def test_a_small_true_gain_never_confirms_a_large_one():
    count = words({"a": 8, "b": 8}, {"a": 0.0024}, sd=0.003, smallest=0.01)
    assert count["holds"] == count["does not hold"] == 0
    assert count["too small to matter"] > 0.9 * TRIALS


@pytest.mark.parametrize("sd", [0.002, 0.005])
def test_twice_the_smallest_effect_is_found_by_eight_seeds_among_six_contrasts(sd):
    rng = np.random.default_rng(1)
    found = Counter()
    trials = 300
    for _ in range(trials):
        family = []
        for effect in (0.02, 0, 0, 0, 0, 0):
            values = runs(rng, {"a": 8, "b": 8}, {"a": effect}, sd)
            family.append(Judgement(better(contrast(values, DIFFERENCE), 0.01), ""))
        found[settle(family, whole=True)[0].verdict] += 1
    assert found["holds"] >= 0.9 * trials


def test_in_a_family_that_shares_an_arm_any_false_word_is_rare():
    rng = np.random.default_rng(2)
    trials, false = 1000, 0
    seeds = dict.fromkeys("abcdef", 4)
    for _ in range(trials):
        values = runs(rng, seeds, {}, sd=0.003)
        pooled = pooled_spread(values)
        family = [
            Judgement(better(contrast(values, {"a": 1, other: -1}, pooled), 1e-12), "")
            for other in "bcdef"
        ]
        false += any(v.verdict in ("holds", "does not hold") for v in settle(family, whole=True))
    assert false <= 0.06 * trials


def test_the_best_of_equals_is_rarely_named_the_best():
    """A maximum has no t interval; every single contrast has one."""
    rng = np.random.default_rng(3)
    trials, false = 1000, 0
    for _ in range(trials):
        values = runs(rng, dict.fromkeys("abcd", 8), {}, sd=0.003)
        rivals = [
            Judgement(better(contrast(values, {other: 1, "a": -1}), 1e-12), "") for other in "bcd"
        ]
        verdict = settle([place(rivals, 1, "a")])[0].verdict
        false += verdict in ("holds", "does not hold")
    assert false <= 0.06 * trials
