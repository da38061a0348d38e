"""Profiles: how much of an experiment is run, read from TOML and validated."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from csbsr.protocol import REPRODUCTION, Protocol, protocol_named
from csbsr.toml import build, parse

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
    crop_dsrl: int
    """The same for DSRL, which sees the LR image only: a crop of it would be a few pixels."""


@dataclass(frozen=True)
class Widths:
    """Sizes of the networks; 0 means the paper's full size."""

    kbpn: int
    kbpn_stages: int
    kernel_head: Literal["released", "log_energy"]
    sft_hidden: int
    """Hidden channels of the SFT layers in KBPN and in the blur skip."""
    dbpn: int
    dbpn_wide: int
    """DBPN as costly as KBPN (a control)."""
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
    dsrl_output_stride: Literal[16, 4]
    """LR side over that of DSRL's deepest features; 16 as published."""
    residual: bool
    """Let every SR network add the bicubic image; narrow ones start from it."""


@dataclass(frozen=True)
class Schedule:
    """Length and rates of one training step (Sec. III-E)."""

    iterations: int
    batch: int
    lr_sr: float
    lr_segmentation: float
    warmup: int = 0
    decay: Literal["constant", "cosine"] = "constant"
    given_kernel: float = 0.0
    """Share of the step in which KBPN is given the true kernel."""


@dataclass(frozen=True)
class Profile:
    """How much is run; `is_result` says whether the numbers mean anything."""

    name: str
    note: str
    cost: str
    is_result: bool
    precision: Literal["fp32", "tf32", "bf16"]
    channels_last: bool
    """Keep images channels last in the networks: faster on a CPU and in bf16, CrackFormer aside."""
    pretrained: bool
    log_every: int
    checkpoint_every: int
    kernel_seed: int
    """Seed of the blur kernels of the test images; the same for every run, so results pair."""
    protocol_changes: dict[str, float | int | str | bool]
    """Protocol options that this size needs changed, each with its reason in the TOML."""
    images: Images
    widths: Widths
    step1: Schedule
    kernel: Schedule
    """Estimation of the blur kernel alone, on top of the SR steps (KBPN); 0 iterations: none."""
    step2: Schedule
    warm_start: Schedule
    """Shared start of the segmentation network on HR crops; 0 iterations: none."""
    step3: Schedule
    blur_skip: Schedule

    def protocol(self, name: str) -> Protocol:
        """The protocol called `name` with this profile's changes, which its name then tells.

        ValueError if unknown.
        """
        base = protocol_named(name.partition("+")[0])
        if not self.protocol_changes:
            return base
        return base.but(name=f"{base.name}+{self.name}", **self.protocol_changes)


def parse_profile(text: str, where: str) -> Profile:
    """Read a profile from TOML text; ValueError with file and key on anything unexpected."""
    profile = build(Profile, parse(text, where), where)
    for name in profile.protocol_changes:
        if name not in REPRODUCTION.options() or name == "name":
            raise ValueError(f"{where}, [protocol_changes]: unknown protocol option '{name}'")
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
