"""Sec. IV-C with numbers: the fixed threshold, the choice of walls, files, tables, pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image
from result_files import settings
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.metrics import THRESHOLDS
from csbsr.networks.joint import JointOutput
from csbsr.protocol import PRINTED
from csbsr.study import robustness
from csbsr.study.profiles import load_profile
from csbsr.study.results import find_results, write_json
from csbsr.study.robustness import (
    CLEAN,
    CONDITIONS,
    LEADING,
    MODELS,
    Condition,
    chosen_walls,
    degraded,
    find_fresh_robustness,
    score,
    walls_of,
)
from csbsr.study.run import Request, prepare
from csbsr.study.steps import Trained
from csbsr_book.chapters.robustness import Robustness
from csbsr_book.chapters.robustness_figures import judged, photograph_figure, robustness_tables
from csbsr_book.site.exhibit import place_of
from csbsr_book.site.study import StudyChapter
from csbsr_book.site.table import html, values

PROTOCOL = "reproduction+smoke"


class Darkness(nn.Module):
    """Stand-in for a trained model: the darker the enlarged pixel, the likelier a crack."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.sr = nn.Identity()

    def forward(self, lr: Tensor) -> JointOutput:
        sr = F.interpolate(lr, scale_factor=4, mode="bilinear")
        prob = (self.gain * (1 - sr.mean(1, keepdim=True))).clamp(0, 1)
        return JointOutput(sr, prob, torch.full((len(lr), 1, 21, 21), 1 / 441))


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace training by stand-ins; returns the list of experiments asked for."""
    asked: list[str] = []

    def trained(row, plan) -> Trained:
        asked.append(row.id)
        return Trained(Darkness(0.5 + 0.1 * MODELS.index(row.id)), None)

    monkeypatch.setattr(robustness, "trained", trained)
    return asked


def test_every_condition_keeps_size_and_steps_of_eight_bit() -> None:
    walls = walls_of(1, 64)
    seen = {c: degraded(walls.hr[0], walls.names[0], c, PRINTED) for c in CONDITIONS}
    assert len(seen) == 16
    for condition, lr in seen.items():
        assert lr.shape == (3, 16, 16)
        assert (lr * 255 - (lr * 255).round()).abs().max() < 1e-3, condition
        if condition != CLEAN:
            assert not torch.equal(lr, seen[CLEAN]), condition


def test_threshold_is_fixed_on_clean_images() -> None:
    mask = np.zeros((1, 16, 16), bool)
    mask[0, 6:9] = True
    good = torch.ones(1, 3, 4, 4)
    good[:, :, 1:3] = 0.3
    dark = 0.5 * good  # every probability rises, so the fixed threshold is too low
    lr = {CLEAN: good, Condition("low_light", 1): dark}
    scores = score(Darkness(), lr, mask, PRINTED, torch.device("cpu"), keep=(CLEAN,))
    clean, low = scores.content["conditions"]
    limit = scores.content["thresholds"]["IoU"]
    assert clean["IoU"] == clean["IoU_max"] == pytest.approx(0.6, abs=0.35)
    assert low["IoU"] < low["IoU_max"], "the threshold was not chosen again"
    prob = Darkness()(dark).prob[0, 0].numpy() > np.float32(limit)
    hits, union = (prob & mask[0]).sum(), (prob | mask[0]).sum()
    assert low["IoU"] == pytest.approx((hits + 1e-5) / (union + 1e-5), rel=1e-5)
    assert scores.masks[CLEAN].shape == mask.shape
    assert limit in THRESHOLDS


def content_with(iou: list[float], share: list[float]) -> dict:
    rows = [{"kind": k, "strength": s, "images_IoU": iou} for k, s in CONDITIONS]
    return {"models": {LEADING: {"conditions": rows}}, "walls": {"crack_share": share}}


def test_walls_are_chosen_by_rule() -> None:
    assert chosen_walls(content_with([0.5, 0.1, 1.0, 0.9], [0.1, 0.1, 0.0, 0.1])) == [1, 0, 3]
    assert chosen_walls(content_with([1.0], [0.0])) == []


def test_result_is_written_once_and_kept(stand_ins: list[str], tmp_path: Path) -> None:
    request = Request(results=tmp_path / "results")
    path = robustness.run_robustness(request)
    folder = tmp_path / "results" / "smoke" / "synthetic" / PROTOCOL / "robustness"
    assert path == folder / "seed0.json"
    assert stand_ins == list(MODELS)
    content = robustness.read_robustness(path)
    assert set(content["models"]) == set(MODELS)
    for model in content["models"].values():
        assert [(r["kind"], r["strength"]) for r in model["conditions"]] == list(CONDITIONS)
        for row in model["conditions"]:
            assert row["IoU"] <= row["IoU_max"]
            assert row["HD95"] >= row["HD95_min"]
            assert row["IoU"] == pytest.approx(np.mean(row["images_IoU"]), rel=1e-5)
    before = path.stat().st_mtime_ns
    assert robustness.run_robustness(request) == path
    assert path.stat().st_mtime_ns == before
    assert len(stand_ins) == len(MODELS), "a fresh result trains nothing"
    path.write_text('{"schema": ')
    notes: list[str] = []
    robustness.run_robustness(request, notes.append)
    assert "running again" in notes[0]
    assert robustness.read_robustness(path) == content | {
        "run_card": robustness.read_robustness(path)["run_card"]
    }
    assert find_results(tmp_path / "results", "smoke") == {}, "it is no experiment's result"


def test_changed_degradation_makes_it_stale(
    stand_ins: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = robustness.read_robustness(
        robustness.run_robustness(Request(results=tmp_path / "results"))
    )
    assert not robustness.is_robustness_stale(content)
    monkeypatch.setattr(robustness, "STRENGTHS", {"motion": (1.0, 2.0, 3.0)})
    assert robustness.is_robustness_stale(content)
    monkeypatch.undo()
    for change in ({"profile": "quick"}, {"seed": 1}, {"profile": "unheard-of"}):
        assert robustness.is_robustness_stale(content | change)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"schema": 1}', '{"schema": "robustness-2"}'])
def test_foreign_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "seed0.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"seed0\.json"):
        robustness.read_robustness(path)


def test_damaged_numbers_and_copies_are_refused(stand_ins: list[str], tmp_path: Path) -> None:
    path = robustness.run_robustness(Request(results=tmp_path / "results"))
    good = path.read_text()
    row = '"IoU_max":'
    for text in (
        good.replace(row, '"IoU_max":7'),
        good.replace(row, '"other":'),
        good.replace('"kind":"motion"', '"kind":"magic"'),
        good.replace('"seed":0', '"seed":1'),
    ):
        assert text != good
        path.write_text(text)
        with pytest.raises(ValueError, match=r"seed0\.json"):
            robustness.read_robustness(path)
    found = find_fresh_robustness(tmp_path / "results", ("smoke",))
    assert (found.fresh, found.stale) == ({}, {})
    assert len(found.problems) == 1


def real_results(source: Path, results: Path, *seeds: int, data: str = "walls") -> list[Path]:
    """What a smoke run measured, as fresh results of the profile `quick`."""
    paths = []
    for seed in seeds:
        given = settings("quick", seed=seed, data=data)
        content = json.loads(source.read_text())
        content |= {"profile": "quick", "protocol": given.protocol.name, "seed": seed}
        content["run_card"] |= {
            "data": data,
            "data_hash": given.data_hash,
            "fingerprint": robustness.robustness_key(given),
            "overrides": {},
        }
        folder = results / "quick" / data / given.protocol.name / "robustness"
        paths.append(folder / f"seed{seed}.json")
        write_json(paths[-1], content)
    return paths


def test_larger_profiles_and_real_data_come_first_and_stale_ones_are_kept_apart(
    stand_ins: list[str], tmp_path: Path
) -> None:
    source = robustness.run_robustness(Request(results=tmp_path))
    real_results(source, tmp_path, 0, data="synthetic")
    paths = real_results(source, tmp_path, 10, 0, 1)
    found = find_fresh_robustness(tmp_path, ("paper", "quick")).fresh["robustness"]
    assert [result.path for result in found] == [paths[1], paths[2], paths[0]]
    assert len(find_fresh_robustness(tmp_path, ("quick",), "synthetic").fresh["robustness"]) == 1
    assert find_fresh_robustness(tmp_path, ("paper",)).fresh == {}
    content = json.loads(paths[0].read_text())
    del content["run_card"]["fingerprint"]
    write_json(paths[0], content)
    real = find_fresh_robustness(tmp_path, ("quick",), "walls")
    assert [result.seed for result in real.fresh["robustness"]] == [0, 1]
    assert [result.seed for result in real.stale["robustness"]] == [10]


def test_chapter_marks_smoke_and_prefers_a_real_result(
    stand_ins: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    page = Robustness(StudyChapter("14", results=str(results)))
    assert page.smoke
    assert all(table.smoke for table in page.tables())
    assert "say nothing" in html(page.reading())
    shown = page.compared()
    assert shown.smoke
    assert any("smoke run" in text.get_text() for text in shown.figure.texts)
    plt.close("all")

    source = robustness.robustness_path(prepare(page.chapter.request))
    (real,) = real_results(source, results, 3)
    page = Robustness(StudyChapter("14", results=str(results)))
    assert not page.smoke
    assert page.contents[0]["seed"] == 3
    assert page.profile == load_profile("quick")
    assert [table.smoke for table in page.tables()] == [False] * 3 + [True] * 3
    assert len(values(page.reading())["rows"]) == len(MODELS) - 1
    assert [place_of(result) for result in page.results] == [real.relative_to(results).parts]
    for shown in (page.compared(), page.every()):
        assert "the pictures are missing" in shown.alt, "no masks lie beside the result"
    plt.close("all")

    monkeypatch.setattr(robustness, "is_robustness_stale", lambda content: True)
    page = Robustness(StudyChapter("14", results=str(results)))
    assert page.smoke
    assert "Stale and left out: quick, seed 3" in html(page.tables()[-1])


def test_table_shows_fixed_and_best_threshold() -> None:
    def model(iou: float) -> dict:
        values = {"IoU": iou, "IoU_max": iou + 0.1, "AIU": 0.2, "HD95": None, "HD95_min": 7.0}
        return {"conditions": [{"kind": k, "strength": s} | values for k, s in CONDITIONS]}

    content = {"models": {"dsrl": model(0.25), LEADING: model(0.5)}, "walls": {"names": ["a"]}}
    text = "".join(map(html, robustness_tables([content, content])))
    assert "<strong>0.500</strong> (0.600)" in text
    assert "0.250 (0.350)" in text
    assert "<strong>0.250</strong>" not in text
    assert "– (7.0)" in text, "an infinite distance is shown as missing"
    assert "2 seeds" in text
    assert "Motion blur, path of 33 px" in text


def test_judged_pixels() -> None:
    found = np.array([[True, True], [False, False]])
    truth = np.array([[True, False], [True, False]])
    picture = judged(np.zeros((2, 2, 3), np.uint8), found, truth)
    assert picture[0, 0].tolist() == [40, 110, 255]
    assert picture[1, 0].tolist() == [0, 190, 90]
    assert picture[0, 1].tolist() == [140, 117, 0], "half transparent"
    assert not picture[1, 1].any()


def test_photographs_are_only_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("b.png", (50, 34)), ("a.jpg", (130, 37))):
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)).save(
            folder / name
        )
    before = sorted(tmp_path.rglob("*"))
    models = {"dsrl": Darkness(), LEADING: Darkness()}
    figure = photograph_figure(folder, models, dict.fromkeys(models, 0.5))
    assert len(figure.axes) == 2 * 4
    assert sorted(tmp_path.rglob("*")) == before
    plt.close(figure)
    with pytest.raises(ValueError, match="does not exist"):
        photograph_figure(tmp_path / "nowhere", {}, {})
