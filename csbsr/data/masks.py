"""Crack masks: black and white, or mapped by a rule; a label is never guessed.

A red hairline, the class numbers 0, 1, 2 or an inverted drawing all look like masks, and read at
one half they would be "no crack" or "all crack" without a word. So a mask is read only when it is
black and white, or when a `MaskRule` says which of its values are crack.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from csbsr.data.photos import open_picture, upright

Colour = tuple[int, int, int]
HOW = "crack=255 (values or palette indices), crack=#ff0000 (colours), any>0 or inverted"
LOSSY = ("JPEG", "MPO", "WEBP")


@dataclass(frozen=True)
class MaskRule:
    """Which values of a mask are crack; without any, white on black.

    At most one of `values` (grey values, or indices of a palette), `colours` (RGB) and `above`
    (crack where any channel exceeds it). `inverted` exchanges crack and background at the end.
    """

    values: tuple[int, ...] = ()
    colours: tuple[Colour, ...] = ()
    above: int | None = None
    inverted: bool = False

    def __post_init__(self) -> None:
        given = bool(self.values) + bool(self.colours) + (self.above is not None)
        if given > 1:
            raise ValueError(f"a mask rule takes values, colours or a limit, one of them: {HOW}")

    @classmethod
    def parse(cls, text: str) -> "MaskRule":
        """Read the text of `--mask-values`; ValueError for one that is none.

        `crack=255`, `crack=1,2`, `crack=#ff0000`, `crack=red`, `any>0`, and `inverted`, alone or
        after a comma: `crack=0,inverted`.
        """
        words = [word.strip() for word in text.strip().split(",")]
        inverted = words[-1] == "inverted"
        words = words[:-1] if inverted else words
        if not words:
            return cls(inverted=inverted)
        wrong = ValueError(f"mask values '{text}' are not understood; write {HOW}")
        above = re.fullmatch(r"any\s*>\s*(\d{1,5})", ",".join(words))
        if above:
            return cls(above=int(above[1]), inverted=inverted)
        first = words[0].replace(" ", "")
        if not first.startswith("crack="):
            raise wrong
        names = [first.removeprefix("crack="), *words[1:]]
        if all(re.fullmatch(r"\d{1,5}", name) for name in names):
            return cls(values=tuple(int(name) for name in names), inverted=inverted)
        try:
            colours = tuple(ImageColor.getrgb(name)[:3] for name in names)
        except ValueError:
            raise wrong from None
        return cls(colours=colours, inverted=inverted)  # type: ignore[arg-type]

    def __str__(self) -> str:
        parts = [str(v) for v in self.values] + [_hex(c) for c in self.colours]
        words = ["crack=" + ",".join(parts)] if parts else []
        words += [f"any>{self.above}"] if self.above is not None else []
        return ",".join(words + ["inverted"] * self.inverted) or "white on black"


WHITE_ON_BLACK = MaskRule()


class _Labels(NamedTuple):
    """A mask as it is stored: one integer per pixel, or a colour."""

    values: NDArray
    """(H, W) grey values or palette indices, or (H, W, 3) colours."""
    palette: NDArray[np.uint8] | None
    """(N, 3) colours of a palette's indices."""
    white: int
    """The largest grey value of the kind of file: 255 or 65535."""
    lossy: bool


def read_mask(path: Path, rule: MaskRule = WHITE_ON_BLACK) -> NDArray[np.bool_]:
    """Return a mask (H, W), True where it is crack, upright.

    White on black may have been compressed as JPEG: two clusters of values are cut at one half.
    ValueError for anything else that no rule maps, with the values seen and the option that would
    map them; for a mask in an alpha channel; and for all that `csbsr.data.photos` refuses.
    """
    labels = _read_labels(path)
    crack = _apply(path, labels, rule)
    return ~crack if rule.inverted else crack


def _read_labels(path: Path) -> _Labels:
    with open_picture(path) as file:
        lossy = file.format in LOSSY
        _refuse_alpha(path, file)
        picture = upright(file)
        if picture.mode == "P":
            flat = np.array(picture.getpalette("RGB") or [], np.uint8)
            return _Labels(np.asarray(picture), flat.reshape(-1, 3), 255, lossy)
        if picture.mode in ("1", "L", "LA"):
            return _Labels(np.asarray(picture.convert("L")), None, 255, lossy)
        if picture.mode.startswith("I"):
            white = 65535 if picture.mode.startswith("I;16") or file.format == "PNG" else 255
            return _Labels(np.asarray(picture), None, white, lossy)
        if picture.mode == "F":
            values = np.asarray(picture)
            if not np.array_equal(values, np.rint(values)):
                raise ValueError(f"mask {path} holds fractions; save it as 8 bit, with 0 and 255")
            return _Labels(values.astype(np.int64), None, 255, lossy)
        colours = np.asarray(picture.convert("RGB"))
    spread = colours.max(2).astype(np.int16) - colours.min(2)
    if spread.max() <= (8 if lossy else 0):
        return _Labels(colours[:, :, 0], None, 255, lossy)
    return _Labels(colours, None, 255, lossy)


def _refuse_alpha(path: Path, file: Image.Image) -> None:
    if file.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in file.info:
        return
    if file.mode == "P":  # a transparent index says nothing about the labels
        return
    if file.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        raise ValueError(
            f"mask {path} is partly transparent: its labels may be in the alpha channel; "
            "save it without transparency, crack white (255) on black (0)"
        )


def _apply(path: Path, labels: _Labels, rule: MaskRule) -> NDArray[np.bool_]:
    values, palette = labels.values, labels.palette
    if rule.above is not None:
        colours = palette[values] if palette is not None else values
        above = colours > rule.above
        return above.any(2) if above.ndim == 3 else above
    white_only = not rule.values and not rule.colours
    if labels.lossy and not (white_only or (rule.values == (255,) and palette is None)):
        raise ValueError(
            f"mask {path} is compressed with losses, so its values are not exact; save it as PNG, "
            'or give --mask-values "any>127"'
        )
    if rule.colours:
        colours = _colours(labels)
        return np.logical_or.reduce([(colours == c).all(2) for c in np.array(rule.colours)])
    if rule.values and not labels.lossy:
        if values.ndim == 3:
            raise ValueError(
                f"mask {path} is in colour ({_seen(labels)}); map a colour: {_option(labels)}"
            )
        return np.isin(values, rule.values)
    return _white_on_black(path, labels)


def _white_on_black(path: Path, labels: _Labels) -> NDArray[np.bool_]:
    values, white = labels.values, labels.white
    if labels.palette is not None and len(labels.palette):
        colours = _colours(labels)  # (H, W, 3)
        values = colours[:, :, 0] if (colours == colours[:, :, :1]).all() else colours
    if values.ndim == 2:
        light = values == white
        if (light | (values == 0)).all():
            return light
        if labels.lossy and _two_clusters(values):
            return values > 127
    raise ValueError(
        f"mask {path} is not black and white ({_seen(labels)}); say which is crack: "
        f"{_option(labels)}, or save it with 0 and 255"
    )


def _two_clusters(values: NDArray[np.uint8]) -> bool:
    """Whether grey values are black and white after JPEG: two clusters, greys only beside white.

    Measured on 118 real masks at quality 30: at most 0.12 grey pixels per white one (0.23 on lines
    of one pixel), none of them more than a block of 8 pixels away from white.
    """
    light, middle = values > 191, (values >= 64) & (values <= 191)
    if not light.any():
        return bool(values.min() == values.max() <= 7)
    dark = values[values < 64]
    if np.median(values[light]) < 240 or (dark.size and np.median(dark) > 15):
        return False
    if np.count_nonzero(middle) > 0.5 * np.count_nonzero(light):
        return False
    height, width = values.shape
    blocks = np.pad(light, ((8, 8 + -height % 8), (8, 8 + -width % 8)))
    blocks = blocks.reshape(blocks.shape[0] // 8, 8, -1, 8).any((1, 3))
    rows = blocks[:-2] | blocks[1:-1] | blocks[2:]
    near = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    near = near.repeat(8, 0).repeat(8, 1)[:height, :width]
    return np.count_nonzero(middle & ~near) <= 0.0005 * values.size


def _colours(labels: _Labels) -> NDArray:
    if labels.palette is not None and len(labels.palette):
        return labels.palette[np.minimum(labels.values, len(labels.palette) - 1)]
    if labels.values.ndim == 3:
        return labels.values
    return np.repeat(labels.values[:, :, None], 3, axis=2)


def _counted(labels: _Labels) -> Sequence[tuple[str, float]]:
    """Values seen, as they are written in a rule, with their shares; the most frequent first."""
    step = 1 + labels.values.size // 20_000_000  # a message need not sort a mosaic
    values = labels.values[::step, ::step]
    if values.ndim == 3:
        values = values.astype(np.int64) @ np.array([65536, 256, 1])
    found, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts)
    names = [f"#{found[i]:06x}" if labels.values.ndim == 3 else str(found[i]) for i in order]
    return list(zip(names, counts[order] / values.size))


def _seen(labels: _Labels) -> str:
    """For example `values 0: 98.2 %, 76: 1.8 %`."""
    counted = _counted(labels)
    kind = "palette indices" if labels.palette is not None else "values"
    kind = "colours" if labels.values.ndim == 3 else kind
    shown = ", ".join(f"{name}: {share:.2%}" for name, share in counted[:5])
    return f"{kind} {shown}" + (f" and {len(counted) - 5} more" if len(counted) > 5 else "")


def _option(labels: _Labels) -> str:
    """The option that would map a mask: its rarer value if there are two, else the general form."""
    counted = _counted(labels)
    second = counted[1][0] if len(counted) == 2 else counted[0][0] if len(counted) == 1 else None
    return "--mask-values " + (f"crack={second}" if second else 'crack=VALUE or "any>0"')


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
