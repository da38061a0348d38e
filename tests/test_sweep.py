"""`csbsr sweep` and `csbsr status`: order, parents, failures, stops, kills, and words for them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from result_files import numbers, result_content

from csbsr import cli
from csbsr.files import is_locked, locked, write_json
from csbsr.study import sweep
from csbsr.study.experiments import experiment
from csbsr.study.graph import (
    Graph,
    Job,
    build_graph,
    parse_seeds,
    primary_experiments,
    seconds_left,
    survey,
    to_run,
)
from csbsr.study.job_process import thread_variables
from csbsr.study.run import Context, Request, prepare
from csbsr.study.steps import shared_steps
from csbsr.study.sweep import (
    chosen,
    command_of,
    failure_lines,
    ranges,
    run_sweep,
    status_lines,
    threads_each,
)

NAMES = ("dbpn+pspnet", "darkness", "csbsr-pspnet-blurskip")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return prepare(Request(results=tmp_path_factory.mktemp("sweep") / "results"), NAMES)


@pytest.fixture
def context(checked: Context, tmp_path: Path) -> Context:
    """A context with folders of its own; the images are hashed once for all."""
    request = replace(checked.request, results=tmp_path / "results")
    folder = tmp_path / checked.folder.relative_to(checked.request.results.parent)
    runs = tmp_path / checked.plan.folder.relative_to(checked.request.results.parent)
    return replace(checked, request=request, folder=folder, plan=replace(checked.plan, folder=runs))


def finish(job: Job) -> None:
    """Leave what a job leaves."""
    if job.part:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        job.target.touch()
        return
    choices = {"profile": "smoke", "data": "synthetic", "fingerprint_": job.key}
    write_json(job.target, result_content(job.experiment, seed=job.seed, **choices))


Behaviour = Callable[[Job], str]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Behaviour], Path]:
    """Jobs become short scripts that note their start and end and leave the files of a run."""
    notes = tmp_path / "notes"

    def install(behaviour: Behaviour = lambda job: "") -> Path:
        def command(job: Job, request: Request) -> list[str]:
            ready = tmp_path / "ready" / job.id
            if not ready.exists():
                copy = replace(job, target=ready / job.target.name)
                finish(copy)
            script = (
                "import os, shutil, signal, sys, time\n"
                f"print('+{job.title}', file=open({str(notes)!r}, 'a'))\n"
                f"{behaviour(job)}\n"
                f"os.makedirs({str(job.target.parent)!r}, exist_ok=True)\n"
                f"shutil.copy({str(ready / job.target.name)!r}, {str(job.target)!r})\n"
                f"print('-{job.title}', file=open({str(notes)!r}, 'a'))\n"
            )
            return [sys.executable, "-c", script]

        monkeypatch.setattr(sweep, "command_of", command)
        monkeypatch.setattr(sweep, "POLL", 0.01)
        return notes

    return install


def started(notes: Path) -> list[str]:
    return [line[1:] for line in notes.read_text().splitlines() if line[0] == "+"]


def titles(jobs: Sequence[Job]) -> list[str]:
    return [job.title for job in jobs]


# -- the graph -----------------------------------------------------------------------------------


def test_what_is_needed_stands_before_what_needs_it(context: Context) -> None:
    for order in ("breadth", "depth"):
        graph = build_graph(context, NAMES, (0, 1), order)
        seen: set[str] = set()
        for job in graph.jobs:
            assert set(job.needs) <= seen
            seen.add(job.id)
        assert len(seen) == len(graph.jobs) == 2 * 6  # S of two networks, four results


def test_breadth_goes_over_experiments_and_depth_over_seeds(context: Context) -> None:
    breadth = build_graph(context, NAMES, (0, 1), "breadth").jobs
    assert [job.seed for job in breadth] == [0] * 6 + [1] * 6
    assert [job.part for job in breadth[:6]] == ["sr", "sr", None, None, None, None]
    depth = titles(build_graph(context, NAMES, (0, 1), "depth").jobs)
    assert depth[:4] == [
        "step2-dbpn seed 0",
        "dbpn+pspnet seed 0",
        "step2-dbpn seed 1",
        "dbpn+pspnet seed 1",
    ]


def test_steps_that_most_wait_for_come_first(context: Context) -> None:
    names = ("dbpn+pspnet", "kbpn+pspnet", "csbsr-pspnet")
    assert titles(build_graph(context, names, (0,)).jobs)[:2] == [
        "step2-kbpn seed 0",
        "step2-dbpn seed 0",
    ]


def test_shared_steps_are_shared_by_those_that_share_them(context: Context) -> None:
    def keys(name: str) -> list[str]:
        return [s.key for s in shared_steps(experiment(name), context.plan)["sr"]]

    assert keys("kbpn+pspnet") == keys("csbsr-hrnet") != keys("kbpn-true+pspnet")
    for name in ("dsrl", "darkness", "hr-pspnet", "csbsr-pspnet-blurskip"):
        assert not keys(name)


def test_parents_run_only_for_children_that_are_missing(context: Context) -> None:
    graph = build_graph(context, ["csbsr-pspnet-blurskip"], (0,))
    assert titles(to_run(graph, survey(graph))) == [
        "step2-kbpn seed 0",
        "csbsr-pspnet seed 0",
        "csbsr-pspnet-blurskip seed 0",
    ]
    finish(graph.jobs[1])
    assert titles(to_run(graph, survey(graph))) == ["csbsr-pspnet-blurskip seed 0"]
    finish(graph.jobs[2])
    graph.jobs[1].target.unlink()
    assert to_run(graph, survey(graph)) == []


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (3,)), ("0-2", (0, 1, 2)), ("5,0-1, 1", (5, 0, 1))]
)
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "2-0", "-1", "0-9999", "4294967296", "1,,2"])
def test_seeds_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="seeds"):
        parse_seeds(text)


def test_words_for_experiments() -> None:
    known = {"table II": ["a", "b"], "all": ["a", "b", "c"]}
    assert chosen(["c", "table", "ii"], known) == ["c", "a", "b"]
    assert chosen(["all", "a"], known) == ["a", "b", "c"]
    for words in (["table"], ["table", "IX"]):
        with pytest.raises(ValueError, match="choose one of table II"):
            chosen(words, known)
    assert {"csbsr-pspnet", "kbpn+pspnet"} <= set(primary_experiments())


def test_time_left_is_that_of_the_same_job_or_goes_by_images(context: Context) -> None:
    one, two, other = (
        Job(name, name, seed, None, "", Path(), (), images)
        for name, seed, images in (("a", 0, 10), ("a", 1, 10), ("b", 0, 30))
    )
    assert seconds_left([two], [], 1) is None
    assert seconds_left([two, other], [(one, 20.0)], 2) == (20 + 60) / 2
    assert seconds_left([], [], 1) == 0


# -- running it ----------------------------------------------------------------------------------


def test_everything_is_run_once_and_a_second_time_nothing(context: Context, pretend) -> None:
    notes = pretend()
    graph = build_graph(context, NAMES, (0, 1))
    lines: list[str] = []
    outcome = run_sweep(graph, 2, lines.append)
    assert sorted(titles(outcome.ran)) == sorted(titles(graph.jobs)) == sorted(started(notes))
    assert not failure_lines(outcome)
    assert [line.split()[0] for line in lines[1:]] == [f"{n}/12" for n in range(1, 13)]
    assert "left" in lines[3]
    events = notes.read_text().splitlines()
    for job in graph.jobs:
        for other in graph.jobs:
            if other.id in job.needs:
                assert events.index(f"-{other.title}") < events.index(f"+{job.title}")
    assert run_sweep(graph, 2).ran == ()
    assert all(found.word == "done" for found in survey(graph).values())


def test_a_failure_is_listed_and_stops_only_what_needs_it(context: Context, pretend) -> None:
    pretend(lambda job: "sys.exit('csbsr: no memory')" if job.title == "step2-kbpn seed 0" else "")
    graph = build_graph(context, NAMES, (0,))
    outcome = run_sweep(graph, 2)
    assert sorted(titles(outcome.ran)) == [
        "darkness seed 0",
        "dbpn+pspnet seed 0",
        "step2-dbpn seed 0",
    ]
    first, second, third = failure_lines(outcome)
    assert first == "1 failed:"
    assert "step2-kbpn seed 0: no memory (exit code 1)" in second
    assert "csbsr-pspnet seed 0, csbsr-pspnet-blurskip seed 0" in third
    status = "\n".join(status_lines(graph))
    assert "step2-kbpn             failed 0" in status
    assert "seed 0: no memory (exit code 1)" in status
    assert "3 done, 0 running, 2 waiting, 1 failed, 0 stale" in status
    pretend()
    assert len(run_sweep(graph, 2).ran) == 3, "the same command runs it again"


def test_a_killed_worker_is_a_failure(context: Context, pretend) -> None:
    pretend(lambda job: "os.kill(os.getpid(), signal.SIGKILL)")
    (failure,) = run_sweep(build_graph(context, ["darkness"], (0,)), 1).failures
    assert failure.reason == "it said nothing (killed by SIGKILL)"


def test_what_another_process_works_on_is_left_to_it(context: Context, pretend) -> None:
    notes = pretend()
    graph = build_graph(context, ["darkness", "darkness-hr"], (0,))
    first = graph.jobs[0]
    held, release = threading.Event(), threading.Event()

    def other_process() -> None:
        with locked(first.locks[0], "held"):
            held.set()
            release.wait(30)
            finish(first)

    thread = threading.Thread(target=other_process)
    thread.start()
    assert held.wait(10)
    assert is_locked(first.locks[0])
    assert survey(graph)[first.id].word == "running"
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if "darkness-hr" in line:  # done meanwhile
            release.set()

    outcome = run_sweep(graph, 1, say)
    thread.join(10)
    assert started(notes) == titles(outcome.ran) == ["darkness-hr seed 0"]
    assert "darkness seed 0  was done elsewhere" in lines[-1]


def test_stale_and_damaged_results_are_made_again(context: Context, pretend) -> None:
    pretend()
    graph = build_graph(context, ["darkness", "darkness-hr"], (0,))
    stale, damaged = graph.jobs
    finish(replace(stale, key="of yesterday"))
    damaged.target.write_text("{")
    assert [found.word for found in survey(graph).values()] == ["stale", "waiting"]
    assert len(run_sweep(graph, 1).ran) == 2
    assert [found.word for found in survey(graph).values()] == ["done", "done"]


SLEEPS = "signal.signal(signal.SIGTERM, {handler}); open({path!r}, 'w'); time.sleep(60)"


def stop_after(path: Path, signals: Sequence[int]) -> threading.Thread:
    """Send this process signals once the first job has begun."""

    def send() -> None:
        while not path.exists():
            time.sleep(0.01)
        for number in signals:
            os.kill(os.getpid(), number)
            time.sleep(0.3)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_the_processes_save(
    number: int, context: Context, pretend, tmp_path: Path
) -> None:
    begun, saved = tmp_path / "begun", tmp_path / "saved"
    handler = f"lambda *a: (open({str(saved)!r}, 'w'), os._exit(130))"
    pretend(lambda job: SLEEPS.format(handler=handler, path=str(begun)))
    graph = build_graph(context, ["darkness", "darkness-hr"], (0,))
    thread = stop_after(begun, [number])
    with pytest.raises(KeyboardInterrupt, match="goes on"):
        run_sweep(graph, 1)
    thread.join(10)
    assert saved.exists()
    assert {found.word for found in survey(graph).values()} == {"waiting"}, "stopped is not failed"


def test_the_second_signal_kills(context: Context, pretend, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    pretend(lambda job: SLEEPS.format(handler="signal.SIG_IGN", path=str(begun)))
    thread = stop_after(begun, [signal.SIGINT, signal.SIGINT])
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(build_graph(context, ["darkness"], (0,)), 1)
    thread.join(10)
    assert time.monotonic() - before < 50


# -- the command ---------------------------------------------------------------------------------


def test_the_command_of_a_job_says_all_that_was_asked(context: Context) -> None:
    request = replace(context.request, natural="DIV2K", precision="bf16", pretrained=False)
    shared, own = build_graph(context, ["dbpn+pspnet"], (3,)).jobs
    parsed = cli.build_parser().parse_args(command_of(own, request)[3:])
    assert (parsed.experiment, parsed.seed, parsed.only) == (["dbpn+pspnet"], 3, None)
    assert (parsed.natural, parsed.precision, parsed.no_pretrained) == ("DIV2K", "bf16", True)
    assert cli.build_parser().parse_args(command_of(shared, request)[3:]).only == "sr"


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads_each(2) == 4
    assert threads_each(16) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_each(2) == 3, "no more than was allowed"
    assert threads_each(4) == 2
    assert thread_variables(2)["OMP_NUM_THREADS"] == "2"


def test_ranges() -> None:
    assert ranges([2, 0, 1, 5]) == "0-2,5"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "experiment 'nothing' is unknown"),
        (["table", "IX"], "table IX"),
        (["darkness", "--seeds", "x"], "seeds 'x'"),
        (["darkness", "--jobs", "0"], "jobs 0"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(["sweep", *words, "--results", str(tmp_path / "results")]) == cli.BAD_INPUT
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_killed_worker_and_killed_sweep_leave_the_files_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the number of threads decides the last digits
    names = ["dbpn+pspnet"]
    alone, results = tmp_path / "alone" / "results", tmp_path / "many" / "results"
    for seed in ("0", "1"):
        run = [sys.executable, "-m", "csbsr.cli", "run", *names, "--seed", seed]
        subprocess.run([*run, "--results", alone], check=True, stderr=subprocess.DEVNULL)
    words = ["sweep", *names, "--seeds", "0-1", "--jobs", "2", "--results", str(results)]
    process = subprocess.Popen(
        [sys.executable, "-m", "csbsr.cli", *words], stderr=subprocess.DEVNULL
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not list((tmp_path / "many" / "runs").rglob("log.jsonl")):  # one of them trains
        assert process.poll() is None
        time.sleep(0.02)
    worker, *_ = map(int, children.read_text().split())
    os.kill(worker, signal.SIGKILL)
    process.kill()
    process.wait(60)
    assert numbers(results) != numbers(alone)
    assert cli.main(words) == 0
    assert numbers(results) == numbers(alone)
    graph: Graph = build_graph(prepare(Request(results=results), names), names, (0, 1))
    assert {found.word for found in survey(graph).values()} == {"done"}
