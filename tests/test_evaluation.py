"""Evaluation: what is measured of each image, the validation threshold, the breakdown."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from csbsr.evaluation import best_threshold, evaluate
from csbsr.metrics import THRESHOLDS, centreline_curve, overlap_counts, threshold_curves
from csbsr.networks.joint import JointOutput
from csbsr.protocol import REPRODUCTION
from csbsr.study.record import recorded
from csbsr.study.results import SCHEMA
from csbsr.study.results import _check as check_content

NAMES = ["CFD_001", "CFD_002", "DeepCrack_1-1", "noncrack_wall_1_1", "odd"]


class Images:
    """Five small images: a thin crack, a wide one, and one image without; the last is larger."""

    names = NAMES

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        side = 64 if self.names[i] == "odd" else 48
        mask = np.zeros((1, side, side), bool)
        if self.names[i] != "noncrack_wall_1_1":
            mask[:, 20 : (21 if i < 2 else 29), 4:-4] = True
        image = np.full((3, side, side), 120 + i, np.uint8)
        return np.where(mask, 60, image).astype(np.uint8), mask


class Found(nn.Module):
    """Marks what is dark with 0.6, thin cracks with 0.3, and the top row of each image with 0.4."""

    reads, kernel_source, sr = "hr", "estimate", None

    def forward(self, image: Tensor, kernel: Tensor | None = None) -> JointOutput:
        dark = (image[:, :1] < 0.3).float()
        thin = (dark.sum((2, 3), keepdim=True) < 60).float()
        prob = dark * (0.6 - 0.3 * thin)
        prob[:, :, 0] = 0.4
        return JointOutput(image, prob)


def numbers_as_in_a_result_file(content: dict) -> None:
    """`csbsr.study.results` believes the content."""
    card = {"fingerprint": "", "data": "synthetic"}
    head = {"schema": SCHEMA, "experiment": "e", "profile": "p", "protocol": "r", "seed": 0}
    check_content(head | content | {"run_card": card})


def test_every_value_is_that_of_the_metrics() -> None:
    source = Images()
    result = evaluate(Found(), source, REPRODUCTION, batch=2)
    assert result.names == NAMES
    assert result.psnr is None
    assert result.kernel_psnr is None
    for i in range(len(NAMES)):
        image, mask = source.load(i)
        prob = Found()(torch.from_numpy(image)[None] / 255).prob[0, 0].numpy()
        for percentile, hausdorff in ((95, result.hd95), (50, result.hd50)):
            curves = threshold_curves(
                prob, mask[0], THRESHOLDS, percentile, REPRODUCTION.empty_penalty
            )
            np.testing.assert_array_equal(curves.hausdorff, hausdorff[i])
            np.testing.assert_array_equal(curves.iou, result.iou[i])
        counts = overlap_counts(prob, mask[0])
        marked = counts.true_positive + counts.false_positive
        np.testing.assert_array_equal(result.predicted_share[i], marked / mask.size)
        lines = centreline_curve(prob, mask[0], np.arange(1, 10) / 10, 4.0)
        np.testing.assert_array_equal(lines.iou, result.centreline[i])


def test_breakdown_by_source_width_and_crack_free_images() -> None:
    result = evaluate(Found(), Images(), REPRODUCTION)
    at_half = recorded(result, 0.5)
    assert json.loads(json.dumps(at_half, allow_nan=False)) == at_half
    numbers_as_in_a_result_file(at_half)
    assert at_half["metrics"]["validation_threshold"] == 0.5
    assert at_half["metrics"]["IoU_at_validation_threshold"] == pytest.approx(
        result.iou[:, 49].mean(), rel=1e-6
    )
    assert at_half["metrics"]["false_alarm_area"] == 0
    assert at_half["curves"]["false_alarm_area"][38] == pytest.approx(1 / 48)  # up to 0.39
    assert at_half["curves"]["false_alarm_area"][39] == 0
    thin, *_, wide = (at_half["widths"][k] for k in (0, 1, 2))
    assert (thin["up_to"], thin["pixels"], thin["recall"]) == (3.0, pytest.approx(80, abs=20), 0.0)
    assert (wide["above"], wide["recall"]) == (6.0, 1.0)
    assert at_half["widths"][3] == {
        "above": 12.0,
        "up_to": None,
        "pixels": 0,
        "recall": None,
        "curve": [None] * 99,
    }
    assert len(thin["curve"]) == 99
    sources = at_half["sources"]
    assert list(sources) == ["CFD", "DeepCrack", "noncrack", "other"]
    assert sources["CFD"]["line_recall"] == 0
    assert sources["DeepCrack"]["recall"] == 1
    assert sources["noncrack"]["crack_free"] == 1
    assert sources["noncrack"]["IoU"] is None
    assert sources["noncrack"]["false_alarm_area"] == 0


def test_intervals_draw_photographs_not_crops() -> None:
    result = evaluate(Found(), Images(), REPRODUCTION)
    result = result._replace(iou=np.linspace(0, 1, len(NAMES))[:, None] * np.ones((1, 99)))
    apart, together = (
        recorded(result._replace(names=[pattern.format(i) for i in range(len(NAMES))]))
        for pattern in ("CFD_{}", "DeepCrack_wall-{}")
    )
    low, high = apart["metrics"]["intervals"]["IoU_max"]
    assert low < 0.5 < high
    assert together["metrics"]["intervals"]["IoU_max"] == pytest.approx([0.5, 0.5])


def test_without_validation_the_best_mean_iou_decides() -> None:
    result = evaluate(Found(), Images(), REPRODUCTION)
    found = recorded(result)
    assert found["metrics"]["validation_threshold"] is None
    assert found["metrics"]["IoU_at_validation_threshold"] is None
    best = int(result.iou.mean(0).argmax())
    assert found["sources"]["CFD"]["IoU"] == pytest.approx(result.iou[:2, best].mean(), rel=1e-6)
    with pytest.raises(ValueError, match="none of the evaluation's thresholds"):
        recorded(result, 0.123)


def test_the_threshold_is_that_of_the_highest_mean_iou() -> None:
    result = evaluate(Found(), Images(), REPRODUCTION, batch=3)
    best = THRESHOLDS[result.iou.mean(0).argmax()]
    for batch in (1, 4):
        assert best_threshold(Found(), Images(), REPRODUCTION, batch=batch) == best
    nothing = Images()
    nothing.names = []
    assert best_threshold(Found(), nothing, REPRODUCTION) is None
    with pytest.raises(ValueError, match="no test images"):
        evaluate(Found(), nothing, REPRODUCTION)


def test_an_image_that_cannot_be_measured_is_named() -> None:
    class Broken(Found):
        def forward(self, image: Tensor, kernel: Tensor | None = None) -> JointOutput:
            return JointOutput(image, torch.full_like(image[:, :1], torch.nan))

    with pytest.raises(ValueError, match="image CFD_001: prob contains NaN"):
        evaluate(Broken(), Images(), REPRODUCTION)
