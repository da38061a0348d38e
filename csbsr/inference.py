"""Segmentation of photographs of any size: overlapping tiles, blended without seams."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

SCALE = 4


class Segmented(NamedTuple):
    """A segmented photograph (Sec. IV-C); H = 4 h, W = 4 w."""

    prob: Tensor  # (1, H, W) crack probability
    sr: Tensor  # (3, H, W) super-resolved image in [0, 1]
    kernel: Tensor | None  # (1, 21, 21) estimated blur kernel, mean over tiles


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
    (the released script dropped it), and overlaps are blended linearly. ValueError for an image
    that is not (3, h, w) or for an overlap that is not smaller than the tile.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"photograph has shape {tuple(image.shape)}; pass RGB (3, h, w)")
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap {overlap} must be at least 0 and below the tile {tile}")
    model.eval()
    _, h, w = image.shape
    prob = torch.zeros(1, SCALE * h, SCALE * w)
    sr = torch.zeros(3, SCALE * h, SCALE * w)
    weight = torch.zeros(1, SCALE * h, SCALE * w)
    kernels = []
    for top, left in _tiles(h, w, tile, overlap):
        part = image[None, :, top : top + tile, left : left + tile].to(device)
        out = model(part)
        rows = slice(SCALE * top, SCALE * top + out.prob.shape[2])
        columns = slice(SCALE * left, SCALE * left + out.prob.shape[3])
        blend = _window(out.prob.shape[2], out.prob.shape[3], SCALE * overlap)
        prob[:, rows, columns] += blend * out.prob[0].float().cpu()
        sr[:, rows, columns] += blend * out.sr[0].float().clamp(0, 1).cpu()
        weight[:, rows, columns] += blend
        if out.kernel is not None:
            kernels.append(out.kernel[0].float().cpu())
    kernel = torch.stack(kernels).mean(0) if kernels else None
    return Segmented(prob / weight, sr / weight, kernel)
