"""Several processes of one run under `torchrun`: who am I, equal statistics, shared work."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Ranks:
    """This process's place among the processes of the run."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def writes(self) -> bool:
        """Whether this process writes checkpoints, logs and results (only the first does)."""
        return self.rank == 0


def ranks() -> Ranks:
    """Place of this process as `torchrun` told it; a plain process is alone."""
    read = (
        int(os.environ.get(k, d)) for k, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    return Ranks(*read)


@contextmanager
def process_group(device: str = "cpu") -> Iterator[tuple[Ranks, torch.device]]:
    """Join the group that `torchrun` started (nccl on CUDA, gloo elsewhere); leave it at the end.

    Yields the ranks and the device of this process. Without torchrun nothing is started.
    """
    place = ranks()
    target = torch.device(device)
    if target.type == "cuda" and place.world > 1:
        target = torch.device("cuda", place.local_rank)
        torch.cuda.set_device(target)
    started = place.world > 1 and not dist.is_initialized()
    if started:
        dist.init_process_group("nccl" if target.type == "cuda" else "gloo")
    try:
        yield place, target
    finally:
        if started:
            dist.destroy_process_group()


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Give every batch norm the statistics of the whole batch over all processes.

    On CUDA torch's SyncBatchNorm is used, elsewhere `SharedBatchNorm`. Keys of the state dict do
    not change. Returns the model itself when this process is alone.
    """
    if ranks().world == 1:
        return model
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, SharedBatchNorm.like(child))
    return model


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the samples of all processes, on any device (torch's own needs CUDA)."""

    @classmethod
    def like(cls, norm: nn.Module) -> "SharedBatchNorm":
        """A synchronised twin that shares the parameters and buffers of `norm`."""
        twin = cls(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        twin.weight, twin.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            setattr(twin, name, buffer)
        return twin.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...) per channel."""
        if not self.training or ranks().world == 1:
            return super().forward(x)
        values = x if x.dtype == torch.float64 else x.float()
        axes = [d for d in range(x.dim()) if d != 1]
        count = values.new_full((), values.numel() / values.shape[1])
        count = all_sum(count)
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean = all_sum(values.sum(axes)) / count  # (C,)
        centred = values - mean.view(shape)
        variance = all_sum(centred.square().sum(axes)) / count  # (C,), biased
        if self.track_running_stats:
            with torch.no_grad():
                self.num_batches_tracked += 1
                share = self.momentum or 1 / float(self.num_batches_tracked)
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * count / (count - 1), share)
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(x.dtype)


class _AllSum(torch.autograd.Function):
    """Sum over processes whose gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def all_sum(x: Tensor) -> Tensor:
    """Differentiable sum of a tensor over all processes."""
    return _AllSum.apply(x)


def share(items: Sequence, place: Ranks) -> Sequence:
    """The items that this process works on: every `world`-th one."""
    return items[place.rank :: place.world]


def gather(mine: list, place: Ranks) -> list:
    """Results of all processes in the order of the items that `share` split."""
    if place.world == 1:
        return mine
    parts: list[list] = [[] for _ in range(place.world)]
    dist.all_gather_object(parts, mine)
    whole: list = [None] * sum(map(len, parts))
    for rank, part in enumerate(parts):
        whole[rank :: place.world] = part
    return whole


def everyones(mine: list, place: Ranks) -> list:
    """The lists of all processes, one after the other."""
    if place.world == 1:
        return mine
    parts: list[list] = [[] for _ in range(place.world)]
    dist.all_gather_object(parts, mine)
    return [item for part in parts for item in part]


def agree(value: int, place: Ranks, how: Callable[..., object] = max) -> int:
    """One value for all processes: the largest (`max`) or the smallest (`min`)."""
    if place.world == 1:
        return value
    values: list[int] = [0] * place.world
    dist.all_gather_object(values, value)
    return how(values)


def from_first(value: object, place: Ranks) -> object:
    """The value that the first process has."""
    if place.world == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]
