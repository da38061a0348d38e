"""From an experiment and a profile to the training steps of Sec. III-E."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from csbsr.data.natural import open_natural
from csbsr.data.stream import CrackSource, CrackStream, NaturalStream
from csbsr.networks.architecture import Architecture, build_model, build_segmentation
from csbsr.networks.joint import Joint
from csbsr.protocol import Protocol
from csbsr.study.digest import digest
from csbsr.study.experiments import Experiment, experiment
from csbsr.study.models import architecture_of
from csbsr.study.profiles import Profile, Step
from csbsr.study.recipe import EMBEDDED, Settings, recipe
from csbsr.training.config import StageConfig
from csbsr.training.distributed import ranks
from csbsr.training.trainer import train

NO_PHASES = (0, 0)


def _crop(profile: Profile, protocol: Protocol) -> int | None:
    """Crop of the profile, or of the protocol when the profile leaves it open (None: whole)."""
    return profile.images.crop or protocol.crop


def _common(profile: Profile, step: Step) -> dict:
    return {
        "iterations": step.iterations,
        "batch": step.batch,
        "lr_sr": step.lr_sr or step.lr_segmentation,
        "lr_segmentation": step.lr_segmentation or step.lr_sr,
        "warmup": step.warmup,
        "lr_decay": step.decay,
        "precision": profile.precision,
        "channels_last": profile.precision == "bf16",
        "log_every": profile.log_every,
        "checkpoint_every": profile.checkpoint_every,
    }


def sr_loss(sr: str | None) -> str:
    """L_S of a super-resolution network: KBPN's three terms, DSRL's objective, or L1."""
    return {"kbpn": "kbpn", "dsrl": "dsrl"}.get(sr or "", "l1")


def sr_stage(
    sr: str, step: Step, profile: Profile, protocol: Protocol, natural: bool
) -> StageConfig:
    """Step 1 (natural images) or step 2 (crack images): S alone, with KBPN's kernel phases.

    Natural images come in many sizes: when no crop is set, step 1 crops at 224 pixels.
    """
    crop = _crop(profile, protocol) or (224 if natural else None)
    given = round(step.given_kernel * step.iterations)
    phases = (given, given + round(step.kernel_only * step.iterations))
    return StageConfig(
        **_common(profile, step),
        crop=crop,
        train="sr",
        beta=0.0,
        sr_loss=sr_loss(sr),
        kernel_phases=phases if sr == "kbpn" else NO_PHASES,
    )


def warm_start_stage(profile: Profile, protocol: Protocol) -> StageConfig:
    """Shared start of a segmentation network on HR crops with the Combo loss (ours)."""
    return StageConfig(
        **_common(profile, profile.warm_start),
        crop=_crop(profile, protocol),
        train="segmentation",
        beta=1.0,
        loss="combo",
    )


def final_stage(experiment: Experiment, profile: Profile, protocol: Protocol) -> StageConfig:
    """Step 3 of an experiment, or the training of its blur skip."""
    step = _last_step(experiment, profile)
    if experiment.blur_skip:
        train = "blur_skip" if protocol.blur_skip_training == "skip_only" else "all"
    else:
        train = "segmentation" if experiment.coupling == "independent" else "both"
    weighted = train in ("both", "all")
    return StageConfig(
        **_common(profile, step),
        crop=_crop(profile, protocol),
        train=train,
        detach=experiment.coupling == "detached",
        beta=experiment.beta,
        sr_loss=sr_loss(experiment.sr),
        loss=experiment.loss,
        crack_weight=experiment.crack_weight if weighted else None,
        fail_weight=experiment.fail_weight if weighted else None,
        segmentation_on_sr=experiment.segmentation_on_sr and weighted,
        fail_weight_on_segmentation=experiment.fail_weight_on_segmentation,
    )


def steps_of(
    experiment: Experiment, profile: Profile, protocol: Protocol
) -> tuple[StageConfig, ...]:
    """Every training step behind an experiment, its last one last (without its parents')."""
    steps = []
    if experiment.sr and experiment.sr != "dsrl":
        for step, natural in ((profile.step1, True), (profile.step2, False)):
            if step.iterations:
                steps.append(sr_stage(experiment.sr, step, profile, protocol, natural))
    if experiment.sr != "dsrl" and profile.warm_start.iterations:
        steps.append(warm_start_stage(profile, protocol))
    return (*steps, final_stage(experiment, profile, protocol))


def uses_natural(experiment: Experiment, profile: Profile) -> bool:
    """Whether S learns from natural images first (step 1)."""
    return experiment.sr not in (None, "dsrl") and profile.step1.iterations > 0


def _last_step(experiment: Experiment, profile: Profile) -> Step:
    """Lengths and rates of the last step.

    DSRL is one network without a start of its own, so that it gets the iterations of the warm
    start as well, and its rate.
    """
    if experiment.blur_skip:
        return profile.blur_skip
    if experiment.sr == "dsrl" and profile.warm_start.iterations:
        return replace(
            profile.step3,
            iterations=profile.step3.iterations + profile.warm_start.iterations,
            lr_segmentation=profile.warm_start.lr_segmentation,
        )
    return profile.step3


def cost(profile: Profile, experiment: Experiment) -> str:
    """Iterations that one experiment costs beyond the steps it shares with others."""
    step = _last_step(experiment, profile)
    separate = experiment.uses_sr and experiment.sr != "dsrl"
    shared = profile.step1.iterations + profile.step2.iterations if separate else 0
    return f"{step.iterations:,} iterations" + (f" (+ {shared:,} shared)" if shared else "")


SYNTHETIC_NATURAL = 64
"""Number of procedural textures that stand in for natural images in step 1."""


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
            plan.natural or EMBEDDED,
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
    config = architecture_of(row, profile, protocol).sr
    sr = _seeded(plan.seed, config.build)
    key = ""
    for number, step, natural in ((1, profile.step1, True), (2, profile.step2, False)):
        if not step.iterations:
            continue
        stage = plan.adapted(sr_stage(row.sr, step, profile, protocol, natural))
        key = digest([key, recipe(Architecture(config, None), [stage], plan, natural)])
        _train(
            Joint(sr, nn.Identity()), stage, plan, f"step{number}-{row.sr}", key, natural=natural
        )
    return sr, key


def started_segmentation(row: Experiment, plan: Plan) -> tuple[nn.Module, str]:
    """C at the start of step 3: fresh, on ImageNet features, or from the shared warm start."""
    profile, protocol = plan.profile, plan.protocol
    architecture = architecture_of(row, profile, protocol)
    network = _seeded(plan.seed + 1, lambda: build_segmentation(architecture, plan.pretrained))
    if not profile.warm_start.iterations:
        return network, ""
    stage = plan.adapted(warm_start_stage(profile, protocol))
    alone = Architecture(None, architecture.segmentation)
    key = digest(recipe(alone, [stage], plan, natural=False))
    _train(Joint(None, network), stage, plan, f"start-{row.segmentation}", key)
    return network, key


def train_experiment(row: Experiment, plan: Plan) -> nn.Module:
    """All steps of an experiment; finished steps are taken from their folders.

    A blur skip continues its parent's finished weights. Returns the trained model.
    """
    return _trained(row, plan)[0]


def _trained(row: Experiment, plan: Plan) -> tuple[nn.Module, str]:
    """The trained model and the key of its last step."""
    profile, protocol = plan.profile, plan.protocol
    architecture = architecture_of(row, profile, protocol)
    if row.starts_from:
        parent, start = _trained(experiment(row.starts_from), plan)
        model = _seeded(plan.seed + 2, lambda: build_model(architecture))
        model.load_state_dict(parent.state_dict(), strict=False)
    elif row.sr == "dsrl":
        model = _seeded(plan.seed, lambda: build_model(architecture, plan.pretrained))
        start = ""
    else:
        sr, key = trained_sr(row, plan) if row.sr else (None, "")
        segmentation, start_key = started_segmentation(row, plan)
        model, start = Joint(sr, segmentation), key + start_key
    stage = plan.adapted(final_stage(row, profile, protocol))
    key = digest([start, recipe(architecture, [stage], plan, natural=False)])
    _train(model, stage, plan, row.id, key)
    return model, key


def log_of(row: Experiment, plan_folder: Path) -> Path | None:
    """Newest training log of an experiment below a plan's folder, None before it was run."""
    logs = sorted(plan_folder.glob(f"{row.id}-*/log.jsonl"), key=lambda p: p.stat().st_mtime)
    return logs[-1] if logs else None
