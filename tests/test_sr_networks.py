"""Super-resolution networks, blur skip and joint model at reduced width: they train and behave."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from csbsr.networks.blocks import SegmentationOutput, parameter_count, probability
from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.dbpn import DBPN
from csbsr.networks.joint import DSRLJoint, Joint, Normalise
from csbsr.networks.kbpn import KBPN, blur_and_decimate
from csbsr.networks.kernel_heads import LogEnergyHead
from csbsr.networks.srcnet import SrcNetSR


class TinySegmentation(nn.Module):
    """Smallest network with the interface of a segmentation network, blur skip included."""

    def __init__(self, width: int = 4, blur_skip: bool = False):
        super().__init__()
        self.features = nn.Conv2d(3, width, 3, padding=1)
        self.blur_skip = BlurSkip(width, hidden=16) if blur_skip else None
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> SegmentationOutput:
        features = self.features(x)
        if self.blur_skip is not None:
            features = self.blur_skip(features, kernel)
        return SegmentationOutput(probability(self.head(features)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "kbpn": lambda: KBPN(8, 2, estimated_kernel=7, updater_width=8, sft_hidden=16),
    "kbpn_21": lambda: KBPN(8, 2, updater_width=8),
    "kbpn_log_energy": lambda: KBPN(8, 2, kernel_head="log_energy", sft_hidden=16),
    "kbpn_log_energy_updates": lambda: KBPN(
        8,
        2,
        kernel_head="log_energy",
        estimated_kernel=7,
        updater_width=8,
        update_kernel=True,
        sft=False,
    ),
    "dbpn": lambda: DBPN(8, 3),
    "dbpn_residual": lambda: DBPN(8, 2, residual=True),
    "srcnet_sr": lambda: SrcNetSR(8, groups=2, blocks=2),
    "joint": lambda: Joint(NETWORKS["kbpn"](), TinySegmentation()),
    "joint_blur_skip": lambda: Joint(NETWORKS["kbpn"](), TinySegmentation(blur_skip=True)),
    "joint_dbpn": lambda: Joint(DBPN(8, 2), TinySegmentation()),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def build(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return NETWORKS[name]()


def samples(height: int = 6, width: int = 8, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Smooth random LR images and their HR originals."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(batch, 3, 3, 4, generator=generator)
    hr = F.interpolate(coarse, (4 * height, 4 * width), mode="bicubic").clamp(0, 1)
    return F.avg_pool2d(hr, 4), hr


def loss_of(output, hr: Tensor) -> Tensor:
    loss = (output.sr - hr).abs().mean()
    if hasattr(output, "prob"):
        target = (hr.mean(1, keepdim=True) > 0.5).float()
        loss = loss + F.binary_cross_entropy(output.prob, target)
    if hasattr(output, "kernel_map") and output.kernel_map is not None:
        loss = loss + output.kernel_map.square().sum(1).mean()
    return loss


# -- training --------------------------------------------------------------------------------------


@every_network
def test_loss_falls_and_gradients_reach_every_parameter(name):
    net = build(name).train()
    lr, hr = samples()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for step in range(16):
        loss = loss_of(net(lr), hr)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            silent = [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()]
            assert silent == []
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_given_kernel_trains_everything_but_its_estimators():
    net = build("kbpn")
    lr, hr = samples()
    loss_of(net(lr, torch.full((2, 1, 21, 21), 1 / 441)), hr).backward()
    estimators = {id(p) for p in net.kernel_parameters()}
    for name, parameter in net.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in estimators), name
    assert 0 < len(estimators) < len(list(net.parameters()))


def test_log_energy_head_learns_how_wide_the_blur_is():
    """White noise under four blurs: the kernels come out right, where a mean would tell nothing."""
    torch.manual_seed(0)
    grid = torch.arange(-10, 11) ** 2
    sigma = torch.tensor([0.6, 1.2, 2.0, 3.5])[:, None, None]
    kernels = torch.exp(-(grid[:, None] + grid) / (2 * sigma**2)).flatten(1)
    kernels = kernels / kernels.sum(1, keepdim=True)  # (4, 441)
    images = blur_and_decimate(torch.rand(4, 3, 48, 48), kernels, 1)
    head = LogEnergyHead(8, 16)

    def error() -> Tensor:
        return (head(images, images) - kernels).abs().sum(1).mean()

    before = error().item()
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = error()
        loss.backward()
        optimiser.step()
    assert error().item() < 0.5 * before


# -- shapes and options ----------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (9, 4)])
def test_any_size_becomes_four_times_as_large(name, size):
    net = build(name).eval()
    if "log_energy" in name and size == (1, 1):  # one pixel has no spectrum
        with pytest.raises(ValueError, match="1x1 pixels are too small; give at least 2"):
            net(torch.rand(2, 3, *size))
        return
    output = net(torch.rand(2, 3, *size))
    assert output.sr.shape == (2, 3, 4 * size[0], 4 * size[1])
    assert output.sr.isfinite().all()


@every_network
def test_refuses_what_is_not_a_batch_of_rgb_images(name):
    net = build(name)
    with pytest.raises(ValueError, match=r"expected images of shape \(B, 3, h, w\), got \(2, 1,"):
        net(torch.rand(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 7}, "even width"),
        ({"stages": 0}, "stages >= 1"),
        ({"estimated_kernel": 23}, "outside 1..21"),
        ({"kernel_head": "mean"}, "'mean' is not 'released' or 'log_energy'"),
    ],
)
def test_kbpn_refuses_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        KBPN(**options)


def test_other_networks_refuse_impossible_options():
    with pytest.raises(ValueError, match="at least 1"):
        DBPN(stages=0)
    with pytest.raises(ValueError, match="at least one group"):
        SrcNetSR(groups=0)
    with pytest.raises(ValueError, match="'batch' is not 'instance'"):
        Normalise("batch")


def test_full_size_is_the_papers():
    with torch.device("meta"):
        counts = [parameter_count(n) for n in (KBPN(), KBPN(estimated_kernel=7), DBPN())]
        skips = [parameter_count(BlurSkip(modified=m)) for m in (True, False)]
        assert parameter_count(SrcNetSR()) == 17_073_347
        assert parameter_count(DBPN(stages=10)) == 15_348_302
    assert counts == [75_844_451, 61_158_563, 5_578_142]
    assert skips == [10_420_684, 8_093_388]


def test_other_scales():
    x = torch.rand(1, 3, 6, 5)
    for scale in (2, 8):
        assert DBPN(4, 2, scale=scale)(x).sr.shape == (1, 3, 6 * scale, 5 * scale)
        net = KBPN(4, 2, estimated_kernel=3, updater_width=4, scale=scale)
        assert net(x).sr.shape == (1, 3, 6 * scale, 5 * scale)


def test_reduced_blur_skip_shrinks_the_kernel_first():
    skip = BlurSkip(4, kernel_size=7)
    assert skip.sft[0].scale.first.in_channels == 4 + 49
    assert skip(torch.rand(2, 4, 8, 8), torch.rand(2, 441)).shape == (2, 4, 8, 8)


# -- kernels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.startswith("kbpn")])
def test_kernel_sums_to_one_and_is_constant_over_the_image(name):
    kernel_map = build(name)(samples()[0]).kernel_map
    assert kernel_map.shape == (2, 441, 6, 8)
    assert torch.equal(kernel_map, kernel_map[:, :, :1, :1].expand_as(kernel_map))
    torch.testing.assert_close(kernel_map[:, :, 0, 0].sum(1), torch.ones(2))


def test_given_kernel_is_returned_normalised():
    kernel = torch.rand(2, 1, 21, 21)
    returned = build("kbpn")(samples()[0], kernel).kernel_map[:, :, 0, 0]
    torch.testing.assert_close(returned, (kernel / kernel.sum((2, 3), True)).flatten(1))


def test_pseudo_lr_blurs_every_sample_by_its_own_kernel():
    images, kernels = torch.rand(3, 3, 16, 20), torch.rand(3, 441)
    batched = blur_and_decimate(images, kernels, 4)
    for image, kernel, ours in zip(images, kernels, batched, strict=True):
        weight = kernel.view(1, 1, 21, 21)
        alone = torch.cat([F.conv2d(c[None, None], weight, padding=10) for c in image], 1)
        torch.testing.assert_close(ours, alone[0, :, ::4, ::4])


# -- the joint model -------------------------------------------------------------------------------


def test_joint_clamps_in_eval_mode_only_unless_told():
    net = build("joint_dbpn")
    net.sr.output.bias.data.fill_(2.0)
    lr, _ = samples()
    assert net.train()(lr).sr.max() > 1
    assert net.train()(lr, clamp=True).sr.max() == 1
    assert net.eval()(lr).sr.max() == 1
    assert net.eval()(lr, clamp=False).sr.max() > 1


def test_detach_keeps_the_segmentation_loss_from_the_sr_network():
    net = build("joint_blur_skip")
    net(samples()[0], detach=True).prob.sum().backward()
    assert all(p.grad is None for p in net.sr.parameters())
    assert all(p.grad is not None for p in net.segmentation.parameters())


def test_joint_returns_the_kernel_as_an_image_or_none():
    lr, _ = samples()
    assert build("joint_dbpn")(lr).kernel is None
    output = build("joint")(lr)
    assert output.kernel.shape == (2, 1, 21, 21)
    assert torch.equal(output.kernel.flatten(1), output.kernel_map[:, :, 0, 0])


def test_without_sr_the_image_is_segmented_as_given():
    segmentation = TinySegmentation()
    image = torch.rand(2, 3, 12, 12)
    output = Joint(None, segmentation)(image)
    assert output.sr is image
    assert torch.equal(output.prob, segmentation(F.instance_norm(image)).prob)
    assert output.kernel is None


@pytest.mark.parametrize("kind", ["instance", "dataset", "none"])
def test_normalisation(kind):
    image = torch.rand(2, 3, 12, 10)
    out = Normalise(kind)(image)
    if kind == "instance":
        torch.testing.assert_close(out.mean((2, 3)), torch.zeros(2, 3), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            out.var((2, 3), correction=0), torch.ones(2, 3), atol=1e-3, rtol=0
        )
    else:
        expected = image if kind == "none" else (image - 0.4937) / 0.1532
        torch.testing.assert_close(out[:, 1], expected[:, 1])


@pytest.mark.parametrize("factor", [2, 4])
def test_dsrl_behind_the_joint_interface(factor):
    class Stub(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            sr = F.interpolate(x, scale_factor=factor) * 2
            return sr.mean(1, keepdim=True).sigmoid(), sr, sr, sr

    output = DSRLJoint(Stub()).eval()(torch.rand(2, 3, 5, 6))
    assert output.sr.shape == (2, 3, 20, 24)
    assert output.prob.shape == (2, 1, 20, 24)
    assert output.sr.max() <= 1
    assert len(output.features) == 2


# -- precision, layout, speed ----------------------------------------------------------------------


@every_network
def test_bfloat16_keeps_outputs_in_float32(name):
    net = build(name).train()
    lr, hr = samples()
    reference = net(lr)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = net(lr)
    for ours, exact in zip(output, reference, strict=True):
        if exact is not None:
            assert ours.dtype == torch.float32
            torch.testing.assert_close(ours, exact, rtol=0.1, atol=0.1)
    if getattr(output, "kernel_map", None) is not None:
        torch.testing.assert_close(output.kernel_map[:, :, 0, 0].sum(1), torch.ones(2))
    loss_of(output, hr).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@every_network
def test_channels_last_gives_the_same_output(name):
    net = build(name).eval()
    lr, _ = samples()
    reference = net(lr)
    net.to(memory_format=torch.channels_last)
    output = net(lr.contiguous(memory_format=torch.channels_last))
    for ours, exact in zip(output, reference, strict=True):
        if exact is not None:
            torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-5)


@every_network
def test_nothing_in_a_step_looks_at_values(name):
    """Meta tensors have no values: `.item()` or a branch on a tensor would raise."""
    with torch.device("meta"):
        net = NETWORKS[name]()
        output = net(torch.empty(2, 3, 6, 8))
        sum(o.sum() for o in output if o is not None).backward()


@every_network
def test_work_is_batched(name):
    """The number of operations does not depend on the number of samples."""

    class Count(TorchDispatchMode):
        operations = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.operations += 1
            return func(*args, **(kwargs or {}))

    net = build(name).eval()
    counts = []
    for batch in (2, 5):
        with Count() as mode, torch.no_grad():
            net(samples(batch=batch)[0])
        counts.append(mode.operations)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["dbpn", "srcnet_sr", "joint_blur_skip"])
def test_compiles_as_one_graph(name):
    net = build(name).eval()
    lr, _ = samples()
    traced = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(traced(lr).sr, net(lr).sr)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["kbpn", "kbpn_log_energy", "dbpn", "srcnet_sr", "joint_blur_skip"]
)
def test_compiled_gives_the_same_output(name):
    net = build(name).eval()
    lr, _ = samples()
    output, reference = torch.compile(net)(lr), net(lr)
    for ours, exact in zip(output, reference, strict=True):
        if exact is not None:
            torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-5)
