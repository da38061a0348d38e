"""Large files from the net: gone on with after any cut, from several addresses, and checked."""

import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

Say = Callable[[str], None]
CHUNK = 1 << 20
SECONDS = 30.0
"""Without any byte for so long a connection counts as cut."""
ATTEMPTS = 8
"""Connections to one address that bring nothing new before the next address is tried."""
WAIT = 1.0
"""Seconds before the second connection, twice as long before each further one."""
EVERY = 10.0
"""Seconds between two lines on how far it is."""


@dataclass(frozen=True)
class RemoteFile:
    """What is known of a file before it is there; 0 and "" stand for unknown."""

    urls: tuple[str, ...]
    size: int = 0
    """In bytes."""
    sha256: str = ""
    md5: str = ""


class _WrongFile(Exception):
    """An address gives something else than the file; another one may have it."""


class _NothingNew(Exception):
    """A connection failed or was cut; what came is kept."""


def download(remote: RemoteFile, path: Path, say: Say = print, wait: float = WAIT) -> None:
    """Get a file; what another call left in `.NAME.part` is gone on with.

    The file appears under its name when it is whole and its size and checksum are right.
    ValueError, one line with the reason of each address, when none has it; OSError when it cannot
    be written. After Ctrl-C the part is kept.
    """
    part = path.with_name(f".{path.name}.part")
    reasons = []
    for url in remote.urls:
        try:
            _from_one(url, remote, part, say, wait)
            check_file(part, remote)
        except _WrongFile as error:
            reasons.append(f"{url}: {error}")
        except ValueError as error:  # whole, and wrong
            part.unlink()
            reasons.append(f"{url}: {error}")
        else:
            part.replace(path)
            return
    raise ValueError(f"{path.name} could not be had ({'; '.join(reasons)}); try again later")


def check_file(path: Path, remote: RemoteFile) -> None:
    """Raise ValueError, without the file's name, unless its size and checksum are right."""
    size = path.stat().st_size
    if remote.size and size != remote.size:
        raise ValueError(f"it has {size} bytes instead of {remote.size}")
    for kind in ("sha256", "md5"):
        expected = getattr(remote, kind)
        if expected:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, kind).hexdigest()
            if found != expected:
                raise ValueError(f"its {kind} is {found[:12]}... instead of {expected[:12]}...")


def _from_one(url: str, remote: RemoteFile, part: Path, say: Say, wait: float) -> None:
    """All of a file into `part` from one address, however often the connection is cut."""
    idle, furthest = 0, _size(part)
    while idle < ATTEMPTS:
        try:
            _one_connection(url, remote, part, say)
            return
        except _NothingNew as error:
            reason = error
        idle = 0 if _size(part) > furthest else idle + 1
        furthest = max(furthest, _size(part))
        if idle < ATTEMPTS:
            say(f"{url}: {reason}; {_size(part) / 1e6:.0f} MB are here, going on")
            time.sleep(min(wait * 2**idle, 60))
    raise _WrongFile(f"{reason}, {ATTEMPTS} times")


def _one_connection(url: str, remote: RemoteFile, part: Path, say: Say) -> None:
    start = _size(part)
    if remote.size and start == remote.size:
        return
    if remote.size and start > remote.size:
        part.unlink()
        start = 0
    headers = {"User-Agent": "csbsr", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if urlsplit(url).scheme not in ("http", "https"):
        raise _WrongFile("is no address of the web")
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            whole = _whole(answer, start)
            if answer.status != 206:
                start = 0  # this server does not go on
            _refuse(answer, whole, remote)
            _write(answer, part, start, whole, say)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # there is nothing beyond what is here: a longer file of another time
            part.unlink(missing_ok=True)
        elif error.code < 500 and error.code != 429:
            raise _WrongFile(f"answers {error.code} {error.reason}") from error
        raise _NothingNew(f"answers {error.code} {error.reason}") from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _NothingNew(str(getattr(error, "reason", "") or error or "cut")) from error
    if whole is not None and _size(part) < whole:
        raise _NothingNew("the connection was cut")


def _whole(answer: "urllib.request._UrlopenRet", start: int) -> int | None:
    """Size of the whole file as the server says; None where it does not say."""
    if answer.status == 206:
        begin, _, total = (
            answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        )
        if begin.split("-")[0] != str(start):
            raise _WrongFile("sends another part than was asked for")
        return int(total) if total.isdigit() else None
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _refuse(answer: "urllib.request._UrlopenRet", whole: int | None, remote: RemoteFile) -> None:
    """Raise `_WrongFile` for what can be told from the answer's head."""
    if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise _WrongFile("sends a web page instead of the file")
    if remote.size and whole is not None and whole != remote.size:
        raise _WrongFile(f"offers {whole} bytes instead of {remote.size}")


def _write(
    answer: "urllib.request._UrlopenRet", part: Path, start: int, whole: int | None, say: Say
) -> None:
    said = time.monotonic()
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        try:
            while block := answer.read(CHUNK):
                if file.tell() == 0 and block.lstrip()[:1] == b"<":
                    raise _WrongFile("sends a web page instead of the file")
                file.write(block)
                if time.monotonic() - said > EVERY:
                    said = time.monotonic()
                    of = f" of {whole / 1e6:.0f}" if whole else ""
                    say(f"  {file.tell() / 1e6:.0f}{of} MB")
        except OSError as error:
            if error.filename is None and error.errno is not None and not _of_net(error):
                raise OSError(error.errno, error.strerror, str(part)) from error
            raise


def _of_net(error: OSError) -> bool:
    return isinstance(error, (TimeoutError, ConnectionError))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
