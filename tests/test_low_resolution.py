"""LR images with HR masks: measured as they are, and the same as images that we degrade."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csbsr.cli import main
from csbsr.data.masks import MaskRule
from csbsr.data.synthetic import SyntheticCracks
from csbsr.low_resolution import LowResolutionImages, evaluate_lr
from csbsr.model_file import Threshold, save_model
from csbsr.networks.architecture import Architecture, BicubicConfig, DarknessConfig, build_model
from csbsr.protocol import REPRODUCTION


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three test images of 64 x 64 pixels in the Khanhha layout."""
    root = tmp_path_factory.mktemp("data") / "walls"
    source = SyntheticCracks(3, 64, split="test")
    for i, name in enumerate(source.names):
        image, mask = source.load(i)
        for kind, pixels in (("images", image.transpose(1, 2, 0)), ("masks", mask[0])):
            path = root / "test" / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(scope="module")
def lr(data: Path) -> Path:
    out = data.with_name("degraded")
    assert main(["data", "degrade", str(data), str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def weights(data: Path) -> Path:
    """Dark pixels of the enlarged image are crack."""
    path, dark = data.with_name("dark.safetensors"), Architecture(BicubicConfig(), DarknessConfig())
    save_model(
        path,
        build_model(dark),
        architecture=dark,
        protocol=REPRODUCTION,
        run_card={"experiment": "darkness", "seed": 0},
        threshold=Threshold(0.6, "test"),
        licence="MIT",
    )
    return path


def evaluate(weights: Path, *arguments: object) -> int:
    return main(["evaluate", str(weights), *map(str, arguments)])


def test_lr_images_give_what_the_hr_images_gave(data, lr, weights, tmp_path, capsys) -> None:
    found = []
    for number, given in enumerate((["--data", data], ["--lr", lr])):
        assert evaluate(weights, *given, "--output", tmp_path / f"{number}.json") == 0
        found.append(json.loads((tmp_path / f"{number}.json").read_text()))
    degraded, there = found
    assert there["images"]["names"] == degraded["images"]["names"]
    for name in ("IoU_max", "AIU"):  # 8-bit steps lie between
        assert there["metrics"][name] == pytest.approx(degraded["metrics"][name], abs=0.02)
    assert degraded["metrics"]["PSNR"] is not None
    assert there["metrics"]["PSNR"] is None
    assert there["run_card"]["data"] == "degraded"
    assert "LR images as they are" in there["run_card"]["note"]
    assert evaluate(weights, "--lr", lr, "--limit", 2) == 0
    assert "IoU_max" in capsys.readouterr().out


def test_what_is_no_such_folder_is_one_line(lr, weights, tmp_path, capsys) -> None:
    cases = (
        (lambda root: (root / "lr").rename(root / "low"), "has no lr/"),
        (lambda root: next((root / "masks").iterdir()).unlink(), "has no mask; add"),
        (lambda root: Image.new("1", (8, 8)).save(next((root / "masks").iterdir())), "four times"),
        (lambda root: next((root / "lr").iterdir()).write_bytes(b"x"), "is no picture"),
    )
    for number, (spoil, words) in enumerate(cases):
        root = tmp_path / str(number)
        for kind in ("lr", "masks"):
            (root / kind).mkdir(parents=True)
            for path in (lr / kind).iterdir():
                (root / kind / path.name).write_bytes(path.read_bytes())
        spoil(root)
        assert evaluate(weights, "--lr", root) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert evaluate(weights, "--lr", lr, "--data", lr) == 2
    assert "give one of them" in capsys.readouterr().err


def test_masks_are_mapped_and_their_rule_counts(lr) -> None:
    plain, inverted = LowResolutionImages(lr), LowResolutionImages(lr, MaskRule.parse("inverted"))
    assert (plain.load(0)[1] ^ inverted.load(0)[1]).all()
    assert plain.fingerprint() != inverted.fingerprint()


def test_a_model_of_hr_images_is_refused(lr) -> None:
    model = build_model(Architecture(None, DarknessConfig(), reads="hr"))
    with pytest.raises(ValueError, match="needs HR images"):
        evaluate_lr(model, LowResolutionImages(lr), REPRODUCTION)


def test_a_truth_without_cracks_is_said(lr, weights, tmp_path, capsys) -> None:
    for path in [*(lr / "lr").iterdir()][:1]:
        (tmp_path / "lr").mkdir()
        (tmp_path / "masks").mkdir()
        (tmp_path / "lr" / path.name).write_bytes(path.read_bytes())
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "masks" / path.name)
    assert evaluate(weights, "--lr", tmp_path) == 0
    assert "no mask has any crack" in capsys.readouterr().err
