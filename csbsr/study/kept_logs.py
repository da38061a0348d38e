"""The training log of a run, kept as a table beside its result: runs do not travel, results do."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csbsr.files import replacing
from csbsr.study.experiments import Experiment
from csbsr.training.log import read_log

Log = Mapping[str, NDArray[np.float64]]
STEPS = ("step1", "step2", "step3")
SUFFIX = ".log.csv"
COLUMNS = (
    "L_S", "L_S_hr", "L_S_lr", "L_C", "alpha", "beta", "lr_sr", "lr_segmentation",
)  # fmt: skip
"""What of a log is kept, beside the iteration."""


def kept_path(result: Path) -> Path:
    """Where the log of a result lies."""
    return result.with_suffix(SUFFIX)


def logs_below(row: Experiment, folder: Path) -> dict[str, Log]:
    """Newest log of each step of an experiment in the folder of one seed's runs."""
    found = {}
    for step, name in zip(STEPS, (f"step1-{row.sr}", f"step2-{row.sr}", row.id)):
        logs = sorted(folder.glob(f"{name}-*/log.jsonl"), key=lambda p: p.stat().st_mtime)
        if logs:
            found[step] = read_log(logs[-1])
    return found


def keep_log(row: Experiment, folder: Path, result: Path) -> Path:
    """Write the logs of an experiment's three steps beside its result; returns the file.

    ValueError where a step has no log in `folder`, or the result is not there.
    """
    if not result.is_file():
        raise ValueError(f"{result}: there is no result; run {row.id} first")
    logs = logs_below(row, folder)
    if missing := [step for step in STEPS if step not in logs]:
        raise ValueError(
            f"{folder}: no log of {row.id} for {', '.join(missing)}; run it here first"
        )
    with (
        replacing(kept_path(result)) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("step", "iteration", *COLUMNS))
        for step, log in logs.items():
            table.writerows(_rows(step, log))
    return kept_path(result)


def _rows(step: str, log: Log) -> Iterator[list[str]]:
    for place, iteration in enumerate(log["iteration"]):
        values = (log[name][place] if name in log else np.nan for name in COLUMNS)
        yield [step, f"{iteration:.0f}", *("" if np.isnan(v) else f"{v:.6g}" for v in values)]


def read_kept(path: Path) -> dict[str, Log]:
    """Logs by step of a file that `keep_log` wrote; ValueError for anything else."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        found = {}
        for step in dict.fromkeys(row["step"] for row in rows):
            own = [row for row in rows if row["step"] == step]
            found[step] = {
                name: np.array([float(row[name] or "nan") for row in own])
                for name in ("iteration", *COLUMNS)
            }
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a kept log ({error}); delete it and keep it again") from None
