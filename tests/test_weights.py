"""Published checkpoints from the shell: import, evaluation, segmentation, and every refusal."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.cli import main
from csbsr.networks import released
from csbsr.networks.joint import JointOutput
from csbsr.study import authors as imported
from csbsr.study import authors as weights
from csbsr.study.authors import (
    EXPERIMENT_OF,
    as_joint,
    build_released,
    load_imported,
)
from csbsr.study.freshness import is_stale
from csbsr.study.results import KEYS, find_results, read_result

NAME = "crackformer"  # the released network with the fewest weights
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state(golden: Callable) -> State:
    """A state dict in the authors' key names."""
    return {k: torch.from_numpy(np.asarray(v)) for k, v in golden(NAME)[0].items()}


@pytest.fixture(scope="module")
def imported_file(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    torch.save(state, folder / "published.pth")
    output = folder / "ours.pt"
    assert (
        main(["weights", "import", str(folder / "published.pth"), str(output), "--as", NAME]) == 0
    )
    return output


@pytest.fixture
def cracks(tmp_path: Path) -> Path:
    """A folder in the Khanhha layout with two test images of 64 x 64 pixels."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "cracks" / "test" / kind).mkdir(parents=True)
    for i in range(2):
        mask = np.zeros((64, 64), np.uint8)
        mask[30 + i : 33 + i] = 255
        image = rng.integers(90, 200, (64, 64, 3)).astype(np.uint8)
        image[mask > 0] = 20
        Image.fromarray(image).save(tmp_path / "cracks" / "test" / "images" / f"{i}.png")
        Image.fromarray(mask).save(tmp_path / "cracks" / "test" / "masks" / f"{i}.png")
    return tmp_path / "cracks"


def import_file(path: Path, output: Path, name: str = NAME) -> int:
    return main(["weights", "import", str(path), str(output), "--as", name])


def refused(path: Path, output: Path, capsys, name: str = NAME) -> str:
    """Import must fail with code 2, one line, and nothing written; returns the line."""
    before = sorted(output.parent.rglob("*"))
    assert import_file(path, output, name) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1, line
    assert "Traceback" not in line
    assert sorted(output.parent.rglob("*")) == before
    return line


def test_imported_network_computes_what_the_published_one_does(
    state: State, imported_file: Path
) -> None:
    name, module = load_imported(imported_file)
    assert name == NAME
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(module(image).prob, released.load(NAME, state)(image).prob)


WRAPPERS: dict[str, Callable[[State], object]] = {
    "DataParallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "state_dict": lambda s: {"state_dict": s, "epoch": 7},
    "model": lambda s: {"model": s, "iteration": 180000},
    "state_dict of DataParallel": lambda s: {
        "state_dict": {f"module.{k}": v for k, v in s.items()}
    },
    "whole model's prefix": lambda s: {f"segmentation_model.{k}": v for k, v in s.items()},
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_every_usual_wrapping_is_accepted(
    kind: str, state: State, imported_file: Path, tmp_path: Path, capsys
) -> None:
    torch.save(WRAPPERS[kind](state), tmp_path / "published.pth")
    assert import_file(tmp_path / "published.pth", tmp_path / "new" / "ours.pt") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "ours.pt")
    expected = torch.load(imported_file, weights_only=True)["weights"]
    found = torch.load(tmp_path / "new" / "ours.pt", weights_only=True)["weights"]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], expected[k]) for k in found)


class Attack:
    """Unpickled without care, this makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_refused_and_not_run(zipped: bool, state: State, tmp_path: Path, capsys) -> None:
    trap = tmp_path / "executed"
    path = tmp_path / "attack.pth"
    torch.save(
        {"state_dict": state, "note": Attack(trap)}, path, _use_new_zipfile_serialization=zipped
    )
    line = refused(path, tmp_path / "ours.pt", capsys)
    assert "would execute code; refused" in line
    assert not trap.exists()


def test_a_pickled_object_is_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "object.pth"
    torch.save({"state_dict": {}, "args": argparse.Namespace(beta=0.3)}, path)
    assert "refused" in refused(path, tmp_path / "ours.pt", capsys)


def test_a_web_page_saved_as_a_checkpoint_is_named(tmp_path: Path, capsys) -> None:
    path = tmp_path / "latest.pth"
    path.write_text("\n<!DOCTYPE html><html><title>Quota exceeded</title></html>")
    line = refused(path, tmp_path / "ours.pt", capsys)
    assert "web page" in line
    assert "latest.pth" in line


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.5, 0.98])
def test_a_damaged_download_is_named(
    zipped: bool, share: float, state: State, tmp_path: Path, capsys
) -> None:
    path = tmp_path / "half.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    line = refused(path, tmp_path / "ours.pt", capsys)
    assert "half.pth" in line
    assert "download it again" in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3}, "no state dict"),
        ({}, "no state dict"),
        ([torch.zeros(1)], "no state dict"),
        (torch.zeros(2), "no state dict"),
    ],
    ids=str,
)
def test_a_file_without_weights_is_refused(
    content: object, message: str, tmp_path: Path, capsys
) -> None:
    torch.save(content, tmp_path / "other.pth")
    assert message in refused(tmp_path / "other.pth", tmp_path / "ours.pt", capsys)


def test_missing_left_over_and_misshapen_keys_are_named(
    state: State, tmp_path: Path, capsys
) -> None:
    keys = [k for k, v in state.items() if v.ndim == 4]
    wrong = dict(state)
    missing = wrong.pop(keys[0])
    wrong["encoder.unheard_of.weight"] = missing
    wrong[keys[1]] = torch.zeros(1, 2, 3, 4)
    torch.save(wrong, tmp_path / "wrong.pth")
    line = refused(tmp_path / "wrong.pth", tmp_path / "ours.pt", capsys)
    assert f"missing: {keys[0]}" in line
    assert "left over: encoder.unheard_of.weight" in line
    assert f"{keys[1]} (1, 2, 3, 4)" in line


def test_another_network_than_named(state: State, tmp_path: Path, capsys) -> None:
    torch.save(state, tmp_path / "published.pth")
    line = refused(tmp_path / "published.pth", tmp_path / "ours.pt", capsys, name="dbpn")
    assert "not one of 'dbpn'" in line
    assert len(line) < 2000, "a readable message, not a list of a thousand keys"


@pytest.mark.parametrize(
    "name", ["crackforme", "", "+", "kbpn", "dbpn+kbpn", "pspnet+dbpn", "dbpn+csbsr_pspnet"]
)
def test_unknown_names_and_missing_files(name: str, tmp_path: Path, capsys) -> None:
    line = refused(tmp_path / "nowhere.pth", tmp_path / "ours.pt", capsys, name=name)
    assert ("does not exist" if name == "kbpn" else "is unknown") in line


def test_a_full_disk_leaves_nothing(
    state: State, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state, tmp_path / "published.pth")

    def full(self: Path, data: object) -> int:
        self.touch()
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    line = refused(tmp_path / "published.pth", tmp_path / "ours.pt", capsys)
    assert "No space left" in line


class Half(nn.Module):
    """A tiny network with a blur of the name of a released one."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, out, 1)


def test_a_pair_takes_its_two_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, state: State) -> nn.Module:
        module = Half(3 if name == "dbpn" else 1)
        first = "sr_model." if name == "dbpn" else "segmentation_model."
        module.load_state_dict({k.split(first)[1]: v for k, v in state.items()})
        return module

    monkeypatch.setattr(imported.released, "load", load)
    state = {
        "module.sr_model.conv.weight": torch.full((3, 3, 1, 1), 2.0),
        "module.sr_model.conv.bias": torch.zeros(3),
        "module.segmentation_model.conv.weight": torch.full((1, 3, 1, 1), 5.0),
        "module.segmentation_model.conv.bias": torch.zeros(1),
    }
    model = build_released("dbpn+pspnet", state)
    assert model.sr.conv.weight.unique().tolist() == [2]
    assert model.segmentation.conv.weight.unique().tolist() == [5]
    with pytest.raises(ValueError, match=r"optimizer\.step"):
        build_released("dbpn+pspnet", state | {"optimizer.step": torch.zeros(1)})


def test_every_name_has_a_place_of_its_own_experiment() -> None:
    from csbsr.study.experiments import experiment

    for name, place in EXPERIMENT_OF.items():
        assert imported._parts(name)
        assert experiment(place).id == place
    with pytest.raises(ValueError, match="super-resolves only"):
        as_joint("dbpn", nn.Identity())


def test_evaluate_fills_the_authors_line(
    imported_file: Path, cracks: Path, tmp_path: Path, capsys
) -> None:
    results = tmp_path / "results"
    arguments = ["evaluate", str(imported_file), "--data", str(cracks), "--results", str(results)]
    assert main(arguments) == 2
    assert "--experiment" in capsys.readouterr().err
    assert not results.exists()
    assert main([*arguments, "--experiment", "hr-pspnets"]) == 2
    assert "did you mean hr-pspnet" in capsys.readouterr().err
    assert not results.exists()

    assert main([*arguments, "--experiment", "hr-pspnet"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == results / "authors" / "cracks" / "released" / "hr-pspnet-seed0.json"
    content = json.loads(path.read_text())
    assert set(content) >= set(KEYS)
    assert content["experiment"] == "hr-pspnet"
    assert content["protocol"] == "released"
    assert content["metrics"]["PSNR"] is None
    assert 0 <= content["metrics"]["IoU_max"] <= 1
    card = content["run_card"]
    assert card["weights"] == NAME
    assert len(card["weights_hash"]) == 64
    assert "2 test images" in card["note"]
    assert set(find_results(results, "authors")) == {"hr-pspnet"}
    result = read_result(path)
    assert not is_stale(result)
    card["weights_hash"] = "0" * 64
    path.write_text(json.dumps(content))
    assert is_stale(read_result(path))


@pytest.mark.parametrize("what", ["published", "absent", "rubbish"])
def test_evaluate_refuses_what_was_not_imported(
    what: str, state: State, cracks: Path, tmp_path: Path, capsys
) -> None:
    path = tmp_path / "file.pt"
    if what == "published":
        torch.save(state, path)
    elif what == "rubbish":
        torch.save({"format": imported.FORMAT, "name": NAME, "weights": {}}, path)
    assert main(["evaluate", str(path), "--data", str(cracks), "--experiment", "hr-pspnet"]) == 2
    line = capsys.readouterr().err
    assert "file.pt" in line
    assert line.count("\n") == 1


class Whole(nn.Module):
    """Stand-in for a whole imported model: enlarges, calls dark pixels cracks, knows the blur."""

    def forward(self, lr: Tensor) -> JointOutput:
        sr = F.interpolate(lr, scale_factor=4, mode="nearest")
        kernel = torch.zeros(len(lr), 1, 21, 21)
        kernel[:, :, 10, 10] = 1
        return JointOutput(sr, 1 - sr.mean(1, keepdim=True), kernel)


def photograph(path: Path, size: tuple[int, int] = (150, 40)) -> Path:
    pixels = np.full((size[1], size[0], 3), 230, np.uint8)
    pixels[10:14] = 10
    Image.fromarray(pixels).save(path)
    return path


def test_segment_a_photograph_with_a_whole_model(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "load_imported", lambda path: ("csbsr_pspnet", Whole()))
    photo, output = photograph(tmp_path / "wall.png"), tmp_path / "out"
    arguments = ["segment", str(photo), "--weights", "any.pt", "--output", str(output)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(output / "wall-mask.png")
    names = {p.name for p in output.iterdir()}
    assert names == {f"wall-{kind}.png" for kind in ("mask", "sr", "overlay", "kernel")}
    mask = np.asarray(Image.open(output / "wall-mask.png"))
    assert mask.shape == (160, 600)
    assert (mask[40:56] == 255).all()
    assert mask[:40].max() == mask[56:].max() == 0
    kernel = np.asarray(Image.open(output / "wall-kernel.png"))
    assert kernel.shape == (21, 21)
    assert kernel[10, 10] == 255


def test_segment_with_an_imported_segmentation_network(
    imported_file: Path, tmp_path: Path, capsys
) -> None:
    photo = photograph(tmp_path / "wall.jpg", (48, 32))
    output = tmp_path / "out"
    command = ["segment", str(photo), "--weights", str(imported_file), "--output", str(output)]
    assert main(command) == 0
    assert Image.open(output / "wall-mask.png").size == (48, 32)
    assert not (output / "wall-kernel.png").exists(), "it estimates no blur"


def test_segment_refuses_before_it_writes(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "load_imported", lambda path: ("csbsr_pspnet", Whole()))
    good, bad = photograph(tmp_path / "a.png"), tmp_path / "b.png"
    bad.write_bytes(b"not an image")
    twin = photograph(tmp_path / "a.bmp")
    output = ["--weights", "any.pt", "--output", str(tmp_path / "out")]
    for images, message in (([good, bad], "b.png"), ([good, twin], "share a name")):
        assert main(["segment", *map(str, images), *output]) == 2
        assert message in capsys.readouterr().err
    assert main(["segment", str(good), *output, "--threshold", "1.5"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
