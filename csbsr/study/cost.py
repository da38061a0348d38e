"""What experiments will take: hours, memory and money from counted work and measured throughput.

The jobs are those of `csbsr sweep`: shared steps once, then each experiment's own steps and its
evaluation. A job runs on one GPU.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from csbsr.protocol import Protocol
from csbsr.study.experiments import Experiment, experiment, with_ancestors
from csbsr.study.machines import Machine, Rates
from csbsr.study.profiles import Profile
from csbsr.study.steps import TrainingStep, sr_steps, steps_of, warm_start
from csbsr.study.work import image_work, step_work

EVALUATION = "evaluation"
"""Beside the names of training steps: what the time of a job goes into."""


@dataclass(frozen=True)
class Job:
    """What runs in one go, and what it takes."""

    name: str
    seconds: Mapping[str, float]
    """By training step, and `evaluation`."""
    tflop: float
    gib: float
    """Largest memory of its steps, in fp32."""
    needs: tuple[str, ...] = ()
    """Names of the jobs before it."""

    @property
    def total(self) -> float:
        """Seconds of the whole job."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Estimate:
    """Jobs of one seed, the machine they run on, and how many seeds there are."""

    jobs: tuple[Job, ...]
    machine: Machine
    rates: Rates
    precision: str
    seeds: int = 1

    @property
    def hours(self) -> float:
        """Hours in which a GPU computes, over all jobs and seeds."""
        return self.seeds * sum(job.total for job in self.jobs) / 3600

    @property
    def dollars(self) -> float | None:
        """Price of these hours, GPUs being given back when they idle; None without a price."""
        price = self.machine.dollars_per_hour
        return None if price is None else self.hours * price

    @property
    def gib(self) -> float:
        """Memory of the largest step in fp32, an upper bound for the other precisions."""
        return max(job.gib for job in self.jobs)

    @property
    def fits(self) -> bool | None:
        """Whether the largest step fits in the machine's memory; None where that is not known."""
        return None if self.machine.memory_gib is None else self.gib <= self.machine.memory_gib

    @cached_property
    def shares(self) -> Mapping[str, float]:
        """Share of the time by training step, and of evaluation, the largest first."""
        sums: dict[str, float] = {}
        for job in self.jobs:
            for name, seconds in job.seconds.items():
                sums[name] = sums.get(name, 0.0) + seconds
        whole = sum(sums.values()) or 1.0
        return {n: s / whole for n, s in sorted(sums.items(), key=lambda item: -item[1])}

    def days_on(self, gpus: int) -> float:
        """Days from start to end on so many GPUs, no job waiting without need."""
        return makespan(self.jobs, self.seeds, gpus) / 86400

    @property
    def longest(self) -> tuple[str, ...]:
        """The jobs of the longest chain, which no number of GPUs makes shorter."""
        by_name = {job.name: job for job in self.jobs}
        tails = _tails(self.jobs)
        chain = [max(tails, key=tails.__getitem__)]
        after = _after(self.jobs)
        while following := after[chain[-1]]:
            chain.append(max(following, key=tails.__getitem__))
        return tuple(by_name[name].name for name in chain)


def estimate(
    names: Sequence[str],
    profile: Profile,
    protocol: Protocol,
    machine: Machine,
    rates: Rates,
    precision: str,
    seeds: int = 1,
) -> Estimate:
    """Predict what these experiments and all they start from take. ValueError for an unknown id."""
    rows = [experiment(name) for name in with_ancestors(list(names))]
    jobs: dict[str, Job] = {}
    for row in rows:
        shared = shared_jobs(row, profile, protocol, rates)
        own = own_job(row, profile, protocol, rates, tuple(job.name for job in shared))
        for job in (*shared, own):
            jobs.setdefault(job.name, job)
    return Estimate(tuple(jobs.values()), machine, rates, precision, seeds)


def shared_jobs(
    row: Experiment, profile: Profile, protocol: Protocol, rates: Rates
) -> tuple[Job, ...]:
    """The jobs of the steps that an experiment shares: S after step 2, the start of C."""
    if row.starts_from or row.sr == "dsrl" or not row.learns:
        return ()
    network = row.sr if row.kernel == "estimate" else f"{row.sr}-{row.kernel}"
    shared = {
        f"step2-{network}": sr_steps(row, profile, protocol),
        f"start-{row.segmentation}": warm_start(row, profile, protocol),
    }
    return tuple(
        _job(name, row, steps, profile, protocol, rates) for name, steps in shared.items() if steps
    )


def own_job(
    row: Experiment,
    profile: Profile,
    protocol: Protocol,
    rates: Rates,
    needs: tuple[str, ...] = (),
    images: int | None = None,
) -> Job:
    """The job that makes a result: the steps that nothing else needs, and the evaluation.

    images: how many are tested; by default as many as the profile's own.
    """
    steps = steps_of(row, profile, protocol)
    if row.sr != "dsrl":
        steps = steps[-1:]
    tests = profile.images.synthetic_test if images is None else images
    work = image_work(row, profile, protocol)
    seconds = tests * (rates.seconds(work.tflop) + rates.image_seconds)
    before = (*needs, row.starts_from) if row.starts_from else needs
    job = _job(row.id, row, steps, profile, protocol, rates, before)
    return Job(
        job.name,
        {**job.seconds, EVALUATION: seconds},
        job.tflop + tests * sum(work.tflop.values()),
        max(job.gib, work.gib),
        before,
    )


def _job(
    name: str,
    row: Experiment,
    steps: Iterable[TrainingStep],
    profile: Profile,
    protocol: Protocol,
    rates: Rates,
    needs: tuple[str, ...] = (),
) -> Job:
    works = {step.name: step_work(row, step, profile, protocol) for step in steps}
    return Job(
        name,
        {step: rates.seconds(work.tflop) for step, work in works.items()},
        sum(sum(work.tflop.values()) for work in works.values()),
        max((work.gib for work in works.values()), default=0.0),
        needs,
    )


# -- side by side --------------------------------------------------------------------------------


def makespan(jobs: Sequence[Job], seeds: int, gpus: int) -> float:
    """Seconds until all jobs of all seeds are done, those with the longest tail started first."""
    tails, after = _tails(jobs), _after(jobs)
    by_name = {job.name: job for job in jobs}
    open_ = {(seed, job.name): len(job.needs) for seed in range(seeds) for job in jobs}
    ready = [(-tails[name], seed, name) for (seed, name), n in open_.items() if not n]
    heapq.heapify(ready)
    running: list[tuple[float, int, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < gpus:
            _, seed, name = heapq.heappop(ready)
            heapq.heappush(running, (now + by_name[name].total, seed, name))
        now, seed, done = heapq.heappop(running)
        for name in after[done]:
            open_[seed, name] -= 1
            if not open_[seed, name]:
                heapq.heappush(ready, (-tails[name], seed, name))
    return now


def _after(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """The jobs that need each job."""
    after: dict[str, list[str]] = {job.name: [] for job in jobs}
    for job in jobs:
        for name in job.needs:
            after[name].append(job.name)
    return after


def _tails(jobs: Sequence[Job]) -> dict[str, float]:
    """Seconds from the start of each job to the end of all that depend on it."""
    after, tails = _after(jobs), {}
    for job in reversed(jobs):  # what needs a job stands behind it
        tails[job.name] = job.total + max((tails[name] for name in after[job.name]), default=0.0)
    return tails
