"""Exercises: every solution passes its check, every wrong or missing answer is told what is off."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from csbsr.degradation import blur, downsample
from csbsr.losses import boundary_combo_loss, dice_loss, weighted_cross_entropy
from csbsr.protocol import RELEASED
from csbsr_book.exercises import (
    answers,
    lab_boundary,
    lab_degradation,
    lab_joint,
    lab_metric,
    losses,
    toy,
)
from csbsr_book.exercises.answers import NotYet
from csbsr_book.site.editions import stub

ROOT = Path(__file__).parents[1]
BOOKS = {p.stem: nbformat.read(p, 4) for p in sorted((ROOT / "notebooks").glob("*.ipynb"))}
TAUGHT = [name for name, book in BOOKS.items() if any(c.id == "exercises" for c in book.cells)]
LABS = [name for name in TAUGHT if name.startswith("lab-")]
CHAPTERS = [name for name in TAUGHT if name not in LABS]
BC = boundary_combo_loss


def plain_kernel(sigma1: float, sigma2: float, theta: float) -> np.ndarray:
    return lab_degradation.true_kernel(sigma1, sigma2, theta)[0, 0].numpy()


def entropy(prob: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return weighted_cross_entropy(prob, mask, RELEASED)


def tagged(book: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    return [c for c in book.cells if tag in c.metadata.get("tags", [])]


def wrong(value: object) -> object:
    """An answer of the same kind that is not right."""
    match value:
        case bool() | np.bool_():
            return not value
        case str():
            return f"{value}?"
        case set():
            return set(sorted(value)[1:])
        case tuple() if len(value) == 2:
            return (value[0], value[0])
        case tuple() | list():
            return value[::-1] if value[::-1] != value else value[:-1]
        case _:
            return value * 1.3 + 1


def refused(source: str, names: dict) -> str:
    """What the check of a cell says; fails when it lets the answer pass."""
    with pytest.raises(NotYet) as caught:
        exec(source, names)
    return str(caught.value)


RUNS = {"joint": [0.21, 0.18, 0.24, 0.20, 0.19], "detached": [0.20, 0.18, 0.21, 0.20, 0.17]}


@pytest.fixture
def quick_labs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labs without their trainings, which `make book` runs."""
    found = {"alpha = 0": 0.3, "rising": 0.25, "alpha = 0.99": 0.05}
    monkeypatch.setattr(lab_boundary, "watch_alpha", lambda bc, seed: (None, dict(found)))
    monkeypatch.setattr(lab_joint, "run_pairs", lambda *arguments, seeds: RUNS)


@pytest.mark.parametrize("name", [*CHAPTERS, *LABS])
def test_solutions_pass_and_wrong_or_missing_answers_do_not(name: str, quick_labs, capsys) -> None:
    cells = BOOKS[name].cells
    start = next(i for i, c in enumerate(cells) if c.id == "exercises-check")
    names: dict = {"seed": 0}
    for cell in cells[start:]:
        if cell.cell_type != "code" or "chapter." in cell.source:
            continue
        before = dict(names)
        exec(cell.source, names)
        said = capsys.readouterr().out
        if "solution" not in cell.metadata.get("tags", []):
            continue
        assert said.startswith("✓ right"), cell.id
        assert refused(stub(cell.source), dict(before)), cell.id
        for line in re.findall(r"^.*# SOLUTION$", cell.source, re.M):
            for target in line.split(" = ")[0].split(","):
                target = target.strip()
                names_wrong = dict(before) | {"wrong_answer": wrong(names[target])}
                source = cell.source.replace(line, f"{line}\n{target} = wrong_answer")
                assert refused(source, names_wrong), f"{cell.id}: {target}"
        capsys.readouterr()


@pytest.mark.parametrize(
    ("check", "answer", "message"),
    [
        (lab_degradation.kernel, lambda a, b, t: plain_kernel(a, b, t) * 2, "sums to 2"),
        (lab_degradation.kernel, lambda a, b, t: plain_kernel(b, a, t), "is turned"),
        (lab_degradation.kernel, lambda a, b, t: plain_kernel(a, b, -t), "turns the wrong way"),
        (lab_degradation.kernel, lambda a, b, t: plain_kernel(a, b, t)[1:], "21 rows"),
        (lab_degradation.blurred, lambda image, one: image, "off by up to"),
        (lab_degradation.blurred, lambda image, one: blur(image, one, "reflect"), "zeros beyond"),
        (lab_degradation.degraded, lambda image, one: blur(downsample(image), one), "blurs first"),
        (lab_degradation.degraded, lambda i, k: downsample(blur(i, k), 4, False), "antialias=True"),
        (lab_boundary.boundary, lambda p, d: (p * d).mean(), "one per image"),
        (lab_boundary.boundary, lambda p, d: -(p * d).mean((1, 2, 3)), "wrong sign"),
        (lab_boundary.dice, lambda p, g: 1 - dice_loss(p, g, RELEASED), "the coefficient"),
        (lab_boundary.cross_entropy, lambda p, g: -entropy(p, g), "wrong sign"),
        (
            lab_boundary.boundary_combo,
            lambda p, g, d, a: BC(p, g, d, RELEASED, 1 - a),
            "Combo part",
        ),
        (lab_joint.segmentation_input, lambda sr, c: sr, "detached is the other way"),
        (lab_joint.segmentation_input, lambda sr, c: sr.detach(), "joint is the other way"),
        (lab_joint.total, lambda s, c, b: s + b * c, "off by up to"),
        (lab_metric.iou, lambda p, g: (p & g).sum() / max((p | g).sum(), 1), "union is empty"),
    ],
)
def test_a_lab_says_what_is_wrong_with_a_function(check, answer, message: str) -> None:
    with pytest.raises(NotYet, match=message):
        check(answer)


def test_the_toy_training_feels_the_coupling() -> None:
    def total(l_s, l_c, beta):
        return (1 - beta) * l_s + beta * l_c

    def coupled(sr, coupling):
        return sr if coupling == "joint" else sr.detach()

    arms = [toy.train_arm(arm, 0, coupled, total, steps=3) for arm in ("joint", "detached")]
    again = toy.train_arm("joint", 0, coupled, total, steps=3)
    assert arms[0] == again
    assert all(0 <= value <= 1 for value in arms)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_opens_and_closes_as_a_lesson(name: str) -> None:
    cells = BOOKS[name].cells
    ids = [c.id for c in cells]
    assert ids.index("opening") < ids.index("cost") < ids.index("summary") < ids.index("exercises")
    assert "You will learn" in cells[ids.index("opening")].source
    assert "You need" in cells[ids.index("opening")].source
    assert "running_cost(chapter.name" in cells[ids.index("cost")].source
    exercises = tagged(BOOKS[name], "exercise")
    assert 3 <= len(exercises) <= 6
    kinds = [re.search(r"^\*(.+?)\.\*", c.source, re.M)[1] for c in exercises]
    assert kinds[0] == "Paper and pencil"
    assert kinds[-1] == "An experiment to design" or name == "15-conclusions"
    labels = [re.search(r":label: (\S+)", c.source)[1] for c in exercises]
    solved = [
        re.search(r"\{solution-start\} (\S+)\n:class: dropdown", c.source)[1]
        for c in tagged(BOOKS[name], "solution")
        if "solution-start" in c.source
    ]
    assert labels == solved


def test_labels_of_exercises_are_unique() -> None:
    cells = [c for book in BOOKS.values() for c in tagged(book, "exercise")]
    labels = [re.search(r":label: (\S+)", c.source)[1] for c in cells]
    assert len(labels) == len(set(labels))


def test_a_check_says_which_side_and_what_to_look_at() -> None:
    with pytest.raises(NotYet, match=r"x = 3 is too large; halve it"):
        answers.number("x", 3, 1.5, "halve it")
    with pytest.raises(NotYet, match="one number, not list"):
        answers.number("x", [1], 1, "")
    with pytest.raises(NotYet, match="not finite"):
        answers.number("x", float("nan"), 1, "")
    with pytest.raises(NotYet, match=r"shape \(2,\), needed is \(3,\)"):
        answers.array("x", [1, 2], [1, 2, 3], "")
    with pytest.raises(NotYet, match="off by up to 1"):
        answers.array("x", [1, 2], [1, 3], "")
    with pytest.raises(NotYet, match="'d' does not belong"):
        answers.same("x", {"a", "d"}, {"a", "b"}, "")
    with pytest.raises(NotYet, match="1 missing"):
        answers.same("x", {"a"}, {"a", "b"}, "")
    with pytest.raises(NotYet, match="no experiment 'magic'"):
        answers.experiment("arms", "magic")
    with pytest.raises(NotYet, match="must be a function"):
        answers.function("f", 3)
    assert NotYet("a")._render_traceback_() == ["✗ a"]


def test_arms_that_differ_in_more_than_one_thing_are_refused() -> None:
    with pytest.raises(NotYet, match="differ in loss, segmentation, sr as well"):
        answers.contrast(("srcnet", "csbsr-pspnet"), "coupling", {"joint", "independent"}, "")
    pair = ("kbpn+pspnet", "csbsr-pspnet")
    with pytest.raises(NotYet, match="coupling = independent, joint"):
        answers.contrast(pair, "coupling", {"joint", "detached"}, "")
    with pytest.raises(NotYet, match="two ids"):
        answers.contrast("csbsr-pspnet", "coupling", {"joint"}, "")


def test_typical_mistakes_get_their_own_line() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:7, 2:7] = 1
    prob = 0.1 + 0.7 * mask
    coefficient = 2 * (prob * mask).sum() / (prob**2 + mask**2).sum()
    with pytest.raises(NotYet, match="that is the coefficient"):
        losses.dice(coefficient, prob, mask)
    distance = torch.linspace(-3, 3, 8).reshape(1, 1, 1, 8)
    with pytest.raises(NotYet, match="negative"):
        losses.crack_weight(torch.exp(-distance), distance, 1.0)
