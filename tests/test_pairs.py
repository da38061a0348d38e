"""Paired tests by image: computed from two files when asked for, and stored in neither."""

from pathlib import Path

import pytest
from result_files import put_result

from csbsr.study.freshness import find_fresh
from csbsr.study.pairs import paired_with, pairs_of
from csbsr.study.results import read_result
from csbsr_book.chapters.tables import pair_table
from csbsr_book.site.table import html, values

IMAGES = ["a", "b", "c", "d", "e", "f"]


def put(
    results: Path, experiment: str, shift: float, seed: int = 0, names: list[str] = IMAGES
) -> Path:
    """A result whose best threshold is its second one, `shift` above 0.1, 0.2, ..."""
    rows = [[0.0, 0.1 * i + shift, 0.01] for i in range(len(names))]
    return put_result(results, experiment, seed=seed, rows=rows, names=names)


def test_a_pair_follows_from_both_files_in_any_order(tmp_path: Path) -> None:
    joint = put(tmp_path, "csbsr-pspnet", 0.2)
    independent = put(tmp_path, "kbpn+pspnet", 0.15)
    before = joint.read_bytes(), independent.read_bytes()
    runs = find_fresh(tmp_path, "quick").fresh
    found = pairs_of(runs, ["csbsr-pspnet", "kbpn+pspnet"])
    assert list(found) == ["csbsr-pspnet"], "the other one's baseline was not run"
    test = found["csbsr-pspnet"][0]
    assert test["against"] == "kbpn+pspnet"
    assert test["IoU_difference"] == pytest.approx(0.05)
    assert test["interval"] == pytest.approx([0.05, 0.05])
    assert test["images"] == 6
    assert test["p_value"] == pytest.approx(2 / 64, abs=0.01)  # all six signs agree
    back = paired_with(read_result(independent), read_result(joint))
    assert back["IoU_difference"] == pytest.approx(-0.05)
    assert (joint.read_bytes(), independent.read_bytes()) == before, "nothing is stored"
    assert "paired" not in read_result(joint).metrics


def test_stale_results_other_seeds_images_and_protocols_are_no_pairs(tmp_path: Path) -> None:
    mine = put(tmp_path, "csbsr-pspnet", 0.2)

    def pairs() -> dict:
        return pairs_of(find_fresh(tmp_path, "quick").fresh, ["csbsr-pspnet"])

    put(tmp_path, "kbpn+pspnet", 0.1, seed=1)
    assert pairs() == {}
    put(tmp_path, "kbpn+pspnet", 0.1, names=[*IMAGES[:5], "another"])
    assert pairs() == {}
    put_result(tmp_path, "kbpn+pspnet", fingerprint="of other code", names=["a"])
    assert pairs() == {}
    other = put_result(tmp_path, "kbpn+pspnet", protocol="released+quick", names=IMAGES[:1])
    assert paired_with(read_result(mine), read_result(other)) is None
    rows = [[0.1, 0.2, 0.3]] * len(IMAGES)
    again = put_result(tmp_path, "kbpn+pspnet", rows=rows, names=IMAGES, data_hash="other walls")
    assert paired_with(read_result(mine), read_result(again)) is None


def test_the_table_shows_every_seed_and_the_mean(tmp_path: Path) -> None:
    for seed, shift in ((0, 0.2), (2, 0.18)):
        put(tmp_path, "csbsr-pspnet", shift, seed)
        put(tmp_path, "kbpn+pspnet", 0.15, seed)
    put(tmp_path, "hr-pspnet", 0.3, seed=1)  # its baseline has no such seed
    found = pairs_of(find_fresh(tmp_path, "quick").fresh, ["hr-pspnet", "csbsr-pspnet"])
    assert list(found) == ["csbsr-pspnet"]
    table = values(pair_table(found))
    assert [c["title"] for c in table["columns"][2:]] == ["Seed 0", "Seed 2", "Mean over seeds"]
    ((name, against, first, second, over),) = table["rows"]
    assert (name, against) == ("CSBSR w/ PSPNet", "KBPN + PSPNet")
    for cell, gap in ((first, 0.05), (second, 0.03)):
        assert cell["ours"] == {"value": gap, "interval": pytest.approx([gap, gap])}
    assert over["ours"] == {"value": 0.04, "spread": pytest.approx(0.01), "seeds": 2}
    assert "+0.0500" in html(pair_table(found))
    assert "No experiment" in html(pair_table({}))


def test_crops_of_one_photograph_are_one_observation(tmp_path: Path) -> None:
    crops = [f"DeepCrack_wall-{number}" for number in range(len(IMAGES))]
    put(tmp_path, "csbsr-pspnet", 0.2, names=crops)
    put(tmp_path, "kbpn+pspnet", 0.15, names=crops)
    test = pairs_of(find_fresh(tmp_path, "quick").fresh, ["csbsr-pspnet"])["csbsr-pspnet"][0]
    assert test["p_value"] == 1.0, "six signs that must agree say no more than one"
