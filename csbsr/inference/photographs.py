"""Which photographs are meant by files, folders and patterns, and where their results go."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from csbsr.data.photos import SUFFIXES


class Photograph(NamedTuple):
    """A photograph and where its results go: OUTPUT/`place`-mask.png and so on."""

    path: Path
    place: Path


def find_photographs(names: Sequence[str], recursive: bool, output: Path) -> list[Photograph]:
    """Photographs for files, folders and patterns, each once, with places that differ.

    A folder's layout is kept below the output; what lies in `output` itself is passed over. Files
    that share a name keep their suffix in it, and then get numbers. ValueError for a folder
    without photographs and a pattern without matches; a file that is absent is found out later.
    """
    found: dict[Path, Path] = {}  # resolved -> folder below the output
    paths: dict[Path, Path] = {}
    inside = output.resolve()
    for name in names:
        path = Path(name)
        if path.is_dir():
            files = [(f, f.parent.relative_to(path)) for f in _in_folder(path, recursive, inside)]
            if not files:
                deeper = "" if recursive else "; --recursive looks into its folders, too"
                raise ValueError(
                    f"folder {path} holds no photographs ({', '.join(SUFFIXES)}){deeper}"
                )
        elif not os.path.lexists(path) and glob.has_magic(name):
            files = [(Path(f), Path()) for f in sorted(glob.glob(name, recursive=True))]
            files = [(f, below) for f, below in files if not f.is_dir()]
            if not files:
                raise ValueError(f"no file matches {name}")
        else:
            files = [(path, Path())]
        for file, below in files:
            key = Path(os.path.abspath(file))
            found.setdefault(key, below)
            paths.setdefault(key, file)
    stems = Counter(_key(below / path.stem) for path, below in found.items())
    taken: set[str] = set()
    photographs = []
    for path, below in found.items():
        place = below / (path.stem if stems[_key(below / path.stem)] == 1 else path.name)
        free, number = place, 2
        while _key(free) in taken:
            free, number = place.with_name(f"{place.name}-{number}"), number + 1
        taken.add(_key(free))
        photographs.append(Photograph(paths[path], free))
    return photographs


def _in_folder(folder: Path, recursive: bool, output: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and (here / name).resolve() != output
        )
        if here.resolve() == output and here != folder:
            continue
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield here / name


def _key(place: Path) -> str:
    """Places that differ in case only are one file on some systems."""
    return str(place).casefold()
