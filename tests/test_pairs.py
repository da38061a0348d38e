"""Paired tests of results: made from files, in any order, and never against a stale baseline."""

import json
import subprocess
from pathlib import Path

import pytest

from csbsr.study import provenance
from csbsr.study.pairs import refresh_pairs
from csbsr.study.results import ResultFile, read_result, write_json

NAMES = ["a", "b", "c", "d", "e", "f"]


def put(
    results: Path, experiment: str, shift: float, seed: int = 0, names: list[str] = NAMES
) -> Path:
    """A result whose best threshold is its second one, `shift` above 0.1, 0.2, ..."""
    best = [0.1 * i + shift for i in range(len(names))]
    content = {
        "schema": 1,
        "experiment": experiment,
        "profile": "quick",
        "protocol": "paper",
        "seed": seed,
        "metrics": {"IoU_max": 0.5, "paired": None},
        "curves": {},
        "images": {"names": names, "IoU": [[0.0, value, 0.01] for value in best]},
        "run_card": {"fingerprint": f"{experiment}{shift}"},
    }
    path = results / "quick" / "walls" / f"{experiment}-seed{seed}.json"
    write_json(path, content)
    return path


def refresh(results: Path, stale: str = "") -> int:
    def is_stale(result: ResultFile) -> bool:
        return result.content["experiment"] == stale

    return refresh_pairs(results, "quick", "walls", 0, is_stale)


def paired(path: Path) -> dict | None:
    return read_result(path).metrics["paired"]


@pytest.mark.parametrize("first", ["csbsr-pspnet", "kbpn+pspnet"])
def test_the_order_of_the_runs_does_not_matter(tmp_path: Path, first: str) -> None:
    shifts = {"csbsr-pspnet": 0.2, "kbpn+pspnet": 0.15}
    put(tmp_path, first, shifts[first])
    assert refresh(tmp_path) == 0
    second = next(n for n in shifts if n != first)
    put(tmp_path, second, shifts[second])
    assert refresh(tmp_path) == 2
    folder = tmp_path / "quick" / "walls"
    joint = paired(folder / "csbsr-pspnet-seed0.json")
    assert joint["against"] == "kbpn+pspnet"
    assert joint["IoU_difference"] == pytest.approx(0.05)
    assert joint["interval"] == pytest.approx([0.05, 0.05])
    assert joint["images"] == 6
    assert joint["p_value"] == pytest.approx(2 / 64, abs=0.01)  # all six signs agree
    independent = paired(folder / "kbpn+pspnet-seed0.json")
    assert independent["IoU_difference"] == pytest.approx(-0.05)
    assert refresh(tmp_path) == 0, "nothing changed"


def test_a_new_baseline_is_noticed(tmp_path: Path) -> None:
    path = put(tmp_path, "csbsr-pspnet", 0.2)
    put(tmp_path, "kbpn+pspnet", 0.1)
    refresh(tmp_path)
    put(tmp_path, "kbpn+pspnet", 0.25)
    assert refresh(tmp_path) == 2
    assert paired(path)["IoU_difference"] == pytest.approx(-0.05)


def test_a_stale_baseline_is_none(tmp_path: Path) -> None:
    path = put(tmp_path, "csbsr-pspnet", 0.2)
    put(tmp_path, "kbpn+pspnet", 0.1)
    refresh(tmp_path)
    assert refresh(tmp_path, stale="kbpn+pspnet") == 1
    assert paired(path) is None


def test_other_seeds_and_other_images_are_no_pairs(tmp_path: Path) -> None:
    path = put(tmp_path, "csbsr-pspnet", 0.2)
    put(tmp_path, "kbpn+pspnet", 0.1, seed=1)
    assert refresh(tmp_path) == 0
    put(tmp_path, "kbpn+pspnet", 0.1, names=[*NAMES[:5], "another"])
    assert refresh(tmp_path) == 0
    assert paired(path) is None


def test_results_do_not_make_a_checkout_dirty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "repository_root", lambda: tmp_path)
    (tmp_path / "results").mkdir()
    files = [tmp_path / "results" / "x.json", tmp_path / "code.py"]
    for file in files:
        file.write_text(json.dumps(1))
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert provenance.commit()["dirty"] is False
    files[0].write_text("2")
    assert provenance.commit()["dirty"] is False
    files[1].write_text("2")
    assert provenance.commit()["dirty"] is True
