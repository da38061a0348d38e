"""A training step refuses values that make no sense, with one line that names the value."""

import pytest

from csbsr.training.config import StepConfig


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"iterations": 0}, "iterations = 0"),
        ({"batch": 1.5}, "batch = 1.5"),
        ({"batch": True}, "batch = True"),
        ({"crop": 90}, "multiple of 4"),
        ({"crop": 0}, "crop = 0"),
        ({"train": "everything"}, "train = 'everything'"),
        ({"loss": "focal"}, "loss = 'focal'"),
        ({"sr_loss": "l2"}, "sr_loss = 'l2'"),
        ({"precision": "fp16"}, "fp32, tf32 or bf16"),
        ({"lr_decay": "step"}, "lr_decay = 'step'"),
        ({"lr_sr": 0.0}, "lr_sr = 0.0"),
        ({"lr_segmentation": 20.0}, "lr_segmentation = 20.0"),
        ({"warmup": 100}, "warmup = 100 must be a whole number in 0..99"),
        ({"beta": 1.2}, "beta = 1.2"),
        ({"beta": "rising"}, "'increasing'"),
        ({"crack_weight": 0.0}, "crack_weight = 0.0"),
        ({"fail_weight": -1.0}, "fail_weight = -1.0"),
        ({"kernel_phases": (20, 10)}, "given_until <= kernel_only_until"),
        ({"kernel_phases": (5, 10), "sr_loss": "l1"}, "sr_loss = 'kbpn'"),
        ({"detach": True, "train": "segmentation"}, "detach"),
        ({"fail_weight": 1.0, "train": "segmentation"}, "fail_weight"),
        ({"segmentation_on_sr": True, "train": "sr"}, "segmentation_on_sr"),
        ({"sr_loss": "dsrl", "train": "sr"}, "DSRL"),
    ],
)
def test_a_bad_value_is_named_in_one_line(values, words):
    with pytest.raises(ValueError) as caught:
        StepConfig(**({"iterations": 100} | values))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_rate_of_zero_is_allowed_for_the_half_that_does_not_learn():
    StepConfig(iterations=10, train="sr", lr_segmentation=0.0)
    StepConfig(iterations=10, train="segmentation", lr_sr=0.0)


def test_how_often_a_run_is_logged_is_no_part_of_its_identity():
    a, b = StepConfig(iterations=10), StepConfig(iterations=10, log_every=1, checkpoint_every=2)
    assert a.identity() == b.identity()
    assert a.identity() != StepConfig(iterations=10, beta=0.5).identity()
