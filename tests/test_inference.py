"""Photographs of any size: tiles give what the whole image gives, and leave no seam."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from csbsr.inference import Segmenter, read_photograph, segment_photograph
from csbsr.inference.tiling import Canvases, DiskArray, Tiling, receptive_radius
from csbsr.networks.blocks import SegmentationOutput
from csbsr.networks.dbpn import DBPN
from csbsr.networks.joint import Joint, JointOutput
from csbsr.networks.kbpn import KBPN
from csbsr.networks.pspnet import PSPNet
from csbsr.networks.unet import UNet16


class Enlarge(nn.Module):
    """A model that gives both results at once, pixel by pixel: tiling must not change anything."""

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
    """A model that is wrong on the eight pixels at the border of whatever it sees."""

    def forward(self, lr: Tensor) -> JointOutput:
        out = super().forward(lr)
        prob = torch.zeros_like(out.prob)
        prob[..., 8:-8, 8:-8] = 1
        return out._replace(prob=prob)


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth noise with a dark line, (3, height, width) in [0, 1]."""
    noise = torch.rand(1, 3, height // 4 + 1, width // 4 + 1, generator=torch.manual_seed(seed))
    smooth = F.interpolate(noise, size=(height, width), mode="bicubic")[0].clamp(0, 1)
    image = 0.3 + 0.5 * smooth
    image[:, height // 2 : height // 2 + 2] = 0.1
    return image


def lively(network: nn.Module) -> nn.Module:
    """Weights that carry signals to the output, as training makes them."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return network


@pytest.mark.parametrize("length", [1, 5, 16, 17, 31, 32, 33, 100, 719])
@pytest.mark.parametrize(("core", "multiple"), [(16, 1), (16, 8), (7, 1), (64, 32)])
def test_cells_cover_every_pixel_once(length: int, core: int, multiple: int) -> None:
    edges = Tiling(core, halo=0, multiple=multiple).edges(length)
    assert edges[0] == 0
    assert edges[-1] == length
    assert all(edge % multiple == 0 for edge in edges[:-1])
    sides = [b - a for a, b in pairwise(edges)]
    assert all(0 < side <= core + multiple for side in sides)
    assert len(sides) == 1 or min(sides) >= core // 2 - multiple


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 16), (17, 120), (150, 201)])
def test_no_seams_and_any_size(size: tuple[int, int]) -> None:
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    model = Enlarge()
    seen = segment_photograph(model, image, tile=96)
    whole = F.interpolate(image[None], scale_factor=4, mode="nearest")[0]
    assert seen.prob.shape == (1, 4 * size[0], 4 * size[1])
    torch.testing.assert_close(seen.sr, whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(seen.prob, whole.mean(0, keepdim=True), rtol=0, atol=1e-5)
    assert max(max(t) for t in model.tiles) <= 112


def test_what_is_wrong_at_the_border_of_a_window_is_cut_off() -> None:
    assert segment_photograph(Border(), torch.rand(3, 100, 150), tile=96).prob.min() == 1


def test_kernel_is_the_mean_over_tiles_and_absent_without_an_estimate() -> None:
    image = torch.full((3, 60, 200), 0.25)
    assert segment_photograph(Enlarge(), image, tile=96).kernel.mean() == pytest.approx(0.25)
    assert segment_photograph(Enlarge(kernel=False), image).kernel is None


def test_a_network_without_sr_keeps_the_size() -> None:
    image = torch.rand(3, 20, 33)
    seen = segment_photograph(Enlarge(scale=1), image)
    torch.testing.assert_close(seen.sr, image, rtol=0, atol=1e-6)
    assert seen.prob.shape == (1, 20, 33)


def test_model_is_put_into_eval_mode_and_learns_nothing() -> None:
    model = Enlarge().train()
    seen = segment_photograph(model, torch.rand(3, 8, 8))
    assert not model.training
    assert not seen.prob.requires_grad


def tiled(model: Joint, image: Tensor, tiling: Tiling) -> tuple[Tensor, Segmenter]:
    segmenter = Segmenter(model)
    segmenter.tiling = tiling
    h, w = image.shape[1:]
    shapes = segmenter.shapes(h, w)
    out = Canvases(**{k: s and np.zeros(s, np.float32) for k, s in shapes.items()})
    state = segmenter.segment(image.permute(1, 2, 0).numpy(), out)
    return torch.from_numpy(out.prob), segmenter._statistics(state.sums)


@pytest.mark.parametrize("sr", [None, "dbpn", "kbpn"])
def test_tiles_equal_the_whole_image_without_global_context(sr: str | None) -> None:
    networks = {
        None: lambda: None,
        "dbpn": lambda: DBPN(4, 1, residual=True),
        "kbpn": lambda: KBPN(4, 1, kernel_head="log_energy", sft_hidden=4),
    }
    model = Joint(networks[sr](), lively(UNet16(width=4))).eval()
    image = picture(104, 152) if sr else picture(416, 608)
    segmenter = Segmenter(model)
    assert segmenter.tiling.blend == 0
    assert 96 <= segmenter.tiling.halo <= 160, "the U-Net sees about 135 pixels far"
    tiles, statistics = tiled(model, image, Tiling(192, segmenter.tiling.halo, 0, 32))
    whole, same = tiled(model, image, Tiling(640, segmenter.tiling.halo, 0, 32))
    assert torch.allclose(statistics[0], same[0], atol=1e-6)
    assert whole.std() > 0.01
    assert (tiles - whole).abs().max() < 1e-3
    with torch.inference_mode():  # and the network's own forward pass, away from the frame
        kernel = segment_photograph(model, image).kernel
        lr = image[None]
        super_resolved = model.super_resolve(lr, None if kernel is None else kernel[None])[0]
        normal = model.normalise(super_resolved.clamp(0, 1), statistics)
        forward = model.segmentation(normal)[0][0, 0]
    inside = np.s_[144:-144, 144:-144]
    assert (tiles - forward)[inside].abs().max() < 1e-3


def test_statistics_of_tiles_would_not_do() -> None:
    """Under uneven light a tile's own statistics are not the image's: the fault that was."""
    model = Joint(None, lively(UNet16(width=4))).eval()
    image = picture(416, 608) * torch.linspace(0.2, 1, 608)
    tiles, _ = tiled(model, image, Tiling(192, 128, 0, 32))
    whole, _ = tiled(model, image, Tiling(640, 128, 0, 32))
    assert (tiles - whole).abs().max() < 1e-3
    alone = model(image[None, :, :192, :192]).prob[0, 0]
    assert (alone - whole[:192, :192])[64:128, 64:128].abs().max() > 0.05


def test_global_context_gets_windows_of_the_trained_size() -> None:
    segmenter = Segmenter(Joint(None, lively(PSPNet(width=4))).eval())
    tiling = segmenter.tiling
    assert tiling.core + 2 * tiling.halo == 448
    assert tiling.blend > 0


def test_a_photograph_of_the_trained_size_is_segmented_as_in_evaluation() -> None:
    model = Joint(None, lively(PSPNet(width=4))).eval()
    image = picture(130, 448)
    with torch.inference_mode():
        whole = model(image[None]).prob[0]
    torch.testing.assert_close(segment_photograph(model, image).prob, whole, rtol=0, atol=1e-5)


def test_receptive_radius_of_known_networks() -> None:
    three = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)))
    for layer in three:
        nn.init.constant_(layer.weight, 1)
    radius = receptive_radius(three, (16, 64), torch.device("cpu"), share=0)
    assert 3 <= radius <= 3 + 4, "up to the half patch whose gradient is measured"

    def pooled(x: Tensor) -> Tensor:
        return x + x.mean((2, 3), keepdim=True)

    assert receptive_radius(pooled, (16, 64), torch.device("cpu")) is None
    assert receptive_radius(lambda x: x.detach(), (16, 64), torch.device("cpu")) is None


class Dark(nn.Module):
    """A stand-in for C: crack where the normalised image is two deviations below the mean."""

    blur_skip = None

    def forward(self, image: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        return SegmentationOutput(torch.sigmoid(-8 * (image.mean(1, keepdim=True) + 2)))


class Ringing(nn.Module):
    """A stand-in for S: enlarges, with errors of 1 % at the border of what it sees."""

    def forward(self, lr: Tensor) -> JointOutput:
        sr = F.interpolate(lr, scale_factor=4, mode="nearest")
        sr[..., :6, :] -= 0.01
        sr[..., -6:] -= 0.01
        return JointOutput(sr, sr)


@pytest.mark.parametrize("kind", ["constant", "ramp", "half", "noise"])
def test_plain_walls_have_no_cracks(kind: str) -> None:
    image = torch.full((3, 120, 160), 0.5)
    if kind == "ramp":
        image *= torch.linspace(0.6, 1.4, 160)
    if kind == "half":
        image[:, :, 80:] = 0.45
    if kind == "noise":
        image += 0.006 * torch.randn(3, 120, 160, generator=torch.manual_seed(0))
    seen = segment_photograph(Joint(Ringing(), Dark()), image)
    assert seen.prob.max() < 0.5
    image[:, 60] = 0.1
    assert segment_photograph(Joint(Ringing(), Dark()), image).prob[0, 240:244].min() > 0.5


def test_blending_mixes_neighbours_and_nothing_else() -> None:
    """Cells that disagree meet in a ramp of the given width; elsewhere each has its own value."""

    class Count(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> JointOutput:
            Count.calls += 1
            return JointOutput(x, torch.full_like(x[:, :1], float(Count.calls % 2)))

    model = Count()
    segmenter = Segmenter(model)
    segmenter.tiling, Count.calls = Tiling(32, 16, 8, 8), 0
    out = Canvases(
        np.zeros((32, 64, 3), np.float32), np.zeros((32, 64), np.float32), np.zeros((16, 64))
    )
    segmenter.segment(np.zeros((32, 64, 3), np.uint8), out)
    assert (out.prob[:, :28] == 1).all()
    assert (out.prob[:, 36:] == 0).all()
    assert np.allclose(np.diff(out.prob[0, 28:36]), -1 / 8)


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_stopped_photograph_goes_on_to_the_same_result(stop: int, tmp_path: Path) -> None:
    model = Joint(DBPN(4, 1, residual=True), lively(PSPNet(width=4))).eval()
    segmenter = Segmenter(model)
    segmenter.sr_tiling, segmenter.tiling = Tiling(40, 8), Tiling(128, 32, 32, 32)
    photo = (picture(100, 90).permute(1, 2, 0) * 255).byte().numpy()

    def canvases(name: str) -> Canvases:
        types = {"sr": np.uint16, "prob": np.uint16, "carry": np.float32}
        shapes = segmenter.shapes(*photo.shape[:2])
        return Canvases(
            **{k: DiskArray(tmp_path / f"{name}-{k}", s, types[k]) for k, s in shapes.items()}
        )

    whole, out, rows = canvases("whole"), canvases("parts"), []
    segmenter.segment(photo, whole)

    class Killed(Exception):
        pass

    def kill(state: object) -> None:
        rows.append(state)
        if len(rows) == stop:
            raise Killed

    from copy import deepcopy

    saved = []
    try:
        segmenter.segment(photo, out, None, lambda s: (saved.append(deepcopy(s)), kill(s)))
    except Killed:
        segmenter.segment(photo, out, saved[-1])
    everything = (slice(None), slice(None))
    assert np.array_equal(out.prob[everything], whole.prob[everything])
    assert np.array_equal(out.sr[everything], whole.sr[everything])


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 3, 8, 8), {}, r"\(1, 3, 8, 8\)"),
        ((1, 8, 8), {}, "RGB"),
        ((3, 0, 8), {}, "empty"),
        ((3, 8, 8), {"tile": 16}, "too small for this model; give"),
        ((3, 8, 8), {"hr": True}, "leave out --hr"),
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
