"""What is in a data folder, what is doubtful about it, and which images it holds twice."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from csbsr.data.cracks import CrackFolder, check_apart
from csbsr.data.groups import photo_group, source_of
from csbsr.data.manifest import NearDuplicate, near_duplicates
from csbsr.data.masks import WHITE_ON_BLACK, MaskRule

THUMBNAIL = 112
SPLITS = ("train", "test")


class SourceRow(NamedTuple):
    """Statistics of the images of one source, told by their names, in one split."""

    split: str
    source: str
    images: int
    photographs: int
    empty: int
    """Images without any crack."""
    smallest: int
    largest: int
    """Shortest and longest side, in pixels."""
    crack_share: float
    """Mean over images, 0..1."""


class Audit(NamedTuple):
    """Duplicates of a data set: pairs of (split/name, split/name)."""

    exact: list[tuple[str, str]]
    near: list[NearDuplicate]
    clean_test: list[str]
    """Test images of which no copy and no crop of the same photograph is in the training split."""


def open_splits(root: Path, rule: MaskRule = WHITE_ON_BLACK) -> dict[str, CrackFolder]:
    """Both splits of a folder, not read yet; ValueError as `CrackFolder`."""
    return {split: CrackFolder(root, split, rule=rule) for split in SPLITS}


def check_folder(folders: dict[str, CrackFolder]) -> tuple[list[SourceRow], list[str]]:
    """Read everything; return statistics per split and source, and what is doubtful.

    ValueError for the first bad file, as `CrackFolder.check`.
    """
    notes = [note for folder in folders.values() for note in folder.check()]
    notes += check_apart(folders["train"], folders["test"])
    rows = []
    for split, folder in folders.items():
        found: dict[str, list[tuple[str, tuple[int, int], float]]] = defaultdict(list)
        for i, name in enumerate(folder.names):
            image, mask = folder.load(i)
            found[source_of(name)].append((name, image.shape[1:], float(mask.mean())))
        for source, entries in sorted(found.items()):
            names, sizes, shares = zip(*entries)
            sides = [side for size in sizes for side in size]
            groups = {photo_group(name) for name in names}
            empty = sum(share == 0 for share in shares)
            rows.append(
                SourceRow(
                    split,
                    source,
                    len(names),
                    len(groups),
                    empty,
                    min(sides),
                    max(sides),
                    float(np.mean(shares)),
                )
            )
    return rows, notes


def audit_folder(folders: dict[str, CrackFolder]) -> Audit:
    """Find copies and look-alikes within and across splits.

    Exact copies are found by content, look-alikes by perceptual hash and thumbnail
    (`near_duplicates`); crops of one photograph by their names.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for split, folder in folders.items():
        for name, digest in folder.image_digests().items():
            places[digest].append(f"{split}/{name}")
    exact = [(names[0], other) for names in places.values() for other in names[1:]]
    near = []
    for first, second in (("train", "train"), ("test", "test"), ("train", "test")):
        for pair in near_duplicates(folders[first], folders[second]):
            named = pair._replace(first=f"{first}/{pair.first}", second=f"{second}/{pair.second}")
            if named.first < named.second or first != second:
                near.append(named)
    known = {photo_group(name) for name in folders["train"].names}
    taken = {b for a, b in exact if a.startswith("train/")}
    taken |= {pair.second for pair in near if pair.first.startswith("train/")}
    clean = [
        name
        for name in folders["test"].names
        if f"test/{name}" not in taken and photo_group(name) not in known
    ]
    return Audit(exact, near, clean)


def contact_sheet(folder: CrackFolder, most: int = 60, columns: int = 10) -> NDArray[np.uint8]:
    """A picture (H, W, 3) of images evenly drawn from a split, cracks in red, names below."""
    count = min(most, len(folder))
    chosen = np.unique(np.linspace(0, len(folder) - 1, count).round().astype(int))
    rows = -(-len(chosen) // columns)
    sheet = Image.new("RGB", (columns * THUMBNAIL, rows * (THUMBNAIL + 12)), "white")
    for place, i in enumerate(chosen.tolist()):
        image, mask = folder.load(i)
        picture = image.transpose(1, 2, 0).copy()
        picture[mask[0]] = (220, 20, 40)
        tile = Image.fromarray(picture)
        tile.thumbnail((THUMBNAIL - 4, THUMBNAIL - 4))
        left, top = place % columns * THUMBNAIL, place // columns * (THUMBNAIL + 12)
        sheet.paste(tile, (left, top))
        text = folder.names[i].encode("ascii", "replace").decode()[-18:]
        ImageDraw.Draw(sheet).text((left, top + THUMBNAIL - 2), text, fill="black")
    return np.asarray(sheet)


def table_text(rows: Sequence[SourceRow]) -> str:
    """Statistics as aligned text."""
    lines = [
        f"{'split':<6}{'source':<16}{'images':>8}{'photos':>8}{'empty':>7}{'sides':>12}{'crack':>9}"
    ]
    for r in rows:
        sides = f"{r.smallest}-{r.largest}"
        lines.append(
            f"{r.split:<6}{r.source[:15]:<16}{r.images:>8}{r.photographs:>8}{r.empty:>7}"
            f"{sides:>12}{r.crack_share:>9.2%}"
        )
    return "\n".join(lines)
