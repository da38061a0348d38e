"""Published checkpoints: import, evaluation in an experiment's place, use on photographs."""

import hashlib
import pickle
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from csbsr.data.cracks import read_image
from csbsr.evaluation import evaluate
from csbsr.inference import segment_photograph
from csbsr.networks import released
from csbsr.networks.joint import DSRLJoint, Joint
from csbsr.reproduce.experiments import experiment
from csbsr.reproduce.profiles import load_profile
from csbsr.reproduce.provenance import digest, run_card
from csbsr.reproduce.record import content_of
from csbsr.reproduce.results import require_writable, result_path, write_json
from csbsr.reproduce.run import data_name, open_test, pick_device

FORMAT = "csbsr-released-1"

EXPERIMENT_OF = {
    "csbsr_pspnet": "csbsr-pspnet",
    "csbsr_pspnet_released": "csbsr-pspnet",
    "csbsr_pspnet_blurskip": "csbsr-pspnet-blurskip",
    "dsrl": "dsrl",
    "dsrl_x4": "dsrl",
}
"""Experiments whose place a whole released model takes by itself."""


def _load(path: Path) -> object:
    """Read a file of tensors; anything that would execute code on loading is refused."""
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist; download it first")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"checkpoint {path} holds more than tensors and would execute code; refused"
        ) from error
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise ValueError(
            f"checkpoint {path} is damaged or no PyTorch file; download it again"
        ) from error


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = isinstance(content, dict) and all(isinstance(v, Tensor) for v in content.values())
    if not tensors or not content:
        raise ValueError(f"checkpoint {path} holds no state dict of tensors")
    return dict(content)


def import_checkpoint(file: Path, name: str, output: Path) -> Path:
    """Convert a published checkpoint into ours, strictly; returns the file written.

    `name` is one of `csbsr.networks.released.names()`. ValueError for an unknown name, a file
    that needs code execution, and keys that are missing, left over or of another shape.
    """
    if name not in released.names():
        raise ValueError(f"network '{name}' is unknown; choose {', '.join(released.names())}")
    module = released.load(name, _state_dict(_load(file), file))
    content = {"format": FORMAT, "name": name, "weights": module.state_dict()}
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.part")
    try:
        torch.save(content, temporary)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return output


def load_imported(path: Path) -> tuple[str, nn.Module]:
    """Read a file that `import_checkpoint` wrote: its network's name and the module."""
    content = _load(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by `csbsr weights import`; import it first")
    module = released.build(content["name"])
    module.load_state_dict(content["weights"], strict=True)
    return content["name"], module.eval()


def as_joint(name: str, module: nn.Module) -> nn.Module:
    """Give an imported network the interface of the joint model; ValueError if it has none."""
    if name in ("dsrl", "dsrl_x4"):
        return DSRLJoint(module)
    if name.startswith("csbsr_"):
        return module
    if name in ("kbpn", "kbpn_kernel7", "dbpn", "srcnet_sr"):
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
    started = time.perf_counter()
    model = as_joint(name, module).to(device)
    evaluation = evaluate(
        model, source, protocol, kernel_seed=profile.kernel_seed, device=device, batch=2
    )
    data_hash = digest(source.fingerprint())
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
        | {"weights": name, "weights_hash": hashlib.sha256(weights.read_bytes()).hexdigest()},
    )
    path = result_path(results, "authors", data_name(data), row.id, 0)
    write_json(path, content)
    return path


def segment_files(
    images: Sequence[Path], weights: Path, output: Path, threshold: float, device_name: str
) -> list[Path]:
    """Write crack masks, overlays and estimated kernels of photographs; returns the masks."""
    if not 0 < threshold < 1:
        raise ValueError(f"threshold {threshold} must lie between 0 and 1")
    name, module = load_imported(weights)
    device = pick_device(device_name)
    model = as_joint(name, module).to(device)
    loaded = [(path, torch.from_numpy(read_image(path).copy()).float() / 255) for path in images]
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for path, image in loaded:
        result = segment_photograph(model, image, device=device)
        mask = (result.prob[0] > threshold).numpy()
        target = output / f"{path.stem}-mask.png"
        Image.fromarray(mask.astype(np.uint8) * 255).save(target)
        picture = (result.sr * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(picture).save(output / f"{path.stem}-sr.png")
        if result.kernel is not None:
            kernel = (result.kernel[0] / result.kernel.max()).clamp(0, 1).numpy()
            Image.fromarray((kernel * 255).astype(np.uint8)).save(
                output / f"{path.stem}-kernel.png"
            )
        written.append(target)
    return written
