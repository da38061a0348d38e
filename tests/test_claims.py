"""The claims ledger: one test per claim, and the rules by which verdicts come about."""

import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from csbsr.study.experiments import experiment
from csbsr.study.verdicts import Verdict, combine
from csbsr.toml import build
from csbsr_book.paper.checks import PaperNumbers, collect_results, seed_spread
from csbsr_book.paper.claims import (
    ClaimsFile,
    evaluate_on_paper,
    evaluate_on_results,
    load_by_eye,
    load_claims,
    load_ledger,
    update_ledger,
)
from csbsr_book.paper.printed import load_tables

CLAIMS = {claim.id: claim for claim in load_claims()}
RESULTS = collect_results(Path(__file__).parents[1] / "results")
LEDGER = load_ledger()


@pytest.mark.parametrize("claim_id", CLAIMS)
def test_verdict_is_the_one_in_the_ledger(claim_id):
    claim = CLAIMS[claim_id]
    now = {
        "paper": evaluate_on_paper(claim).verdict,
        "results": evaluate_on_results(claim, RESULTS).verdict,
    }
    assert now == LEDGER.get(claim_id), "if this is right: csbsr claims --update"


def test_ledger_and_claims_name_the_same_statements():
    assert set(LEDGER) == set(CLAIMS)


def test_there_are_enough_claims_with_quote_and_place():
    assert len(CLAIMS) >= 105
    assert all(c.quote and c.place and len(c.quote) < 160 for c in CLAIMS.values())
    assert not {c.id for c in load_by_eye()} & set(CLAIMS)
    assert set(Counter(c.kind for c in CLAIMS.values())) == {
        "ordering",
        "gap",
        "absolute",
        "ratio",
        "monotone",
        "internal arithmetic",
        "stability",
        "curve",
    }


def test_claims_name_existing_experiments_only():
    for claim in CLAIMS.values():
        for name in claim.experiments:
            assert experiment(name).id == name


def run(name, seed=0, profile="quick", curves=None, **metrics):
    return {
        "experiment": name,
        "profile": profile,
        "protocol": "paper",
        "seed": seed,
        "metrics": metrics,
        "curves": curves or {},
    }


def runs(name, values, metric="IoU_max", **kwargs):
    return [run(name, seed, **{metric: v}, **kwargs) for seed, v in enumerate(values)]


JOINT = CLAIMS["t2-joint-pspnet-iou-max"]


@pytest.mark.parametrize(
    ("joint", "independent", "verdict"),
    [
        ([0.58], [0.54], "holds"),
        ([0.54], [0.58], "does not hold"),
        ([0.5485], [0.54], "inconclusive"),  # below the documented spread of one run
        ([0.56], [0.54], "inconclusive"),  # below twice the spread of a difference of two runs
        ([0.50, 0.60, 0.55], [0.49, 0.591, 0.539], "holds"),  # paired: seeds cancel
        ([0.50, 0.60, 0.55], [0.51, 0.55, 0.58], "inconclusive"),
        ([0.50, 0.60, 0.55], [0.51, 0.612, 0.561], "does not hold"),
        ([0.58], [], "not run"),
    ],
)
def test_results_must_exceed_the_noise(joint, independent, verdict):
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", joint),
        "kbpn+pspnet": runs("kbpn+pspnet", independent),
    }
    assert evaluate_on_results(JOINT, results).verdict == verdict


def test_smoke_results_never_count():
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", [0.9], profile="smoke"),
        "kbpn+pspnet": runs("kbpn+pspnet", [0.1], profile="smoke"),
    }
    verdict = evaluate_on_results(JOINT, results)
    assert verdict == Verdict("not run", "only smoke runs, which never count")
    results["csbsr-pspnet"] += runs("csbsr-pspnet", [0.9])
    assert evaluate_on_results(JOINT, results).verdict == "not run"


def test_profiles_are_never_mixed():
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", [0.58], profile="paper")
        + runs("csbsr-pspnet", [0.50]),
        "kbpn+pspnet": runs("kbpn+pspnet", [0.54]),
    }
    assert evaluate_on_results(JOINT, results).verdict == "does not hold"


def test_one_seed_decides_nothing_where_no_spread_is_documented():
    claim = CLAIMS["t2-joint-pspnet-hd95-min"]
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", [10.0], "HD95_min"),
        "kbpn+pspnet": runs("kbpn+pspnet", [90.0], "HD95_min"),
    }
    assert "HD95_min" not in seed_spread().sd
    verdict = evaluate_on_results(claim, results)
    assert verdict.verdict == "inconclusive"
    assert "spread over seeds not known" in verdict.evidence


def test_undefined_metrics_are_not_run():
    results = {
        "csbsr-pspnet": [run("csbsr-pspnet", IoU_max=None)],
        "kbpn+pspnet": runs("kbpn+pspnet", [0.5]),
    }
    assert evaluate_on_results(JOINT, results).verdict == "not run"


@pytest.mark.parametrize(
    ("low", "verdict"), [(20, "inconclusive"), (99, "holds"), (0, "does not hold")]
)
def test_curves_count_thresholds(low, verdict):
    """`low` thresholds with a clear lead; the rest trail clearly, or are level if low is 20."""
    claim = CLAIMS["f6-csbsr-curve-cssr-pspnet"]
    rest = 0.5 if low == 20 else 0.3
    ours = {"IoU": [0.6] * low + [rest] * (99 - low)}
    theirs = {"IoU": [0.5] * 99}
    results = {
        "csbsr-pspnet": [run("csbsr-pspnet", curves=ours)],
        "cssr-pspnet": [run("cssr-pspnet", curves=theirs)],
    }
    assert evaluate_on_results(claim, results).verdict == verdict


def test_ranks_on_results_respect_the_noise():
    claim = CLAIMS["t4-bc-best-iou-max"]
    rivals = claim.experiments[1:]
    results = {name: runs(name, [0.4]) for name in rivals}
    results["csbsr-pspnet"] = runs("csbsr-pspnet", [0.5])
    assert evaluate_on_results(claim, results).verdict == "holds"
    results[rivals[0]] = runs(rivals[0], [0.495])
    verdict = evaluate_on_results(claim, results)
    assert verdict.verdict == "inconclusive"
    assert "place 1 to 2 of 6" in verdict.evidence


def test_ties_in_print_decide_nothing():
    assert evaluate_on_paper(CLAIMS["t2-joint-unet-psnr"]).verdict == "inconclusive"


def test_paper_side_follows_the_tables():
    tables = load_tables()
    rows = list(tables["II"].rows)
    rows[4] = replace(rows[4], values={**rows[4].values, "IoU_max": 0.5})
    changed = replace(tables["II"], rows=tuple(rows))
    only = {"II": changed}
    assert evaluate_on_paper(JOINT, tables).verdict == "holds"
    assert evaluate_on_paper(JOINT, only).verdict == "does not hold"
    with pytest.raises(ValueError, match=r"Table III prints IoU_max of 'csbsr-pspnet' as 0\.573"):
        PaperNumbers.of({**tables, "II": changed})


HOLDS, FAILS = Verdict("holds", "a"), Verdict("does not hold", "b")
OPEN, MISSING = Verdict("inconclusive", "c"), Verdict("not run", "d")


@pytest.mark.parametrize(
    ("parts", "need", "word"),
    [
        ([HOLDS, HOLDS], "all", "holds"),
        ([HOLDS, OPEN], "all", "inconclusive"),
        ([OPEN, MISSING], "all", "not run"),
        ([FAILS, MISSING], "all", "does not hold"),
        ([HOLDS, MISSING], "any", "holds"),
        ([FAILS, FAILS], "any", "does not hold"),
        ([HOLDS, HOLDS, FAILS], "most", "holds"),
        ([HOLDS, OPEN, FAILS], "most", "inconclusive"),
        ([HOLDS, FAILS], "most", "does not hold"),
    ],
)
def test_combining_parts(parts, need, word):
    assert combine(parts, need).verdict == word


def test_update_ledger_reports_what_changed(tmp_path):
    path = tmp_path / "ledger.toml"
    assert set(update_ledger({}, path)) == set(CLAIMS)
    assert update_ledger({}, path) == []
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", [0.58]),
        "kbpn+pspnet": runs("kbpn+pspnet", [0.54]),
    }
    assert JOINT.id in update_ledger(results, path)
    assert tomllib.loads(path.read_text())[JOINT.id]["results"] == "holds"


def claim_data(**changes):
    check = {"type": "better", "left": ["a"], "right": ["@g"], "metrics": ["AIU"]}
    base = {"id": "x", "quote": "q", "place": "p", "kind": "ordering", "check": check}
    return {"groups": {"g": ["b"]}, "claim": [{**base, **changes}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "claim 'x'.*unknown key 'colour'"),
        ({"check": {"type": "better", "metrics": ["IoU"]}}, "metric 'IoU' is unknown"),
        ({"check": {"type": "better", "left": ["@h"]}}, "group '@h' is unknown"),
        ({"split": "rows"}, "'split' must be one of"),
        ({"check": {"type": "example", "example": "magic"}}, "no function 'magic'"),
    ],
)
def test_wrong_claims_are_refused(changes, message):
    assert build(ClaimsFile, claim_data(), "claims.toml").claims()[0].experiments == ("a", "b")
    with pytest.raises(ValueError, match=message):
        build(ClaimsFile, claim_data(**changes), "claims.toml").claims()
