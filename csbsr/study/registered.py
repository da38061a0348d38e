"""What was registered before it was run: primary contrasts, and from which size effects matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from csbsr.data.groups import photo_group
from csbsr.metrics import Interval, bootstrap_difference
from csbsr.study.contrasts import (
    OPEN,
    Contrast,
    Judgement,
    Values,
    Verdict,
    at_least,
    better,
    contrast,
    pooled_spread,
    settle,
)
from csbsr.study.experiments import experiment
from csbsr.study.results import ResultFile
from csbsr.toml import read

Results = Mapping[str, Sequence[ResultFile]]
"""Fresh results by experiment; whoever reads them from disk leaves stale ones out."""

LOWER_IS_BETTER = (
    "HD95_min",
    "AHD95",
    "HD50_min",
    "AHD50",
    "HD95",
    "HD50",
    "false_alarm_area",
)
"""Metrics and curves that are distances or errors."""
QUOTIENTS: Mapping[str, tuple[str, str]] = {
    "IoU_stability": ("AIU", "IoU_max"),
    "HD95_stability": ("HD95_min", "AHD95"),
}
"""Average over thresholds against the best threshold; 1 = a flat curve."""
Curve = Literal["IoU", "HD95", "HD50"]
CURVE_STEPS: Mapping[Curve, str] = {"IoU": "IoU_max", "HD95": "HD95_min", "HD50": "HD50_min"}
"""Curve over thresholds -> metric whose smallest effect of interest its points share."""


@dataclass(frozen=True)
class CurvePoint:
    """A curve at the threshold with this index."""

    curve: Curve
    index: int

    def __str__(self) -> str:
        return f"{self.curve} at threshold {self.index + 1}"


@dataclass(frozen=True)
class ImageIoU:
    """IoU of one test image at the threshold that the run would be used with."""

    image: str

    def __str__(self) -> str:
        return f"IoU of {self.image}"


Measure = str | CurvePoint | ImageIoU
"""What can be read from a run: a metric by name, a point of a curve, the IoU of an image."""
FROM_BREAKDOWN = ("thin_crack_recall", "quiet_share", "crack_share")
"""Metrics that follow from other parts of a result file than its `metrics`.

thin_crack_recall: share of the centreline found, of cracks of the thinnest class of width.
quiet_share: share of images without cracks on which nothing is marked. crack_share: mean share of
crack pixels in the truth, which no model changes. The first two at the threshold of `widths`.
"""


@dataclass(frozen=True)
class Primary:
    """One registered contrast: `first` is better than each of `second` by more than `smallest`."""

    id: str
    first: str
    second: tuple[str, ...]
    metric: str
    smallest: float
    question: str
    reason: str

    def __post_init__(self) -> None:
        for name in (self.first, *self.second):
            experiment(name)
        if not self.second or self.smallest <= 0:
            raise ValueError("needs at least one 'second' and a 'smallest' above 0")


@dataclass(frozen=True)
class Smallest:
    """Smallest effect of interest in one metric, in its unit, and why."""

    value: float
    reason: str


@dataclass(frozen=True)
class Registration:
    """The content of `registered.toml`."""

    profile: Literal["quick", "paper"]
    seeds: tuple[int, ...]
    stopping: str
    primary: tuple[Primary, ...]
    smallest: Mapping[str, Smallest]

    def __post_init__(self) -> None:
        ids = [p.id for p in self.primary]
        if len(ids) != len(set(ids)) or len(self.seeds) != len(set(self.seeds)):
            raise ValueError("a seed or the id of a primary contrast appears twice")

    def smallest_effect(self, measure: Measure) -> float:
        """Smallest effect of interest; ValueError for a metric that has none.

        A point of a curve has that of the curve's best threshold, and so has the IoU of an image.
        """
        key = scale_of(measure)
        if key not in self.smallest:
            raise ValueError(
                f"registered.toml has no [smallest.{key}]; state from where it matters"
            )
        return self.smallest[key].value


@cache
def registration() -> Registration:
    """Return what is registered; ValueError names what is wrong in the file."""
    return read(Registration, files("csbsr.study") / "registered.toml", "study/registered.toml")


def scale_of(measure: Measure) -> str:
    """The metric whose unit, direction and smallest effect of interest a measure shares."""
    match measure:
        case CurvePoint(curve, _):
            return CURVE_STEPS[curve]
        case ImageIoU():
            return "IoU_max"
    return measure


def sign(measure: Measure) -> int:
    """1 where more is better, -1 for distances and errors."""
    return -1 if scale_of(measure) in LOWER_IS_BETTER else 1


def metric_of(run: ResultFile, measure: Measure) -> float | None:
    """One number of a run; None where it is undefined or was not recorded."""
    match measure:
        case CurvePoint(curve, index):
            values = run.content["curves"].get(curve) or ()
            return values[index] if index < len(values) else None
        case ImageIoU(image):
            return _iou_by_image(run).get(image)
        case "thin_crack_recall":
            widths = run.content.get("widths")
            thinnest = widths[0] if isinstance(widths, list) and widths else None
            recall = thinnest.get("recall") if isinstance(thinnest, dict) else None
            return recall if type(recall) in (int, float) else None
        case "quiet_share":
            found = zip(_crack_shares(run), _iou_by_image(run).values())
            quiet = [iou == 1 for share, iou in found if share == 0]  # empty / empty is 1
            return sum(quiet) / len(quiet) if quiet else None
        case "crack_share":
            shares = [share for share in _crack_shares(run) if share is not None]
            return sum(shares) / len(shares) if shares else None
    if measure in QUOTIENTS:
        over, under = (metric_of(run, part) for part in QUOTIENTS[measure])
        return over / under if over is not None and under else None
    return run.metrics.get(measure)


def _crack_shares(run: ResultFile) -> Sequence[float | None]:
    return run.content["images"].get("crack_share") or ()


def _iou_by_image(run: ResultFile) -> dict[str, float | None]:
    """IoU by image at the validation threshold, without one at that of the highest mean IoU."""
    images, metrics = run.content["images"], run.metrics
    chosen = metrics.get("validation_threshold") or metrics.get("IoU_max_threshold")
    thresholds = run.content["curves"].get("thresholds") or ()
    distances = [np.inf if t is None or chosen is None else abs(t - chosen) for t in thresholds]
    if not images.get("IoU") or not np.isfinite(distances).any():
        return {}
    index = int(np.argmin(distances))
    return {name: row[index] for name, row in zip(images["names"], images["IoU"])}


def study_of(run: ResultFile) -> tuple[str, str, str]:
    """Profile, protocol and hash of the data: runs that differ in one of them are not compared."""
    content = run.content
    return content["profile"], content["protocol"], content["run_card"].get("data_hash", "")


def values_by_seed(results: Results, metric: Measure) -> Values:
    """Return one measure by experiment and seed, undefined numbers left out."""
    found: dict[str, dict[int, float]] = {}
    for name, runs in results.items():
        for run in runs:
            value = metric_of(run, metric)
            if value is not None and np.isfinite(value):
                found.setdefault(name, {})[run.seed] = value
    return found


def gain(first: str, second: str, metric: Measure) -> dict[str, float]:
    """Weights of "how much better is first than second": positive = better, also in distances."""
    return {first: sign(metric), second: -sign(metric)}


@dataclass(frozen=True)
class PrimaryOutcome:
    """A primary contrast against each of its `second`, and the verdict, Holm over all of them."""

    registered: Primary
    contrasts: tuple[Contrast | None, ...]
    verdict: Verdict


def primary_outcomes(results: Results) -> tuple[PrimaryOutcome, ...]:
    """Return the outcome of every registered contrast.

    `results` are fresh results; those of another profile than the registered one and seeds that
    are not registered do not enter. Until all seeds of a contrast are there its verdict is
    "undecided", or "not run" without any. ValueError: results of two protocols or data sets.
    """
    plan = registration()
    seeds = set(plan.seeds)
    usable = {
        name: [run for run in runs if run.content["profile"] == plan.profile and run.seed in seeds]
        for name, runs in results.items()
    }
    studies = {study_of(run) for runs in usable.values() for run in runs}
    if len(studies) > 1:
        raise ValueError(f"results of {len(studies)} studies cannot be judged together: {studies}")
    found, judged = [], []
    for primary in plan.primary:
        values = values_by_seed(usable, primary.metric)
        pooled = pooled_spread(values)
        contrasts = tuple(
            contrast(values, gain(primary.first, other, primary.metric), pooled)
            for other in primary.second
        )
        found.append(contrasts)
        parts = [
            _judged(primary, other, c, len(seeds)) for other, c in zip(primary.second, contrasts)
        ]
        judged.append(at_least(len(parts), parts))
    verdicts = settle(judged, whole=True)
    return tuple(map(PrimaryOutcome, plan.primary, found, verdicts))


def _judged(primary: Primary, other: str, found: Contrast | None, seeds: int) -> Judgement:
    names = f"{primary.metric}: {primary.first} over {other}"
    if found is None:
        return Judgement(OPEN, f"{names}: no seed in common", missing=True)
    text = f"{names} {described(found)}; matters from {primary.smallest:g}"
    if len(found.seeds) < seeds:
        return Judgement(OPEN, f"{text}; waits for {seeds} seeds")
    return Judgement(better(found, primary.smallest), text)


def described(found: Contrast) -> str:
    """Return estimate, 95 % interval, seeds and spread of a contrast in words."""
    n = len(found.seeds)
    runs = "1 seed" if n == 1 else f"{n} seeds"
    if found.spread is None:
        return f"{found.estimate:+.4g} ({runs}, spread not known)"
    low, high = found.interval()
    spread = f"spread {found.spread.sd:.2g} {found.spread.source}, df {found.spread.df}"
    return f"{found.estimate:+.4g} [{low:+.4g}, {high:+.4g}] ({runs}, {spread})"


def photo_interval(
    first: Sequence[ResultFile], second: Sequence[ResultFile], metric: str
) -> Interval | None:
    """Return the gain of first over second with its bootstrap interval over photographs.

    How the gain would move with other photographs, the trained networks staying as they are: it
    stands beside the interval over seeds and never for it. All crops of one photograph are drawn
    together; each arm chooses its threshold in every resample. None without a common seed, without
    values by image, or when the two saw other images.
    """
    best: Mapping[str, tuple[str, Literal["max", "min", "mean"]]] = {
        "IoU_max": ("IoU", "max"),
        "AIU": ("IoU", "mean"),
        "HD95_min": ("HD95", "min"),
        "AHD95": ("HD95", "mean"),
        "HD50_min": ("HD50", "min"),
        "AHD50": ("HD50", "mean"),
        **{name: (name, "mean") for name in ("PSNR", "SSIM", "kernel_PSNR")},
    }
    mine, theirs = ({run.seed: run.content["images"] for run in runs} for runs in (first, second))
    seeds = sorted(set(mine) & set(theirs))
    runs = [arm[seed] for arm in (mine, theirs) for seed in seeds]
    if metric not in best or not seeds:
        return None
    key, over_thresholds = best[metric]
    if any(r["names"] != runs[0]["names"] or r.get(key) is None for r in runs):
        return None
    arrays = np.array([r[key] for r in runs], float)  # (2 S, N) or (2 S, N, T), None is NaN
    arrays = arrays.reshape(*arrays.shape[:2], -1)
    complete = np.isfinite(arrays).all((0, 2))
    if not complete.any():
        return None
    arms = arrays[:, complete].reshape(2, len(seeds), int(complete.sum()), -1)
    groups = [photo_group(n) for n, whole in zip(runs[0]["names"], complete) if whole]
    better_arm, other = arms if sign(metric) > 0 else arms[::-1]
    return bootstrap_difference(better_arm, other, groups, over_thresholds)
