"""Trained models as products: what a finished run keeps, and how it is found again."""

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from csbsr.data.masks import WHITE_ON_BLACK, MaskRule
from csbsr.inference.shipped import NAME as SHIPPED_NAME
from csbsr.inference.shipped import SHIPPED
from csbsr.low_resolution import LowResolutionImages, evaluate_lr
from csbsr.model_file import (
    FILE_NAME,
    SUFFIX,
    LoadedModel,
    ModelHeader,
    Threshold,
    read_header,
    save_model,
)
from csbsr.protocol import Protocol
from csbsr.study.experiments import Experiment, experiment
from csbsr.study.models import architecture_of
from csbsr.study.profiles import Profile, profile_of_card, settings_for_card
from csbsr.study.provenance import run_card
from csbsr.study.recipe import options
from csbsr.study.record import measurements, recorded
from csbsr.study.results import SCHEMA
from csbsr.study.sources import check, data_name, hash_of, open_test


def keep_model(
    folder: Path,
    model: nn.Module,
    row: Experiment,
    profile: Profile,
    protocol: Protocol,
    content: Mapping[str, dict],
) -> dict[str, str]:
    """Write the model of a result's `content` into the folder of its last step.

    Returns what the result's run card says of it: the file below the folder of runs, and its
    SHA-256.
    """
    card = content["run_card"]
    data = str(card["data"])
    sha256 = save_model(
        folder / FILE_NAME,
        model,
        architecture=architecture_of(row, profile, protocol),
        protocol=protocol,
        run_card={"experiment": row.id, **card},
        threshold=_threshold(content["metrics"]),
        licence="MIT" if data == "synthetic" else f"MIT; the terms of the images '{data}' apply",
    )
    # <profile>/<data>/seed<n>/<step>/model.safetensors
    return {"file": "/".join((*folder.parts[-4:], FILE_NAME)), "sha256": sha256}


def _threshold(metrics: Mapping[str, float | None]) -> Threshold:
    """The threshold chosen on validation images; where there were none, on the test images."""
    chosen = metrics.get("validation_threshold")
    if chosen is not None:
        return Threshold(chosen, "validation")
    return Threshold(metrics["IoU_max_threshold"], "test")


def find_model(name: str, runs: Path, profile: str | None = None, seed: int | None = None) -> Path:
    """The model file that `name` stands for: a file, a run's folder, an experiment's id, "shipped".

    Of an experiment, the newest model below `runs` that fits `profile` and `seed`. ValueError
    when there is none, or when models of several profiles, data sets, protocols or seeds fit.
    """
    if Path(name).exists() or "/" in name or name.endswith((SUFFIX, ".pt", ".pth")):
        return Path(name)
    if name == SHIPPED_NAME:
        if profile is not None or seed is not None:
            raise ValueError("--profile and --seed choose among your runs; name an experiment, too")
        return SHIPPED
    row = experiment(name)
    found: dict[tuple, Path] = {}
    for path in sorted(runs.rglob(FILE_NAME), key=lambda path: path.stat().st_mtime):
        header = _readable(path)
        if header is None or header.experiment != row.id:
            continue
        card = header.run_card
        if profile in (None, card.get("profile")) and seed in (None, card.get("seed")):
            found[(card.get("profile"), card.get("data"), header.protocol, card.get("seed"))] = path
    if not found:
        asked = {"profile": profile, "seed": seed}
        which = "".join(f", {name} {value}" for name, value in asked.items() if value is not None)
        raise ValueError(
            f"there is no trained model of {row.id}{which} below {runs}; train it with "
            "`csbsr run`, or say with --runs where it is"
        )
    if len(found) > 1:
        choices = ", ".join(str(path.parent) for path in found.values())
        raise ValueError(
            f"several trained models of {row.id} fit; add --profile and --seed, or give one of the "
            f"folders: {choices}"
        )
    return next(iter(found.values()))


def _readable(path: Path) -> ModelHeader | None:
    try:
        return read_header(path)
    except ValueError:
        return None


def measure(
    model: LoadedModel,
    *,
    data: str,
    protocol_name: str | None,
    device: torch.device,
    limit: int = 0,
    lr: bool = False,
    rule: MaskRule = WHITE_ON_BLACK,
) -> dict[str, object]:
    """Evaluate a model on the test images of `data`, as the run that trained it was evaluated.

    With `lr`, `data` holds LR images and their masks (`csbsr.low_resolution`), taken as they are.

    Returns what a result file holds. The protocol is the model's own unless one is named; on the
    run's own data a model of ours gives the run's own numbers again, on the CPU bit by bit.
    ValueError for a model that does not segment, a folder that is no data set, an unknown profile.
    """
    card = model.run_card
    if model.architecture.segmentation is None:
        raise ValueError(f"'{model.released}' super-resolves only; evaluate a model that segments")
    if limit < 0:
        raise ValueError(f"limit {limit} is negative; give a number of images, or 0 for all")
    profile = profile_of_card(str(card.get("profile", "paper")), card)
    protocol = profile.protocol(protocol_name) if protocol_name else model.protocol
    source = (
        LowResolutionImages(Path(data), rule, limit)
        if lr
        else open_test(data, profile, limit, rule)
    )
    if not isinstance(source, LowResolutionImages):
        check(source)
    wall, cpu = time.perf_counter(), time.process_time()
    batch = 4 if model.experiment else 2  # published models are of full size
    chosen = model.threshold
    threshold = chosen.value if chosen and chosen.chosen_on == "validation" else None
    module = model.module.to(device)
    if isinstance(source, LowResolutionImages):
        measured = recorded(evaluate_lr(module, source, protocol, device=device), threshold)
    else:
        measured = measurements(module, source, profile, protocol, device, batch, threshold)
    seed = card.get("seed", 0)
    evaluated = run_card(
        profile=profile.name,
        protocol=protocol.name,
        seed=seed,
        data=data_name(data),
        data_hash=hash_of([source]),
        seconds=time.perf_counter() - wall,
        device=str(device),
        cpu_seconds=time.process_time() - cpu,
    ) | settings_for_card(profile)
    kind = "Trained" if model.experiment else "Published"
    return {
        "schema": SCHEMA,
        "experiment": model.experiment or model.released,
        "profile": profile.name,
        "protocol": protocol.name,
        "seed": seed,
        **measured,
        "run_card": evaluated
        | {
            "model": {"sha256": model.sha256, "run_card": card},
            "protocol_options": options(protocol),
            "note": f"{kind} weights, evaluated here on {len(source.names)} "
            f"{'LR images as they are' if lr else 'test images'}.",
        },
    }
