"""`csbsr cost`: what is counted, how it becomes time, and how jobs fill machines."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from result_files import put_result
from torch.utils.flop_counter import FlopCounterMode

from csbsr.cli import main
from csbsr.networks.architecture import Architecture, PSPNetConfig, build_model
from csbsr.study import work
from csbsr.study.cost import EVALUATION, Job, estimate, makespan, own_job, shared_jobs
from csbsr.study.experiments import Experiment, experiment
from csbsr.study.freshness import find_fresh
from csbsr.study.machines import (
    Rates,
    catalogue,
    machine_named,
    rates_of,
    read_check,
)
from csbsr.study.profiles import load_profile
from csbsr.study.steps import TrainingStep, last_step, sr_steps
from csbsr.study.work import Work, count, image_work, step_work
from csbsr.training.config import StepConfig
from csbsr_book.chapters import cost as pages
from csbsr_book.site.table import text, values

SMOKE = load_profile("smoke")
PROTOCOL = SMOKE.protocol("reproduction")
PSPNET = Architecture(None, PSPNetConfig(width=8), reads="hr")
ONE = Rates({"kbpn": 1.0, "pspnet": 2.0}, "a test", True)


def step() -> StepConfig:
    return StepConfig(iterations=1, batch=2, crop=64, train="segmentation", beta=1.0)


def once(row: Experiment) -> TrainingStep:
    """One iteration of an experiment's last step."""
    last = last_step(row, SMOKE, PROTOCOL)
    return replace(last, config=replace(last.config, iterations=1, warmup=0))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every count is one TFLOP for S and two for C, so that only the sums are looked at."""

    def known(architecture: Architecture, config: object, protocol: object, phase: str) -> Work:
        found = {}
        if architecture.sr:
            found[architecture.sr.network] = 1.0
        if architecture.segmentation:
            found[architecture.segmentation.network] = 2.0
        return Work(found, 3.0 if config else 1.0)

    monkeypatch.setattr(work, "_known", known)


# -- counting ------------------------------------------------------------------------------------


def test_counts_are_those_of_a_real_step_and_values_do_not_matter() -> None:
    found = count(PSPNET, step(), PROTOCOL, "all")
    net = build_model(PSPNET).train()
    with FlopCounterMode(display=False) as counter:
        net(torch.rand(2, 3, 64, 64)).prob.sum().backward()
    assert found.tflop == {"pspnet": pytest.approx(counter.get_total_flops() / 1e12, rel=0.05)}
    twice = count(PSPNET, replace(step(), batch=4), PROTOCOL, "all")
    assert twice.tflop["pspnet"] == pytest.approx(2 * found.tflop["pspnet"], rel=0.01)
    weights = sum(p.numel() for p in net.parameters()) * 16 / 2**30
    assert twice.gib - weights == pytest.approx(2 * (found.gib - weights), rel=0.1)


def test_s_and_c_are_counted_apart_and_a_frozen_s_costs_its_forward_pass() -> None:
    rows = (experiment("csbsr-pspnet"), experiment("kbpn+pspnet"))
    joint, frozen = (step_work(row, once(row), SMOKE, PROTOCOL) for row in rows)
    assert set(joint.tflop) == set(frozen.tflop) == {"kbpn", "pspnet"}
    assert joint.tflop["kbpn"] == pytest.approx(3 * frozen.tflop["kbpn"], rel=0.05)
    assert joint.gib > frozen.gib


def test_phases_of_a_step_are_counted_each() -> None:
    """While the true kernel is given, the estimator's update does not run."""
    row = experiment("csbsr-pspnet")
    first, *_, last = sr_steps(row, SMOKE, PROTOCOL)
    assert first.config.kernel_phases == (6, 6)
    assert last.config.kernel_phases == (0, 0)
    given, own = (step_work(row, s, SMOKE, PROTOCOL).tflop["kbpn"] for s in (first, last))
    assert 0 < given < own


def test_counts_that_come_with_the_package_hold() -> None:
    """One of them counted again; `python benchmarks/work.py` renews them after a change."""
    paper = load_profile("paper")
    asked = next(
        a
        for a in work.countable([experiment("dbpn+pspnet")], paper, paper.protocol("reproduction"))
        if a[1] is not None and a[1].train == "sr"
    )
    kept = work._file().get(work.key_of(*asked))
    if kept is None:
        pytest.skip("a network has changed since `work.json` was written: it is counted anew")
    found = count(*asked)
    assert kept["tflop"] == pytest.approx(found.tflop)
    assert kept["gib"] == pytest.approx(found.gib)


def test_published_throughput_is_converted_by_a_counted_network() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        torchvision.models.resnet50()(torch.empty(1, 3, 224, 224)).sum().backward()
    assert catalogue().resnet50_tflop == pytest.approx(counter.get_total_flops() / 1e12, rel=0.01)


# -- time ----------------------------------------------------------------------------------------


def test_a_job_is_its_steps_and_its_evaluation(counted: None) -> None:
    rates = replace(ONE, image_seconds=0.5)
    job = own_job(experiment("csbsr-pspnet"), SMOKE, PROTOCOL, rates, images=10)
    each = 1 / 1.0 + 2 / 2.0
    assert job.seconds == {"step3": pytest.approx(8 * each), EVALUATION: 10 * (each + 0.5)}
    assert job.tflop == pytest.approx((8 + 10) * 3)
    assert own_job(experiment("dsrl"), SMOKE, PROTOCOL, ONE).needs == ()
    assert not shared_jobs(experiment("dsrl"), SMOKE, PROTOCOL, ONE)


def test_a_network_that_nobody_measured_takes_the_mean_rate() -> None:
    assert ONE.seconds({"kbpn": 3.0, "pspnet": 3.0}) == 4.5
    assert ONE.seconds({"unknown": 4.0}) == pytest.approx(3.0)  # at 4/3 TFLOP/s


def test_shared_steps_are_there_once_and_parents_come_with_their_children(counted: None) -> None:
    names = ("csbsr-pspnet-blurskip", "kbpn+pspnet")
    found = estimate(names, SMOKE, PROTOCOL, machine_named("v100-32gb"), ONE, "fp32", seeds=2)
    assert [job.name for job in found.jobs] == [
        "step2-kbpn",
        "csbsr-pspnet",
        "csbsr-pspnet-blurskip",
        "kbpn+pspnet",
    ]
    assert found.longest == ("step2-kbpn", "csbsr-pspnet", "csbsr-pspnet-blurskip")
    assert found.hours == pytest.approx(2 * sum(job.total for job in found.jobs) / 3600)
    assert found.dollars == pytest.approx(3.06 * found.hours)
    assert found.gib == 3.0
    assert found.fits
    assert sum(found.shares.values()) == pytest.approx(1)


def test_jobs_fill_gpus_and_wait_for_what_they_need() -> None:
    jobs = (
        Job("a", {"x": 4.0}, 0, 0),
        Job("b", {"x": 1.0}, 0, 0),
        Job("c", {"x": 2.0}, 0, 0, ("b",)),
        Job("d", {"x": 2.0}, 0, 0, ("b",)),
    )
    assert makespan(jobs, 1, 1) == 9
    assert makespan(jobs, 1, 2) == 5
    assert makespan(jobs, 1, 64) == 4
    assert makespan(jobs, 2, 1) == 18
    assert makespan((), 1, 4) == 0


def check_file(folder: Path, kind: str = "cpu", **changes: object) -> Path:
    row = {"tflop": 1.0, "seconds": 2.0}
    content = {"device": "a machine", "image_seconds": 0.1, "steps": {"fp32": {"pspnet": row}}}
    path = folder / f"check_{kind}.json"
    path.write_text(json.dumps(content | changes))
    return path


def test_what_was_measured_here_takes_the_place_of_what_was_published(tmp_path: Path) -> None:
    a100 = machine_named("a100-80gb")
    published = rates_of(a100, "tf32", tmp_path)
    assert published.measured
    assert not published.here
    row = {"tflop": 10.0, "seconds": 0.5}
    check_file(tmp_path, "cuda", device="NVIDIA A100-SXM4-80GB", steps={"tf32": {"kbpn": row}})
    own = rates_of(a100, "tf32", tmp_path)
    assert own.here
    assert own.tflops == {"kbpn": 20.0}
    assert rates_of(machine_named("h100-80gb"), "tf32", tmp_path).here is False
    assert rates_of(a100, "bf16", tmp_path).here is False, "a precision that was not measured here"


def test_a_derived_throughput_says_so(tmp_path: Path) -> None:
    assert not rates_of(machine_named("a100-80gb"), "fp32", tmp_path).measured


@pytest.mark.parametrize("text", ["{", "[]", '{"steps": 3}', '{"steps": {"fp32": {"a": {}}}}'])
def test_a_damaged_check_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "check_cpu.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="no file of `make gpu-check`") as error:
        read_check(path)
    assert "\n" not in str(error.value)


BAD = {
    "machine": (["II", "--gpu", "abacus"], "choose one of cpu, v100-32gb"),
    "precision": (["II", "--gpu", "v100-32gb", "--precision", "bf16"], "nobody has measured bf16"),
    "table": (["table", "I"], "choose one of table II"),
    "id": (["csbsr-pspent"], "did you mean csbsr-pspnet"),
    "profile": (["II", "--profile", "slow"], "profile 'slow' is unknown"),
    "seeds": (["II", "--seeds", "x"], "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, capsys: pytest.CaptureFixture) -> None:
    arguments, words = BAD[case]
    assert main(["cost", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_the_command_prints_hours_memory_money_and_where_they_go(
    counted: None, capsys: pytest.CaptureFixture
) -> None:
    assert main(["cost", "vi", "--gpu", "a100-80gb", "--precision", "tf32", "--seeds", "0-1"]) == 0
    said = capsys.readouterr().out
    for words in (
        "step2-kbpn",
        "2 seeds",
        "$",
        "on 64",
        "step 3",
        "fits in",
        "DeepLearningExamples",
    ):
        assert words in said


# -- the page ------------------------------------------------------------------------------------


def test_the_error_of_a_prediction_is_that_of_runs_on_the_machine_that_was_measured(
    counted: None, tmp_path: Path
) -> None:
    path = put_result(tmp_path, "csbsr-pspnet")
    content = json.loads(path.read_text())
    card = {"hardware": "a machine", "cpu_seconds": 100.0, "precision": "fp32"}
    content["run_card"] |= card
    path.write_text(json.dumps(content))
    found = find_fresh(tmp_path, "quick").fresh
    assert "No run in the results" in text_of(pages.error_table(found, tmp_path))
    row = {"tflop": 1.0, "seconds": 0.1}
    check_file(tmp_path, steps={"fp32": {"pspnet": row}}, image_seconds=0.0)
    (cells,) = values(pages.error_table(found, tmp_path))["rows"]
    seconds = (540 * 3 + 1 * 3) / 10
    assert cells[1] == pytest.approx(seconds)
    assert cells[3] == pytest.approx(100 * (seconds / 100 - 1))


def text_of(table: object) -> str:
    return table.empty if not table.rows else text(table)


def test_the_page_has_every_table_and_every_machine(counted: None, tmp_path: Path) -> None:
    rows = values(pages.reproduction_table(tmp_path))["rows"]
    assert {row[0] for row in rows} == {f"Table {n}" for n in ("II", "III", "IV", "V", "VI")} | {
        "all"
    }
    assert {row[1] for row in rows} == {"fp32", "tf32", "bf16"}
    assert len(values(pages.machine_table(tmp_path))["rows"]) == 7
    for row in values(pages.where_table(tmp_path))["rows"]:
        assert sum(v for v in row[1:] if v is not None) == pytest.approx(100)
    assert image_work(experiment("csbsr-pspnet"), SMOKE, PROTOCOL).gib == 1.0


def test_what_learns_nothing_costs_nothing() -> None:
    for name in ("darkness", "darkness-hr", "otsu"):
        assert image_work(experiment(name), SMOKE, PROTOCOL) == Work({}, 0.0)
