"""The small pictures inside the diagrams: one synthetic crack in all its forms."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import degrade, gaussian_kernels
from csbsr.protocol import PAPER


class Thumbnails(NamedTuple):
    """One synthetic crack in the forms that the diagrams show; uint8, kernels in [0, 1]."""

    hr: NDArray
    lr: NDArray
    sr: NDArray
    mask: NDArray
    kernel: NDArray


def example_image(index: int = 9) -> tuple[NDArray, NDArray]:
    """Return image (3, 448, 448) and mask (1, 448, 448) of the synthetic crack that is shown."""
    return SyntheticCracks(index + 1, 448, seed=9, split="test").load(index)


@cache
def thumbnails(side: int = 160) -> Thumbnails:
    """Return a window of `example_image`; `sr` is the HR image with a slight blur left in it."""
    image, mask = example_image()
    hr = torch.from_numpy(image)[None].float() / 255
    kernel = gaussian_kernels(torch.tensor([2.0]), torch.tensor([0.7]), torch.tensor([0.6]))
    lr = degrade(hr, kernel, PAPER)
    left = gaussian_kernels(torch.tensor([0.9]), torch.tensor([0.9]), torch.tensor([0.0]))
    sr = degrade(hr, left, PAPER, scale=1)
    places = np.argwhere(mask[0])
    top, start = np.clip(places[len(places) // 2] - side // 2, 0, 448 - side) // 4 * 4

    def window(batch: torch.Tensor, scale: int) -> NDArray:
        rows = slice(top // scale, (top + side) // scale)
        columns = slice(start // scale, (start + side) // scale)
        part = batch[0, :, rows, columns].clamp(0, 1)
        return (part * 255).byte().permute(1, 2, 0).numpy()

    shown = mask[0, top : top + side, start : start + side].astype(np.uint8) * 255
    return Thumbnails(window(hr, 1), window(lr, 4), window(sr, 1), shown, kernel[0, 0].numpy())
