"""The trainer: the same numbers every time, what a run shows and logs, and how it ends."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from devices import DEVICES
from torch import nn
from training_stand_ins import Cracks, run, same, tiny, tiny_stage, weights

from csbsr.data.stream import CrackStream
from csbsr.protocol import RELEASED
from csbsr.training.checkpoint import ForeignCheckpoint
from csbsr.training.guards import NotFinite, OutOfMemory, arithmetic
from csbsr.training.log import read_log
from csbsr.training.loop import Run
from csbsr.training.parts import set_learning
from csbsr.training.waits import no_waiting, take_forms_of_a_gpu


def test_the_loss_falls_when_it_is_trained(tmp_path):
    config = tiny_stage(iterations=60, log_every=10, beta=0.5, loss="combo", lr_segmentation=1e-2)
    run(tiny(), config, tmp_path)
    log = read_log(tmp_path)
    assert log["L_C"][-1] < 0.9 * log["L_C"][0]
    assert log["L_S"][-1] < 0.9 * log["L_S"][0]


def test_the_schedules_appear_in_the_log(tmp_path):
    config = tiny_stage(iterations=10, log_every=1, beta="increasing", warmup=4)
    run(tiny(), config, tmp_path)
    log = read_log(tmp_path)
    np.testing.assert_allclose(log["beta"], np.minimum(np.arange(10) / 10 * 15 / 14, 1))
    np.testing.assert_allclose(log["lr_sr"][:5], 1e-3 * np.array([0.25, 0.5, 0.75, 1, 1]))
    assert (np.diff(log["alpha"]) > 0).all()
    assert log["iteration"].tolist() == list(range(1, 11))
    assert ((log["waiting"] >= 0) & (log["waiting"] <= 1)).all()


def test_the_same_seed_gives_the_same_weights_with_any_number_of_workers(tmp_path):
    results = []
    for workers in (0, 1, 3):
        network = tiny()
        torch.manual_seed(100 + workers)  # the caller's generator plays no part
        run(network, tiny_stage(), tmp_path / str(workers), workers=workers)
        results.append(weights(network))
    assert same(results[0], results[1])
    assert same(results[0], results[2])
    other = tiny()
    run(other, tiny_stage(), tmp_path / "other", seed=1)
    assert not same(results[0], weights(other))


def test_logging_and_saving_do_not_change_the_weights(tmp_path):
    often, rarely = tiny(), tiny()
    run(often, tiny_stage(log_every=1, checkpoint_every=1), tmp_path / "often")
    run(rarely, tiny_stage(log_every=100, checkpoint_every=100), tmp_path / "rarely")
    assert same(weights(often), weights(rarely))


def test_the_callers_random_numbers_and_settings_are_left_alone(tmp_path):
    network = tiny()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    settings = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    run(network, tiny_stage(), tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == settings


def test_cudnn_searches_for_no_algorithm_during_a_run():
    cudnn = torch.backends.cudnn
    with arithmetic(tiny_stage(), torch.device("cpu")):
        assert (cudnn.benchmark, cudnn.deterministic) == (False, True)


def test_bfloat16_and_channels_last_give_nearly_the_same_loss(tmp_path):
    losses = []
    for precision in ("fp32", "bf16"):
        config = tiny_stage(precision=precision, channels_last=precision == "bf16")
        run(tiny(), config, tmp_path / precision)
        losses.append(read_log(tmp_path / precision)["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.05)


def test_the_model_comes_back_ready_for_evaluation(tmp_path):
    network = tiny()
    run(network, tiny_stage(train="segmentation"), tmp_path)
    assert not network.training
    assert all(p.requires_grad for p in network.parameters())


def test_a_finished_step_is_not_repeated(tmp_path):
    first, again = tiny(), tiny()
    run(first, tiny_stage(), tmp_path)
    result = run(again, tiny_stage(), tmp_path)
    assert result.resumed_from == 4
    assert same(weights(first), weights(again))
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_another_configuration_in_the_same_folder_is_refused(tmp_path):
    run(tiny(), tiny_stage(), tmp_path)
    with pytest.raises(ForeignCheckpoint, match=r"step\.beta: 0\.3 -> 0\.7"):
        run(tiny(), tiny_stage(beta=0.7), tmp_path)
    with pytest.raises(ForeignCheckpoint, match="start"):
        run(tiny(seed=1), tiny_stage(), tmp_path)


class Poisoned(Cracks):
    """Image c holds values that are not finite."""

    def load(self, i):
        image, mask = super().load(i)
        value = np.inf if i == 2 else 0
        return image.astype(np.float32) + value, mask


def test_a_loss_that_is_not_finite_names_the_images_and_keeps_the_checkpoint(tmp_path):
    def first_bad(seed):
        stream = CrackStream(Poisoned(), 32, 1, seed, RELEASED)
        return next(i for i in range(4) if stream.batch(i).names == ["c.png"])

    seed = next(s for s in range(50) if first_bad(s) == 2)
    bad = 2
    config = tiny_stage(iterations=8, batch=1, log_every=8, checkpoint_every=1)
    with pytest.raises(NotFinite) as caught:
        run(tiny(), config, tmp_path, source=Poisoned(), seed=seed)
    assert f"iteration {bad + 1} (images c.png)" in str(caught.value)
    assert "\n" not in str(caught.value)
    kept = sorted(tmp_path.glob("checkpoint-*"))
    assert kept[-1].name == f"checkpoint-{bad:08d}.pt"
    state = torch.load(kept[-1], weights_only=True)
    assert all(torch.isfinite(v).all() for v in state["model"].values())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nGPU 0 has ..."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_too_little_memory_says_what_to_lower(tmp_path, monkeypatch, error):
    network = tiny()

    def forward(*args, **kwargs):
        raise error

    monkeypatch.setattr(network.segmentation, "forward", forward)
    with pytest.raises(OutOfMemory) as caught:
        run(network, tiny_stage(), tmp_path)
    assert "batch 2, HR 32x32, fp32: lower `batch`" in str(caught.value)
    assert "--precision bf16" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_errors_pass_through(tmp_path, monkeypatch):
    network = tiny()

    def forward(*args, **kwargs):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(network.segmentation, "forward", forward)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(network, tiny_stage(), tmp_path)


def test_progress_is_plain_lines_or_nothing(tmp_path, capsys):
    run(tiny(), tiny_stage(), tmp_path / "a", progress="lines", title="step 3")
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 2
    assert err.startswith("step 3: 2/4  loss ")
    assert "it/s" in err
    assert "left" in err
    run(tiny(), tiny_stage(), tmp_path / "b", progress="quiet")
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""
    with pytest.raises(ValueError, match="choose auto, bar, lines or quiet"):
        run(tiny(), tiny_stage(), tmp_path / "c", progress="loud")


def test_a_bar_shows_loss_speed_and_time_left(tmp_path, capsys):
    run(tiny(), tiny_stage(), tmp_path, progress="bar", title="step 3")
    err = capsys.readouterr().err
    assert "step 3" in err
    assert "loss=" in err


def test_one_json_line_per_interval(tmp_path):
    run(tiny(), tiny_stage(iterations=5), tmp_path)
    lines = [json.loads(t) for t in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [2, 4, 5]
    assert all(math.isfinite(line["gradient"]) for line in lines)


def test_torch_compile_gives_the_same_loss(tmp_path, monkeypatch):
    """Compiled by the backend that needs no C++ compiler, so that graph capture is tested."""
    compiled = []

    def capture(function):
        compiled.append(function)
        return compile_(function, backend="eager")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", capture)
    for name, value in (("plain", False), ("compiled", True)):
        run(tiny(dropout=0.0), tiny_stage(compile=value), tmp_path / name)
    assert len(compiled) == 1
    plain, fast = read_log(tmp_path / "plain")["loss"], read_log(tmp_path / "compiled")["loss"]
    np.testing.assert_allclose(plain, fast, rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_never_waits_for_its_device(tmp_path, device):
    """Between two log lines nothing is read back, in any precision."""
    config = tiny_stage(iterations=8, log_every=8, precision="bf16", channels_last=True)
    batches = list(CrackStream(Cracks(), 32, 2, 0, RELEASED).loader(0, 8))
    loop = Run(tiny(), config, RELEASED, 0, torch.device(device), tmp_path)
    take_forms_of_a_gpu(loop.model, loop.optimiser)
    set_learning(loop.model, config, "all")
    step = loop.step()
    for i, batch in enumerate(batches[:3]):  # allocations and searches for algorithms
        loop.window.add(i, loop.iterate(step, batch, False), batch.names, 0.0)
    with no_waiting(torch.device(device)):
        for i, batch in enumerate(batches[3:], start=3):
            loop.window.add(i, loop.iterate(step, batch, False), batch.names, 0.0)
    assert np.isfinite(loop.window.close()[0]["loss"])


@pytest.mark.parametrize("device", DEVICES)
def test_waiting_is_noticed(device):
    value = torch.ones(3, device=device)
    with no_waiting(torch.device(device)):
        value += 1
    with pytest.raises(RuntimeError), no_waiting(torch.device(device)):
        float(value.sum())
    assert float(value.sum()) == 6, "the watch is over"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_training_on_a_device_follows_the_cpu(tmp_path, precision, device):
    plain = tiny(dropout=0.0)
    other = copy.deepcopy(plain)
    run(plain, tiny_stage(), tmp_path / "plain")
    config = tiny_stage(precision=precision, channels_last=True)
    result = run(other, config, tmp_path / "other", device=device)
    assert (result.peak_memory or 0) > 0 if device == "cuda" else result.peak_memory is None
    tolerance = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}[precision]
    expected, got = read_log(tmp_path / "plain")["loss"], read_log(tmp_path / "other")["loss"]
    np.testing.assert_allclose(got, expected, rtol=tolerance)
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in other.modules())


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_that_was_resumed_on_a_device_ends_like_one_that_was_not(tmp_path, device):
    whole, parts = tiny(), tiny()
    run(whole, tiny_stage(), tmp_path / "whole", device=device)
    run(parts, tiny_stage(iterations=4), tmp_path / "parts", device=device)
    (tmp_path / "parts" / "checkpoint-00000004.pt").unlink()
    parts = tiny()
    assert run(parts, tiny_stage(), tmp_path / "parts", device=device).resumed_from == 2
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], value, rtol=1e-5, atol=1e-6)
