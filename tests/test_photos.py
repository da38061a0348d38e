"""Pictures and masks of every kind: the right pixels, or one line that says what to mend."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from csbsr.data.masks import MaskRule, read_mask
from csbsr.data.photos import picture_size, read_photo

RAMP = np.linspace(10, 240, 24 * 32).reshape(24, 32).astype(np.uint8)
RGB = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=2)
LINE = np.zeros((24, 32), np.uint8)
LINE[10:13] = 255


def save(path: Path, picture: Image.Image | np.ndarray, **options: object) -> Path:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "picture", "options", "most"),
    [
        ("a.png", RGB, {}, 0),
        ("a.bmp", RGB, {}, 0),
        ("a.tif", RGB, {"compression": "tiff_lzw"}, 0),
        ("a.webp", RGB, {"lossless": True}, 0),
        ("a.jpg", RGB, {"quality": 95}, 12),
        ("a.gif", Image.fromarray(RAMP), {}, 0),
        ("a.png", Image.fromarray(RAMP), {}, 0),
        ("a.png", Image.fromarray(RGB).quantize(256), {}, 12),
        ("a.jpg", Image.fromarray(RGB).convert("CMYK"), {"quality": 95}, 12),
        ("a.tif", Image.fromarray(RGB).convert("CMYK"), {}, 0),
        ("a.png", RAMP.astype(np.uint16) * 257, {}, 0),
        ("a.tif", RAMP.astype(np.uint16) * 257, {}, 0),
        ("a.tif", RAMP.astype(np.int32), {}, 0),
        ("a.tif", RAMP.astype(np.int32) * 257, {}, 0),
        ("a.tif", RAMP.astype(np.float32) / 255, {}, 0),
        ("a.tif", RAMP.astype(np.float32), {}, 0),
        ("a.png", Image.fromarray(RAMP).convert("LA"), {}, 0),
        ("a.png", Image.fromarray(RGB).convert("RGBA"), {}, 0),
    ],
)
def test_every_kind_of_picture_has_the_right_pixels(tmp_path, name, picture, options, most):
    path = save(tmp_path / name, picture, **options)
    colour = isinstance(picture, np.ndarray) and picture.ndim == 3
    colour = colour or getattr(picture, "mode", "") in ("P", "CMYK", "RGBA")
    expected = RGB if colour else np.repeat(RAMP[:, :, None], 3, axis=2)
    photo = read_photo(path)
    assert photo.pixels.dtype == np.uint8
    assert np.abs(photo.pixels.astype(int) - expected).max() <= most
    assert picture_size(path) == (24, 32)


def test_ordinary_pictures_are_read_as_pillow_reads_them_without_a_word(tmp_path):
    for name in ("a.jpg", "a.png"):
        path = save(tmp_path / name, RGB)
        photo = read_photo(path)
        assert np.array_equal(photo.pixels, np.asarray(Image.open(path).convert("RGB")))
        assert photo.notes == ()


def test_what_is_lost_is_said(tmp_path):
    clear = np.dstack([RGB, RAMP])
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    cases = [
        (save(tmp_path / "clear.png", clear), "transparency left out"),
        (
            save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]),
            "first of 2",
        ),
        (
            save(tmp_path / "a.tif", frames[0], save_all=True, append_images=frames[1:]),
            "first of 2",
        ),
        (save(tmp_path / "float.tif", RAMP / np.float32(255)), "float values up to"),
        (
            save(tmp_path / "dark.png", RAMP.astype(np.uint16)),
            "very dark: 16-bit values end at 240",
        ),
    ]
    for path, words in cases:
        (note,) = read_photo(path).notes
        assert words in note


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "lzw.tif"])
def test_every_orientation_is_made_upright(tmp_path, orientation, name):
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](RGB)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if "tif" not in name else {}
    options |= {"compression": "tiff_lzw"} if name == "lzw.tif" else {}
    path = save(tmp_path / name, np.ascontiguousarray(turned), exif=exif, **options)
    assert picture_size(path) == (24, 32)
    assert np.abs(read_photo(path).pixels.astype(int) - RGB).mean() < 6


def test_exif_behind_the_pixels_of_a_png_is_seen(tmp_path):
    whole = save(tmp_path / "a.png", np.rot90(RGB)).read_bytes()
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    (tmp_path / "a.png").write_bytes(whole[:-12] + chunk + whole[-12:])
    assert np.array_equal(read_photo(tmp_path / "a.png").pixels, RGB)


def test_white_is_zero_is_turned(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    path = save(tmp_path / "a.tif", (RAMP.astype(np.uint16) * 257), tiffinfo=tags)
    assert np.array_equal(read_photo(path).pixels[:, :, 0], 255 - RAMP)


def png_bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")


def encoded(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jpg", b"", r"a.jpg is empty \(0 bytes\); copy it again"),
        ("a.jpg", b"no picture at all", "is no picture .*; replace or remove it"),
        ("a.png", b"\x89PNG", "is damaged: its header cannot be read; replace"),
        ("a.jpg", encoded("JPEG")[:-30], r"is damaged \(image file is truncated"),
        ("a.png", encoded("PNG")[:-100], r"is damaged \(.*\); replace or remove"),
        ("a.png", encoded("PNG")[:20], "is damaged"),
        ("a.tif", encoded("TIFF")[:200], "a.tif "),
        ("a.webp", encoded("WEBP")[:-50], "a.webp is damaged"),
        ("a.png", png_bomb(), r"is 100000x100000 pixels \(10000 megapixels|absurdly large"),
        ("a.jpg", b"<!DOCTYPE html><html>", "is a web page, not a picture; download"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer.*git lfs pull"),
        (
            "a.heic",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "HEIC photograph; install pillow-heif|dam",
        ),
        ("a.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "is a video"),
        ("a.pdf", b"%PDF-1.7\n", "is a PDF, no picture; save it as PNG or JPEG"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is a PostScript file"),
        ("a.dng", encoded("TIFF"), "raw camera file; develop it"),
        ("a.npy", b"\x93NUMPY\x01\0", "is a NumPy file"),
    ],
)
def test_what_is_no_picture_is_one_line_with_what_and_how(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        read_photo(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((8, 8), np.nan, np.float32), "NaN or infinite"),
        (np.full((8, 8), np.inf, np.float32), "NaN or infinite"),
        (np.full((8, 8), -1, np.float32), "values from -1 to -1; save it as 8 or 16 bit"),
        (np.full((8, 8), -1, np.int32), "values from -1 to -1"),
        (np.full((8, 8), 10**6, np.int32), "values from 1e.06 to 1e.06"),
    ],
)
def test_values_without_a_meaning_are_refused(tmp_path, values, words):
    with pytest.raises(ValueError, match=words):
        read_photo(save(tmp_path / "a.tif", values))


def test_places_that_are_no_files_are_named(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, words in (
        ("folder.jpg", "is a folder; name the images in it"),
        ("link.jpg", "is a link to nothing"),
        ("pipe.jpg", "is a pipe or a device"),
        ("nothing.jpg", "does not exist; check the name"),
        ("x" * 300, "cannot be opened"),
        ("null\0.jpg", "cannot be opened"),
    ):
        with pytest.raises(ValueError, match=words):
            read_photo(tmp_path / name)
    with pytest.raises(ValueError, match="is a pipe or a device"):
        read_photo(Path(os.devnull))


def test_more_pixels_than_wanted_are_refused_before_decoding(tmp_path):
    path = save(tmp_path / "a.png", RGB)
    with pytest.raises(ValueError, match=r"32x24 pixels \(0 megapixels.*; cut or shrink it"):
        read_photo(path, most_pixels=700)


@pytest.mark.parametrize(
    ("name", "picture", "options"),
    [
        ("m.png", LINE, {}),
        ("m.png", LINE > 0, {}),
        ("m.gif", Image.fromarray(LINE), {}),
        ("m.tif", Image.fromarray(LINE > 0), {"compression": "group4"}),
        ("m.bmp", LINE, {}),
        ("m.png", np.dstack([LINE] * 3), {}),
        ("m.png", np.dstack([LINE, LINE, LINE, LINE * 0 + 255]), {}),
        ("m.png", LINE.astype(np.uint16) * 257, {}),
        ("m.jpg", LINE, {"quality": 95}),
        ("m.jpg", LINE, {"quality": 30}),
        ("m.jpg", np.dstack([LINE] * 3), {"quality": 30}),
        ("m.jpg", LINE * 0, {}),
    ],
)
def test_white_on_black_masks_need_no_rule(tmp_path, name, picture, options):
    path = save(tmp_path / name, picture, **options)
    expected = LINE > 0 if np.asarray(picture).any() else LINE > 255
    assert np.array_equal(read_mask(path), expected)


def palette(colours: list[int]) -> Image.Image:
    picture = Image.fromarray(LINE // 255, mode="P")
    picture.putpalette(colours)
    return picture


def test_palettes_are_read_by_their_colours(tmp_path):
    white = save(tmp_path / "white.png", palette([0, 0, 0, 255, 255, 255]))
    assert np.array_equal(read_mask(white), LINE > 0)
    voc = save(tmp_path / "voc.png", palette([0, 0, 0, 128, 0, 0]))
    with pytest.raises(ValueError, match=r"palette indices 0: 87.50%, 1: 12.50%.*crack=1"):
        read_mask(voc)
    for rule in ("crack=1", "crack=#800000", "any>0", "crack=0,inverted"):
        assert np.array_equal(read_mask(voc, MaskRule.parse(rule)), LINE > 0), rule


RED = np.dstack([LINE, LINE * 0, LINE * 0])


@pytest.mark.parametrize(
    ("name", "picture", "options", "words", "rule"),
    [
        ("m.png", LINE // 255, {}, "values 0: 87.50%, 1: 12.50%.*crack=1", "crack=1"),
        ("m.png", LINE // 255 * 2, {}, "crack=2, or save it", "crack=2"),
        ("m.png", RED, {}, "colours #000000: 87.50%, #ff0000: 12.50%.*=#ff0000", "crack=red"),
        ("m.png", np.dstack([RED, LINE * 0 + 255]), {}, "#ff0000", "crack=#ff0000"),
        ("m.png", RAMP, {}, "and [0-9]+ more.*crack=VALUE or .any>0", None),
        ("m.png", np.dstack([LINE * 0 + 255] * 3 + [LINE]), {}, "in the alpha channel", None),
        ("m.jpg", LINE // 255 * 20, {}, "not black and white", "any>10"),
        ("m.jpg", RED, {"quality": 95}, "not black and white .colours", "any>127"),
        ("m.jpg", RAMP, {}, "not black and white", None),
        ("m.tif", (LINE / 510).astype(np.float32), {}, "holds fractions", None),
        ("m.png", LINE.astype(np.uint16), {}, "crack=255", "crack=255"),
    ],
)
def test_other_masks_are_refused_with_what_would_map_them(
    tmp_path, name, picture, options, words, rule
):
    path = save(tmp_path / name, picture, **options)
    with pytest.raises(ValueError, match=words):
        read_mask(path)
    if rule:
        assert np.array_equal(read_mask(path, MaskRule.parse(rule)), LINE > 0)


def test_a_rule_about_exact_values_needs_exact_values(tmp_path):
    path = save(tmp_path / "m.jpg", LINE, quality=30)
    assert np.array_equal(read_mask(path, MaskRule.parse("crack=255")), LINE > 0)
    assert np.array_equal(read_mask(path, MaskRule.parse("inverted")), LINE == 0)
    with pytest.raises(ValueError, match=r"compressed with losses.*any>127"):
        read_mask(path, MaskRule.parse("crack=1"))


def test_rules_say_themselves_again():
    for text in ("crack=1,2", "crack=#ff0000", "any>0", "any>127,inverted", "inverted"):
        assert str(MaskRule.parse(text)) == text
    assert MaskRule.parse(" crack = 255 ") == MaskRule(values=(255,))
    for wrong in ("", "255", "crack", "crack=", "crack=nocolour", "any<3", "crack=1,red", "any>-1"):
        with pytest.raises(ValueError, match="not understood; write crack=255"):
            MaskRule.parse(wrong)
    with pytest.raises(ValueError, match="one of them"):
        MaskRule(values=(1,), above=0)
