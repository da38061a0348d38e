"""Crack images and masks in the Khanhha layout: ROOT/{train,test}/{images,masks}.

An image and its mask share their name without the last suffix (`a.jpg.jpg` has `a.jpg.png`).
Opening a folder reads file headers only; pixels are checked when an image is loaded, or all at
once by `check`. Everything wrong is a ValueError that names the file and how to mend it.
"""

import functools
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
MULTIPLE = 4
"""Sides are cut down to a multiple of the scale of the super-resolution."""


class CrackFolder:
    """Images and masks of one split of a folder in the Khanhha layout; sorted by name.

    `min_size`: smallest side that is accepted (the training crop). `count`: take only so many
    images, chosen by a hash of their names, so that a smaller choice is part of a larger one.
    Raises ValueError for a missing or empty folder, an image without mask or with a mask of
    another size, an unreadable file, and an image smaller than `min_size`.
    """

    def __init__(
        self, root: str | Path, split: str, min_size: int | None = None, count: int | None = None
    ):
        folder = Path(root) / split
        images, masks = image_files(folder / "images"), image_files(folder / "masks")
        for name, path in images.items():
            if name not in masks:
                raise ValueError(f"image {path} has no mask; add {folder / 'masks' / name}.png")
        if count is not None and count < len(images):
            by_hash = sorted(images, key=lambda n: hashlib.sha256(n.encode()).digest())
            images = {n: images[n] for n in sorted(by_hash[:count])}
        self.root, self.split = Path(root), split
        self.names = list(images)
        self._files = [(path, masks[name]) for name, path in images.items()]
        for path, mask in self._files:
            _check_sizes(path, mask, min_size or 1)

    def __len__(self) -> int:
        return len(self.names)

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image `i` (3, H, W) uint8 and its mask (1, H, W) bool, H and W multiples of 4.

        Raises ValueError for damaged files and for a mask that is not binary.
        """
        path, mask_path = self._files[i]
        return read_image(path), read_mask(mask_path)

    def check(self, workers: int = 2) -> None:
        """Load every image and mask once, so that a bad one is found before any work is done."""
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(self.load, range(len(self))):
                pass

    def fingerprint(self) -> str:
        """Return a SHA-256 over split, names and contents of all images and masks."""
        return files_fingerprint(self.split, tuple(p for pair in self._files for p in pair))


def image_files(folder: Path) -> dict[str, Path]:
    """Return the image files of a flat folder by name without the last suffix, sorted.

    Hidden files are passed over. Raises ValueError when the folder is missing or empty, holds
    another kind of file, or two files of the same name.
    """
    if not folder.is_dir():
        raise ValueError(f"data folder {folder} does not exist; create it or name another one")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini"):
            continue
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path} is no image ({', '.join(SUFFIXES)}); move it elsewhere")
        if path.stem in found:
            raise ValueError(f"{path} and {found[path.stem].name} share a name; remove one")
        found[path.stem] = path
    if not found:
        raise ValueError(f"data folder {folder} holds no images; put {', '.join(SUFFIXES)} there")
    return found


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the header; ValueError when the file is no readable image."""
    try:
        with Image.open(path) as file:
            return file.height, file.width
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image; replace or remove it") from error


def read_image(path: Path) -> np.ndarray:
    """Return an image as RGB (3, H, W) uint8, sides cut to multiples of 4 at the end."""
    return _cut(_decode(path, "RGB")).transpose(2, 0, 1)  # (3, H, W)


def read_mask(path: Path) -> np.ndarray:
    """Return a mask (1, H, W) bool: crack where the value is above half of 255.

    Raises ValueError when more than 1 % of the pixels lie between 30 and 225, or when the mask
    counts in 0 and 1 instead of 0 and 255.
    """
    values = _cut(_decode(path, "L"))
    grey = np.count_nonzero((values >= 30) & (values <= 225)) / values.size
    if grey > 0.01:
        raise ValueError(
            f"mask {path} is not binary ({grey:.1%} of its pixels are between 30 and 225); "
            "save it with the values 0 and 255 only"
        )
    if values.max() == 1:
        raise ValueError(f"mask {path} has the values 0 and 1; save it with 0 and 255")
    return (values > 127)[None]  # (1, H, W)


def files_fingerprint(label: str, paths: tuple[Path, ...]) -> str:
    """Return a SHA-256 over a label and the names and contents of files, kept per process."""
    stats = tuple((str(p), (s := p.stat()).st_size, s.st_mtime_ns) for p in paths)
    return _hash_files(label, stats)


@functools.lru_cache(maxsize=16)
def _hash_files(label: str, stats: tuple[tuple[str, int, int], ...]) -> str:
    total = hashlib.sha256(label.encode())
    for path, size, _ in stats:
        content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        total.update(f"{Path(path).name}\0{size}\0{content}\n".encode())
    return total.hexdigest()


def _decode(path: Path, mode: str) -> np.ndarray:
    try:
        with Image.open(path) as file:
            return np.asarray(file.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is damaged or no image; replace or remove it") from error


def _cut(values: np.ndarray) -> np.ndarray:
    h, w = values.shape[0] // MULTIPLE * MULTIPLE, values.shape[1] // MULTIPLE * MULTIPLE
    return values[:h, :w]


def _check_sizes(path: Path, mask: Path, min_size: int) -> None:
    size, mask_size = image_size(path), image_size(mask)
    if size != mask_size:
        raise ValueError(
            f"mask {mask} is {mask_size[1]}x{mask_size[0]} but its image is "
            f"{size[1]}x{size[0]}; resize the mask (nearest neighbour)"
        )
    if min(size) < max(min_size, MULTIPLE):
        raise ValueError(
            f"image {path} is {size[1]}x{size[0]}, smaller than the {max(min_size, MULTIPLE)} "
            "pixels needed; remove it or choose a smaller crop"
        )
