"""Segmentation of photographs of any size: overlapping tiles, blended without seams."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

from csbsr.model_file import load_model as load_model  # where readers look for it


class Segmented(NamedTuple):
    """A segmented photograph (Sec. IV-C); H = 4 h, W = 4 w, or h and w without an SR network."""

    prob: Tensor  # (1, H, W) crack probability
    sr: Tensor  # (3, H, W) super-resolved image in [0, 1], or the photograph itself
    kernel: Tensor | None  # (1, 21, 21) estimated blur kernel, mean over tiles


def read_photograph(path: Path) -> Tensor:
    """A photograph as RGB (3, h, w) in [0, 1], whole and upright; ValueError if it is damaged."""
    try:
        with Image.open(path) as file:
            pixels = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    except FileNotFoundError:
        raise ValueError(f"photograph {path} does not exist") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is damaged or no image; replace it") from error
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 255


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Starts of tiles that cover `length` with at least `overlap` pixels in common."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def _tiles(height: int, width: int, tile: int, overlap: int) -> Iterator[tuple[int, int]]:
    for top in tile_starts(height, tile, overlap):
        for left in tile_starts(width, tile, overlap):
            yield top, left


def _window(height: int, width: int, overlap: int) -> Tensor:
    """Blending weights (1, H, W): a ramp of `overlap` pixels at each side, never zero."""

    def ramp(length: int) -> Tensor:
        distance = torch.minimum(torch.arange(length) + 1, length - torch.arange(length))
        return (distance.float() / max(overlap, 1)).clamp(max=1)

    return (ramp(height)[:, None] * ramp(width)[None, :])[None]


@torch.inference_mode()
def segment_photograph(
    model: nn.Module,
    image: Tensor,
    *,
    tile: int = 112,
    overlap: int = 16,
    device: torch.device | str = "cpu",
) -> Segmented:
    """Super-resolve and segment a low-resolution photograph (3, h, w) in [0, 1].

    `tile` and `overlap` are in LR pixels; every pixel belongs to a tile, no remainder is dropped
    (the released script dropped it), and overlaps are blended linearly. The model is put into
    eval mode on `device`. ValueError for an image that is not (3, h, w), is empty or holds NaN,
    and for an overlap that is not smaller than the tile.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"photograph has shape {tuple(image.shape)}; pass RGB (3, h, w)")
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap {overlap} must be at least 0 and below the tile {tile}")
    _, h, w = image.shape
    if not h * w or not torch.isfinite(image).all():
        raise ValueError(
            f"photograph of {w}x{h} pixels is empty or not finite; pass values in 0..1"
        )
    model.to(device).eval()
    sums: Tensor | None = None  # (5, H, W): probability, SR image, blending weight
    kernels = []
    for top, left in _tiles(h, w, tile, overlap):
        part = image[None, :, top : top + tile, left : left + tile].to(device)
        out = model(part)
        height, width = out.prob.shape[2:]
        scale = height // part.shape[2]
        if sums is None:
            sums = torch.zeros(5, scale * h, scale * w)
        blend = _window(height, width, scale * overlap)
        values = torch.cat([out.prob[0].float(), out.sr[0].float().clamp(0, 1)]).cpu()
        rows = slice(scale * top, scale * top + height)
        columns = slice(scale * left, scale * left + width)
        sums[:, rows, columns] += torch.cat([blend * values, blend])
        if out.kernel is not None:
            kernels.append(out.kernel[0].float().cpu())
    kernel = torch.stack(kernels).mean(0) if kernels else None
    means = sums[:4] / sums[4:]
    return Segmented(means[:1], means[1:], kernel)


def overlay(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """An RGB image (H, W, 3) with the pixels of a mask in red."""
    red = image.copy()
    red[mask] = (0.35 * red[mask] + 0.65 * np.array([220, 20, 40])).astype(np.uint8)
    return red
