"""What the study takes before it is run, and how far such predictions were from runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from csbsr.protocol import REPRODUCTION
from csbsr.study.cost import EVALUATION, Estimate, estimate, own_job
from csbsr.study.experiments import experiment
from csbsr.study.freshness import settings_of
from csbsr.study.graph import all_experiments
from csbsr.study.machines import PRECISIONS, Rates, catalogue, machine_named, rates_of
from csbsr.study.profiles import Profile, load_profile
from csbsr.study.results import ResultFile
from csbsr_book.chapters.reference import duration
from csbsr_book.paper.printed import experiments_of, load_tables
from csbsr_book.site.table import Column, Content, Number, Table, Words

GPUS = (1, 8, 64)
WHERE = {
    "step1": "step 1",
    "kernel": "kernel alone",
    "step2": "step 2",
    "warm_start": "warm start",
    "step3": "step 3",
    "blur_skip": "blur skip",
    "continued": "training on",
    EVALUATION: "evaluation",
}
"""Training steps in the words of the page."""


def _time(seconds: float) -> Number:
    return Number(seconds, shown=duration(seconds))


def _dollars(value: float | None) -> Number:
    return Number(
        value, shown="" if value is None else f"${value:,.2f}" if value < 10 else f"${value:,.0f}"
    )


def job_table(found: Estimate) -> Table:
    """What each job of an estimate takes on its machine, and all of them together."""
    rates, machine = found.rates, found.machine
    rows: list[list[Content]] = [
        [
            Words(job.name, "code"),
            _time(job.total),
            Number(job.tflop, digits=1),
            job.gib,
            _largest(job.seconds),
        ]
        for job in found.jobs
    ]
    known = "measured" if rates.measured else "derived, not measured"
    notes = [
        f"Throughput ({known}): {rates.source}.",
        f"All jobs: {duration(found.hours * 3600)} of one {machine.title}"
        + (
            f", {_dollars(found.dollars).shown} at ${machine.dollars_per_hour:g} an hour"
            if found.dollars is not None
            else ""
        )
        + (f", {found.seeds} seeds" if found.seeds > 1 else "")
        + ".",
        "Start to end: "
        + ", ".join(f"{duration(found.days_on(n) * 86400)} on {n}" for n in GPUS)
        + f". The longest chain: {' → '.join(found.longest)}.",
        "Where the time goes: "
        + ", ".join(f"{WHERE[n]} {share:.0%}" for n, share in found.shares.items())
        + ".",
        _memory(found),
    ]
    return Table(
        f"Each job once on {machine.title}, {found.precision}",
        [
            "Job",
            "Time",
            Column("Work", unit="TFLOP"),
            Column("Memory", unit="GiB", digits=2),
            "Most of it",
        ],
        rows,
        notes,
    )


def _largest(seconds: Mapping[str, float]) -> str:
    return WHERE[max(seconds, key=seconds.__getitem__)]


def _memory(found: Estimate) -> str:
    need = f"The largest step keeps {found.gib:.1f} GiB in fp32"
    if found.machine.memory_gib is None:
        return f"{need}."
    verdict = "fits in" if found.fits else "does not fit in"
    return f"{need} and {verdict} the {found.machine.memory_gib:g} GiB of this machine."


def predicted(
    names: Sequence[str],
    profile: Profile,
    machine: str,
    precision: str,
    checks: Path,
    seeds: int = 1,
) -> Estimate:
    """The estimate of some experiments on a machine; ValueError for what nobody has measured."""
    chosen = machine_named(machine)
    rates = rates_of(chosen, precision, checks)
    protocol = profile.protocol(REPRODUCTION.name)
    return estimate(names, profile, protocol, chosen, rates, precision, seeds)


def reproduction_table(checks: Path, profile: str = "paper", machine: str = "a100-80gb") -> Table:
    """Every table and the whole study on one kind of GPU, in each precision that was measured."""
    chosen = machine_named(machine)
    measured = [p for p in PRECISIONS if _has(machine, p, checks)]
    sets = {f"Table {n}": experiments_of(n) for n in load_tables()} | {"all": all_experiments()}
    rows: list[list[Content]] = []
    for title, names in sets.items():
        for precision in measured:
            found = predicted(names, load_profile(profile), machine, precision, checks)
            days = [_time(found.days_on(n) * 86400) for n in GPUS]
            rows.append(
                [title, precision, _time(found.hours * 3600), _dollars(found.dollars), *days]
            )
    largest = predicted(sets["all"], load_profile(profile), machine, measured[-1], checks)
    notes = [
        f"{p}: {rates_of(chosen, p, checks).source}."
        + ("" if rates_of(chosen, p, checks).measured else " Derived, not measured.")
        for p in measured
    ]
    return Table(
        f"What the tables take at profile {profile} with one seed on {chosen.title}: GPU time, its "
        f"price (${chosen.dollars_per_hour:g} an hour: {chosen.price_source}), and the time from "
        "start to end on so many GPUs, one job on each.",
        ["", "Precision", "GPU time", "Price", *(f"{n} GPU{'s' * (n > 1)}" for n in GPUS)],
        rows,
        [*notes, _memory(largest)],
    )


def _has(machine: str, precision: str, checks: Path) -> bool:
    try:
        rates_of(machine_named(machine), precision, checks)
    except ValueError:
        return False
    return True


def where_table(checks: Path, machine: str = "a100-80gb", precision: str = "tf32") -> Table:
    """Where the time of every table goes, at the paper's sizes."""
    sets = {f"Table {n}": experiments_of(n) for n in load_tables()} | {"all": all_experiments()}
    found = {
        title: predicted(names, load_profile("paper"), machine, precision, checks)
        for title, names in sets.items()
    }
    steps = [n for n in WHERE if any(n in e.shares for e in found.values())]
    rows: list[list[Content]] = [
        [title, *(Number(100 * e.shares[n] if n in e.shares else None, digits=1) for n in steps)]
        for title, e in found.items()
    ]
    return Table(
        f"Where the time goes at profile paper on {machine_named(machine).title}, {precision}, in "
        "percent.",
        ["", *(WHERE[n] for n in steps)],
        rows,
    )


def machine_table(checks: Path, profile: str = "paper") -> Table:
    """All experiments with one seed on every machine and precision that was measured."""
    rows: list[list[Content]] = []
    for machine in catalogue().machine:
        for precision in PRECISIONS:
            if machine.memory_gib is None or not _has(machine.name, precision, checks):
                continue
            found = predicted(
                all_experiments(), load_profile(profile), machine.name, precision, checks
            )
            source = found.rates.source + ("" if found.rates.measured else " (not measured)")
            days = [_time(found.days_on(n) * 86400) for n in GPUS]
            rows.append(
                [machine.title, precision, _dollars(found.dollars), *days, bool(found.fits), source]
            )
    return Table(
        f"The full reproduction: all experiments at profile {profile} with one seed.",
        [
            "Machine",
            "Precision",
            "Price",
            *(f"{n} GPU{'s' * (n > 1)}" for n in GPUS),
            "Fits in fp32",
            Column("Throughput", prose=True),
        ],
        rows,
    )


# -- how good the prediction is ------------------------------------------------------------------


def error_table(results: Mapping[str, Sequence[ResultFile]], checks: Path) -> Table:
    """Predicted and measured time of every run that was made where throughput was measured.

    A run's own job is compared: its last step and its evaluation, as `csbsr sweep` runs it. On a
    CPU the processor's time counts, because other processes make the wall time longer.
    """
    rows: list[list[Content]] = []
    ratios = []
    for runs in results.values():
        for result in runs:
            if (rates := _rates_there(result, checks)) is None:
                continue
            made = settings_of(result)
            images = len(result.content["images"]["names"])
            row = experiment(result.experiment)
            job = own_job(row, made.profile, made.protocol, rates, images=images)
            on_cpu = result.card["device"] == "cpu"
            spent = float(result.card["cpu_seconds" if on_cpu else "seconds"])
            ratios.append(job.total / spent)
            rows.append(
                [
                    Words(f"{result.experiment} seed {result.seed}", "code"),
                    _time(job.total),
                    _time(spent),
                    Number(100 * (ratios[-1] - 1), digits=0, signed=True),
                ]
            )
    notes = []
    if ratios:
        off = [100 * abs(ratio - 1) for ratio in ratios]
        notes = [
            f"The prediction is off by {median(off):.0f} % in the median of {len(off)} runs, by "
            f"{max(off):.0f} % at most."
        ]
    return Table(
        "Predicted and measured time of the runs in the results: last step and evaluation. A run "
        "that trained its shared steps itself took longer than its prediction.",
        ["Run", "Predicted", "Measured", Column("Error", unit="%")],
        rows,
        notes,
        empty="No run in the results was made on a device whose throughput was measured.",
    )


def _rates_there(result: ResultFile, checks: Path) -> Rates | None:
    """Throughput as it was measured on the very device of a result; None where it was not."""
    card = result.card
    if not {"device", "hardware", "precision", "cpu_seconds", "seconds"} <= card.keys():
        return None
    for machine in catalogue().machine:
        try:
            rates = rates_of(machine, card["precision"], checks)
        except ValueError:
            continue
        if rates.here and rates.hardware == card["hardware"]:
            return rates
    return None
