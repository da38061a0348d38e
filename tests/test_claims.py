"""The claims ledger: one test per claim, and the rules by which verdicts come about."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from csbsr.study.contrasts import WORDS, Verdict
from csbsr.study.experiments import experiment
from csbsr.study.registered import (
    FROM_BREAKDOWN,
    LOWER_IS_BETTER,
    CurvePoint,
    ImageIoU,
    metric_of,
    registration,
)
from csbsr.study.results import ResultFile
from csbsr.toml import build
from csbsr_book.paper.claims import (
    ABOUT,
    WEIGHTIEST,
    ClaimsFile,
    evaluate_on_paper,
    load_claims,
    load_questions,
    load_statements,
    printed_verdicts,
    registered_as,
    runs_behind,
    verdicts_on_results,
    word,
    word_of_all,
    word_of_readings,
    words_by_reading,
)
from csbsr_book.paper.ledger import (
    LEDGER,
    claims_text,
    ledger_of,
    load_ledger,
    update_ledger,
)
from csbsr_book.paper.numbers import PaperNumbers, collect_results, studies
from csbsr_book.paper.printed import load_tables
from csbsr_book.paper.reading import REASONS, SectionsFile, by_eye, load_sections

STATEMENTS = {statement.id: statement for statement in load_statements()}
CHECKS = {sub.id: sub.check for s in STATEMENTS.values() for sub in s.sub_claims()}
PRESENT = ledger_of(collect_results(Path(__file__).parents[1] / "results"))
EXPECTED = load_ledger()


@pytest.mark.parametrize("name", STATEMENTS)
def test_verdicts_are_those_in_the_ledger(name):
    assert PRESENT[name] == EXPECTED.get(name), "if this is right: csbsr claims --update"


def test_ledger_and_claims_name_the_same_statements():
    assert set(EXPECTED) == set(STATEMENTS)


def test_claims_are_sentences_with_quote_and_place():
    claims = load_claims()
    assert all(c.quote and c.place and len(c.quote) < 160 for c in claims)
    assert len({c.quote for c in claims}) == len(claims), "one entry per sentence"
    assert all(q.question.endswith("?") and q.why.endswith(".") for q in load_questions())
    several = [c for c in claims if len(c.readings) > 1]
    assert all(r.says for c in several for r in c.readings), "readings say what tells them apart"
    assert {c.about for c in claims} == set(ABOUT)


def test_every_sentence_of_the_paper_has_a_claim_or_a_reason():
    sentences = [s for section in load_sections() for s in section.sentences]
    own = [s.claim for s in sentences if s.claim and not s.quote]
    assert own == [claim.id for claim in load_claims()]
    assert {s.why for s in sentences} - {None} == set(REASONS)
    assert all(len(s.quote) < 160 for s in sentences)
    quotes = [s.quote for s in sentences if s.quote]
    assert len(set(quotes)) == len(quotes)


def test_by_eye_is_only_what_no_number_decides():
    """Figs. 9 to 11 and the thin cracks of Fig. 14 are read from result files."""
    assert all(s.figure for s in by_eye())
    assert not any("11" in s.figure for s in by_eye())
    measures = {m for c in load_claims() for sub in c.sub_claims() for m in sub.check.metrics}
    assert {"thin_crack_recall", "false_alarm_area", "quiet_share"} <= measures
    assert CHECKS["f10-better-than-hr"].type == "images"


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ({"quote": "a", "why": "setting", "claim": "x"}, "either a claim or a reason"),
        ({"quote": "a"}, "either a claim or a reason"),
        ({"why": "setting"}, "needs a quote"),
        ({"quote": "a", "why": "boredom"}, "'why' must be one of"),
    ],
)
def test_wrong_sentences_are_refused(sentence, message):
    section = {"id": "s", "title": "S", "sentences": [sentence]}
    with pytest.raises(ValueError, match=message):
        build(SectionsFile, {"section": [section]}, "reading.toml")


def test_claims_name_existing_experiments_only():
    for check in CHECKS.values():
        for name in check.named_experiments():
            assert experiment(name).id == name


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["undecided", "not run"], "not run"),
        (["not run", "too small to matter"], "too small to matter"),
        (["holds", "too small to matter", "does not hold"], "does not hold"),
        ([], None),
    ],
)
def test_a_reading_holds_when_all_of_its_sub_claims_do(words, whole):
    assert word_of_all(words) == whole
    assert set(WEIGHTIEST) == set(WORDS)


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["holds"], "holds"),
        (["does not hold", "does not hold"], "does not hold"),
        (["holds", "does not hold"], "depends on reading"),
        (["holds", "undecided"], "depends on reading"),
        (["holds", "not run"], "not run"),
        ([], None),
    ],
)
def test_a_sentence_depends_on_reading_where_its_readings_differ(words, whole):
    assert word_of_readings(words) == whole


def test_both_readings_of_in_all_metrics_are_judged():
    claim = STATEMENTS["t2-all-metrics"]
    assert words_by_reading(claim, printed_verdicts()) == ["holds", "does not hold"]
    assert word(claim, printed_verdicts()) == "depends on reading"
    assert [len(subs) for subs in claim.by_reading()] == [16, 24]


def test_some_variant_must_be_the_best_not_a_named_one():
    """CSBSR with HRNet+OCR has the best distances, with PSPNet the best overlaps."""
    assert word(STATEMENTS["t2-best"], printed_verdicts()) == "holds"
    check = CHECKS["t2-best-hd95-min"]
    assert evaluate_on_paper(replace(check, left=("csbsr-crackformer",))).verdict == "does not hold"


def run(name, seed=0, profile="quick", protocol="reproduction+quick", data="d", **content):
    metrics = content.pop("metrics", {})
    card = {"data_hash": data}
    content = {"experiment": name, "profile": profile, "protocol": protocol, "seed": seed} | content
    content = {"curves": {}, "images": {}, **content, "metrics": metrics, "run_card": card}
    return ResultFile(Path(f"{name}-seed{seed}.json"), content)


def runs(name, values, metric="IoU_max", **kwargs):
    return [run(name, seed, metrics={metric: v}, **kwargs) for seed, v in enumerate(values)]


def verdict(name, results):
    return verdicts_on_results(results)[name]


NOISE = np.array([0.001, -0.002, 0.0, 0.002, -0.001, 0.001, -0.001, 0.0])
"""Eight seeds; a paired difference of about 0.0013 over seeds when shared out below."""
JOINT = "t2-all-metrics-a-csbsr-pspnet-better-iou-max"
HRNET = "t2-all-metrics-a-csbsr-hrnet-better-iou-max"


def arms(name):
    """The two experiments that a sub-claim compares."""
    (left,), (right,) = CHECKS[name].left, CHECKS[name].right
    return left, right


def pair(name, gain, seeds=8):
    """Results of the two arms of a sub-claim in IoU, the left one ahead by `gain`."""
    left, right = arms(name)
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


def test_every_registered_contrast_is_in_the_ledger():
    known = {registered_as(check) for check in CHECKS.values()}
    assert known == {p.id for p in registration().primary} | {None}


def test_seeds_of_one_arm_alone_do_not_enter():
    results = pair(HRNET, 0.1, seeds=2)
    left, right = arms(HRNET)
    results[left] += [run(left, seed, metrics={"IoU_max": -9.0}) for seed in (5, 6, 7)]
    assert "+0.09" in verdict(HRNET, results).evidence or "+0.1" in verdict(HRNET, results).evidence
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


def test_sub_claims_of_one_table_are_corrected_together():
    gain, others = 0.0113, [n for n in CHECKS if n.endswith("better-iou-max") and "-a-" in n]
    alone = verdict(HRNET, pair(HRNET, gain))
    together = pair(HRNET, gain)
    for name in others:
        if name.startswith("t2-all-metrics"):
            together = pair(name, 0.0) | together
    assert "Holm" not in alone.evidence, "both readings ask the same, which counts once"
    assert "Holm over 3" in verdict(HRNET, together).evidence, "a registered one is apart"
    assert (alone.verdict, verdict(HRNET, together).verdict) == ("holds", "undecided")


def test_smoke_results_never_count():
    left, right = arms(HRNET)
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
    left, _ = arms(HRNET)
    results[left] = runs(left, [0.9] * 8, **other) + results[left]
    assert verdict(HRNET, results).verdict == "does not hold"


def test_undefined_metrics_are_not_run():
    results = {**pair(JOINT, 0.1), "csbsr-pspnet": [run("csbsr-pspnet", metrics={"IoU_max": None})]}
    assert verdict(JOINT, results).verdict == "not run"


def test_the_percentile_of_the_released_code_is_read_under_its_name():
    """Result files call it HD50_min; a claim that reads another key can never be judged."""
    claim = "q-joint-at-percentile-50-hd50-min"
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", 10 + NOISE, "HD50_min"),
        "kbpn+pspnet": runs("kbpn+pspnet", 20 + NOISE[::-1], "HD50_min"),
    }
    assert verdict(claim, results).verdict == "holds"


def test_every_metric_of_an_ordering_has_a_smallest_effect():
    plan = registration()
    for check in CHECKS.values():
        for metric in check.metrics:
            measure = CurvePoint(metric, 3) if check.type == "curve" else metric
            if check.type in ("better", "champion", "rank", "monotone", "curve"):
                assert plan.smallest_effect(measure) > 0
    assert plan.smallest_effect(ImageIoU("a")) == plan.smallest_effect("IoU_max")
    assert set(LOWER_IS_BETTER) >= {"false_alarm_area"}


def test_numbers_of_the_breakdown_are_read_from_result_files():
    images = {"names": ["a", "b", "c"], "crack_share": [0.1, 0.0, 0.0]}
    images |= {"IoU": [[0.5, 0.6], [0.0, 1.0], [0.0, 1e-9]]}
    metrics = {"validation_threshold": 0.67, "false_alarm_area": 0.01}
    content = {"images": images, "curves": {"thresholds": [0.33, 0.67]}, "metrics": metrics}
    content |= {"widths": [{"up_to": 3.0, "recall": 0.4}, {"up_to": 6.0, "recall": 0.9}]}
    found = run("srcnet", **content)
    measures = [*FROM_BREAKDOWN, "false_alarm_area", ImageIoU("a"), ImageIoU("z")]
    values = [metric_of(found, measure) for measure in measures]
    assert values == [0.4, 0.5, pytest.approx(0.1 / 3), 0.01, 0.6, None]
    assert metric_of(run("srcnet", images={"names": ["a"]}), "quiet_share") is None


def test_an_image_better_than_in_hr_must_be_so_in_all_seeds():
    """One image of thirty is better by far; being the best of noise is not enough."""
    rng = np.random.default_rng(0)
    names = [f"image {i}" for i in range(30)]

    def results(gain):
        found = {}
        for name, shift in (("csbsr-pspnet", gain), ("hr-pspnet", 0.0)):
            found[name] = []
            for seed in range(8):
                iou = 0.5 + 0.02 * rng.normal(size=30)
                iou[4] += shift
                images = {"names": names, "crack_share": [0.1] * 29 + [0.0]}
                images["IoU"] = [[value] for value in iou]
                metrics = {"IoU_max_threshold": 0.5}
                curves = {"thresholds": [0.5]}
                found[name].append(run(name, seed, images=images, metrics=metrics, curves=curves))
        return found

    found = verdict("f10-better-than-hr", results(0.3))
    assert found.verdict == "holds"
    assert "surely at 1 of 29 images with cracks" in found.evidence
    assert verdict("f10-better-than-hr", results(0.0)).verdict == "undecided"


def test_facts_of_the_data_carry_no_noise():
    one = run("darkness", images={"names": ["a", "b"], "crack_share": [0.06, 0.0]})
    found = verdict("data-imbalance", {"darkness": [one]})
    assert found.verdict == "holds"
    assert "0.03" in found.evidence


@pytest.mark.parametrize(
    ("better", "level", "word"),
    [(99, 0, "holds"), (85, 0, "holds"), (0, 0, "does not hold"), (20, 79, "too small to matter")],
)
def test_curves_count_thresholds(better, level, word):
    """80 of 99 must be better: `better` are clearly, `level` are equal, the rest clearly worse."""
    claim = "f6-csbsr-wide-range-b-csbsr-pspnet-iou-curve-cssr-pspnet"
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
    claim = "t4-bc-best-csbsr-pspnet-rank-aiu"
    first, *rivals = CHECKS[claim].experiments
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
    flat, share = "t3-beta-flat-a-iou-max", "t2-close-to-hr-iou-max"
    names = CHECKS[flat].experiments
    results = {name: runs(name, 0.5 + np.roll(NOISE, i)) for i, name in enumerate(names)}
    assert verdict(flat, results).verdict == "holds"
    results[names[-1]] = runs(names[-1], 0.44 + NOISE)
    assert verdict(flat, results).verdict == "does not hold"
    hr = {"hr-pspnet": runs("hr-pspnet", 0.52 + NOISE[::-1])}
    assert verdict(share, results | hr).verdict == "holds"
    hr = {"hr-pspnet": runs("hr-pspnet", 0.62 + NOISE[::-1])}
    assert verdict(share, results | hr).verdict == "does not hold"


def test_ties_in_print_decide_nothing():
    check = CHECKS["t2-all-metrics-b-csbsr-unet-better-psnr"]
    assert evaluate_on_paper(check).verdict == "undecided"


def test_equal_printed_values_share_a_place_where_a_reading_says_so():
    third = STATEMENTS["t4-third-in-ssim"]
    assert words_by_reading(third, printed_verdicts()) == ["holds", "does not hold"]


def test_numbers_that_the_paper_quotes_are_not_asked_of_other_runs():
    ours = verdicts_on_results({})
    assert word(STATEMENTS["t2-percent-of-hr"], ours) is None
    assert word(STATEMENTS["x-displaced-iou"], ours) is None
    assert word(STATEMENTS["t2-best"], ours) == "not run"


def test_paper_side_follows_the_tables():
    tables = load_tables()
    rows = list(tables["II"].rows)
    rows[4] = replace(rows[4], values={**rows[4].values, "IoU_max": 0.5})
    changed = replace(tables["II"], rows=tuple(rows))
    only = {"II": changed}
    assert evaluate_on_paper(CHECKS[JOINT], tables).verdict == "holds"
    assert evaluate_on_paper(CHECKS[JOINT], only).verdict == "does not hold"
    with pytest.raises(ValueError, match=r"Table III prints IoU_max of 'csbsr-pspnet' as 0\.573"):
        PaperNumbers.of({**tables, "II": changed})


def test_update_ledger_reports_what_changed(tmp_path):
    path = tmp_path / LEDGER.name
    assert set(update_ledger({}, path)) == set(STATEMENTS)
    assert update_ledger({}, path) == []
    assert "t2-all-metrics" in update_ledger(pair(JOINT, 0.025), path)
    assert tomllib.loads(path.read_text())["t2-all-metrics"][JOINT] == ["holds", "holds"]


def test_runs_behind_a_sentence_are_those_of_its_experiments():
    results = pair(HRNET, 0.1) | pair("q-skip-adds-to-fail-weight-iou-max", 0.1)
    found = runs_behind(STATEMENTS["t2-all-metrics"], studies(results))
    assert {r.experiment for r in found} == set(arms(HRNET))
    assert len(found) == 16


def test_text_report_has_a_line_per_sentence_and_counts():
    lines = claims_text({}).splitlines()
    for claim in load_claims():
        assert sum(line.endswith(f" {claim.id}") or line.endswith(claim.id) for line in lines) >= 1
    counts = [line.rsplit(maxsplit=2)[-2:] for line in lines[-7:]]
    assert [sum(map(int, column)) for column in zip(*counts)] == [len(load_claims())] * 2


def claim_data(**changes):
    check = {"type": "better", "left": ["a"], "right": ["g"], "metrics": ["AIU"]}
    base = {"id": "x", "quote": "q", "place": "p", "kind": "ordering", "about": "Data"}
    reading = {"checks": [changes.pop("check", check)]}
    readings = changes.pop("readings", [reading | changes.pop("reading", {})])
    claim = {**base, "readings": readings, **changes}
    return {"groups": {"g": ["b", "c"]}, "claim": [claim]}


def test_a_group_stands_for_its_members():
    (claim,), _ = build(ClaimsFile, claim_data(), "claims.toml").resolved()
    assert claim.experiments == ("a", "b", "c")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "claim 'x'.*unknown key 'colour'"),
        ({"about": "Table IX"}, "'about' must be one of"),
        ({"check": {"type": "better", "metrics": ["IoU"]}}, "'x': metric 'IoU' is unknown"),
        ({"check": {"type": "example", "example": "magic"}}, "no function 'magic'"),
        ({"reading": {"split": "rows"}}, "'split' must be one of"),
        ({"readings": [{"checks": []}]}, "needs at least one check"),
    ],
)
def test_wrong_claims_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(ClaimsFile, claim_data(**changes), "claims.toml").resolved()


def test_sub_claims_that_cannot_be_told_apart_are_refused():
    check = {"type": "better", "left": ["a"], "right": ["b"], "metrics": ["AIU"]}
    data = claim_data(readings=[{"checks": [check, check | {"right": ["c"]}]}])
    with pytest.raises(ValueError, match="'x-a-aiu-better' appears twice"):
        build(ClaimsFile, data, "claims.toml").resolved()
