"""Published checkpoints: read without executing anything, converted strictly, kept as ours."""

import hashlib
import io
import pickle
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from csbsr.files import locked, write_json
from csbsr.inference import overlay, read_photograph, segment_photograph
from csbsr.networks import released
from csbsr.networks.joint import DSRLJoint, Joint
from csbsr.study.experiments import experiment
from csbsr.study.freshness import imported_fingerprint
from csbsr.study.profiles import load_profile
from csbsr.study.provenance import run_card
from csbsr.study.recipe import options
from csbsr.study.record import measurements
from csbsr.study.results import SCHEMA, require_writable, result_path
from csbsr.study.run import pick_device
from csbsr.study.sources import check, data_name, hash_of, open_test

FORMAT = "csbsr-released-1"
SR_NETWORKS = ("kbpn", "kbpn_kernel7", "dbpn", "srcnet_sr")


def _load(path: Path) -> object:
    """Read a file of tensors; anything that would execute code on loading is refused."""
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist; download it first")
    with path.open("rb") as file:
        head = file.read(16)
    if not head.startswith((b"PK", b"\x80")):
        page = " (it is a web page, not the file)" if head.lstrip().startswith(b"<") else ""
        raise ValueError(f"checkpoint {path} is no PyTorch file{page}; download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise almost anything
        if isinstance(error, pickle.UnpicklingError) and "unsupported" in str(error).lower():
            raise ValueError(
                f"checkpoint {path} holds more than tensors and would execute code; refused"
            ) from error
        raise ValueError(f"checkpoint {path} is damaged; download it again") from error


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = isinstance(content, dict) and all(isinstance(v, Tensor) for v in content.values())
    if not tensors or not content:
        raise ValueError(f"checkpoint {path} holds no state dict of tensors")
    return dict(content)


def _parts(name: str) -> tuple[str, ...]:
    """The released networks that a name stands for, one or S and C; ValueError if unknown."""
    if name in released.names():
        return (name,)
    sr, _, segmentation = name.partition("+")
    alone = segmentation.startswith(("csbsr_", "dsrl")) or segmentation in SR_NETWORKS
    if sr in SR_NETWORKS and segmentation in released.names() and not alone:
        return sr, segmentation
    raise ValueError(
        f"network '{name}' is unknown; choose {', '.join(released.names())}, or a pair such as "
        "kbpn_kernel7+hrnet_w48_ocr"
    )


def build_released(name: str, state: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The released network `name`, with the authors' weights if `state` is given, in eval mode.

    `name` is one of `csbsr.networks.released.names()`, or "S+C" for a whole model of two of them,
    whose keys begin with `sr_model.` and `segmentation_model.`. ValueError for an unknown name,
    and for keys that are missing, left over or of another shape.
    """
    names = _parts(name)
    if len(names) == 1:
        return released.build(name).eval() if state is None else released.load(name, state)
    sr, segmentation = names
    if state is None:
        return Joint(released.build(sr), released.build(segmentation)).eval()
    parts: dict[str, dict[str, Tensor]] = {"sr_model": {}, "segmentation_model": {}, "": {}}
    for key, value in state.items():
        first = key.removeprefix("module.").split(".")[0]
        parts[first if first in parts else ""][key] = value
    if parts[""]:
        raise ValueError(
            f"the state dict is not one of '{name}': {next(iter(parts['']))} belongs to neither "
            "sr_model nor segmentation_model; import a single network by its own name"
        )
    networks = (
        released.load(sr, parts["sr_model"]),
        released.load(segmentation, parts["segmentation_model"]),
    )
    return Joint(*networks).eval()


def import_checkpoint(file: Path, name: str, output: Path) -> Path:
    """Convert a published checkpoint into ours, strictly; returns the file written.

    `name` as in `build_released`. ValueError for an unknown name, a file that is damaged or needs
    code execution, and keys that are missing, left over or of another shape; OSError when the
    output cannot be written. Nothing is written unless everything fits.
    """
    _parts(name)
    module = build_released(name, _state_dict(_load(file), file))
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "name": name, "weights": module.state_dict()}, buffer)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.part")
    try:
        temporary.write_bytes(buffer.getbuffer())
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return output


def load_imported(path: Path) -> tuple[str, nn.Module]:
    """Read a file that `import_checkpoint` wrote: its network's name and the module."""
    content = _load(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by `csbsr weights import`; import it first")
    try:
        module = build_released(content["name"])
        module.load_state_dict(content["weights"], strict=True)
    except (KeyError, RuntimeError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} does not fit this version of csbsr; import it again") from error
    return content["name"], module


__all__ = ["evaluate_checkpoint", "import_checkpoint", "segment_files"]

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
    wall, cpu = time.perf_counter(), time.process_time()
    model = as_joint(name, module).to(device)
    measured = measurements(model, source, profile, protocol, device, batch=2)
    place_of_data, data_hash = data_name(data), hash_of([source])
    weights_hash = hashlib.sha256(weights.read_bytes()).hexdigest()
    key = imported_fingerprint(name, weights_hash, row.id, protocol, place_of_data, data_hash)
    card = run_card(
        profile="authors",
        protocol=protocol.name,
        seed=0,
        data=place_of_data,
        data_hash=data_hash,
        seconds=time.perf_counter() - wall,
        device=str(device),
        cpu_seconds=time.process_time() - cpu,
    )
    content = {
        "schema": SCHEMA,
        "experiment": row.id,
        "profile": "authors",
        "protocol": protocol.name,
        "seed": 0,
        **measured,
        "run_card": card
        | {
            "weights": name,
            "weights_hash": weights_hash,
            "protocol_options": options(protocol),
            "fingerprint": key,
            "note": f"Published weights, evaluated here on {len(source.names)} test images.",
        },
    }
    path = result_path(results, "authors", place_of_data, protocol.name, row.id, 0)
    with locked(path.with_name(f".{path.name}.lock"), row.id):
        write_json(path, content)
    return path


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
