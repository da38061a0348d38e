"""One reader for every picture, in training and for photographs: upright 8-bit RGB, or one line.

Pillow alone would turn 16-bit grey white, float images black and leave a camera's quarter turn
undone, all without a word. Everything that cannot be read is a ValueError that names the file,
what it is, and how to mend it; what is lost in reading (transparency, further frames) is returned.
"""

import contextlib
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".heic", ".heif",
)  # fmt: skip
FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "AVIF", "HEIF")
"""What is decoded; others stay closed (EPS, say, would start Ghostscript)."""
MODES = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV",
)  # fmt: skip
MOST_PIXELS = 200_000_000
"""Largest image of a data set, in pixels; photographs to be segmented may be larger."""
LARGEST = 2_000_000_000
RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf")
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"mif1", b"msf1", b"heif")
DNG_VERSION, PHOTOMETRIC, WIDTH, LENGTH = 50706, 262, 256, 257
_opening = threading.Lock()

if Image.MAX_IMAGE_PIXELS is not None:
    # Pillow's own limit, global and at 179 megapixels, would refuse mosaics; `open_picture` has
    # its own, per call, which is below this one.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, LARGEST)


class Photo(NamedTuple):
    """A picture as it was read."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, upright."""
    notes: tuple[str, ...]
    """What was lost or decided in reading, one line each; empty for ordinary photographs."""


def read_photo(path: Path, most_pixels: int = MOST_PIXELS) -> Photo:
    """Return a picture as upright 8-bit RGB (H, W, 3), with notes on what that cost.

    16-bit values are divided by 257; integers and floats of 32 bits by the scale they fit (1, 255
    or 65535), which is noted. ValueError for anything that is no readable picture, for NaN and
    infinities, for negative values, and above `most_pixels`.
    """
    with open_picture(path, most_pixels) as file:
        notes = _frames(file)
        mode = file.mode
        if mode.startswith("I") or mode == "F":
            grey, found = _eight_bits(path, file)
            return Photo(np.repeat(grey[:, :, None], 3, axis=2), (*notes, *found))
        if mode not in MODES:
            raise ValueError(f"{path} has the colour space {mode}; save it as RGB")
        notes += _transparency(file)
        picture = upright(file)
        if mode in ("RGBa", "La"):  # premultiplied by alpha
            picture = picture.convert("RGBA")
        return Photo(_rgb(picture), notes)


def _rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """Pixels (H, W, 3), converted in bands, since a mosaic should not be in memory four times."""
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    rows = max(1, 4_000_000 // picture.width)
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        pixels[top : top + rows] = np.asarray(band.convert("RGB"))
    return pixels


def picture_size(path: Path) -> tuple[int, int]:
    """Return the upright (height, width) from the header, without decoding; errors as above."""
    with open_picture(path) as file:
        return _upright_size(file)


def upright(file: Image.Image) -> Image.Image:
    """Decode an open picture and turn it as its EXIF orientation says."""
    file.load()
    return file if _orientation(file, decoded=True) == 1 else ImageOps.exif_transpose(file)


def is_turned(path: Path) -> bool:
    """Return whether the file says that its picture must be turned or mirrored to be upright."""
    with open_picture(path) as file:
        return _orientation(file) != 1


@contextlib.contextmanager
def open_picture(path: Path, most_pixels: int = MOST_PIXELS) -> Iterator[Image.Image]:
    """Open a picture; whatever goes wrong, also inside the block, is one ValueError of one line.

    ValueErrors that the block raises itself with the path in them pass unchanged.
    """
    _require_file(path)
    try:
        with _identify(path) as file:
            width, height = file.size
            if width * height > most_pixels:
                raise ValueError(
                    f"{path} is {width}x{height} pixels ({width * height / 1e6:.0f} megapixels, "
                    f"the limit here is {most_pixels / 1e6:.0f}); cut or shrink it"
                )
            if file.format == "TIFF" and DNG_VERSION in file.tag_v2:  # type: ignore[attr-defined]
                raise ValueError(f"{path} is a raw camera file; develop it to TIFF or JPEG first")
            yield file
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} claims to be absurdly large ({error}); replace it") from error
    except MemoryError as error:
        raise ValueError(f"{path} is too large for the memory; cut or shrink it") from error
    except Exception as error:  # a damaged file can raise almost anything
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        if isinstance(error, PermissionError):
            raise ValueError(
                f"{path} cannot be read: permission denied; change its rights"
            ) from None
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"{path} is damaged ({reason}); replace or remove it") from error


def _require_file(path: Path) -> None:
    """Raise ValueError unless a path is a regular file with something in it, readable in time."""
    try:
        mode = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise ValueError(f"{path} is a link to nothing; mend the link") from None
        raise ValueError(f"{path} does not exist; check the name") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{str(path)!r} cannot be opened: {reason}; check the name") from None
    if stat.S_ISDIR(mode.st_mode):
        raise ValueError(f"{path} is a folder; name the images in it")
    if not stat.S_ISREG(mode.st_mode):
        raise ValueError(f"{path} is a pipe or a device, no file; copy the picture into a file")
    if mode.st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes); copy it again")
    if path.suffix.lower() in RAW:
        raise ValueError(f"{path} is a raw camera file; develop it to TIFF or JPEG first")


def _identify(path: Path) -> Image.Image:
    """Open by content; a file of no known kind is named by its first bytes."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
        _need_heif(path)
    try:
        return Image.open(path, formats=_formats())
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} {_kind(head)}") from None


def _formats() -> tuple[str, ...]:
    with _opening:
        Image.init()  # does nothing the second time
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _need_heif(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise ValueError(
            f"{path} is a HEIC photograph; install pillow-heif (pip install pillow-heif) "
            "or save it as JPEG"
        ) from None
    with _opening:
        pillow_heif.register_heif_opener()


def _kind(head: bytes) -> str:
    """What a file that Pillow does not know probably is, and what to do."""
    start = head.lstrip().lower()
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return (
            "is a TIFF of an unusual kind (float colour, say); save it as 8 or 16 bit TIFF or PNG"
        )
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the picture; run `git lfs pull`"
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not a picture; download the picture itself"
    if head[4:8] == b"ftyp":
        return "is a video or an unknown HEIF file; save a frame as PNG or JPEG"
    for magic, name in (
        (b"%PDF", "a PDF"), (b"%!PS", "a PostScript file"), (b"PK", "an archive"),
        (b"8BPS", "a Photoshop file"), (b"<svg", "a drawing"), (b"<?xml", "an XML file"),
        (b"\x93NUMPY", "a NumPy file"), (b"\x1f\x8b", "an archive"),
    ):  # fmt: skip
        if head.startswith(magic):
            return f"is {name}, no picture; save it as PNG or JPEG"
    known = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"RIFF")
    if head.startswith(known):
        return "is damaged: its header cannot be read; replace or remove it"
    return "is no picture (JPEG, PNG, TIFF, WebP, BMP, GIF); replace or remove it"


def _orientation(file: Image.Image, decoded: bool = False) -> int:
    """EXIF orientation 1 to 8; before decoding, a PNG whose EXIF follows its pixels counts as 1."""
    early = file.format == "PNG" and not decoded  # PNG's own `getexif` would decode the picture
    exif = Image.Image.getexif(file) if early else file.getexif()
    value = exif.get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def _upright_size(file: Image.Image) -> tuple[int, int]:
    width, height = file.size
    if file.format == "TIFF":  # newer versions of Pillow have turned this size already
        tags = file.tag_v2  # type: ignore[attr-defined]
        width, height = tags[WIDTH], tags[LENGTH]
    return (width, height) if _orientation(file) >= 5 else (height, width)


def _frames(file: Image.Image) -> tuple[str, ...]:
    """Say that an animation or a multi-page file is read at its first frame only."""
    if file.format in ("JPEG", "MPO"):  # the further pictures of a camera are previews
        return ()
    frames = getattr(file, "n_frames", 1)
    return (f"first of {frames} frames read",) if frames > 1 else ()


def _transparency(file: Image.Image) -> tuple[str, ...]:
    if file.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in file.info:
        return ()
    alpha = file.convert("RGBA").getchannel("A")
    return ("transparency left out",) if alpha.getextrema()[0] < 255 else ()


def _eight_bits(path: Path, file: Image.Image) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Grey (H, W) of 16- or 32-bit integers or floats, upright, and how it was scaled."""
    sixteen = file.mode.startswith("I;16") or (file.mode == "I" and file.format == "PNG")
    white_is_zero = file.format == "TIFF" and file.tag_v2.get(PHOTOMETRIC) == 0  # type: ignore[attr-defined]
    values = np.asarray(upright(file))
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{path} holds NaN or infinite values; replace them before saving")
    notes: tuple[str, ...] = ()
    if sixteen:
        scale = 65535
        if 0 < high < 4096:
            notes = (f"very dark: 16-bit values end at {high} of 65535",)
    else:
        fitting = [s for s in (1, 255, 65535) if high <= s * 1.001]
        if values.dtype.kind != "f":
            fitting = [s for s in fitting if s > 1]
        if not fitting or low < -0.001 * fitting[0]:
            raise ValueError(
                f"{path} has values from {low:g} to {high:g}; save it as 8 or 16 bit, "
                "or as float between 0 and 1"
            )
        scale = fitting[0]
        kind = "float" if values.dtype.kind == "f" else "32-bit"
        notes = (f"{kind} values up to {high:g} read as 0 to {scale}",)
    if scale == 65535 and values.dtype.kind != "f":
        grey = ((values.astype(np.int64) + 128) // 257).astype(np.uint8)
    else:
        grey = np.rint(np.clip(values, 0, scale).astype(np.float32) * (255 / scale)).astype(
            np.uint8
        )
    return (255 - grey if white_is_zero else grey), notes
