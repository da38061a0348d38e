"""What a chapter reads, found without running it: modules, the files they name, and results.

A chapter is computed again only when one of these changed. Modules are followed through every
import, late ones included. A data file is read by the module in which its name stands. What
neither shows, a module declares: `READS`, a tuple of patterns relative to the checkout.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Self

import csbsr
import csbsr_book
from csbsr_book.site.doors import FIRST

READERS = "csbsr.study.results"
"""The door to result files: who reaches this module reads results."""
SUFFIXES = frozenset((".toml", ".html", ".js", ".css", ".json", ".csv", ".txt"))
FILE_NAME = re.compile(r"[\w*.-]*[\w*]\.(toml|html|js|css|json|csv|txt)")


@dataclass(frozen=True)
class Mentions:
    """What stands in one module or notebook: imported names, file names, declared patterns."""

    imports: frozenset[str]
    files: frozenset[str]
    declared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reads:
    """What a chapter reads: files by content, and whether results are among it."""

    files: frozenset[Path]
    results: bool


@dataclass(frozen=True)
class Library:
    """All that chapters can read in both packages: modules by dotted name, and data files."""

    root: Path
    modules: Mapping[str, Path]
    data: tuple[Path, ...]

    @classmethod
    def of(cls, root: Path) -> Self:
        """The packages of a checkout, or where they are installed."""
        modules: dict[str, Path] = {}
        data: list[Path] = []
        for package, place in ((csbsr, "csbsr"), (csbsr_book, "book/csbsr_book")):
            installed = Path(package.__path__[0])
            house = root / place if (root / place).is_dir() else installed
            for path in sorted(house.rglob("*")):
                if path.suffix == ".py":
                    parts = path.relative_to(house).with_suffix("").parts
                    parts = parts[:-1] if parts[-1] == "__init__" else parts
                    modules[".".join((package.__name__, *parts))] = path
                elif path.suffix in SUFFIXES:
                    data.append(path)
        return cls(root, modules, tuple(data))

    def reads_of(self, notebook: Path) -> Reads:
        """What a notebook and all that it imports read; ValueError if a cell is not Python."""
        found = dict(self._closure(mentions(_code(notebook), notebook.name)))
        files = {self.modules[name] for name in found}
        for name, said in found.items():
            files |= self._named(said.files, self.modules[name].parent)
            files |= {p for pattern in said.declared for p in self.root.glob(pattern)}
        return Reads(frozenset(p for p in files if p.is_file()), READERS in found)

    def _closure(self, start: Mentions) -> Iterator[tuple[str, Mentions]]:
        """Each module that is reached by imports, with what it mentions."""
        seen: set[str] = set()
        waiting = list(start.imports)
        while waiting:
            name = waiting.pop()
            waiting += [parent for parent in [name.rpartition(".")[0]] if parent]  # it runs as well
            if name in self.modules and name not in seen:
                seen.add(name)
                said = mentions(self.modules[name].read_text(encoding="utf-8"), name)
                waiting += said.imports
                yield name, said

    def _named(self, names: Iterable[str], folder: Path) -> set[Path]:
        """Data files that a module in `folder` names: those below, or else any of that name.

        A template brings its folder along, because templates include one another.
        """
        found: set[Path] = set()
        for name in names:
            same = {path for path in self.data if fnmatch(path.name, name)}
            near = {path for path in same if path.is_relative_to(folder)} or same
            pages = {path.parent for path in near if path.suffix == ".html"}
            found |= near | {p for p in self.data if p.suffix == ".html" and p.parent in pages}
        return found


def hash_files(paths: Iterable[Path], root: Path) -> str:
    """One hash over names and contents of files; names are relative to `root` where they can be."""
    total = hashlib.sha256()
    for path in sorted(paths):
        name = path.relative_to(root) if path.is_relative_to(root) else path
        for part in (name.as_posix().encode(), path.read_bytes()):
            total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:16]


def listing(folder: Path) -> str:
    """One hash over names, sizes and times of the files in a folder, for folders of images."""
    facts = [
        (p.relative_to(folder).as_posix(), p.stat().st_size, p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@lru_cache(maxsize=1024)
def mentions(source: str, where: str) -> Mentions:
    """What a Python source mentions; imports that only type checkers follow are left out."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{where}: not Python, line {error.lineno}: {error.msg}") from None
    imports, files, declared = set(), set(), ()
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{where}: relative import; write the whole name")
            imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.JoinedStr):
            text = "".join(v.value if isinstance(v, ast.Constant) else "*" for v in node.values)
            files.add(text)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            files.add(node.value)
    for line in tree.body:
        if isinstance(line, ast.Assign) and [ast.unparse(t) for t in line.targets] == ["READS"]:
            declared = ast.literal_eval(line.value)
    return Mentions(
        frozenset(imports), frozenset(f for f in files if FILE_NAME.fullmatch(f)), declared
    )


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk(child)


def _code(notebook: Path) -> str:
    """Code of a notebook without the cell that installs the book, whose commands are no Python."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = (c for c in cells if c["cell_type"] == "code" and c.get("id") != FIRST)
    return "\n".join("".join(c["source"]) for c in code)
