"""The work behind a training step: floating-point operations by network, and peak memory.

Counted on the step itself, forward, loss and backward, with tensors that have shapes and no
values: a network of the paper's size is counted in seconds and needs no memory. What was counted
once is in `work.json`, under a hash of everything that decides it; the rest is counted when it is
asked for.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from csbsr.networks.architecture import Architecture, build_model, join
from csbsr.protocol import Protocol
from csbsr.study.digest import code_closure, digest
from csbsr.study.experiments import Experiment
from csbsr.study.models import architecture_of
from csbsr.study.profiles import Profile
from csbsr.study.recipe import BUILDERS, network_modules, options
from csbsr.study.steps import TrainingStep, steps_of
from csbsr.training.config import StepConfig
from csbsr.training.objective import Images, Objective
from csbsr.training.parts import Phase, phase_at, set_learning
from csbsr.training.waits import take_forms_of_a_gpu

TEST_SIZE = 448
"""Side of a test image in pixels (Sec. IV-A), and of a training image that is not cropped."""
KERNEL_SIDE = 21
VALUE = 4
"""Bytes of a weight, a gradient or an activation in fp32; bf16 needs at most as many."""
FROZEN, LEARNING = VALUE, 4 * VALUE
"""Bytes per weight: itself; and with it its gradient and Adam's two moments."""


@dataclass(frozen=True)
class Work:
    """What some computation takes."""

    tflop: Mapping[str, float]
    """Tera floating-point operations by network: convolutions and matrix products, two for each
    multiply-add."""
    gib: float
    """Weights, gradients, Adam's moments and what is kept for the backward pass; workspaces and
    fragments of the allocator come on top."""


def step_work(row: Experiment, step: TrainingStep, profile: Profile, protocol: Protocol) -> Work:
    """The work of a whole training step over all its iterations and phases. Sec. III-E."""
    architecture = _learning_part(row, step, profile, protocol)
    config = step.config
    total: dict[str, float] = {}
    peak, done = 0.0, 0
    while done < config.iterations:
        phase, end = phase_at(config, done)
        counted = _known(architecture, _what_counts(config), protocol, phase)
        for name, tflop in counted.tflop.items():
            total[name] = total.get(name, 0.0) + (end - done) * tflop
        peak, done = max(peak, counted.gib), end
    return Work(total, peak)


def image_work(row: Experiment, profile: Profile, protocol: Protocol) -> Work:
    """The work of one test image of 448 x 448 pixels: the forward pass alone."""
    return _known(architecture_of(row, profile, protocol), None, protocol, "all")


def _learning_part(
    row: Experiment, step: TrainingStep, profile: Profile, protocol: Protocol
) -> Architecture:
    """The networks that take part in a step: shared steps have one of the two alone."""
    architecture = architecture_of(row, profile, protocol)
    if step.config.train in ("sr", "kernel"):
        return replace(architecture, segmentation=None, blur_skip=None)
    if step.name == "warm_start" and row.sr != "dsrl":
        return Architecture(None, architecture.segmentation, reads="hr")
    return architecture


def _what_counts(config: StepConfig) -> StepConfig:
    """One iteration of a step without what changes values and no sizes."""
    return StepConfig(
        iterations=1,
        batch=config.batch,
        crop=config.crop,
        train=config.train,
        detach=config.detach,
        sr_loss=config.sr_loss,
    )


def key_of(
    architecture: Architecture, config: StepConfig | None, protocol: Protocol, phase: Phase
) -> str:
    """Hash of all that decides a count: networks, step, protocol and code."""
    code = code_closure(
        [*network_modules(architecture), "csbsr.training.objective"],
        [*BUILDERS, "csbsr.training.parts"],
    )
    step = config and config.identity()
    return digest([architecture, step, options(protocol), phase, code])


@cache
def _file() -> dict[str, dict]:
    """The counts that come with the package; none where the file cannot be read."""
    try:
        content = json.loads((files("csbsr.study") / "work.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def _known(
    architecture: Architecture, config: StepConfig | None, protocol: Protocol, phase: Phase
) -> Work:
    found = _file().get(key_of(architecture, config, protocol, phase))
    return Work(**found) if found else count(architecture, config, protocol, phase)


def countable(
    rows: Iterable[Experiment], profile: Profile, protocol: Protocol
) -> Iterator[tuple[Architecture, StepConfig | None, Protocol, Phase]]:
    """The arguments of every count that these experiments need, each once; for `work.json`."""
    seen = set()
    for row in rows:
        asked: list[tuple[Architecture, StepConfig | None, Phase]] = []
        for step in steps_of(row, profile, protocol):
            architecture = _learning_part(row, step, profile, protocol)
            done = 0
            while done < step.config.iterations:
                phase, done = phase_at(step.config, done)
                asked.append((architecture, _what_counts(step.config), phase))
        asked.append((architecture_of(row, profile, protocol), None, "all"))
        for architecture, config, phase in asked:
            if (architecture, config, phase) not in seen:
                seen.add((architecture, config, phase))
                yield architecture, config, protocol, phase


# -- counting ------------------------------------------------------------------------------------


def count(
    architecture: Architecture, config: StepConfig | None, protocol: Protocol, phase: Phase
) -> Work:
    """Count one iteration of a step; without a step, one test image through the networks."""
    mode = FakeTensorMode()
    model = _shapes(architecture, mode)
    if next(model.parameters(), None) is None:  # a threshold reads values, multiplies nothing
        return Work({}, 0.0)
    if config is None:
        with mode, torch.inference_mode(), FlopCounterMode(display=False) as counter:
            side = TEST_SIZE // (4 if architecture.reads == "lr" else 1)
            kernel = torch.empty(1, 1, KERNEL_SIDE, KERNEL_SIDE)
            model.eval()
            model(torch.empty(1, 3, side, side), kernel if model.kernel_source == "true" else None)
        weights = sum(p.numel() for p in model.parameters())
        return Work(_by_network(counter, architecture), weights * FROZEN / 2**30)
    set_learning(model, config, phase)
    size, batch = config.crop or TEST_SIZE, config.batch
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no two have one address

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept.setdefault(storage._cdata, storage)
        return tensor

    with mode, FlopCounterMode(display=False) as counter:
        one = torch.empty(batch, 1, size, size)
        kernel = torch.empty(batch, 1, KERNEL_SIDE, KERNEL_SIDE)
        images = Images(torch.empty(batch, 3, size, size), one, one, kernel)
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            objective = Objective(model, config, protocol)
            loss, _ = objective(images, 0.5, 0.3, phase == "given_kernel")
        loss.backward()
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    activations = sum(s.nbytes() for address, s in kept.items() if address not in weights)
    own = sum(p.numel() * (LEARNING if p.requires_grad else FROZEN) for p in model.parameters())
    return Work(_by_network(counter, architecture), (activations + own) / 2**30)


def _shapes(architecture: Architecture, mode: FakeTensorMode) -> nn.Module:
    """A model whose weights have shapes and no values."""
    with torch.device("meta"):
        if architecture.segmentation is None:
            model = join(architecture, architecture.sr.build(), nn.Identity())
        else:
            model = build_model(architecture)
    with mode:
        for module in model.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                empty = torch.empty(weight.shape, dtype=weight.dtype)
                setattr(module, name, nn.Parameter(empty, requires_grad=weight.requires_grad))
            for name, buffer in list(module.named_buffers(recurse=False)):
                setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))
    take_forms_of_a_gpu(model)  # that of a CPU reads values
    return model


def _by_network(counter: FlopCounterMode, architecture: Architecture) -> dict[str, float]:
    """What was counted, in tera, by the network in which it was; the rest is C's."""
    total = counter.get_total_flops() / 1e12
    found: dict[str, float] = {}
    if architecture.sr is not None:
        alone = architecture.segmentation is None
        found[architecture.sr.network] = total if alone else _of_sr(counter)
    if architecture.segmentation is not None:
        found[architecture.segmentation.network] = total - sum(found.values())
    return {name: tflop for name, tflop in found.items() if tflop > 0}


def _of_sr(counter: FlopCounterMode) -> float:
    """What was counted inside S of a joint model, in tera."""
    counts = counter.get_flop_counts()
    names = ("Objective.model.sr", "Joint.sr")
    return sum(n for name in names for n in counts.get(name, {}).values()) / 1e12
