"""Trained models as products: what a finished run keeps, and how it is found again."""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from csbsr.model_file import FILE_NAME, ModelHeader, Threshold, read_header, save_model
from csbsr.protocol import Protocol
from csbsr.study.experiments import Experiment, experiment
from csbsr.study.models import architecture_of
from csbsr.study.profiles import Profile


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
    card, metrics = content["run_card"], content["metrics"]
    data = str(card["data"])
    sha256 = save_model(
        folder / FILE_NAME,
        model,
        architecture=architecture_of(row, profile, protocol),
        protocol=protocol,
        run_card={"experiment": row.id, **card},
        threshold=Threshold(metrics["IoU_max_threshold"], chosen_on=f"test images of {data}"),
        licence="MIT" if data == "synthetic" else f"MIT; the terms of the images '{data}' apply",
    )
    # <profile>/<data>/seed<n>/<step>/model.safetensors
    return {"file": "/".join((*folder.parts[-4:], FILE_NAME)), "sha256": sha256}


def find_model(name: str, runs: Path, profile: str | None = None, seed: int | None = None) -> Path:
    """The model file that `name` stands for: a file, a run's folder, or an experiment's id.

    Of an experiment, the newest model below `runs` that fits `profile` and `seed`. ValueError
    when there is none, or when models of several profiles, data sets, protocols or seeds fit.
    """
    if Path(name).exists() or "/" in name or name.endswith((".safetensors", ".pt", ".pth")):
        return Path(name)
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
        words = (
            f"--profile {profile}" if profile else "",
            f"--seed {seed}" if seed is not None else "",
        )
        raise ValueError(
            f"no trained model of {' '.join((row.id, *filter(None, words)))} below {runs}; "
            "train it with `csbsr run`, or say where with --runs"
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
