"""What learns in each step of the training strategy and by which loss, on the real networks."""

import numpy as np
import pytest
import torch
from torch import nn
from training_stand_ins import Cracks, run, same, tiny, tiny_stage, weights

from csbsr.data.stream import NaturalStream
from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.dbpn import DBPN
from csbsr.networks.dsrl import DSRL
from csbsr.networks.joint import DSRLJoint, Joint
from csbsr.networks.kbpn import KBPN
from csbsr.networks.pspnet import PSPNet
from csbsr.protocol import PRINTED, RELEASED
from csbsr.training.log import read_log
from csbsr.training.trainer import train


def kbpn():
    return KBPN(8, 2, estimated_kernel=7, sft_hidden=2, updater_width=2)


def csbsr(sr=kbpn, skip=False):
    torch.manual_seed(0)
    segmentation = PSPNet(width=4, bins=(1, 2))
    if skip:
        segmentation.blur_skip = BlurSkip(segmentation.skip_channels, hidden=2)
    return Joint(sr() if sr else None, segmentation)


def stage(**values):
    return tiny_stage(**({"iterations": 1, "sr_loss": "kbpn", "log_every": 1} | values))


def changed(before, after):
    return {k for k in before if not torch.equal(before[k], after[k])}


@pytest.mark.parametrize(
    ("train_what", "sr_moves", "segmentation_moves"),
    [("sr", True, False), ("segmentation", False, True), ("both", True, True)],
)
def test_only_what_a_step_trains_changes(tmp_path, train_what, sr_moves, segmentation_moves):
    network = csbsr()
    sr, segmentation = weights(network.sr), weights(network.segmentation)
    run(network, stage(train=train_what), tmp_path)
    assert same(sr, weights(network.sr)) != sr_moves
    # Batch norm statistics included: a frozen half stands still entirely.
    assert same(segmentation, weights(network.segmentation)) != segmentation_moves


def test_the_blur_skip_alone_learns_under_the_released_protocol(tmp_path):
    network = csbsr(skip=True)
    before = weights(network)
    run(network, stage(train="blur_skip"), tmp_path)
    moved = changed(before, weights(network))
    assert moved
    assert all(k.startswith("segmentation.blur_skip.") for k in moved)


def test_the_blur_skip_learns_with_everything_under_the_papers(tmp_path):
    network = csbsr(skip=True)
    before = weights(network)
    run(network, stage(train="all"), tmp_path)
    moved = changed(before, weights(network))
    for part in ("sr.", "segmentation.blur_skip.", "segmentation.head."):
        assert any(k.startswith(part) for k in moved)


def test_the_phases_of_kbpn_train_their_parts_in_turn(tmp_path):
    network = csbsr()
    estimator = {id(p) for p in network.sr.kernel_parameters()}
    names = {n for n, p in network.sr.named_parameters() if id(p) in estimator}
    moved = []
    for phase in ((1, 2), (0, 1), (0, 0)):
        before = weights(network.sr)
        run(network, stage(train="sr", kernel_phases=phase), tmp_path / str(phase))
        moved.append(changed(before, weights(network.sr)))
    given, kernel_only, everything = moved
    assert given
    assert not given & names  # the estimator stands still
    assert kernel_only
    assert kernel_only <= names
    assert everything & names
    assert everything - names


def test_phases_follow_each_other_within_one_run(tmp_path):
    run(csbsr(), stage(iterations=3, train="sr", kernel_phases=(1, 2)), tmp_path, protocol=PRINTED)
    kernel_error = read_log(tmp_path)["L_S_kernel"]
    assert kernel_error[0] < 1e-12 < kernel_error[1]  # the true kernel is given at first


def test_detach_keeps_the_segmentation_loss_from_the_sr_network(tmp_path):
    """With beta = 1, L_S has no weight, so S can move only by L_C."""
    joint, detached = tiny(), tiny()
    before = weights(joint.sr)
    run(joint, tiny_stage(beta=1.0), tmp_path / "joint")
    run(detached, tiny_stage(beta=1.0, detach=True), tmp_path / "detached")
    assert not same(before, weights(joint.sr))
    assert same(before, weights(detached.sr))
    assert not same(weights(tiny().segmentation), weights(detached.segmentation))


@pytest.mark.parametrize("protocol", [PRINTED, RELEASED], ids=lambda p: p.name)
@pytest.mark.parametrize(
    "values",
    [
        {"loss": "gbc", "beta": "increasing"},
        {"crack_weight": 1.0, "fail_weight": 2.0},
        {"segmentation_on_sr": True, "loss": "combo"},
        {"fail_weight_on_segmentation": 1.0, "loss": "bgdice"},
        {"loss": "wce", "lr_decay": "cosine", "warmup": 1},
        {"loss": "rcf"},
    ],
    ids=lambda v: "-".join(v),
)
def test_every_loss_and_weight_trains_without_nan(tmp_path, protocol, values):
    run(tiny(), tiny_stage(**values), tmp_path, protocol=protocol)
    log = read_log(tmp_path)
    assert np.isfinite(log["loss"]).all()
    assert np.isfinite(log["L_S"]).all()
    assert ("L_C_aux" in log) == (protocol is RELEASED)


def test_the_weights_enter_the_loss_of_the_sr_network(tmp_path):
    values = {}
    for name, extra in (
        ("plain", {}),
        ("crack", {"crack_weight": 8.0}),
        ("fail", {"fail_weight": 1.0}),
    ):
        run(
            tiny(),
            tiny_stage(iterations=1, log_every=1, **extra),
            tmp_path / name,
            protocol=PRINTED,
        )
        values[name] = read_log(tmp_path / name)
    assert values["crack"]["L_S"] < values["plain"]["L_S"] < values["fail"]["L_S"]
    assert values["crack"]["L_C"] == values["plain"]["L_C"] == values["fail"]["L_C"]


def test_the_weight_on_the_segmentation_loss_leaves_the_other_alone(tmp_path):
    run(tiny(), tiny_stage(iterations=1, log_every=1, loss="bce"), tmp_path / "a")
    config = tiny_stage(iterations=1, log_every=1, loss="bce", fail_weight_on_segmentation=1.0)
    run(tiny(), config, tmp_path / "b")
    plain, weighted = read_log(tmp_path / "a"), read_log(tmp_path / "b")
    assert weighted["L_C"] > plain["L_C"]
    assert weighted["L_S"] == plain["L_S"]


def test_auxiliary_heads_enter_as_the_protocol_says(tmp_path):
    for protocol in (PRINTED, RELEASED):
        network = tiny()
        before = weights(network.segmentation.aux_head)
        run(network, tiny_stage(loss="dice"), tmp_path / protocol.name, protocol=protocol)
        learns = not same(before, weights(network.segmentation.aux_head))
        assert learns == (protocol is RELEASED)


def test_eq_2_weighs_the_two_losses(tmp_path):
    run(tiny(), tiny_stage(beta=0.3), tmp_path)
    log = read_log(tmp_path)
    np.testing.assert_allclose(log["loss"], 0.7 * log["L_S"] + 0.3 * log["L_C"], rtol=1e-5)


def test_either_half_may_be_absent(tmp_path):
    run(csbsr(sr=None), stage(train="segmentation"), tmp_path / "hr")
    run(Joint(kbpn(), nn.Identity()), stage(train="sr"), tmp_path / "sr")
    run(csbsr(sr=lambda: DBPN(width=4, stages=2)), stage(sr_loss="l1"), tmp_path / "dbpn")
    log = read_log(tmp_path / "dbpn")
    assert "L_S_kernel" not in log
    assert np.isfinite(log["L_C"]).all()


class Textures:
    """Two noise images without masks, of different sizes."""

    names = ("x.png", "y.png")

    def load(self, i):
        return np.random.default_rng(50 + i).integers(0, 255, (3, 48, 40 + 8 * i), np.uint8)


def test_sr_pre_training_takes_natural_images(tmp_path):
    torch.manual_seed(0)
    network, config = Joint(kbpn(), nn.Identity()), stage(train="sr")
    stream = NaturalStream(Textures(), 32, 2, 0, PRINTED)
    train(network, config, stream, seed=0, protocol=PRINTED, folder=tmp_path, progress="quiet")
    assert set(read_log(tmp_path)) >= {"L_S", "L_S_hr", "L_S_lr", "L_S_kernel"}


class Wide(Cracks):
    """Larger images, for a network that reduces a lot."""

    def load(self, i):
        image, mask = super().load(i)
        return np.tile(image, (1, 2, 2)), np.tile(mask, (1, 2, 2))


def test_dsrl_trains_on_its_own_objective(tmp_path):
    torch.manual_seed(0)
    network = DSRLJoint(DSRL(width=4, scale=4))
    before = weights(network)
    run(network, stage(crop=64, sr_loss="dsrl", loss="bce"), tmp_path, source=Wide())
    assert not same(before, weights(network))
    log = read_log(tmp_path)
    total = log["L_C"] + 0.5 * (log["L_S"] + log["feature_affinity"])
    np.testing.assert_allclose(log["loss"], total, rtol=1e-5)


@pytest.mark.parametrize(
    ("network", "values", "words"),
    [
        (lambda: csbsr(sr=None), {"train": "both"}, "needs a super-resolution network"),
        (tiny, {"train": "blur_skip"}, "blur skip"),
        (tiny, {"train": "sr"}, "sr_loss = 'kbpn'"),
        (tiny, {"kernel_phases": (1, 2)}, "kernel_phases"),
    ],
)
def test_a_step_that_does_not_fit_the_model_is_refused(tmp_path, network, values, words):
    with pytest.raises(ValueError, match=words) as caught:
        run(network(), stage(**values), tmp_path)
    assert "\n" not in str(caught.value)
