"""New data folders made of old ones: converted, split by photograph, or degraded."""

import csv
import hashlib
import io
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from csbsr.data.cracks import CrackFolder
from csbsr.data.groups import photo_group
from csbsr.data.layouts import Pair, find_pairs
from csbsr.data.masks import WHITE_ON_BLACK, MaskRule
from csbsr.data.photos import is_turned, read_photo
from csbsr.degradation import degrade, kernel_for_image
from csbsr.files import new_folder
from csbsr.protocol import Protocol

COPIED = (".png", ".jpg", ".jpeg")
"""Images that are taken over byte by byte; others become PNG."""


def convert(source: Path, output: Path, rule: MaskRule = WHITE_ON_BLACK) -> tuple[str, Counter]:
    """Write a data set of any known layout as OUTPUT/{train,val,test}/{images,masks}.

    Returns the layout and the number of images per split. The folder appears when everything went
    well. ValueError for an unknown layout, an output that is there, and what `read_mask` refuses.
    """
    layout, pairs = find_pairs(source)
    with new_folder(output) as folder:
        for pair in pairs:
            _write_pair(folder, pair, pair.split, rule)
    return layout, Counter(pair.split for pair in pairs)


def split(
    source: Path, output: Path, test_share: float = 0.15, rule: MaskRule = WHITE_ON_BLACK
) -> Counter:
    """Write all images of a data set anew in two splits such that no photograph is in both.

    Photographs are told by their names (`photo_group`) and drawn by a hash of them, so the split
    does not change when images are added. ValueError as for `convert`.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"share of test images {test_share} must lie between 0 and 1")
    _, pairs = find_pairs(source)
    counts: Counter = Counter()
    with new_folder(output) as folder:
        for pair in pairs:
            drawn = hashlib.sha256(photo_group(pair.name).encode()).digest()[:8]
            part = "test" if int.from_bytes(drawn, "big") < test_share * 2**64 else "train"
            _write_pair(folder, pair, part, rule)
            counts[part] += 1
    return counts


def degrade_folder(source: CrackFolder, output: Path, protocol: Protocol, seed: int = 5) -> int:
    """Write the degraded test set of a folder: LR images, HR masks, kernels and a manifest.

    OUTPUT/lr/*.png (8 bit), masks/*.png, kernels.npz (name -> 21 x 21) and manifest.csv with the
    SHA-256 of every LR image's pixels. The kernel of an image is a function of seed and name
    (`kernel_for_image`), so the set is the same everywhere. Returns the number of images.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed {seed} must lie between 0 and {2**32 - 1}")
    rows, kernels = [], {}
    with new_folder(output) as folder:
        for kind in ("lr", "masks"):
            (folder / kind).mkdir()
        for i, name in enumerate(source.names):
            image, mask = source.load(i)
            kernel = kernel_for_image(seed, name, protocol)  # (1, 21, 21)
            hr = torch.from_numpy(image.copy())[None].float() / 255
            lr = degrade(hr, kernel[None], protocol, test=True)[0].clamp(0, 1)
            pixels = (lr * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(pixels).save(folder / "lr" / f"{name}.png")
            Image.fromarray(mask[0]).save(folder / "masks" / f"{name}.png")
            kernels[name] = kernel[0].numpy()
            digest = hashlib.sha256(pixels.tobytes()).hexdigest()
            rows.append((name, *pixels.shape[:2], seed, protocol.name, digest))
        np.savez_compressed(folder / "kernels.npz", **kernels)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("name", "height", "width", "seed", "protocol", "sha256"))
        writer.writerows(rows)
        (folder / "manifest.csv").write_text(text.getvalue(), encoding="utf-8")
    return len(rows)


def _write_pair(folder: Path, pair: Pair, part: str, rule: MaskRule) -> None:
    images, masks = folder / part / "images", folder / part / "masks"
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    mask_file = masks / f"{pair.name}.png"
    if mask_file.exists():
        raise ValueError(f"two images are called {pair.name} ({pair.image}); rename one")
    mask, photo = pair.mask(rule), read_photo(pair.image)
    if photo.pixels.shape[:2] != mask.shape:
        raise ValueError(
            f"the mask of {pair.image} is {mask.shape[1]}x{mask.shape[0]}, the image "
            f"{photo.pixels.shape[1]}x{photo.pixels.shape[0]}; make them of one size"
        )
    if pair.image.suffix.lower() in COPIED and not is_turned(pair.image) and not photo.notes:
        shutil.copyfile(pair.image, images / f"{pair.name}{pair.image.suffix.lower()}")
    else:
        Image.fromarray(photo.pixels).save(images / f"{pair.name}.png")
    Image.fromarray(mask).save(mask_file)
