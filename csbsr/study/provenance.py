"""Run cards: what was run, with which code, on what machine, and how long it took."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from csbsr import __version__
from csbsr.study.digest import PACKAGE


def repository_root() -> Path:
    """Folder of the checkout that holds the package, or the current folder when installed."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").exists() else Path.cwd()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=PACKAGE.parent,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def commit() -> dict[str, object]:
    """Commit of the package's own checkout, and whether tracked files but results differ from it.

    An installed package has no checkout, wherever it lies: then `id` is its version.
    """
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != PACKAGE.parent.resolve():
        return {"id": f"version {__version__}", "dirty": False}
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    head = _git("rev-parse", "--short=12", "HEAD")
    return {"id": head or "none yet", "dirty": changes != ""}


def hardware(device: str = "cpu") -> str:
    """One line on the machine: the GPU when one is used, otherwise processor and cores."""
    if device.startswith("cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name(torch.device(device))
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="ignore").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} cores"


def libraries() -> dict[str, str]:
    """Versions of the libraries that can change a number."""
    found = {"python": platform.python_version()}
    for name in ("csbsr", "torch", "torchvision", "numpy", "scipy", "numba"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def run_card(
    *,
    profile: str,
    protocol: str,
    seed: int,
    data: str,
    data_hash: str,
    seconds: float,
    device: str,
    cpu_seconds: float | None = None,
    code: dict[str, object] | None = None,
) -> dict[str, object]:
    """What a reader needs to know about one run: profile, seed, commit, machine, time, data.

    seconds: wall time. cpu_seconds: of all threads of this process. code: the `commit()` of the
    moment the run began; files may change while it runs.
    """
    card: dict[str, object] = {
        "profile": profile,
        "protocol": protocol,
        "seed": seed,
        "data": data,
        "data_hash": data_hash,
        "commit": code or commit(),
        "hardware": hardware(device),
        "device": device,
        "libraries": libraries(),
        "seconds": round(seconds, 2),
        "threads": torch.get_num_threads(),
    }
    return card if cpu_seconds is None else card | {"cpu_seconds": round(cpu_seconds, 2)}
