"""Imported checkpoints: evaluation in an experiment's place, use on photographs."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from csbsr.evaluation import evaluate
from csbsr.inference import read_photograph, segment_photograph
from csbsr.networks.joint import DSRLJoint, Joint
from csbsr.protocol import Protocol
from csbsr.reproduce.experiments import experiment
from csbsr.reproduce.figures import overlay
from csbsr.reproduce.imported import SR_NETWORKS, import_checkpoint, load_imported
from csbsr.reproduce.profiles import load_profile
from csbsr.reproduce.provenance import code_closure, digest, run_card
from csbsr.reproduce.record import content_of
from csbsr.reproduce.results import ResultFile, require_writable, result_path, write_json
from csbsr.reproduce.run import pick_device
from csbsr.reproduce.sources import check, data_name, open_test

__all__ = ["evaluate_checkpoint", "import_checkpoint", "is_import_stale", "segment_files"]

EXPERIMENT_OF = {
    "csbsr_pspnet": "csbsr-pspnet",
    "csbsr_pspnet_released": "csbsr-pspnet",
    "csbsr_pspnet_blurskip": "csbsr-pspnet-blurskip-wF1",
    "kbpn_kernel7+hrnet_w48_ocr": "csbsr-hrnet",
    "kbpn_kernel7+crackformer": "csbsr-crackformer",
    "kbpn_kernel7+unet16_pixelshuffle": "csbsr-unet",
    "dbpn+pspnet": "cssr-pspnet",
    "dsrl": "dsrl",
    "dsrl_x4": "dsrl",
}
"""Experiments whose place a whole released model takes by itself."""


def as_joint(name: str, module: nn.Module) -> nn.Module:
    """Give an imported network the interface of the joint model; ValueError if it has none."""
    if name in ("dsrl", "dsrl_x4"):
        return DSRLJoint(module)
    if name.startswith("csbsr_") or "+" in name:
        return module
    if name in SR_NETWORKS:
        raise ValueError(f"'{name}' super-resolves only; evaluate a segmentation or whole model")
    return Joint(None, module)


def evaluate_checkpoint(
    weights: Path,
    *,
    experiment_name: str | None,
    data: str,
    results: Path,
    protocol_name: str,
    device_name: str,
    limit: int = 0,
) -> Path:
    """Evaluate imported weights in an experiment's place; fills the tables' second column."""
    name, module = load_imported(weights)
    place = experiment_name or EXPERIMENT_OF.get(name)
    if place is None:
        raise ValueError(f"which experiment is '{name}'? give --experiment, for example hr-pspnet")
    row = experiment(place)
    profile = load_profile("paper")
    protocol = profile.protocol(protocol_name)
    device = pick_device(device_name)
    require_writable(results)
    source = open_test(data, profile, limit)
    check(source)
    started = time.perf_counter()
    model = as_joint(name, module).to(device)
    evaluation = evaluate(
        model, source, protocol, kernel_seed=profile.kernel_seed, device=device, batch=2
    )
    data_hash = digest(source.fingerprint())
    weights_hash = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = run_card(
        profile="authors",
        protocol=protocol.name,
        seed=0,
        data=data_name(data),
        data_hash=data_hash,
        seconds=time.perf_counter() - started,
        device=str(device),
    )
    content = content_of(
        evaluation,
        experiment=row.id,
        profile="authors",
        protocol=protocol.name,
        seed=0,
        run_card=card
        | {
            "weights": name,
            "weights_hash": weights_hash,
            "fingerprint": _key(name, weights_hash, row.id, protocol, data_hash),
            "note": f"Published weights, evaluated here on {len(source.names)} test images.",
        },
    )
    path = result_path(results, "authors", data_name(data), row.id, 0)
    write_json(path, content)
    return path


def _key(name: str, weights: str, place: str, protocol: Protocol, data_hash: str) -> str:
    code = code_closure(["csbsr.evaluation", "csbsr.networks.released", "csbsr.data.cracks"])
    return digest([name, weights, place, digest(protocol), data_hash, code])


def is_import_stale(result: ResultFile) -> bool:
    """Whether today's code would give a result of published weights other numbers."""
    content, card = result.content, result.content["run_card"]
    try:
        protocol = load_profile("paper").protocol(content["protocol"])
        facts = (card["weights"], card["weights_hash"], content["experiment"])
    except (KeyError, ValueError):
        return True
    return _key(*facts, protocol, card.get("data_hash", "")) != result.fingerprint


def segment_files(
    images: Sequence[Path], weights: Path, output: Path, threshold: float, device_name: str
) -> list[Path]:
    """Write mask, SR image, overlay and estimated kernel of each photograph; returns the masks.

    ValueError before anything is written for a damaged image or two images of one name.
    """
    if len({path.stem for path in images}) < len(images):
        raise ValueError("two photographs share a name without suffix; segment them one by one")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold {threshold} must lie between 0 and 1")
    name, module = load_imported(weights)
    device = pick_device(device_name)
    model = as_joint(name, module).to(device)
    loaded = [(path, read_photograph(path)) for path in images]
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for path, image in loaded:
        result = segment_photograph(model, image, device=device)
        mask = (result.prob[0] > threshold).numpy()
        target = output / f"{path.stem}-mask.png"
        Image.fromarray(mask.astype(np.uint8) * 255).save(target)
        picture = (result.sr * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(picture).save(output / f"{path.stem}-sr.png")
        Image.fromarray(overlay(picture, mask)).save(output / f"{path.stem}-overlay.png")
        if result.kernel is not None:
            kernel = (result.kernel[0] / result.kernel.max()).clamp(0, 1).numpy()
            Image.fromarray((kernel * 255).astype(np.uint8)).save(
                output / f"{path.stem}-kernel.png"
            )
        written.append(target)
    return written
