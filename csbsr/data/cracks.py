"""Crack images and masks in the Khanhha layout: ROOT/{train,test}/{images,masks}.

An image and its mask share their name without the last suffix (`a.jpg.jpg` has `a.jpg.png`); the
mask may add `_mask`. Opening a folder reads file headers only; pixels are checked when an image is
loaded, or all at once by `check`. Everything wrong is a ValueError that names the file and how to
mend it; what is only doubtful is a note.
"""

import functools
import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from csbsr.data.masks import WHITE_ON_BLACK, MaskRule, read_mask
from csbsr.data.photos import SUFFIXES, is_turned, picture_size, read_photo

MULTIPLE = 4
"""Sides are cut down to a multiple of the scale of the super-resolution."""
MASK_ENDINGS = ("", "_mask", "-mask", "_label", "_gt")
"""What a mask's name may add to its image's."""
PASSED_OVER = ("Thumbs.db", "desktop.ini")
MOSTLY = 0.5
"""Share of crack pixels above which a mask is probably inverted."""


class CrackFolder:
    """Images and masks of one split of a folder in the Khanhha layout; sorted by name.

    `min_size`: smallest side that is accepted (the training crop). `count`: take only so many
    images, chosen by a hash of their names, so that a smaller choice is part of a larger one.
    `rule`: which values of the masks are crack. `notes` says which files were left out.
    Raises ValueError for a missing or empty folder, an image without mask or with a mask of
    another size, an unreadable file, and an image smaller than `min_size`.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        min_size: int | None = None,
        count: int | None = None,
        rule: MaskRule = WHITE_ON_BLACK,
    ):
        folder = split_folder(Path(root), split)
        images, masks = image_files(folder / "images"), image_files(folder / "masks")
        pairs = {name: (path, _mask_of(path, masks, folder)) for name, path in images.items()}
        if count is not None and count < len(images):
            by_hash = sorted(images, key=lambda n: hashlib.sha256(n.encode()).digest())
            pairs = {n: pairs[n] for n in sorted(by_hash[:count])}
        self.root, self.split, self.rule = Path(root), split, rule
        self.names = list(pairs)
        self.notes = tuple(
            f"{path} is no image and was left out"
            for kind in ("images", "masks")
            for path in other_files(folder / kind)
        )
        self._files = list(pairs.values())
        for path, mask in self._files:
            _check_sizes(path, mask, min_size or 1)

    def __len__(self) -> int:
        return len(self.names)

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image `i` (3, H, W) uint8 and its mask (1, H, W) bool, H and W multiples of 4.

        Raises ValueError for damaged files and for a mask that is neither black and white nor
        mapped by the rule.
        """
        image, mask, _ = self._read(i)
        return image, mask

    def check(self, workers: int = 2) -> tuple[str, ...]:
        """Load every image and mask once, so that a bad one is found before any work is done.

        Returns notes on what is doubtful: lost transparency, masks without any crack or with more
        crack than background. ValueError when a file is bad (the first one is named), when no mask
        of a training split has any crack, and when the masks are mostly crack.
        """
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(self._examine, range(len(self))))
        errors = [entry for entry in found if isinstance(entry, ValueError)]
        if errors:
            others = f" ({len(errors) - 1} more files are bad)" if len(errors) > 1 else ""
            raise ValueError(f"{errors[0]}{others}") from errors[0]
        return self.notes + self._doubts([e for e in found if not isinstance(e, ValueError)])

    def fingerprint(self) -> str:
        """Return a SHA-256 over split, names and contents of all files, and the mask rule."""
        label = self.split if self.rule == WHITE_ON_BLACK else f"{self.split} {self.rule}"
        return files_fingerprint(label, tuple(p for pair in self._files for p in pair))

    def image_digests(self) -> dict[str, str]:
        """Return the SHA-256 of each image file's content, by name; kept per process."""
        return dict(zip(self.names, _digests(_stats(tuple(path for path, _ in self._files)))))

    def _read(self, i: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        path, mask_path = self._files[i]
        photo, mask = read_photo(path), read_mask(mask_path, self.rule)
        if photo.pixels.shape[:2] != mask.shape:
            raise ValueError(_sizes_differ(path, photo.pixels.shape[:2], mask_path, mask.shape))
        return _cut(photo.pixels).transpose(2, 0, 1), _cut(mask)[None], photo.notes

    def _examine(self, i: int) -> "_Examined | ValueError":
        try:
            _, mask, notes = self._read(i)
        except ValueError as error:
            return error
        square = mask.shape[1] == mask.shape[2] and is_turned(self._files[i][0])
        turned = ("turned as its EXIF says; its square mask must be upright",) if square else ()
        return _Examined(self.names[i], float(mask.mean()), notes + turned)

    def _doubts(self, found: "list[_Examined]") -> tuple[str, ...]:
        folder, hint = self.root / self.split / "masks", "give --mask-values inverted"
        mean = float(np.mean([e.crack_share for e in found]))
        if mean > MOSTLY:
            raise ValueError(
                f"the masks in {folder} are mostly crack ({mean:.0%} of all pixels), so probably "
                f"inverted; {hint}"
            )
        notes = defaultdict(list)
        for entry in found:
            for note in entry.notes:
                notes[note].append(entry.name)
            if entry.crack_share > MOSTLY:
                notes["more crack than background in the mask"].append(entry.name)
        if mean == 0:
            if self.split == "train":
                raise ValueError(
                    f"none of the {len(found)} masks in {folder} has any crack: there is nothing "
                    "to learn; check the masks, or map their values by --mask-values"
                )
            notes["no crack in any mask, so IoU says little"] = [e.name for e in found]
        return tuple(f"{self.split}: {_named(names)}: {note}" for note, names in notes.items())


class _Examined(NamedTuple):
    name: str
    crack_share: float
    notes: tuple[str, ...]


def check_apart(train: CrackFolder, test: CrackFolder) -> tuple[str, ...]:
    """Return a note when test images are training images, byte by byte.

    ValueError when all of them are: such a test would measure memory. Re-encoded copies are found
    by `csbsr.data.manifest.near_duplicates`.
    """
    known = set(train.image_digests().values())
    same = [name for name, digest in test.image_digests().items() if digest in known]
    if same and len(same) == len(test):
        raise ValueError(
            f"all {len(test)} test images of {test.root} are training images, too; take them out "
            "of one split"
        )
    return (f"test: {_named(same)}: also in the training split",) if same else ()


def split_folder(root: Path, split: str) -> Path:
    """Return ROOT/SPLIT; ValueError that says what is missing of the layout, and what to do."""
    if not root.is_dir():
        missing = "is a file, no folder" if root.is_file() else "does not exist"
        raise ValueError(f"data folder {root} {missing}; name a folder with train/ and test/")
    folder = root / split
    if not folder.is_dir():
        there = ", ".join(sorted(p.name for p in root.iterdir() if p.is_dir())[:4]) or "no folder"
        raise ValueError(
            f"data folder {root} has no {split} split (it holds {there}); put images and masks "
            f"into {folder / 'images'} and {folder / 'masks'}"
        )
    return folder


def image_files(folder: Path) -> dict[str, Path]:
    """Return the image files of a flat folder by name without the last suffix, sorted.

    Other files are passed over (`other_files` names them). Raises ValueError when the folder is
    missing or holds no image, or two files of the same name.
    """
    if not folder.is_dir():
        raise ValueError(f"data folder {folder} does not exist; create it or name another one")
    found: dict[str, Path] = {}
    for path in _visible(folder):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in found:
            raise ValueError(f"{path} and {found[path.stem].name} share a name; remove one")
        found[path.stem] = path
    if not found:
        raise ValueError(f"data folder {folder} holds no images; put {', '.join(SUFFIXES)} there")
    return found


def other_files(folder: Path) -> list[Path]:
    """Return what `image_files` passes over in a folder, hidden files excepted."""
    return [path for path in _visible(folder) if path.suffix.lower() not in SUFFIXES]


def read_image(path: Path) -> np.ndarray:
    """Return an image as RGB (3, H, W) uint8, sides cut to multiples of 4 at the end."""
    return _cut(read_photo(path).pixels).transpose(2, 0, 1)  # (3, H, W)


def files_fingerprint(label: str, paths: tuple[Path, ...]) -> str:
    """Return a SHA-256 over a label and the names and contents of files, kept per process."""
    total = hashlib.sha256(label.encode())
    stats = _stats(paths)
    for (path, size, _), content in zip(stats, _digests(stats)):
        total.update(f"{Path(path).name}\0{size}\0{content}\n".encode())
    return total.hexdigest()


Stats = tuple[tuple[str, int, int], ...]


def _stats(paths: tuple[Path, ...]) -> Stats:
    return tuple((str(p), (s := p.stat()).st_size, s.st_mtime_ns) for p in paths)


@functools.lru_cache(maxsize=16)
def _digests(stats: Stats) -> tuple[str, ...]:
    return tuple(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path, *_ in stats)


def _visible(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in PASSED_OVER
    )


def _mask_of(image: Path, masks: dict[str, Path], folder: Path) -> Path:
    found = [masks[image.stem + end] for end in MASK_ENDINGS if image.stem + end in masks]
    if not found:
        wanted = folder / "masks" / f"{image.stem}.png"
        raise ValueError(f"image {image} has no mask; add {wanted}")
    if len(found) > 1:
        raise ValueError(f"{found[0]} and {found[1].name} are masks of one image; remove one")
    return found[0]


def _cut(values: np.ndarray) -> np.ndarray:
    h, w = values.shape[0] // MULTIPLE * MULTIPLE, values.shape[1] // MULTIPLE * MULTIPLE
    return values[:h, :w]


def _check_sizes(path: Path, mask: Path, min_size: int) -> None:
    size, mask_size = picture_size(path), picture_size(mask)
    if size != mask_size:  # a PNG's EXIF may follow its pixels: only decoding tells
        size = read_photo(path).pixels.shape[:2]
        if size != mask_size:
            raise ValueError(_sizes_differ(path, size, mask, mask_size))
    if min(size) < max(min_size, MULTIPLE):
        raise ValueError(
            f"image {path} is {size[1]}x{size[0]}, smaller than the {max(min_size, MULTIPLE)} "
            "pixels needed; remove it or lower the crop in the profile"
        )


def _sizes_differ(path: Path, size: tuple[int, ...], mask: Path, other: tuple[int, ...]) -> str:
    turned = is_turned(path)
    image = f"{size[1]}x{size[0]}" + (" once it is turned as its EXIF says" if turned else "")
    mend = "resize the mask (nearest neighbour)"
    if size == other[::-1]:
        mend = "turn the mask" + (" as the image" if turned else "")
    return f"mask {mask} is {other[1]}x{other[0]} but its image is {image}; {mend}"


def _named(names: list[str]) -> str:
    """`a`, or `a and 3 more images`."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more images"
