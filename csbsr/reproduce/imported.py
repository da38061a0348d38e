"""Published checkpoints: read without executing anything, converted strictly, kept as ours."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from csbsr.networks import released
from csbsr.networks.joint import Joint

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
