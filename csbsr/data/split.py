"""Validation images: photographs of the training split that training never sees.

Lengths, rates and thresholds are chosen on them, so that test images are only measured.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from csbsr.data.cracks import CrackFolder
from csbsr.data.groups import photo_group, source_of
from csbsr.data.synthetic import SyntheticCracks

SHARE = 0.08
"""Share of the training photographs that is held out."""
OWN_SPLITS = ("val", "valid", "validation")
"""Folders beside `train` that hold validation images already."""
VALIDATION_SEED = 1
"""Added to the seed of synthetic training images: their validation images are new ones."""


class Chosen:
    """Some images of a source, in its order."""

    def __init__(self, source: CrackFolder, indices: Sequence[int]):
        self.source, self._indices = source, list(indices)
        self.names = [source.names[i] for i in self._indices]

    def __len__(self) -> int:
        return len(self.names)

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image `i` (3, H, W) uint8 and its mask (1, H, W) bool of the choice."""
        return self.source.load(self._indices[i])

    def fingerprint(self) -> str:
        """Return a SHA-256 over the whole source and the names chosen."""
        total = hashlib.sha256(self.source.fingerprint().encode())
        total.update("\0".join(self.names).encode())
        return total.hexdigest()


Part = CrackFolder | SyntheticCracks | Chosen


def split_validation(source: CrackFolder | SyntheticCracks) -> tuple[Part, Part]:
    """Return the images to train on and the images to validate on, of a training split.

    A folder's own validation split is used where there is one. Otherwise about `SHARE` of the
    images of every data set in the folder is held out, whole photographs at a time
    (`csbsr.data.groups`), in the order of a hash of their names: the choice depends on nothing
    else, and no crop of a held-out photograph is trained on. Of a single photograph nothing is
    held out. Synthetic validation images are new ones, and none is taken from training.
    ValueError: an own validation split with something wrong in it, see `CrackFolder`.
    """
    if isinstance(source, SyntheticCracks):
        count = max(1, round(SHARE * len(source)))
        seed = source.seed + VALIDATION_SEED
        return source, SyntheticCracks(count, source.size, seed, source.split)
    for name in OWN_SPLITS:
        if (source.root / name).is_dir():
            return source, CrackFolder(source.root, name, min_size=16)
    held_out = held_out_photographs(source.names)
    out = [photo_group(name) in held_out for name in source.names]
    train = [i for i, held in enumerate(out) if not held]
    return Chosen(source, train), Chosen(source, [i for i, held in enumerate(out) if held])


def held_out_photographs(names: Sequence[str]) -> set[str]:
    """Return the photographs to hold out among the images called `names`, never all of them."""
    photographs: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name in names:
        photographs[source_of(name)][photo_group(name)] += 1
    held_out: set[str] = set()
    for counts in photographs.values():
        held_out |= _first_share(counts, SHARE * sum(counts.values()))
    everything = {group: n for counts in photographs.values() for group, n in counts.items()}
    if not held_out and len(everything) > 1:  # data sets too small for a share of each
        held_out = {min(everything, key=_hashed)}
    return held_out


def _first_share(counts: dict[str, int], wanted: float) -> set[str]:
    """The photographs in hash order, without those that lead further from the wanted number."""
    chosen, total = set(), 0
    for group in sorted(counts, key=_hashed):
        if total + counts[group] / 2 <= wanted:
            chosen.add(group)
            total += counts[group]
    return chosen


def _hashed(group: str) -> bytes:
    return hashlib.sha256(group.encode()).digest()
