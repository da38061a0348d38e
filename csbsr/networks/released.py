"""The authors' checkpoints in our networks: load by name, strictly, with the authors' key names."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from csbsr.networks import released_seg, released_sr
from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.joint import Joint
from csbsr.networks.released_keys import authors_keys

_BLUR_SKIPS: dict[str, tuple[str, bool]] = {
    "pspnet_blurskip": ("pspnet", True),
    "pspnet_blurskip_original_sft": ("pspnet", False),
}
"""Network with a blur skip -> the network without it, whether the SFT is the modified one."""

_JOINT: dict[str, tuple[str, str]] = {
    "csbsr_pspnet": ("kbpn", "pspnet"),
    "csbsr_pspnet_released": ("kbpn_kernel7", "pspnet"),
    "csbsr_pspnet_blurskip": ("kbpn_kernel7", "pspnet_blurskip"),
}
"""Whole model -> its super-resolution network S, its segmentation network C."""

_SHOWN = 8
"""How many keys of each kind an error lists before it counts the rest."""


@dataclass(frozen=True)
class _Network:
    """One of our modules and, for every key of the authors', without prefixes, ours."""

    module: nn.Module
    keys: dict[str, str]
    wrapper: str | None  # the prefix that the authors' whole model gives to this network


def names() -> tuple[str, ...]:
    """Names of the released networks that `load` knows."""
    single = {**released_sr.BUILDERS, **released_seg.BUILDERS, **_BLUR_SKIPS}
    return (*single, *_JOINT)


def build(name: str) -> nn.Module:
    """Return our module of the released network `name`, untrained; ValueError if unknown."""
    _check_name(name)
    return _build(name).module


def load(name: str, state_dict: Mapping[str, Tensor]) -> nn.Module:
    """Return our module of the released network `name` with the authors' weights, in eval mode.

    Keys are the authors', also behind the prefixes of DataParallel (`module.`) and of the whole
    model (`sr_model.`, `segmentation_model.`, `parallel_model.`). ValueError for an unknown name,
    and for keys that are missing, left over or of another shape, naming them.
    """
    _check_name(name)
    network = _build(name)
    given = {_bare(key, network.wrapper): key for key in state_dict}  # without prefixes: as given
    ours = network.module.state_dict()
    missing = [key for key in network.keys if key not in given]
    kept = {given[key] for key in network.keys if key in given}
    left_over = [key for key in state_dict if key not in kept]
    misshapen = [
        f"{given[key]} {tuple(state_dict[given[key]].shape)} instead of {tuple(ours[mine].shape)}"
        for key, mine in network.keys.items()
        if key in given and state_dict[given[key]].shape != ours[mine].shape
    ]
    problems = {"missing": missing, "left over": left_over, "of another shape": misshapen}
    if any(problems.values()):
        found = "; ".join(f"{what}: {_listed(keys)}" for what, keys in problems.items() if keys)
        raise ValueError(
            f"the state dict is not one of '{name}' ({found}); "
            "check the name, or which file was published under it"
        )
    network.module.load_state_dict(
        {mine: torch.as_tensor(state_dict[given[key]]) for key, mine in network.keys.items()}
    )
    return network.module.eval()


def _check_name(name: str) -> None:
    if name not in names():
        raise ValueError(f"released network '{name}' is unknown; choose from {', '.join(names())}")


def _build(name: str) -> _Network:
    """Build our module of a released network and the table of its keys."""
    if name in _JOINT:
        sr, segmentation = map(_build, _JOINT[name])
        keys = {f"sr_model.{key}": f"sr.{mine}" for key, mine in sr.keys.items()}
        for key, mine in segmentation.keys.items():
            keys[f"segmentation_model.{key}"] = f"segmentation.{mine}"
        return _Network(Joint(sr.module, segmentation.module), keys, wrapper=None)
    if name in _BLUR_SKIPS:
        base, modified = _BLUR_SKIPS[name]
        module = released_seg.BUILDERS[base]()
        module.blur_skip = BlurSkip(module.skip_channels, modified=modified)
        keys = {key: _rename_with_skip(base, key) for key in authors_keys(name)}
        return _Network(module, keys, wrapper="segmentation_model")
    if name in released_sr.BUILDERS:
        keys = {key: released_sr.rename(name, key) for key in authors_keys(name)}
        return _Network(released_sr.BUILDERS[name](), keys, wrapper="sr_model")
    keys = {key: released_seg.rename(name, key) for key in authors_keys(name)}
    wrapper = "parallel_model" if name.startswith("dsrl") else "segmentation_model"
    return _Network(released_seg.BUILDERS[name](), keys, wrapper)


def _rename_with_skip(base: str, key: str) -> str:
    prefix = "blur_skip."
    if key.startswith(prefix):
        return prefix + released_sr.rename_blur_skip(key.removeprefix(prefix))
    return released_seg.rename(base, key)


def _bare(key: str, wrapper: str | None) -> str:
    """Strip `module.`, before and after the whole model's prefix, and the network's own prefix."""
    parts = key.split(".")
    front = [] if parts[0] != "module" else parts[:1]
    parts = parts[len(front) :]
    if parts[0] == wrapper:
        parts = parts[1:]
    elif wrapper is None and parts[1:2] == ["module"]:
        return ".".join(parts[:1] + parts[2:])
    return ".".join(parts[1:] if parts[0] == "module" else parts)


def _listed(keys: list[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
