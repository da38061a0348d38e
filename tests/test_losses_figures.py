"""The drawn predictions of the loss chapters are what they are called; figures can be drawn."""

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure

from csbsr.data.distances import signed_distances
from csbsr.protocol import PRINTED, RELEASED
from csbsr_book.chapters import example_crack as loss_examples
from csbsr_book.chapters import losses as loss_figures
from csbsr_book.chapters import sr_loss_weights as weight_figures
from csbsr_book.site.table import values

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def example() -> loss_examples.Example:
    """A horizontal crack, nine pixels wide, in 64 x 64 pixels."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, 30:39, 4:60] = 1
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return loss_examples.Example(image, mask, signed_distances(mask))


def test_the_example_is_a_function_of_its_seed():
    first, again = (loss_examples.example_crack(size=128, seed=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert 0.02 <= first.mask.mean() <= 0.06
    assert first.distance.min() <= -3


def test_displacement_is_across_the_crack(example):
    moved = loss_examples.shifted(example, 4)
    assert torch.equal(moved[:, :, 34:43], example.mask[:, :, 30:39])


def test_dilation_and_erosion(example):
    rows = [loss_examples.grown(example, n)[0, 0, :, 32].sum().item() for n in (-2, -1, 0, 1, 3)]
    assert rows == [5, 7, 9, 11, 15]


def test_missed_share(example):
    for share in (0.0, 0.25, 0.5, 1.0):
        left = loss_examples.partly_missed(example, share)
        assert left.sum() / example.mask.sum() == pytest.approx(1 - share, abs=0.03)
        assert (left <= example.mask).all()


def test_flawed_prediction(example):
    prob = loss_examples.flawed_prediction(example)[0, 0]
    assert 0 < prob.min() < prob.max() < 1
    assert prob[34, 10] > 0.9 > 0.2 > prob[34, 55]
    assert prob[example.distance[0, 0] > 10].max() > 0.5  # the blob


@pytest.mark.parametrize(
    "draw",
    [
        loss_figures.distance_figure,
        loss_figures.landscape_figure,
        lambda example: loss_figures.push_figure(example, RELEASED),
        lambda example: loss_figures.push_figure(example, PRINTED),
        loss_figures.vanishing_figure,
        loss_figures.alpha_figure,
        weight_figures.crack_weight_figure,
        weight_figures.fail_weight_figure,
        weight_figures.weighted_error_figure,
        weight_figures.share_figure,
    ],
)
def test_figures_are_drawn(example, draw):
    figure = draw(example)
    assert isinstance(figure, Figure)
    plt.close(figure)


def test_table_has_every_term_in_both_forms(example):
    rows = values(loss_figures.sizes_table(example))["rows"]
    forms = [f"{n}, {form}" for form in ("printed", "released") for n in loss_figures.STYLES]
    assert [row[0] for row in rows] == forms
    assert all(isinstance(value, float) for row in rows for value in row[1:])


def test_shares_of_a_uniform_map_are_areas(example):
    on, near = weight_figures.shares(torch.ones_like(example.mask), example)
    assert on == pytest.approx(example.mask.mean().item())
    assert near == pytest.approx((example.distance <= 4).float().mean().item())
