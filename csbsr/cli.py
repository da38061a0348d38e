"""The `csbsr` command: a thin layer over the package; bad input ends with one line and code 2."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

BAD_INPUT, FAILED, STOPPED = 2, 1, 130
NO_FAULT_OF_THE_INPUT = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.ENOMEM)
"""What the machine answers when it is full or broken, whatever it was asked for."""
PROTOCOLS = "reproduction, released or printed"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{_line(f'{self.prog}: {message}; see {self.prog} --help')}\n")


def _common(parser: argparse.ArgumentParser, seeds: bool = False) -> None:
    parser.add_argument("--profile", default="smoke", help="smoke, quick, paper, or FILE.toml")
    if seeds:
        parser.add_argument("--seeds", default="0", help="such as 3, 0-7 or 0,2,5-7")
    else:
        parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="folder in the Khanhha layout, or 'synthetic' ($CSBSR_DATA)")
    parser.add_argument("--mask-values", help="what is crack in masks: crack=255, any>0, inverted")
    parser.add_argument("--results", type=Path, help="folder of result files (default: results)")
    parser.add_argument("--protocol", default="reproduction", help=PROTOCOLS)


PICTURES = ("mask", "overlay", "sr", "prob", "kernel")
MODEL = "a .safetensors file, a finished run's folder, an experiment's id, or 'shipped'"


def _which(parser: argparse.ArgumentParser) -> None:
    """Which model, where the id of an experiment leaves it open."""
    parser.add_argument("--profile", help="its name, or FILE.toml, of an experiment")
    parser.add_argument("--seed", type=int, help="seed with which the experiment was run")
    parser.add_argument("--runs", type=Path, help="folder of runs (default: runs)")


def _data_parser(commands: argparse._SubParsersAction) -> None:
    """`csbsr data` and its actions."""
    data = commands.add_parser(
        "data", help="fetch, check, convert, split, audit or degrade a data set"
    )
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="get a published data set: khanhha, div2k, flickr2k")
    fetch.add_argument("name", help="khanhha, div2k or flickr2k")
    fetch.add_argument("output", type=Path, help="folder to make")
    fetch.add_argument("--archive", type=Path, help="the file, where it was got by hand")
    check = actions.add_parser("check", help="read everything, say what is there and doubtful")
    check.add_argument("folder", type=Path)
    check.add_argument("--sheet", type=Path, help="write a contact sheet (PNG) of the test split")
    convert_ = actions.add_parser("convert", help="any known layout into train/ and test/")
    split_ = actions.add_parser("split", help="draw a test split anew, photograph by photograph")
    split_.add_argument("--test-share", type=float, default=0.15)
    audit = actions.add_parser(
        "audit", help="find copies and look-alikes, within and across splits"
    )
    audit.add_argument("folder", type=Path)
    degrade = actions.add_parser("degrade", help="write the degraded test set with its kernels")
    degrade.add_argument("--seed", type=int, default=5, help="of the kernels")
    degrade.add_argument("--protocol", default="reproduction")
    for action in (convert_, split_, degrade):
        action.add_argument("folder", type=Path)
        action.add_argument("output", type=Path)
    for action in (check, convert_, split_, audit, degrade):
        action.add_argument("--mask-values", help="what is crack: crack=1, 'any>0', inverted")


def _how(parser: argparse.ArgumentParser) -> None:
    """How experiments are trained."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--natural", help="natural images of step 1 (DIV2K ...; $CSBSR_NATURAL)")
    parser.add_argument("--runs", type=Path, help="folder of checkpoints and logs")
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare batches")
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"))
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard events")
    parser.add_argument("--no-pretrained", action="store_true", help="do without ImageNet weights")


def _cluster(parser: argparse.ArgumentParser) -> None:
    """Where the jobs of a sweep are run, and what each of them asks of a cluster."""
    parser.add_argument("--launcher", choices=("local", "slurm"), default="local")
    cluster = parser.add_argument_group("of each job, with --launcher slurm")
    cluster.add_argument("--partition")
    cluster.add_argument("--account")
    cluster.add_argument("--time", help="in one go: minutes, 24:00:00 or 2-12 (default: 24 h)")
    cluster.add_argument("--gpus", type=int, help="on each node (default: 1; 0: CPU only)")
    cluster.add_argument("--nodes", type=int, help="that train together (default: 1)")
    cluster.add_argument("--cpus", type=int, help="for each process (default: 4)")
    cluster.add_argument("--memory", type=int, help="GB on each node (default: the cluster's)")


def build_parser() -> argparse.ArgumentParser:
    """All subcommands with their options."""
    parser = _Parser(prog="csbsr", description=__doc__.split(":")[0])
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser("run", help="train and evaluate one experiment, write its JSON")
    run.add_argument("experiment", nargs="*", help="ids; none lists experiments and profiles")
    _common(run)
    _how(run)
    run.add_argument("--only", choices=("sr", "start"), help="only steps that others share")

    for name, what in (
        ("sweep", "run what is missing of many experiments and seeds, side by side"),
        ("status", "say what of them is done, running, waiting, failed or stale"),
    ):
        many = commands.add_parser(name, help=what)
        many.add_argument("names", nargs="+", help="ids, 'table II', 'primary' or 'all'")
        _common(many, seeds=True)
        _how(many)
        many.add_argument("--jobs", type=int, help="processes side by side (default: 1)")
        many.add_argument("--order", choices=("breadth", "depth"), default="breadth")
        if name == "sweep":
            many.add_argument("--nice", type=int, help="how much others go first, 0..19")
            _cluster(many)

    cost = commands.add_parser("cost", help="predict hours, memory and money of a table")
    cost.add_argument("names", nargs="+", help="II to VI, ids, 'primary' or 'all'")
    cost.add_argument("--profile", default="paper", help="smoke, quick or paper")
    cost.add_argument("--gpu", default="a100-80gb", help="a machine of csbsr/study/machines.toml")
    cost.add_argument(
        "--precision", choices=("fp32", "tf32", "bf16"), help="default: the profile's"
    )
    cost.add_argument("--seeds", default="0", help="such as 3, 0-7 or 0,2,5-7")

    book = commands.add_parser("book", help="run every chapter and render the book")
    _common(book)
    book.add_argument("--jobs", type=int, default=2, help="notebooks executed side by side")
    book.add_argument("--release", action="store_true", help="refuse stale results")

    form = commands.add_parser("form", help="write the book for students, as slides or as PDF")
    form.add_argument("form", choices=("student", "instructor", "slides", "pdf"))
    form.add_argument("names", nargs="*", help="chapters such as lab-1-degradation (default: all)")
    form.add_argument("--output", type=Path, help="folder, or the PDF file (default: in _build)")

    table = commands.add_parser("table", help="print a table of the paper beside ours")
    table.add_argument("number", help="II, III, IV, V or VI")
    _common(table)
    figure = commands.add_parser("figure", help="regenerate a figure as PNG")
    figure.add_argument("number", type=int, help="1 to 16")
    figure.add_argument("--output", type=Path, default=Path("figures"))
    _common(figure)
    claims = commands.add_parser("claims", help="check every claim of the paper")
    claims.add_argument("--results", type=Path)
    claims.add_argument(
        "--update", action="store_true", help="write today's verdicts to the ledger"
    )

    results = commands.add_parser("results", help="check, pack and merge result files")
    checks = results.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = checks.add_parser("check", help="refuse what is stale, damaged, misplaced or no result")
    check.add_argument("--results", type=Path, help="folder of result files (default: results)")
    check.add_argument("--committed", action="store_true", help="only the files that git tracks")
    pack = checks.add_parser("pack", help="write results and their pictures into one archive")
    pack.add_argument("archive", type=Path, help="the .zip to write")
    merge = checks.add_parser("merge", help="take what is missing here from an archive")
    merge.add_argument("archive", type=Path)
    for action in (pack, merge):
        action.add_argument("--results", type=Path, help="folder of result files")
    keep = checks.add_parser("keep-log", help="keep the training log of a run beside its result")
    keep.add_argument("experiment")
    keep.add_argument("--runs", type=Path, help="folder of runs (default: runs)")
    _common(keep)

    weights = commands.add_parser("weights", help="convert published checkpoints")
    kinds = weights.add_subparsers(dest="action", required=True, metavar="ACTION")
    convert = kinds.add_parser("import", help="convert a published checkpoint into a model file")
    convert.add_argument("file", type=Path)
    convert.add_argument("output", type=Path, help="the .safetensors file to write")
    convert.add_argument("--as", dest="name", required=True, help="name of the released network")

    evaluate = commands.add_parser("evaluate", help="evaluate a model on a data set")
    evaluate.add_argument("weights", help=MODEL)
    _which(evaluate)
    evaluate.add_argument("--experiment", help="whose place in the tables published weights take")
    evaluate.add_argument("--output", type=Path, help="JSON file to write, instead of the tables")
    evaluate.add_argument("--data", help="folder in the Khanhha layout, or 'synthetic'")
    evaluate.add_argument("--lr", help="folder of LR images (lr/) and HR masks (masks/) instead")
    evaluate.add_argument(
        "--mask-values", help="what is crack in masks: crack=255, any>0, inverted"
    )
    evaluate.add_argument("--results", type=Path)
    evaluate.add_argument("--protocol", help=f"{PROTOCOLS} (default: the model's own)")
    evaluate.add_argument("--device", default="auto")
    evaluate.add_argument("--limit", type=int, default=0, help="only so many test images")

    segment = commands.add_parser("segment", help="find cracks in photographs of any size")
    segment.add_argument("images", nargs="+", help="files, folders or patterns such as '*.jpg'")
    segment.add_argument("--weights", default="shipped", help=f"{MODEL} (the default)")
    _which(segment)
    segment.add_argument("--output", type=Path, default=Path("segmented"), help="folder")
    segment.add_argument("--threshold", type=float, help="in 0..1 (default: the model's own)")
    segment.add_argument("--recursive", action="store_true", help="look into folders of folders")
    segment.add_argument("--overwrite", action="store_true", help="replace files that are there")
    segment.add_argument("--resume", action="store_true", help="go on where it was stopped")
    segment.add_argument("--hr", action="store_true", help="photographs need no super-resolution")
    segment.add_argument(
        "--save",
        nargs="+",
        default=PICTURES,
        choices=PICTURES,
        metavar="WHAT",
        help=f"which pictures: {', '.join(PICTURES)} (default: all)",
    )
    segment.add_argument(
        "--prob",
        choices=("8", "16", "float"),
        default="8",
        help="probability as PNG of 8 or 16 bit, or as float TIFF",
    )
    segment.add_argument("--pixel-size", type=float, help="mm per pixel of the photograph")
    segment.add_argument("--tile", type=int, help="side of a tile (default: by the model)")
    segment.add_argument("--device", default="auto")

    _data_parser(commands)
    return parser


def _dispatch(arguments: argparse.Namespace) -> int:
    # Commands are imported when they are used: `csbsr --help` must not wait for torch.
    from csbsr import commands, data_commands, result_commands

    handlers = {
        "run": commands.run,
        "sweep": commands.sweep,
        "status": commands.status,
        "cost": commands.predict,
        "book": commands.book,
        "form": commands.form,
        "table": commands.table,
        "figure": commands.figure,
        "claims": commands.claims,
        "results": result_commands.results,
        "weights": commands.import_weights,
        "evaluate": commands.evaluate_weights,
        "segment": commands.segment,
        "data": data_commands.data,
    }
    return handlers[arguments.command](arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 done, 1 failed, 2 bad input, 130 stopped)."""
    for stream in (sys.stdout, sys.stderr):  # names of files may be of any bytes
        stream.reconfigure(errors="backslashreplace")
    try:
        parser = build_parser()
        arguments = parser.parse_args(argv)
        if arguments.command is None:
            parser.print_help()
            return 0
        return _dispatch(arguments)
    except ValueError as error:
        return _say(error, BAD_INPUT)
    except KeyboardInterrupt as error:
        return _say(str(error) or "stopped", STOPPED)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        code = FAILED if error.errno in NO_FAULT_OF_THE_INPUT else BAD_INPUT
        return _say(f"{where}{error.strerror or error}", code)
    except MemoryError:
        return _say("out of memory; close other programs, or work on fewer pixels", FAILED)
    except Exception as error:
        return _say(error, _code_of(error))


def _code_of(error: Exception) -> int:
    """The exit code of an error that has its own one line; others are ours, and are raised."""
    from csbsr.allocator import is_out_of_memory
    from csbsr.training.guards import NotFinite, OutOfMemory, Stopped

    if isinstance(error, Stopped):
        return STOPPED
    if isinstance(error, (NotFinite, OutOfMemory)) or is_out_of_memory(error):
        return FAILED
    raise error


def _say(what: object, code: int) -> int:
    print(f"csbsr: {_line(what)}", file=sys.stderr)
    return code


def _line(what: object) -> str:
    """Text as one line: names of files may hold line breaks, too."""
    return " ".join(str(what).split())


if __name__ == "__main__":
    sys.exit(main())
