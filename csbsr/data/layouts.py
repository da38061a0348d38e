"""Pairs of images and masks in the layouts in which crack data sets are published."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from csbsr.data.cracks import MASK_ENDINGS
from csbsr.data.masks import MaskRule, read_mask
from csbsr.data.photos import SUFFIXES, picture_size

SPLITS = {
    "train": "train", "trn": "train", "training": "train", "val": "val", "valid": "val",
    "validation": "val", "test": "test", "tst": "test", "testing": "test",
}  # fmt: skip
"""What splits are called, and what they are called here."""


FARTHEST = 1e6
"""Coordinates beyond are no place in an image."""


class Pair(NamedTuple):
    """One image, its split, and how its mask (H, W) bool is made."""

    split: str
    name: str
    image: Path
    mask: Callable[[MaskRule], NDArray[np.bool_]]


def find_pairs(root: Path) -> tuple[str, list[Pair]]:
    """Return the layout's name and its pairs; ValueError when it is none that is known."""
    if not root.is_dir():
        raise ValueError(f"folder {root} does not exist; check the name")
    for name, reader in LAYOUTS.items():
        pairs = list(reader(root))
        if pairs:
            return name, pairs
    raise ValueError(
        f"{root} has none of the layouts known here ({', '.join(LAYOUTS)}); put images into "
        "train/images and masks of the same names into train/masks"
    )


def _voc(root: Path) -> Iterator[Pair]:
    """JPEGImages, SegmentationClass, and lists in ImageSets/Segmentation."""
    if not (root / "SegmentationClass").is_dir():
        return
    images = _by_stem(root / "JPEGImages")
    masks = _by_stem(root / "SegmentationClass")
    lists = root / "ImageSets" / "Segmentation"
    split_of = {
        name: SPLITS[path.stem]
        for path in (sorted(lists.glob("*.txt")) if lists.is_dir() else ())
        if path.stem in SPLITS
        for line in _lines(path)
        for name in line.split()
    }
    for stem, image in images.items():
        if stem in masks:
            yield Pair(split_of.get(stem, "train"), stem, image, _stored(masks[stem]))


def _coco(root: Path) -> Iterator[Pair]:
    """JSON files with `images` and `annotations` whose segmentations are polygons."""
    for path in sorted([*root.glob("*.json"), *root.glob("annotations/*.json")]):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            images = {entry["id"]: str(entry["file_name"]) for entry in content["images"]}
            polygons = defaultdict(list)
            for entry in content["annotations"]:
                if not isinstance(entry["segmentation"], list):
                    raise ValueError(f"{path} has run-length masks; export it with polygons")
                polygons[entry["image_id"]] += map(_polygon, entry["segmentation"])
        except (KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no COCO file: {error!r:.80}; export it again") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text; export it again") from error
        split = next((s for key, s in SPLITS.items() if key in path.stem.lower()), "train")
        files = {p.name: p for p in sorted(root.rglob("*")) if p.suffix.lower() in SUFFIXES}
        for number, file in images.items():
            image = files.get(Path(file).name)
            if image is None:
                raise ValueError(f"{path} names {file}, which is not in {root}; add it")
            yield Pair(split, image.stem, image, _drawn(image, polygons[number], relative=False))


def _yolo(root: Path) -> Iterator[Pair]:
    """images/SPLIT and labels/SPLIT with one polygon a line: class x y x y ..., in 0..1."""
    for labels in sorted([root / "labels", *root.glob("labels/*"), *root.glob("*/labels")]):
        if not labels.is_dir() or not any(labels.glob("*.txt")):
            continue
        folder = Path(str(labels).replace(f"{os.sep}labels", f"{os.sep}images"))
        part = labels.parent.name if labels.name == "labels" else labels.name
        for stem, image in _by_stem(folder).items():
            text = labels / f"{stem}.txt"
            polygons = []
            for line in _lines(text) if text.is_file() else ():
                try:
                    polygons.append(_polygon([float(word) for word in line.split()[1:]]))
                except (TypeError, ValueError):
                    raise ValueError(
                        f"{text} holds a box or a broken polygon ({line[:40]!r}); export polygons"
                    ) from None
            yield Pair(SPLITS.get(part, "train"), stem, image, _drawn(image, polygons, True))


def _deepcrack(root: Path) -> Iterator[Pair]:
    """train_img, train_lab, test_img, test_lab."""
    for images in sorted(root.glob("*_img")):
        yield from _two(images, root / images.name.replace("_img", "_lab"), images.name[:-4])


def _khanhha(root: Path) -> Iterator[Pair]:
    """SPLIT/images and SPLIT/masks (or labels, gt), or without splits."""
    for parent in (root, *sorted(p for p in root.iterdir() if p.is_dir())):
        for masks in ("masks", "mask", "labels", "label", "gt", "groundtruth"):
            for images in ("images", "image", "img", "imgs"):
                if (parent / images).is_dir() and (parent / masks).is_dir():
                    yield from _two(parent / images, parent / masks, parent.name)


def _crack500(root: Path) -> Iterator[Pair]:
    """Folders (traincrop, valcrop, testcrop, or one) with a.jpg beside a.png or a_mask.png."""
    for folder in (root, *sorted(p for p in root.iterdir() if p.is_dir())):
        files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES]
        masks = {p.stem: p for p in files if p.suffix.lower() != ".jpg"}
        for image in files:
            for end in MASK_ENDINGS if image.suffix.lower() == ".jpg" else MASK_ENDINGS[1:]:
                mask = masks.get(image.stem + end)
                if mask is not None and mask != image:
                    part = folder.name.lower().removesuffix("data").removesuffix("crop")
                    yield Pair(SPLITS.get(part, "train"), image.stem, image, _stored(mask))


LAYOUTS: dict[str, Callable[[Path], Iterator[Pair]]] = {
    "VOC": _voc,
    "YOLO polygons": _yolo,
    "COCO polygons": _coco,
    "DeepCrack": _deepcrack,
    "images and masks in folders": _khanhha,
    "images beside masks (CRACK500)": _crack500,
}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text; export it again") from error


def _polygon(values: object) -> list[float]:
    """Coordinates x y x y ... of at least three corners; TypeError for anything else."""
    numbers = isinstance(values, list) and all(type(v) in (int, float) for v in values)
    if not numbers or len(values) % 2 or len(values) < 6:
        raise TypeError(f"{values!r:.40} is no polygon")
    if not all(abs(v) < FARTHEST for v in values):  # NaN, too
        raise TypeError(f"{values!r:.40} lies far outside of every image")
    return values


def _two(images: Path, masks: Path, part: str) -> Iterator[Pair]:
    found = _by_stem(masks)
    for stem, image in _by_stem(images).items():
        mask = next((found[stem + e] for e in MASK_ENDINGS if stem + e in found), None)
        if mask is None:
            raise ValueError(f"image {image} has no mask in {masks}; add it or remove the image")
        yield Pair(SPLITS.get(part.lower(), "train"), stem, image, _stored(mask))


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    return {path.stem: path for path in files if not path.name.startswith(".")}


def _stored(path: Path) -> Callable[[MaskRule], NDArray[np.bool_]]:
    return lambda rule: read_mask(path, rule)


def _drawn(
    image: Path, polygons: list[list[float]], relative: bool
) -> Callable[[MaskRule], NDArray[np.bool_]]:
    def draw(rule: MaskRule) -> NDArray[np.bool_]:
        height, width = picture_size(image)
        mask = Image.new("1", (width, height))
        scale = np.array([width, height] if relative else [1, 1])
        for polygon in polygons:
            points = np.reshape(polygon, (-1, 2)) * scale
            ImageDraw.Draw(mask).polygon([tuple(p) for p in points.tolist()], fill=1)
        return np.asarray(mask)

    return draw
