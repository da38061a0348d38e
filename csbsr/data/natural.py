"""Natural images for the pre-training of the SR network (step 1 of Sec. III-E).

The paper uses DIV2K and Flickr2K; any folder of photographs will do.
"""

from pathlib import Path

import numpy as np

from csbsr.data.cracks import files_fingerprint, read_image
from csbsr.data.memory import Memory
from csbsr.data.photos import SUFFIXES, picture_size
from csbsr.data.surfaces import natural_texture

KNOWN_LAYOUTS = ("DIV2K_train_HR", "Flickr2K/Flickr2K_HR", "Flickr2K_HR", "DIV2K/DIV2K_train_HR")
"""Folders looked for below the given one: the layouts in which DIV2K and Flickr2K unpack."""


class NaturalImages:
    """All images of a flat folder, or of a folder that holds DIV2K and Flickr2K.

    Files that are no images (a manifest, say) are passed over; images with a side below
    `min_size` are left out and counted in `skipped`. Raises ValueError when the folder is
    missing, when an image cannot be read, or when nothing is left.
    """

    def __init__(self, root: str | Path, min_size: int | None = None):
        root = Path(root)
        if not root.is_dir():
            raise ValueError(f"folder of natural images {root} does not exist; name another one")
        folders = [root / name for name in KNOWN_LAYOUTS if (root / name).is_dir()] or [root]
        paths = [
            path
            for folder in folders
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        ]
        least = max(min_size or 1, 4)
        self._paths = [path for path in paths if min(picture_size(path)) >= least]
        self.skipped = len(paths) - len(self._paths)
        if not self._paths:
            raise ValueError(
                f"{root} holds no image with sides of at least {least} pixels "
                f"({self.skipped} are smaller); add some or choose a smaller crop"
            )
        self.names = [path.stem for path in self._paths]

    def __len__(self) -> int:
        return len(self.names)

    def load(self, i: int) -> np.ndarray:
        """Return image `i` (3, H, W) uint8; ValueError when the file is damaged."""
        return read_image(self._paths[i])

    def fingerprint(self) -> str:
        """Return a SHA-256 over the names and contents of all images."""
        return files_fingerprint("natural", tuple(self._paths))


class SyntheticNatural:
    """Procedural textures (3, size, size) in place of photographs, a function of (seed, index)."""

    def __init__(self, count: int, size: int = 448, seed: int = 0):
        self.size, self.seed = size, seed
        self.names = [f"natural_{seed}_{i:05d}" for i in range(count)]
        self._memory = Memory(self._generate)

    def __len__(self) -> int:
        return len(self.names)

    def load(self, i: int) -> np.ndarray:
        """Return texture `i` (3, size, size) uint8."""
        return self._memory(range(len(self))[i])

    def fingerprint(self) -> str:
        """Return what the textures depend on."""
        return f"synthetic-natural-1:{len(self)}:{self.size}:{self.seed}"

    def _generate(self, i: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 7, i])
        return natural_texture(rng, self.size)


def open_natural(
    data: str, count: int, size: int, seed: int = 0
) -> NaturalImages | SyntheticNatural:
    """Return the natural images of a folder with sides >= `size`, or `count` synthetic ones."""
    if data == "synthetic":
        return SyntheticNatural(count, size, seed)
    return NaturalImages(data, size)
