"""One job inside what SLURM gives it: started, saved when SLURM says stop, and queued again.

What runs on the cluster is this and `csbsr.study.job_process`, without torch: the training is a
process of its own, the same command that a sweep on one machine starts.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from csbsr.study.job_process import note, note_failure, start

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

PATIENCE = 240
"""Seconds that a training has to save before it goes back into the queue with what it has."""
MOST_KILLS = 3
"""How often a job may have been queued again when one that was killed is queued once more."""
POLL = 0.2
"""Seconds between two looks at the training."""
PORTS = 20_000, 40_000
"""First port of a rendezvous, and how many there are to choose from."""


@dataclass
class SlurmTask:
    """What submitit calls on each node of a job; the first one keeps the log and decides."""

    arguments: tuple[str, ...]
    """Of Python, beginning with `-m csbsr.cli run`."""
    log: Path
    nodes: int = 1
    processes: int = 1
    """On each node; several in all train together under torchrun."""
    threads: int = 1
    """Of each process."""
    _process: subprocess.Popen | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Run the job to its end; SystemExit where it failed, so that what needs it is cancelled.

        A process that was killed (by the kernel for want of memory, or by hand) goes back into the
        queue as if SLURM had asked for its place, but not for ever.
        """
        if os.environ.get("SLURM_PROCID", "0") != "0":
            self._start(None).wait()  # it ends with those of the first node, whose word counts
            return
        with self.log.open("wb") as output:
            process = self._start(output)
        _wait_for(process)
        code = process.wait()
        self._process = None
        if code == -signal.SIGKILL and int(os.environ.get("SLURM_RESTART_COUNT", 0)) < MOST_KILLS:
            signal.raise_signal(signal.SIGTERM)
        if code:
            note_failure(self.log, code)
            raise SystemExit(1)

    def _start(self, output: IO[bytes] | None) -> subprocess.Popen:
        # SLURM sends SIGTERM to every process of a job, several times, and to a training a second
        # one means at once. So it is kept from it; we tell it once, in our own words.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            self._process = start(self.command(), output, self.threads, own_session=False)
            return self._process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def command(self) -> list[str]:
        """The training; several processes meet at the first node of the job."""
        if self.nodes * self.processes == 1:
            return [sys.executable, *self.arguments]
        from submitit import JobEnvironment

        job = JobEnvironment()
        first, count = PORTS
        return [
            *(sys.executable, "-m", "torch.distributed.run"),
            f"--nnodes={self.nodes}",
            f"--nproc-per-node={self.processes}",
            f"--node-rank={job.node}",  # so that the process that reports is on the first one
            f"--master-addr={job.hostnames[0]}",
            f"--master-port={first + int(job.raw_job_id) % count}",
            *self.arguments,
        ]

    def _trainings(self, pid: int) -> list[int]:
        """The processes that train; torchrun itself would give them half a minute to save."""
        if self.nodes * self.processes == 1:
            return [pid]
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(child) for text in lists for child in text.split()] or [pid]

    def checkpoint(self) -> "DelayedSubmission | None":
        """Let the training save; what to run next, or None where SLURM alone decides what comes.

        submitit calls this when SLURM says SIGTERM: before the time is up, or because the place
        is wanted by others. A job that was cancelled hears the same, but no longer counts as
        running, and is not queued again.
        """
        from submitit.helpers import DelayedSubmission

        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is repeated at the end of the grace time
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has just ended
                for pid in self._trainings(self._process.pid):
                    os.kill(pid, signal.SIGINT)
                if not _wait_for(self._process, PATIENCE):
                    os.kill(self._process.pid, signal.SIGKILL)
        if not _is_running():
            note(self.log, "stopped by SLURM")
            return None
        note(self.log, "stopped by SLURM; waits in the queue to go on")
        return DelayedSubmission(replace(self))


def _wait_for(process: subprocess.Popen, seconds: float = math.inf) -> bool:
    """Wait for the end of a process without taking note of it; False where it takes longer.

    Unlike `Popen.wait` it may interrupt itself, as the handler of a signal does.
    """
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > end:
            return False
        time.sleep(POLL)
    return True


def _is_running() -> bool:
    """Whether SLURM counts this job as running, not as one that it is about to end."""
    from submitit import JobEnvironment

    # Of an array the plain number of the last job means all of them.
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={JobEnvironment().job_id}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() == "RUNNING"
