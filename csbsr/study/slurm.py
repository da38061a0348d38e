"""Run many experiments on a cluster: each job of a graph a job of SLURM, seeds as arrays."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from csbsr.files import locked, write_json
from csbsr.study.graph import Graph, Job, survey, to_run
from csbsr.study.results import read_json
from csbsr.study.run import Say
from csbsr.study.slurm_task import PATIENCE, SlurmTask
from csbsr.study.sweep import command_of, ranges

if TYPE_CHECKING:
    from submitit import AutoExecutor

GRACE = PATIENCE + 60
"""Seconds before the time is up at which SLURM asks a job to save; it may do so a minute early."""
LEAST_MINUTES = 15
MOST_TIMEOUTS = 100
"""How often a job whose time is up is queued again; it goes on each time, for weeks if need be."""

AFTER = [
    "code=$?",
    '[ $code -ne 143 ] || scontrol requeue "'
    '${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"',
    "exit $code",
]
"""What the shell of a job does in the end: one that was preempted before it could listen, and so
was killed by SIGTERM (143), goes back into the queue."""


@dataclass(frozen=True)
class Allocation:
    """What each job asks of the cluster; None leaves it to the cluster.

    ValueError for what no cluster has.
    """

    partition: str | None = None
    account: str | None = None
    minutes: int = 24 * 60
    """Longest time in one go; a job that takes longer is queued again and goes on."""
    gpus: int = 1
    """On each node; each trains in a process of its own."""
    nodes: int = 1
    cpus: int = 4
    """For each process: as many threads."""
    memory: int | None = None
    """GB on each node."""

    def __post_init__(self) -> None:
        least = {"minutes": LEAST_MINUTES, "gpus": 0, "nodes": 1, "cpus": 1, "memory": 1}
        for name, value in least.items():
            given = getattr(self, name)
            if given is not None and given < value:
                raise ValueError(f"{name} {given} of a job on the cluster must be at least {value}")

    @property
    def processes(self) -> int:
        """Processes on each node."""
        return max(self.gpus, 1)


def parse_time(text: str) -> int:
    """Minutes, rounded up, of a time as SLURM writes it: `90`, `24:00:00` or `2-12`.

    ValueError for anything else.
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if not found:
        raise ValueError(f"time '{text}' cannot be read; write minutes, 24:00:00 or 2-12")
    days, *rest = found.groups()
    numbers = [int(part) for part in rest if part is not None]
    if days is not None:  # days-hours[:minutes[:seconds]]
        hours, minutes, seconds = [*numbers, 0, 0][:3]
    elif len(numbers) == 3:  # hours:minutes:seconds
        hours, minutes, seconds = numbers
    else:  # minutes[:seconds]
        hours, (minutes, seconds) = 0, [*numbers, 0][:2]
    return (int(days or 0) * 24 + hours) * 60 + minutes + -(-seconds // 60)


def submit(graph: Graph, allocation: Allocation, say: Say = lambda line: None) -> int:
    """Put into SLURM's queue what is missing or stale and not there yet; returns how many jobs.

    A job starts when what it needs has ended well, and is cancelled when that has failed. Two
    calls at once: the second waits. ValueError where submitit or SLURM is not there, or SLURM
    refuses; what was submitted before stays in the queue, and the same call adds what lacks.
    """
    _require_slurm()
    graph.logs.mkdir(parents=True, exist_ok=True)
    with locked(graph.logs / ".slurm.lock", "submitting"):
        ids = queued(graph)
        missing = [job for job in to_run(graph, survey(graph)) if job.id not in ids]
        say(f"{len(missing)} jobs to submit, {len(ids)} in the queue; logs in {graph.logs}")
        for array in arrays_of(missing):
            whole = needed_by(array, ids) is not None
            for jobs in [array] if whole else [(job,) for job in array]:
                needed = needed_by(jobs, ids) or ""
                ids |= _submit(jobs, needed, graph, allocation)
                seeds = ranges([job.seed for job in jobs])
                after = f", {needed}" if needed else ""
                say(f"{jobs[0].name} seed {seeds}: job {ids[jobs[0].id].split('_')[0]}{after}")
    return len(missing)


def arrays_of(jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
    """Jobs that differ in their seed alone, in an order in which they may be submitted.

    Seeds share an array when the same jobs of theirs are there: so the member of an array with
    some index needs those of other arrays with the same one.
    """
    there: dict[int, frozenset] = {}
    for job in jobs:
        there[job.seed] = there.get(job.seed, frozenset()) | {(job.experiment, job.part)}
    arrays: dict[tuple, list[Job]] = {}
    for job in jobs:
        arrays.setdefault((job.experiment, job.part, there[job.seed]), []).append(job)
    return [tuple(array) for array in arrays.values()]


def needed_by(array: Sequence[Job], ids: Mapping[str, str]) -> str | None:
    """What an array waits for, as SLURM writes it, empty for nothing; None: it is no array.

    ids: SLURM's, of the jobs in its queue; a need that is not among them is done.
    """
    conditions = []
    for position in range(len(array[0].needs)):
        needs = [ids.get(job.needs[position]) for job in array]
        if not any(needs):
            continue
        if len(array) == 1:
            conditions.append(f"afterok:{needs[0]}")
            continue
        first = str(needs[0]).split("_")[0]
        if needs != [f"{first}_{index}" for index in range(len(array))]:
            return None
        conditions.append(f"aftercorr:{first}")
    return ",".join(conditions)


def queued(graph: Graph) -> dict[str, str]:
    """SLURM's ids of the jobs of a graph that are in its queue, running ones included."""
    known = {}
    for job in graph.jobs:
        if (path := _record_of(job, graph)).exists():
            known[job.id] = _recorded(path)
    if not known:
        return {}
    listed = _queue()
    return {
        job.id: known[job.id] for job in graph.jobs if f"{known.get(job.id)} {job.name}" in listed
    }


def _record_of(job: Job, graph: Graph) -> Path:
    return graph.logs / f"{job.id}.slurm.json"


def _recorded(path: Path) -> str:
    content = read_json(path)
    return str(content.get("job")) if isinstance(content, dict) else ""


def _submit(
    jobs: Sequence[Job], needed: str, graph: Graph, allocation: Allocation
) -> dict[str, str]:
    """Submit one job or an array; returns SLURM's id of each and keeps it beside the log."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    for job in jobs:
        graph.log_of(job).unlink(missing_ok=True)
    tasks = [
        SlurmTask(
            arguments=tuple(command_of(job, graph.request)[1:]),
            log=graph.log_of(job).absolute(),
            nodes=allocation.nodes,
            processes=allocation.processes,
            threads=allocation.cpus,
        )
        for job in jobs
    ]
    executor = _executor(graph.logs / "slurm", jobs[0].name, needed, allocation)
    try:
        submitted = executor.submit_array(tasks)
    except (FailedJobError, FailedSubmissionError) as error:
        reason = str(error).strip().splitlines()[-1:] or ["no reason given"]
        raise ValueError(f"SLURM refuses {jobs[0].name}: {reason[0]}") from error
    ids = {job.id: made.job_id for job, made in zip(jobs, submitted)}
    for job in jobs:
        write_json(_record_of(job, graph), {"job": ids[job.id]})
    return ids


def _executor(folder: Path, name: str, needed: str, allocation: Allocation) -> "AutoExecutor":
    from submitit import AutoExecutor

    executor = AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=MOST_TIMEOUTS)
    cpus = allocation.cpus * allocation.processes
    executor.update_parameters(
        name=name,
        timeout_min=allocation.minutes,
        nodes=allocation.nodes,
        tasks_per_node=1,
        cpus_per_task=cpus,
        gpus_per_node=allocation.gpus or None,
        mem_gb=allocation.memory,
        slurm_partition=allocation.partition,
        slurm_account=allocation.account,
        slurm_dependency=needed or None,
        slurm_srun_args=[f"--cpus-per-task={cpus}"],  # no longer taken from the job since 22.05
        slurm_setup=["export SUBMITIT_PREEMPT_SIGNAL=TERM"],  # the one that preemption sends
        slurm_teardown=AFTER,
        slurm_additional_parameters={
            "signal": f"TERM@{GRACE}",
            "requeue": True,
            "kill-on-invalid-dep": "yes",
        },
    )
    return executor


def _require_slurm() -> None:
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "submitit is not installed; `pip install csbsr[cluster]` or leave --launcher slurm out"
        ) from error
    for command in ("sbatch", "srun", "squeue"):
        if shutil.which(command) is None:
            raise ValueError(
                f"SLURM's '{command}' is not here; call this where jobs are submitted, or leave "
                "--launcher slurm out"
            )


def _queue() -> set[str]:
    """A line with id and name of everything in the queue."""
    command = ["squeue", "--noheader", "--array", "--format=%i %j"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = str(error.stderr or error).strip().splitlines()[-1]
        raise ValueError(f"SLURM does not answer: {said}") from error
    return set(done.stdout.splitlines())
