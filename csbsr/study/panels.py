"""Small pictures of what a trained model makes of fixed synthetic cracks, kept beside its result.

Pictures in the book come from synthetic cracks only: real images may be measured, not published.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import degrade, kernel_for_image
from csbsr.evaluation import predict
from csbsr.protocol import Protocol
from csbsr.study.profiles import Profile

COUNT = 12
SEED = 9
SIDE = 224
"""Panels show at most this many pixels a side, from the middle of the image."""


@dataclass(frozen=True)
class Panel:
    """One image as seen by one model; all uint8, (H, W, 3) or (H, W)."""

    name: str
    hr: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    lr: NDArray[np.uint8]
    sr: NDArray[np.uint8] | None = None
    prob: NDArray[np.uint8] | None = None


def panel_source(profile: Profile) -> SyntheticCracks:
    """The images that every panel shows: seed 9, the first twelve."""
    return SyntheticCracks(COUNT, profile.images.synthetic_size, seed=SEED, split="test")


def _middle(array: NDArray, side: int) -> NDArray:
    top, left = ((n - side) // 2 for n in array.shape[:2])
    return array[top : top + side, left : left + side]


def _bytes(image: torch.Tensor) -> NDArray[np.uint8]:
    return (image.clamp(0, 1) * 255).round().byte().cpu().permute(1, 2, 0).numpy()


def save_panels(
    path: Path, model: nn.Module, profile: Profile, protocol: Protocol, device: torch.device
) -> None:
    """Write SR images and probability maps of the panel images as one small JPEG strip.

    Upper row: SR images (black without an SR network); lower row: probabilities in grey.
    """
    source = panel_source(profile)
    side = min(SIDE, profile.images.synthetic_size)
    strip = np.zeros((2 * side, COUNT * side, 3), np.uint8)
    for i, name in enumerate(source.names):
        image, _ = source.load(i)
        hr = torch.from_numpy(image)[None].to(device).float() / 255
        kernel = kernel_for_image(profile.kernel_seed, name, protocol)[None].to(device)
        out = predict(model, hr, kernel, protocol)
        column = slice(i * side, (i + 1) * side)
        if out.sr is not None:
            strip[:side, column] = _middle(_bytes(out.sr[0]), side)
        strip[side:, column] = _middle(_bytes(out.prob[0]), side)  # grey to three channels
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        Image.fromarray(strip).save(temporary, "JPEG", quality=80)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_panels(path: Path | None, profile: Profile, protocol: Protocol) -> list[Panel]:
    """The panel images with what a model made of them, or without when `path` is None."""
    source = panel_source(profile)
    side = min(SIDE, profile.images.synthetic_size)
    strip = None if path is None else np.asarray(Image.open(path).convert("RGB"))
    panels = []
    for i, name in enumerate(source.names):
        image, mask = source.load(i)
        hr = torch.from_numpy(image)[None].float() / 255
        kernel = kernel_for_image(profile.kernel_seed, name, protocol)[None]
        lr = degrade(hr, kernel, protocol, test=True)
        column = slice(i * side, (i + 1) * side)
        panels.append(
            Panel(
                name=name,
                hr=_middle(image.transpose(1, 2, 0), side),
                mask=_middle(mask[0].astype(np.uint8) * 255, side),
                lr=_middle(_bytes(lr[0]), side // 4),
                sr=None if strip is None else strip[:side, column],
                prob=None if strip is None else strip[side:, column, 0],
            )
        )
    return panels
