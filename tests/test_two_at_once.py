"""Two processes asked for the same things at the same moment, and either of them killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from result_files import numbers

from csbsr.files import locked, replacing, write_json
from csbsr.training.checkpoint import newest, sweep

NAMES = ("kbpn+pspnet", "csbsr-pspnet")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def start(results: Path, *names: str) -> subprocess.Popen:
    """`csbsr run` in a process of its own."""
    command = [sys.executable, "-m", "csbsr.cli", "run", *names, "--results", str(results)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for(process: subprocess.Popen, words: str) -> bool:
    """Read what a process says until it says this, or ends."""
    return any(words in line for line in process.stderr)


def finish(process: subprocess.Popen) -> str:
    """The rest of what a process says; it must end well."""
    text = process.communicate(timeout=300)[1]
    assert process.returncode == 0, text
    return text


def folders(results: Path) -> dict[str, list[str]]:
    """The files of every training step."""
    runs = results.parent / "runs"
    return {
        path.relative_to(runs).as_posix(): sorted(p.name for p in path.iterdir())
        for path in sorted(runs.rglob("*"))
        if path.is_dir()
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one process that ran everything."""
    results = tmp_path_factory.mktemp("alone") / "results"
    finish(start(results, *NAMES))  # a process of its own: threads decide the last digits
    return results


def test_two_at_the_same_moment_leave_the_files_of_one(alone: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    processes = [start(results, *NAMES), start(results, *reversed(NAMES))]
    for process in processes:
        finish(process)
    assert numbers(results) == numbers(alone)
    assert folders(results) == folders(alone)
    left = {path.name for path in results.rglob("*") if path.is_file()}
    assert {name for name in left if not name.endswith(".lock")} == {
        f"{name}-seed0.{kind}" for name in NAMES for kind in ("json", "jpg")
    }
    for log in (tmp_path / "runs").rglob("log.jsonl"):
        iterations = [json.loads(line)["iteration"] for line in log.read_text().splitlines()]
        assert iterations == sorted(set(iterations)), "no step was trained twice"


def test_either_may_be_killed_and_the_other_goes_on(alone: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    name = NAMES[0]
    first = start(results, name)
    assert wait_for(first, "step1-kbpn: ")  # it trains
    waiting = [start(results, name), start(results, name)]
    for process in waiting:
        assert wait_for(process, "waiting for another process")
    victim, heir = waiting
    victim.send_signal(signal.SIGKILL)
    first.send_signal(signal.SIGKILL)
    assert {victim.wait(60), first.wait(60)} == {-signal.SIGKILL}
    finish(heir)
    path = f"smoke/synthetic/reproduction+smoke/{name}-seed0.json"
    assert numbers(results) == {path: numbers(alone)[path]}
    assert not list((tmp_path / "runs").rglob("*.tmp"))


# -- the tools -----------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from csbsr.files import locked
with locked(Path(sys.argv[1]), "held"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds a lock."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "step" / ".lock")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait(60)


def test_a_lock_waits_for_its_holder_and_ends_with_it(
    holder: subprocess.Popen, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    entered = threading.Event()

    def enter() -> None:
        with locked(tmp_path / "step" / ".lock", "step1"):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.5)
    holder.kill()
    assert entered.wait(60), "kill -9 leaves no lock behind"
    thread.join(60)
    assert "step1: waiting for another process" in capsys.readouterr().err
    enter()  # the file that stays hinders nobody
    assert (tmp_path / "step" / ".lock").exists()


def test_half_written_checkpoints_of_others_are_left_alone(tmp_path: Path) -> None:
    live = tmp_path / "checkpoint-00000010.4711.tmp"
    live.write_bytes(b"half")
    assert newest(tmp_path, {}) == (None, [])
    assert live.exists(), "only the holder of the lock may sweep"
    sweep(tmp_path)
    assert not live.exists()


def break_off(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(OSError, match="No space left"):
        break_off(path)
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]
