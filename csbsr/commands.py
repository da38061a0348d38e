"""What each subcommand of `csbsr` does."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from csbsr.data.masks import WHITE_ON_BLACK, MaskRule
from csbsr.distributed import process_group
from csbsr.files import write_json
from csbsr.inference.batch import SegmentOptions, segment_files
from csbsr.inference.photographs import find_photographs
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
from csbsr.study.profiles import NAMES, SUFFIX, load_profile
from csbsr.study.provenance import repository_root
from csbsr.study.results import ResultFile, read_result, require_writable
from csbsr.study.run import (
    Request,
    default_data,
    pick_device,
    prepare,
    run_experiments,
    run_shared,
)
from csbsr.study.slurm import Allocation, parse_time, submit
from csbsr.study.sources import data_name
from csbsr.study.steps import cost
from csbsr.study.sweep import chosen, failure_lines, run_sweep, status_lines
from csbsr.study.trained import find_model, measure


def results_folder(arguments: argparse.Namespace) -> Path:
    """The folder of result files that was named, or that of the checkout."""
    return arguments.results or repository_root() / "results"


def existing_results(arguments: argparse.Namespace) -> Path:
    """The folder of results to look at; a name that is mistyped holds none."""
    folder = results_folder(arguments)
    if arguments.results and not folder.is_dir():
        raise ValueError(f"folder of results {folder} does not exist; check the name")
    return folder


def request_of(arguments: argparse.Namespace) -> Request:
    """What the common options ask for."""
    return Request(
        profile=_profile_path(arguments.profile),
        data=arguments.data or default_data(),
        seed=getattr(arguments, "seed", 0),
        results=results_folder(arguments),
        protocol=arguments.protocol,
        mask_values=arguments.mask_values,
    )


def _profile_path(name: str) -> str:
    """A profile of one's own by its whole path: notebooks and other processes stand elsewhere."""
    return str(Path(name).resolve()) if name.endswith(SUFFIX) else name


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
    base = request_of(arguments)
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


def _names(words: list[str]) -> list[str]:
    """The experiments that words stand for: ids, tables, `primary` or `all`."""
    from csbsr_book.paper.printed import experiments_of, load_tables

    known = {f"table {number}": experiments_of(number) for number in load_tables()}
    known |= {"all": all_experiments(), "primary": primary_experiments()}
    return chosen(words, known)


def _graph(arguments: argparse.Namespace, here: bool) -> Graph:
    """The jobs of `csbsr sweep` and `csbsr status`; here: whether this machine is to run them."""
    names = _names(arguments.names)
    seeds = parse_seeds(arguments.seeds)
    request = replace(_training_request(arguments), seed=seeds[0])
    device = request.device if here else "cpu"  # a login node lacks the GPUs of the others
    context = prepare(replace(request, device=device), with_ancestors(names))
    for note in context.notes:
        _note(f"note: {note}")
    return replace(build_graph(context, names, seeds, arguments.order), request=request)


def _allocation(arguments: argparse.Namespace) -> Allocation:
    """What is asked of the cluster; ValueError for what the other launcher alone understands."""
    slurm = arguments.launcher == "slurm"
    asked = ("partition", "account", "time", "gpus", "nodes", "cpus", "memory")
    given = {name: v for name in asked if (v := getattr(arguments, name)) is not None}
    wrong = [n for n in ("jobs", "nice") if getattr(arguments, n) is not None] if slurm else given
    for name in wrong:
        launcher = "local" if slurm else "slurm"
        raise ValueError(f"--{name} is for --launcher {launcher}; leave it out")
    if "time" in given:
        given["minutes"] = parse_time(given.pop("time"))
    return Allocation(**given)


def sweep(arguments: argparse.Namespace) -> int:
    """`csbsr sweep`: run what is missing, here or on a cluster; 1 when a run failed here."""
    allocation = _allocation(arguments)
    if arguments.launcher == "slurm":
        submit(_graph(arguments, here=False), allocation, say=_note)
        return 0
    os.nice(arguments.nice or 0)
    outcome = run_sweep(_graph(arguments, here=True), _side_by_side(arguments), say=_note)
    for line in failure_lines(outcome):
        _note(line)
    return 1 if outcome.failures else 0


def _side_by_side(arguments: argparse.Namespace) -> int:
    return 1 if arguments.jobs is None else arguments.jobs


def status(arguments: argparse.Namespace) -> int:
    """`csbsr status`: how the same experiments and seeds stand, from files alone."""
    for line in status_lines(_graph(arguments, here=False), _side_by_side(arguments)):
        print(line)
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """`csbsr cost`: hours, memory and money of experiments before they are run."""
    from csbsr_book.chapters.cost import job_table, predicted
    from csbsr_book.paper.printed import load_tables
    from csbsr_book.site.table import text

    words: list[str] = []
    for word in arguments.names:  # `csbsr cost IV` is Table IV, as in `csbsr table IV`
        bare = word.upper() in load_tables() and words[-1:] != ["table"]
        words += ["table", word] if bare else [word]
    profile = load_profile(arguments.profile)
    found = predicted(
        _names(words),
        profile,
        arguments.gpu,
        arguments.precision or profile.precision,
        repository_root() / "benchmarks" / "results",
        len(parse_seeds(arguments.seeds)),
    )
    print(text(job_table(found)))
    return 0


def _note(line: str) -> None:
    print(line.replace("\n", " "), file=sys.stderr, flush=True)


def book(arguments: argparse.Namespace) -> int:
    """`csbsr book`: experiments, notebooks, gate, pages; unchanged work is kept."""
    from csbsr_book.site.build import build_book

    index = build_book(
        request_of(arguments), jobs=arguments.jobs, release=arguments.release, say=_note
    )
    print(index)
    return 0


def form(arguments: argparse.Namespace) -> int:
    """`csbsr form student`: notebooks with gaps or solutions, slides, or the PDF of the book."""
    from csbsr_book.site.forms import write_form

    for path in write_form(arguments.form, repository_root(), arguments.names, arguments.output):
        print(path)
    return 0


def table(arguments: argparse.Namespace) -> int:
    """`csbsr table II`: the paper's numbers beside ours, as text."""
    from csbsr_book.chapters.tables import paper_table
    from csbsr_book.paper.printed import experiments_of, load_tables
    from csbsr_book.site.table import text

    request, number = request_of(arguments), arguments.number.upper()
    if number not in load_tables():
        raise ValueError(f"table '{number}' holds no results; choose {', '.join(load_tables())}")
    run_experiments(experiments_of(number), request)
    profile = load_profile(request.profile)
    protocol = profile.protocol(request.protocol).name
    data = data_name(request.data)
    ours = find_fresh(request.results, profile.name, data, protocol)
    authors = find_fresh(request.results, "authors", data).fresh
    if not profile.is_result:
        print("SMOKE RUN: the numbers below prove that the code runs; they are not results")
    print(text(paper_table(number, ours, authors)))
    return 0


def figure(arguments: argparse.Namespace) -> int:
    """`csbsr figure 6`: run the chapter that holds a figure and keep its picture."""
    from csbsr_book.site.build import figure_file

    require_writable(arguments.output, "--output")
    print(figure_file(arguments.number, request_of(arguments), arguments.output, _note))
    return 0


def claims(arguments: argparse.Namespace) -> int:
    """`csbsr claims`: verdicts on every claim, from the paper and from results."""
    from csbsr_book.paper.ledger import claims_text, update_ledger
    from csbsr_book.paper.numbers import collect_results

    results = collect_results(existing_results(arguments))
    if arguments.update:
        changed = update_ledger(results)
        print(f"{len(changed)} verdicts changed: {', '.join(changed) or 'none'}")
        return 0
    print(claims_text(results))
    return 0


def import_weights(arguments: argparse.Namespace) -> int:
    """`csbsr weights import`: a published checkpoint becomes a model file."""
    from csbsr.study.authors import import_checkpoint

    print(import_checkpoint(arguments.file, arguments.name, arguments.output))
    return 0


def _model(arguments: argparse.Namespace) -> LoadedModel:
    runs = arguments.runs or repository_root() / "runs"
    profile = arguments.profile and load_profile(arguments.profile).name
    return load_model(find_model(arguments.weights, runs, profile, arguments.seed))


def evaluate_weights(arguments: argparse.Namespace) -> int:
    """`csbsr evaluate`: a model's numbers; published weights take an experiment's place."""
    from csbsr.study.authors import evaluate_in_place

    if arguments.output and arguments.output.exists():
        raise ValueError(f"output {arguments.output} is there already; give another name")
    if arguments.lr and arguments.data:
        raise ValueError("--lr names the images, and so does --data; give one of them")
    model = _model(arguments)
    in_place = model.released and not (arguments.output or arguments.lr)
    if arguments.experiment and not in_place:
        raise ValueError("--experiment gives published weights a place in the tables; leave it out")
    how = {
        "data": arguments.lr or arguments.data or default_data(),
        "protocol_name": arguments.protocol,
        "device": pick_device(arguments.device),
        "limit": arguments.limit,
        "rule": MaskRule.parse(arguments.mask_values) if arguments.mask_values else WHITE_ON_BLACK,
    }
    if in_place:
        place = arguments.experiment
        path = evaluate_in_place(
            model, experiment_name=place, results=results_folder(arguments), **how
        )
        result = read_result(path)
        _note(f"the authors' line of {result.experiment} for the data set '{result.card['data']}':")
        _say_metrics(result, _note)
        print(path)
        return 0
    content = measure(model, lr=bool(arguments.lr), **how)
    if arguments.output:
        write_json(arguments.output, content)
        print(arguments.output)
        return 0
    _say_metrics(ResultFile(Path(), content), print)
    return 0


def _say_metrics(result: ResultFile, say: Callable[[str], None]) -> None:
    for name, value in result.metrics.items():
        if isinstance(value, float):
            say(f"{name:<22}{value:.7g}")
    if result.without_cracks:
        _note("note: no mask has any crack, so IoU and HD say nothing about finding cracks")


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
        print(path)
    if report.failures:
        _note(f"{len(report.failures)} of {len(photographs)} photographs failed:")
        for path, reason in report.failures:
            _note(f"  {path}: {reason.removeprefix(str(path)).lstrip(': ')}")
    return 1 if report.failures else 0
