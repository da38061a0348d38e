"""`csbsr run` killed at any moment and started again ends with the same result."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "csbsr.cli", "run", "hr-pspnet", "--results"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def numbers(results: Path) -> dict:
    path = results / "smoke" / "synthetic" / "reproduction+smoke" / "hr-pspnet-seed0.json"
    content = json.loads(path.read_text())
    return {key: content[key] for key in ("metrics", "curves", "images")}


def run(results: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, str(results)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, float]:
    results = tmp_path_factory.mktemp("whole") / "results"
    started = time.perf_counter()
    assert run(results).wait(timeout=300) == 0
    return numbers(results), time.perf_counter() - started


@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
def test_killed_and_run_again_gives_the_same_json(share: float, whole, tmp_path: Path) -> None:
    expected, seconds = whole
    results = tmp_path / "results"
    process = run(results)
    time.sleep(share * seconds)  # in imports, in training, in the evaluation
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert run(results).wait(timeout=300) == 0
    assert numbers(results) == expected


def test_killed_in_the_evaluation(whole, tmp_path: Path) -> None:
    results = tmp_path / "results"
    process = run(results)
    for line in process.stderr:  # the last line of the training, then the evaluation begins
        if "8/8" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert not list(results.rglob("*.json"))
    assert run(results).wait(timeout=300) == 0
    assert numbers(results) == whole[0]
