"""A trained model is a product: run, file, segmentation, evaluation, and every refusal."""

import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from csbsr import inference
from csbsr.cli import main
from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import downsample
from csbsr.model_file import (
    Threshold,
    check_weights,
    load_model,
    read_header,
    save_model,
    with_weights,
)
from csbsr.networks.architecture import (
    DEEPEST,
    WIDEST,
    Architecture,
    BlurSkipConfig,
    CrackFormerConfig,
    DBPNConfig,
    DSRLConfig,
    HRNetConfig,
    KBPNConfig,
    PSPNetConfig,
    SegNetConfig,
    SrcNetConfig,
    UNetConfig,
    build_model,
)
from csbsr.protocol import RELEASED
from csbsr.study.digest import digest
from csbsr.study.experiments import experiment, experiments
from csbsr.study.models import architecture_of
from csbsr.study.profiles import NAMES, load_profile

KBPN = KBPNConfig(width=8, stages=2, sft_hidden=4, estimated_kernel=7)
NARROW = Architecture(KBPN, PSPNetConfig(width=4), BlurSkipConfig(hidden=4))
CARD = {"experiment": "csbsr-pspnet-blurskip", "profile": "smoke", "seed": 3, "data": "walls"}


def written(path: Path, model: nn.Module | None = None, **changes: object) -> Path:
    if model is None:
        torch.manual_seed(0)
        model = build_model(NARROW)
    how = {
        "architecture": NARROW,
        "protocol": RELEASED,
        "run_card": CARD,
        "threshold": Threshold(0.67, "validation"),
        "licence": "MIT",
    }
    save_model(path, model, **how | changes)
    return path


# -- the architecture ------------------------------------------------------------------------------

CONFIGS = (
    KBPNConfig,
    DBPNConfig,
    SrcNetConfig,
    PSPNetConfig,
    UNetConfig,
    HRNetConfig,
    CrackFormerConfig,
    SegNetConfig,
    DSRLConfig,
)


@pytest.mark.parametrize("config", CONFIGS)
def test_default_sizes_are_those_of_the_networks(config: type) -> None:
    with torch.device("meta"):
        network = config().build()
    defaults = signature(type(network)).parameters
    for name, value in vars(config()).items():
        if name in defaults and name != "feedback":
            assert defaults[name].default == value, name
        else:
            assert name in ("network", "feedback", "blur_padding", "antialias"), name


def test_every_experiment_in_every_profile_is_its_architecture() -> None:
    for profile in map(load_profile, NAMES):
        protocol = profile.protocol("released")
        for row in experiments():
            architecture = architecture_of(row, profile, protocol)
            plain = json.loads(json.dumps(architecture.to_dict()))
            assert Architecture.from_dict(plain) == architecture


def test_a_width_that_is_not_used_changes_nothing() -> None:
    smoke = load_profile("smoke")
    protocol = smoke.protocol("released")

    def key(name: str, **widths: int) -> str:
        profile = replace(smoke, widths=replace(smoke.widths, **widths))
        return digest(architecture_of(experiment(name), profile, protocol))

    assert key("csbsr-pspnet") == key("csbsr-pspnet", dbpn=12, unet=12, srcnet_blocks=3, dsrl=12)
    for used in ("kbpn", "kbpn_stages", "sft_hidden", "pspnet"):
        assert key("csbsr-pspnet") != key("csbsr-pspnet", **{used: 6})
    assert key("hr-pspnet") == key("hr-pspnet", kbpn=12, sft_hidden=3)
    alike = Architecture(None, UNetConfig(8)), Architecture(None, SegNetConfig(8))
    assert digest(alike[0]) != digest(alike[1])


def test_parts_that_make_no_model_are_refused() -> None:
    for parts, message in (
        ((None, None), "neither"),
        ((KBPN, DSRLConfig()), "DSRL is one network"),
        ((DBPNConfig(), PSPNetConfig(), BlurSkipConfig()), "a kernel"),
        ((KBPN, None, BlurSkipConfig()), "a segmentation network"),
        ((KBPNConfig(width=WIDEST + 1), None), "width is 4097"),
        ((KBPNConfig(stages=0), None), f"stages is 0; give 1 to {DEEPEST}"),
    ):
        with pytest.raises(ValueError, match=message):
            Architecture(*parts)


def test_the_same_weights_give_the_same_bits_whatever_layout_they_come_in() -> None:
    lr = torch.rand(2, 3, 20, 20)
    model = build_model(NARROW).to(memory_format=torch.channels_last)
    before = torch.random.get_rng_state()
    first = with_weights(NARROW, model.state_dict())
    assert torch.equal(torch.random.get_rng_state(), before)
    second = with_weights(NARROW, {k: v.contiguous() for k, v in model.state_dict().items()})
    for one, two in zip(first.parameters(), second.parameters()):
        assert one.stride() == two.stride()
    with torch.inference_mode():
        assert torch.equal(first(lr).prob, second(lr).prob)


# -- the file --------------------------------------------------------------------------------------


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    model = build_model(NARROW).eval()
    path = written(tmp_path / "new" / "m.safetensors", model)
    loaded = inference.load_model(path)
    assert not loaded.module.training
    state = loaded.module.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert (loaded.architecture, loaded.protocol) == (NARROW, RELEASED)
    assert loaded.run_card == CARD
    assert loaded.experiment == CARD["experiment"]
    assert loaded.threshold == Threshold(0.67, "validation")
    assert loaded.licence == "MIT"
    again = written(tmp_path / "again.safetensors", model)
    assert again.read_bytes() == path.read_bytes(), "the same model, the same bytes"
    assert load_model(again).sha256 == loaded.sha256
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"], "nothing else is left"


def test_a_folder_stands_for_the_model_in_it(tmp_path: Path) -> None:
    written(tmp_path / "model.safetensors")
    assert load_model(tmp_path).experiment == CARD["experiment"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="its run is not finished"):
        load_model(tmp_path / "empty")


def test_weights_that_are_not_finite_or_do_not_fit_are_not_written(tmp_path: Path) -> None:
    model = build_model(NARROW)
    with torch.no_grad():
        next(model.parameters())[0] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinity"):
        written(tmp_path / "m.safetensors", model)
    with pytest.raises(ValueError, match="do not fit the architecture"):
        written(tmp_path / "m.safetensors", build_model(Architecture(KBPN, PSPNetConfig(width=4))))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "m.safetensors")
    old = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("csbsr.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        written(path)
    assert path.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


def with_header(path: Path, change: Callable[[dict], object]) -> None:
    """Write the file again with another header."""
    with torch.no_grad():
        weights = load_file(path)
    table = json.loads(struct_header(path)["__metadata__"]["csbsr"])
    changed = change(table)
    text = changed if isinstance(changed, str) else json.dumps(table)
    save_file(weights, path, {"csbsr": text})


def struct_header(path: Path) -> dict:
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size])


def with_weight(path: Path, name: str, value: torch.Tensor | None) -> None:
    weights, metadata = load_file(path), struct_header(path)["__metadata__"]
    del weights[name]
    save_file(weights | ({} if value is None else {name: value}), path, metadata)


NAME = "segmentation.head.weight"

BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (Path.unlink, "does not exist"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "web page": (lambda p: p.write_text("\n<!DOCTYPE html><html>"), "is a web page"),
    "pickle": (lambda p: torch.save({"a": torch.zeros(1)}, p), "is a PyTorch file"),
    "rubbish": (lambda p: p.write_bytes(bytes(range(256))), "is no model file"),
    "header cut": (lambda p: p.write_bytes(p.read_bytes()[:500]), "is damaged"),
    "weights cut": (lambda p: p.write_bytes(p.read_bytes()[:-10]), "is damaged"),
    "too long": (lambda p: p.write_bytes(p.read_bytes() + b"xx"), "is damaged"),
    "others' file": (lambda p: save_file({"a": torch.zeros(1)}, p), "no header of csbsr"),
    "no JSON": (lambda p: with_header(p, lambda t: "{"), "is no JSON"),
    "deep JSON": (lambda p: with_header(p, lambda t: "[" * 10**5), "is no JSON"),
    "a list": (lambda p: with_header(p, lambda t: "[1]"), "has format None"),
    "newer": (lambda p: with_header(p, lambda t: t.update(format="csbsr-model-2")), "reads csbsr-"),
    "no architecture": (lambda p: with_header(p, lambda t: t.pop("architecture")), "no arch"),
    "unknown network": (
        lambda p: with_header(p, lambda t: t["architecture"]["sr"].update(network="os.system")),
        "network 'os.system' is none of kbpn, dbpn, srcnet",
    ),
    "unknown option": (
        lambda p: with_header(p, lambda t: t["architecture"]["sr"].update(depth=3)),
        "unknown key 'depth'",
    ),
    "unknown part": (
        lambda p: with_header(p, lambda t: t["architecture"].update(decoder={})),
        "[decoder]: unknown",
    ),
    "enormous": (
        lambda p: with_header(p, lambda t: t["architecture"]["sr"].update(width=10**12)),
        "width is 1000000000000; give 1 to",
    ),
    "large": (
        lambda p: with_header(p, lambda t: t["architecture"]["sr"].update(width=4096, stages=3)),
        "do not fit the architecture",
    ),
    "impossible width": (
        lambda p: with_header(p, lambda t: t["architecture"]["sr"].update(width=3)),
        "give an even width",
    ),
    "text for a width": (
        lambda p: with_header(p, lambda t: t["architecture"]["sr"].update(width="8")),
        "'width' must be an integer",
    ),
    "protocol": (
        lambda p: with_header(p, lambda t: t["protocol"].update(blur_range="both")),
        "'blur_range' must be one of",
    ),
    "threshold": (
        lambda p: with_header(p, lambda t: t["threshold"].update(value=1.5)),
        "threshold 1.5 must lie between",
    ),
    "threshold not finite": (
        lambda p: with_header(p, lambda t: t["threshold"].update(value=float("nan"))),
        "'value' must be a number",
    ),
    "seed": (lambda p: with_header(p, lambda t: t["run_card"].update(seed=[1])), "seed is [1]"),
    "nobody's": (lambda p: with_header(p, lambda t: t["run_card"].clear()), "must name"),
    "licence": (lambda p: with_header(p, lambda t: t.update(licence=None)), "no licence"),
    "missing": (lambda p: with_weight(p, NAME, None), f"missing: {NAME}"),
    "other shape": (
        lambda p: with_weight(p, NAME, torch.zeros(2)),
        f"of another shape: {NAME} (2,) instead of",
    ),
    "NaN": (lambda p: with_weight(p, NAME, torch.full((1,), np.nan)), f"{NAME} hold NaN"),
    "infinite": (lambda p: with_weight(p, NAME, torch.full((1,), np.inf)), f"{NAME} hold NaN"),
    "complex": (
        lambda p: with_weight(p, NAME, torch.zeros(1, dtype=torch.complex64)),
        f"{NAME} is of type torch.complex64",
    ),
    "left over": (
        lambda p: with_header(p, lambda t: t["architecture"].pop("blur_skip")),
        "left over: segmentation.blur_skip",
    ),
    "pipe": (lambda p: (p.unlink(), os.mkfifo(p)), "no regular file"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_with_a_file_is_said_in_one_line(kind: str, tmp_path: Path, capsys) -> None:
    path = written(tmp_path / "mine.safetensors")
    change, message = BROKEN[kind]
    change(path)
    with pytest.raises(ValueError, match=r"mine\.safetensors") as error:
        load_model(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    photo = tmp_path / "photo.png"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(photo)
    for command in (
        ["segment", str(photo), "--weights", str(path), "--output", str(tmp_path / "out")],
        ["evaluate", str(path), "--data", "synthetic", "--results", str(tmp_path / "out")],
    ):
        assert main(command) == 2
        line = capsys.readouterr().err
        assert message in line
        assert line.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_header_is_read_without_its_weights(tmp_path: Path) -> None:
    path = written(tmp_path / "m.safetensors")
    with_weight(path, NAME, torch.full((1,), np.nan))
    assert read_header(path).experiment == CARD["experiment"]


def test_names_are_counted_not_listed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing: .* and \d+ more\)") as error:
        check_weights(NARROW, {})
    assert len(str(error.value)) < 600


# -- from a run to its own numbers -----------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results and runs of two seeds of one experiment, and one of another."""
    root = tmp_path_factory.mktemp("finished")
    for name, seed in (("csbsr-pspnet", 0), ("hr-pspnet", 0), ("hr-pspnet", 1)):
        where = ["--results", str(root / "results"), "--seed", str(seed)]
        assert main(["run", name, "--data", "synthetic", *where]) == 0
    return root


def result_of(root: Path, experiment_id: str, seed: int = 0) -> dict:
    (path,) = (root / "results").rglob(f"{experiment_id}-seed{seed}.json")
    return json.loads(path.read_text())


def model_of(root: Path, result: dict) -> Path:
    return root / "runs" / result["run_card"]["model"]["file"]


@pytest.mark.parametrize("how", ["file", "folder", "id"])
def test_a_run_its_model_a_photo_and_its_own_numbers_again(
    how: str, finished: Path, tmp_path: Path, capsys
) -> None:
    result = result_of(finished, "csbsr-pspnet")
    path = model_of(finished, result)
    model = load_model(path)
    assert model.sha256 == result["run_card"]["model"]["sha256"]
    assert model.experiment == "csbsr-pspnet"
    chosen = result["metrics"].get("validation_threshold")
    assert model.threshold.value == (chosen or result["metrics"]["IoU_max_threshold"])
    assert model.threshold.chosen_on == ("validation" if chosen else "test")
    assert model.run_card["seed"] == 0
    assert model.run_card["commit"] == result["run_card"]["commit"]

    weights = {"file": str(path), "folder": str(path.parent), "id": "csbsr-pspnet"}[how]
    runs = ["--runs", str(finished / "runs")]
    image, _ = SyntheticCracks(1, 128, seed=4, split="test").load(0)
    lr = downsample(torch.from_numpy(image)[None].float() / 255, 4, True)[0]
    photo = (lr.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(photo).save(tmp_path / "wall.png")
    out = tmp_path / "out"
    command = ["segment", str(tmp_path / "wall.png"), "--weights", weights, *runs]
    assert main([*command, "--output", str(out)]) == 0
    assert Image.open(out / "wall-mask.png").size == (128, 128)
    assert (out / "wall-kernel.png").exists()
    pixels = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    prob = inference.segment_photograph(model.module, pixels).prob[0].numpy()
    sure = abs(prob - model.threshold.value) > 0.01  # the SR image lies on disk in 8 or 16 bits
    own = prob > model.threshold.value
    mask = np.asarray(Image.open(out / "wall-mask.png")) > 0
    assert np.array_equal(mask[sure], own[sure])
    assert sure.mean() > 0.5

    before = sorted(finished.rglob("*"))
    output = tmp_path / "again.json"
    command = ["evaluate", weights, *runs, "--data", "synthetic", "--output", str(output)]
    assert main(command) == 0
    again = json.loads(output.read_text())
    for key in ("experiment", "profile", "protocol", "seed", "metrics", "curves", "images"):
        assert again[key] == result[key], key
    capsys.readouterr()
    assert main(command[:-2]) == 0
    text = capsys.readouterr().out
    assert f"{result['metrics']['IoU_max']:.7g}" in text
    assert sorted(finished.rglob("*")) == before, "nothing is written beside the run"


def test_threshold_given_by_hand(finished: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "a.png")
    masks = []
    for value in ("0.001", "0.999"):
        command = ["segment", str(tmp_path / "a.png"), "--threshold", value, "--weights"]
        weights = str(model_of(finished, result_of(finished, "hr-pspnet")))
        assert main([*command, weights, "--output", str(tmp_path / value)]) == 0
        masks.append(np.asarray(Image.open(tmp_path / value / "a-mask.png")).mean())
    assert masks[0] > masks[1]


def test_an_id_must_stand_for_one_model(finished: Path, tmp_path: Path, capsys) -> None:
    runs = ["--runs", str(finished / "runs")]
    for name, more, message in (
        ("hr-pspnet", [], "several trained models of hr-pspnet fit; add --profile and --seed"),
        ("hr-pspnet", ["--seed", "7"], "no trained model of hr-pspnet, seed 7 below"),
        ("hr-pspnet", ["--profile", "quick"], "no trained model of hr-pspnet, profile quick"),
        ("hr-pspne", [], "did you mean hr-pspnet"),
        ("kbpn+unet", [], "train it with `csbsr run`"),
        ("csbsr-pspnet", ["--experiment", "csbsr-pspnet"], "leave it out"),
        ("csbsr-pspnet", ["--protocol", "mine"], "protocol 'mine' is unknown"),
        ("csbsr-pspnet", ["--limit", "-3"], "limit -3 is negative"),
    ):
        assert main(["evaluate", name, *runs, *more, "--data", "synthetic"]) == 2
        line = capsys.readouterr().err
        assert message in line
        assert line.count("\n") == 1
    output = tmp_path / "o.json"
    command = ["evaluate", "hr-pspnet", *runs, "--data", "synthetic", "--seed", "1"]
    assert main([*command, "--output", str(output)]) == 0
    assert (
        json.loads(output.read_text())["metrics"] == result_of(finished, "hr-pspnet", 1)["metrics"]
    )


def test_a_damaged_model_of_another_run_hinders_nobody(finished: Path, tmp_path: Path) -> None:
    stray = finished / "runs" / "stray" / "model.safetensors"
    stray.parent.mkdir()
    stray.write_bytes(b"rubbish")
    output = tmp_path / "o.json"
    runs = ["--runs", str(finished / "runs")]
    assert (
        main(["evaluate", "csbsr-pspnet", *runs, "--data", "synthetic", "--output", str(output)])
        == 0
    )


def test_a_run_in_bf16_and_channels_last_gives_its_own_numbers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke = load_profile("smoke")
    narrow = replace(smoke, precision="bf16")
    monkeypatch.setattr("csbsr.study.run.load_profile", lambda name: narrow)
    monkeypatch.setattr("csbsr.study.trained.profile_of_card", lambda name, card: narrow)
    where = ["--data", "synthetic", "--results", str(tmp_path / "results")]
    assert main(["run", "hr-pspnet", *where]) == 0
    result = result_of(tmp_path, "hr-pspnet")
    output = tmp_path / "again.json"
    path = str(model_of(tmp_path, result))
    assert main(["evaluate", path, "--data", "synthetic", "--output", str(output)]) == 0
    again = json.loads(output.read_text())
    for key in ("metrics", "curves", "images"):
        assert again[key] == result[key], key
