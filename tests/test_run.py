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
from result_files import put_result, result_content

from csbsr import files
from csbsr.cli import main
from csbsr.data.cracks import CrackFolder
from csbsr.study.freshness import is_stale
from csbsr.study.results import KEYS, find_results, read_result, write_json
from csbsr.study.run import Request, prepare, run_experiments

PROTOCOL = "reproduction+smoke"
PLACE = Path("smoke", "cracks", PROTOCOL, "hr-pspnet-seed0.json")
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
    assert set(content) == {*KEYS, "sources", "widths"}
    assert 0 < content["metrics"]["validation_threshold"] < 1
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
    assert {"cpu_seconds", "threads", "precision", "start_weights", "protocol_options"} <= set(card)
    assert card["natural"] is None, "no step saw natural images"
    assert card["protocol"] == content["protocol"] == PROTOCOL
    assert path == out / PLACE
    assert not is_stale(read_result(path))


def test_same_seed_same_numbers_and_fresh_results_are_kept(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "results", tmp_path / "b" / "results"
    assert run(folder, first) == run(folder, second, "--workers", "3") == 0
    path = first / PLACE
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
    path = out / PLACE
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
    path = out / PLACE
    old = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"new": 1})
    assert path.read_bytes() == old
    hidden = [p.name for p in files_below(out) if p.name.startswith(".")]
    assert hidden == [f".{path.name}.lock"]


def test_list_of_experiments_and_profiles(capsys) -> None:
    assert main(["run"]) == 0
    text = capsys.readouterr().out
    for word in ("smoke", "quick", "paper", "csbsr-pspnet-blurskip", "iterations"):
        assert word in text


def test_results_of_real_images_are_preferred(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    run(folder, out)
    main(["run", "hr-pspnet", "--results", str(out), "--data", "synthetic"])
    assert find_results(out, "smoke")["hr-pspnet"][0].card["data"] == "cracks"
    assert find_results(out / "absent", "smoke") == {}


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


@pytest.mark.parametrize("change", [["--precision", "bf16"], ["--seed", "0", "--compile"]])
def test_an_override_never_gets_the_old_numbers(
    change: list[str], folder: Path, tmp_path: Path, monkeypatch
) -> None:
    out = tmp_path / "results"
    assert run(folder, out) == 0
    before = json.loads((out / PLACE).read_text())
    if "--compile" in change:  # what it compiles to is the same
        monkeypatch.setattr("torch.compile", lambda module, **options: module)
    assert run(folder, out, *change) == 0
    after = json.loads((out / PLACE).read_text())
    assert after["run_card"]["fingerprint"] != before["run_card"]["fingerprint"]
    assert after["run_card"]["overrides"] != before["run_card"]["overrides"] == {}
    assert not is_stale(read_result(out / PLACE))


def test_other_images_of_the_same_name_are_refused(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "results"
    assert run(folder, out) == 0
    known = (out / PLACE).read_bytes()
    other = make_folder(tmp_path / "elsewhere" / "cracks", train=4)
    assert run(other, out) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    for words in ("other data images", "hr-pspnet-seed0.json", "--results"):
        assert words in error
    assert (out / PLACE).read_bytes() == known
    taken = make_folder(tmp_path / "synthetic")
    assert run(taken, out) == 2
    assert "rename it" in capsys.readouterr().err


def test_options_and_natural_images_are_not_mixed_in_results(tmp_path: Path) -> None:
    """Of a profile whose numbers count: refused before anything is read or written."""
    request = Request(profile="quick", results=tmp_path, runs=tmp_path / "runs")
    names = ["kbpn+pspnet"]
    plan = prepare(request, names).plan
    given = {"data": "synthetic", "data_hash": plan.data_hash}
    put_result(tmp_path, "kbpn+pspnet", **given)
    assert prepare(replace(request, seed=1), names).plan.seed == 1
    with pytest.raises(ValueError, match="holds results of other options"):
        prepare(replace(request, precision="bf16"), names)
    natural = tmp_path / "DIV2K"
    natural.mkdir()
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(natural / "0.png")
    with pytest.raises(ValueError, match="holds results of other natural images"):
        prepare(replace(request, natural=str(natural)), names)
    assert prepare(replace(request, natural=str(natural)), ["hr-pspnet"]).plan.natural is None


def spoilt() -> dict[str, str]:
    """Files that are no results, by what is said of them."""
    good = result_content("csbsr-pspnet", profile="smoke", data="cracks")

    def but(**changes: object) -> str:
        return json.dumps(good | changes)

    images = good["images"]
    return {
        "null": "no table",
        "7": "no table",
        '"text"': "no table",
        "[]": "no table",
        "{": "cannot be read",
        "[" * 100_000: "cannot be read",
        "NaN": "cannot be read",
        "\ud800": "cannot be read",
        but(metrics=[]): "'metrics' that is no table",
        but(metrics={"IoU_max": 7.5}): "outside [0, 1]",
        but(metrics={"IoU_max": "0.5"}): "with str in it",
        but(metrics={"IoU_max": True}): "with bool in it",
        but(metrics={"HD95_min": -1}): "outside [0, inf]",
        but(metrics={"PSNR": 10**400}): "out of range",
        but(metrics={"intervals": {"AIU": [0.5, 0.4]}}): "swapped",
        but(metrics={"intervals": {"AIU": [0.5]}}): "of length 1, not 2",
        but(curves=good["curves"] | {"IoU": [0.5]}): "of length 1, not 3",
        but(images=images | {"IoU": [[0.5, 0.5]]}): "of length 2, not 3",
        but(images=images | {"IoU": [[0.5] * 3] * 2}): "for 2 of 1",
        but(images=images | {"names": []}): "no list of image names",
        but(images=images | {"names": "a"}): "no list of image names",
        but(images=images | {"PSNR": [1.0, 2.0]}): "of length 2, not 1",
        but(run_card=None): "'run_card' that is no table",
        but(run_card={"commit": "abc"}): "commit is 'abc'",
        but(run_card={"seconds": "long"}): "seconds is 'long'",
        but(run_card={"seed": 1}): "another seed",
        but(run_card={"data": "walls"}): "belongs into a folder walls",
        but(seed=-1): "the seed -1",
        but(seed="0"): "the seed '0'",
        but(seed=1): "another seed",
        but(seed=1, run_card={}): "belongs under the name",
        but(experiment="hr-pspnet"): "belongs under the name",
        but(experiment=3): "no experiment",
        but(protocol="released"): "another protocol",
        but(protocol="released", run_card={}): "belongs into a folder released",
        but(schema=1): "has schema 1",
        but(schema=True): "has schema True",
        json.dumps({"schema": 2}): "lacks experiment",
    }


def test_every_damage_is_one_line_and_hinders_nobody(tmp_path: Path) -> None:
    path = put_result(tmp_path, "csbsr-pspnet", profile="smoke", data="cracks")
    put_result(tmp_path, "hr-pspnet", profile="smoke", data="cracks")
    assert read_result(path).seed == 0
    for text, words in spoilt().items():
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(ValueError) as error:
            read_result(path)
        assert words in str(error.value), text[:80]
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        problems: list[str] = []
        assert set(find_results(tmp_path, "smoke", problems=problems)) == {"hr-pspnet"}
        assert problems == [str(error.value)]


def test_a_broken_neighbour_hinders_no_run(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    neighbour = out / PLACE.with_name("csbsr-pspnet-seed0.json")
    neighbour.parent.mkdir(parents=True)
    neighbour.write_text('{"schema": 2, "run_card": null}')
    assert run(folder, out) == 0
    assert read_result(out / PLACE).seed == 0
    assert neighbour.exists()
