"""Photographs into files: what `csbsr segment` does with each, and with all of them.

A photograph that cannot be read or written does not stop the others. Nothing that is there is
overwritten unasked, and every file is whole or absent. What is under way lies in a folder of its
own beside the results, so that a run that was killed can go on.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from csbsr.allocator import is_out_of_memory
from csbsr.data.photos import LARGEST, read_photo
from csbsr.files import replacing
from csbsr.inference.crack_summary import COLUMNS, crack_entries, geojson, table_text
from csbsr.inference.photographs import Photograph
from csbsr.inference.rasters import write_float_tiff, write_png
from csbsr.inference.segmenter import Progress, Segmenter
from csbsr.inference.tiling import Canvas, Canvases
from csbsr.inference.unfinished import Clock, Say, WorkFolder, clock_text
from csbsr.metrics.cracks import crack_list
from csbsr.model_file import LoadedModel

PICTURES = ("mask", "overlay", "sr", "prob", "kernel")
MEASURED_PIXELS = 60_000_000
"""Larger masks are reduced before their cracks are measured, which is then said."""
BAND = 16_000_000
"""Pixels of a picture that are in memory while it is written."""


@dataclass(frozen=True)
class SegmentOptions:
    """How photographs are segmented, and what is written.

    `threshold`: None takes the model's own, or 0.5. `pixel_size`: side of a pixel of the
    photograph in millimetres. `prob`: 8 or 16 bit PNG, or float TIFF. `hr`, `tile`: see
    `csbsr.inference.segmenter.Segmenter`. ValueError for values out of range.
    """

    output: Path
    threshold: float | None = None
    pictures: tuple[str, ...] = PICTURES
    prob: Literal["8", "16", "float"] = "8"
    overwrite: bool = False
    resume: bool = False
    hr: bool = False
    tile: int | None = None
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ValueError(f"threshold {self.threshold} must lie between 0 and 1")
        if self.pixel_size is not None and not 0 < self.pixel_size < 1e6:
            raise ValueError(f"pixel size {self.pixel_size} must be above 0 millimetres")
        unknown = set(self.pictures) - set(PICTURES)
        if unknown:
            raise ValueError(f"unknown output {min(unknown)}; choose from {', '.join(PICTURES)}")
        nearest = next(p for p in (self.output, *self.output.parents) if p.exists())
        if not nearest.is_dir():
            raise ValueError(f"output {self.output}: {nearest} is a file; name a folder")


class Report(NamedTuple):
    """What became of a batch."""

    masks: list[Path]
    """The masks, or where none is written the lists of cracks, of the photographs that are done."""
    failures: list[tuple[Path, str]]
    """Photographs that are not, each with the reason."""


def segment_files(
    photographs: Sequence[Photograph],
    model: LoadedModel,
    options: SegmentOptions,
    device: torch.device | str = "cpu",
    say: Say = lambda line: None,
) -> Report:
    """Segment photographs, write their pictures and lists of cracks; go on after a bad one.

    ValueError before anything is written when the table of cracks is there already, or the model
    does not segment. A single photograph that cannot be read is a ValueError, too.
    """
    with output_lock(options.output):
        return _segment_files(photographs, model, options, device, say)


def _segment_files(
    photographs: Sequence[Photograph],
    model: LoadedModel,
    options: SegmentOptions,
    device: torch.device | str,
    say: Say,
) -> Report:
    table = options.output / "cracks.csv"
    if not (options.resume and _is_table(table)):
        _check_target(table, options.overwrite)
    if model.architecture.segmentation is None:
        raise ValueError("this model super-resolves only; use one that segments")
    segmenter = Segmenter(model.module, device, hr=options.hr, tile=options.tile)
    inputs = {Path(os.path.realpath(p.path)) for p in photographs}
    report, rows = Report([], []), []
    for number, photograph in enumerate(photographs, start=1):
        say(f"{number}/{len(photographs)}  {photograph.path}")
        try:
            job = _Job(photograph, model, options, segmenter, inputs, say)
            cracks = job.run()
        except ValueError as error:
            if len(photographs) == 1:
                raise
            reason = str(error)
        except OSError as error:
            reason = f"{error.filename or photograph.path}: {error.strerror or error}"
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = "out of memory; give a smaller --tile, or cut the photograph"
        else:
            report.masks.append(job.target("mask" if "mask" in options.pictures else "cracks"))
            rows.append(cracks)
            continue
        say(f"  failed: {reason}")
        report.failures.append((photograph.path, reason))
    if rows:
        with replacing(table) as temporary:
            temporary.write_text(table_text(rows), encoding="utf-8", errors="backslashreplace")
    return report


@contextlib.contextmanager
def output_lock(output: Path) -> Iterator[None]:
    """Keep other processes out of a folder of results; ValueError when one is in it.

    A folder that was made for it and stays empty is removed again.
    """
    made = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    path = output / ".csbsr.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"another process writes into {output}; name another --output") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
        if made and not any(output.iterdir()):
            output.rmdir()


class _Job:
    """One photograph on its way into files."""

    def __init__(
        self,
        photograph: Photograph,
        model: LoadedModel,
        options: SegmentOptions,
        segmenter: Segmenter,
        inputs: set[Path],
        say: Say,
    ) -> None:
        self.path, self.place = photograph
        self.model, self.options, self.segmenter, self.say = model, options, segmenter, say
        self.threshold = options.threshold or (model.threshold.value if model.threshold else 0.5)
        self.inputs = inputs

    def target(self, kind: str) -> Path:
        """The file of one kind of result."""
        suffix = {
            "cracks": ".json",
            "centrelines": ".geojson",
            "prob": ".tif" if self.options.prob == "float" else ".png",
        }
        name = f"{self.place.name}-{kind}{suffix.get(kind, '.png')}"
        return self.options.output / self.place.parent / name

    def run(self) -> dict:
        """Do what is left to do; returns the photograph's entry of the list of cracks."""
        key = self._key() if self.path.is_file() else ""
        finished = self._finished(key)
        if finished is not None:
            self.say("  done before")
            return finished
        photo = read_photo(self.path, LARGEST)
        work = WorkFolder(self.options.output, self.place, key, self.options.resume)
        for kind in (*self.options.pictures, "cracks", "centrelines"):
            target = self.target(kind)
            if Path(os.path.realpath(target)) in self.inputs:
                raise ValueError(
                    f"{target} is itself one of the photographs; name another --output"
                )
            _check_target(target, self.options.overwrite or work.known)
        for note in photo.notes:
            self.say(f"  note: {note}")
        with work:
            out, state = self._segment(photo.pixels, work)
            self._write(photo.pixels, out, state)
            content, lines = self._summary(photo.pixels, out.prob, photo.notes)
            content["key"] = key
            for kind, value in (("centrelines", lines), ("cracks", content)):
                with replacing(self.target(kind)) as temporary:
                    text = json.dumps(value, indent=1, allow_nan=False)
                    temporary.write_text(text, encoding="utf-8")
            work.done = True
        return content

    def _key(self) -> str:
        """What decides the results: photograph, model and options."""
        status, options = self.path.stat(), asdict(self.options)
        for name in ("output", "overwrite", "resume"):
            del options[name]
        parts = [
            os.path.abspath(self.path), status.st_size, status.st_mtime_ns, self.model.sha256,
            self.threshold, options,
        ]  # fmt: skip
        return hashlib.sha256(repr(parts).encode(errors="backslashreplace")).hexdigest()

    def _finished(self, key: str) -> dict | None:
        target = self.target("cracks")
        if not self.options.resume or not target.is_file():
            return None
        try:
            content = json.loads(target.read_text(encoding="utf-8"))
        except ValueError:
            return None
        same = isinstance(content, dict) and content.get("key") == key
        kinds = (*(k for k in self.options.pictures if k != "kernel"), "centrelines")
        there = all(self.target(k).is_file() for k in kinds)
        return content if same and there else None

    def _segment(self, pixels: NDArray[np.uint8], work: "WorkFolder") -> tuple[Canvases, Progress]:
        height, width = pixels.shape[:2]
        shapes = self.segmenter.shapes(height, width)
        counts = self.segmenter.tiles(height, width)
        types = {"sr": np.uint16, "prob": np.uint16, "carry": np.float32}
        megabytes = sum(
            np.prod(s, dtype=float) * np.dtype(types[k]).itemsize / 1e6
            for k, s in shapes.items()
            if s
        )
        estimate = self.segmenter.seconds(height, width)
        self.say(
            f"  {width}x{height} pixels, {sum(counts)} tiles, about {clock_text(estimate)}, "
            f"{megabytes:.0f} MB on disk meanwhile"
        )
        out = Canvases(**{k: s and work.array(k, s, types[k]) for k, s in shapes.items()})
        clock = Clock(counts, self.say)
        state = work.state()
        clock.skip(0, state.sr_rows, self.segmenter.sr_tiling, (height, width))
        tiling = self.segmenter.tiling_of(height, width)
        clock.skip(1, state.prob_rows, tiling, out.prob.shape[:2])
        self.segmenter.segment(pixels, out, state, work.save, clock.tick)
        return out, state

    def _write(self, pixels: NDArray[np.uint8], out: Canvases, state: Progress) -> None:
        size, wanted = out.prob.shape[:2], self.options.pictures
        picture: Canvas = pixels if out.sr is None else out.sr

        def eight(rows: slice) -> NDArray[np.uint8]:
            values = picture[rows, slice(None)]
            return (
                values
                if values.dtype == np.uint8
                else ((values + np.uint32(128)) // 257).astype(np.uint8)
            )

        def prob(rows: slice) -> NDArray:
            values = out.prob[rows, slice(None)]
            if self.options.prob == "16":
                return values
            if self.options.prob == "float":
                return values.astype(np.float32) / 65535
            return ((values + np.uint32(128)) // 257).astype(np.uint8)

        makers = {
            "mask": lambda rows: self._mask(out.prob, rows).astype(np.uint8) * np.uint8(255),
            "overlay": lambda rows: overlay(eight(rows), self._mask(out.prob, rows)),
            "sr": eight,
            "prob": prob,
        }
        for kind in wanted:
            if kind == "kernel":
                self._write_kernel(state)
                continue
            bands = (makers[kind](rows) for rows in _bands(*size))
            write = write_float_tiff if self.target(kind).suffix == ".tif" else write_png
            write(self.target(kind), size, bands)

    def _write_kernel(self, state: Progress) -> None:
        if state.kernel is not None:
            kernel = np.array(state.kernel).reshape(21, 21)
            grey = (kernel / kernel.max()).clip(0, 1) * 255
            write_png(self.target("kernel"), (21, 21), [grey.astype(np.uint8)])

    def _mask(self, prob: Canvas, rows: slice) -> NDArray[np.bool_]:
        return prob[rows, slice(None)] > np.float32(self.threshold * 65535)

    def _summary(
        self, pixels: NDArray[np.uint8], prob: Canvas, notes: Sequence[str]
    ) -> tuple[dict, dict]:
        """The list of cracks, in pixels of the photograph and mm where known; and as lines."""
        height, width = prob.shape[:2]
        step = int(np.ceil(np.sqrt(max(height * width / MEASURED_PIXELS, 1))))
        area, parts = 0, []
        for rows in _bands(height, width, multiple=step):
            mask = self._mask(prob, rows)
            area += int(np.count_nonzero(mask))
            parts.append(_reduced(mask, step))
        unit = step / (height / pixels.shape[0])  # photograph's pixels per measured pixel
        mask = np.concatenate(parts)
        cracks = crack_list(mask)
        card = self.model.run_card
        content = {
            "photograph": str(self.path).encode(errors="backslashreplace").decode(),
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "scale": height // pixels.shape[0],
            "threshold": self.threshold,
            "model": card.get("experiment") or card.get("released"),
            "model_sha256": self.model.sha256,
            "run_card": {k: card[k] for k in ("profile", "data", "seed", "commit") if k in card},
            "pixel_size_mm": self.options.pixel_size,
            "measured_at": f"1/{step} of the mask's size" if step > 1 else "the mask's size",
            "notes": list(notes),
            "crack_share": area / (height * width),
            "cracks": crack_entries(cracks, unit, self.options.pixel_size),
        }
        return content, geojson(content, mask, cracks, unit)


def overlay(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """An RGB image (H, W, 3) with the pixels of a mask in red."""
    red = image.copy()
    red[mask] = (0.35 * red[mask] + 0.65 * np.array([220, 20, 40])).astype(np.uint8)
    return red


def _check_target(path: Path, replace: bool) -> None:
    """Raise ValueError unless a file may be written there."""
    if path.is_symlink() or (os.path.lexists(path) and not path.is_file()):
        raise ValueError(f"{path} is a link or no regular file; remove it or name another --output")
    if path.exists() and not replace:
        raise ValueError(f"{path} exists; give --overwrite, or name another --output")


def _is_table(path: Path) -> bool:
    """Whether a file is a table of cracks that an earlier call wrote."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline(1000).decode(errors="replace").rstrip() == ",".join(COLUMNS)


def _bands(height: int, width: int, multiple: int = 1) -> Iterator[slice]:
    rows = max(BAND // width // multiple, 1) * multiple
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def _reduced(mask: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """A pixel of the smaller mask is crack where any of its pixels is."""
    if step == 1:
        return mask
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % step), (0, -width % step)))
    return padded.reshape(padded.shape[0] // step, step, -1, step).any((1, 3))
