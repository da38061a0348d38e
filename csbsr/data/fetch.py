"""Published data sets: fetched where their hosts allow it, unpacked into the folders we read."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import IO

from csbsr.data.download import RemoteFile, Say, check_file, download
from csbsr.files import locked, new_folder
from csbsr.toml import read


@dataclass(frozen=True)
class Published:
    """A data set of others: where it is, its terms, and what is in it."""

    name: str
    title: str
    page: str
    terms: str
    archive: str
    urls: tuple[str, ...]
    """Empty where the host wants a person at a browser."""
    by_hand: str
    """What that person does."""
    folders: dict[str, int]
    """Folders of the archive that are unpacked, and how many files each holds."""
    size: int = 0
    sha256: str = ""
    md5: str = ""

    @property
    def file(self) -> RemoteFile:
        """The archive as a file to be downloaded."""
        return RemoteFile(self.urls, self.size, self.sha256, self.md5)


@dataclass(frozen=True)
class _Catalogue:
    published: tuple[Published, ...]


def published() -> dict[str, Published]:
    """The data sets that can be fetched, by name."""
    table = read(_Catalogue, files("csbsr.data") / "published.toml")
    return {entry.name: entry for entry in table.published}


def fetch(
    entry: Published, output: Path, archive: Path | None = None, say: Say = print, wait: float = 1
) -> None:
    """Make the folder `output` of a published data set; whole or not at all.

    The archive is downloaded beside it, gone on with after any stop, and removed when it is
    unpacked; one that is given is used as it is, whatever its checksum. ValueError for an output
    that is there, an archive that is damaged, hostile or holds other files, no address that has
    it, and for a data set that must be got by hand, with how.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"output {output} is there already; name another folder")
    if archive is not None:
        if not archive.is_file():
            raise ValueError(f"archive {archive} is no file; {entry.by_hand}")
        _unpack(entry, archive, output)
        return
    if not entry.urls:
        raise ValueError(
            f"{entry.name} cannot be fetched by a program: {entry.by_hand}, and give the file with "
            "--archive"
        )
    path = output.with_name(f"{output.name}-{entry.archive}")
    with locked(path.with_name(f".{path.name}.lock"), path.name):
        if not path.exists():
            need = 2 * entry.size
            free = shutil.disk_usage(path.parent).free
            if need > free:
                raise ValueError(
                    f"{entry.name} takes {need / 1e9:.1f} GB while it is unpacked, and "
                    f"{path.parent} has {free / 1e9:.1f} GB left; name another folder"
                )
            try:
                download(entry.file, path, say, wait)
            except ValueError as error:
                raise ValueError(
                    f"{error}; or {entry.by_hand}, and give it with --archive"
                ) from None
        try:
            check_file(path, entry.file)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; remove it") from error
        _unpack(entry, path, output)
        path.unlink()


def _unpack(entry: Published, archive: Path, output: Path) -> None:
    with new_folder(output) as folder:
        found: Counter[str] = Counter()
        try:
            for name, content in _members(archive):
                place = _place(name, entry.folders)
                if place is None:
                    continue
                target = folder / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    shutil.copyfileobj(content, file)
                found[place.parent.as_posix()] += 1
        except FileExistsError as error:
            raise ValueError(f"archive {archive} holds {name!r:.80} twice; get it again") from error
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, RuntimeError) as error:
            reason = " ".join(str(error).split())[:100]
            raise ValueError(f"archive {archive} is damaged ({reason}); get it again") from error
        for place, count in entry.folders.items():
            if found[place] != count:
                raise ValueError(
                    f"archive {archive} holds {found[place]} files in {place} instead of {count}; "
                    f"{entry.by_hand}"
                )


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Names and contents of the regular files of a zip or tar; ValueError for anything else."""
    most = 10 * archive.stat().st_size + 10_000_000  # pictures hardly get smaller by packing
    for name, size, content in _packed(archive):
        most -= size
        if most < 0:
            raise ValueError(f"archive {archive} unpacks to absurdly much; get it again")
        yield name, content


def _packed(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                    with packed.open(info) as content:
                        yield info.filename, info.file_size, content
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.isreg() and (content := packed.extractfile(member)):
                    yield member.name, member.size, content
    else:
        with archive.open("rb") as file:
            page = file.read(64).lstrip().startswith(b"<")
        what = "a web page" if page else "neither zip nor tar"
        raise ValueError(f"archive {archive} is {what}; get it again")


def _place(name: str, folders: Mapping[str, int]) -> PurePosixPath | None:
    """Where a member goes: FOLDER/FILE, also below one folder more; None for all others.

    So a name that leads elsewhere (`../x`, `/x`) leads nowhere.
    """
    path = PurePosixPath(name)
    for place in (path, PurePosixPath(*path.parts[1:])):
        if place.parent.as_posix() in folders and place.name not in ("", ".", ".."):
            return place
    return None
