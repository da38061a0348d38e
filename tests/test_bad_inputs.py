"""Bad input of every kind to every command: one clear line, the right code, nothing written.

Each case makes what it needs in an empty folder, in which the command then runs. The line must
say the words given; code 2 is bad input, 1 a failure of the machine, 130 a stop by the user. No
file outside the output may change, and none may be left in it.
"""

import contextlib
import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from result_files import put_result
from safetensors.torch import save

from csbsr import commands
from csbsr.cli import main
from csbsr.inference.batch import output_lock
from csbsr.inference.segmenter import Segmenter
from csbsr.model_file import Threshold, save_model
from csbsr.networks.architecture import Architecture, BicubicConfig, DarknessConfig, build_model
from csbsr.protocol import RELEASED
from csbsr.study.provenance import PACKAGE
from csbsr_book.site.chapter import Chapter
from csbsr_book.site.study import StudyChapter

DARK = Architecture(BicubicConfig(), DarknessConfig())
ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and nothing of the user's in the environment."""
    for name in ("CSBSR_DATA", "CSBSR_NATURAL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


# -- things that commands are given ------------------------------------------------------------


def model() -> None:
    """`dark.safetensors`, a model that needs no training: dark pixels are crack."""
    save_model(
        Path("dark.safetensors"),
        build_model(DARK),
        architecture=DARK,
        protocol=RELEASED,
        run_card={"experiment": "darkness", "seed": 0},
        threshold=Threshold(0.6, "test"),
        licence="MIT",
    )


def picture(name: str = "wall.png", size: int = 64, value: int = 200) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(name)).integers(value - 40, value, (size, size, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(name)


def mask(name: str, values: tuple[int, ...] = (0, 255), size: int = 64) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size, size), values[0], np.uint8)
    for i, value in enumerate(values[1:]):
        pixels[10 * i + 4 : 10 * i + 8] = value
    Image.fromarray(pixels).save(name)


def data(count: int = 2) -> None:
    """`data`, a good folder in the Khanhha layout."""
    for split in ("train", "test"):
        for i in range(count):
            picture(f"data/{split}/images/{split}{i}.png")
            mask(f"data/{split}/masks/{split}{i}.png")


def profile(*change: str) -> None:
    """`mine.toml`, the smoke profile under another name, with a piece of text changed."""
    text = (PACKAGE / "study" / "profiles" / "smoke.toml").read_text(encoding="utf-8")
    text = text.replace('name = "smoke"', 'name = "mine"')
    assert not change or change[0] in text
    Path("mine.toml").write_text(text.replace(*change, 1) if change else text)


def file(name: str, content: bytes | str = b"") -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png_bomb(name: str) -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    file(name, b"\x89PNG\r\n\x1a\n" + body)


def floats(name: str, *values: float) -> None:
    pixels = np.zeros((8, 8), np.float32)
    pixels.flat[: len(values)] = values
    Image.fromarray(pixels).save(name)


def half(name: str) -> None:
    picture(name, 200)
    content = Path(name).read_bytes()
    Path(name).write_bytes(content[: len(content) // 2])


class Trap:
    """Unpickled without care, this makes a file."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch executed",)


def header(**change: object) -> None:
    """`model.safetensors` with the header of a good model, changed."""
    model()
    content = Path("dark.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    good = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["csbsr"])
    file("model.safetensors", save({}, {"csbsr": json.dumps(good | change)}))


def result(text: str | bytes | None = None, **change: object) -> None:
    """A result in `results`, damaged."""
    path = put_result(Path("results"), "csbsr-pspnet")
    content = json.loads(path.read_text())
    file(str(path), json.dumps(content | change) if text is None else text)


def coco(content: object) -> None:
    picture("source/a.png")
    file("source/instances.json", content if isinstance(content, str) else json.dumps(content))


def yolo(text: str) -> None:
    picture("source/images/train/a.png")
    file("source/labels/train/a.txt", text)


def masks(values: tuple[int, ...]) -> None:
    data()
    for split in ("train", "test"):
        mask(f"data/{split}/masks/{split}0.png", values)


def transparent() -> None:
    data()
    clear = np.zeros((64, 64, 4), np.uint8)
    clear[:8, :, 3] = 255
    Image.fromarray(clear).save("data/test/masks/test0.png")


def turned() -> None:
    data()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (96, 64)).save("data/test/images/test0.png", exif=exif)
    Image.new("L", (96, 64)).save("data/test/masks/test0.png")


Make = Callable[[], object]
Case = tuple[Make, str, str]
"""How to make what is needed; the command; what its line says."""


def nothing() -> None:
    """Make nothing."""


SEGMENT = "segment {} --weights dark.safetensors --output out"

PHOTOS: dict[str, tuple[Make, str, str]] = {
    "absent": (nothing, "wall.png", "does not exist"),
    "empty": (lambda: file("wall.png"), "wall.png", "is empty (0 bytes)"),
    "text": (lambda: file("wall.png", "hello"), "wall.png", "is no picture"),
    "web page": (lambda: file("wall.jpg", "<!DOCTYPE html>"), "wall.jpg", "is a web page"),
    "LFS pointer": (
        lambda: file("wall.jpg", "version https://git-lfs.github.com/spec/v1\n"),
        "wall.jpg",
        "git lfs pull",
    ),
    "PDF": (lambda: file("wall.jpg", "%PDF-1.7"), "wall.jpg", "is a PDF"),
    "PostScript": (lambda: file("wall.png", "%!PS-Adobe"), "wall.png", "is a PostScript file"),
    "drawing": (lambda: file("wall.png", "<svg></svg>"), "wall.png", "is a drawing"),
    "archive": (lambda: file("wall.png", b"PK\x03\x04"), "wall.png", "is an archive"),
    "NumPy": (lambda: file("wall.png", b"\x93NUMPY"), "wall.png", "is a NumPy file"),
    "Photoshop": (lambda: file("wall.png", b"8BPS"), "wall.png", "is a Photoshop file"),
    "video": (lambda: file("wall.jpg", b"\0\0\0\x18ftypmp42" + bytes(9)), "wall.jpg", "a video"),
    "raw": (lambda: file("wall.nef", b"II*\0"), "wall.nef", "raw camera file"),
    "half a PNG": (lambda: half("wall.png"), "wall.png", "is damaged"),
    "half a JPEG": (lambda: half("wall.jpg"), "wall.jpg", "is damaged"),
    "half a TIFF": (lambda: half("wall.tif"), "wall.tif", "damaged"),
    "only a PNG's magic": (
        lambda: file("wall.png", b"\x89PNG\r\n\x1a\n"),
        "wall.png",
        "is damaged",
    ),
    "bomb": (lambda: png_bomb("wall.png"), "wall.png", "megapixels"),
    "NaN": (lambda: floats("wall.tif", 0.5, float("nan")), "wall.tif", "holds NaN or infinite"),
    "infinity": (lambda: floats("wall.tif", float("inf")), "wall.tif", "holds NaN or infinite"),
    "negative": (lambda: floats("wall.tif", -3, 1), "wall.tif", "values from -3 to 1"),
    "beyond 16 bit": (lambda: floats("wall.tif", 1e9), "wall.tif", "values from 0 to 1e+09"),
    "folder without photographs": (lambda: file("photos/a.txt"), "photos", "holds no photographs"),
    "pattern without match": (nothing, "*.png", "no file matches *.png"),
    "named pipe": (lambda: os.mkfifo("wall.png"), "wall.png", "is a pipe or a device"),
    "device": (nothing, "/dev/zero", "is a pipe or a device"),
    "link to nothing": (lambda: os.symlink("x", "wall.png"), "wall.png", "is a link to nothing"),
    "link to itself": (lambda: os.symlink("a.png", "a.png"), "a.png", "cannot be opened"),
    "name too long": (nothing, "a" * 300 + ".png", "File name too long"),
    "bytes of another encoding": (nothing, os.fsdecode(b"w\xe4nd.png"), "does not exist"),
    "a line break in the name": (nothing, "a\nb.png", "does not exist"),
}

WEIGHTS: dict[str, tuple[Make, str, str]] = {
    "absent": (nothing, "x.safetensors", "does not exist"),
    "empty": (lambda: file("x.safetensors"), "x.safetensors", "is empty"),
    "web page": (lambda: file("x.safetensors", "<html>"), "x.safetensors", "is a web page"),
    "text": (lambda: file("x.safetensors", "hello there"), "x.safetensors", "is no model file"),
    "checkpoint": (lambda: torch.save({}, "x.pt"), "x.pt", "csbsr weights import"),
    "pickle": (
        lambda: file("x.pt", pickle.dumps(Trap())),
        "x.pt",
        "is a PyTorch file; convert a published one",
    ),
    "no header": (
        lambda: file("x.safetensors", save({"a": torch.ones(2)})),
        "x.safetensors",
        "no header of csbsr",
    ),
    "no JSON": (
        lambda: file("x.safetensors", save({}, {"csbsr": "{"})),
        "x.safetensors",
        "its header is no JSON",
    ),
    "null": (
        lambda: file("x.safetensors", save({}, {"csbsr": "null"})),
        "x.safetensors",
        "has format None",
    ),
    "another version": (lambda: header(format="9"), "model.safetensors", "has format '9'"),
    "no architecture": (
        lambda: header(architecture=3),
        "model.safetensors",
        "its header does not fit: no architecture",
    ),
    "a card of wrong types": (
        lambda: header(run_card={"experiment": 7}),
        "model.safetensors",
        "run_card: experiment is 7",
    ),
    "no card": (lambda: header(run_card=None), "model.safetensors", "no run_card"),
    "threshold 2": (
        lambda: header(threshold={"value": 2.0, "chosen_on": "test"}),
        "model.safetensors",
        "threshold 2.0 must lie between 0 and 1",
    ),
    "unknown protocol option": (
        lambda: header(protocol={"name": "x", "speed": 3}),
        "model.safetensors",
        "unknown key 'speed'",
    ),
    "left over": (
        lambda: file(
            "x.safetensors",
            save({"a": torch.ones(2)}, {"csbsr": json.dumps(_good_header())}),
        ),
        "x.safetensors",
        "left over: a",
    ),
    "NaN": (
        lambda: file(
            "x.safetensors",
            save({"a": torch.tensor([float("nan")])}, {"csbsr": json.dumps(_good_header())}),
        ),
        "x.safetensors",
        "hold NaN or infinity",
    ),
    "folder of a run that is not finished": (lambda: Path("run").mkdir(), "run/", "not finished"),
    "named pipe": (lambda: os.mkfifo("x.safetensors"), "x.safetensors", "is no regular file"),
    "experiment that is unknown": (nothing, "csbsr-pspnt", "did you mean csbsr-pspnet"),
    "experiment that was not trained": (nothing, "csbsr-pspnet", "there is no trained model"),
}


def _good_header() -> dict:
    header()
    content = Path("model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["csbsr"])


OPTIONS: dict[str, tuple[str, str]] = {
    "threshold above 1": ("--threshold 1.5", "between 0 and 1"),
    "threshold NaN": ("--threshold nan", "between 0 and 1"),
    "threshold no number": ("--threshold half", "invalid float value: 'half'"),
    "pixel size negative": ("--pixel-size -1", "above 0 millimetres"),
    "pixel size NaN": ("--pixel-size nan", "above 0 millimetres"),
    "pixel size infinite": ("--pixel-size inf", "above 0 millimetres"),
    "tile too small": ("--tile 8", "too small for this model"),
    "tile negative": ("--tile -64", "too small for this model"),
    "unknown picture": ("--save masks", "invalid choice: 'masks'"),
    "unknown depth": ("--prob 12", "invalid choice: '12'"),
    "unknown option": ("--treshold 0.5", "unrecognized arguments: --treshold"),
    "unknown device": ("--device tpu", "device 'tpu' is unknown"),
    "device that is not there": ("--device cuda:99", "is not there"),
    "output that is a file": ("--output dark.safetensors", "is a file; name a folder"),
    "output that is a device": ("--output /dev/null", "is a file; name a folder"),
    "output below a file": ("--output dark.safetensors/out", "is a file; name a folder"),
}

RUN = "run darkness --profile smoke --data data --results results"
EVALUATE = "evaluate dark.safetensors --data data"

OTHERS: dict[str, Case] = {
    # -- data sets
    "data absent": (nothing, RUN, "data folder data does not exist"),
    "data a file": (lambda: file("data"), RUN, "is a file, no folder"),
    "data empty": (lambda: Path("data").mkdir(), RUN, "has no train split"),
    "data a name that is taken": (
        lambda: (data(), os.rename("data", "synthetic")),
        "run darkness --data ./synthetic --results results",
        "which is taken",
    ),
    "no masks": (lambda: (data(), shutil.rmtree("data/test/masks")), RUN, "does not exist"),
    "one mask missing": (
        lambda: (data(), os.remove("data/test/masks/test1.png")),
        RUN,
        "has no mask; add",
    ),
    "two masks": (
        lambda: (data(), mask("data/test/masks/test0_mask.png")),
        RUN,
        "are masks of one image",
    ),
    "two images of one name": (
        lambda: (data(), picture("data/test/images/test0.jpg")),
        RUN,
        "share a name",
    ),
    "sizes differ": (lambda: (data(), mask("data/test/masks/test0.png", size=32)), RUN, "is 32x32"),
    "turned image": (turned, RUN, "turn the mask as the image"),
    "too small": (
        lambda: (
            data(),
            picture("data/test/images/test0.png", 8),
            mask("data/test/masks/test0.png", size=8),
        ),
        RUN,
        "smaller than",
    ),
    "mask with classes": (lambda: masks((0, 1, 2)), RUN, "values 0: "),
    "mask with a hairline of grey": (lambda: masks((0, 76)), RUN, "--mask-values crack=76"),
    "mask in the alpha channel": (transparent, RUN, "partly transparent"),
    "mask with fractions": (
        lambda: (
            data(),
            floats("data/test/masks/test0.tif", 0.5),
            os.remove("data/test/masks/test0.png"),
        ),
        RUN,
        "8x8",
    ),
    "mask that is a web page": (
        lambda: (data(), file("data/test/masks/test0.png", "<html>")),
        RUN,
        "is a web page",
    ),
    "image that is damaged": (lambda: (data(), half("data/test/images/test0.png")), RUN, "damaged"),
    "masks without any crack": (lambda: masks((0,)) or masks_empty(), RUN, "has any crack"),
    "masks mostly crack": (
        lambda: (
            data(1),
            mask("data/test/masks/test0.png", (255,)),
            mask("data/train/masks/train0.png", (255,)),
        ),
        RUN,
        "mostly crack",
    ),
    "test is train": (
        lambda: (data(), shutil.rmtree("data/test"), shutil.copytree("data/train", "data/test")),
        RUN,
        "are training images",
    ),
    "mask rule without sense": (data, f"{RUN} --mask-values crack", "are not understood"),
    "mask rule with two ways": (data, f"{RUN} --mask-values any>0,crack=3", "are not understood"),
    "mask rule with a colour that is none": (data, f"{RUN} --mask-values crack=redd", "not under"),
    # -- run
    "experiment unknown": (nothing, "run csbsr-pspnt", "did you mean csbsr-pspnet"),
    "seed negative": (nothing, "run darkness --seed -1", "seed -1 must lie between"),
    "seed huge": (nothing, f"run darkness --seed {10**23}", "must lie between"),
    "seed no number": (nothing, "run darkness --seed one", "invalid int value: 'one'"),
    "protocol unknown": (nothing, "run darkness --protocol mine", "protocol 'mine' is unknown"),
    "profile unknown": (nothing, "run darkness --profile huge", "profile 'huge' is unknown"),
    "profile absent": (nothing, "run darkness --profile mine.toml", "is no file; copy one of"),
    "profile a folder": (
        lambda: Path("mine.toml").mkdir(),
        "run darkness --profile mine.toml",
        "is no file",
    ),
    "profile no TOML": (
        lambda: file("mine.toml", "a ="),
        "run darkness --profile mine.toml",
        "TOML",
    ),
    "profile of other bytes": (
        lambda: file("mine.toml", b"\xff\xfe"),
        "run darkness --profile mine.toml",
        "cannot be read",
    ),
    "profile without a key": (
        lambda: profile("crop = 64\n", "\n"),
        "run darkness --profile mine.toml",
        "missing 'crop'",
    ),
    "profile with a key too many": (
        lambda: profile("crop = 64\n", "crop = 64\nspeed = 3\n"),
        "run darkness --profile mine.toml",
        "unknown key 'speed'",
    ),
    "profile with a word for a number": (
        lambda: profile("crop = 64", 'crop = "large"'),
        "run darkness --profile mine.toml",
        "must be an integer, not 'large'",
    ),
    "profile out of range": (
        lambda: profile("batch = 2", "batch = -2"),
        "run darkness --profile mine.toml",
        "must be at least 1, not -2",
    ),
    "profile that takes a name": (
        lambda: profile('name = "mine"', 'name = "quick"'),
        "run darkness --profile mine.toml",
        "'name' must be new",
    ),
    "natural images absent": (
        nothing,
        "run dbpn+pspnet --natural photos --results results",
        "photos does not exist",
    ),
    "natural images none": (
        lambda: Path("photos").mkdir(),
        "run dbpn+pspnet --natural photos --results results",
        "holds no image",
    ),
    "results a file": (lambda: file("results"), "run darkness --results results/x", "is a file"),
    "runs a file": (
        lambda: file("runs"),
        "run hr-pspnet --results results --runs runs",
        "runs",
    ),
    "workers none": (nothing, "run darkness --workers 0 --results results", "workers"),
    "precision unknown": (nothing, "run darkness --precision fp8", "invalid choice: 'fp8'"),
    "command unknown": (nothing, "trian", "invalid choice: 'trian'"),
    # -- sweep, status
    "seeds no numbers": (nothing, "status darkness --seeds a", "cannot be read; write 3"),
    "seeds backwards": (nothing, "status darkness --seeds 7-3", "cannot be read; write 3"),
    "seeds too many": (nothing, "status darkness --seeds 0-99999999", "ask for fewer"),
    "sweep of nothing known": (nothing, "sweep nothing", "'nothing' is unknown"),
    "sweep of table 9": (nothing, "sweep table IX", "'table IX' is unknown"),
    "sweep without jobs": (nothing, "sweep darkness --jobs 0 --results results", "jobs 0"),
    # -- tables, figures, claims, results
    "table I": (nothing, "table I", "choose II, III, IV, V, VI"),
    "table 7": (nothing, "table VII", "choose II, III, IV, V, VI"),
    "figure 0": (nothing, "figure 0 --results results", "figures go from 1 to 16"),
    "figure 99": (nothing, "figure 99 --results results", "figures go from 1 to 16"),
    "figure a word": (nothing, "figure six", "invalid int value: 'six'"),
    "figure into a file": (
        lambda: file("taken"),
        "figure 6 --output taken --results results",
        "taken is a file; give another --output",
    ),
    "claims of no results": (nothing, "claims --results typo", "typo does not exist"),
    "check of no results": (nothing, "results check --results typo", "typo does not exist"),
    "table of no results folder": (lambda: file("f"), "table II --results f", "is a file"),
    "book without jobs": (nothing, "book --jobs 0 --results results", "--jobs must be at least 1"),
    "book of an unknown profile": (nothing, "book --profile x", "profile 'x' is unknown"),
    "book of no data": (nothing, "book --data nowhere --results results", "does not exist"),
    # -- evaluate
    "evaluate without data": (model, EVALUATE, "data folder data does not exist"),
    "evaluate a negative limit": (
        lambda: (model(), data()),
        f"{EVALUATE} --limit -1",
        "limit -1 is negative",
    ),
    "evaluate in a place": (
        lambda: (model(), data()),
        f"{EVALUATE} --experiment darkness",
        "--experiment gives published weights a place",
    ),
    "evaluate over a file": (
        lambda: (model(), data(), file("o.json", "mine")),
        f"{EVALUATE} --output o.json",
        "is there already",
    ),
    "evaluate under an unknown protocol": (
        lambda: (model(), data()),
        f"{EVALUATE} --protocol x",
        "protocol 'x' is unknown",
    ),
    "evaluate on masks with classes": (
        lambda: (model(), masks((0, 1, 2))),
        EVALUATE,
        "is not black and white",
    ),
    "evaluate on LR images without masks": (
        lambda: (model(), picture("lr/lr/a.png", 16)),
        "evaluate dark.safetensors --lr lr",
        "masks",
    ),
    "evaluate on LR images of other sizes": (
        lambda: (model(), picture("lr/lr/a.png", 16), mask("lr/masks/a.png", size=60)),
        "evaluate dark.safetensors --lr lr",
        "four times",
    ),
    # -- weights
    "import of nothing": (nothing, "weights import x.pth o.safetensors --as pspnet", "not exist"),
    "import of text": (
        lambda: file("x.pth", "hello"),
        "weights import x.pth o.safetensors --as pspnet",
        "is no PyTorch file",
    ),
    "import of code": (
        lambda: torch.save({"state_dict": {}, "note": Trap()}, "x.pth"),
        "weights import x.pth o.safetensors --as pspnet",
        "would execute code; refused",
    ),
    "import of old code": (
        lambda: torch.save(Trap(), "x.pth", _use_new_zipfile_serialization=False),
        "weights import x.pth o.safetensors --as pspnet",
        "would execute code; refused",
    ),
    "import of numbers for names": (
        lambda: torch.save({1: torch.ones(1)}, "x.pth"),
        "weights import x.pth o.safetensors --as pspnet",
        "names its tensors by int",
    ),
    "import of NaN": (
        lambda: torch.save({"a": torch.tensor([float("nan")])}, "x.pth"),
        "weights import x.pth o.safetensors --as pspnet",
        "holds NaN or infinity",
    ),
    "import of another network": (
        lambda: torch.save({"a": torch.ones(1)}, "x.pth"),
        "weights import x.pth o.safetensors --as crackformer",
        "is not one of 'crackformer'",
    ),
    "import as an unknown network": (
        lambda: torch.save({"a": torch.ones(1)}, "x.pth"),
        "weights import x.pth o.safetensors --as resnet",
        "'resnet' is unknown",
    ),
    "import onto itself": (
        lambda: torch.save({"a": torch.ones(1)}, "x.safetensors"),
        "weights import x.safetensors x.safetensors --as pspnet",
        "is the checkpoint itself",
    ),
    "import of a named pipe": (
        lambda: os.mkfifo("x.pth"),
        "weights import x.pth o.safetensors --as pspnet",
        "is no regular file",
    ),
    # -- data
    "convert nothing": (nothing, "data convert source out", "does not exist"),
    "convert an unknown layout": (
        lambda: file("source/a.txt"),
        "data convert source out",
        "none of the layouts",
    ),
    "convert onto a folder": (
        lambda: (data(), file("out/mine", "mine")),
        "data convert data out",
        "is there already",
    ),
    "convert onto itself": (data, "data convert data data", "is there already"),
    "convert COCO that is a list": (lambda: coco([]), "data convert source out", "no COCO file"),
    "convert COCO with masks": (
        lambda: coco(
            {
                "images": [{"id": 1, "file_name": "a.png"}],
                "annotations": [{"image_id": 1, "segmentation": {"counts": "x"}}],
            }
        ),
        "data convert source out",
        "run-length masks",
    ),
    "convert COCO with words": (
        lambda: coco(
            {
                "images": [{"id": 1, "file_name": "a.png"}],
                "annotations": [{"image_id": 1, "segmentation": [["a", "b"]]}],
            }
        ),
        "data convert source out",
        "instances.json",
    ),
    "convert COCO without its image": (
        lambda: coco({"images": [{"id": 1, "file_name": "b.png"}], "annotations": []}),
        "data convert source out",
        "names b.png, which is not in",
    ),
    "convert YOLO boxes": (lambda: yolo("0 .5 .5 .1 .1"), "data convert source out", "holds a box"),
    "convert YOLO words": (
        lambda: yolo("0 a b c d e f"),
        "data convert source out",
        "holds a box or a broken polygon",
    ),
    "convert YOLO NaN": (
        lambda: yolo("0 nan nan nan nan nan nan"),
        "data convert source out",
        "holds a box or a broken polygon",
    ),
    "convert masks with classes": (
        lambda: masks((0, 1, 2)),
        "data convert data out",
        "is not black and white",
    ),
    "split with a share above 1": (data, "data split data out --test-share 2", "between 0 and 1"),
    "split with a share of NaN": (data, "data split data out --test-share nan", "between 0 and 1"),
    "degrade with a negative seed": (data, "data degrade data out --seed -1", "seed -1"),
    "degrade under an unknown protocol": (
        data,
        "data degrade data out --protocol x",
        "protocol 'x' is unknown",
    ),
    "check of nothing": (nothing, "data check data", "does not exist"),
    "check over a sheet": (
        lambda: (data(), file("sheet.png", "mine")),
        "data check data --sheet sheet.png",
        "exists",
    ),
    "audit of a file": (lambda: file("data"), "data audit data", "is a file, no folder"),
    "fetch of an unknown set": (nothing, "data fetch imagenet out", "'imagenet' is unknown"),
    "fetch of a set behind a browser": (nothing, "data fetch khanhha out", "--archive"),
    "fetch of an archive that is none": (
        lambda: file("a.zip", "<html>"),
        "data fetch khanhha out --archive a.zip",
        "is a web page",
    ),
    "fetch of an archive of something else": (
        lambda: zipfile.ZipFile("a.zip", "w").close(),
        "data fetch khanhha out --archive a.zip",
        "holds 0 files in train/images",
    ),
    "fetch onto a folder": (
        lambda: file("out/mine", "mine"),
        "data fetch div2k out",
        "is there already",
    ),
    "data without an action": (nothing, "data", "the following arguments are required: ACTION"),
}


def masks_empty() -> None:
    """No mask of `data` has any crack."""
    for split in ("train", "test"):
        for i in range(2):
            mask(f"data/{split}/masks/{split}{i}.png", (0,))


def all_cases() -> Iterator[tuple[str, Case]]:
    """Every case by name."""
    for name, (make, photo, words) in PHOTOS.items():
        yield (
            f"photo: {name}",
            (lambda make=make: (model(), make()), SEGMENT.replace("{}", photo), words),
        )
    for name, (make, weights, words) in WEIGHTS.items():
        command = f"segment wall.png --weights {weights} --runs . --output out"
        yield f"weights: {name}", (lambda make=make: (picture(), make()), command, words)
    for name, (option, words) in OPTIONS.items():
        command = f"{SEGMENT.format('wall.png')} {option}"
        yield f"option: {name}", (lambda: (picture(), model()), command, words)
    yield from OTHERS.items()


CASES = dict(all_cases())


def contents(folder: Path) -> dict[str, object]:
    """Every path below a folder, with content or kind; locks stay behind and hinder nobody."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".lock"):
            continue
        name = os.fsencode(path.relative_to(folder)).decode("latin-1")
        found[name] = path.read_bytes() if path.is_file() and not path.is_symlink() else "other"
    return found


def call(command: str) -> int:
    """What the command line would do; argparse leaves by SystemExit."""
    words = command.split(" ")
    with contextlib.suppress(SystemExit):
        return main(words)
    return 2


@pytest.mark.parametrize("name", CASES)
def test_one_line_code_2_and_nothing_written(name: str, place: Path, capfd) -> None:
    make, command, words = CASES[name]
    make()
    before, around = contents(place), contents(place.parent)
    code = call(command)
    said = capfd.readouterr()
    lines = said.err.strip().splitlines()
    assert code == 2, said
    assert "Traceback" not in said.err
    assert words in lines[-1], lines
    assert lines[-1].startswith("csbsr")
    meanwhile = [line for line in lines[:-1] if not line.startswith(("1/1 ", "  ", "note:"))]
    assert len(meanwhile) <= (1 if "fetch" in command else 0), lines
    assert contents(place) == before
    assert contents(place.parent) == around
    assert not Path("executed").exists()


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 100


# -- failures of the machine, and stops ------------------------------------------------------------


SMALL: dict[str, tuple[Make, str]] = {
    "segment": (
        lambda: (picture(size=96), model()),
        "segment wall.png --weights dark.safetensors --output small/out",
    ),
    "convert": (lambda: data(6), "data convert data small/out"),
    "degrade": (lambda: data(6), "data degrade data small/out"),
    "evaluate": (
        lambda: (model(), data()),
        "evaluate dark.safetensors --data data --output small/o.json",
    ),
    "run": (data, "run darkness --data data --results small/results --runs small/runs"),
}
"""Commands that do not fit on a small disk."""


@pytest.fixture
def small(place: Path) -> Iterator[Path]:
    """A disk of 16 KB, of which 4 are free; skipped where this user may not mount one."""
    folder = place / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    (folder / "mine").write_bytes(bytes(12_000))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("name", SMALL)
def test_a_full_disk_is_a_failure_and_leaves_nothing(name: str, small: Path, capfd) -> None:
    make, command = SMALL[name]
    make()
    before = contents(small)
    assert call(command) == 1
    error = capfd.readouterr().err.strip().splitlines()
    assert "No space left on device" in error[-1]
    assert error[-1].startswith("csbsr: ") or name == "segment"
    left = contents(small)
    assert {k: v for k, v in left.items() if v != "other"} == before, "empty folders may be left"


@pytest.mark.parametrize(
    ("make", "command"),
    [
        (lambda: (picture(), model()), "segment wall.png --weights dark.safetensors --output out"),
        (lambda: (data(), model()), "evaluate dark.safetensors --data data"),
        (data, "run darkness --data data --results results"),
    ],
)
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")], ids=str
)
def test_no_memory_is_a_failure_in_one_line(
    make: Make, command: str, error: Exception, place: Path, capfd, monkeypatch
) -> None:
    make()

    def full(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(Segmenter, "segment", full)
    monkeypatch.setattr("csbsr.evaluation.predict", full)
    before = contents(place)
    assert call(command) == 1
    said = capfd.readouterr().err
    assert "memory" in said.strip().splitlines()[-1]
    assert "Traceback" not in said
    after = {k: v for k, v in contents(place).items() if v != "other"}
    assert after == {k: v for k, v in before.items() if v != "other"}


def test_a_stop_is_code_130(place: Path, capfd, monkeypatch) -> None:
    def stop(arguments: object) -> int:
        raise KeyboardInterrupt

    for name, command in (("run", "run darkness"), ("segment", "segment a --weights b")):
        monkeypatch.setattr(commands, name, stop)
        assert call(command) == 130
        assert capfd.readouterr().err == "csbsr: stopped\n"


def heed_interrupts() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would this child of it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


LOADING = """
import sys
from csbsr import cli
parser = cli.build_parser
cli.build_parser = lambda: (print("here", flush=True), parser())[1]
sys.exit(cli.main())
"""


@pytest.mark.parametrize("seconds", [0.0, 0.4])
def test_a_stop_while_the_program_is_still_loading(place: Path, seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LOADING, "run", "hr-pspnet", "--results", "results"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'book'}"},
        preexec_fn=heed_interrupts,
    )
    assert process.stdout.readline() == "here\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert (process.returncode, error) == (130, "csbsr: stopped\n")


def test_two_in_one_output_do_not_spoil_each_other(place: Path, capfd) -> None:
    picture()
    model()
    with output_lock(Path("out")):
        before = contents(place)
        assert call(SEGMENT.format("wall.png")) == 2
        assert contents(place) == before
    assert "another process writes into out" in capfd.readouterr().err
    assert call(SEGMENT.format("wall.png")) == 0


# -- results, wherever they are read ---------------------------------------------------------------


BROKEN_RESULTS: dict[str, tuple[Make, str]] = {
    "null": (lambda: result("null"), "is no table"),
    "half": (lambda: result('{"schema": 2, "exp'), "cannot be read"),
    "empty": (lambda: result(""), "cannot be read"),
    "other bytes": (lambda: result(b"\xff"), "cannot be read"),
    "IoU of 7.5": (lambda: result(metrics={"IoU_max": 7.5}), "outside [0, 1]"),
    "metrics a list": (lambda: result(metrics=[]), "that is no table"),
    "card null": (lambda: result(run_card=None), "that is no table"),
    "another name": (
        lambda: (result(), os.rename(*_moved())),
        "belongs under the name csbsr-pspnet-seed0.json",
    ),
}


def _moved() -> tuple[Path, Path]:
    path = next(Path("results").rglob("*.json"))
    return path, path.with_name("hr-pspnet-seed3.json")


@pytest.mark.parametrize("name", BROKEN_RESULTS)
def test_a_broken_result_is_refused_by_name_and_everything_else_goes_on(
    name: str, place: Path, capfd
) -> None:
    make, words = BROKEN_RESULTS[name]
    make()
    assert call("results check --results results") == 1
    (line,) = capfd.readouterr().out.strip().splitlines()
    assert words in line
    assert "Traceback" not in line


# -- the doors of papermill ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"profile": "huge"}, "profile 'huge' is unknown"),
        ({"profile": "mine.toml"}, "is no file; copy one of"),
        ({"profile": 3}, "profile 3 is no name"),
        ({"seed": "one"}, "seed 'one' must be a whole number"),
        ({"seed": -1}, "seed -1 must be a whole number"),
        ({"seed": 1.5}, "seed 1.5 must be a whole number"),
        ({"protocol": "mine"}, "protocol 'mine' is unknown"),
    ],
    ids=str,
)
def test_parameters_of_a_notebook_are_checked_in_one_line(parameters: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        Chapter("a1-metrics", **parameters)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"data": "nowhere"}, "data folder nowhere does not exist"),
        ({"results": "mine.txt"}, "mine.txt is a file"),
    ],
    ids=str,
)
def test_a_chapter_of_results_refuses_bad_folders(
    parameters: dict, words: str, place: Path
) -> None:
    file("mine.txt", "mine")
    with pytest.raises(ValueError, match=words):
        StudyChapter("09-comparison", **parameters).measure(["darkness"])
