"""`csbsr data`: layouts of published data sets become ours; what is doubtful is said."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from csbsr.cli import main
from csbsr.data.audit import audit_folder, open_splits
from csbsr.data.cracks import CrackFolder
from csbsr.degradation import degrade, kernel_for_image
from csbsr.protocol import REPRODUCTION


def image(path: Path, seed: int, size: tuple[int, int] = (48, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(
        60, 220, (size[1] // 8, size[0] // 8, 3), np.uint8
    )
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def mask(path: Path, value: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((32, 48), np.uint8)
    values[10:14, 6:40] = value
    Image.fromarray(values).save(path)
    return path


def deepcrack(root: Path) -> None:
    for i, split in enumerate(("train", "test")):
        image(root / f"{split}_img" / "1.jpg", i)
        mask(root / f"{split}_lab" / "1.png")


def crack500(root: Path) -> None:
    for i, split in enumerate(("train", "val", "test")):
        image(root / f"{split}crop" / "a.jpg", i)
        mask(root / f"{split}crop" / "a.png")


def flat(root: Path) -> None:
    image(root / "wall.png", 1)
    mask(root / "wall_mask.png")
    (root / "notes.txt").write_text("notes")


def suffixed(root: Path) -> None:
    image(root / "images" / "wall.tif", 1)
    mask(root / "masks" / "wall_mask.gif")


def voc(root: Path) -> None:
    for i, name in enumerate(("a", "b")):
        image(root / "JPEGImages" / f"{name}.jpg", i)
        mask(root / "SegmentationClass" / f"{name}.png", 1)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "test.txt").write_text("b\n")


POLYGON = [6, 10, 39, 10, 39, 13, 6, 13]


def coco(root: Path) -> None:
    image(root / "images" / "a.jpg", 0)
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 7, "segmentation": [POLYGON]}],
    }
    (root / "instances_test.json").write_text(json.dumps(content))


def yolo(root: Path) -> None:
    image(root / "images" / "train" / "a.jpg", 0)
    image(root / "images" / "val" / "b.jpg", 1)
    numbers = " ".join(str(v / (48, 32)[i % 2]) for i, v in enumerate(POLYGON))
    for split, name in (("train", "a"), ("val", "b")):
        path = root / "labels" / split / f"{name}.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"0 {numbers}\n")


@pytest.mark.parametrize(
    ("make", "splits", "options"),
    [
        (deepcrack, {"train": 1, "test": 1}, []),
        (crack500, {"train": 1, "val": 1, "test": 1}, []),
        (flat, {"train": 1}, []),
        (suffixed, {"train": 1}, []),
        (voc, {"train": 1, "test": 1}, ["--mask-values", "crack=1"]),
        (coco, {"test": 1}, []),
        (yolo, {"train": 1, "val": 1}, []),
    ],
)
def test_published_layouts_become_ours(tmp_path, capsys, make, splits, options) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    make(source)
    assert main(["data", "convert", str(source), str(out), *options]) == 0
    assert capsys.readouterr().out.strip().endswith(str(out))
    assert {p.name: len(list((p / "images").iterdir())) for p in out.iterdir()} == splits
    for split in splits:
        folder = CrackFolder(out, split)
        found = folder.load(0)[1][0]
        assert found[10:14, 6:40].mean() > 0.95
        assert found.mean() == pytest.approx(4 * 34 / (32 * 48), rel=0.1)


def test_ordinary_images_are_copied_byte_by_byte(tmp_path) -> None:
    deepcrack(tmp_path / "source")
    assert main(["data", "convert", str(tmp_path / "source"), str(tmp_path / "out")]) == 0
    before = (tmp_path / "source" / "train_img" / "1.jpg").read_bytes()
    assert (tmp_path / "out" / "train" / "images" / "1.jpg").read_bytes() == before


def unmapped(root: Path) -> None:
    voc(root)


def without_mask(root: Path) -> None:
    deepcrack(root)
    (root / "test_lab" / "1.png").unlink()


def boxes(root: Path) -> None:
    yolo(root)
    (root / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")


def broken_json(root: Path) -> None:
    coco(root)
    (root / "instances_test.json").write_text('{"images": 3}')


def nothing(root: Path) -> None:
    root.mkdir()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (unmapped, "--mask-values crack=1"),
        (without_mask, "has no mask in"),
        (boxes, "holds a box or a broken polygon"),
        (broken_json, "is no COCO file"),
        (nothing, "none of the layouts known here"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(
    tmp_path, capsys, make, words
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    make(source)
    assert main(["data", "convert", str(source), str(out)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == {"source"}


def khanhha(root: Path, names: dict[str, int], split: str) -> None:
    for name, seed in names.items():
        image(root / split / "images" / f"{name}.png", seed, (48, 32))
        mask(root / split / "masks" / f"{name}.png")


def test_an_output_that_is_there_is_refused(tmp_path, capsys) -> None:
    deepcrack(tmp_path / "source")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert main(["data", "convert", str(tmp_path / "source"), str(tmp_path / "out")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_check_says_what_is_there_and_draws_a_sheet(tmp_path, capsys) -> None:
    khanhha(tmp_path / "data", {"CFD_1": 1, "CFD_2": 2, "other_1": 3}, "train")
    khanhha(tmp_path / "data", {"CFD_3": 4, "CFD_9": 1}, "test")
    sheet = tmp_path / "sheet.png"
    assert main(["data", "check", str(tmp_path / "data"), "--sheet", str(sheet)]) == 0
    text = capsys.readouterr().out
    assert "CFD" in text
    assert "8.85%" in text
    assert "CFD_9: also in the training split" in text
    assert Image.open(sheet).width == 1120


def test_audit_finds_copies_look_alikes_and_crops(tmp_path) -> None:
    data = tmp_path / "data"
    crop = "CRACK500_20160222_081011_{}_361"
    khanhha(data, {"a": 1, "b": 2, crop.format(1): 5}, "train")
    khanhha(data, {"copy": 1, "alike": 8, "clean": 9, crop.format(641): 6}, "test")
    picture = Image.open(data / "train" / "images" / "b.png")
    picture.save(data / "test" / "images" / "alike.png", optimize=True)
    brighter = Image.fromarray((np.asarray(picture) * 0.97).astype(np.uint8))
    brighter.save(data / "test" / "images" / "alike.png")
    found = audit_folder(open_splits(data))
    assert found.exact == [("train/a", "test/copy")]
    assert ("train/b", "test/alike") in {(p.first, p.second) for p in found.near}
    assert found.clean_test == ["clean"]


def test_split_keeps_photographs_together_and_is_repeatable(tmp_path) -> None:
    source = tmp_path / "source"
    names = {f"CRACK500_20160222_0810{i:02d}_{x}_1": 2 * i + x for i in range(12) for x in (1, 2)}
    khanhha(source, names, "train")
    for out in ("one", "two"):
        command = ["data", "split", str(source), str(tmp_path / out), "--test-share", "0.4"]
        assert main(command) == 0
    parts = {
        split: {p.stem for p in (tmp_path / "one" / split / "images").iterdir()}
        for split in ("train", "test")
    }
    assert parts["train"] | parts["test"] == set(names)
    assert not {n[:24] for n in parts["train"]} & {n[:24] for n in parts["test"]}
    again = {p.stem for p in (tmp_path / "two" / "test" / "images").iterdir()}
    assert again == parts["test"]


def test_degraded_set_can_be_made_again(tmp_path, capsys) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    khanhha(data, {"a": 1, "b": 2}, "test")
    assert main(["data", "degrade", str(data), str(out)]) == 0
    rows = list(csv.DictReader((out / "manifest.csv").open()))
    assert [r["name"] for r in rows] == ["a", "b"]
    kernels = np.load(out / "kernels.npz")
    kernel = kernel_for_image(5, "a", REPRODUCTION)
    assert np.array_equal(kernels["a"], kernel[0].numpy())
    hr = torch.from_numpy(CrackFolder(data, "test").load(0)[0].copy())[None].float() / 255
    lr = degrade(hr, kernel[None], REPRODUCTION, test=True)[0].clamp(0, 1)
    seen = np.asarray(Image.open(out / "lr" / "a.png"))
    assert seen.shape == (8, 12, 3)
    assert np.abs(seen / 255 - lr.permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6
    assert Image.open(out / "masks" / "a.png").size == (48, 32)
