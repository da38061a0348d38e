"""Kernels of our own: values and gradients of the plain forms they stand for."""

import ctypes

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from csbsr.allocator import keep_freed_memory
from csbsr.networks.blocks import SharedPReLU
from csbsr.networks.crackformer import Read


@pytest.mark.parametrize("slope", [0.25, 0.0, 0.01, -0.3, 1.0])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_prelu_equals_torchs(slope: float, layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 5, 7, 9, generator=generator)
    values[0, 0, 0] = 0  # where the slope decides
    upstream = torch.randn(values.shape, generator=generator).to(memory_format=layout)
    results = []
    for ours in (True, False):
        module = SharedPReLU(slope)
        x = values.to(memory_format=layout).requires_grad_()
        y = module(x) if ours else F.prelu(x, module.weight)
        y.backward(upstream)
        results.append((y.detach(), x.grad, module.weight.grad))
    for mine, theirs in zip(*results):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_prelu_computes_no_gradient_that_nobody_wants() -> None:
    frozen = SharedPReLU(0.1).requires_grad_(False)
    x = torch.randn(1, 2, 3, 3, requires_grad=True)
    frozen(x).sum().backward()
    assert frozen.weight.grad is None
    module = SharedPReLU(0.1)
    module(x.detach()).sum().backward()
    assert module.weight.grad is not None
    assert set(module.state_dict()) == {"weight"}


def test_prelu_under_autocast_is_torchs() -> None:
    module, x = SharedPReLU(0.1), torch.randn(1, 2, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        half = x.bfloat16()
        expected = F.prelu(half, module.weight)
        assert module(half).dtype == expected.dtype
        assert torch.equal(module(half), expected)


def plain_read(queries: Tensor, maps: Tensor) -> Tensor:
    return torch.einsum("bhkn,bkvn->bhvn", queries, maps)


def test_read_equals_einsum_in_value_and_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(2, 4, 16, 30, generator=generator, dtype=torch.float64)
    maps = torch.randn(2, 16, 3, 30, generator=generator, dtype=torch.float64)
    upstream = torch.randn(2, 4, 3, 30, generator=generator, dtype=torch.float64)
    results = []
    for function in (Read.apply, plain_read):
        q, m = queries.clone().requires_grad_(), maps.clone().requires_grad_()
        out = function(q, m)
        out.backward(upstream)
        results.append((out.detach(), q.grad, m.grad))
    for mine, theirs in zip(*results):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_memory_is_kept_only_where_there_is_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_freed_memory()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
