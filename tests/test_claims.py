"""The claims ledger: one test per claim, and the rules by which verdicts come about."""

import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csbsr.study.contrasts import Verdict
from csbsr.study.experiments import experiment
from csbsr.study.registered import QUOTIENTS, registration
from csbsr.study.results import ResultFile
from csbsr.toml import build
from csbsr_book.paper.checks import PaperNumbers, collect_results
from csbsr_book.paper.claims import (
    ClaimsFile,
    evaluate_on_paper,
    family,
    load_by_eye,
    load_claims,
    load_ledger,
    registered_as,
    update_ledger,
    verdicts_on_results,
)
from csbsr_book.paper.printed import load_tables

CLAIMS = {claim.id: claim for claim in load_claims()}
OURS = verdicts_on_results(collect_results(Path(__file__).parents[1] / "results"))
LEDGER = load_ledger()


@pytest.mark.parametrize("claim_id", CLAIMS)
def test_verdict_is_the_one_in_the_ledger(claim_id):
    claim = CLAIMS[claim_id]
    now = {
        "paper": evaluate_on_paper(claim).verdict,
        "results": OURS[claim_id].verdict,
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


def run(name, seed=0, profile="quick", protocol="reproduction+quick", data="d", **content):
    metrics = content.pop("metrics", {})
    card = {"data_hash": data}
    content = {"experiment": name, "profile": profile, "protocol": protocol, "seed": seed} | content
    content = {"curves": {}, **content, "metrics": metrics, "run_card": card}
    return ResultFile(Path(f"{name}-seed{seed}.json"), content)


def runs(name, values, metric="IoU_max", **kwargs):
    return [run(name, seed, metrics={metric: v}, **kwargs) for seed, v in enumerate(values)]


def verdict(claim, results):
    return verdicts_on_results(results)[claim.id]


NOISE = np.array([0.001, -0.002, 0.0, 0.002, -0.001, 0.001, -0.001, 0.0])
"""Eight seeds; a paired difference of about 0.0013 over seeds when shared out below."""
JOINT = CLAIMS["t2-joint-pspnet-iou-max"]
HRNET = CLAIMS["t2-joint-hrnet-iou-max"]


def pair(claim, gain, seeds=8):
    """Results of the two arms of a claim in IoU, the left one ahead by `gain`."""
    (left,), (right,) = claim.check.left, claim.check.right
    luck = 0.5 + 3 * NOISE[:seeds]
    return {left: runs(left, luck + gain + NOISE[::-1][:seeds]), right: runs(right, luck)}


@pytest.mark.parametrize(
    ("gain", "word"),
    [
        (0.025, "holds"),
        (0.0104, "undecided"),
        (0.0024, "too small to matter"),
        (0.0, "too small to matter"),
        (-0.025, "does not hold"),
    ],
)
@pytest.mark.parametrize("claim", [JOINT, HRNET], ids=["registered", "exploratory"])
def test_results_must_differ_by_what_matters(claim, gain, word):
    found = verdict(claim, pair(claim, gain))
    assert found.verdict == word
    assert "8 seeds" in found.evidence
    assert ("registered contrast joint-over-independent" in found.evidence) == (claim == JOINT)


def test_registered_contrasts_wait_for_all_their_seeds():
    found = verdict(JOINT, pair(JOINT, 0.1, seeds=7))
    assert found.verdict == "undecided"
    assert "waits for 8 seeds" in found.evidence
    assert verdict(HRNET, pair(HRNET, 0.1, seeds=7)).verdict == "holds", "an exploratory one"


def test_every_registered_contrast_but_two_is_a_claim_of_the_ledger():
    """The paper makes no claim of one beta for CSSR, and claims HR against all methods at once."""
    known = {registered_as(claim) for claim in CLAIMS.values()} - {None}
    rest = {p.id for p in registration().primary} - known
    assert rest == {"blind-over-non-blind-iou", "hr-over-joint"}


def test_seeds_of_one_arm_alone_do_not_enter():
    results = pair(HRNET, 0.1, seeds=2)
    (left,) = HRNET.check.left
    results[left] += [run(left, seed, metrics={"IoU_max": -9.0}) for seed in (5, 6, 7)]
    assert "+0.09" in verdict(HRNET, results).evidence or "+0.1" in verdict(HRNET, results).evidence
    (right,) = HRNET.check.right
    results[right] = [run(right, 40, metrics={"IoU_max": 0.5})]
    assert verdict(HRNET, results).verdict == "not run"


def test_one_seed_decides_nothing_unless_a_spread_can_be_pooled():
    results = pair(HRNET, 0.1, seeds=1)
    found = verdict(HRNET, results)
    assert found.verdict == "undecided"
    assert "spread not known" in found.evidence
    for name, shift in (("csbsr-unet", 0.0), ("kbpn+unet", -0.1), ("dsrl", -0.2)):
        results[name] = runs(name, 0.5 + shift + np.roll(NOISE, len(name)))
    found = verdict(HRNET, results)
    assert found.verdict == "holds"
    assert "pooled over 3 experiments" in found.evidence


def test_claims_of_one_table_are_corrected_together():
    claims = [c for c in CLAIMS.values() if family(c) == "t2" and c.metrics == ("IoU_max",)]
    gain = 0.0113
    alone = verdict(HRNET, pair(HRNET, gain))
    together = pair(HRNET, gain)
    for claim in claims:
        if claim.check.type == "better" and len(claim.experiments) == 2:
            together = pair(claim, 0.0) | together
    assert "Holm" not in alone.evidence
    assert "Holm over" in verdict(HRNET, together).evidence
    assert (alone.verdict, verdict(HRNET, together).verdict) == ("holds", "undecided")


def test_smoke_results_never_count():
    (left,), (right,) = HRNET.check.left, HRNET.check.right
    results = {
        left: runs(left, [0.9], profile="smoke"),
        right: runs(right, [0.1], profile="smoke"),
    }
    assert verdict(HRNET, results) == Verdict("not run", "only smoke runs, which never count")
    results[left] += runs(left, [0.9])
    assert verdict(HRNET, results).verdict == "not run"


@pytest.mark.parametrize("other", [{"profile": "paper"}, {"protocol": "released"}, {"data": "e"}])
def test_profiles_protocols_and_data_are_never_mixed(other):
    results = pair(HRNET, -0.1)
    (left,) = HRNET.check.left
    results[left] = runs(left, [0.9] * 8, **other) + results[left]
    assert verdict(HRNET, results).verdict == "does not hold"


def test_undefined_metrics_are_not_run():
    results = {**pair(JOINT, 0.1), "csbsr-pspnet": [run("csbsr-pspnet", metrics={"IoU_max": None})]}
    assert verdict(JOINT, results).verdict == "not run"


def test_the_percentile_of_the_released_code_is_read_under_its_name():
    """Result files call it HD50_min; a claim that reads another key can never be judged."""
    claim = CLAIMS["p-joint-at-other-percentile-hd50-min"]
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", 10 + NOISE, "HD50_min"),
        "kbpn+pspnet": runs("kbpn+pspnet", 20 + NOISE[::-1], "HD50_min"),
    }
    assert verdict(claim, results).verdict == "holds"


def test_every_metric_of_a_claim_is_measured_and_has_a_smallest_effect(tmp_path):
    measured = {"IoU", "HD95", *QUOTIENTS} | set(registration().smallest)
    for claim in CLAIMS.values():
        assert set(claim.metrics) <= measured, claim.id
    for metric in measured:
        point = f"{metric}@3" if metric in ("IoU", "HD95") else metric
        assert registration().smallest_effect(point) > 0


@pytest.mark.parametrize(
    ("better", "level", "word"),
    [(99, 0, "holds"), (85, 0, "holds"), (0, 0, "does not hold"), (20, 79, "too small to matter")],
)
def test_curves_count_thresholds(better, level, word):
    """80 of 99 must be better: `better` are clearly, `level` are equal, the rest clearly worse."""
    claim = CLAIMS["f6-csbsr-curve-cssr-pspnet"]
    mean = np.array([0.6] * better + [0.5] * level + [0.3] * (99 - better - level))
    results = {
        "csbsr-pspnet": [
            run("csbsr-pspnet", s, curves={"IoU": (mean + e).tolist()}) for s, e in enumerate(NOISE)
        ],
        "cssr-pspnet": [
            run("cssr-pspnet", s, curves={"IoU": [0.5 - e] * 99}) for s, e in enumerate(NOISE)
        ],
    }
    found = verdict(claim, results)
    assert found.verdict == word
    assert f"surely at {better} of 99" in found.evidence


def test_the_best_must_beat_every_rival():
    claim = CLAIMS["t4-bc-best-aiu"]
    first, *rivals = claim.check.experiments
    results = {name: runs(name, 0.4 + np.roll(NOISE, i), "AIU") for i, name in enumerate(rivals)}
    results[first] = runs(first, 0.5 + NOISE, "AIU")
    assert verdict(claim, results).verdict == "holds"
    results[rivals[0]] = runs(rivals[0], 0.488 + NOISE[::-1], "AIU")
    found = verdict(claim, results)
    assert found.verdict == "undecided"
    assert "place 1 to 2 of 6" in found.evidence
    del results[rivals[0]]
    assert verdict(claim, results).verdict == "not run"
    results[rivals[1]] = runs(rivals[1], 0.6 + NOISE[::-1], "AIU")
    assert verdict(claim, results).verdict == "does not hold", "whatever the missing one does"


def test_spreads_and_quotients_are_judged_by_single_contrasts():
    flat, share = CLAIMS["t3-beta-flat-csbsr-iou-max"], CLAIMS["t2-close-to-hr-iou-max"]
    names = flat.check.experiments
    results = {name: runs(name, 0.5 + np.roll(NOISE, i)) for i, name in enumerate(names)}
    assert verdict(flat, results).verdict == "holds"
    results[names[-1]] = runs(names[-1], 0.44 + NOISE)
    assert verdict(flat, results).verdict == "does not hold"
    hr = {"hr-pspnet": runs("hr-pspnet", 0.52 + NOISE[::-1])}
    assert verdict(share, results | hr).verdict == "holds"
    hr = {"hr-pspnet": runs("hr-pspnet", 0.62 + NOISE[::-1])}
    assert verdict(share, results | hr).verdict == "does not hold"


def test_ties_in_print_decide_nothing():
    assert evaluate_on_paper(CLAIMS["t2-joint-unet-psnr"]).verdict == "undecided"


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


def test_update_ledger_reports_what_changed(tmp_path):
    path = tmp_path / "ledger.toml"
    assert set(update_ledger({}, path)) == set(CLAIMS)
    assert update_ledger({}, path) == []
    assert JOINT.id in update_ledger(pair(JOINT, 0.025), path)
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
