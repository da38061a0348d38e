"""What is in a data folder, and whether train and test share pictures."""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal, NamedTuple

import numpy as np
import scipy.fft
from PIL import Image

from csbsr.data.stream import CrackSource

NEAR_BITS = 8
NEAR_CORRELATION = 0.93


@dataclass(frozen=True)
class Entry:
    """One image with its mask."""

    name: str
    split: str
    height: int
    width: int
    crack_share: float
    """Share of crack pixels, 0..1."""
    sha256: str
    """Of the decoded pixels of image and mask."""


class NearDuplicate(NamedTuple):
    """Two images that look alike."""

    first: str
    second: str
    bits: int
    correlation: float


def manifest(source: CrackSource, split: str) -> list[Entry]:
    """Return one entry per image; reads everything. ValueError for damaged files."""
    entries = []
    for i, name in enumerate(source.names):
        image, mask = source.load(i)
        digest = hashlib.sha256(image.tobytes() + np.packbits(mask).tobytes()).hexdigest()
        share = round(float(mask.mean()), 6)
        entries.append(Entry(name, split, *image.shape[1:], share, digest))
    return entries


def manifest_text(entries: Sequence[Entry], form: Literal["csv", "json"] = "csv") -> str:
    """Return a manifest as CSV or JSON text."""
    rows = [asdict(entry) for entry in entries]
    if form == "json":
        return json.dumps(rows, indent=1)
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Entry)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def near_duplicates(
    first: CrackSource,
    second: CrackSource,
    bits: int = NEAR_BITS,
    correlation: float = NEAR_CORRELATION,
) -> list[NearDuplicate]:
    """Return the pairs across two sources that look alike, the most alike first.

    Alike means: the 64-bit perceptual hashes differ in at most `bits` bits, and thumbnails of
    24 x 24 pixels correlate by at least `correlation`. Shifted crops of one photograph are not
    seen by this check.
    """
    hashes, thumbs = zip(*(_looks(s) for s in (first, second)))
    signs = [np.where(h, 1, -1).astype(np.float32) for h in hashes]  # (N, 64), (M, 64)
    differing = np.rint((64 - signs[0] @ signs[1].T) / 2).astype(int)  # (N, M)
    alike = thumbs[0] @ thumbs[1].T  # (N, M)
    pairs = [
        NearDuplicate(first.names[i], second.names[j], int(differing[i, j]), float(alike[i, j]))
        for i, j in zip(*np.nonzero((differing <= bits) & (alike >= correlation)))
    ]
    return sorted(pairs, key=lambda p: (p.bits, -p.correlation, p.first, p.second))


def perceptual_hash(grey: np.ndarray) -> np.ndarray:
    """Return 64 bools: the lowest 8 x 8 DCT coefficients of a 32 x 32 image, against the median."""
    low = scipy.fft.dctn(grey.astype(np.float64), norm="ortho")[:8, :8].ravel()
    return low > np.median(low[1:])  # the first one is the mean and says nothing


def _looks(source: CrackSource) -> tuple[np.ndarray, np.ndarray]:
    hashes, thumbs = [], []
    for i in range(len(source.names)):
        grey = Image.fromarray(source.load(i)[0].transpose(1, 2, 0)).convert("L")
        hashes.append(perceptual_hash(np.asarray(grey.resize((32, 32), Image.Resampling.BOX))))
        thumb = np.asarray(grey.resize((24, 24), Image.Resampling.BOX), np.float64).ravel()
        thumb -= thumb.mean()
        thumbs.append(thumb / max(np.linalg.norm(thumb), 1e-9))
    return np.stack(hashes), np.stack(thumbs)
