"""Profiles: how much of an experiment is run, read from TOML and validated.

Three come with the package. One of one's own is a TOML file with the same keys; what was run with
it carries its settings, so that the file need not be at hand to judge or use the result.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from csbsr.protocol import REPRODUCTION, Protocol, protocol_named
from csbsr.toml import build, parse

NAMES = ("smoke", "quick", "paper")
SUFFIX = ".toml"
"""How the name of a file with a profile of one's own ends."""


def _need(good: bool, what: str) -> None:
    if not good:
        raise ValueError(what)


def _within(table: object, least: Mapping[str, float]) -> None:
    """Raise ValueError unless each of these fields is at least so much."""
    for name, low in least.items():
        value = getattr(table, name)
        _need(value >= low, f"'{name}' must be at least {low:g}, not {value}")


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

    def __post_init__(self) -> None:
        counts = ("synthetic_train", "synthetic_test")
        _within(self, dict.fromkeys(counts, 1) | {"train_limit": 0, "test_limit": 0})
        _within(self, {"synthetic_size": 32, "crop": 0, "crop_dsrl": 0})
        for name in ("synthetic_size", "crop", "crop_dsrl"):
            side = getattr(self, name)
            _need(side % 4 == 0, f"'{name}' must be a multiple of 4, not {side}")
            _need(side in (0, *range(32, 8193)), f"'{name}' must lie in 32..8192, not {side}")


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

    def __post_init__(self) -> None:
        numbers = {name: 0 for name, value in vars(self).items() if type(value) is int}
        _within(self, numbers)


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

    def __post_init__(self) -> None:
        _within(self, {"iterations": 0, "batch": 1, "lr_sr": 0, "lr_segmentation": 0, "warmup": 0})
        rates = self.lr_sr + self.lr_segmentation
        _need(rates > 0 or not self.iterations, "a step that is run needs a learning rate above 0")
        share = self.given_kernel
        _need(0 <= share <= 1, f"'given_kernel' must lie in 0..1, not {share}")


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

    def __post_init__(self) -> None:
        _within(self, {"log_every": 1, "checkpoint_every": 1, "kernel_seed": 0})
        _need(
            self.kernel_seed < 2**32, f"'kernel_seed' must be below 2**32, not {self.kernel_seed}"
        )

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
    return _checked(parse(text, where), where)


def _checked(table: Mapping[str, object], where: str) -> Profile:
    profile = build(Profile, table, where)
    for name, value in profile.protocol_changes.items():
        place = f"{where}, [protocol_changes]"
        if name not in REPRODUCTION.options() or name == "name":
            raise ValueError(f"{place}: unknown protocol option '{name}'")
        usual = {k: v for k, v in asdict(REPRODUCTION).items() if v is not None}
        build(Protocol, usual | {name: value}, place)
    return profile


def load_profile(name: str) -> Profile:
    """The profile with this name, or in the TOML file of this name.

    ValueError for an unknown name, and for a file that cannot be read, lacks a key, has one too
    many or one out of range, or whose `name` is taken or no name of a folder.
    """
    if not name.endswith(SUFFIX):
        return _shipped(name)
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"profile {path} is no file; copy one of {', '.join(NAMES)} and change it")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"profile {path} cannot be read ({error})") from error
    profile = parse_profile(text, f"profile {path}")
    own = re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", profile.name)
    if not own or profile.name in (*NAMES, "authors"):
        raise ValueError(
            f"profile {path}: 'name' must be new and of letters a-z, digits, - and _, "
            f"not {profile.name!r:.60}"
        )
    return profile


@cache
def _shipped(name: str) -> Profile:
    if name not in NAMES:
        raise ValueError(
            f"profile '{name}' is unknown; choose one of {', '.join(NAMES)}, or a {SUFFIX} file"
        )
    file = files("csbsr.study") / "profiles" / f"{name}.toml"
    return parse_profile(file.read_text(encoding="utf-8"), f"profile {name}.toml")


def settings_for_card(profile: Profile) -> dict[str, object]:
    """What a run card says of the profile beyond its name: all of it for one of one's own."""
    return {} if profile.name in NAMES else {"profile_settings": asdict(profile)}


def profile_of_card(name: str, card: Mapping[str, object]) -> Profile:
    """The profile of a run, by its name or as the run card holds it; ValueError if it has none."""
    settings = card.get("profile_settings")
    if name in NAMES or not isinstance(settings, Mapping):
        return _shipped(name)
    return _checked(settings, f"profile {name} in the run card")
