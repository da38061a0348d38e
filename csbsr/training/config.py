"""One training step of Sec. III-E as a value: everything that decides its final weights."""

from dataclasses import asdict, dataclass
from typing import Literal

Train = Literal["sr", "kernel", "segmentation", "both", "blur_skip", "all"]
Precision = Literal["fp32", "tf32", "bf16"]

TRAINS = ("sr", "kernel", "segmentation", "both", "blur_skip", "all")
LOSSES = ("bc", "gbc", "bgdice", "combo", "boundary", "dice", "gdice", "wce", "bce", "rcf")
SR_LOSSES = ("kbpn", "l1", "dsrl")
PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True)
class StepConfig:
    """One training step: what learns, from which losses, how long and how fast.

    Raises ValueError with one line for the first value that makes no sense.
    """

    iterations: int
    """Number of optimiser steps."""
    batch: int = 6
    """Images per step over all processes; under torchrun each process takes its share."""
    crop: int | None = None
    """Side of the HR crops in pixels, None for whole images."""
    train: Train = "both"
    """What learns. "sr": S alone, C is not even run (steps 1 and 2). "kernel": the estimator of
    S's kernel alone, by the absolute error of the kernel. "segmentation": C with S
    frozen in evaluation mode ("without joint learning"). "both": S and C by Eq. 2. "blur_skip":
    the blur skip alone, all else frozen in evaluation mode. "all": what "both" trains, and the
    blur skip with it; without a blur skip the two are the same."""
    detach: bool = False
    """Control arm: S and C both learn, but the gradient of L_C does not reach S."""

    lr_sr: float = 2e-5
    """Learning rate of S (paper: 2e-4 in step 1, 2e-5 in steps 2 and 3)."""
    lr_segmentation: float = 2e-5
    """Learning rate of C and of the blur skip."""
    warmup: int = 0
    """Iterations over which the learning rates rise linearly from 0."""
    lr_decay: Literal["constant", "cosine"] = "constant"
    """Paper: constant. "cosine": down to 2 % of the rate at the last iteration."""

    beta: float | Literal["increasing"] = 0.3
    """Task weight of Eq. 2; "increasing" goes from 0 to 1 with the iterations (Table III)."""
    sr_loss: Literal["kbpn", "l1", "dsrl"] = "kbpn"
    """L_S: KBPN's HR, LR and kernel terms; mean absolute error; or DSRL's whole objective."""
    loss: str = "bc"
    """L_C: bc, gbc, bgdice, combo, dice, gdice, wce, bce or rcf."""

    crack_weight: float | None = None
    """m^C of Eq. 9 on L_S; None without it."""
    fail_weight: float | None = None
    """m^F of Eq. 10 on L_S; None without it."""
    segmentation_on_sr: bool = False
    """Weight L_S by L_C (Sec. III-C), pixel by pixel or as scalars, as the protocol says."""
    fail_weight_on_segmentation: float | None = None
    """m^F of Eq. 10 on L_C; None without it."""
    kernel_phases: tuple[int, int] = (0, 0)
    """(given_until, kernel_only_until): before the first iteration the true kernel is injected
    and the kernel estimator frozen; before the second only the estimator learns; then all of
    KBPN (released code, step 2: (10000, 20000))."""

    precision: Precision = "fp32"
    """Arithmetic of the networks; losses stay in fp32."""
    compile: bool = False
    """Run the networks through torch.compile."""
    channels_last: bool = False
    """Keep weights and activations in channels-last layout (faster in bf16)."""
    log_every: int = 50
    """Iterations per line of the log; the only places where the host waits for a GPU."""
    checkpoint_every: int = 1000
    """Iterations between checkpoints."""

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("train", self.train, TRAINS),
            ("loss", self.loss, LOSSES),
            ("sr_loss", self.sr_loss, SR_LOSSES),
            ("precision", self.precision, PRECISIONS),
            ("lr_decay", self.lr_decay, ("constant", "cosine")),
        ):
            if value not in allowed:
                raise ValueError(f"step: {name} = '{value}' is unknown; choose {_or(allowed)}")
        for name in ("iterations", "batch", "log_every", "checkpoint_every"):
            _require(
                name, getattr(self, name), _whole(getattr(self, name), 1), "a whole number >= 1"
            )
        good = _whole(self.warmup, 0) and self.warmup < self.iterations
        _require("warmup", self.warmup, good, f"a whole number in 0..{self.iterations - 1}")
        good = self.crop is None or _whole(self.crop, 1)
        _require("crop", self.crop, good, "a whole number >= 1 or None")
        for name, used in (
            ("lr_sr", self.trains_sr),
            ("lr_segmentation", self.trains_segmentation),
        ):
            value = getattr(self, name)
            good = _number(value) and 0 <= value < 1 and (value > 0 or not used)
            _require(name, value, good, "between 0 and 1 (0 only for what does not learn)")
        good = self.beta == "increasing" or _share(self.beta)
        _require("beta", self.beta, good, "in [0, 1] or 'increasing'")
        for name in ("crack_weight", "fail_weight", "fail_weight_on_segmentation"):
            value = getattr(self, name)
            _require(name, value, value is None or (_number(value) and value > 0), "> 0 or None")
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.crop is not None:
            _require("crop", self.crop, self.crop % 4 == 0, "a multiple of 4, the scale factor")
        given, kernel_only = self.kernel_phases
        _require(
            "kernel_phases",
            self.kernel_phases,
            _whole(given, 0)
            and _whole(kernel_only, 0)
            and (kernel_only == 0 or given <= kernel_only),
            "(given_until, kernel_only_until) with 0 <= given_until <= kernel_only_until",
        )
        if self.detach and self.train not in ("both", "all"):
            raise ValueError(
                f"step: detach needs train = 'both' or 'all', not '{self.train}': "
                "nothing else has a gradient of L_C to stop"
            )
        weighted = self.crack_weight or self.fail_weight or self.segmentation_on_sr
        if weighted and self.train not in ("both", "all"):
            raise ValueError(
                "step: crack_weight, fail_weight and segmentation_on_sr weight L_S by the "
                f"segmentation and need train = 'both' or 'all', not '{self.train}'"
            )
        if self.sr_loss == "dsrl" and (
            weighted or self.detach or self.fail_weight_on_segmentation or self.train != "both"
        ):
            raise ValueError(
                "step: DSRL has one network and its own objective; use train = 'both' without "
                "detach and weights"
            )
        if self.kernel_phases != (0, 0) and self.sr_loss != "kbpn":
            raise ValueError("step: kernel_phases need sr_loss = 'kbpn'; set them to (0, 0)")

    @property
    def trains_sr(self) -> bool:
        """Whether S learns."""
        return self.train in ("sr", "kernel", "both", "all")

    @property
    def trains_segmentation(self) -> bool:
        """Whether C, or at least its blur skip, learns."""
        return self.train not in ("sr", "kernel")

    def identity(self) -> dict[str, object]:
        """Every value that the final weights depend on (not how often they are logged)."""
        values = asdict(self)
        for name in ("log_every", "checkpoint_every"):
            del values[name]
        return values


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _share(value: object) -> bool:
    return _number(value) and 0 <= value <= 1


def _or(names: tuple[str, ...]) -> str:
    return " or ".join((", ".join(names[:-1]), names[-1]))


def _require(name: str, value: object, good: bool, what: str) -> None:
    if not good:
        raise ValueError(f"step: {name} = {value!r} must be {what}")
