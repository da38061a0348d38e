"""Result files: one JSON per experiment, profile, data and seed, written atomically."""

import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csbsr.evaluation import CENTRELINE_THRESHOLDS, Evaluation
from csbsr.metrics import bootstrap_mean, bootstrap_summary, summarise
from csbsr.study.breakdown import breakdown

SCHEMA = 1
KEYS = (
    "schema",
    "experiment",
    "profile",
    "protocol",
    "seed",
    "metrics",
    "curves",
    "images",
    "run_card",
)


@dataclass(frozen=True)
class ResultFile:
    """A result as read from disk."""

    path: Path
    content: dict

    @property
    def metrics(self) -> dict[str, float | None]:
        """IoU_max, AIU, HD95_min, AHD95, PSNR, SSIM, kernel_PSNR; None where undefined."""
        return self.content["metrics"]

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.content["seed"]

    @property
    def fingerprint(self) -> str:
        """Hash of everything that could change the numbers."""
        return self.content["run_card"].get("fingerprint", "")


def result_path(results: Path, profile: str, data: str, experiment: str, seed: int) -> Path:
    """Where a result lies: `results/<profile>/<data>/<experiment>-seed<n>.json`."""
    return results / profile / data / f"{experiment}-seed{seed}.json"


def write_json(path: Path, content: object) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, never a part.

    Raises OSError when the disk is full or the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=None, separators=(",", ":"), allow_nan=False)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def require_writable(folder: Path) -> None:
    """Raise ValueError unless files can be made in `folder`; makes nothing that was not there."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"result folder {folder}: {existing} is a file; give another --results")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ValueError(
            f"result folder {folder} is not writable ({error.strerror}); give another --results"
        ) from error


def read_result(path: Path) -> ResultFile:
    """Read one result; ValueError naming the file if it is not one of this schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"result {path} cannot be read ({error}); delete it and run again"
        ) from error
    missing = [key for key in KEYS if key not in content]
    if missing or content["schema"] != SCHEMA:
        what = f"lacks {', '.join(missing)}" if missing else f"has schema {content['schema']}"
        raise ValueError(f"result {path} {what}; delete it and run the experiment again")
    return ResultFile(path, content)


def find_results(
    results: Path, profile: str, data: str | None = None
) -> dict[str, list[ResultFile]]:
    """All results of a profile by experiment id, seeds in order; an absent folder gives none.

    Without `data`, the results of real images are preferred to those of synthetic ones.
    """
    folder = results / profile
    if not folder.is_dir():
        return {}
    if data is None:
        sets = sorted((d.name for d in folder.iterdir() if d.is_dir()), key=_real_first)
        data = next((d for d in sets if any((folder / d).glob("*.json"))), None)
        if data is None:
            return {}
    found: dict[str, list[ResultFile]] = {}
    for path in sorted((folder / data).glob("*-seed*.json")):
        result = read_result(path)
        found.setdefault(result.content["experiment"], []).append(result)
    for seeds in found.values():
        seeds.sort(key=lambda result: result.seed)
    return found


def _real_first(name: str) -> tuple[bool, str]:
    return (name == "synthetic", name)


def rounded(values: list[float], digits: int = 7) -> list[float]:
    """Significant digits that a float32 measurement carries; infinities become None."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in values]


def _mean(values: NDArray[np.float64] | None) -> float | None:
    if values is None:
        return None
    finite = values[np.isfinite(values)]
    return rounded([float(finite.mean())])[0] if finite.size else None


def _curve(values: NDArray[np.float64]) -> list[float]:
    return rounded(values.mean(0).tolist())


def _rows(values: NDArray[np.float64]) -> list[list[float]]:
    return [rounded(row, 6) for row in values.tolist()]


def metrics_of(evaluation: Evaluation) -> dict[str, float | None]:
    """The columns of Tables II-VI, the thresholds chosen, and HD50 beside HD95."""
    summary = summarise(evaluation.iou, evaluation.hd95, evaluation.thresholds)
    median = summarise(evaluation.iou, evaluation.hd50, evaluation.thresholds)
    cracked = evaluation.crack_share > 0
    on_cracks = evaluation.iou[cracked].mean(0).max() if cracked.any() else math.nan
    values = {
        "IoU_max": summary.iou_max,
        "AIU": summary.aiu,
        "HD95_min": summary.hd95_min,
        "AHD95": summary.ahd95,
        "IoU_max_threshold": summary.iou_max_threshold,
        "HD95_min_threshold": summary.hd95_min_threshold,
        "HD50_min": median.hd95_min,
        "AHD50": median.ahd95,
        "IoU_max_cracks_only": on_cracks,
        "clIoU_max": evaluation.centreline.mean(0).max(),
    }
    found = {name: rounded([float(value)])[0] for name, value in values.items()}
    found["PSNR"] = _mean(evaluation.psnr)
    found["SSIM"] = _mean(evaluation.ssim)
    found["kernel_PSNR"] = _mean(evaluation.kernel_psnr)
    return found


def intervals_of(evaluation: Evaluation) -> dict[str, list[float]]:
    """95 % bootstrap intervals over the test images; the noise of training is not in them."""
    found = bootstrap_summary(evaluation.iou, evaluation.hd95)
    names = ("IoU_max", "AIU", "HD95_min", "AHD95")
    result = {name: rounded([v.low, v.high]) for name, v in zip(names, found)}
    if evaluation.psnr is not None and np.isfinite(evaluation.psnr).all():
        mean = bootstrap_mean(evaluation.psnr)
        result["PSNR"] = rounded([mean.low, mean.high])
    return result


def content_of(
    evaluation: Evaluation,
    *,
    experiment: str,
    profile: str,
    protocol: str,
    seed: int,
    run_card: dict[str, object],
    validation_threshold: float | None = None,
) -> dict[str, object]:
    """The whole result file; what is chosen by IoU can be computed again from `images`."""

    def column(values: NDArray[np.float64] | None) -> list[float] | None:
        return None if values is None else rounded(values.tolist())

    metrics: dict[str, object] = dict(metrics_of(evaluation))
    metrics["intervals"] = intervals_of(evaluation)
    more = breakdown(evaluation, validation_threshold)
    metrics |= more["metrics"]
    metrics["paired"] = None  # `pairs.refresh_pairs` fills it
    precision, recall = evaluation.precision.mean(0), evaluation.recall.mean(0)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return {
        "schema": SCHEMA,
        "experiment": experiment,
        "profile": profile,
        "protocol": protocol,
        "seed": seed,
        "metrics": metrics,
        "curves": {
            "thresholds": rounded(evaluation.thresholds.tolist()),
            "IoU": _curve(evaluation.iou),
            "HD95": _curve(evaluation.hd95),
            "HD50": _curve(evaluation.hd50),
            "mean_surface_distance": _curve(evaluation.mean_surface_distance),
            "precision": _curve(evaluation.precision),
            "recall": _curve(evaluation.recall),
            "f1": rounded(f1.tolist()),
            "centreline_thresholds": CENTRELINE_THRESHOLDS.tolist(),
            "centreline_IoU": _curve(evaluation.centreline),
            **more["curves"],
        },
        "sources": more["sources"],
        "widths": more["widths"],
        "images": {
            "names": evaluation.names,
            "crack_share": rounded(evaluation.crack_share.tolist()),
            "IoU": _rows(evaluation.iou),
            "HD95": _rows(evaluation.hd95),
            "HD50": _rows(evaluation.hd50),
            "PSNR": column(evaluation.psnr),
            "SSIM": column(evaluation.ssim),
            "kernel_PSNR": column(evaluation.kernel_psnr),
        },
        "run_card": run_card,
    }


def was_measured(folder: Path, data_hash: str) -> bool:
    """Whether a result in `folder` comes from exactly these files, which were good then."""
    for path in sorted(folder.glob("*-seed*.json"))[:1]:
        try:
            return read_result(path).content["run_card"].get("data_hash") == data_hash
        except ValueError:
            return False
    return False
