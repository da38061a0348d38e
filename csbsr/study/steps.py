"""Sec. III-E: from an experiment and a profile to its training steps, and through them.

All super-resolution networks get the same number of SR updates, all segmentation networks the
same number of theirs; what KBPN needs to learn the kernel alone comes on top (a step that the
others do not have), unless the protocol is the released code's. Every step draws its own data.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import nn

from csbsr.data.natural import open_natural
from csbsr.data.stream import CrackSource, CrackStream, NaturalStream
from csbsr.degradation import constant_kernel
from csbsr.distributed import ranks
from csbsr.model_file import with_weights
from csbsr.networks.architecture import (
    Architecture,
    build_model,
    build_segmentation,
    join,
)
from csbsr.networks.joint import Joint
from csbsr.protocol import Protocol
from csbsr.study.digest import digest
from csbsr.study.experiments import Experiment, experiment
from csbsr.study.models import architecture_of
from csbsr.study.profiles import Profile, Schedule
from csbsr.study.recipe import EMBEDDED, Settings, recipe
from csbsr.training.config import StepConfig
from csbsr.training.trainer import train

NATURAL_CROP = 224
"""Side of the crops of natural images, which come in many sizes, where no crop is set."""

SYNTHETIC_NATURAL = 64
"""Number of procedural textures that stand in for natural images in step 1."""


@dataclass(frozen=True)
class TrainingStep:
    """One training step of an experiment; its name also names the data that it draws."""

    name: Literal["step1", "kernel", "step2", "warm_start", "step3", "blur_skip", "continued"]
    config: StepConfig
    natural: bool = False
    """Whether it sees natural images instead of cracks."""


def _scheduled(profile: Profile, schedule: Schedule, crop: int | None) -> StepConfig:
    """What the profile says of a step; what learns and from which losses is added by the step."""
    return StepConfig(
        iterations=schedule.iterations,
        batch=schedule.batch,
        crop=crop,
        lr_sr=schedule.lr_sr or schedule.lr_segmentation,
        lr_segmentation=schedule.lr_segmentation or schedule.lr_sr,
        warmup=schedule.warmup,
        lr_decay=schedule.decay,
        precision=profile.precision,
        channels_last=profile.channels_last,
        log_every=profile.log_every,
        checkpoint_every=profile.checkpoint_every,
    )


def _laid_out(row: Experiment, config: StepConfig) -> StepConfig:
    """The layout that is fast for C: CrackFormer's attention wants its pixels in a row."""
    return replace(config, channels_last=config.channels_last and row.segmentation != "crackformer")


def _crop(experiment: Experiment, profile: Profile, protocol: Protocol) -> int | None:
    """Crop of the profile, or of the protocol when the profile leaves it open (None: whole)."""
    images = profile.images
    return (images.crop_dsrl if experiment.sr == "dsrl" else images.crop) or protocol.crop


def sr_loss(sr: str | None) -> Literal["kbpn", "dsrl", "l1"]:
    """L_S of a super-resolution network: KBPN's three terms, DSRL's objective, or L1."""
    return "kbpn" if sr == "kbpn" else "dsrl" if sr == "dsrl" else "l1"


def sr_steps(row: Experiment, profile: Profile, protocol: Protocol) -> tuple[TrainingStep, ...]:
    """Steps 1 and 2 of S alone, and between them the kernel's own; none without a trained S."""
    if row.sr in (None, "bicubic", "dsrl"):
        return ()
    crop = _crop(row, profile, protocol)
    estimates = row.sr == "kbpn" and row.kernel == "estimate"
    steps = []
    for name in ("step1", "kernel", "step2"):
        schedule: Schedule = getattr(profile, name)
        alone = name == "kernel"
        if not schedule.iterations or (
            alone and not (estimates and protocol.kernel_training == "stage")
        ):
            continue
        phases = (0, 0)
        if estimates and not alone:
            phases = _kernel_phases(schedule, protocol)
        config = replace(
            _scheduled(profile, schedule, crop or (NATURAL_CROP if name == "step1" else None)),
            train="kernel" if alone else "sr",
            beta=0.0,
            sr_loss=sr_loss(row.sr),
            kernel_phases=phases,
        )
        steps.append(TrainingStep(name, config, natural=name == "step1"))
    return tuple(steps)


def _kernel_phases(schedule: Schedule, protocol: Protocol) -> tuple[int, int]:
    """When the true kernel is given, and when the estimator learns alone (see `StepConfig`)."""
    if protocol.kernel_training == "phases":  # thirds, as released
        return schedule.iterations // 3, 2 * schedule.iterations // 3
    given = round(schedule.given_kernel * schedule.iterations)
    return given, given


def warm_start(row: Experiment, profile: Profile, protocol: Protocol) -> tuple[TrainingStep, ...]:
    """Shared start of C on HR crops with the Combo loss (ours); DSRL's is its whole training."""
    if not profile.warm_start.iterations or not row.learns:
        return ()
    config = _laid_out(row, _scheduled(profile, profile.warm_start, _crop(row, profile, protocol)))
    if row.sr == "dsrl":
        config = replace(config, train="both", sr_loss="dsrl", loss=row.loss)
    else:
        config = replace(config, train="segmentation", beta=1.0, loss="combo")
    return (TrainingStep("warm_start", config),)


def last_step(row: Experiment, profile: Profile, protocol: Protocol) -> TrainingStep:
    """Step 3 of an experiment, the training of its blur skip, or as much training without one."""
    name = "blur_skip" if row.blur_skip else "continued" if row.starts_from else "step3"
    if row.blur_skip:
        train_part = "blur_skip" if protocol.blur_skip_training == "skip_only" else "all"
    else:
        train_part = "segmentation" if row.coupling == "independent" else "both"
    weighted = train_part in ("both", "all")
    schedule = profile.step3 if name == "step3" else profile.blur_skip
    config = replace(
        _laid_out(row, _scheduled(profile, schedule, _crop(row, profile, protocol))),
        train=train_part,
        detach=row.coupling == "detached",
        beta=row.beta,
        sr_loss=sr_loss(row.sr),
        loss=row.loss,
        crack_weight=row.crack_weight if weighted else None,
        fail_weight=row.fail_weight if weighted else None,
        segmentation_on_sr=row.segmentation_on_sr and weighted,
        fail_weight_on_segmentation=row.fail_weight_on_segmentation,
    )
    return TrainingStep(name, config)


def steps_of(row: Experiment, profile: Profile, protocol: Protocol) -> tuple[TrainingStep, ...]:
    """Every training step behind an experiment, its last one last (without its parents')."""
    if not row.learns:
        return ()
    if row.starts_from:
        return (last_step(row, profile, protocol),)
    return (
        *sr_steps(row, profile, protocol),
        *warm_start(row, profile, protocol),
        last_step(row, profile, protocol),
    )


def cost(profile: Profile, row: Experiment, protocol: Protocol) -> str:
    """Iterations that one experiment costs beyond the steps it shares with others."""
    steps = steps_of(row, profile, protocol)
    if not steps:
        return "no training"
    *shared, last = (step.config.iterations for step in steps)
    return f"{last:,} iterations" + (f" (+ {sum(shared):,} shared)" if shared else "")


@dataclass(frozen=True)
class Plan(Settings):
    """The settings of a run, and what decides no number: where, on what and how fast."""

    device: torch.device
    train: CrackSource
    natural: str | None
    """Folder of natural images; None: synthetic textures."""
    folder: Path
    """Checkpoints and logs; a folder per step, named by a hash of all that decides its weights."""
    workers: int
    quiet: bool
    tensorboard: bool = False

    def adapted(self, step: TrainingStep) -> TrainingStep:
        """A step with the precision and compilation that this run asked for."""
        return replace(step, config=self.arithmetic(step.config))


class KeyedStep(NamedTuple):
    """A step as a run adapts it, its name in the progress, and the hash of all that decides it."""

    step: TrainingStep
    name: str
    key: str

    def folder(self, plan: Plan) -> Path:
        """Where its checkpoints and its log lie."""
        return plan.folder / f"{self.name}-{self.key}"


def _seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """Build a module under its own seed and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _train(model: nn.Module, keyed: KeyedStep, plan: Plan) -> Path:
    """Run one step in its own folder (or find it finished there); returns the folder."""
    step, name, _ = keyed
    folder = keyed.folder(plan)
    model.to(plan.device)
    train(
        model,
        step.config,
        _stream(step, plan),
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


def _stream(step: TrainingStep, plan: Plan) -> CrackStream | NaturalStream:
    place, config = ranks(), step.config
    options = {"rank": place.rank, "world": place.world, "step": step.name}
    if step.natural:
        size = config.crop or plan.profile.images.synthetic_size
        source = open_natural(plan.natural or EMBEDDED, SYNTHETIC_NATURAL, size)
        return NaturalStream(source, config.crop, config.batch, plan.seed, plan.protocol, **options)
    return CrackStream(plan.train, config.crop, config.batch, plan.seed, plan.protocol, **options)


Part = Literal["sr", "start"]
"""What experiments share: S after steps 1 and 2, or C after its warm start."""


def shared_steps(row: Experiment, plan: Plan) -> dict[Part, tuple[KeyedStep, ...]]:
    """The steps that an experiment shares with others; empty where it has none of its own."""
    if row.starts_from or row.sr == "dsrl":
        return {"sr": (), "start": ()}
    return {"sr": _keyed_sr(row, plan), "start": _keyed_start(row, plan)}


def _keyed_sr(row: Experiment, plan: Plan) -> tuple[KeyedStep, ...]:
    steps = sr_steps(row, plan.profile, plan.protocol)
    if not steps:
        return ()
    architecture = architecture_of(row, plan.profile, plan.protocol)
    restoring = replace(architecture, segmentation=None, blur_skip=None)
    name = row.sr if row.kernel == "estimate" else f"{row.sr}-{row.kernel}"
    found, key = [], ""
    for step in map(plan.adapted, steps):
        key = digest([key, recipe(restoring, [step], plan)])
        found.append(KeyedStep(step, f"{step.name}-{name}", key))
    return tuple(found)


def _keyed_start(row: Experiment, plan: Plan) -> tuple[KeyedStep, ...]:
    architecture = architecture_of(row, plan.profile, plan.protocol)
    segmenting = Architecture(None, architecture.segmentation, reads="hr")
    steps = map(plan.adapted, warm_start(row, plan.profile, plan.protocol))
    return tuple(
        KeyedStep(step, f"start-{row.segmentation}", digest(recipe(segmenting, [step], plan)))
        for step in steps
    )


def trained_sr(row: Experiment, plan: Plan) -> tuple[nn.Module | None, str]:
    """S after steps 1 and 2, shared by every experiment with this network; and its key."""
    architecture = architecture_of(row, plan.profile, plan.protocol)
    if architecture.sr is None:
        return None, ""
    sr = _seeded(plan.seed, architecture.sr.build)
    restoring = replace(architecture, segmentation=None, blur_skip=None)
    alone = join(restoring, sr, nn.Identity())
    _give_constant(alone, plan)
    key = ""
    for keyed in _keyed_sr(row, plan):
        _train(alone, keyed, plan)
        key = keyed.key
    return sr, key


def _give_constant(model: nn.Module, plan: Plan) -> None:
    """Tell a model of one kernel for all images which one: the best that there is."""
    if model.kernel_source == "constant":
        model.constant.copy_(constant_kernel(plan.protocol))


def started_segmentation(row: Experiment, plan: Plan) -> tuple[nn.Module, str]:
    """C at the start of step 3: fresh, on ImageNet features, or from the shared warm start."""
    architecture = architecture_of(row, plan.profile, plan.protocol)
    network = _seeded(plan.seed + 1, lambda: build_segmentation(architecture, plan.pretrained))
    key = ""
    for keyed in _keyed_start(row, plan):
        _train(Joint(None, network), keyed, plan)
        key = keyed.key
    return network, key


class Trained(NamedTuple):
    """A trained model in eval mode, the folder of its last step, and the key in its name."""

    model: nn.Module
    folder: Path | None
    """None where nothing is trained."""
    key: str = ""


def trained(row: Experiment, plan: Plan) -> Trained:
    """All steps of an experiment; finished steps are taken from their folders.

    A blur skip continues its parent's finished weights. The model is made anew from its weights
    at the end, as from a file: what is measured is what a file of it computes, bit by bit.
    """
    profile, protocol = plan.profile, plan.protocol
    architecture = architecture_of(row, profile, protocol)
    if not row.learns:
        return Trained(build_model(architecture).eval().to(plan.device), None)
    start = ""
    if row.starts_from:
        parent, _, start = trained(experiment(row.starts_from), plan)
        model = _seeded(plan.seed + 2, lambda: build_model(architecture))
        model.load_state_dict(parent.state_dict(), strict=False)
    elif row.sr == "dsrl":
        model = _seeded(plan.seed, lambda: build_model(architecture, plan.pretrained))
    else:
        sr, sr_key = trained_sr(row, plan)
        segmentation, segmentation_key = started_segmentation(row, plan)
        model, start = join(architecture, sr, segmentation), sr_key + segmentation_key
        _give_constant(model, plan)
    steps = (last_step(row, profile, protocol),)
    if row.sr == "dsrl":
        steps = (*warm_start(row, profile, protocol), *steps)
    for step in steps:
        step = plan.adapted(step)
        start = digest([start, recipe(architecture, [step], plan)])
        name = row.id if step.name != "warm_start" else f"start-{row.id}"
        folder = _train(model, KeyedStep(step, name, start), plan)
    weights = {name: value.cpu() for name, value in model.state_dict().items()}
    return Trained(with_weights(architecture, weights).to(plan.device), folder, start)


def log_of(row: Experiment, plan_folder: Path) -> Path | None:
    """Newest training log of an experiment below a plan's folder, None before it was run."""
    logs = sorted(plan_folder.glob(f"{row.id}-*/log.jsonl"), key=lambda p: p.stat().st_mtime)
    return logs[-1] if logs else None
