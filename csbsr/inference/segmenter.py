"""Segmentation of photographs of any size, such that tiles give what the whole image would give.

What differs between a tile and the whole image is taken care of: the blur kernel is estimated once
for the photograph; the image is normalised by the mean and standard deviation of the *whole*
super-resolved photograph, collected while it is made; every window carries a halo of the network's
receptive radius, which is cut off again, and the frame is reflected. Networks with global context
(pyramid pooling) get windows of the size they were trained on, whose results are blended.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from csbsr.data.photos import LARGEST, read_photo
from csbsr.degradation import delta_kernels
from csbsr.inference.tiling import (
    Blender,
    Canvas,
    Canvases,
    Cell,
    Tiling,
    channel_sums,
    channel_sums_of,
    inside,
    read_window,
    receptive_radius,
    slices,
    store,
)
from csbsr.model_file import load_model as load_model  # where readers look for it
from csbsr.networks.joint import Joint
from csbsr.networks.kbpn import KBPN

TRAINED_SIZE = 448
"""Side of the HR images that the networks are trained and evaluated on (Sec. IV-A)."""
STRIDE = 32
"""The coarsest features of the networks are 1/32 of the image: windows begin at multiples of it."""
LEAST_CONTRAST = 0.02
"""Lower bound of the standard deviation by which a photograph is divided: about 5 of 255 grey
levels. A plain wall has less, and its noise is not to be amplified into cracks."""
KERNEL_TILES = 8
"""Windows, spread over the photograph, from which its blur kernel is estimated."""


class Segmented(NamedTuple):
    """A segmented photograph (Sec. IV-C); H = 4 h, W = 4 w, or h and w without an SR network."""

    prob: Tensor  # (1, H, W) crack probability
    sr: Tensor  # (3, H, W) super-resolved image in [0, 1], or the photograph itself
    kernel: Tensor | None  # (1, 21, 21) estimated blur kernel of the photograph


@dataclass
class Progress:
    """How far a photograph is; enough to go on after a kill."""

    kernel: list[float] | None = None
    """The photograph's kernel, 441 values, or None while (or where) there is none."""
    kernel_known: bool = False
    sums: list[float] = field(default_factory=lambda: [0.0] * 7)
    """Of the SR image: sums of the three channels, of their squares, and the number of pixels."""
    sr_rows: int = 0
    prob_rows: int = 0


class Segmenter:
    """A model with the tiles that suit it; `hr` segments photographs without super-resolution.

    `tile` sets the side of a window in pixels of the segmented image (default: by the model).
    ValueError for a tile below the halo, and for a model that needs the true kernel.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device | str = "cpu",
        *,
        hr: bool = False,
        tile: int | None = None,
    ) -> None:
        self.model, self.device = model.to(device).eval(), torch.device(device)
        self.joint = isinstance(model, Joint)
        if self.joint and getattr(model, "kernel_source", "estimate") == "true":
            raise ValueError("this model needs the true blur kernel; choose one that estimates it")
        if hr and not self.joint:
            raise ValueError("this model cannot segment without super-resolution; leave out --hr")
        self.resolves = self.joint and model.sr is not None and not hr
        self.scale = self._scale()
        self.enlarged = self.scale if self.resolves else 1  # what is cut for C, per photograph's
        with torch.inference_mode(False):  # a caller's inference mode would forbid the gradients
            self.sr_tiling = self._sr_tiling() if self.resolves else None
            self.tiling = self._tiling(tile)

    def tiling_of(self, height: int, width: int) -> Tiling:
        """How the segmented image of a photograph is cut.

        One that a network with global context can be given whole is given as in evaluation.
        """
        window = self.tiling.core + 2 * self.tiling.halo
        small = self.enlarged * max(height, width) <= window
        return Tiling(window, 0) if small and self.joint and self.tiling.blend else self.tiling

    def shapes(self, height: int, width: int) -> dict[str, tuple[int, ...] | None]:
        """Shapes of the canvases of a photograph of h x w pixels."""
        s = self.scale
        strip = 2 * self.tiling_of(height, width).blend * (1 if self.joint else s)
        return {
            "sr": (s * height, s * width, 3) if self.resolves or not self.joint else None,
            "prob": (s * height, s * width),
            "carry": (strip, s * width) if strip else None,
        }

    def tiles(self, height: int, width: int) -> tuple[int, int]:
        """How many windows a photograph takes: of super-resolution, of segmentation."""
        first = 0
        if self.sr_tiling is not None:
            count = self.sr_tiling.count(height, width)
            first = count + (min(KERNEL_TILES, count) if self._one_kernel() else 0)
        size = (self.enlarged * height, self.enlarged * width)
        return first, self.tiling_of(height, width).count(*size)

    @torch.inference_mode()
    def seconds(self, height: int, width: int) -> float:
        """Estimate of the time for a photograph, from one window of each kind."""
        counts, times = self.tiles(height, width), [0.0, 0.0]
        grey = np.full((height, width, 3), 128, np.uint8)[:TRAINED_SIZE, :TRAINED_SIZE]
        if self.sr_tiling is not None:
            cell = next(self.sr_tiling.cells(*grey.shape[:2]))[0]
            times[0] = _timed(lambda: self._super_resolve(grey, cell, None))
        tiling = self.tiling_of(height, width)
        cell = next(tiling.cells(*grey.shape[:2]))[0]
        times[1] = _timed(lambda: self._probability(grey, cell, tiling, None, self._no_kernel()))
        return counts[0] * times[0] + counts[1] * times[1]

    @torch.inference_mode()
    def segment(
        self,
        photo: Canvas,
        out: Canvases,
        state: Progress | None = None,
        after_row: Callable[[Progress], None] = lambda state: None,
        after_tile: Callable[[int], None] = lambda stage: None,
    ) -> Progress:
        """Fill the canvases of a photograph (h, w, 3), from where `state` says it was left.

        `after_row` is called when a row of tiles is in the canvases and may be counted as done,
        `after_tile` after each window with 0 (super-resolution) or 1 (segmentation).
        """
        state = state or Progress()
        if not self.joint:
            self._direct(photo, out, state, after_row, after_tile)
            return state
        if self.sr_tiling is not None:
            self._first_pass(photo, out, state, after_row, after_tile)
        elif state.prob_rows == 0:
            state.sums = channel_sums_of(photo).tolist()
        source = photo if out.sr is None else out.sr
        kernel = self._no_kernel() if state.kernel is None else _square(state.kernel)
        statistics = self._statistics(state.sums)
        tiling = self.tiling_of(*photo.shape[:2])
        blender = Blender(out.prob, out.carry, tiling, 1)
        for row in tiling.cells(*out.prob.shape[:2], state.prob_rows):
            for cell in row:
                prob = self._probability(source, cell, tiling, statistics, kernel)
                blender.add(cell, inside(prob, cell, tiling, 1, blender.span(cell)))
                after_tile(1)
            blender.finish(row)
            state.prob_rows = row[0].row + 1
            after_row(state)
        return state

    def _first_pass(
        self,
        photo: Canvas,
        out: Canvases,
        state: Progress,
        after_row: Callable[[Progress], None],
        after_tile: Callable[[int], None],
    ) -> None:
        """Super-resolve all tiles; collect the statistics of the result, and the kernel."""
        tiling, height, width = self.sr_tiling, *photo.shape[:2]
        if not state.kernel_known and self._one_kernel():
            self._estimate_kernel(photo, state, after_tile)
        state.kernel_known = True
        given = None if state.kernel is None or not self._one_kernel() else state.kernel
        for row in tiling.cells(height, width, state.sr_rows):
            sums, estimates = np.array(state.sums), []
            for cell in row:
                sr, kernel = self._super_resolve(photo, cell, given)
                span = tuple(self.scale * v for v in (cell.top, cell.bottom, cell.left, cell.right))
                block = inside(sr, cell, tiling, self.scale, span)  # (3, rows, columns)
                sums += channel_sums(block)
                store(out.sr, slices(span), block.transpose(1, 2, 0))
                if kernel is not None:
                    estimates.append(kernel)
                after_tile(0)
            if estimates and given is None:
                state.kernel = _running_mean(state.kernel, estimates, row[0].row * len(row))
            state.sums, state.sr_rows = sums.tolist(), row[0].row + 1
            after_row(state)

    def _direct(
        self,
        photo: Canvas,
        out: Canvases,
        state: Progress,
        after_row: Callable[[Progress], None],
        after_tile: Callable[[int], None],
    ) -> None:
        """A model that gives both at once from the photograph (DSRL): one pass."""
        blender, scale = Blender(out.prob, out.carry, self.tiling, self.scale), self.scale
        for row in self.tiling.cells(*photo.shape[:2], state.prob_rows):
            estimates = []
            for cell in row:
                seen = self.model(read_window(photo, cell, self.tiling).to(self.device))
                span = blender.span(cell)
                prob = seen.prob[0].float().cpu().numpy()
                blender.add(cell, inside(prob, cell, self.tiling, scale, span)[0])
                own = tuple(scale * v for v in (cell.top, cell.bottom, cell.left, cell.right))
                sr = seen.sr[0].float().clamp(0, 1).cpu().numpy()
                block = inside(sr, cell, self.tiling, scale, own)
                store(out.sr, slices(own), block.transpose(1, 2, 0))
                if seen.kernel is not None:
                    estimates.append(seen.kernel.flatten().float().cpu().numpy())
                after_tile(1)
            if estimates:
                state.kernel = _running_mean(state.kernel, estimates, row[0].row * len(row))
            blender.finish(row)
            state.prob_rows = row[0].row + 1
            after_row(state)

    def _estimate_kernel(
        self, photo: Canvas, state: Progress, after_tile: Callable[[int], None]
    ) -> None:
        cells = [c for row in self.sr_tiling.cells(*photo.shape[:2]) for c in row]
        chosen = np.unique(np.linspace(0, len(cells) - 1, KERNEL_TILES).round().astype(int))
        found = []
        for i in chosen:
            _, kernel = self._super_resolve(photo, cells[i], None)
            found.append(kernel)
            after_tile(0)
        state.kernel = np.mean(found, axis=0).tolist()

    def _super_resolve(
        self, photo: Canvas, cell: Cell, kernel: list[float] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """SR image (3, H, W) of a window, in [0, 1], and the kernel (441,) if one is estimated."""
        window = read_window(photo, cell, self.sr_tiling).to(self.device)
        given = None if kernel is None else _square(kernel).to(self.device)
        sr, square, _ = self.model.super_resolve(window, given)
        estimate = None if square is None else square.flatten().float().cpu().numpy()
        return sr[0].float().clamp(0, 1).cpu().numpy(), estimate

    def _probability(
        self,
        source: Canvas,
        cell: Cell,
        tiling: Tiling,
        statistics: tuple[Tensor, Tensor] | None,
        kernel: Tensor | None,
    ) -> NDArray[np.float32]:
        """Crack probability (H, W) of a window."""
        window = read_window(source, cell, tiling).to(self.device)
        if not self.joint:
            return self.model(window).prob[0, 0].float().cpu().numpy()
        image = self.model.normalise(window, statistics)
        condition = None if kernel is None else kernel.flatten(1).to(self.device)
        prob, _ = self.model.segmentation(image, condition)
        return prob[0, 0].float().cpu().numpy()

    def _statistics(self, sums: list[float]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (3, 1, 1) of a whole image, as instance norm takes them."""
        first, second, count = np.array(sums[:3]), np.array(sums[3:6]), sums[6]
        mean = first / count
        variance = np.maximum(second / count - mean**2, 0) + 1e-5
        std = np.maximum(np.sqrt(variance), LEAST_CONTRAST)
        return tuple(
            torch.from_numpy(v.astype(np.float32))[:, None, None].to(self.device)
            for v in (mean, std)
        )

    def _one_kernel(self) -> bool:
        """Whether the photograph's kernel can be given to all tiles.

        A KBPN that refines its estimate from stage to stage was trained on that sequence and goes
        on estimating tile by tile; its kernel is then the mean over tiles.
        """
        sr = getattr(self.model, "sr", None)
        return (
            isinstance(sr, KBPN)
            and getattr(self.model, "kernel_source", "estimate") == "estimate"
            and all(stage.updater is None for stage in sr.stages)
        )

    def _no_kernel(self) -> Tensor | None:
        """What a blur skip is told where nothing is known about the blur: none."""
        skip = getattr(getattr(self.model, "segmentation", None), "blur_skip", None)
        return delta_kernels(1) if skip is not None else None

    @torch.inference_mode()
    def _scale(self) -> int:
        if self.joint and not self.resolves:
            return 1
        side = 16
        window = torch.full((1, 3, side, side), 0.5, device=self.device)
        out = self.model.super_resolve(window)[0] if self.resolves else self.model(window).prob
        return out.shape[-1] // side

    def _sr_tiling(self) -> Tiling:
        known = delta_kernels(1).to(self.device) if isinstance(self.model.sr, KBPN) else None
        radius = receptive_radius(
            lambda x: self.model.super_resolve(x, known)[0], (16, 80), self.device
        )
        return Tiling(core=TRAINED_SIZE // 4, halo=min(radius or 24, 32))

    def _tiling(self, tile: int | None) -> Tiling:
        if not self.joint:  # both at once, from the photograph
            window = (tile or TRAINED_SIZE // 4) // 16 * 16
            return Tiling.of_window(window, halo=16, blend=16, multiple=16)
        kernel = self._no_kernel()
        condition = None if kernel is None else kernel.flatten(1).to(self.device)

        def segment(x: Tensor) -> Tensor:
            return self.model.segmentation(x, condition)[0]

        radius = receptive_radius(segment, (64, 512), self.device)
        if radius is None:
            window = (tile or TRAINED_SIZE) // STRIDE * STRIDE
            return Tiling.of_window(window, halo=3 * STRIDE, blend=STRIDE, multiple=STRIDE)
        halo = math.ceil(radius / STRIDE) * STRIDE
        window = (tile or TRAINED_SIZE + 2 * halo) // STRIDE * STRIDE
        return Tiling.of_window(window, halo, blend=0, multiple=STRIDE)


def segment_photograph(
    model: nn.Module,
    image: Tensor,
    *,
    hr: bool = False,
    tile: int | None = None,
    device: torch.device | str = "cpu",
) -> Segmented:
    """Super-resolve and segment a photograph (3, h, w) in [0, 1], all of it in memory.

    `hr` and `tile` as `Segmenter` takes them. The model is put into eval mode on `device`.
    ValueError for an image that is not (3, h, w), is empty or holds NaN.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"photograph has shape {tuple(image.shape)}; pass RGB (3, h, w)")
    _, h, w = image.shape
    if not h * w or not torch.isfinite(image).all():
        raise ValueError(
            f"photograph of {w}x{h} pixels is empty or not finite; pass values in 0..1"
        )
    segmenter = Segmenter(model, device, hr=hr, tile=tile)
    shapes = segmenter.shapes(h, w)
    out = Canvases(**{k: None if s is None else np.zeros(s, np.float32) for k, s in shapes.items()})
    photo = image.permute(1, 2, 0).float().numpy()
    state = segmenter.segment(photo, out)
    sr = photo if out.sr is None else out.sr
    return Segmented(
        torch.from_numpy(out.prob)[None],
        torch.from_numpy(np.ascontiguousarray(sr.transpose(2, 0, 1))),
        None if state.kernel is None else _square(state.kernel)[0],
    )


def read_photograph(path: Path) -> Tensor:
    """A photograph as RGB (3, h, w) in [0, 1], whole and upright; ValueError as `read_photo`."""
    pixels = read_photo(path, LARGEST).pixels
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float() / 255


def _square(kernel: list[float]) -> Tensor:
    return torch.tensor(kernel, dtype=torch.float32).reshape(1, 1, 21, 21)


def _running_mean(
    known: list[float] | None, new: list[NDArray[np.float32]], before: int
) -> list[float]:
    """Mean over `before` earlier estimates, whose mean is `known`, and new ones."""
    total = np.sum(new, axis=0, dtype=np.float64)
    if known is not None:
        total += before * np.array(known)
    return (total / (before + len(new))).tolist()


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
