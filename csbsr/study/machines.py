"""Machines to run a study on: how fast they train, how much fits, what an hour of them costs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from statistics import harmonic_mean

from csbsr.toml import read

PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True)
class Throughput:
    """Training of ResNet-50 as somebody published it."""

    images_per_second: float
    source: str
    measured: bool = True
    """False for a value that was derived from another machine's."""


@dataclass(frozen=True)
class Machine:
    """A GPU, or a core of a CPU."""

    name: str
    title: str
    recognised_by: str
    """What stands in the device's own name."""
    check: str = "check_cuda.json"
    """The file of `make gpu-check` that may have been written on it."""
    memory_gib: float | None = None
    dollars_per_hour: float | None = None
    price_source: str = ""
    throughput: Mapping[str, Throughput] = field(default_factory=dict)
    """By precision."""


@dataclass(frozen=True)
class Catalogue:
    """What `machines.toml` holds."""

    resnet50_tflop: float
    """TFLOP of one image in training, by which images per second become TFLOP per second."""
    machine: tuple[Machine, ...]


@dataclass(frozen=True)
class Rates:
    """How fast a machine computes the networks, and how we know."""

    tflops: Mapping[str, float]
    """TFLOP per second by network; those that were not measured take their harmonic mean."""
    source: str
    measured: bool
    """Whether somebody measured it on such a machine; `here` says whether with this code."""
    here: bool = False
    image_seconds: float = 0.0
    """Seconds of one CPU core to measure one test image, networks apart."""
    hardware: str = ""
    """Device that was measured, where it was with this code."""

    def seconds(self, tflop: Mapping[str, float]) -> float:
        """Seconds that some work of these networks takes."""
        usual = harmonic_mean(list(self.tflops.values()))
        return sum(work / self.tflops.get(name, usual) for name, work in tflop.items())


@cache
def catalogue() -> Catalogue:
    """All machines; ValueError naming what is wrong with the file."""
    return read(Catalogue, files("csbsr.study") / "machines.toml")


def machine_named(name: str) -> Machine:
    """The machine of this name; ValueError listing those there are otherwise."""
    known = {machine.name: machine for machine in catalogue().machine}
    if name not in known:
        raise ValueError(f"machine '{name}' is unknown; choose one of {', '.join(known)}")
    return known[name]


def read_check(path: Path) -> dict | None:
    """A file of `make gpu-check`, None where there is none; ValueError for anything else."""
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for rows in content["steps"].values():
            for row in rows.values():
                good = float(row["tflop"]) > 0 and float(row["seconds"]) > 0
                if not good:
                    raise ValueError("a step without work or time")
        str(content["device"]), float(content["image_seconds"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no file of `make gpu-check` ({error!s:.80}); delete it and run it again"
        ) from None
    return content


def rates_of(machine: Machine, precision: str, checks: Path) -> Rates:
    """How fast a machine computes: as `make gpu-check` measured it, or else as was published.

    checks: folder of its files, `check_cpu.json` and `check_cuda.json`. ValueError where nobody
    measured this precision.
    """
    found = _checked(machine, checks)
    steps = found["steps"].get(precision) if found else None
    measuring = found or read_check(checks / "check_cpu.json")
    seconds = float(measuring["image_seconds"]) if measuring else 0.0
    if found and steps:
        tflops = {name: row["tflop"] / row["seconds"] for name, row in steps.items()}
        source = f"this code on {found['device']}, `make gpu-check`"
        return Rates(tflops, source, True, True, seconds, found["device"])
    published = machine.throughput.get(precision)
    if published is None:
        known = ", ".join(p for p in PRECISIONS if p in machine.throughput)
        raise ValueError(
            f"nobody has measured {precision} on {machine.name}; "
            + (f"give --precision {known}, or " if known else "")
            + "run `make gpu-check` there"
        )
    tflops = {"ResNet-50": published.images_per_second * catalogue().resnet50_tflop}
    return Rates(tflops, published.source, published.measured, image_seconds=seconds)


def _checked(machine: Machine, checks: Path) -> dict | None:
    """What `make gpu-check` wrote on such a machine, if it did."""
    found = read_check(checks / machine.check)
    return found if found and machine.recognised_by in found["device"] else None
