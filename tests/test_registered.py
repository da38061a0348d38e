"""What was registered: read strictly, judged as registered, shown beside the printed gaps."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from csbsr.data.groups import photo_group
from csbsr.study.contrasts import WORDS
from csbsr.study.registered import (
    Registration,
    photo_interval,
    primary_outcomes,
    registration,
)
from csbsr.study.results import ResultFile
from csbsr.toml import build, parse
from csbsr_book.paper.gaps import contrast_rows
from csbsr_book.paper.printed import METRICS, SEGMENTATION, load_table

NAMES = [f"Volker_DSC{photo}_0_0_{crop}_9" for photo in range(6) for crop in range(3)]


def run(name, seed, iou, psnr=28.0, profile="quick", names=NAMES):
    rng = np.random.default_rng(seed)
    curves = np.clip(iou + 0.05 * rng.random((len(names), 1)) - 0.1 * np.eye(1, 5, 2), 0, 1)
    images = {"names": names, "IoU": curves.tolist(), "PSNR": [psnr] * len(names)}
    content = {
        "experiment": name,
        "profile": profile,
        "protocol": "reproduction+quick",
        "seed": seed,
        "metrics": {"IoU_max": iou, "PSNR": psnr},
        "curves": {},
        "images": images | {"HD95": None},
        "run_card": {"data_hash": "d"},
    }
    return ResultFile(Path(f"{name}-seed{seed}.json"), content)


def runs(name, iou, seeds=range(8), noise=0.003, **kwargs):
    rng = np.random.default_rng(sum(map(ord, name)))
    return [run(name, s, iou + noise * rng.normal(), **kwargs) for s in seeds]


def test_what_is_registered():
    plan = registration()
    assert [p.id for p in plan.primary] == [
        "joint-over-independent",
        "joint-over-detached",
        "blind-over-non-blind-psnr",
        "blind-over-non-blind-iou",
        "bc-over-next-best-loss",
        "hr-over-joint",
    ]
    assert plan.seeds == tuple(range(8))
    assert set(METRICS) <= set(plan.smallest)
    for primary in plan.primary:
        assert primary.smallest == plan.smallest_effect(primary.metric)
        assert len(primary.reason) > 60


def test_reasons_that_quote_the_paper_quote_what_it_prints():
    table = load_table("II")
    for metric in SEGMENTATION:
        gain = METRICS[metric].gain(
            table.value("csbsr-pspnet", metric), table.value("kbpn+pspnet", metric)
        )
        smallest = registration().smallest[metric]
        assert smallest.value == pytest.approx(0.4 * gain, rel=0.03)
        assert f"{gain:g}" in smallest.reason or METRICS[metric].text(gain) in smallest.reason


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("smallest = 0.010", "smallest = 0.0", "'smallest' above 0"),
        ('first = "csbsr-pspnet"', 'first = "csbsr-pspnt"', "did you mean csbsr-pspnet"),
        ("seeds = [0,", "seeds = [1,", "a seed or the id"),
        ('metric = "IoU_max"', 'metrik = "IoU_max"', "unknown key 'metrik'"),
    ],
)
def test_a_wrong_registration_is_refused(old, new, message):
    text = (files("csbsr.study") / "registered.toml").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        build(Registration, parse(text.replace(old, new, 1), "x"), "x")
    with pytest.raises(ValueError, match=r"no \[smallest\.colour\]"):
        registration().smallest_effect("colour")


def outcomes(results):
    return {o.registered.id: o for o in primary_outcomes(results)}


def test_primary_contrasts_are_judged_together():
    losses = ("wce", "dice", "combo", "bgdice", "gbc")
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", 0.50),
        "kbpn+pspnet": runs("kbpn+pspnet", 0.475, psnr=28.5),
        "detached-pspnet": runs("detached-pspnet", 0.499),
        "dbpn+pspnet": runs("dbpn+pspnet", 0.47, psnr=28.0),
        "cssr-pspnet-beta0.3": runs("cssr-pspnet-beta0.3", 0.55),
        **{f"csbsr-pspnet-{k}": runs(f"csbsr-pspnet-{k}", 0.4) for k in losses},
    }
    found = outcomes(results)
    assert {name: o.verdict.verdict for name, o in found.items()} == {
        "joint-over-independent": "holds",
        "joint-over-detached": "too small to matter",
        "blind-over-non-blind-psnr": "holds",
        "blind-over-non-blind-iou": "does not hold",
        "bc-over-next-best-loss": "holds",
        "hr-over-joint": "not run",
    }
    assert len(found["bc-over-next-best-loss"].contrasts) == 5
    assert "Holm over 6" in found["joint-over-independent"].verdict.evidence
    one_equal = runs("csbsr-pspnet-gbc", 0.499)
    found = outcomes(results | {"csbsr-pspnet-gbc": one_equal})
    assert found["bc-over-next-best-loss"].verdict.verdict == "too small to matter"


def test_the_stopping_rule():
    """Clear as it may look: seven seeds wait, a ninth and another profile do not enter."""
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", 0.6, range(7)),
        "kbpn+pspnet": runs("kbpn+pspnet", 0.4, range(7)),
    }
    found = outcomes(results)["joint-over-independent"]
    assert found.verdict.verdict == "undecided"
    assert "waits for 8 seeds" in found.verdict.evidence
    for name in results:
        results[name] += [run(name, 8, 0.5)] + [run(name, 7, 0.5, profile="paper")]
    found = outcomes(results)["joint-over-independent"]
    assert found.verdict.verdict == "undecided"
    assert found.contrasts[0].seeds == tuple(range(7))


def test_results_of_two_studies_are_not_judged_together():
    other = run("kbpn+pspnet", 0, 0.5)
    other.content["protocol"] = "released"
    with pytest.raises(ValueError, match="results of 2 studies"):
        primary_outcomes({"csbsr-pspnet": runs("csbsr-pspnet", 0.5), "kbpn+pspnet": [other]})


def test_nothing_run():
    assert {o.verdict.verdict for o in primary_outcomes({})} == {"not run"}


# ------------------------------------------------------------------ photographs


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("Rissbilder_for_Florian_9S6A2889_470_1014_3063_3785", "Rissbilder_for_Florian_9S6A2889"),
        ("Volker_DSC01679_0_0_1824_2736", "Volker_DSC01679"),
        ("CRACK500_20160222_081011_1281_361", "CRACK500_20160222_081011"),
        ("CRACK500_20160222_081011_full", "CRACK500_20160222_081011"),
        ("CRACK500_IMG_2907_full", "CRACK500_IMG_2907"),
        ("DeepCrack_11123-3", "DeepCrack_11123"),
        ("DeepCrack_11289-9_train", "DeepCrack_11289"),
        ("DeepCrack_IMG_6537-5", "DeepCrack_IMG_6537"),
        ("DeepCrack_11216", "DeepCrack_11216"),
        ("noncrack_noncrack_concrete_wall_12_1.jpg", "noncrack_noncrack_concrete_wall_12"),
        ("CFD_001", "CFD_001"),
        ("synthetic_test_0_00012", "synthetic_test_0_00012"),
        ("my-wall-2", "my-wall-2"),
        ("", ""),
    ],
)
def test_photograph_of_a_name(name, group):
    assert photo_group(name) == group


def test_interval_over_photographs_stands_beside_that_over_seeds():
    first, second = runs("a", 0.5, range(3)), runs("b", 0.45, range(1, 5))
    found = photo_interval(first, second, "IoU_max")
    assert found.low <= found.estimate <= found.high
    assert 0.03 < found.estimate < 0.07
    equal = photo_interval(first, first, "IoU_max")
    assert tuple(equal) == pytest.approx((0, 0, 0)), "the same networks on whatever photographs"
    assert photo_interval(first, runs("b", 0.4, [9]), "IoU_max") is None, "no common seed"
    assert photo_interval(first, second, "HD95_min") is None, "no values by image"
    assert photo_interval(first, second, "IoU_stability") is None
    elsewhere = runs("b", 0.4, range(3), names=[f"x{i}" for i in range(18)])
    assert photo_interval(first, elsewhere, "IoU_max") is None, "other images"


# ------------------------------------------------------------------ rows of a table


def test_rows_of_a_table_against_their_baselines():
    results = {
        "csbsr-pspnet": runs("csbsr-pspnet", 0.50),
        "kbpn+pspnet": runs("kbpn+pspnet", 0.47, range(3)),
        "csbsr-pspnet-wce": runs("csbsr-pspnet-wce", 0.45, [0]),
    }
    rows = {(r.experiment, r.metric): r for r in contrast_rows("II", results, SEGMENTATION)}
    row = rows["csbsr-pspnet", "IoU_max"]
    assert (row.baseline, row.smallest) == ("kbpn+pspnet", 0.010)
    assert row.printed == pytest.approx(0.025)
    assert row.contrast.seeds == (0, 1, 2)
    assert row.contrast.estimate == pytest.approx(0.03, abs=0.01)
    assert row.photos is not None
    assert row.verdict.verdict in WORDS
    unrun = rows["csbsr-hrnet", "HD95_min"]
    assert unrun.contrast is None
    assert unrun.verdict.verdict == "not run"
    assert unrun.printed == pytest.approx(26.45 - 17.54), "positive = better, in distances too"
    single = {r.experiment: r for r in contrast_rows("IV", results, ["IoU_max"])}
    single = single["csbsr-pspnet-wce"]
    assert single.contrast.seeds == (0,)
    assert "pooled over 2 experiments" in single.contrast.spread.source
    assert all(r.baseline != r.experiment for n in ("II", "III", "IV", "V", "VI")
               for r in contrast_rows(n, {}, ["PSNR"]))  # fmt: skip
