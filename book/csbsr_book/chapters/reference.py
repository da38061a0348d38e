"""Tables of the cost and environment pages, from profiles, run cards and this machine."""

import json
import os
import platform
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from csbsr.study.experiments import experiments
from csbsr.study.freshness import find_fresh
from csbsr.study.profiles import NAMES, Profile, load_profile
from csbsr.study.provenance import hardware
from csbsr_book.chapters.opening import duration
from csbsr_book.site.table import Content, Number, Table, TableCell, Words

READS = ("benchmarks/results/*.json",)

LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "numba", "matplotlib", "pillow", "tqdm", "papermill",
    "jupyter-book", "pytest", "ruff",
)  # fmt: skip


# -- cost ------------------------------------------------------------------------------------------


def _width(value: int) -> str:
    return str(value) if value else "full"


def profile_table() -> Table:
    """How large each profile is: images, crop, widths, iterations of every step."""
    profiles = [load_profile(name) for name in NAMES]
    steps = {
        "step 1, once per SR network": "step1",
        "step 2, once per SR network": "step2",
        "warm start, once per segmentation network": "warm_start",
        "step 3, per experiment": "step3",
        "blur skip, on a finished experiment": "blur_skip",
    }

    def images(p: Profile) -> str:
        crop = f"{p.images.crop} px" if p.images.crop else "whole image (paper) or 224 (released)"
        return f"{p.images.synthetic_train:,} synthetic or all of a folder, {crop}"

    rows: list[list[Content]] = [
        ["its numbers", *("a result" if p.is_result else "never a result" for p in profiles)],
        ["images it trains on, crop", *map(images, profiles)],
        [
            "width of KBPN, stages",
            *(f"{_width(p.widths.kbpn)}, {_width(p.widths.kbpn_stages)}" for p in profiles),
        ],
        ["width of PSPNet", *(_width(p.widths.pspnet) for p in profiles)],
        ["batch", *(p.step3.batch for p in profiles)],
        ["precision", *(p.precision for p in profiles)],
        *(
            [name, *(getattr(p, step).iterations or None for p in profiles)]
            for name, step in steps.items()
        ),
        ["cost", *(p.cost for p in profiles)],
    ]
    return Table("What a profile runs. Steps are counted in iterations.", ["", *NAMES], rows)


def experiment_table(results: Path) -> Table:
    """One row per experiment: iterations of its own, and seconds measured where it was run."""
    measured = {name: find_fresh(results, name).fresh for name in NAMES}
    rows = []
    machines: Counter[str] = Counter()
    for row in experiments():
        cells: list[Content] = [Words(row.id, "code")]
        for name in NAMES:
            profile = load_profile(name)
            step = profile.blur_skip if row.blur_skip else profile.step3
            cards = [r.content["run_card"] for r in measured[name].get(row.id, [])]
            lines = [Number(step.iterations)]
            if cards:
                seconds = sum(float(c.get("seconds") or 0) for c in cards) / len(cards)
                lines.append(Number(seconds, "ours", shown=duration(seconds)))
            machines.update(str(card.get("hardware", "an unknown machine")) for card in cards)
            cells.append(TableCell(tuple(lines)))
        rows.append(cells)
    found = "; ".join(f"{machine} ({n} runs)" for machine, n in machines.items())
    return Table(
        "Iterations of each experiment's own last step and, below, the wall time of its run where "
        "one is in the results: training of that step, shared steps if it came first, evaluation.",
        ["Experiment", *NAMES],
        rows,
        notes=[f"Measured on: {found or 'nothing was run yet'}."],
    )


def totals() -> Table:
    """How many iterations all experiments together are."""
    rows = [row for row in experiments() if row.learns]
    skips = sum(row.blur_skip is not None for row in rows)
    networks = {(r.sr, r.kernel) for r in rows if r.sr not in (None, "bicubic", "dsrl")}
    starts = len({row.segmentation for row in rows if row.sr != "dsrl"})
    lines = []
    for name in NAMES:
        p = load_profile(name)
        shared = len(networks) * (p.step1.iterations + p.step2.iterations)
        shared += starts * p.warm_start.iterations
        own = (len(rows) - skips) * p.step3.iterations + skips * p.blur_skip.iterations
        lines.append([Words(name, "code"), shared + own])
    return Table(
        f"All {len(rows)} experiments that train, one seed", ["Profile", "Iterations"], lines
    )


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{path}, {key}" if path else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def _shown(value: object) -> Content:
    if value is None:
        return None
    return next((number for _, number in _numbers(value)), str(value))


def benchmark_tables(folder: Path) -> list[Table]:
    """Every number of every benchmark JSON in a folder; says so when there is none."""
    tables = []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("check_"):  # `csbsr_book.chapters.gpu` shows them
            continue
        content = _json(path)
        title = f"{path.name}: {content.get('what', path.stem)}"
        alone = {}
        for key, value in content.items():
            inner = list(value.values()) if isinstance(value, dict) else []
            if inner and all(isinstance(record, dict) for record in inner):
                names = list(dict.fromkeys(name for record in inner for name in record))
                rows = [[row, *(_shown(r.get(n)) for n in names)] for row, r in value.items()]
                columns = ["", *(name.replace("_", " ") for name in names)]
                tables.append(Table(f"{title}, {key}", columns, rows))
            else:
                alone[key] = value
        if numbers := list(_numbers(alone)):
            tables.append(Table(title, ["measured", "value"], numbers))
    nothing = Table("", [], [], empty="No benchmark has been run in this checkout.")
    return tables or [nothing]


def _json(path: Path) -> dict:
    """A JSON mapping, empty where the file holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def chapter_table(folder: Path) -> Table:
    """Wall time of every executed chapter in a folder, as papermill recorded it."""
    rows = []
    for path in sorted(folder.glob("*.ipynb")):
        seconds = _json(path).get("metadata", {}).get("papermill", {}).get("duration")
        if seconds and not path.stem.endswith((".running", ".failed")):
            rows.append([Words(path.stem, "code"), Number(seconds, shown=duration(seconds))])
    return Table(
        "Wall time of each chapter in the last builds here; experiments were run before.",
        ["Chapter", "wall time"],
        rows,
        empty="No chapter was executed by `make book` in this checkout yet.",
    )


# -- environment -----------------------------------------------------------------------------------


def environment_table() -> Table:
    """The machine and the versions on which this page was made."""
    rows = [
        ("operating system", f"{platform.system()} {platform.release()}"),
        ("processor", hardware()),
        ("threads used by torch", str(torch.get_num_threads())),
        ("GPU", hardware("cuda") if torch.cuda.is_available() else "none seen"),
        ("CUDA of the torch build", str(torch.version.cuda or "none: CPU build")),
        ("python", platform.python_version()),
    ]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        rows.insert(2, ("memory", f"{memory:.0f} GiB"))
    for name in LIBRARIES:
        try:
            rows.append((name, version(name)))
        except PackageNotFoundError:
            rows.append((name, "not installed"))
    return Table("Where this page was made.", ["", "here"], rows)
