"""Result files: one JSON per experiment, profile, data and seed, written atomically."""

import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

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
