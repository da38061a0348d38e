"""`csbsr run` on tiny data: one JSON, the same every time, and every bad input refused."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csbsr.cli import main
from csbsr.data.cracks import CrackFolder
from csbsr.study import results as result_files
from csbsr.study import steps as stages
from csbsr.study.freshness import is_stale
from csbsr.study.provenance import code_closure
from csbsr.study.results import KEYS, find_results, read_result, write_json
from csbsr.study.run import Request, run_experiments

METRICS = {"IoU_max", "AIU", "HD95_min", "AHD95", "PSNR", "SSIM", "kernel_PSNR"}


def make_folder(root: Path, *, size: int = 64, train: int = 3, test: int = 2) -> Path:
    """A folder in the Khanhha layout with a diagonal crack on noise."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for i in range(count):
            mask = np.zeros((size, size), np.uint8)
            line = np.arange(size)
            mask[line, np.clip(line + i - 1, 0, size - 1)] = 255
            image = rng.integers(90, 200, (size, size, 3)).astype(np.uint8)
            image[mask > 0] = 20
            # the last suffix alone is stripped: crack_0.jpg.png has the mask crack_0.jpg.png
            Image.fromarray(image).save(root / split / "images" / f"crack_{i}.jpg.png")
            Image.fromarray(mask).save(root / split / "masks" / f"crack_{i}.jpg.png")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "cracks")


def run(folder: Path, out: Path, *more: str) -> int:
    return main(["run", "hr-pspnet", "--data", str(folder), "--results", str(out), *more])


def files_below(path: Path) -> list[Path]:
    return [p for p in path.rglob("*") if p.is_file()] if path.exists() else []


def test_run_writes_one_complete_result(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "results"
    assert run(folder, out) == 0
    path = Path(capsys.readouterr().out.strip())
    content = json.loads(path.read_text())
    assert set(content) == set(KEYS)
    assert set(content["metrics"]) >= METRICS
    assert content["metrics"]["PSNR"] is None, "HR segmentation restores nothing"
    curves, images = content["curves"], content["images"]
    assert curves["thresholds"] == pytest.approx(np.arange(1, 100) / 100)
    assert images["names"] == ["crack_0.jpg", "crack_1.jpg"]
    iou = np.array(images["IoU"])
    assert iou.shape == (2, 99)
    assert content["metrics"]["IoU_max"] == pytest.approx(iou.mean(0).max(), rel=1e-5)
    assert content["metrics"]["AHD95"] == pytest.approx(np.mean(images["HD95"]), rel=1e-5)
    card = content["run_card"]
    assert {"profile", "seed", "commit", "hardware", "seconds", "data_hash"} <= set(card)
    assert not is_stale(read_result(path))


def test_same_seed_same_numbers_and_fresh_results_are_kept(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "results", tmp_path / "b" / "results"
    assert run(folder, first) == run(folder, second, "--workers", "0") == 0
    path = first / "smoke" / "cracks" / "hr-pspnet-seed0.json"
    one = json.loads(path.read_text())
    two = json.loads((second / path.relative_to(first)).read_text())
    for key in ("metrics", "curves", "images"):
        assert one[key] == two[key]
    before = path.stat().st_mtime_ns
    assert run(folder, first) == 0
    assert path.stat().st_mtime_ns == before, "a fresh result is not computed again"


def test_a_damaged_result_is_computed_again(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "results"
    run(folder, out)
    path = out / "smoke" / "cracks" / "hr-pspnet-seed0.json"
    path.write_text('{"schema": 1')
    assert run(folder, out) == 0
    assert "running again" in capsys.readouterr().err
    assert read_result(path).metrics["IoU_max"] is not None


def spoil_mask(folder: Path, value: int) -> None:
    path = folder / "train" / "masks" / "crack_0.jpg.png"
    mask = np.array(Image.open(path))
    mask[:4] = value
    Image.fromarray(mask).save(path)


def shrink(path: Path, size: int) -> None:
    Image.open(path).resize((size, size)).save(path)


def small_images(folder: Path) -> None:
    for kind in ("images", "masks"):
        shrink(folder / "train" / kind / "crack_1.jpg.png", 32)


def empty(folder: Path) -> None:
    for path in files_below(folder / "test"):
        path.unlink()


BAD_DATA = {
    "image without mask": (
        lambda f: (f / "train" / "masks" / "crack_0.jpg.png").unlink(),
        ["crack_0.jpg.png", "has no mask"],
    ),
    "mask of another size": (
        lambda f: shrink(f / "train" / "masks" / "crack_0.jpg.png", 32),
        ["crack_0.jpg.png"],
    ),
    "corrupt image": (
        lambda f: (f / "test" / "images" / "crack_1.jpg.png").write_bytes(b"\x89PNG\r\n no"),
        ["crack_1.jpg.png"],
    ),
    "no test split": (lambda f: shutil.rmtree(f / "test"), ["has no test split"]),
    "test is train": (
        lambda f: shutil.copytree(f / "train", f / "test", dirs_exist_ok=True),
        ["test images", "are training images"],
    ),
    "grey mask": (lambda f: spoil_mask(f, 128), ["crack_0.jpg.png", "--mask-values"]),
    "smaller than the crop": (small_images, ["crack_1.jpg.png", "64"]),
    "empty folder": (empty, ["holds no images"]),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_line_and_nothing_written(
    case: str, folder: Path, tmp_path: Path, capsys
) -> None:
    spoil, words = BAD_DATA[case]
    spoil(folder)
    out = tmp_path / "results"
    assert run(folder, out) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0, error
    for word in words:
        assert word in error
    assert not files_below(out)
    assert not files_below(tmp_path / "runs")


BAD_ARGUMENTS = {
    "missing data": (["--data", "nowhere"], "nowhere"),
    "profile": (["--profile", "huge"], "profile 'huge' is unknown"),
    "protocol": (["--protocol", "mine"], "protocol 'mine' is unknown"),
    "device": (["--device", "tpu"], "device 'tpu' is unknown"),
    "absent GPU": (["--device", "cuda:9"], "cuda:9"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_one_line(case: str, folder: Path, tmp_path: Path, capsys) -> None:
    arguments, word = BAD_ARGUMENTS[case]
    assert run(folder, tmp_path / "results", *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert word in error
    assert error.count("\n") == 0


def test_unknown_experiment_names_the_nearest(tmp_path: Path, capsys) -> None:
    assert main(["run", "csbsr-pspne", "--results", str(tmp_path)]) == 2
    assert "did you mean csbsr-pspnet" in capsys.readouterr().err


def test_results_folder_that_is_a_file(folder: Path, tmp_path: Path, capsys) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    assert run(folder, blocked / "results") == 2
    assert "is a file" in capsys.readouterr().err


def test_full_disk_leaves_nothing_half_written(
    folder: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    out = tmp_path / "results"
    run(folder, out)
    path = out / "smoke" / "cracks" / "hr-pspnet-seed0.json"
    old = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(result_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"new": 1})
    assert path.read_bytes() == old
    assert not [p for p in files_below(out) if p.name.startswith(".")]


def test_list_of_experiments_and_profiles(capsys) -> None:
    assert main(["run"]) == 0
    text = capsys.readouterr().out
    for word in ("smoke", "quick", "paper", "csbsr-pspnet-blurskip", "iterations"):
        assert word in text


def test_results_of_real_images_are_preferred(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    run(folder, out)
    main(["run", "hr-pspnet", "--results", str(out), "--data", "synthetic"])
    assert find_results(out, "smoke")["hr-pspnet"][0].path.parent.name == "cracks"
    assert find_results(out / "absent", "smoke") == {}


def test_a_changed_loss_makes_results_stale(folder: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "results"
    run(folder, out)
    result = read_result(out / "smoke" / "cracks" / "hr-pspnet-seed0.json")
    assert not is_stale(result)
    from csbsr.study import freshness

    def with_changed_loss(modules: list[str]) -> dict[str, str]:
        hashes = code_closure(modules)
        assert "csbsr/losses/terms.py" in hashes, "a loss must count as code that matters"
        return hashes | {"csbsr/losses/terms.py": "changed"}

    monkeypatch.setattr(freshness, "code_closure", with_changed_loss)
    assert is_stale(result)


def test_natural_images_come_from_the_environment_and_stand_in_the_run_card(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    natural = tmp_path / "DIV2K"
    natural.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        pixels = rng.integers(0, 255, (256, 256, 3), np.uint8)
        Image.fromarray(pixels).save(natural / f"{i}.png")
    monkeypatch.setenv("CSBSR_NATURAL", str(natural))
    request = Request(data=str(folder), results=tmp_path / "results", runs=tmp_path / "runs")
    (path,) = run_experiments(["kbpn+pspnet"], request)
    assert read_result(path).content["run_card"]["natural"] == "DIV2K"
    shared = {p.name for p in (tmp_path / "runs").rglob("step1-*")}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CSBSR_NATURAL", "DIV2K")  # another spelling of the same folder
    path.unlink()
    run_experiments(["kbpn+pspnet"], Request(**vars(request) | {"natural": "DIV2K"}))
    assert {p.name for p in (tmp_path / "runs").rglob("step1-*")} == shared
    monkeypatch.delenv("CSBSR_NATURAL")
    assert Request().natural is None


def test_images_are_checked_until_a_result_was_made_from_them(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    checked: list[str] = []
    whole = CrackFolder.check
    monkeypatch.setattr(
        CrackFolder, "check", lambda self: (checked.append(self.split), whole(self))[1]
    )
    assert run(folder, tmp_path / "out") == 0
    assert checked == ["train", "test"]
    assert run(folder, tmp_path / "out") == 0
    assert len(checked) == 2, "the same files gave a result before"
    image = folder / "test" / "images" / "crack_0.jpg.png"
    image.write_bytes(image.read_bytes()[:-40])
    assert run(folder, tmp_path / "out") == 2
    assert len(checked) > 2


def test_a_change_in_how_steps_are_made_makes_results_stale(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    assert run(folder, tmp_path / "out") == 0
    (path,) = (tmp_path / "out").rglob("*.json")
    result = read_result(path)
    assert not is_stale(result)
    whole = stages.final_stage
    monkeypatch.setattr(stages, "final_stage", lambda *a: replace(whole(*a), beta=0.4))
    assert is_stale(result)
    del result.content["run_card"]["steps"]
    assert not is_stale(result), "older results have no such hash"
