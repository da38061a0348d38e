"""Checks of the exercises on losses and loss weights (chapters 4, 5, 11, 12)."""

import math

import numpy as np
import torch
from torch import Tensor

from csbsr import losses
from csbsr.data.distances import signed_distances
from csbsr.protocol import PRINTED, RELEASED
from csbsr.study.experiments import M_SEARCH
from csbsr_book.exercises.answers import answered, array, contrast, holds, number, right, same
from csbsr_book.paper.printed import load_table


def zero_loss(total: object, best_possible: object) -> None:
    """BC for L_B = -0.2, L_D = 0.3, L_WCE = 0.1 and alpha = gamma = 0.5; is 0 perfect?"""
    expected = 0.5 * -0.2 + 0.5 * (0.5 * 0.3 + 0.5 * 0.1)
    number(
        "total", total, expected, "Eq. 3: alpha L_B + (1 - alpha)((1 - gamma) L_D + gamma L_WCE)"
    )
    same("best_possible", best_possible, False, "are Dice and cross entropy 0 here?")
    right("the Boundary term is negative inside cracks, so a BC loss of 0 is nothing special")


def _nothing() -> tuple[Tensor, Tensor]:
    """A mask (1, 1, 50, 100) with 2 % crack, and the prediction "no crack anywhere"."""
    mask = torch.zeros(1, 1, 50, 100)
    mask[..., :2, :50] = 1
    return torch.zeros_like(mask), mask


def two_classes(both: object, crack: object) -> None:
    """Dice loss of "no crack" at 2 % crack, summed over both classes and over crack alone."""
    nothing, mask = _nothing()
    hint = "P and G are (0.98, 0.02) of the image as background, (0, 0.02) as crack"
    number("both", both, float(losses.dice_loss(nothing, mask, PRINTED)), hint)
    alone = float(losses.dice_loss(nothing, mask, RELEASED))
    number("crack", crack, alone, "nothing is shared", 0.001)
    right("with both classes, missing every crack costs next to nothing")


def dice(loss: object, prob: Tensor, mask: Tensor) -> None:
    """The Dice loss of the crack class alone."""
    expected = float(losses.dice_loss(prob, mask, RELEASED))
    answered("loss", loss)
    coefficient = math.isclose(float(loss), 1 - expected, rel_tol=1e-3)
    holds(
        not coefficient, "that is the coefficient of Eq. 6, 1 for a perfect map; a loss is 1 - it"
    )
    number("loss", loss, expected, "1 - 2 sum(PG) / (sum(P^2) + sum(G^2))", 1e-3)
    right("it equals `csbsr.losses.dice_loss` in the released form")


def _slope(name: str, prob: float) -> float:
    """Gradient of a loss at one missed crack pixel among many found ones, by its logit."""
    logits = torch.full((1, 1, 1, 100), 9.0, dtype=torch.float64)
    logits[..., 0] = math.log(prob / (1 - prob))
    logits.requires_grad_(True)
    target = torch.ones(1, 1, 1, 100, dtype=torch.float64)
    p = torch.sigmoid(logits)
    loss = {
        "dice": lambda: losses.dice_loss(p, target, RELEASED),
        "wce": lambda: losses.binary_cross_entropy(p, target) * 100,
    }[name]()
    return float(torch.autograd.grad(loss.sum(), logits)[0][..., 0])


def slopes(cross_entropy: object, dice_vanishes: object) -> None:
    """Gradient of -log p by the logit at p = 0.001, and whether that of Dice vanishes there."""
    hint = "d/dz of -log sigmoid(z) is p - 1"
    number("cross_entropy", cross_entropy, _slope("wce", 0.001), hint)
    vanishes = abs(_slope("dice", 0.001)) < 0.05 * abs(_slope("dice", 0.4))
    same("dice_vanishes", dice_vanishes, vanishes, "it carries the factor p (1 - p) of the sigmoid")
    right("this is why cross entropy is in the mixture")


def hairline(phi: object, rewarded: object) -> None:
    """phi_G on a crack one pixel wide, and whether Eq. 5 rewards finding it."""
    mask = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    mask[..., 4, :] = True
    inside = float(signed_distances(mask)[mask].min())
    number("phi", phi, inside, "the outermost layer of a crack is set to 0; what else is there?")
    same("rewarded", rewarded, inside < 0, "the product of phi and the probability is then")
    right("thin cracks are left to Dice and cross entropy")


def boundary_term(arms: object) -> None:
    """Two experiments that differ in the Boundary term alone."""
    contrast(arms, "loss", {"bc", "combo"}, "Combo is Eq. 3 with alpha = 0")
    right("Table IV has both rows; what is needed are several seeds of each")


def crack_weight_at(near: object, far: object) -> None:
    """w^C one pixel beside the crack for m = 8 and m = 1/8."""
    for name, given, m in (("near", near, M_SEARCH[-1]), ("far", far, M_SEARCH[0])):
        distance = torch.ones(1, 1, 1, 1)
        expected = float(losses.crack_oriented_weight(distance, m, PRINTED))
        number(name, given, expected, f"exp(-m D) with m = {m:g} and D = 1")
    right("from a mask of the crack to a broad glow around it")


def fail_weight_for_two(m: object) -> None:
    """The m^F that doubles the weight of a crack pixel with probability one half."""
    number("m", m, 2 * math.log(2), "solve exp(m * |0.5 - 1|) = 2")
    right("the constant 1 of the paper weighs such a pixel by 1.65")


def crack_weight(weight: object, distance: Tensor, m: float) -> None:
    """The map of w^C from a signed distance."""
    answered("weight", weight)
    expected = losses.crack_oriented_weight(distance, m, PRINTED)
    inside = "it exceeds 1: inside cracks the signed distance is negative, and D of Eq. 9 is 0"
    holds(float(torch.as_tensor(weight).max()) <= 1 + 1e-6, f"weight is off; {inside}")
    array("weight", weight, expected, "exp(-m D), D being the distance to the nearest crack pixel")
    right("it equals `csbsr.losses.crack_oriented_weight`")


def dice_share(share: object, prob: Tensor, mask: Tensor) -> None:
    """The share of every pixel in the Dice loss, as a map that sums to the loss."""
    expected = (prob - mask) ** 2 / (prob**2 + mask**2).sum()
    array("share", share, expected, "the squared error of the pixel over the common denominator")
    right("its sum is the Dice loss: a ratio of sums can be a map after all")


def printed_weights(price: object) -> None:
    """What L_C as a weight on L_S costs in PSNR, by Table V."""
    table = load_table("V")
    expected = table.value("csbsr-pspnet", "PSNR") - table.value("csbsr-pspnet-wLC", "PSNR")
    number("price", price, expected, "first row minus the row 'w/ L_C'", tolerance=0.004)
    right("every other weight of the table costs less than a tenth of a decibel")


def fair_weight(arms: object) -> None:
    """Two experiments that tell what w^F with m = 1 does and nothing else."""
    contrast(arms, "fail_weight", {None, 1.0}, "one has the weight on L_S, the other none")
    right("run them with the same seeds, and compare seed by seed")


def unsure_pixel(prob: object, term: object) -> None:
    """What plain cross entropy answers where it cannot tell, and the term that counters it."""
    number("prob", prob, 0.03, "a calibrated network says how often such pixels are crack")
    same("term", term, "dice", "which term divides by the predicted and the true area?")
    right("so the contour at 0.5 lies inside the crack, and the best threshold far below 0.5")


def steepest(loss: object, gap: object) -> None:
    """The loss of Table IV whose IoU falls most from its best threshold to the mean of all."""
    table = load_table("IV")
    gaps = {r.experiment: r.values["IoU_max"] - r.values["AIU"] for r in table.rows}
    worst = max(gaps, key=gaps.__getitem__)
    same("loss", loss, worst.removeprefix("csbsr-pspnet-"), "IoU_max - AIU, row by row")
    number("gap", gap, gaps[worst], "IoU_max - AIU of that row")
    right("a curve that falls like this needs its threshold chosen with care")


def stability(quotient: object) -> None:
    """AIU / IoU_max of BC in Table IV."""
    table = load_table("IV")
    expected = table.value("csbsr-pspnet", "AIU") / table.value("csbsr-pspnet", "IoU_max")
    number("quotient", quotient, expected, "AIU divided by IoU_max", tolerance=0.002)
    right("1 would be a flat curve")


def entropy_term(arms: object) -> None:
    """Two experiments that differ in the cross entropy alone, GDice and Boundary being in both."""
    contrast(arms, "loss", {"gbc", "bgdice"}, "GBC is Boundary + GDice + WCE")
    right("by Table IV the cross entropy is worth much here; with how many seeds?")


def best_of_seven(gain: object, spread: float) -> None:
    """How much the best of seven equal runs is expected to lie above their mean."""
    draws = np.random.default_rng(0).standard_normal((200_000, len(M_SEARCH))).max(1).mean()
    hint = "simulate seven standard normal numbers many times and average their maximum"
    number("gain", gain, float(draws) * spread, hint, tolerance=0.03)
    right("this much is won by choosing alone")


def search_size(runs: object) -> None:
    """Trainings of the whole search over m for w^C, w^F, and w^F on L_C."""
    number("runs", runs, 3 * len(M_SEARCH), "seven constants for each of three weights")
    right("Table V prints three winners of these")


def edge(at_edge: object, following: object) -> None:
    """Whether the best m^C lies at the edge of its grid, and the value to try next."""
    same("at_edge", at_edge, True, "the grid goes from 2^-3 to 2^3, and the winner is 8")
    number("following", following, 2 * M_SEARCH[-1], "the grid doubles at each step")
    right("a best value at the edge is not yet known to be the best")
