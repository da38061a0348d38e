"""PSNR, SSIM in its two forms, kernel PSNR."""

import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from csbsr.metrics import kernel_psnr, psnr, ssim, ssim_standard
from csbsr.metrics.plain import plain_ssim


def images(seed: int = 0, size: tuple[int, int] = (40, 56)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = F.avg_pool2d(torch.rand(2, 3, *size, generator=generator), 3, 1, 1)
    y = (x + 0.05 * torch.randn(x.shape, generator=generator)).clamp(0, 1)
    return x, y


def test_ssim_equals_the_plain_convolution() -> None:
    x, y = images()
    assert ssim(x, y).shape == (2,)
    torch.testing.assert_close(ssim(x, y), plain_ssim(x.double(), y.double()), atol=1e-6, rtol=0)
    torch.testing.assert_close(ssim(x, y).float(), plain_ssim(x, y), atol=1e-6, rtol=0)


def test_ssim_bounds_and_layouts() -> None:
    x, y = images(1)
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=torch.float64))
    turned = ssim(x.transpose(2, 3), y.transpose(2, 3))
    torch.testing.assert_close(turned, ssim(x, y), atol=1e-12, rtol=0)
    assert ssim(x[..., :4, :4].requires_grad_(), y[..., :4, :4]).isfinite().all()


def test_standard_ssim_is_the_inner_part_of_the_released_one() -> None:
    pytest.importorskip("torchmetrics")
    x, y = images(2)
    standard, released = ssim_standard(x, y), ssim(x, y)
    assert standard.shape == (2,)
    assert ((standard - released).abs() < 0.05).all()
    assert (standard != released).all()


def test_standard_ssim_names_the_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(ImportError, match="pip install torchmetrics"):
        ssim_standard(*images())


def test_psnr_by_hand() -> None:
    x = torch.zeros(2, 3, 4, 4)
    y = torch.stack([torch.full((3, 4, 4), 0.1), torch.zeros(3, 4, 4)])
    values = psnr(x, y)
    assert values[0] == pytest.approx(20.0, abs=1e-5)
    assert values[1] == torch.inf


def test_kernel_psnr_of_an_empty_estimate_is_already_high() -> None:
    kernel = torch.zeros(1, 1, 21, 21)
    kernel[..., 8:13, 8:13] = 1 / 25
    expected = -10 * np.log10(25 / 25**2 / 441)
    assert kernel_psnr(torch.zeros_like(kernel), kernel).item() == pytest.approx(expected)
    assert expected > 40


def test_bad_images() -> None:
    x, y = images()
    for measure in (psnr, ssim, ssim_standard):
        with pytest.raises(ValueError, match="differ in shape"):
            measure(x, y[..., 1:])
        with pytest.raises(ValueError, match="pass a batch"):
            measure(x[0], y[0])


@pytest.mark.golden
def test_golden_images(golden) -> None:
    _, arrays, _ = golden("metrics")
    x, y = torch.as_tensor(arrays["x"]), torch.as_tensor(arrays["y"])
    np.testing.assert_allclose(psnr(x, y), arrays["psnr"], atol=1e-4)
    np.testing.assert_allclose(ssim(x, y), arrays["ssim"], atol=1e-6)
