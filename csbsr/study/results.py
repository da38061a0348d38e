"""Result files: where they lie, and reading them so that what comes back can be relied on."""

import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from csbsr.files import write_json
from csbsr.protocol import REPRODUCTION

__all__ = ["KEYS", "SCHEMA", "ResultFile", "find_results", "read_result", "write_json"]

SCHEMA = 2
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
    def experiment(self) -> str:
        """Id of the experiment."""
        return self.content["experiment"]

    @property
    def without_cracks(self) -> bool:
        """Whether no mask of the test images has any crack: overlap then says little."""
        shares = self.content["images"].get("crack_share") or ()
        return bool(shares) and not any(shares)

    @property
    def card(self) -> dict:
        """What was run, with which code, on what machine."""
        return self.content["run_card"]

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides the numbers; empty when the file has none."""
        return self.card.get("fingerprint", "")


def result_path(
    results: Path, profile: str, data: str, protocol: str, experiment: str, seed: int
) -> Path:
    """`results/<profile>/<data>/<protocol>/<experiment>-seed<n>.json`."""
    return results / profile / data / protocol / f"{experiment}-seed{seed}.json"


def require_writable(folder: Path, option: str = "--results") -> None:
    """Raise ValueError unless files can be made in `folder`; makes nothing that was not there.

    option: how another folder is named.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"folder {folder}: {existing} is a file; give another {option}")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise ValueError(
            f"folder {folder} is not writable ({error.strerror}); give another {option}"
        ) from error


def read_result(path: Path) -> ResultFile:
    """Read one result; ValueError, one line with the file's name, unless all of it makes sense.

    Types, ranges and lengths are checked, and that the file lies where its content belongs.
    """
    content = read_json(path)
    try:
        _check(content)
        _check_place(content, path)
    except ValueError as error:
        raise ValueError(f"result {path} {error}; delete it and run the experiment again") from None
    return ResultFile(path, content)


def read_json(path: Path) -> object:
    """Read strict JSON (no NaN); ValueError naming the file if that cannot be done."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"result {path} cannot be read ({reason}); delete it and run again"
        ) from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def find_results(
    results: Path,
    profile: str,
    data: str | None = None,
    protocol: str | None = None,
    problems: list[str] | None = None,
) -> dict[str, list[ResultFile]]:
    """Readable results of a profile by experiment id, fresh or not, seeds in order.

    All are of one data set and protocol: those given, or else real images before synthetic ones
    and the default protocol before others. One line per file that is refused goes to `problems`:
    a broken file hinders no other. See `csbsr.study.freshness.find_fresh`.
    """
    found: dict[str, list[ResultFile]] = {}
    paths: Iterable[Path] = ()
    for folder in folders(results / profile, data, protocol):
        if paths := sorted(folder.glob("*-seed*.json")):
            break
    for path in paths:
        try:
            result = read_result(path)
        except ValueError as error:
            if problems is not None:
                problems.append(str(error))
            continue
        found.setdefault(result.experiment, []).append(result)
    for seeds in found.values():
        seeds.sort(key=lambda result: result.seed)
    return found


def folders(profile: Path, data: str | None, protocol: str | None) -> Iterator[Path]:
    """The folders of one data set and protocol each, those that are given or preferred first."""
    for place in [profile / data] if data else sorted(_folders(profile), key=_real_first):
        yield from [place / protocol] if protocol else sorted(_folders(place), key=_default)


def _folders(parent: Path) -> Iterator[Path]:
    return (p for p in parent.iterdir() if p.is_dir()) if parent.is_dir() else iter(())


def _real_first(folder: Path) -> tuple[bool, str]:
    return (folder.name == "synthetic", folder.name)


def _default(folder: Path) -> tuple[bool, str]:
    return (folder.name.split("+")[0] != REPRODUCTION.name, folder.name)


# -- what a result file may say ------------------------------------------------------------------

ROWS = ("IoU", "HD95", "HD50")
"""Values per image and threshold."""
COLUMNS = ("crack_share", "PSNR", "SSIM", "kernel_PSNR")
"""Values per image."""
SHARES = (
    "IoU",
    "AIU",
    "clIoU",
    "centreline_",
    "precision",
    "recall",
    "f1",
    "crack_share",
    "false_alarm",
)
CARD: Mapping[str, type | tuple[type, ...]] = {
    "profile": str,
    "profile_settings": dict,
    "protocol": str,
    "seed": int,
    "data": str,
    "data_hash": str,
    "test_hash": str,
    "natural": (str, type(None)),
    "natural_hash": (str, type(None)),
    "fingerprint": str,
    "commit": dict,
    "libraries": dict,
    "hardware": str,
    "device": str,
    "seconds": (int, float),
    "cpu_seconds": (int, float),
    "threads": int,
    "precision": str,
    "compile": bool,
    "start_weights": str,
    "model": dict,
    "overrides": dict,
    "protocol_changes": dict,
    "protocol_options": dict,
    "weights": str,
    "weights_hash": str,
    "note": str,
}
"""Types of what a run card may hold; nothing of it is required, but without fingerprint a result
is stale."""


def _require(good: bool, what: str) -> None:
    if not good:
        raise ValueError(what)


def bounds(name: str) -> tuple[float, float]:
    """The range of a metric, curve or column by its name."""
    name = name.removesuffix("_at_validation_threshold")
    if name.endswith(("threshold", "thresholds")) or name.startswith(SHARES):
        return 0.0, 1.0
    if name == "SSIM":
        return -1.0, 1.0
    if name.startswith(("HD", "AHD", "mean_surface_distance")):
        return 0.0, math.inf
    return -math.inf, math.inf


def _check(content: object) -> None:
    _require(isinstance(content, dict), "is no table of keys and values")
    missing = [key for key in KEYS if key not in content]
    schema = content.get("schema")
    _require(not missing, f"lacks {', '.join(missing)}")
    _require(type(schema) is int and schema == SCHEMA, f"has schema {schema!r:.40}, not {SCHEMA}")
    for key in ("experiment", "profile", "protocol"):
        value = content[key]
        _require(isinstance(value, str) and value != "", f"has no {key} but {value!r:.40}")
    seed = content["seed"]
    _require(type(seed) is int and 0 <= seed < 2**63, f"has the seed {seed!r:.40}")
    for key in ("metrics", "curves", "images", "run_card"):
        _require(isinstance(content[key], dict), f"has a '{key}' that is no table")
    _check_metrics(content["metrics"])
    thresholds = _check_curves(content["curves"])
    _check_images(content["images"], thresholds)
    _check_card(content)


def _check_numbers(values: object, name: str, length: int | None, where: str) -> int:
    """A list of numbers or nulls in the bounds of `name`, of this length; returns its length."""
    _require(isinstance(values, list), f"has {where} that is no list")
    if length is not None:
        _require(len(values) == length, f"has {where} of length {len(values)}, not {length}")
    kinds = set(map(type, values)) - {float, int, type(None)}
    _require(not kinds, f"has {where} with {', '.join(sorted(k.__name__ for k in kinds))} in it")
    _require(all(type(v) is not int or abs(v) < 2**53 for v in values), f"has {where} out of range")
    array = np.array([v for v in values if v is not None], np.float64)
    low, high = bounds(name)
    if array.size:
        wrong = array[(array < low) | (array > high)]
        _require(wrong.size == 0, f"has {where} of {wrong[:1]}, outside [{low:g}, {high:g}]")
    return len(values)


def _check_metrics(metrics: dict) -> None:
    for name, value in metrics.items():
        if name != "intervals":
            _check_numbers([value], name, None, f"a metric {name}")
    intervals = metrics.get("intervals", {})
    _require(isinstance(intervals, dict), "has intervals that are no table")
    for name, pair in intervals.items():
        _check_numbers(pair, name, 2, f"an interval of {name}")
        ordered = None in pair or pair[0] <= pair[1]
        _require(ordered, f"has an interval of {name} whose ends are swapped")


def _check_curves(curves: dict) -> int | None:
    lengths = {
        name: _check_numbers(curves[name], name, None, f"a curve {name}")
        for name in ("thresholds", "centreline_thresholds")
        if name in curves
    }
    for name, values in curves.items():
        axis = "centreline_thresholds" if name.startswith("centreline") else "thresholds"
        _check_numbers(values, name, lengths.get(axis), f"a curve {name}")
    return lengths.get("thresholds")


def _check_images(images: dict, thresholds: int | None) -> None:
    names = images.get("names")
    text = isinstance(names, list) and all(isinstance(name, str) for name in names)
    _require(text and len(names) > 0, "has no list of image names")
    _require(len(set(names)) == len(names), "names an image twice")
    for name, values in images.items():
        if name == "names" or (values is None and name not in ROWS):
            continue
        where = f"'{name}' of the images"
        _require(isinstance(values, list), f"has {where} that is no list")
        if name in ROWS:
            _require(len(values) == len(names), f"has {where} for {len(values)} of {len(names)}")
            for row in values:
                thresholds = _check_numbers(row, name, thresholds, where)
        elif name in COLUMNS:
            _check_numbers(values, name, len(names), where)
        else:
            _require(len(values) == len(names), f"has {where} for {len(values)} of {len(names)}")


def _check_card(content: dict) -> None:
    card = content["run_card"]
    for name, value in card.items():
        kind = CARD.get(name, object)
        good = isinstance(value, kind) and (type(value) is not bool or kind in (bool, object))
        _require(good, f"has a run card whose {name} is {value!r:.40}")
    for name in ("profile", "protocol", "seed"):
        same = name not in card or card[name] == content[name]
        _require(same, f"has another {name} in its run card")


def _check_place(content: dict, path: Path) -> None:
    """A copy under another name, or in another folder, is not believed."""
    name = f"{content['experiment']}-seed{content['seed']}.json"
    _require(path.name == name, f"belongs under the name {name}")
    folders = [content["profile"], content["run_card"].get("data"), content["protocol"]]
    for wanted, folder in zip(reversed(folders), _parents(path)):
        _require(wanted in (None, folder), f"belongs into a folder {wanted}, not {folder}")


def _parents(path: Path) -> Iterable[str]:
    return (parent.name for parent in path.absolute().parents)
