"""Validation images: whole photographs, chosen by their names alone, never trained on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csbsr.data.cracks import CrackFolder
from csbsr.data.groups import photo_group, source_of
from csbsr.data.split import held_out_photographs, split_validation
from csbsr.data.stream import CrackStream
from csbsr.data.synthetic import SyntheticCracks
from csbsr.protocol import REPRODUCTION

NAMES = [f"DeepCrack_{photo}-{crop}" for photo in range(11100, 11150) for crop in range(1, 4)]
NAMES += [f"CFD_{number:03d}" for number in range(60)] + ["cracktree200_6192"]


def write(root: Path, split: str, names: list[str], side: int = 16) -> None:
    rng = np.random.default_rng(len(names))
    for kind in ("images", "masks"):
        (root / split / kind).mkdir(parents=True, exist_ok=True)
    for name in names:
        image = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
        Image.fromarray(image).save(root / split / "images" / f"{name}.png")
        mask = ((rng.random((side, side)) < 0.1) * 255).astype(np.uint8)
        Image.fromarray(mask).save(root / split / "masks" / f"{name}.png")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("DeepCrack_11123-3", "DeepCrack"),
        ("CRACK500_20160222_081011_1281_361", "CRACK500"),
        ("CRACK500_20160222_115805_full", "CRACK500_full"),
        ("Rissbilder_for_Florian_9S6A2889_470_1014_3063_3785", "Rissbilder"),
        ("noncrack_noncrack_concrete_wall_12_1.jpg", "noncrack"),
        ("synthetic_train_0_00001", "synthetic"),
        ("wall-7", "other"),
    ],
)
def test_data_set_of_a_name(name: str, source: str) -> None:
    assert source_of(name) == source


def test_whole_photographs_of_every_data_set_are_held_out() -> None:
    held_out = held_out_photographs(NAMES)
    shares = {}
    for source in ("DeepCrack", "CFD"):
        mine = [name for name in NAMES if source_of(name) == source]
        shares[source] = np.mean([photo_group(name) in held_out for name in mine])
    assert all(0.05 < share < 0.11 for share in shares.values()), shares
    assert "cracktree200_6192" not in held_out  # the only one of its data set
    assert held_out_photographs(NAMES[::-1]) == held_out


def test_small_and_smallest_folders() -> None:
    assert len(held_out_photographs(["a", "b", "c"])) == 1
    assert held_out_photographs(["DeepCrack_1-1", "DeepCrack_1-2"]) == set()


def test_training_never_sees_a_validation_image(tmp_path: Path) -> None:
    write(tmp_path, "train", NAMES[:60])
    source = CrackFolder(tmp_path, "train")
    train, validation = split_validation(source)
    assert sorted(train.names + validation.names) == source.names
    groups = [{photo_group(n) for n in part.names} for part in (train, validation)]
    assert groups[1]
    assert not groups[0] & groups[1]
    image, mask = source.load(source.names.index(validation.names[0]))
    for mine, whole in zip(validation.load(0), (image, mask)):
        np.testing.assert_array_equal(mine, whole)
    stream = CrackStream(train, 16, 4, 0, REPRODUCTION)
    seen = {name for i in range(40) for name in stream.batch(i).names}
    assert seen == set(train.names)
    prints = {part.fingerprint() for part in (source, train, validation)}
    assert len(prints) == 3


def test_a_folders_own_validation_split_is_used(tmp_path: Path) -> None:
    write(tmp_path, "train", NAMES[:9])
    write(tmp_path, "valid", ["mine_1", "mine_2"])
    source = CrackFolder(tmp_path, "train")
    train, validation = split_validation(source)
    assert train is source
    assert validation.names == ["mine_1", "mine_2"]


def test_synthetic_validation_images_are_new_ones() -> None:
    source = SyntheticCracks(24, 64)
    train, validation = split_validation(source)
    assert train is source
    assert len(validation.names) == 2
    assert not set(validation.names) & set(source.names)
    assert (validation.load(0)[0] != source.load(0)[0]).any()
