"""`csbsr results pack` and `merge`: what is taken, what is kept, and hostile archives."""

import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from result_files import put_result

from csbsr.cli import main
from csbsr.files import locked
from csbsr.study import exchange
from csbsr.study.exchange import merge, pack
from csbsr.study.run import lock_of

PLACE = "quick/walls/reproduction+quick"


def picture(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path.with_suffix(".jpg"))


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Results of another machine: two seeds with a picture each, and a stale one."""
    folder = tmp_path / "theirs"
    for seed in (0, 1):
        picture(put_result(folder, "csbsr-pspnet", seed=seed))
    put_result(folder, "kbpn+pspnet", fingerprint="of yesterday")
    return folder


@pytest.fixture
def archive(theirs: Path, tmp_path: Path) -> Path:
    path = tmp_path / "theirs.zip"
    pack(theirs, path)
    return path


def files(folder: Path) -> list[str]:
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".lock"))
    return sorted(p.relative_to(folder).as_posix() for p in found)


def edit(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text())
    content["run_card"] |= changes
    path.write_text(json.dumps(content))


def test_what_may_be_relied_on_is_packed_with_its_pictures(theirs: Path, tmp_path: Path) -> None:
    packed, lines = pack(theirs, tmp_path / "a.zip")
    assert packed == [f"{PLACE}/csbsr-pspnet-seed{n}.json" for n in (0, 1)]
    assert [("kbpn+pspnet" in line, "is stale" in line) for line in lines] == [(True, True)]
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        assert sorted(file.namelist()) == sorted(
            f"{PLACE}/csbsr-pspnet-seed{n}.{kind}" for n in (0, 1) for kind in ("json", "jpg")
        )
    pack(theirs, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with pytest.raises(ValueError, match="is there already"):
        pack(theirs, tmp_path / "b.zip")
    with pytest.raises(ValueError, match="nothing to pack"):
        pack(tmp_path / "none", tmp_path / "c.zip")


def test_what_is_missing_is_taken_and_merging_again_takes_nothing(
    archive: Path, theirs: Path, tmp_path: Path
) -> None:
    ours = tmp_path / "ours"
    report = merge(archive, ours)
    assert report.taken == [f"{PLACE}/csbsr-pspnet-seed{n}.json" for n in (0, 1)]
    assert len(files(ours)) == 4
    for name in files(ours):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    again = merge(archive, ours)
    assert again.taken == []
    assert [why for _, why in again.kept] == ["the same result is here"] * 2


def test_a_fresh_result_is_never_overwritten_and_a_stale_one_gives_way(
    archive: Path, tmp_path: Path
) -> None:
    ours = tmp_path / "ours"
    fresh = put_result(ours, "csbsr-pspnet", seed=0, iou=0.25)
    stale = put_result(ours, "csbsr-pspnet", seed=1, iou=0.25, fingerprint="of yesterday")
    before = fresh.read_bytes()
    report = merge(archive, ours)
    assert report.taken == [f"{PLACE}/csbsr-pspnet-seed1.json"]
    assert report.kept == [
        (f"{PLACE}/csbsr-pspnet-seed0.json", "a fresh one is here, made on a machine")
    ]
    assert fresh.read_bytes() == before
    assert json.loads(stale.read_text())["metrics"]["IoU_max"] == 0.5
    assert not fresh.with_suffix(".jpg").exists(), "no picture of another run beside a result"


def test_a_result_that_is_being_made_is_left_alone(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "ours" / PLACE / "csbsr-pspnet-seed0.json"
    with locked(lock_of(path), "a run"):
        report = merge(archive, tmp_path / "ours")
    assert [why for _, why in report.kept] == ["one is being made here at this moment"]
    assert not path.exists()


def test_stale_dirty_and_smoke_results_are_left_out_by_name(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirty = theirs / PLACE / "csbsr-pspnet-seed1.json"
    edit(dirty, commit={"id": "0123456789ab", "dirty": True})
    put_result(theirs, "dbpn+pspnet", profile="smoke", protocol="reproduction")
    monkeypatch.setattr(exchange, "refused", lambda paths, results: [])
    pack(theirs, tmp_path / "all.zip")
    monkeypatch.undo()
    report = merge(tmp_path / "all.zip", tmp_path / "ours")
    assert report.taken == [f"{PLACE}/csbsr-pspnet-seed0.json"]
    why = dict(report.left)
    assert "is stale" in why[f"{PLACE}/kbpn+pspnet-seed0.json"]
    assert "uncommitted changes" in why[f"{PLACE}/csbsr-pspnet-seed1.json"]
    assert "is a smoke run" in why["smoke/walls/reproduction/dbpn+pspnet-seed0.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data_hash": "of others"}, "other data images"),
        ({"overrides": {"compile": True}}, "other options"),
    ],
)
def test_conflicting_provenance_is_refused_by_name(
    change: dict, words: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    ours = tmp_path / "ours"
    mine = put_result(ours, "dbpn+pspnet", **change)
    before = files(ours)
    assert main(["results", "merge", str(archive), "--results", str(ours)]) == 2
    said = capsys.readouterr()
    assert f"is made from {words} than {mine}" in said.err
    assert said.err.count("\n") == 1
    assert files(ours) == before


def test_the_commands_say_what_they_did(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path, ours = tmp_path / "x.zip", tmp_path / "ours"
    assert main(["results", "pack", str(path), "--results", str(theirs)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{path}\n"
    assert "2 results packed, 1 left out" in said.err
    assert main(["results", "merge", str(path), "--results", str(ours)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == f"took      {PLACE}/csbsr-pspnet-seed0.json"
    assert "2 taken, 0 kept, 0 left out" in said.err


# -- hostile archives ----------------------------------------------------------------------------


def add(
    name: str, content: bytes = b"{}", mode: int = stat.S_IFREG
) -> Callable[[zipfile.ZipFile], None]:
    def write(file: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (mode | 0o644) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        file.writestr(entry, content)

    return write


def good(**changes: object) -> bytes:
    """A result that lies where it belongs, with another content."""
    return json.dumps({"schema": 2, **changes}).encode()


NEXT = f"{PLACE}/kbpn+pspnet-seed7.json"
HOSTILE: dict[str, tuple[Callable[[zipfile.ZipFile], None], str]] = {
    "traversal": (add("../../evil.json"), "is no place of a result"),
    "traversal inside": (add("quick/../x/evil-seed0.json"), "is no place of a result"),
    "dots": (add("quick/../../evil-seed0.json"), "is no place of a result"),
    "absolute": (add("/evil/x/y-seed0.json"), "is no place of a result"),
    "backslashes": (add("..\\..\\x\\evil-seed0.json"), "is no place of a result"),
    "other file": (add(f"{PLACE}/run.sh"), "is no place of a result"),
    "link": (add(NEXT, b"/etc/passwd", stat.S_IFLNK), "is a link"),
    "bomb": (add(NEXT, bytes(65 * 2**20)), "has 65 MiB"),
    "no JSON": (add(NEXT, b"{"), "cannot be read"),
    "null": (add(NEXT, b"null"), "is no table"),
    "wrong types": (add(NEXT, good()), "lacks experiment"),
    "deep": (add(NEXT, b"[" * 100_000), "cannot be read"),
    "no picture": (add(f"{PLACE}/csbsr-pspnet-seed9.jpg", b"MZ"), "is no picture"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_in_one_line_and_nothing_is_written(
    case: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write, words = HOSTILE[case]
    with zipfile.ZipFile(archive, "a") as file:
        write(file)
    refused_in_one_line(archive, words, tmp_path, capsys)


def refused_in_one_line(
    archive: Path, words: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    before = files(tmp_path)
    assert main(["results", "merge", str(archive), "--results", str(tmp_path / "ours")]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert files(tmp_path) == before
    assert not (tmp_path / "ours").exists()


def lying(data: bytes) -> bytes:
    """The archive with another size in its list of contents: less than what unpacks."""
    where = data.index(b"PK\x01\x02") + 24
    return data[:where] + (10).to_bytes(4, "little") + data[where + 4 :]


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda data: data[: len(data) // 2], "damaged or no zip"),
    "flipped": (lambda data: data[:200] + bytes(64) + data[264:], "damaged or no zip"),
    "empty": (lambda data: b"", "damaged or no zip"),
    "no zip": (lambda data: b"<html>not found</html>", "damaged or no zip"),
    "a wrong size": (lying, "damaged or no zip"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_archives_are_refused_in_one_line(
    case: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    spoil, words = BROKEN[case]
    archive.write_bytes(spoil(archive.read_bytes()))
    refused_in_one_line(archive, words, tmp_path, capsys)


def test_an_archive_of_more_than_results_can_be_is_refused(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MOST_BYTES", 1000)
    refused_in_one_line(archive, "more than results can be", tmp_path, capsys)


def test_the_same_place_twice_is_refused(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = io.BytesIO(archive.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(data, "a") as file:
        file.writestr(file.namelist()[0], b"{}")
    archive.write_bytes(data.getvalue())
    refused_in_one_line(archive, "is in it twice", tmp_path, capsys)


def test_an_archive_that_is_not_there_is_one_line(tmp_path: Path, capsys) -> None:
    assert main(["results", "merge", str(tmp_path / "no.zip"), "--results", str(tmp_path)]) == 2
    assert "is not there" in capsys.readouterr().err


def test_a_full_disk_leaves_no_half_result(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "ours"
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "seed1" in path.name and path.is_relative_to(ours):
            write(path, data[:10])
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        merge(archive, ours)
    assert files(ours) == [f"{PLACE}/csbsr-pspnet-seed0.{kind}" for kind in ("jpg", "json")]
