"""Layers that see the whole batch when several processes share it: batch norm and dropout."""

from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.distributed import ranks


def share_layers(model: nn.Module, device: torch.device) -> nn.Module:
    """Make every batch norm and dropout act as if this process saw the batch of all processes.

    On CUDA torch's SyncBatchNorm is used, elsewhere `SharedBatchNorm`. Keys of the state dict do
    not change. Returns the model itself when this process is alone.
    """
    if ranks().world == 1:
        return model
    if device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, SharedBatchNorm.like(child))
            elif type(child) in (nn.Dropout, nn.Dropout2d):
                setattr(module, name, SharedDropout(child))
    return model


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the samples of all processes, on any device (torch's own needs CUDA)."""

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> Self:
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


class SharedDropout(nn.Module):
    """Dropout that draws the mask of the whole batch and keeps the rows of this process.

    All processes seed their generators alike in each iteration (`seed_iteration`), so the mask is
    the one that a single process would draw for the whole batch.
    """

    def __init__(self, dropout: nn.Dropout | nn.Dropout2d) -> None:
        super().__init__()
        self.p = dropout.p
        self.drop = F.dropout2d if isinstance(dropout, nn.Dropout2d) else F.dropout
        self.train(dropout.training)

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements or, as `nn.Dropout2d` does, channels of (B, C, h, w)."""
        if not self.training or not self.p:
            return x
        place, rows = ranks(), len(x)
        # Memory layout and type are those of `x`, because they decide the order of the draws.
        layout = torch.channels_last if _channels_last(x) else torch.contiguous_format
        ones = torch.ones(
            (place.world * rows, *x.shape[1:]), dtype=x.dtype, device=x.device
        ).contiguous(memory_format=layout)
        mask = self.drop(ones, self.p)  # (world B, C, h, w), 0 or 1 / (1 - p)
        return x * mask[place.rank * rows : (place.rank + 1) * rows]


def _channels_last(x: Tensor) -> bool:
    return (
        x.dim() == 4
        and not x.is_contiguous()
        and x.is_contiguous(memory_format=torch.channels_last)
    )


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
