"""Files and folders written whole or not at all, and one writer at a time."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout


@contextlib.contextmanager
def locked(path: Path, what: str, quiet: bool = False) -> Iterator[None]:
    """Hold the lock file `path`; another process that wants it waits until this one is through.

    The lock belongs to the operating system: it ends with the process, also by kill -9, and the
    file that stays behind hinders nobody. what: named in the line that says what is waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not quiet:
            print(f"{what}: waiting for another process that works on it", file=sys.stderr)
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file `path`; makes nothing that was not there."""
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # of somebody else, and read-only: nothing to wait for
        return False
    lock.release()
    return False


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; it takes the place of `path` at the end, or vanishes on any error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:  # a full disk does not say of itself which file it was
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill; it becomes `output` at the end, or vanishes on any error.

    ValueError when `output` is there already, unless it is an empty folder.
    """
    there = ValueError(f"output {output} is there already; name another folder")
    output = Path(os.path.abspath(output))
    if os.path.lexists(output) and (not output.is_dir() or any(output.iterdir())):
        raise there
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}.", suffix=".part"))
    try:
        yield folder
        folder.chmod(0o755)
        try:
            folder.replace(output)
        except OSError:  # somebody else was faster
            raise there from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write_json(path: Path, content: object) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, never a part.

    Raises OSError when the disk is full or the folder cannot be written; nothing is left behind.
    """
    text = json.dumps(content, indent=None, separators=(",", ":"), allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
