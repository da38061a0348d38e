"""One joint training step of KBPN + PSPNet at full width: exact short cuts against plain maps.

    python benchmarks/training_step.py                  # CPU: batch 1, HR 224, one thread
    python benchmarks/training_step.py --device cuda    # GPU: batch 6, HR 448, bf16

The plain formulation convolves the constant kernel maps at full resolution, as the released code
does; it is the same model with the same weights, switched over. All forms take turns in one
process and do the trainer's whole step: degradation, networks, BC loss, gradient, Adam. On the
CPU the processor's time counts, so that other jobs disturb little; on a GPU the wall time between
two synchronisations.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from csbsr.data.stream import CrackStream
from csbsr.data.synthetic import SyntheticCracks
from csbsr.networks.joint import Joint
from csbsr.networks.kbpn import KBPN
from csbsr.networks.pspnet import PSPNet
from csbsr.protocol import RELEASED
from csbsr.training.config import StepConfig
from csbsr.training.guards import arithmetic
from csbsr.training.loop import Run
from csbsr.training.parts import set_learning
from csbsr.training.trainer import train


@dataclass(frozen=True)
class Form:
    """One way to do the same step."""

    name: str
    plain: bool
    precision: str
    channels_last: bool
    compile: bool = False


CPU_FORMS = (
    Form("plain fp32", True, "fp32", False),
    Form("exact fp32", False, "fp32", False),
    Form("exact bf16 channels_last", False, "bf16", True),
)
GPU_FORMS = (
    Form("plain bf16 channels_last", True, "bf16", True),
    Form("exact bf16 channels_last", False, "bf16", True),
    Form("exact tf32 channels_last", False, "tf32", True),
    Form("exact bf16 channels_last compiled", False, "bf16", True, compile=True),
)


def build(options: argparse.Namespace) -> nn.Module:
    """KBPN (kernel estimated at 7 or 21) and PSPNet on ResNet-34, the released configuration."""
    torch.manual_seed(0)
    sr = KBPN(options.width, options.stages, estimated_kernel=options.kernel)
    segmentation = PSPNet("resnet34", width=max(options.width // 2, 4))
    return Joint(sr, segmentation).to(options.device)


def switch(model: nn.Module, plain: bool) -> None:
    """Compute constant maps at full size, or exactly by their few different values."""
    for module in model.modules():
        if hasattr(module, "plain"):
            module.plain = plain


def stage_of(form: Form, options: argparse.Namespace, iterations: int = 1000) -> StepConfig:
    return StepConfig(
        iterations=iterations,
        batch=options.batch,
        crop=options.size,
        precision=form.precision,
        channels_last=form.channels_last,
        compile=form.compile,
        log_every=iterations,
        checkpoint_every=iterations,
    )


def clock(device: torch.device) -> float:
    """Wall time of a GPU that has finished, or the time that this process computed on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def time_forms(
    forms: tuple[Form, ...], model: nn.Module, stream: CrackStream, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Median seconds per step of each form, in turns; the first step of a turn warms up."""
    device = torch.device(options.device)
    batch = stream.batch(0)
    seconds: dict[str, list[float]] = {form.name: [] for form in forms}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for form in forms:
                stage = stage_of(form, options)
                layout = torch.channels_last if form.channels_last else torch.contiguous_format
                model.to(memory_format=layout)
                switch(model, form.plain)
                run = Run(model, stage, RELEASED, 0, device, Path(folder))
                set_learning(model, stage, "all")
                step = run.step()
                with arithmetic(stage, device):
                    # The first step allocates Adam's state, searches algorithms, compiles.
                    run.iterate(step, batch, False)
                    if device.type == "cuda":
                        torch.cuda.reset_peak_memory_stats()
                    start = clock(device)
                    for _ in range(options.steps):
                        run.iterate(step, batch, False)
                    seconds[form.name].append((clock(device) - start) / options.steps)
                if device.type == "cuda":
                    memory[form.name] = torch.cuda.max_memory_allocated() / 2**30
                model.zero_grad(set_to_none=True)
                del run, step
    report = {name: {"seconds": statistics.median(values)} for name, values in seconds.items()}
    for name, gib in memory.items():
        report[name]["peak_memory_gib"] = round(gib, 2)
    return report


def waiting_share(
    form: Form, model: nn.Module, stream: CrackStream, options: argparse.Namespace
) -> float:
    """Share of a short run's wall time in which the step waits for its batch (one worker)."""
    switch(model, form.plain)
    stage = stage_of(form, options, options.waiting_steps)
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            model,
            stage,
            stream,
            seed=0,
            protocol=RELEASED,
            folder=Path(folder),
            progress="quiet",
        )
    return result.waiting_share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, help="images per step (CPU 1, GPU 6)")
    parser.add_argument("--size", type=int, help="side of the HR crop (CPU 224, GPU 448)")
    parser.add_argument("--kernel", type=int, default=7, choices=(7, 21))
    parser.add_argument("--width", type=int, default=128, help="width of KBPN (full: 128)")
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="steps per round (CPU 1, GPU 10)")
    parser.add_argument("--waiting-steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    gpu = options.device.startswith("cuda")
    options.batch = options.batch or (6 if gpu else 1)
    options.size = options.size or (448 if gpu else 224)
    options.steps = options.steps or (10 if gpu else 1)
    torch.set_num_threads(options.threads)
    forms = GPU_FORMS if gpu else CPU_FORMS
    model = build(options)
    stream = CrackStream(SyntheticCracks(12, 448), options.size, options.batch, 0, RELEASED)
    report = time_forms(forms, model, stream, options)
    base = report[forms[0].name]["seconds"]
    for values in report.values():
        values["times_faster"] = round(base / values["seconds"], 2)
        values["images_per_second"] = round(options.batch / values["seconds"], 2)
        values["seconds"] = round(values["seconds"], 4)
    fast = next(f for f in forms if f.name == "exact bf16 channels_last")
    result = {
        "what": f"joint step, KBPN + PSPNet, batch {options.batch}, HR {options.size}, "
        f"width {options.width}, {options.stages} stages, kernel {options.kernel}",
        "device": torch.cuda.get_device_name() if gpu else platform.processor() or "CPU",
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__,
        "forms": report,
        "share_waiting_for_data": round(waiting_share(fast, model, stream, options), 4),
    }
    print(json.dumps(result, indent=2))
    path = Path(__file__).parent / "results" / f"training_step{'_gpu' if gpu else ''}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
