"""What `csbsr results` does: check result files, pack them, merge those of another machine."""

import argparse
import sys

from csbsr.commands import existing_results, request_of, results_folder
from csbsr.study.audit import committed_files, refused, result_files
from csbsr.study.exchange import merge, pack
from csbsr.study.experiments import experiment
from csbsr.study.kept_logs import keep_log
from csbsr.study.profiles import load_profile
from csbsr.study.results import result_path
from csbsr.study.sources import data_name


def results(arguments: argparse.Namespace) -> int:
    """`csbsr results`: check, pack or merge result files, or keep the log of a run beside one."""
    actions = {
        "check": _check_results,
        "pack": _pack_results,
        "merge": _merge_results,
        "keep-log": _keep_log,
    }
    return actions[arguments.action](arguments)


def _check_results(arguments: argparse.Namespace) -> int:
    """A line per file that may not be relied on, and exit code 1."""
    folder = existing_results(arguments)
    paths = (committed_files if arguments.committed else result_files)(folder)
    lines = refused(paths, folder)
    for line in lines:
        print(line)
    _note(f"{len(paths)} results checked in {folder}, {len(lines)} refused")
    return 1 if lines else 0


def _pack_results(arguments: argparse.Namespace) -> int:
    packed, lines = pack(results_folder(arguments), arguments.archive)
    for line in lines:
        _note(f"left out: {line}")
    _note(f"{len(packed)} results packed, {len(lines)} left out")
    print(arguments.archive)
    return 0


def _merge_results(arguments: argparse.Namespace) -> int:
    report = merge(arguments.archive, results_folder(arguments))
    for place in report.taken:
        print(f"took      {place}")
    for word, places in (("kept ours", report.kept), ("left out", report.left)):
        for place, why in places:
            print(f"{word:<10}{place}: {why}")
    _note(f"{len(report.taken)} taken, {len(report.kept)} kept, {len(report.left)} left out")
    return 0


def _keep_log(arguments: argparse.Namespace) -> int:
    request, row = request_of(arguments), experiment(arguments.experiment)
    profile, data = load_profile(request.profile), data_name(request.data)
    protocol = profile.protocol(request.protocol).name
    runs = arguments.runs or request.results.parent / "runs"
    folder = runs / profile.name / data / f"seed{request.seed}"
    result = result_path(request.results, profile.name, data, protocol, row.id, request.seed)
    print(keep_log(row, folder, result))
    return 0


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
