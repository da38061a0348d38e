"""Constant maps: the exact equivalent gives the plain formulation's numbers for less work."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.constant_maps import (
    SFT,
    canvas_of,
    constant_map,
    conv_with_constant,
    expand_canvas,
    kernel_vector,
    mean_of_conv,
)
from csbsr.networks.joint import Joint
from csbsr.networks.kbpn import KBPN
from csbsr.networks.kernel_heads import KernelUpdater
from csbsr.networks.pspnet import PSPNet


def double(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def pair(build) -> tuple[nn.Module, nn.Module]:
    """The same module in exact and in plain form, float64, equal random parameters."""
    torch.manual_seed(0)
    exact = build(False).double()
    plain = build(True).double()
    plain.load_state_dict(exact.state_dict())
    return exact, plain


def run(module: nn.Module, *inputs: torch.Tensor) -> tuple[list, dict]:
    """Outputs, and gradients of a random projection of them, for parameters and inputs."""
    inputs = tuple(x.clone().requires_grad_() for x in inputs)
    outputs = module(*inputs)
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    total = sum((o * double(*o.shape, seed=9)).sum() for o in outputs)
    total.backward()
    gradients = {f"input {i}": x.grad for i, x in enumerate(inputs)}
    gradients |= {name: p.grad for name, p in module.named_parameters()}
    return [o.detach() for o in outputs], gradients


def assert_equal(build, *inputs: torch.Tensor) -> None:
    exact, plain = pair(build)
    (ours, our_gradients), (theirs, their_gradients) = run(exact, *inputs), run(plain, *inputs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() <= 1e-12
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in their_gradients.items():
        scale = gradient.abs().max()
        assert scale > 0, name
        assert (our_gradients[name] - gradient).abs().max() <= 1e-10 * scale, name


# -- the primitives --------------------------------------------------------------------------------


def test_canvas_holds_every_border_class_of_one_convolution():
    canvas = F.conv2d(canvas_of(torch.ones(1, 1), 6, 5, 1), torch.ones(1, 1, 3, 3), padding=1)
    expanded = expand_canvas(canvas, 6, 5)[0, 0]
    rows = torch.tensor([2.0, 3, 3, 3, 3, 2])
    columns = torch.tensor([2.0, 3, 3, 3, 2])
    assert torch.equal(expanded, rows[:, None] * columns)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (3, 5), (4, 4), (5, 6), (9, 11)])
@pytest.mark.parametrize("depth", [1, 2])
def test_canvas_equals_full_size_convolutions(size, depth):
    vector, weights = double(2, 3), [double(3, 3, 3, 3, seed=i) for i in range(depth)]
    full, canvas = constant_map(vector, *size), canvas_of(vector, *size, depth)
    for weight in weights:
        full, canvas = F.conv2d(full, weight, padding=1), F.conv2d(canvas, weight, padding=1)
    torch.testing.assert_close(expand_canvas(canvas, *size), full, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 4), (2, 3), (8, 9)])
def test_conv_with_constant_equals_convolution_of_the_concatenation(size):
    conv = nn.Conv2d(5, 4, 3, padding=1).double()
    features, vector = double(2, 3, *size), double(2, 2, seed=1)
    full = conv(torch.cat((features, constant_map(vector, *size)), 1))
    torch.testing.assert_close(conv_with_constant(features, vector, conv), full, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 9)])
def test_mean_of_conv_needs_no_convolution(size):
    x, weight = double(2, 3, *size), double(4, 3, 3, 3, seed=1)
    full = F.conv2d(x, weight, padding=1).mean((2, 3))
    torch.testing.assert_close(mean_of_conv(x, weight), full, rtol=0, atol=1e-12)


def test_kernel_vector_accepts_every_form_of_a_kernel():
    square = torch.rand(2, 1, 21, 21)
    vector = square.flatten(1)
    for form in (square, vector, vector[:, :, None, None], constant_map(vector, 4, 4)):
        torch.testing.assert_close(kernel_vector(form), vector)
    with pytest.raises(ValueError, match=r"shape \(2, 1, 7, 7\) is not understood"):
        kernel_vector(torch.rand(2, 1, 7, 7))


# -- the modules that use them ---------------------------------------------------------------------


@pytest.mark.parametrize("sees_features", [True, False])
def test_sft(sees_features):
    def build(plain: bool) -> SFT:
        return SFT(
            4, 9, activation=lambda: nn.LeakyReLU(0.1), sees_features=sees_features, plain=plain
        )

    assert_equal(build, double(2, 4, 7, 8), double(2, 9, seed=1))


@pytest.mark.parametrize("side", [7, 21])
def test_kernel_updater(side):
    assert_equal(
        lambda plain: KernelUpdater(side, 4, plain=plain),
        double(2, 3, 9, 12),
        double(2, 441, seed=1),
    )


@pytest.mark.parametrize("modified", [True, False])
def test_blur_skip(modified):
    assert_equal(
        lambda plain: BlurSkip(3, modified=modified, hidden=16, plain=plain),
        double(2, 3, 8, 9),
        double(2, 441, seed=1),
    )


@pytest.mark.parametrize("side", [7, 21])
def test_whole_kbpn(side):
    assert_equal(
        lambda plain: KBPN(8, 2, estimated_kernel=side, updater_width=8, plain=plain),
        double(2, 3, 5, 6).sigmoid(),
    )


# -- how much less work ----------------------------------------------------------------------------


def step_flops(build, *shapes: tuple[int, ...]) -> int:
    """Operations of one training step, forward and backward, counted without computing."""
    with torch.device("meta"):
        module = build()
        inputs = [torch.empty(shape, requires_grad=i == 0) for i, shape in enumerate(shapes)]
        with FlopCounterMode(display=False) as counter:
            output = module(*inputs)
            outputs = [output] if isinstance(output, torch.Tensor) else output
            sum(o.sum() for o in outputs if o is not None).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(("side", "limit"), [(7, 0.66), (21, 0.22)])
def test_training_step_costs_a_fraction(side, limit):
    def build(plain: bool) -> Joint:
        return Joint(KBPN(estimated_kernel=side, plain=plain), PSPNet("resnet34"))

    exact, plain = (step_flops(lambda p=p: build(p), (1, 3, 56, 56)) for p in (False, True))
    assert exact <= limit * plain


@pytest.mark.parametrize("modified", [True, False])
def test_blur_skip_costs_at_most_a_quarter(modified):
    shapes = (1, 64, 224, 224), (1, 441)
    exact, plain = (
        step_flops(lambda p=p: BlurSkip(64, modified=modified, plain=p), *shapes)
        for p in (False, True)
    )
    assert exact <= plain / 4
