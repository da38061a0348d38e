"""Evaluation on LR images that are there already, with masks of the HR size (Sec. IV-B).

`csbsr.evaluation` degrades HR images itself. Here nothing is known of how the LR images came to be,
so there is no HR image, no kernel and no PSNR to measure; the masks are four times as large.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from csbsr.data.cracks import MASK_ENDINGS, files_fingerprint, image_files
from csbsr.data.masks import WHITE_ON_BLACK, MaskRule, read_mask
from csbsr.data.photos import picture_size, read_photo

# Shared under its private name: renaming it would make every result that is being computed stale.
from csbsr.evaluation import Evaluation, _measure
from csbsr.metrics import THRESHOLDS
from csbsr.protocol import Protocol

SCALE = 4
FOLDERS = (("lr", "masks"), ("lr_images", "masks"), ("images", "masks"))
"""Names of the folders of LR images and of masks; the first is what `csbsr data degrade` writes."""


class LowResolutionImages:
    """LR images (h, w) with masks (4h, 4w) of one name, sorted by name; nothing is read yet.

    ROOT/lr and ROOT/masks, or `lr_images` or `images` beside `masks`. ValueError for other
    folders, an image without a mask, and a mask that is not four times as large.
    """

    def __init__(self, root: Path, rule: MaskRule = WHITE_ON_BLACK, limit: int = 0) -> None:
        if not root.is_dir():
            raise ValueError(f"folder {root} does not exist; name one with lr/ and masks/")
        pairs = [(root / a, root / b) for a, b in FOLDERS if (root / a).is_dir()]
        if not pairs:
            raise ValueError(f"folder {root} has no lr/; put LR images into it, masks into masks/")
        images, masks = (image_files(folder) for folder in pairs[0])
        if limit and limit < len(images):  # as for other folders: by a hash of the names
            chosen = sorted(images, key=lambda name: hashlib.sha256(name.encode()).digest())
            images = {name: images[name] for name in sorted(chosen[:limit])}
        self.names, self.rule = list(images), rule
        self._files = [(path, _mask_of(name, masks, pairs[0][1])) for name, path in images.items()]
        for image, mask in self._files:
            _check_sizes(image, mask)

    def __len__(self) -> int:
        return len(self.names)

    def load(self, i: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return LR image `i` (3, h, w) and its mask (4h, 4w); ValueError for a bad file."""
        image, mask = self._files[i]
        return read_photo(image).pixels.transpose(2, 0, 1), read_mask(mask, self.rule)

    def fingerprint(self) -> str:
        """Return a SHA-256 over names and contents of all files, and the mask rule."""
        label = f"lr {self.rule}"
        return files_fingerprint(label, tuple(p for pair in self._files for p in pair))


@torch.inference_mode()
def evaluate_lr(
    model: nn.Module,
    source: LowResolutionImages,
    protocol: Protocol,
    *,
    device: torch.device | str = "cpu",
) -> Evaluation:
    """Measure a model on LR images as they are; `psnr`, `ssim` and `kernel_psnr` are None.

    ValueError for a model that reads HR images or needs the true kernel: neither is there.
    """
    if model.reads == "hr" or getattr(model, "kernel_source", "") == "true":
        raise ValueError("this model needs HR images or their true blur; use one that reads LR")
    model = model.to(device).eval()
    limits = np.asarray(THRESHOLDS, np.float64)
    measure = partial(_measure, limits, protocol)
    rows = [
        measure(name, model(lr.to(device)).prob[0, 0].float().cpu().numpy(), mask)
        for name, lr, mask in _images(source)
    ]
    return Evaluation(list(source.names), limits, *map(np.stack, zip(*rows)), None, None, None)


def _images(source: LowResolutionImages) -> Iterator[tuple[str, Tensor, NDArray[np.bool_]]]:
    """Name, LR image (1, 3, h, w) in [0, 1] and mask (4h, 4w) of each image."""
    for i, name in enumerate(source.names):
        image, mask = source.load(i)
        yield name, torch.from_numpy(image.copy())[None].float() / 255, mask


def _mask_of(name: str, masks: dict[str, Path], folder: Path) -> Path:
    found = next((masks[name + end] for end in MASK_ENDINGS if name + end in masks), None)
    if found is None:
        raise ValueError(f"LR image {name} has no mask; add {folder / name}.png")
    return found


def _check_sizes(image: Path, mask: Path) -> None:
    (height, width), size = picture_size(image), picture_size(mask)
    if size != (SCALE * height, SCALE * width):
        raise ValueError(
            f"mask {mask} is {size[1]}x{size[0]}, but four times the LR image {image} is "
            f"{SCALE * width}x{SCALE * height}; take the mask of the HR image"
        )
