"""Profiles and experiments: validated data, unknown names refused in one line."""

from pathlib import Path

import pytest

from csbsr.cli import main
from csbsr.protocol import PRINTED, RELEASED, REPRODUCTION, protocol_named
from csbsr.study.experiments import M_SEARCH, experiment, experiments, with_ancestors
from csbsr.study.freshness import is_stale
from csbsr.study.profiles import NAMES, load_profile, parse_profile
from csbsr.study.provenance import PACKAGE
from csbsr.study.results import read_result
from csbsr.study.steps import last_step, sr_steps, steps_of, warm_start
from csbsr_book.paper.printed import load_tables


def mine(folder: Path, change: tuple[str, str] = ("", "")) -> Path:
    """A profile of one's own: `smoke` under another name."""
    path = folder / "mine.toml"
    path.write_text(text_of("smoke").replace('name = "smoke"', 'name = "mine"').replace(*change))
    return path


@pytest.mark.parametrize("name", ["smoke", "authors", "", "Mine", "../mine", "a" * 60])
def test_a_profile_of_ones_own_needs_a_name_of_its_own(name: str, tmp_path: Path) -> None:
    path = mine(tmp_path, ('name = "mine"', f'name = "{name}"'))
    with pytest.raises(ValueError, match=r"mine.toml: 'name' must be new"):
        load_profile(str(path))


def test_a_profile_of_ones_own_is_run_and_its_results_carry_it(tmp_path: Path, capsys) -> None:
    path, results = mine(tmp_path), tmp_path / "results"
    command = ["run", "darkness", "--profile", str(path), "--results", str(results)]
    assert main([*command, "--data", "synthetic"]) == 0
    written = Path(capsys.readouterr().out.strip())
    assert written.relative_to(results).parts[:3] == ("mine", "synthetic", "reproduction+mine")
    before = written.stat().st_mtime_ns
    assert main([*command, "--data", "synthetic"]) == 0
    assert written.stat().st_mtime_ns == before, "fresh"
    mine(tmp_path, ("kernel_seed = 5", "kernel_seed = 6"))
    assert main([*command, "--data", "synthetic"]) == 0
    assert written.stat().st_mtime_ns != before, "the file decides, not the name"
    path.unlink()
    assert not is_stale(read_result(written)), "the result carries its profile"
    assert main(command) == 2
    assert "mine.toml is no file; copy one of smoke" in capsys.readouterr().err


def text_of(name: str) -> str:
    return (PACKAGE / "study" / "profiles" / f"{name}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_loads_and_fits_every_experiment(name: str) -> None:
    profile = load_profile(name)
    protocol = profile.protocol("reproduction")
    for row in experiments():
        assert bool(steps_of(row, profile, protocol)) == row.learns
        assert last_step(row, profile, protocol).config.iterations > 0
    csbsr = experiment("csbsr-pspnet")
    assert sr_steps(csbsr, profile, protocol)[0].natural
    assert all(s.config.loss == "combo" for s in warm_start(csbsr, profile, protocol))


def test_only_smoke_is_no_result() -> None:
    assert [load_profile(n).is_result for n in NAMES] == [False, True, True]


def test_paper_profile_has_the_numbers_of_the_paper() -> None:
    paper = load_profile("paper")
    assert paper.step1.iterations == 200_000
    assert paper.step2.iterations == 30_000
    assert paper.step3.iterations == 150_000
    assert paper.step1.lr_sr == 2e-4
    assert paper.step3.lr_sr == paper.step3.lr_segmentation == 2e-5
    assert {paper.step1.batch, paper.step2.batch, paper.step3.batch} == {6}
    assert paper.protocol("printed") == PRINTED
    assert paper.protocol("reproduction") == REPRODUCTION
    assert paper.protocol("released") == RELEASED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[images]", "[images]\nflavour = 1"), "unknown key 'flavour'"),
        (("crop = 64", "crop = 'wide'"), "'crop' must be an integer, not 'wide'"),
        (('precision = "fp32"', 'precision = "fp8"'), "'precision' must be one of"),
        (("estimated_kernel = 7", "kernel_shape = 7"), "unknown protocol option"),
        (("crop = 64\n", "\n"), "missing 'crop'"),
        (("is_result = false", "is_result = 0"), "'is_result' must be true or false, not 0"),
        (("[images]", "[images"), "not TOML"),
        (("crop = 64", "crop = 30"), "[images]: 'crop' must be a multiple of 4, not 30"),
        (("crop = 64", "crop = 16"), "'crop' must lie in 32..8192, not 16"),
        (("synthetic_test = 4", "synthetic_test = 0"), "'synthetic_test' must be at least 1"),
        (("test_limit = 4", "test_limit = -1"), "'test_limit' must be at least 0, not -1"),
        (("pspnet = 8", "pspnet = -8"), "[widths]: 'pspnet' must be at least 0"),
        (("iterations = 8", "iterations = -8"), "[step3]: 'iterations' must be at least 0"),
        (("batch = 2", "batch = 0"), "[step1]: 'batch' must be at least 1, not 0"),
        (("lr_sr = 1e-3", "lr_sr = 0"), "[step1]: a step that is run needs a learning rate"),
        (("given_kernel = 1.0", "given_kernel = 2"), "'given_kernel' must lie in 0..1"),
        (("log_every = 2", "log_every = 0"), "'log_every' must be at least 1, not 0"),
        (("estimated_kernel = 7", "estimated_kernel = 'a'"), "'estimated_kernel' must be"),
    ],
)
def test_a_wrong_profile_is_refused_in_one_line(change: tuple[str, str], message: str) -> None:
    text = text_of("smoke")
    assert change[0] in text
    with pytest.raises(ValueError, match=message.replace("[", r"\[")) as error:
        parse_profile(text.replace(change[0], change[1], 1), "profile smoke.toml")
    assert "\n" not in str(error.value)
    assert "smoke.toml" in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_profile("huge"), "choose one of smoke, quick, paper"),
        (lambda: protocol_named("mine"), "choose 'printed', 'released', 'reproduction'"),
        (lambda: experiment("csbsr-pspnt"), "did you mean csbsr-pspnet"),
        (lambda: experiment("zzz"), "`csbsr run` lists them all"),
    ],
)
def test_unknown_names_say_what_there_is(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_no_experiment_is_defined_twice() -> None:
    ids = [e.id for e in experiments()]
    assert len(ids) == len(set(ids))
    settings = [
        tuple(v for k, v in vars(e).items() if k not in ("id", "title", "kind", "baseline"))
        for e in experiments()
    ]
    assert len(settings) == len(set(settings)), "two ids for one training"


def test_every_row_of_the_paper_is_an_experiment() -> None:
    for number, table in load_tables().items():
        for row in table.rows:
            assert experiment(row.experiment).id, f"Table {number}"


def test_experiments_are_the_rows_they_name() -> None:
    assert experiment("csbsr-pspnet").beta == 0.3
    assert experiment("cssr-pspnet").beta == 0.7
    assert experiment("csbsr-hrnet").beta == experiment("csbsr-crackformer").beta == 0.9
    assert experiment("csbsr-pspnet-increasing").beta == "increasing"
    assert {experiment(f"csbsr-pspnet-wC{m:g}").crack_weight for m in M_SEARCH} == set(M_SEARCH)
    assert experiment("csbsr-pspnet-wF0.5-LC").fail_weight_on_segmentation == 0.5
    assert experiment("kbpn+pspnet").coupling == "independent"


def test_parents_come_first_and_once() -> None:
    names = ["csbsr-pspnet-blurskip-wF1", "csbsr-pspnet-blurskip", "csbsr-pspnet"]
    assert with_ancestors(names) == [
        "csbsr-pspnet-wF1",
        "csbsr-pspnet-blurskip-wF1",
        "csbsr-pspnet",
        "csbsr-pspnet-blurskip",
    ]


def names_of(name: str, protocol: str = "reproduction") -> list[str]:
    quick = load_profile("quick")
    return [s.name for s in steps_of(experiment(name), quick, quick.protocol(protocol))]


def test_steps_of_an_experiment_come_in_their_order() -> None:
    alone = ["warm_start", "step3"]
    assert names_of("csbsr-pspnet") == ["step1", "kernel", "step2", *alone]
    assert names_of("csbsr-pspnet", "released") == ["step1", "step2", *alone]
    assert names_of("dbpn+pspnet") == names_of("kbpn-true+pspnet") == ["step1", "step2", *alone]
    assert names_of("bicubic+pspnet") == names_of("hr-pspnet") == names_of("dsrl") == alone
    assert names_of("csbsr-pspnet-blurskip") == ["blur_skip"]
    assert names_of("csbsr-pspnet-continued") == ["continued"]
    assert names_of("darkness") == []


def test_released_kbpn_learns_in_phases_and_others_do_not() -> None:
    paper = load_profile("paper")
    for name, phases in (("released", (10_000, 20_000)), ("reproduction", (0, 0))):
        steps = sr_steps(experiment("csbsr-pspnet"), paper, paper.protocol(name))
        assert steps[-1].config.kernel_phases == phases
    assert sr_steps(experiment("cssr-pspnet"), paper, RELEASED)[-1].config.kernel_phases == (0, 0)


def test_a_profile_that_changes_options_says_so_in_the_protocols_name() -> None:
    quick, paper = load_profile("quick"), load_profile("paper")
    assert quick.protocol("reproduction").name == "reproduction+quick"
    assert quick.protocol("released+quick") == quick.protocol("released")
    assert paper.protocol("released").name == "released"
