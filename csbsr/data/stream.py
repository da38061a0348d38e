"""Training batches as a pure function of (seed, step, iteration).

Iteration i draws the images of positions i * batch ... of an endless row of shuffled epochs; crop,
flips and blur kernel of each slot come from a generator seeded by (seed, step, i, slot). So every
training step draws its own data, the arms of one seed share them, and the batches do not depend
on worker counts, on resuming, or on how many processes share them. The degradation itself is left
to the trainer, which does it on the model's device (`csbsr.degradation.degrade`).
"""

import functools
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple
from typing import Protocol as Interface

import numpy as np
import torch
from torch import Tensor

from csbsr.data.distances import signed_distance
from csbsr.degradation import random_kernels
from csbsr.protocol import Protocol

SHUFFLE = 1_000_003
"""Keeps the generators of the epochs apart from those of the slots."""


class CrackSource(Interface):
    """Anything that loads an image (3, H, W) uint8 and a mask (1, H, W) bool by index."""

    names: list[str]

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]: ...


class NaturalSource(Interface):
    """Anything that loads an image (3, H, W) uint8 by index."""

    names: list[str]

    def load(self, i: int) -> np.ndarray: ...


class CrackBatch(NamedTuple):
    """One training batch, on the CPU."""

    hr: Tensor  # (B, 3, H, W) float32 in [0, 1]
    mask: Tensor  # (B, 1, H, W) float32, 0 or 1; (B, 0, H, W) for natural images
    distance: Tensor  # (B, 1, H, W) float32, signed distance in pixels; (B, 0, H, W) if not wanted
    kernel: Tensor  # (B, 1, 21, 21) float32, sum 1
    names: list[str]


class _Stream:
    """Order, crops, flips, kernels and prefetching, common to both kinds of images.

    `crop`: side of the random HR crop, None for whole images (all of one size then). `batch`:
    images per iteration over all processes, of which this one (`rank` of `world`) loads its
    share. `step` names the training step. Raises ValueError for a crop or batch that does not
    divide.
    """

    def __init__(
        self,
        source: CrackSource | NaturalSource,
        crop: int | None,
        batch: int,
        seed: int,
        protocol: Protocol,
        rank: int = 0,
        world: int = 1,
        *,
        step: str = "",
    ):
        if crop is not None and crop % 4:
            raise ValueError(f"crop {crop} is not a multiple of 4; choose {crop // 4 * 4}")
        if batch % world:
            raise ValueError(f"batch {batch} does not divide by {world} processes")
        if not source.names:
            raise ValueError("there are no images to train on")
        self.source, self.crop, self.protocol = source, crop, protocol
        self.key = (seed, zlib.crc32(step.encode()))
        self.size = batch
        share = batch // world
        self.slots = range(rank * share, (rank + 1) * share)

    @property
    def iterations_per_epoch(self) -> float:
        """How many batches show every image once, on average."""
        return len(self.source.names) / self.size

    def batch(self, i: int) -> CrackBatch:
        """Return the batch of iteration `i`: a function of seed and `i` alone."""
        samples = [self._sample(i, slot) for slot in self.slots]
        shapes = {image.shape for image, *_ in samples}
        if len(shapes) > 1:
            raise ValueError(f"images of different sizes {sorted(shapes)} need a crop to train on")
        images, masks, distances, kernels, names = zip(*samples)
        return CrackBatch(
            hr=torch.from_numpy(np.stack(images)).float().div_(255),  # (B, 3, H, W)
            mask=torch.from_numpy(np.stack(masks)).float(),
            distance=torch.from_numpy(np.stack(distances)).float(),
            kernel=torch.cat(kernels),  # (B, 1, 21, 21)
            names=list(names),
        )

    def loader(self, start: int, stop: int, workers: int = 1) -> Iterator[CrackBatch]:
        """Yield the batches start ... stop - 1, prepared ahead by `workers` threads (0: none).

        Threads are enough: decoding, distances and copies release Python's lock. Closing the
        iterator early drops what has not been started.
        """
        if workers == 0:
            yield from (self.batch(i) for i in range(start, stop))
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="batch")
        ahead: deque[Future[CrackBatch]] = deque()
        try:
            for i in range(start, stop):
                ahead.append(pool.submit(self.batch, i))
                if len(ahead) > workers + 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image (3, H, W) uint8 and mask (M, H, W) bool, M = 0 where there is none."""
        raise TypeError("use CrackStream or NaturalStream")

    def _distance(self, mask: np.ndarray) -> np.ndarray:
        """Return the distance layer (D, H, W) of a mask; D = 0 where none is wanted."""
        return np.zeros((0, *mask.shape[1:]), np.float32)

    def _sample(self, i: int, slot: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Tensor, str]:
        epoch, place = divmod(i * self.size + slot, len(self.source.names))
        index = int(epoch_order(self.key, epoch, len(self.source.names))[place])
        rng = np.random.default_rng([*self.key, i, slot])
        image, mask = self._load(index)
        h, w = image.shape[1:]
        size = self.crop or h
        if self.crop is not None and min(h, w) < size:
            name = self.source.names[index]
            raise ValueError(f"image {name} is {w}x{h}, smaller than the crop {size}; lower it")
        top, left = rng.integers(0, [h - size + 1, w - (self.crop or w) + 1])
        window = np.s_[:, top : top + size, left : left + (self.crop or w)]
        flip_x, flip_y = rng.random(2) < 0.5
        flip_y = flip_y and self.protocol.vertical_flip
        step = np.s_[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1]
        image, mask = image[window][step], mask[window][step]
        kernel = random_kernels(1, rng, self.protocol)  # (1, 1, 21, 21)
        return image, mask, self._distance(mask), kernel, self.source.names[index]


class CrackStream(_Stream):
    """Batches of crack images with masks and signed distances, see `CrackBatch`."""

    def __init__(
        self,
        source: CrackSource,
        crop: int | None,
        batch: int,
        seed: int,
        protocol: Protocol,
        with_distance: bool = True,
        rank: int = 0,
        world: int = 1,
        *,
        step: str = "",
    ):
        super().__init__(source, crop, batch, seed, protocol, rank, world, step=step)
        self.with_distance = with_distance

    def _load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.source.load(index)

    def _distance(self, mask: np.ndarray) -> np.ndarray:
        if not self.with_distance:
            return super()._distance(mask)
        return signed_distance(np.ascontiguousarray(mask[0]))[None].astype(np.float32)


class NaturalStream(_Stream):
    """Batches of natural images for the pre-training of the SR network; no masks."""

    def _load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image = self.source.load(index)
        return image, np.zeros((0, *image.shape[1:]), bool)


@functools.lru_cache(maxsize=8)
def epoch_order(key: tuple[int, int], epoch: int, count: int) -> np.ndarray:
    """Return the order (count,) in which an epoch shows the images."""
    return np.random.default_rng([SHUFFLE, *key, epoch]).permutation(count)
