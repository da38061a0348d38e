"""A run that is killed at any moment ends, after the same command again, with the same bits.

The runs are real processes and really killed (SIGKILL). They are forked from a server that has
imported torch once, which makes them start in milliseconds.
"""

import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
from training_stand_ins import finish, launch, run, tiny, tiny_stage, weights

from csbsr.networks.joint import Joint
from csbsr.networks.kbpn import KBPN
from csbsr.networks.pspnet import PSPNet
from csbsr.training import checkpoint as checkpoints
from csbsr.training import trainer
from csbsr.training.guards import Stopped
from csbsr.training.log import TrainingLog

STAGE = tiny_stage(
    iterations=12,
    checkpoint_every=3,
    log_every=2,
    beta="increasing",
    warmup=2,
    lr_decay="cosine",
    loss="combo",
)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


# -- moments to be killed at ----------------------------------------------------------------------


def in_a_step(count):
    """In the optimiser step of iteration `count`, with half of the weights updated."""

    def arm():
        original, calls = torch.optim.Adam.step, []

        def step(self, *args, **kwargs):
            calls.append(1)
            if len(calls) == count:
                with torch.no_grad():
                    self.param_groups[0]["params"][0].add_(1.0)
                die()
            return original(self, *args, **kwargs)

        torch.optim.Adam.step = step

    return arm


def in_a_checkpoint_write(count):
    """With half of the bytes of the `count`-th checkpoint written."""

    def arm():
        original, calls = torch.save, []

        def save(state, file):
            calls.append(1)
            if len(calls) < count:
                return original(state, file)
            original(state, file)
            file.flush()
            os.truncate(file.fileno(), os.fstat(file.fileno()).st_size // 2)
            return die()

        torch.save = save

    return arm


def before_the_rename():
    os.replace = lambda *args: die()


def after_the_rename():
    """The new checkpoint is there, an old one is not deleted yet."""
    checkpoints._sync_folder = lambda folder: die()


def in_a_log_line():
    """Half of a line is in the file; the next checkpoint is not written."""

    def write(self, line):
        with open(self.path, "a") as file:
            file.write(json.dumps(line)[:20])
        die()

    TrainingLog.write = write


MOMENTS = {
    "in a step": (in_a_step, 5),
    "in a checkpoint write": (in_a_checkpoint_write, 2),
    "in a log line": (in_a_log_line,),
    "before the rename": (before_the_rename,),
    "after the rename": (after_the_rename,),
    "in the last step": (in_a_step, 2),
}


def child(folder, moment=None):
    """One run of the command; the final weights go to `folder/weights.pt`."""
    torch.set_num_threads(1)
    if moment is not None:
        make, *arguments = MOMENTS[moment]
        arm = make(*arguments) if arguments else make
        arm()
    network = tiny()
    trainer_result = run(network, STAGE, Path(folder))
    torch.save(network.state_dict(), Path(folder) / "weights.pt")
    (Path(folder) / "notes.json").write_text(json.dumps(trainer_result.notes))


def child_until_stopped(folder):
    """A long run; exits with 130 when it was stopped, as the command line does."""
    torch.set_num_threads(1)
    try:
        run(tiny(), tiny_stage(iterations=100_000, checkpoint_every=3), Path(folder))
    except Stopped as stopped:
        (Path(folder) / "message").write_text(str(stopped))
        raise SystemExit(130) from None


def child_on_a_full_disk(folder):
    """No file may grow beyond what a log line needs: the kernel refuses the checkpoint's bytes."""
    torch.set_num_threads(1)
    run(tiny(), tiny_stage(iterations=3, checkpoint_every=3), Path(folder) / "x")
    size = max(p.stat().st_size for p in (Path(folder) / "x").glob("*.pt"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size))
    try:
        run(tiny(), tiny_stage(iterations=3, checkpoint_every=3), Path(folder) / "y")
    except OSError as error:
        (Path(folder) / "message").write_text(str(error))


def log_of(folder):
    """The log without what depends on the clock."""
    lines = [json.loads(text) for text in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("it_per_s", "waiting")} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert finish(launch(child, folder)) == 0
    return folder


def assert_equal_runs(folder, other):
    got = torch.load(folder / "weights.pt", weights_only=True)
    expected = torch.load(other / "weights.pt", weights_only=True)
    assert got.keys() == expected.keys()
    for name in expected:
        assert torch.equal(got[name], expected[name]), name
    assert log_of(folder) == log_of(other)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_once_ends_with_the_same_bits(uninterrupted, tmp_path, moment):
    assert finish(launch(child, tmp_path, moment)) == -signal.SIGKILL
    assert finish(launch(child, tmp_path)) == 0
    assert_equal_runs(tmp_path, uninterrupted)
    assert not list(tmp_path.glob("*.tmp"))
    assert json.loads((tmp_path / "notes.json").read_text()) == []  # nothing had to be refused


def test_a_run_killed_at_every_moment_in_turn_ends_with_the_same_bits(uninterrupted, tmp_path):
    for moment in MOMENTS:
        assert finish(launch(child, tmp_path, moment)) == -signal.SIGKILL, moment
    assert finish(launch(child, tmp_path)) == 0
    assert_equal_runs(tmp_path, uninterrupted)


def test_a_run_killed_from_outside_ends_with_the_same_bits(uninterrupted, tmp_path):
    for kill in range(3):
        process = launch(child, tmp_path)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.is_alive():
            if len(list(tmp_path.glob("checkpoint-*"))) > kill / 2:
                break
            time.sleep(0.002)
        process.kill()
        finish(process)
    assert finish(launch(child, tmp_path)) == 0
    assert_equal_runs(tmp_path, uninterrupted)


def test_a_truncated_checkpoint_is_refused_by_name_and_the_older_one_used(uninterrupted, tmp_path):
    assert finish(launch(child, tmp_path, "after the rename")) == -signal.SIGKILL
    assert finish(launch(child, tmp_path)) == 0
    newest = checkpoints.path_of(tmp_path, 12)
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert finish(launch(child, tmp_path)) == 0
    notes = json.loads((tmp_path / "notes.json").read_text())
    assert len(notes) == 1
    assert newest.name in notes[0]
    assert_equal_runs(tmp_path, uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, number):
    process = launch(child_until_stopped, tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("checkpoint-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, number)
    assert finish(process) == 130
    message = (tmp_path / "message").read_text()
    newest = max(tmp_path.glob("checkpoint-*.pt"))
    iteration = checkpoints.load(newest).iteration
    assert message.startswith(f"stopped at iteration {iteration} of 100000")
    assert "run the same command again" in message
    assert str(tmp_path) in message


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    expected, network = tiny(), tiny()
    run(expected, STAGE, tmp_path / "a")
    monkeypatch.setattr(trainer, "StopSignals", stop_after(5))
    with pytest.raises(Stopped):
        run(network, STAGE, tmp_path / "b")
    monkeypatch.undo()
    again = tiny()
    assert run(again, STAGE, tmp_path / "b").resumed_from == 5
    for name, value in weights(expected).items():
        assert torch.equal(value, again.state_dict()[name])
    assert log_of(tmp_path / "a") == log_of(tmp_path / "b")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_kbpn_goes_on_to_the_same_bits_in_any_phase(tmp_path, monkeypatch, precision):
    """Memory layout and the state of parameters that rested a phase come back as well."""
    config = tiny_stage(
        iterations=6,
        sr_loss="kbpn",
        kernel_phases=(2, 4),
        log_every=3,
        precision=precision,
        channels_last=precision == "bf16",
    )

    def narrow():
        torch.manual_seed(0)
        sr = KBPN(8, 2, estimated_kernel=7, sft_hidden=2, updater_width=2)
        return Joint(sr, PSPNet(width=4, bins=(1, 2)))

    expected, network = narrow(), narrow()
    run(expected, config, tmp_path / "a")
    for stop in (1, 2, 2):  # after iterations 1, 3 and 5
        monkeypatch.setattr(trainer, "StopSignals", stop_after(stop))
        with pytest.raises(Stopped):
            run(narrow(), config, tmp_path / "b")
    monkeypatch.undo()
    assert run(network, config, tmp_path / "b").resumed_from == 5
    for name, value in weights(expected).items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert log_of(tmp_path / "a") == log_of(tmp_path / "b")


def stop_after(iterations):
    """Stand-in for StopSignals: asks after so many looks at `requested`."""

    class Asks:
        def __init__(self):
            self.looks = 0

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        @property
        def requested(self):
            self.looks += 1
            return self.looks >= iterations

    return Asks


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    assert finish(launch(child_on_a_full_disk, tmp_path)) == 0
    message = (tmp_path / "message").read_text()
    assert "could not be written" in message
    assert "Free some space" in message
    assert "\n" not in message
    assert sorted(p.name for p in (tmp_path / "y").iterdir()) == [".lock", "log.jsonl"]


def test_a_request_during_the_last_iteration_is_heard(tmp_path, monkeypatch):
    """Else the command would go on with its next step."""
    monkeypatch.setattr(trainer, "StopSignals", stop_after(12))
    with pytest.raises(Stopped, match="stopped at iteration 12 of 12"):
        run(tiny(), STAGE, tmp_path)
    monkeypatch.undo()
    assert run(tiny(), STAGE, tmp_path).resumed_from == 12
