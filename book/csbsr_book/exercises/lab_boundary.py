"""Lab 2: checks of the Boundary Combo loss written by hand, and trainings that watch alpha."""

from collections.abc import Callable, Mapping

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from csbsr import losses
from csbsr.data.distances import signed_distances
from csbsr.protocol import RELEASED
from csbsr.training.schedules import alpha_scaled
from csbsr_book.exercises import toy
from csbsr_book.exercises.answers import array, function, holds, number, right, same
from csbsr_book.site.theme import BLUE, MUTED, ORANGE, VERMILION, bare

STEPS = 80
ALPHAS: Mapping[str, Callable[[int], float]] = {
    "alpha = 0": lambda step: 0.0,
    "rising": lambda step: alpha_scaled(step, STEPS),
    "alpha = 0.99": lambda step: 0.99,
}
"""How alpha goes over a training, by name."""
COLOURS = (BLUE, ORANGE, VERMILION)
BC = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def example() -> tuple[Tensor, Tensor, Tensor]:
    """A prediction, its mask and the normalised distance, (2, 1, 48, 48) each."""
    mask = torch.zeros(2, 1, 48, 48, dtype=torch.bool)
    mask[0, :, 20:27, 4:44] = True
    mask[1, :, 5:40, 22:25] = True
    distance = losses.normalise_signed_distance(signed_distances(mask))
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.rand(mask.shape, generator=generator)
    return (0.15 + 0.7 * mask.roll(2, 2) + noise).clamp(0, 1), mask.float(), distance


def _term(name: str, given: object, expected: Tensor, found: Tensor, hint: str) -> None:
    found = torch.as_tensor(found)
    holds(found.shape != torch.Size([]), f"{name} is one number; give one per image, shape (B,)")
    negated = torch.allclose(found.flatten(), -expected, rtol=1e-3)
    holds(not negated, f"{name} has the wrong sign: a loss falls when the prediction gets better")
    array(name, found, expected, hint, 2e-3)


def boundary(given: object) -> None:
    """A function (prob, distance) -> Boundary loss per image, Eq. 5 in the released form."""
    prob, _, distance = example()
    expected = losses.boundary_loss(prob, distance, RELEASED)
    found = function("boundary", given)(prob, distance)
    _term("boundary", given, expected, found, "the mean over pixels of distance times probability")
    right("negative where probability lies inside the crack")


def dice(given: object) -> None:
    """A function (prob, mask) -> Dice loss of the crack class per image, Eq. 6."""
    prob, mask, _ = example()
    expected = losses.dice_loss(prob, mask, RELEASED)
    found = function("dice", given)(prob, mask)
    coefficient = torch.allclose(torch.as_tensor(found).flatten(), 1 - expected, rtol=1e-3)
    holds(not coefficient, "dice returns the coefficient of Eq. 6; the loss is 1 minus it")
    _term("dice", given, expected, found, "1 - 2 sum(PG) / (sum(P^2) + sum(G^2)), image by image")
    right("0 for a perfect prediction, 1 for one that shares nothing")


def cross_entropy(given: object) -> None:
    """A function (prob, mask) -> weighted cross entropy per image, Eq. 8 with weights 1/2."""
    prob, mask, _ = example()
    prob = prob.clamp(0.01, 0.99)
    expected = losses.weighted_cross_entropy(prob, mask, RELEASED)
    found = function("cross_entropy", given)(prob, mask)
    hint = "half the mean of -(G log P + (1 - G) log(1 - P))"
    _term("cross_entropy", given, expected, found, hint)
    right("the only term whose gradient does not vanish where the network is sure and wrong")


def boundary_combo(given: object) -> None:
    """A function (prob, mask, distance, alpha) -> BC loss per image, Eq. 3 with gamma 1/2."""
    prob, mask, distance = example()
    prob, made = prob.clamp(0.01, 0.99), function("bc", given)
    for alpha in (0.0, 0.5, 1.0):
        expected = losses.boundary_combo_loss(prob, mask, distance, RELEASED, alpha)
        found = made(prob, mask, distance, alpha)
        turned = losses.boundary_combo_loss(prob, mask, distance, RELEASED, 1 - alpha)
        swapped = alpha != 0.5 and torch.allclose(torch.as_tensor(found), turned, rtol=1e-3)
        holds(not swapped, "alpha weighs the Combo part; in the paper it weighs the Boundary term")
        array(f"bc at alpha = {alpha:g}", found, expected, "Eq. 3 with gamma = 0.5", 5e-3)
    right("four short functions are the whole of Eq. 3")


def watch_alpha(bc: BC, seed: int = 0) -> tuple[Figure, dict[str, float]]:
    """Train one toy network per course of alpha with the student's loss; IoU by course."""
    train, test = toy.cracks("train", 24, seed), toy.cracks("test", 12, 100)
    figure, axes = plt.subplots(1, 2 + len(ALPHAS), figsize=(9.5, 2.4))
    found = {}
    for (name, course), colour, ax in zip(ALPHAS.items(), COLOURS, axes[2:]):
        network = toy.segmenter(seed)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
        order, curve = torch.Generator().manual_seed(seed), []
        for step in range(STEPS):
            batch = toy.drawn(train, order)
            prob = network(batch.hr).clamp(1e-4, 1 - 1e-4)
            toy.descend(optimiser, bc(prob, batch.mask, batch.distance, course(step)).mean())
            if step % 10 == 9:
                with torch.no_grad():
                    curve.append(toy.mean_iou(network(test.hr), test.mask))
        with torch.no_grad():
            ax.imshow(network(test.hr)[0, 0], vmin=0, vmax=1, cmap="gray")
        ax.set_title(name)
        axes[0].plot(range(10, STEPS + 1, 10), curve, color=colour, label=name)
        found[name] = curve[-1]
    axes[0].set(xlabel="step", ylabel="IoU, test")
    axes[0].legend()
    axes[1].imshow(test.hr[0].permute(1, 2, 0))
    axes[1].contour(test.mask[0, 0], [0.5], colors=[MUTED], linewidths=0.8)
    axes[1].set_title("image and truth")
    bare(*axes[1:])
    return figure, found


def lowest(name: object, found: Mapping[str, float]) -> None:
    """The course of alpha that learnt least in the student's own trainings."""
    expected = min(found, key=lambda key: found[key])
    same("name", name, expected, "compare the numbers of your own run")
    right("a crack has to be found before it can be placed")


def flat_push(ratio: object) -> None:
    """Push of the Boundary term at a missed pixel over that at a found one, same distance."""
    prob = torch.tensor([0.02, 0.98], requires_grad=True)
    gradient = torch.autograd.grad((prob * -0.5).mean(), prob)[0]
    number("ratio", ratio, float(gradient[0] / gradient[1]), "Eq. 5 is linear in the probability")
    right("it asks for the missed pixel no more loudly than for the found one")
