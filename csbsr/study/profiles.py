"""Profiles: how much of an experiment is run, read from TOML and validated."""

import tomllib
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_type_hints

from csbsr.protocol import PRINTED, Protocol, protocol_named

NAMES = ("smoke", "quick", "paper")


@dataclass(frozen=True)
class Images:
    """How many images of which size; 0 means all there are, or the whole image for `crop`."""

    synthetic_train: int
    synthetic_test: int
    synthetic_size: int
    """Side of synthetic images in pixels."""
    train_limit: int
    test_limit: int
    crop: int
    """Side of the HR training crop in pixels; 0: as the protocol says."""


@dataclass(frozen=True)
class Widths:
    """Sizes of the networks; 0 means the paper's full size."""

    kbpn: int
    kbpn_stages: int
    kernel_head: Literal["released", "log_energy"]
    sft_hidden: int
    """Hidden channels of the SFT layers in KBPN and in the blur skip."""
    dbpn: int
    dbpn_stages: int
    srcnet: int
    srcnet_groups: int
    srcnet_blocks: int
    pspnet: int
    hrnet: int
    crackformer: int
    unet: int
    segnet: int
    dsrl: int


@dataclass(frozen=True)
class Step:
    """Length and rates of one training step (Sec. III-E)."""

    iterations: int
    batch: int
    lr_sr: float
    lr_segmentation: float
    warmup: int = 0
    decay: Literal["constant", "cosine"] = "constant"
    given_kernel: float = 0.0
    """Share of the step in which KBPN is given the true kernel."""
    kernel_only: float = 0.0
    """Share of the step, after that, in which only the kernel estimator learns."""


@dataclass(frozen=True)
class Profile:
    """How much is run; `is_result` says whether the numbers mean anything."""

    name: str
    note: str
    cost: str
    is_result: bool
    precision: Literal["fp32", "tf32", "bf16"]
    pretrained: bool
    log_every: int
    checkpoint_every: int
    kernel_seed: int
    """Seed of the blur kernels of the test images; the same for every run, so results pair."""
    protocol_changes: dict[str, float | int | str | bool]
    """Protocol options that this size needs changed, each with its reason in the TOML."""
    images: Images
    widths: Widths
    step1: Step
    step2: Step
    warm_start: Step
    """Shared start of the segmentation network on HR crops; 0 iterations: none."""
    step3: Step
    blur_skip: Step

    def protocol(self, name: str) -> Protocol:
        """The protocol called `name` with this profile's changes; ValueError if unknown."""
        return protocol_named(name).but(**self.protocol_changes)


def _build(kind: type, table: dict, where: str) -> object:
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(
            f"{where}: unknown key '{unknown[0]}'; known keys are {', '.join(sorted(known))}"
        )
    values = {}
    for name, value in table.items():
        hint = hints[name]
        if name == "protocol_changes":
            values[name] = _checked_changes(value, where)
        elif is_dataclass(hint):
            values[name] = _build(hint, value, f"{where}, [{name}]")
        elif hint in (int, float, bool, str):
            if isinstance(value, bool) != (hint is bool) or not isinstance(
                value, (int, float) if hint is float else hint
            ):
                raise ValueError(f"{where}: '{name}' must be {hint.__name__}, not {value!r}")
            values[name] = hint(value)
        else:  # a Literal
            if value not in hint.__args__:
                choices = ", ".join(map(str, hint.__args__))
                raise ValueError(f"{where}: '{name}' must be one of {choices}, not {value!r}")
            values[name] = value
    try:
        return kind(**values)
    except TypeError as error:
        missing = str(error).rsplit(":", 1)[-1].strip()
        raise ValueError(f"{where}: missing {missing}") from error


def _checked_changes(table: dict, where: str) -> dict:
    known = PRINTED.options()
    for name in table:
        if name not in known or name == "name":
            raise ValueError(f"{where}, [protocol_changes]: unknown protocol option '{name}'")
    return table


def parse_profile(text: str, where: str) -> Profile:
    """Read a profile from TOML text; ValueError with file and key on anything unexpected."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not TOML ({error})") from error
    profile = _build(Profile, table, where)
    for step in ("step1", "step2", "step3"):
        if getattr(profile, step).batch < 1:
            raise ValueError(f"{where}, [{step}]: batch must be at least 1")
    return profile


@cache
def load_profile(name: str) -> Profile:
    """The profile with this name; ValueError listing the profiles there are otherwise."""
    if name not in NAMES:
        raise ValueError(f"profile '{name}' is unknown; choose one of {', '.join(NAMES)}")
    file = files("csbsr.study") / "profiles" / f"{name}.toml"
    return parse_profile(file.read_text(encoding="utf-8"), f"profile {name}.toml")
