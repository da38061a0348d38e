"""The whole book: experiments first, then chapters, then pages; and one figure on its own."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from csbsr.reproduce.pipeline import BookRequest, build_site, execute, run_notebooks
from csbsr.reproduce.provenance import repository_root
from csbsr.reproduce.results import find_results
from csbsr.reproduce.robustness import is_robustness_stale, read_robustness, run_robustness
from csbsr.reproduce.run import Request, is_stale, run_experiments
from csbsr.reproduce.tables import experiments_of

Say = Callable[[str], None]

TABLES = ("II", "III", "IV", "V", "VI")


def all_experiments() -> list[str]:
    """Every experiment of the book, in the order of the tables, each once."""
    from csbsr.reproduce.experiments import experiments

    rows = [name for number in TABLES for name in experiments_of(number)]
    return list(dict.fromkeys([*rows, *(e.id for e in experiments())]))


def stale_results(results: Path) -> list[str]:
    """Committed results that today's code would not reproduce, by file."""
    found = []
    for profile in ("quick", "paper", "authors"):
        for runs in find_results(results, profile).values():
            found += [str(r.path.relative_to(results)) for r in runs if is_stale(r)]
    for path in sorted(results.glob("*/*/robustness/seed*.json")):
        kept = "smoke" not in path.relative_to(results).parts
        if kept and is_robustness_stale(read_robustness(path)):
            found.append(str(path.relative_to(results)))
    return found


def build_book(request: Request, *, jobs: int = 2, release: bool = False, say: Say = print) -> Path:
    """Run what is missing, execute changed chapters, render changed pages; returns the index.

    ValueError when an experiment, a chapter or the rendering fails, and for a release when a
    shown result is stale.
    """
    root = repository_root()
    started = time.perf_counter()
    if release and (stale := stale_results(request.results)):
        raise ValueError(
            f"{len(stale)} results are stale, first {stale[0]}; run them again before a release"
        )
    run_experiments(all_experiments(), request, say=say, quiet=True)
    run_robustness(request, say)
    results = request.results if request.results != root / "results" else None
    book = BookRequest(
        root, request.profile, request.seed, request.data, results=results, jobs=jobs
    )
    executed = run_notebooks(book, say)
    rendered = build_site(book, say)
    index = book.build / "html" / "index.html"
    if not executed and not rendered:
        say("nothing changed: no experiment, chapter or page was computed again")
    else:
        say(f"{executed} chapters executed, {time.perf_counter() - started:.0f} s in all")
    return index


def notebook_with(label: str, root: Path) -> Path:
    """The notebook that holds a label such as "figure-6"; ValueError if none does."""
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        if any(f"({label})=" in "".join(cell["source"]) for cell in cells):
            return path
    raise ValueError(f"no chapter holds {label}; figures go from 1 to 16")


def figure_file(number: int, request: Request, output: Path, say: Say) -> Path:
    """Run the chapter of a figure and keep the figure as a PNG; returns its path."""
    root = repository_root()
    label = f"figure-{number}"
    source = notebook_with(label, root)
    say(f"running {source.name}")
    folder = root / "_build" / "figures"
    shutil.rmtree(folder, ignore_errors=True)
    book = BookRequest(
        root, request.profile, request.seed, request.data, results=request.results.resolve()
    )
    os.environ["CSBSR_FIGURES"] = str(folder)
    try:
        execute(source, root / "_build" / "figure" / source.name, book)
    finally:
        del os.environ["CSBSR_FIGURES"]
    made = folder / f"{label}.png"
    if not made.exists():
        raise ValueError(f"{source.name} ran but drew no {label}")
    output.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(made, output / made.name))
