"""Published checkpoints: read without executing anything, converted strictly, kept as ours."""

import hashlib
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from csbsr.data.masks import WHITE_ON_BLACK, MaskRule
from csbsr.files import locked, write_json
from csbsr.model_file import SUFFIX, LoadedModel, save_model
from csbsr.networks import released, released_sr
from csbsr.networks.architecture import Architecture
from csbsr.networks.dsrl import DSRL
from csbsr.networks.joint import DSRLJoint, Joint
from csbsr.protocol import RELEASED
from csbsr.study.experiments import Experiment, experiment, experiments
from csbsr.study.freshness import imported_fingerprint
from csbsr.study.models import architecture_of
from csbsr.study.profiles import load_profile
from csbsr.study.results import require_writable, result_path
from csbsr.study.trained import measure

LICENCE = "the authors' terms, see https://github.com/Yuki-11/CSBSR; not covered by csbsr's licence"
WRAPPERS = ("state_dict", "model_state_dict", "model", "params_ema", "params")
"""Keys under which trainers keep the state dict, the one to be preferred first."""


def _load(path: Path) -> object:
    """Read a file of tensors; anything that would execute code on loading is refused."""
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist; download it first"
        raise ValueError(f"checkpoint {path} {what}")
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
    """The state dict in what a trainer saved, however often it is wrapped."""
    for _ in range(4):  # not for ever: a pickled dict may hold itself
        inner = [content[key] for key in WRAPPERS if isinstance(content, dict) and key in content]
        content = next((value for value in inner if isinstance(value, dict)), content)
    tensors = isinstance(content, dict) and all(isinstance(v, Tensor) for v in content.values())
    if not tensors or not content:
        raise ValueError(f"checkpoint {path} holds no state dict of tensors")
    for key, value in content.items():
        if not isinstance(key, str):
            raise ValueError(
                f"checkpoint {path} names its tensors by {type(key).__name__} ({key!r:.40}), not "
                "by layers; it is no state dict of a network"
            )
        if value.layout != torch.strided or value.is_quantized or value.is_complex():
            raise ValueError(f"checkpoint {path}: {key} is no plain tensor of real numbers")
        if not torch.isfinite(value).all():
            raise ValueError(
                f"checkpoint {path}: {key} holds NaN or infinity; such weights are of no use"
            )
    return dict(content)


def _whole(name: str, network: nn.Module) -> nn.Module:
    """Give a released network the interface of the joint model."""
    if isinstance(network, Joint):
        return network
    if isinstance(network, DSRL):
        return DSRLJoint(network)
    if name in released_sr.CONFIGS:
        return Joint(network, nn.Identity())
    return Joint(None, network)


def import_checkpoint(file: Path, name: str, output: Path) -> Path:
    """Convert a published checkpoint into a model file, strictly; returns the file written.

    `name` as in `csbsr.networks.released`. ValueError for an unknown name, a file that is damaged
    or needs code execution, weights that are not finite, keys that are missing, left over or of
    another shape, and an output that is the file itself or no regular `.safetensors` file; OSError
    when the output cannot be written. Nothing is written unless everything fits.
    """
    architecture = released.architecture_of(name)
    if output.exists() and file.exists() and output.samefile(file):
        raise ValueError(f"output {output} is the checkpoint itself; give another name")
    if output.suffix != SUFFIX:
        raise ValueError(f"output {output} must end with {SUFFIX}")
    if output.is_symlink() or (output.exists() and not output.is_file()):
        raise ValueError(f"output {output} is there and is no regular file; give another name")
    model = _whole(name, released.load(name, _state_dict(_load(file), file)))
    with file.open("rb") as stream:
        source = hashlib.file_digest(stream, "sha256").hexdigest()
    save_model(
        output,
        model,
        architecture=architecture,
        protocol=RELEASED,
        run_card={"released": name, "source": file.name, "source_sha256": source},
        threshold=None,
        licence=LICENCE,
    )
    return output


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


def _networks(architecture: Architecture) -> tuple[object, ...]:
    """Which networks a model is made of and how it uses them, whatever their sizes."""
    sr, segmentation, skip = architecture.sr, architecture.segmentation, architecture.blur_skip
    return (
        sr and sr.network,
        segmentation and segmentation.network,
        skip and (skip.sft, skip.shuffled),
        (architecture.reads, architecture.kernel_source),
    )


def place_of(model: LoadedModel, name: str | None) -> Experiment:
    """The experiment whose place a published model takes: `name`, or the one that is its own.

    ValueError when it has to be said, and for an experiment of other networks.
    """
    paper = load_profile("paper")

    def fits(row: Experiment) -> bool:
        return _networks(architecture_of(row, paper, RELEASED)) == _networks(model.architecture)

    fitting = [row.id for row in experiments() if fits(row)]
    if not fitting:
        raise ValueError(
            f"no experiment of the paper has the networks of '{model.released}'; "
            "give --output to evaluate it outside the tables"
        )
    choice = f"choose {', '.join(fitting[:6])}{' ...' if len(fitting) > 6 else ''}"
    name = name or EXPERIMENT_OF.get(model.released)
    if name is None:
        raise ValueError(f"whose place does '{model.released}' take? give --experiment; {choice}")
    row = experiment(name)
    if row.id not in fitting:
        raise ValueError(f"'{model.released}' does not fit the place of {row.id}; {choice}")
    return row


def evaluate_in_place(
    model: LoadedModel,
    *,
    experiment_name: str | None,
    data: str,
    results: Path,
    protocol_name: str | None,
    device: torch.device,
    limit: int = 0,
    rule: MaskRule = WHITE_ON_BLACK,
) -> Path:
    """Evaluate a published model in an experiment's place; fills the tables' second column."""
    row = place_of(model, experiment_name)
    require_writable(results)
    content = measure(
        model, data=data, protocol_name=protocol_name, device=device, limit=limit, rule=rule
    )
    card = content["run_card"]
    protocol = load_profile("paper").protocol(content["protocol"])
    facts = (model.released, model.sha256, row.id, protocol, card["data"], card["data_hash"])
    card |= {
        "profile": "authors",
        "weights": model.released,
        "weights_hash": model.sha256,
        "fingerprint": imported_fingerprint(*facts),
    }
    content |= {"experiment": row.id, "profile": "authors"}
    path = result_path(results, "authors", card["data"], protocol.name, row.id, content["seed"])
    with locked(path.with_name(f".{path.name}.lock"), row.id):
        write_json(path, content)
    return path
