"""The model that comes with the package: it is there, says what it is, behaves at the limits."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from csbsr.cli import main
from csbsr.data.walls import Walls, wall_photograph
from csbsr.inference import segment_photograph
from csbsr.inference.shipped import SHIPPED, load_shipped
from csbsr.study.provenance import PACKAGE
from csbsr.study.shipped import ARCHITECTURE, LESSONS, PROTOCOL, Seen, seconds_of
from csbsr_book.chapters.shipped import limit_pictures


@pytest.fixture(scope="module")
def model():
    return load_shipped()


def test_file_is_small_and_says_what_it_is(model) -> None:
    assert SHIPPED.stat().st_size < 10e6
    assert model.licence == "MIT", "trained on drawn pictures alone"
    assert model.architecture == ARCHITECTURE
    assert model.protocol == PROTOCOL
    assert model.threshold.chosen_on == "validation"
    card = model.run_card
    assert card["data"] == "synthetic"
    assert list(card["lessons"]) == [lesson.name for lesson in LESSONS]
    assert card["threshold_chosen_on"]
    assert {"synthetic", "walls", "khanhha-mini"} <= {row["data"] for row in card["measured"]}


def test_it_is_better_than_darkness_on_photographs(model) -> None:
    place = "results/quick/khanhha-mini/reproduction+quick/darkness-seed0.json"
    darkness = json.loads((PACKAGE.parent / place).read_text())["metrics"]["IoU_max"]
    rows = {row["data"]: row for row in model.run_card["measured"]}
    assert rows["khanhha-mini"]["IoU_max_lr"] > darkness


def test_segment_needs_no_weights(tmp_path, capsys) -> None:
    pixels, _ = wall_photograph(np.random.default_rng(3), 64)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / "wall.png")
    out = tmp_path / "out"
    arguments = ["segment", str(tmp_path / "wall.png"), "--output", str(out), "--device", "cpu"]
    assert main(arguments) == 0
    found = json.loads((out / "wall-cracks.json").read_text())
    assert found["model"] == "shipped"
    assert found["scale"] == 4
    assert main([*arguments, "--seed", "1"]) == 2
    assert "name an experiment" in capsys.readouterr().err


@pytest.mark.parametrize("name", limit_pictures())
@pytest.mark.parametrize("hr", [False, True])
def test_no_crack_where_there_is_none(model, name: str, hr: bool) -> None:
    image = limit_pictures(64)[name]
    prob = segment_photograph(model.module, image, hr=hr).prob
    marked = (prob > model.threshold.value).float().mean().item()
    assert marked < (1e-9 if name == "constant grey" else 0.01)


def test_walls_are_a_function_of_their_number() -> None:
    one, two = Walls(6, 64, seed=4), Walls(6, 64, seed=4)
    np.testing.assert_array_equal(one.load(5)[0], two.load(5)[0])
    assert not np.array_equal(one.load(5)[0], Walls(6, 64, seed=5).load(5)[0])
    assert not np.array_equal(one.load(5)[0], Walls(6, 64, seed=4, split="test").load(5)[0])
    for image, mask in map(one.load, range(6)):
        assert image.shape == (3, 64, 64)
        assert image.dtype == np.uint8
        assert mask.shape == (1, 64, 64)
        assert mask.dtype == bool
    with pytest.raises(ValueError, match="divide by 4"):
        Walls(1, 63)
    with pytest.raises(ValueError, match="unknown"):
        Walls(1, 64, split="night")


def test_masks_lie_on_what_is_dark() -> None:
    walls = Walls(24, 96, seed=1)
    darker = []
    for image, mask in map(walls.load, range(24)):
        if mask.any():
            grey = image.mean(0)
            darker.append(grey[mask[0]].mean() < grey[~mask[0]].mean())
    assert np.mean(darker) > 0.85
    assert len(darker) < 24, "some walls have no crack"


def test_c_sees_every_third_picture_sharp() -> None:
    walls = Walls(3, 64, seed=2)
    seen = Seen(walls, seed=0)
    np.testing.assert_array_equal(seen.load(0)[0], walls.load(0)[0])
    for i in (1, 2):
        image, mask = seen.load(i)
        np.testing.assert_array_equal(mask, walls.load(i)[1])
        assert np.diff(image.astype(int)).std() < np.diff(walls.load(i)[0].astype(int)).std()


def test_cost_is_read_from_the_log(tmp_path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"iteration": 10, "it_per_s": 2.0}\n{"iteration": 30, "it_per_s": 4.0}\n')
    assert seconds_of(log) == pytest.approx(10)


def test_weights_are_finite_in_the_precision_of_the_file(model) -> None:
    assert all(torch.isfinite(value).all() for value in model.module.state_dict().values())
