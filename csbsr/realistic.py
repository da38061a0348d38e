"""Degradations that the training never saw, for a quantitative look at Sec. IV-C.

Each kind is applied alone, with the bicubic reduction of Eq. (1) and no Gaussian blur, so that its
effect can be told apart: motion blur and defocus act on the HR image before the reduction; noise,
JPEG and low light act on the LR image, as in a camera. Outputs are 8-bit values, as photographs
are. All randomness is a function of (seed, name).
"""

import io
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from csbsr.degradation import blur, downsample, name_generator
from csbsr.protocol import Protocol

STRENGTHS = MappingProxyType(
    {
        "motion": (9.0, 19.0, 33.0),  # length of the path in HR pixels
        "defocus": (3.0, 6.0, 10.0),  # radius of the disc in HR pixels
        "noise": (0.02, 0.05, 0.1),  # standard deviation of the sensor noise
        "jpeg": (70.0, 40.0, 15.0),  # quality
        "low_light": (0.4, 0.2, 0.08),  # share of the light that is left
    }
)
"""What strength 1, 2, 3 of each kind means."""


def realistic(
    hr: Tensor, kind: str, strength: int, seed: int, name: str, protocol: Protocol, scale: int = 4
) -> Tensor:
    """Return the LR image (3, H / scale, W / scale) of an HR image (3, H, W), in 8-bit steps.

    `kind` is a key of `STRENGTHS`, `strength` 1 (mild) to 3 (strong). Raises ValueError for
    another kind or strength.
    """
    if kind not in STRENGTHS:
        raise ValueError(f"degradation '{kind}' is unknown; choose one of {', '.join(STRENGTHS)}")
    if strength not in (1, 2, 3):
        raise ValueError(f"strength {strength} is unknown; choose 1, 2 or 3")
    amount = STRENGTHS[kind][strength - 1]
    rng = name_generator(seed, name)
    images = hr[None]  # (1, 3, H, W)
    if kind == "motion":
        images = blur(images, motion_kernel(amount, rng).to(hr.device), "reflect")
    elif kind == "defocus":
        images = blur(images, disc_kernel(amount).to(hr.device), "reflect")
    lr = downsample(images, scale, protocol.antialias)[0].clamp(0, 1)  # (3, h, w)
    if kind == "noise":
        lr = lr + amount * _normal(rng, lr)
    elif kind == "low_light":
        lr = low_light(lr, amount, rng)
    lr = torch.round(lr.clamp(0, 1) * 255) / 255
    return jpeg(lr, int(amount)) if kind == "jpeg" else lr


def motion_kernel(length: float, rng: np.random.Generator) -> Tensor:
    """Return the kernel (1, 1, k, k) of a slightly bent path of `length` pixels, sum 1."""
    size = int(length) // 2 * 2 + 5
    at = np.linspace(-0.5, 0.5, 40 * size)
    angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.6, 0.6)
    heading = angle + bend * at
    x, y = np.cumsum(np.cos(heading)), np.cumsum(np.sin(heading))
    x, y = ((v - v.mean()) * length / len(at) + size // 2 for v in (x, y))
    kernel = np.zeros((size, size))
    i, j = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - i, x - j
    for di, wy in ((0, 1 - fy), (1, fy)):
        for dj, wx in ((0, 1 - fx), (1, fx)):
            np.add.at(kernel, (i + di, j + dj), wy * wx)
    return torch.from_numpy(kernel / kernel.sum()).float()[None, None]


def disc_kernel(radius: float) -> Tensor:
    """Return the kernel (1, 1, k, k) of a lens out of focus: an even disc, sum 1."""
    half = int(np.ceil(radius)) + 1
    axis = torch.arange(-half, half + 1, dtype=torch.float64)
    distance = torch.hypot(axis[:, None], axis[None, :])
    kernel = (radius + 0.5 - distance).clamp(0, 1)
    return (kernel / kernel.sum()).float()[None, None]


def low_light(lr: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Keep `share` of the light, with the shot and read noise of a short exposure.

    The values are taken as gamma-coded (2.2); the full exposure holds 2000 electrons per pixel.
    """
    electrons = 2000 * share * lr.clamp(0, 1) ** 2.2
    electrons = electrons + torch.sqrt(electrons + 16) * _normal(rng, lr)
    return (electrons / 2000).clamp(0, 1) ** (1 / 2.2)


def jpeg(lr: Tensor, quality: int) -> Tensor:
    """Return an image (3, h, w) in [0, 1] after a JPEG file of this quality."""
    pixels = torch.round(lr * 255).byte().permute(1, 2, 0).cpu().numpy()  # (h, w, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    decoded = np.array(Image.open(buffer)).transpose(2, 0, 1)  # (3, h, w)
    return torch.from_numpy(decoded).to(lr.device, lr.dtype) / 255


def _normal(rng: np.random.Generator, like: Tensor) -> Tensor:
    return torch.from_numpy(rng.standard_normal(like.shape)).to(like.device, like.dtype)
