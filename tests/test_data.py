"""Data folders, synthetic cracks, and batches that depend on (seed, iteration) alone."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from csbsr.data.cracks import CrackFolder, check_apart
from csbsr.data.distances import signed_distance
from csbsr.data.manifest import manifest, manifest_text, near_duplicates
from csbsr.data.masks import MaskRule
from csbsr.data.natural import NaturalImages, SyntheticNatural, open_natural
from csbsr.data.stream import CrackStream, NaturalStream
from csbsr.data.synthetic import SyntheticCracks, open_cracks
from csbsr.protocol import PRINTED, RELEASED

REAL = Path(os.environ.get("CSBSR_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")


def write(path: Path, size: tuple[int, int] = (32, 24), values: np.ndarray | None = None) -> None:
    """Write an image (RGB noise) or, with `values` (H, W), a grey one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if values is None:
        shape = (size[1], size[0], 3)
        values = np.random.default_rng(len(path.name)).integers(0, 255, shape)
    Image.fromarray(values.astype(np.uint8)).save(path)


def line_mask(h: int = 24, w: int = 32) -> np.ndarray:
    mask = np.zeros((h, w), np.uint8)
    mask[10:13] = 255
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for name in ("a", "b", "noncrack_1.jpg"):
            write(tmp_path / split / "images" / f"{name}.jpg")
            write(tmp_path / split / "masks" / f"{name}.png", values=line_mask())
    return tmp_path


def test_folder_pairs_names_without_their_last_suffix(root):
    cracks = CrackFolder(root, "train", min_size=24)
    assert cracks.names == ["a", "b", "noncrack_1.jpg"]
    image, mask = cracks.load(2)
    assert image.shape == (3, 24, 32)
    assert image.dtype == np.uint8
    assert mask.dtype == bool
    assert np.array_equal(mask[0], line_mask() > 0)
    cracks.check()


def test_jpeg_masks_are_read_at_one_half(root):
    (root / "test" / "masks" / "a.png").unlink()
    Image.fromarray(line_mask()).save(root / "test" / "masks" / "a.jpg", quality=95)
    _, mask = CrackFolder(root, "test").load(0)
    assert np.array_equal(mask[0], line_mask() > 0)


def test_sides_are_cut_to_multiples_of_four(root):
    for name in ("a.jpg", "b.jpg", "noncrack_1.jpg.jpg"):
        write(root / "train" / "images" / name, (35, 26))
        write(root / "train" / "masks" / f"{name[:-4]}.png", values=line_mask(26, 35))
    image, mask = CrackFolder(root, "train").load(0)
    assert image.shape == (3, 24, 32)
    assert mask.shape == (1, 24, 32)


def test_smaller_choice_is_part_of_a_larger_one(root):
    for count in (1, 2):
        few, more = (CrackFolder(root, "train", count=c).names for c in (count, count + 1))
        assert set(few) < set(more)


def test_fingerprint_follows_names_and_contents(root):
    before = CrackFolder(root, "train").fingerprint()
    assert before == CrackFolder(root, "train").fingerprint()
    assert before != CrackFolder(root, "test").fingerprint()
    write(root / "train" / "masks" / "a.png", values=line_mask()[::-1])
    assert before != CrackFolder(root, "train").fingerprint()


def spoil_missing(root: Path) -> None:
    for path in sorted((root / "train").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (root / "train").rmdir()


def spoil_empty(root: Path) -> None:
    for path in (root / "train" / "images").iterdir():
        path.unlink()


def spoil_no_mask(root: Path) -> None:
    (root / "train" / "masks" / "b.png").unlink()


def spoil_mask_size(root: Path) -> None:
    write(root / "train" / "masks" / "b.png", values=line_mask(24, 28))


def spoil_corrupt(root: Path) -> None:
    (root / "train" / "images" / "b.jpg").write_bytes(b"no image at all")


def spoil_truncated(root: Path) -> None:
    path = root / "train" / "images" / "b.jpg"
    path.write_bytes(path.read_bytes()[:-300])


def spoil_no_images(root: Path) -> None:
    spoil_empty(root)
    (root / "train" / "images").rmdir()


def rewrite_masks(root: Path, mask: np.ndarray) -> None:
    for path in (root / "train" / "masks").iterdir():
        write(path, values=mask)


def spoil_all(root: Path) -> None:
    rewrite_masks(root, line_mask() // 255 * 2)


def spoil_empty_masks(root: Path) -> None:
    rewrite_masks(root, line_mask() * 0)


def spoil_inverted(root: Path) -> None:
    rewrite_masks(root, 255 - line_mask())


def spoil_two_masks(root: Path) -> None:
    write(root / "train" / "masks" / "b_mask.png", values=line_mask())


def spoil_grey(root: Path) -> None:
    mask = line_mask()
    mask[:, ::20] = 128
    write(root / "train" / "masks" / "b.png", values=mask)


def spoil_zero_one(root: Path) -> None:
    write(root / "train" / "masks" / "b.png", values=line_mask() // 255)


def spoil_small(root: Path) -> None:
    write(root / "train" / "images" / "b.jpg", (20, 16))
    write(root / "train" / "masks" / "b.png", values=line_mask(16, 20))


def spoil_twice(root: Path) -> None:
    write(root / "train" / "images" / "b.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_missing, r"has no train split \(it holds test\); put images and masks"),
        (spoil_no_images, "images does not exist; create it"),
        (spoil_empty, "images holds no images; put"),
        (spoil_no_mask, r"b.jpg has no mask; add .*masks/b.png"),
        (spoil_mask_size, r"b.png is 28x24 but its image is 32x24; resize the mask"),
        (spoil_corrupt, r"b.jpg is no picture .*; replace or remove"),
        (spoil_truncated, r"b.jpg is damaged \(.*truncated.*\); replace or remove"),
        (spoil_grey, r"b.png is not black and white \(values 0: 82.03%, .*any>0., or save it"),
        (
            spoil_zero_one,
            r"b.png .*\(values 0: 87.50%, 1: 12.50%\).*--mask-values crack=1, or save",
        ),
        (spoil_all, r"not black and white .*\(2 more files are bad\)"),
        (spoil_empty_masks, r"none of the 3 masks .* has any crack: there is nothing to learn"),
        (spoil_inverted, r"masks in .* are mostly crack \(88% of .*give --mask-values inverted"),
        (spoil_two_masks, r"b.png and b_mask.png are masks of one image; remove one"),
        (spoil_small, r"b.jpg is 20x16, smaller than the 24 pixels needed; remove it or"),
        (spoil_twice, r"b.png and b.jpg share a name; remove one"),
    ],
)
def test_bad_folder_is_one_clear_line(root, spoil, words):
    spoil(root)
    with pytest.raises(ValueError, match=words) as caught:
        CrackFolder(root, "train", min_size=24).check()
    assert "\n" not in str(caught.value)


def test_doubtful_things_are_said_and_do_not_stop(root):
    (root / "train" / "images" / "notes.txt").write_text("notes")
    write(root / "train" / "masks" / "b.png", values=255 - line_mask())
    Image.fromarray(np.full((24, 32, 4), 100, np.uint8)).save(root / "train/images/clear.png")
    write(root / "train" / "masks" / "clear_mask.png", values=line_mask())
    notes = CrackFolder(root, "train").check()
    assert len(notes) == 3
    for words in ("notes.txt is no image", "b: more crack than", "clear: transparency left out"):
        assert sum(words in note for note in notes) == 1
    for path in (root / "test" / "masks").iterdir():
        write(path, values=line_mask() * 0)
    (note,) = CrackFolder(root, "test").check()
    assert "no crack in any mask" in note


def test_a_test_split_of_training_images_is_said(root):
    with pytest.raises(ValueError, match=r"all 3 test images .* are training images"):
        check_apart(CrackFolder(root, "train"), CrackFolder(root, "test"))
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(root / "test" / "images" / "a.jpg")
    (note,) = check_apart(CrackFolder(root, "train"), CrackFolder(root, "test"))
    assert "b and 1 more images: also in the training split" in note


def test_images_are_turned_as_their_exif_says_and_masks_checked_against_it(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 24, 3), np.uint8))
    photo.save(root / "train" / "images" / "a.jpg", exif=exif)  # upright 32 wide, 24 high
    assert CrackFolder(root, "train").load(0)[0].shape == (3, 24, 32)
    write(root / "train" / "masks" / "a.png", values=line_mask().T)
    words = "a.png is 24x32 but its image is 32x24 once it is turned as its EXIF says; turn the"
    with pytest.raises(ValueError, match=words):
        CrackFolder(root, "train")


def test_masks_that_a_rule_maps_change_the_fingerprint(root):
    for path in (root / "train" / "masks").iterdir():
        write(path, values=line_mask() // 255 * 2)
    mapped = CrackFolder(root, "train", rule=MaskRule(values=(2,)))
    assert mapped.check() == ()
    assert np.array_equal(mapped.load(0)[1][0], line_mask() > 0)
    assert mapped.fingerprint() != CrackFolder(root, "train").fingerprint()


def test_natural_folder_passes_over_other_files_and_small_images(tmp_path):
    write(tmp_path / "large.png", (64, 48))
    write(tmp_path / "small.jpg", (64, 20))
    (tmp_path / "manifest.csv").write_text("file\n")
    images = NaturalImages(tmp_path, 32)
    assert images.names == ["large"]
    assert images.skipped == 1
    assert images.load(0).shape == (3, 48, 64)
    with pytest.raises(ValueError, match=r"no image with sides of at least 100 pixels \(2 are"):
        NaturalImages(tmp_path, 100)
    with pytest.raises(ValueError, match="does not exist"):
        NaturalImages(tmp_path / "nowhere")


def test_natural_folder_knows_div2k_and_flickr2k(tmp_path):
    write(tmp_path / "DIV2K_train_HR" / "0001.png", (64, 48))
    write(tmp_path / "Flickr2K" / "Flickr2K_HR" / "000001.png", (64, 48))
    assert open_natural(str(tmp_path), 0, 48).names == ["0001", "000001"]


def test_synthetic_images_are_a_function_of_seed_split_and_index():
    first = SyntheticCracks(6, 64, seed=3, split="test")
    image, mask = SyntheticCracks(9, 64, seed=3, split="test").load(5)
    for i in (4, 5):  # another order of calls
        again = first.load(i)
    assert np.array_equal(image, again[0])
    assert np.array_equal(mask, again[1])
    for other in (SyntheticCracks(6, 64, 4, "test"), SyntheticCracks(6, 64, 3, "train")):
        assert not np.array_equal(image, other.load(5)[0])
    with pytest.raises(IndexError):
        first.load(6)


@pytest.mark.parametrize("size", [64, 224])
def test_synthetic_cracks_cover_a_plausible_share(size):
    masks = [SyntheticCracks(60, size).load(i)[1] for i in range(60)]
    shares = np.array([m.mean() for m in masks])
    assert np.count_nonzero(shares == 0) == 5  # one in twelve
    assert shares[shares > 0].min() > 0.003
    assert shares.max() < 0.06


def test_synthetic_cracks_are_darker_than_their_surroundings():
    darker = []
    for i in range(20):
        image, mask = SyntheticCracks(20, 96, seed=1).load(i)
        if mask.any():
            near = (signed_distance(mask[0]) > 4) & (signed_distance(mask[0]) < 12)
            darker.append(image[:, mask[0]].mean() < 0.85 * image[:, near].mean())
    assert np.mean(darker) > 0.8


@pytest.mark.parametrize("protocol", [PRINTED, RELEASED])
def test_batches_are_a_function_of_seed_and_iteration(protocol):
    stream = CrackStream(SyntheticCracks(5, 64), 48, 3, 7, protocol)
    fresh = CrackStream(SyntheticCracks(5, 64), 48, 3, 7, protocol)
    stream.batch(9)
    for workers in (0, 1, 3):
        batches = list(fresh.loader(2, 6, workers))
        assert len(batches) == 4
        for i, batch in enumerate(batches, 2):
            expected = stream.batch(i)
            assert batch.names == expected.names
            assert all(torch.equal(a, b) for a, b in zip(batch[:4], expected[:4]))
    other = CrackStream(SyntheticCracks(5, 64), 48, 3, 8, protocol).batch(2)
    assert not torch.equal(other.kernel, stream.batch(2).kernel)


def test_batches_touch_no_global_generator():
    stream = CrackStream(SyntheticCracks(2, 32), None, 2, 0, PRINTED)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    stream.batch(0)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002


def test_batch_shapes_ranges_and_distances():
    batch = CrackStream(SyntheticCracks(4, 64), 48, 3, 0, PRINTED).batch(0)
    assert batch.hr.shape == (3, 3, 48, 48)
    assert 0 <= batch.hr.min() <= batch.hr.max() <= 1
    assert set(batch.mask.unique().tolist()) <= {0.0, 1.0}
    assert batch.kernel.shape == (3, 1, 21, 21)
    for mask, distance in zip(batch.mask, batch.distance):
        assert np.allclose(distance[0].numpy(), signed_distance(mask[0].numpy() > 0.5))
    bare = CrackStream(SyntheticCracks(4, 64), 48, 3, 0, PRINTED, with_distance=False).batch(0)
    assert bare.distance.shape == (3, 0, 48, 48)
    assert torch.equal(bare.hr, batch.hr)


def test_every_epoch_shows_every_image_once():
    stream = CrackStream(SyntheticCracks(6, 32), None, 4, 0, PRINTED, with_distance=False)
    names = [name for i in range(6) for name in stream.batch(i).names]
    epochs = [tuple(names[k : k + 6]) for k in range(0, 24, 6)]
    assert all(len(set(epoch)) == 6 for epoch in epochs)
    assert len(set(epochs)) > 1
    assert stream.iterations_per_epoch == 1.5


def test_flips_follow_the_protocol_and_move_image_and_mask_together():
    class Corner:
        names = ("corner",)

        def load(self, i):
            mask = np.zeros((1, 8, 8), bool)
            mask[0, 0, 0] = True
            return np.repeat(mask * np.uint8(255), 3, axis=0), mask

    seen = {}
    for protocol in (PRINTED, RELEASED):
        stream = CrackStream(Corner(), None, 1, 0, protocol, with_distance=False)
        batches = [stream.batch(i) for i in range(40)]
        assert all(torch.equal(b.hr[0, :1], b.mask[0]) for b in batches)
        seen[protocol.name] = {tuple(b.mask[0, 0].nonzero()[0].tolist()) for b in batches}
    assert seen["printed"] == {(0, 0), (0, 7), (7, 0), (7, 7)}
    assert seen["released"] == {(0, 0), (0, 7)}


def test_processes_share_one_batch():
    whole = CrackStream(SyntheticCracks(5, 32), None, 4, 0, PRINTED).batch(3)
    parts = [
        CrackStream(SyntheticCracks(5, 32), None, 4, 0, PRINTED, rank=r, world=2).batch(3)
        for r in range(2)
    ]
    assert parts[0].names + parts[1].names == whole.names
    assert torch.equal(torch.cat([p.hr for p in parts]), whole.hr)
    assert torch.equal(torch.cat([p.kernel for p in parts]), whole.kernel)


def test_natural_stream_has_no_masks():
    batch = NaturalStream(SyntheticNatural(3, 64), 32, 2, 0, PRINTED).batch(1)
    assert batch.hr.shape == (2, 3, 32, 32)
    assert batch.mask.shape == batch.distance.shape == (2, 0, 32, 32)


def test_bad_stream_is_one_clear_line(root):
    cracks = SyntheticCracks(2, 32)
    write(root / "train" / "images" / "b.jpg", (48, 24))
    write(root / "train" / "masks" / "b.png", values=line_mask(24, 48))
    for call, words in (
        (lambda: CrackStream(cracks, 30, 2, 0, PRINTED), "crop 30 is not a multiple of 4"),
        (lambda: CrackStream(cracks, 16, 3, 0, PRINTED, world=2), "does not divide by 2"),
        (lambda: CrackStream(cracks, 64, 2, 0, PRINTED).batch(0), "smaller than the crop 64"),
        (
            lambda: CrackStream(CrackFolder(root, "train"), None, 3, 0, PRINTED).batch(0),
            "need a crop",
        ),
        (lambda: SyntheticCracks(1, 30), "do not divide by 4"),
        (lambda: SyntheticCracks(1, 32, split="val"), "choose one of train, test"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_loader_passes_errors_on_and_can_be_closed(root):
    spoil_grey(root)
    stream = CrackStream(CrackFolder(root, "train"), 16, 3, 0, PRINTED)
    with pytest.raises(ValueError, match="not black and white"):
        next(stream.loader(0, 3, 2))
    loader = CrackStream(SyntheticCracks(2, 32), None, 1, 0, PRINTED).loader(0, 100, 2)
    next(loader)
    loader.close()


def test_manifest_lists_every_image(root):
    entries = manifest(CrackFolder(root, "test"), "test")
    assert [e.name for e in entries] == ["a", "b", "noncrack_1.jpg"]
    assert entries[0].crack_share == pytest.approx(3 / 24)
    text = manifest_text(entries)
    assert text.splitlines()[0] == "name,split,height,width,crack_share,sha256"
    assert len(text.splitlines()) == 4
    assert manifest_text(entries, "json").startswith("[")


def test_near_duplicates_are_found_across_splits(tmp_path):
    source = SyntheticCracks(4, 96, seed=5)
    for i in range(4):
        picture = source.load(i)[0].transpose(1, 2, 0)
        for split in ("train", "test"):
            if split == "test" and i != 2:
                continue
            name = f"{split}_{i}"
            (tmp_path / split / "images").mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(tmp_path / split / "images" / f"{name}.jpg", quality=80)
            write(tmp_path / split / "masks" / f"{name}.png", values=np.zeros((96, 96)))
    pairs = near_duplicates(CrackFolder(tmp_path, "train"), CrackFolder(tmp_path, "test"))
    assert [(p.first, p.second) for p in pairs] == [("train_2", "test_2")]


@pytest.mark.skipif(not (REAL / "khanhha-mini").is_dir(), reason="no real data beside the checkout")
def test_real_folder_in_the_khanhha_layout():
    cracks = open_cracks(str(REAL / "khanhha-mini"), "test", 12, 448)
    cracks.check()
    assert len(cracks) == 12
    assert cracks.load(0)[0].shape == (3, 448, 448)
    assert len(CrackFolder(REAL / "khanhha-mini", "test")) > 100
