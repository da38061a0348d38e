"""From an experiment and a profile to the training steps of Sec. III-E."""

from dataclasses import replace

from csbsr.protocol import Protocol
from csbsr.reproduce.experiments import Experiment
from csbsr.reproduce.profiles import Profile, Step
from csbsr.training.config import StageConfig

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
