"""Everything that needs a GPU, unattended and into one file that the cost page shows.

    make gpu-check                                       # the first GPU, the paper's sizes
    python benchmarks/gpu_check.py --device cpu --profile quick --sweep ""    # the same on a CPU

In turn: the tests that need the device; the seconds to measure a test image; one training step of
every network alone and of KBPN + PSPNet in all precisions, with throughput and peak memory; whether
a step ever waits for the device; two processes on two GPUs, where there are two; and a sweep of one
table with several processes on the device. A part that fails is noted and stops no other. The file
is written after each part, so that what was measured is kept. `csbsr cost` reads its throughput.
"""

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from training_step import clock

from csbsr.data.stream import CrackBatch
from csbsr.data.synthetic import SyntheticCracks
from csbsr.evaluation import evaluate
from csbsr.files import write_json
from csbsr.networks.architecture import Architecture, build_model, join
from csbsr.protocol import Protocol
from csbsr.study.experiments import experiment
from csbsr.study.models import architecture_of
from csbsr.study.profiles import Profile, load_profile
from csbsr.study.provenance import commit, hardware
from csbsr.study.record import recorded
from csbsr.study.steps import sr_loss
from csbsr.study.work import TEST_SIZE, count
from csbsr.training.config import PRECISIONS, StepConfig
from csbsr.training.guards import arithmetic
from csbsr.training.loop import Run
from csbsr.training.parts import set_learning
from csbsr.training.waits import no_waiting, take_forms_of_a_gpu

RESULTS = Path(__file__).parent / "results"
ALONE = {
    "kbpn": "csbsr-pspnet",
    "dbpn": "dbpn+pspnet",
    "srcnet": "srcnet",
    "pspnet": "csbsr-pspnet",
    "hrnet": "csbsr-hrnet",
    "crackformer": "csbsr-crackformer",
    "unet": "csbsr-unet",
    "segnet": "srcnet",
    "dsrl": "dsrl",
}
"""Every network, and an experiment that has it."""
JOINT = "csbsr-pspnet"
IMAGES = 8
"""Test images over which the time to measure one is averaged."""


class Skipped(Exception):
    """A part that this machine cannot do."""


@dataclass(frozen=True)
class Options:
    """What is checked, on which device and how thoroughly."""

    device: torch.device
    profile: Profile
    output: Path
    precisions: tuple[str, ...] = PRECISIONS
    networks: tuple[str, ...] = tuple(ALONE)
    steps: int = 5
    sweep: tuple[str, ...] = ("table", "IV")
    sweep_profile: str = "quick"
    jobs: int = 2

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def protocol(self) -> Protocol:
        """The default protocol with the profile's changes."""
        return self.profile.protocol("reproduction")


# -- one step ------------------------------------------------------------------------------------


def part_of(network: str, options: Options) -> tuple[Architecture, StepConfig]:
    """A network alone, or KBPN + PSPNet for `joint`, and a step that trains it."""
    row = experiment(ALONE.get(network, JOINT))
    whole, profile = architecture_of(row, options.profile, options.protocol), options.profile
    crop = profile.images.crop_dsrl if network == "dsrl" else profile.images.crop
    config = StepConfig(
        iterations=1000,
        batch=profile.step3.batch,
        crop=crop or TEST_SIZE,
        channels_last=profile.channels_last and network != "crackformer",
        sr_loss=sr_loss(row.sr),
    )
    if network in ("joint", "dsrl"):
        return whole, config
    if whole.sr is not None and whole.sr.network == network:
        alone = replace(whole, segmentation=None, blur_skip=None)
        return alone, replace(config, train="sr", beta=0.0)
    alone = Architecture(None, whole.segmentation, reads="hr")
    return alone, replace(config, train="segmentation", beta=1.0)


def model_of(architecture: Architecture) -> nn.Module:
    """The model with random weights; S alone where there is no C."""
    torch.manual_seed(0)
    if architecture.segmentation is None:
        return join(architecture, architecture.sr.build(), nn.Identity())
    return build_model(architecture)


def batch_of(config: StepConfig) -> CrackBatch:
    """Random images: how fast a step is does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    size, n = config.crop, config.batch
    mask = (torch.rand(n, 1, size, size, generator=generator) > 0.95).float()
    kernel = torch.rand(n, 1, 21, 21, generator=generator)
    return CrackBatch(
        torch.rand(n, 3, size, size, generator=generator),
        mask,
        torch.rand(n, 1, size, size, generator=generator) * 20,
        kernel / kernel.sum((2, 3), keepdim=True),
        [f"image {i}" for i in range(n)],
    )


def time_step(network: str, precision: str, options: Options) -> dict[str, float]:
    """Seconds of a training step, its counted work and, on a GPU, its peak memory."""
    architecture, config = part_of(network, options)
    config = replace(config, precision=precision)
    work = count(architecture, replace(config, iterations=1), options.protocol, "all")
    if options.cuda:
        torch.cuda.reset_peak_memory_stats(options.device)
    seconds = []
    with tempfile.TemporaryDirectory() as folder, arithmetic(config, options.device):
        model, batch = model_of(architecture), batch_of(config)
        run = Run(model, config, options.protocol, 0, options.device, Path(folder))
        set_learning(model, config, "all")
        step = run.step()
        run.iterate(step, batch, False)  # allocates Adam's moments, loads kernels
        for _ in range(options.steps):
            start = clock(options.device)
            run.iterate(step, batch, False)
            seconds.append(clock(options.device) - start)
    row = {
        "seconds": statistics.median(seconds),
        "tflop": sum(work.tflop.values()),
        "predicted_gib": round(work.gib, 3),
    }
    if options.cuda:
        row["peak_gib"] = round(torch.cuda.max_memory_allocated(options.device) / 2**30, 3)
    return row


# -- the parts -----------------------------------------------------------------------------------


def check_tests(options: Options) -> dict[str, object]:
    """The tests of the device: those marked `gpu`, or on a CPU the same with the device swapped."""
    chosen = ["-m", "gpu"] if options.cuda else ["-k", "device and cpu"]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", *chosen, "tests"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    found = re.findall(r"^(PASSED|FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    passed = [name for word, name in found if word == "PASSED"]
    failed = [name for word, name in found if word != "PASSED"]
    if done.returncode or not passed:
        raise RuntimeError(f"{len(failed)} failed: {', '.join(failed) or done.stdout[-200:]}")
    return {"passed": passed}


def check_steps(options: Options) -> dict[str, object]:
    """Throughput of every network in every precision, and of the joint step with its memory."""
    steps: dict[str, dict[str, object]] = {}
    joint: dict[str, object] = {}
    for precision in options.precisions:
        for network in (*options.networks, "joint"):
            print(f"  step of {network}, {precision}", flush=True)
            try:
                row = time_step(network, precision, options)
            except torch.OutOfMemoryError:
                row = None
            if row is None:  # what did not fit is gone by now
                torch.cuda.empty_cache()
            if network == "joint":
                joint[precision] = row
            elif row is not None:
                steps.setdefault(precision, {})[network] = row
    return {"steps": steps, "joint": joint}


def check_sync(options: Options) -> dict[str, object]:
    """Ten joint steps, the last five of them watched: the host never waits for the device."""
    architecture, config = part_of("joint", options)
    config = replace(config, precision="bf16", channels_last=True)
    with tempfile.TemporaryDirectory() as folder, arithmetic(config, options.device):
        model, batch = model_of(architecture), batch_of(config)
        run = Run(model, config, options.protocol, 0, options.device, Path(folder))
        take_forms_of_a_gpu(run.model, run.optimiser)
        set_learning(model, config, "all")
        step = run.step()
        run.window.add(0, run.iterate(step, batch, False), batch.names, 0.0)
        with no_waiting(options.device):
            for i in range(1, 1 + options.steps):
                run.window.add(i, run.iterate(step, batch, False), batch.names, 0.0)
        values, _, _ = run.window.close()
    return {"watched": options.steps, "loss": values["loss"]}


def check_images(options: Options) -> dict[str, object]:
    """Seconds of one CPU core to measure one test image, all metrics, the network apart."""
    model = build_model(
        architecture_of(experiment("darkness-hr"), options.profile, options.protocol)
    ).eval()
    recorded(evaluate(model, SyntheticCracks(1, TEST_SIZE, split="test"), options.protocol))
    start = time.process_time()
    source = SyntheticCracks(IMAGES, TEST_SIZE, split="test")
    recorded(evaluate(model, source, options.protocol))
    return {"image_seconds": (time.process_time() - start) / IMAGES}


def check_table(options: Options) -> dict[str, object]:
    """A sweep with several processes on the device; its results are thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        given = {
            "--profile": options.sweep_profile,
            "--device": str(options.device),
            "--data": "synthetic",
            "--jobs": str(options.jobs),
            "--results": f"{folder}/results",
            "--runs": f"{folder}/runs",
        }
        command = [sys.executable, "-m", "csbsr.cli", "sweep", *options.sweep]
        command += [word for pair in given.items() for word in pair]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        files = list(Path(folder, "results").rglob("*-seed0.json"))
    if done.returncode or not files:
        raise RuntimeError(f"sweep: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    table = {"names": " ".join(options.sweep), "profile": options.sweep_profile}
    return {"table": table | {"jobs": options.jobs, "seconds": seconds, "results": len(files)}}


def check_ranks(options: Options) -> dict[str, object]:
    """Two processes train and evaluate one experiment together, each on a GPU of its own."""
    if options.cuda and torch.cuda.device_count() < 2:
        raise Skipped("one GPU")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", "2", "-m", "csbsr.cli", "run", "dbpn+pspnet"]
        command += ["--profile", "smoke", "--data", "synthetic", "--device", options.device.type]
        command += ["--results", f"{folder}/results", "--runs", f"{folder}/runs"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        files = list(Path(folder, "results").rglob("*-seed0.json"))
    if done.returncode or not files:
        raise RuntimeError(f"ranks: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return {}


CHECKS: Mapping[str, Callable[[Options], dict[str, object]]] = {
    "tests": check_tests,
    "images": check_images,
    "step": check_steps,
    "sync": check_sync,
    "ranks": check_ranks,
    "table": check_table,
}
"""In this order; what the slowest leaves undone at a stop is the least needed."""


def run_checks(options: Options, names: Sequence[str]) -> dict[str, object]:
    """Run the checks and write the file after each; `checks` says what became of them."""
    content: dict[str, object] = {
        "what": "`make gpu-check`",
        "device": hardware(str(options.device)),
        "kind": options.device.type,
        "profile": options.profile.name,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if options.cuda else None,
        "threads": torch.get_num_threads(),
        "checks": {},
        "steps": {},
        "image_seconds": 0.0,
    }
    for name in names:
        print(f"{name} ...", flush=True)
        try:
            content |= CHECKS[name](options)
            state = "passed"
        except Skipped as error:
            state = f"skipped: {error}"
        except Exception as error:  # unattended: the next part may still say something
            said = str(error).splitlines() or [type(error).__name__]
            state = f"failed: {said[0][:300]}"
        content["checks"][name] = state
        print(f"{name} {state}", flush=True)
        write_json(options.output, content)
    return content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--profile", default="paper", help="sizes of the steps")
    parser.add_argument("--sweep", default="table IV", help="what is swept; '' leaves it out")
    parser.add_argument("--sweep-profile", default="quick")
    parser.add_argument("--jobs", type=int, default=2, help="processes of the sweep")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--precision", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--only", nargs="+", choices=tuple(CHECKS))
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("gpu-check: no GPU is seen; --device cpu does the same on the CPU", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    output = asked.output or RESULTS / f"check_{device.type}.json"
    options = Options(
        device,
        load_profile(asked.profile),
        output,
        tuple(asked.precision),
        steps=asked.steps,
        sweep=tuple(asked.sweep.split()),
        sweep_profile=asked.sweep_profile,
        jobs=asked.jobs,
    )
    names = [n for n in asked.only or CHECKS if n != "table" or options.sweep]
    content = run_checks(options, names)
    print(json.dumps(content["checks"], indent=2))
    print(output)
    return int(any(state.startswith("failed") for state in content["checks"].values()))


if __name__ == "__main__":
    sys.exit(main())
