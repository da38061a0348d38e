"""What a study has to do as jobs that need each other, and how each of them stands, from files."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from csbsr.files import is_locked
from csbsr.study.experiments import Experiment, experiment, experiments, with_ancestors
from csbsr.study.freshness import fingerprint
from csbsr.study.job_process import failure_in
from csbsr.study.registered import registration
from csbsr.study.results import read_result
from csbsr.study.run import Context, Request, lock_of
from csbsr.study.steps import Part, Plan, TrainingStep, shared_steps, steps_of
from csbsr.training.checkpoint import path_of
from csbsr.training.trainer import LOCK

Order = Literal["breadth", "depth"]
"""breadth: every experiment with the first seed, then the next seed; depth: seeds innermost."""
Word = Literal["done", "running", "waiting", "failed", "stale"]
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Job:
    """One thing to run: a result, or the steps that several results share."""

    name: str
    """What it makes, for people: an experiment's id, or the last of the shared steps."""
    experiment: str
    seed: int
    part: Part | None
    """Which shared steps it trains; None: it makes the result of its experiment."""
    key: str
    """Fingerprint of the result, or key of the last shared step."""
    target: Path
    """The result file, or the checkpoint after the last iteration."""
    locks: tuple[Path, ...]
    """Held by the process that works on it."""
    images: int
    """Training images seen, those of the jobs that it needs left out: the measure of its length."""
    needs: tuple[str, ...] = ()
    """Ids of the jobs that come before it."""
    asked: bool = True
    """Whether it was asked for, or is there because others need it."""

    @property
    def id(self) -> str:
        """Name, seed and, for shared steps, the key: two widths of a network are two jobs."""
        key = f"-{self.key[:8]}" if self.part else ""
        return f"{self.name}{key}-seed{self.seed}"

    @property
    def title(self) -> str:
        """Name and seed, for people."""
        return f"{self.name} seed {self.seed}"


@dataclass(frozen=True)
class Graph:
    """Jobs in the order in which they should be started; what a job needs stands before it."""

    jobs: tuple[Job, ...]
    request: Request
    """How all of them are run, seed apart."""
    logs: Path

    def log_of(self, job: Job) -> Path:
        """Everything that the newest run of a job has said."""
        return self.logs / f"{job.id}.log"


@dataclass(frozen=True)
class Standing:
    """How a job stands."""

    word: Word
    seconds: float | None = None
    """How long it took, where it is done and says so."""
    reason: str = ""
    """Last line of a failed run."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds that `0-7` or `0,2,5-7` stands for, in this order; ValueError otherwise."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,10})(?:-(\d{1,10}))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last < 2**32:
            raise ValueError(f"seeds '{text}' cannot be read; write 3, 0-7 or 0,2,5-7")
        if last - first >= MOST_SEEDS:
            raise ValueError(f"seeds '{text}' are more than {MOST_SEEDS}; ask for fewer")
        seeds |= dict.fromkeys(range(first, last + 1))
    return tuple(seeds)


def primary_experiments() -> list[str]:
    """The arms of the registered contrasts, each once."""
    return list(dict.fromkeys(n for p in registration().primary for n in (p.first, *p.second)))


def all_experiments() -> list[str]:
    """Every experiment there is."""
    return [row.id for row in experiments()]


def build_graph(
    context: Context, names: Sequence[str], seeds: Sequence[int], order: Order = "breadth"
) -> Graph:
    """Jobs for these experiments and seeds, with what they start from and what they share.

    Within a block (all experiments of a seed, or one experiment) shared steps come first, those
    that most wait for before others: two workers never wait for the same step.
    """
    asked = set(names)
    rows = [experiment(name) for name in with_ancestors(list(names))]
    if order == "breadth":
        blocks = [(seed, rows) for seed in seeds]
    else:
        blocks = [(seed, [row]) for row in rows for seed in seeds]
    jobs: dict[str, Job] = {}
    for seed, block in blocks:
        plan = context.plan
        plan = replace(plan, seed=seed, folder=plan.folder.with_name(f"seed{seed}"))
        made = [_result_job(row, plan, context.folder, row.id in asked) for row in block]
        shared = [part for own, _ in made for part in own]
        count = {job.id: 0 for job in shared}
        for job in shared:
            count[job.id] += 1
        for job in (*sorted(shared, key=lambda job: -count[job.id]), *(job for _, job in made)):
            jobs.setdefault(job.id, job)
    runs = context.request.runs_folder / "sweep"
    logs = runs / context.profile.name / context.plan.data / context.protocol.name
    return Graph(tuple(jobs.values()), context.request, logs)


def _result_job(row: Experiment, plan: Plan, results: Path, asked: bool) -> tuple[list[Job], Job]:
    """The jobs of the steps that a result shares with others, and its own."""
    shared, left = [], _images(steps_of(row, plan.profile, plan.protocol))
    for part, steps in shared_steps(row, plan).items():
        if not steps:
            continue
        name, last = steps[-1].name, steps[-1]
        images = _images(keyed.step for keyed in steps)
        target = path_of(last.folder(plan), last.step.config.iterations)
        locks = tuple(keyed.folder(plan) / LOCK for keyed in steps)
        shared.append(
            Job(name, row.id, plan.seed, part, last.key, target, locks, images, asked=False)
        )
        left -= images
    target = results / f"{row.id}-seed{plan.seed}.json"
    needs = [job.id for job in shared]
    needs += [f"{row.starts_from}-seed{plan.seed}"] if row.starts_from else []
    own = Job(
        row.id,
        row.id,
        plan.seed,
        None,
        fingerprint(row, plan),
        target,
        (lock_of(target),),
        left,
        tuple(needs),
        asked,
    )
    return shared, own


def _images(steps: Iterable[TrainingStep]) -> int:
    return sum(step.config.iterations * step.config.batch for step in steps)


def standing(job: Job, log: Path) -> Standing:
    """How a job stands, from files alone; a result that cannot be read has yet to be made."""
    word: Word = "waiting"
    if job.part:
        if job.target.exists():
            return Standing("done")
    elif job.target.exists():
        try:
            result = read_result(job.target)
        except ValueError:
            result = None
        if result and result.fingerprint == job.key:
            return Standing("done", result.card.get("seconds"))
        word = "stale" if result else "waiting"
    if is_held(job):
        return Standing("running")
    reason = failure_in(log)
    return Standing("failed", reason=reason) if reason else Standing(word)


def is_held(job: Job) -> bool:
    """Whether a process, of this sweep or not, works on a job."""
    return any(map(is_locked, job.locks))


def survey(graph: Graph) -> dict[str, Standing]:
    """How every job of a graph stands, by its id."""
    return {job.id: standing(job, graph.log_of(job)) for job in graph.jobs}


def to_run(graph: Graph, found: dict[str, Standing]) -> list[Job]:
    """The jobs that have yet to be run, in order; nothing that only finished ones need."""
    wanted: set[str] = set()
    kept = []
    for job in reversed(graph.jobs):
        if found[job.id].word != "done" and (job.asked or job.id in wanted):
            wanted.update(job.needs)
            kept.append(job)
    return kept[::-1]


def seconds_left(
    jobs: Iterable[Job], known: Sequence[tuple[Job, float]], workers: int
) -> float | None:
    """Seconds that jobs will take on so many workers, from others that are done; None: no idea.

    A job takes what the same took with other seeds, or else as long for each image as all.
    """
    same: dict[str, list[float]] = {}
    for job, seconds in known:
        same.setdefault(job.name, []).append(seconds)
    images = sum(job.images for job, _ in known)
    rate = sum(seconds for _, seconds in known) / images if images else None
    total = 0.0
    for job in jobs:
        if job.name in same:
            total += sum(same[job.name]) / len(same[job.name])
        elif rate is None:
            return None
        else:
            total += rate * job.images
    return total / workers
