"""Sec. III-E for one experiment: the steps it shares with others, then its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from csbsr.data.natural import open_natural
from csbsr.data.stream import CrackSource, CrackStream, NaturalStream
from csbsr.networks.joint import Joint
from csbsr.protocol import Protocol
from csbsr.reproduce.experiments import Experiment, experiment
from csbsr.reproduce.models import (
    SEGMENTATION_MODULES,
    SR_MODULES,
    build,
    build_segmentation,
    build_sr,
    training_modules_of,
)
from csbsr.reproduce.profiles import Profile
from csbsr.reproduce.provenance import code_closure, digest
from csbsr.reproduce.stages import final_stage, sr_stage, warm_start_stage
from csbsr.training.config import StageConfig
from csbsr.training.distributed import ranks
from csbsr.training.trainer import train

SYNTHETIC_NATURAL = 64
"""Number of procedural textures that stand in for natural images in step 1."""


@dataclass(frozen=True)
class Plan:
    """All that the trainings of one seed have in common."""

    profile: Profile
    protocol: Protocol
    seed: int
    device: torch.device
    train: CrackSource
    data_hash: str
    natural: str | None
    folder: Path
    """Checkpoints and logs; a folder per step, named by a hash of all that decides its weights."""
    workers: int
    pretrained: bool
    precision: str
    compile: bool
    quiet: bool
    tensorboard: bool = False

    def adapted(self, stage: StageConfig) -> StageConfig:
        """A step with the precision and compilation that this run asked for."""
        return replace(stage, precision=self.precision, compile=self.compile)


def _seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """Build a module under its own seed and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _train(
    model: nn.Module,
    stage: StageConfig,
    plan: Plan,
    name: str,
    key: str,
    *,
    natural: bool = False,
) -> Path:
    """Run one step in its own folder (or find it finished there); returns the folder."""
    folder = plan.folder / f"{name}-{key}"
    stream = _stream(stage, plan, natural)
    model.to(plan.device)
    train(
        model,
        stage,
        stream,
        seed=plan.seed,
        protocol=plan.protocol,
        device=plan.device,
        folder=folder,
        progress="quiet" if plan.quiet else "auto",
        title=name,
        workers=plan.workers,
        tensorboard=plan.tensorboard,
    )
    return folder


def _stream(stage: StageConfig, plan: Plan, natural: bool) -> CrackStream | NaturalStream:
    if natural:
        source = open_natural(
            plan.natural or "synthetic",
            SYNTHETIC_NATURAL,
            stage.crop or plan.profile.images.synthetic_size,
        )
        kind: type[NaturalStream] | type[CrackStream] = NaturalStream
    else:
        source, kind = plan.train, CrackStream
    place = ranks()
    return kind(
        source,
        stage.crop,
        stage.batch,
        plan.seed,
        plan.protocol,
        rank=place.rank,
        world=place.world,
    )


def trained_sr(row: Experiment, plan: Plan) -> tuple[nn.Module, str]:
    """S after steps 1 and 2, shared by every experiment with this network; and its key."""
    profile, protocol = plan.profile, plan.protocol
    sr = _seeded(plan.seed, lambda: build_sr(row.sr, profile.widths, protocol))
    key = ""
    for number, step, natural in ((1, profile.step1, True), (2, profile.step2, False)):
        if not step.iterations:
            continue
        stage = plan.adapted(sr_stage(row.sr, step, profile, protocol, natural))
        code = code_closure([*SR_MODULES[row.sr], "csbsr.training.trainer"])
        textures = plan.natural and str(Path(plan.natural).resolve())
        source = textures if natural else plan.data_hash
        key = digest([key, digest(stage), digest(protocol), source, plan.seed, code])
        _train(
            Joint(sr, nn.Identity()), stage, plan, f"step{number}-{row.sr}", key, natural=natural
        )
    return sr, key


def started_segmentation(row: Experiment, plan: Plan) -> tuple[nn.Module, str]:
    """C at the start of step 3: fresh, on ImageNet features, or from the shared warm start."""
    profile, protocol = plan.profile, plan.protocol
    network = _seeded(
        plan.seed + 1,
        lambda: build_segmentation(row.segmentation, profile.widths, protocol, plan.pretrained),
    )
    if not profile.warm_start.iterations:
        return network, ""
    stage = plan.adapted(warm_start_stage(profile, protocol))
    code = code_closure([*SEGMENTATION_MODULES[row.segmentation], "csbsr.training.trainer"])
    key = digest([digest(stage), digest(protocol), plan.data_hash, plan.seed, code])
    _train(Joint(None, network), stage, plan, f"start-{row.segmentation}", key)
    return network, key


def train_experiment(row: Experiment, plan: Plan) -> nn.Module:
    """All steps of an experiment; finished steps are taken from their folders.

    A blur skip continues its parent's finished weights. Returns the trained model.
    """
    profile, protocol = plan.profile, plan.protocol
    if row.starts_from:
        parent = train_experiment(experiment(row.starts_from), plan)
        model = _seeded(plan.seed + 2, lambda: build(row, profile.widths, protocol))
        model.load_state_dict(parent.state_dict(), strict=False)
        start = row.starts_from
    elif row.sr == "dsrl":
        model = _seeded(plan.seed, lambda: build(row, profile.widths, protocol, plan.pretrained))
        start = ""
    else:
        sr, key = trained_sr(row, plan) if row.sr else (None, "")
        segmentation, start_key = started_segmentation(row, plan)
        model, start = Joint(sr, segmentation), key + start_key
    stage = plan.adapted(final_stage(row, profile, protocol))
    code = code_closure(training_modules_of(row))
    key = digest([start, digest(row), digest(stage), digest(protocol), plan.data_hash, code])
    _train(model, stage, plan, row.id, key)
    return model


def log_of(row: Experiment, plan_folder: Path) -> Path | None:
    """Newest training log of an experiment below a plan's folder, None before it was run."""
    logs = sorted(plan_folder.glob(f"{row.id}-*/log.jsonl"), key=lambda p: p.stat().st_mtime)
    return logs[-1] if logs else None
