"""`csbsr data fetch` against a server that cuts, lies and sends web pages, and hostile archives."""

import hashlib
import io
import os
import stat
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from csbsr.cli import main
from csbsr.data.download import RemoteFile, download
from csbsr.data.fetch import Published, fetch, published
from csbsr.data.natural import KNOWN_LAYOUTS

CONTENT = bytes(range(256)) * 4000  # a megabyte
HASHES = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "md5": hashlib.md5(CONTENT).hexdigest()}


class Site(ThreadingHTTPServer):
    """Serves one file; `behave(handler, start)` may do something else than sending it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.starts, self.cuts = CONTENT, [], 0
        self.kind, self.lies, self.ranges, self.status = "application/zip", 0, True, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.zip"


class Handler(BaseHTTPRequestHandler):
    """Answers GET as its server says."""

    server: Site

    def do_GET(self) -> None:
        site, content = self.server, self.server.content
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        start = int(asked) if site.ranges else 0
        site.starts.append(start)
        if site.status or start >= len(content):
            self.send_error(site.status or 416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", site.kind)
        self.send_header("Content-Length", str(len(content) - start + site.lies))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content)}/{len(content)}")
        self.end_headers()
        if site.cuts:
            site.cuts -= 1
            self.wfile.write(content[start : start + len(content) // 4])
            return
        self.wfile.write(content[start:])

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def serve(server: Site) -> None:
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    serve(server)
    yield server
    server.shutdown()
    server.server_close()


def get(path: Path, *urls: str, **known: object) -> None:
    download(RemoteFile(urls, **known), path, lambda line: None, wait=0)


def test_a_file_comes_whole_and_checked(site: Site, tmp_path: Path) -> None:
    get(tmp_path / "a.zip", site.url, size=len(CONTENT), **HASHES)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["a.zip"]


def test_cut_connections_are_gone_on_with(site: Site, tmp_path: Path) -> None:
    site.cuts = 3
    get(tmp_path / "a.zip", site.url, **HASHES)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    quarter = len(CONTENT) // 4
    assert site.starts == [0, quarter, 2 * quarter, 3 * quarter]


def test_a_part_of_another_call_is_gone_on_with(site: Site, tmp_path: Path) -> None:
    (tmp_path / ".a.zip.part").write_bytes(CONTENT[:1000])
    get(tmp_path / "a.zip", site.url, **HASHES)
    assert site.starts == [1000]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_that_cannot_go_on_starts_anew(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    (tmp_path / ".a.zip.part").write_bytes(b"x" * 1000)
    get(tmp_path / "a.zip", site.url, **HASHES)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 7])
def test_a_part_of_another_file_is_thrown_away(site: Site, tmp_path: Path, length: int) -> None:
    (tmp_path / ".a.zip.part").write_bytes(b"x" * length)
    get(tmp_path / "a.zip", site.url, site.url, **HASHES)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def kind(site: Site) -> None:
    site.kind, site.content = "text/html; charset=utf-8", b"<html>quota</html>"


def page(site: Site) -> None:
    site.content = b"\n<!DOCTYPE html><html>Sign in</html>"


def other_size(site: Site) -> None:
    site.content = CONTENT[:-1]


def other_content(site: Site) -> None:
    site.content = b"y" + CONTENT[1:]


def absent(site: Site) -> None:
    site.status = 404


def always_cut(site: Site) -> None:
    site.status = 503


def lying(site: Site) -> None:
    site.lies = 100


@pytest.mark.parametrize(
    ("spoil", "known", "words"),
    [
        (kind, {}, "sends a web page instead of the file"),
        (page, {}, "sends a web page instead of the file"),
        (other_size, {"size": len(CONTENT)}, f"offers {len(CONTENT) - 1} bytes instead of"),
        (other_content, HASHES, "its sha256 is"),
        (other_content, {"md5": HASHES["md5"]}, "its md5 is"),
        (absent, {}, "answers 404"),
        (always_cut, {}, "answers 503 Service Unavailable, 8 times"),
        (lying, {}, "8 times"),
    ],
)
def test_what_is_not_the_file_is_refused_and_the_next_address_asked(
    site: Site, tmp_path: Path, spoil: Callable, known: dict, words: str
) -> None:
    good = Site()
    serve(good)
    spoil(site)
    with pytest.raises(ValueError, match=words) as error:
        get(tmp_path / "a.zip", site.url, **known)
    assert "\n" not in str(error.value)
    assert site.url in str(error.value)
    assert not (tmp_path / "a.zip").exists()
    get(tmp_path / "a.zip", site.url, good.url, **HASHES)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    good.shutdown()
    good.server_close()


def test_addresses_that_are_none_and_servers_that_are_not_there(tmp_path: Path) -> None:
    for url in ("file:///etc/passwd", "http://127.0.0.1:9/x.zip"):
        with pytest.raises(ValueError, match="could not be had"):
            get(tmp_path / "a.zip", url)
    assert not list(tmp_path.iterdir())


ENTRY = Published(
    name="walls",
    title="walls",
    page="",
    terms="",
    archive="walls.zip",
    urls=(),
    by_hand="ask Ann",
    folders={"train/images": 2, "train/masks": 1},
)
FILES = {"walls/train/images/a.jpg": b"a", "walls/train/images/b.jpg": b"b"}
FILES |= {"walls/train/masks/a.png": b"m", "walls/notes.txt": b"n"}


def zipped(names: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in names.items():
            file.writestr(name, content)
    return stream.getvalue()


def tarred(names: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as file:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize("content", [zipped(FILES), tarred(FILES), tarred(FILES, "w:gz")])
def test_a_given_archive_is_unpacked_into_our_layout(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "given").write_bytes(content)
    fetch(ENTRY, tmp_path / "out", tmp_path / "given")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert found == {"train/images/a.jpg", "train/images/b.jpg", "train/masks/a.png"}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755


def with_link() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        member = tarfile.TarInfo("walls/train/images/a.jpg")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(member)
    return stream.getvalue()


def twice() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("train/images/a.jpg", b"a")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("train/images/a.jpg", b"a")
    return stream.getvalue()


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("train/images/a.jpg", bytes(40_000_000))
    return stream.getvalue()


OUTSIDE = Path(tempfile.gettempdir()) / "csbsr-escaped"
"""An absolute place that no archive may write to."""


BAD_ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "web page": (lambda: b"<html>quota exceeded</html>", "is a web page"),
    "empty": (lambda: b"", "is neither zip nor tar"),
    "something else": (lambda: b"\x7fELF" * 40, "is neither zip nor tar"),
    "half a zip": (lambda: zipped(FILES)[:300], "is neither zip nor tar"),
    "damaged zip": (lambda: zipped(FILES).replace(b"jpga", b"jpgz", 1), "is damaged"),
    "half a tar": (lambda: tarred(FILES)[:1500], "holds"),
    "other folders": (lambda: zipped({"x/images/a.jpg": b"a"}), "holds 0 files in train/images"),
    "too few": (lambda: zipped({"train/images/a.jpg": b"a"}), "holds 1 files in train/images"),
    "above": (lambda: tarred({"../../escaped": b"x"}), "holds 0 files"),
    "in a folder and above": (
        lambda: zipped({"walls/train/images/../../../../escaped": b"x"}),
        "holds 0 files",
    ),
    "absolute": (lambda: tarred({str(OUTSIDE): b"x"}), "holds 0 files"),
    "link": (with_link, "holds 0 files"),
    "one name twice": (twice, "holds 'train/images/a.jpg' twice"),
    "bomb": (bomb, "absurdly much"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_bad_archives_are_one_line_and_leave_nothing(tmp_path: Path, case: str) -> None:
    make, words = BAD_ARCHIVES[case]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "given").write_bytes(make())
    with pytest.raises(ValueError, match=words) as error:
        fetch(ENTRY, tmp_path / "deep" / "out", tmp_path / "deep" / "given")
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.rglob("*")] == ["deep", "given"]
    assert not OUTSIDE.exists()


def test_fetched_unpacked_and_nothing_else_left(site: Site, tmp_path: Path) -> None:
    site.content = zipped(FILES)
    site.cuts = 2
    sha = hashlib.sha256(site.content).hexdigest()
    entry = Published(**vars(ENTRY) | {"urls": (site.url,), "sha256": sha})
    fetch(entry, tmp_path / "out", say=lambda line: None, wait=0)
    visible = [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")]
    assert visible == ["out"]
    with pytest.raises(ValueError, match="is there already"):
        fetch(entry, tmp_path / "out", say=lambda line: None)


def test_a_stopped_fetch_keeps_its_part(site: Site, tmp_path: Path, monkeypatch) -> None:
    site.content = zipped(FILES)
    site.cuts = 1
    entry = Published(**vars(ENTRY) | {"urls": (site.url,)})

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(entry, tmp_path / "out", say=stop)
    assert (tmp_path / ".out-walls.zip.part").stat().st_size == len(site.content) // 4
    fetch(entry, tmp_path / "out", say=stop)
    assert site.starts == [0, len(site.content) // 4]


def test_what_a_program_cannot_fetch_is_said_with_the_way_by_hand(tmp_path, capsys) -> None:
    assert main(["data", "fetch", "khanhha", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "drive.google.com" in error
    assert "--archive" in error
    assert not list(tmp_path.iterdir())
    assert main(["data", "fetch", "imagenet", str(tmp_path / "out")]) == 2
    assert "choose one of div2k, flickr2k, khanhha" in capsys.readouterr().err


def test_what_is_fetched_is_what_we_read() -> None:
    known = published()
    assert set(known) == {"div2k", "flickr2k", "khanhha"}
    for name in ("div2k", "flickr2k"):
        assert set(known[name].folders) <= set(KNOWN_LAYOUTS)
        assert known[name].sha256 or known[name].md5
