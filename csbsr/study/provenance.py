"""Run cards and fingerprints: what was run, with which code, on what machine, and is it stale?"""

import ast
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import csbsr

PACKAGE = Path(csbsr.__file__).parent


def repository_root() -> Path:
    """Folder of the checkout that holds the package, or the current folder when installed."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").exists() else Path.cwd()


def digest(value: object) -> str:
    """Short SHA-256 of any JSON-like value or frozen dataclass, independent of key order."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
                )
            ]
    return tree


@cache
def _parsed(path: Path, mtime: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("csbsr"):
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names if alias.name.startswith("csbsr")]
    code = ast.dump(_without_docstrings(tree))
    return hashlib.sha256(code.encode()).hexdigest(), tuple(imports)


def _module_file(name: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def code_closure(modules: Iterable[str]) -> dict[str, str]:
    """Hash of every csbsr module reachable by imports from `modules`.

    Comments, docstrings and layout do not count: a result goes stale when the code that computed
    it changes what it does, not when somebody words a sentence better.
    """
    hashes: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        path = _module_file(waiting.pop())
        if path is None:
            continue
        key = str(path.relative_to(PACKAGE.parent))
        if key in hashes:
            continue
        hashes[key], imports = _parsed(path, path.stat().st_mtime_ns)
        waiting += imports
    return dict(sorted(hashes.items()))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=repository_root(),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def commit() -> dict[str, object]:
    """Commit of the checkout and whether tracked files other than results differ from it."""
    changes = ("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)results")
    return {
        "id": _git("rev-parse", "--short=12", "HEAD") or "unknown",
        "dirty": bool(_git(*changes)),
    }


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
) -> dict[str, object]:
    """What a reader needs to know about one run: profile, seed, commit, machine, time, data."""
    return {
        "profile": profile,
        "protocol": protocol,
        "seed": seed,
        "data": data,
        "data_hash": data_hash,
        "commit": commit(),
        "hardware": hardware(device),
        "device": device,
        "libraries": libraries(),
        "seconds": round(seconds, 2),
    }
