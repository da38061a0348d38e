"""Figures of the data chapter: they show what they say."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from csbsr.data.manifest import Entry, NearDuplicate
from csbsr.data.synthetic import SyntheticCracks
from csbsr.protocol import PRINTED
from csbsr.realistic import STRENGTHS
from csbsr_book.chapters.data import (
    contact_sheet,
    crack_share_histogram,
    degradation_gallery,
    image_and_mask_rows,
    leak_table,
    realistic_gallery,
    split_table,
)
from csbsr_book.site.table import html, values


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def canvas(figure) -> np.ndarray:
    return figure.axes[0].images[0].get_array()


def test_contact_sheet_shows_the_first_images_whole():
    source = SyntheticCracks(5, 64)
    sheet = canvas(contact_sheet(source, count=5, columns=3))
    assert sheet.shape == (64 * 2 + 6, 64 * 3 + 12, 3)
    assert np.array_equal(sheet[:64, 70:134], source.load(1)[0].transpose(1, 2, 0))


def test_rows_show_masks_below_images_with_cracks_only():
    source = SyntheticCracks(12, 64)
    rows = canvas(image_and_mask_rows(source, count=11))
    masks = rows[70:]
    assert set(np.unique(masks)) == {0, 255}
    assert np.array_equal(masks[:, -64:, 0] > 0, source.load(11)[1][0])


def test_galleries_have_a_column_per_blur_and_a_row_per_kind():
    image, mask = SyntheticCracks(1, 64).load(0)
    gallery = degradation_gallery(
        image, PRINTED, cases=[(0.5, 0.5, 0), (2, 1, 45)], mask=mask, window=32
    )
    assert len(gallery.axes) == 6
    assert gallery.axes[2].images[0].get_array().shape == (32, 32, 3)
    assert gallery.axes[4].images[0].get_array().shape == (8, 8, 3)
    unseen = realistic_gallery(image, "a", PRINTED, mask=mask, window=32)
    assert len(unseen.axes) == 4 * len(STRENGTHS)


def test_histogram_counts_every_image():
    figure = crack_share_histogram({"train": [0.01, 0.02, 0.04], "test": [0.0]})
    labels = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert labels == ["train", "test"]


def test_tables_count_images_sizes_and_leaks():
    entries = [Entry("<a>", "train", 8, 8, share, str(share)) for share in (0.0, 0.02, 0.02)]
    (row,) = values(split_table({"train": entries}))["rows"]
    assert row == ["train", 3, "8 x 8", pytest.approx(4 / 3), 2.0, 1, 1]
    assert "1.33" in html(split_table({"train": entries}))
    assert "No training image" in html(leak_table([]))
    assert "&lt;a&gt;" in html(leak_table([NearDuplicate("<a>", "b", 3, 0.95)]))
