"""Several processes of one run: two with half of the batch each equal one with all of it."""

import json
import os
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from training_stand_ins import Cracks, finish, launch, tiny, tiny_stage

from csbsr import commands
from csbsr.cli import main
from csbsr.data.stream import CrackBatch, CrackStream
from csbsr.distributed import Ranks, agree, gather, process_group, ranks, share
from csbsr.evaluation import evaluate
from csbsr.networks.joint import Joint
from csbsr.networks.kbpn import KBPN
from csbsr.networks.pspnet import PSPNet
from csbsr.protocol import PRINTED, RELEASED
from csbsr.training import shared_layers
from csbsr.training.guards import NotFinite, Stopped
from csbsr.training.log import read_log
from csbsr.training.loop import Run
from csbsr.training.shared_layers import share_layers
from csbsr.training.trainer import train


class Doubles(CrackStream):
    """The same batches in float64, so that rounding does not hide what differs."""

    def batch(self, i):
        *images, names = super().batch(i)
        return CrackBatch(*(image.double() for image in images), names)


class Poisoned(Cracks):
    """Image c holds values that are not finite."""

    def load(self, i):
        image, mask = super().load(i)
        return image.astype(np.float32) + (np.inf if i == 2 else 0), mask


def build(kind):
    if kind == "tiny":
        model = tiny(dropout=0.3)
    else:
        torch.manual_seed(0)
        sr = KBPN(8, 2, estimated_kernel=7, sft_hidden=2, updater_width=2)
        model = Joint(sr, PSPNet(width=4, bins=(1, 2)))
        model.segmentation.head = nn.Sequential(nn.Dropout(0.4), model.segmentation.head)
    return model.double()


CASES = {
    "tiny": (tiny_stage(iterations=6, batch=4, loss="combo"), PRINTED),
    "csbsr": (
        tiny_stage(iterations=3, batch=4, sr_loss="kbpn", kernel_phases=(1, 2), log_every=1),
        RELEASED,
    ),
}


def train_case(kind, folder, place):
    stage, protocol = CASES[kind]
    model = build(kind)
    stream = Doubles(Cracks(), 32, stage.batch, 0, protocol, rank=place.rank, world=place.world)
    train(model, stage, stream, seed=0, protocol=protocol, folder=folder, progress="quiet")
    return model


def as_torchrun(rank, world, port):
    """What torchrun puts into the environment of each process."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }


def child(rank, port, kind, folder):
    as_torchrun(rank, 2, port)
    with process_group("cpu") as (place, device):
        assert (place, device) == (Ranks(rank, 2), torch.device("cpu"))
        model = train_case(kind, folder, place)
        torch.save(model.state_dict(), folder / f"weights{rank}.pt")


def child_of_many_things(rank, port, folder):
    """Sharing of work, and how all processes end together; one start for all of it."""
    as_torchrun(rank, 2, port)
    with process_group("cpu") as (place, _):
        seven = list(range(7))
        assert gather([10 * i for i in share(seven, place)], place) == [10 * i for i in seven]
        assert gather(list(share([], place)), place) == []
        assert agree(rank, place) == 1
        assert agree(rank, place, min) == 0
        report = {"poisoned": ends_on_bad_images(place, folder / "poisoned")}
        report["stopped"] = ends_when_one_is_stopped(place, folder / "stopped")
        (folder / f"report{rank}.json").write_text(json.dumps(report))


def ends_on_bad_images(place, folder):
    stage = tiny_stage(iterations=4, batch=4, log_every=4)
    stream = CrackStream(Poisoned(), 32, 4, 0, PRINTED, rank=place.rank, world=2)
    try:
        train(tiny(), stage, stream, seed=0, protocol=PRINTED, folder=folder, progress="quiet")
    except NotFinite as error:
        return str(error)
    return ""


def ends_when_one_is_stopped(place, folder):
    folder.mkdir(exist_ok=True)
    stage = tiny_stage(iterations=100, batch=4, log_every=5, checkpoint_every=100)
    stream = CrackStream(Cracks(), 32, 4, 0, PRINTED, rank=place.rank, world=2)
    run = Run(tiny(), stage, PRINTED, 0, torch.device("cpu"), folder)
    quiet = SimpleNamespace(step=lambda: None, line=lambda *values: None)
    try:
        run.train(stream, 0, SimpleNamespace(requested=place.rank == 1), quiet, None)
    except Stopped as stopped:
        return stopped.iteration
    return 0


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def both(function, *arguments):
    port = free_port()
    processes = [launch(function, rank, port, *arguments) for rank in (0, 1)]
    assert [finish(p) for p in processes] == [0, 0]


@pytest.mark.parametrize("kind", CASES)
def test_two_processes_equal_one_with_the_whole_batch(tmp_path, kind):
    both(child, kind, tmp_path / "two")
    model = train_case(kind, tmp_path / "one", Ranks())
    expected = model.state_dict()
    for rank in (0, 1):
        got = torch.load(tmp_path / "two" / f"weights{rank}.pt", weights_only=True)
        assert got.keys() == expected.keys()  # SyncBatchNorm and DDP leave the names alone
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=0, atol=1e-7, msg=name)
    one, two = read_log(tmp_path / "one"), read_log(tmp_path / "two")
    for name in set(one) - {"it_per_s", "waiting"}:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-9, err_msg=name)


def test_two_processes_share_work_and_end_together(tmp_path):
    both(child_of_many_things, tmp_path)
    reports = [json.loads((tmp_path / f"report{rank}.json").read_text()) for rank in (0, 1)]
    assert reports[0] == reports[1]
    assert "not finite at iteration 1 (images" in reports[0]["poisoned"]
    assert "c.png" in reports[0]["poisoned"]
    assert reports[0]["stopped"] == 5  # the next log line after the request
    assert [p.name for p in (tmp_path / "stopped").iterdir()] == ["checkpoint-00000005.pt"]


def test_a_process_without_torchrun_is_alone():
    assert ranks() == Ranks(0, 1)
    with process_group("cpu") as (place, device):
        assert place.writes
        assert device == torch.device("cpu")
        assert gather([1, 2], place) == [1, 2]
        assert agree(3, place) == 3


def test_a_stray_environment_joins_nothing(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "3")
    assert ranks() == Ranks(0, 1)
    with process_group("cpu") as (place, _):
        assert place == Ranks(0, 1)
    monkeypatch.setenv("WORLD_SIZE", "many")
    model = nn.Sequential(nn.BatchNorm2d(2))
    assert share_layers(model, torch.device("cpu")) is model
    assert evaluate(tiny(), Cracks(), PRINTED, thresholds=[0.5]).names == list(Cracks().names)


def fake_torchrun(monkeypatch, local, gpus):
    """The environment of one process of torchrun on a machine with GPUs, without either."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("LOCAL_RANK", str(local))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(dist, "init_process_group", chosen.append)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    return chosen


@pytest.mark.parametrize("asked", ["auto", "cuda", "cuda:0"])
def test_every_process_of_a_run_has_its_own_gpu(monkeypatch, asked):
    chosen = fake_torchrun(monkeypatch, local=1, gpus=2)
    requests = []
    monkeypatch.setattr(
        commands, "run_experiments", lambda names, request, say: requests.append(request) or []
    )
    assert main(["run", "csbsr-pspnet", "--device", asked]) == 0
    assert requests[0].device == "cuda:1"
    assert chosen == [1, "nccl"]


def test_more_processes_than_gpus_are_refused_in_one_line(monkeypatch, capsys):
    fake_torchrun(monkeypatch, local=2, gpus=2)
    assert main(["run", "csbsr-pspnet", "--device", "cuda"]) == 2
    assert "2 GPUs; lower --nproc-per-node" in capsys.readouterr().err


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_process_drops_its_share_of_what_one_would_drop(monkeypatch, kind, layout, dtype):
    whole = torch.randn(6, 16, 12, 20).to(dtype).to(memory_format=layout)
    torch.manual_seed(3)
    expected = kind(0.3)(whole)
    assert 0.1 < (expected == 0).float().mean() < 0.5
    for rank in range(3):
        place = Ranks(rank, 3)
        monkeypatch.setattr(shared_layers, "ranks", lambda place=place: place)
        layer = share_layers(nn.Sequential(kind(0.3)), torch.device("cpu"))
        torch.manual_seed(3)
        share = whole[2 * rank : 2 * rank + 2]
        torch.testing.assert_close(layer(share), expected[2 * rank : 2 * rank + 2])
        assert layer.eval()(share) is share
