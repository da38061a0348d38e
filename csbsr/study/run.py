"""Run an experiment: shared steps once, its own step, evaluation, one result file."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from csbsr.evaluation import evaluate
from csbsr.protocol import REPRODUCTION, Protocol
from csbsr.study.experiments import Experiment, experiment, with_ancestors
from csbsr.study.freshness import fingerprint, is_stale, steps_digest
from csbsr.study.pairs import refresh_pairs
from csbsr.study.panels import save_panels
from csbsr.study.profiles import Profile, load_profile
from csbsr.study.provenance import repository_root, run_card
from csbsr.study.results import (
    content_of,
    read_result,
    require_writable,
    result_path,
    was_measured,
    write_json,
)
from csbsr.study.sources import Source, check, data_name, hash_of, open_data
from csbsr.study.steps import Plan, trained
from csbsr.study.trained import keep_model
from csbsr.training.distributed import ranks

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """How to run: profile, data, seed, folders, device; the same for every experiment of a call."""

    profile: str = "smoke"
    data: str = "synthetic"
    seed: int = 0
    results: Path = field(default_factory=lambda: repository_root() / "results")
    protocol: str = REPRODUCTION.name
    device: str = "auto"
    natural: str | None = field(default_factory=lambda: os.environ.get("CSBSR_NATURAL") or None)
    """Folder of natural images for step 1; None: synthetic textures. By default `CSBSR_NATURAL`."""
    runs: Path | None = None
    """Folder of checkpoints and logs; None: `runs` beside the results."""
    workers: int = 1
    pretrained: bool | None = None
    """ImageNet features; None: as the profile says."""
    precision: str | None = None
    compile: bool = False
    tensorboard: bool = False


@dataclass(frozen=True)
class Context:
    """A checked request: everything opened, nothing written yet."""

    request: Request
    profile: Profile
    protocol: Protocol
    train: Source
    test: Source
    data_hash: str
    device: torch.device


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N`; ValueError when there is no such device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device '{name}' is unknown; choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device '{name}' is not supported; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device '{name}' is not there ({torch.cuda.device_count()} GPUs seen)")
    return device


def prepare(request: Request) -> Context:
    """Check everything a run needs before anything is written; ValueError says what to mend."""
    profile = load_profile(request.profile)
    protocol = profile.protocol(request.protocol)
    device = pick_device(request.device)
    require_writable(request.results)
    train, test = open_data(request.data, profile, protocol)
    data_hash = hash_of([train, test])
    folder = request.results / profile.name / data_name(request.data)
    if not was_measured(folder, data_hash):
        check(train)
        check(test)
    return Context(request, profile, protocol, train, test, data_hash, device)


def run_experiment(row: Experiment, context: Context, say: Say, quiet: bool) -> Path:
    """Train and evaluate one experiment unless its result is there and fresh; returns its file."""
    request, profile, protocol = context.request, context.profile, context.protocol
    name = data_name(request.data)
    path = result_path(request.results, profile.name, name, row.id, request.seed)
    key = fingerprint(row, profile, protocol, request.seed, context.data_hash)
    if path.exists():
        try:
            known = read_result(path)
            if known.fingerprint == key and not is_stale(known):
                return path
        except ValueError as error:
            say(f"{error}; running again")
    started = time.perf_counter()
    runs = request.runs or request.results.parent / "runs"
    plan = Plan(
        profile=profile,
        protocol=protocol,
        seed=request.seed,
        device=context.device,
        train=context.train,
        data_hash=context.data_hash,
        natural=request.natural,
        folder=runs / profile.name / name / f"seed{request.seed}",
        workers=request.workers,
        pretrained=profile.pretrained if request.pretrained is None else request.pretrained,
        precision=request.precision or profile.precision,
        compile=request.compile,
        tensorboard=request.tensorboard,
        quiet=quiet,
    )
    model, folder = trained(row, plan)
    evaluation = evaluate(
        model, context.test, protocol, kernel_seed=profile.kernel_seed, device=context.device
    )
    card = run_card(
        profile=profile.name,
        protocol=protocol.name,
        seed=request.seed,
        data=name,
        data_hash=context.data_hash,
        seconds=time.perf_counter() - started,
        device=str(context.device),
    )
    content = content_of(
        evaluation,
        experiment=row.id,
        profile=profile.name,
        protocol=protocol.name,
        seed=request.seed,
        run_card=card
        | {
            "natural": Path(request.natural).resolve().name if request.natural else "synthetic",
            "fingerprint": key,
            "steps": steps_digest(row, profile, protocol),
            "note": profile.note,
            "protocol_changes": profile.protocol_changes,
        },
    )
    if not ranks().writes:
        return path
    if folder is not None:
        content["run_card"]["model"] = keep_model(folder, model, row, profile, protocol, content)
    save_panels(path.with_suffix(".jpg"), model, profile, protocol, context.device)
    write_json(path, content)
    return path


def run_experiments(
    names: Sequence[str], request: Request, *, say: Say = lambda line: None, quiet: bool = False
) -> list[Path]:
    """Run several experiments, parents first; those with a fresh result are passed over."""
    context = prepare(request)
    ordered = with_ancestors(list(names))
    paths = []
    started = time.perf_counter()
    for number, name in enumerate(ordered, start=1):
        row = experiment(name)
        paths.append(run_experiment(row, context, say, quiet))
        spent = time.perf_counter() - started
        left = spent / number * (len(ordered) - number)
        say(f"experiment {number}/{len(ordered)}  {row.id}  {spent:.0f} s, about {left:.0f} s left")
    if ranks().writes:
        data = data_name(request.data)
        refresh_pairs(request.results, request.profile, data, request.seed, is_stale)
    return paths


def default_data() -> str:
    """`CSBSR_DATA`, or the embedded synthetic cracks."""
    return os.environ.get("CSBSR_DATA") or "synthetic"
