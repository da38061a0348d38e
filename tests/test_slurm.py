"""A sweep on a real SLURM: killed, preempted and failed jobs end in the files of a local sweep.

Root starts it here, with two nodes on this machine, from Debian's slurm-wlm and munge.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from result_files import numbers

from csbsr import cli

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
PATH = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
ABSENT = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        bool(ABSENT) or os.geteuid() != 0,
        reason=f"a SLURM of one's own needs root, slurm-wlm and munge (absent: {ABSENT})",
    ),
]

PAGE = Path(__file__).parents[1] / "book" / "cluster.md"
LONGEST = 3600
"""Seconds after which a test gives up waiting."""
CONFIGURATION = """
ClusterName=csbsr
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=bf_interval=1,sched_interval=1
MinJobAge=86400
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
NodeName={host} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 State=UNKNOWN
NodeName={host}-b NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 State=UNKNOWN
PartitionName=both Nodes=ALL PriorityTier=1
PartitionName=low Nodes={host} PriorityTier=1 GraceTime=300 Default=YES
PartitionName=high Nodes={host} PriorityTier=9 PreemptMode=OFF
"""
"""`cred_expire` is how long a job that was queued again waits, 120 seconds otherwise."""


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def until(true: Callable[[], object], what: str, pause: float = 0.5) -> None:
    """Wait for something; a test that waits longer than any machine needs has failed."""
    end = time.monotonic() + LONGEST
    while not true():
        assert time.monotonic() < end, f"waited {LONGEST} s for: {what}"
        time.sleep(pause)


def call(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def until_all_ended() -> None:
    """Wait until nothing is in the queue."""
    until(lambda: not call("squeue", "--noheader"), "the end of all jobs")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A SLURM with a partition of low and one of high priority, for as long as the tests take."""
    folder = tmp_path_factory.mktemp("slurm")
    host = socket.gethostname().split(".")[0]
    (folder / "state").mkdir()
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, ports=free_ports(3)))
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    files = ("key-file", "socket", "pid-file", "log-file", "seed-file")
    options = [f"--{name}={folder / 'munge.'}{name.removesuffix('-file')}" for name in files]
    commands = [
        ["munged", "--force", "--foreground", *options],
        ["slurmctld", "-D", "-f", str(configuration)],
        *(["slurmd", "-D", "-f", str(configuration), "-N", f"{host}{b}"] for b in ("", "-b")),
    ]
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(configuration))
        patch.setenv("PATH", PATH)
        patch.setenv("OMP_NUM_THREADS", "1")
        for number, command in enumerate(commands):
            output = stack.enter_context((folder / f"{number}.out").open("wb"))
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            if number == 0:
                until((folder / "munge.socket").exists, "munge")
        until(lambda: "idle" in sinfo(host) and "idle" in sinfo(f"{host}-b"), "the nodes")
        yield
        call("scancel", "--user=root")
        until_all_ended()


def sinfo(node: str) -> str:
    words = ["sinfo", "--noheader", "--nodes", node, "--format=%T"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


# -- what is run ---------------------------------------------------------------------------------


def csbsr(*words: str, results: Path) -> str:
    """What a command of ours says, which must end well."""
    said = BytesIO()
    with redirect_stdout(TextIOWrapper(said, write_through=True)) as both, redirect_stderr(both):
        code = cli.main([*words, "--results", str(results)])
        text = said.getvalue().decode()
    assert code == 0, text
    return text


def to_slurm(*words: str, results: Path, partition: str = "low") -> str:
    asked = ("--partition", partition, "--gpus", "0", "--cpus", "1", "--time", "60")
    return csbsr("sweep", *words, "--launcher", "slurm", *asked, results=results)


def training(results: Path, experiment: str, seed: int) -> int:
    """Process that trains an experiment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            run = words[3:7] if words[1:3] == ["-m", "csbsr.cli"] else words[4:8]
            if run == ["run", experiment, "--seed", str(seed)] and str(results) in words:
                return int(folder.name)
    raise AssertionError(f"nobody trains {experiment}")


def log_of(results: Path, step: str, seed: int) -> Path | None:
    """Log of a step that has got beyond its first iterations."""
    folder = results.parent / "runs" / "smoke" / "synthetic" / f"seed{seed}"
    return next(folder.glob(f"{step}-*/log.jsonl"), None)


def restarts() -> dict[str, int]:
    """How often SLURM has started jobs again, by name and index."""
    shown = call("scontrol", "show", "jobs", "--oneliner")
    found = {}
    for line in shown.splitlines():
        words = dict(re.findall(r"(\w+)=(\S*)", line))
        found[f"{words['JobName']} {words.get('ArrayTaskId', 0)}"] = int(words["Restarts"])
    return found


def test_table_iv_with_one_job_killed_and_one_preempted(slurm: None, tmp_path: Path) -> None:
    here, there = tmp_path / "here" / "results", tmp_path / "there" / "results"
    words = ("table", "IV", "--seeds", "0-1")
    csbsr("sweep", *words, "--jobs", "2", results=here)

    assert "14 jobs to submit" in to_slurm(*words, results=there)
    assert "0 jobs to submit, 14 in the queue" in to_slurm(*words, results=there)
    until(lambda: log_of(there, "step1-kbpn", 0), "the first step of seed 0", pause=0.01)
    os.kill(training(there, "csbsr-pspnet", 0), signal.SIGKILL)
    until(lambda: log_of(there, "csbsr-pspnet-gbc", 1), "a training of seed 1", pause=0.01)
    # Stopped, it waits for SLURM, which continues what it preempts, and is still in its training.
    os.kill(training(there, "csbsr-pspnet-gbc", 1), signal.SIGSTOP)
    call("sbatch", "--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap=true")
    until(lambda: restarts()["csbsr-pspnet-gbc 1"], "the preempted job in the queue")
    status = csbsr("status", *words, results=there)
    assert "0 failed" in status
    until_all_ended()

    assert restarts()["step2-kbpn 0"] == 1
    status = csbsr("status", *words, results=there)
    assert "14 done, 0 running, 0 waiting, 0 failed, 0 stale" in status
    steps = [path.name for path in log_of(there, "csbsr-pspnet-gbc", 1).parent.glob("*.pt")]
    assert len(steps) == 2, "what was saved when SLURM asked for it, and the end"
    assert numbers(there) == numbers(here)
    assert "0 jobs to submit, 0 in the queue" in to_slurm(*words, results=there)


def test_after_a_failure_only_what_is_missing_is_submitted(slurm: None, tmp_path: Path) -> None:
    results = tmp_path / "results"
    words = ("dbpn+pspnet", "--seeds", "0-1")
    obstacle = tmp_path / "runs" / "smoke" / "synthetic" / "seed1"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()  # where a folder should be
    assert "4 jobs to submit" in to_slurm(*words, results=results)
    until_all_ended()
    status = csbsr("status", *words, results=results)
    assert re.search(r"seed 1: .*Not a directory \(exit code 2\)", status), status
    assert "2 done, 0 running, 1 waiting, 1 failed, 0 stale" in status
    obstacle.unlink()
    said = to_slurm(*words, results=results)
    assert "2 jobs to submit" in said
    assert "dbpn+pspnet seed 1: job" in said
    until_all_ended()
    assert "4 done" in csbsr("status", *words, results=results)


def test_two_nodes_train_together(slurm: None, tmp_path: Path) -> None:
    """As jobs of a sweep, and with the batch script of the page."""
    one, two = tmp_path / "one" / "results", tmp_path / "two" / "results"
    csbsr("sweep", "hr-pspnet", "darkness", "--jobs", "2", results=one)
    said = to_slurm("hr-pspnet", "--nodes", "2", results=two, partition="both")
    job = said.split()[-1]
    until(lambda: log_of(two, "hr-pspnet", 0), "the training", pause=0.01)
    process = training(two, "hr-pspnet", 0)
    os.kill(process, signal.SIGSTOP)
    call("scancel", "--signal=TERM", job)
    (errors,) = two.parent.rglob(f"{job}_0_log.err")
    until(lambda: "Caught signal SIGTERM" in errors.read_text(), "the signal")
    os.kill(process, signal.SIGCONT)
    until(lambda: restarts()["hr-pspnet 0"], "the job in the queue")
    (script,) = re.findall(r"```sh\n(#!.*?)```", PAGE.read_text(), re.DOTALL)
    for old, new in {
        "--nodes=3": "--nodes=2 --partition=both --output=/dev/null",
        "--gpus-per-node=2 --cpus-per-task=16": "--cpus-per-task=1",
        ".venv/bin": str(Path(sys.executable).parent),
        "csbsr-pspnet --profile paper --data DIR": f"darkness --results {two}",
    }.items():
        assert old in script
        script = script.replace(old, new)
    (tmp_path / "script").write_text(script)
    call("sbatch", str(tmp_path / "script"))
    until_all_ended()
    expected, found = (
        {Path(place).name: said for place, said in numbers(results).items()}
        for results in (one, two)
    )
    assert found["darkness-seed0.json"] == expected["darkness-seed0.json"]
    for name, value in expected["hr-pspnet-seed0.json"]["metrics"].items():
        if isinstance(value, float):
            got = found["hr-pspnet-seed0.json"]["metrics"][name]
            assert got == pytest.approx(value, rel=0.02), name
    saved = log_of(two, "hr-pspnet", 0).parent.glob("*.pt")
    assert len(list(saved)) == 2, "what they saved together, and the end"
    (log,) = two.parent.rglob("hr-pspnet-seed0.log")
    assert "waiting for another process" not in log.read_text(), "two that know of each other"
    assert "hr-pspnet: 8/8" in log.read_text(), "the one that reports is on the first node"
