"""Checkpoints that survive a kill: written whole or not at all, checked before they are used."""

import contextlib
import hashlib
import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch

FORMAT = "csbsr-checkpoint-1"
KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{8})\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """Full state of a training step after `iteration` optimiser steps.

    The random state is the pair (seed, iteration): every draw of iteration i comes from
    generators seeded by both, so there is no generator state to carry over.
    """

    iteration: int
    seed: int
    model: dict
    optimiser: dict
    """State of Adam, including its learning rates."""
    log: dict
    """Running sums of the log line under way."""
    config: dict
    """What `fingerprint` is computed from: config, protocol, seed, model, data."""


class ForeignCheckpoint(ValueError):
    """A folder holds only checkpoints of another configuration."""


def fingerprint(config: dict) -> str:
    """SHA-256 of a configuration made of plain values."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def path_of(folder: Path, iteration: int) -> Path:
    """The file name of a checkpoint."""
    return folder / f"checkpoint-{iteration:08d}.pt"


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint atomically and delete all but the last two.

    The file is written beside its final name, forced to disk and renamed, so a kill at any moment
    leaves the older ones usable. Raises OSError (disk full, folder not writable) with nothing
    half-written left.
    """
    path = path_of(folder, checkpoint.iteration)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    state = {
        "format": FORMAT,
        "fingerprint": fingerprint(checkpoint.config),
        **{name: getattr(checkpoint, name) for name in checkpoint.__dataclass_fields__},
    }
    try:
        with open(temporary, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError | RuntimeError):
            raise OSError(
                f"{path}: the checkpoint could not be written ({_cause(error)}); nothing "
                "half-written is left. Free some space and run the same command again"
            ) from error
        raise
    _sync_folder(folder)
    for old in sorted(_found(folder))[:-KEPT]:
        path_of(folder, old).unlink(missing_ok=True)
    return path


def sweep(folder: Path) -> None:
    """Delete what killed processes left half-written; only for the holder of the folder's lock."""
    for leftover in folder.glob("checkpoint-*.tmp"):
        leftover.unlink(missing_ok=True)


def load(path: Path) -> Checkpoint:
    """Read one checkpoint; ValueError that names the file if it is truncated or not one of ours."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        state = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path}: not a readable checkpoint ({_cause(error)})") from error
    if damaged:
        raise ValueError(f"{path}: damaged checkpoint (checksum of {damaged})")
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{path}: not a checkpoint of csbsr")
    return Checkpoint(**{name: state[name] for name in Checkpoint.__dataclass_fields__})


def newest(folder: Path, config: dict) -> tuple[Checkpoint | None, list[str]]:
    """The newest usable checkpoint of this configuration, and one line per file refused.

    Refused files are renamed to `*.refused`, so that they neither count as the newest nor vanish.
    Raises ForeignCheckpoint if all readable ones belong to another configuration.
    """
    refused: list[tuple[Path, str]] = []
    foreign = ""
    found = None
    for iteration in sorted(_found(folder), reverse=True):
        path = path_of(folder, iteration)
        try:
            found = load(path)
        except ValueError as error:
            refused.append((path, str(error)))
            continue
        different = _differences(found.config, json.loads(json.dumps(config)))
        if not different and found.iteration == iteration:
            break
        foreign = f"{path}: made with another configuration ({'; '.join(different[:3])})"
        refused.append((path, foreign))
        found = None
    if found is None and foreign:
        raise ForeignCheckpoint(f"{foreign}; choose another folder or delete this one")
    for path, _ in refused:
        os.replace(path, path.with_name(path.name + ".refused"))
    return found, [f"{reason}; refused and renamed to .refused" for _, reason in refused]


def _found(folder: Path) -> list[int]:
    return [int(m[1]) for p in folder.glob("checkpoint-*.pt") if (m := _NAME.fullmatch(p.name))]


def _differences(theirs: object, ours: object, where: str = "") -> list[str]:
    """Lines `key: theirs -> ours` for every leaf that differs."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = sorted({*theirs, *ours})
        return [
            line
            for key in keys
            for line in _differences(theirs.get(key), ours.get(key), f"{where}.{key}".strip("."))
        ]
    same = json.dumps(theirs) == json.dumps(ours)
    return [] if same else [f"{where}: {theirs} -> {ours}"]


def _cause(error: BaseException) -> str:
    """First line of the innermost cause."""
    while error.__context__ is not None:
        error = error.__context__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _sync_folder(folder: Path) -> None:
    """Make a rename durable where the system can (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
