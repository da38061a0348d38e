"""A fingerprint covers exactly what decides a number; stale results are found and kept apart."""

import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from result_files import put_result, settings

from csbsr.cli import main
from csbsr.protocol import REPRODUCTION
from csbsr.study import audit, digest, experiments, freshness, models, provenance, steps
from csbsr.study.experiments import experiment
from csbsr.study.freshness import find_fresh, fingerprint, is_stale
from csbsr.study.profiles import load_profile
from csbsr.study.recipe import Settings
from csbsr.study.results import read_result, write_json
from csbsr.study.run import Request, prepare, run_experiments
from csbsr.study.sources import hash_of, natural_hash, open_data

ROW = experiment("csbsr-pspnet")
HR = experiment("hr-pspnet")
SKIP = experiment("csbsr-pspnet-blurskip")


def changed(row: experiments.Experiment = ROW, **changes: object) -> bool:
    """Whether other settings give another fingerprint."""
    return fingerprint(row, settings()) != fingerprint(row, replace(settings(), **changes))


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bf16"},
        {"pretrained": True},
        {"compile": True},
        {"seed": 1},
        {"data_hash": "other"},
        {"natural_hash": "other"},
        {"data": "walls"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_override_and_image_decides(change: dict) -> None:
    assert changed(**change)


def test_natural_images_decide_only_where_they_are_used() -> None:
    assert changed(experiment("cssr-pspnet"), natural_hash="other")
    assert changed(SKIP, natural_hash="other"), "those of a parent count"
    assert not changed(HR, natural_hash="other")
    assert not changed(experiment("dsrl"), natural_hash="other")


@pytest.mark.parametrize("name", ["blur_range", "kernel_weight", "empty_penalty", "crop"])
def test_protocol_options_decide_and_its_name_does_not(name: str) -> None:
    protocol = settings().protocol
    other = {
        "blur_range": "variance",
        "kernel_weight": 7.0,
        "empty_penalty": "diagonal",
        "crop": 32,
    }[name]
    assert changed(protocol=protocol.but(**{name: other}))
    assert not changed(protocol=protocol.but(name="mine"))


def with_profile(**changes: object) -> dict[str, object]:
    return {"profile": replace(settings().profile, **changes)}


def test_what_only_words_or_watches_decides_nothing() -> None:
    for change in (
        {"note": "another"},
        {"cost": "an hour"},
        {"log_every": 1},
        {"checkpoint_every": 3},
        {"is_result": True},
    ):
        assert not changed(**with_profile(**change)), change
    assert changed(**with_profile(kernel_seed=6))


@pytest.mark.parametrize("name", ["step1", "kernel", "step2", "step3", "blur_skip", "warm_start"])
def test_a_step_decides_where_it_is_run(name: str) -> None:
    schedule = getattr(settings().profile, name)
    longer = replace(schedule, iterations=schedule.iterations + 6, lr_segmentation=1e-3)
    longer = replace(longer, lr_sr=longer.lr_sr or 1e-3)
    assert changed(SKIP, **with_profile(**{name: longer}))
    runs = {"step1": False, "kernel": False, "step2": False, "blur_skip": False}
    assert changed(HR, **with_profile(**{name: longer})) is runs.get(name, True)


USED = {
    "csbsr-pspnet": {"kbpn", "kbpn_stages", "kernel_head", "sft_hidden", "pspnet"},
    "csbsr-unet": {"kbpn", "kbpn_stages", "kernel_head", "sft_hidden", "unet"},
    "cssr-pspnet": {"dbpn", "dbpn_stages", "pspnet", "residual"},
    "srcnet": {"srcnet", "srcnet_groups", "srcnet_blocks", "segnet", "residual"},
    "hr-pspnet": {"pspnet"},
    "dsrl": {"dsrl", "dsrl_output_stride", "residual"},
    "kbpn+hrnet": {"kbpn", "kbpn_stages", "kernel_head", "sft_hidden", "hrnet"},
    "kbpn+crackformer": {"kbpn", "kbpn_stages", "kernel_head", "sft_hidden", "crackformer"},
    "csbsr-pspnet-blurskip": {"kbpn", "kbpn_stages", "kernel_head", "sft_hidden", "pspnet"},
}


@pytest.mark.parametrize("name", USED)
def test_exactly_the_widths_in_use_decide(name: str) -> None:
    profile = settings().profile
    others = {"kernel_head": "log_energy", "dsrl_output_stride": 4}
    deciding = set()
    for width, value in vars(profile.widths).items():
        other = others.get(width, not value if isinstance(value, bool) else 2 * value)
        assert other != value
        widths = replace(profile.widths, **{width: other})
        if changed(experiment(name), profile=replace(profile, widths=widths)):
            deciding.add(width)
    assert deciding == USED[name]


def test_titles_and_ids_of_experiments_decide_nothing_and_their_choices_do() -> None:
    known = fingerprint(ROW, settings())
    assert fingerprint(replace(ROW, title="Another"), settings()) == known
    for change in ({"beta": 0.4}, {"loss": "gbc"}, {"crack_weight": 2.0}, {"sr": "dbpn"}):
        assert fingerprint(replace(ROW, **change), settings()) != known, change


def test_what_the_parent_does_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    known = fingerprint(SKIP, settings())
    whole = freshness.experiment
    other = replace(ROW, beta=0.4)
    monkeypatch.setattr(freshness, "experiment", lambda n: other if n == ROW.id else whole(n))
    assert fingerprint(SKIP, settings()) != known


# -- code ----------------------------------------------------------------------------------------


def modules_that_decide(row: experiments.Experiment, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Paths of all modules in the fingerprint of an experiment."""
    seen: set[str] = set()

    def listed(*arguments: object) -> dict[str, str]:
        found = digest.code_closure(*arguments)
        seen.update(found)
        return found

    monkeypatch.setattr(freshness, "code_closure", listed)
    monkeypatch.setattr("csbsr.study.recipe.code_closure", listed)
    fingerprint(row, settings())
    monkeypatch.undo()
    return seen


def test_deciding_files_are_in_and_watching_ones_are_out(monkeypatch: pytest.MonkeyPatch) -> None:
    names = modules_that_decide(ROW, monkeypatch)
    for name in (
        "study/models", "study/steps", "study/record", "losses/terms", "degradation",
        "data/stream", "data/surfaces", "data/noise", "data/synthetic", "networks/kbpn",
        "networks/pspnet", "networks/joint", "networks/architecture", "training/loop",
        "training/objective", "evaluation", "metrics/hausdorff",
    ):  # fmt: skip
        assert f"csbsr/{name}.py" in names
    for name in (
        "study/experiments", "study/profiles", "study/run", "study/results", "study/freshness",
        "study/panels", "study/robustness", "protocol", "files", "training/log",
        "training/progress", "networks/crackformer", "networks/dbpn", "cli", "commands",
    ):  # fmt: skip
        assert f"csbsr/{name}.py" not in names
    walls = replace(settings(), data="walls")
    code = freshness.recipe(models.architecture_of(HR, walls.profile, walls.protocol), (), walls)
    assert "csbsr/data/surfaces.py" not in code["code"], "real images owe nothing to drawn ones"


def test_a_changed_line_is_stale_and_a_changed_word_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every module of the fingerprint, edited in a copy of the package."""
    names = modules_that_decide(HR, monkeypatch)
    copy = tmp_path / "csbsr"
    for path in digest.PACKAGE.rglob("*.py"):
        target = copy / path.relative_to(digest.PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setattr(digest, "PACKAGE", copy)
    known = fingerprint(HR, settings())
    for path in sorted(copy.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        path.write_text(f"# a comment\n{text}\n'''A closing word.'''\n", encoding="utf-8")
        assert fingerprint(HR, settings()) == known, path
        path.write_text(f"{text}\nplanted = 1\n", encoding="utf-8")
        decides = path.relative_to(tmp_path).as_posix() in names
        assert (fingerprint(HR, settings()) != known) is decides, path
        path.write_text(text, encoding="utf-8")


BESIDE = {
    "csbsr": "the version",
    "csbsr.protocol": "hashed as values",
    "csbsr.study.experiments": "hashed as values",
    "csbsr.study.profiles": "hashed as values",
    "csbsr.toml": "reads profiles, which are hashed as values",
    "csbsr.study.digest": "hashes",
    "csbsr.study.recipe": "hashes",
    "csbsr.study.freshness": "hashes",
    "csbsr.study.provenance": "run card",
    "csbsr.study.results": "reads and writes files",
    "csbsr.study.run": "calls what trains and measures, and writes",
    "csbsr.study.sources": "opens the images, which are hashed by content",
    "csbsr.study.panels": "pictures",
    "csbsr.study.trained": "keeps the model",
    "csbsr.model_file": "keeps the model",
    "csbsr.files": "locks and atomic writing",
    "csbsr.allocator": "where memory comes from",
    "csbsr.training.log": "watches",
    "csbsr.training.progress": "watches",
}
"""Modules that may run in a training and decide no number, and why."""


@pytest.mark.parametrize("name", ["kbpn+pspnet", "darkness"])
def test_nothing_else_runs_in_a_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No blind spot: whatever function of the package is called is hashed, or listed above."""
    called: set[str] = set()

    def note(frame: object, event: str, argument: object) -> None:
        function = frame.f_code.co_flags & inspect.CO_OPTIMIZED  # not a module or class body
        if event == "call" and function:
            called.add(frame.f_globals.get("__name__", ""))

    request = Request(results=tmp_path / "results")
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        run_experiments([name], request, quiet=True)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    decide = modules_that_decide(experiment(name), monkeypatch)
    hashed = {p.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for p in decide}
    ours = {module for module in called if module.split(".")[0] == "csbsr"}
    assert "csbsr.evaluation" in ours
    assert ours - hashed - set(BESIDE) == set()


def test_how_steps_are_made_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    known = fingerprint(HR, settings())
    whole = steps.last_step

    def other(*arguments: object) -> steps.TrainingStep:
        step = whole(*arguments)
        return replace(step, config=replace(step.config, beta=0.4))

    monkeypatch.setattr(steps, "last_step", other)
    assert fingerprint(HR, settings()) != known


# -- images --------------------------------------------------------------------------------------


def test_each_natural_image_decides(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    known = {natural_hash(str(tmp_path)), natural_hash(None)}
    for i in range(3):
        path = tmp_path / f"{i}.png"
        pixels = np.array(Image.open(path))
        pixels[0, 0] ^= 1
        Image.fromarray(pixels).save(path)
        found = natural_hash(str(tmp_path))
        assert found not in known
        known.add(found)
    (tmp_path / "2.png").unlink()
    assert natural_hash(str(tmp_path)) not in known
    with pytest.raises(ValueError, match="does not exist"):
        natural_hash(str(tmp_path / "none"))


def test_each_crack_image_and_mask_decides(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in ("images", "masks"):
            (tmp_path / split / kind).mkdir(parents=True)
        mask = np.zeros((64, 64), np.uint8)
        mask[30:33] = 255
        pixels = rng.integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / split / "images" / "a.png")
        Image.fromarray(mask).save(tmp_path / split / "masks" / "a.png")
    profile = load_profile("smoke")

    def known() -> str:
        return hash_of(open_data(str(tmp_path), profile, profile.protocol("reproduction")))

    seen = {known()}
    for path in sorted(tmp_path.rglob("*.png")):
        pixels = np.array(Image.open(path))
        pixels[0] = 255
        Image.fromarray(pixels).save(path)
        assert known() not in seen
        seen.add(known())


# -- stored results ------------------------------------------------------------------------------


def test_a_stored_result_is_judged_with_its_own_overrides_and_images(tmp_path: Path) -> None:
    assert not is_stale(read_result(put_result(tmp_path, "hr-pspnet")))
    plain = put_result(tmp_path, "hr-pspnet", data="walls", data_hash="of walls")
    assert not is_stale(read_result(plain))
    given = put_result(tmp_path, "kbpn+pspnet", overrides={"precision": "bf16"})
    assert not is_stale(read_result(given))
    for change in (
        {"overrides": {}},
        {"overrides": {"precision": "tf32"}},
        {"overrides": {"speed": 3}},
        {"data_hash": "x"},
        {"natural_hash": "x"},
    ):
        content = json.loads(given.read_text())
        content["run_card"] |= change
        write_json(given, content)
        assert is_stale(read_result(given)), change
        put_result(tmp_path, "kbpn+pspnet", overrides={"precision": "bf16"})


@pytest.mark.parametrize("key", ["fingerprint", "overrides", "data", "data_hash", "natural_hash"])
def test_what_is_missing_is_stale(key: str, tmp_path: Path) -> None:
    path = put_result(tmp_path, "kbpn+pspnet")
    content = json.loads(path.read_text())
    del content["run_card"][key]
    write_json(path, content)
    assert is_stale(read_result(path))


def test_an_unknown_experiment_profile_or_protocol_is_stale(tmp_path: Path) -> None:
    put_result(tmp_path, "gone")
    for change in ({"profile": "huge"}, {"protocol": "mine"}):
        put_result(tmp_path, "hr-pspnet", **change)
    found = [read_result(path) for path in tmp_path.rglob("*.json")]
    assert len(found) == 3
    assert all(map(is_stale, found))


def test_stale_results_are_kept_apart(tmp_path: Path) -> None:
    put_result(tmp_path, "hr-pspnet", seed=1)
    put_result(tmp_path, "hr-pspnet", seed=0)
    put_result(tmp_path, "hr-pspnet", seed=2, fingerprint="of other code")
    (tmp_path / "quick" / "walls" / "reproduction+quick" / "dsrl-seed0.json").write_text("null")
    found = find_fresh(tmp_path, "quick")
    assert [r.seed for r in found.fresh["hr-pspnet"]] == [0, 1]
    assert [r.seed for r in found.stale["hr-pspnet"]] == [2]
    (problem,) = found.problems
    assert "dsrl-seed0.json" in problem
    assert find_fresh(tmp_path, "paper") == find_fresh(tmp_path / "none", "quick")


def test_protocols_have_their_own_paths_and_are_found_apart(tmp_path: Path) -> None:
    request = Request(results=tmp_path)
    ours = prepare(request).folder
    theirs = prepare(replace(request, protocol="released")).folder
    assert ours == tmp_path / "smoke" / "synthetic" / "reproduction+smoke"
    assert theirs.parent == ours.parent
    assert theirs != ours
    profile = load_profile("quick")
    for name in ("released", REPRODUCTION.name):
        put_result(tmp_path, "hr-pspnet", protocol=profile.protocol(name).name)
    default = find_fresh(tmp_path, "quick").fresh["hr-pspnet"]
    assert [r.content["protocol"] for r in default] == [profile.protocol(REPRODUCTION.name).name]
    other = find_fresh(tmp_path, "quick", "walls", profile.protocol("released").name).fresh
    assert len(other["hr-pspnet"]) == 1


# -- what may be committed -----------------------------------------------------------------------


def check(results: Path, *more: str) -> int:
    return main(["results", "check", "--results", str(results), *more])


def test_good_results_pass_and_an_empty_folder_does(tmp_path: Path, capsys) -> None:
    assert check(tmp_path / "absent") == 2, "a mistyped folder"
    assert check(tmp_path) == 0
    put_result(tmp_path, "hr-pspnet")
    assert check(tmp_path) == 0
    assert "1 results checked" in capsys.readouterr().err


def card(**changes: object) -> Callable[[dict], dict]:
    return lambda content: content | {"run_card": content["run_card"] | changes}


BAD: dict[str, tuple[Callable[[dict], object], str]] = {
    "stale": (card(fingerprint="of other code"), "is stale"),
    "missing hash": (card(fingerprint=""), "has no fingerprint"),
    "dirty": (card(commit={"id": "abc", "dirty": True}), "uncommitted changes"),
    "no commit": (card(commit={}), "names no commit"),
    "schema": (lambda content: content | {"schema": 1}, "has schema 1"),
    "name": (lambda content: content | {"seed": 3}, "another seed"),
    "numbers": (lambda content: content | {"metrics": {"IoU_max": 0.9, "AIU": 0.1}}, "IoU_max"),
    "null": (lambda content: None, "no table"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_may_not_be_committed_is_refused_by_name(case: str, tmp_path: Path, capsys) -> None:
    spoil, words = BAD[case]
    put_result(tmp_path, "kbpn+pspnet")
    path = put_result(tmp_path, "hr-pspnet")
    write_json(path, spoil(json.loads(path.read_text())))
    assert check(tmp_path) == 1
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert str(path) in line
    assert words in line


def test_copies_smoke_runs_and_mixtures_are_refused(tmp_path: Path, capsys) -> None:
    path = put_result(tmp_path, "hr-pspnet")
    copy = path.with_name("csbsr-pspnet-seed0.json")
    copy.write_bytes(path.read_bytes())
    elsewhere = tmp_path / "quick" / "other" / "reproduction+quick" / path.name
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(path.read_bytes())
    put_result(tmp_path, "hr-pspnet", profile="smoke")
    mixed = put_result(tmp_path, "kbpn+pspnet", data_hash="of other walls")
    assert check(tmp_path) == 1
    lines = sorted(capsys.readouterr().out.strip().splitlines())
    assert len(lines) == 4
    for line, words in zip(
        lines,
        ("belongs into a folder walls", "belongs under the name", "other data images", "smoke run"),
    ):
        assert words in line
    assert str(mixed) in lines[2]


def test_only_committed_files_are_asked_for(tmp_path: Path, capsys) -> None:
    path = put_result(tmp_path / "results", "hr-pspnet", fingerprint="")
    assert check(tmp_path / "results", "--committed") == 0
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", str(path))
    git(tmp_path, *identity, "commit", "-qm", "x")
    assert check(tmp_path / "results", "--committed") == 1
    assert path.name in capsys.readouterr().out


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def test_the_committed_results_may_be_relied_on() -> None:
    results = provenance.repository_root() / "results"
    assert audit.refused(audit.committed_files(results), results) == []


# -- the commit on the card ----------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository that holds the package and results."""
    for file in ("csbsr/code.py", "results/x.json"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "x")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "csbsr")
    return tmp_path


def test_changed_code_makes_a_checkout_dirty_and_changed_results_do_not(checkout: Path) -> None:
    clean = provenance.commit()
    assert clean["dirty"] is False
    assert len(clean["id"]) == 12
    (checkout / "results" / "x.json").write_text("2")
    assert provenance.commit() == clean
    (checkout / "csbsr" / "code.py").write_text("2")
    assert provenance.commit() == clean | {"dirty": True}


def test_an_installed_package_names_its_version_and_no_foreign_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", checkout / ".venv" / "lib" / "csbsr")
    (checkout / ".venv" / "lib" / "csbsr").mkdir(parents=True)
    monkeypatch.chdir(checkout)
    assert provenance.commit()["id"].startswith("version ")


def test_settings_of_a_run_are_those_of_its_result(tmp_path: Path) -> None:
    context = prepare(Request(results=tmp_path, precision="bf16"))
    assert isinstance(context.plan, Settings)
    assert context.plan.precision == "bf16"
    assert fingerprint(HR, context.plan) != fingerprint(HR, prepare(Request(results=tmp_path)).plan)
