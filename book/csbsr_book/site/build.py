"""From notebooks to the rendered book; what nothing changed for is not computed again."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat

from csbsr.study.audit import refused, result_files
from csbsr.study.experiments import experiments
from csbsr.study.provenance import commit, repository_root
from csbsr.study.results import write_json
from csbsr.study.robustness import run_robustness
from csbsr.study.run import Request, run_experiments
from csbsr_book.paper.printed import experiments_of, load_tables
from csbsr_book.site import execute as execution
from csbsr_book.site.counts import counted, counts
from csbsr_book.site.doors import BRANCH, configured, prepare, repository_url
from csbsr_book.site.execute import execute
from csbsr_book.site.exhibit import FOLDER_VARIABLE
from csbsr_book.site.reads import Library, hash_files, listing

Say = Callable[[str], None]


@dataclass(frozen=True)
class BookRequest:
    """What to build: checkout, profile, seed, data, and where results are."""

    root: Path
    profile: str = "smoke"
    seed: int = 0
    data: str = "synthetic"
    results: Path | None = None
    jobs: int = 2
    natural: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"--jobs must be at least 1, not {self.jobs}")

    @property
    def parameters(self) -> dict[str, object]:
        """What the first cell of every notebook is told."""
        told = {"profile": self.profile, "seed": self.seed, "data": self.data}
        return told if self.results is None else told | {"results": str(self.results)}

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


def _read_state(request: BookRequest) -> dict:
    path = request.build / "state.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {"notebooks": {}, "site": ""}


def notebook_keys(request: BookRequest) -> dict[str, str]:
    """For each notebook the hash of all that its outputs depend on.

    That is the notebook, the files it reads (`site.reads`), the way notebooks are executed, the
    parameters with the images they name, the lock file, and for chapters that read results every
    result file and kept log. Smoke results do not count: they follow from code, profile and data.
    """
    root, folder = request.root, request.results or request.root / "results"
    kept = (p for pattern in ("*.json", "*.log.csv") for p in folder.rglob(pattern))
    real = [p for p in kept if "smoke" not in p.relative_to(folder).parts]
    measured = hash_files(real, folder)
    folders = [Path(p) for p in (request.data, request.natural) if p and Path(p).is_dir()]
    lock = [p for p in [root / "requirements.lock"] if p.exists()]
    choice = [request.parameters | {"results": ""}, request.natural, *map(listing, folders)]
    choice.append(repository_url(root))
    library = Library.of(root)
    keys = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        reads = library.reads_of(path)
        files = {path, *lock, Path(execution.__file__), *reads.files}
        parts = [hash_files(files, root), choice, measured if reads.results else ""]
        keys[path.name] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    return keys


def run_notebooks(request: BookRequest, say: Say) -> int:
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
            source = request.root / "notebooks" / name
            seconds = execute(source, folder / name, request.parameters)
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


def gather_pages(request: BookRequest) -> str:
    """Bring pages, results and configuration into the copy that is rendered; returns its hash."""
    staging = request.staging
    staging.mkdir(parents=True, exist_ok=True)
    repository, code = repository_url(request.root), str(commit()["id"])
    config = (request.root / "_config.yml").read_text(encoding="utf-8")
    (staging / "_config.yml").write_text(configured(config, repository), encoding="utf-8")
    shutil.copy2(request.root / "_toc.yml", staging / "_toc.yml")
    for path in (staging / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        if prepare(notebook, repository, BRANCH if code.startswith("version") else code):
            nbformat.write(notebook, path)
    shutil.rmtree(staging / "book", ignore_errors=True)
    left_out = shutil.ignore_patterns("csbsr_book", "__pycache__")
    shutil.copytree(request.root / "book", staging / "book", ignore=left_out)
    results = request.results or request.root / "results"
    found = counts(results)
    for page in sorted((staging / "book").glob("*.md")):
        text = counted(page.read_text(encoding="utf-8"), found, page.name)
        page.write_text(text, encoding="utf-8")
    for name, folder, kind in (
        ("results", results, "*.json"),
        ("exhibits", request.exhibits, "*.*"),
    ):
        for path in folder.rglob(kind):
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


def build_site(request: BookRequest, say: Say) -> bool:
    """Render the site if anything in it changed; returns whether it was rendered."""
    site = gather_pages(request)
    state = _read_state(request)
    index = request.build / "html" / "index.html"
    if state["site"] == site and index.exists():
        return False
    say("rendering the pages")
    render(request)
    state["site"] = site
    write_json(request.build / "state.json", state)
    return True


def all_experiments() -> list[str]:
    """Every experiment of the book, in the order of the tables, each once."""
    rows = [name for number in load_tables() for name in experiments_of(number)]
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
    results = request.results if request.results != root / "results" else None
    book = BookRequest(
        root, request.profile, request.seed, request.data, results, jobs, request.natural
    )
    started = time.perf_counter()
    if release and (lines := refused_results(request.results)):
        raise ValueError(f"{len(lines)} results are refused for a release, first: {lines[0]}")
    run_experiments(all_experiments(), request, say=say, quiet=True)
    run_robustness(request, say)
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
        execute(source, root / "_build" / "figure" / source.name, book.parameters)
    finally:
        del os.environ["CSBSR_FIGURES"]
    made = folder / f"{label}.png"
    if not made.exists():
        raise ValueError(f"{source.name} ran but drew no {label}")
    output.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(made, output / made.name))
