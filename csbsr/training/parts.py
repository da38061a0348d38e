"""Which parts of the joint network learn, and when: frozen halves and the phases of KBPN."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn
from torch.nn import Parameter

from csbsr.training.config import StepConfig

Phase = Literal["given_kernel", "kernel_only", "all"]


def phase_at(config: StepConfig, iteration: int) -> tuple[Phase, int]:
    """The phase of an iteration of a step, and the iteration at which it ends."""
    given_until, kernel_only_until = config.kernel_phases
    if iteration < given_until:
        return "given_kernel", min(given_until, config.iterations)
    if iteration < kernel_only_until:
        return "kernel_only", min(kernel_only_until, config.iterations)
    return "all", config.iterations


def learning_modules(model: nn.Module, config: StepConfig) -> list[tuple[str, nn.Module]]:
    """What learns in a step: ("sr" or "segmentation", module); the names choose learning rates.

    Raises ValueError if the model lacks what the step is to train.
    """
    if config.sr_loss == "dsrl":  # one network for both tasks
        return [("segmentation", model)]
    modules = []
    if config.trains_sr:
        network = _need(getattr(model, "sr", None), config, "super-resolution")
        if config.train == "kernel":
            estimator = getattr(network, "kernel_modules", None)
            network = _need(estimator and estimator(), config, "super-resolution (kernel)")
        modules.append(("sr", network))
    if config.trains_segmentation:
        network = _need(getattr(model, "segmentation", None), config, "segmentation")
        if config.train == "blur_skip":
            network = _need(getattr(network, "blur_skip", None), config, "segmentation (blur skip)")
        modules.append(("segmentation", network))
    return modules


def _need(network: nn.Module | None, config: StepConfig, kind: str) -> nn.Module:
    if network is None:
        raise ValueError(
            f"step: train = '{config.train}' needs a {kind} network, which this model lacks; "
            "choose another value of train or another model"
        )
    return network


def set_learning(model: nn.Module, config: StepConfig, phase: Phase) -> None:
    """Let the parts of this step and phase learn and freeze the rest.

    Frozen parts are put into evaluation mode, so that their batch norm and dropout stand still
    (in the released code they go on in training mode).
    """
    model.requires_grad_(False)
    model.eval()
    for _, module in learning_modules(model, config):
        module.requires_grad_(True)
        module.train()
    if phase != "all":
        estimator = {id(p) for p in kernel_parameters(model)}
        for parameter in model.sr.parameters():
            if (id(parameter) in estimator) != (phase == "kernel_only"):
                parameter.requires_grad_(False)


def kernel_parameters(model: nn.Module) -> list[Parameter]:
    """Parameters of KBPN's kernel predictor and updaters; ValueError for networks without them."""
    listed = getattr(getattr(model, "sr", None), "kernel_parameters", None)
    if listed is None:
        raise ValueError(
            "step: kernel_phases need a network that estimates a kernel (KBPN); set them to (0, 0)"
        )
    return list(listed())


def autocast(config: StepConfig, device: torch.device) -> AbstractContextManager:
    """Mixed precision around the networks: bfloat16 where the step asks for it."""
    if config.precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
