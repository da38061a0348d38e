"""Does a step wait for its device? Between two log lines it must not: a GPU would stand idle."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from csbsr.networks.blocks import SharedPReLU

READS_A_VALUE = frozenset(
    (
        torch.ops.aten._local_scalar_dense,
        torch.ops.aten.equal,
        torch.ops.aten.is_nonzero,
        torch.ops.aten.masked_select,
        torch.ops.aten.nonzero,
        torch.ops.aten._unique2,
    )
)
"""Operations whose result, or its size, the host must know before it can go on."""


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """Raise RuntimeError where the host would wait for the device.

    On CUDA torch itself watches, copies included. Elsewhere the operations that read a value are
    refused, which finds most of the same places without a GPU.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    else:
        with _Watch():
            yield


def take_forms_of_a_gpu(model: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> None:
    """Let a CPU take what a GPU takes: Adam in one kernel, and torch's own PReLU.

    The forms that a CPU takes by itself read values, which costs nothing there.
    """
    for group in optimiser.param_groups if optimiser else ():
        group["fused"] = True
    for module in model.modules():
        if type(module) is SharedPReLU:
            module.__class__ = nn.PReLU


class _Watch(TorchDispatchMode):
    def __torch_dispatch__(
        self,
        function: OpOverload,
        types: Iterable[type],
        args: tuple = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if function.overloadpacket in READS_A_VALUE:
            raise RuntimeError(f"{function} reads a value: a GPU would be waited for")
        return function(*args, **(kwargs or {}))
