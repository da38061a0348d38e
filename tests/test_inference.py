"""Photographs of any size: tiles cover everything, and blending leaves no seam."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.inference import read_photograph, segment_photograph, tile_starts
from csbsr.networks.joint import JointOutput


class Enlarge(nn.Module):
    """Like the joint model, but pixel by pixel, so that tiling must not change anything."""

    def __init__(self, scale: int = 4, kernel: bool = True) -> None:
        super().__init__()
        self.scale, self.kernel = scale, kernel
        self.tiles: list[tuple[int, int]] = []

    def forward(self, lr: Tensor) -> JointOutput:
        self.tiles.append(tuple(lr.shape[2:]))
        sr = F.interpolate(lr, scale_factor=self.scale, mode="nearest")
        kernel = lr.mean((1, 2, 3)).reshape(-1, 1, 1, 1).expand(-1, 1, 21, 21)
        return JointOutput(sr, sr.mean(1, keepdim=True), kernel if self.kernel else None)


class Border(Enlarge):
    """A model that is wrong on the two pixels at the border of whatever it sees."""

    def forward(self, lr: Tensor) -> JointOutput:
        out = super().forward(lr)
        prob = torch.zeros_like(out.prob)
        prob[..., 2:-2, 2:-2] = 1
        return out._replace(prob=prob)


@pytest.mark.parametrize("length", [1, 5, 16, 17, 31, 32, 33, 100, 719])
@pytest.mark.parametrize(("tile", "overlap"), [(16, 0), (16, 4), (16, 15), (7, 3)])
def test_tiles_cover_every_pixel(length: int, tile: int, overlap: int) -> None:
    starts = tile_starts(length, tile, overlap)
    covered = np.zeros(length, int)
    for start in starts:
        assert start >= 0
        assert start + tile <= max(length, tile)
        covered[start : start + tile] += 1
    assert covered.min() >= 1
    for first, second in pairwise(starts):
        assert first + tile - second >= overlap, "neighbours share at least the overlap"


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 16), (17, 40), (37, 53)])
@pytest.mark.parametrize("overlap", [0, 5, 15])
def test_no_seams_and_any_size(size: tuple[int, int], overlap: int) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    model = Enlarge()
    seen = segment_photograph(model, image, tile=16, overlap=overlap)
    whole = F.interpolate(image[None], scale_factor=4, mode="nearest")[0]
    assert seen.prob.shape == (1, 4 * size[0], 4 * size[1])
    torch.testing.assert_close(seen.sr, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(seen.prob, whole.mean(0, keepdim=True), rtol=0, atol=1e-5)
    assert max(max(t) for t in model.tiles) <= 16


def test_overlap_hides_what_is_wrong_at_the_border_of_a_tile() -> None:
    image = torch.rand(3, 32, 48)
    apart = segment_photograph(Border(), image, tile=16, overlap=0).prob[0, 4:-4, 4:-4]
    blended = segment_photograph(Border(), image, tile=16, overlap=8).prob[0, 4:-4, 4:-4]
    assert apart.min() == 0, "without overlap the border of each tile shows"
    assert blended.min() > 0.6


def test_kernel_is_the_mean_over_tiles_and_absent_without_an_estimate() -> None:
    image = torch.zeros(3, 16, 32)
    image[:, :, 16:] = 1
    assert segment_photograph(Enlarge(), image, tile=16, overlap=0).kernel.mean() == 0.5
    assert segment_photograph(Enlarge(kernel=False), image).kernel is None


def test_a_network_without_sr_keeps_the_size() -> None:
    image = torch.rand(3, 20, 33)
    seen = segment_photograph(Enlarge(scale=1), image, tile=16, overlap=4)
    torch.testing.assert_close(seen.sr, image, rtol=0, atol=1e-6)
    assert seen.prob.shape == (1, 20, 33)


def test_model_is_put_into_eval_mode_and_learns_nothing() -> None:
    model = Enlarge().train()
    seen = segment_photograph(model, torch.rand(3, 8, 8))
    assert not model.training
    assert not seen.prob.requires_grad


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 3, 8, 8), {}, r"\(1, 3, 8, 8\)"),
        ((1, 8, 8), {}, "RGB"),
        ((3, 0, 8), {}, "empty"),
        ((3, 8, 8), {"tile": 16, "overlap": 16}, "overlap 16"),
        ((3, 8, 8), {"overlap": -1}, "overlap -1"),
    ],
)
def test_bad_input_is_named(shape: tuple[int, ...], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segment_photograph(Enlarge(), torch.zeros(shape), **options)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        segment_photograph(Enlarge(), torch.full((3, 8, 8), float("nan")))


def test_photographs_are_read_whole_and_upright(tmp_path: Path) -> None:
    pixels = np.zeros((3, 7, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    image = read_photograph(tmp_path / "a.png")
    assert image.shape == (3, 7, 3), "neither cut nor lying on its side"
    assert image[:, 0, 2].tolist() == [1, 1, 1]
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    for name, message in (("b.png", "damaged"), ("c.png", "does not exist")):
        with pytest.raises(ValueError, match=message):
            read_photograph(tmp_path / name)
