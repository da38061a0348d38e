"""Checkpoints: written whole or not at all, refused by name when they are not usable."""

import json
import resource
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_stand_ins import finish, launch

from csbsr.training import checkpoint as checkpoints
from csbsr.training.checkpoint import (
    Checkpoint,
    ForeignCheckpoint,
    load,
    newest,
    path_of,
    save,
    sweep,
)
from csbsr.training.log import TrainingLog, read_log

CONFIG = {"stage": {"batch": 6, "kernel_phases": (1, 2)}, "seed": 0}


def make(iteration: int, config: dict = CONFIG) -> Checkpoint:
    return Checkpoint(
        iteration=iteration,
        seed=0,
        model={"w": torch.arange(100.0) + iteration},
        optimiser={"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]},
        log={"names": ["loss"], "sums": torch.ones(1), "count": 1},
        config=config,
    )


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    save(tmp_path, make(7))
    found, notes = newest(tmp_path, CONFIG)
    assert found.iteration == 7
    assert torch.equal(found.model["w"], make(7).model["w"])
    assert not notes


def test_the_last_two_are_kept(tmp_path):
    for iteration in (5, 10, 15, 20):
        save(tmp_path, make(iteration))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        path_of(tmp_path, 15).name,
        path_of(tmp_path, 20).name,
    ]


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def damage_bits(path):
    data = bytearray(path.read_bytes())
    at = data.find(torch.arange(100.0).add(10).numpy().tobytes())
    data[at + 8] ^= 1
    path.write_bytes(data)


def damage_empty(path):
    path.write_bytes(b"")


def damage_other_file(path):
    torch.save({"state_dict": {}}, path)


def damage_code(path):
    torch.save({"format": print}, path)  # not loadable with weights_only


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_bits, damage_empty, damage_other_file, damage_code]
)
def test_a_damaged_checkpoint_is_refused_by_name_and_the_older_one_used(tmp_path, damage):
    save(tmp_path, make(5))
    save(tmp_path, make(10))
    damage(path_of(tmp_path, 10))
    found, notes = newest(tmp_path, CONFIG)
    assert found.iteration == 5
    assert len(notes) == 1
    assert path_of(tmp_path, 10).name in notes[0]
    assert not path_of(tmp_path, 10).exists()  # else it would count as one of the last two
    assert path_of(tmp_path, 10).with_name(path_of(tmp_path, 10).name + ".refused").exists()


def test_a_checkpoint_of_another_configuration_is_refused_with_the_difference(tmp_path):
    save(tmp_path, make(5, {"stage": {"batch": 4, "kernel_phases": (1, 2)}, "seed": 0}))
    with pytest.raises(ForeignCheckpoint) as caught:
        newest(tmp_path, CONFIG)
    assert "stage.batch: 4 -> 6" in str(caught.value)
    assert path_of(tmp_path, 5).exists()  # somebody's training is not thrown away


def test_an_older_checkpoint_of_our_own_is_used_beside_a_foreign_one(tmp_path):
    save(tmp_path, make(5))
    save(tmp_path, make(9, CONFIG | {"seed": 3}))
    found, notes = newest(tmp_path, CONFIG)
    assert found.iteration == 5
    assert "seed: 3 -> 0" in notes[0]


def test_a_leftover_of_a_killed_write_is_cleared(tmp_path):
    save(tmp_path, make(5))
    (tmp_path / "checkpoint-00000010.tmp").write_bytes(b"half")
    found, notes = newest(tmp_path, CONFIG)
    assert (found.iteration, notes) == (5, [])
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path_of(tmp_path, 5).name]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("stream")])
def test_a_failed_write_leaves_nothing_half_written(tmp_path, monkeypatch, error):
    save(tmp_path, make(5))

    def half(state, file):
        file.write(b"x" * 1000)
        raise error

    monkeypatch.setattr(checkpoints.torch, "save", half)
    with pytest.raises(OSError, match="could not be written"):
        save(tmp_path, make(10))
    assert [p.name for p in tmp_path.iterdir()] == [path_of(tmp_path, 5).name]


def test_load_refuses_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.pt"):
        load(tmp_path / "nothing.pt")


def test_a_log_reads_back_as_arrays(tmp_path):
    log = TrainingLog(tmp_path)
    log.write({"iteration": 2, "loss": 0.5, "beta": None})
    log.write({"iteration": 4, "loss": 0.25, "beta": None, "extra": 1})
    values = read_log(tmp_path)
    np.testing.assert_array_equal(values["iteration"], [2, 4])
    np.testing.assert_array_equal(values["loss"], [0.5, 0.25])
    assert np.isnan(values["beta"]).all()
    np.testing.assert_array_equal(values["extra"], [np.nan, 1])


def test_a_resumed_log_drops_the_lines_it_will_repeat_and_a_cut_line(tmp_path):
    log = TrainingLog(tmp_path)
    for iteration in (2, 4, 6):
        log.write({"iteration": iteration, "loss": 1.0})
    with open(log.path, "a") as file:
        file.write('{"iteration": 8, "lo')
    log = TrainingLog(tmp_path, keep_until=4)
    log.write({"iteration": 6, "loss": 2.0})
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert lines == [
        {"iteration": 2, "loss": 1.0},
        {"iteration": 4, "loss": 1.0},
        {"iteration": 6, "loss": 2.0},
    ]


def test_there_is_a_clear_line_for_a_missing_log(tmp_path):
    with pytest.raises(ValueError, match="no training log"):
        read_log(tmp_path)


def fill_the_disk(folder):
    """The kernel refuses what goes beyond 50 bytes per file: the second line is cut."""
    log = TrainingLog(folder)
    log.write({"iteration": 1, "loss": 1.0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
    try:
        log.write({"iteration": 2, "loss": 2.0})
    except OSError as error:
        (folder / "m").write_text(str(error)[:50])


def test_a_full_disk_leaves_no_half_line(tmp_path):
    assert finish(launch(fill_the_disk, tmp_path)) == 0
    assert (tmp_path / "log.jsonl").read_text() == '{"iteration": 1, "loss": 1.0}\n'
    assert (tmp_path / "m").exists()


def test_tensorboard_gets_the_scalars_of_each_line(tmp_path, monkeypatch):
    events = []

    class Writer:
        def __init__(self, folder, purge_step):
            events.append((folder, purge_step))

        def add_scalar(self, *scalar):
            events.append(scalar)

        def close(self):
            events.append("closed")

    module = SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    log = TrainingLog(tmp_path, keep_until=4, tensorboard=True)
    log.write({"iteration": 5, "loss": 0.5, "beta": None})
    log.close()
    assert events == [(str(tmp_path / "tensorboard"), 5), ("loss", 0.5, 5), "closed"]


def test_a_missing_tensorboard_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"pip install csbsr\[tensorboard\]"):
        TrainingLog(tmp_path, tensorboard=True)
