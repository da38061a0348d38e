"""What every loss asks of its inputs: full precision and maps of equal shape."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

EPS = 1e-8
"""Smallest probability whose logarithm is taken; the floor of the released code."""


def full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Let a loss compute in float32 (or float64) inside mixed-precision training.

    bfloat16 keeps 8 bits: a sum over 200,000 pixels and the logarithm of 1 - p need more. The
    decorator promotes half-precision tensors to float32 and switches autocast off, which would
    otherwise turn the matrix products and convolutions inside a loss back to bfloat16.
    """

    @wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        values = [*args, *kwargs.values()]
        device = next(v.device.type for v in values if isinstance(v, Tensor))
        with torch.autocast(device, enabled=False):
            promoted = {name: _promote(value) for name, value in kwargs.items()}
            return loss(*map(_promote, args), **promoted)

    return wrapped


def require_maps(**maps: Tensor) -> None:
    """Raise ValueError unless all maps have one common shape (B, 1, H, W)."""
    shapes = {name: tuple(value.shape) for name, value in maps.items()}
    first = next(iter(shapes.values()))
    if len(first) != 4 or first[1] != 1 or any(shape != first for shape in shapes.values()):
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"maps of one common shape (B, 1, H, W) are needed, got {found}")


def _promote(value: object) -> object:
    """Return half-precision tensors as float32 and everything else as it is."""
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
