"""`csbsr sweep --launcher slurm` without a cluster: arrays, what waits for what, and one job's end.

A real SLURM is met in `test_slurm.py`.
"""

import os
import re
import shlex
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest
from result_files import result_content

from csbsr import cli
from csbsr.files import write_json
from csbsr.study import slurm_task
from csbsr.study.graph import Graph, Job, build_graph
from csbsr.study.job_process import failure_in
from csbsr.study.run import Request, prepare
from csbsr.study.slurm import Allocation, arrays_of, needed_by, parse_time, submit
from csbsr.study.slurm_task import SlurmTask

pytest.importorskip("submitit")

NAMES = ("dbpn+pspnet", "darkness")


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """Three seeds of an experiment with a shared step, and of one without."""
    request = Request(results=tmp_path / "results")
    return build_graph(prepare(request, NAMES), NAMES, (0, 1, 2))


def finish(job: Job) -> None:
    """Leave what a job leaves."""
    job.target.parent.mkdir(parents=True, exist_ok=True)
    if job.part:
        job.target.touch()
    else:
        choices = {"profile": "smoke", "data": "synthetic", "fingerprint_": job.key}
        write_json(job.target, result_content(job.experiment, seed=job.seed, **choices))


# -- arrays, and what they wait for --------------------------------------------------------------


def numbered(arrays: list[tuple[Job, ...]]) -> dict[str, str]:
    """SLURM's ids of arrays that were submitted in this order: 1, 2, ..."""
    ids = {}
    for number, array in enumerate(arrays, start=1):
        for index, job in enumerate(array):
            ids[job.id] = f"{number}_{index}" if len(array) > 1 else str(number)
    return ids


def test_the_seeds_of_an_experiment_are_one_array(graph: Graph) -> None:
    arrays = arrays_of(graph.jobs)
    assert [[job.title for job in array] for array in arrays] == [
        [f"{name} seed {seed}" for seed in (0, 1, 2)]
        for name in ("step2-dbpn", "dbpn+pspnet", "darkness")
    ]
    steps, results, other = arrays
    ids = numbered(arrays)
    assert needed_by(steps, ids) == needed_by(other, ids) == ""
    assert needed_by(results, ids) == "aftercorr:1"


def test_seeds_that_lack_other_things_are_other_arrays(graph: Graph) -> None:
    left = [job for job in graph.jobs if job.part is None or job.seed == 1]
    arrays = arrays_of([job for job in left if job.name != "darkness"])
    seeds = [(array[0].name, [job.seed for job in array]) for array in arrays]
    assert seeds == [("dbpn+pspnet", [0, 2]), ("step2-dbpn", [1]), ("dbpn+pspnet", [1])]
    ids = numbered(arrays)
    assert [needed_by(array, ids) for array in arrays] == ["", "", "afterok:2"]


def test_what_waits_for_jobs_of_another_array_is_none(graph: Graph) -> None:
    steps, results, _ = arrays_of(graph.jobs)
    assert needed_by(results, {steps[1].id: "7_0", steps[2].id: "7_1"}) is None
    assert needed_by(results[1:2], {steps[1].id: "7_0"}) == "afterok:7_0"
    assert needed_by(results[1:], {steps[1].id: "7_0", steps[2].id: "7_1"}) == "aftercorr:7"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("90:01", 91), ("24:00:00", 1440), ("2-12", 3600), ("1-0:30", 1470)],
)
def test_times_as_slurm_writes_them(text: str, minutes: int) -> None:
    assert parse_time(text) == minutes


# -- submitting ----------------------------------------------------------------------------------

SBATCH = """#!/bin/sh
n=$(ls {folder} | wc -l)
cp "$1" {folder}/$n
[ $n -lt {most} ] || {{ echo 'sbatch: error: invalid partition specified' >&2; exit 1; }}
echo "Submitted batch job $n"
"""
SQUEUE = "#!/bin/sh\ncat {folder}.queue 2>/dev/null\nexit 0\n"
Submitted = Callable[[], list[list[str]]]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Submitted]:
    """SLURM's commands as scripts that keep what they are given, up to so many jobs."""

    def install(most: int = 99) -> Submitted:
        programs, folder = tmp_path / "bin", tmp_path / "scripts"
        for path in (programs, folder):
            path.mkdir(exist_ok=True)
        texts = {"sbatch": SBATCH.format(folder=folder, most=most)}
        texts |= {"squeue": SQUEUE.format(folder=folder), "srun": ""}
        for name, text in texts.items():
            (programs / name).write_text(text)
            (programs / name).chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
        return lambda: [
            (folder / str(n)).read_text().splitlines() for n in range(len(os.listdir(folder)))
        ]

    return install


def options(script: list[str]) -> dict[str, str]:
    """What a batch script asks of sbatch."""
    lines = (line.removeprefix("#SBATCH --") for line in script if line.startswith("#SBATCH"))
    return dict((line + "=").split("=", 1) for line in lines)


def test_what_is_asked_of_slurm(graph: Graph, cluster) -> None:
    scripts = cluster()
    asked = Allocation("long", "lab", minutes=600, gpus=2, nodes=3, cpus=5, memory=64)
    assert submit(graph, asked) == 9
    steps, results, _ = map(options, scripts())
    expected = {
        "array": "0-2%3=",
        "partition": "long=",
        "account": "lab=",
        "time": "600=",
        "gpus-per-node": "2=",
        "nodes": "3=",
        "ntasks-per-node": "1=",
        "cpus-per-task": "10=",
        "mem": "64GB=",
        "signal": "TERM@300=",
        "requeue": "",
        "job-name": "step2-dbpn=",
    }
    assert {name: steps.get(name) for name in expected} == expected
    assert "dependency" not in steps
    assert results["dependency"] == "aftercorr:0="
    assert results["kill-on-invalid-dep"] == "yes="
    (command,) = (line for line in scripts()[0] if line.startswith("srun"))
    assert "--cpus-per-task=10" in command, "srun no longer takes it from the job"


def test_what_is_done_or_in_the_queue_is_not_submitted(
    graph: Graph, cluster, tmp_path: Path
) -> None:
    cluster()
    finish(graph.jobs[0])
    said: list[str] = []
    assert submit(graph, Allocation(), said.append) == 8
    assert said[1:] == [
        "dbpn+pspnet seed 0: job 0",
        "darkness seed 0: job 1",
        "step2-dbpn seed 1-2: job 2",
        "dbpn+pspnet seed 1-2: job 3, aftercorr:2",
        "darkness seed 1-2: job 4",
    ]
    queue = tmp_path / "scripts.queue"
    queue.write_text("2_1 step2-dbpn\n3_1 dbpn+pspnet\n1 another\n")
    said.clear()
    assert submit(graph, Allocation(), said.append) == 6
    assert said[0].startswith("6 jobs to submit, 2 in the queue")
    assert "step2-dbpn seed 1: job 7" in said
    assert "darkness seed 0: job 6" in said, "another's job has its number"


def test_a_new_experiment_waits_for_jobs_that_are_in_the_queue(
    graph: Graph, cluster, tmp_path: Path
) -> None:
    cluster()
    for job in graph.jobs:
        if job.name == "darkness":
            finish(job)
    submit(graph, Allocation())
    (tmp_path / "scripts.queue").write_text("0_1 step2-dbpn\n0_2 step2-dbpn\n")
    finish(graph.jobs[0])
    said: list[str] = []
    submit(graph, Allocation(), said.append)
    assert said[1:] == [
        "dbpn+pspnet seed 0: job 2",
        "dbpn+pspnet seed 1: job 3, afterok:0_1",
        "dbpn+pspnet seed 2: job 4, afterok:0_2",
    ]


def test_what_slurm_refuses_is_one_line_and_the_rest_can_follow(graph: Graph, cluster) -> None:
    cluster(most=1)
    with pytest.raises(ValueError, match=r"refuses dbpn.pspnet: .*invalid partition specified$"):
        submit(graph, Allocation())
    records = sorted(path.name for path in graph.logs.glob("*.slurm.json"))
    assert len(records) == 3
    assert all(name.startswith("step2-dbpn") for name in records)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--partition", "long"], "--partition is for --launcher slurm"),
        (["--launcher", "slurm", "--jobs", "2"], "--jobs is for --launcher local"),
        (["--launcher", "slurm", "--time", "soon"], "time 'soon' cannot be read"),
        (["--launcher", "slurm", "--time", "2"], "minutes 2"),
        (["--launcher", "slurm", "--gpus", "-1"], "gpus -1"),
        (["--launcher", "slurm"], "SLURM's 'sbatch' is not here"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setenv("PATH", "")
    results = tmp_path / "results"
    assert cli.main(["sweep", "darkness", *words, "--results", str(results)]) == cli.BAD_INPUT
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_login_node_needs_no_gpu(tmp_path: Path, cluster) -> None:
    scripts = cluster()
    words = ["darkness", "--results", str(tmp_path / "results"), "--device", "cuda:7"]
    assert cli.main(["sweep", *words, "--launcher", "slurm"]) == 0
    assert cli.main(["status", *words]) == 0
    assert len(scripts()) == 1


PAGE = Path(__file__).parents[1] / "book" / "cluster.md"


def test_the_example_of_the_page(
    cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Its command does what the page says, with embedded images and at smoke."""
    cluster()
    monkeypatch.delenv("CSBSR_NATURAL", raising=False)
    command, output = re.findall(r"```(?:sh|text)\n(.*?)```", PAGE.read_text(), re.DOTALL)[:2]
    changes = {"--natural DIR2": "", "DIR": "synthetic", "paper": "smoke", "\\\n": ""}
    for old, new in changes.items():
        command = command.replace(old, new)
    _, *words = shlex.split(command)
    assert cli.main([*words, "--results", str(tmp_path / "results")]) == 0
    said = capsys.readouterr().err.replace(f"{tmp_path}/", "").splitlines()
    first, *others = output.splitlines()
    assert said[0] == first.replace("paper/DIR/reproduction", "smoke/synthetic/reproduction+smoke")
    shown = [line for line in others if line != "..."]
    assert said[1 : 1 + len(shown)] == [
        re.sub(r"\b10(\d)\b", lambda found: str(int(found[1]) - 1), line) for line in shown
    ]


# -- inside a job --------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SlurmTask]:
    """A task whose training is a script, in a job that SLURM counts as running."""
    for name, value in {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "5"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(slurm_task, "_is_running", lambda: True)
    before = signal.getsignal(signal.SIGTERM)
    yield lambda script: SlurmTask(("-c", script), tmp_path / "log")
    signal.signal(signal.SIGTERM, before)


class Requeued(BaseException):
    """Stands for the end of a task that has put itself into the queue."""


def listen(task: SlurmTask, outcomes: list) -> None:
    """Do at SIGTERM what submitit does."""

    def handler(number: int, frame: object) -> None:
        outcomes.append(task.checkpoint())
        raise Requeued

    signal.signal(signal.SIGTERM, handler)


SAVES = """
import signal, sys, time
heard = []
signal.signal(signal.SIGINT, lambda *a: heard.append(1))
signal.signal(signal.SIGTERM, lambda *a: heard.append("never"))
print("ready", flush=True)
while not heard:
    time.sleep(0.01)
time.sleep(0.3)
print("saved after", heard, flush=True)
sys.exit(130)
"""


def test_sigterm_lets_the_training_save_once_and_queues_it_again(job, tmp_path: Path) -> None:
    task, outcomes = job(SAVES), []
    listen(task, outcomes)
    log = tmp_path / "log"

    def preempt() -> None:
        while "ready" not in (log.read_text() if log.exists() else ""):
            time.sleep(0.01)
        for _ in range(3):  # to the task and to its training, again and again, as SLURM does
            os.kill(task._process.pid, signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    thread = threading.Thread(target=preempt)
    thread.start()
    with pytest.raises(Requeued):
        task()
    thread.join(10)
    (again,) = outcomes
    assert again.function == replace(task)
    assert "saved after [1]" in log.read_text()
    assert "waits in the queue" in log.read_text()
    assert not failure_in(log), "stopped is not failed"


def test_a_cancelled_job_saves_and_stays_away(
    job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(slurm_task, "_is_running", lambda: False)
    task = job("")
    (tmp_path / "log").touch()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert task.checkpoint() is None


def test_a_training_that_was_killed_is_queued_again_but_not_for_ever(
    job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task, outcomes = job("import os; os.kill(os.getpid(), 9)"), []
    listen(task, outcomes)
    with pytest.raises(Requeued):
        task()
    assert len(outcomes) == 1
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(slurm_task.MOST_KILLS))
    with pytest.raises(SystemExit):
        task()
    assert failure_in(tmp_path / "log") == "it said nothing (killed by SIGKILL)"


def test_a_failure_ends_the_job_and_says_why(job, tmp_path: Path) -> None:
    script = "import sys; print('csbsr: no memory'); print('===='); sys.exit(3)"
    with pytest.raises(SystemExit):
        job(script)()
    assert failure_in(tmp_path / "log") == "no memory (exit code 3)"
    assert job("print('well')")() is None
    assert not failure_in(tmp_path / "log")


def test_all_trainings_of_a_node_are_asked_to_save_not_their_parent(job) -> None:
    """torchrun would kill those that do not end within half a minute."""
    parent = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & echo ready; wait"], stdout=PIPE)
    assert parent.stdout.readline() == b"ready\n"
    assert job("")._trainings(parent.pid) == [parent.pid]
    children = replace(job(""), processes=2)._trainings(parent.pid)
    for child in children:
        os.kill(child, signal.SIGKILL)
    assert len(children) == 2
    parent.wait(60)


def test_several_processes_meet_at_the_first_node(job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_NODELIST", "gpu[07-08]")
    monkeypatch.setenv("SLURM_NODEID", "1")
    command = replace(job("x"), nodes=2, processes=4).command()
    assert command[1:3] == ["-m", "torch.distributed.run"]
    assert {"--nnodes=2", "--nproc-per-node=4", "--node-rank=1"} < set(command)
    assert {"--master-addr=gpu07", "--master-port=20005"} < set(command)
    assert command[-2:] == ["-c", "x"]
