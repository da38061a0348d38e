"""`csbsr segment` as a batch tool: what is written, what is never written over, what goes on."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

import csbsr.inference.batch as module
from csbsr import cli
from csbsr.cli import main
from csbsr.inference.batch import PICTURES
from csbsr.inference.photographs import find_photographs
from csbsr.inference.rasters import write_float_tiff, write_png
from csbsr.metrics.crack_lines import crack_lines
from csbsr.metrics.cracks import crack_list, line_length
from csbsr.model_file import Threshold, save_model
from csbsr.networks.architecture import (
    Architecture,
    BicubicConfig,
    DarknessConfig,
    build_model,
)
from csbsr.protocol import RELEASED

DARK = Architecture(BicubicConfig(), DarknessConfig())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that needs no training: dark pixels of the enlarged photograph are crack."""
    path = tmp_path_factory.mktemp("model") / "dark.safetensors"
    save_model(
        path,
        build_model(DARK),
        architecture=DARK,
        protocol=RELEASED,
        run_card={"experiment": "darkness", "seed": 0},
        threshold=Threshold(0.6, "test"),
        licence="MIT",
    )
    return path


def wall(path: Path, height: int = 40, width: int = 60) -> Path:
    """A bright wall with a dark horizontal crack, four pixels wide and ten from each side."""
    pixels = np.full((height, width, 3), 200, np.uint8)
    pixels[height // 2 : height // 2 + 4, 10:-10] = 10
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def segment(weights: Path, tmp_path: Path):
    def call(*arguments: object, output: Path | None = None) -> int:
        out = output or tmp_path / "out"
        return main(
            ["segment", *map(str, arguments), "--weights", str(weights), "--output", str(out)]
        )

    return call


def test_one_photograph_gives_pictures_and_a_list_of_cracks(segment, tmp_path, capsys) -> None:
    assert segment(wall(tmp_path / "wall.png"), "--pixel-size", 0.5) == 0
    out = tmp_path / "out"
    assert capsys.readouterr().out.strip() == str(out / "wall-mask.png")
    names = {"mask.png", "overlay.png", "sr.png", "prob.png"}
    names |= {"cracks.json", "centrelines.geojson"}
    assert files(out) == {f"wall-{name}" for name in names} | {"cracks.csv"}
    mask = np.asarray(Image.open(out / "wall-mask.png"))
    assert mask.shape == (160, 240)
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[84:92, 50:190] == 255).all()
    assert Image.open(out / "wall-sr.png").mode == "RGB"
    content = json.loads((out / "wall-cracks.json").read_text())
    assert content["scale"] == 4
    assert content["threshold"] == 0.6
    assert content["model"] == "darkness"
    (crack,) = content["cracks"]
    assert crack["length"] == pytest.approx(40, abs=2), "in pixels of the photograph"
    assert crack["mean_width"] == pytest.approx(4, abs=1)
    assert crack["maximum_width_mm"] == pytest.approx(crack["maximum_width"] / 2, abs=0.01)
    assert content["crack_share"] == pytest.approx(mask.mean() / 255)
    lines = json.loads((out / "wall-centrelines.geojson").read_text())
    assert lines["type"] == "FeatureCollection"
    (feature,) = lines["features"]
    assert feature["properties"] == crack
    assert "centreline" not in crack
    (line,) = feature["geometry"]["coordinates"]
    assert all(22 <= y <= 23 for _, y in line[1:-1]), "along the middle of the crack"
    assert max(x for x, _ in line) - min(x for x, _ in line) == pytest.approx(40, abs=6)
    (row,) = csv.DictReader((out / "cracks.csv").open())
    assert float(row["length"]) == crack["length"]
    assert row["photograph"].endswith("wall.png")


def test_photographs_that_need_no_super_resolution(segment, tmp_path) -> None:
    assert (
        segment(wall(tmp_path / "wall.png"), "--hr", "--save", "mask", "prob", "--prob", "16") == 0
    )
    assert Image.open(tmp_path / "out" / "wall-mask.png").size == (60, 40)
    assert np.asarray(Image.open(tmp_path / "out" / "wall-prob.png")).dtype == np.uint16
    assert files(tmp_path / "out") == {
        "wall-mask.png",
        "wall-prob.png",
        "wall-cracks.json",
        "wall-centrelines.geojson",
        "cracks.csv",
    }


def test_probability_as_float_tiff(segment, tmp_path) -> None:
    assert segment(wall(tmp_path / "wall.png"), "--save", "mask", "prob", "--prob", "float") == 0
    prob = np.asarray(Image.open(tmp_path / "out" / "wall-prob.tif"))
    assert prob.dtype == np.float32
    mask = np.asarray(Image.open(tmp_path / "out" / "wall-mask.png")) > 0
    assert np.array_equal(prob > 0.6, mask)


def test_folders_patterns_and_names_that_collide(segment, tmp_path, monkeypatch) -> None:
    photos = tmp_path / "photos"
    for name in ("a.png", "a.bmp", "A.jpg", "sub/a.png", "sub/deep/b.tif", ".hidden.png"):
        wall(photos / name)
    (photos / "notes.txt").write_text("notes")
    pattern = find_photographs(
        [str(photos / "**" / "*.png"), str(photos / "a.png")], False, tmp_path
    )
    assert sorted(p.path.name for p in pattern) == ["a.png", "a.png"]
    assert len({str(p.place).casefold() for p in pattern}) == 2
    assert segment(photos, "--save", "mask") == 0
    masks = {n for n in files(tmp_path / "out") if "mask" in n}
    assert masks == {"a.png-mask.png", "a.bmp-mask.png", "A.jpg-mask.png"}
    assert segment(photos, "--recursive", "--save", "mask", output=photos / "out") == 0
    masks = {n for n in files(photos / "out") if "mask" in n}
    assert masks >= {"sub/a-mask.png", "sub/deep/b-mask.png"}
    again = find_photographs([str(photos)], True, photos / "out")
    assert len(again) == 5, "results in a folder below are no photographs"
    for names, words in (([str(photos / "*.xyz")], "no file matches"), ([str(tmp_path)], "--rec")):
        with pytest.raises(ValueError, match=words):
            find_photographs(names, False, tmp_path / "out")


def test_a_bad_photograph_does_not_stop_the_others(segment, tmp_path, capsys) -> None:
    good, bad = wall(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    assert segment(bad, tmp_path / "absent.png", good, "--save", "mask") == 1
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "out" / "good-mask.png")
    assert "2 of 3 photographs failed:" in said.err
    tail = said.err.strip().splitlines()[-2:]
    assert "bad.png: is no picture" in tail[0]
    assert "absent.png: does not exist" in tail[1]
    assert segment(bad) == 2, "alone it is bad input"
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("csbsr: ")


def test_nothing_is_overwritten_unasked(segment, tmp_path, capsys) -> None:
    photo, out = wall(tmp_path / "wall.png"), tmp_path / "out"
    out.mkdir()
    (out / "wall-mask.png").write_text("mine")
    assert segment(photo) == 2
    assert "wall-mask.png exists; give --overwrite" in capsys.readouterr().err
    assert files(out) == {"wall-mask.png"}
    assert (out / "wall-mask.png").read_text() == "mine"
    assert segment(photo, "--resume") == 2, "resuming is no licence either"
    assert (out / "wall-mask.png").read_text() == "mine"
    assert segment(photo, "--overwrite") == 0
    assert Image.open(out / "wall-mask.png").size == (240, 160)
    assert segment(photo) == 2, "the table of cracks is there, too"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_regular_files_are_replaced(segment, tmp_path, capsys, kind) -> None:
    photo, out = wall(tmp_path / "wall.png"), tmp_path / "out"
    out.mkdir()
    (tmp_path / "mine.png").write_text("mine")
    make = {
        "link": lambda p: p.symlink_to(tmp_path / "mine.png"),
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
    }
    make[kind](out / "wall-overlay.png")
    assert segment(photo, "--overwrite") == 2
    assert "wall-overlay.png is a link or no regular file" in capsys.readouterr().err
    assert (tmp_path / "mine.png").read_text() == "mine"
    assert not (out / "wall-mask.png").exists()


def test_a_photograph_is_never_overwritten(segment, tmp_path, capsys) -> None:
    photo, other = wall(tmp_path / "wall.png"), wall(tmp_path / "wall-mask.png")
    before = other.read_bytes()
    assert segment(photo, other, "--overwrite", "--save", "mask", output=tmp_path) == 1
    assert "wall-mask.png is itself one of the photographs" in capsys.readouterr().err
    assert other.read_bytes() == before


class Stop(nn.Module):
    """A segmentation network during whose last call Ctrl-C is pressed."""

    def __init__(self, network: nn.Module, calls: int) -> None:
        super().__init__()
        self.network, self.left, self.blur_skip = network, calls, None

    def forward(self, image: Tensor, kernel: Tensor | None = None) -> object:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.network(image, kernel)


def test_a_stopped_batch_goes_on_and_ends_with_the_same_files(
    segment, tmp_path, capsys, monkeypatch
) -> None:
    photos = [wall(tmp_path / f"{name}.png", 150, 130) for name in "abc"]
    assert segment(*photos, output=tmp_path / "whole") == 0
    out, loaded = tmp_path / "out", module.Segmenter

    def interrupted(model: nn.Module, *rest: object, **options: object) -> object:
        segmenter = loaded(model, *rest, **options)
        model.segmentation = Stop(model.segmentation, 18)
        return segmenter

    monkeypatch.setattr(module, "Segmenter", interrupted)
    assert segment(*photos) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert not (out / "cracks.csv").exists()
    monkeypatch.undo()
    done = {p: p.stat().st_mtime_ns for p in out.glob("a-*")}
    assert segment(*photos, "--resume") == 0
    assert "done before" in capsys.readouterr().err
    assert all(p.stat().st_mtime_ns == t for p, t in done.items())
    assert files(out) == files(tmp_path / "whole")
    for name in files(out):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_kill_leaves_no_half_file_and_resume_works(weights, tmp_path) -> None:
    photo, out = wall(tmp_path / "wall.png", 400, 400), tmp_path / "out"
    command = [sys.executable, "-m", "csbsr.cli", "segment", str(photo)]
    command += ["--weights", str(weights), "--output", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob(".csbsr-*/state.json")) and time.monotonic() < deadline:
        if process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in out.glob("wall-*.png"):
        Image.open(path).load()
    assert subprocess.run([*command, "--resume"], capture_output=True, check=False).returncode == 0
    assert not list(out.glob(".csbsr-*"))
    assert Image.open(out / "wall-mask.png").size == (1600, 1600)


def test_full_disk_is_a_reason_and_leaves_nothing(segment, tmp_path, capsys, monkeypatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    photos = [wall(tmp_path / f"{name}.png") for name in "ab"]
    assert segment(*photos) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert files(tmp_path / "out") == set()


def test_out_of_memory_is_a_reason(segment, tmp_path, capsys, monkeypatch) -> None:
    def large(*arguments: object, **options: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(module.Segmenter, "segment", large)
    assert segment(wall(tmp_path / "a.png"), wall(tmp_path / "b.png")) == 1
    assert "a.png: out of memory; give a smaller --tile" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threshold", "1.5"], "between 0 and 1"),
        (["--pixel-size", "-1"], "above 0 millimetres"),
        (["--tile", "32"], "too small for this model"),
    ],
)
def test_bad_options_are_one_line_and_nothing_is_written(
    segment, tmp_path, capsys, options, words
) -> None:
    assert segment(wall(tmp_path / "wall.png"), *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_names_of_any_bytes(segment, tmp_path) -> None:
    name = os.fsdecode("w\xe4nd \n".encode("latin-1")) + ".png"
    assert segment(wall(tmp_path / name), "--save", "mask") == 0
    assert len(files(tmp_path / "out")) == 4


def test_the_command_line_and_the_module_know_the_same_pictures() -> None:
    assert cli.PICTURES == PICTURES


@pytest.mark.parametrize(
    ("dtype", "shape"), [("uint8", (9, 7)), ("uint16", (9, 7)), ("uint8", (9, 7, 3))]
)
def test_pictures_are_written_row_by_row(tmp_path, dtype, shape) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, np.iinfo(dtype).max, shape, dtype)
    write_png(tmp_path / "a.png", shape[:2], (values[i : i + 4] for i in range(0, 9, 4)))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), values)


def test_float_tiff_is_read_again(tmp_path) -> None:
    values = np.random.default_rng(0).random((9, 7)).astype(np.float32)
    write_float_tiff(tmp_path / "a.tif", (9, 7), [values[:5], values[5:]])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.tif")), values)
    with pytest.raises(ValueError, match="larger than a TIFF can be"):
        write_float_tiff(tmp_path / "b.tif", (40_000, 40_000), [])


def test_cracks_are_measured() -> None:
    mask = np.zeros((60, 100), bool)
    mask[10:15, 20:81] = True  # 61 x 5
    for i in range(30):
        mask[25 + i, 5 + i : 8 + i] = True  # diagonal
    mask[2:4, 2:4] = True  # a speck
    flat, slanted = crack_list(mask)
    assert flat.area == 305
    assert flat.length == pytest.approx(61, abs=1)
    assert flat.maximum_width == 5
    assert flat.mean_width == pytest.approx(5, rel=0.1)
    assert (flat.top, flat.left, flat.bottom, flat.right) == (10, 20, 15, 81)
    assert slanted.length == pytest.approx(29 * np.sqrt(2) + 1, abs=3)
    assert crack_list(np.zeros((5, 5), bool)) == []


def drawn(*lines: np.ndarray) -> np.ndarray:
    mask = np.zeros((40, 40), bool)
    for rows, columns in lines:
        mask[rows, columns] = True
    return mask


def test_centrelines_are_walked_once_from_end_to_end() -> None:
    index = np.arange(5, 30)
    bar = (index, np.full(25, 20))
    across = (np.full(25, 15), index)
    slope = (index, index)
    ((crack,), mask) = crack_list(drawn(slope)), drawn(slope)
    (line,) = crack_lines(mask, crack)
    assert line.tolist() in (np.transpose(slope).tolist(), np.transpose(slope)[::-1].tolist())
    mask = drawn(bar, across)
    (crack,) = crack_list(mask)
    lines = crack_lines(mask, crack)
    assert len(lines) >= 4
    assert {tuple(p) for line in lines for p in line.tolist()} == set(zip(*np.nonzero(mask)))
    ring = drawn((np.r_[5:15, [5] * 10, 5:15, [14] * 10], np.r_[[5] * 10, 5:15, [14] * 10, 5:15]))
    (crack,) = crack_list(ring)
    (line,) = crack_lines(ring, crack)
    assert line[0].tolist() == line[-1].tolist()
    assert len(line) == ring.sum() - 4 + 1, "thinning takes the corners"
    with pytest.raises(ValueError, match="none of this mask"):
        crack_lines(ring, crack._replace(area=7))


def test_length_of_lines() -> None:
    def length(line: np.ndarray) -> float:
        return line_length(line, np.ones(line.shape))

    assert length(np.eye(5, dtype=bool)) == pytest.approx(4 * np.sqrt(2) + 1)
    assert length(np.ones((1, 7), bool)) == 7
    assert length(np.ones((1, 1), bool)) == 1
    corner = np.zeros((4, 4), bool)
    corner[0, :] = corner[:, 0] = True
    assert length(corner) == 7
    ring = np.ones((5, 5), bool)
    ring[1:-1, 1:-1] = False
    assert length(ring) == 16, "no ends"
