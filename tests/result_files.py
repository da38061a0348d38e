"""Small result files that are valid and fresh, for tests that read results."""

import json
from pathlib import Path

import numpy as np

from csbsr.protocol import REPRODUCTION
from csbsr.study.experiments import experiment, experiments
from csbsr.study.freshness import fingerprint, uses_natural
from csbsr.study.profiles import load_profile
from csbsr.study.recipe import Settings
from csbsr.study.results import SCHEMA, result_path, write_json


def settings(
    profile: str = "smoke",
    protocol: str = REPRODUCTION.name,
    *,
    seed: int = 0,
    data: str = "synthetic",
    data_hash: str = "of the images",
    natural_hash: str = "synthetic",
    overrides: dict[str, object] | None = None,
) -> Settings:
    """Settings of a run of a profile."""
    chosen = load_profile(profile)
    usual = {"precision": chosen.precision, "pretrained": chosen.pretrained, "compile": False}
    return Settings(
        profile=chosen,
        protocol=chosen.protocol(protocol),
        seed=seed,
        data=data,
        data_hash=data_hash,
        natural_hash=natural_hash,
        **usual | (overrides or {}),
    )


def result_content(
    name: str,
    *,
    seed: int = 0,
    profile: str = "quick",
    data: str = "walls",
    protocol: str | None = None,
    iou: float = 0.5,
    metrics: dict[str, float | None] | None = None,
    rows: list[list[float]] | None = None,
    names: list[str] | None = None,
    data_hash: str = "of walls",
    overrides: dict[str, object] | None = None,
    fingerprint_: str | None = None,
) -> dict:
    """A result of one experiment, fresh unless another fingerprint is given.

    rows: IoU per image and threshold; by default three thresholds at `iou`.
    """
    known = profile in ("smoke", "quick", "paper") and name in {e.id for e in experiments()}
    protocol = protocol or f"{REPRODUCTION.name}+{profile}"
    card: dict[str, object] = {
        "profile": profile,
        "protocol": protocol,
        "seed": seed,
        "data": data,
        "data_hash": data_hash,
        "natural_hash": None,
        "overrides": overrides or {},
        "commit": {"id": "0123456789ab", "dirty": False},
        "hardware": "a machine",
        "device": "cpu",
        "seconds": 1.0,
        "fingerprint": fingerprint_ if fingerprint_ is not None else "of nothing",
    }
    if known and fingerprint_ is None and protocol.split("+")[0] in ("reproduction", "released"):
        given = {"seed": seed, "data": data, "data_hash": data_hash, "overrides": overrides}
        made = settings(profile, protocol, **given)
        card["natural_hash"] = "synthetic" if uses_natural(experiment(name), made) else None
        card["fingerprint"] = fingerprint(experiment(name), made)
    rows = rows or [[iou] * 3]
    curve = np.array(rows).mean(0)
    values: dict[str, object] = {"IoU_max": curve.max(), "AIU": curve.mean()}
    values |= {"HD95_min": 80.0, "AHD95": 120.0, "PSNR": None, "SSIM": None, "kernel_PSNR": None}
    thresholds = [(i + 1) / (len(curve) + 1) for i in range(len(curve))]
    distances = [80.0 + i for i in range(len(curve))]
    return {
        "schema": SCHEMA,
        "experiment": name,
        "profile": profile,
        "protocol": protocol,
        "seed": seed,
        "metrics": values | (metrics or {}),
        "curves": {"thresholds": thresholds, "IoU": curve.tolist(), "HD95": distances},
        "images": {"names": names or [f"image {i}" for i in range(len(rows))], "IoU": rows},
        "run_card": card,
    }


def put_result(
    results: Path,
    name: str,
    *,
    fingerprint: str | None = None,
    **choices: object,
) -> Path:
    """Write such a result to its place; returns its path."""
    content = result_content(name, fingerprint_=fingerprint, **choices)
    place = (content["profile"], content["run_card"]["data"], content["protocol"])
    path = result_path(results, *place, name, content["seed"])
    write_json(path, content)
    return path


def numbers(results: Path) -> dict[str, dict]:
    """What all result files of a folder say, by place, of their run cards the fingerprint alone."""
    found = {}
    for path in sorted(results.rglob("*.json")):
        content = json.loads(path.read_text())
        card = content.pop("run_card")
        found[path.relative_to(results).as_posix()] = content | {"key": card["fingerprint"]}
    return found
