"""`make gpu-check` on the CPU: the same code with the device swapped, and what only a GPU takes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from csbsr.cli import build_parser
from csbsr.networks.architecture import build_model
from csbsr.study.experiments import experiment
from csbsr.study.machines import machine_named, rates_of, read_check
from csbsr.study.models import architecture_of
from csbsr.study.profiles import load_profile
from csbsr.study.steps import last_step
from csbsr.study.work import Work
from csbsr.training.objective import Images, Objective
from csbsr.training.parts import set_learning
from csbsr_book.chapters import gpu as pages
from csbsr_book.site.table import html, values

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

import gpu_check  # noqa: E402

SMOKE = load_profile("smoke")


def options(tmp_path: Path, **changes: object) -> gpu_check.Options:
    chosen = {"networks": ("pspnet",), "precisions": ("fp32",), "steps": 1} | changes
    return gpu_check.Options(torch.device("cpu"), SMOKE, tmp_path / "check_cpu.json", **chosen)


@contextmanager
def entered() -> Iterator[set[str]]:
    """Collects `module:function` of everything that Python calls meanwhile."""
    found: set[str] = set()

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            module = frame.f_globals.get("__name__", "")
            found.add(f"{module}:{frame.f_code.co_qualname}")

    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(None)


def test_every_place_that_only_a_gpu_takes_is_described() -> None:
    known = pages.known_branches()
    described = [(b.where, b.code) for b in known]
    assert sorted(described) == sorted(pages.branches_of(ROOT)), pages.describe(ROOT)
    assert all(b.what.endswith(".") for b in known)
    assert pages.describe(ROOT) == ""


def test_the_step_and_the_sync_check_go_through_their_branches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_check, "count", lambda *asked: Work({"pspnet": 1.0, "kbpn": 2.0}, 1.0))
    chosen = options(tmp_path)
    with entered() as found:
        measured = gpu_check.check_steps(chosen)
        watched = gpu_check.check_sync(chosen)
    assert watched["watched"] == 1
    assert set(measured["steps"]["fp32"]) == {"pspnet"}
    joint = measured["joint"]["fp32"]
    assert joint["seconds"] > 0
    assert joint["tflop"] == 3.0
    assert "peak_gib" not in joint, "only a GPU says"
    assert "crackformer" in gpu_check.ALONE, "it goes through its own branch"
    for branch in pages.known_branches():
        where = branch.where.removeprefix("benchmarks.")
        alone = where.startswith(("csbsr.networks.crackformer", "gpu_check:Options"))
        if branch.check in ("step", "sync") and not alone:
            assert where in found, f"{branch.check} does not go through {where}"


def test_a_step_mixes_no_devices_and_reads_no_value() -> None:
    """Degradation, networks and losses on a GPU that is not there: shapes and devices alone."""
    row, protocol = experiment("csbsr-pspnet-wLC"), SMOKE.protocol("reproduction")
    config = last_step(row, SMOKE, protocol).config
    with FakeTensorMode(), torch.device("cuda"):
        model = build_model(architecture_of(row, SMOKE, protocol))
        set_learning(model, config, "all")
        one = torch.empty(2, 1, 64, 64)
        images = Images(torch.empty(2, 3, 64, 64), one, one, torch.empty(2, 1, 21, 21))
        loss, terms = Objective(model, config, protocol)(images, 0.5, 0.3, False)
    assert loss.device.type == "cuda"
    assert {t.device.type for t in terms.values()} == {"cuda"}


def test_what_was_measured_is_kept_whatever_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def broken(options: gpu_check.Options) -> dict:
        raise RuntimeError("no\nmemory")

    def skipped(options: gpu_check.Options) -> dict:
        raise gpu_check.Skipped("one GPU")

    row = {"tflop": 1.0, "seconds": 0.5, "predicted_gib": 1.0}
    parts = {
        "images": lambda options: {"image_seconds": 0.25},
        "step": lambda options: {"steps": {"fp32": {"kbpn": row}}, "joint": {"fp32": row}},
        "sync": broken,
        "ranks": skipped,
    }
    monkeypatch.setattr(gpu_check, "CHECKS", parts)
    chosen = options(tmp_path)
    gpu_check.run_checks(chosen, list(parts))
    content = read_check(chosen.output)
    assert content["checks"] == {
        "images": "passed",
        "step": "passed",
        "sync": "failed: no",
        "ranks": "skipped: one GPU",
    }
    rates = rates_of(machine_named("cpu"), "fp32", tmp_path)
    assert rates.here
    assert rates.tflops == {"kbpn": 2.0}
    assert rates.image_seconds == 0.25
    content["device"] = "NVIDIA A100"
    tables = pages.check_tables(content)
    assert "failed: no" in html(tables[0])
    assert values(tables[1])["rows"] == [["kbpn", 2.0, None, None]]
    states = {row[2]: row[3] for row in values(pages.branch_table(content))["rows"]}
    assert states["step"] == "ran on NVIDIA A100"
    assert states["sync"] == "never: failed: no"
    assert states["table"] == "never"


@pytest.mark.parametrize("name", ["table", "ranks"])
def test_the_commands_of_the_check_are_commands_of_ours(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(command: list[str], **how: object) -> SimpleNamespace:
        seen.append(command)
        words = command[command.index("csbsr.cli") + 1 :]
        asked = build_parser().parse_args(words)
        place = asked.results / "smoke" / "x-seed0.json"
        place.parent.mkdir(parents=True)
        place.write_text("{}")
        assert asked.device == "cpu"
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    found = gpu_check.CHECKS[name](options(tmp_path, jobs=3))
    assert len(seen) == 1
    assert found == {} or found["table"]["results"] == 1
    assert found == {} or "--jobs 3" in " ".join(seen[0])


def test_a_check_that_fails_says_why_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = SimpleNamespace(returncode=1, stderr="a\nno disk", stdout="FAILED tests/a.py::b\n")
    monkeypatch.setattr(subprocess, "run", lambda *command, **how: failed)
    for name, words in (("table", "no disk"), ("ranks", "no disk"), ("tests", "tests/a.py::b")):
        with pytest.raises(RuntimeError, match=words):
            gpu_check.CHECKS[name](options(tmp_path))


def test_without_a_gpu_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_a_file_nothing_has_run_on_a_gpu() -> None:
    table = pages.branch_table(None)
    rows = values(table)["rows"]
    assert all(row[3].startswith("never") for row in rows)
    assert f"{len(rows)}, of which {len(rows)} have never run" in table.caption
    assert "has not been run on a GPU" in html(*pages.check_tables(None))
    json.dumps(values(table))
