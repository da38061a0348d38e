"""Result files on their way between machines: packed into one archive, and merged from it.

An archive comes from somebody else. It is a zip, whose list of contents is read before anything
in it is; nothing is extracted by the names it gives, and nothing is written before all of it was
looked at.
"""

import re
import stat
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from csbsr.files import is_locked, replacing
from csbsr.study.audit import refused, result_files
from csbsr.study.freshness import difference, is_stale
from csbsr.study.results import ResultFile, read_result
from csbsr.study.robustness import is_robustness_stale, read_robustness
from csbsr.study.run import lock_of

PLACE = re.compile(
    r"[\w+-]{1,64}/[\w.+-]{1,128}/[\w.+-]{1,64}/(robustness/seed\d+\.(json|png)"
    r"|[\w.+-]{1,128}-seed\d+\.(json|jpg))"
)
"""`<profile>/<data>/<protocol>/<experiment>-seed<n>`, or a robustness result."""
MOST_FILES, MOST_BYTES = 20_000, 2 * 2**30
"""Of a whole archive."""
LARGEST = {".json": 64 * 2**20, ".jpg": 4 * 2**20, ".png": 4 * 2**20}
"""Bytes of one file, unpacked."""
COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
PICTURES = {".jpg": "JPEG", ".png": "PNG"}


@dataclass
class Merged:
    """What a merge did with every result of an archive, by its place below the results."""

    taken: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    """Results that were not taken because one is here, and how the two compare."""
    left: list[tuple[str, str]] = field(default_factory=list)
    """Results that may not be relied on here, and why."""


# -- packing -------------------------------------------------------------------------------------


def pack(results: Path, archive: Path) -> tuple[list[str], list[str]]:
    """Write every result that may be relied on, and its picture, into a new zip.

    Returns the places of the results that are in it, and a line per result that is left out
    because `csbsr results check` would refuse it. The same files give the same bytes. ValueError
    for an archive that exists, or when there is nothing to pack.
    """
    if archive.exists():
        raise ValueError(f"{archive} is there already; give another name")
    good, lines = [], []
    for path in result_files(results):
        if why := refused([path], results):
            lines += why
        else:
            good.append(path)
    if not good:
        raise ValueError(
            f"{results} holds no result that may be relied on; there is nothing to pack"
        )
    pictures = (path.with_suffix(suffix) for path in good for suffix in PICTURES)
    with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for path in (*good, *(p for p in pictures if p.is_file())):
            entry = zipfile.ZipInfo(path.relative_to(results).as_posix())
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            file.writestr(entry, path.read_bytes())
    return [path.relative_to(results).as_posix() for path in good], lines


# -- merging -------------------------------------------------------------------------------------


def merge(archive: Path, results: Path) -> Merged:
    """Take the results of an archive that are fresh here and that are not here yet.

    A fresh result is never overwritten, a stale one gives way. ValueError, and nothing written,
    for an archive with anything in it that does not belong there (a name that leads elsewhere, a
    link, more than it may unpack to, a damaged file), and for a result made from other images or
    options than those it would lie beside.
    """
    report = Merged()
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        places = list(_unpacked(archive, staged))
        accepted: list[PurePosixPath] = []
        beside: dict[PurePosixPath, list[ResultFile]] = {}
        for place in (p for p in places if p.suffix == ".json"):
            new = _read(staged / place, staged, archive)
            if why := refused([staged / place], staged):
                left = why[0].removeprefix(f"result {staged / place} ").rpartition(";")[0]
                report.left.append((str(place), left))
                continue
            home = place.parent.parent if place.parent.name == "robustness" else place.parent
            others = beside.setdefault(home, _fresh(results / home))
            if found := difference(new.card, others):
                other, what = found
                raise ValueError(
                    f"{archive}: {place} is made from other {what} than {other.path}; results of "
                    "both may not be mixed, give another --results"
                )
            if standing := _here(results / place, new):
                report.kept.append((str(place), standing))
                continue
            others.append(new)
            accepted.append(place)
        for place in accepted:
            for suffix in (*PICTURES, ".json"):  # the result last: with it the rest is there
                part = place.with_suffix(suffix)
                if part in places:
                    with replacing(results / part) as temporary:
                        temporary.write_bytes((staged / part).read_bytes())
            report.taken.append(str(place))
    return report


def _unpacked(archive: Path, folder: Path) -> Iterator[PurePosixPath]:
    """Write the files of an archive below `folder`; ValueError for anything suspicious."""
    try:
        with zipfile.ZipFile(archive) as file:
            for entry in _checked(file.infolist(), archive):
                place = PurePosixPath(entry.filename)
                with file.open(entry) as source:
                    content = source.read(LARGEST[place.suffix] + 1)
                if len(content) != entry.file_size:
                    raise zipfile.BadZipFile(f"{place} is not as long as the archive says")
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                if place.suffix in PICTURES:
                    _check_picture(target, place, archive)
                yield place
    except FileNotFoundError:
        raise ValueError(f"archive {archive} is not there") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise ValueError(f"{archive} is damaged or no zip ({error!s:.80}); pack it again") from None


def _checked(entries: list[zipfile.ZipInfo], archive: Path) -> list[zipfile.ZipInfo]:
    """The files of an archive by its list of contents, before any of it is read."""
    times = Counter(entry.filename for entry in entries)
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_FILES or total > MOST_BYTES:
        raise ValueError(
            f"{archive} would unpack to {len(entries)} files and {total / 2**20:,.0f} MiB, more "
            "than results can be; it is refused"
        )
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        what = ""
        if not PLACE.fullmatch(entry.filename) or ".." in PurePosixPath(entry.filename).parts:
            what = "is no place of a result"
        elif kind not in (0, stat.S_IFREG):
            what = "is a link or no file"
        elif entry.file_size > LARGEST[PurePosixPath(entry.filename).suffix]:
            what = f"has {entry.file_size / 2**20:,.0f} MiB"
        elif times[entry.filename] > 1:
            what = "is in it twice"
        elif entry.flag_bits & 1 or entry.compress_type not in COMPRESSION:
            what = "is encrypted or compressed in another way"
        if what:
            raise ValueError(f"{archive}: '{entry.filename[:80]!s}' {what}; the archive is refused")
    return entries


def _check_picture(path: Path, place: PurePosixPath, archive: Path) -> None:
    """A picture is what its name says; it is looked at no further."""
    try:
        with Image.open(path, formats=[PICTURES[place.suffix]]):
            pass
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        raise ValueError(f"{archive}: {place} is no picture; the archive is refused") from None


def _read(path: Path, folder: Path, archive: Path) -> ResultFile:
    """A result as it lies; ValueError names it as the archive does."""
    try:
        if path.parent.name == "robustness":
            return ResultFile(path, read_robustness(path))
        return read_result(path)
    except ValueError as error:
        line = str(error).replace(f"{folder}/", "").rpartition(";")[0]
        raise ValueError(f"{archive}: {line}; the archive is refused") from None


def _fresh(folder: Path) -> list[ResultFile]:
    """Fresh results that lie in a folder; those that cannot be read are passed over."""
    found = []
    for path in sorted(folder.glob("*seed*.json")):
        if (result := _standing(path)) is not None:
            found.append(result)
    return found


def _standing(path: Path) -> ResultFile | None:
    """A result that is here and fresh, None otherwise."""
    try:
        if path.parent.name == "robustness":
            content = read_robustness(path)
            return None if is_robustness_stale(content) else ResultFile(path, content)
        result = read_result(path)
    except ValueError:
        return None
    return None if is_stale(result) else result


def _here(path: Path, new: ResultFile) -> str:
    """Why a result is not taken; empty where it is."""
    if is_locked(lock_of(path)):
        return "one is being made here at this moment"
    mine = _standing(path)
    if mine is None:
        return ""
    if mine.content == new.content:
        return "the same result is here"
    return f"a fresh one is here, made on {mine.card.get('hardware', 'an unknown machine')}"
