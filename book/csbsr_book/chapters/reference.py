"""Tables of the cost and environment pages, from profiles, run cards and this machine."""

import html
import json
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from csbsr.study.experiments import experiments
from csbsr.study.freshness import find_fresh
from csbsr.study.profiles import NAMES, Profile, load_profile
from csbsr.study.provenance import hardware
from csbsr_book.site.display import table_html

READS = ("benchmarks/results/*.json",)

LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "numba", "matplotlib", "pillow", "tqdm", "papermill",
    "jupyter-book", "pytest", "ruff",
)  # fmt: skip


# -- cost ------------------------------------------------------------------------------------------


def _count(value: int) -> str:
    return f"{value:,}" if value else "–"


def _width(value: int) -> str:
    return str(value) if value else "full"


def profile_table() -> str:
    """How large each profile is: images, crop, widths, iterations of every step."""
    profiles = [load_profile(name) for name in NAMES]

    def steps(p: Profile) -> list[str]:
        parts = (p.step1, p.step2, p.warm_start, p.step3, p.blur_skip)
        return [_count(step.iterations) for step in parts]

    names = [
        "its numbers",
        "images it trains on, crop",
        "width of KBPN, stages",
        "width of PSPNet",
        "batch",
        "precision",
        "step 1, once per SR network",
        "step 2, once per SR network",
        "warm start, once per segmentation network",
        "step 3, per experiment",
        "blur skip, on a finished experiment",
        "cost",
    ]
    columns = [
        [
            "a result" if p.is_result else "never a result",
            f"{_count(p.images.synthetic_train)} synthetic or all of a folder, "
            + (f"{p.images.crop} px" if p.images.crop else "whole image (paper) or 224 (released)"),
            f"{_width(p.widths.kbpn)}, {_width(p.widths.kbpn_stages)}",
            _width(p.widths.pspnet),
            str(p.step3.batch),
            p.precision,
            *steps(p),
            html.escape(p.cost),
        ]
        for p in profiles
    ]
    rows = [[name, *(column[i] for column in columns)] for i, name in enumerate(names)]
    return table_html(
        ["", *NAMES], rows, caption="What a profile runs. Steps are counted in iterations."
    )


def duration(seconds: float) -> str:
    """A duration in the unit that a reader thinks in."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86400:.3g} days"


def experiment_table(results: Path) -> str:
    """One row per experiment: iterations of its own, and seconds measured where it was run."""
    measured = {name: find_fresh(results, name).fresh for name in NAMES}
    rows: list[list[str]] = []
    machines: dict[str, int] = {}
    for row in experiments():
        cells = [f"<code>{html.escape(row.id)}</code>"]
        for name in NAMES:
            profile = load_profile(name)
            step = profile.blur_skip if row.blur_skip else profile.step3
            runs = measured[name].get(row.id, [])
            text = f"{step.iterations:,}"
            if runs:
                cards = [r.content["run_card"] for r in runs]
                seconds = sum(float(c.get("seconds") or 0) for c in cards) / len(cards)
                text += f'<span class="value ours">{duration(seconds)}</span>'
                for card in cards:
                    where = str(card.get("hardware", "an unknown machine"))
                    machines[where] = machines.get(where, 0) + 1
            cells.append(text)
        rows.append(cells)
    caption = (
        "Iterations of each experiment's own last step and, below, the wall time of its run where "
        "one is in the results: training of that step, shared steps if it came first, evaluation."
    )
    found = "; ".join(f"{html.escape(m)} ({n} runs)" for m, n in machines.items())
    note = f"<p>Measured on: {found or 'nothing was run yet'}.</p>"
    return table_html(["Experiment", *NAMES], rows, caption=caption) + note


def totals() -> str:
    """How much all experiments together are, in words."""
    rows = experiments()
    skips = sum(row.blur_skip is not None for row in rows)
    networks = {row.sr for row in rows if row.sr and row.sr != "dsrl"}
    lines = []
    for name in NAMES:
        p = load_profile(name)
        shared = len(networks) * (p.step1.iterations + p.step2.iterations)
        starts = len({row.segmentation for row in rows if row.sr != "dsrl"})
        shared += starts * p.warm_start.iterations
        own = (len(rows) - skips) * p.step3.iterations + skips * p.blur_skip.iterations
        lines.append(f"<li><code>{name}</code>: {shared + own:,} iterations</li>")
    return f"<p>All {len(rows)} experiments, one seed:</p><ul>{''.join(lines)}</ul>"


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{path}, {key}" if path else str(key))
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return
    else:
        yield path, f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return next((text for _, text in _numbers(value)), html.escape(str(value)))


def _matrix(title: str, records: dict[str, dict]) -> str:
    """Records of the same kind as one table, a row for each."""
    columns = list(dict.fromkeys(key for record in records.values() for key in record))
    rows = [
        [html.escape(name), *(_shown(record.get(key)) for key in columns)]
        for name, record in records.items()
    ]
    header = ["", *(html.escape(key.replace("_", " ")) for key in columns)]
    return table_html(header, rows, caption=title)


def benchmark_tables(folder: Path) -> str:
    """Every number of every benchmark JSON in a folder; says so when there is none."""
    tables = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            continue
        if not isinstance(content, dict):
            continue
        title = f"{path.name}: {content.get('what', path.stem)}"
        alone = {}
        for key, value in content.items():
            inner = list(value.values()) if isinstance(value, dict) else []
            if inner and all(isinstance(record, dict) for record in inner):
                tables.append(_matrix(f"{title}, {key}", value))
            else:
                alone[key] = value
        rows = [[html.escape(name), value] for name, value in _numbers(alone)]
        if rows:
            tables.append(table_html(["measured", "value"], rows, caption=title))
    return "".join(tables) or "<p>No benchmark has been run in this checkout.</p>"


def chapter_table(folder: Path) -> str:
    """Wall time of every executed chapter in a folder, as papermill recorded it."""
    rows = []
    for path in sorted(folder.glob("*.ipynb")):
        if path.stem.endswith((".running", ".failed")):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {})
        except (OSError, json.JSONDecodeError, KeyError):
            continue
        if record.get("duration"):
            rows.append([f"<code>{html.escape(path.stem)}</code>", duration(record["duration"])])
    if not rows:
        return "<p>No chapter was executed by <code>make book</code> in this checkout yet.</p>"
    caption = "Wall time of each chapter in the last builds here; experiments were run before."
    return table_html(["Chapter", "wall time"], rows, caption=caption)


# -- environment -----------------------------------------------------------------------------------


def environment_table() -> str:
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
    cells = [[html.escape(name), html.escape(value)] for name, value in rows]
    return table_html(["", "here"], cells, caption="Where this page was made.")
