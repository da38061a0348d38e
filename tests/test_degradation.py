"""Eq. (1): parity with the released code, and what must hold for any kernel and image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from devices import DEVICES

from csbsr.data.noise import power_law
from csbsr.degradation import (
    blur,
    degrade,
    delta_kernels,
    downsample,
    gaussian_kernels,
    kernel_for_image,
    quantise,
    random_kernels,
)
from csbsr.protocol import PRINTED, RELEASED
from csbsr.realistic import STRENGTHS, disc_kernel, motion_kernel, realistic
from csbsr.training.waits import no_waiting


def images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).random(shape, dtype=np.float32))


def kernels(n: int, size: int = 21) -> torch.Tensor:
    return random_kernels(n, np.random.default_rng(2), PRINTED, size)


@pytest.mark.golden
def test_kernels_and_lr_equal_the_released_code(golden):
    _, arrays, meta = golden("degradation")
    sigma = torch.tensor(meta["sigma"], dtype=torch.float64)
    theta = torch.deg2rad(torch.tensor(meta["theta_degrees"], dtype=torch.float64))
    size = arrays["kernels"].shape[-1]
    ours = gaussian_kernels(sigma[:, 0], sigma[:, 1], theta, size)
    hr = torch.from_numpy(arrays["hr"]).expand(len(ours), -1, -1, -1)
    torch.testing.assert_close(ours[:, 0].numpy(), arrays["kernels"], rtol=0, atol=1e-6)
    lr = degrade(hr, ours, RELEASED)
    torch.testing.assert_close(lr.numpy(), arrays["lr"], rtol=0, atol=1e-6)


def test_kernels_sum_to_one_and_are_symmetric():
    k = random_kernels(50, np.random.default_rng(0), RELEASED)
    torch.testing.assert_close(k.sum((2, 3)), torch.ones(50, 1))
    torch.testing.assert_close(k, k.flip(2, 3))


def test_one_axis_is_longer_in_the_direction_of_theta():
    flat, upright = gaussian_kernels(
        torch.tensor([3.0, 3.0]), torch.tensor([1.0, 1.0]), torch.tensor([0.0, torch.pi / 2])
    )
    torch.testing.assert_close(flat[0], upright[0].T)
    assert flat[0, 10, 14] > flat[0, 14, 10]


def test_range_is_of_variance_or_of_standard_deviation():
    axis = torch.arange(21.0) - 10
    width = {}
    for protocol in (PRINTED, RELEASED):
        k = random_kernels(400, np.random.default_rng(0), protocol)[:, 0]
        width[protocol.name] = float(((k.sum(1) * axis**2).sum(1)).max())
    assert width["printed"] <= 4.01
    assert width["released"] > 9


def test_test_kernel_depends_on_seed_and_name_alone():
    k = kernel_for_image(3, "CFD_001", PRINTED)
    assert k.shape == (1, 21, 21)
    assert torch.equal(k, kernel_for_image(3, "CFD_001", PRINTED))
    assert not torch.equal(k, kernel_for_image(4, "CFD_001", PRINTED))
    assert not torch.equal(k, kernel_for_image(3, "CFD_002", PRINTED))


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize(("h", "w", "size"), [(40, 56, 21), (33, 47, 7), (21, 12, 21)])
def test_blur_equals_plain_convolution(padding, h, w, size):
    x, k, r = images(3, 3, h, w), kernels(3, size), size // 2
    mode = {"zeros": "constant", "reflect": "reflect"}[padding]
    padded = F.pad(x.double(), (r,) * 4, mode=mode).reshape(1, 9, h + 2 * r, w + 2 * r)
    weights = k.double().expand(-1, 3, -1, -1).reshape(9, 1, size, size)
    plain = F.conv2d(padded, weights, groups=9).reshape(3, 3, h, w).float()
    torch.testing.assert_close(blur(x, k, padding), plain, rtol=0, atol=1e-6)


def test_blur_of_an_asymmetric_kernel_is_a_correlation():
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[..., 1, 2] = 1  # takes the pixel on the right
    x = images(1, 1, 8, 8)
    torch.testing.assert_close(blur(x, kernel)[..., :-1], x[..., 1:], rtol=0, atol=1e-6)


def test_delta_kernel_leaves_the_pure_resize():
    x = images(2, 3, 32, 48)
    torch.testing.assert_close(
        degrade(x, delta_kernels(2), PRINTED), downsample(x), rtol=0, atol=1e-6
    )


def test_constant_image_stays_constant_only_with_reflection():
    x = torch.full((1, 3, 64, 64), 0.7)
    k = gaussian_kernels(torch.tensor([4.0]), torch.tensor([4.0]), torch.tensor([0.0]))
    reflected = degrade(x, k, PRINTED.but(blur_padding="reflect"))
    torch.testing.assert_close(reflected, torch.full_like(reflected, 0.7))
    zeros = degrade(x, k, PRINTED)
    assert zeros[0, 0, 0, 0] < 0.4
    torch.testing.assert_close(zeros[0, 0, 8, 8], torch.tensor(0.7))


def test_antialias_matches_pillow_and_can_be_switched_off():
    from PIL import Image

    x = images(1, 1, 64, 64)
    pillow = Image.fromarray(x[0, 0].numpy()).resize((16, 16), Image.Resampling.BICUBIC)
    torch.testing.assert_close(downsample(x)[0, 0].numpy(), np.array(pillow), rtol=0, atol=1e-5)
    four_taps = downsample(x, antialias=False)
    assert (four_taps - downsample(x)).abs().max() > 0.05
    protocol = PRINTED.but(antialias=False)
    assert torch.allclose(degrade(x, delta_kernels(1), protocol), four_taps, atol=1e-6)


def test_test_images_are_truncated_to_8_bits_in_the_released_protocol():
    x = images(1, 3, 32, 32)
    k = kernels(1)
    lr = degrade(x, k, RELEASED)
    assert torch.equal(degrade(x, k, RELEASED, test=True), quantise(lr))
    assert torch.equal(degrade(x, k, PRINTED, test=True), lr)
    assert torch.equal(
        quantise(torch.tensor([-1.0, 0.999, 2.0])) * 255, torch.tensor([0.0, 254, 255])
    )


def test_gradients_reach_images_and_kernels():
    x = images(2, 1, 12, 16).double().requires_grad_()
    k = kernels(2, 5).double().requires_grad_()
    for padding in ("zeros", "reflect"):
        assert torch.autograd.gradcheck(lambda a, b, p=padding: blur(a, b, p), (x, k))


def test_autocast_does_not_lower_the_precision():
    x, k = images(1, 3, 32, 32), kernels(1)
    with torch.autocast("cpu", torch.bfloat16):
        lr = degrade(x, k, PRINTED)
    assert lr.dtype == torch.float32
    assert torch.equal(lr, degrade(x, k, PRINTED))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: downsample(torch.zeros(1, 3, 30, 32)), "does not divide by 4"),
        (lambda: blur(torch.zeros(2, 3, 32, 32), torch.zeros(1, 1, 21, 21)), "2 images need"),
        (lambda: blur(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 21, 21), "reflect"), "too small"),
        (lambda: kernels(1, 20), "odd"),
        (lambda: gaussian_kernels(torch.zeros(1), torch.ones(1), torch.zeros(1)), "above 0"),
        (lambda: realistic(images(3, 8, 8), "rain", 1, 0, "a", PRINTED), "choose one of motion"),
        (lambda: realistic(images(3, 8, 8), "jpeg", 4, 0, "a", PRINTED), "choose 1, 2 or 3"),
    ],
)
def test_bad_input_is_one_clear_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", list(STRENGTHS))
def test_realistic_degradations_grow_with_strength_and_repeat(kind):
    pattern, other = power_law(np.random.default_rng(0), 96, 1.5)
    hr = torch.from_numpy(np.stack([pattern, other, -pattern])).mul(0.15).add(0.5).clamp(0, 1)
    clean = downsample(hr[None])[0]
    errors = []
    for strength in (1, 2, 3):
        lr = realistic(hr, kind, strength, 0, "wall", PRINTED)
        assert lr.shape == (3, 24, 24)
        assert torch.equal(lr, realistic(hr, kind, strength, 0, "wall", PRINTED))
        torch.testing.assert_close(lr * 255, torch.round(lr * 255))
        errors.append(float((lr - clean).square().mean()))
    assert errors[0] < errors[1] < errors[2]


def test_motion_and_defocus_kernels_sum_to_one_and_are_centred():
    for kernel in (motion_kernel(19, np.random.default_rng(0)), disc_kernel(6)):
        axis = torch.arange(kernel.shape[-1]) - kernel.shape[-1] // 2
        assert kernel.sum() == pytest.approx(1)
        assert abs(float((kernel[0, 0].sum(0) * axis).sum())) < 0.2
        assert abs(float((kernel[0, 0].sum(1) * axis).sum())) < 0.2


@pytest.mark.parametrize("device", DEVICES)
def test_the_device_is_never_waited_for(device):
    x, k = images(2, 3, 64, 64), kernels(2)
    expected = degrade(x, k, PRINTED)
    x, k = x.to(device), k.to(device)
    with no_waiting(torch.device(device)):
        lr = degrade(x, k, PRINTED)
    torch.testing.assert_close(lr.cpu(), expected, rtol=0, atol=2e-6)
