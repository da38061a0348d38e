"""A training log that is kept beside its result."""

import json
from pathlib import Path

import numpy as np
import pytest
from result_files import put_result

from csbsr.cli import main
from csbsr.study.experiments import experiment
from csbsr.study.kept_logs import COLUMNS, keep_log, kept_path, read_kept
from csbsr_book.chapters.strategy import FoundLogs, log_words

ROW = experiment("csbsr-pspnet")


STEPS = ("step1-kbpn", "step2-kbpn", "csbsr-pspnet")


def runs(folder: Path, names: tuple[str, ...] = STEPS) -> Path:
    for name in names:
        step = folder / f"{name}-0123"
        step.mkdir(parents=True)
        last = name == "csbsr-pspnet"
        lines = [
            {"iteration": 20 * i, "L_S": 0.5 / i, "lr_sr": 1e-3, "alpha": 0.1 if last else None}
            for i in (1, 2)
        ]
        (step / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_kept_log_comes_back_and_says_how_it_went(tmp_path: Path) -> None:
    result = put_result(tmp_path / "results", ROW.id)
    path = keep_log(ROW, runs(tmp_path / "runs"), result)
    assert path == kept_path(result) == result.with_name("csbsr-pspnet-seed0.log.csv")
    found = read_kept(path)
    assert list(found) == ["step1", "step2", "step3"]
    assert set(found["step3"]) == {"iteration", *COLUMNS}
    np.testing.assert_array_equal(found["step2"]["iteration"], [20, 40])
    assert np.isnan(found["step1"]["alpha"]).all()
    assert found["step3"]["alpha"].tolist() == [0.1, 0.1]
    caption, alt = log_words(FoundLogs(found, "quick, walls, seed 0", False))
    assert "(quick, walls, seed 0)" in caption
    assert "Step 3 of 40 iterations" in caption
    assert "SR loss in step3 from 0.5 to 0.25" in alt


def test_the_command_finds_run_and_result(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    put_result(tmp_path / "results", ROW.id, data="synthetic")
    runs(tmp_path / "elsewhere" / "quick" / "synthetic" / "seed0")
    places = ["--results", str(tmp_path / "results"), "--runs", str(tmp_path / "elsewhere")]
    what = ["results", "keep-log", ROW.id, "--profile", "quick", "--data", "synthetic"]
    assert main([*what, *places]) == 0
    assert capsys.readouterr().out.strip().endswith("csbsr-pspnet-seed0.log.csv")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no result; run csbsr-pspnet first"):
        keep_log(ROW, tmp_path, tmp_path / "absent.json")
    result = put_result(tmp_path / "results", ROW.id)
    with pytest.raises(ValueError, match="no log of csbsr-pspnet for step2, step3"):
        keep_log(ROW, runs(tmp_path / "runs", ("step1-kbpn",)), result)
    assert not kept_path(result).exists()
    kept_path(result).write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="not a kept log"):
        read_kept(kept_path(result))
