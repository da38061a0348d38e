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
from safetensors.torch import load_file
from torch import Tensor

from csbsr.cli import main
from csbsr.model_file import LoadedModel, load_model, save_model
from csbsr.networks import released
from csbsr.networks.architecture import (
    Architecture,
    DBPNConfig,
    KBPNConfig,
    PSPNetConfig,
    build_model,
)
from csbsr.protocol import RELEASED
from csbsr.study.authors import EXPERIMENT_OF, WRAPPERS, place_of
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
    output = folder / "ours.safetensors"
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


def refused(path: Path, output: Path, capsys, name: str = NAME, code: int = 2) -> str:
    """Import must end with this code, one line, and nothing written; returns the line."""
    before = sorted(output.parent.rglob("*"))
    assert import_file(path, output, name) == code
    line = capsys.readouterr().err
    assert line.count("\n") == 1, line
    assert "Traceback" not in line
    assert sorted(output.parent.rglob("*")) == before
    return line


def test_imported_network_computes_what_the_published_one_does(
    state: State, imported_file: Path
) -> None:
    model = load_model(imported_file)
    assert (model.released, model.experiment) == (NAME, None)
    assert "authors' terms" in model.licence
    assert model.run_card["source"] == "published.pth"
    assert model.protocol == RELEASED
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        segmentation = model.module.segmentation
        assert torch.equal(segmentation(image).prob, released.load(NAME, state)(image).prob)


WRAPPED: dict[str, Callable[[State], object]] = {
    "DataParallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    **{key: lambda s, key=key: {key: s, "epoch": 7} for key in WRAPPERS},
    "averaged and last": lambda s: {"params_ema": s, "params": {k: v + 1 for k, v in s.items()}},
    "twice": lambda s: {"model": {"state_dict": s}, "iteration": 180000},
    "trainer": lambda s: {f"model.{k}": v for k, v in s.items()},
    "torch.compile": lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    "torch.compile of DataParallel in a trainer": lambda s: {
        "state_dict": {f"model._orig_mod.module.{k}": v for k, v in s.items()}
    },
    "state_dict of DataParallel": lambda s: {
        "state_dict": {f"module.{k}": v for k, v in s.items()}
    },
    "whole model's prefix": lambda s: {f"segmentation_model.{k}": v for k, v in s.items()},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_every_usual_wrapping_is_accepted(
    kind: str, state: State, imported_file: Path, tmp_path: Path, capsys
) -> None:
    torch.save(WRAPPED[kind](state), tmp_path / "published.pth")
    assert import_file(tmp_path / "published.pth", tmp_path / "new" / "ours.safetensors") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "ours.safetensors")
    expected = load_file(imported_file)
    found = load_file(tmp_path / "new" / "ours.safetensors")
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
    line = refused(path, tmp_path / "ours.safetensors", capsys)
    assert "would execute code; refused" in line
    assert not trap.exists()


def test_a_pickled_object_is_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "object.pth"
    torch.save({"state_dict": {}, "args": argparse.Namespace(beta=0.3)}, path)
    assert "refused" in refused(path, tmp_path / "ours.safetensors", capsys)


def test_a_web_page_saved_as_a_checkpoint_is_named(tmp_path: Path, capsys) -> None:
    path = tmp_path / "latest.pth"
    path.write_text("\n<!DOCTYPE html><html><title>Quota exceeded</title></html>")
    line = refused(path, tmp_path / "ours.safetensors", capsys)
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
    line = refused(path, tmp_path / "ours.safetensors", capsys)
    assert "half.pth" in line
    assert "download it again" in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3}, "no state dict"),
        ({}, "no state dict"),
        ([torch.zeros(1)], "no state dict"),
        (torch.zeros(2), "no state dict"),
        ({1: torch.zeros(1)}, "names its tensors by int (1), not by layers"),
        ({"state_dict": {("a", 1): torch.zeros(1)}}, "names its tensors by tuple"),
        ({"a": torch.tensor([1.0, float("nan")])}, "a holds NaN or infinity"),
        ({"params": {"a": torch.tensor([float("inf")])}}, "a holds NaN or infinity"),
        ({"a": torch.zeros(2).to_sparse()}, "a is no plain tensor"),
        ({"a": torch.zeros(2, dtype=torch.complex64)}, "a is no plain tensor"),
    ],
    ids=str,
)
def test_a_file_without_weights_is_refused(
    content: object, message: str, tmp_path: Path, capsys
) -> None:
    torch.save(content, tmp_path / "other.pth")
    assert message in refused(tmp_path / "other.pth", tmp_path / "ours.safetensors", capsys)


def test_missing_left_over_and_misshapen_keys_are_named(
    state: State, tmp_path: Path, capsys
) -> None:
    keys = [k for k, v in state.items() if v.ndim == 4]
    wrong = dict(state)
    missing = wrong.pop(keys[0])
    wrong["encoder.unheard_of.weight"] = missing
    wrong[keys[1]] = torch.zeros(1, 2, 3, 4)
    torch.save(wrong, tmp_path / "wrong.pth")
    line = refused(tmp_path / "wrong.pth", tmp_path / "ours.safetensors", capsys)
    assert f"missing: {keys[0]}" in line
    assert "left over: encoder.unheard_of.weight" in line
    assert f"{keys[1]} (1, 2, 3, 4)" in line


def test_another_network_than_named(state: State, tmp_path: Path, capsys) -> None:
    torch.save(state, tmp_path / "published.pth")
    line = refused(tmp_path / "published.pth", tmp_path / "ours.safetensors", capsys, name="dbpn")
    assert "not one of 'dbpn'" in line
    assert len(line) < 2000, "a readable message, not a list of a thousand keys"


@pytest.mark.parametrize(
    "name", ["crackforme", "", "+", "kbpn", "dbpn+kbpn", "pspnet+dbpn", "dbpn+csbsr_pspnet"]
)
def test_unknown_names_and_missing_files(name: str, tmp_path: Path, capsys) -> None:
    line = refused(tmp_path / "nowhere.pth", tmp_path / "ours.safetensors", capsys, name=name)
    assert ("does not exist" if name == "kbpn" else "is unknown") in line


def test_a_full_disk_leaves_nothing(
    state: State, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state, tmp_path / "published.pth")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("csbsr.files.os.fsync", full)
    line = refused(tmp_path / "published.pth", tmp_path / "ours.safetensors", capsys, code=1)
    assert "No space left" in line
    assert "ours.safetensors" in line


def test_a_state_dict_that_holds_itself_is_refused(tmp_path: Path, capsys) -> None:
    content: dict = {"epoch": 1}
    content["model"] = content
    torch.save(content, tmp_path / "ring.pth")
    assert "no state dict" in refused(tmp_path / "ring.pth", tmp_path / "ours.safetensors", capsys)


def test_the_output_is_a_new_regular_file(state: State, tmp_path: Path, capsys) -> None:
    source = tmp_path / "published.pth"
    torch.save(state, source)
    before = source.read_bytes()
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "link.safetensors").symlink_to(source)
    (tmp_path / "dangling.safetensors").symlink_to(tmp_path / "nowhere")
    for output, message in (
        (source, "is the checkpoint itself"),
        (tmp_path / "link.safetensors", "is the checkpoint itself"),
        (tmp_path / "ours.pt", "must end with .safetensors"),
        (tmp_path / "pipe.safetensors", "no regular file"),
        (tmp_path / "folder.safetensors", "no regular file"),
        (tmp_path / "dangling.safetensors", "no regular file"),
    ):
        assert message in refused(source, output, capsys)
    assert source.read_bytes() == before


def published(path: Path, name: str, architecture: Architecture) -> Path:
    """A model file as import writes it, of narrow networks with random weights."""
    torch.manual_seed(0)
    save_model(
        path,
        build_model(architecture),
        architecture=architecture,
        protocol=RELEASED,
        run_card={"released": name, "source": "latest.pth"},
        threshold=None,
        licence="the authors'",
    )
    return path


KBPN = KBPNConfig(width=8, stages=2, sft_hidden=4, estimated_kernel=7)
PSPNET = PSPNetConfig(width=4, extractor="resnet34")


def test_every_name_has_a_place_of_its_own_experiment() -> None:
    for name, place in EXPERIMENT_OF.items():
        model = LoadedModel(released.architecture_of(name), RELEASED, {"released": name}, *"-" * 4)
        assert place_of(model, None).id == place
    for name in released.names():
        model = LoadedModel(released.architecture_of(name), RELEASED, {"released": name}, *"-" * 4)
        if name not in EXPERIMENT_OF:
            with pytest.raises(ValueError, match=r"--experiment|--output"):
                place_of(model, None)


def test_a_place_takes_only_networks_that_fit(tmp_path: Path) -> None:
    path = published(tmp_path / "m.safetensors", "csbsr_pspnet", Architecture(KBPN, PSPNET))
    model = load_model(path)
    assert place_of(model, "csbsr-pspnet-wF1").id == "csbsr-pspnet-wF1"
    for place in ("csbsr-hrnet", "cssr-pspnet", "hr-pspnet", "csbsr-pspnet-blurskip", "dsrl"):
        with pytest.raises(ValueError, match=f"'csbsr_pspnet' does not fit the place of {place}"):
            place_of(model, place)


def test_super_resolution_alone_is_neither_evaluated_nor_segmented_with(
    tmp_path: Path, cracks: Path, capsys
) -> None:
    narrow = Architecture(DBPNConfig(width=4, stages=2), None)
    path = published(tmp_path / "dbpn.safetensors", "dbpn", narrow)
    evaluate = ["evaluate", str(path), "--data", str(cracks), "--output", str(tmp_path / "o.json")]
    for command in (
        evaluate,
        ["segment", str(photograph(tmp_path / "a.png")), "--weights", str(path)],
    ):
        assert main(command) == 2
        assert "super-resolves only" in capsys.readouterr().err
    assert not (tmp_path / "o.json").exists()


def test_evaluate_fills_the_authors_line(cracks: Path, tmp_path: Path, capsys) -> None:
    results = tmp_path / "results"
    path = published(
        tmp_path / "pspnet.safetensors", "pspnet", Architecture(None, PSPNET, reads="hr")
    )
    arguments = ["evaluate", str(path), "--data", str(cracks), "--results", str(results)]
    for more, message in (
        ([], "give --experiment; choose hr-pspnet"),
        (["--experiment", "hr-pspnets"], "did you mean hr-pspnet"),
        (["--experiment", "csbsr-pspnet"], "does not fit the place of csbsr-pspnet"),
    ):
        assert main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
        assert not results.exists()

    assert main([*arguments, "--experiment", "hr-pspnet"]) == 0
    said = capsys.readouterr()
    assert "the authors' line of hr-pspnet for the data set 'cracks':" in said.err
    assert "IoU_max" in said.err
    path = Path(said.out.strip())
    assert path == results / "authors" / "cracks" / "released" / "hr-pspnet-seed0.json"
    content = json.loads(path.read_text())
    assert set(content) >= set(KEYS)
    assert content["experiment"] == "hr-pspnet"
    assert content["protocol"] == "released"
    assert content["metrics"]["PSNR"] is None
    assert 0 <= content["metrics"]["IoU_max"] <= 1
    card = content["run_card"]
    assert card["weights"] == "pspnet"
    assert len(card["weights_hash"]) == 64
    assert "2 test images" in card["note"]
    assert set(find_results(results, "authors")) == {"hr-pspnet"}
    result = read_result(path)
    assert not is_stale(result)
    card["weights_hash"] = "0" * 64
    path.write_text(json.dumps(content))
    assert is_stale(read_result(path))


def test_evaluate_beside_the_tables(
    imported_file: Path, cracks: Path, tmp_path: Path, capsys
) -> None:
    """A network that no experiment has is measured into a file of one's own."""
    results, output = tmp_path / "results", tmp_path / "mine.json"
    arguments = ["evaluate", str(imported_file), "--data", str(cracks), "--results", str(results)]
    assert main(arguments) == 2
    assert "no experiment of the paper has the networks" in capsys.readouterr().err
    assert main([*arguments, "--output", str(output)]) == 0
    content = json.loads(output.read_text())
    assert content["experiment"] == NAME
    assert not results.exists()
    assert main([*arguments, "--output", str(output)]) == 2
    assert "there already" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["published", "absent", "rubbish"])
def test_evaluate_refuses_what_was_not_imported(
    what: str, state: State, cracks: Path, tmp_path: Path, capsys
) -> None:
    path = tmp_path / "file.pt"
    if what == "published":
        torch.save(state, path)
    elif what == "rubbish":
        path.write_bytes(bytes(range(200)))
    assert main(["evaluate", str(path), "--data", str(cracks), "--experiment", "hr-pspnet"]) == 2
    line = capsys.readouterr().err
    assert "file.pt" in line
    assert line.count("\n") == 1


def photograph(path: Path, size: tuple[int, int] = (150, 40)) -> Path:
    pixels = np.full((size[1], size[0], 3), 230, np.uint8)
    pixels[10:14] = 10
    Image.fromarray(pixels).save(path)
    return path


def test_segment_with_an_imported_segmentation_network(
    imported_file: Path, tmp_path: Path, capsys
) -> None:
    photo = photograph(tmp_path / "wall.jpg", (48, 32))
    output = tmp_path / "out"
    command = ["segment", str(photo), "--weights", str(imported_file), "--output", str(output)]
    assert main(command) == 0
    assert Image.open(output / "wall-mask.png").size == (48, 32)
    assert not (output / "wall-kernel.png").exists(), "it estimates no blur"
