"""The loop of one training step: its state, one iteration, and what happens between two."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Protocol as Interface

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm

from csbsr.data.stream import CrackBatch
from csbsr.distributed import Ranks, agree, from_first, ranks
from csbsr.protocol import Protocol
from csbsr.training import checkpoint as checkpoints
from csbsr.training.checkpoint import Checkpoint
from csbsr.training.config import StepConfig
from csbsr.training.guards import Stopped, StopSignals, memory_errors, seed_iteration
from csbsr.training.log import TrainingLog
from csbsr.training.objective import Images, Objective
from csbsr.training.parts import learning_modules, phase_at, set_learning
from csbsr.training.progress import Reporter
from csbsr.training.schedules import LR_FLOOR, alpha_scaled, beta_at, learning_rate
from csbsr.training.shared_layers import share_layers
from csbsr.training.window import Window


class Stream(Interface):
    """Training batches as a pure function of the iteration (`csbsr.data.stream`)."""

    def loader(self, start: int, stop: int, workers: int = 1) -> Iterator[CrackBatch]: ...


class Run:
    """State of a training step under way."""

    def __init__(
        self,
        model: nn.Module,
        config: StepConfig,
        protocol: Protocol,
        seed: int,
        device: torch.device,
        folder: Path,
    ) -> None:
        self.config, self.protocol, self.seed = config, protocol, seed
        self.device, self.folder, self.done = device, folder, 0
        self.place: Ranks = ranks()
        options = protocol.options()
        self.identity = {
            "step": config.identity(),
            "protocol": {k: v for k, v in options.items() if k != "name"},
            "seed": seed,
            "start": _digest(model),
        }
        layout = torch.channels_last if config.channels_last else torch.preserve_format
        self.model = share_layers(model.to(device, memory_format=layout), device)
        self.optimiser = torch.optim.Adam(
            [
                {"params": list(module.parameters()), "name": name}
                for name, module in learning_modules(self.model, config)
            ],
            betas=(0.9, 0.999),
            eps=1e-8,
            fused=device.type == "cuda",
        )
        self.window = Window(device, self.place)

    def resume(self) -> list[str]:
        """Go back to the newest usable checkpoint; returns a line per refused one."""
        found, notes = None, []
        if self.place.writes:
            found, notes = checkpoints.newest(self.folder, self.identity)
        iteration = from_first(found.iteration if found else None, self.place)
        if iteration is None:
            return notes
        if found is None:
            found = checkpoints.load(checkpoints.path_of(self.folder, iteration))
        self.model.load_state_dict(found.model, strict=True)
        self.optimiser.load_state_dict(found.optimiser)
        self.window.restore(found.log)
        self.done = iteration
        return notes

    def train(
        self,
        stream: Stream,
        workers: int,
        stop: StopSignals,
        report: Reporter,
        log: TrainingLog | None,
    ) -> float:
        """Run to the end of the step; returns the seconds waited for data."""
        total, waited = self.config.iterations, 0.0
        self.window.start()
        batches = stream.loader(self.done, total, workers)
        try:
            while self.done < total:
                phase, end = phase_at(self.config, self.done)
                set_learning(self.model, self.config, phase)
                step = self.step()
                while self.done < end:
                    before = perf_counter()
                    batch = next(batches)
                    wait = perf_counter() - before
                    waited += wait
                    with memory_errors(self.config, batch.hr.shape[-1], self.device):
                        terms = self.iterate(step, batch, phase == "given_kernel")
                    self.window.add(self.done, terms, batch.names, wait)
                    self.done += 1
                    report.step()
                    self._after(stop, report, log)
        finally:
            if hasattr(batches, "close"):
                batches.close()
        return waited

    def iterate(self, step: nn.Module, batch: CrackBatch, given: bool) -> dict[str, Tensor]:
        """One optimiser step; nothing in here waits for the GPU."""
        i, total, config = self.done, self.config.iterations, self.config
        seed_iteration(self.seed, i)
        alpha, beta = self._weights(i)
        for group in self.optimiser.param_groups:
            base = config.lr_sr if group["name"] == "sr" else config.lr_segmentation
            group["lr"] = learning_rate(i, total, base, config.warmup, config.lr_decay, LR_FLOOR)
        loss, terms = step(self._move(batch), alpha, beta, given)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        groups = self.optimiser.param_groups
        gradients = [p.grad for g in groups for p in g["params"] if p.grad is not None]
        terms["gradient"] = get_total_norm(gradients)
        self.optimiser.step()
        return terms

    def _after(self, stop: StopSignals, report: Reporter, log: TrainingLog | None) -> None:
        """Log, save and stop where it is time to."""
        config, last = self.config, self.done == self.config.iterations
        logs = last or self.done % config.log_every == 0
        if logs:
            values, speed, share = self.window.close()
            report.line(self.done, values["loss"], speed)
            if log is not None:
                log.write(self._line(values, speed, share))
        asked = stop.requested
        if self.place.world > 1:  # all processes must leave at the same iteration
            asked = bool(agree(int(asked), self.place)) if logs else False
        if last or asked or self.done % config.checkpoint_every == 0:
            self._save()
        if asked:  # even after the last iteration: what follows would not know of the request
            raise Stopped(self.done, config.iterations, self.folder)

    def _line(self, values: dict[str, float], speed: float, share: float) -> dict:
        alpha, beta = self._weights(self.done - 1)
        rates = {f"lr_{g['name']}": g["lr"] for g in self.optimiser.param_groups}
        both = self.config.trains_sr and self.config.trains_segmentation
        return {
            "iteration": self.done,
            **values,
            "alpha": alpha if self.config.trains_segmentation else None,
            "beta": beta if both else None,
            **rates,
            "it_per_s": round(speed, 4),
            "waiting": round(share, 4),
        }

    def _save(self) -> None:
        self.window.check()
        log = self.window.state()  # of all processes
        if self.place.writes:
            checkpoints.save(
                self.folder,
                Checkpoint(
                    iteration=self.done,
                    seed=self.seed,
                    model=self.model.state_dict(),
                    optimiser=self.optimiser.state_dict(),
                    log=log,
                    config=self.identity,
                ),
            )

    def _weights(self, i: int) -> tuple[float, float]:
        config = self.config
        alpha = alpha_scaled(i, config.iterations)
        return alpha, beta_at(i, config.iterations, config.beta, self.protocol)

    def step(self) -> nn.Module:
        """Forward pass and loss, averaged over the processes; made anew for each phase."""
        step = Objective(self.model, self.config, self.protocol)
        if self.place.world == 1:
            return step
        ids = [self.device] if self.device.type == "cuda" else None
        # Auxiliary heads take no part in the loss under the paper's protocol.
        return DistributedDataParallel(step, device_ids=ids, find_unused_parameters=True)

    def _move(self, batch: CrackBatch) -> Images:
        tensors = (batch.hr, batch.mask, batch.distance, batch.kernel)
        if self.device.type == "cuda":
            tensors = tuple(t.pin_memory() for t in tensors)
        return Images(*(t.to(self.device, non_blocking=True) for t in tensors))


def _digest(model: nn.Module) -> str:
    """SHA-256 over names and bits of the weights a step starts from."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
