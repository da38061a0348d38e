"""The images of a run: embedded or from a folder, their hash, and whether they were checked."""

from collections.abc import Sequence
from pathlib import Path

from csbsr.data.cracks import CrackFolder, check_apart
from csbsr.data.masks import WHITE_ON_BLACK, MaskRule
from csbsr.data.natural import NaturalImages
from csbsr.data.split import Chosen, split_validation
from csbsr.data.synthetic import SyntheticCracks
from csbsr.protocol import Protocol
from csbsr.study.digest import digest
from csbsr.study.profiles import Profile
from csbsr.study.recipe import EMBEDDED

Source = CrackFolder | SyntheticCracks | Chosen


def data_name(data: str) -> str:
    """Short name of a data set: `synthetic`, or the folder's own name.

    ValueError for a folder that goes by the name of the embedded images.
    """
    if data == EMBEDDED:
        return EMBEDDED
    name = Path(data).resolve().name
    if name in (EMBEDDED, ""):
        raise ValueError(f"data folder {data} has the name '{name}', which is taken; rename it")
    return name


def natural_hash(natural: str | None) -> str:
    """Hash over the contents of all natural images; ValueError for a folder without any."""
    return digest(NaturalImages(natural).fingerprint()) if natural else EMBEDDED


def open_data(
    data: str, profile: Profile, protocol: Protocol, rule: MaskRule = WHITE_ON_BLACK
) -> tuple[Source, Source, Source]:
    """Training, validation and test images of a profile, not read yet.

    Validation images are held out of the training split (`csbsr.data.split`). `rule` says which
    values of a folder's masks are crack. ValueError for a folder that is no data set.
    """
    images = profile.images
    train: CrackFolder | SyntheticCracks
    if data == EMBEDDED:
        train = SyntheticCracks(images.synthetic_train, images.synthetic_size, split="train")
    else:
        crop = images.crop or protocol.crop
        train = CrackFolder(
            data, "train", min_size=crop, count=images.train_limit or None, rule=rule
        )
    return *split_validation(train), open_test(data, profile, 0, rule)


def open_test(data: str, profile: Profile, limit: int, rule: MaskRule = WHITE_ON_BLACK) -> Source:
    """Test images alone, at most `limit` of them (0: all), not read yet."""
    images = profile.images
    if data == EMBEDDED:
        count = min(limit or images.synthetic_test, images.synthetic_test)
        return SyntheticCracks(count, images.synthetic_size, split="test")
    return CrackFolder(
        data, "test", min_size=16, count=limit or images.test_limit or None, rule=rule
    )


def check(source: Source) -> tuple[str, ...]:
    """Read every image and mask of a folder once; ValueError names what is wrong with which.

    Returns what is doubtful, one line each.
    """
    folder = source.source if isinstance(source, Chosen) else source
    return folder.check() if isinstance(folder, CrackFolder) else ()


def check_all(train: Source, validation: Source, test: Source) -> tuple[str, ...]:
    """As `check`, for every split, and that no test image is a training image."""
    folders = dict.fromkeys(
        s.source if isinstance(s, Chosen) else s for s in (train, validation, test)
    )
    notes = tuple(note for folder in folders for note in check(folder))
    first = next(iter(folders))
    if isinstance(first, CrackFolder) and isinstance(test, CrackFolder):
        notes += check_apart(first, test)
    return notes


def hash_of(sources: Sequence[Source]) -> str:
    """Hash over the contents of all images and masks, without decoding them."""
    return digest([source.fingerprint() for source in sources])
