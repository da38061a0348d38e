"""The log of a training step: one JSON line per N iterations beside the checkpoint."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np

LOG_NAME = "log.jsonl"


class TrainingLog:
    """Appends lines to `folder/log.jsonl`; a resumed run first drops the lines it will repeat.

    folder: an existing folder. keep_until: last iteration whose lines stay. tensorboard: also
    write the scalars as TensorBoard events (the optional extra `tensorboard`).
    """

    def __init__(self, folder: Path, keep_until: int = 0, tensorboard: bool = False) -> None:
        self.path = folder / LOG_NAME
        _keep(self.path, keep_until)
        self._events = _event_writer(folder, keep_until) if tensorboard else None

    def write(self, line: dict[str, float | int | None]) -> None:
        """Append one line; on a full disk the file is left as it was (OSError)."""
        data = (json.dumps(line) + "\n").encode()
        with open(self.path, "ab", buffering=0) as file:
            size = file.tell()
            try:
                written = file.write(data)
                cause = "disk full"
            except OSError as error:
                written, cause = -1, str(error)
            if written != len(data):
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fileno(), size)
                raise OSError(
                    f"{self.path}: the log line could not be written ({cause}); free some space "
                    "and run the same command again"
                )
        if self._events is not None:
            for name, value in line.items():
                if name != "iteration" and value is not None:
                    self._events.add_scalar(name, value, line["iteration"])

    def close(self) -> None:
        """Close the TensorBoard file, if there is one."""
        if self._events is not None:
            self._events.close()


def read_log(path: Path | str) -> dict[str, np.ndarray]:
    """Read a log: name of each column -> float64 array, one entry per line, NaN where absent.

    path: the file or the folder that holds it. Raises ValueError if there is none.
    """
    path = Path(path)
    path = path / LOG_NAME if path.is_dir() else path
    if not path.is_file():
        raise ValueError(f"{path}: there is no training log; train this experiment first")
    lines = _lines(path)
    names = list(dict.fromkeys(name for line in lines for name in line))
    return {
        name: np.array([np.nan if line.get(name) is None else line[name] for line in lines], float)
        for name in names
    }


def _lines(path: Path) -> list[dict]:
    """The whole lines of a log; a last line cut short by a kill is left out."""
    lines = []
    for text in path.read_bytes().split(b"\n"):
        with contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError):
            lines.append(json.loads(text))
    return [line for line in lines if isinstance(line, dict) and "iteration" in line]


def _keep(path: Path, until: int) -> None:
    """Rewrite the log without the lines after this iteration, atomically."""
    if not path.exists():
        return
    kept = [line for line in _lines(path) if line["iteration"] <= until]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
    os.replace(temporary, path)


def _event_writer(folder: Path, keep_until: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "TensorBoard is not installed; `pip install csbsr[tensorboard]` or leave it off"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=keep_until + 1)
