"""The fair study: aligned feedback, the kernel step, own streams, bounds and controls."""

import numpy as np
import pytest
import torch
from torch import Tensor

from csbsr.data.natural import SyntheticNatural
from csbsr.data.stream import CrackStream, NaturalStream
from csbsr.data.synthetic import SyntheticCracks
from csbsr.degradation import constant_kernel, degrade, random_kernels
from csbsr.evaluation import predict
from csbsr.losses.segmentation import segmentation_loss
from csbsr.losses.super_resolution import kernel_loss
from csbsr.metrics import kernel_psnr
from csbsr.networks.architecture import build_model
from csbsr.networks.joint import Joint
from csbsr.networks.kbpn import KBPN, Feedback
from csbsr.networks.trivial import Bicubic, Darkness, Enlarged, otsu_threshold
from csbsr.protocol import PRINTED, PROTOCOLS, RELEASED, REPRODUCTION
from csbsr.study.experiments import experiment
from csbsr.study.models import architecture_of
from csbsr.study.profiles import NAMES, load_profile
from csbsr.training.config import StepConfig
from csbsr.training.parts import set_learning
from csbsr.training.schedules import alpha_scaled

QUICK = load_profile("quick")
PROTOCOL = QUICK.protocol("reproduction")


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images, masks, distances and kernels of four synthetic crops."""
    found = CrackStream(SyntheticCracks(4, 160), 128, 4, 0, PROTOCOL).batch(0)
    return found.hr, found.mask, found.distance, found.kernel


def feedback_error(feedback: Feedback, protocol, hr: Tensor, kernel: Tensor) -> float:
    lr = degrade(hr, kernel, protocol)
    return (feedback.reduce(hr, kernel.flatten(1), 4) - lr).abs().max().item()


@pytest.mark.parametrize(
    "protocol", [REPRODUCTION, PROTOCOL, REPRODUCTION.but(antialias=False)], ids=lambda p: p.name
)
def test_aligned_feedback_leaves_no_error_of_the_true_image_and_kernel(protocol, batch) -> None:
    hr, _, _, kernel = batch
    aligned = Feedback("aligned", protocol.blur_padding, protocol.antialias)
    assert feedback_error(aligned, protocol, hr, kernel) < 1e-3
    assert feedback_error(Feedback(), protocol, hr, kernel) > 0.02, "released: another grid"


def test_released_feedback_is_the_networks_default() -> None:
    default = KBPN(8, 1)
    assert {stage.feedback for stage in default.stages} == {Feedback()}
    model = build_model(architecture_of(experiment("csbsr-pspnet"), QUICK, PROTOCOL))
    assert {s.feedback for s in model.sr.stages} == {Feedback("aligned", "reflect", True)}


@pytest.mark.parametrize("head", ["released", "log_energy"])
def test_the_kernel_alone_is_the_kernel_of_the_whole_network(head) -> None:
    torch.manual_seed(0)
    network = KBPN(8, 2, estimated_kernel=7, kernel_head=head).eval()
    x = torch.rand(2, 3, 16, 16)
    whole = network(x).kernel_map[:, :, 0, 0]
    torch.testing.assert_close(network.estimate_kernel(x).flatten(1), whole)


def test_the_kernel_step_teaches_the_estimator_and_nothing_else() -> None:
    model = build_model(architecture_of(experiment("csbsr-pspnet"), QUICK, PROTOCOL))
    set_learning(model, StepConfig(iterations=1, train="kernel"), "all")
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning
    assert all(name.startswith("sr.kernel_head.") for name in learning)


def test_kernel_loss_is_the_absolute_error_of_two_distributions() -> None:
    one, other = torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    one[..., 0, 0] = 1
    other[..., 1, 1] = 1
    assert kernel_loss(one, other).item() == 2
    assert kernel_loss(one, one).item() == 0


def test_every_step_draws_its_own_data_and_arms_share_them() -> None:
    source = SyntheticCracks(8, 64)

    def names(step: str, seed: int = 0) -> list[str]:
        stream = CrackStream(source, 48, 4, seed, PROTOCOL, step=step)
        return [n for i in range(4) for n in stream.batch(i).names]

    def kernels(step: str) -> Tensor:
        return CrackStream(source, 48, 4, 0, PROTOCOL, step=step).batch(0).kernel

    assert names("step2") == names("step2")
    assert names("step2") != names("step3") != names("warm_start")
    assert names("step2") != names("step2", seed=1)
    assert not torch.equal(kernels("step2"), kernels("step3"))
    natural = [
        NaturalStream(SyntheticNatural(4, 64), 48, 4, 0, PROTOCOL, step=s).batch(0).hr
        for s in ("step1", "step2")
    ]
    assert not torch.equal(*natural)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.name)
def test_no_constant_kernel_beats_the_best_one(protocol) -> None:
    """In the variance range it scores more than the paper's network: 50.65 dB says little there."""
    truth = random_kernels(2000, np.random.default_rng(3), protocol)

    def score(kernel: Tensor) -> float:
        return kernel_psnr(kernel.expand_as(truth), truth).mean().item()

    best = constant_kernel(protocol)
    assert best.sum().item() == pytest.approx(1)
    drawn = random_kernels(2000, np.random.default_rng(4), protocol)
    others = [drawn.mean(0), *drawn[:40]]
    assert score(best[None]) > max(score(k[None] if k.ndim == 3 else k) for k in others)
    assert (score(best[None]) > 50.65) == (protocol.blur_range == "variance")


def gradient_shares(protocol, batch) -> dict[str, float]:
    """Mean size of the gradient of each term of Eq. 3 on the logits, over the course of alpha."""
    _, mask, distance, _ = batch
    shares = {"boundary": 0.0, "dice": 0.0, "wce": 0.0}
    for done in range(0, 101, 10):
        alpha = alpha_scaled(done, 100)
        for kind, weight in (("boundary", alpha), ("dice", 1 - alpha), ("wce", 1 - alpha)):
            logits = torch.full_like(mask, -2.0).requires_grad_()  # early: a crack is unlikely
            loss = segmentation_loss(kind, logits.sigmoid(), mask, distance, protocol=protocol)
            (gradient,) = torch.autograd.grad(weight * loss.mean(), logits)
            shares[kind] += gradient.abs().mean().item()
    return shares


@pytest.mark.parametrize("name", NAMES)
def test_no_term_of_the_loss_drowns_the_others(name: str, batch) -> None:
    shares = gradient_shares(load_profile(name).protocol("reproduction"), batch)
    assert max(shares.values()) < 1000 * min(shares.values()), shares


def test_the_printed_loss_is_degenerate(batch) -> None:
    shares = gradient_shares(PRINTED, batch)
    assert max(shares.values()) > 1000 * min(shares.values()), shares


def test_where_text_and_code_can_both_be_followed_reproduction_follows_the_text() -> None:
    text = (
        "vertical_flip",
        "quantise_test",
        "pspnet_extractor",
        "estimated_kernel",
        "crop",
        "auxiliary_weight",
        "crack_weight_factor",
        "segmentation_on_sr",
        "beta_ramp",
    )
    assert all(getattr(REPRODUCTION, o) == getattr(PRINTED, o) for o in text)
    code = ("blur_range", "boundary", "dice", "gdice", "wce", "blur_skip_training")
    assert all(getattr(REPRODUCTION, o) == getattr(RELEASED, o) for o in code)


# -- bounds, trivial baselines, controls ---------------------------------------------------------


def test_darkness_finds_a_dark_line_and_nothing_on_constant_grey() -> None:
    image = torch.full((1, 3, 96, 96), 0.6)
    assert not Darkness()(image).prob.any()
    assert not Darkness(otsu=True)(image).prob.any()
    image[..., 47:49, :] = 0.2
    prob = Darkness()(image).prob[0, 0]
    assert prob[47:49].min() > 0.5
    assert prob[:30].max() < 0.1
    otsu = Darkness(otsu=True)(image).prob[0, 0]
    assert set(otsu.unique().tolist()) == {0.0, 1.0}
    assert otsu[47:49].all()
    assert not otsu[:30].any()


def test_darkness_does_not_depend_on_a_linear_normalisation() -> None:
    image = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Darkness()(image).prob, Darkness()(3 * image - 1).prob)


def test_otsu_parts_two_values() -> None:
    values = torch.tensor([0.1] * 50 + [0.8] * 10)
    assert 0.1 < otsu_threshold(values) < 0.8
    assert otsu_threshold(torch.full((9,), 0.3)) == 1.0


def test_enlarged_logits_are_segmented_at_lr() -> None:
    seen = []

    class Net(torch.nn.Module):
        def forward(self, image, kernel=None):
            seen.append(image.shape)
            return torch.sigmoid(image[:, :1]), None

    prob, aux = Enlarged(Net())(torch.zeros(2, 3, 6, 8))
    assert seen == [(2, 3, 6, 8)]
    assert prob.shape == (2, 1, 24, 32)
    torch.testing.assert_close(prob, torch.full_like(prob, 0.5))
    assert aux is None


def test_models_read_the_image_that_their_row_says(batch) -> None:
    hr, _, _, kernel = batch
    for name, shape in (("hr-pspnet", None), ("lr+pspnet", None), ("bicubic+pspnet", hr.shape)):
        row = experiment(name)
        model = build_model(architecture_of(row, QUICK, PROTOCOL))
        out = predict(model, hr, kernel, PROTOCOL)
        assert out.prob.shape == (len(hr), 1, *hr.shape[2:]), name
        assert (out.sr if out.sr is None else out.sr.shape) == shape, name
    assert isinstance(model.sr, Bicubic)


def test_an_oracle_needs_the_true_kernel_and_uses_it(batch) -> None:
    hr, _, _, kernel = batch
    model = build_model(architecture_of(experiment("kbpn-true+pspnet"), QUICK, PROTOCOL)).eval()
    lr = degrade(hr, kernel, PROTOCOL)
    with pytest.raises(ValueError, match="needs the true kernel"):
        model(lr)
    out = predict(model, hr, kernel, PROTOCOL)
    torch.testing.assert_close(out.kernel, kernel)


def test_one_kernel_for_all_images_is_kept_with_the_weights(batch) -> None:
    hr, _, _, kernel = batch
    model = build_model(architecture_of(experiment("kbpn-constant+pspnet"), QUICK, PROTOCOL))
    model.constant.copy_(constant_kernel(PROTOCOL))
    assert "constant" in model.state_dict()
    out = predict(model, hr, kernel, PROTOCOL)
    torch.testing.assert_close(out.kernel, constant_kernel(PROTOCOL).expand_as(kernel))


def test_a_shuffled_skip_gets_the_kernel_of_the_next_image() -> None:
    seen = []

    class Net(torch.nn.Module):
        def forward(self, image, kernel=None):
            seen.append(kernel)
            return image[:, :1], None

    kernels = random_kernels(3, np.random.default_rng(0), PROTOCOL)
    for shuffle in (False, True):
        Joint(None, Net(), reads="lr", shuffle_kernels=shuffle)(torch.rand(3, 3, 8, 8), kernels)
    torch.testing.assert_close(seen[0], kernels.flatten(1))
    torch.testing.assert_close(seen[1], kernels.flatten(1).roll(1, 0))
