"""The images of a run: embedded or from a folder, their hash, and whether they were checked."""

from collections.abc import Sequence
from pathlib import Path

from csbsr.data.cracks import CrackFolder, check_apart
from csbsr.data.masks import WHITE_ON_BLACK, MaskRule
from csbsr.data.synthetic import SyntheticCracks
from csbsr.protocol import Protocol
from csbsr.study.profiles import Profile
from csbsr.study.provenance import digest

Source = CrackFolder | SyntheticCracks


def data_name(data: str) -> str:
    """Short name of a data set: `synthetic`, or the folder's own name."""
    return "synthetic" if data == "synthetic" else Path(data).resolve().name


def open_data(
    data: str, profile: Profile, protocol: Protocol, rule: MaskRule = WHITE_ON_BLACK
) -> tuple[Source, Source]:
    """Training and test images of a profile, not read yet; ValueError for a folder that is none.

    `rule` says which values of a folder's masks are crack.
    """
    images = profile.images
    train: Source
    if data == "synthetic":
        train = SyntheticCracks(images.synthetic_train, images.synthetic_size, split="train")
    else:
        crop = images.crop or protocol.crop
        train = CrackFolder(
            data, "train", min_size=crop, count=images.train_limit or None, rule=rule
        )
    return train, open_test(data, profile, 0, rule)


def open_test(data: str, profile: Profile, limit: int, rule: MaskRule = WHITE_ON_BLACK) -> Source:
    """Test images alone, at most `limit` of them (0: all), not read yet."""
    images = profile.images
    if data == "synthetic":
        count = min(limit or images.synthetic_test, images.synthetic_test)
        return SyntheticCracks(count, images.synthetic_size, split="test")
    return CrackFolder(
        data, "test", min_size=16, count=limit or images.test_limit or None, rule=rule
    )


def check(source: Source) -> tuple[str, ...]:
    """Read every image and mask of a folder once; ValueError names what is wrong with which.

    Returns what is doubtful, one line each.
    """
    return source.check() if isinstance(source, CrackFolder) else ()


def check_both(train: Source, test: Source) -> tuple[str, ...]:
    """As `check`, for both splits, and that no test image is a training image."""
    notes = check(train) + check(test)
    if isinstance(train, CrackFolder) and isinstance(test, CrackFolder):
        notes += check_apart(train, test)
    return notes


def hash_of(sources: Sequence[Source]) -> str:
    """Hash over the contents of all images and masks, without decoding them."""
    return digest([source.fingerprint() for source in sources])
