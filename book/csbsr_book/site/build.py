"""From notebooks to the rendered book: papermill, a gate, Jupyter Book; unchanged work is kept."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
import papermill

from csbsr.study.audit import refused, result_files
from csbsr.study.provenance import PACKAGE, repository_root
from csbsr.study.results import write_json
from csbsr.study.robustness import run_robustness
from csbsr.study.run import Request, run_experiments
from csbsr_book.paper.printed import experiments_of
from csbsr_book.site.exhibit import FOLDER_VARIABLE

STAGED = ("book", "notebooks")
HIDDEN_TAGS = ("injected-parameters", "parameters")


@dataclass(frozen=True)
class BookRequest:
    """What to build: checkout, profile, seed, data, and where results are."""

    root: Path
    profile: str = "smoke"
    seed: int = 0
    data: str = "synthetic"
    results: Path | None = None
    jobs: int = 2

    @property
    def build(self) -> Path:
        """Folder of everything that is made."""
        return self.root / "_build"

    @property
    def staging(self) -> Path:
        """Copy of the book in which executed notebooks replace their sources."""
        return self.build / "book"

    @property
    def exhibits(self) -> Path:
        """JSON of every table and figure, a folder per chapter."""
        return self.build / "exhibits"


def hash_files(paths: Iterable[Path], root: Path) -> str:
    """One hash over names and contents of files."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(str(path.relative_to(root)).encode())
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def gate(path: Path) -> None:
    """Refuse an executed notebook that failed, shows an error, or has a cell that never ran.

    Jupyter Book renders such notebooks without a word; ValueError names notebook and cell.
    """
    notebook = nbformat.read(path, as_version=4)
    if notebook.metadata.get("papermill", {}).get("exception"):
        raise ValueError(f"{path.name}: papermill recorded an exception; mend the notebook")
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                raise ValueError(f"{path.name}, cell {number}: {output.ename}: {output.evalue}")
        if cell.execution_count is None:
            raise ValueError(f"{path.name}, cell {number} was not executed; run the whole notebook")


def polish(path: Path) -> None:
    """Drop parameter cells (the run card names them) and machine paths from a page."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        tags = cell.metadata.setdefault("tags", [])
        if any(tag in tags for tag in HIDDEN_TAGS) and "remove-input" not in tags:
            tags.append("remove-input")
    record = notebook.metadata.get("papermill", {})
    for key in ("input_path", "output_path", "environment_variables", "parameters"):
        record.pop(key, None)
    nbformat.write(notebook, path)


def execute(source: Path, target: Path, request: BookRequest) -> float:
    """Run one notebook through papermill, gate and polish it; returns seconds.

    ValueError when a cell fails; the failed notebook stays beside the target as `*.failed.ipynb`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".running.ipynb")
    parameters = {"profile": request.profile, "seed": request.seed, "data": request.data}
    if request.results is not None:
        parameters["results"] = str(request.results)
    started = time.perf_counter()
    try:
        papermill.execute_notebook(
            str(source),
            str(unfinished),
            parameters=parameters,
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            cwd=str(source.parent),
        )
    except papermill.PapermillExecutionError as error:
        failed = target.with_suffix(".failed.ipynb")
        unfinished.replace(failed)
        message = f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue}"
        raise ValueError(f"{message} (see {failed.relative_to(request.root)})") from None
    gate(unfinished)
    polish(unfinished)
    unfinished.replace(target)
    return time.perf_counter() - started


def _read_state(request: BookRequest) -> dict:
    path = request.build / "state.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {"notebooks": {}, "site": ""}


def notebook_keys(request: BookRequest) -> dict[str, str]:
    """For each notebook the hash of all that its outputs depend on."""
    package = [p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".toml")]
    shared = hash_files(package, PACKAGE)
    folder = request.results or request.root / "results"
    real = [p for p in folder.rglob("*.json") if "smoke" not in p.relative_to(folder).parts]
    measured = hash_files(real, folder)  # smoke results follow from code, profile and data
    lock = request.root / "requirements.lock"
    pinned = hash_files([lock], request.root) if lock.exists() else ""
    choice = f"{request.profile}|{request.seed}|{request.data}"
    keys = {}
    for path in sorted((request.root / "notebooks").glob("*.ipynb")):
        parts = (path.read_bytes(), shared, measured, pinned, choice)
        text = "|".join(p if isinstance(p, str) else hashlib.sha256(p).hexdigest() for p in parts)
        keys[path.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return keys


def run_notebooks(request: BookRequest, say: Callable[[str], None]) -> int:
    """Execute the notebooks whose inputs changed; returns how many ran.

    Each finished notebook is recorded at once, so an interrupted build goes on where it was.
    """
    state, keys = _read_state(request), notebook_keys(request)
    folder = request.staging / "notebooks"
    for stale in {p.name for p in folder.glob("*.ipynb")} - set(keys):
        (folder / stale).unlink()
        shutil.rmtree(request.exhibits / Path(stale).stem, ignore_errors=True)
    waiting = [
        name
        for name, key in keys.items()
        if state["notebooks"].get(name) != key or not (folder / name).exists()
    ]
    problems: list[str] = []
    started = time.perf_counter()
    os.environ[FOLDER_VARIABLE] = str(request.exhibits)  # read by the kernels that papermill starts

    def one(name: str) -> None:
        shutil.rmtree(request.exhibits / Path(name).stem, ignore_errors=True)
        try:
            seconds = execute(request.root / "notebooks" / name, folder / name, request)
        except ValueError as error:
            problems.append(str(error))
            return
        state["notebooks"][name] = keys[name]
        write_json(request.build / "state.json", state)
        done = sum(state["notebooks"].get(n) == keys[n] for n in waiting)
        left = (time.perf_counter() - started) / done * (len(waiting) - done)
        say(f"chapter {done}/{len(waiting)}  {name}  {seconds:.0f} s, about {left:.0f} s left")

    try:
        with ThreadPoolExecutor(request.jobs) as pool:
            list(pool.map(one, waiting))
    finally:
        del os.environ[FOLDER_VARIABLE]
    if problems:
        raise ValueError("; ".join(problems))
    return len(waiting)


def stage(request: BookRequest) -> str:
    """Bring pages and configuration into the staging copy; returns the hash of the whole copy."""
    staging = request.staging
    staging.mkdir(parents=True, exist_ok=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(request.root / name, staging / name)
    shutil.rmtree(staging / "book", ignore_errors=True)
    shutil.copytree(request.root / "book", staging / "book")
    results = request.results or request.root / "results"
    for name, folder in (("results", results), ("exhibits", request.exhibits)):
        for path in folder.rglob("*.json"):
            target = staging / "book" / "_static" / name / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    files = [p for p in staging.rglob("*") if p.is_file() and ".failed" not in p.name]
    return hash_files(files, staging)


def render(request: BookRequest) -> None:
    """Build the HTML; any warning is an error (ValueError with Jupyter Book's last lines)."""
    run_cli = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", run_cli, "build", str(request.staging)]
    command += ["--path-output", str(request.root), "-W", "-n", "--keep-going", "-q"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode or not (request.build / "html" / "index.html").exists():
        lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        shown = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-15:]
        raise ValueError("jupyter-book refused the book:\n" + "\n".join(shown[:30]))


def build_site(request: BookRequest, say: Callable[[str], None]) -> bool:
    """Render the site if anything in it changed; returns whether it was rendered."""
    site = stage(request)
    state = _read_state(request)
    index = request.build / "html" / "index.html"
    if state["site"] == site and index.exists():
        return False
    say("rendering the pages")
    render(request)
    state["site"] = site
    write_json(request.build / "state.json", state)
    return True


Say = Callable[[str], None]

TABLES = ("II", "III", "IV", "V", "VI")


def all_experiments() -> list[str]:
    """Every experiment of the book, in the order of the tables, each once."""
    from csbsr.study.experiments import experiments

    rows = [name for number in TABLES for name in experiments_of(number)]
    return list(dict.fromkeys([*rows, *(e.id for e in experiments())]))


def refused_results(results: Path) -> list[str]:
    """One line per result, smoke runs apart, that a release may not show."""
    shown = [p for p in result_files(results) if p.relative_to(results).parts[0] != "smoke"]
    return refused(shown, results)


def build_book(request: Request, *, jobs: int = 2, release: bool = False, say: Say = print) -> Path:
    """Run what is missing, execute changed chapters, render changed pages; returns the index.

    ValueError when an experiment, a chapter or the rendering fails, and for a release when a
    shown result is stale.
    """
    root = repository_root()
    started = time.perf_counter()
    if release and (lines := refused_results(request.results)):
        raise ValueError(f"{len(lines)} results are refused for a release, first: {lines[0]}")
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
