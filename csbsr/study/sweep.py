"""Run many experiments on this machine: N processes, parents first, each job a `csbsr run`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from csbsr.study.graph import (
    Graph,
    Job,
    Standing,
    is_held,
    seconds_left,
    standing,
    survey,
    to_run,
)
from csbsr.study.job_process import failure_in, note_failure, start
from csbsr.study.run import Request, Say
from csbsr.training.guards import StopSignals
from csbsr.training.progress import duration

POLL = 0.1
"""Seconds between two looks at the processes."""
GOES_ON = "the same command goes on where it was stopped"


@dataclass(frozen=True)
class Failure:
    """A job that ended badly, and what it said last."""

    job: Job
    reason: str
    log: Path


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended."""

    ran: tuple[Job, ...]
    failures: tuple[Failure, ...] = ()
    unreached: tuple[Job, ...] = ()
    """Jobs that were not started because one that they need failed."""


def command_of(job: Job, request: Request) -> list[str]:
    """The command that runs a job: `csbsr run` with everything that was asked for."""
    command = [sys.executable, "-m", "csbsr.cli", "run", job.experiment]
    given: dict[str, object] = {
        "--seed": job.seed,
        "--profile": request.profile,
        "--data": request.data,
        "--results": request.results,
        "--runs": request.runs_folder,
        "--protocol": request.protocol,
        "--device": request.device,
        "--workers": request.workers,
        "--natural": request.natural,
        "--mask-values": request.mask_values,
        "--precision": request.precision,
        "--only": job.part,
    }
    for option, value in given.items():
        command += [option, str(value)] if value is not None else []
    if request.pretrained is False:
        command.append("--no-pretrained")
    flags = {"--compile": request.compile, "--tensorboard": request.tensorboard}
    return command + [option for option, value in flags.items() if value]


def threads_each(workers: int) -> int:
    """An equal share of the cores' threads for each process.

    OMP_NUM_THREADS, where it is set, is the most that a process gets.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    share = max(1, (cores or 1) // workers)
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(allowed)) if allowed.isdecimal() and int(allowed) else share


@dataclass
class _Process:
    job: Job
    process: subprocess.Popen
    started: float


@dataclass
class _Sweep:
    """The jobs of a sweep under way."""

    graph: Graph
    workers: int
    say: Say
    known: list[tuple[Job, float]]
    waiting: list[Job]
    total: int
    running: list[_Process] = field(default_factory=list)
    ran: list[Job] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    """Ids of jobs that others still have to wait for."""
    failures: list[Failure] = field(default_factory=list)
    unreached: list[Job] = field(default_factory=list)

    def start(self) -> None:
        """Start what can be started; jobs that another process works on are left to it."""
        for job in list(self.waiting):
            if len(self.running) >= self.workers:
                return
            lost = {f.job.id for f in self.failures} | {j.id for j in self.unreached}
            if lost & set(job.needs):
                self.waiting.remove(job)
                self.unreached.append(job)
            elif self.missing & set(job.needs) or is_held(job):
                continue
            elif standing(job, self.graph.log_of(job)).word == "done":  # by another process
                self.waiting.remove(job)
                self._over(job, "was done elsewhere")
            else:
                self.waiting.remove(job)
                self.running.append(self._process(job))

    def _process(self, job: Job) -> _Process:
        log = self.graph.log_of(job)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        command = command_of(job, self.graph.request)
        with log.open("ab") as output:
            # Ctrl-C at a terminal reaches every process of a session: ours must hear of it once,
            # from here, because a second signal interrupts at once.
            process = start(command, output, threads_each(self.workers), own_session=True)
        return _Process(job, process, time.monotonic())

    def collect(self) -> None:
        """Take note of the processes that have ended."""
        for entry in list(self.running):
            code = entry.process.poll()
            if code is None:
                continue
            self.running.remove(entry)
            seconds = time.monotonic() - entry.started
            if code == 0:
                self.known.append((entry.job, seconds))
                self.ran.append(entry.job)
                self._over(entry.job, f"took {duration(seconds)}")
            else:
                self._failed(entry.job, code)

    def _failed(self, job: Job, code: int) -> None:
        log = self.graph.log_of(job)
        note_failure(log, code)
        failure = Failure(job, failure_in(log), log)
        self.failures.append(failure)
        self._over(job, f"FAILED: {failure.reason}", missing=True)

    def _over(self, job: Job, how: str, missing: bool = False) -> None:
        if not missing:
            self.missing.discard(job.id)
        number = self.total - len(self.waiting) - len(self.running)
        left = self.left()
        rest = f", about {duration(left)} left" if left else ""
        self.say(f"{number}/{self.total}  {job.title}  {how}{rest}")

    def left(self) -> float | None:
        """Seconds until the end, those already spent on what is running counted."""
        jobs = [*self.waiting, *(entry.job for entry in self.running)]
        total = seconds_left(jobs, self.known, self.workers)
        spent = sum(time.monotonic() - entry.started for entry in self.running)
        return total and max(total - spent / self.workers, 0.0)

    def end(self, how: signal.Signals) -> None:
        """Send every process a signal and wait until all have ended."""
        for entry in self.running:
            if entry.process.poll() is None:
                entry.process.send_signal(how)
        for entry in self.running:
            entry.process.wait()


def run_sweep(graph: Graph, workers: int, say: Say = lambda line: None) -> Outcome:
    """Run what is missing or stale of a graph, `workers` jobs at a time.

    A job that fails is noted and stops no other but those that need it. The first Ctrl-C or SIGTERM
    lets the processes save and stop, a second one kills them; both end in KeyboardInterrupt.
    ValueError for fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"jobs {workers} must be at least 1")
    found = survey(graph)
    jobs = to_run(graph, found)
    say(f"{len(jobs)} jobs to run, {workers} at a time; logs in {graph.logs}")
    missing = {job.id for job in jobs}
    sweep = _Sweep(graph, workers, say, durations(graph, found), jobs, len(jobs), missing=missing)
    try:
        with StopSignals() as stop:
            while (sweep.waiting or sweep.running) and not stop.requested:
                sweep.collect()
                sweep.start()
                time.sleep(POLL)
            if stop.requested:
                say(f"stopping: {len(sweep.running)} processes save what they have")
                sweep.end(signal.SIGTERM)
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {GOES_ON}") from None
    finally:
        sweep.end(signal.SIGKILL)
    return Outcome(tuple(sweep.ran), tuple(sweep.failures), tuple(sweep.unreached))


def durations(graph: Graph, found: Mapping[str, Standing]) -> list[tuple[Job, float]]:
    """The jobs that are done and say how long they took."""
    pairs = ((job, found[job.id].seconds) for job in graph.jobs)
    return [(job, seconds) for job, seconds in pairs if seconds is not None]


def failure_lines(outcome: Outcome) -> list[str]:
    """What went wrong, one line each; empty when all went well."""
    if not outcome.failures:
        return []
    lines = [f"{len(outcome.failures)} failed:"]
    lines += [f"  {f.job.title}: {f.reason} (see {f.log})" for f in outcome.failures]
    if outcome.unreached:
        names = ", ".join(job.title for job in outcome.unreached)
        lines.append(f"not run because of these: {names}")
    return lines


def status_lines(graph: Graph, workers: int = 1) -> list[str]:
    """How every job stands and what it still needs, seeds side by side, and how much is left."""
    found = survey(graph)
    by_id = {job.id: job for job in graph.jobs}
    names = list(dict.fromkeys(job.name for job in graph.jobs))
    width = max(map(len, names), default=0) + 2
    lines = []
    for name in names:
        jobs = [job for job in graph.jobs if job.name == name]
        groups: dict[tuple[str, str], list[int]] = {}
        for job in jobs:
            word = found[job.id].word
            needs = [by_id[need].name for need in job.needs if found[need].word != "done"]
            needed = f" (needs {', '.join(needs)})" if needs and word != "done" else ""
            groups.setdefault((word, needed), []).append(job.seed)
        states = "  ".join(f"{word} {ranges(s)}{needed}" for (word, needed), s in groups.items())
        lines.append(f"{name:<{width}}{states}")
        lines += [
            f"{'':<{width}}seed {job.seed}: {found[job.id].reason}"
            for job in jobs
            if found[job.id].word == "failed"
        ]
    words = [standing.word for standing in found.values()]
    counts = ", ".join(
        f"{words.count(word)} {word}" for word in ("done", "running", "waiting", "failed", "stale")
    )
    jobs = to_run(graph, found)
    left = seconds_left(jobs, durations(graph, found), max(workers, words.count("running")))
    if jobs:
        counts += f"; about {duration(left)} left" if left else "; time left not known yet"
    lines.append(counts)
    return lines


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as `0-3,5`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def chosen(words: Sequence[str], known: Mapping[str, Sequence[str]]) -> list[str]:
    """The experiments that words stand for: ids, or keys of `known` such as `table II`."""
    names: dict[str, None] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "table":
            word = f"table {waiting.pop(0).upper() if waiting else ''}".strip()
            if word not in known:
                tables = ", ".join(name for name in known if name.startswith("table "))
                raise ValueError(f"'{word}' is unknown; choose one of {tables}")
        names |= dict.fromkeys(known.get(word, [word]))
    return list(names)
