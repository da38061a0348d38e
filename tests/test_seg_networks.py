"""Segmentation networks: they learn, take any size and precision, and carry the blur skip."""

from collections.abc import Callable
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet34_Weights, resnet34

from csbsr.networks.backbones import VGG16, resnet34_dilated, resnet101_dilated
from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.crackformer import CrackFormer
from csbsr.networks.dsrl import DSRL
from csbsr.networks.ocr import HRNetOCR
from csbsr.networks.pspnet import PSPNet
from csbsr.networks.released_keys import authors_keys
from csbsr.networks.released_seg import CONFIGS, rename
from csbsr.networks.segnet import SegNet
from csbsr.networks.unet import UNet16

SMALL: dict[str, Callable[[], nn.Module]] = {
    "pspnet-vgg16": lambda: PSPNet("vgg16", width=8),
    "pspnet-resnet34": lambda: PSPNet("resnet34", width=8),
    "unet-pixel_shuffle": lambda: UNet16("pixel_shuffle", width=8),
    "unet-deconv": lambda: UNet16("deconv", width=8),
    "segnet": lambda: SegNet(width=8),
    "hrnet-ocr": lambda: HRNetOCR(width=6, modules=(1, 1, 1), blocks=1),
    "crackformer": lambda: CrackFormer(width=16),
    "dsrl": lambda: DSRL(scale=2, width=8),
    "dsrl_x4": lambda: DSRL(scale=4, width=8),
}
SEGMENTATION = [name for name in SMALL if not name.startswith("dsrl")]

AUX_HEADS = {"pspnet-vgg16": 1, "pspnet-resnet34": 1, "hrnet-ocr": 1, "crackformer": 5}

WITHOUT_GRADIENT = {
    # OCR's softmax over one class is 1 whatever the queries and keys are.
    "hrnet-ocr": ("context.pixel.", "context.object."),
    # Released norms that are never applied, and encoder blocks that the released defect skips.
    "segnet": ("head_norm.",),
    "crackformer": ("unused_norm", "encoder.2.2.", "encoder.3.2.", "encoder.4.2."),
}

PARAMETERS = {
    "pspnet": 28_091_141,
    "unet16_pixelshuffle": 29_500_033,
    "unet16_deconv": 39_200_065,
    "hrnet_w48_ocr": 74_499_970,
    "crackformer": 4_961_691,
    "srcnet_seg": 29_443_587,
    "dsrl": 60_485_072,
    "dsrl_x4": 60_579_472,
}


def build(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return SMALL[name]()


def images(height: int = 64, width: int = 64, seed: int = 1) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


def kernels(seed: int = 2) -> Tensor:
    kernel = torch.rand(2, 441, generator=torch.Generator().manual_seed(seed))
    return kernel / kernel.sum(1, keepdim=True)


def probabilities(net: nn.Module, x: Tensor, kernel: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return net(x, kernel)[0]


def loss_of(net: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of all segmentation outputs, plus whatever else the network returns."""
    output = net(x)
    target = F.interpolate(mask, output[0].shape[-2:])
    loss = F.binary_cross_entropy(output[0], target)
    if isinstance(net, DSRL):
        return loss + F.l1_loss(output.sr, target.expand_as(output.sr)) + output.fea_seg.mean()
    if output.aux is not None:
        loss = loss + F.binary_cross_entropy(output.aux, target.expand_as(output.aux))
    return loss


def two_samples() -> tuple[Tensor, Tensor]:
    """Bright noise with a dark crack, vertical in one image and horizontal in the other."""
    mask = torch.zeros(2, 1, 64, 64)
    mask[0, :, :, 30:34] = 1
    mask[1, :, 20:24] = 1
    return 0.5 + 0.5 * images() - 0.5 * mask, mask


# -- what the networks return ----------------------------------------------------------------------


@pytest.mark.parametrize("name", SEGMENTATION)
def test_returns_probabilities_of_every_head(name):
    net = build(name).eval()
    prob, aux = net(images())
    assert prob.shape == (2, 1, 64, 64)
    assert (aux is None) == (name not in AUX_HEADS)
    for maps in (prob,) if aux is None else (prob, aux):
        assert maps.dtype == torch.float32
        assert maps.min() >= 0
        assert maps.max() <= 1
    if aux is not None:
        assert aux.shape == (2, AUX_HEADS[name], 64, 64)


@pytest.mark.parametrize("name", SMALL)
def test_eval_treats_images_independently(name):
    net, x = build(name).eval(), images()
    both = probabilities(net, x)
    single = torch.cat([probabilities(net, one) for one in x.split(1)])
    torch.testing.assert_close(both, single, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SEGMENTATION)
@pytest.mark.parametrize("size", [(50, 37), (33, 96)])
def test_odd_sizes_are_padded_with_their_edge_and_cropped(name, size):
    net, x = build(name).eval(), images(*size)
    output = net(x)
    assert output.prob.shape == (2, 1, *size)
    assert output.aux is None or output.aux.shape[-2:] == size
    padded = F.pad(x, (0, -size[1] % 32, 0, -size[0] % 32), mode="replicate")
    whole = probabilities(net, padded)[..., : size[0], : size[1]]
    if name not in ("pspnet-vgg16", "pspnet-resnet34", "unet-pixel_shuffle", "unet-deconv"):
        torch.testing.assert_close(output.prob, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_refuses_what_is_not_a_batch_of_rgb_images(name):
    net = build(name).eval()
    for wrong in (torch.rand(2, 1, 64, 64), torch.rand(3, 64, 64)):
        with pytest.raises(ValueError, match=r"\(B, 3, h, w\), got"):
            net(wrong)


@pytest.mark.parametrize("scale", [2, 4])
def test_dsrl_magnifies_any_size(scale):
    net = build("dsrl" if scale == 2 else "dsrl_x4").eval()
    output = net(images(26, 31))
    size = (26 * scale, 31 * scale)
    assert output.seg.shape == (2, 1, *size)
    for maps in output[1:]:
        assert maps.shape == (2, 3, *size)
    assert output.fea_sr is output.sr
    assert output.seg.min() >= 0
    assert output.seg.max() <= 1


# -- learning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_loss_falls_on_two_samples(name):
    net = build(name).train()
    x, mask = two_samples()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        loss = loss_of(net, x, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) < 0.85 * sum(losses[:3])


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_parameter_that_is_used(name):
    net = build(name).train()
    loss_of(net, *two_samples()).backward()
    silent = {key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    expected = {
        key
        for key, _ in net.named_parameters()
        if any(part in key for part in WITHOUT_GRADIENT.get(name, ()))
    }
    assert silent == expected


def test_crackformer_uses_its_third_blocks_when_told_to():
    torch.manual_seed(0)
    net = CrackFormer(width=16, repeat_second=False)
    loss_of(net, *two_samples()).backward()
    silent = {key for key, p in net.named_parameters() if p.grad is None}
    assert silent == {key for key, _ in net.named_parameters() if "unused_norm" in key}


@pytest.mark.parametrize("name", ["hrnet-ocr", "dsrl"])
def test_batch_norm_of_image_vectors_refuses_a_single_training_image(name):
    net = build(name).train()
    with pytest.raises(ValueError, match="batches of two images or more"):
        net(images()[:1])


def test_ocr_of_one_class_ignores_its_queries_and_keys():
    net, x = build("hrnet-ocr").eval(), images()
    before = probabilities(net, x)
    with torch.no_grad():
        for parameter in (*net.context.pixel.parameters(), *net.context.object.parameters()):
            parameter.mul_(-3)
    torch.testing.assert_close(probabilities(net, x), before, rtol=0, atol=1e-6)


# -- precision, layout, compilation ----------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_autocast_keeps_probabilities_in_float32(name):
    net, x = build(name).eval(), images()
    with torch.autocast("cpu", torch.bfloat16):
        half = probabilities(net, x)
    assert half.dtype == torch.float32
    assert (half - probabilities(net, x)).abs().mean() < 0.03


@pytest.mark.parametrize("name", SMALL)
def test_channels_last_gives_the_same_output(name):
    net, x = build(name).eval(), images()
    expected = probabilities(net, x)
    net = net.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(probabilities(net, x), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_compiled_gives_the_same_output(name):
    net, x = build(name).eval(), images()
    expected = probabilities(net, x)
    torch.testing.assert_close(probabilities(torch.compile(net), x), expected, rtol=0, atol=1e-4)


# -- blur skip -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_every_network_takes_the_blur_skip(name):
    net, x = build(name).eval(), images()
    plain = probabilities(net, x)
    assert torch.equal(probabilities(net, x, kernels()), plain)  # no skip, no influence
    net.blur_skip = BlurSkip(net.skip_channels, hidden=8)
    with pytest.raises(ValueError, match=r"without a kernel; pass kernel=\(B, 441\)"):
        net(x)
    kernel = kernels().requires_grad_()
    prob = net(x, kernel)[0]
    assert prob.shape == plain.shape
    prob.mean().backward()
    assert kernel.grad.any()
    assert all(parameter.grad.any() for parameter in net.blur_skip.parameters())


# -- backbones -------------------------------------------------------------------------------------


def test_backbones_keep_the_resolution_that_their_networks_expect():
    x = images(64, 64)
    sides = [f.shape[-1] for f in VGG16(width=4)(x)]
    assert sides == [64, 32, 16, 8, 4]
    net = VGG16(width=4, pools=3)
    assert [f.shape[-1] for f in net(x)] == [64, 32, 16, 8, 8]
    assert [f.shape[1] for f in net(x)] == list(net.channels) == [4, 8, 16, 32, 32]
    assert [m.dilation[0] for m in net.features if isinstance(m, nn.Conv2d)] == [1] * 10 + [2] * 3
    assert [f.shape[-1] for f in resnet34_dilated(width=4)(x)] == [16, 8, 8, 8]
    net = resnet101_dilated(width=4)
    assert [f.shape[-1] for f in net(x)] == [16, 8, 4, 4]
    assert [f.shape[1] for f in net(x)] == list(net.channels) == [16, 32, 64, 128]


def test_imagenet_weights_are_torchvisions(monkeypatch):
    state = resnet34().state_dict()
    monkeypatch.setattr(ResNet34_Weights, "get_state_dict", lambda self, **_: state)
    net = PSPNet("resnet34", pretrained=True)
    for key, value in net.backbone.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_missing_imagenet_weights_name_the_way_out(monkeypatch):
    def fail(self, **_):
        raise URLError("no network")

    monkeypatch.setattr(ResNet34_Weights, "get_state_dict", fail)
    with pytest.raises(ValueError, match=r"cannot be fetched .*--no-pretrained") as error:
        resnet34_dilated(pretrained=True)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"width 64 only, not 8.*--no-pretrained"):
        resnet34_dilated(width=8, pretrained=True)


@pytest.mark.parametrize(
    ("construct", "message"),
    [
        (lambda: PSPNet("resnet50"), "'resnet50' is unknown; choose 'vgg16' or 'resnet34'"),
        (lambda: UNet16("nearest"), "'nearest' is unknown; choose 'pixel_shuffle' or 'deconv'"),
        (lambda: UNet16(width=7), "width 7 is odd"),
        (lambda: CrackFormer(width=8), "width 8 must be divisible by 16"),
        (lambda: DSRL(scale=3), "2 or 4 times, not 3"),
        (lambda: DSRL(width=6), "width 6 must be divisible by 4"),
    ],
)
def test_impossible_options_are_refused(construct, message):
    with pytest.raises(ValueError, match=message):
        construct()


# -- the released networks -------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_full_size_has_the_released_parameters_under_our_names(name):
    with torch.device("meta"):
        net = CONFIGS[name].build()
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[name]
    assert {rename(name, key) for key in authors_keys(name)} == set(net.state_dict())
