"""What each subcommand of `csbsr` does."""

import argparse
import sys
from pathlib import Path

from csbsr.study.experiments import experiments
from csbsr.study.profiles import NAMES, load_profile
from csbsr.study.provenance import repository_root
from csbsr.study.run import Request, default_data, pick_device, run_experiments
from csbsr.study.sources import data_name
from csbsr.study.steps import cost
from csbsr.training.distributed import process_group


def _results(arguments: argparse.Namespace) -> Path:
    return arguments.results or repository_root() / "results"


def _request(arguments: argparse.Namespace) -> Request:
    return Request(
        profile=arguments.profile,
        data=arguments.data or default_data(),
        seed=arguments.seed,
        results=_results(arguments),
        protocol=arguments.protocol,
    )


def _overview() -> int:
    print("Profiles:")
    for name in NAMES:
        profile = load_profile(name)
        print(f"  {name:<8}{profile.note}\n          {profile.cost}")
    quick = load_profile("quick")
    print("\nExperiments (cost at quick):")
    for row in experiments():
        print(f"  {row.id:<40}{row.title:<44}{cost(quick, row, quick.protocol("reproduction"))}")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """`csbsr run`: train and evaluate; without experiments, list them."""
    if not arguments.experiment:
        return _overview()
    base = _request(arguments)
    with process_group(str(pick_device(arguments.device))):
        request = Request(
            **vars(base)
            | {
                "device": arguments.device,
                "natural": arguments.natural or base.natural,
                "runs": arguments.runs,
                "workers": arguments.workers,
                "precision": arguments.precision,
                "compile": arguments.compile,
                "tensorboard": arguments.tensorboard,
                "pretrained": False if arguments.no_pretrained else None,
            }
        )
        for path in run_experiments(arguments.experiment, request, say=_note):
            print(path)
    return 0


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def book(arguments: argparse.Namespace) -> int:
    """`csbsr book`: experiments, notebooks, gate, pages; unchanged work is kept."""
    from csbsr_book.site.build import build_book

    index = build_book(
        _request(arguments), jobs=arguments.jobs, release=arguments.release, say=_note
    )
    print(index)
    return 0


def table(arguments: argparse.Namespace) -> int:
    """`csbsr table II`: the paper's numbers beside ours, as text."""
    from csbsr_book.chapters.tables import paper_table
    from csbsr_book.paper.printed import experiments_of
    from csbsr_book.site.fresh import find_fresh
    from csbsr_book.site.table import text

    request, number = _request(arguments), arguments.number.upper()
    run_experiments(experiments_of(number), request)
    protocol = load_profile(request.profile).protocol(request.protocol).name
    data = data_name(request.data)
    ours = find_fresh(request.results, request.profile, data, protocol)
    authors = find_fresh(request.results, "authors", data).fresh
    if request.profile == "smoke":
        print("SMOKE RUN: the numbers below prove that the code runs; they are not results")
    print(text(paper_table(number, ours, authors)))
    return 0


def figure(arguments: argparse.Namespace) -> int:
    """`csbsr figure 6`: run the chapter that holds a figure and keep its picture."""
    from csbsr_book.site.build import figure_file

    print(figure_file(arguments.number, _request(arguments), arguments.output, _note))
    return 0


def claims(arguments: argparse.Namespace) -> int:
    """`csbsr claims`: verdicts on every claim, from the paper and from results."""
    from csbsr_book.paper.claims import claims_text

    if arguments.update:
        from csbsr_book.paper.checks import collect_results
        from csbsr_book.paper.claims import update_ledger

        changed = update_ledger(collect_results(_results(arguments)))
        print(f"{len(changed)} verdicts changed: {', '.join(changed) or 'none'}")
        return 0
    print(claims_text(_results(arguments)))
    return 0


def import_weights(arguments: argparse.Namespace) -> int:
    """`csbsr weights import`: a published checkpoint becomes one of ours."""
    from csbsr.study.authors import import_checkpoint

    print(import_checkpoint(arguments.file, arguments.name, arguments.output))
    return 0


def evaluate_weights(arguments: argparse.Namespace) -> int:
    """`csbsr evaluate`: imported weights in an experiment's place."""
    from csbsr.study.authors import evaluate_checkpoint

    path = evaluate_checkpoint(
        arguments.weights,
        experiment_name=arguments.experiment,
        data=arguments.data or default_data(),
        results=_results(arguments),
        protocol_name=arguments.protocol,
        device_name=arguments.device,
        limit=arguments.limit,
    )
    print(path)
    return 0


def segment(arguments: argparse.Namespace) -> int:
    """`csbsr segment`: crack masks of photographs."""
    from csbsr.study.authors import segment_files

    for path in segment_files(
        arguments.images,
        arguments.weights,
        arguments.output,
        arguments.threshold,
        arguments.device,
    ):
        print(path)
    return 0
