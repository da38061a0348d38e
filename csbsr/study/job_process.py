"""One job as a process: how it is started, where what it says is kept, and how it ended.

Free of torch: what waits for a job all day should be small.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

FAILURE = "sweep: "
"""How the last line of the log of a job that failed begins."""
SAID = "csbsr: "
"""How the line begins in which `csbsr` says why it ends."""


def start(
    command: Sequence[str], output: IO[bytes] | None, threads: int, own_session: bool
) -> subprocess.Popen:
    """Start a command that computes with so many threads; returns its process.

    output: where it writes what it says; None: where we do. own_session: whether Ctrl-C at a
    terminal is kept from it, and must be passed on by us.
    """
    return subprocess.Popen(
        command,
        env=os.environ | thread_variables(threads),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=own_session,
    )


def thread_variables(threads: int) -> Mapping[str, str]:
    """The variables from which the libraries read how many threads to use."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(threads))  # torch.set_num_threads starts from the first


def note_failure(log: Path, code: int) -> None:
    """Write below all that a job said how it ended: with an exit code, or killed by -code."""
    how = f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
    note(log, f"{FAILURE}{how}")


def note(log: Path, line: str) -> None:
    """Add a line to a job's log."""
    with log.open("ab") as file:
        file.write(f"\n{line}\n".encode())


def failure_in(log: Path) -> str:
    """Why a job failed: what `csbsr` said last, or else the last line; empty where it did not."""
    *lines, last = [*_last_lines(log)] or [""]
    if not last.startswith(FAILURE):
        return ""
    said = [line.removeprefix(SAID) for line in lines if line.startswith(SAID)] or lines
    return f"{said[-1] if said else 'it said nothing'} ({last.removeprefix(FAILURE)})"


def _last_lines(path: Path, length: int = 8192) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - length, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return iter(())
    return (line.strip() for line in re.split(r"[\r\n]+", text) if line.strip())
