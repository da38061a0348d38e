"""The authors' checkpoints in our networks: load by name, strictly, with the authors' key names.

A name is one of `names()`, or "S+C" for a whole model of two, as in "kbpn_kernel7+crackformer".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from csbsr.networks import released_seg, released_sr
from csbsr.networks.architecture import Architecture, BlurSkipConfig, build_segmentation
from csbsr.networks.joint import Joint
from csbsr.networks.released_keys import authors_keys

_BLUR_SKIPS: dict[str, tuple[str, BlurSkipConfig]] = {
    "pspnet_blurskip": ("pspnet", BlurSkipConfig("modified")),
    "pspnet_blurskip_original_sft": ("pspnet", BlurSkipConfig("original")),
}
"""Network with a blur skip -> the network without it, and the skip."""

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
    single = {**released_sr.CONFIGS, **released_seg.CONFIGS, **_BLUR_SKIPS}
    return (*single, *_JOINT)


def architecture_of(name: str) -> Architecture:
    """What builds the released network or model `name`; ValueError if it is unknown."""
    parts = _parts(name)
    sr = next((released_sr.CONFIGS[part] for part in parts if part in released_sr.CONFIGS), None)
    if parts[-1] in released_sr.CONFIGS:
        return Architecture(sr, None)
    segmentation, skip = _BLUR_SKIPS.get(parts[-1], (parts[-1], None))
    reads = "lr" if sr or segmentation.startswith("dsrl") else "hr"
    return Architecture(sr, released_seg.CONFIGS[segmentation], skip, reads=reads)


def load(name: str, state_dict: Mapping[str, Tensor]) -> nn.Module:
    """Return our module of the released network or model `name` with the authors' weights.

    It is in eval mode. Keys are the authors', also behind the prefixes of DataParallel (`module.`),
    torch.compile (`_orig_mod.`), trainers (`model.`) and of the whole model (`sr_model.`,
    `segmentation_model.`, `parallel_model.`). ValueError for an unknown name,
    and for keys that are missing, left over or of another shape, naming them.
    """
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


def _parts(name: str) -> tuple[str, ...]:
    """The single networks that a name stands for, one or S and C; ValueError if it is unknown."""
    if name in _JOINT:
        return _JOINT[name]
    if name in names():
        return (name,)
    sr, _, segmentation = name.partition("+")
    second = {**released_seg.CONFIGS, **_BLUR_SKIPS}.keys() - {"dsrl", "dsrl_x4"}
    if sr in released_sr.CONFIGS and segmentation in second:
        return sr, segmentation
    raise ValueError(
        f"released network '{name}' is unknown; choose from {', '.join(names())}, or a pair such "
        "as kbpn_kernel7+hrnet_w48_ocr"
    )


def _build(name: str) -> _Network:
    """Build our module of a released network and the table of its keys."""
    parts = _parts(name)
    if len(parts) == 2:
        sr, segmentation = map(_build, parts)
        keys = {f"sr_model.{key}": f"sr.{mine}" for key, mine in sr.keys.items()}
        for key, mine in segmentation.keys.items():
            keys[f"segmentation_model.{key}"] = f"segmentation.{mine}"
        return _Network(Joint(sr.module, segmentation.module), keys, wrapper=None)
    architecture = architecture_of(name)
    if architecture.segmentation is None:
        keys = {key: released_sr.rename(name, key) for key in authors_keys(name)}
        return _Network(architecture.sr.build(), keys, wrapper="sr_model")
    if architecture.blur_skip:
        base = _BLUR_SKIPS[name][0]
        keys = {key: _rename_with_skip(base, key) for key in authors_keys(name)}
    else:
        keys = {key: released_seg.rename(name, key) for key in authors_keys(name)}
    wrapper = "parallel_model" if name.startswith("dsrl") else "segmentation_model"
    return _Network(build_segmentation(architecture), keys, wrapper)


def _rename_with_skip(base: str, key: str) -> str:
    prefix = "blur_skip."
    if key.startswith(prefix):
        return prefix + released_sr.rename_blur_skip(key.removeprefix(prefix))
    return released_seg.rename(base, key)


def _bare(key: str, wrapper: str | None) -> str:
    """Strip what DataParallel and torch.compile put in, `model.`, and the whole model's prefix."""
    parts = [part for part in key.split(".") if part not in ("module", "_orig_mod")]
    for front in ("model", wrapper):
        if parts[:1] == [front]:
            parts = parts[1:]
    return ".".join(parts)


def _listed(keys: list[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
