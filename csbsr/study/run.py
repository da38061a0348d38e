"""Run an experiment: shared steps once, its own step, evaluation, one result file."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from csbsr.allocator import keep_freed_memory
from csbsr.data.masks import WHITE_ON_BLACK, MaskRule
from csbsr.distributed import from_first, ranks
from csbsr.files import locked, write_json
from csbsr.protocol import REPRODUCTION, Protocol
from csbsr.study.experiments import Experiment, experiment, with_ancestors
from csbsr.study.freshness import difference, find_fresh, fingerprint, uses_natural
from csbsr.study.panels import save_panels
from csbsr.study.profiles import Profile, load_profile, settings_for_card
from csbsr.study.provenance import commit, repository_root, run_card
from csbsr.study.recipe import EMBEDDED, options
from csbsr.study.record import measurements, threshold_of
from csbsr.study.results import SCHEMA, ResultFile, read_result, require_writable
from csbsr.study.sources import Source, check_all, data_name, hash_of, natural_hash, open_data
from csbsr.study.steps import Part, Plan, started_segmentation, trained, trained_sr
from csbsr.study.trained import keep_model

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
    mask_values: str | None = None
    """Which values of the masks are crack, as `MaskRule.parse` reads it; None: white on black."""

    @property
    def runs_folder(self) -> Path:
        """Where checkpoints and logs lie."""
        return self.runs or self.results.parent / "runs"


@dataclass(frozen=True)
class Context:
    """A checked request: everything opened, nothing written yet."""

    request: Request
    plan: Plan
    validation: Source
    test: Source
    folder: Path
    """Where results of this profile, data set and protocol lie."""
    code: dict[str, object]
    """Commit of the moment the run began."""
    notes: tuple[str, ...] = ()
    """What is doubtful about the data, one line each."""

    @property
    def profile(self) -> Profile:
        """How much is run."""
        return self.plan.profile

    @property
    def protocol(self) -> Protocol:
        """The protocol with the profile's changes."""
        return self.plan.protocol


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


def prepare(request: Request, names: Sequence[str] = (), quiet: bool = True) -> Context:
    """Check everything a run needs before anything is written; ValueError says what to mend.

    names: the experiments to be run, parents included.
    """
    profile = load_profile(request.profile)
    protocol = profile.protocol(request.protocol)
    if not 0 <= request.seed < 2**32:
        raise ValueError(f"seed {request.seed} must lie between 0 and {2**32 - 1}")
    device = pick_device(request.device)
    if request.workers < 1:
        raise ValueError(f"workers {request.workers} must be at least 1")
    require_writable(request.results)
    require_writable(request.runs_folder, "--runs")
    data = data_name(request.data)
    rule = MaskRule.parse(request.mask_values) if request.mask_values else WHITE_ON_BLACK
    train, validation, test = open_data(request.data, profile, protocol, rule)
    plan = Plan(
        profile=profile,
        protocol=protocol,
        seed=request.seed,
        data=data,
        data_hash=hash_of([train, validation, test]),
        natural_hash=EMBEDDED,
        pretrained=profile.pretrained if request.pretrained is None else request.pretrained,
        precision=request.precision or profile.precision,
        compile=request.compile,
        device=device,
        train=train,
        natural=None,
        folder=request.runs_folder / profile.name / data / f"seed{request.seed}",
        workers=request.workers,
        quiet=quiet,
        tensorboard=request.tensorboard,
    )
    natural = any(uses_natural(experiment(name), plan) for name in names)
    if natural and request.natural:
        plan = replace(plan, natural=request.natural, natural_hash=natural_hash(request.natural))
    folder = request.results / profile.name / data / protocol.name
    found = find_fresh(request.results, profile.name, data, protocol.name).fresh
    known = [result for runs in found.values() for result in runs]
    notes: tuple[str, ...] = ()
    if all(result.card["data_hash"] != plan.data_hash for result in known):
        notes = check_all(train, validation, test)
    _refuse_mixture(plan, known, folder, natural)
    return Context(request, plan, validation, test, folder, commit(), notes)


def _refuse_mixture(plan: Plan, known: Sequence[ResultFile], folder: Path, natural: bool) -> None:
    """Results of other images or options, made by today's code, are neither mixed nor replaced.

    Smoke runs on embedded images are no results: they are computed again.
    """
    card = {"data_hash": plan.data_hash}
    if plan.profile.is_result:
        card |= {"overrides": overrides(plan)}
        card |= {"natural_hash": plan.natural_hash} if natural else {}
    kept = plan.data != EMBEDDED or plan.profile.is_result
    if kept and (found := difference(card, known)):
        other, what = found
        raise ValueError(
            f"{folder} holds results of other {what} ({other.path.name}), and results of both "
            "may not be mixed; give the same ones, another --results, or delete those"
        )


def overrides(plan: Plan) -> dict[str, object]:
    """What a run was asked to do otherwise than its profile says."""
    usual = {
        "precision": plan.profile.precision,
        "pretrained": plan.profile.pretrained,
        "compile": False,
    }
    return {name: value for name, v in usual.items() if (value := getattr(plan, name)) != v}


def known_path(path: Path, key: str, say: Say) -> bool:
    """Whether a result is there and fresh; one that is damaged is named and computed again."""
    if not path.exists():
        return False
    try:
        return read_result(path).fingerprint == key
    except ValueError as error:
        say(f"{error}; running again")
        return False


def lock_of(path: Path) -> Path:
    """The lock that is held while a result file is made."""
    return path.with_name(f".{path.name}.lock")


def run_experiment(row: Experiment, context: Context, say: Say) -> Path:
    """Train and evaluate one experiment unless its result is there and fresh; returns its file.

    Two processes asked for the same result: the second waits, and finds it.
    """
    plan, place = context.plan, ranks()
    path = context.folder / f"{row.id}-seed{plan.seed}.json"
    key = fingerprint(row, plan)
    if from_first(place.writes and known_path(path, key, say), place):
        return path
    lock = locked(lock_of(path), row.id, plan.quiet)
    with lock if place.writes else nullcontext():
        if from_first(place.writes and known_path(path, key, lambda line: None), place):
            return path
        wall, cpu = time.perf_counter(), time.process_time()
        model, steps, _ = trained(row, plan)
        how = plan.profile, plan.protocol, plan.device
        threshold = threshold_of(model, context.validation, *how)
        measured = measurements(model, context.test, *how, validation_threshold=threshold)
        if place.writes:
            spent = time.perf_counter() - wall, time.process_time() - cpu
            card = card_of(context, key, *spent, natural=uses_natural(row, plan))
            content: dict[str, Any] = {
                "schema": SCHEMA,
                "experiment": row.id,
                "profile": plan.profile.name,
                "protocol": plan.protocol.name,
                "seed": plan.seed,
                **measured,
                "run_card": card,
            }
            if steps is not None:
                card["model"] = keep_model(steps, model, row, plan.profile, plan.protocol, content)
            picture = path.with_suffix(".jpg")
            save_panels(picture, model, plan.profile, plan.protocol, plan.device)
            try:
                write_json(path, content)
            except OSError:  # a picture alone is nothing
                picture.unlink(missing_ok=True)
                raise
    return path


def card_of(
    context: Context, key: str, seconds: float, cpu_seconds: float, natural: bool
) -> dict[str, object]:
    """The run card of a result with this fingerprint."""
    plan = context.plan
    card = run_card(
        profile=plan.profile.name,
        protocol=plan.protocol.name,
        seed=plan.seed,
        data=plan.data,
        data_hash=plan.data_hash,
        seconds=seconds,
        device=str(plan.device),
        cpu_seconds=cpu_seconds,
        code=context.code,
    )
    named = Path(plan.natural).resolve().name if plan.natural else EMBEDDED
    return (
        card
        | settings_for_card(plan.profile)
        | {
            "natural": named if natural else None,
            "natural_hash": plan.natural_hash if natural else None,
            "precision": plan.precision,
            "start_weights": "ImageNet" if plan.pretrained else "random",
            "compile": plan.compile,
            "overrides": overrides(plan),
            "protocol_options": options(plan.protocol),
            "protocol_changes": plan.profile.protocol_changes,
            "fingerprint": key,
            "note": plan.profile.note,
        }
    )


def run_experiments(
    names: Sequence[str], request: Request, *, say: Say = lambda line: None, quiet: bool = False
) -> list[Path]:
    """Run several experiments, parents first; those with a fresh result are passed over."""
    keep_freed_memory()
    ordered = with_ancestors(list(names))
    context = prepare(request, ordered, quiet)
    for note in context.notes:
        say(f"note: {note}")
    paths = []
    started = time.perf_counter()
    for number, name in enumerate(ordered, start=1):
        row = experiment(name)
        paths.append(run_experiment(row, context, say))
        spent = time.perf_counter() - started
        left = spent / number * (len(ordered) - number)
        say(f"experiment {number}/{len(ordered)}  {row.id}  {spent:.0f} s, about {left:.0f} s left")
    return paths


def run_shared(names: Sequence[str], request: Request, part: Part, quiet: bool = False) -> None:
    """Train only what these experiments share with others: S alone, or the start of C."""
    plan = prepare(request, names, quiet).plan
    for row in map(experiment, names):
        if part == "sr":
            trained_sr(row, plan)
        else:
            started_segmentation(row, plan)


def default_data() -> str:
    """`CSBSR_DATA`, or the embedded synthetic cracks."""
    return os.environ.get("CSBSR_DATA") or EMBEDDED
