"""A trained model as one file: weights and all that says what they are, in `.safetensors`.

The header holds one JSON text: architecture, protocol, run card, threshold and licence. Nothing
in such a file is ever executed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from csbsr.files import replacing
from csbsr.networks.architecture import Architecture, build_model
from csbsr.protocol import Protocol
from csbsr.toml import build

FORMAT = "csbsr-model-1"
SUFFIX = ".safetensors"
FILE_NAME = f"model{SUFFIX}"
"""What a finished run calls its model."""
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64)
"""What weights may be stored as; networks compute in float32."""
SHOWN = 8
"""How many names of each kind an error lists before it counts the rest."""
_KEY = "csbsr"  # one entry of the header, because the order of several is not defined


@dataclass(frozen=True)
class Threshold:
    """The probability above which a pixel is a crack, and the images it was chosen on."""

    value: float
    chosen_on: Literal["validation", "test"]

    def __post_init__(self) -> None:
        if not 0 < self.value < 1:
            raise ValueError(f"threshold {self.value} must lie between 0 and 1")


@dataclass(frozen=True)
class ModelHeader:
    """What a model file says about its weights."""

    architecture: Architecture
    protocol: Protocol
    """The protocol that the weights were trained under, and are evaluated under."""
    run_card: dict[str, object]
    """For a run of ours experiment, profile, seed, data, commit ...; for published weights
    `released`, the name of the authors' network, and where it came from."""
    threshold: Threshold | None
    """None where none was chosen."""
    licence: str

    @property
    def experiment(self) -> str | None:
        """Id of the experiment that trained the weights; None for published ones."""
        return self.run_card.get("experiment")

    @property
    def released(self) -> str | None:
        """Name of the authors' network; None for weights of ours."""
        return self.run_card.get("released")


@dataclass(frozen=True)
class LoadedModel(ModelHeader):
    """A model file in memory."""

    module: nn.Module
    """In eval mode on the CPU; takes an LR image (B, 3, h, w) in [0, 1] as `Joint` does."""
    sha256: str
    """Hash of the whole file."""


def save_model(
    path: Path,
    model: nn.Module,
    *,
    architecture: Architecture,
    protocol: Protocol,
    run_card: Mapping[str, object],
    threshold: Threshold | None,
    licence: str,
) -> str:
    """Write a model file, whole or not at all; returns its SHA-256.

    The same model and card give the same bytes. ValueError for weights that are not finite or do
    not fit the architecture; OSError, with nothing half-written left, when it cannot be written.
    """
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    _check_values(weights, f"the model for {path}")
    check_weights(architecture, weights)
    text = json.dumps(
        {
            "format": FORMAT,
            "architecture": architecture.to_dict(),
            "protocol": {k: v for k, v in asdict(protocol).items() if v is not None},
            "run_card": dict(run_card),
            "threshold": asdict(threshold) if threshold else None,
            "licence": licence,
        },
        allow_nan=False,
    )
    # Cloned, because networks may hold one tensor under two names.
    copies = {k: v.clone(memory_format=torch.contiguous_format) for k, v in weights.items()}
    content = save(copies, {_KEY: text})
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load_model(path: Path) -> LoadedModel:
    """Read a model file that a run or `csbsr weights import` left, or the one in a run's folder.

    ValueError, one line, says what is wrong with a file that is absent, damaged, of another kind
    or version, whose weights are not finite or do not fit the architecture beside them.
    """
    path = Path(path)
    header = read_header(path)
    path = _file_of(path)
    with safe_open(path, "pt", device="cpu") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    _check_values(weights, f"model {path}")
    try:
        module = with_weights(header.architecture, weights)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f"model {path}: {_line(error)}") from error
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return LoadedModel(**vars(header), module=module, sha256=sha256)


def read_header(path: Path) -> ModelHeader:
    """What a model file says of its weights, without reading them; ValueError as `load_model`."""
    path = _file_of(Path(path))
    try:
        with safe_open(path, "pt", device="cpu") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"model {path} {_what_else(path)} ({_line(error)})") from error
    if _KEY not in metadata:
        raise ValueError(
            f"model {path} holds weights but no header of csbsr; it is not one of ours"
        )
    try:
        table = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"model {path}: its header is no JSON; get it again") from error
    version = table.get("format") if isinstance(table, dict) else None
    if version != FORMAT:
        raise ValueError(
            f"model {path} has format {version!r:.40}, this csbsr reads {FORMAT}; use the version "
            "of csbsr that wrote it"
        )
    try:
        return _header(table)
    except ValueError as error:
        raise ValueError(f"model {path}: its header does not fit: {_line(error)}") from error


def _header(table: dict) -> ModelHeader:
    for name, kind in (("architecture", dict), ("protocol", dict), ("run_card", dict)):
        if not isinstance(table.get(name), kind):
            raise ValueError(f"no {name}")
    if not isinstance(table.get("licence"), str):
        raise ValueError("no licence")
    threshold, card = table.get("threshold"), table["run_card"]
    if threshold is not None and not isinstance(threshold, dict):
        raise ValueError("threshold is no table")
    for name, kind in (
        ("experiment", str),
        ("released", str),
        ("profile", str),
        ("data", str),
        ("seed", int),
    ):
        if type(card.get(name)) not in (kind, type(None)):
            raise ValueError(f"run_card: {name} is {card[name]!r:.40}")
    if ("experiment" in card) == ("released" in card):
        raise ValueError("run_card: it must name an experiment or a released network")
    return ModelHeader(
        architecture=Architecture.from_dict(table["architecture"]),
        protocol=build(Protocol, table["protocol"], "protocol"),
        run_card=card,
        threshold=None if threshold is None else build(Threshold, threshold, "threshold"),
        licence=table["licence"],
    )


def _file_of(path: Path) -> Path:
    """The file itself, or the model in the folder of a finished run."""
    if path.is_dir():
        path = path / FILE_NAME
        if not path.exists():
            raise ValueError(f"folder {path.parent} holds no {FILE_NAME}; its run is not finished")
    if not path.exists():
        raise ValueError(f"model {path} does not exist")
    if not path.is_file():
        raise ValueError(f"model {path} is no regular file")
    return path


def _what_else(path: Path) -> str:
    """What a file is that cannot be read as `.safetensors`: a size of 8 bytes, then JSON."""
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return "is empty; get it again"
    if head[8:9] == b"{":
        return "is damaged; get it again"
    if head.lstrip().startswith(b"<"):
        return "is a web page, not the file; download it again"
    if head.startswith((b"PK", b"\x80")):
        return "is a PyTorch file; convert a published one with `csbsr weights import`"
    return "is no model file"


def _check_values(weights: Mapping[str, Tensor], what: str) -> None:
    for name, value in weights.items():
        if value.dtype not in DTYPES:
            raise ValueError(f"{what}: {name} is of type {value.dtype}, which no network here has")
    bad = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise ValueError(f"{what}: {bad[0]}{more} hold NaN or infinity; such weights are of no use")


def _line(error: BaseException) -> str:
    """An error as one line of a readable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]} ..."


def check_weights(architecture: Architecture, weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError, one line, unless names and shapes are those of the architecture.

    Takes no memory, however large the architecture says it is.
    """
    with torch.device("meta"):
        expected = build_model(architecture).state_dict()
    problems = {
        "missing": [name for name in expected if name not in weights],
        "left over": [name for name in weights if name not in expected],
        "of another shape": [
            f"{name} {tuple(weights[name].shape)} instead of {tuple(value.shape)}"
            for name, value in expected.items()
            if name in weights and weights[name].shape != value.shape
        ],
    }
    if any(problems.values()):
        found = (f"{what}: {_listed(names)}" for what, names in problems.items() if names)
        raise ValueError(f"the weights do not fit the architecture ({'; '.join(found)})")


def with_weights(architecture: Architecture, weights: Mapping[str, Tensor]) -> nn.Module:
    """The model with exactly these weights, in eval mode on the CPU; checked as `check_weights`.

    Always a new model with its weights in torch's own layout, so that the same weights give the
    same bits, whether they come from a training (channels last, shared over processes) or a file.
    The global random generator is left as it was.
    """
    check_weights(architecture, weights)
    with torch.random.fork_rng(devices=[]):
        model = build_model(architecture)
    model.load_state_dict(weights)
    return model.eval()


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
