"""Third-party files in the book are those of the packages that `vendored.toml` names."""

import hashlib
import tomllib
from pathlib import Path

import pytest

VENDOR = Path(__file__).parents[1] / "book" / "_static" / "vendor"
PACKAGES = tomllib.loads((VENDOR / "vendored.toml").read_text(encoding="utf-8"))["package"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_files_are_as_pinned(package: dict) -> None:
    folder = VENDOR / package["folder"]
    there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert set(there) == set(package["files"])
    assert "LICENSE" in there
    for name, path in there.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == package["files"][name], name
        assert path.stat().st_size < 1_000_000


def test_nothing_else_is_vendored() -> None:
    folders = [VENDOR / package["folder"] for package in PACKAGES]
    for path in VENDOR.rglob("*"):
        if path.is_file() and path.name != "vendored.toml":
            assert any(path.is_relative_to(folder) for folder in folders), path
