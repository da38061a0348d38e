"""Pictures written row by row, so that their size does not matter: PNG of 8 and 16 bit, float TIFF.

Pillow wants a whole picture in memory; a mosaic of 182 megapixels, four times enlarged, has 2.9
billion pixels.
"""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from csbsr.files import replacing

Rows = Iterable[NDArray]
"""Blocks (rows, W) or (rows, W, 3) from the top down, uint8, uint16 or float32."""
MOST_IN_TIFF = 2**32 - 1024
"""Bytes of pixels that a TIFF's 32-bit offsets can reach."""


def write_png(path: Path, size: tuple[int, int], rows: Rows) -> None:
    """Write grey or RGB rows of uint8 or uint16 as PNG of `size` = (H, W); whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        packer, first = zlib.compressobj(3), True
        for block in rows:
            if first:
                bits, kind = 8 * block.dtype.itemsize, 2 if block.ndim == 3 else 0
                head = struct.pack(">IIBBBBB", size[1], size[0], bits, kind, 0, 0, 0)
                _chunk(file, b"IHDR", head)
                first = False
            packed = packer.compress(_filtered(block))
            if packed:
                _chunk(file, b"IDAT", packed)
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")


def write_float_tiff(path: Path, size: tuple[int, int], rows: Rows) -> None:
    """Write rows (rows, W) of float32 as an uncompressed TIFF; ValueError above 4 GB."""
    height, width = size
    count = 4 * height * width
    if count > MOST_IN_TIFF:
        raise ValueError(f"{path} would be larger than a TIFF can be; write 16-bit PNG instead")
    entries = [
        (256, 4, width), (257, 4, height), (258, 3, 32), (259, 3, 1), (262, 3, 1),
        (273, 4, 8 + 2 + 12 * 10 + 4), (277, 3, 1), (278, 4, height), (279, 4, count),
        (339, 3, 3),
    ]  # fmt: skip
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries)))
        for tag, kind, value in entries:
            file.write(struct.pack("<HHII", tag, kind, 1, value))
        file.write(struct.pack("<I", 0))
        for block in rows:
            file.write(block.astype("<f4").tobytes())


def _filtered(block: NDArray) -> bytes:
    """Rows as PNG compresses them well: each byte minus that of the pixel to the left."""
    height, width = block.shape[:2]
    raw = np.ascontiguousarray(block.astype(block.dtype.newbyteorder(">")))
    flat = raw.view(np.uint8).reshape(height, -1)
    step = flat.shape[1] // width
    out = np.empty((height, flat.shape[1] + 1), np.uint8)
    out[:, 0] = 1  # filter "Sub"
    out[:, 1 : step + 1] = flat[:, :step]
    out[:, step + 1 :] = flat[:, step:] - flat[:, :-step]
    return out.tobytes()


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    check = zlib.crc32(kind + data)
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check))
