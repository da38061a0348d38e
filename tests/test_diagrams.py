"""Diagrams can be read; counts of networks are right; tables and plots say what they read."""

from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyBboxPatch
from matplotlib.transforms import Bbox
from torch import nn

from csbsr.networks.blur_skip import BlurSkip
from csbsr.networks.dbpn import DBPN
from csbsr.networks.kbpn import KBPN
from csbsr.networks.pspnet import PSPNet
from csbsr.study.profiles import NAMES, load_profile
from csbsr_book.chapters import diagrams
from csbsr_book.chapters import introduction as introduction_figures
from csbsr_book.chapters import ledger as summary_tables
from csbsr_book.chapters import networks as network_figures
from csbsr_book.chapters import networks as segmentation_figures
from csbsr_book.chapters import strategy as strategy_figures
from csbsr_book.chapters.diagrams import thumbnails
from csbsr_book.chapters.network_tables import (
    HR,
    LR,
    cost_table,
    count,
    measured_seconds,
    shape_table,
)
from csbsr_book.chapters.networks import Layout, Node, chain, draw
from csbsr_book.paper.printed import load_parameters, load_table
from csbsr_book.site.drawing import SMALL
from csbsr_book.site.table import Words, html, values

DIAGRAMS = {
    "figure-2": diagrams.combinations_figure,
    "figure-3": diagrams.joint_figure,
    "figure-4": diagrams.blur_skip_figure,
    "dbpn": network_figures.dbpn_figure,
    "kbpn": network_figures.kbpn_figure,
    "kbpn-stage": network_figures.kbpn_stage_figure,
    "srcnet": network_figures.srcnet_figure,
    "pspnet": segmentation_figures.pspnet_figure,
    "unet": segmentation_figures.unet_figure,
    "hrnet": segmentation_figures.hrnet_figure,
    "segnet": segmentation_figures.segnet_figure,
    "crackformer": segmentation_figures.crackformer_figure,
    "dsrl": segmentation_figures.dsrl_figure,
    "steps": lambda: strategy_figures.steps_figure(load_profile("paper")),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def boxes_of(figure: Figure) -> tuple[list[tuple[str, Bbox]], list[Bbox]]:
    """Extents in pixels of all texts, and of all boxes and ellipses."""
    figure.canvas.draw()
    axes = figure.axes[0]
    texts = [(t.get_text(), t.get_window_extent()) for t in axes.texts]
    shapes = [
        p.get_window_extent() for p in axes.patches if isinstance(p, FancyBboxPatch | Ellipse)
    ]
    return texts, shapes


def apart(a: Bbox, b: Bbox) -> bool:
    return a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0


def inside(a: Bbox, b: Bbox) -> bool:
    return a.x0 >= b.x0 and a.x1 <= b.x1 and a.y0 >= b.y0 and a.y1 <= b.y1


@pytest.mark.parametrize("name", DIAGRAMS)
def test_diagrams_can_be_read(name):
    figure = DIAGRAMS[name]()
    texts, shapes = boxes_of(figure)
    assert all(t.get_fontsize() >= SMALL for t in figure.axes[0].texts)
    for text, extent in texts:
        assert inside(extent, figure.bbox), f"'{text}' leaves the figure"
        for shape in shapes:
            assert inside(extent, shape) or apart(extent, shape), f"'{text}' crosses a line"
    for (one, a), (other, b) in combinations(texts, 2):
        assert apart(a, b), f"'{one}' and '{other}' overlap"


def test_the_pictures_in_the_diagrams_are_degraded_by_eq_1():
    seen = thumbnails()
    assert seen.hr.shape == seen.sr.shape == (160, 160, 3)
    assert seen.lr.shape == (40, 40, 3)
    assert set(np.unique(seen.mask)) == {0, 255}
    assert seen.kernel.sum() == pytest.approx(1)


def test_an_edge_to_an_unknown_node_is_an_error():
    with pytest.raises(KeyError, match="nowhere"):
        draw(Layout(("one",), {"a": Node(1, 0, "a")}, chain("a", "nowhere")))


class Tiny(nn.Module):
    """Two convolutions that can be counted by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, padding=1)
        self.second = nn.Conv2d(5, 2, 1, stride=2, bias=False)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        return self.second(self.first(x))


def test_counts_by_hand():
    counted = count(Tiny, 8, ("first", "second", "unused"))
    first, second = counted.parts  # what never runs has no shape and is not listed
    assert (first.shape, first.parameters, first.macs) == ((5, 8, 8), 3 * 5 * 9 + 5, 135 * 64)
    assert (second.shape, second.parameters, second.macs) == ((2, 4, 4), 10, 10 * 16)
    assert counted.macs == first.macs + second.macs
    assert counted.parameters == first.parameters + second.parameters + 12


def test_counting_allocates_nothing_and_leaves_the_default_device():
    count(Tiny, 100_000)
    assert torch.empty(1).device.type == "cpu"


def test_plain_forms_have_the_authors_multiply_adds():
    # Facts measured on the authors' modules, see the notes on their code.
    assert count(DBPN, LR).macs / 1e9 == pytest.approx(75.1, abs=0.05)
    plain = count(lambda: KBPN(estimated_kernel=7, plain=True), LR)
    ours = count(lambda: KBPN(estimated_kernel=7), LR)
    assert plain.macs / 1e9 == pytest.approx(1004.0, abs=0.05)
    assert plain.parameters == ours.parameters == 61_158_563
    assert ours.macs < 0.7 * plain.macs
    skip = count(lambda: PSPNet("resnet34", blur_skip=BlurSkip(plain=True)), HR, kernel=True)
    assert skip.macs / 1e9 == pytest.approx(2214.7, abs=0.05)


def test_tables_of_counts(tmp_path):
    counted = count(Tiny, 8, ("first",))
    table = shape_table(counted, ["a & b"], "x")
    assert values(table)["rows"][0][:3] == ["a & b first", "5 × 8 × 8", counted.parts[0].parameters]
    assert "a &amp; b" in html(table)
    with pytest.raises(ValueError, match="zip"):
        shape_table(counted, ["one", "two"], "x")
    assert "the same" in html(cost_table([("Tiny", counted, None, "")], tmp_path))
    assert measured_seconds(tmp_path) == {}
    (tmp_path / "networks.json").write_text('{"networks": [{"name": "Tiny", "seconds": 0.125}]}')
    (row,) = values(cost_table([("Tiny", counted, None, "")], tmp_path))["rows"]
    assert row[4] == 0.125


@pytest.mark.parametrize("name", NAMES)
def test_schedules_end_where_the_steps_end(name):
    profile = load_profile(name)
    figure = strategy_figures.schedules_figure(profile, points=50)
    total = sum(getattr(profile, s).iterations for s in strategy_figures.STEPS)
    last = max(line.get_xdata().max() for line in figure.axes[1].lines)
    assert last == pytest.approx((total - 1) / 1000)
    alpha = figure.axes[2].lines[0].get_ydata()
    assert alpha[0] == 0
    assert alpha.max() <= 0.99


def test_log_figure_shows_what_was_logged_and_says_what_was_not():
    nan = np.full(2, np.nan)
    steps = np.array([1.0, 2.0])
    logs = {
        "step1": {"iteration": steps, "L_S": np.array([0.2, 0.1]), "alpha": nan, "lr_sr": steps},
        "step3": {"iteration": steps, "L_S": np.array([0.1, 0.1]), "L_C": np.array([1.0, 0.5])},
    }
    figure = strategy_figures.log_figure(logs)
    first, second = figure.axes[0].lines
    assert list(first.get_xdata()) == [1, 2]
    assert list(second.get_xdata()) == [3, 4]  # steps follow each other
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        r"$\mathcal{L}_S$"
    ]
    assert "no log" in figure.axes[2].texts[0].get_text()


def test_who_feels_the_segmentation_loss():
    rows = values(strategy_figures.gradient_table())["rows"]
    zero = [[size == 0 for size in row[1:]] for row in rows]
    assert zero == [
        [True, False],  # independent
        [False, True],  # beta 0
        [False, False],
        [False, False],
        [True, False],  # detached, beta 1
    ]


def test_table_1_has_the_papers_ticks():
    table = html(introduction_figures.problems_table({"2": Words("<here>", link="x.html")}))
    ticks = sum(sum(row.values.values()) for row in load_table("I").rows)
    assert table.count("✓") == ticks
    assert '<a href="x.html">&lt;here&gt;</a>' in table


def test_hyperparameters_come_from_their_files():
    table = html(summary_tables.hyperparameter_table())
    split = summary_tables.SPLIT.values()
    more = sum(len(rows) - 1 for rows in split) + 1  # and the crop, which has no one number
    assert table.count('scope="row"') == len(load_parameters()) + more
    assert "alpha alpha" not in table
    quick = load_profile("quick")
    rows = {row[0]: row for row in values(summary_tables.hyperparameter_table())["rows"]}
    assert rows["learning rate, step 2"][4] == quick.step2.lr_sr
    assert rows["learning rate of S, step 3"][4] == quick.step3.lr_sr
    assert rows["training crop"][4] == quick.images.crop
    assert "0.2 to 4 px^2" in table
    assert f"{load_profile('quick').step1.lr_sr:.1e}".replace("e-0", "e-") in table
