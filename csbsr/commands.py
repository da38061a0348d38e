"""What each subcommand of `csbsr` does."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from csbsr.distributed import process_group
from csbsr.files import write_json
from csbsr.inference.batch import SegmentOptions, segment_files
from csbsr.inference.photographs import find_photographs
from csbsr.inference.shipped import load_shipped
from csbsr.model_file import LoadedModel, load_model
from csbsr.study.experiments import experiments, with_ancestors
from csbsr.study.freshness import find_fresh
from csbsr.study.graph import (
    Graph,
    all_experiments,
    build_graph,
    parse_seeds,
    primary_experiments,
)
from csbsr.study.profiles import NAMES, load_profile
from csbsr.study.provenance import repository_root
from csbsr.study.run import (
    Request,
    default_data,
    pick_device,
    prepare,
    run_experiments,
    run_shared,
)
from csbsr.study.sources import data_name
from csbsr.study.steps import cost
from csbsr.study.sweep import chosen, failure_lines, run_sweep, status_lines
from csbsr.study.trained import find_model, measure


def _results(arguments: argparse.Namespace) -> Path:
    return arguments.results or repository_root() / "results"


def _request(arguments: argparse.Namespace) -> Request:
    return Request(
        profile=arguments.profile,
        data=arguments.data or default_data(),
        seed=getattr(arguments, "seed", 0),
        results=_results(arguments),
        protocol=arguments.protocol,
        mask_values=arguments.mask_values,
    )


def _overview() -> int:
    print("Profiles:")
    for name in NAMES:
        profile = load_profile(name)
        print(f"  {name:<8}{profile.note}\n          {profile.cost}")
    quick = load_profile("quick")
    protocol = quick.protocol("reproduction")
    print("\nExperiments (cost at quick):")
    for row in experiments():
        print(f"  {row.id:<40}{row.title:<44}{cost(quick, row, protocol)}")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """`csbsr run`: train and evaluate; without experiments, list them."""
    if not arguments.experiment:
        return _overview()
    with process_group(str(pick_device(arguments.device))) as (_, device):
        request = replace(_training_request(arguments), device=str(device))
        if arguments.only:
            run_shared(arguments.experiment, request, arguments.only)
            return 0
        for path in run_experiments(arguments.experiment, request, say=_note):
            print(path)
    return 0


def _training_request(arguments: argparse.Namespace) -> Request:
    base = _request(arguments)
    return replace(
        base,
        device=arguments.device,
        natural=arguments.natural or base.natural,
        runs=arguments.runs,
        workers=arguments.workers,
        precision=arguments.precision,
        compile=arguments.compile,
        tensorboard=arguments.tensorboard,
        pretrained=False if arguments.no_pretrained else None,
    )


def _graph(arguments: argparse.Namespace) -> Graph:
    """The jobs of `csbsr sweep` and `csbsr status`."""
    from csbsr_book.paper.printed import experiments_of, load_tables

    known = {f"table {number}": experiments_of(number) for number in load_tables()}
    known |= {"all": all_experiments(), "primary": primary_experiments()}
    names = chosen(arguments.names, known)
    seeds = parse_seeds(arguments.seeds)
    context = prepare(replace(_training_request(arguments), seed=seeds[0]), with_ancestors(names))
    for note in context.notes:
        _note(f"note: {note}")
    return build_graph(context, names, seeds, arguments.order)


def sweep(arguments: argparse.Namespace) -> int:
    """`csbsr sweep`: run what is missing; 1 when a run failed."""
    os.nice(arguments.nice)
    outcome = run_sweep(_graph(arguments), arguments.jobs, say=_note)
    for line in failure_lines(outcome):
        _note(line)
    return 1 if outcome.failures else 0


def status(arguments: argparse.Namespace) -> int:
    """`csbsr status`: how the same experiments and seeds stand, from files alone."""
    for line in status_lines(_graph(arguments), arguments.jobs):
        print(line)
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
    from csbsr_book.paper.checks import collect_results
    from csbsr_book.paper.claims import claims_text, update_ledger

    results = collect_results(_results(arguments))
    if arguments.update:
        changed = update_ledger(results)
        print(f"{len(changed)} verdicts changed: {', '.join(changed) or 'none'}")
        return 0
    print(claims_text(results))
    return 0


def results(arguments: argparse.Namespace) -> int:
    """`csbsr results check`: a line per file that may not be relied on, and exit code 1."""
    from csbsr.study.audit import committed_files, refused, result_files

    folder = _results(arguments)
    paths = (committed_files if arguments.committed else result_files)(folder)
    lines = refused(paths, folder)
    for line in lines:
        print(line)
    _note(f"{len(paths)} results checked in {folder}, {len(lines)} refused")
    return 1 if lines else 0


def import_weights(arguments: argparse.Namespace) -> int:
    """`csbsr weights import`: a published checkpoint becomes a model file."""
    from csbsr.study.authors import import_checkpoint

    print(import_checkpoint(arguments.file, arguments.name, arguments.output))
    return 0


def _model(arguments: argparse.Namespace) -> LoadedModel:
    if arguments.weights is None:
        if arguments.profile is not None or arguments.seed is not None:
            raise ValueError("--profile and --seed choose among your runs; name an experiment, too")
        return load_shipped()
    runs = arguments.runs or repository_root() / "runs"
    return load_model(find_model(arguments.weights, runs, arguments.profile, arguments.seed))


def evaluate_weights(arguments: argparse.Namespace) -> int:
    """`csbsr evaluate`: a model's numbers; published weights take an experiment's place."""
    from csbsr.study.authors import evaluate_in_place

    if arguments.output and arguments.output.exists():
        raise ValueError(f"output {arguments.output} is there already; give another name")
    model = _model(arguments)
    how = {
        "data": arguments.data or default_data(),
        "protocol_name": arguments.protocol,
        "device": pick_device(arguments.device),
        "limit": arguments.limit,
    }
    in_place = model.released and not arguments.output
    if arguments.experiment and not in_place:
        raise ValueError("--experiment gives published weights a place in the tables; leave it out")
    if in_place:
        place = arguments.experiment
        print(evaluate_in_place(model, experiment_name=place, results=_results(arguments), **how))
        return 0
    content = measure(model, **how)
    if arguments.output:
        write_json(arguments.output, content)
        print(arguments.output)
        return 0
    for name, value in content["metrics"].items():
        if isinstance(value, float):
            print(f"{name:<22}{value:.7g}")
    return 0


def segment(arguments: argparse.Namespace) -> int:
    """`csbsr segment`: crack masks of photographs; 1 when some of several could not be done."""
    options = SegmentOptions(
        output=arguments.output,
        threshold=arguments.threshold,
        pictures=tuple(arguments.save),
        prob=arguments.prob,
        overwrite=arguments.overwrite,
        resume=arguments.resume,
        hr=arguments.hr,
        tile=arguments.tile,
        pixel_size=arguments.pixel_size,
    )
    photographs = find_photographs(arguments.images, arguments.recursive, arguments.output)
    model = _model(arguments)
    try:
        report = segment_files(
            photographs, model, options, pick_device(arguments.device), say=_note
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on") from None
    for path in report.masks:
        print(str(path).encode(errors="backslashreplace").decode())
    if report.failures:
        _note(f"{len(report.failures)} of {len(photographs)} photographs failed:")
        for path, reason in report.failures:
            _note(f"  {path}: {reason.removeprefix(str(path)).lstrip(': ')}")
    return 1 if report.failures else 0
